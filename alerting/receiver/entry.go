package receiver

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
)

// The schemes that are ours; every other one is a service of the library's.
const (
	webhookPrefix      = "webhook+"
	alertmanagerPrefix = "alertmanager+"
)

// receiver makes the receiver of an entry.
func (e entry) receiver(dir, external string) (Receiver, error) {
	route, err := e.route()
	if err != nil {
		return Receiver{}, err
	}
	address, line, err := e.address(dir)
	if err != nil {
		return Receiver{}, at(line, "receiver %s: %v", route.Name, err)
	}
	key, keyLine := e.text("hmac_secret_file")
	if key != "" {
		if key, err = secretFile(dir, key); err != nil {
			return Receiver{}, at(keyLine, "receiver %s: hmac_secret_file: %v", route.Name, err)
		}
	}
	r, err := connect(route, address, external, key)
	if err != nil {
		return Receiver{}, at(line, "receiver %s: url: %v", route.Name, err)
	}
	return r, nil
}

// connect makes the receiver behind a URL. The error names no secret.
func connect(route Route, address, external, key string) (Receiver, error) {
	scheme, _, _ := strings.Cut(address, ":")
	webhooks := strings.HasPrefix(scheme, webhookPrefix)
	switch {
	case webhooks:
		target := strings.TrimPrefix(address, webhookPrefix)
		if err := checkHTTP(target); err != nil {
			return Receiver{}, fmt.Errorf("%w: webhook+https://host/path is right", err)
		}
		w := &webhook{poster: newPoster(target, secretsOf(target, key)), receiver: route.Name, external: external}
		if key != "" {
			w.key = []byte(key)
		}
		return Receiver{route, w}, nil
	case key != "":
		return Receiver{}, errors.New("only a webhook is signed: webhook+https://, or no hmac_secret_file, is right")
	case strings.HasPrefix(scheme, alertmanagerPrefix):
		target := strings.TrimPrefix(address, alertmanagerPrefix)
		if err := checkHTTP(target); err != nil {
			return Receiver{}, fmt.Errorf("%w: alertmanager+http://host:9093 is right", err)
		}
		u, _ := url.Parse(target) // just checked
		route.Reminded = true
		return Receiver{route, &alertmanager{newPoster(u.JoinPath("api/v2/alerts").String(), secretsOf(target)), external}}, nil
	case scheme == "http" || scheme == "https":
		return Receiver{}, fmt.Errorf("%s:// alone does not say what the receiver understands: webhook+%[1]s://, alertmanager+%[1]s:// or the scheme of a service is right", scheme)
	}
	s, err := newService(address)
	if err != nil {
		return Receiver{}, fmt.Errorf("%w: webhook+https://, alertmanager+http:// or the URL of a service as shoutrrr writes it is right, such as telegram://TOKEN@telegram?chats=ID", err)
	}
	return Receiver{route, s}, nil
}

// address is the URL, from wherever it is, and the line that says so.
func (e entry) address(dir string) (text string, line int, err error) {
	text, line = e.text("url")
	file, fileLine := e.text("url_file")
	switch {
	case text != "" && file != "":
		return "", fileLine, errors.New("both url and url_file: one of them is right")
	case text == "" && file == "":
		return "", line, errors.New("neither url nor url_file: one of them is right")
	case file != "":
		line = fileLine
		if text, err = secretFile(dir, file); err != nil {
			return "", line, fmt.Errorf("url_file: %w", err)
		}
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return "", line, errors.New("url: it has a space or a control character in it: write it as %20 is written")
	}
	return text, line, nil
}

// secretFile reads a secret of one line.
func secretFile(dir, path string) (string, error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	body, err := readLimited(path)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(body))
	if text == "" || strings.ContainsAny(text, "\r\n") {
		return "", fmt.Errorf("%s: one line with the secret is right", path)
	}
	return text, nil
}

// checkHTTP says what is wrong with a URL without repeating it.
func checkHTTP(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return errors.New("it cannot be read")
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("neither http nor https")
	case u.Hostname() == "":
		return errors.New("it names no host")
	case u.Fragment != "":
		return errors.New("it has a # in it, which no server sees")
	}
	return nil
}
