package dashboards

import (
	"fmt"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/statetimeline"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// What a chart says without a point: it cannot tell whether there is nothing or
// nobody answers.
const (
	nothingStored   = "Nothing stored in this range, or NO ANSWER"
	nothingMeasured = "Nothing measured in this range, or NO ANSWER from Prometheus"
)

// stored is one query to the database for a chart.
func stored(sql string) []cog.Builder[variants.Dataquery] {
	return []cog.Builder[variants.Dataquery]{sqlQuery{Source: OpsSource, RefID: "A", Format: seriesFormat, RawSQL: sql}}
}

// measured are queries to Prometheus for a chart, each an expression and what its
// lines are called.
func measured(pairs ...[2]string) (list []cog.Builder[variants.Dataquery]) {
	for i, p := range pairs {
		list = append(list, metrics(string(rune('A'+i)), p[0], p[1]))
	}
	return list
}

// lines is a chart with a line for each series.
func lines(title, unit string, targets []cog.Builder[variants.Dataquery]) *timeseries.PanelBuilder {
	source, nothing := *postgresRef(OpsSource), nothingStored
	if _, ok := targets[0].(*prometheus.DataqueryBuilder); ok {
		source, nothing = common.DataSourceRef{Type: new(prometheusType), Uid: new(metricsSource)}, nothingMeasured
	}
	return timeseries.NewPanelBuilder().
		Title(title).
		Datasource(source).
		Targets(targets).
		Unit(unit).
		Min(0).
		DrawStyle(common.GraphDrawStyleLine).
		LineInterpolation(common.LineInterpolationLinear).
		LineWidth(1).
		FillOpacity(0).
		GradientMode(common.GraphGradientModeNone).
		ShowPoints(common.VisibilityModeNever).
		PointSize(4).
		SpanNulls(common.BoolOrFloat64{Bool: new(false)}).
		InsertNulls(common.BoolOrFloat64{Bool: new(false)}).
		AxisPlacement(common.AxisPlacementLeft).
		AxisGridShow(true).
		AxisBorderShow(false).
		ColorScheme(dashboard.NewFieldColorBuilder().Mode(dashboard.FieldColorModeIdPaletteClassic)).
		Thresholds(steps()).
		ThresholdsStyle(common.NewGraphThresholdsStyleConfigBuilder().Mode(common.GraphThresholdsStyleModeOff)).
		Legend(common.NewVizLegendOptionsBuilder().ShowLegend(true).DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom).Calcs([]string{})).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending)).
		NoValue(nothing)
}

// minutes makes a chart of runs break where there was no run for three minutes.
func minutes(p *timeseries.PanelBuilder) *timeseries.PanelBuilder {
	const threeMinutes = 180_000.0
	return p.InsertNulls(common.BoolOrFloat64{Float64: new(threeMinutes)})
}

// limits draws a dashed line at each value.
func limits(p *timeseries.PanelBuilder, values ...float64) *timeseries.PanelBuilder {
	return p.Thresholds(steps(values...)).ThresholdsStyle(common.NewGraphThresholdsStyleConfigBuilder().Mode(common.GraphThresholdsStyleModeDashed))
}

// bars stacks what was counted in each hour.
func bars(p *timeseries.PanelBuilder) *timeseries.PanelBuilder {
	return p.
		DrawStyle(common.GraphDrawStyleBars).
		FillOpacity(80).
		LineWidth(0).
		Stacking(common.NewStackingConfigBuilder().Mode(common.StackingModeNormal).Group("A"))
}

// tint gives series fixed colours, by their names.
func tint(p *timeseries.PanelBuilder, pairs ...[2]string) *timeseries.PanelBuilder {
	for _, pair := range pairs {
		p.OverrideByName(pair[0], []dashboard.DynamicConfigValue{color(pair[1])})
	}
	return p
}

