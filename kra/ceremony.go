package kra

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/archive/threshold"
	"github.com/sealpost/sealpost/cms"
)

// maxState bounds a saved ceremony, in bytes, sealed or not.
const maxState = 1 << 28

// Sent is a message that now lies in the ceremony's folder.
type Sent struct {
	Agent uint16 // 0: the dealing machine
	Round record.Round
	File  string // its path
	Again bool   // it was made earlier; this machine says the same again
}

// Commit is round 1: it draws this officer's secret, keeps it in the home, and publishes what binds the officer to it.
func (o *Officer) Commit(ctx context.Context, dir string) (Sent, error) {
	return o.step(ctx, dir, record.RoundCommit, func(s *seat) ([]byte, error) {
		if !s.resumed && s.has(record.RoundCommit) {
			return nil, s.secretLost()
		}
		share, err := s.oldShare(o)
		if err != nil {
			return nil, err
		}
		defer share.Scalar.Wipe()
		return s.ceremony.Commit(s.dealer.ID, share, o.keys.signing)
	})
}

// Reveal is round 2: it publishes the commitments, and to every agent a sealed part of the secret, which is then erased.
func (o *Officer) Reveal(ctx context.Context, dir string) (Sent, error) {
	return o.step(ctx, dir, record.RoundReveal, func(s *seat) ([]byte, error) {
		if !s.resumed {
			return nil, s.secretLost()
		}
		return s.ceremony.Reveal(o.keys.signing)
	})
}

// Acknowledge is round 3: it opens what every dealer sealed to this officer, checks it, seals the share to the officer
// and signs all that was seen.
func (o *Officer) Acknowledge(ctx context.Context, dir string) (Sent, error) {
	return o.step(ctx, dir, record.RoundAcknowledge, func(s *seat) ([]byte, error) {
		return s.ceremony.Acknowledge(s.agent.ID, s.recipient(o), o.keys.signing)
	})
}

// seat is one machine's place in one ceremony.
type seat struct {
	home     home
	folder   folder
	plan     *record.Plan
	agent    record.Agent   // in the new roster; zero on a dealing machine, and for an officer who leaves
	dealer   record.Agent   // in a reshare who this is in the previous roster, if it deals; else as agent
	previous *record.Roster // in a reshare
	ceremony *record.Ceremony
	resumed  bool // from what the home kept
}

func (s *seat) recipient(o *Officer) cms.Recipient { return o.keys.recipient(s.agent.Decryption) }

// own returns the certificate to which this home seals what it keeps.
func (s *seat) own() *x509.Certificate {
	if s.agent.ID != 0 {
		return s.agent.Decryption
	}
	return s.dealer.Decryption
}

// id returns as whom this officer speaks in a round.
func (s *seat) id(round record.Round) (uint16, error) {
	switch {
	case round == record.RoundAcknowledge && s.agent.ID == 0:
		return 0, ErrNotInPlan.Withf("%s hands over in this reshare, and is not among the new officers. There is nothing more to do in this round.", s.dealer.Name)
	case round == record.RoundAcknowledge:
		return s.agent.ID, nil
	case s.dealer.ID == 0:
		return 0, ErrNotInPlan.Withf("%s does not deal in this reshare. Wait for the third round: acknowledge.", s.agent.Name)
	}
	return s.dealer.ID, nil
}

// oldShare opens the share that is passed on in a reshare; zero for a new key. The caller erases it.
func (s *seat) oldShare(o *Officer) (threshold.Share, error) {
	switch {
	case s.previous == nil:
		return threshold.Share{}, nil
	case s.has(record.RoundCommit): // it is passed on once
		return threshold.Share{Agent: s.dealer.ID}, nil
	}
	if err := o.knows(s.previous); err != nil {
		return threshold.Share{}, err
	}
	return s.previous.OpenShare(s.dealer.ID, o.keys.recipient(s.dealer.Decryption))
}

// step does one round: everything is checked before, and the home has written down what is said before it is said.
func (o *Officer) step(ctx context.Context, dir string, round record.Round, do func(*seat) ([]byte, error)) (Sent, error) {
	if o.keys == nil {
		return Sent{}, ErrLocked
	}
	var sent Sent
	err := o.home.locked(func() error {
		s, err := o.sit(dir)
		if err != nil {
			return err
		}
		id, err := s.id(round)
		if err != nil {
			return err
		}
		if err := s.due(round); err != nil {
			return err
		}
		sent = Sent{Agent: id, Round: round, File: s.folder.path(MessageFile(id, round)), Again: s.has(round)}
		if err := ctx.Err(); err != nil {
			return err
		}
		m, err := do(s)
		if err != nil {
			return err
		}
		if err := s.save(); err != nil {
			return err
		}
		return s.folder.publish(MessageFile(id, round), m)
	})
	return sent, err
}

