package pg_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/pg"
	"github.com/sealpost/sealpost/internal/pgtest"
)

func TestHoldKeepsOthersOut(t *testing.T) {
	t.Parallel()
	d := pgtest.NewDatabase(t)
	one, two := pgtest.Open(t, d), pgtest.Open(t, d)
	nothing := func(context.Context) error { return nil }
	failed := errors.New("failed")
	held, err := one.Hold(t.Context(), "a", func(ctx context.Context) error {
		for name, db := range map[string]*pg.DB{"itself": one, "another": two} {
			if held, err := db.Hold(ctx, "a", nothing); held || err != nil {
				t.Errorf("%s has it, too: %v", name, err)
			}
			if held, err := db.Hold(ctx, "b", nothing); !held || err != nil {
				t.Errorf("%s does not get another: %v", name, err)
			}
		}
		return failed
	})
	if !held || !errors.Is(err, failed) {
		t.Errorf("held %v, %v", held, err)
	}
	if held, err := two.Hold(t.Context(), "a", nothing); !held || err != nil {
		t.Errorf("it was not given back: %v", err)
	}
}

// Any number of locks take one connection of the eight that there are.
func TestManyAreHeldAtOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	const n = 20
	var all, wg sync.WaitGroup
	all.Add(n)
	for i := range n {
		wg.Go(func() {
			held, err := db.Hold(t.Context(), fmt.Sprint(i), func(ctx context.Context) error {
				all.Done()
				all.Wait()
				return db.Ping(ctx)
			})
			if !held || err != nil {
				t.Errorf("lock %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if n := db.Pool().Stat().AcquiredConns(); n != 0 {
		t.Errorf("%d connections are not given back", n)
	}
}

// When the session is lost, its work ends, and another server may begin.
func TestLostHoldEndsWork(t *testing.T) {
	t.Parallel()
	d := pgtest.NewDatabase(t)
	one, two := pgtest.Open(t, d), pgtest.Open(t, d)
	held, err := one.Hold(t.Context(), "a", func(ctx context.Context) error {
		d.Exec(t, `select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())`)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Minute):
			return nil
		}
	})
	if !held || !errors.Is(err, pg.ErrLockLost) {
		t.Errorf("held %v, %v", held, err)
	}
	for name, db := range map[string]*pg.DB{"another": two, "itself": one} {
		if held, err := db.Hold(t.Context(), "a", func(context.Context) error { return nil }); !held || err != nil {
			t.Errorf("%s cannot begin: %v", name, err)
		}
	}
}
