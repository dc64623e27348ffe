package web

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// NoExternalURL is the external URL of a process that people cannot reach.
const NoExternalURL = "none"

// The external URL is written into messages, boards and labels, so it holds nothing that
// any of them reads as more than text.
var (
	externalHost = regexp.MustCompile(`^[A-Za-z0-9._:-]+$`)
	externalPath = regexp.MustCompile(`^[A-Za-z0-9._~/-]*$`)
)

// served are the first words of the paths that a process serves itself.
var served = []string{"-", "api", "docs", "metrics", "runbooks"}

var errExternalURL = errors.New("want http or https, a host and perhaps a path, without a login, a query or a fragment, as in https://whalegate.example.org/gate, or " + NoExternalURL)

// ParseExternalURL returns the URL under which people reach a process, without a slash at
// its end, or NoExternalURL. Nothing stays nothing. The error does not repeat the text,
// which may hold a password.
func ParseExternalURL(text string) (string, error) {
	if text == "" || text == NoExternalURL {
		return text, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || !externalHost.MatchString(u.Hostname()) || u.User != nil || strings.ContainsAny(text, "?#") {
		return "", fmt.Errorf("external URL: %w", errExternalURL)
	}
	u.Path = strings.TrimRight(u.Path, "/")
	if u.Path != "" && (path.Clean(u.Path) != u.Path || !externalPath.MatchString(u.Path)) {
		return "", errors.New("external URL: want a path of letters, digits and - . _ ~ between single slashes")
	}
	if first, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/"); slices.Contains(served, first) {
		return "", fmt.Errorf("external URL: its path cannot begin with /%s, which is a path of Whalegate itself", first)
	}
	return u.Scheme + "://" + u.Host + u.Path, nil
}

// defaultExternalURL derives the URL from the address that is listened on, as Prometheus
// does: the name of this machine and the port. On loopback it is the address itself, since
// nobody reaches that under a name.
func defaultExternalURL(listening, configFile string) (string, error) {
	host, port, err := net.SplitHostPort(listening)
	if err != nil {
		return "", fmt.Errorf("external URL: %w", err)
	}
	if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() {
		if host, err = os.Hostname(); err != nil {
			return "", fmt.Errorf("external URL: %w", err)
		}
	}
	scheme := "http"
	if encrypted(configFile) {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, port), nil
}

// encrypted reports whether a web config file, which is known to be valid, asks for TLS.
func encrypted(configFile string) bool {
	body, err := os.ReadFile(configFile)
	if err != nil {
		return false // there is none
	}
	var config struct {
		TLS map[string]any `yaml:"tls_server_config"`
	}
	return yaml.Unmarshal(body, &config) == nil && len(config.TLS) > 0
}
