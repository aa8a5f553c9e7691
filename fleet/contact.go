package fleet

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/pg"
)

const (
	noteEvery  = 5 * time.Minute // a machine's contact is written at most so often
	flushEvery = 2 * time.Second
	flushTime  = 20 * time.Second // that one writing may take
	maxHeard   = 20_000           // machines that are remembered as written
	maxWaiting = 5_000            // contacts that wait to be written; more are left out
)

// key names a machine.
type key struct{ person, id uuid.UUID }

// waiting is a contact that is to be written.
type waiting struct {
	key
	name string // of the person
	at   time.Time
}

// heard remembers what was written lately, and what waits.
type heard struct {
	mu    *sync.Mutex
	last  map[key]time.Time
	queue map[key]waiting
}

func newHeard() heard { return heard{&sync.Mutex{}, map[key]time.Time{}, map[key]waiting{}} }

// mark remembers that a contact was written.
func (h *heard) mark(k key, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.remember(k, at)
	delete(h.queue, k)
}

// remember is called with the lock held.
func (h *heard) remember(k key, at time.Time) {
	if len(h.last) >= maxHeard {
		for old, t := range h.last {
			if at.Sub(t).Abs() >= noteEvery {
				delete(h.last, old)
			}
		}
	}
	if len(h.last) >= maxHeard { // more machines than that at once: write some twice
		clear(h.last)
	}
	h.last[k] = at
}

// take returns what waits.
func (h *heard) take() []waiting {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]waiting, 0, len(h.queue))
	for _, w := range h.queue {
		out = append(out, w)
	}
	clear(h.queue)
	return out
}

// Heard notes that a machine of somebody's was heard of. It takes no time and cannot fail: it is written a moment later by Run,
// and for each machine at most once in some minutes.
func (f *Fleet) Heard(by audit.Actor, id uuid.UUID) {
	if id == uuid.Nil || by.Person == uuid.Nil {
		return
	}
	f.contacts.Add(1)
	now, k := f.now(), key{by.Person, id}
	h := &f.heard
	h.mu.Lock()
	defer h.mu.Unlock()
	if at, ok := h.last[k]; ok && now.Sub(at).Abs() < noteEvery {
		return
	}
	if len(h.queue) >= maxWaiting {
		return
	}
	h.remember(k, now)
	h.queue[k] = waiting{k, line(by.Name, api.MaxMachineText), now}
}

// Run writes contacts down until the context ends, and then what is left.
func (f *Fleet) Run(ctx context.Context) {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			f.flush(context.WithoutCancel(ctx))
			return
		}
		f.flush(ctx)
	}
}

// flush writes what waits, each person's machines in a transaction of their own. What cannot be written is left out: the next
// contact comes.
func (f *Fleet) flush(ctx context.Context) {
	list := f.heard.take()
	if len(list) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, flushTime)
	defer cancel()
	of := map[uuid.UUID][]waiting{}
	for _, w := range list {
		of[w.person] = append(of[w.person], w)
	}
	for person, machines := range of {
		if err := f.writeContacts(ctx, person, machines); err != nil {
			f.Log.WarnContext(ctx, "contacts of machines were not written", "machines", len(list), "error", err)
			return
		}
	}
}

func (f *Fleet) writeContacts(ctx context.Context, person uuid.UUID, machines []waiting) error {
	return f.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		added := false
		for _, w := range machines {
			known, err := updateHeard(ctx, tx, w)
			if err != nil {
				return err
			}
			if known {
				continue
			}
			if !added {
				if err := pg.Lock(ctx, tx, "fleet "+person.String()); err != nil {
					return err
				}
				added = true
			}
			if err := insertHeard(ctx, tx, w); err != nil {
				return err
			}
		}
		if !added {
			return nil
		}
		return deleteBeyond(ctx, tx, person, f.Policy.PerPerson)
	})
}
