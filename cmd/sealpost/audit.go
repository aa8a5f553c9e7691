package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/cmd/sealpost/server"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/audit/proof"
)

func auditCommand() *cobra.Command {
	c := &cobra.Command{Use: "audit", Short: "Look at the audit log, and prove that it is whole"}
	c.AddCommand(auditVerifyCommand())
	return c
}

func auditVerifyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "verify",
		Short: "Check the whole audit log",
		Long: `Reads the whole log and compares every event with the signed tree, and the tree with the checkpoints that were kept
outside the database. It names the first row that was altered, removed, moved or put in, and exits with 1.

The checkpoints kept outside are what the log is measured by: without --kept it uses the files of the configuration
(audit.files); an auditor gives the copy that they keep themselves.`,
		Args: cobra.NoArgs,
	}
	path := configFlag(c)
	kept := c.Flags().StringSlice("kept", nil, "file with checkpoints that were kept outside; may be repeated")
	asJSON := c.Flags().Bool("json", false, "print the report as JSON")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return withBase(cmd.Context(), *path, func(b *server.Base) error {
			files := *kept
			if len(files) == 0 {
				for _, f := range b.Config.Audit.Files {
					files = append(files, b.Config.Path(f))
				}
			}
			report, err := verifyAudit(cmd.Context(), b, files)
			if err != nil {
				return err
			}
			if err := printReport(cmd.OutOrStdout(), report, *asJSON); err != nil {
				return err
			}
			if report.Finding != nil {
				return errors.New("the audit log is not whole")
			}
			return nil
		})
	}
	return c
}

// readKept reads the checkpoints in files.
func readKept(files []string) ([][]byte, error) {
	var out [][]byte
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		list, err := proof.ReadKept(f)
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, list...)
	}
	return out, nil
}

func printReport(w io.Writer, r audit.Report, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	if r.Finding != nil {
		_, err := fmt.Fprintf(w, "NOT WHOLE: %s\n", r.Finding)
		return err
	}
	_, err := fmt.Fprintf(w, "%d events; every one is in the signed tree, and the tree agrees with every checkpoint.\n", r.Events)
	return err
}

// verifyAudit verifies the log against the checkpoints in files.
func verifyAudit(ctx context.Context, b *server.Base, files []string) (audit.Report, error) {
	kept, err := readKept(files)
	if err != nil {
		return audit.Report{}, err
	}
	known, err := proof.Verifiers(b.Audit.VerifierKey())
	if err != nil {
		return audit.Report{}, err
	}
	return audit.Verify(ctx, b.DB, audit.VerifyConfig{Verifiers: known, Outside: kept})
}
