package dashboards

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// board is a dashboard before it takes one of its forms.
type board struct {
	uid, title, description string
	tags                    []string
	refresh, from           string
	refreshes               []string       // intervals that may be chosen
	health                  healthVariable // none: a board that is never masked
	choices                 []choiceVariable
	annotations             []annotation
	links                   []link
	sections                []section
}

// section is a row of panels that are shown, or not, together.
type section struct {
	title  string // "": no line for it
	shown  visibility
	folded bool // collapsed until somebody opens it; needs a title
	panels []panel
}

// visibility says in which health states a section means anything. The classic
// form cannot unmount a panel: there a masked one says SYSTEM HALT.
type visibility int

const (
	always     visibility = iota
	unlessDark            // the decision surface
	whenDark              // only in the form that can unmount
)

// panel is one element: a name and an id that never change, its place in the
// section, and how it is built.
type panel struct {
	name  string
	id    uint32
	place dashboard.GridPos
	build cog.Builder[dashboard.Panel]
}

// healthVariable is the state of health as the page knows it: for titles and
// for the show/hide rules of schema v2.
type healthVariable struct{ name, sql string }

// choiceVariable is what the viewer chooses; the first value is the default.
type choiceVariable struct {
	name, label string
	values      []string
}

type annotation struct{ source, name, color, sql string }

type link struct{ title, tooltip, url string }

// masked says whether health decides what of it may be shown.
func (b board) masked() bool { return b.health.name != "" }

// height is how many rows of the grid a section takes.
func (s section) height() (rows uint32) {
	for _, p := range s.panels {
		rows = max(rows, p.place.Y+p.place.H)
	}
	return rows
}

// elements are the panels of every section.
func (b board) elements() (list []panel) {
	for _, s := range b.sections {
		list = append(list, s.panels...)
	}
	return list
}
