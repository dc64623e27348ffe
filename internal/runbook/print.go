package runbook

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// WriteJSON prints each finding as an object on a line of its own, most severe
// first, and last the summary.
func (r Report) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	for _, f := range r.Findings {
		if err := encoder.Encode(f); err != nil {
			return err
		}
	}
	return encoder.Encode(r)
}

// WriteText prints the report for people.
func (r Report) WriteText(w io.Writer) error {
	var t strings.Builder
	reasons := ""
	if len(r.Reasons) > 0 {
		reasons = " (" + strings.Join(r.Reasons, ", ") + ")"
	}
	fmt.Fprintf(&t, "%s  health %s%s  trading %s\n", stamp(r.At), r.State, reasons, r.Trading)
	switch {
	case r.Starting != "":
		fmt.Fprintln(&t, r.Starting)
	case len(r.Findings) == 0:
		fmt.Fprintln(&t, "no runbook applies")
	}
	for _, f := range r.Findings {
		f.write(&t)
	}
	if len(r.Unknown) > 0 {
		fmt.Fprintln(&t, "\ncould not be found out:")
		for _, u := range r.Unknown {
			fmt.Fprintf(&t, "  - %s\n", u)
		}
	}
	_, err := io.WriteString(w, strings.Map(plain, t.String()))
	return err
}

// plain keeps what others have named from moving the cursor of a terminal.
func plain(r rune) rune {
	if unicode.IsControl(r) && r != '\n' {
		return '?'
	}
	return r
}

func (f Finding) write(t *strings.Builder) {
	fmt.Fprintf(t, "\n%s  runbook %d %s: %s\n  %s\n", f.Severity, f.Runbook, f.Slug, f.Title, f.Summary)
	for _, e := range f.Evidence {
		if e.Figure != "" {
			fmt.Fprintf(t, "  %s: %s\n", e.What, e.Figure)
			continue
		}
		fmt.Fprintf(t, "  %s:\n", e.What)
		for _, row := range e.Rows {
			fmt.Fprintf(t, "    %s\n", row)
		}
	}
	fmt.Fprintln(t, "  do:")
	for i, a := range f.Actions {
		fmt.Fprintf(t, "    %d. %s\n", i+1, a.Do)
		if a.Command != "" {
			fmt.Fprintf(t, "       %s\n", a.Command)
		}
	}
	if len(f.DoNot) > 0 {
		fmt.Fprintln(t, "  do not:")
		for _, d := range f.DoNot {
			fmt.Fprintf(t, "    - %s\n", d)
		}
	}
	fmt.Fprintf(t, "  page: %s (whalegate runbook show %d)\n", cmp.Or(f.Link, f.Page), f.Runbook)
}
