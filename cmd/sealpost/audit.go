package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/cmd/sealpost/server"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/audit/proof"
	"github.com/sealpost/sealpost/kra"
)

func auditCommand() *cobra.Command {
	c := &cobra.Command{Use: "audit", Short: "Look at the audit log, and prove that it is whole"}
	c.AddCommand(auditVerifyCommand(), auditKeyCommand())
	return c
}

func auditVerifyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "verify",
		Short: "Check the whole audit log",
		Long: `Reads the whole log and compares every event with the signed tree, and the tree with the checkpoints that were kept
outside the database. It names the first row that was altered, removed, moved or put in, and exits with 1.

The checkpoints kept outside are what the log is measured by: without --kept it uses the files of the configuration
(audit.files); an auditor gives the copy that they keep themselves. So do those that recovery officers countersigned, of which
the database keeps the last; the file log.txt of an officer's home, given with --kept, is what the server cannot alter.`,
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
			report, err := verifyAudit(cmd.Context(), cmd.ErrOrStderr(), b, files)
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

func auditKeyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "key",
		Short: "Print the key that verifies the audit log's checkpoints",
		Long: `Prints the audit log's verifier key, for officers (sealpost-kra log trust) and auditors. Hand it over in person, or have them
compare its sixteen words: whoever can exchange it shows them a log of their own.`,
		Args: cobra.NoArgs,
	}
	path := configFlag(c)
	words := c.Flags().Bool("words", false, "print the words to compare instead")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return withBase(cmd.Context(), *path, func(b *server.Base) error {
			key := b.Audit.VerifierKey()
			if *words {
				key = strings.Join(kra.KeyHash(key).Words(), " ")
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), key)
			return err
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
		fmt.Fprintf(w, "NOT WHOLE: %s\n", r.Finding)
	} else {
		fmt.Fprintf(w, "%d events; every one is in the signed tree, and the tree agrees with every checkpoint.\n", r.Events)
	}
	for _, x := range r.Witnessed {
		if _, err := fmt.Fprintf(w, "%s has countersigned the first %d events.\n", x.Who, x.Size); err != nil {
			return err
		}
	}
	return nil
}

// verifyAudit verifies the log against the checkpoints in files.
func verifyAudit(ctx context.Context, warn io.Writer, b *server.Base, files []string) (audit.Report, error) {
	kept, err := readKept(files)
	if err != nil {
		return audit.Report{}, err
	}
	known, err := proof.Verifiers(b.Audit.VerifierKey())
	if err != nil {
		return audit.Report{}, err
	}
	witnesses, err := officersOf(ctx, b)
	if err != nil { // an archive that is not in order must not stand in the way of evidence
		fmt.Fprintf(warn, "What officers countersigned is measured by, but not whose it is: %v\n", err)
	}
	return audit.Verify(ctx, b.DB, audit.VerifyConfig{Verifiers: known, Outside: kept, Witnesses: witnesses})
}

// officersOf returns the officers who countersign checkpoints: those of the pinned rosters.
func officersOf(ctx context.Context, b *server.Base) ([]*proof.Witness, error) {
	a, err := b.OpenArchive(ctx)
	if err != nil || a == nil {
		return nil, err
	}
	return a.Witnesses(ctx)
}
