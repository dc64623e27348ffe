package docs

import (
	"path"
	"strings"
)

// Repository holds the files that no page is made of, and the pages too, of the newest
// version and not of the one that runs.
const Repository = "https://github.com/whalegate/whalegate/blob/main/"

// Path returns the path at which the service serves a file of Files: /runbooks/1-ingestion
// for runbooks/1-ingestion.md, /docs/health for health.md, /runbooks/ for the list of them.
func Path(name string) string {
	folder, file := path.Split(strings.TrimSuffix(name, ".md"))
	switch {
	case folder == "runbooks/" && file == "README":
		return "/runbooks/"
	case folder == "runbooks/":
		return "/runbooks/" + file
	default:
		return "/docs/" + folder + file
	}
}

// URL returns the address of a page, such as runbooks/1-ingestion.md, on the service that
// people reach under externalURL, which has no slash at its end. When that is empty it is
// the page in the repository, so that a link always leads somewhere.
func URL(externalURL, name string) string {
	if externalURL == "" {
		return Repository + "docs/" + name
	}
	return externalURL + Path(name)
}
