package ocsp_test

import (
	"bytes"
	"context"
	"crypto/x509/pkix"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	xocsp "golang.org/x/crypto/ocsp"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/ocsp"
)

// A revocation at one server is told by every other within a second, from whatever is kept; so are a hold and its end.
func TestFreshOnEveryServer(t *testing.T) {
	t.Parallel()
	one := setup(t)
	two := one.another(t)
	one.run(t)
	two.run(t)
	alice := one.issue(t, "alice")
	q := query{ids: []id{one.id(t, alice)}}
	withNonce := query{ids: q.ids, extensions: []pkix.Extension{nonce(t, []byte{1})}}
	wait := func(what string, want int) {
		t.Helper()
		begun := time.Now()
		for n, r := range []*rig{one, two} {
			for r.respond(t, q).Status != want || r.respond(t, withNonce).Status != want {
				if time.Since(begun) > time.Second {
					t.Fatalf("%s: server %d does not tell after a second", what, n+1)
				}
				time.Sleep(5 * time.Millisecond)
			}
		}
		t.Logf("%s: both servers told after %s", what, time.Since(begun).Round(time.Millisecond))
	}
	wait("issued", xocsp.Good)
	one.revoke(t, alice, ca.CertificateHold)
	wait("held by the first", xocsp.Revoked)
	if err := two.Release(t.Context(), pkitest.Actor(), alice.Issuer, alice.Serial); err != nil {
		t.Fatal(err)
	}
	wait("released by the second", xocsp.Good)
	two.revoke(t, alice, ca.KeyCompromise)
	wait("revoked by the second", xocsp.Revoked)
	if got := one.respond(t, q); got.RevocationReason != xocsp.KeyCompromise {
		t.Errorf("reason %d", got.RevocationReason)
	}
}

// However questions and revocations fall together, an answer that is kept is never older than the last revocation seen.
func TestNoAnswerIsKeptThatARevocationOvertook(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.run(t)
	const n = 12
	var list []ca.Certificate
	for i := range n {
		list = append(list, r.issue(t, fmt.Sprint("person", i)))
	}
	ctx, stop := context.WithCancel(t.Context())
	var g sync.WaitGroup
	for range 4 {
		g.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				if _, err := r.Respond(ctx, query{ids: []id{r.id(t, list[i%n])}}.der(t)); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
	}
	for _, c := range list {
		r.revoke(t, c, ca.Superseded)
		r.Forget() // so that it is read anew while it is revoked
		time.Sleep(5 * time.Millisecond)
	}
	time.Sleep(ocsp.FollowEvery + 200*time.Millisecond)
	for _, c := range list {
		if r.status(t, c) != xocsp.Revoked {
			t.Error("good after its revocation")
		}
	}
	stop()
	g.Wait()
}

// When the database is away, what is kept is told until it ends, nothing known as revoked becomes good, and what is not
// known is answered with tryLater. When it is back, what happened meanwhile is told.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	one := setup(t)
	two := one.another(t)
	one.run(t)
	two.run(t)
	alice, bob, carol := one.issue(t, "alice"), one.issue(t, "bob"), one.issue(t, "carol")
	one.revoke(t, bob, ca.KeyCompromise)
	for _, c := range []ca.Certificate{alice, bob} {
		two.status(t, c)
	}
	two.db.Close()
	two.Follow(t.Context())
	check := func() {
		t.Helper()
		for range 2 {
			if two.status(t, alice) != xocsp.Good || two.status(t, bob) != xocsp.Revoked {
				t.Error("what is kept is not told")
			}
		}
		a, err := two.Respond(t.Context(), query{ids: []id{two.id(t, carol)}}.der(t))
		if err == nil || !bytes.Equal(a.DER(), xocsp.TryLaterErrorResponse) {
			t.Errorf("what is not kept: %x, %v", a.DER(), err)
		}
		resp := two.respond(t, query{ids: []id{two.id(t, bob)}, extensions: []pkix.Extension{nonce(t, []byte{1})}})
		if resp.Status != xocsp.Revoked || two.now().Before(resp.ThisUpdate) || !two.now().Before(resp.NextUpdate) {
			t.Errorf("with a nonce: status %d, %s to %s", resp.Status, resp.ThisUpdate, resp.NextUpdate)
		}
	}
	check()
	if err := two.Check(t.Context()); err != nil {
		t.Errorf("at once: %v", err)
	}
	two.jump(5 * time.Hour) // beyond half of the answers' time
	check()
	if err := two.Check(t.Context()); err == nil {
		t.Error("Check says nothing")
	}
	two.Renew(t.Context())
	check()
	two.jump(4 * time.Hour) // beyond their end
	for _, e := range [][]pkix.Extension{nil, {nonce(t, []byte{1})}} {
		if a, err := two.Respond(t.Context(), query{ids: []id{two.id(t, alice)}, extensions: e}.der(t)); err == nil || !bytes.Equal(a.DER(), xocsp.TryLaterErrorResponse) {
			t.Errorf("after its end: %x, %v", a.DER(), err)
		}
	}
}

