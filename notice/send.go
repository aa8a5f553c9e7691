package notice

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/mail"
)

// patience is how long a message is offered again to a server that refuses it for good: servers say that of mailboxes
// which come back, and of everything while they are set up wrongly.
const patience = 5 * 24 * time.Hour

// mostUnanswered is how many attempts may end without an answer: each may have brought the message.
const mostUnanswered = 2

// Send sends one message. It is repeated until it returns nil; a message that is out, or is given up, is not sent again.
// When the process dies after the mail server took a message and before that is committed, the message is sent once more,
// with the same Message-ID.
func (t *Teller) Send(ctx context.Context, j jobs.SendNotice) error {
	if t.mute() {
		return ErrNoMail
	}
	var w *waiting
	err := t.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		w, err = selectWaiting(ctx, tx, j)
		return err
	})
	if err != nil || w == nil {
		return err
	}
	what, err := t.attempt(ctx, j, w)
	if err != nil {
		return err
	}
	log := t.Log.With("case", j.Case, "about", j.About, "person", j.Person)
	if what == sent || what == superseded {
		log.Debug("notice done", "outcome", string(what))
	} else {
		log.Error("somebody is not told of a recovery case by mail, or may not have been", "outcome", string(what))
	}
	return t.DB.InTx(context.WithoutCancel(ctx), role, func(tx pgx.Tx) error { return updateOutcome(ctx, tx, j, what, t.Now()) })
}

// attempt tries to send a message and returns what became of it, or an error if it is to be tried again.
func (t *Teller) attempt(ctx context.Context, j jobs.SendNotice, w *waiting) (outcome, error) {
	e, err := eventOf(j.About)
	if err != nil {
		return "", jobs.Cancel(err)
	}
	k, roster, err := t.caseOf(ctx, j.Case)
	if err != nil {
		return "", err
	}
	if overtaken(k, e, w.part, j.Person) {
		return superseded, nil
	}
	to, err := t.addressee(ctx, k, roster, j.Person)
	if err != nil {
		return "", err
	}
	if to.address == "" {
		return noAddress, nil
	}
	l, err := t.letter(ctx, k, roster, e, j.Person, to.name)
	if err != nil {
		return "", err
	}
	subject, text, err := t.letters.write(e.name, w.part, l)
	if err != nil {
		return "", err
	}
	err = t.Mail.Send(ctx, mail.Message{ID: messageID(j), Name: to.name, Address: to.address, Subject: subject, Text: text})
	switch {
	case err == nil:
		return sent, nil
	case errors.Is(err, mail.ErrUnanswered):
		if w.unanswered+1 >= mostUnanswered {
			return unanswered, nil
		}
		ctx := context.WithoutCancel(ctx) // its end may be why there is no answer
		return "", errors.Join(err, t.DB.InTx(ctx, role, func(tx pgx.Tx) error { return updateUnanswered(ctx, tx, j) }))
	case errors.Is(err, mail.ErrRefused) && t.Now().Sub(w.queued) > patience:
		t.Log.Error("a mailbox takes no messages", "person", j.Person, "error", err)
		return refused, nil
	}
	return "", err
}

// messageID is the same at every attempt.
func messageID(j jobs.SendNotice) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %s", j.Case, j.About, j.Person))
	return hex.EncodeToString(sum[:16]) + ".case"
}

// addressee is where somebody is reached.
type addressee struct{ name, address string }

// addressee finds somebody's address: the directory's, which is the current one, else what the case has. The address is
// "" if there is none.
func (t *Teller) addressee(ctx context.Context, k *archive.Case, roster *record.Roster, person uuid.UUID) (addressee, error) {
	p, err := t.Directory.Person(ctx, person)
	if err != nil && !errors.Is(err, directory.ErrUnknownPerson) {
		return addressee{}, err
	}
	if err == nil && len(p.Mailboxes) > 0 {
		return addressee{p.Name, p.Mailboxes[0]}, nil
	}
	return t.leftBehind(ctx, k, roster, person)
}

// leftBehind finds the name and address of somebody who is not in the directory any more: as their key was archived, or as
// their certificate has it.
func (t *Teller) leftBehind(ctx context.Context, k *archive.Case, roster *record.Roster, person uuid.UUID) (addressee, error) {
	h, err := t.Cases.HeaderOf(ctx, k, person)
	if err != nil && !errors.Is(err, archive.ErrUnknownCase) {
		return addressee{}, err
	}
	if err == nil {
		return valid(h.Name, h.Mail), nil
	}
	if k.Requester.Person == person {
		return valid(k.Requester.Name, k.Requester.Certificate.EmailAddresses...), nil
	}
	if roster == nil {
		return addressee{}, nil
	}
	for _, a := range roster.Plan.Agents {
		if a.Person == person {
			return valid(a.Name, a.Signing.EmailAddresses...), nil
		}
	}
	for _, r := range roster.Plan.Recipients {
		if r.Person == person {
			return valid(r.Name, r.Certificate.EmailAddresses...), nil
		}
	}
	return addressee{}, nil
}

// valid returns the first address that is one.
func valid(name string, addresses ...string) addressee {
	for _, a := range addresses {
		if m, err := directory.ParseMailbox(a); err == nil {
			return addressee{name, m}
		}
	}
	return addressee{name: name}
}
