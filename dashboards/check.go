package dashboards

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
)

// Finding is one thing that was looked at in a Grafana.
type Finding struct {
	What string `json:"what"`
	OK   bool   `json:"ok"`
	Note string `json:"note"` // what was found
}

// decisionViews are what must be empty while the state is STALE.
var decisionViews = []string{"signals", "gate", "gate_lines", "playbook", "alerts", "recent_alerts", "contributors", "positioning"}

// Check looks at a Grafana as a viewer: whether its boards are ours, and whether
// the mask holds there. The error is for a Grafana that cannot be asked.
func (c *Client) Check(ctx context.Context) (findings []Finding, err error) {
	files, err := Files()
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if f.V2 {
			continue // read back in its own form only by the version that has it
		}
		finding, err := c.checkBoard(ctx, f)
		if err != nil {
			return findings, err
		}
		findings = append(findings, finding)
	}
	add := func(what string, ok bool, format string, args ...any) {
		findings = append(findings, Finding{what, ok, fmt.Sprintf(format, args...)})
	}
	rows, err := c.Query(ctx, "SELECT current_user, session_user")
	add("the data source logs in as whalegate_board", err == nil && fmt.Sprint(rows) == "[[whalegate_board whalegate_board]]", "%s", told(rows, err))
	for _, attempt := range []struct{ what, sql string }{
		{"it cannot read the tables", "SELECT count(*) FROM public.signals"},
		{"it cannot read wallets", "SELECT count(*) FROM public.wallet_snapshots"},
		{"it cannot make temporary tables", "SET LOCAL transaction_read_only = off; CREATE TEMPORARY TABLE whalegate_check (n int) ON COMMIT DROP"},
		{"it cannot make anything else", "SET LOCAL transaction_read_only = off; CREATE SCHEMA whalegate_check; DROP SCHEMA whalegate_check"},
	} {
		rows, err := c.Query(ctx, attempt.sql)
		add(attempt.what, err != nil && strings.Contains(err.Error(), "permission denied"), "%s", told(rows, err))
	}
	rows, err = c.Query(ctx, "SELECT health_state FROM board.health")
	if err != nil || len(rows) != 1 {
		add("it can ask for the state of health", false, "%s", told(rows, err))
		return findings, nil
	}
	state := fmt.Sprint(rows[0][0])
	add("it can ask for the state of health", true, "%s", state)
	for _, view := range decisionViews {
		rows, err := c.Query(ctx, "SELECT count(*) FROM board."+view)
		switch {
		case err != nil:
			add("board."+view+" can be read", false, "%s", told(rows, err))
		case state == "STALE":
			add("board."+view+" is masked", fmt.Sprint(rows) == "[[0]]", "%v rows", rows[0][0])
		}
	}
	if state != "STALE" {
		rows, err := c.Query(ctx, "SELECT count(*) FROM board.gate")
		add("the gate of three assets is shown", fmt.Sprint(rows) == "[[3]]", "%s", told(rows, err)) // a bent session, or role, shows less
		add("the mask", true, "is open in this state; halt, check again, and resume to see it closed")
	}
	return findings, nil
}

// checkBoard compares what Grafana holds with what the code makes.
func (c *Client) checkBoard(ctx context.Context, f File) (Finding, error) {
	finding := Finding{What: "the board " + f.UID + " is this program's"}
	var present struct{ Dashboard map[string]any }
	err := c.call(ctx, http.MethodGet, "/api/dashboards/uid/"+f.UID, nil, &present)
	var refused *APIError
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
		finding.Note = "it is not there: whalegate dashboards push"
		return finding, nil
	}
	if err != nil {
		return finding, err
	}
	var own map[string]any
	if err := json.Unmarshal(f.Body, &own); err != nil {
		return finding, err
	}
	delete(present.Dashboard, "id") // Grafana's own counters
	delete(present.Dashboard, "version")
	if finding.OK = reflect.DeepEqual(own, present.Dashboard); finding.OK {
		finding.Note = "same"
	} else {
		finding.Note = "it differs: another version, changed by hand, or pushed as schema v2, which this does not read"
	}
	return finding, nil
}

// told is the answer to a query in a few words.
func told(rows [][]any, err error) string {
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(rows)
}
