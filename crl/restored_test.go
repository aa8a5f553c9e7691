package crl_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/crl/list"
	"github.com/sealpost/sealpost/internal/pkitest"
)

// plant puts something in the place of the list, past the point.
func (r *rig) plant(kind string, content []byte) {
	r.t.Helper()
	name := pkitest.IssuerID + ".crl"
	switch kind {
	case "folder":
		must(r.t, os.WriteFile(filepath.Join(r.folder, name), content, 0o644))
	case "ftp":
		must(r.t, os.WriteFile(filepath.Join(r.ftp.Root, name), content, 0o644))
	case "store":
		must(r.t, os.WriteFile(filepath.Join(r.store.Folder, name), content, 0o644))
	case "directory":
		r.slapd.Modify(r.t, "dn: "+entry+"\nchangetype: modify\nreplace: certificateRevocationList;binary\ncertificateRevocationList;binary:: "+
			base64.StdEncoding.EncodeToString(content)+"\n")
	}
}

// What is tampered with, cut off, exchanged for something old, or deleted at a point, the watch finds; status says so, and it is
// replaced.
func TestWhatIsTamperedWithIsReplaced(t *testing.T) {
	t.Parallel()
	r := newRig(t, everywhere...)
	s := r.site()
	alice := r.pki.IssuePair(t, pkitest.NewPerson("alice"))
	old, err := s.Build(t.Context(), pkitest.IssuerID, 0)
	must(t, err)
	s.run()
	s.arrive("the first", 30*time.Second, everywhere)
	r.revoke(alice.Signing, ca.KeyCompromise)
	s.arrive("the second", 30*time.Second, everywhere, alice.Signing)
	s.healthy(everywhere...)
	newest, err := s.Newest(t.Context(), pkitest.IssuerID)
	must(t, err)
	good := newest.Bytes()
	tampered := bytes.Clone(good)
	at := bytes.Index(tampered, alice.Signing.Serial.Big().Bytes())
	tampered[at+5] ^= 1 // another is revoked in alice's place
	for name, c := range map[string][]byte{"tampered with": tampered, "cut off": good[:len(good)-9], "an older list": old.Bytes()} {
		for _, kind := range everywhere {
			if kind == "directory" && name == "cut off" {
				continue // OpenLDAP itself refuses it
			}
			r.plant(kind, c)
		}
		r.eventually(name+": replaced", 30*time.Second, func() error {
			r.look(s) // one that is at work may have begun before
			for _, kind := range everywhere {
				if b, err := s.shown(t.Context(), kind, pkitest.IssuerID+".crl"); err != nil || !bytes.Equal(b, good) {
					return fmt.Errorf("%s: %w", kind, err)
				}
			}
			return nil
		})
		s.healthy(everywhere...)
	}
	// Status tells of it while it lasts.
	lost := filepath.Join(r.folder, pkitest.IssuerID+".crl")
	must(t, os.Remove(lost))
	open := shut(t, r.folder)
	r.eventually("status tells that there is nothing", 30*time.Second, func() error {
		r.look(s)
		if one := s.standing()["folder"]; one.Failure == "" || one.FailedAt == nil {
			return fmt.Errorf("%+v", one)
		}
		return nil
	})
	open()
	r.hurry()
	s.healthy(everywhere...)
}

// After a restore the database is behind what was published. Nothing older appears, status names the number, and when the lists
// are behind that number again the newest arrives.
func TestDatabaseIsRestored(t *testing.T) {
	t.Parallel()
	r := newRig(t, everywhere...)
	s := r.site()
	for range 3 {
		_, err := s.Renew(t.Context(), pkitest.IssuerID)
		must(t, err)
	}
	s.run()
	s.arrive("before", 30*time.Second, everywhere)
	watching := s.observe(everywhere...)
	// A backup of the time of list 1 is restored, and servers are started again.
	s.stop()
	r.database.Exec(t, `delete from crl.list where number > 1; update crl.issuer set number = 1; delete from river.river_job where kind = 'crl.deliver'`)
	s = r.site().run()
	alice := r.pki.IssuePair(t, pkitest.NewPerson("alice"))
	r.revoke(alice.Signing, ca.KeyCompromise)
	r.eventually("a second list 2", 20*time.Second, func() error {
		l, err := s.Newest(t.Context(), pkitest.IssuerID)
		if err == nil && (l.Number != 2 || l.Entries != 1) {
			err = fmt.Errorf("list %d of %d", l.Number, l.Entries)
		}
		return err
	})
	for name, one := range s.ails(everywhere...) {
		if !strings.Contains(one.Failure, "It shows list 3, but the newest is") || one.Number != 3 {
			t.Errorf("%s: %+v", name, one)
		}
	}
	for range 2 {
		_, err := s.Renew(t.Context(), pkitest.IssuerID)
		must(t, err)
	}
	r.hurry()
	s.arrive("behind the lost numbers", 30*time.Second, everywhere, alice.Signing)
	s.healthy(everywhere...)
	looked(t, watching)
}

