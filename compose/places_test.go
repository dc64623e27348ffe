package compose_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/whalegate/whalegate/alerting"
	"github.com/whalegate/whalegate/alerting/receiver"
)

func hardening(p *types.Project) []string {
	return objections(p, func(s types.ServiceConfig, object func(string, ...any)) {
		if !s.ReadOnly {
			object("may write to its image")
		}
		if !slices.Equal(s.CapDrop, []string{"ALL"}) || len(s.CapAdd) > 0 || s.Privileged {
			object("keeps rights of the machine's root")
		}
		if !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			object("may gain rights")
		}
		if s.Pid != "" || s.Ipc != "" || s.UseAPISocket || len(s.Devices) > 0 {
			object("reaches into the machine")
		}
		if strings.HasPrefix(s.User, "0") || strings.HasPrefix(s.User, "root") {
			object("runs as root")
		}
	})
}

// usesDatabase is who may reach PostgreSQL.
var usesDatabase = []string{"collector", "grafana", "migrate", "postgres", "roles", "watchdog"}

// tellsOfAlerts is who sends to receivers.
var tellsOfAlerts = []string{"collector", "watchdog"}

func networks(p *types.Project) (all []string) {
	for _, name := range []string{"database", "monitoring"} {
		if !p.Networks[name].Internal {
			all = append(all, "network "+name+" has a way out")
		}
	}
	return append(all, objections(p, func(s types.ServiceConfig, object func(string, ...any)) {
		_, database := s.Networks["database"]
		if database != slices.Contains(usesDatabase, s.Name) {
			object("on the database's network: %t", database)
		}
		out := 0
		for name := range s.Networks {
			if !p.Networks[name].Internal {
				out++
			}
		}
		if slices.Contains([]string{"postgres", "migrate", "roles", "prometheus", "simulator"}, s.Name) && out > 0 {
			object("has a way out")
		}
		if slices.Contains(tellsOfAlerts, s.Name) && out != 1 {
			object("has %d ways out; one is wanted, to the exchange and to receivers", out)
		}
		// A port of a container that is only on internal networks is not published.
		if len(s.Ports) > 0 && out == 0 {
			object("publishes a port and is on internal networks only")
		}
	})...)
}

// listening is where each service answers; ours as their settings say.
func listening(p *types.Project) map[string]string {
	all := map[string]string{"postgres": "5432", "grafana": "3000", "prometheus": "9090", "alertmanager": "9093"}
	for service, setting := range map[string]string{"collector": "WHALEGATE_LISTEN_ADDRESS", "watchdog": "WHALEGATE_LISTEN_ADDRESS", "simulator": "WHALEGATE_SIMULATOR_ADDRESS"} {
		if port, ok := strings.CutPrefix(value(p.Services[service].Environment[setting]), "0.0.0.0:"); ok {
			all[service] = port
		}
	}
	return all
}

var address = regexp.MustCompile(`\b([a-z]+):([0-9]{4,5})\b`)

// addresses finds names and ports that nobody answers at, in settings and in
// mounted configuration.
func addresses(p *types.Project) []string {
	where := listening(p)
	return objections(p, func(s types.ServiceConfig, object func(string, ...any)) {
		all := texts(s)
		for _, v := range s.Volumes {
			if strings.HasSuffix(v.Source, ".yml") {
				text, err := os.ReadFile(v.Source)
				if err != nil {
					object("%v", err)
				}
				all = append(all, string(text))
			}
		}
		for _, found := range address.FindAllStringSubmatch(strings.Join(all, "\n"), -1) {
			host, port := found[1], found[2]
			other, there := p.Services[host]
			if !there || where[host] != port {
				object("asks %s, where nobody answers", found[0])
				continue
			}
			if !slices.ContainsFunc(other.NetworksByPriority(), func(name string) bool { _, shared := s.Networks[name]; return shared }) {
				object("asks %s, and they share no network", found[0])
			}
		}
		if s.HealthCheck == nil {
			return
		}
		for _, found := range regexp.MustCompile(`http://127\.0\.0\.1:([0-9]+)`).FindAllStringSubmatch(strings.Join(s.HealthCheck.Test, " "), -1) {
			if found[1] != where[s.Name] {
				object("its health check asks port %s, and it listens on %q", found[1], where[s.Name])
			}
		}
	})
}

var path = regexp.MustCompile(`/(?:etc|var/lib)/[A-Za-z0-9_./-]*`)

// mounts looks at what comes from the repository, and at the files in it that
// settings name.
func mounts(p *types.Project) []string {
	return objections(p, func(s types.ServiceConfig, object func(string, ...any)) {
		for _, v := range s.Volumes {
			if v.Type != types.VolumeTypeBind {
				continue
			}
			inside, err := filepath.Rel(root(), v.Source)
			if err != nil || strings.HasPrefix(inside, "..") {
				object("mounts %s, which is not of the repository", v.Source)
				continue
			}
			if !v.ReadOnly {
				object("may write to %s", inside)
			}
			if v.Bind == nil || v.Bind.CreateHostPath {
				object("would make %s, empty and root's, if it were missing", inside)
			}
			if _, err := os.Stat(v.Source); err != nil {
				object("mounts %s, which is not there", inside)
				continue
			}
			for _, name := range path.FindAllString(strings.Join(texts(s), "\n"), -1) {
				rest, under := strings.CutPrefix(name, v.Target)
				if !under || rest != "" && rest[0] != '/' {
					continue
				}
				if _, err := os.Stat(v.Source + rest); err != nil {
					object("is told of %s, and there is no %s", name, inside+rest)
				}
			}
		}
	})
}

// receivers: who tells of alerts has the file of whom to tell, and the program can
// read it.
func receivers(p *types.Project) []string {
	return objections(p, func(s types.ServiceConfig, object func(string, ...any)) {
		if !slices.Contains(tellsOfAlerts, s.Name) {
			return
		}
		file := value(s.Environment["WHALEGATE_RECEIVERS_FILE"])
		if file == "" {
			object("is told of no receivers")
			return
		}
		i := slices.IndexFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool { return v.Target == file })
		if i < 0 {
			object("does not see its receivers in %s", file)
			return
		}
		list, err := receiver.Load(s.Volumes[i].Source, slog.New(slog.DiscardHandler))
		if err != nil {
			object("%v", err)
			return
		}
		if !slices.ContainsFunc(list, func(r receiver.Receiver) bool {
			return r.Name == "alertmanager" && r.Wants(alerting.Medium) && r.SendResolved
		}) {
			object("does not tell alertmanager everything")
		}
	})
}
