package kra

import (
	"context"
	"slices"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
)

// Finish writes the roster file into the ceremony's folder, once every agent has acknowledged, and returns the roster. Its
// hash is the pin that goes into the server's configuration (archive.roster_pins) and that every agent writes down. It
// needs no keys; the plan must have been agreed on in this home.
func (o *Officer) Finish(dir string) (*record.Roster, error) {
	f := folder{dir}
	plan, err := o.agreed(f)
	if err != nil {
		return nil, err
	}
	c, previous, err := f.begin(plan)
	if err != nil {
		return nil, err
	}
	if at, missing := c.Missing(); at != record.RoundDone {
		return nil, waiting(f, plan, previous, at, missing)
	}
	r, err := c.Roster()
	if err != nil {
		return nil, err
	}
	if err := f.publish(RosterFile, r.Bytes()); err != nil {
		return nil, err
	}
	return r, nil
}

// VerifyShare checks a roster against the pin that the officer knows from elsewhere than the file, and all that it says
// against itself, opens the officer's own share from it and compares it with the public one. It returns the agent's id, and
// the home remembers the roster: cases are answered under such rosters only. In the home of somebody who receives recovered
// keys it checks that the roster allows them, and returns 0. Whether the certificates are still valid is not asked: the
// share is there either way.
func (o *Officer) VerifyShare(r *record.Roster, pin record.Hash) (uint16, error) {
	if o.keys == nil {
		return 0, ErrLocked
	}
	opt := record.VerifyOptions{Pins: []record.Hash{pin}, SingleAgentMayOpenAlone: r.Plan.SingleAgentMayOpenAlone}
	if err := r.Verify(opt); err != nil {
		return 0, err
	}
	if err := r.CheckUsages(api.OIDAgentSigning, api.OIDAgentDecryption, api.OIDRecipient); err != nil {
		return 0, err
	}
	if o.keys.signing == nil {
		if _, err := o.recipientIn(r); err != nil {
			return 0, err
		}
		return 0, o.keepRoster(r)
	}
	a, err := o.self(r.Plan)
	if err != nil {
		return 0, err
	}
	share, err := r.OpenShare(a.ID, o.keys.recipient(a.Decryption))
	if err != nil {
		return 0, err
	}
	share.Scalar.Wipe()
	return a.ID, o.keepRoster(r)
}

// agentOf finds this home's officer in a roster, by the card: that needs no passphrase.
func (o *Officer) agentOf(r *record.Roster) (record.Agent, error) {
	card, err := o.Card()
	if err != nil {
		return record.Agent{}, err
	}
	for _, a := range r.Plan.Agents {
		if same(a.Signing.PublicKey, card.Signing.PublicKey) && same(a.Decryption.PublicKey, card.Decryption.PublicKey) {
			return a, nil
		}
	}
	return record.Agent{}, ErrNotInPlan.Withf("%s, whose home this is, is no agent of the roster that the case is put to.", card.Name)
}

// sortRosters puts later epochs first.
func sortRosters(list []*record.Roster) {
	slices.SortStableFunc(list, func(a, b *record.Roster) int { return int(b.Epoch()) - int(a.Epoch()) })
}

// Status is how far a ceremony has come.
type Status struct {
	Plan     *record.Plan
	Previous *record.Roster // in a reshare the roster that is passed on
	Round    record.Round   // what it waits for
	Missing  []uint16       // whose messages of that round are missing; 0 is the dealing machine
	Agreed   bool           // on this machine somebody has compared the plan
	Roster   *record.Roster
}

// Name returns whose message of the round that is under way has an id.
func (s *Status) Name(id uint16) string { return nameOf(s.Plan, s.Previous, s.Round, id) }

// Status looks at a ceremony's folder. It needs no keys and no agreement, and says nothing about whom to trust.
func (o *Officer) Status(dir string) (*Status, error) {
	f := folder{dir}
	plan, err := f.plan()
	if err != nil {
		return nil, err
	}
	c, previous, err := f.begin(plan)
	if err != nil {
		return nil, err
	}
	s := &Status{Plan: plan, Previous: previous}
	s.Round, s.Missing = c.Missing()
	if s.Agreed, err = o.HasAgreed(plan); err != nil {
		return nil, err
	}
	if r, err := ReadRoster(f.path(RosterFile)); err == nil && r.Plan.Hash() == plan.Hash() {
		s.Roster = r
	} else if err != nil && !isMissing(err) {
		return nil, err
	}
	return s, nil
}

// Perform runs a whole ceremony among officers whose homes are all here, by the same steps and checks as on machines apart:
// for demonstrations and drills. The officers must be unlocked. agreed is what they compared. Under a plan of the
// weaker mode the machine has dealt before.
func Perform(ctx context.Context, dir string, agreed Agreement, officers ...*Officer) (*record.Roster, error) {
	var plan *record.Plan
	for _, o := range officers {
		var err error
		if plan, err = o.Agree(dir, agreed); err != nil {
			return nil, err
		}
	}
	if plan == nil {
		return nil, ErrNotInPlan.Withf("There is no officer.")
	}
	steps := []func(*Officer, context.Context, string) (Sent, error){(*Officer).Commit, (*Officer).Reveal, (*Officer).Acknowledge}
	if plan.Origin == record.OriginDealer {
		steps = steps[2:]
	}
	for _, step := range steps {
		for _, o := range officers {
			if _, err := step(o, ctx, dir); err != nil {
				return nil, err
			}
		}
	}
	r, err := officers[0].Finish(dir)
	if err != nil {
		return nil, err
	}
	for _, o := range officers {
		if _, err := o.VerifyShare(r, r.Hash()); err != nil {
			return nil, err
		}
	}
	return r, nil
}
