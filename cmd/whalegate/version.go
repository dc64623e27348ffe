package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
)

// version is set by the Makefile.
var version = "dev"

type versionCmd struct {
	JSON bool `name:"json" help:"Print one JSON object."`
}

// buildInfo is what the binary knows of its making.
type buildInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Go       string `json:"go_version"`
}

func build() buildInfo {
	b := buildInfo{Version: version, Revision: "unknown", Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.Revision = s.Value
		}
	}
	return b
}

// Run prints the build information.
func (c *versionCmd) Run() error {
	b := build()
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(b)
	}
	_, err := fmt.Printf("whalegate %s (revision %s, %s)\n", b.Version, b.Revision, b.Go)
	return err
}
