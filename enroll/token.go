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
	"github.com/sealpost/sealpost/internal/jobs"
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
	Tell   bool      // the person is told by mail that there is one; the mail does not hold it
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
		if t.Number, err = insertToken(ctx, tx, t, by.Person, o.Form, 0, now); err != nil {
			return err
		}
		return r.made(ctx, tx, by, t, o.Tell, 0, now)
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// made records that a token was made, and has the person told if that is wanted.
func (r *Registry) made(ctx context.Context, tx pgx.Tx, by audit.Actor, t *Token, tell bool, list int64, now time.Time) error {
	data := map[string]any{"token": t.Number, "use": t.Use, "ends": t.Ends}
	if list != 0 {
		data["list"] = list
	}
	if tell {
		data["told"] = true
		m := Minted{Number: t.Number, Person: t.Person.ID, MadeBy: by.Person, MadeAt: now, Use: t.Use, Ends: t.Ends}
		if err := r.Jobs.Insert(ctx, tx, m.telling("made", now)); err != nil {
			return err
		}
	}
	_, err := audit.Append(ctx, tx, now, by, audit.Event{Kind: "enrolment.token", Subject: "person:" + t.Person.ID.String(), Person: t.Person.ID, Data: data})
	return err
}

// telling is the job that tells the person of the token (package notice). It holds what is said, and never the token.
func (m *Minted) telling(about string, at time.Time) jobs.TellToken {
	return jobs.TellToken{Token: m.Number, About: about, Person: m.Person, MadeBy: m.MadeBy, MadeAt: m.MadeAt, Ends: m.Ends, Behalf: m.Use == Behalf, At: at}
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

	List        *int64     // the number of the first that was made together with it; nil: it was made alone
	Request     *uuid.UUID // what was asked for with it; nil: it was not used
	SpentAt     *time.Time
	WithdrawnAt *time.Time
	WithdrawnBy *uuid.UUID
}

// TokenState is how a token stands.
type TokenState string

// The states.
const (
	TokenOpen      TokenState = "open" // it can still be used
	TokenUsed      TokenState = "used"
	TokenWithdrawn TokenState = "withdrawn"
	TokenEnded     TokenState = "ended" // nobody used it in time
	TokenAny       TokenState = "any"   // in questions: all of them
)

// State is how the token stands at a time.
func (m *Minted) State(now time.Time) TokenState {
	switch {
	case m.Request != nil:
		return TokenUsed
	case m.WithdrawnAt != nil:
		return TokenWithdrawn
	case !m.Ends.After(now):
		return TokenEnded
	}
	return TokenOpen
}

// WhichTokens says which tokens to list; what is left zero does not restrict, but for State.
type WhichTokens struct {
	Person uuid.UUID
	Number int64
	List   int64
	State  TokenState // "" means TokenOpen
	After  string     // what Tokens returned for the next page
	Limit  int        // 0 means 50; at most 500
}

// Tokens lists tokens, for registrars and auditors: those that can still be used with the ones first that end first, others with the newest first. Next
// is where the next page begins, "" if there is none.
func (r *Registry) Tokens(ctx context.Context, by audit.Actor, w WhichTokens) (found []Minted, next string, err error) {
	if !by.Has(audit.Registrar) && !by.Has(audit.Auditor) {
		return nil, "", ErrNotAllowed.Withf("Only registrars and auditors may list tokens.")
	}
	if w.Limit = min(w.Limit, 500); w.Limit <= 0 {
		w.Limit = 50
	}
	open, now := w.State == "" || w.State == TokenOpen, r.Now()
	err = r.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		if open {
			found, err = selectTokens(ctx, tx, w, now)
		} else {
			found, err = selectMade(ctx, tx, w, now)
		}
		return err
	})
	if err == nil && len(found) == w.Limit {
		last := found[len(found)-1]
		if next = strconv.FormatInt(last.Number, 10); open {
			next = strconv.FormatInt(last.Ends.UnixMicro(), 10) + "-" + next
		}
	}
	return found, next, err
}

// TokenList is what became of tokens that were made together.
type TokenList struct {
	Number                       int64 // of the first
	MadeBy                       uuid.UUID
	MadeAt                       time.Time
	Ends                         time.Time
	All                          int
	Open, Used, Withdrawn, Ended int
}

// TokenList says what became of the tokens of a list, for registrars and auditors. It returns ErrUnknownToken for one that is none.
func (r *Registry) TokenList(ctx context.Context, by audit.Actor, list int64) (*TokenList, error) {
	if !by.Has(audit.Registrar) && !by.Has(audit.Auditor) {
		return nil, ErrNotAllowed.Withf("Only registrars and auditors may list tokens.")
	}
	out := &TokenList{Number: list}
	err := r.DB.InTx(ctx, role, func(tx pgx.Tx) error { return selectList(ctx, tx, out, r.Now()) })
	if err == nil && out.All == 0 {
		err = ErrUnknownToken.Withf("There is no such list of tokens.")
	}
	return out, err
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
		found, err := withdrawTokens(ctx, tx, "number", number, by.Person, now)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return ErrUnknownToken
		}
		out = found[0]
		return withdrawn(ctx, tx, by, found, now)
	})
	return &out, err
}

// WithdrawTokens makes all tokens of a list of no use that can still be used, and returns how many those were. Registrars may, whoever made them.
func (r *Registry) WithdrawTokens(ctx context.Context, by audit.Actor, list int64) (n int, err error) {
	if !by.Has(audit.Registrar) {
		_, err := r.Audit.Record(ctx, by, audit.Event{Kind: "enrolment.token-withdrawal-refused", Subject: tokenSubject(list), Data: map[string]any{"list": list}})
		return 0, errors.Join(ErrNotAllowed.Withf("Only a registrar may withdraw enrolment tokens."), err)
	}
	now := r.Now()
	err = r.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		found, err := withdrawTokens(ctx, tx, "list", list, by.Person, now)
		if err != nil {
			return err
		}
		n = len(found)
		return withdrawn(ctx, tx, by, found, now)
	})
	return n, err
}

func withdrawn(ctx context.Context, tx pgx.Tx, by audit.Actor, list []Minted, now time.Time) error {
	for _, t := range list {
		data := map[string]any{"made_by": t.MadeBy}
		if t.List != nil {
			data["list"] = *t.List
		}
		if _, err := audit.Append(ctx, tx, now, by, audit.Event{Kind: "enrolment.token-withdrawn", Subject: tokenSubject(t.Number), Person: t.Person, Data: data}); err != nil {
			return err
		}
	}
	return nil
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
