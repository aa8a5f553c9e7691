package main

import (
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/cmd/sealpost/setup"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/keys"
)

// Thieves of the server: of its database alone, of its whole disk, of the passphrase too, and of all that with one officer
// of theirs. None opens a key that was archived; a second officer is what is missing, and nothing else.
func TestEverythingOfTheServerStolen(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	r := v.serve(t)
	_, s := r.enrol(t, "alice")
	r.stop(t)
	l := ledger{}
	l.key(t, signingKey, "the key that Alice signs with", s.keys.signing)
	l.key(t, encryptionKey, "the key that Alice reads with", s.keys.encryption)
	dump := e2etest.Good(t, e2etest.Command{Path: "pg_dump", Args: []string{"-d", v.db.AdminURL()}})
	if !strings.Contains(dump, "archive.deposited") {
		t.Fatal("this is no dump of the database")
	}
	l.notIn(t, "the database", dump)
	l.notInFolder(t, v.dir)

	public, err := x509.MarshalPKIXPublicKey(s.keys.encryption.Public())
	must(t, err)
	stored, err := record.ParseRecord(unhex(t, e2etest.Tool(t, "", "psql", v.db.AdminURL(), "-XAtc",
		fmt.Sprintf(`select encode(sealed, 'hex') from archive.record where spki_sha256 = sha256(decode('%x', 'hex'))`, public))))
	must(t, err)
	// The disk without the passphrase, and another server's key: the outer layer stays.
	if _, err := setup.OpenWrappingKey(v.path("pki/wrapping.key"), []byte("a guess")); err == nil {
		t.Error("the wrapping key opens with a guess")
	}
	other, err := record.GenerateWrappingKey()
	must(t, err)
	if _, err := stored.UnwrapOuter(other); !errors.Is(err, record.ErrWrappingKey) {
		t.Errorf("another wrapping key: %v", err)
	}
	// With the passphrase it comes off, and the officers' layer is under it.
	passphrase, err := keys.ReadPassphrase(v.path("passphrase"))
	must(t, err)
	own, err := setup.OpenWrappingKey(v.path("pki/wrapping.key"), passphrase)
	must(t, err)
	inner, err := stored.UnwrapOuter(own)
	must(t, err)
	l.notIn(t, "the record without the server's layer", string(inner.Bytes()))
	for _, agents := range [][]uint16{{}, {1}, {2}, {3}, {1, 1}} {
		if _, err := v.roster.Open(t, inner, agents...); err == nil {
			t.Errorf("everything of the server and officers %v open the key", agents)
		}
	}
	got, err := v.roster.Open(t, inner, 1, 2)
	must(t, err)
	control := ledger{}
	control.key(t, encryptionKey, "it", s.keys.encryption)
	for _, forms := range control {
		if !strings.Contains(hex.EncodeToString(got), hex.EncodeToString(forms[0])) {
			t.Error("two officers open something else, or the search finds nothing")
		}
	}
}

// One key comes as a signing key in one request and as an encryption key in another, at the same instant, at two servers.
// One of them wins, the other is refused, and no key both signs and is archived.
func TestOneKeyRacedForBothUses(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	first := i.serve(t)
	second := i.sibling(t).serve(t)
	c := first.as(t, "alice")
	defer c.Close()
	wins := [2]int{}
	for range 6 {
		p, err := c.Policy(t.Context())
		must(t, err)
		both, signs, reads := newKeys(t), newKeys(t), newKeys(t)
		asSigning := newSubmission("alice", both, request(t, p, "smime", keyPair{both.signing, reads.encryption}))
		asReading := newSubmission("alice", both, request(t, p, "smime", keyPair{signs.signing, both.signing}))
		var wg sync.WaitGroup
		var got [2]error
		var states [2]api.EnrolmentState
		start := make(chan struct{})
		for n, x := range []struct {
			r *running
			s submission
		}{{first, asSigning}, {second, asReading}} {
			wg.Go(func() {
				<-start
				status, err := x.r.submit(t, x.s)
				got[n], states[n] = err, status.State
			})
		}
		close(start)
		wg.Wait()
		issued := 0
		for n, err := range got {
			switch {
			case err == nil && states[n] == api.StateIssued:
				issued++
				wins[n]++
			case codeOf(err) != "key-in-use" && states[n] != api.StateFailed:
				t.Errorf("the loser hears %v, state %s", err, states[n])
			}
		}
		if issued > 1 {
			t.Errorf("one key for both uses: %v, %v", got, states)
		}
	}
	if wins[0]+wins[1] == 0 {
		t.Error("nobody ever won")
	}
	first.awaitSettled(t)
	first.keepsRules(t, "after the races")
	if n := i.db.Count(t, `select count(*) from keyuse.key_use k join archive.record r using (spki_sha256) where k.use <> 'encryption'`); n != 0 {
		t.Errorf("%d keys of another use are archived", n)
	}
	second.stop(t)
	first.stop(t)
}
