package compose_test

import (
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// rules are what must be true of every variant. Each returns what it objects to.
var rules = []struct {
	name  string
	check func(*types.Project) []string
}{
	{"images", images},
	{"ports", ports},
	{"running", running},
	{"dependencies", dependencies},
	{"secrets", secrets},
	{"environment", environment},
	{"hardening", hardening},
	{"networks", networks},
	{"addresses", addresses},
	{"mounts", mounts},
	{"receivers", receivers},
}

// oneShots do their work and end.
var oneShots = []string{"migrate", "roles"}

// objections collects, service by service in the order of their names.
func objections(p *types.Project, check func(s types.ServiceConfig, object func(string, ...any))) (all []string) {
	for _, name := range p.ServiceNames() {
		check(p.Services[name], func(format string, args ...any) { all = append(all, name+": "+fmt.Sprintf(format, args...)) })
	}
	return all
}

var (
	pinned = regexp.MustCompile(`^[a-z]+(/[a-z]+)?:v?[0-9]+\.[0-9]+(\.[0-9]+)?(-[a-z]+)?$`)
	ours   = regexp.MustCompile(`^localhost/whalegate:[a-z0-9._-]+$`)
)

func images(p *types.Project) []string {
	return objections(p, func(s types.ServiceConfig, object func(string, ...any)) {
		switch {
		case strings.HasSuffix(s.Image, ":latest"):
			object("image %s is whatever is newest", s.Image)
		case s.Build == nil && !pinned.MatchString(s.Image):
			object("image %q has no pinned tag", s.Image)
		case s.Build != nil && !ours.MatchString(s.Image):
			object("image %q could be taken from a registry", s.Image)
		case s.Build != nil && s.PullPolicy != types.PullPolicyBuild:
			object("image %s is pulled (%q)", s.Image, s.PullPolicy)
		}
	})
}

func ports(p *types.Project) []string {
	return objections(p, func(s types.ServiceConfig, object func(string, ...any)) {
		if s.Name == "grafana" && len(s.Ports) != 1 {
			object("publishes %d ports; one is wanted", len(s.Ports))
		}
		for _, port := range s.Ports {
			if s.Name != "grafana" {
				object("publishes port %d", port.Target)
			}
			if port.HostIP != "127.0.0.1" {
				object("port %d is published on %q", port.Target, port.HostIP)
			}
		}
		if s.NetworkMode != "" {
			object("network mode %s publishes everything", s.NetworkMode)
		}
	})
}

func running(p *types.Project) []string {
	return objections(p, func(s types.ServiceConfig, object func(string, ...any)) {
		checked := s.HealthCheck != nil && !s.HealthCheck.Disable && len(s.HealthCheck.Test) > 1
		if slices.Contains(oneShots, s.Name) {
			if s.Restart != types.RestartPolicyNo {
				object("restarts (%q), and is to run once", s.Restart)
			}
			if checked {
				object("has a health check, and is to run once")
			}
			return
		}
		if s.Restart != types.RestartPolicyUnlessStopped {
			object("restart policy %q", s.Restart)
		}
		if !checked {
			object("has no health check")
		}
	})
}

const (
	healthy   = types.ServiceConditionHealthy
	completed = types.ServiceConditionCompletedSuccessfully
)

// needs is what each service cannot start without.
var needs = map[string]map[string]string{
	"migrate":   {"postgres": healthy},
	"roles":     {"postgres": healthy, "migrate": completed},
	"collector": {"postgres": healthy, "migrate": completed, "roles": completed},
	"watchdog":  {"postgres": healthy, "migrate": completed, "roles": completed},
	"grafana":   {"postgres": healthy, "roles": completed},
}

func dependencies(p *types.Project) []string {
	return objections(p, func(s types.ServiceConfig, object func(string, ...any)) {
		want := maps.Clone(needs[s.Name])
		if s.Name == "collector" && s.Environment["WHALEGATE_API_URL"] != nil {
			want["simulator"] = healthy
		}
		for name, condition := range want {
			if got := s.DependsOn[name]; got.Condition != condition || !got.Required {
				object("waits for %s until %q, required %t; until %s is wanted", name, got.Condition, got.Required, condition)
			}
		}
		for name := range s.DependsOn {
			if want[name] == "" {
				object("waits for %s without a reason", name)
			}
		}
	})
}

func secrets(p *types.Project) (all []string) {
	for name, s := range p.Secrets {
		if want := filepath.Join(root(), "compose", "secrets", name); s.File != want || s.Environment != "" || s.Content != "" || s.External {
			all = append(all, fmt.Sprintf("secret %s is the file %q; %s is wanted", name, s.File, want))
		}
	}
	return append(all, objections(p, func(s types.ServiceConfig, object func(string, ...any)) {
		has := map[string]bool{}
		for _, secret := range s.Secrets {
			has[secret.Source] = secret.Target == "" || secret.Target == "/run/secrets/"+secret.Source
		}
		for _, text := range texts(s) {
			for _, found := range regexp.MustCompile(`/run/secrets/([a-z_]+)`).FindAllStringSubmatch(text, -1) {
				if !has[found[1]] {
					object("reads secret %s, which is not mounted", found[1])
				}
			}
		}
	})...)
}

// texts are all words that a service is started with.
func texts(s types.ServiceConfig) []string {
	all := slices.Concat(s.Entrypoint, s.Command)
	for _, v := range s.Environment {
		all = append(all, value(v))
	}
	return all
}

var (
	secretName  = regexp.MustCompile(`(?i)passw|pwd|secret|token|credential|_key|passfile`)
	secretFile  = regexp.MustCompile(`^/run/secrets/[a-z_]+$`)
	secretValue = regexp.MustCompile(`(?i)passw(or)?d=|[0-9a-f]{16}|-----BEGIN`)
)

// environment finds passwords in settings: an engine shows those to whoever asks.
func environment(p *types.Project) []string {
	return objections(p, func(s types.ServiceConfig, object func(string, ...any)) {
		for name, v := range s.Environment {
			text := value(v)
			if v == nil {
				object("%s comes from whoever starts it", name)
			}
			file := strings.HasSuffix(name, "_FILE") && secretFile.MatchString(text)
			if secretName.MatchString(name) && !file {
				object("%s is named like a secret and is no file of one", name)
			}
			if u, err := url.Parse(text); err == nil && u.User != nil {
				if _, set := u.User.Password(); set {
					object("%s has a URL with a password", name)
				}
			}
			if secretValue.MatchString(text) {
				object("%s looks like a password", name)
			}
		}
		for _, word := range slices.Concat(s.Entrypoint, s.Command) {
			if secretValue.MatchString(strings.ReplaceAll(word, `PASSWORD="$(cat /run/secrets/`, "")) {
				object("a password seems to be on its command line")
			}
		}
	})
}
