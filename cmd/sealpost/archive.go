package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/cmd/sealpost/server"
	"github.com/sealpost/sealpost/delivery"
	"github.com/sealpost/sealpost/kra"
)

func archiveCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "archive",
		Short: "The key archive: what lies in it, drills, moving records to another key",
		Long: `What the operator has to do with the archive of encryption keys. None of it opens a key: that takes the recovery officers, with
sealpost-kra.`,
	}
	c.AddCommand(archiveStatusCommand(), archiveDrilledCommand(), archiveExportCommand(), archiveAdoptCommand())
	return c
}

// withArchive opens the archive.
func withArchive(cmd *cobra.Command, path string, fn func(*archive.Archive) error) error {
	return withBase(cmd.Context(), path, func(b *server.Base) error {
		a, err := b.OpenArchive(cmd.Context())
		if err != nil {
			return err
		}
		if a == nil {
			return fmt.Errorf("archive.roster_pins is empty: there is no archive yet. docs/runbooks/ceremony.md says how one begins")
		}
		return fn(a)
	})
}

// archiveStatus is what `archive status --json` prints.
type archiveStatus struct {
	Archive   string             `json:"archive"`
	KeyID     string             `json:"key_id"`
	Epoch     uint32             `json:"epoch"`
	Threshold int                `json:"threshold"`
	Officers  int                `json:"officers"`
	Keys      []archiveKeyStatus `json:"keys"`
	LastDrill *time.Time         `json:"last_drill,omitempty"`
	DrillDue  time.Time          `json:"drill_due"`
	Overdue   bool               `json:"drill_overdue"`
}

type archiveKeyStatus struct {
	KeyID   string    `json:"key_id"`
	Active  bool      `json:"active"`
	Records int64     `json:"records"`
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
}

func archiveStatusCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "status",
		Short: "Show how many keys are archived under which archive key, and whether a drill is due",
		Args:  cobra.NoArgs,
	}
	path := configFlag(c)
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return withArchive(cmd, *path, func(a *archive.Archive) error {
			r, err := a.Roster(cmd.Context())
			if err != nil {
				return err
			}
			use, err := a.KeysInUse(cmd.Context())
			if err != nil {
				return err
			}
			drills, err := a.Drills(cmd.Context())
			if err != nil {
				return err
			}
			s := archiveStatus{Archive: r.Plan.Archive, KeyID: r.KeyID().String(), Epoch: r.Epoch(), Threshold: int(r.Plan.Threshold), Officers: len(r.Plan.Agents)}
			s.DrillDue, s.Overdue = drills.Due, drills.Overdue
			if !drills.Last.IsZero() {
				s.LastDrill = &drills.Last
			}
			for _, u := range use {
				s.Keys = append(s.Keys, archiveKeyStatus{KeyID: u.Key.String(), Active: u.Key == r.KeyID(), Records: u.Records, First: u.First, Last: u.Last})
			}
			return s.print(cmd, *asJSON)
		})
	}
	return c
}

func (s archiveStatus) print(cmd *cobra.Command, asJSON bool) error {
	w := cmd.OutOrStdout()
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(s)
	}
	fmt.Fprintf(w, "%s: %d of %d officers open together, epoch %d\n", s.Archive, s.Threshold, s.Officers, s.Epoch)
	for _, k := range s.Keys {
		note := ""
		if !k.Active {
			note = " (an earlier key)"
		}
		fmt.Fprintf(w, "  %8d records under %s%s, archived %s to %s\n", k.Records, k.KeyID, note, k.First.Format(time.DateOnly), k.Last.Format(time.DateOnly))
	}
	if len(s.Keys) == 0 {
		fmt.Fprintln(w, "  no records yet")
	}
	said := "These officers have not passed a drill yet: docs/runbooks/drill.md."
	if s.LastDrill != nil {
		said = fmt.Sprintf("Last drill passed: %s.", s.LastDrill.Format(time.DateOnly))
	}
	next := "The next is due by"
	if s.Overdue {
		next = "OVERDUE: the next was due by"
	}
	_, err := fmt.Fprintf(w, "%s %s %s.\n", said, next, s.DrillDue.Format(time.DateOnly))
	return err
}

func archiveDrilledCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "drilled FOLDER",
		Short: "Record that the officers passed a drill",
		Long: `Verifies the folder of a drill (sealpost-kra drill) against the configured roster: that enough officers approved it, and that
whoever opened it had its key. Then it writes the date down, for "sealpost archive status" and the auditors.`,
		Args: cobra.ExactArgs(1),
	}
	path := configFlag(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return withArchive(cmd, *path, func(a *archive.Archive) error {
			r, err := a.Roster(cmd.Context())
			if err != nil {
				return err
			}
			passed, err := kra.PassedDrill(args[0], r)
			if err != nil {
				return err
			}
			drill, err := delivery.Open(args[0]).Case()
			if err != nil {
				return err
			}
			if err := a.RecordDrill(cmd.Context(), operator(), r.Hash(), drill.Hash(), passed); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "The drill of %s was passed and is recorded.\n", passed.Format(time.DateOnly))
			return err
		})
	}
	return c
}

const capsuleFrame = 1 << 12 // bytes of a capsule at most

func archiveExportCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "export FOLDER",
		Short: "Write out what officers need to move the records under an archive key to another",
		Long: `Writes FOLDER/capsules.bin: the public part of every record under an archive key. It tells nothing about the keys. The officers
bring it to a ceremony machine (sealpost-kra rekey) and bring back rekeyed.bin, for "sealpost archive adopt".`,
		Args: cobra.ExactArgs(1),
	}
	path := configFlag(c)
	key := c.Flags().String("key", "", "id of the archive key, as in \"sealpost archive status\" (default: the only one that is not active)")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return withArchive(cmd, *path, func(a *archive.Archive) error {
			id, err := exportedKey(cmd, a, *key)
			if err != nil {
				return err
			}
			return export(cmd, a, id, filepath.Join(args[0], kra.RekeyFrom))
		})
	}
	return c
}

// exportedKey returns the archive key whose records are to be moved.
func exportedKey(cmd *cobra.Command, a *archive.Archive, given string) (record.Hash, error) {
	if given != "" {
		return record.ParseHash(given)
	}
	r, err := a.Roster(cmd.Context())
	if err != nil {
		return record.Hash{}, err
	}
	use, err := a.KeysInUse(cmd.Context())
	if err != nil {
		return record.Hash{}, err
	}
	var others []record.Hash
	for _, u := range use {
		if u.Key != r.KeyID() {
			others = append(others, u.Key)
		}
	}
	switch len(others) {
	case 0:
		return record.Hash{}, fmt.Errorf("all records lie under the active archive key %s: there is nothing to move", r.KeyID())
	case 1:
		return others[0], nil
	}
	return record.Hash{}, fmt.Errorf("records lie under several earlier keys; choose one with --key: %v", others)
}

func export(cmd *cobra.Command, a *archive.Archive, id record.Hash, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("%s is there already; move it away", to)
	}
	var batch [][]byte
	done := 0
	for c, err := range a.CapsulesUnder(cmd.Context(), id) {
		if err != nil {
			return err
		}
		batch = append(batch, c.Bytes())
		if done++; len(batch) == 1000 {
			if err := delivery.AppendFrames(to, batch, capsuleFrame); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	if done == 0 {
		return fmt.Errorf("there is no record under the key %s", id)
	}
	if err := delivery.AppendFrames(to, batch, capsuleFrame); err != nil {
		return err
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%d records are in %s. Next, on the ceremony machine: sealpost-kra rekey %s\n", done, to, filepath.Dir(to))
	return err
}

func archiveAdoptCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "adopt FOLDER",
		Short: "Put records under the new capsules that officers brought back",
		Long: `Reads FOLDER/rekeyed.bin, which officers made with sealpost-kra rekey, checks that each capsule is of a record that is here and
made for the active roster's key, and puts the record under it. The keys themselves are not seen. After an interruption, run it again.`,
		Args: cobra.ExactArgs(1),
	}
	path := configFlag(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		from := filepath.Join(args[0], kra.RekeyTo)
		if _, err := os.Stat(from); err != nil {
			return err
		}
		return withArchive(cmd, *path, func(a *archive.Archive) error {
			n, err := a.Adopt(cmd.Context(), operator(), delivery.FramesOf(from, capsuleFrame, record.ParseCapsule), adopted(cmd))
			if err != nil {
				return fmt.Errorf("after %d records: %w", n, err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d records are under the new key.\n", n)
			return err
		})
	}
	return c
}

// adopted tells a person at a terminal how far it is.
func adopted(cmd *cobra.Command) func(int) {
	if f, ok := cmd.ErrOrStderr().(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return func(done int) { fmt.Fprintf(cmd.ErrOrStderr(), "\r%d records", done) }
}
