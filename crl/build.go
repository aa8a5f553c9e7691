package crl

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/crl/list"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/jobs"
)

// Renew makes the issuer's next lists now, whether or not they are due, and returns the complete one.
func (p *Publisher) Renew(ctx context.Context, issuer string) (*List, error) {
	return p.build(ctx, issuer, func(*round) (extent, error) { return everything, nil })
}

// Build makes the issuer's next lists unless the newest holds at least so many changes and none is due, and returns the
// newest complete one.
func (p *Publisher) Build(ctx context.Context, issuer string, atLeast int64) (*List, error) {
	return p.build(ctx, issuer, func(r *round) (extent, error) { return r.due(atLeast), nil })
}

// farthest is the highest number that GoBehind takes: it leaves room for ever, and nobody means more.
const farthest = 1_000_000_000_000_000

// GoBehind makes the issuer's next lists with the number that follows the given one, for a database that was restored from a
// backup and has forgotten lists that relying parties have. Numbers go on from there. It returns ErrNumber if the newest list
// has this number already.
func (p *Publisher) GoBehind(ctx context.Context, by audit.Actor, issuer string, number int64) (*List, error) {
	if number > farthest {
		return nil, ErrNumber.Withf("No list has a number above %d.", int64(farthest))
	}
	return p.build(ctx, issuer, func(r *round) (extent, error) {
		if number <= r.row.number {
			return nothing, ErrNumber.Withf("The newest list of %s has the number %d already; numbers go on behind it by themselves.", issuer, r.row.number)
		}
		r.number = number + 1
		_, err := audit.Append(ctx, r.tx, r.now, by, audit.Event{Kind: "crl.numbers-skipped", Subject: fmt.Sprintf("crl:%s/%d", issuer, r.number),
			Data: map[string]any{"newest": r.row.number, "behind": number}})
		return everything, err
	})
}

// extent is how much of an issuer's lists a round makes anew.
type extent int

const (
	nothing    extent = iota
	deltas            // the deltas alone
	changed           // the complete list, those of partitions that changed, and their deltas
	everything        // every list
)

// round makes the lists of one issuer that belong together: they have the same number and tell of the same moment.
type round struct {
	*Publisher
	issuer *ca.Issuer
	tx     pgx.Tx
	row    issuerRow
	newest map[Kind]row
	bases  map[int]row // of deltas
	parts  int         // partitions
	now    time.Time

	number     int64
	thisUpdate time.Time
	changes    int64 // the authority's count that the lists hold
	linted     int64 // the count up to which entries have been looked at by the linter
	fresh      []freshList
}

// freshList is one that this round has made.
type freshList struct {
	list     *List
	row      row
	pieces   pieces
	segments []*list.Segment // none in a delta
}

func (p *Publisher) build(ctx context.Context, issuer string, extentOf func(*round) (extent, error)) (*List, error) {
	i, err := p.Authority.Issuer(issuer)
	if err != nil {
		return nil, err
	}
	var made *round
	var next *shelved
	err = p.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		r, err := p.begin(ctx, tx, i)
		if err != nil {
			return err
		}
		extent, err := extentOf(r)
		if err != nil || extent == nothing {
			return err
		}
		if next, err = r.make(ctx, extent); err != nil {
			return err
		}
		made = r
		return r.store(ctx)
	})
	if err != nil {
		return nil, err
	}
	if made != nil {
		p.shelf.put(issuer, next, made.fresh)
		for _, f := range made.fresh {
			if f.row.Kind == (Kind{}) {
				return f.list, nil
			}
		}
	}
	return p.Newest(ctx, issuer)
}

