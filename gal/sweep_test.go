package gal_test

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/gal"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

var operator = audit.Actor{Name: "op", Roles: []audit.Role{audit.Operator}, Method: audit.MethodLocal}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// issue issues a pair to a person of the directory and returns the encryption certificate, without publishing it.
func (b *bundle) issue(t *testing.T, login string) ca.Certificate {
	t.Helper()
	p, err := b.Directory.ByLogin(t.Context(), login)
	must(t, err)
	return b.PKI.IssuePair(t, pkitest.Person{ID: p.ID, Name: p.Name, Mailbox: p.Mailboxes[0]}).Encryption
}

func (b *bundle) revoke(t *testing.T, c ca.Certificate) {
	t.Helper()
	must(t, b.PKI.Revoke(t.Context(), pkitest.Actor(), ca.Revocation{Issuer: c.Issuer, Serial: c.Serial, Reason: ca.KeyCompromise}))
}

// put writes values into an entry as its administrator.
func (b *bundle) put(t *testing.T, dn, attribute string, values ...[]byte) {
	t.Helper()
	b.Slapd.Modify(t, add(dn, attribute, values...))
}

func add(dn, attribute string, values ...[]byte) string {
	var s strings.Builder
	fmt.Fprintf(&s, "dn:: %s\nchangetype: modify\nadd: %s\n", base64.StdEncoding.EncodeToString([]byte(dn)), attribute)
	for _, v := range values {
		fmt.Fprintf(&s, "%s:: %s\n", attribute, base64.StdEncoding.EncodeToString(v))
	}
	return s.String()
}

const (
	certificates = "userCertificate;binary"
	smime        = "userSMIMECertificate"
)

// values returns what ldapsearch sees of an entry, in no order.
func (b *bundle) values(t *testing.T, dn, attribute string) []string {
	t.Helper()
	var out []string
	for line := range strings.Lines(b.Slapd.Search(t, b.Slapd.Lookup, "-b", dn, "-s", "base", attribute)) {
		if text, ok := strings.CutPrefix(line, attribute+":: "); ok {
			der, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
			must(t, err)
			out = append(out, string(der))
		}
	}
	slices.Sort(out)
	return out
}

// holds fails the test unless an entry has exactly these values.
func (b *bundle) holds(t *testing.T, what, dn, attribute string, want ...[]byte) {
	t.Helper()
	list := []string{}
	for _, w := range want {
		list = append(list, string(w))
	}
	slices.Sort(list)
	if got := b.values(t, dn, attribute); !slices.Equal(got, list) {
		t.Errorf("%s: %s has %d values of %s, or others, want %d", what, dn, len(got), attribute, len(want))
	}
}

func (b *bundle) sweep(t *testing.T, how gal.Sweeping) gal.Status {
	t.Helper()
	how.Now = true
	must(t, b.Sweep(t.Context(), operator, how))
	return b.status(t)
}

func (b *bundle) status(t *testing.T) gal.Status {
	t.Helper()
	s, err := b.Status(t.Context(), operator)
	must(t, err)
	return s
}

