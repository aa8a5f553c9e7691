package ca

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Addressees returns those who ever had a certificate of any of these profiles that names one of these mail addresses, whatever
// became of it.
func (a *Authority) Addressees(ctx context.Context, profiles, mailboxes []string) ([]uuid.UUID, error) {
	keys := make([]string, len(mailboxes))
	for n, m := range mailboxes {
		keys[n] = mailboxKey(m)
	}
	return a.people(ctx, `select distinct person from ca.certificate where mailboxes && $1 and profile = any($2)`, keys, profiles)
}

// Addresses returns the mail addresses that these people's certificates of any of these profiles ever named, whatever became of
// those, in lower case.
func (a *Authority) Addresses(ctx context.Context, profiles []string, people []uuid.UUID) (map[uuid.UUID][]string, error) {
	out := map[uuid.UUID][]string{}
	err := a.db.InTx(ctx, role, func(tx pgx.Tx) error {
		clear(out)
		rows, err := tx.Query(ctx, `select distinct person, mailbox from ca.certificate, unnest(mailboxes) as mailbox
			where person = any($1) and profile = any($2) order by person, mailbox`, people, profiles)
		if err != nil {
			return err
		}
		var person uuid.UUID
		var mailbox string
		_, err = pgx.ForEachRow(rows, []any{&person, &mailbox}, func() error {
			out[person] = append(out[person], mailbox)
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read addresses: %w", err)
	}
	return out, nil
}
