package dashboards

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/whalegate/whalegate/docs"
)

// Finding is one thing that was looked at in a Grafana.
type Finding struct {
	What string `json:"what"`
	OK   bool   `json:"ok"`
	Note string `json:"note"` // what was found
}

// decisionViews are what must be empty while the state is STALE.
var decisionViews = []string{"signals", "gate", "gate_lines", "playbook", "alerts", "recent_alerts", "contributors", "positioning"}

// Check looks at a Grafana as a viewer: whether its boards are ours, whether the
// mask holds there, and whether the incident board answers without a signal. The error is for a Grafana that cannot be asked.
func (c *Client) Check(ctx context.Context) (findings []Finding, err error) {
	for _, uid := range []string{TradingUID, IncidentUID} {
		finding, err := c.checkBoard(ctx, uid)
		if err != nil {
			return findings, err
		}
		findings = append(findings, finding)
	}
	var add adder = func(what string, ok bool, format string, args ...any) {
		findings = append(findings, Finding{what, ok, fmt.Sprintf(format, args...)})
	}
	c.checkMask(ctx, add)
	c.checkOperators(ctx, add)
	return findings, nil
}

// adder adds a finding.
type adder func(what string, ok bool, format string, args ...any)

// checkRole asks what every data source must answer: who it logs in as, and that
// this role can do nothing but read its views.
func (c *Client) checkRole(ctx context.Context, source, role string, tables []string, add adder) {
	rows, err := c.Query(ctx, source, "SELECT current_user, session_user")
	add("the data source logs in as "+role, err == nil && fmt.Sprint(rows) == "[["+role+" "+role+"]]", "%s", told(rows, err))
	attempts := [][2]string{
		{"it cannot make temporary tables", "SET LOCAL transaction_read_only = off; CREATE TEMPORARY TABLE whalegate_check (n int) ON COMMIT DROP"},
		{"it cannot make anything else", "SET LOCAL transaction_read_only = off; CREATE SCHEMA whalegate_check; DROP SCHEMA whalegate_check"},
	}
	for _, table := range tables {
		attempts = append(attempts, [2]string{"it cannot read " + table, "SELECT count(*) FROM " + table})
	}
	for _, a := range attempts {
		rows, err := c.Query(ctx, source, a[1])
		add(role+": "+a[0], err != nil && strings.Contains(err.Error(), "permission denied"), "%s", told(rows, err))
	}
}

// checkMask looks at what the trading board reads.
func (c *Client) checkMask(ctx context.Context, add adder) {
	c.checkRole(ctx, BoardSource, "whalegate_board", []string{"public.signals", "public.wallet_snapshots"}, add)
	rows, err := c.Query(ctx, BoardSource, "SELECT health_state FROM board.health")
	if err != nil || len(rows) != 1 {
		add("the trading board can ask for the state of health", false, "%s", told(rows, err))
		return
	}
	state := fmt.Sprint(rows[0][0])
	add("the trading board can ask for the state of health", true, "%s", state)
	for _, view := range decisionViews {
		rows, err := c.Query(ctx, BoardSource, "SELECT count(*) FROM board."+view)
		switch {
		case err != nil:
			add("board."+view+" can be read", false, "%s", told(rows, err))
		case state == "STALE":
			add("board."+view+" is masked", fmt.Sprint(rows) == "[[0]]", "%v rows", rows[0][0])
		}
	}
	if state != "STALE" {
		rows, err := c.Query(ctx, BoardSource, "SELECT count(*) FROM board.gate")
		add("the gate of three assets is shown", fmt.Sprint(rows) == "[[3]]", "%s", told(rows, err)) // a bent session, or role, shows less
		add("the mask", true, "is open in this state; halt, check again, and resume to see it closed")
	}
}

