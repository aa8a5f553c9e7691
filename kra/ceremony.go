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
		return s.ceremony.Commit(s.agent.ID, threshold.Share{}, o.keys.signing)
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
	agent    record.Agent // zero on a dealing machine
	ceremony *record.Ceremony
	resumed  bool // from what the home kept
}

func (s *seat) recipient(o *Officer) cms.Recipient { return o.keys.recipient(s.agent.Decryption) }

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
		if err := s.due(round); err != nil {
			return err
		}
		sent = Sent{Agent: s.agent.ID, Round: round, File: s.folder.path(MessageFile(s.agent.ID, round)), Again: s.has(round)}
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
		return s.folder.publish(MessageFile(s.agent.ID, round), m)
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
	if s.agent, err = o.self(s.plan); err != nil {
		return nil, err
	}
	if err := s.resume(s.recipient(o)); err != nil {
		return nil, err
	}
	return s, s.folder.addTo(s.ceremony)
}

// resume reads what the home kept of the ceremony, or begins it.
func (s *seat) resume(key cms.Recipient) error {
	name := ceremonyFile(s.plan, sealedState)
	sealed, err := s.home.read(name, maxState)
	if err != nil {
		return err
	}
	if sealed == nil {
		s.ceremony, err = record.NewCeremony(s.plan, nil)
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
	c, err := record.ResumeCeremony(state, nil)
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
	sealed, err := cms.Seal(state, []*x509.Certificate{s.agent.Decryption}, cms.SealOptions{})
	if err != nil {
		return fmt.Errorf("seal the state of the ceremony: %w", err)
	}
	return s.home.write(ceremonyFile(s.plan, sealedState), sealed)
}

// has reports whether this officer's message of a round has been seen, here or in the folder.
func (s *seat) has(round record.Round) bool {
	at, missing := s.ceremony.Missing()
	return at > round || at == round && !slices.Contains(missing, s.agent.ID)
}

// due refuses a round before everybody's messages of the one before are there.
func (s *seat) due(round record.Round) error {
	at, missing := s.ceremony.Missing()
	if at >= round {
		return nil
	}
	return waiting(s.folder, s.plan, at, missing)
}

// waiting names who has not sent what.
func waiting(f folder, plan *record.Plan, round record.Round, missing []uint16) error {
	var who []string
	for _, id := range missing {
		who = append(who, fmt.Sprintf("%s (%s)", MessageFile(id, round), nameOf(plan, id)))
	}
	return ErrWaiting.Withf("In %s there is still missing: %s.", f.dir, strings.Join(who, ", "))
}

func nameOf(plan *record.Plan, id uint16) string {
	if a, ok := plan.Agent(id); ok {
		return a.Name
	}
	return "the dealing machine"
}

func (s *seat) secretLost() error {
	if s.has(record.RoundReveal) {
		return ErrSecretLost.Withf("Agent %d (%s) has already revealed, and this home keeps nothing of it. There is nothing more to do in this round.", s.agent.ID, s.agent.Name)
	}
	return ErrSecretLost.Withf("Agent %d (%s) has committed to a secret that is not in %s. Go on with the home where it was made. "+
		"If that is lost, the ceremony cannot be finished: begin a new one, with a new plan.", s.agent.ID, s.agent.Name, s.home.dir)
}