// begin holds the issuer's row and reads what there is.
func (p *Publisher) begin(ctx context.Context, tx pgx.Tx, i *ca.Issuer) (*round, error) {
	r := &round{Publisher: p, issuer: i, tx: tx, now: p.Now()}
	var err error
	if err := patience(ctx, tx, buildTimeout); err != nil {
		return nil, err
	}
	if r.row, err = lockIssuer(ctx, tx, i.ID()); err != nil {
		return nil, err
	}
	if r.newest, err = selectNewest(ctx, tx, i.ID()); err != nil {
		return nil, err
	}
	if r.bases, err = selectBases(ctx, tx, i.ID(), r.now); err != nil {
		return nil, err
	}
	if r.parts, err = p.Authority.Partitions(ctx, i.ID()); err != nil {
		return nil, err
	}
	r.number = r.row.number + 1
	r.thisUpdate = r.now.UTC().Truncate(time.Second)
	if r.thisUpdate.Before(r.row.thisUpdate) { // a clock went back; relying parties' notion of the newest must not
		r.thisUpdate = r.row.thisUpdate.UTC()
	}
	return r, nil
}

// due says what has to be made if the lists are to hold at least so many changes.
func (r *round) due(atLeast int64) extent {
	full, ok := r.newest[Kind{}]
	switch {
	case !ok || !r.now.Before(full.ThisUpdate.Add(r.Schedule.Period)):
		return everything
	case full.Changes < atLeast:
		return changed
	}
	for n := range r.parts {
		if _, ok := r.newest[Kind{Partition: n + 1}]; !ok { // no certificate names a list that is not there
			return everything
		}
	}
	if r.Deltas != nil && r.bases[0].Number > 0 {
		switch last, ok := r.newest[Kind{Delta: true}]; {
		case !ok: // the first list could not name a delta
			return everything
		case !r.now.Before(last.ThisUpdate.Add(r.Schedule.DeltaPeriod)):
			return deltas
		}
	}
	return nothing
}

// make makes the lists of the extent. It returns the issuer's book as it then is, or nil if that has not changed.
func (r *round) make(ctx context.Context, e extent) (*shelved, error) {
	full := r.newest[Kind{}]
	r.changes, r.linted = full.Changes, max(full.Changes, r.newest[Kind{Delta: true}].Changes)
	if e == deltas {
		return nil, r.makeDeltas(ctx, e)
	}
	book, err := r.shelf.book(ctx, r.tx, r.issuer.ID(), full)
	if err != nil {
		return nil, err
	}
	next, touched, err := r.apply(ctx, book)
	if err != nil {
		return nil, err
	}
	if err := insertSegments(ctx, r.tx, r.issuer.ID(), next.Segments()); err != nil {
		return nil, err
	}
	if err := r.makeFulls(ctx, e, next, touched); err != nil {
		return nil, err
	}
	return &shelved{number: r.number, sha256: r.fresh[0].list.SHA256, book: next}, r.makeDeltas(ctx, e)
}

// atOnce is how many changes are in memory at a time: after years all are new to the first list.
const atOnce = 50_000

// apply puts what has changed since the last complete list into the book, and says which partitions that touches.
func (r *round) apply(ctx context.Context, book *list.Book) (next *list.Book, touched map[int]bool, err error) {
	touched = map[int]bool{}
	template := r.template(Kind{})
	batch := make([]list.Change, 0, 16)
	flush := func() error {
		if err := r.linter.check(template, batch); err != nil {
			return err
		}
		book, err = book.Apply(batch, r.now)
		batch = batch[:0]
		return err
	}
	for c, err := range r.Authority.Revoked(ctx, r.issuer.ID(), r.changes) {
		if err != nil {
			return nil, nil, err
		}
		r.changes = c.Count
		touched[c.Partition] = true
		if batch = append(batch, r.change(c)); len(batch) == atOnce {
			if err := flush(); err != nil {
				return nil, nil, err
			}
		}
	}
	err = flush()
	r.linted = r.changes
	return book, touched, err
}

