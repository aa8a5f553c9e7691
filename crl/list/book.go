package list

import (
	"bytes"
	"slices"
	"time"
)

// perSegment is how many entries a full segment has: about 50 kB. One revocation rewrites one segment.
const perSegment = 1000

// Change is a change of one certificate's standing, in the order in which they happened. The last of a serial holds.
type Change struct {
	Entry
	Partition int       // 0 if the issuer's certificates have none
	Released  bool      // the hold has ended
	Until     time.Time // when the entry may go, its certificate having expired; zero: never. Whole minutes count.
}

// Segment is a run of encoded entries of one partition. It does not change once it is made; lists share it.
type Segment struct {
	ID        int64 // where it is kept; 0: nowhere yet. Set once, by whoever keeps it.
	Partition int
	DER       []byte   // the entries, one after the other
	Until     []uint32 // of each entry: minutes since 1970; 0: never
}

// Entries returns how many there are.
func (s *Segment) Entries() int { return len(s.Until) }

// first returns when the first entry may go; 0: never.
func (s *Segment) first() uint32 {
	first := uint32(0)
	for _, u := range s.Until {
		if u != 0 && (first == 0 || u < first) {
			first = u
		}
	}
	return first
}

// Check returns ErrList unless DER holds as many entries as Until, as when it was read from where it is kept.
func (s *Segment) Check() error {
	n := 0
	for rest := s.DER; len(rest) > 0; n++ {
		tag, length, size, ok := header(rest)
		if !ok || tag != tagSequence || int64(size)+length > int64(len(rest)) {
			return ErrList.Withf("A segment of the revocation list is damaged.")
		}
		rest = rest[int64(size)+length:]
	}
	if n != len(s.Until) {
		return ErrList.Withf("A segment of the revocation list is damaged.")
	}
	return nil
}

// Book has the entries of an issuer's complete lists. It does not change: Apply makes the next one, which shares what is the
// same. The zero Book is empty.
type Book struct {
	segments []*Segment
	expiry   []uint32 // of each segment, its first
}

// NewBook returns a book of segments, in their order.
func NewBook(segments []*Segment) *Book {
	b := &Book{segments: slices.Clone(segments), expiry: make([]uint32, len(segments))}
	for n, s := range segments {
		b.expiry[n] = s.first()
	}
	return b
}

// Segments returns all segments; they must not be changed.
func (b *Book) Segments() []*Segment { return slices.Clone(b.segments) }

// Partition returns the segments of one partition; they must not be changed.
func (b *Book) Partition(n int) []*Segment {
	return slices.DeleteFunc(b.Segments(), func(s *Segment) bool { return s.Partition != n })
}

// Apply returns the book after changes: entries are added, replaced or taken out, and those that may go by now are left out.
// It encodes the new entries only. Its work is a glance at every entry and a copy of the segments that change.
func (b *Book) Apply(changes []Change, now time.Time) (*Book, error) {
	last := latest(changes)
	moment := minutes(now)
	next := &Book{segments: make([]*Segment, 0, len(b.segments)+1), expiry: make([]uint32, 0, len(b.segments)+1)}
	added := map[int]*Segment{} // of each partition, what comes behind its last segment
	for n, s := range b.segments {
		kept := s
		if len(last) > 0 || b.expiry[n] != 0 && b.expiry[n] <= moment {
			kept = s.without(last, moment)
		}
		switch {
		case kept == s:
			next.keep(s, b.expiry[n])
		case kept.Entries() < perSegment/4: // too small to stay alone
			behind(added, kept.Partition).append(kept.DER, kept.Until...)
		default:
			next.keep(kept, kept.first())
		}
	}
	for n, c := range changes {
		if last[string(c.Serial)] != n || c.Released {
			continue
		}
		der, err := appendEntry(nil, c.Entry)
		if err != nil {
			return nil, err
		}
		behind(added, c.Partition).append(der, minutes(c.Until))
	}
	next.add(added)
	return next, nil
}

