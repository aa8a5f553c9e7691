package gal_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/gal"
	"github.com/sealpost/sealpost/internal/pkitest"
)

// certify makes a certificate of a profile for somebody.
func (b *bundle) certify(t *testing.T, profile string, id uuid.UUID, mailboxes ...string) ca.Certificate {
	t.Helper()
	q := pkitest.Person{ID: id, Name: "Sample"}.Request(profile, pkitest.NewKey(t, ca.P256).Public())
	q.Mailboxes = mailboxes
	return b.PKI.Issue(t, q)[0]
}

// What is found by address is what the entry shows, and goes when that goes.
func TestFindIsWhatTheEntryShows(t *testing.T) {
	b := setup(t)
	find := func(address string) [][]byte {
		t.Helper()
		found, err := b.Find(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		var out [][]byte
		for _, c := range found {
			out = append(out, c.DER)
		}
		return out
	}
	same := func(when string) {
		t.Helper()
		b.publish(t)
		found, shown := find("alice@example.test"), b.shown(t)
		if len(found) != len(shown) || len(found) == 1 && !bytes.Equal(found[0], shown[0]) {
			t.Errorf("%s: %d found, %d shown", when, len(found), len(shown))
		}
	}
	same("before")
	first := b.enrol(t)
	same("enrolled")
	b.Clock.Advance(time.Hour)
	second := b.enrol(t)
	same("renewed")
	if found := find("ALICE@Example.TEST"); len(found) != 1 || !bytes.Equal(found[0], second.Certificates[1].DER) {
		t.Errorf("%d found after renewal", len(found))
	}
	for _, c := range []ca.Certificate{second.Certificates[1], first.Certificates[1]} {
		if err := b.PKI.Revoke(t.Context(), pkitest.Actor(), ca.Revocation{Issuer: c.Issuer, Serial: c.Serial, Reason: ca.Superseded}); err != nil {
			t.Fatal(err)
		}
		same("revoked")
	}
	if found := find("alice@example.test"); len(found) != 0 {
		t.Errorf("%d found when all are revoked", len(found))
	}
}

// Who has left is not found; nor is who has another address now, or only signs.
func TestFindNobody(t *testing.T) {
	b := setup(t)
	moved, gone := uuid.New(), uuid.New()
	b.certify(t, ca.SMIMEEncryption, moved, "old@example.test")
	b.certify(t, ca.SMIMEEncryption, moved, "new@example.test")
	b.certify(t, ca.SMIMEEncryption, gone, "gone@example.test")
	b.certify(t, ca.SMIMESigning, uuid.New(), "signer@example.test")
	p := with(t, b.House, gal.Policy{}, func(c *gal.Config) {
		c.Left = func(context.Context, []uuid.UUID) (map[uuid.UUID]bool, error) {
			return map[uuid.UUID]bool{gone: true}, nil
		}
	})
	for address, want := range map[string]int{"old@example.test": 0, "new@example.test": 1, "gone@example.test": 0, "signer@example.test": 0, "nobody@example.test": 0} {
		if found, err := p.Find(t.Context(), address); err != nil || len(found) != want {
			t.Errorf("%s: %d found, %v; want %d", address, len(found), err, want)
		}
	}
	if _, err := p.Find(t.Context(), "x"); !errors.Is(err, ca.ErrMailbox) {
		t.Errorf("no address: %v", err)
	}
	b.Clock.Advance(20 * 365 * 24 * time.Hour)
	if found, err := p.Find(t.Context(), "new@example.test"); err != nil || len(found) != 0 {
		t.Errorf("expired: %d found, %v", len(found), err)
	}
}

func TestAudience(t *testing.T) {
	t.Parallel()
	mailbox := func(s string) ca.Mailbox {
		m, err := ca.ParseMailbox(s)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	some := gal.Audience{Show: gal.ShowDomains, Domains: []string{"Example.TEST", "bücher.test"}}
	for address, want := range map[string]bool{"a@example.test": true, "a@xn--bcher-kva.test": true, "a@BÜCHER.test": true, "a@sub.example.test": false, "a@example.test.evil": false, "a@ample.test": false} {
		if got := some.Shows(mailbox(address)); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
	for _, a := range []gal.Audience{{}, {Show: gal.ShowNobody}, {Show: "Everybody"}, {Domains: []string{"example.test"}}} {
		if a.Shows(mailbox("a@example.test")) || !a.Closed() {
			t.Errorf("%+v shows something", a)
		}
	}
	for _, a := range []gal.Audience{{}, some, {Show: gal.ShowEverybody}, {Show: gal.ShowNobody}} {
		if err := a.Validate(); err != nil {
			t.Errorf("%+v: %v", a, err)
		}
	}
	for _, a := range []gal.Audience{{Show: "all"}, {Show: gal.ShowDomains}, {Domains: []string{"example.test"}}, {Show: gal.ShowEverybody, Domains: []string{"example.test"}},
		{Show: gal.ShowDomains, Domains: []string{"*.example.test"}}, {Show: gal.ShowDomains, Domains: []string{""}}} {
		if a.Validate() == nil {
			t.Errorf("%+v is taken", a)
		}
	}
}

// Search keys come with publications and with the sweep, and only where they are wanted.
func TestFindKey(t *testing.T) {
	b := setup(t)
	c := b.issue(t, "alice")
	cert, err := x509.ParseCertificate(c.DER)
	must(t, err)
	keys, err := gal.SearchKeysOf(cert)
	must(t, err)
	searchable := with(t, b.House, gal.Policy{}, func(c *gal.Config) { c.Searchable = true })
	found := func(want int) {
		t.Helper()
		for _, k := range []gal.SearchKey{keys.Certificate, keys.Serial, keys.KeyID} {
			if got, err := searchable.FindKey(t.Context(), k); err != nil || len(got) != want {
				t.Errorf("%d found, %v; want %d", len(got), err, want)
			}
		}
	}
	b.publish(t)
	found(0)
	must(t, searchable.Sweep(t.Context(), operator, gal.Sweeping{Now: true}))
	found(1)
	searchable.publish(t) // once more
	found(1)
	if got, err := searchable.FindKey(t.Context(), gal.SearchKey{}); err != nil || len(got) != 0 {
		t.Errorf("%d found by nothing, %v", len(got), err)
	}
	b.revoke(t, c)
	found(0)
}
