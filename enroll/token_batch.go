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
	Tell bool // those people are told by mail that there is one; the mail does not hold it
}

// MadeToken is what became of one line of a TokenBatch: a token, or a fault. Of ErrTokenMade, Number is the earlier one's; 0 if the
// person is in the list before.
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
	out, err := r.PlanTokens(ctx, by, b)
	if err != nil {
		return nil, err
	}
	now := r.Now()
	err = r.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		var list int64
		for i := range out {
			if out[i].Token == nil {
				continue
			}
			out[i].Token.Secret, out[i].Token.Ends = newSecret(), now.Add(b.Life)
			if err := r.mintOne(ctx, tx, by, &out[i], b, &list, now); err != nil {
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

// PlanTokens says what MintTokens would make of a wish, and makes nothing: the tokens have neither number nor secret.
func (r *Registry) PlanTokens(ctx context.Context, by audit.Actor, b TokenBatch) ([]MadeToken, error) {
	if b.Use == "" {
		b.Use = Handed
	}
	if err := mayMint(by, TokenOrder{Life: b.Life}); err != nil {
		return nil, err
	}
	if len(b.Mailboxes) == 0 || len(b.Mailboxes) > MaxTokens {
		return nil, ErrTokenCount
	}
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
			out[i].Token = &Token{Person: person, Use: b.Use}
		}
	}
	return out, nil
}

// mintOne makes one token. The first that is made gives the list its number.
func (r *Registry) mintOne(ctx context.Context, tx pgx.Tx, by audit.Actor, m *MadeToken, b TokenBatch, list *int64, now time.Time) (err error) {
	t := m.Token
	form := FormOf(by, b.Name, t.Person.ID)
	t.Number, err = insertToken(ctx, tx, t, by.Person, form, *list, now)
	if errors.Is(err, ErrTokenMade) {
		m.Token, m.Fault = nil, err
		m.Number, err = selectForm(ctx, tx, form)
		return err
	}
	if err != nil {
		return err
	}
	if *list == 0 {
		*list = t.Number
		if err := updateList(ctx, tx, t.Number); err != nil {
			return err
		}
	}
	m.Number = t.Number
	return r.made(ctx, tx, by, t, b.Tell, *list, now)
}

// FormOf is the form of a token for a person, by the maker's own name for the wish; uuid.Nil if there is none.
func FormOf(by audit.Actor, name string, person uuid.UUID) uuid.UUID {
	if name == "" {
		return uuid.Nil
	}
	return uuid.NewSHA1(tokenForms, []byte(by.Person.String()+"\x00"+person.String()+"\x00"+name))
}
