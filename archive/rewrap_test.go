package archive_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
)

// After a rotation every record moves to the new key, by several servers at once; then the old key is not needed, and
// everything opens as before.
func TestRewrap(t *testing.T) {
	b := setup(t)
	deposits := make([]archive.Deposit, 250)
	receipts := map[int]*archive.Receipt{}
	for i := range deposits {
		deposits[i] = newDeposit(t)
		r, err := b.Deposit(t.Context(), by, deposits[i])
		if err != nil {
			t.Fatal(err)
		}
		receipts[i] = r
	}
	before := b.sealed(t, deposits[7].Request)
	if n, err := b.Rewrap(t.Context()); n != 0 || err != nil {
		t.Errorf("with one key %d records moved: %v", n, err)
	}
	fresh := newWrappingKey(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	moved := 0
	for range 3 {
		server := b.with(t, fresh, b.wrapping)
		wg.Go(func() {
			n, err := server.Rewrap(t.Context())
			mu.Lock()
			defer mu.Unlock()
			moved += n
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if moved != len(deposits) {
		t.Errorf("%d records moved of %d", moved, len(deposits))
	}
	if err := b.with(t, fresh).CheckWrapping(t.Context()); err != nil {
		t.Errorf("the old key is still needed: %v", err)
	}
	after := b.sealed(t, deposits[7].Request)
	if after.Capsule.Hash() != before.Capsule.Hash() || after.Capsule.Hash() != mustReceipt(t, b, receipts[7]).Record {
		t.Error("the record's hash has changed")
	}
	if _, err := after.UnwrapOuter(b.wrapping); err == nil {
		t.Error("the old key still opens the record")
	}
	inner, err := after.UnwrapOuter(fresh)
	if err != nil {
		t.Fatal(err)
	}
	if key, err := b.roster.Open(t, inner, 1, 3); err != nil || !bytes.Equal(key, deposits[7].Key) {
		t.Errorf("the record does not open: %v", err)
	}
}

// A rewrapping that is cut off has moved some records and harmed none.
func TestRewrapInterrupted(t *testing.T) {
	b := setup(t)
	b.deposits(t, 120)
	fresh := newWrappingKey(t)
	rotated := b.with(t, fresh, b.wrapping)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := rotated.Rewrap(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if n, err := rotated.Rewrap(t.Context()); n != 120 || err != nil {
		t.Errorf("%d records moved: %v", n, err)
	}
	// One that was altered stops nothing but itself, and is not replaced by anything.
	d := newDeposit(t)
	if _, err := b.Deposit(t.Context(), by, d); err != nil {
		t.Fatal(err)
	}
	b.database.Exec(t, `update archive.record set sealed = set_byte(sealed, length(sealed) - 1, get_byte(sealed, length(sealed) - 1) # 1) where request = $1`, d.Request)
	spoilt := b.sealed(t, d.Request).Bytes()
	b.deposits(t, 3)
	if n, err := rotated.Rewrap(t.Context()); n != 3 || !errors.Is(err, record.ErrRecord) {
		t.Errorf("with an altered record %d moved: %v", n, err)
	}
	if !bytes.Equal(b.sealed(t, d.Request).Bytes(), spoilt) {
		t.Error("the altered record was replaced")
	}
}