// A database that hangs holds up nobody whose answer is kept, and the others for two seconds at most; more than a few do not
// wait at all.
func TestDatabaseHangs(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.run(t)
	alice, bob, carol := r.issue(t, "alice"), r.issue(t, "bob"), r.issue(t, "carol")
	r.status(t, alice)
	conn, err := pgx.Connect(t.Context(), r.database.AdminURL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), `begin; lock table ca.prepared, ca.issuer in access exclusive mode`); err != nil {
		t.Fatal(err)
	}
	var g sync.WaitGroup
	begun := time.Now()
	for range 100 {
		g.Go(func() {
			if a, err := r.Respond(t.Context(), query{ids: []id{r.id(t, bob)}}.der(t)); err == nil || !bytes.Equal(a.DER(), xocsp.TryLaterErrorResponse) {
				t.Errorf("%x, %v", a.DER(), err)
			}
		})
	}
	for range 100 {
		if r.status(t, alice) != xocsp.Good {
			t.Error("not good")
		}
	}
	if took := time.Since(begun); took > time.Second {
		t.Errorf("what is kept took %s", took)
	}
	g.Wait()
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("what is not kept took %s", took)
	}
	if _, err := conn.Exec(t.Context(), `rollback`); err != nil {
		t.Fatal(err)
	}
	r.revoke(t, alice, ca.Superseded)
	for begun := time.Now(); r.status(t, alice) != xocsp.Revoked; time.Sleep(10 * time.Millisecond) {
		if time.Since(begun) > 10*time.Second {
			t.Fatal("revocations are not seen again")
		}
	}
	if r.status(t, carol) != xocsp.Good {
		t.Error("not good")
	}
}

// A database that knows fewer changes than before is an older one: nothing that was kept of it holds.
func TestOlderDatabase(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.run(t)
	alice := r.issue(t, "alice")
	r.revoke(t, alice, ca.Superseded)
	r.Follow(t.Context())
	if r.status(t, alice) != xocsp.Revoked || r.Stats().Entries != 1 {
		t.Fatal("not kept as revoked")
	}
	r.exec(t, `delete from ca.revocation`)
	r.exec(t, `update ca.issuer set changes = 0`)
	r.Follow(t.Context())
	if n := r.Stats().Entries; n != 0 {
		t.Errorf("%d entries are kept", n)
	}
	if r.status(t, alice) != xocsp.Good {
		t.Error("not what the database says")
	}
}

// However the clock jumps, an answer is of a time that has begun and not ended.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.run(t)
	alice := r.issue(t, "alice")
	withNonce := query{ids: []id{r.id(t, alice)}, extensions: []pkix.Extension{nonce(t, []byte{1})}}
	for _, d := range []time.Duration{0, time.Minute, -2 * time.Minute, 24 * time.Hour, -24 * time.Hour, -3 * time.Hour, 5 * time.Hour, 7*time.Hour + 59*time.Minute} {
		r.jump(d)
		for _, q := range []query{{ids: []id{r.id(t, alice)}}, withNonce} {
			resp, now := r.respond(t, q), r.now()
			if resp.ThisUpdate.After(now) || resp.ProducedAt.After(now) || resp.ProducedAt.Before(resp.ThisUpdate) ||
				!resp.NextUpdate.After(now.Add(30*time.Second)) || resp.NextUpdate.Sub(resp.ThisUpdate) > 9*time.Hour {
				t.Errorf("after a jump of %s it is %s: produced %s, this update %s, next update %s", d, now.UTC(), resp.ProducedAt, resp.ThisUpdate, resp.NextUpdate)
			}
			if c := resp.Certificate; now.Before(c.NotBefore) || now.After(c.NotAfter) {
				t.Errorf("after a jump of %s it is %s: the responder's certificate is of %s to %s", d, now.UTC(), c.NotBefore, c.NotAfter)
			}
		}
	}
}

