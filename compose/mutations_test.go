package compose_test

import (
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
)

// TestTheRulesCanFail breaks one thing at a time and wants the rule that is about
// it to say so.
func TestTheRulesCanFail(t *testing.T) {
	t.Parallel()
	whole := load(t, live)
	published := types.ServicePortConfig{Target: 5432, Published: "5432", HostIP: "127.0.0.1"}
	set := func(name, text string) func(*types.ServiceConfig) {
		return func(s *types.ServiceConfig) { s.Environment[name] = &text }
	}
	wait := func(name, condition string, required bool) func(*types.ServiceConfig) {
		return func(s *types.ServiceConfig) {
			s.DependsOn[name] = types.ServiceDependency{Condition: condition, Required: required}
		}
	}
	for _, tt := range []struct {
		rule, service string
		change        func(*types.ServiceConfig)
		want          string // a part of the objection
	}{
		{"images", "grafana", func(s *types.ServiceConfig) { s.Image = "grafana/grafana:latest" }, "newest"},
		{"images", "prometheus", func(s *types.ServiceConfig) { s.Image = "prom/prometheus" }, "no pinned tag"},
		{"images", "postgres", func(s *types.ServiceConfig) { s.Image = "postgres:15" }, "no pinned tag"},
		{"images", "collector", func(s *types.ServiceConfig) { s.Image = "whalegate:1.0" }, "from a registry"},
		{"images", "collector", func(s *types.ServiceConfig) { s.PullPolicy = types.PullPolicyMissing }, "is pulled"},
		{"ports", "postgres", func(s *types.ServiceConfig) { s.Ports = append(s.Ports, published) }, "publishes port 5432"},
		{"ports", "collector", func(s *types.ServiceConfig) { s.NetworkMode = "host" }, "publishes everything"},
		{"ports", "grafana", func(s *types.ServiceConfig) { s.Ports[0].HostIP = "" }, `published on ""`},
		{"ports", "grafana", func(s *types.ServiceConfig) { s.Ports[0].HostIP = "0.0.0.0" }, "published on"},
		{"ports", "grafana", func(s *types.ServiceConfig) { s.Ports = append(s.Ports, published) }, "publishes 2 ports"},
		{"running", "collector", func(s *types.ServiceConfig) { s.HealthCheck = nil }, "no health check"},
		{"running", "postgres", func(s *types.ServiceConfig) { s.HealthCheck.Disable = true }, "no health check"},
		{"running", "alertmanager", func(s *types.ServiceConfig) { s.Restart = "" }, "restart policy"},
		{"running", "migrate", func(s *types.ServiceConfig) { s.Restart = types.RestartPolicyAlways }, "run once"},
		{"dependencies", "collector", wait("postgres", types.ServiceConditionStarted, true), "waits for postgres"},
		{"dependencies", "collector", wait("migrate", healthy, true), "waits for migrate"},
		{"dependencies", "grafana", wait("roles", completed, false), "waits for roles"},
		{"dependencies", "roles", func(s *types.ServiceConfig) { delete(s.DependsOn, "migrate") }, "waits for migrate"},
		{"dependencies", "collector", wait("prometheus", healthy, true), "without a reason"},
		{"secrets", "collector", func(s *types.ServiceConfig) { s.Secrets = nil }, "not mounted"},
		{"secrets", "postgres", func(s *types.ServiceConfig) { s.Secrets[0].Target = "elsewhere" }, "not mounted"},
		{"secrets", "grafana", func(s *types.ServiceConfig) { s.Secrets = s.Secrets[1:] }, "board_password, which is not mounted"},
		{"environment", "postgres", set("POSTGRES_PASSWORD", "owner"), "named like a secret"},
		{"environment", "postgres", set("POSTGRES_PASSWORD_FILE", "owner"), "named like a secret"},
		{"environment", "roles", set("PGPASSWORD", ""), "named like a secret"},
		{"environment", "migrate", set("DATABASE_URL", "postgres://whalegate_owner:owner@postgres:5432/hyperliquid"), "URL with a password"},
		{"environment", "migrate", set("DATABASE_URL", "host=postgres password=owner"), "looks like a password"},
		{"environment", "grafana", set("GF_DATABASE", "0123456789abcdef"), "looks like a password"},
		{"environment", "grafana", func(s *types.ServiceConfig) { s.Environment["HOME"] = nil }, "whoever starts it"},
		{"environment", "roles", func(s *types.ServiceConfig) { s.Command = []string{"psql", "host=postgres password=owner"} }, "command line"},
		{"hardening", "collector", func(s *types.ServiceConfig) { s.ReadOnly = false }, "may write"},
		{"hardening", "grafana", func(s *types.ServiceConfig) { s.CapDrop = nil }, "keeps rights"},
		{"hardening", "grafana", func(s *types.ServiceConfig) { s.CapAdd = []string{"CHOWN"} }, "keeps rights"},
		{"hardening", "postgres", func(s *types.ServiceConfig) { s.SecurityOpt = nil }, "may gain"},
		{"hardening", "postgres", func(s *types.ServiceConfig) { s.User = "0:0" }, "root"},
		{"hardening", "prometheus", func(s *types.ServiceConfig) { s.Pid = "host" }, "reaches into"},
		{"networks", "postgres", func(s *types.ServiceConfig) { s.Networks["outside"] = nil }, "way out"},
		{"networks", "prometheus", func(s *types.ServiceConfig) { s.Networks["database"] = nil }, "database's network"},
		{"networks", "collector", func(s *types.ServiceConfig) { delete(s.Networks, "outside") }, "0 ways out"},
		{"networks", "grafana", func(s *types.ServiceConfig) { delete(s.Networks, "published") }, "internal networks only"},
		{"addresses", "collector", set("WHALEGATE_LISTEN_ADDRESS", "0.0.0.0:9466"), "prometheus: asks collector:9464"},
		{"addresses", "collector", set("WHALEGATE_LISTEN_ADDRESS", "127.0.0.1:9464"), "prometheus: asks collector:9464"},
		{"dependencies", "watchdog", wait("collector", healthy, true), "without a reason"},
		{"networks", "watchdog", func(s *types.ServiceConfig) { delete(s.Networks, "outside") }, "0 ways out"},
		{"networks", "watchdog", func(s *types.ServiceConfig) { delete(s.Networks, "database") }, "database's network"},
		{"addresses", "watchdog", set("WHALEGATE_LISTEN_ADDRESS", "127.0.0.1:9464"), "prometheus: asks watchdog:9464"},
		{"addresses", "watchdog", func(s *types.ServiceConfig) { delete(s.Networks, "monitoring") }, "prometheus: asks watchdog:9464, and they share no network"},
		{"receivers", "watchdog", set("WHALEGATE_RECEIVERS_FILE", ""), "is told of no receivers"},
		{"receivers", "collector", func(s *types.ServiceConfig) { s.Volumes = nil }, "does not see its receivers"},
		{"addresses", "grafana", set("WHALEGATE_POSTGRES_ADDRESS", "database:5432"), "asks database:5432"},
		{"addresses", "prometheus", func(s *types.ServiceConfig) { delete(s.Networks, "monitoring") }, "share no network"},
		{"addresses", "grafana", func(s *types.ServiceConfig) { s.HealthCheck.Test[len(s.HealthCheck.Test)-1] = "http://127.0.0.1:80/" }, "health check asks port 80"},
		{"mounts", "prometheus", func(s *types.ServiceConfig) { s.Volumes[1].Source += ".missing" }, "prometheus.yml.missing, which is not there"},
		{"mounts", "prometheus", func(s *types.ServiceConfig) { s.Volumes[1].Source = "/etc/hosts" }, "not of the repository"},
		{"mounts", "prometheus", func(s *types.ServiceConfig) { s.Volumes[1].ReadOnly = false }, "may write"},
		{"mounts", "prometheus", func(s *types.ServiceConfig) { s.Volumes[1].Bind.CreateHostPath = true }, "would make"},
		{"mounts", "grafana", set("GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH", "/var/lib/whalegate/dashboards/absent.json"), "absent.json"},
	} {
		p := load(t, live)
		s := p.Services[tt.service]
		tt.change(&s)
		p.Services[tt.service] = s
		expectObjection(t, whole, p, tt.rule, tt.want)
	}
}

