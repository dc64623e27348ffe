package dashboards

import (
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// classic is the board for every Grafana from 10 to 13.
//
// It has no variable of the state of health, though it could: Grafana 10 asks
// such a variable first at every refresh, and when the server cannot be reached
// it then asks no panel, so an open page would keep what it showed. Without it
// every panel fails by itself, and says so.
//
//nolint:staticcheck // the SDK prefers schema v2, which no Grafana before 13.1 can read
func (b board) classic() (dashboard.Dashboard, error) {
	d := dashboard.NewDashboardBuilder(b.title).
		Uid(b.uid).
		Description(b.description).
		Tags(b.tags).
		Timezone("utc").
		Readonly().
		Refresh(b.refresh).
		Timepicker(dashboard.NewTimePickerBuilder().RefreshIntervals(b.refreshes)).
		Time(b.from, "now").
		Tooltip(dashboard.DashboardCursorSyncCrosshair)
	for _, v := range b.choices {
		d.WithVariable(v.classic())
	}
	for _, a := range b.annotations {
		d.Annotation(dashboard.NewAnnotationQueryBuilder().Name(a.name).Datasource(*postgresRef(a.source)).Enable(true).Hide(true).IconColor(a.color).
			Target(sqlQuery{Source: a.source, RefID: "Anno", Format: tableFormat, RawSQL: a.sql}))
	}
	for _, l := range b.links {
		d.Link(dashboard.NewDashboardLinkBuilder(l.title).Type(dashboard.DashboardLinkTypeLink).Icon("time").Tooltip(l.tooltip).Url(l.url).IncludeVars(true))
	}
	var top uint32
	var id uint32 = 1000 // of the row panels, which are no elements
	for _, s := range b.sections {
		if s.shown == whenDark {
			continue // there is no hiding it again
		}
		panels, err := s.classic(&top)
		if err != nil {
			return dashboard.Dashboard{}, err
		}
		if s.title == "" {
			for _, p := range panels {
				d.WithPanel(built[dashboard.Panel]{p})
			}
			continue
		}
		id++
		row := dashboard.NewRowBuilder(s.title).Id(id).Collapsed(s.folded).GridPos(dashboard.GridPos{Y: top - s.height() - 1, W: 24, H: 1})
		if s.folded { // panels in a row are those of a closed one
			for _, p := range panels {
				row.WithPanel(built[dashboard.Panel]{p})
			}
		}
		d.WithRow(row)
		if !s.folded {
			for _, p := range panels {
				d.WithPanel(built[dashboard.Panel]{p})
			}
		}
	}
	return d.Build()
}

// classic builds the panels of a section at their places in the whole, and moves
// top below them.
func (s section) classic(top *uint32) ([]dashboard.Panel, error) {
	if s.title != "" {
		*top++
	}
	var list []dashboard.Panel
	for _, p := range s.panels {
		panel, err := p.build.Build()
		if err != nil {
			return nil, err
		}
		place := p.place
		place.Y += *top
		panel.Id, panel.GridPos = new(p.id), &place
		list = append(list, panel)
	}
	*top += s.height()
	return list, nil
}

func (v choiceVariable) classic() cog.Builder[dashboard.VariableModel] {
	builder := dashboard.NewCustomVariableBuilder(v.name).
		Label(v.label).
		Values(dashboard.StringOrMap{String: new(strings.Join(v.values, ","))}).
		Current(option(v.values[0], true)).
		Multi(false).
		IncludeAll(false).
		AllowCustomValue(false)
	var options []dashboard.VariableOption
	for i, value := range v.values {
		options = append(options, option(value, i == 0))
	}
	return builder.Options(options)
}

func option(value string, selected bool) dashboard.VariableOption {
	text := dashboard.StringOrArrayOfString{String: new(value)}
	return dashboard.VariableOption{Selected: new(selected), Text: text, Value: text}
}

// built is the builder of what has been built.
type built[T any] struct{ value T }

func (b built[T]) Build() (T, error) { return b.value, nil }
