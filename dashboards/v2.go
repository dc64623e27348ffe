package dashboards

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/dashboardv2"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/resource"
)

// v2 is the same board in schema v2, for Grafana 13.1 and later: sections carry
// a rule on the state of health, and what may not be shown is not mounted.
func (b board) v2() (manifest resource.Manifest, err error) {
	d := dashboardv2.NewDashboard()
	d.Title, d.Description, d.Tags = b.title, new(b.description), b.tags
	d.Editable, d.CursorSync = new(false), dashboardv2.DashboardCursorSyncCrosshair
	d.TimeSettings.Timezone = new("utc")
	d.TimeSettings.From, d.TimeSettings.To, d.TimeSettings.AutoRefresh = b.from, "now", b.refresh
	d.TimeSettings.AutoRefreshIntervals = b.refreshes
	if b.masked() {
		d.Variables = append(d.Variables, b.health.v2())
	}
	for _, v := range b.choices {
		d.Variables = append(d.Variables, v.v2())
	}
	for _, a := range b.annotations {
		kind := dashboardv2.NewAnnotationQueryKind()
		kind.Spec.Name, kind.Spec.Enable, kind.Spec.Hide, kind.Spec.IconColor = a.name, true, true, a.color
		if kind.Spec.Query, err = queryV2(sqlQuery{Source: a.source, Format: tableFormat, RawSQL: a.sql}); err != nil {
			return manifest, fmt.Errorf("annotation %s: %w", a.name, err)
		}
		d.Annotations = append(d.Annotations, *kind)
	}
	for _, l := range b.links {
		d.Links = append(d.Links, dashboardv2.DashboardLink{Title: l.title, Type: dashboardv2.DashboardLinkTypeLink, Icon: "time", Tooltip: l.tooltip, Url: new(l.url), Tags: []string{}, IncludeVars: true})
	}
	layout := dashboardv2.NewRowsLayoutKind()
	for _, s := range b.sections {
		row := dashboardv2.NewRowsLayoutRowKind()
		row.Spec.Title, row.Spec.Collapse, row.Spec.HideHeader = new(s.title), new(s.folded), new(s.title == "")
		row.Spec.ConditionalRendering = b.health.rule(s.shown)
		grid := dashboardv2.NewGridLayoutKind()
		for _, p := range s.panels {
			element, err := p.v2()
			if err != nil {
				return manifest, err
			}
			d.Elements[p.name] = dashboardv2.Element{PanelKind: element}
			item := dashboardv2.NewGridLayoutItemKind()
			item.Spec.X, item.Spec.Y, item.Spec.Width, item.Spec.Height = int64(p.place.X), int64(p.place.Y), int64(p.place.W), int64(p.place.H)
			item.Spec.Element.Name = p.name
			grid.Spec.Items = append(grid.Spec.Items, *item)
		}
		row.Spec.Layout.GridLayoutKind = grid
		layout.Spec.Rows = append(layout.Spec.Rows, *row)
	}
	d.Layout.RowsLayoutKind = layout
	return dashboardv2.Manifest(b.uid, built[dashboardv2.Dashboard]{*d}).Build()
}

// v2 carries a panel over from what the classic builders made of it: options
// and field settings are the same in both forms.
func (p panel) v2() (*dashboardv2.PanelKind, error) {
	from, err := p.build.Build()
	if err != nil {
		return nil, err
	}
	kind := dashboardv2.NewPanelKind()
	kind.Spec.Id, kind.Spec.Title = float64(p.id), value(from.Title)
	kind.Spec.Description = value(from.Description)
	for _, t := range from.Targets {
		query := dashboardv2.NewPanelQueryKind()
		if query.Spec.Query, err = queryV2(t); err != nil {
			return nil, fmt.Errorf("panel %s: %w", p.name, err)
		}
		query.Spec.RefId = refID(t)
		kind.Spec.Data.Spec.Queries = append(kind.Spec.Data.Spec.Queries, *query)
	}
	for _, t := range from.Transformations {
		step := dashboardv2.NewTransformationKind()
		step.Group, step.Spec.Options = t.Id, t.Options
		kind.Spec.Data.Spec.Transformations = append(kind.Spec.Data.Spec.Transformations, *step)
	}
	kind.Spec.VizConfig.Group = from.Type
	kind.Spec.VizConfig.Spec.Options = from.Options
	if from.FieldConfig != nil {
		if kind.Spec.VizConfig.Spec.FieldConfig, err = fieldConfigV2(*from.FieldConfig); err != nil {
			return nil, fmt.Errorf("panel %s: %w", p.name, err)
		}
	}
	return kind, nil
}