// TestTheRulesOfTheWholeCanFail breaks what belongs to no service.
func TestTheRulesOfTheWholeCanFail(t *testing.T) {
	t.Parallel()
	whole := load(t, live)
	for _, tt := range []struct {
		rule   string
		change func(*types.Project)
		want   string
	}{
		{"secrets", func(p *types.Project) { p.Secrets["owner_password"] = types.SecretConfig{Environment: "OWNER"} }, "owner_password is the file"},
		{"secrets", func(p *types.Project) { p.Secrets["owner_password"] = types.SecretConfig{File: "/etc/passwd"} }, "owner_password is the file"},
		{"networks", func(p *types.Project) { p.Networks["database"] = types.NetworkConfig{} }, "database has a way out"},
	} {
		p := load(t, live)
		tt.change(p)
		expectObjection(t, whole, p, tt.rule, tt.want)
	}
}

// expectObjection wants a rule to object to p, and not to the whole.
func expectObjection(t *testing.T, whole, p *types.Project, name, want string) {
	t.Helper()
	for _, rule := range rules {
		if rule.name != name {
			continue
		}
		if found := rule.check(p); !strings.Contains(strings.Join(found, "\n"), want) {
			t.Errorf("%s: an objection with %q is wanted: %v", name, want, found)
		}
		if found := rule.check(whole); strings.Contains(strings.Join(found, "\n"), want) {
			t.Errorf("%s: objects without the mutation too: %v", name, found)
		}
		return
	}
	t.Errorf("there is no rule %s", name)
}
