package enroll

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/attest"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/pg"
)

const role pg.Role = "enroll"

const requestColumns = `id, person, enrolment, state, subject, signing_spki, encryption_spki, by,
	agent, coalesce(reason, '') as reason, received_at, changed_at, claimed, decided_by, key_origin`

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
	Agent          string
	Reason         string
	ReceivedAt     time.Time
	ChangedAt      time.Time
	Claimed        []Claim
	DecidedBy      *audit.Actor
	Origin         *attest.Proof
}

func (w requestRow) request() *Request {
	return &Request{ID: w.ID, Person: w.Person, Enrolment: w.Enrolment, State: w.State, Subject: w.Subject,
		SigningSPKI: w.SigningSPKI, EncryptionSPKI: w.EncryptionSPKI, By: w.By, Agent: w.Agent, Reason: w.Reason,
		ReceivedAt: w.ReceivedAt, ChangedAt: w.ChangedAt, Claimed: w.Claimed, DecidedBy: w.DecidedBy, Origin: w.Origin}
}

// usedBefore is the constraint that a request violates whose idempotency key the person used before.
const usedBefore = "request_person_idempotency_key"

// answeredBefore is the one that it violates if its attestation answers a challenge that another request answered.
const answeredBefore = "request_key_challenge"

// queueRequest inserts a request.
func queueRequest(b *pgx.Batch, req *Request, idempotency string, body [32]byte) {
	b.Queue(`
		insert into enroll.request (id, person, idempotency, body_sha256, enrolment, state, subject,
			signing_spki, encryption_spki, by, agent, received_at, changed_at, claimed, key_origin, key_challenge)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12, $13, $14, $15)`,
		req.ID, req.Person, idempotency, body[:], req.Enrolment, req.State, req.Subject,
		req.SigningSPKI, req.EncryptionSPKI, req.By, req.Agent, req.ReceivedAt, req.Claimed, req.Origin, req.challenge)
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

// selectRequestsOf returns a person's newest requests.
func selectRequestsOf(ctx context.Context, tx pgx.Tx, person uuid.UUID, limit int) ([]*Request, error) {
	return collect(tx.Query(ctx, `select `+requestColumns+` from enroll.request where person = $1 order by id desc limit $2`, person, limit))
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

func selectOrigins(ctx context.Context, tx pgx.Tx, person uuid.UUID, requests []uuid.UUID, out map[uuid.UUID]Origin) error {
	rows, err := tx.Query(ctx, `select id, by, agent, received_at from enroll.request where id = any($1) and person = $2`, requests, person)
	if err != nil {
		return err
	}
	var id uuid.UUID
	var o Origin
	_, err = pgx.ForEachRow(rows, []any{&id, &o.By, &o.Agent, &o.At}, func() error {
		out[id] = o
		o = Origin{}
		return nil
	})
	return err
}

// queueState moves a request from one state to another; ErrState when it is not in the first. Decided is who decided on it;
// nil leaves that as it is.
func queueState(b *pgx.Batch, id uuid.UUID, from, to State, reason string, decided *audit.Actor, at time.Time) {
	pg.Require(b, ErrState, `
		with moved as (
			update enroll.request set state = $3, reason = nullif($4, ''), decided_by = coalesce($5, decided_by), changed_at = $6 where id = $1 and state = $2 returning 1)
		select require.that(count(*) = 1) from moved`, id, from, to, reason, decided, at)
}

func queueSubject(b *pgx.Batch, id uuid.UUID, s Subject) {
	b.Queue(`update enroll.request set subject = $2 where id = $1`, id, s)
}
