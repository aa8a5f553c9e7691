package kra

import (
	"crypto/x509"
	"path"

	"github.com/sealpost/sealpost/archive/record"
)

// Agreement is what a person has convinced themselves of before this machine says anything in a ceremony.
type Agreement struct {
	Hash  record.Hash         // of the plan, as the officers compared it among themselves
	Roots []*x509.Certificate // nil means those given at Import

	// SingleAgentMayOpenAlone accepts a plan under which one agent alone opens everything.
	SingleAgentMayOpenAlone bool
}

// Inspect checks the plan in a ceremony's folder, every certificate included, before people go to the trouble of comparing
// it: a zero Hash is not looked at. Revocation is not checked: it cannot be, offline.
func (o *Officer) Inspect(dir string, a Agreement) (*record.Plan, error) {
	plan, _, err := o.inspect(dir, a)
	return plan, err
}

// Agree inspects the plan and remembers in the home that it is the one the officers compared. Every later step demands
// that it still is.
func (o *Officer) Agree(dir string, a Agreement) (*record.Plan, error) {
	plan, t, err := o.inspect(dir, a)
	if err != nil {
		return nil, err
	}
	if plan.Hash() != a.Hash {
		return nil, ErrNotAgreed
	}
	if err := o.home.locked(func() error { return o.remember(plan, t) }); err != nil {
		return nil, err
	}
	return plan, nil
}

func (o *Officer) inspect(dir string, a Agreement) (*record.Plan, trust, error) {
	f := folder{dir}
	t := trust{roots: a.Roots, now: o.now()}
	plan, err := f.plan()
	switch {
	case err != nil:
		return nil, t, err
	case !a.Hash.IsZero() && plan.Hash() != a.Hash:
		return nil, t, ErrPlan.Withf("%s has another hash than the plan that was compared. Somebody may have exchanged it: do not go on, ask the others.", f.path(PlanFile))
	case plan.SingleAgentMayOpenAlone && !a.SingleAgentMayOpenAlone:
		return nil, t, record.ErrSingleAgent.Withf("Under this plan a single agent opens everything alone. That must be accepted by name.")
	}
	if _, err := f.previous(plan); err != nil {
		return nil, t, err
	}
	if t.roots == nil {
		if t.roots, err = o.Roots(); err != nil {
			return nil, t, err
		}
	}
	if t.between, err = f.intermediates(); err != nil {
		return nil, t, err
	}
	return plan, t, t.plan(plan)
}

func (o *Officer) remember(plan *record.Plan, t trust) error {
	for _, file := range []struct {
		name string
		data []byte
	}{{rootsFile, encodeCertificates(t.roots)}, {IntermediatesFile, encodeCertificates(t.between)}, {PlanFile, plan.Bytes()}} {
		if err := o.home.write(ceremonyFile(plan, file.name), file.data); err != nil {
			return err
		}
	}
	return nil
}

func ceremonyFile(plan *record.Plan, name string) string {
	return path.Join(ceremonyFolder, plan.Hash().String(), name)
}

// HasAgreed reports whether this home remembers an agreement on exactly this plan.
func (o *Officer) HasAgreed(plan *record.Plan) (bool, error) {
	b, err := o.home.read(ceremonyFile(plan, PlanFile), maxPlan)
	return b != nil && record.Hash(sha(b)) == plan.Hash(), err
}

// agreed returns the folder's plan after checking it, and its certificates as they are today, against the agreement.
func (o *Officer) agreed(f folder) (*record.Plan, error) {
	plan, err := f.plan()
	if err != nil {
		return nil, err
	}
	ok, err := o.HasAgreed(plan)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, ErrNotAgreed.Withf("%s: On this machine nobody has compared this plan with the other officers.", f.path(PlanFile))
	}
	t := trust{now: o.now()}
	if t.roots, err = o.remembered(plan, rootsFile); err != nil {
		return nil, err
	}
	if t.between, err = o.remembered(plan, IntermediatesFile); err != nil {
		return nil, err
	}
	return plan, t.plan(plan)
}

func (o *Officer) remembered(plan *record.Plan, name string) ([]*x509.Certificate, error) {
	b, err := o.home.read(ceremonyFile(plan, name), maxCard*4)
	if err != nil || len(b) == 0 {
		return nil, err
	}
	certs, err := ParseCertificates(b)
	return certs, inFile(o.home.path(ceremonyFile(plan, name)), err)
}

// self finds this officer among the plan's agents.
func (o *Officer) self(plan *record.Plan) (record.Agent, error) {
	if o.keys.signing == nil {
		return record.Agent{}, ErrNotInPlan.Withf("In %s there is the key of a recipient, not of an officer.", o.home.dir)
	}
	for _, a := range plan.Agents {
		signs, opens := same(a.Signing.PublicKey, o.keys.signing.Public()), same(a.Decryption.PublicKey, o.keys.decryption.Public())
		switch {
		case signs && opens:
			return a, nil
		case signs || opens:
			return record.Agent{}, ErrNotInPlan.Withf("Of agent %d (%s) only one key is in %s: the plan mixes certificates of two homes.", a.ID, a.Name, o.home.dir)
		}
	}
	return record.Agent{}, ErrNotInPlan.Withf("The keys in %s are those of no agent in this plan.", o.home.dir)
}
