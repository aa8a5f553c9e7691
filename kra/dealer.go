package kra

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/archive/threshold"
	"github.com/sealpost/sealpost/internal/keys"
)

// DealerKey returns the public key of this home as a dealing machine, made at the first call, for PlanConfig. The machine
// should be offline and be wiped after the ceremony: for a moment it holds the whole key of the archive.
func (o *Officer) DealerKey(ctx context.Context, passphrase keys.Unlock) ([]byte, error) {
	if err := checkPassphrase(passphrase); err != nil {
		return nil, err
	}
	if err := o.home.make(); err != nil {
		return nil, err
	}
	var key crypto.Signer
	err := o.home.locked(func() (err error) {
		key, err = createOrOpen(ctx, o.home.path(dealerKey), passphrase)
		return err
	})
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("encode the dealing machine's key: %w", err)
	}
	return der, nil
}

// Deal makes both messages of the dealing machine, in place of everybody's Commit and Reveal. The archive's key exists
// in this process's memory alone and is never written down: what the home keeps are the messages, so that it can say the
// same again. The plan must have been agreed on in this home.
func (o *Officer) Deal(ctx context.Context, dir string, passphrase keys.Unlock) ([]Sent, error) {
	key, err := keys.Open(ctx, o.home.path(dealerKey), passphrase)
	if errors.Is(err, keys.ErrMissing) {
		return nil, ErrNoKeys.Withf("The home %s is not that of a dealing machine: it has no %s.", o.home.dir, dealerKey).Because(err)
	}
	if err != nil {
		return nil, err
	}
	var sent []Sent
	err = o.home.locked(func() (err error) {
		sent, err = o.deal(folder{dir}, key)
		return err
	})
	return sent, err
}

func (o *Officer) deal(f folder, key crypto.Signer) ([]Sent, error) {
	plan, err := o.agreed(f)
	if err != nil {
		return nil, err
	}
	if plan.Origin != record.OriginDealer || plan.IsReshare() {
		return nil, ErrPlan.Withf("%s: Under this plan the agents make the key together; no machine deals.", f.path(PlanFile))
	}
	s := &seat{home: o.home, folder: f, plan: plan}
	if err := s.resumeDealt(); err != nil {
		return nil, err
	}
	if err := f.addTo(s.ceremony); err != nil {
		return nil, err
	}
	if !s.resumed {
		if at, _ := s.ceremony.Missing(); at != record.RoundCommit {
			return nil, ErrSecretLost.Withf("In %s a machine has dealt already, and not with the home %s. Go on there, or begin a new ceremony with a new plan.", f.dir, o.home.dir)
		}
		if err := s.dealOnce(key); err != nil {
			return nil, err
		}
	}
	return s.publishDealt()
}

func (s *seat) resumeDealt() error {
	name := ceremonyFile(s.plan, dealtState)
	state, err := s.home.read(name, maxState)
	if err != nil {
		return err
	}
	if state != nil {
		return s.resumeFrom(name, state)
	}
	s.ceremony, err = record.NewCeremony(s.plan, nil)
	return err
}

// dealOnce does both rounds before anything is written: what is then saved holds no secret any more.
func (s *seat) dealOnce(key crypto.Signer) error {
	if _, err := s.ceremony.Commit(0, threshold.Share{}, key); err != nil {
		return err
	}
	if _, err := s.ceremony.Reveal(key); err != nil {
		return err
	}
	state, err := s.ceremony.Save()
	if err != nil {
		return err
	}
	return s.home.write(ceremonyFile(s.plan, dealtState), state)
}

// publishDealt writes the dealer's messages, which are the ceremony's first two.
func (s *seat) publishDealt() ([]Sent, error) {
	messages := s.ceremony.Messages()
	if len(messages) < 2 {
		return nil, ErrState.Withf("%s is not complete.", s.home.path(ceremonyFile(s.plan, dealtState)))
	}
	var sent []Sent
	for i, round := range []record.Round{record.RoundCommit, record.RoundReveal} {
		name := MessageFile(0, round)
		if err := s.folder.publish(name, messages[i]); err != nil {
			return sent, err
		}
		sent = append(sent, Sent{Round: round, File: s.folder.path(name), Again: s.resumed})
	}
	return sent, nil
}