// The list of another authority in our place is not touched, and status says that it is there.
func TestForeignListsAreLeftAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t, everywhere...)
	foreign := newRigless(t).CRL(t, 99, time.Now())
	s := r.site().run()
	s.arrive("at first", 30*time.Second, everywhere)
	s.healthy(everywhere...)
	for _, kind := range everywhere {
		r.plant(kind, foreign)
	}
	_, err := s.Renew(t.Context(), pkitest.IssuerID)
	must(t, err)
	for name, one := range s.ails(everywhere...) {
		if !strings.Contains(one.Failure, "another authority") || one.SeenAt == nil {
			t.Errorf("%s: %+v", name, one)
		}
		if b, err := s.shown(t.Context(), name, pkitest.IssuerID+".crl"); err != nil || !bytes.Equal(b, foreign) {
			t.Errorf("%s: it was touched: %v", name, err)
		}
	}
	for _, kind := range everywhere { // an operator removes it
		switch kind {
		case "directory":
			r.slapd.Modify(t, "dn: "+entry+"\nchangetype: modify\ndelete: certificateRevocationList;binary\n")
		default:
			dir := map[string]string{"folder": r.folder, "ftp": r.ftp.Root}[kind]
			if kind == "store" {
				dir = r.store.Folder
			}
			must(t, os.Remove(filepath.Join(dir, pkitest.IssuerID+".crl")))
		}
	}
	r.hurry()
	s.arrive("in its place", 30*time.Second, everywhere)
	s.healthy(everywhere...)
}

// newRigless is another authority of another name.
func newRigless(t testing.TB) *pkitest.PKI {
	t.Helper()
	h := pkitest.Hierarchy{RootKey: pkitest.NewKey(t, ca.P256), IssuingKey: pkitest.NewKey(t, ca.P256)}
	var err error
	h.Root, err = ca.CreateRoot(h.RootKey, ca.CACertificate{CommonName: "Other Root", Organisation: pkitest.Organisation(), Now: time.Now()})
	must(t, err)
	usages, err := ca.RequiredUsages(ca.DefaultProfiles())
	must(t, err)
	h.Issuing, err = ca.CreateIssuing(h.Root, h.RootKey, h.IssuingKey.Public(), ca.CACertificate{CommonName: "Other Issuing", Organisation: pkitest.Organisation(), Now: time.Now(),
		Usages: usages, CRL: []string{pkitest.Base + "/root.crl"}, CAIssuers: pkitest.Base + "/root.cer"})
	must(t, err)
	return &pkitest.PKI{Hierarchy: h}
}

