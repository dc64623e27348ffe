// Command main writes the figures of package threshold into the texts that name them, below
// the folder that it is started in: make generate.
package main

import (
	"fmt"
	"os"

	"github.com/whalegate/whalegate/internal/threshold/generate"
)

func main() {
	changed, err := generate.Write(".")
	for _, file := range changed {
		fmt.Println("written:", file)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
