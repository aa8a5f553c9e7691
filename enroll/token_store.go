package enroll

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/pg"
)

func hashToken(token string) []byte {
	h := sha256.Sum256([]byte(token))
	return h[:]
}

// insertToken returns the number of a new token; ErrTokenMade when there is one of the same form.
func insertToken(ctx context.Context, tx pgx.Tx, t *Token, madeBy, form uuid.UUID, list int64, at time.Time) (number int64, err error) {
	var named *uuid.UUID
	if form != uuid.Nil {
		named = &form
	}
	err = tx.QueryRow(ctx, `insert into enroll.token (sha256, person, made_by, made_at, ends, use, form, list) values ($1, $2, $3, $4, $5, $6, $7, nullif($8, 0))
		on conflict (form) do nothing returning number`, hashToken(t.Secret), t.Person.ID, madeBy, at, t.Ends, t.Use, named, list).Scan(&number)
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

// updateList makes a token the first of a list.
func updateList(ctx context.Context, tx pgx.Tx, number int64) error {
	_, err := tx.Exec(ctx, `update enroll.token set list = number where number = $1`, number)
	return err
}

const tokenColumns = `number, person, made_by, made_at, use, ends, list, request, spent_at, withdrawn_at, withdrawn_by`

func collectTokens(rows pgx.Rows, err error) ([]Minted, error) {
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Minted])
}

// conditions are what rows must meet, beside others.
type conditions struct {
	text string
	args []any
}

// add adds a condition, in which $%d stands for the value.
func (c *conditions) add(condition string, value any) {
	c.args = append(c.args, value)
	c.text += " and " + fmt.Sprintf(condition, len(c.args))
}

func (c *conditions) addWhich(w WhichTokens) {
	if w.Number != 0 {
		c.add("number = $%d", w.Number)
	}
	if w.Person != uuid.Nil {
		c.add("person = $%d", w.Person)
	}
	if w.List != 0 {
		c.add("list = $%d", w.List)
	}
}

// selectTokens returns tokens that can be used, in the order of their ends.
func selectTokens(ctx context.Context, tx pgx.Tx, w WhichTokens, now time.Time) ([]Minted, error) {
	after, number := now, int64(0)
	if micros, n, ok := strings.Cut(w.After, "-"); ok {
		at, atErr := strconv.ParseInt(micros, 10, 64)
		last, err := strconv.ParseInt(n, 10, 64)
		if atErr == nil && err == nil && time.UnixMicro(at).After(after) {
			after, number = time.UnixMicro(at), last
		}
	}
	c := &conditions{args: []any{w.Limit, after, number}}
	c.addWhich(w)
	return collectTokens(tx.Query(ctx, `select `+tokenColumns+` from enroll.token where request is null and withdrawn_at is null and (ends, number) > ($2, $3)`+c.text+
		` order by ends, number limit $1`, c.args...))
}

// selectMade returns tokens in other states, the newest first.
func selectMade(ctx context.Context, tx pgx.Tx, w WhichTokens, now time.Time) ([]Minted, error) {
	before, err := strconv.ParseInt(w.After, 10, 64)
	if err != nil || before <= 0 { // what is no place is the beginning
		before = math.MaxInt64
	}
	c := &conditions{args: []any{w.Limit}}
	c.add("number < $%d", before)
	c.addWhich(w)
	switch w.State {
	case TokenUsed:
		c.text += " and request is not null"
	case TokenWithdrawn:
		c.text += " and request is null and withdrawn_at is not null"
	case TokenEnded:
		c.add("request is null and withdrawn_at is null and ends <= $%d", now)
	}
	return collectTokens(tx.Query(ctx, `select `+tokenColumns+` from enroll.token where true`+c.text+` order by number desc limit $1`, c.args...))
}

// selectList fills in what became of a list's tokens.
func selectList(ctx context.Context, tx pgx.Tx, l *TokenList, now time.Time) error {
	var by *uuid.UUID
	var at, ends *time.Time
	err := tx.QueryRow(ctx, `select (array_agg(made_by order by number))[1], min(made_at), max(ends), count(*), count(*) filter (where request is not null), count(*) filter (where request is null and withdrawn_at is not null),
		count(*) filter (where request is null and withdrawn_at is null and ends <= $2) from enroll.token where list = $1`, l.Number, now).
		Scan(&by, &at, &ends, &l.All, &l.Used, &l.Withdrawn, &l.Ended)
	if err == nil && l.All > 0 {
		l.MadeBy, l.MadeAt, l.Ends, l.Open = *by, *at, *ends, l.All-l.Used-l.Withdrawn-l.Ended
	}
	return err
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

// withdrawTokens withdraws those that can be used and whose column, "number" or "list", has the value.
func withdrawTokens(ctx context.Context, tx pgx.Tx, column string, value int64, by uuid.UUID, now time.Time) ([]Minted, error) {
	return collectTokens(tx.Query(ctx, `update enroll.token set withdrawn_at = $2, withdrawn_by = $3
		where `+column+` = $1 and request is null and withdrawn_at is null and ends > $2 returning `+tokenColumns, value, now, by))
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
		with spent as (update enroll.token set request = $2, spent_at = $4 where sha256 = $1 and request is null and withdrawn_at is null and ends > $3 returning 1)
		select require.that(count(*) = 1) from spent`, hashToken(token), request, now, now)
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
