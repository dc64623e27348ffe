package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"github.com/whalegate/whalegate/dashboards"
)

type dashboardsCmd struct {
	Generate generateCmd    `cmd:"" help:"Write the boards as files: classic JSON for every Grafana from 10 to 13, and schema v2 for 13.1 and later."`
	Push     pushCmd        `cmd:"" help:"Save the boards in a Grafana, over those with the same uid."`
	Check    checkBoardsCmd `cmd:"" name:"check" help:"Look at a Grafana as a viewer: whether its boards are this program's, whether the mask holds there, and whether the incident board answers without a signal. Exits 1 when something is wrong."`
}

// grafanaFlags are how a Grafana is asked.
type grafanaFlags struct {
	URL      string `name:"grafana-url" env:"WHALEGATE_GRAFANA_URL" default:"http://127.0.0.1:3000" help:"Address of Grafana."`
	Token    string `name:"grafana-token" env:"WHALEGATE_GRAFANA_TOKEN" help:"Token of a service account; better in the environment."`
	User     string `name:"grafana-user" env:"WHALEGATE_GRAFANA_USER" help:"User, where there is no token."`
	Password string `name:"grafana-password" env:"WHALEGATE_GRAFANA_PASSWORD" help:"Its password; better in the environment."`
}

func (f grafanaFlags) client() (*dashboards.Client, error) {
	u, err := url.Parse(f.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, errors.New("--grafana-url: not an address such as https://grafana.example.org, without a login in it")
	}
	return &dashboards.Client{URL: f.URL, Authorize: func(r *http.Request) {
		switch {
		case f.Token != "":
			r.Header.Set("Authorization", "Bearer "+f.Token)
		case f.User != "":
			r.SetBasicAuth(f.User, f.Password)
		}
	}}, nil
}

type pushCmd struct {
	grafanaFlags
	linksFlag
	Schema string `enum:"classic,v2" default:"classic" help:"classic, or v2 for Grafana 13.1 and later."`
	Folder string `help:"Uid of the folder; by default the top."`
	DryRun bool   `name:"dry-run" help:"Say what would be saved, and save nothing."`
}

// Run saves every board.
func (c *pushCmd) Run(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	external, err := c.externalURL()
	if err != nil {
		return err
	}
	files, err := dashboards.Files(external)
	if err != nil {
		return err
	}
	saved := 0
	for _, f := range files {
		if f.V2 != (c.Schema == "v2") {
			continue
		}
		if c.DryRun {
			fmt.Println("would save", f.UID)
			continue
		}
		if err := client.Push(ctx, f, c.Folder); err != nil {
			return fmt.Errorf("save board %s: %w", f.UID, err)
		}
		saved++
		fmt.Println("saved", f.UID)
	}
	fmt.Println("boards saved:", saved)
	return nil
}

type checkBoardsCmd struct {
	grafanaFlags
	JSON bool `help:"Print one object per line."`
}

// Run prints what was found.
func (c *checkBoardsCmd) Run(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	findings, err := client.Check(ctx)
	wrong := 0
	for _, f := range findings {
		if !f.OK {
			wrong++
		}
		if c.JSON {
			if err := json.NewEncoder(os.Stdout).Encode(f); err != nil {
				return err
			}
			continue
		}
		fmt.Printf("%-7s %s: %s\n", map[bool]string{true: "ok", false: "WRONG"}[f.OK], f.What, f.Note)
	}
	if err != nil {
		return fmt.Errorf("check boards: %w", err)
	}
	if wrong > 0 {
		return &exitError{code: 1}
	}
	return nil
}

type generateCmd struct {
	linksFlag
	Dir   string `default:"dashboards/generated" type:"path" help:"Folder to write to."`
	Check bool   `help:"Write nothing; fail when a file is not what would be written."`
}

// Run writes the files, or compares them.
func (c *generateCmd) Run(context.Context) error {
	external, err := c.externalURL()
	if err != nil {
		return err
	}
	files, err := dashboards.Files(external)
	if err != nil {
		return err
	}
	for _, f := range files {
		path := filepath.Join(c.Dir, f.Name)
		present, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("read board: %w", err)
		}
		same := err == nil && bytes.Equal(present, f.Body)
		switch {
		case same:
			fmt.Println("unchanged", path)
		case c.Check:
			return fmt.Errorf("%s is not what this program generates: run whalegate dashboards generate", path)
		default:
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return fmt.Errorf("write board: %w", err)
			}
			if err := os.WriteFile(path, f.Body, 0o644); err != nil {
				return fmt.Errorf("write board: %w", err)
			}
			fmt.Println("written  ", path)
		}
	}
	return nil
}