func (b *Book) keep(s *Segment, expiry uint32) {
	b.segments, b.expiry = append(b.segments, s), append(b.expiry, expiry)
}

// add puts what is new behind the last segment of its partition if that has room, and into new ones.
func (b *Book) add(added map[int]*Segment) {
	for n := len(b.segments) - 1; n >= 0; n-- {
		s := b.segments[n]
		a := added[s.Partition]
		if a == nil || a.Entries() == 0 || s.Entries() >= perSegment {
			continue
		}
		grown := &Segment{Partition: s.Partition, DER: bytes.Clone(s.DER), Until: slices.Clone(s.Until)}
		a.move(grown)
		b.segments[n], b.expiry[n] = grown, grown.first()
	}
	partitions := make([]int, 0, len(added))
	for p := range added {
		partitions = append(partitions, p)
	}
	slices.Sort(partitions)
	for _, p := range partitions {
		for a := added[p]; a.Entries() > 0; {
			s := &Segment{Partition: p}
			a.move(s)
			b.keep(s, s.first())
		}
	}
}

func behind(added map[int]*Segment, partition int) *Segment {
	s := added[partition]
	if s == nil {
		s = &Segment{Partition: partition}
		added[partition] = s
	}
	return s
}

func (s *Segment) append(der []byte, until ...uint32) {
	s.DER, s.Until = append(s.DER, der...), append(s.Until, until...)
}

// move moves as many of the first entries to another segment as that has room for.
func (s *Segment) move(to *Segment) {
	n := min(perSegment-to.Entries(), s.Entries())
	size := 0
	for range n {
		_, length, h, _ := header(s.DER[size:])
		size += h + int(length)
	}
	to.append(s.DER[:size], s.Until[:n]...)
	s.DER, s.Until = s.DER[size:], s.Until[n:]
}

// without returns the segment without the entries that changed or may go: itself if there are none.
func (s *Segment) without(changed map[string]int, moment uint32) *Segment {
	var out *Segment
	from := 0
	for n, at := 0, 0; at < len(s.DER); n++ {
		_, length, h, _ := header(s.DER[at:])
		end := at + h + int(length)
		serial := s.DER[at+h+2 : at+h+2+int(s.DER[at+h+1])]
		if serial[0] == 0 {
			serial = serial[1:]
		}
		_, gone := changed[string(serial)]
		if !gone {
			gone = s.Until[n] != 0 && s.Until[n] <= moment
		}
		if gone {
			if out == nil {
				out = &Segment{Partition: s.Partition, Until: slices.Clone(s.Until[:n])}
			}
			out.DER = append(out.DER, s.DER[from:at]...)
			from = end
		} else if out != nil {
			out.Until = append(out.Until, s.Until[n])
		}
		at = end
	}
	if out == nil {
		return s
	}
	out.DER = append(out.DER, s.DER[from:]...)
	return out
}

// latest returns the place of each serial's last change.
func latest(changes []Change) map[string]int {
	last := make(map[string]int, len(changes))
	for n, c := range changes {
		last[string(c.Serial)] = n
	}
	return last
}

// Delta returns the entries of a delta: each serial's last change, with RemoveFromCRL for a hold that ended. count says how
// many there are.
func Delta(changes []Change) (der []byte, count int, err error) {
	last := latest(changes)
	for n, c := range changes {
		if last[string(c.Serial)] != n {
			continue
		}
		if c.Released {
			c.Reason, c.Invalid = RemoveFromCRL, time.Time{}
		}
		if der, err = appendEntry(der, c.Entry); err != nil {
			return nil, 0, err
		}
	}
	return der, len(last), nil
}

func minutes(t time.Time) uint32 {
	if t.IsZero() {
		return 0
	}
	return uint32(max(1, min(t.Unix()/60, 1<<32-1)))
}
