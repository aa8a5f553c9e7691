package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/kra"
)

func (t *tool) drillCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "drill",
		Short: "Prove that the officers can still open",
		Long: `One officer makes a case for a key that is nobody's; as many others as open together approve it as they would any case; the first
opens it. What comes out is a folder that proves to everybody that it worked, and when.`,
	}
	c.AddCommand(t.drillNewCommand(), t.drillOpenCommand(), drillCheckCommand())
	return c
}

func (t *tool) drillNewCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "new FOLDER ROSTER",
		Short:   "Begin a drill: a case for a key that is nobody's",
		Example: `  sealpost-kra drill new /media/stick/drill /media/stick/ceremony/roster.bin`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := kra.ReadRoster(args[1])
			if err != nil {
				return err
			}
			o, err := t.unlocked(cmd)
			if err != nil {
				return err
			}
			c, err := o.NewDrill(cmd.Context(), args[0], r)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "The drill is in %s. %d others now approve it, until %s:\n  sealpost-kra approve %s\nThen you: sealpost-kra drill open %s\n",
				args[0], r.Plan.Threshold, c.Deadline.Format(moment), args[0], args[0])
			return err
		},
	}
}

func (t *tool) drillOpenCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "open FOLDER",
		Short: "When enough have approved: open the drill that you began",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := t.unlocked(cmd)
			if err != nil {
				return err
			}
			op, err := o.OpenDrill(args[0])
			if op != nil {
				for _, w := range op.Wrong {
					fmt.Fprintf(cmd.OutOrStdout(), "WRONG ANSWER in %s: %s\n", w.File, describeFault(w.Err).Detail)
				}
			}
			if err != nil {
				return err
			}
			return reportDrill(cmd, args[0], op.Roster, false)
		},
	}
}

func drillCheckCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "check FOLDER ROSTER",
		Short: "See whether a drill was passed, and when",
		Long:  `Verifies a drill's folder under a roster that you have by another way. It needs no keys: an auditor can do it.`,
		Args:  cobra.ExactArgs(2),
	}
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		r, err := kra.ReadRoster(args[1])
		if err != nil {
			return err
		}
		if err := r.Verify(record.VerifyOptions{Pins: []record.Hash{r.Hash()}, SingleAgentMayOpenAlone: true}); err != nil {
			return err
		}
		return reportDrill(cmd, args[0], r, *asJSON)
	}
	return c
}

type drillView struct {
	Roster string    `json:"roster"`
	Epoch  uint32    `json:"epoch"`
	Passed time.Time `json:"passed"`
}

func reportDrill(c *cobra.Command, folder string, r *record.Roster, asJSON bool) error {
	when, err := kra.PassedDrill(folder, r)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(c.OutOrStdout(), drillView{r.Hash().String(), r.Epoch(), when})
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "The drill was passed on %s, under the roster %s of %s.\n", when.Format(moment), r.Hash(), r.Plan.Archive)
	return err
}