// timeline is a bar that changes its colour with a state, which is written into
// it.
func timeline(title string, target cog.Builder[variants.Dataquery], mappings []dashboard.ValueMapping) *statetimeline.PanelBuilder {
	source := *postgresRef(OpsSource)
	if _, ok := target.(*prometheus.DataqueryBuilder); ok {
		source = common.DataSourceRef{Type: new(prometheusType), Uid: new(metricsSource)}
	}
	return statetimeline.NewPanelBuilder().
		Title(title).
		Datasource(source).
		WithTarget(target).
		ShowValue(common.VisibilityModeAuto).
		RowHeight(0.8).
		MergeValues(true).
		AlignValue(common.TimelineValueAlignmentLeft).
		LineWidth(0).
		FillOpacity(85).
		ColorScheme(fixed(lineGrey)).
		Mappings(mappings).
		Thresholds(steps()).
		Legend(common.NewVizLegendOptionsBuilder().ShowLegend(false).DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom).Calcs([]string{})).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeSingle).Sort(common.SortOrderNone)).
		NoValue(nothingStored)
}

// The states as colours, for values that are their names.
var stateColors = [][2]string{
	{"/^(HEALTHY|success|computed)$/", calm}, {"/^(DEGRADED|partial|blocked)$/", yellow}, {"/^(STALE|failed)$/", haltRed}, {"/^(no run|UNKNOWN)$/", grey},
}

// codes maps the numbers of a metric to the names of states.
func codes(names map[string]dashboard.ValueMappingResult) []dashboard.ValueMapping {
	return []dashboard.ValueMapping{{ValueMap: &dashboard.ValueMap{Type: dashboard.MappingTypeValueToText, Options: names}}}
}

// number is one figure of Prometheus, as it is now.
func number(title, unit, expr, legend string) *stat.PanelBuilder {
	return stat.NewPanelBuilder().
		Title(title).
		Datasource(common.DataSourceRef{Type: new(prometheusType), Uid: new(metricsSource)}).
		WithTarget(metrics("A", expr, legend).Instant()).
		Unit(unit).
		ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"}).Fields("").Values(false)).
		TextMode(common.BigValueTextModeAuto).
		GraphMode(common.BigValueGraphModeNone).
		ColorMode(common.BigValueColorModeNone).
		JustifyMode(common.BigValueJustifyModeCenter).
		Orientation(common.VizOrientationAuto).
		WideLayout(false).
		ShowPercentChange(false).
		Text(common.NewVizTextDisplayOptionsBuilder().TitleSize(12).ValueSize(18)).
		ColorScheme(fixed("transparent")).
		NoValue(nothingMeasured)
}

// column is one of a table: an expression that gives text, its heading, and its
// width in pixels; 0 shares the rest.
type column struct {
	expr, heading string
	width         float64
}

// list is a table of the newest rows of a relation, or one row that says that
// there is none: an empty table could be no answer as well.
func (l look) list(title, none, from, order string, limit int, columns ...column) *table.PanelBuilder {
	var shown, filled, empty []string
	for i, c := range columns {
		name := fmt.Sprintf("c%d", i)
		shown = append(shown, fmt.Sprintf("coalesce(nullif(%s, ''), ' ') AS %s", c.expr, name))
		filled = append(filled, fmt.Sprintf("%s AS %q", name, c.heading))
		empty = append(empty, "' '")
	}
	empty[0] = "'" + none + "'"
	p := l.rows(title, fmt.Sprintf(`SELECT %[1]s FROM (
  (SELECT row_number() OVER (ORDER BY %[4]s) AS place, %[2]s FROM %[3]s ORDER BY %[4]s LIMIT %[5]d)
  UNION ALL SELECT 0, %[6]s WHERE NOT EXISTS (SELECT FROM %[3]s)
) AS line ORDER BY place`, strings.Join(filled, ", "), strings.Join(shown, ", "), from, order, limit, strings.Join(empty, ", ")))
	for _, c := range columns {
		if c.width > 0 {
			p.OverrideByName(c.heading, []dashboard.DynamicConfigValue{{Id: "custom.width", Value: c.width}})
		}
	}
	return p
}
