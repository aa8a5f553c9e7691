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
	c.AddCommand(auditVerifyCommand(), auditProveCommand(), auditKeyCommand())
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

func auditProveCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "prove EVENT PROOF",
		Short: "Check that one event is in the audit log, without database or server",
		Long: `Reads an event and its proof as the portal's auditors download them (event-N.json and event-N.tlog-proof), and checks that the
event is in the tree of a checkpoint that the log's key has signed. It needs nothing else: give it the key that you were handed
in person (sealpost audit key), not the one that comes with the files. It exits with 1 if the proof does not hold.`,
		Args: cobra.ExactArgs(2),
	}
	key := c.Flags().String("key", "", "the log's verifier key")
	if err := c.MarkFlagRequired("key"); err != nil {
		panic(err) // the flag is defined above
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		body, err := readAtMost(args[0], audit.MaxBody)
		if err != nil {
			return err
		}
		text, err := readAtMost(args[1], 2*proof.MaxNote)
		if err != nil {
			return err
		}
		known, err := proof.Verifiers(*key)
		if err != nil {
			return fmt.Errorf("--key: %w", err)
		}
		var in proof.Inclusion
		if err := in.UnmarshalText(text); err != nil {
			return fmt.Errorf("%s: %w", args[1], err)
		}
		checkpoint, err := in.Check(proof.LeafHash(body), known)
		if err != nil {
			return err
		}
		event, err := proof.ParseEvent(body)
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "The event %d (%s) is among the first %d of %s, whose key signed that.\n", in.Index, event.Kind, checkpoint.Size, checkpoint.Origin)
		return err
	}
	return c
}

// readAtMost reads a file that must not be longer.
func readAtMost(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(f, most+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if int64(len(content)) > most {
		return nil, fmt.Errorf("%s is longer than %d bytes", name, most)
	}
	return content, nil
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
