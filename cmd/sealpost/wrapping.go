package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/cmd/sealpost/config"
	"github.com/sealpost/sealpost/cmd/sealpost/server"
	"github.com/sealpost/sealpost/cmd/sealpost/setup"
	"github.com/sealpost/sealpost/internal/keys"
	"github.com/sealpost/sealpost/internal/pg"
)

func wrappingCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "wrapping",
		Short: "The key of the archive's outer layer: check it, replace it, bring it back from its backup",
		Long: `The server puts an outer layer on every record of the archive, so that a copy of the database alone opens nothing,
even with the recovery officers' help. Its key lies in files that archive.wrapping_keys names, not in the database; without
them and their offline backups the archive is lost. docs/runbooks/wrapping-key.md has every step.`,
	}
	c.AddCommand(wrappingCheckCommand(), wrappingRestoreCommand(), wrappingRotateCommand())
	return c
}

// wrappingTool is what the commands work with. None of them needs more of the installation to be well than its
// configuration, its passphrase and its database.
type wrappingTool struct {
	*server.Wrapping
	config *config.Config
	unlock keys.Unlock
	db     *pg.DB
	cmd    *cobra.Command
}

func withWrapping(cmd *cobra.Command, path string, fn func(*wrappingTool) error) error {
	c, err := load(path)
	if err != nil {
		return err
	}
	t := &wrappingTool{config: c, cmd: cmd}
	if t.unlock, err = c.Passphrase(); err != nil {
		return err
	}
	defer clear(t.unlock)
	if t.db, err = server.OpenDatabase(cmd.Context(), c, server.Logger(c)); err != nil {
		return err
	}
	defer t.db.Close()
	if t.Wrapping, err = server.OpenWrapping(cmd.Context(), c, t.unlock, t.db); err != nil {
		return err
	}
	return fn(t)
}

func (t *wrappingTool) say(format string, args ...any) {
	fmt.Fprintf(t.cmd.OutOrStdout(), format, args...)
}

func (t *wrappingTool) record(ctx context.Context, what archive.WrappingEvent, id record.Hash) error {
	return archive.RecordWrapping(ctx, t.db, operator(), time.Now(), what, id)
}

func wrappingCheckCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "check",
		Short: "Show which wrapping keys the archive's records need, and whether each is there",
		Long: `Opens every file that archive.wrapping_keys names and counts the records that need each. It fails if a file does not
open, or if a record needs a key that no file holds. With --backup it also opens an offline backup and tells which key it
holds: do that once a year.`,
		Example: `  sealpost wrapping check
  sealpost wrapping check --backup /media/safe/wrapping.backup`,
		Args: cobra.NoArgs,
	}
	path := configFlag(c)
	var b backupFlags
	b.add(c, "an offline backup to try")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return withWrapping(cmd, *path, func(t *wrappingTool) error {
			t.show()
			err := t.Check()
			if b.file != "" {
				err = errors.Join(err, t.tryBackup(b))
			}
			return err
		})
	}
	return c
}

// show prints the state of every key.
func (t *wrappingTool) show() {
	for i, f := range t.Files {
		if f.Key == nil {
			t.say("%s\n  does not open\n", f.Path)
			continue
		}
		use := "for records made before it was replaced"
		if i == 0 {
			use = "new records use it"
		}
		t.say("%s\n  key      %s\n  records  %d\n  %s\n", f.Path, f.Key.ID(), t.RecordsOf(f.Key.ID()), use)
		if i > 0 && t.RecordsOf(f.Key.ID()) == 0 {
			t.say("  no record needs it any more\n")
		}
	}
	for _, m := range t.Missing() {
		t.say("NOT THERE\n  key      %s\n  records  %d, of %s to %s\n", m.Key, m.Records, m.First.Format(time.DateOnly), m.Last.Format(time.DateOnly))
	}
}

