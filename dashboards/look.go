package dashboards

import (
	"slices"

	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// Colours are muted where they carry a playbook and loud where something is
// wrong. None is the only carrier of what it says: the words are always there.
const (
	mutedGreen = "#3d7a55"
	mutedRed   = "#a24d4b"
	grey       = "#6c7280"
	calm       = "#3f5f86" // healthy: not the green of a playbook
	haltRed    = "#c4162a"
	yellow     = "#f2cc0c"
	orange     = "#b45a09"
	blue       = "#5794f2"
	lineGrey   = "#8e8e8e"
)

// Halt is what a masked panel says, and nothing else.
const Halt = "SYSTEM HALT"

// NoAnswer is what a panel of the incident board says when the database does not
// answer it.
const NoAnswer = "NO ANSWER"

// What a panel says beside its values while the data is degraded.
const (
	degraded = "DEGRADED"
	warning  = "⚠"
)

// look is how the panels of a board are made.
type look struct {
	source  string      // uid of the data source that they read
	nothing string      // what a panel says that has no value
	words   [][2]string // painted on every panel: a regular expression and a colour
}

var (
	trader   = look{BoardSource, Halt, [][2]string{{"/^" + Halt + "/", haltRed}, {"/^(" + degraded + "|" + warning + ")$/", yellow}}}
	operator = look{OpsSource, NoAnswer, [][2]string{{"/^" + NoAnswer + "/", haltRed}}}
)

// paint colours values that match a regular expression. No value at all is what
// the board says of nothing: the query failed, or the data source is gone.
func (l look) paint(pairs ...[2]string) []dashboard.ValueMapping {
	list := []dashboard.ValueMapping{{SpecialValueMap: &dashboard.SpecialValueMap{
		Type:    dashboard.MappingTypeSpecialValue,
		Options: dashboard.DashboardSpecialValueMapOptions{Match: dashboard.SpecialValueMatchNull, Result: dashboard.ValueMappingResult{Text: new(l.nothing), Color: new(haltRed), Index: new(int32(0))}},
	}}}
	for i, p := range slices.Concat(l.words, pairs) {
		list = append(list, dashboard.ValueMapping{RegexMap: &dashboard.RegexMap{
			Type:    dashboard.MappingTypeRegexToText,
			Options: dashboard.DashboardRegexMapOptions{Pattern: p[0], Result: dashboard.ValueMappingResult{Color: new(p[1]), Index: new(int32(i + 1))}},
		}})
	}
	return list
}

// fixed is one colour for everything that no mapping paints.
func fixed(color string) *dashboard.FieldColorBuilder {
	return dashboard.NewFieldColorBuilder().Mode(dashboard.FieldColorModeIdFixed).FixedColor(color)
}

// steps are thresholds at which a line is drawn.
func steps(values ...float64) *dashboard.ThresholdsConfigBuilder {
	list := []dashboard.Threshold{{Color: lineGrey}}
	for _, v := range values {
		list = append(list, dashboard.Threshold{Value: new(v), Color: lineGrey})
	}
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(list)
}

// tiles is a stat panel with one tile for each (label, value) that the query
// returns, in its order.
func (l look) tiles(title, sql string) *stat.PanelBuilder {
	return stat.NewPanelBuilder().
		Title(title).
		Datasource(*postgresRef(l.source)).
		WithTarget(sqlQuery{Source: l.source, RefID: "A", Format: tableFormat, RawSQL: sql}).
		WithTransformation(dashboard.DataTransformerConfig{Id: "rowsToFields", Options: map[string]any{
			"mappings": []map[string]string{{"fieldName": "label", "handlerKey": "field.name"}, {"fieldName": "value", "handlerKey": "field.value"}},
		}}).
		ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"}).Fields("/.*/").Values(false)).
		TextMode(common.BigValueTextModeValueAndName).
		GraphMode(common.BigValueGraphModeNone).
		ColorMode(common.BigValueColorModeBackgroundSolid).
		JustifyMode(common.BigValueJustifyModeCenter).
		Orientation(common.VizOrientationVertical).
		WideLayout(false).
		ShowPercentChange(false).
		ColorScheme(fixed("transparent")).
		Mappings(l.paint()).
		NoValue(l.nothing)
}

// rows is a table of whatever the query returns.
func (l look) rows(title, sql string) *table.PanelBuilder {
	return table.NewPanelBuilder().
		Title(title).
		Datasource(*postgresRef(l.source)).
		WithTarget(sqlQuery{Source: l.source, RefID: "A", Format: tableFormat, RawSQL: sql}).
		CellHeight(common.TableCellHeightSm).
		ShowHeader(true).
		Align(common.FieldTextAlignmentLeft).
		CellOptions(cell("auto")).
		Footer(common.NewTableFooterOptionsBuilder().Show(false).Reducer([]string{})).
		SortBy(nil).
		Mappings(l.paint()).
		NoValue(l.nothing)
}

// edged makes the first column of a table the edge that is yellow while the
// data is degraded.
func edged(p *table.PanelBuilder) *table.PanelBuilder {
	return p.OverrideByName("edge", []dashboard.DynamicConfigValue{
		{Id: "displayName", Value: " "}, {Id: "custom.width", Value: 34}, {Id: "custom.cellOptions", Value: cell("color-background")}, color("transparent"),
		{Id: "noValue", Value: " "}, {Id: "mappings", Value: trader.paint()[2:]},
	})
}

// cell is how a cell of a table is drawn.
func cell(kind common.TableCellDisplayMode) common.TableCellOptions {
	switch kind {
	case "color-background":
		return common.TableCellOptions{TableColoredBackgroundCellOptions: &common.TableColoredBackgroundCellOptions{Type: kind, Mode: new(common.TableCellBackgroundDisplayModeBasic)}}
	case "color-text":
		return common.TableCellOptions{TableColorTextCellOptions: &common.TableColorTextCellOptions{Type: kind}}
	default:
		return common.TableCellOptions{TableAutoCellOptions: &common.TableAutoCellOptions{Type: kind}}
	}
}

// widths leaves the room of a table of alerts to the message, and colours a
// halt.
func widths(p *table.PanelBuilder) *table.PanelBuilder {
	for _, column := range []struct {
		name  string
		width float64
	}{{"utc", 95}, {"asset", 80}, {"type", 130}, {"severity", 110}} {
		p.OverrideByName(column.name, []dashboard.DynamicConfigValue{{Id: "custom.width", Value: column.width}})
	}
	return p.OverrideByName("message", []dashboard.DynamicConfigValue{{Id: "custom.cellOptions", Value: cell("color-text")}, {Id: "color", Value: map[string]string{"mode": "fixed", "fixedColor": "text"}}})
}

// score is a chart of one score between 0 and 100, with a line at each of its
// thresholds.
func score(title, sql string, thresholds ...float64) *timeseries.PanelBuilder {
	return timeseries.NewPanelBuilder().
		Title(title).
		Datasource(*postgresRef(BoardSource)).
		WithTarget(sqlQuery{Source: BoardSource, RefID: "A", Format: seriesFormat, RawSQL: sql}).
		Min(0).Max(100).
		DrawStyle(common.GraphDrawStyleLine).
		LineInterpolation(common.LineInterpolationLinear).
		LineWidth(2).
		FillOpacity(0).
		GradientMode(common.GraphGradientModeNone).
		ShowPoints(common.VisibilityModeAuto).
		PointSize(4).
		InsertNulls(common.BoolOrFloat64{Float64: new(sevenMinutes)}).
		SpanNulls(common.BoolOrFloat64{Bool: new(false)}).
		AxisPlacement(common.AxisPlacementLeft).
		AxisGridShow(false).
		AxisBorderShow(false).
		OverrideByName("degraded", []dashboard.DynamicConfigValue{
			color(yellow), {Id: "custom.lineWidth", Value: 6}, {Id: "custom.spanNulls", Value: true}, {Id: "custom.insertNulls", Value: false}, {Id: "custom.showPoints", Value: "never"},
			{Id: "custom.thresholdsStyle", Value: map[string]string{"mode": "off"}},
		}).
		OverrideByName("edge", []dashboard.DynamicConfigValue{ // an unseen axis: room for half a label of the time
			{Id: "custom.axisPlacement", Value: "right"}, {Id: "custom.axisWidth", Value: 24}, {Id: "custom.axisColorMode", Value: "series"}, color("transparent"),
			{Id: "max", Value: 1}, {Id: "custom.thresholdsStyle", Value: map[string]string{"mode": "off"}}, {Id: "custom.hideFrom", Value: map[string]bool{"legend": true, "tooltip": true, "viz": false}},
		}).
		ThresholdsStyle(common.NewGraphThresholdsStyleConfigBuilder().Mode(common.GraphThresholdsStyleModeDashed)).
		Thresholds(steps(thresholds...)).
		ColorScheme(fixed(blue)).
		Legend(common.NewVizLegendOptionsBuilder().ShowLegend(false).DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom).Calcs([]string{})).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeSingle).Sort(common.SortOrderNone)).
		NoValue(Halt)
}

// sevenMinutes is a gap, in milliseconds, over which no line is drawn: a signal
// is missing.
const sevenMinutes = 420_000.0