func fieldConfigV2(from dashboard.FieldConfigSource) (to dashboardv2.FieldConfigSource, err error) {
	body, err := json.Marshal(from)
	if err != nil {
		return to, fmt.Errorf("field settings: %w", err)
	}
	if err := json.Unmarshal(body, &to); err != nil {
		return to, fmt.Errorf("field settings: %w", err)
	}
	return to, nil
}

// queryV2 carries a query over. What says where it goes stands beside it.
func queryV2(q variants.Dataquery) (kind dashboardv2.DataQueryKind, err error) {
	kind = *dashboardv2.NewDataQueryKind()
	kind.Group = q.DataqueryType()
	var uid string
	switch q := q.(type) {
	case sqlQuery:
		uid = q.Source
		kind.Spec = map[string]any{"editorMode": "code", "format": q.Format, "rawQuery": true, "rawSql": q.RawSQL}
	case prometheus.Dataquery:
		uid = metricsSource
		kind.Spec = map[string]any{"editorMode": *q.EditorMode, "expr": q.Expr, "format": *q.Format, "legendFormat": *q.LegendFormat, "instant": *q.Instant, "range": *q.Range}
	default:
		return kind, fmt.Errorf("a query of type %T", q)
	}
	kind.Datasource = &dashboardv2.Dashboardv2DataQueryKindDatasource{Name: new(uid)}
	return kind, nil
}

// refID is what a panel calls one of its queries.
func refID(q variants.Dataquery) string {
	if sql, ok := q.(sqlQuery); ok {
		return sql.RefID
	}
	return value(q.(prometheus.Dataquery).RefId)
}

func (v healthVariable) v2() dashboardv2.VariableKind {
	kind := dashboardv2.NewQueryVariableKind()
	kind.Spec.Name = v.name
	kind.Spec.Hide = dashboardv2.VariableHideHideVariable
	kind.Spec.Refresh = dashboardv2.VariableRefreshOnTimeRangeChanged
	kind.Spec.Sort = dashboardv2.VariableSortDisabled
	kind.Spec.SkipUrlSync, kind.Spec.AllowCustomValue = true, false
	kind.Spec.Definition = new(v.sql)
	kind.Spec.Options = []dashboardv2.VariableOption{}
	query := dashboardv2.NewDataQueryKind()
	query.Group = postgresType
	query.Datasource = &dashboardv2.Dashboardv2DataQueryKindDatasource{Name: new(BoardSource)}
	query.Spec = map[string]any{"__legacyStringValue": v.sql} // a variable's SQL is a plain string
	kind.Spec.Query = *query
	return dashboardv2.VariableKind{QueryVariableKind: kind}
}

// rule shows a section in the states in which it means anything. A state that
// the page does not know is none of them.
func (v healthVariable) rule(shown visibility) *dashboardv2.ConditionalRenderingGroupKind {
	states := map[visibility][]string{unlessDark: {"HEALTHY", "DEGRADED"}, whenDark: {"STALE"}}[shown]
	if states == nil {
		return nil
	}
	group := dashboardv2.NewConditionalRenderingGroupKind()
	group.Spec.Visibility, group.Spec.Condition = dashboardv2.ConditionalRenderingGroupSpecVisibilityShow, dashboardv2.ConditionalRenderingGroupSpecConditionOr
	for _, state := range states {
		item := dashboardv2.NewConditionalRenderingVariableKind()
		item.Spec = dashboardv2.ConditionalRenderingVariableSpec{Variable: v.name, Operator: dashboardv2.ConditionalRenderingVariableSpecOperatorEquals, Value: state}
		group.Spec.Items = append(group.Spec.Items, dashboardv2.ConditionalRenderingVariableKindOrConditionalRenderingDataKindOrConditionalRenderingTimeRangeSizeKind{ConditionalRenderingVariableKind: item})
	}
	return group
}

func (v choiceVariable) v2() dashboardv2.VariableKind {
	kind := dashboardv2.NewCustomVariableKind()
	kind.Spec.Name, kind.Spec.Label, kind.Spec.Query = v.name, new(v.label), strings.Join(v.values, ",")
	kind.Spec.Hide = dashboardv2.VariableHideDontHide
	kind.Spec.AllowCustomValue = false
	for i, value := range v.values {
		text := dashboardv2.StringOrArrayOfString{String: new(value)}
		o := dashboardv2.VariableOption{Selected: new(i == 0), Text: text, Value: text}
		kind.Spec.Options = append(kind.Spec.Options, o)
	}
	kind.Spec.Current = kind.Spec.Options[0]
	return dashboardv2.VariableKind{CustomVariableKind: kind}
}

func value(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}
