package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/cmd/sealpost/server"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/gal"
)

func galCheckCommand() *cobra.Command {
	c := &cobra.Command{Use: "check", Short: "Try out what publishing needs in the directory, and say what is missing", Args: cobra.NoArgs,
		Long: `Tries out every server of every directory that certificates are shown in: whether it answers, and its certificate is trusted; whether
both accounts are let in, see people, find them by mail address, and may write the attributes of certificates, and nothing else.
Says in sentences what the directory's administrator must change. It changes nothing there: docs/gal.md says how that is sure.
Fails if anything is missing; a warning is no failure.`}
	path := configFlag(c)
	target := targetFlag(c)
	asJSON := c.Flags().Bool("json", false, "print one JSON object a line")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return withServer(cmd.Context(), *path, func(s *server.Server) error {
			return eachTarget(s.GAL, *target, func(t *gal.Target) error {
				results, err := t.Check(cmd.Context())
				if err != nil {
					return err
				}
				return printResults(cmd.OutOrStdout(), t.Name(), results, *asJSON)
			})
		})
	}
	return c
}

// printResults prints what was found, and fails if anything is missing.
func printResults(w io.Writer, name string, results []directory.Result, asJSON bool) error {
	faults := 0
	if !asJSON {
		fmt.Fprintln(w, name)
	}
	for _, r := range results {
		if r.State == directory.Fault {
			faults++
		}
		if !asJSON {
			fmt.Fprintf(w, "  %-7s  %s\n           %s\n", r.State, r.Thing, r.Says)
			continue
		}
		err := json.NewEncoder(w).Encode(map[string]string{"directory": name, "thing": r.Thing, "state": string(r.State), "says": r.Says})
		if err != nil {
			return err
		}
	}
	if faults > 0 {
		return fmt.Errorf("%d of %d things that were tried must be put right", faults, len(results))
	}
	return nil
}