// change is a change as lists have it. They say nothing that lies ahead of them: another server's clock may.
func (r *round) change(c ca.Change) list.Change {
	out := list.Change{Entry: list.Entry{Serial: []byte(c.Serial), At: c.At.UTC().Truncate(time.Second), Reason: list.Reason(c.Reason)},
		Partition: c.Partition, Released: c.Released}
	if out.At.After(r.thisUpdate) {
		out.At = r.thisUpdate
	}
	if !c.Invalid.IsZero() {
		out.Invalid = c.Invalid.UTC().Truncate(time.Second)
	}
	if !c.KeepExpired {
		out.Until = c.NotAfter.Add(keepExpired)
	}
	return out
}

// makeFulls makes the complete list and those of partitions.
func (r *round) makeFulls(ctx context.Context, e extent, book *list.Book, touched map[int]bool) error {
	for partition := range r.parts + 1 {
		k := Kind{Partition: partition}
		_, there := r.newest[k]
		if partition > 0 && there && e == changed && !touched[partition] {
			continue
		}
		segments := book.Segments()
		if partition > 0 {
			segments = book.Partition(partition)
		}
		t := r.template(k)
		if r.Deltas != nil && r.bases[partition].Number > 0 { // a delta is made with it
			t.Freshest = r.Deltas(r.issuer.ID(), partition)
		}
		entries := make([][]byte, len(segments))
		count := 0
		for n, s := range segments {
			entries[n] = s.DER
			count += s.Entries()
		}
		f, err := r.sign(t, k, entries, count, nil)
		if err != nil {
			return err
		}
		parts := f.list.content.Parts
		f.segments = segments
		f.pieces = pieces{head: parts[0], tail: parts[len(parts)-1], segments: make([]int64, len(segments))}
		for n, s := range segments {
			f.pieces.segments[n] = s.ID
		}
		r.fresh = append(r.fresh, f)
	}
	return ctx.Err()
}

// makeDeltas makes the deltas of those complete lists that are made or, if they are made alone, of all.
func (r *round) makeDeltas(ctx context.Context, e extent) error {
	if r.Deltas == nil {
		return nil
	}
	all, err := r.sinceBases(ctx, e)
	if err != nil {
		return err
	}
	for partition := range r.parts + 1 {
		base := r.bases[partition]
		if base.Number == 0 || e != deltas && !r.made(Kind{Partition: partition}) {
			continue
		}
		var changes, news []list.Change
		for _, c := range all {
			if c.Count > base.Changes && (partition == 0 || c.Partition == partition) {
				changes = append(changes, r.change(c))
				if c.Count > r.linted {
					news = append(news, changes[len(changes)-1])
				}
			}
		}
		der, count, err := list.Delta(changes)
		if err != nil {
			return err
		}
		k := Kind{Partition: partition, Delta: true}
		t := r.template(k)
		t.Base = base.Number
		f, err := r.sign(t, k, [][]byte{der}, count, news)
		if err != nil {
			return err
		}
		parts := f.list.content.Parts
		f.pieces = pieces{head: slices.Concat(parts[0], parts[1]), tail: parts[2], segments: []int64{}}
		r.fresh = append(r.fresh, f)
	}
	return ctx.Err()
}

// sinceBases returns what has changed since the oldest base. A complete list of this round holds just as much.
func (r *round) sinceBases(ctx context.Context, e extent) (out []ca.Change, err error) {
	after := r.changes
	for _, b := range r.bases {
		after = min(after, b.Changes)
	}
	for c, err := range r.Authority.Revoked(ctx, r.issuer.ID(), after) {
		if err != nil {
			return nil, err
		}
		if c.Count > r.changes {
			if e != deltas {
				break
			}
			r.changes = c.Count
		}
		out = append(out, c)
	}
	return out, nil
}

func (r *round) made(k Kind) bool {
	return slices.ContainsFunc(r.fresh, func(f freshList) bool { return f.row.Kind == k })
}

