package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/internal/keys"
	"github.com/sealpost/sealpost/kra"
)

func (t *tool) rekeyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "rekey FOLDER",
		Short: "On a ceremony machine: move all records to another archive key",
		Long: `Moves records from one archive key to another, for when old shares must open nothing any more: an officer was dishonest, or too
many shares may have been lost. As many officers as open together bring their homes to one machine, which must have no network
and is wiped afterwards: for as long as it runs, it can open everything. In FOLDER lies capsules.bin, from the server; the moved ones are
written to rekeyed.bin, for the server. The people's keys are not there and are not opened.

After an interruption, run it again: it goes on where it was.`,
		Example: `  sealpost-kra rekey /media/stick/rekey --from old/roster.bin --to new/roster.bin --officer /media/olga --officer /media/otto`,
		Args:    cobra.ExactArgs(1),
	}
	f := c.Flags()
	from := f.String("from", "", "the roster under whose key the records are")
	to := f.String("to", "", "the roster to whose key they move")
	homes := f.StringArray("officer", nil, "home of an officer, and after an = a file with the passphrase if it is not to be asked for; to be repeated")
	asJSON := f.Bool("json", false, "print JSON")
	for _, name := range []string{"from", "to", "officer"} {
		_ = c.MarkFlagRequired(name) // fails only for a flag that is not there
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		old, err := kra.ReadRoster(*from)
		if err != nil {
			return err
		}
		next, err := kra.ReadRoster(*to)
		if err != nil {
			return err
		}
		var officers []*kra.Officer
		for _, home := range *homes {
			o, err := gather(cmd, home)
			if err != nil {
				return err
			}
			officers = append(officers, o)
		}
		n, err := kra.Rekey(cmd.Context(), args[0], old, next, officers, newProgress(cmd.ErrOrStderr(), "Moving records").report)
		if err != nil {
			return fmt.Errorf("%d records are moved: %w", n, err)
		}
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), map[string]any{"records": n, "from": old.KeyID().String(), "to": next.KeyID().String(), "file": filepath.Join(args[0], kra.RekeyTo)})
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d records are moved to the key %s. Bring %s to the operator, and wipe this machine.\n", n, next.KeyID(), filepath.Join(args[0], kra.RekeyTo))
		return err
	}
	return c
}

// gather unlocks the home of one of several officers at this machine.
func gather(c *cobra.Command, home string) (*kra.Officer, error) {
	home, file, _ := strings.Cut(home, "=")
	t := &tool{home: home, passphraseFile: file}
	o, err := t.officer()
	if err != nil {
		return nil, err
	}
	var p keys.Unlock
	if file != "" {
		p, err = keys.ReadPassphrase(file)
	} else {
		p, err = askSecret(c, "The passphrase for "+home)
	}
	if err != nil {
		return nil, err
	}
	defer clear(p)
	return o, o.Unlock(c.Context(), p)
}
