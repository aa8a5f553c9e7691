package enroll

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/audit"
)

// maxTokenLife bounds how long a token may wait to be used.
const maxTokenLife = 30 * 24 * time.Hour

// Token is an enrolment token: it stands for a person's login, for one request.
type Token struct {
	Secret string // shown once; the database has its hash alone
	Person directory.Person
	Ends   time.Time
}

// MintToken makes a token for the person with that mail address. Only a registrar may, and not for themselves.
func (r *Registry) MintToken(ctx context.Context, by audit.Actor, mailbox string, life time.Duration) (*Token, error) {
	if !by.Has(audit.Registrar) {
		return nil, ErrNotAllowed.Withf("Only a registrar may make enrolment tokens.")
	}
	if life <= 0 || life > maxTokenLife {
		return nil, ErrNotAllowed.Withf("A token lives for up to %d hours.", int(maxTokenLife.Hours()))
	}
	person, err := r.Directory.ByMailbox(ctx, mailbox)
	if err != nil {
		return nil, err
	}
	if person.ID == by.Person {
		return nil, ErrOwnRequest.Withf("A registrar may not make a token for themselves.")
	}
	now := r.Now()
	t := &Token{Secret: newSecret(), Person: person, Ends: now.Add(life)}
	err = r.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		if err := insertToken(ctx, tx, t.Secret, person.ID, by.Person, now, t.Ends); err != nil {
			return err
		}
		_, err := audit.Append(ctx, tx, now, by, audit.Event{Kind: "enrolment.token", Subject: "person:" + person.ID.String(),
			Person: person.ID, Data: map[string]any{"ends": t.Ends}})
		return err
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// newSecret returns 160 random bits in 32 characters that are easy to copy.
func newSecret() string {
	b := make([]byte, 20)
	_, _ = rand.Read(b) // never fails
	return strings.ToLower(base32.StdEncoding.EncodeToString(b))
}

// TokenActor returns who a token speaks for. The token is not spent by this; Submit spends it. It returns ErrToken for
// one that is unknown or has ended.
func (r *Registry) TokenActor(ctx context.Context, token string) (audit.Actor, error) {
	var person directory.Person
	b := &pgx.Batch{}
	queueToken(b, token, r.Now(), &person.ID)
	err := r.DB.Batch(ctx, role, b)
	if err != nil {
		return audit.Actor{}, err
	}
	if person, err = r.Directory.Person(ctx, person.ID); err != nil {
		return audit.Actor{}, err
	}
	if person.Disabled {
		return audit.Actor{}, directory.ErrDisabled
	}
	actor := person.Actor(audit.MethodToken, audit.StrengthPassword)
	actor.Roles = []audit.Role{audit.Subscriber} // a token enrols; it never lends other rights
	return actor, nil
}
