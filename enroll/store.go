package enroll

import (
	"context"
	"crypto/sha256"
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

// Tokens.

func hashToken(token string) []byte {
	h := sha256.Sum256([]byte(token))
	return h[:]
}

// insertToken returns the number of a new token; ErrTokenMade when there is one of the same form.
func insertToken(ctx context.Context, tx pgx.Tx, t *Token, madeBy, form uuid.UUID, at time.Time) (number int64, err error) {
	var named *uuid.UUID
	if form != uuid.Nil {
		named = &form
	}
	err = tx.QueryRow(ctx, `insert into enroll.token (sha256, person, made_by, made_at, ends, use, form) values ($1, $2, $3, $4, $5, $6, $7)
		on conflict (form) do nothing returning number`, hashToken(t.Secret), t.Person.ID, madeBy, at, t.Ends, t.Use, named).Scan(&number)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrTokenMade
	}
	return number, err
}

// selectForm returns the number of the token that was made for a form.
func selectForm(ctx context.Context, tx pgx.Tx, form uuid.UUID) (number int64, err error) {
	err = tx.QueryRow(ctx, `select number from enroll.token where form = $1`, form).Scan(&number)
	return number, err
}

const tokenColumns = `number, person, made_by, made_at, use, ends`

func collectTokens(rows pgx.Rows, err error) ([]Minted, error) {
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Minted])
}

// selectTokens returns tokens that can be used, after one in the order of their ends.
func selectTokens(ctx context.Context, tx pgx.Tx, w WhichTokens, after time.Time, number int64, limit int) ([]Minted, error) {
	const open = `select ` + tokenColumns + ` from enroll.token where request is null and withdrawn_at is null and (ends, number) > ($1, $2)`
	switch {
	case w.Number != 0:
		return collectTokens(tx.Query(ctx, open+` and number = $4 order by ends, number limit $3`, after, number, limit, w.Number))
	case w.Person != uuid.Nil:
		return collectTokens(tx.Query(ctx, open+` and person = $4 order by ends, number limit $3`, after, number, limit, w.Person))
	default:
		return collectTokens(tx.Query(ctx, open+` order by ends, number limit $3`, after, number, limit))
	}
}

// selectSpent returns the token that was spent on a request, nil if there is none.
func selectSpent(ctx context.Context, tx pgx.Tx, request uuid.UUID) (*Minted, error) {
	found, err := collectTokens(tx.Query(ctx, `select `+tokenColumns+` from enroll.token where request = $1`, request))
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// selectToken returns what is known of a token by its secret.
func selectToken(ctx context.Context, tx pgx.Tx, secret string) (Minted, error) {
	found, err := collectTokens(tx.Query(ctx, `select `+tokenColumns+` from enroll.token where sha256 = $1`, hashToken(secret)))
	if err == nil && len(found) == 0 {
		err = ErrToken
	}
	if err != nil {
		return Minted{}, err
	}
	return found[0], nil
}

func withdrawToken(ctx context.Context, tx pgx.Tx, number int64, now time.Time) (Minted, error) {
	found, err := collectTokens(tx.Query(ctx, `update enroll.token set withdrawn_at = $2
		where number = $1 and request is null and withdrawn_at is null and ends > $2 returning `+tokenColumns, number, now))
	if err == nil && len(found) == 0 {
		err = ErrUnknownToken
	}
	if err != nil {
		return Minted{}, err
	}
	return found[0], nil
}

// queueToken asks whose token it is. A spent one still names its person until it ends, so that they can see what came
// of their request.
func queueToken(b *pgx.Batch, token string, now time.Time, person *uuid.UUID) {
	b.Queue(`select person from enroll.token where sha256 = $1 and ends > $2 and withdrawn_at is null`, hashToken(token), now).QueryRow(func(row pgx.Row) error {
		err := row.Scan(person)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrToken
		}
		return err
	})
}

// queueSpend marks the token as used by the request; ErrToken when it cannot be. Without a token it does nothing.
func queueSpend(b *pgx.Batch, token string, request uuid.UUID, now time.Time) {
	if token == "" {
		return
	}
	pg.Require(b, ErrToken, `
		with spent as (update enroll.token set request = $2 where sha256 = $1 and request is null and withdrawn_at is null and ends > $3 returning 1)
		select require.that(count(*) = 1) from spent`, hashToken(token), request, now)
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
