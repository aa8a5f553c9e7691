package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/delivery"
	"github.com/sealpost/sealpost/kra"
)

func (t *tool) logCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "log",
		Short: "The server's audit log: see that nobody rewrote what you saw of it",
		Long: `Everything that the server does is in its audit log, the opening of every case too. Before you answer a case, this program
checks that the case is in the log and that the log still has all that you saw of it before; then it signs what it saw, for the
other officers and for auditors. Whoever rewrites the log or sets it back is found out by you, though they control the server.

It needs the log's key, once, from a place that you trust: the operator reads it out ("sealpost audit key").`,
	}
	c.AddCommand(t.logTrustCommand(), t.logShowCommand(), t.logCheckCommand(), t.logForgetCommand())
	return c
}

func (t *tool) logTrustCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "trust KEY",
		Short:   "Remember the audit log's key, which you have from a place that you trust",
		Example: `  sealpost-kra log trust pki.example.com/audit+04de81b2+AaGNEbCVpYk6dOd4f0ClpyxRWpBcW4pgR0gIyMchDCxi`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := t.officer()
			if err != nil {
				return err
			}
			if err := o.TrustLog(args[0]); err != nil {
				return err
			}
			printHash(cmd.OutOrStdout(), "The audit log's key is known here. Compare its words with the other officers'", kra.KeyHash(args[0]).Words(), args[0])
			return nil
		},
	}
}

type logView struct {
	Key       string        `json:"key,omitempty"`
	Size      int64         `json:"size"`
	Root      string        `json:"root,omitempty"`
	Before    int64         `json:"before,omitempty"` // the size that was seen last
	Witnessed []kra.Witness `json:"witnessed,omitempty"`
}

func describeSeen(s *kra.Seen) *logView {
	v := &logView{Size: s.Size, Root: s.Root.String(), Before: s.Before}
	at := map[string]int{}
	for _, w := range s.Witnessed {
		i, ok := at[w.Who]
		if !ok {
			i, at[w.Who] = len(v.Witnessed), len(v.Witnessed)
			v.Witnessed = append(v.Witnessed, w)
		}
		v.Witnessed[i].Size = max(v.Witnessed[i].Size, w.Size)
	}
	return v
}

func (v *logView) print(w io.Writer) {
	fmt.Fprintf(w, "The audit log has %d events, signed by its key", v.Size)
	if v.Before > 0 {
		fmt.Fprintf(w, ", and all of the %d that you saw before", v.Before)
	}
	fmt.Fprintln(w)
	for _, x := range v.Witnessed {
		fmt.Fprintf(w, "  %s has countersigned %d of them\n", x.Who, x.Size)
	}
}

func (t *tool) logShowCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "show",
		Short: "Print what you have seen of the audit log",
		Long:  `Prints the audit log's key and the last checkpoint that was verified here. The file log.txt in your home is what auditors give to "sealpost audit verify --kept".`,
		Args:  cobra.NoArgs,
	}
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		o, err := t.officer()
		if err != nil {
			return err
		}
		l, err := o.Log()
		if err != nil {
			return err
		}
		w := cmd.OutOrStdout()
		v := logView{Key: l.Key, Size: l.Size}
		if l.Note != nil {
			v.Root = l.Root.String()
		}
		if *asJSON {
			return printJSON(w, v)
		}
		printHash(w, "The audit log's key", kra.KeyHash(l.Key).Words(), l.Key)
		if l.Note == nil {
			fmt.Fprintln(w, "Nothing of the log was seen here yet.")
			return nil
		}
		fmt.Fprintf(w, "Of the log you have seen %d events, whose root is\n  %s\n", v.Size, v.Root)
		return nil
	}
	return c
}

func (t *tool) logCheckCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "check [CHECKPOINT...]",
		Short: "See whether the server's log still has all that you, and others, saw of it",
		Long: `Asks the server for the newest checkpoint of its audit log, and checks it against what you saw last, against what other officers
countersigned, and against files with checkpoints that others gave you (log.txt of their homes is one). What was found whole is
remembered, and with --countersign signed for the others.`,
		Example: `  sealpost-kra log check otto/log.txt --countersign`,
	}
	sign := c.Flags().Bool("countersign", false, "sign what was seen, and tell the server")
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		o, err := t.officer()
		if err != nil {
			return err
		}
		files, err := checkpointsIn(args)
		if err != nil {
			return err
		}
		server, err := t.online(cmd)
		if err != nil {
			return err
		}
		if *sign {
			if err := t.unlock(cmd, o); err != nil {
				return err
			}
		}
		seen, err := o.CheckLog(cmd.Context(), server, files)
		if err != nil {
			return err
		}
		for _, s := range seen.Warnings {
			fmt.Fprintf(cmd.ErrOrStderr(), "LOOK INTO THIS: %s\n", s)
		}
		v := describeSeen(seen)
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), v)
		}
		v.print(cmd.OutOrStdout())
		return nil
	}
	return c
}

// checkpointsIn reads files in which checkpoints were kept.
func checkpointsIn(names []string) ([]delivery.Checkpoint, error) {
	var out []delivery.Checkpoint
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		notes, err := kra.ReadCheckpoints(f)
		if closing := f.Close(); err == nil {
			err = closing
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if len(notes) == 0 {
			return nil, fmt.Errorf("%s: there is no checkpoint in it", name)
		}
		for _, n := range notes {
			out = append(out, delivery.Checkpoint{Note: n, File: name})
		}
	}
	return out, nil
}

func (t *tool) logForgetCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "forget",
		Short: "Put aside what you have seen of the log, because you all agreed that it begins anew",
		Long: `After the server's database was restored from an older backup, or the log's key was replaced, the log is not the one that you
saw. Find out first that this is so, from more people than the operator. What you saw is kept beside, as evidence. Then give the
key again, with "log trust".`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := t.officer()
			if err != nil {
				return err
			}
			aside, err := o.ForgetLog()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "What you saw is kept in %s. Give the log's key again: sealpost-kra log trust KEY\n", aside)
			return err
		},
	}
}

// meetLog has somebody at a terminal compare the audit log's key, when a case is the first that shows it.
func (t *tool) meetLog(c *cobra.Command, o *kra.Officer, dir string) error {
	if _, err := o.Log(); !errors.Is(err, kra.ErrLogUnknown) {
		return nil // what else there is to say, the examination says
	}
	shown, err := delivery.Open(dir).Log()
	if err != nil || shown == nil || shown.Key == "" {
		return nil // the same
	}
	w := c.ErrOrStderr()
	h := kra.KeyHash(shown.Key)
	printHash(w, "This is the first time that you see the server's audit log. It is shown with this key", h.Words(), shown.Key)
	if err := compare(c, h, "the authority's operator, or an officer who knows the key,"); err != nil {
		return fmt.Errorf("%w; the key can also be given as it is: sealpost-kra log trust KEY", err)
	}
	return o.TrustLog(shown.Key)
}
