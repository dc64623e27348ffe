package dashboards

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
)

// File is a generated board: what is committed in generated, and what a Grafana
// reads.
type File struct {
	Name string // of the file, in a folder of its form: a Grafana must not find both
	UID  string // of the board
	V2   bool   // a resource in schema v2, for Grafana 13.1 and later
	Body []byte
}

// boards lists every board.
func boards(externalURL string) []board {
	return []board{trading(externalURL), incident(externalURL)}
}

// Files builds every board in every form. Links lead to the pages of the service that
// people reach under externalURL, which has no slash at its end; when it is empty, to
// those in the repository.
func Files(externalURL string) ([]File, error) {
	var files []File
	for _, b := range boards(externalURL) {
		classic, err := b.classic()
		if err != nil {
			return nil, fmt.Errorf("build %s: %w", b.uid, err)
		}
		manifest, err := b.v2()
		if err != nil {
			return nil, fmt.Errorf("build %s in schema v2: %w", b.uid, err)
		}
		for _, form := range []struct {
			folder string
			v2     bool
			value  any
		}{{"classic", false, classic}, {"v2", true, manifest}} {
			name := path.Join(form.folder, b.uid+".json")
			body, err := encode(form.value)
			if err != nil {
				return nil, fmt.Errorf("encode %s: %w", name, err)
			}
			files = append(files, File{Name: name, UID: b.uid, V2: form.v2, Body: body})
		}
	}
	return files, nil
}

// encode indents, and leaves < and > of the SQL as they are.
func encode(value any) ([]byte, error) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return body.Bytes(), nil
}
