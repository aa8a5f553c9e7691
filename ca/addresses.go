package ca

import (
	"context"
	"fmt"
	"time"

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

// Address is a mail address that certificates of a person name.
type Address struct {
	Person  uuid.UUID
	Profile string
	Mailbox string // in lower case, as in Certificate.Mailboxes
}

// ValidAddresses returns which mail addresses these people's certificates name that are valid now and not revoked, each once for
// a profile.
func (a *Authority) ValidAddresses(ctx context.Context, people []uuid.UUID) ([]Address, error) {
	var out []Address
	b := &pgx.Batch{}
	b.Queue(`
		select distinct c.person, c.profile, m from ca.certificate c left join lateral (
			select standing from ca.revocation where issuer = c.issuer and serial = c.serial order by change desc limit 1) r on true,
			unnest(c.mailboxes) as m
		where c.person = any($1) and $2 between c.not_before and c.not_after + interval '1 second' - interval '1 microsecond'
			and coalesce(r.standing, 'released') = 'released'
		order by c.person, m`, people, a.now().UTC().Truncate(time.Microsecond)).Query(func(rows pgx.Rows) (err error) {
		out, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Address])
		return err
	})
	if err := a.db.Batch(ctx, role, b); err != nil {
		return nil, fmt.Errorf("read addresses: %w", err)
	}
	return out, nil
}