// template returns what a list says besides its entries.
func (r *round) template(k Kind) *list.Template {
	_, algorithm := r.issuer.SignatureAlgorithm()
	lifetime, period := r.Schedule.Lifetime, r.Schedule.Period
	if k.Delta {
		lifetime, period = r.Schedule.DeltaLifetime, r.Schedule.DeltaPeriod
	}
	t := &list.Template{Issuer: r.issuer.Certificate(), Algorithm: algorithm, Number: r.number,
		ThisUpdate: r.thisUpdate, NextUpdate: r.thisUpdate.Add(lifetime)}
	if k.Partition > 0 {
		t.Scope = r.issuer.PartitionCRL(k.Partition)
	}
	if r.Locations != nil {
		t.Publish = r.thisUpdate.Add(period)
		if k == (Kind{}) {
			t.Locations = r.Locations(r.issuer.ID())
		}
	}
	return t
}

// sign lints a list, has it signed and reads it as an outsider would. news are entries that were not linted yet.
func (r *round) sign(t *list.Template, k Kind, entries [][]byte, count int, news []list.Change) (f freshList, err error) {
	if err := r.linter.check(t, news); err != nil {
		return f, err
	}
	signed, err := t.Sign(entries, r.issuer.SignCRL)
	if err != nil {
		return f, err
	}
	head, err := list.Read(signed.Open(), nil)
	if err != nil {
		return f, ErrWrong.Because(err)
	}
	if err := head.Verify(r.issuer.Certificate()); err != nil {
		return f, ErrWrong.Because(err)
	}
	if head.Entries != count || head.Size != signed.Size || head.Number.Int64() != r.number || head.Delta() != k.Delta {
		return f, ErrWrong.Withf("The revocation list %d of %s is not what it should be.", r.number, r.issuer.ID())
	}
	f.row = row{Kind: k, Number: r.number, Base: t.Base, ThisUpdate: t.ThisUpdate, NextUpdate: t.NextUpdate, Changes: r.changes,
		Entries: count, Size: head.Size, SHA256: head.SHA256[:]}
	f.list = f.row.of(r.issuer.ID(), signed)
	f.list.head = func() (*list.Head, error) { return head, nil }
	return f, nil
}

// of returns the list of a row.
func (r *row) of(issuer string, content *list.List) *List {
	return &List{Kind: r.Kind, Issuer: issuer, Number: r.Number, Base: r.Base, ThisUpdate: r.ThisUpdate.UTC(), NextUpdate: r.NextUpdate.UTC(),
		Entries: r.Entries, Size: r.Size, SHA256: [32]byte(r.SHA256), content: content,
		head: sync.OnceValues(func() (*list.Head, error) { return list.Read(content.Open(), nil) })}
}

// store keeps the lists and enqueues their deliveries.
func (r *round) store(ctx context.Context) error {
	id := r.issuer.ID()
	b := &pgx.Batch{}
	updateIssuer(b, id, issuerRow{r.number, r.thisUpdate})
	var deliveries []jobs.Args
	files := map[string]any{}
	for _, f := range r.fresh {
		insertList(b, id, f.row, f.pieces)
		files[f.list.FileName()] = f.row.Entries
		deliveries = append(deliveries, r.deliveries(f.list)...)
	}
	if err := r.tx.SendBatch(ctx, b).Close(); err != nil {
		return err
	}
	_, err := audit.Append(ctx, r.tx, r.now, audit.System("crl"), audit.Event{Kind: "crl.issued", Subject: fmt.Sprintf("crl:%s/%d", id, r.number),
		Data: map[string]any{"entries": files, "this_update": r.thisUpdate, "changes": r.changes}})
	if err != nil || len(deliveries) == 0 {
		return err
	}
	return r.Jobs.Insert(ctx, r.tx, deliveries...)
}

// Tidy lets go of lists that nobody asks for.
func (p *Publisher) Tidy(ctx context.Context, issuer string) error {
	return p.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		if _, err := lockIssuer(ctx, tx, issuer); err != nil {
			return err
		}
		return deleteOld(ctx, tx, issuer, p.Now())
	})
}
