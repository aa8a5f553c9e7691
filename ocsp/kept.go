package ocsp

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealpost/sealpost/ca"
)

// forms is how many ways there are to name the same certificate: see certIDs.
const forms = 4

// entry is what is kept of one certificate: its status, which never changes (another status is another entry), and the
// answers that were signed for it, one for each form that was asked.
type entry struct {
	place
	status  ca.Status
	learned time.Time // when the database said so; wall clock

	answers [forms]atomic.Pointer[Answer]
	used    atomic.Bool // since it was last considered for eviction
	asked   atomic.Bool // since its answers were last signed
	slot    int         // in kept.ring
}

// place names a certificate in memory.
type place struct {
	issuer *issuer
	serial ca.Serial
}

// answered reports that an answer was given out.
func (e *entry) answered() {
	if !e.used.Load() { // reading first: entries in use are shared by processors
		e.used.Store(true)
	}
	if !e.asked.Load() {
		e.asked.Store(true)
	}
}

// kept are the entries in memory, at most so many. When it is full the next one that was not used for a round goes.
//
// It also holds how many of an issuer's changes have been seen, because the two belong together: an entry is right as of
// that count. What was read from the database may be kept only if the count is still what it was before the reading
// began; every later change comes to the entry itself.
type kept struct {
	limit int

	mu      sync.RWMutex
	entries map[place]*entry
	ring    []*entry
	hand    int
	seen    map[*issuer]int64 // count of changes that entries agree with; absent: nothing of the issuer is kept
}

func newKept(limit int) *kept {
	return &kept{limit: limit, entries: map[place]*entry{}, seen: map[*issuer]int64{}}
}

// get returns what is kept of a certificate, or nil. serial is the octets of a ca.Serial.
func (k *kept) get(i *issuer, serial []byte) *entry {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.entries[place{i, ca.Serial(serial)}]
}

// count returns how many of an issuer's changes have been seen, and whether anything of the issuer may be kept.
func (k *kept) count(i *issuer) (int64, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	count, ok := k.seen[i]
	return count, ok
}

// put keeps what was read after the count was as given, in place of what was kept before, and reports whether that is
// still so.
func (k *kept) put(count int64, list ...*entry) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, e := range list {
		if seen, ok := k.seen[e.issuer]; !ok || seen != count {
			return false
		}
	}
	for _, e := range list {
		k.set(e)
	}
	return true
}

func (k *kept) set(e *entry) {
	if old := k.entries[e.place]; old != nil {
		e.slot = old.slot
		e.used.Store(true)
		e.asked.Store(old.asked.Load())
	} else if len(k.ring) < k.limit {
		e.slot = len(k.ring)
		k.ring = append(k.ring, nil)
	} else {
		for k.ring[k.hand].used.Swap(false) {
			k.hand = (k.hand + 1) % len(k.ring)
		}
		e.slot = k.hand
		delete(k.entries, k.ring[k.hand].place)
		k.hand = (k.hand + 1) % len(k.ring)
	}
	k.ring[e.slot] = e
	k.entries[e.place] = e
}

// change applies one change of an issuer, and counts it. It reports whether an entry was another before.
func (k *kept) change(i *issuer, c ca.Change, learned time.Time) (*entry, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.seen[i] = c.Count
	old := k.entries[place{i, c.Serial}]
	if old == nil {
		return nil, false
	}
	e := &entry{place: old.place, learned: learned, status: ca.Status{State: ca.Good}}
	if !c.Released {
		e.status = ca.Status{State: ca.Revoked, Reason: c.Reason, At: c.At, Invalid: c.Invalid}
	}
	k.set(e)
	return old, true
}

// begin makes an issuer's entries begin anew, at a count of changes: all that were kept are gone.
func (k *kept) begin(i *issuer, count int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forget(func(e *entry) bool { return e.issuer == i })
	k.seen[i] = count
}

// end forgets everything; nothing is kept until an issuer begins again.
func (k *kept) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.entries, k.ring, k.hand, k.seen = map[place]*entry{}, nil, 0, map[*issuer]int64{}
}

// forget removes entries, and closes the gaps. The lock is held.
func (k *kept) forget(gone func(*entry) bool) {
	rest := k.ring[:0]
	for _, e := range k.ring {
		if gone(e) {
			delete(k.entries, e.place)
			continue
		}
		e.slot = len(rest)
		rest = append(rest, e)
	}
	clear(k.ring[len(rest):])
	k.ring, k.hand = rest, 0
}

// list returns the entries that a test picks, and forgets those that another does.
func (k *kept) list(pick, gone func(*entry) bool) []*entry {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forget(gone)
	var out []*entry
	for _, e := range k.ring {
		if pick(e) {
			out = append(out, e)
		}
	}
	return out
}

func (k *kept) len() int {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return len(k.ring)
}
