package crl_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/crl/fetch"
	"github.com/sealpost/sealpost/crl/list"
	"github.com/sealpost/sealpost/crl/point"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/pkitest"
)

const (
	full  = pkitest.IssuerID + ".crl"
	delta = pkitest.IssuerID + ".delta.crl"
)

// kiosk is a folder that a web server shows, as one point: what is written there is read back by HTTP.
type kiosk struct {
	*bundle
	dir    string
	server *httptest.Server
}

func newKiosk(t *testing.T) *kiosk {
	t.Helper()
	k := &kiosk{bundle: setup(t), dir: t.TempDir()}
	k.server = httptest.NewServer(http.FileServer(http.Dir(k.dir)))
	t.Cleanup(k.server.Close)
	place, err := point.NewFolder(point.FolderConfig{Path: k.dir, Now: k.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	c := k.Publisher.Config
	c.Schedule = crl.Schedule{Period: 12 * time.Hour, Lifetime: 72 * time.Hour, DeltaPeriod: time.Hour, DeltaLifetime: 4 * time.Hour}
	c.Deltas = deltaAddress
	c.Open = fetch.New(fetch.Config{Step: time.Second}).Open
	c.Points = []crl.Point{{Name: "kiosk", Place: place, Address: func(_ *ca.Issuer, file string) string { return k.server.URL + "/" + file }}}
	k.use(t, c)
	return k
}

func (k *kiosk) use(t *testing.T, c crl.Config) {
	t.Helper()
	p, err := crl.New(c)
	if err != nil {
		t.Fatal(err)
	}
	k.bundle = &bundle{k.House, p}
}

func (k *kiosk) renew(t *testing.T) *crl.List {
	t.Helper()
	k.Clock.Advance(time.Second)
	l, err := k.Renew(t.Context(), pkitest.IssuerID)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// deliver brings everything that there is to the point.
func (k *kiosk) deliver(t *testing.T) {
	t.Helper()
	for _, s := range k.status(t).Points {
		if err := k.Deliver(t.Context(), jobs.DeliverCRL{Issuer: s.Issuer, Point: s.Point, File: s.File, Number: s.Newest}); err != nil {
			t.Fatal(err)
		}
	}
}

func (k *kiosk) watch(t *testing.T) {
	t.Helper()
	if err := k.Watch(t.Context(), "kiosk"); err != nil {
		t.Fatal(err)
	}
}

func (k *kiosk) status(t *testing.T) *crl.Status {
	t.Helper()
	s, err := k.Status(t.Context(), pkitest.Actor())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (k *kiosk) at(t *testing.T, file string) crl.Standing {
	t.Helper()
	for _, s := range k.status(t).Points {
		if s.File == file {
			return s
		}
	}
	t.Fatalf("no status of %s", file)
	return crl.Standing{}
}

func (k *kiosk) newest(t *testing.T, file string) crl.Newest {
	t.Helper()
	for _, l := range k.status(t).Lists {
		if l.File == file {
			return l
		}
	}
	t.Fatalf("no status of the newest %s", file)
	return crl.Newest{}
}

func (k *kiosk) expect(t *testing.T, when string, got crl.Standing, state crl.State, urgent bool, number int64, failure string) {
	t.Helper()
	if got.State != state || got.Urgent != urgent || got.Number != number || failure == "" && got.Failure != "" || !strings.Contains(got.Failure, failure) {
		t.Errorf("%s: %s, urgent %t, number %d, %q; want %s, %t, %d, %q", when, got.State, got.Urgent, got.Number, got.Failure, state, urgent, number, failure)
	}
}

// TestStatusFollowsAListThatIsNotReplaced: never seen, seen, late, running out, run out, and good again.
func TestStatusFollowsAListThatIsNotReplaced(t *testing.T) {
	k := newKiosk(t)
	if n := k.newest(t, full); n.State != crl.Unknown || !n.Urgent || n.Number != 0 {
		t.Errorf("before there is a list: %+v", n)
	}
	if err := k.Check(t.Context()); !errors.Is(err, crl.ErrRunOut) {
		t.Errorf("health before there is a list: %v", err)
	}
	first := k.renew(t)
	if n := k.newest(t, full); n.State != crl.OK || n.Urgent || n.Number != 1 || !n.NextUpdate.Equal(first.NextUpdate) || n.Size != first.Size {
		t.Errorf("the first list: %+v", n)
	}
	never := k.at(t, full)
	k.expect(t, "never looked at", never, crl.Unknown, false, 0, "Nobody has looked here yet")
	if never.Newest != 1 || !never.Until.Equal(first.NextUpdate) || never.LookedAt != nil || !strings.HasPrefix(never.Address, "http://127.0.0.1") {
		t.Errorf("never looked at: %+v", never)
	}
	k.Clock.Advance(31 * time.Minute)
	k.expect(t, "half an hour later", k.at(t, full), crl.Unknown, true, 0, "Nobody has looked here yet")
	k.watch(t)
	k.expect(t, "looked at, and not there", k.at(t, full), crl.Unknown, false, 0, "nothing at this address")
	k.deliver(t)
	for _, file := range []string{full, pkitest.IssuerID + ".cer", pkitest.IssuerID + ".p7c"} {
		s := k.at(t, file)
		if s.State != crl.OK || s.Urgent || s.SeenAt == nil || s.FailedAt != nil || (file == full) != (s.Number == 1) {
			t.Errorf("delivered: %+v", s)
		}
	}
	second := k.renew(t)
	k.watch(t)
	late := k.at(t, full)
	k.expect(t, "superseded", late, crl.Late, false, 1, "still shows list 1; the newest is 2")
	if !late.NextUpdate.Equal(first.NextUpdate) || !late.Until.Equal(second.NextUpdate) || late.FailedAt == nil {
		t.Errorf("superseded: %+v", late)
	}
	k.Clock.Advance(31 * time.Minute)
	k.watch(t)
	k.expect(t, "for half an hour", k.at(t, full), crl.Late, true, 1, "still shows list 1")
	k.Clock.Advance(42 * time.Hour) // less than 30 hours are left of the first
	k.renew(t)
	k.watch(t)
	k.expect(t, "less than the margin left", k.at(t, full), crl.RunningOut, true, 1, "still shows list 1; the newest is 3")
	if n := k.newest(t, full); n.State != crl.OK {
		t.Errorf("the newest: %+v", n)
	}
	k.Clock.Advance(30 * time.Hour)
	k.watch(t)
	k.expect(t, "after its end", k.at(t, full), crl.RunOut, true, 1, "still shows list 1")
	if n := k.newest(t, full); n.State != crl.OK {
		t.Errorf("the newest: %+v", n)
	}
	k.deliver(t)
	k.expect(t, "delivered at last", k.at(t, full), crl.OK, false, 3, "")
	k.Clock.Advance(13 * time.Hour)
	if n := k.newest(t, full); n.State != crl.RunningOut || !n.Urgent {
		t.Errorf("the newest, when no other was made: %+v", n)
	}
	if err := k.Check(t.Context()); !errors.Is(err, crl.ErrRunOut) || strings.Contains(err.Error(), full) || !strings.Contains(err.Error(), delta) {
		t.Errorf("health when the delta has run out: %v", err)
	}
	k.Clock.Advance(30 * time.Hour)
	if err := k.Check(t.Context()); !errors.Is(err, crl.ErrRunOut) || !strings.Contains(err.Error(), full) {
		t.Errorf("health when all have run out: %v", err)
	}
	if lists, points := k.status(t).Urgent(); lists != 2 || points != 4 {
		t.Errorf("%d lists, %d points", lists, points)
	}
}

// TestStatusOfAPointThatIsAway: what it shows is not known, then somebody must look, and what was seen last is still told.
func TestStatusOfAPointThatIsAway(t *testing.T) {
	k := newKiosk(t)
	k.renew(t)
	k.deliver(t)
	seen := k.Clock.Now()
	k.Clock.Advance(time.Minute)
	k.server.Close()
	k.watch(t)
	away := k.at(t, full)
	k.expect(t, "away", away, crl.Unknown, false, 1, "does not answer")
	if !away.SeenAt.Before(seen) || away.FailedAt.Before(seen.Add(time.Minute)) || away.NextUpdate == nil {
		t.Errorf("away: %+v", away)
	}
	k.Clock.Advance(31 * time.Minute)
	k.watch(t)
	k.expect(t, "away for half an hour", k.at(t, full), crl.Unknown, true, 1, "does not answer")
	if s := k.at(t, full); !s.FailedAt.Equal(*away.FailedAt) || s.LookedAt.Sub(*s.FailedAt) < 31*time.Minute {
		t.Errorf("failing since %v, was since %v", s.FailedAt, away.FailedAt)
	}
	if s := k.at(t, pkitest.IssuerID+".cer"); s.State != crl.Unknown || !s.Urgent {
		t.Errorf("the certificate: %+v", s)
	}
}

// TestNobodyLooks: what was seen long ago is not told as if it were so now.
func TestNobodyLooks(t *testing.T) {
	k := newKiosk(t)
	k.renew(t)
	k.deliver(t)
	k.Clock.Advance(29 * time.Minute)
	k.expect(t, "a moment ago", k.at(t, full), crl.OK, false, 1, "")
	k.Clock.Advance(2 * time.Minute)
	k.expect(t, "long ago", k.at(t, full), crl.Unknown, true, 1, "Nobody has looked here since")
}

// TestStatusBelievesNoForgery: a list that the issuer did not sign says nothing, whatever number and end it claims.
func TestStatusBelievesNoForgery(t *testing.T) {
	k := newKiosk(t)
	k.renew(t)
	k.deliver(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k.put(t, full, &x509.RevocationList{Number: big.NewInt(999), ThisUpdate: time.Now(), NextUpdate: time.Now().AddDate(50, 0, 0)}, key)
	k.watch(t)
	k.expect(t, "a forgery", k.at(t, full), crl.Unknown, false, 1, "not signed by its issuer")
	l, err := k.Find(t.Context(), pkitest.IssuerID, crl.Kind{})
	if err != nil {
		t.Fatal(err)
	}
	must(t, os.WriteFile(filepath.Join(k.dir, full), l.Bytes()[:200], 0o600))
	k.watch(t)
	k.expect(t, "a part", k.at(t, full), crl.Unknown, false, 1, "cut off")
}

// put puts a list of the issuer's name at the point.
func (k *kiosk) put(t *testing.T, file string, l *x509.RevocationList, key *ecdsa.PrivateKey) {
	t.Helper()
	issuer := *k.PKI.Issuing
	issuer.PublicKey = key.Public()
	der, err := x509.CreateRevocationList(rand.Reader, l, &issuer, key)
	if err != nil {
		t.Fatal(err)
	}
	must(t, os.WriteFile(filepath.Join(k.dir, file), der, 0o600))
}

// TestStatusForgetsWhatIsNoLongerPublished: without deltas there is no status of deltas.
func TestStatusForgetsWhatIsNoLongerPublished(t *testing.T) {
	k := newKiosk(t)
	k.renew(t)
	k.renew(t)
	k.deliver(t)
	if s := k.at(t, delta); s.State != crl.OK || s.Number != 2 {
		t.Errorf("the delta: %+v", s)
	}
	c := k.Publisher.Config
	c.Deltas, c.Schedule = nil, schedule
	k.use(t, c)
	k.Clock.Advance(5 * time.Hour)
	k.watch(t)
	s := k.status(t)
	if len(s.Points) != 3 || len(s.Lists) != 1 {
		t.Errorf("%+v", s)
	}
	if err := k.Check(t.Context()); err != nil {
		t.Errorf("health: %v", err)
	}
	c.Points = nil
	k.use(t, c)
	if s := k.status(t); len(s.Points) != 0 || len(s.Lists) != 1 {
		t.Errorf("without points: %+v", s)
	}
}

// TestNumbersGoOnAfterABackup: a database that was restored has forgotten lists that a point shows. Status says what to do, and
// that helps.
func TestNumbersGoOnAfterABackup(t *testing.T) {
	k := newKiosk(t)
	k.renew(t)
	k.deliver(t)
	backup := `delete from crl.list where number > 1; update crl.issuer set number = 1`
	for range 3 {
		k.renew(t)
	}
	k.deliver(t)
	k.Database.Exec(t, backup)
	k.use(t, k.Publisher.Config) // a server that is started anew
	k.watch(t)
	k.expect(t, "restored", k.at(t, full), crl.Late, false, 4, "sealpost crl publish --after 4")
	err := k.Deliver(t.Context(), jobs.DeliverCRL{Issuer: pkitest.IssuerID, Point: "kiosk", File: full, Number: 1})
	if !errors.Is(err, crl.ErrAhead) {
		t.Errorf("delivering an older list: %v", err)
	}
	k.expect(t, "after a delivery was tried", k.at(t, full), crl.Late, false, 4, "sealpost crl publish --after 4")
	by := pkitest.Actor()
	for number, want := range map[int64]error{1: crl.ErrNumber, 0: crl.ErrNumber, -5: crl.ErrNumber, 1 << 62: crl.ErrNumber} {
		if _, err := k.GoBehind(t.Context(), by, pkitest.IssuerID, number); !errors.Is(err, want) {
			t.Errorf("behind %d: %v", number, err)
		}
	}
	l, err := k.GoBehind(t.Context(), by, pkitest.IssuerID, 4)
	if err != nil || l.Number != 5 {
		t.Fatalf("%+v, %v", l, err)
	}
	k.deliver(t)
	k.expect(t, "gone on", k.at(t, full), crl.OK, false, 5, "")
	if n := k.Database.Count(t, `select count(*) from audit.event where kind = 'crl.numbers-skipped' and body like '%"behind":4%'`); n != 1 {
		t.Errorf("%d events say that numbers were skipped", n)
	}
	if next := k.renew(t); next.Number != 6 {
		t.Errorf("the next list has the number %d", next.Number)
	}
}

// TestListsOfOthers: the root's list is told of as the issuers' own are.
func TestListsOfOthers(t *testing.T) {
	k := newKiosk(t)
	k.renew(t)
	c := k.Publisher.Config
	text := k.PKI.RootCRL(t, k.Clock.Now())
	head, err := list.Read(bytes.NewReader(text), nil)
	must(t, err)
	var failed error
	c.Others = []crl.Other{{File: "root.crl", Issuers: []*x509.Certificate{k.PKI.Issuing, k.PKI.Root}, Read: func() ([]byte, error) { return text, failed }}}
	k.use(t, c)
	if n := k.newest(t, "root.crl"); n.State != crl.OK || n.Urgent || n.Issuer != "" || !n.NextUpdate.Equal(head.NextUpdate) {
		t.Errorf("%+v", n)
	}
	k.Clock.Advance(head.NextUpdate.Sub(k.Clock.Now()) - crl.OthersMargin(head) + time.Minute)
	if n := k.newest(t, "root.crl"); n.State != crl.RunningOut || !n.Urgent {
		t.Errorf("near its end: %+v", n)
	}
	k.Clock.Advance(crl.OthersMargin(head))
	if err := k.Check(t.Context()); !errors.Is(err, crl.ErrRunOut) || !strings.Contains(err.Error(), "root.crl") {
		t.Errorf("health: %v", err)
	}
	forged := bytes.Clone(text)
	forged[len(forged)-1] ^= 1
	for what, spoil := range map[string]func(){"no list": func() { text = []byte("text") }, "no file": func() { failed = os.ErrNotExist }, "a forgery": func() { text = forged }} {
		spoil()
		if n := k.newest(t, "root.crl"); n.State != crl.Unknown || !n.Urgent || n.Failure == "" {
			t.Errorf("%s: %+v", what, n)
		}
	}
}

func TestWhoMaySeeTheStatus(t *testing.T) {
	k := newKiosk(t)
	for _, c := range []struct {
		by audit.Actor
		ok bool
	}{{audit.System("monitoring"), true}, {audit.Actor{Roles: []audit.Role{audit.Operator}}, true}, {audit.Actor{Roles: []audit.Role{audit.Auditor}}, true},
		{audit.Actor{Roles: []audit.Role{audit.Registrar, audit.Subscriber, audit.RecoveryAgent}}, false}, {audit.Actor{}, false}} {
		if _, err := k.Status(t.Context(), c.by); (err == nil) != c.ok || err != nil && fault.Of(err).Code != "crl-not-allowed" {
			t.Errorf("%+v: %v", c.by, err)
		}
	}
}

func TestMargins(t *testing.T) {
	t.Parallel()
	good := crl.Schedule{Period: 12 * time.Hour, Lifetime: 72 * time.Hour, DeltaPeriod: time.Hour, DeltaLifetime: 4 * time.Hour}
	must(t, good.Check())
	for want, change := range map[string]func(*crl.Schedule){
		"margin:":       func(s *crl.Schedule) { s.Margin = 60 * time.Hour },
		"delta_margin:": func(s *crl.Schedule) { s.DeltaMargin = 3 * time.Hour },
		"patience:":     func(s *crl.Schedule) { s.Patience = time.Minute },
	} {
		s := good
		change(&s)
		if err := s.Check(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v: %v", s, err)
		}
	}
}
