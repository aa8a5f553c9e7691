package session

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/pg"
)

// role is the room's database role.
const role pg.Role = "web"

const columns = `id, person, method, strength, roles, began_at, seen_at, proven_at, ends_at, agent`

// collect reads rows of columns.
func collect(rows pgx.Rows, err error) ([]Session, error) {
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (s Session, err error) {
		var strength string
		err = row.Scan(&s.ID, &s.Person, &s.Method, &strength, &s.Roles, &s.Began, &s.Seen, &s.Proven, &s.Ends, &s.Agent)
		s.Strength = audit.ParseStrength(strength)
		s.Began, s.Seen, s.Proven, s.Ends = s.Began.UTC(), s.Seen.UTC(), s.Proven.UTC(), s.Ends.UTC()
		return s, err
	})
}

func insert(ctx context.Context, tx pgx.Tx, secret []byte, s Session) error {
	roles := s.Roles
	if roles == nil {
		roles = []audit.Role{}
	}
	_, err := tx.Exec(ctx, `insert into web.session (id, secret, person, method, strength, roles, began_at, seen_at, proven_at, ends_at, agent)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		s.ID, secret, s.Person, s.Method, s.Strength.String(), roles, s.Began, s.Seen, s.Proven, s.Ends, s.Agent)
	return err
}

// forUpdate has a session for its reader alone: two proofs at once must not both renew the secret.
const forUpdate = " for update"

func bySecret(ctx context.Context, tx pgx.Tx, secret []byte, lock string) (Session, error) {
	found, err := collect(tx.Query(ctx, `select `+columns+` from web.session where secret = $1`+lock, secret))
	if err != nil {
		return Session{}, err
	}
	if len(found) == 0 {
		return Session{}, pgx.ErrNoRows
	}
	return found[0], nil
}

func byPerson(ctx context.Context, tx pgx.Tx, person uuid.UUID, now, idle time.Time) ([]Session, error) {
	return collect(tx.Query(ctx, `select `+columns+` from web.session where person = $1 and ends_at > $2 and seen_at > $3 order by began_at desc, id`, person, now, idle))
}

func touch(ctx context.Context, tx pgx.Tx, id uuid.UUID, now time.Time) error {
	_, err := tx.Exec(ctx, `update web.session set seen_at = $2 where id = $1`, id, now)
	return err
}

func updateProof(ctx context.Context, tx pgx.Tx, secret []byte, s Session) error {
	_, err := tx.Exec(ctx, `update web.session set secret = $2, method = $3, strength = $4, seen_at = $5, proven_at = $6 where id = $1`,
		s.ID, secret, s.Method, s.Strength.String(), s.Seen, s.Proven)
	return err
}

func deleteBySecret(ctx context.Context, tx pgx.Tx, secret []byte) ([]Session, error) {
	return collect(tx.Query(ctx, `delete from web.session where secret = $1 returning `+columns, secret))
}

func deleteOthers(ctx context.Context, tx pgx.Tx, person, except uuid.UUID) ([]Session, error) {
	return collect(tx.Query(ctx, `delete from web.session where person = $1 and id <> $2 returning `+columns, person, except))
}

// deleteEnded takes some of those away that are over anyway.
func deleteEnded(ctx context.Context, tx pgx.Tx, now, idle time.Time) error {
	_, err := tx.Exec(ctx, `delete from web.session where id in (select id from web.session where ends_at <= $1 or seen_at <= $2 limit 100 for update skip locked)`, now, idle)
	return err
}

func insertHandover(ctx context.Context, tx pgx.Tx, code, challenge []byte, by audit.Actor, ends time.Time) error {
	_, err := tx.Exec(ctx, `insert into web.handover (code, challenge, person, method, strength, ends_at) values ($1, $2, $3, $4, $5, $6)`,
		code, challenge, by.Person, by.Method, by.Strength.String(), ends)
	return err
}

// takeHandover takes a code away. With another challenge it stays: whoever got hold of it must not spend it for its owner.
func takeHandover(ctx context.Context, tx pgx.Tx, code, challenge []byte, now time.Time) (by audit.Actor, err error) {
	var strength string
	err = tx.QueryRow(ctx, `delete from web.handover where code = $1 and challenge = $2 and ends_at > $3 returning person, method, strength`, code, challenge, now).
		Scan(&by.Person, &by.Method, &strength)
	by.Strength = audit.ParseStrength(strength)
	return by, err
}

// deleteHandovers takes some of those away that nobody fetched.
func deleteHandovers(ctx context.Context, tx pgx.Tx, now time.Time) error {
	_, err := tx.Exec(ctx, `delete from web.handover where code in (select code from web.handover where ends_at <= $1 limit 100)`, now)
	return err
}
