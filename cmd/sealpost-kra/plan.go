package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/kra"
)

func (t *tool) planCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "plan FOLDER CARD...",
		Short: "Write the plan of a ceremony into a new folder",
		Long: `Writes down what the ceremony shall make: whose archive, which officers (one card each, in the order of their numbers),
how many of them open together, and who may receive keys in business and legal cases. One of you does it; the folder then
goes to everybody: on a shared drive, or on a stick that is carried around.

The plan binds nobody yet. Everybody compares its hash with the others before doing anything.`,
		Example: `  sealpost-kra plan /media/stick/ceremony olga.card otto.card odile.card --archive "Example GmbH" --threshold 2 \
    --legal-recipient counsel.card`,
		Args: cobra.MinimumNArgs(2),
	}
	var p planFlags
	f := c.Flags()
	f.StringVar(&p.archive, "archive", "", "name of the archive, for people: your organisation's")
	f.IntVar(&p.threshold, "threshold", 0, "how many officers open together; there must be at least one more")
	f.StringVar(&p.root, "root", "", "file with the authority's root certificate (default: the one you gave at import)")
	f.StringArrayVar(&p.business, "business-recipient", nil, "card of somebody who may receive keys in business cases; may be repeated")
	f.StringArrayVar(&p.legal, "legal-recipient", nil, "card of somebody who may receive keys in legal cases; may be repeated")
	f.BoolVar(&p.dealer, "dealer-machine", false, "WEAKER: this machine makes the whole key and deals it; run plan and \"ceremony deal\" on one offline machine, and wipe it")
	f.BoolVar(&p.single, "single-agent-may-open-alone", false, "WEAKER: permit --threshold 1, under which any officer alone opens everything")
	_ = c.MarkFlagRequired("archive") // these fail only for flags that are not there
	_ = c.MarkFlagRequired("threshold")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		o, err := t.officer()
		if err != nil {
			return err
		}
		conf, err := p.config(o, args[1:])
		if err != nil {
			return err
		}
		if p.dealer {
			if conf.DealerMachine, err = t.dealerKey(cmd, o); err != nil {
				return err
			}
		}
		plan, err := kra.WritePlan(args[0], *conf)
		if err != nil {
			return err
		}
		w := cmd.OutOrStdout()
		describePlan(plan).print(w)
		_, err = fmt.Fprintf(w, "\nThe plan is in %s. Everybody compares the sixteen words, then goes on.\n", args[0])
		return err
	}
	return c
}

type planFlags struct {
	archive, root   string
	threshold       int
	business, legal []string
	dealer, single  bool
}

func (p *planFlags) config(o *kra.Officer, cards []string) (*kra.PlanConfig, error) {
	conf := &kra.PlanConfig{Archive: p.archive, Threshold: p.threshold, SingleAgentMayOpenAlone: p.single}
	var err error
	if p.root != "" {
		conf.Roots, err = kra.ReadCertificates(p.root)
	} else {
		conf.Roots, err = o.Roots()
	}
	if errors.Is(err, kra.ErrNoCard) {
		return nil, errors.New("nothing was imported here yet; give the authority's root certificate with --root")
	}
	if err != nil {
		return nil, err
	}
	for _, path := range cards {
		card, err := kra.ReadAgentCard(path)
		if err != nil {
			return nil, err
		}
		conf.Agents = append(conf.Agents, card)
	}
	if conf.Business, err = readRecipients(p.business); err != nil {
		return nil, err
	}
	conf.Legal, err = readRecipients(p.legal)
	return conf, err
}

func readRecipients(paths []string) ([]*kra.RecipientCard, error) {
	var out []*kra.RecipientCard
	for _, path := range paths {
		card, err := kra.ReadRecipientCard(path)
		if err != nil {
			return nil, err
		}
		out = append(out, card)
	}
	return out, nil
}

func (t *tool) dealerKey(c *cobra.Command, o *kra.Officer) ([]byte, error) {
	p, err := t.newPassphrase(c)
	if err != nil {
		return nil, err
	}
	defer clear(p)
	return o.DealerKey(c.Context(), p)
}
