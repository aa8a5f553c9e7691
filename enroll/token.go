package enroll

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/audit"
)

// maxTokenLife bounds how long a token may wait to be used.
const maxTokenLife = 30 * 24 * time.Hour

// TokenUse is who is to use a token. It binds nobody: it is what the maker says, and what the record keeps.
type TokenUse string

// The uses.
const (
	Handed TokenUse = "handed" // the person, to whom it is handed over
	Behalf TokenUse = "behalf" // its maker, for the person: the keys are made where the maker is
)

// TokenOrder is what a token is wanted for.
type TokenOrder struct {
	Person uuid.UUID
	Life   time.Duration
	Use    TokenUse  // "" means Handed
	Form   uuid.UUID // names the wish: the same one makes no second token; uuid.Nil names none
}

// Token is an enrolment token: it stands for a person's login, for one request.
type Token struct {
	Number int64  // its name; tells nothing of the secret
	Secret string // shown once; the database has its hash alone
	Person directory.Person
	Use    TokenUse
	Ends   time.Time
}

// MintToken makes a token for the person with that mail address. Only a registrar may, and not for themselves. The order's person
// is left out; of one name, the maker's own for the wish, a person gets one token: it returns ErrTokenMade for the second. "" names none.
func (r *Registry) MintToken(ctx context.Context, by audit.Actor, mailbox, name string, o TokenOrder) (*Token, error) {
	if err := mayMint(by, o); err != nil {
		return nil, err
	}
	person, err := r.Directory.ByMailbox(ctx, mailbox)
	if err != nil {
		return nil, err
	}
	o.Person, o.Form = person.ID, FormOf(by, name, person.ID)
	return r.mint(ctx, by, person, o)
}

// MintTokenFor is MintToken for a person by id. It returns ErrTokenMade when a token was made for the order's form.
func (r *Registry) MintTokenFor(ctx context.Context, by audit.Actor, o TokenOrder) (*Token, error) {
	if err := mayMint(by, o); err != nil {
		return nil, err
	}
	person, err := r.person(ctx, o.Person)
	if err != nil {
		return nil, err
	}
	return r.mint(ctx, by, person, o)
}

func mayMint(by audit.Actor, o TokenOrder) error {
	if !by.Has(audit.Registrar) {
		return ErrNotAllowed.Withf("Only a registrar may make enrolment tokens.")
	}
	if o.Life <= 0 || o.Life > maxTokenLife {
		return ErrNotAllowed.Withf("A token lives for up to %d hours.", int(maxTokenLife.Hours()))
	}
	return nil
}

func (r *Registry) mint(ctx context.Context, by audit.Actor, person directory.Person, o TokenOrder) (*Token, error) {
	if person.ID == by.Person {
		return nil, ErrOwnRequest.Withf("A registrar may not make a token for themselves.")
	}
	if o.Use == "" {
		o.Use = Handed
	}
	now := r.Now()
	t := &Token{Secret: newSecret(), Person: person, Use: o.Use, Ends: now.Add(o.Life)}
	err := r.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		if t.Number, err = insertToken(ctx, tx, t, by.Person, o.Form, now); err != nil {
			return err
		}
		_, err = audit.Append(ctx, tx, now, by, audit.Event{Kind: "enrolment.token", Subject: "person:" + person.ID.String(),
			Person: person.ID, Data: map[string]any{"token": t.Number, "use": t.Use, "ends": t.Ends}})
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

// Minted is what is known of a token that was made: never the secret.
type Minted struct {
	Number int64
	Person uuid.UUID // for whom
	MadeBy uuid.UUID
	MadeAt time.Time
	Use    TokenUse
	Ends   time.Time
}

// WhichTokens says which tokens to list; what is left zero does not restrict.
type WhichTokens struct {
	Person uuid.UUID
	Number int64
	After  string // what Tokens returned for the next page
	Limit  int    // 0 means 50; at most 500
}

// Tokens lists tokens that can still be used, those that end first before others, for registrars and auditors. Next is
// where the next page begins, "" if there is none.
func (r *Registry) Tokens(ctx context.Context, by audit.Actor, w WhichTokens) (found []Minted, next string, err error) {
	if !by.Has(audit.Registrar) && !by.Has(audit.Auditor) {
		return nil, "", ErrNotAllowed.Withf("Only registrars and auditors may list tokens.")
	}
	after, number := r.Now(), int64(0)
	if micros, n, ok := strings.Cut(w.After, "-"); ok {
		at, atErr := strconv.ParseInt(micros, 10, 64)
		last, err := strconv.ParseInt(n, 10, 64)
		if atErr == nil && err == nil && time.UnixMicro(at).After(after) {
			after, number = time.UnixMicro(at), last
		}
	}
	limit := min(w.Limit, 500)
	if limit <= 0 {
		limit = 50
	}
	err = r.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		found, err = selectTokens(ctx, tx, w, after, number, limit)
		return err
	})
	if err == nil && len(found) == limit {
		last := found[limit-1]
		next = strconv.FormatInt(last.Ends.UnixMicro(), 10) + "-" + strconv.FormatInt(last.Number, 10)
	}
	return found, next, err
}

// SpentOn returns the token with which a request was made, nil if it was made without one, to who may see the request.
func (r *Registry) SpentOn(ctx context.Context, by audit.Actor, request uuid.UUID) (*Minted, error) {
	if !by.Has(audit.Registrar) && !by.Has(audit.Auditor) {
		return nil, ErrUnknownRequest
	}
	return r.spentOn(ctx, request)
}

func (r *Registry) spentOn(ctx context.Context, request uuid.UUID) (out *Minted, err error) {
	err = r.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		out, err = selectSpent(ctx, tx, request)
		return err
	})
	return out, err
}

// WithdrawToken makes a token of no use to whoever has it. Registrars may, whoever made it. It returns ErrUnknownToken for
// one that cannot be used any more in any case.
func (r *Registry) WithdrawToken(ctx context.Context, by audit.Actor, number int64) (*Minted, error) {
	if !by.Has(audit.Registrar) {
		_, err := r.Audit.Record(ctx, by, audit.Event{Kind: "enrolment.token-withdrawal-refused", Subject: tokenSubject(number)})
		return nil, errors.Join(ErrNotAllowed.Withf("Only a registrar may withdraw enrolment tokens."), err)
	}
	var out Minted
	now := r.Now()
	err := r.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		if out, err = withdrawToken(ctx, tx, number, now); err != nil {
			return err
		}
		_, err = audit.Append(ctx, tx, now, by, audit.Event{Kind: "enrolment.token-withdrawn", Subject: tokenSubject(number), Person: out.Person,
			Data: map[string]any{"made_by": out.MadeBy}})
		return err
	})
	return &out, err
}

func tokenSubject(number int64) string { return "token:" + strconv.FormatInt(number, 10) }

// recordSpent puts an event into a batch that names who made the token with which somebody asks.
func (r *Registry) recordSpent(ctx context.Context, b *pgx.Batch, by audit.Actor, req *Request, secret string) error {
	var t Minted
	err := r.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		t, err = selectToken(ctx, tx, secret)
		return err
	})
	if err != nil {
		return err
	}
	return r.record(b, by, req, "enrolment.token-spent", map[string]any{"token": t.Number, "made_by": t.MadeBy, "use": t.Use})
}