func (t *wrappingTool) tryBackup(b backupFlags) error {
	key, err := b.open(t.cmd)
	if err != nil {
		return err
	}
	id, n := key.ID(), t.RecordsOf(key.ID())
	if t.Holds(id) == "" && n == 0 {
		return fmt.Errorf("%s opens, and holds the wrapping key %s, which this installation does not know", b.file, id)
	}
	t.say("%s\n  opens, and holds the key %s of %d records\n", b.file, id, n)
	return nil
}

func wrappingRestoreCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "restore",
		Short: "Put a wrapping key back from its offline backup",
		Long: `Opens an offline backup and writes the key into the file that archive.wrapping_keys names and that is not there, sealed
with this server's passphrase. It refuses the backup of another key than the one that records need, and never replaces a
file. It also brings a key that another server has made to this one.`,
		Example: `  sealpost wrapping restore --backup /media/safe/wrapping.backup`,
		Args:    cobra.NoArgs,
	}
	path := configFlag(c)
	var b backupFlags
	b.add(c, "the offline backup (required)")
	to := c.Flags().String("to", "", "file for the key (default: the configured one that is not there)")
	if err := c.MarkFlagRequired("backup"); err != nil {
		panic(err) // the flag is defined above
	}
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return withWrapping(cmd, *path, func(t *wrappingTool) error { return t.restore(b, *to) })
	}
	return c
}

func (t *wrappingTool) restore(b backupFlags, to string) error {
	key, err := b.open(t.cmd)
	if err != nil {
		return err
	}
	file, err := t.Place(key, to)
	if err != nil {
		return err
	}
	if err := setup.WriteWrappingKey(file, key, t.unlock); err != nil {
		return err
	}
	if err := t.record(t.cmd.Context(), archive.WrappingRestored, key.ID()); err != nil {
		return errors.Join(err, os.Remove(file))
	}
	t.say("The wrapping key %s, which %d records need, is back in %s.\nStart the server, and take the backup and its passphrase away again, apart.\n",
		key.ID(), t.RecordsOf(key.ID()), file)
	return nil
}

func wrappingRotateCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "rotate",
		Short: "Make a further wrapping key for new records",
		Long: `Makes a new wrapping key beside those that are there, and its offline backup with a passphrase of its own. Nothing
changes until the configuration names it: put it first, and keep the others behind it, because older records need them.`,
		Args: cobra.NoArgs,
	}
	path := configFlag(c)
	dir := c.Flags().String("backup-dir", "", "folder for the backup, which you take away (default: beside the key)")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return withWrapping(cmd, *path, func(t *wrappingTool) error { return t.rotate(*dir) })
	}
	return c
}

func (t *wrappingTool) rotate(backupDir string) error {
	if len(t.Files) == 0 {
		return errors.New("archive.wrapping_keys names no file; `sealpost init` makes the first one")
	}
	if err := t.Check(); err != nil { // first things first
		return err
	}
	dir := filepath.Dir(t.Files[0].Path)
	if backupDir == "" {
		backupDir = dir
	}
	key, file, backup, err := setup.RotateWrappingKey(dir, backupDir, t.unlock)
	if err != nil {
		return err
	}
	if err := t.record(t.cmd.Context(), archive.WrappingMade, key.ID()); err != nil {
		return errors.Join(err, os.Remove(file), os.Remove(backup), os.Remove(setup.BackupPassphrase(backup)))
	}
	t.say(`Made the wrapping key %s:
  %s
  %s  with its passphrase (.passphrase): print or copy, keep apart and OFFLINE

Next:
  1. bring the key to every other server: sealpost wrapping restore --backup FILE --to FILE
  2. in the configuration of every server, put it first:
       archive:
         wrapping_keys:
           - %s
`, key.ID(), file, backup, file)
	for _, f := range t.config.Archive.WrappingKeys {
		t.say("           - %s\n", f)
	}
	t.say("  3. start the servers anew, then: sealpost wrapping check\n")
	return nil
}
