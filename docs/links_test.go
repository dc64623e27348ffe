package docs

import "testing"

func TestAPageIsReadAtTheServiceOrInTheRepository(t *testing.T) {
	const service = "https://whalegate.example.org/gate"
	for _, tt := range []struct{ name, service, repository string }{
		{"runbooks/1-ingestion.md", "/runbooks/1-ingestion", "docs/runbooks/1-ingestion.md"},
		{"runbooks/README.md", "/runbooks/", "docs/runbooks/README.md"},
		{"alerts.md", "/docs/alerts", "docs/alerts.md"},
		{"boards/stale.png", "/docs/boards/stale.png", "docs/boards/stale.png"},
	} {
		if _, err := Files.Open(tt.name); err != nil {
			t.Error(err)
		}
		if got := Path(tt.name); got != tt.service {
			t.Errorf("Path(%q) = %q, want %q", tt.name, got, tt.service)
		}
		if got := URL(service, tt.name); got != service+tt.service {
			t.Errorf("URL(%q) = %q, want %q", tt.name, got, service+tt.service)
		}
		if got := URL("", tt.name); got != Repository+tt.repository {
			t.Errorf("URL without a service of %q = %q, want %q", tt.name, got, Repository+tt.repository)
		}
	}
}
