package testmail

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/pg"
)

// Letter is what a test mail says, in the reader's language. The desk adds the word that makes an answer known, and the one that
// shows that the mail was read.
type Letter struct {
	Subject string
	Text    string // lines end with \n; CodeHere stands for the word inside
}

// CodeHere stands in a Letter's text for the word by which an answer shows that the mail was read.
const CodeHere = "{code}"

// maxLetter bounds both, in bytes.
const maxLetter = 8 << 10

// Begin sends somebody a test mail, in a moment: to their own first address, as the directory has it now, encrypted to their newest
// certificate for it. It returns ErrNoAddress, ErrNoCertificate, ErrTooMany or ErrNotReady.
func (d *Desk) Begin(ctx context.Context, by audit.Actor, l Letter) (*Test, error) {
	if len(l.Subject)+len(l.Text) > maxLetter || !strings.Contains(l.Text, CodeHere) {
		return nil, errors.New("testmail: the letter is too long, or has no place for the code")
	}
	if _, err := d.current(ctx); err != nil {
		return nil, err
	}
	person, err := d.Directory.Person(ctx, by.Person)
	if err != nil {
		return nil, err
	}
	if person.Disabled || len(person.Mailboxes) == 0 {
		return nil, ErrNoAddress
	}
	mailbox := person.Mailboxes[0]
	held, err := d.holdings(ctx, person.ID)
	if err != nil {
		return nil, err
	}
	to := held.newest(mailbox, (*ca.Profile).Encrypts)
	if to == nil {
		return nil, ErrNoCertificate
	}
	now := d.Now()
	t := &Test{ID: uuid.New(), Person: person.ID, Mailbox: mailbox, Begun: now, Until: now.Add(d.Wait), State: Sending}
	token, code := word(20), word(10)
	err = d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		if err := pg.Lock(ctx, tx, "testmail-"+person.ID.String()); err != nil {
			return err
		}
		n, err := countSince(ctx, tx, person.ID, now.Add(-recently))
		if err != nil {
			return err
		}
		if n >= maxRecent {
			return ErrTooMany
		}
		if err := insertTest(ctx, tx, t, person.Name, to.DER, token, code, l); err != nil {
			return err
		}
		if err := deleteOld(ctx, tx, person.ID, keptEach); err != nil {
			return err
		}
		if _, err := audit.Append(ctx, tx, now, by, audit.Event{Kind: "testmail.begun", Subject: "test:" + t.ID.String(), Person: person.ID,
			Data: map[string]string{"mailbox": mailbox, "certificate": to.Issuer + "/" + to.Serial.String()}}); err != nil {
			return err
		}
		return d.Jobs.Insert(ctx, tx, jobs.SendTestMail{Test: t.ID}, jobs.ReadTestMail{Soon: true})
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// alphabet is that of RFC 4648's base 32, in lower case.
const alphabet = "abcdefghijklmnopqrstuvwxyz234567"

// word is a random one, with 5 bits in each letter.
func word(letters int) string {
	b := make([]byte, letters)
	rand.Read(b)
	for i := range b {
		b[i] = alphabet[b[i]&31]
	}
	return string(b)
}

// Tests returns somebody's tests, the newest first.
func (d *Desk) Tests(ctx context.Context, by audit.Actor) ([]Test, error) {
	var out []Test
	err := d.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		out, err = selectTests(ctx, tx, by.Person, d.Now())
		return err
	})
	return out, err
}

// LastLook says how the mailbox was found last.
func (d *Desk) LastLook(ctx context.Context) (l Look, err error) {
	err = d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		l, err = selectLook(ctx, tx)
		return err
	})
	return l, err
}

// holdings are somebody's certificates that are valid and not revoked, the newest first.
type holdings struct {
	d   *Desk
	all []ca.Certificate
}

func (d *Desk) holdings(ctx context.Context, person uuid.UUID) (*holdings, error) {
	found, err := d.Authority.Find(ctx, ca.Query{Person: &person, State: ca.Good, ValidAt: d.Now()})
	return &holdings{d, found}, err
}

// newest returns the newest certificate for mail that does something, and names a mailbox; nil if there is none.
func (h *holdings) newest(mailbox string, does func(*ca.Profile) bool) *ca.Certificate {
	for i, c := range h.all {
		p, err := h.d.Authority.Profile(c.Profile)
		if err == nil && p.Mail() && does(p) && slices.Contains(c.Mailboxes, strings.ToLower(mailbox)) {
			return &h.all[i]
		}
	}
	return nil
}

// pending is a test whose mail is not out yet.
type pending struct {
	token, code, name, mailbox, subject, text string
	certificate                               []byte
}

// send sends a test's mail. It is repeated until the server has taken it, or refuses it, or nobody waits any more.
func (d *Desk) send(ctx context.Context, j jobs.SendTestMail) error {
	var p *pending
	err := d.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		p, err = selectPending(ctx, tx, j.Test, d.Now())
		return err
	})
	if err != nil || p == nil {
		return err
	}
	m, err := d.compose(ctx, p)
	if err != nil {
		return err
	}
	sent := d.Mail.Send(ctx, m)
	ctx = context.WithoutCancel(ctx) // its end may be why the mail is not out
	now := d.Now()
	var failure, said string
	if sent != nil {
		failure, said = "mail-unavailable", mail.Said(sent)
		if f := fault.Of(sent); f != nil {
			failure = f.Code
		}
		d.Log.Warn("a test mail was not taken", "test", j.Test, "error", sent)
	}
	// Whether a mail without an answer arrived nobody knows. It is not sent twice: whoever gets none asks for another.
	done := sent == nil || errors.Is(sent, mail.ErrUnanswered)
	final := errors.Is(sent, mail.ErrRefused)
	if err := d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		return updateSent(ctx, tx, j.Test, now, done, final, failure, said)
	}); err != nil {
		return err
	}
	if done || final {
		return nil
	}
	return sent
}

// compose makes a test's mail: signed, then encrypted to the person and to nobody else.
func (d *Desk) compose(ctx context.Context, p *pending) (mail.Message, error) {
	i, err := d.current(ctx)
	if err != nil {
		return mail.Message{}, err
	}
	to, err := x509.ParseCertificate(p.certificate)
	if err != nil {
		return mail.Message{}, err
	}
	profile, err := d.Authority.Profile(ca.TestMailboxSigning)
	if err != nil {
		return mail.Message{}, err
	}
	text := strings.ReplaceAll(p.text, CodeHere, p.code)
	entity, err := signed(textEntity(text), i, profile.Issuer().Chain(), d.Now())
	if err != nil {
		return mail.Message{}, fmt.Errorf("sign the test mail: %w", err)
	}
	sealed, err := cms.Seal(entity, []*x509.Certificate{to}, cms.SealOptions{Legacy: true, PKCS1v15: true})
	if err != nil {
		return mail.Message{}, fmt.Errorf("encrypt the test mail: %w", err)
	}
	return mail.Message{ID: p.token + idEnd, Name: p.name, Address: p.mailbox, From: d.Address,
		Subject: p.subject + " [" + p.token + "]", Sealed: sealed}, nil
}

// idEnd ends the part of a test mail's Message-ID before the @.
const idEnd = ".test"
