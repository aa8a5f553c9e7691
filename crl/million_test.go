package crl_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/crl/list"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/pkitest"
)

// TestMillion makes lists of a million entries, in ten partitions and with deltas, through the database. It is alone in the
// process while it runs, so that the memory is its own. Times are in its log; the bounds hold on a machine that is busy, too.
func TestMillion(t *testing.T) {
	entries, partitions := int64(1_000_000), 10
	if raced {
		entries = 100_000
	}
	database := pgtest.NewDatabase(t)
	db := pgtest.Open(t, database)
	pki := pkitest.NewAuthority(t, db)
	config := pki.Config()
	config.Issuers[0].Partitions, config.Issuers[0].PartitionCRL = partitions, pkitest.Base+"/crl/"+pkitest.IssuerID+".{n}.crl"
	config.DB, config.Jobs = db, pki.Jobs
	var err error
	if pki.Authority, err = ca.New(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	c := crl.Config{DB: db, Authority: pki.Authority, Jobs: pki.Jobs, Deltas: deltaAddress,
		Schedule: crl.Schedule{Period: 12 * time.Hour, Lifetime: 72 * time.Hour, DeltaPeriod: time.Hour, DeltaLifetime: 4 * time.Hour}}
	open := func() *crl.Publisher {
		p, err := crl.New(c)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := open()
	alice, bob := pki.IssuePair(t, pkitest.NewPerson("alice")), pki.IssuePair(t, pkitest.NewPerson("bob"))
	// Only what lists are made of, without the rows that it would refer to.
	database.Exec(t, fmt.Sprintf(`
		set session_replication_role = replica;
		drop index ca.revocation_serial;
		insert into ca.revocation (issuer, change, serial, standing, reason, revoked_at, not_after, profile, partition)
			select '%[1]s', n, set_byte(decode(md5(n::text), 'hex'), 0, 64), 'revoked', 4, now() - interval '1 day', now() + interval '2 years', 'smime-encryption', 1 + n %% %[3]d
			from generate_series(1, %[2]d) n;
		create index revocation_serial on ca.revocation (issuer, serial, change);
		update ca.issuer set changes = %[2]d where id = '%[1]s'; analyze ca.revocation`, pkitest.IssuerID, entries, partitions))

	before, peak := heap(), watchHeap(t)
	lap := func(what string, within time.Duration, work func() error) {
		t.Helper()
		begin := time.Now()
		if err := work(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		took := time.Since(begin)
		t.Logf("%-36s %8v, %4d MiB more than before", what, took.Round(time.Millisecond), (int64(heap())-int64(before))>>20)
		if took > within {
			t.Errorf("%s took %v", what, took)
		}
	}
	build := func(p *crl.Publisher, atLeast int64) func() error {
		return func() error {
			l, err := p.Build(t.Context(), pkitest.IssuerID, atLeast)
			if err == nil && int64(l.Entries) != atLeast {
				err = fmt.Errorf("%d entries, not %d", l.Entries, atLeast)
			}
			return err
		}
	}
	lap("the first lists", 90*time.Second, build(p, entries))
	for n, one := range []ca.Certificate{alice.Signing, alice.Encryption, bob.Signing} {
		if err := pki.Revoke(t.Context(), pkitest.Actor(), ca.Revocation{Issuer: one.Issuer, Serial: one.Serial, Reason: ca.Superseded}); err != nil {
			t.Fatal(err)
		}
		segments := database.Count(t, `select count(*) from crl.segment`)
		lap("after one more revocation", 10*time.Second, build(p, entries+int64(n)+1))
		if n := database.Count(t, `select count(*) from crl.segment`); n != segments+1 {
			t.Errorf("%d segments were written", n-segments)
		}
	}
	if d, err := p.Find(t.Context(), pkitest.IssuerID, crl.Kind{Delta: true}); err != nil || d.Entries != 3 {
		t.Errorf("the delta: %+v, %v", d, err)
	}
	whole, err := p.Newest(t.Context(), pkitest.IssuerID)
	if err != nil {
		t.Fatal(err)
	}
	if added := int64(peak()) - int64(before); added > 256<<20 {
		t.Errorf("%d MiB were added", added>>20)
	}

	other := open()
	lap("another server reads all", 20*time.Second, func() error { _, err := other.Newest(t.Context(), pkitest.IssuerID); return err })
	lap("another server makes the next", 20*time.Second, func() error { _, err := other.Renew(t.Context(), pkitest.IssuerID); return err })
	lap("this server reads that", 10*time.Second, func() error { _, err := p.Newest(t.Context(), pkitest.IssuerID); return err })
	lap("all at once is read", 20*time.Second, func() error {
		h, err := list.Read(whole.Open(), nil)
		if err == nil && int64(h.Entries) != entries+3 {
			err = fmt.Errorf("%d entries", h.Entries)
		}
		return err
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _ = p.Serve(w, r, pkitest.IssuerID, crl.Kind{}) }))
	t.Cleanup(server.Close)
	newest, err := p.Newest(t.Context(), pkitest.IssuerID)
	if err != nil {
		t.Fatal(err)
	}
	want := newest.Bytes()
	lap("a hundred clients read parts of it", 10*time.Second, func() error {
		for n := range 100 {
			from := n * (len(want) - 1000) / 100
			if got, err := part(server.URL, from, from+999); err != nil || !bytes.Equal(got, want[from:from+1000]) {
				return fmt.Errorf("part at %d: %d bytes, %w", from, len(got), err)
			}
		}
		return nil
	})
	lap("old ones are let go", 20*time.Second, func() error { return p.Tidy(t.Context(), pkitest.IssuerID) })
}

func part(url string, from, to int) ([]byte, error) {
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", from, to))
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return io.ReadAll(response.Body)
}

// heap returns the bytes in use after a collection.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// watchHeap looks at the heap until it is asked for the most that was there.
func watchHeap(t testing.TB) func() uint64 {
	var most atomic.Uint64
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	go func() {
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most.Store(max(most.Load(), m.HeapAlloc))
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return most.Load
}
