package dashboards

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/dashboardv2"
	"github.com/grafana/grafana-foundation-sdk/go/resource"
)

// v2 is the same board in schema v2, for Grafana 13.1 and later: sections carry
// a rule on the state of health, and what may not be shown is not mounted.
func (b board) v2() (resource.Manifest, error) {
	d := dashboardv2.NewDashboard()
	d.Title, d.Description, d.Tags = b.title, new(b.description), b.tags
	d.Editable, d.CursorSync = new(false), dashboardv2.DashboardCursorSyncCrosshair
	d.TimeSettings.Timezone = new("utc")
	d.TimeSettings.From, d.TimeSettings.To, d.TimeSettings.AutoRefresh = b.from, "now", b.refresh
	d.TimeSettings.AutoRefreshIntervals = b.refreshes
	d.Variables = []dashboardv2.VariableKind{b.health.v2()}
	for _, v := range b.choices {
		d.Variables = append(d.Variables, v.v2())
	}
	for _, a := range b.annotations {
		kind := dashboardv2.NewAnnotationQueryKind()
		kind.Spec.Name, kind.Spec.Enable, kind.Spec.Hide, kind.Spec.IconColor = a.name, true, true, a.color
		kind.Spec.Query = queryV2(sqlQuery{Format: tableFormat, RawSQL: a.sql})
		d.Annotations = append(d.Annotations, *kind)
	}
	for _, l := range b.links {
		d.Links = append(d.Links, dashboardv2.DashboardLink{Title: l.title, Type: dashboardv2.DashboardLinkTypeLink, Icon: "time", Tooltip: l.tooltip, Url: new(l.url), Tags: []string{}, IncludeVars: true})
	}
	layout := dashboardv2.NewRowsLayoutKind()
	for _, s := range b.sections {
		row := dashboardv2.NewRowsLayoutRowKind()
		row.Spec.Title, row.Spec.Collapse, row.Spec.HideHeader = new(s.title), new(s.folded), new(!s.folded)
		row.Spec.ConditionalRendering = b.health.rule(s.shown)
		grid := dashboardv2.NewGridLayoutKind()
		for _, p := range s.panels {
			element, err := p.v2()
			if err != nil {
				return resource.Manifest{}, err
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
		sql, ok := t.(sqlQuery)
		if !ok {
			return nil, fmt.Errorf("panel %s: a query of type %T", p.name, t)
		}
		query.Spec.RefId, query.Spec.Query = sql.RefID, queryV2(t)
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

func queryV2(q variants.Dataquery) dashboardv2.DataQueryKind {
	kind := dashboardv2.NewDataQueryKind()
	kind.Group = q.DataqueryType()
	kind.Datasource = &dashboardv2.Dashboardv2DataQueryKindDatasource{Name: new(boardSource)}
	sql, _ := q.(sqlQuery) // there is no other
	kind.Spec = map[string]any{"editorMode": "code", "format": sql.Format, "rawQuery": true, "rawSql": sql.RawSQL}
	return *kind
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
	kind.Spec.Query = queryV2(sqlQuery{})
	kind.Spec.Query.Spec = map[string]any{"__legacyStringValue": v.sql} // a variable's SQL is a plain string
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
