package enroll

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

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

// insertRequest reports false when the person used the idempotency key before.
func insertRequest(ctx context.Context, tx pgx.Tx, req *Request, idempotency string, body [32]byte) (bool, error) {
	tag, err := tx.Exec(ctx, `
		insert into enroll.request (id, person, idempotency, body_sha256, enrolment, state, subject,
			signing_spki, encryption_spki, by, received_at, changed_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)
		on conflict (person, idempotency) do nothing`,
		req.ID, req.Person, idempotency, body[:], req.Enrolment, req.State, req.Subject,
		req.SigningSPKI, req.EncryptionSPKI, req.By, req.ReceivedAt)
	return tag.RowsAffected() == 1, err
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

func updateState(ctx context.Context, tx pgx.Tx, id uuid.UUID, from, to State, reason string, at time.Time) error {
	tag, err := tx.Exec(ctx, `update enroll.request set state = $3, reason = nullif($4, ''), changed_at = $5
		where id = $1 and state = $2`, id, from, to, reason, at)
	if err == nil && tag.RowsAffected() != 1 {
		return ErrState
	}
	return err
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

// spend marks the token as used by the request. Without a token it does nothing.
func spend(ctx context.Context, tx pgx.Tx, token string, request uuid.UUID, now time.Time) error {
	if token == "" {
		return nil
	}
	tag, err := tx.Exec(ctx, `update enroll.token set request = $2 where sha256 = $1 and request is null and ends > $3`,
		hashToken(token), request, now)
	if err == nil && tag.RowsAffected() != 1 {
		return ErrToken
	}
	return err
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