// The clock jumps a day ahead and back. Numbers rise, no list or delta begins before the one before it, what is revoked is
// everywhere, no delta outlives its base, and status says so while the newest list begins later than now.
func TestClockJumpsADay(t *testing.T) {
	t.Parallel()
	r := newRig(t, everywhere...)
	r.schedule = crl.Schedule{Period: 12 * time.Hour, Lifetime: 72 * time.Hour, DeltaPeriod: time.Hour, DeltaLifetime: 4 * time.Hour}
	s := r.site(func(c *crl.Config) { c.Deltas = deltaAddress }).run()
	alice, bob, carol := r.pki.IssuePair(t, pkitest.NewPerson("alice")), r.pki.IssuePair(t, pkitest.NewPerson("bob")), r.pki.IssuePair(t, pkitest.NewPerson("carol"))
	watching := s.observe(everywhere...)
	var last *crl.List
	revoked := []ca.Certificate{}
	check := func(what string, c ca.Certificate) {
		t.Helper()
		r.revoke(c, ca.KeyCompromise)
		revoked = append(revoked, c)
		s.arrive(what, 30*time.Second, everywhere, revoked...)
		l, err := s.Newest(t.Context(), pkitest.IssuerID)
		must(t, err)
		if last != nil && (l.Number <= last.Number || l.ThisUpdate.Before(last.ThisUpdate) || l.NextUpdate.Before(last.NextUpdate)) {
			t.Errorf("%s: list %d of %v after %d of %v", what, l.Number, l.ThisUpdate, last.Number, last.ThisUpdate)
		}
		last = l
		if d, err := s.Find(t.Context(), pkitest.IssuerID, crl.Kind{Delta: true}); err == nil {
			if d.ThisUpdate.Before(l.ThisUpdate) && d.Number >= l.Number || d.Number == l.Number && !d.ThisUpdate.Equal(l.ThisUpdate) || d.Entries > len(revoked) {
				t.Errorf("%s: delta %+v beside list %+v", what, d, l)
			}
		}
		h, err := list.Read(l.Open(), nil)
		must(t, err)
		must(t, h.Verify(r.pki.Issuing))
	}
	check("today", alice.Signing)
	s.healthy(everywhere...)
	r.clock.Advance(24 * time.Hour)
	check("tomorrow", bob.Signing)
	s.healthy(everywhere...)
	r.clock.Advance(-24 * time.Hour)
	check("today again", carol.Signing)
	for name, one := range s.ails(everywhere...) {
		if !strings.Contains(one.Failure, "is valid from") || one.Number != last.Number {
			t.Errorf("%s: %+v", name, one)
		}
	}
	r.clock.Advance(24 * time.Hour) // that day passes
	r.look(s)
	r.hurry()
	s.healthy(everywhere...)
	check("a day later", alice.Encryption)
	s.healthy(everywhere...)
	looked(t, watching)
}

// The database is restored under a server that goes on: it makes its lists of what the database has, not of what it remembers,
// and serves no older one than it did.
func TestDatabaseIsRestoredUnderAServer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.site()
	pairs := []pkitest.Pair{r.pki.IssuePair(t, pkitest.NewPerson("alice")), r.pki.IssuePair(t, pkitest.NewPerson("bob")), r.pki.IssuePair(t, pkitest.NewPerson("carol"))}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { _ = s.Serve(w, q, pkitest.IssuerID, crl.Kind{}) }))
	t.Cleanup(server.Close)
	served := func() *list.Head {
		t.Helper()
		r.clock.Advance(2 * time.Second)
		in, err := r.fetcher.Open(t.Context(), server.URL)
		must(t, err)
		defer in.Close()
		h, err := list.Read(in, nil)
		must(t, err)
		must(t, h.Verify(r.pki.Issuing))
		return h
	}
	build := func(atLeast int64) *crl.List {
		t.Helper()
		l, err := s.Build(t.Context(), pkitest.IssuerID, atLeast)
		must(t, err)
		return l
	}
	build(0)
	r.revoke(pairs[0].Signing, ca.Superseded)
	build(1)
	lost := served()
	// A backup from before the revocation: the same ids and numbers are given again, to something else.
	r.database.Exec(t, `delete from crl.list where number > 1; update crl.issuer set number = 1; delete from crl.segment; delete from ca.revocation;
		update ca.issuer set changes = 0; select setval(pg_get_serial_sequence('crl.segment', 'id'), 1, false)`)
	r.revoke(pairs[1].Signing, ca.Superseded)
	if l := build(1); l.Number != 2 || fmt.Sprint(reasons(t, l)) != fmt.Sprint(map[ca.Serial]int{pairs[1].Signing.Serial: 4}) {
		t.Errorf("list %d says %v", l.Number, reasons(t, l))
	}
	if h := served(); h.SHA256 != lost.SHA256 {
		t.Errorf("list %v is served after %v", h.Number, lost.Number)
	}
	found, err := s.Newest(t.Context(), pkitest.IssuerID)
	must(t, err)
	if got := reasons(t, found); len(got) != 1 || got[pairs[1].Signing.Serial] != 4 {
		t.Errorf("the newest says %v", got)
	}
	r.revoke(pairs[2].Signing, ca.Superseded)
	l := build(2)
	if got := reasons(t, l); l.Number != 3 || len(got) != 2 || got[pairs[1].Signing.Serial] != 4 || got[pairs[2].Signing.Serial] != 4 {
		t.Errorf("list %d says %v", l.Number, got)
	}
	if h := served(); h.SHA256 != l.SHA256 {
		t.Errorf("list %v is served, the newest is %d", h.Number, l.Number)
	}
}
