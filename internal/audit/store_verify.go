package audit

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealpost/sealpost/internal/audit/proof"
)

// leafRow is an index, and the event it was given to, if that is found.
type leafRow struct {
	eventRow
	index int64
	hash  tlog.Hash
	found bool
}

// selectLeaves passes the rows from index first on, at most limit, to each.
func selectLeaves(ctx context.Context, tx pgx.Tx, first int64, limit int, each func(leafRow) error) error {
	rows, err := tx.Query(ctx, `
		select l.idx, l.event, l.hash, e.id is not null, coalesce(e.body, ''), coalesce(e.at, 'epoch'), coalesce(e.kind, ''),
			coalesce(e.subject, ''), coalesce(e.person, '00000000-0000-0000-0000-000000000000'),
			coalesce(e.actor, '00000000-0000-0000-0000-000000000000')
		from audit.leaf l left join audit.event e on e.id = l.event
		where l.idx >= $1 order by l.idx limit $2`, first, limit)
	if err != nil {
		return err
	}
	var r leafRow
	var hash, body []byte
	_, err = pgx.ForEachRow(rows, []any{&r.index, &r.event, &hash, &r.found, &body, &r.at, &r.kind, &r.subject, &r.person, &r.actor},
		func() error {
			copy(r.hash[:], hash)
			r.body = body
			return each(r)
		})
	return err
}

type storedCheckpoint struct {
	size int64
	note []byte
}

// selectCheckpoints returns the checkpoints of the sizes after … upTo.
func selectCheckpoints(ctx context.Context, tx pgx.Tx, after, upTo int64) ([]storedCheckpoint, error) {
	rows, err := tx.Query(ctx, `select size, note from audit.checkpoint where size > $1 and size <= $2 order by size limit $3`,
		after, upTo, verifyPage+1)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (c storedCheckpoint, err error) {
		err = r.Scan(&c.size, &c.note)
		return c, err
	})
}

type nodeKey struct {
	level int
	n     int64
}

// selectNodes returns the nodes that leaves with the indexes first … last-1 complete.
func selectNodes(ctx context.Context, tx pgx.Tx, first, last int64) (map[nodeKey]tlog.Hash, error) {
	rows, err := tx.Query(ctx, `select level, n, hash from audit.node
		where (level, n) in (select l, k from generate_series(1, 7) l, generate_series($1::bigint >> (8 * l), $2::bigint >> (8 * l)) k)`,
		first, last)
	if err != nil {
		return nil, err
	}
	nodes := map[nodeKey]tlog.Hash{}
	var k nodeKey
	var hash []byte
	_, err = pgx.ForEachRow(rows, []any{&k.level, &k.n, &hash}, func() error {
		var h tlog.Hash // of a hash with another length, which is no match
		copy(h[:], hash)
		nodes[k] = h
		return nil
	})
	return nodes, err
}

// countRows counts what the sequencer has stored.
func countRows(ctx context.Context, tx pgx.Tx) (leaves, nodes, checkpoints int64, err error) {
	err = tx.QueryRow(ctx, `select (select count(*) from audit.leaf), (select count(*) from audit.node), (select count(*) from audit.checkpoint)`).
		Scan(&leaves, &nodes, &checkpoints)
	return leaves, nodes, checkpoints, err
}

// selectEventAt returns the event at an index, as far as it is known.
func selectEventAt(ctx context.Context, tx pgx.Tx, index int64) (event int64, kind string, err error) {
	err = tx.QueryRow(ctx, `select l.event, coalesce(e.kind, '') from audit.leaf l left join audit.event e on e.id = l.event
		where l.idx = $1 limit 1`, index).Scan(&event, &kind)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, "", nil
	}
	return event, kind, err
}

// selectTwin looks for another index whose recorded hash is that of an event's present body. It returns index -1 if there
// is none.
func selectTwin(ctx context.Context, tx pgx.Tx, event, not int64) (index, other int64, err error) {
	var body []byte
	if err := tx.QueryRow(ctx, `select body from audit.event where id = $1`, event).Scan(&body); err != nil {
		return -1, 0, err
	}
	hash := proof.LeafHash(body)
	err = tx.QueryRow(ctx, `select idx, event from audit.leaf where hash = $1 and idx <> $2 order by idx limit 1`, hash[:], not).
		Scan(&index, &other)
	if errors.Is(err, pgx.ErrNoRows) {
		return -1, 0, nil
	}
	return index, other, err
}

// placeRow is an event with its place: an index, or a row in pending. Its body is read only if it waits.
type placeRow struct {
	eventRow
	indexed bool
	waits   bool
	hash    tlog.Hash
}

// selectPlaces passes the events whose id is greater than after, at most limit, to each.
func selectPlaces(ctx context.Context, tx pgx.Tx, after int64, limit int, each func(placeRow) error) error {
	rows, err := tx.Query(ctx, `
		select e.id, e.at, e.kind, e.subject, e.person, e.actor, p.hash, case when p.event is not null then e.body else '' end,
			exists (select from audit.leaf l where l.event = e.id)
		from audit.event e left join audit.pending p on p.event = e.id
		where e.id > $1 order by e.id limit $2`, after, limit)
	if err != nil {
		return err
	}
	var r placeRow
	var hash, body []byte
	_, err = pgx.ForEachRow(rows, []any{&r.event, &r.at, &r.kind, &r.subject, &r.person, &r.actor, &hash, &body, &r.indexed},
		func() error {
			r.waits = hash != nil
			copy(r.hash[:], hash)
			r.body = body
			return each(r)
		})
	return err
}

// selectOrphan returns an event that waits for its index but is gone, or 0.
func selectOrphan(ctx context.Context, tx pgx.Tx) (event int64, err error) {
	err = tx.QueryRow(ctx, `select p.event from audit.pending p where not exists (select from audit.event e where e.id = p.event)
		order by p.event limit 1`).Scan(&event)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	return event, err
}
