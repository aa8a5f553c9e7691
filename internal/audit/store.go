package audit

import (
	"context"
	"errors"
	"fmt"
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

// selectEvents reads a page of events.
func selectEvents(ctx context.Context, tx pgx.Tx, q Query) ([]Entry, error) {
	where, order := []string{"e.id > $1"}, "asc"
	args := []any{q.After, q.Limit}
	add := func(cond string, arg any) {
		args = append(args, arg)
		where = append(where, fmt.Sprintf(cond, len(args)))
	}
	if q.Before != 0 {
		add("e.id < $%d", q.Before)
		order = "desc"
	}
	if q.Subject != "" {
		add("e.subject = $%d", q.Subject)
	}
	if q.Kind != "" {
		add("e.kind = $%d", q.Kind)
	}
	if len(q.Kinds) > 0 {
		add("e.kind = any($%d)", q.Kinds)
	}
	if q.Person != uuid.Nil {
		// The second condition is that of the index.
		add("e.person = $%d and e.person <> '00000000-0000-0000-0000-000000000000'", q.Person)
	}
	rows, err := tx.Query(ctx, `select e.id, coalesce(l.idx, -1), e.body
		from audit.event e left join audit.leaf l on l.event = e.id
		where `+strings.Join(where, " and ")+` order by e.id `+order+` limit $2`, args...)
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