// What is asked for is signed anew before half of its time is over; what nobody asks for any more is forgotten.
func TestRenewal(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.run(t)
	alice, bob := r.issue(t, "alice"), r.issue(t, "bob")
	first := r.respond(t, query{ids: []id{r.id(t, alice)}})
	r.status(t, bob)
	if first.NextUpdate.Sub(first.ThisUpdate) < 8*time.Hour {
		t.Errorf("valid from %s to %s", first.ThisUpdate, first.NextUpdate)
	}
	r.jump(3*time.Hour + 45*time.Minute)
	r.Renew(t.Context())
	signed := r.Stats().Signed
	second := r.respond(t, query{ids: []id{r.id(t, alice)}})
	if got := r.Stats().Signed; got != signed || !second.ThisUpdate.After(first.ThisUpdate) {
		t.Errorf("not signed ahead: %d signatures for a question, this update %s, then %s", got-signed, first.ThisUpdate, second.ThisUpdate)
	}
	// From now on nobody asks for bob.
	r.jump(3*time.Hour + 45*time.Minute)
	r.Renew(t.Context())
	r.status(t, alice)
	r.jump(8 * time.Hour)
	r.Follow(t.Context())
	r.Renew(t.Context())
	if n := r.Stats().Entries; n != 1 {
		t.Errorf("%d entries are kept, want alice's", n)
	}
	if r.status(t, alice) != xocsp.Good || r.status(t, bob) != xocsp.Good {
		t.Error("not good")
	}
}

// A server that has just started signs answers for the newest certificates, while it works.
func TestWarm(t *testing.T) {
	t.Parallel()
	r := setup(t, func(c *ocsp.Config) { c.Keep = 4 })
	var list []ca.Certificate
	for _, who := range []string{"alice", "bob", "carol"} {
		list = append(list, r.issue(t, who))
	}
	r.revoke(t, list[2], ca.Superseded)
	r.run(t)
	for begun := time.Now(); r.Stats().Entries < 2; time.Sleep(10 * time.Millisecond) {
		if time.Since(begun) > 10*time.Second {
			t.Fatal("nothing was signed ahead")
		}
	}
	r.Warm(t.Context()) // again: what is there stays
	r.db.Close()
	kept := 0
	for _, c := range list {
		a, err := r.Respond(t.Context(), query{ids: []id{r.id(t, c)}}.der(t))
		if err == nil {
			kept++
			if got, want := r.read(t, a.DER()).Status, map[bool]int{true: xocsp.Revoked}[c.Serial == list[2].Serial]; got != want {
				t.Errorf("status %d, want %d", got, want)
			}
		}
	}
	if kept < 1 || kept > 2 {
		t.Errorf("%d certificates are kept, want half of 4", kept)
	}
}

// No more is kept than was said, and what is asked for most stays.
func TestKeep(t *testing.T) {
	t.Parallel()
	r := setup(t, func(c *ocsp.Config) { c.Keep = 3 })
	r.run(t)
	often := r.issue(t, "often")
	r.status(t, often)
	for i := range 10 {
		c := r.issue(t, fmt.Sprint("person", i))
		r.status(t, c)
		before := r.Stats().Signed
		r.status(t, often)
		if got := r.Stats().Signed; got != before && i > 3 {
			t.Errorf("what is asked for most was forgotten after %d others", i+1)
		}
		if n := r.Stats().Entries; n > 3 {
			t.Fatalf("%d entries are kept", n)
		}
	}
}

func TestStats(t *testing.T) {
	t.Parallel()
	r := setup(t)
	if s := r.Stats(); len(s.Results) != 7 || !s.Seen[pkitest.IssuerID].IsZero() || !s.Ends[pkitest.IssuerID].IsZero() {
		t.Errorf("before anything happened: %+v", s)
	}
	r.run(t)
	alice, bob := r.issue(t, "alice"), r.issue(t, "bob")
	r.revoke(t, bob, ca.Superseded)
	r.Follow(t.Context())
	for range 3 {
		r.status(t, alice)
	}
	r.status(t, bob)
	_, _ = r.Respond(t.Context(), nil)
	s := r.Stats()
	if s.Results[ocsp.Good] != 3 || s.Results[ocsp.Revoked] != 1 || s.Results[ocsp.Malformed] != 1 || s.Kept < 2 || s.Signed < 2 || s.Entries < 2 {
		t.Errorf("%+v", s)
	}
	if time.Since(s.Seen[pkitest.IssuerID]) > 5*time.Second || time.Until(s.Ends[pkitest.IssuerID]) < 24*time.Hour {
		t.Errorf("%+v", s)
	}
	if ocsp.TryLater.String() != "try-later" {
		t.Error(ocsp.TryLater)
	}
}