func (b *bundle) drift(t *testing.T, what string, want map[gal.Kind]int) {
	t.Helper()
	if got := b.status(t).Drift; !maps.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// garbled returns a certificate that OpenLDAP takes and x509 does not read: its key usage is no bit string.
func (b *bundle) garbled(t *testing.T) []byte {
	t.Helper()
	der := slices.Clone(b.twin(t).Raw)
	at := strings.Index(string(der), "\x06\x03\x55\x1d\x11") // subjectAltName
	if at < 0 {
		t.Fatal("no name in the certificate")
	}
	der[at+7] = 0x31 // instead of the sequence within the octet string
	if _, err := x509.ParseCertificate(der); err == nil {
		t.Fatal("it can still be read")
	}
	return der
}

// A sweep first reports, and changes nothing; then it repairs, and nothing of others is lost.
func TestSweep(t *testing.T) {
	b := setup(t)
	alice, bob, carol := slapdtest.PersonDN("alice"), slapdtest.PersonDN("bob"), slapdtest.PersonDN("carol")
	missing := b.issue(t, "alice")
	stale := b.issue(t, "bob")
	foreign, other, garbled := b.twin(t).Raw, []byte("\x30\x00 no SignedData"), b.garbled(t)
	b.put(t, alice, certificates, foreign)
	b.put(t, alice, smime, other)
	b.put(t, bob, certificates, stale.DER, garbled)
	b.revoke(t, stale)
	// Somebody copied bob's certificate into carol's entry, who never had one.
	b.put(t, carol, certificates, stale.DER, foreign)

	s := b.sweep(t, gal.Sweeping{})
	want := map[gal.Kind]int{gal.Missing: 1, gal.Stale: 2, gal.Undecodable: 2}
	b.drift(t, "report", want)
	if s.Phase != gal.Done || s.Ended == nil || s.Changed != 0 || s.People != 2 || s.Foreign != 1 {
		t.Errorf("report: %+v", s)
	}
	b.holds(t, "report", alice, certificates, foreign)
	b.holds(t, "report", carol, certificates, stale.DER, foreign)
	list, err := b.Drift(t.Context(), operator, gal.Stale, 0, 10)
	must(t, err)
	if len(list) != 2 || list[0].DN != bob || list[0].Stale != 1 || list[0].Undecodable != 1 || list[1].DN != carol || list[1].Person != uuid.Nil && list[1].Foreign != 1 {
		t.Errorf("stale: %+v", list)
	}

	s = b.sweep(t, gal.Sweeping{Repair: true})
	if s.Changed != 3 || s.Stopped != "" {
		t.Errorf("repair: %+v", s)
	}
	b.drift(t, "repaired", map[gal.Kind]int{gal.Undecodable: 2})
	b.sweep(t, gal.Sweeping{})
	b.drift(t, "compared again", map[gal.Kind]int{gal.Undecodable: 2})
	b.holds(t, "repaired", alice, certificates, foreign, missing.DER)
	b.holds(t, "repaired", alice, smime, other)
	b.holds(t, "repaired", bob, certificates, garbled)
	b.holds(t, "repaired", carol, certificates, foreign)

	for kind, n := range map[string]int64{"gal.sweep-begun": 3, "gal.sweep-ended": 3, "gal.published": 3} {
		if got := b.Database.Count(t, `select count(*) from audit.event where kind = $1`, kind); got != n {
			t.Errorf("%d events %s, want %d", got, kind, n)
		}
	}
	// A sweep of its own waits for its time, and then repairs.
	must(t, b.Sweep(t.Context(), audit.System("gal"), gal.Sweeping{}))
	if s := b.status(t); s.Number != 3 {
		t.Errorf("a sweep before its time: %d", s.Number)
	}
	b.put(t, carol, certificates, stale.DER)
	b.Clock.Advance(25 * time.Hour)
	must(t, b.Sweep(t.Context(), audit.System("gal"), gal.Sweeping{}))
	if s := b.status(t); s.Number != 4 || s.Changed != 1 {
		t.Errorf("a sweep at its time: %+v", s)
	}
	b.holds(t, "by itself", carol, certificates, foreign)
}

func TestWhoMaySeeAndSweep(t *testing.T) {
	b := setup(t)
	if _, err := b.Status(t.Context(), b.alice); !errors.Is(err, gal.ErrNotAllowed) {
		t.Errorf("status: %v", err)
	}
	if _, err := b.Drift(t.Context(), b.alice, "", 0, 1); !errors.Is(err, gal.ErrNotAllowed) {
		t.Errorf("drift: %v", err)
	}
	auditor := audit.Actor{Name: "auditor", Roles: []audit.Role{audit.Auditor}, Method: audit.MethodPassword}
	if s, err := b.Status(t.Context(), auditor); err != nil || s.Number != 0 || s.Phase != gal.Done {
		t.Errorf("an auditor: %+v %v", s, err)
	}
	if err := b.Sweep(t.Context(), auditor, gal.Sweeping{Now: true, Repair: true}); !errors.Is(err, gal.ErrNotYours) {
		t.Errorf("an auditor sweeps: %v", err)
	}
	if n := b.Database.Count(t, `select count(*) from audit.event where kind = 'gal.sweep-refused'`); n != 1 {
		t.Errorf("%d refusals are recorded", n)
	}
}

// An entry that is gone, one that came back as another, and two with one address.
func TestEntriesThatAreNotOne(t *testing.T) {
	b := setup(t)
	cert := b.issue(t, "bob")
	b.issue(t, "alice")
	b.sweep(t, gal.Sweeping{Repair: true})
	b.Slapd.Modify(t, "dn: "+slapdtest.PersonDN("bob")+"\nchangetype: delete\n")
	b.sweep(t, gal.Sweeping{Repair: true})
	b.drift(t, "gone", map[gal.Kind]int{gal.NoEntry: 1})

	// Created anew with what a backup had: it is another entry, and so another person.
	dn := slapdtest.PersonDN("bob")
	b.Slapd.Modify(t, "dn: "+dn+"\nobjectClass: inetOrgPerson\nuid: bob\ncn: Bob\nsn: B\nmail: alice@example.test\n")
	b.put(t, dn, certificates, cert.DER)
	b.sweep(t, gal.Sweeping{})
	b.drift(t, "anew", map[gal.Kind]int{gal.NoEntry: 1, gal.Stale: 1, gal.Several: 1})
	b.sweep(t, gal.Sweeping{Repair: true})
	b.holds(t, "anew", dn, certificates)
	b.sweep(t, gal.Sweeping{})
	b.drift(t, "repaired", map[gal.Kind]int{gal.NoEntry: 1})
}

// More entries would lose values than may without an operator's word.
func TestSweepLimit(t *testing.T) {
	var more strings.Builder
	const n = 12
	for i := range n {
		fmt.Fprintf(&more, "dn: uid=p%d,%s\nobjectClass: inetOrgPerson\nuid: p%d\ncn: P %d\nsn: P\nmail: p%d@example.test\n\n", i, slapdtest.People, i, i, i)
	}
	b := withSlapd(t, slapdtest.Config{More: more.String()}, gal.Policy{Limit: 0.1})
	for i := range n {
		login := fmt.Sprintf("p%d", i)
		c := b.issue(t, login)
		b.put(t, "uid="+login+","+slapdtest.People, certificates, c.DER)
		b.revoke(t, c)
	}
	b.issue(t, "alice")
	if s := b.sweep(t, gal.Sweeping{Repair: true}); s.Stopped != gal.StoppedLimit || s.Changed != 0 {
		t.Errorf("%+v", s)
	}
	b.drift(t, "stopped", map[gal.Kind]int{gal.Stale: n, gal.Missing: 1})
	if s := b.sweep(t, gal.Sweeping{Repair: true, Beyond: true}); s.Stopped != "" || s.Changed != n+1 {
		t.Errorf("%+v", s)
	}
	b.drift(t, "repaired", map[gal.Kind]int{})
}

func withSlapd(t *testing.T, c slapdtest.Config, policy gal.Policy) *bundle {
	t.Helper()
	t.Parallel()
	return with(t, housetest.On(t, pgtest.NewDatabase(t), slapdtest.NewWith(t, c)), policy)
}

// Two servers sweep at once, and an operator too: everybody is compared once, and all is right in the end.
func TestTwoSweepers(t *testing.T) {
	b := setup(t)
	for _, login := range []string{"alice", "bob", "carol"} {
		b.issue(t, login)
	}
	must(t, b.Sweep(t.Context(), operator, gal.Sweeping{Now: true})) // so that the next is not begun by all of them
	b.Clock.Advance(25 * time.Hour)
	other := with(t, b.House, gal.Policy{})
	var g sync.WaitGroup
	for _, p := range []*gal.Publisher{b.Publisher, other.Publisher, b.Publisher} {
		g.Go(func() {
			if err := p.Sweep(t.Context(), audit.System("gal"), gal.Sweeping{}); err != nil {
				t.Error(err)
			}
		})
	}
	g.Wait()
	if s := b.status(t); s.Number != 2 || s.People != 3 || s.Changed != 3 || s.Phase != gal.Done {
		t.Errorf("%+v", s)
	}
	b.drift(t, "after", map[gal.Kind]int{})
}

// After a new certificate the one before it is shown for the overlap, and no longer.
func TestOverlap(t *testing.T) {
	b := setup(t)
	b.Publisher = with(t, b.House, gal.Policy{Overlap: 48 * time.Hour}).Publisher
	alice := slapdtest.PersonDN("alice")
	zero := b.issue(t, "alice")
	b.Clock.Advance(time.Hour)
	first := b.issue(t, "alice")
	b.Clock.Advance(72 * time.Hour)
	second := b.issue(t, "alice")
	b.put(t, alice, certificates, zero.DER)
	b.publish(t)
	b.holds(t, "overlap", alice, certificates, first.DER, second.DER)
	b.Clock.Advance(72 * time.Hour)
	b.sweep(t, gal.Sweeping{Repair: true})
	b.holds(t, "after it", alice, certificates, second.DER)
}

// A role mailbox and the person behind it: one does not push the other out.
func TestRoleMailbox(t *testing.T) {
	b := setup(t)
	person := b.issue(t, "alice")
	p, err := b.Directory.ByLogin(t.Context(), "alice")
	must(t, err)
	who := pkitest.Person{ID: p.ID, Name: "Support", Mailbox: "support@example.test"}
	role := b.PKI.Issue(t, who.Request(ca.RoleMailboxEncryption, pkitest.NewKey(t, ca.P256).Public()))[0]
	b.sweep(t, gal.Sweeping{Repair: true})
	b.holds(t, "both", p.DN, certificates, person.DER, role.DER)
	b.revoke(t, role)
	b.sweep(t, gal.Sweeping{Repair: true})
	b.holds(t, "one", p.DN, certificates, person.DER)
}

func TestPolicy(t *testing.T) {
	err := gal.Policy{SMIME: "both", Overlap: -1, MaxValues: -1, Every: -1, Limit: 2, Rate: -1}.Validate()
	for _, path := range []string{"smime:", "overlap:", "max_values:", "every:", "limit:", "rate:"} {
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s is not in: %v", path, err)
		}
	}
	must(t, gal.Policy{}.Validate())
}
