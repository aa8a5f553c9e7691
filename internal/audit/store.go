package audit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"
)

// eventRows are events to insert, as columns.
type eventRows struct {
	at       time.Time
	actor    uuid.UUID
	bodies   []string
	kinds    []string
	subjects []string
	persons  []uuid.UUID
	hashes   [][]byte
}

// queueEvents inserts events, and the pending rows that make the sequencer take them; done gets their ids in order.
func queueEvents(b *pgx.Batch, r eventRows, done func(ids []int64, err error) error) {
	// The ids are drawn first, so that each is known to belong to its event, and so that nothing is read from the tables:
	// whoever may append may not read.
	b.Queue(`
		with fresh as materialized (
			select nextval('audit.event_id') as id, body, kind, subject, person, hash, n
			from unnest($1::text[], $2::text[], $3::text[], $4::uuid[], $5::bytea[]) with ordinality
				as u (body, kind, subject, person, hash, n)),
		event as (
			insert into audit.event (id, body, at, kind, subject, person, actor)
			select id, body, $6, kind, subject, person, $7 from fresh),
		pending as (
			insert into audit.pending (event, hash) select id, hash from fresh)
		select id from fresh order by n`,
		r.bodies, r.kinds, r.subjects, r.persons, r.hashes, r.at, r.actor).Query(func(rows pgx.Rows) error {
		return done(pgx.CollectRows(rows, pgx.RowTo[int64]))
	})
}

// selectLatest returns the newest checkpoint, or ErrEmpty.
func selectLatest(ctx context.Context, tx pgx.Tx) (size int64, msg []byte, err error) {
	var text string
	err = tx.QueryRow(ctx, `select size, note from audit.checkpoint order by size desc limit 1`).Scan(&size, &text)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil, ErrEmpty
	}
	return size, []byte(text), err
}

// selectPending returns the oldest events without an index. The order within a batch is that of the ids: Verify uses it.
func selectPending(ctx context.Context, tx pgx.Tx, limit int) ([]Leaf, error) {
	rows, err := tx.Query(ctx, `select event, hash from audit.pending order by event limit $1`, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (l Leaf, err error) {
		var h []byte
		err = r.Scan(&l.Event, &h)
		copy(l.Hash[:], h)
		return l, err
	})
}

// insertBatch moves a batch from pending to the indexes from first on, and stores the nodes it completes and the
// checkpoint that covers it.
func insertBatch(ctx context.Context, tx pgx.Tx, first int64, leaves []Leaf, nodes []node, size int64, msg []byte, at time.Time) error {
	events, hashes := make([]int64, len(leaves)), make([][]byte, len(leaves))
	for i := range leaves {
		events[i], hashes[i] = leaves[i].Event, leaves[i].Hash[:]
	}
	b := &pgx.Batch{}
	b.Queue(`delete from audit.pending where event = any($1)`, events)
	b.Queue(`insert into audit.leaf (idx, event, hash)
		select $1::bigint + n - 1, event, hash from unnest($2::bigint[], $3::bytea[]) with ordinality as u (event, hash, n)`,
		first, events, hashes)
	for _, n := range nodes {
		b.Queue(`insert into audit.node (level, n, hash) values ($1, $2, $3)`, n.level, n.n, n.hash[:])
	}
	b.Queue(`insert into audit.checkpoint (size, note, signed_at) values ($1, $2, $3)`, size, string(msg), at)
	r := tx.SendBatch(ctx, b)
	defer r.Close()
	tag, err := r.Exec()
	if err != nil {
		return fmt.Errorf("take pending events: %w", err)
	}
	if tag.RowsAffected() != int64(len(leaves)) {
		return fmt.Errorf("took %d of %d pending events: somebody else takes them too", tag.RowsAffected(), len(leaves))
	}
	return r.Close() // reports the errors of the rest
}

// selectTiles reads tiles: of level 0 from the leaves, above from the nodes.
func selectTiles(ctx context.Context, tx pgx.Tx, list []tlog.Tile) ([][]byte, error) {
	b := &pgx.Batch{}
	for _, t := range list {
		first := t.N << tileHeight
		if t.L == 0 {
			b.Queue(`select hash from audit.leaf where idx >= $1 and idx < $2 order by idx`, first, first+int64(t.W))
		} else {
			b.Queue(`select hash from audit.node where level = $1 and n >= $2 and n < $3 order by n`, t.L, first, first+int64(t.W))
		}
	}
	r := tx.SendBatch(ctx, b)
	defer r.Close()
	data := make([][]byte, len(list))
	for i := range list {
		rows, err := r.Query()
		if err != nil {
			return nil, fmt.Errorf("read tile: %w", err)
		}
		hashes, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
		if err != nil {
			return nil, fmt.Errorf("read tile: %w", err)
		}
		for _, h := range hashes {
			data[i] = append(data[i], h...)
		}
	}
	return data, r.Close()
}

// selectBacklog returns how many events have no index, and the time of the oldest.
func selectBacklog(ctx context.Context, tx pgx.Tx) (n int64, oldest time.Time, err error) {
	var at *time.Time
	err = tx.QueryRow(ctx, `select count(*), min(e.at) from audit.pending p left join audit.event e on e.id = p.event`).Scan(&n, &at)
	if at != nil {
		oldest = *at
	}
	return n, oldest, err
}

// events collects the conditions of a query of events.
type events struct {
	where []string
	args  []any
}

// add adds a condition in which $ stands for the argument.
func (e *events) add(cond string, arg any) {
	e.args = append(e.args, arg)
	e.where = append(e.where, strings.ReplaceAll(cond, "$", fmt.Sprintf("$%d", len(e.args))))
}

