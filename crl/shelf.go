package crl

import (
	"bytes"
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/crl/list"
)

// freshFor is how long a server may serve a list without asking whether another server has made a newer one.
const freshFor = time.Second

// shelf keeps each issuer's newest lists in memory, and the book that the next ones are made from. Lists share segments: with
// each other, with the book, and with their successors.
type shelf struct {
	publisher *Publisher
	mu        sync.Mutex
	issuers   map[string]*place
}

// place is what the shelf has of one issuer.
type place struct {
	book  shelved
	lists map[Kind]*served
	// shown are lists that were served and that the database knows no more, because it was restored. Until there is one of a
	// higher number they are served on: relying parties must not see an older one.
	shown map[Kind]*served
}

// shelved is the book of a complete list. Its digest says which one: a database that is restored may make two of one number.
type shelved struct {
	number int64
	sha256 [32]byte
	book   *list.Book
}

func newShelf(p *Publisher) *shelf { return &shelf{publisher: p, issuers: map[string]*place{}} }

// place returns the issuer's place. The lock is held.
func (s *shelf) place(issuer string) *place {
	p := s.issuers[issuer]
	if p == nil {
		p = &place{book: shelved{book: new(list.Book)}, lists: map[Kind]*served{}, shown: map[Kind]*served{}}
		s.issuers[issuer] = p
	}
	return p
}

// book returns the book of the newest complete list. It reads the segments that are not at hand.
func (s *shelf) book(ctx context.Context, tx pgx.Tx, issuer string, newest row) (*list.Book, error) {
	s.mu.Lock()
	have := s.place(issuer).book
	s.mu.Unlock()
	switch {
	case newest.Number == 0:
		return new(list.Book), nil
	case have.number == newest.Number && bytes.Equal(have.sha256[:], newest.SHA256):
		return have.book, nil
	}
	_, segments, err := s.assemble(ctx, tx, issuer, newest)
	return list.NewBook(segments), err
}

// assemble puts a list together from what the database has, and from the segments in memory. It is the list that was signed, byte
// by byte: after a restore the database may give another segment the id of one in memory.
func (s *shelf) assemble(ctx context.Context, tx pgx.Tx, issuer string, r row) (*list.List, []*list.Segment, error) {
	p, err := selectPieces(ctx, tx, issuer, r.Kind, r.Number)
	if err != nil {
		return nil, nil, err
	}
	for _, known := range []map[int64]*list.Segment{s.known(issuer), {}} {
		segments, err := segmentsOf(ctx, tx, issuer, p.segments, known)
		if err != nil {
			return nil, nil, err
		}
		content := &list.List{Parts: make([][]byte, 0, len(segments)+2), Size: r.Size}
		content.Parts = append(content.Parts, p.head)
		for _, one := range segments {
			content.Parts = append(content.Parts, one.DER)
		}
		content.Parts = append(content.Parts, p.tail)
		h := sha256.New()
		_, _ = content.Open().WriteTo(h) // never fails
		if bytes.Equal(h.Sum(nil), r.SHA256) {
			return content, segments, nil
		}
	}
	return nil, nil, ErrWrong.Withf("The revocation list %d of %s in the database is not the one that was signed.", r.Number, issuer)
}

// segmentsOf returns segments in the order of their ids in the list. It reads those that are not known.
func segmentsOf(ctx context.Context, tx pgx.Tx, issuer string, ids []int64, known map[int64]*list.Segment) ([]*list.Segment, error) {
	var missing []int64
	for _, id := range ids {
		if known[id] == nil {
			missing = append(missing, id)
		}
	}
	read, err := selectSegments(ctx, tx, issuer, missing)
	if err != nil {
		return nil, err
	}
	out := make([]*list.Segment, len(ids))
	for n, id := range ids {
		if out[n] = known[id]; out[n] == nil {
			out[n] = read[id]
		}
		if out[n] == nil {
			return nil, ErrWrong.Withf("A part of the revocation list of %s is no longer in the database.", issuer)
		}
	}
	return out, nil
}

// known returns the issuer's segments that are in memory, by their ids.
func (s *shelf) known(issuer string) map[int64]*list.Segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.place(issuer)
	out := map[int64]*list.Segment{}
	for _, one := range p.book.book.Segments() {
		out[one.ID] = one
	}
	for _, l := range p.lists {
		for _, one := range l.segments {
			out[one.ID] = one
		}
	}
	return out
}

// put takes what a round has made.
func (s *shelf) put(issuer string, book *shelved, fresh []freshList) {
	now := s.publisher.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.place(issuer)
	if book != nil && book.number > p.book.number {
		p.book = *book
	}
	for _, f := range fresh {
		if have := p.lists[f.row.Kind]; have == nil || have.list.Number < f.row.Number {
			p.lists[f.row.Kind] = newServed(f.list, f.segments, now)
		}
	}
}

// Newest returns the issuer's newest complete list, or ErrNoList.
func (p *Publisher) Newest(ctx context.Context, issuer string) (*List, error) {
	return p.Find(ctx, issuer, Kind{})
}

// Find returns the issuer's newest list of a kind, or ErrNoList.
func (p *Publisher) Find(ctx context.Context, issuer string, k Kind) (*List, error) {
	s, err := p.shelf.read(ctx, issuer, k)
	if err != nil {
		return nil, err
	}
	return s.list, nil
}

// get returns the newest list for serving. While the database is away it goes on with the one it has, as long as that is
// current: a relying party needs a list more than it needs the very newest.
func (s *shelf) get(ctx context.Context, issuer string, k Kind) (*served, error) {
	now := s.publisher.Now()
	s.mu.Lock()
	have := s.place(issuer).lists[k]
	fresh := have != nil && now.Sub(have.checked).Abs() < freshFor // a clock may have gone back
	s.mu.Unlock()
	if !fresh {
		read, err := s.read(ctx, issuer, k)
		switch {
		case err == nil:
			have = read
		case have == nil || !now.Before(have.list.NextUpdate):
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if shown := s.place(issuer).shown[k]; shown != nil && shown.list.Number >= have.list.Number && now.Before(shown.list.NextUpdate) {
		return shown, nil
	}
	return have, nil
}

// read returns the newest list that the database has.
func (s *shelf) read(ctx context.Context, issuer string, k Kind) (*served, error) {
	now := s.publisher.Now()
	s.mu.Lock()
	before := s.place(issuer).lists[k]
	s.mu.Unlock()
	have := before
	err := s.publisher.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		newest, err := selectRow(ctx, tx, issuer, k)
		if err != nil || have != nil && have.list.Number == newest.Number && bytes.Equal(have.list.SHA256[:], newest.SHA256) {
			return err
		}
		content, segments, err := s.assemble(ctx, tx, issuer, newest)
		if err != nil {
			return err
		}
		have = newServed(newest.of(issuer, content), segments, now)
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.place(issuer)
	switch other := p.lists[k]; {
	case other == before || other == have || other == nil || other.list.Number < have.list.Number:
	default: // somebody else has looked meanwhile
		return other, nil
	}
	if before != nil && before != have && before.list.Number >= have.list.Number && p.shown[k] == nil {
		p.shown[k] = before
	}
	have.checked = now
	p.lists[k] = have
	return have, nil
}
