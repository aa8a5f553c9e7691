// Command manual writes docs/config.md, the manual of the configuration file, from the comments of the structs that the
// file is decoded into. `go generate ./cmd/sealpost/config` runs it.
//
// It owns the page's form and its introduction. What is said of a setting is said beside its field, and nowhere else.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// root is the repository, seen from the folder of package config, where go generate runs this.
const root = "../../.."

func main() {
	text, err := page(root)
	if err == nil {
		err = os.WriteFile(filepath.Join(root, "docs", "config.md"), text, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "manual:", err)
		os.Exit(1)
	}
}
