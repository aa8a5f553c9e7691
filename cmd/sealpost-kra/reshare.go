package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/kra"
)

func (t *tool) reshareCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "reshare FOLDER CARD...",
		Short: "Write the plan by which the archive's key passes to other officers",
		Long: `Writes the plan of a ceremony that passes the archive's key on: to other officers, or with another threshold. The key stays
the same, and so does everything that is archived. Give the cards of all officers that there shall be, in the order of their
new numbers, also of those who stay; and with --dealer who of the old officers hand over, by their old numbers: at least as many
as open together now.

Then everybody, old and new, goes on as in any ceremony: compare, "ceremony commit" and "ceremony reveal" by those who hand
over, "ceremony acknowledge" by the new officers, "ceremony finish", "verify-share". After a drill under the new roster each
old officer runs "retire". docs/runbooks/replace-an-officer.md has every step.`,
		Example: `  sealpost-kra reshare /media/stick/reshare olga.card otto.card oskar.card --from roster.bin --dealer 1 --dealer 2`,
		Args:    cobra.MinimumNArgs(3),
	}
	var p planFlags
	f := c.Flags()
	from := f.String("from", "", "the roster whose key is passed on")
	dealers := f.UintSlice("dealer", nil, "the number of an old officer who hands over; to be repeated")
	f.IntVar(&p.threshold, "threshold", 0, "how many officers open together afterwards (default: as before)")
	f.StringVar(&p.root, "root", "", "file with the authority's root certificate (default: the one you gave at import)")
	f.StringArrayVar(&p.business, "business-recipient", nil, "card of somebody who may receive keys in business cases; may be repeated. With any, the old recipients are all replaced")
	f.StringArrayVar(&p.legal, "legal-recipient", nil, "card of somebody who may receive keys in legal cases; may be repeated")
	f.BoolVar(&p.single, "single-agent-may-open-alone", false, "WEAKER: permit --threshold 1, under which any officer alone opens everything")
	_ = c.MarkFlagRequired("from") // these fail only for flags that are not there
	_ = c.MarkFlagRequired("dealer")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		o, err := t.officer()
		if err != nil {
			return err
		}
		conf, err := p.config(o, args[1:])
		if err != nil {
			return err
		}
		if conf.Previous, err = kra.ReadRoster(*from); err != nil {
			return err
		}
		if conf.Threshold == 0 {
			conf.Threshold = int(conf.Previous.Plan.Threshold)
		}
		for _, d := range *dealers {
			conf.Dealers = append(conf.Dealers, uint16(d))
		}
		plan, err := kra.WritePlan(args[0], *conf)
		if err != nil {
			return err
		}
		w := cmd.OutOrStdout()
		describePlan(plan).print(w)
		_, err = fmt.Fprintf(w, "\nThe plan is in %s. Everybody, old and new, compares the sixteen words, then goes on.\n", args[0])
		return err
	}
	return c
}

func (t *tool) retireCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "retire FOLDER",
		Short: "After a reshare: answer no case under the old roster any more",
		Long: `Ends your part in the roster that was passed on in the ceremony in FOLDER. It demands that all new officers have acknowledged, that
you have verified your new share if you stay, and that a drill under the new roster was passed. It asks for no passphrase.

If you leave, destroy your home and all copies of it afterwards: your old share lies sealed in copies of the old roster, and your
key opens it there.`,
		Example: `  sealpost-kra retire /media/stick/reshare --drill /media/stick/drill`,
		Args:    cobra.ExactArgs(1),
	}
	drill := c.Flags().String("drill", "", "the folder of a drill that was passed under the new roster")
	_ = c.MarkFlagRequired("drill") // fails only for a flag that is not there
	c.RunE = func(cmd *cobra.Command, args []string) error {
		o, err := t.officer()
		if err != nil {
			return err
		}
		r, err := o.Retire(args[0], *drill)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "This home has forgotten the roster %s. The one that counts is %s.\n", r.Plan.Previous, r.Hash())
		return err
	}
	return c
}
