package enroll

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/pg"
)

const role pg.Role = "enroll"

const requestColumns = `id, person, enrolment, state, subject, signing_spki, encryption_spki, by,
	coalesce(reason, '') as reason, received_at, changed_at`

// requestRow is a request's columns, in the order of requestColumns.
type requestRow struct {
	ID             uuid.UUID
	Person         uuid.UUID
	Enrolment      string
	State          State
	Subject        Subject
	SigningSPKI    []byte
	EncryptionSPKI []byte
	By             audit.Actor
	Reason         string
	ReceivedAt     time.Time
	ChangedAt      time.Time
}

func (w requestRow) request() *Request {
	return &Request{ID: w.ID, Person: w.Person, Enrolment: w.Enrolment, State: w.State, Subject: w.Subject,
		SigningSPKI: w.SigningSPKI, EncryptionSPKI: w.EncryptionSPKI, By: w.By, Reason: w.Reason,
		ReceivedAt: w.ReceivedAt, ChangedAt: w.ChangedAt}
}

// queueRequest inserts a request, and tells false when the person used the idempotency key before.
func queueRequest(b *pgx.Batch, req *Request, idempotency string, body [32]byte, done func(inserted bool)) {
	b.Queue(`
		insert into enroll.request (id, person, idempotency, body_sha256, enrolment, state, subject,
			signing_spki, encryption_spki, by, received_at, changed_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)
		on conflict (person, idempotency) do nothing`,
		req.ID, req.Person, idempotency, body[:], req.Enrolment, req.State, req.Subject,
		req.SigningSPKI, req.EncryptionSPKI, req.By, req.ReceivedAt).Exec(func(tag pgconn.CommandTag) error {
		done(tag.RowsAffected() == 1)
		return nil
	})
}

// repeated returns the request that used the idempotency key, if its content was the same.
func repeated(ctx context.Context, tx pgx.Tx, person uuid.UUID, idempotency string, body [32]byte) (*Request, error) {
	rows, err := tx.Query(ctx, `select `+requestColumns+` from enroll.request
		where person = $1 and idempotency = $2 and body_sha256 = $3`, person, idempotency, body[:])
	if err != nil {
		return nil, err
	}
	row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[requestRow])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ErrIdempotency
	}
	return row.request(), err
}

func selectRequest(ctx context.Context, tx pgx.Tx, id uuid.UUID) (*Request, error) {
	rows, err := tx.Query(ctx, `select `+requestColumns+` from enroll.request where id = $1`, id)
	if err != nil {
		return nil, err
	}
	row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[requestRow])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ErrUnknownRequest
	}
	return row.request(), err
}

func selectRequests(ctx context.Context, tx pgx.Tx, state State, after uuid.UUID, limit int) ([]*Request, error) {
	// Ids are version 7: their order is that of reception.
	return collect(tx.Query(ctx, `select `+requestColumns+` from enroll.request
		where state = $1 and id > $2 order by id limit $3`, state, after, limit))
}

// selectUnfinished returns requests that nobody has worked on since a moment.
func selectUnfinished(ctx context.Context, tx pgx.Tx, since time.Time, limit int) ([]*Request, error) {
	return collect(tx.Query(ctx, `select `+requestColumns+` from enroll.request
		where state in ('received', 'endorsed') and changed_at < $1 order by changed_at limit $2`, since, limit))
}

func collect(rows pgx.Rows, err error) ([]*Request, error) {
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[requestRow])
	out := make([]*Request, len(found))
	for i, f := range found {
		out[i] = f.request()
	}
	return out, err
}

// queueState moves a request from one state to another; ErrState when it is not in the first.
func queueState(b *pgx.Batch, id uuid.UUID, from, to State, reason string, at time.Time) {
	b.Queue(`update enroll.request set state = $3, reason = nullif($4, ''), changed_at = $5
		where id = $1 and state = $2`, id, from, to, reason, at).Exec(func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() != 1 {
			return ErrState
		}
		return nil
	})
}

func updateSubject(ctx context.Context, tx pgx.Tx, id uuid.UUID, s Subject) error {
	_, err := tx.Exec(ctx, `update enroll.request set subject = $2 where id = $1`, id, s)
	return err
}

// Tokens.

func hashToken(token string) []byte {
	h := sha256.Sum256([]byte(token))
	return h[:]
}

func insertToken(ctx context.Context, tx pgx.Tx, token string, person, madeBy uuid.UUID, at, ends time.Time) error {
	_, err := tx.Exec(ctx, `insert into enroll.token (sha256, person, made_by, made_at, ends) values ($1, $2, $3, $4, $5)`,
		hashToken(token), person, madeBy, at, ends)
	return err
}

// selectToken returns whose token it is. A spent one still names its person until it ends, so that they can see what
// came of their request.
func selectToken(ctx context.Context, tx pgx.Tx, token string, now time.Time) (person uuid.UUID, err error) {
	err = tx.QueryRow(ctx, `select person from enroll.token where sha256 = $1 and ends > $2`, hashToken(token), now).Scan(&person)
	if errors.Is(err, pgx.ErrNoRows) {
		return person, ErrToken
	}
	return person, err
}

// queueSpend marks the token as used by the request, and tells whether it could be. Without a token it does nothing.
func queueSpend(b *pgx.Batch, token string, request uuid.UUID, now time.Time, done func(spent bool)) {
	if token == "" {
		done(true)
		return
	}
	b.Queue(`update enroll.token set request = $2 where sha256 = $1 and request is null and ends > $3
		and exists (select from enroll.request where id = $2)`, // not when the request is a repetition under another id
		hashToken(token), request, now).Exec(func(tag pgconn.CommandTag) error {
		done(tag.RowsAffected() == 1)
		return nil
	})
}

// checkSpent returns ErrToken when the token was used for another request than this.
func checkSpent(ctx context.Context, tx pgx.Tx, token string, request uuid.UUID) error {
	if token == "" {
		return nil
	}
	var same bool
	err := tx.QueryRow(ctx, `select request is not distinct from $2 from enroll.token where sha256 = $1`, hashToken(token), request).Scan(&same)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && !same {
		return ErrToken
	}
	return err
}