// sit takes the officer's place: the agreed plan, what this home has said and seen before, and what lies in the folder.
func (o *Officer) sit(dir string) (*seat, error) {
	s := &seat{home: o.home, folder: folder{dir}}
	var err error
	if s.plan, err = o.agreed(s.folder); err != nil {
		return nil, err
	}
	if s.previous, err = s.folder.previous(s.plan); err != nil {
		return nil, err
	}
	if err := s.find(o); err != nil {
		return nil, err
	}
	if err := s.resume(o.keys.recipient(s.own())); err != nil {
		return nil, err
	}
	return s, s.folder.addTo(s.ceremony)
}

// find finds this officer among those who deal and those who receive.
func (s *seat) find(o *Officer) error {
	var err error
	s.agent, err = o.self(s.plan)
	if s.previous == nil {
		s.dealer = s.agent
		return err
	}
	if old, notOld := o.self(s.previous.Plan); notOld == nil && slices.Contains(s.plan.Dealers, old.ID) {
		s.dealer = old
		return nil
	}
	return err
}

// resume reads what the home kept of the ceremony, or begins it.
func (s *seat) resume(key cms.Recipient) error {
	name := ceremonyFile(s.plan, sealedState)
	sealed, err := s.home.read(name, maxState)
	if err != nil {
		return err
	}
	if sealed == nil {
		s.ceremony, err = record.NewCeremony(s.plan, s.previous)
		return err
	}
	opened, err := cms.Open(sealed, key, cms.OpenOptions{MaxSize: maxState})
	if err != nil {
		return ErrState.Withf("%s cannot be opened with the keys of this home: it is damaged, or of another officer.", s.home.path(name)).Because(err)
	}
	defer clear(opened.Content)
	return s.resumeFrom(name, opened.Content)
}

func (s *seat) resumeFrom(name string, state []byte) error {
	c, err := record.ResumeCeremony(state, s.previous)
	if err != nil {
		return inFile(s.home.path(name), err)
	}
	if c.Plan().Hash() != s.plan.Hash() {
		return ErrState.Withf("%s belongs to another ceremony.", s.home.path(name))
	}
	s.ceremony, s.resumed = c, true
	return nil
}

// save writes down what this machine has said and seen, and between the rounds its secret, sealed to the officer.
func (s *seat) save() error {
	state, err := s.ceremony.Save()
	if err != nil {
		return err
	}
	defer clear(state)
	sealed, err := cms.Seal(state, []*x509.Certificate{s.own()}, cms.SealOptions{})
	if err != nil {
		return fmt.Errorf("seal the state of the ceremony: %w", err)
	}
	return s.home.write(ceremonyFile(s.plan, sealedState), sealed)
}

// has reports whether this officer's message of a round has been seen, here or in the folder.
func (s *seat) has(round record.Round) bool {
	at, missing := s.ceremony.Missing()
	id := s.dealer.ID
	if round == record.RoundAcknowledge {
		id = s.agent.ID
	}
	return at > round || at == round && !slices.Contains(missing, id)
}

// due refuses a round before everybody's messages of the one before are there.
func (s *seat) due(round record.Round) error {
	at, missing := s.ceremony.Missing()
	if at >= round {
		return nil
	}
	return waiting(s.folder, s.plan, s.previous, at, missing)
}

// waiting names who has not sent what.
func waiting(f folder, plan *record.Plan, previous *record.Roster, round record.Round, missing []uint16) error {
	var who []string
	for _, id := range missing {
		who = append(who, fmt.Sprintf("%s (%s)", MessageFile(id, round), nameOf(plan, previous, round, id)))
	}
	return ErrWaiting.Withf("In %s there is still missing: %s.", f.dir, strings.Join(who, ", "))
}

// nameOf returns who has an id in a round: in a reshare the old officers deal.
func nameOf(plan *record.Plan, previous *record.Roster, round record.Round, id uint16) string {
	if previous != nil && round != record.RoundAcknowledge {
		plan = previous.Plan
	}
	if a, ok := plan.Agent(id); ok {
		return a.Name
	}
	return "the dealing machine"
}

func (s *seat) secretLost() error {
	if s.has(record.RoundReveal) {
		return ErrSecretLost.Withf("Agent %d (%s) has already revealed, and this home keeps nothing of it. There is nothing more to do in this round.", s.dealer.ID, s.dealer.Name)
	}
	return ErrSecretLost.Withf("Agent %d (%s) has committed to a secret that is not in %s. Go on with the home where it was made. "+
		"If that is lost, the ceremony cannot be finished: begin a new one, with a new plan.", s.dealer.ID, s.dealer.Name, s.home.dir)
}