// hide leaves events out. There are few to hide, if any: no index serves this.
func (e *events) hide(hidden []Hidden) {
	for _, h := range hidden {
		e.args = append(e.args, h.Text, h.Kind)
		e.where = append(e.where, fmt.Sprintf("(position($%d::text in e.body) = 0 or $%d::text not in ('', e.kind))", len(e.args)-1, len(e.args)))
	}
}

func (e *events) read(ctx context.Context, tx pgx.Tx, from, order string) ([]Entry, error) {
	rows, err := tx.Query(ctx, `select e.id, coalesce(l.idx, -1), e.body from `+from+` where `+strings.Join(e.where, " and ")+order, e.args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (Entry, error) {
		var id, index int64
		var text string
		if err := r.Scan(&id, &index, &text); err != nil {
			return Entry{}, err
		}
		e, err := decode([]byte(text))
		if err != nil {
			return Entry{}, ErrTampered.Because(fmt.Errorf("event %d: %w", id, err))
		}
		e.ID, e.Index = id, index
		return e, nil
	})
}

// selectEvents reads a page of events, whatever is asked by one index in the order of the ids.
func selectEvents(ctx context.Context, tx pgx.Tx, q Query) ([]Entry, error) {
	from, to, err := selectBounds(ctx, tx, q.Since, q.Until)
	if err != nil {
		return nil, err
	}
	var e events
	e.add("e.id > $", max(q.After, from-1))
	order := "asc"
	if q.Before != 0 {
		order = "desc"
		to = min(to, q.Before)
	}
	if to != math.MaxInt64 {
		e.add("e.id < $", to)
	}
	if q.Subject != "" {
		e.add("e.subject = $", q.Subject)
	}
	if q.Kind != "" {
		e.add("e.kind = $", q.Kind)
	}
	if len(q.Kinds) > 0 {
		e.add("e.kind = any($)", q.Kinds)
	}
	if q.Person != uuid.Nil {
		// The second condition is that of the index.
		e.add("e.person = $ and e.person <> '00000000-0000-0000-0000-000000000000'", q.Person)
	}
	if q.Actor != uuid.Nil {
		e.add("e.actor = $ and e.actor <> '00000000-0000-0000-0000-000000000000'", q.Actor)
	}
	if !q.Since.IsZero() {
		e.add("e.at >= $", q.Since)
	}
	if !q.Until.IsZero() {
		e.add("e.at < $", q.Until)
	}
	e.hide(q.Hidden)
	e.args = append(e.args, q.Limit)
	return e.read(ctx, tx, `audit.event e left join audit.leaf l on l.event = e.id`, fmt.Sprintf(` order by e.id %s limit $%d`, order, len(e.args)))
}

// selectBounds returns between which ids the events of a time are: from the first to before the last. Ids and times rise
// together but for maxSkew, so that no index needs both a time and what else is searched by.
func selectBounds(ctx context.Context, tx pgx.Tx, since, until time.Time) (from, to int64, err error) {
	from, to = 0, math.MaxInt64
	one := func(id *int64, at time.Time) error {
		err := tx.QueryRow(ctx, `select id from audit.event where at >= $1 order by at limit 1`, at).Scan(id)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	}
	if !since.IsZero() {
		from = math.MaxInt64 // unless there is something as new as that
		if err := one(&from, since.Add(-maxSkew)); err != nil {
			return 0, 0, err
		}
	}
	if !until.IsZero() {
		if err := one(&to, until.Add(maxSkew)); err != nil {
			return 0, 0, err
		}
	}
	return from, to, nil
}

// selectAt reads the event at an index, unless it is hidden.
func selectAt(ctx context.Context, tx pgx.Tx, index int64, hidden []Hidden) ([]Entry, error) {
	var e events
	e.add("l.idx = $", index)
	e.hide(hidden)
	return e.read(ctx, tx, `audit.leaf l join audit.event e on e.id = l.event`, ``)
}

// selectKinds goes from one kind to the next in the index.
func selectKinds(ctx context.Context, tx pgx.Tx) ([]string, error) {
	rows, err := tx.Query(ctx, `with recursive k as (
			(select kind from audit.event order by kind limit 1)
			union all
			select (select e.kind from audit.event e where e.kind > k.kind order by e.kind limit 1) from k where k.kind is not null)
		select kind from k where kind is not null`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// selectLeaf finds an event's place by its id, or by its hash if id is 0. It returns ErrNotIndexed or ErrUnknown if there
// is none.
func selectLeaf(ctx context.Context, tx pgx.Tx, id int64, hash tlog.Hash) (index int64, leaf Leaf, err error) {
	by, arg := "event", any(id)
	if id == 0 {
		by, arg = "hash", hash[:]
	}
	var h []byte
	err = tx.QueryRow(ctx, `select idx, event, hash from audit.leaf where `+by+` = $1 order by idx limit 1`, arg).
		Scan(&index, &leaf.Event, &h)
	copy(leaf.Hash[:], h)
	if !errors.Is(err, pgx.ErrNoRows) {
		return index, leaf, err
	}
	var waits bool
	err = tx.QueryRow(ctx, `select exists (select from audit.pending where `+by+` = $1)`, arg).Scan(&waits)
	if err != nil {
		return 0, Leaf{}, err
	}
	if waits {
		return 0, Leaf{}, ErrNotIndexed
	}
	return 0, Leaf{}, ErrUnknown
}

// selectCheckpoint returns the checkpoint of a size, or ErrUnknown.
func selectCheckpoint(ctx context.Context, tx pgx.Tx, size int64) ([]byte, error) {
	var text string
	err := tx.QueryRow(ctx, `select note from audit.checkpoint where size = $1`, size).Scan(&text)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ErrUnknown.Withf("The audit log has no checkpoint of size %d.", size)
	}
	return []byte(text), err
}
