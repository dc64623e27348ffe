package dashboards

import (
	"encoding/json"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
)

// The data sources: the type names that every Grafana from 10 to 13 knows, and
// the uids that provisioning gives them.
const (
	postgresType   = "postgres"
	prometheusType = "prometheus"
	BoardSource    = "whalegate-board"      // PostgreSQL as whalegate_board
	OpsSource      = "whalegate-ops"        // PostgreSQL as whalegate_ops
	metricsSource  = "whalegate-prometheus" // what scrapes the service
)

// Forms in which the data source returns rows.
const (
	tableFormat  = "table"
	seriesFormat = "time_series"
)

// sqlQuery is one query of a panel to PostgreSQL. The SDK has no type for it.
type sqlQuery struct {
	Source string `json:"-"` // uid of the data source
	RefID  string `json:"refId"`
	Format string `json:"format"`
	RawSQL string `json:"rawSql"`
}

var _ variants.Dataquery = sqlQuery{}

func (q sqlQuery) ImplementsDataqueryVariant() {}
func (q sqlQuery) DataqueryType() string       { return postgresType }
func (q sqlQuery) Validate() error             { return nil }

func (q sqlQuery) Equals(other variants.Dataquery) bool {
	o, ok := other.(sqlQuery)
	return ok && o == q
}

// Build makes a query its own builder.
func (q sqlQuery) Build() (variants.Dataquery, error) { return q, nil }

var _ cog.Builder[variants.Dataquery] = sqlQuery{}

// MarshalJSON adds what says that the SQL was written by hand, not by the
// editor, and where it goes.
func (q sqlQuery) MarshalJSON() ([]byte, error) {
	type plain sqlQuery
	return json.Marshal(struct {
		plain
		EditorMode string                `json:"editorMode"`
		RawQuery   bool                  `json:"rawQuery"`
		Source     *common.DataSourceRef `json:"datasource"`
	}{plain(q), "code", true, postgresRef(q.Source)})
}

func postgresRef(uid string) *common.DataSourceRef {
	return &common.DataSourceRef{Type: new(postgresType), Uid: new(uid)}
}

// metrics is a query to Prometheus over the range of the board.
func metrics(refID, expr, legend string) *prometheus.DataqueryBuilder {
	return prometheus.NewDataqueryBuilder().
		Datasource(common.DataSourceRef{Type: new(prometheusType), Uid: new(metricsSource)}).
		RefId(refID).
		EditorMode(prometheus.QueryEditorModeCode).
		Format(prometheus.PromQueryFormatTimeSeries).
		Expr(expr).
		LegendFormat(legend).
		Range()
}
