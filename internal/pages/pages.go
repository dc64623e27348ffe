// Package pages serves the documentation of the version that runs: the runbooks, so that
// no link in a finding or an alert is dead or of another version, and the rest of the docs.
package pages

import (
	"bytes"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"

	"github.com/whalegate/whalegate/docs"
	"github.com/whalegate/whalegate/internal/threshold"
)

// Handler serves every page under its path: /runbooks/1-ingestion, /docs/health, their
// pictures, and at / a list of where to go.
func Handler() (http.Handler, error) {
	mux := http.NewServeMux()
	var list []entry
	err := fs.WalkDir(docs.Files, ".", func(name string, file fs.DirEntry, err error) error {
		if err != nil || file.IsDir() {
			return err
		}
		body, err := docs.Files.ReadFile(name)
		if err != nil {
			return err
		}
		at := docs.Path(name)
		if strings.HasSuffix(name, ".md") {
			var title string
			if title, body, err = render(name, body); err != nil {
				return fmt.Errorf("render %s: %w", name, err)
			}
			if path.Dir(name) == "." {
				list = append(list, entry{title, relative("/", at)})
			}
		}
		if strings.HasSuffix(at, "/") {
			at += "{$}" // itself, and not everything below it
		}
		mux.HandleFunc("GET "+at, func(w http.ResponseWriter, _ *http.Request) { answer(w, name, body) })
		return nil
	})
	if err != nil {
		return nil, err
	}
	var body, front bytes.Buffer
	if err := home.Execute(&body, list); err != nil {
		return nil, err
	}
	if err := page.Execute(&front, map[string]any{"Title": "Overview", "Root": relative("/", "/"), "Body": template.HTML(body.String())}); err != nil { //nolint:gosec // our own text
		return nil, err
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { answer(w, "index.md", front.Bytes()) })
	return mux, nil
}

// entry is a page of the documentation, in the list of them.
type entry struct{ Title, At string }

// home leads to everything that the service serves.
var home = template.Must(template.New("home").Parse(`<h1>Whalegate</h1>
<ul>
<li><a href="api/v1/status">The state of the system</a>, as JSON</li>
<li><a href="runbooks/">Runbooks</a>: what to do when something breaks</li>
<li><a href="metrics">Metrics</a></li>
<li><a href="-/healthy">Does it live</a>, and <a href="-/ready">can it work</a></li>
</ul>
<h2>Documentation</h2>
<ul>
{{range .}}<li><a href="{{.At}}">{{.Title}}</a></li>
{{end}}</ul>`))

// relative returns a link from one path to another. No link on a page names the root: a
// proxy may serve the pages under a path of its own, which it need not tell us.
func relative(from, to string) string {
	link := strings.Repeat("../", strings.Count(from, "/")-1) + strings.TrimPrefix(to, "/")
	if link == "" {
		return "./"
	}
	return link
}

func answer(w http.ResponseWriter, name string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	if strings.HasSuffix(name, ".png") {
		h.Set("Content-Type", "image/png")
	}
	h.Set("Content-Security-Policy", "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-cache") // the next version may say another thing
	_, _ = w.Write(body)
}

// render makes a page of HTML, and tells its title. Links among the pages lead to where
// they are served.
func render(name string, markdown []byte) (title string, html []byte, err error) {
	md := goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithParserOptions(parser.WithAutoHeadingID()))
	markdown = []byte(threshold.Plain(string(markdown)))
	root := md.Parser().Parse(text.NewReader(markdown))
	err = ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Heading:
			if n.Level == 1 && title == "" {
				title = string(n.Lines().Value(markdown))
			}
		case *ast.Link:
			n.Destination = []byte(leads(name, string(n.Destination)))
		case *ast.Image:
			n.Destination = []byte(leads(name, string(n.Destination)))
		}
		return ast.WalkContinue, nil
	})
	if err != nil {
		return "", nil, err
	}
	var body, whole bytes.Buffer
	if err := md.Renderer().Render(&body, markdown, root); err != nil {
		return "", nil, err
	}
	err = page.Execute(&whole, map[string]any{"Title": title, "Root": relative(docs.Path(name), "/"), "Body": template.HTML(body.String())}) //nolint:gosec // our own pages
	return title, whole.Bytes(), err
}

// leads is where a link of a page leads once it is served.
func leads(from, link string) string {
	file, anchor, _ := strings.Cut(link, "#")
	if file == "" || strings.Contains(file, "://") {
		return link
	}
	if anchor != "" {
		anchor = "#" + anchor
	}
	target := path.Join(path.Dir(from), file)
	if _, err := fs.Stat(docs.Files, target); err != nil {
		return docs.Repository + path.Join("docs", target) + anchor
	}
	return relative(docs.Path(from), docs.Path(target)) + anchor
}

var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}} · Whalegate</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 1rem auto; padding: 0 1rem; color: #1b1b1f; background: #fff }
pre, code { font: 14px/1.45 ui-monospace, monospace; background: #f2f2f5 }
pre { padding: .6rem .8rem; overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere }
table { border-collapse: collapse } td, th { border: 1px solid #ccc; padding: .3rem .6rem; text-align: left; vertical-align: top }
img { max-width: 100% }
@media (prefers-color-scheme: dark) { body { color: #e6e6ea; background: #17171a } pre, code { background: #24242a } a { color: #8ab4ff } td, th { border-color: #444 } }
</style>
</head>
<body>
<p><a href="{{.Root}}">Whalegate</a> · <a href="{{.Root}}runbooks/">Runbooks</a></p>
{{.Body}}
</body>
</html>
`))
