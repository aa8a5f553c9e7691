package enroll

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
)

// MaxTokens bounds how many tokens are made at once.
const MaxTokens = 1000

// TokenBatch is a wish for tokens for many people.
type TokenBatch struct {
	Mailboxes []string
	Life      time.Duration
	Use       TokenUse // "" means Handed
	// Name is the maker's own for the wish: of one name, nobody gets a second token. "" names none.
	Name string
}

// MadeToken is what became of one line of a TokenBatch: a token, or a fault. Of ErrTokenMade, Number is the earlier one's.
type MadeToken struct {
	Mailbox string
	Number  int64
	Token   *Token
	Fault   error
}

// tokenForms is the name space of the forms that batches are known by again.
var tokenForms = uuid.MustParse("0c9f1d4e-7a53-4a0e-9d0b-6b8f4a2f6c11")

// MintTokens makes tokens for many people, all in one transaction, and says what became of each line. What is wrong with a line is said of
// it alone; that the directory is away, of all. Each token has its event in the log.
func (r *Registry) MintTokens(ctx context.Context, by audit.Actor, b TokenBatch) ([]MadeToken, error) {
	if b.Use == "" {
		b.Use = Handed
	}
	if err := mayMint(by, TokenOrder{Life: b.Life}); err != nil {
		return nil, err
	}
	if len(b.Mailboxes) == 0 || len(b.Mailboxes) > MaxTokens {
		return nil, ErrTokenCount
	}
	now := r.Now()
	out := make([]MadeToken, len(b.Mailboxes))
	seen := map[uuid.UUID]bool{}
	for i, mailbox := range b.Mailboxes {
		out[i].Mailbox = mailbox
		person, err := r.Directory.ByMailbox(ctx, strings.TrimSpace(mailbox))
		switch f := fault.Of(err); {
		case err != nil && (f == nil || f.Kind == fault.Unavailable):
			return nil, err
		case err != nil:
			out[i].Fault = err
		case person.ID == by.Person:
			out[i].Fault = ErrOwnRequest.Withf("A registrar may not make a token for themselves.")
		case person.Disabled:
			out[i].Fault = directory.ErrDisabled
		case seen[person.ID]:
			out[i].Fault = ErrTokenMade.Withf("This person is in the list before, under another address or the same.")
		default:
			seen[person.ID] = true
			out[i].Token = &Token{Secret: newSecret(), Person: person, Use: b.Use, Ends: now.Add(b.Life)}
		}
	}
	err := r.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		for i := range out {
			if out[i].Token == nil {
				continue
			}
			if err := r.mintOne(ctx, tx, by, &out[i], b.Name, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (r *Registry) mintOne(ctx context.Context, tx pgx.Tx, by audit.Actor, m *MadeToken, name string, now time.Time) (err error) {
	t := m.Token
	form := FormOf(by, name, t.Person.ID)
	t.Number, err = insertToken(ctx, tx, t, by.Person, form, now)
	if errors.Is(err, ErrTokenMade) {
		m.Token, m.Fault = nil, err
		m.Number, err = selectForm(ctx, tx, form)
		return err
	}
	if err != nil {
		return err
	}
	m.Number = t.Number
	_, err = audit.Append(ctx, tx, now, by, audit.Event{Kind: "enrolment.token", Subject: "person:" + t.Person.ID.String(),
		Person: t.Person.ID, Data: map[string]any{"token": t.Number, "use": t.Use, "ends": t.Ends}})
	return err
}

// FormOf is the form of a token for a person, by the maker's own name for the wish; uuid.Nil if there is none.
func FormOf(by audit.Actor, name string, person uuid.UUID) uuid.UUID {
	if name == "" {
		return uuid.Nil
	}
	return uuid.NewSHA1(tokenForms, []byte(by.Person.String()+"\x00"+person.String()+"\x00"+name))
}