// checkOperators looks at what the incident board reads: it has to answer in
// every state, and to hold no signal.
func (c *Client) checkOperators(ctx context.Context, add adder) {
	c.checkRole(ctx, OpsSource, "whalegate_ops", []string{"public.signals", "public.alerts", "public.alert_state", "public.wallet_snapshots", "board.gate"}, add)
	for _, r := range runbooks() {
		rows, err := c.Query(ctx, OpsSource, "SELECT value FROM ops."+r.view+" WHERE place = 0")
		add(fmt.Sprintf("the incident board answers for runbook %d-%s", r.number, r.slug), err == nil && len(rows) == 1, "%s", told(rows, err))
	}
	for _, view := range []string{"clock", "collector"} { // they stand in the rows of 7 and 9
		rows, err := c.Query(ctx, OpsSource, "SELECT value FROM ops."+view+" WHERE place = 0")
		add("the incident board answers for the "+view, err == nil && len(rows) == 1, "%s", told(rows, err))
	}
	rows, err := c.Query(ctx, OpsSource, "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'ops' AND column_name ~ '"+signalNames+"'")
	add("no view of the incident board holds a signal", err == nil && len(rows) == 0, "%s", told(rows, err))
	series, err := c.Series(ctx, `{__name__=~"whalegate_.*(`+signalNames+`).*"}`)
	add("no metric holds a signal", err == nil && len(series) == 0, "%s", told([][]any{series}, err))
	series, err = c.Series(ctx, "whalegate_build_info")
	add("Prometheus scrapes the service", err == nil && len(series) > 0, "%d instances%s", len(series), but(err))
}

// signalNames are in the names of everything that holds a signal.
const signalNames = "score|dispersion|alignment|playbook|risk_mode|exposure|tighten|message|szi"

func but(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// checkBoard compares what Grafana holds with what the code makes for the service that
// the links there lead to.
func (c *Client) checkBoard(ctx context.Context, uid string) (Finding, error) {
	finding := Finding{What: "the board " + uid + " is this program's"}
	var present struct{ Dashboard map[string]any }
	err := c.call(ctx, http.MethodGet, "/api/dashboards/uid/"+uid, nil, &present)
	var refused *APIError
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
		finding.Note = "it is not there: whalegate dashboards push"
		return finding, nil
	}
	if err != nil {
		return finding, err
	}
	externalURL := linksTo(present.Dashboard)
	own, err := classicBoard(externalURL, uid)
	if err != nil {
		return finding, err
	}
	delete(present.Dashboard, "id") // Grafana's own counters
	delete(present.Dashboard, "version")
	switch finding.OK = reflect.DeepEqual(own, present.Dashboard); {
	case !finding.OK:
		finding.Note = "it differs: another version, changed by hand, or pushed as schema v2, which this does not read"
	case externalURL == "":
		finding.Note = "same; its links lead to the repository (push it with --web.external-url)"
	default:
		finding.Note = "same; its links lead to " + externalURL
	}
	return finding, nil
}

// linksTo returns the external URL that a board was made for, by its first link to a
// runbook. The whole board is compared afterwards, the other links with it.
func linksTo(tree any) (externalURL string) {
	switch tree := tree.(type) {
	case map[string]any:
		if address, ok := tree["url"].(string); ok && tree["title"] == openRunbook {
			externalURL, _, ok = strings.Cut(address, "/runbooks/")
			if !ok || !strings.HasPrefix(address, "http") || strings.HasPrefix(address, docs.Repository) {
				return ""
			}
			return externalURL
		}
		for _, key := range slices.Sorted(maps.Keys(tree)) {
			if externalURL = linksTo(tree[key]); externalURL != "" {
				return externalURL
			}
		}
	case []any:
		for _, item := range tree {
			if externalURL = linksTo(item); externalURL != "" {
				return externalURL
			}
		}
	}
	return ""
}

// classicBoard is a board in the form in which it can be read back from every Grafana.
func classicBoard(externalURL, uid string) (board map[string]any, err error) {
	files, err := Files(externalURL)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if f.UID == uid && !f.V2 {
			return board, json.Unmarshal(f.Body, &board)
		}
	}
	return nil, fmt.Errorf("there is no board %s", uid)
}

// told is the answer to a query in a few words.
func told(rows [][]any, err error) string {
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(rows)
}
