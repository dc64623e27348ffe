package threshold

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// figure is the value without a needless zero.
func (t Threshold) figure() string { return strconv.FormatFloat(t.Value, 'g', -1, 64) }

// Words are the figure as a person says it: 5 minutes, 20 %, 4.
func (t Threshold) Words() string {
	switch t.Unit {
	case Percent:
		return t.figure() + " %"
	case Seconds:
		return Span(time.Duration(t.Value * float64(time.Second)))
	default:
		return t.figure()
	}
}

// Span words a length of time in its largest whole unit.
func Span(d time.Duration) string {
	for _, u := range []struct {
		of   time.Duration
		name string
	}{{time.Hour, "hour"}, {time.Minute, "minute"}} {
		if d%u.of == 0 && d >= u.of {
			if d == u.of {
				return "1 " + u.name
			}
			return fmt.Sprintf("%d %ss", d/u.of, u.name)
		}
	}
	return strconv.FormatFloat(d.Seconds(), 'g', -1, 64) + " seconds"
}

var mark = regexp.MustCompile(`<!-- [a-z_]+ -->`)

// Plain is a page as a person reads it: without the marks that name its figures.
func Plain(page string) string { return mark.ReplaceAllString(page, "") }

// SQL makes the schema facts with a function for each figure, which the planner takes for
// the figure itself, and a view of all. Times are intervals, everything else is numeric.
func SQL() string {
	var b, rows strings.Builder
	b.WriteString("CREATE SCHEMA IF NOT EXISTS facts;\n")
	for i, t := range All {
		kind, value := "numeric", t.figure()
		if t.Unit == Seconds {
			kind, value = "interval", fmt.Sprintf("interval '%s s'", t.figure())
		}
		fmt.Fprintf(&b, "CREATE OR REPLACE FUNCTION facts.%s() RETURNS %s LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$SELECT %s$$;\n", t.Name, kind, value)
		if i > 0 {
			rows.WriteString(",\n")
		}
		fmt.Fprintf(&rows, "    ('%s', %s, '%s', '%s')", t.Name, t.figure(), t.Unit, strings.ReplaceAll(t.Means, "'", "''"))
	}
	fmt.Fprintf(&b, "CREATE OR REPLACE VIEW facts.thresholds AS\nSELECT name, value, unit, means\nFROM (VALUES\n%s\n) AS t (name, value, unit, means);\n", rows.String())
	return b.String()
}
