package kra

import (
	"context"
	"crypto/x509"
	"errors"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/delivery"
	"github.com/sealpost/sealpost/internal/keys"
)

// RecipientKeyGen makes the one key of somebody who shall receive recovered keys in business or legal cases, and the
// request for its certificate. It is as KeyGen otherwise.
func (o *Officer) RecipientKeyGen(ctx context.Context, name string, passphrase keys.Unlock) (*Requests, error) {
	if err := errors.Join(checkName(name), checkPassphrase(passphrase)); err != nil {
		return nil, err
	}
	if err := o.home.make(); err != nil {
		return nil, err
	}
	var out *Requests
	err := o.home.locked(func() error {
		if err := o.noKeysYet(); err != nil {
			return err
		}
		key, err := createOrOpen(ctx, o.home.path(decryptionKey), passphrase)
		if err != nil {
			return err
		}
		o.keys = &pair{decryption: key}
		csr, err := request(key, name)
		if err != nil {
			return err
		}
		out = &Requests{Decryption: csr}
		return o.home.write(decryptionCSR, csr)
	})
	return out, err
}

// ImportRecipient takes the card with which the authority's operator answers a recipient: its certificate must be for the
// key of this home, issued for a recipient of recovered keys, and chain to one of roots. Both are kept in the home.
func (o *Officer) ImportRecipient(card *RecipientCard, roots []*x509.Certificate) error {
	if o.keys == nil {
		return ErrLocked
	}
	if !same(card.Certificate.PublicKey, o.keys.decryption.Public()) {
		return ErrOtherKeys.Withf("The certificate of %s on this card is not for the key in %s.", card.Name, o.home.dir)
	}
	t := trust{roots: roots, between: card.Chain, now: o.now()}
	if err := t.certificate(card.Name, "certificate", card.Certificate, api.OIDRecipient); err != nil {
		return err
	}
	text, err := card.Encode()
	if err != nil {
		return err
	}
	return o.home.locked(func() error {
		if err := o.home.write(rootsFile, encodeCertificates(roots)); err != nil {
			return err
		}
		return o.home.write(recipientFile, text)
	})
}

// RecipientCard returns the recipient's own card, as imported.
func (o *Officer) RecipientCard() (*RecipientCard, error) {
	b, err := o.home.read(recipientFile, maxCard)
	if err != nil || b == nil {
		return nil, orIfNil(err, ErrNoCard)
	}
	card, err := ParseRecipientCard(b)
	return card, inFile(o.home.path(recipientFile), err)
}

// recipientIn finds the owner of this home among a roster's recipients.
func (o *Officer) recipientIn(r *record.Roster) (record.Recipient, error) {
	for _, c := range r.Plan.Recipients {
		if same(c.Certificate.PublicKey, o.keys.decryption.Public()) {
			return c, nil
		}
	}
	return record.Recipient{}, ErrNotInPlan.Withf("The key in %s is that of no recipient in this roster.", o.home.dir)
}

// Receive opens a case's folder as its recipient: the owner of this home, whom the roster allows to receive, or an officer
// in a drill. The case must be put to a roster that was verified here. progress is as for Examine.
func (o *Officer) Receive(dir string, progress func(done, total int)) (*delivery.Opening, error) {
	if o.keys == nil {
		return nil, ErrLocked
	}
	f := delivery.Open(dir)
	r, err := f.Roster()
	if err != nil {
		return nil, err
	}
	if err := o.knows(r); err != nil {
		return nil, err
	}
	to, err := o.receiver(r)
	if err != nil {
		return nil, err
	}
	return delivery.NewOpening(f, delivery.OpeningConfig{Pins: []record.Hash{r.Hash()}, Recipient: to, Progress: progress,
		SingleAgentMayOpenAlone: r.Plan.SingleAgentMayOpenAlone})
}

// receiver returns what this home receives with.
func (o *Officer) receiver(r *record.Roster) (cms.Recipient, error) {
	to := cms.Recipient{Key: o.keys.decryption}
	if o.keys.signing == nil {
		me, err := o.recipientIn(r)
		to.Certificate = me.Certificate
		return to, err
	}
	card, err := o.Card()
	if err != nil {
		return to, err
	}
	to.Certificate = card.Decryption
	return to, nil
}

// Delivery returns which of the deliveries of a case's folder is for this home. The home must be unlocked.
func (o *Officer) Delivery(f delivery.Folder) (int, error) {
	if o.keys == nil {
		return 0, ErrLocked
	}
	c, err := f.Case()
	if err != nil {
		return 0, err
	}
	r, err := f.Roster()
	if err != nil {
		return 0, err
	}
	me, err := o.receiver(r)
	if err != nil {
		return 0, err
	}
	for i, d := range c.Deliveries {
		if d.Recipient.Equal(me.Certificate) {
			return i, nil
		}
	}
	return 0, delivery.ErrRecipient
}
