package dashboards

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Client talks to the API of a Grafana.
type Client struct {
	URL       string              // where its pages are, a sub-path included
	Authorize func(*http.Request) // adds the login; nil asks as nobody
}

// requestTimeout bounds one answer of Grafana.
const requestTimeout = 30 * time.Second

// APIError is an answer that is not a success.
type APIError struct {
	Status  int
	Message string
}

func (e *APIError) Error() string {
	return fmt.Sprintf("Grafana answered %d: %s", e.Status, e.Message)
}

// call sends a JSON body, if there is one, and decodes the answer.
func (c *Client) call(ctx context.Context, method, path string, body, answer any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, requestTimeout, fmt.Errorf("no answer within %s", requestTimeout))
	defer cancel()
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.URL, "/")+path, content)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	if c.Authorize != nil {
		c.Authorize(request)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		var address *url.Error
		if errors.As(err, &address) {
			err = address.Err // its address may hold a login
		}
		return fmt.Errorf("ask Grafana: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 16<<20))
	if err != nil {
		return fmt.Errorf("read Grafana's answer: %w", err)
	}
	if response.StatusCode >= 300 {
		return &APIError{response.StatusCode, complaint(text, response.StatusCode)}
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("read Grafana's answer: not JSON: %w", err)
	}
	return nil
}

// complaint is what an answer says is wrong: its message, or the error of the
// query that it answers.
func complaint(answer []byte, status int) string {
	var said struct {
		Message string
		Results map[string]struct{ Error string }
	}
	_ = json.Unmarshal(answer, &said) // a proxy may answer with a page
	for _, result := range said.Results {
		if result.Error != "" {
			return result.Error
		}
	}
	if said.Message == "" {
		said.Message = http.StatusText(status)
	}
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		said.Message += " (check what this login may do: a viewer's is enough to look, an editor's to save)"
	}
	return said.Message
}

// Push saves a board in a folder (its uid; "" is the top), over one with the same
// uid.
func (c *Client) Push(ctx context.Context, f File, folder string) error {
	if f.V2 {
		return c.pushV2(ctx, f, folder)
	}
	return c.call(ctx, http.MethodPost, "/api/dashboards/db", map[string]any{
		"dashboard": json.RawMessage(f.Body), "folderUid": folder, "overwrite": true, "message": "whalegate dashboards push",
	}, nil)
}

// resources is where Grafana 13 keeps boards of the first organisation.
const resources = "/apis/dashboard.grafana.app/v2/namespaces/default/dashboards"

// pushV2 makes the resource, or replaces the version of it that is there.
func (c *Client) pushV2(ctx context.Context, f File, folder string) error {
	var manifest map[string]any
	if err := json.Unmarshal(f.Body, &manifest); err != nil {
		return err
	}
	metadata := map[string]any{"name": f.UID}
	if folder != "" {
		metadata["annotations"] = map[string]string{"grafana.app/folder": folder}
	}
	manifest["metadata"] = metadata
	var present struct {
		Metadata struct{ ResourceVersion string }
	}
	err := c.call(ctx, http.MethodGet, resources+"/"+f.UID, nil, &present)
	var refused *APIError
	switch {
	case errors.As(err, &refused) && refused.Status == http.StatusNotFound:
		return c.call(ctx, http.MethodPost, resources, manifest, nil)
	case err != nil:
		return err
	}
	metadata["resourceVersion"] = present.Metadata.ResourceVersion
	return c.call(ctx, http.MethodPut, resources+"/"+f.UID, manifest, nil)
}

// Query runs SQL as any viewer of a board can, by the uid of its data source, and
// returns its rows.
func (c *Client) Query(ctx context.Context, source, sql string) (rows [][]any, err error) {
	columns, err := c.ask(ctx, map[string]any{"refId": "A", "datasource": postgresRef(source), "rawSql": sql, "format": tableFormat})
	for i, column := range columns {
		for n, value := range column {
			if i == 0 {
				rows = append(rows, nil)
			}
			rows[n] = append(rows[n], value)
		}
	}
	return rows, err
}

// Series returns the newest values of an expression of Prometheus, as any viewer
// of the incident board can ask for them.
func (c *Client) Series(ctx context.Context, expr string) (values []any, err error) {
	columns, err := c.ask(ctx, map[string]any{"refId": "A", "datasource": map[string]string{"type": prometheusType, "uid": metricsSource}, "expr": expr, "instant": true, "range": false})
	for i, column := range columns {
		if i%2 == 1 { // each series is a time and a value
			values = append(values, column...)
		}
	}
	return values, err
}

// ask sends one query to a data source and returns the columns of its frames.
func (c *Client) ask(ctx context.Context, query map[string]any) (columns [][]any, err error) {
	var answer struct {
		Results map[string]struct {
			Error  string
			Frames []struct{ Data struct{ Values [][]any } }
		}
	}
	if err := c.call(ctx, http.MethodPost, "/api/ds/query", map[string]any{"from": "now-5m", "to": "now", "queries": []map[string]any{query}}, &answer); err != nil {
		return nil, err
	}
	for _, frame := range answer.Results["A"].Frames {
		columns = append(columns, frame.Data.Values...)
	}
	if message := answer.Results["A"].Error; message != "" {
		return nil, errors.New(message)
	}
	return columns, nil
}
