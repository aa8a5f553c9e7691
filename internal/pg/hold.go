package pg

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealpost/sealpost/internal/fault"
)

// ErrLockLost is why the context of work under Hold ended early: the session that held the lock is gone, and another server
// may have it by now.
var ErrLockLost = fault.New(fault.Unavailable, "lock-lost", "The connection to the database was lost in the middle of this. It is tried again.")

const (
	// holdCheck is how often it is asked whether the session with the locks is still there. A peer that is gone without a word
	// is given up by then, or after holdAnswer.
	holdCheck  = 5 * time.Second
	holdAnswer = 5 * time.Second
)

// holder has the locks of one process, all in one session: work that hangs costs no connection of its own.
type holder struct {
	pool *pgxpool.Pool
	mu   sync.Mutex // guards what follows, and is held while the session is used
	conn *pgxpool.Conn
	held map[int64]context.CancelCauseFunc
	idle chan struct{} // closed when nothing is held any more
}

// Hold runs work while it holds the lock of that name among all servers, and returns its error. If somebody has the lock, work
// is not run and held is false. Unlike a transaction's lock it may be held for as long as work takes. When the session is lost,
// and the lock with it, work's context ends.
func (db *DB) Hold(ctx context.Context, name string, work func(context.Context) error) (held bool, err error) {
	h := &db.holder
	key := lockKey(name)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if ok, err := h.take(ctx, key, cancel); err != nil || !ok {
		return false, wrap(err)
	}
	defer h.give(key)
	err = work(ctx)
	if err != nil && errors.Is(context.Cause(ctx), ErrLockLost) {
		return true, ErrLockLost.Because(err)
	}
	return true, err
}

func (h *holder) take(ctx context.Context, key int64, cancel context.CancelCauseFunc) (ok bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, mine := h.held[key]; mine {
		return false, nil
	}
	if h.conn == nil {
		c, err := h.pool.Acquire(ctx)
		if err != nil {
			return false, err
		}
		h.conn, h.held, h.idle = c, map[int64]context.CancelCauseFunc{}, make(chan struct{})
		go h.watch(h.idle)
	}
	err = h.ask(func(ctx context.Context) error {
		return h.conn.QueryRow(ctx, `select pg_try_advisory_lock($1)`, key).Scan(&ok)
	})
	if ok {
		h.held[key] = cancel
	}
	h.rest()
	return ok, err
}

func (h *holder) give(key int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, mine := h.held[key]; !mine {
		return // it was lost
	}
	delete(h.held, key)
	_ = h.ask(func(ctx context.Context) error { // if it fails, the session ends, and the lock with it
		_, err := h.conn.Exec(ctx, `select pg_advisory_unlock($1)`, key)
		return err
	})
	h.rest()
}

// ask uses the session. It ends it after an error: what it holds is not known then.
func (h *holder) ask(question func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), holdAnswer) // not the caller's: others' locks are here, too
	defer cancel()
	err := question(ctx)
	if err == nil {
		return nil
	}
	for _, lost := range h.held {
		lost(ErrLockLost)
	}
	clear(h.held)
	_ = h.conn.Conn().Close(ctx) // if the server hears it or not
	return err
}

// rest gives the session back when nothing is held.
func (h *holder) rest() {
	if h.conn != nil && len(h.held) == 0 {
		h.conn.Release()
		close(h.idle)
		h.conn = nil
	}
}

func (h *holder) watch(idle <-chan struct{}) {
	tick := time.NewTicker(holdCheck)
	defer tick.Stop()
	for {
		select {
		case <-idle:
			return
		case <-tick.C:
		}
		h.mu.Lock()
		if h.conn != nil && h.idle == idle {
			_ = h.ask(h.conn.Ping) // what it means is done
			h.rest()
		}
		h.mu.Unlock()
	}
}
