package contact_test

import (
	"context"
	"crypto/x509"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/gal/contact"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/pkitest"
)

// What a registrar adds is what ldapsearch finds, and what openssl encrypts to; others' values stay when it comes, is replaced and
// goes.
func TestAddedReplacedRemoved(t *testing.T) {
	b := setup(t, erin, "frank@partner.test")
	other := b.issue(t, erin).Raw
	b.put(t, 1, other)
	first := b.issue(t, erin)
	c := b.add(t, "Erin@PARTNER.test", first, b.out.root)
	if c.State != contact.Current || c.Shown != contact.InEntry || c.DN != entryDN(1) || c.Trust != contact.ByRegistrar || len(c.Chain) != 1 || c.Revocation != contact.NoLists {
		t.Errorf("added: %+v", c)
	}
	b.holds(t, "added", 1, other, first.Raw)
	b.holds(t, "another", 2)
	for _, der := range b.values(t, entryDN(1)) {
		if string(der) == string(first.Raw) {
			b.encrypts(t, der)
		}
	}
	if again := b.add(t, erin, first); again.ID != c.ID || b.events(t, "gal.contact-added") != 1 {
		t.Errorf("again: %+v", again)
	}
	if _, err := b.Add(t.Context(), b.rita, submission(erin, b.issue(t, erin, func(c *x509.Certificate) { c.NotBefore = c.NotBefore.Add(-time.Hour) }))); !errors.Is(err, contact.ErrOlder) {
		t.Errorf("an older one: %v", err)
	}
	b.Clock.Advance(time.Hour)
	second := b.issue(t, erin)
	next := b.add(t, erin, second)
	b.holds(t, "replaced", 1, other, second.Raw)
	if before := b.get(t, c); before.State != contact.Replaced || before.EndedBy.Name != b.rita.Name {
		t.Errorf("replaced: %+v", before)
	}
	gone, err := b.Remove(t.Context(), b.rita, next.ID, "left the partner")
	must(t, err)
	if gone.State != contact.Removed || gone.Shown != contact.Gone || gone.Reason != "left the partner" {
		t.Errorf("removed: %+v", gone)
	}
	b.holds(t, "removed", 1, other)
	if _, err := b.Remove(t.Context(), b.rita, next.ID, "again"); err != nil {
		t.Errorf("removed again: %v", err)
	}
	if _, err := b.Remove(t.Context(), b.rita, c.ID, "was replaced"); !errors.Is(err, contact.ErrState) {
		t.Errorf("a replaced one: %v", err)
	}
	if a, r, p := b.events(t, "gal.contact-added"), b.events(t, "gal.contact-removed"), b.events(t, "gal.contact-published"); a != 2 || r != 1 || p != 3 {
		t.Errorf("%d added, %d removed, %d published", a, r, p)
	}
}

// encrypts has openssl encrypt to a certificate, and its owner read that.
func (b *bench) encrypts(t *testing.T, der []byte) {
	t.Helper()
	dir := t.TempDir()
	key, err := x509.MarshalPKCS8PrivateKey(pkitest.RSAKey(t, ca.RSA3072, 7))
	must(t, err)
	for name, content := range map[string][]byte{"erin.pem": pkitest.PEM(der), "key.der": key, "mail.txt": []byte("for erin")} {
		must(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	for _, args := range [][]string{
		{"-encrypt", "-binary", "-in", "mail.txt", "-outform", "DER", "-out", "mail.p7m", "erin.pem"},
		{"-decrypt", "-inform", "DER", "-in", "mail.p7m", "-inkey", "key.der", "-keyform", "DER", "-recip", "erin.pem", "-out", "read.txt"},
	} {
		cmd := exec.CommandContext(t.Context(), "openssl", append([]string{"cms"}, args...)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("openssl cms %v: %v: %s", args, err, out)
		}
	}
	if got := readFile(t, filepath.Join(dir, "read.txt")); got != "for erin" {
		t.Errorf("read: %q", got)
	}
}

// A certificate that ends is taken out by itself, and said before; so is one that its issuer revokes. What cannot be asked is
// said, and shown all the same.
func TestExpiredAndRevoked(t *testing.T) {
	b := setup(t, erin, "frank@partner.test")
	revoked, unknown := false, ""
	b = b.again(t, func(c *contact.Config) {
		c.Revocation = func(_ context.Context, _ *x509.Certificate, _ []*x509.Certificate) (bool, string) {
			return revoked, unknown
		}
	})
	short := b.issue(t, erin, func(c *x509.Certificate) { c.NotAfter = c.NotBefore.AddDate(0, 0, 20) })
	lists := func(c *x509.Certificate) { c.CRLDistributionPoints = []string{"http://pki.partner.test/ca.crl"} }
	e := b.add(t, erin, short)
	f := b.add(t, "frank@partner.test", b.issue(t, "frank@partner.test", lists), b.out.root)
	if f.Revocation != contact.NotRevoked || !e.Ends(b.Clock.Now(), contact.Soon) || f.Ends(b.Clock.Now(), contact.Soon) {
		t.Errorf("%q, ends %v, %v", f.Revocation, e.Ends(b.Clock.Now(), contact.Soon), f.Ends(b.Clock.Now(), contact.Soon))
	}
	if places, ending, err := b.Count(t.Context()); err != nil || places[contact.InEntry] != 2 || ending != 1 {
		t.Errorf("%v, %d, %v", places, ending, err)
	}
	b.Clock.Advance(25 * time.Hour)
	b.look(t)
	if got := b.get(t, f); got.State != contact.Current || !got.AskedAt.After(f.AskedAt) {
		t.Errorf("looked at again: %+v", got)
	}
	revoked = true
	b.Clock.Advance(25 * time.Hour)
	b.look(t)
	if got := b.get(t, f); got.State != contact.Revoked || got.Shown != contact.Gone {
		t.Errorf("revoked: %+v", got)
	}
	b.holds(t, "revoked", 2)
	b.holds(t, "not yet expired", 1, short.Raw)
	b.Clock.Advance(20 * 24 * time.Hour)
	b.look(t)
	if got := b.get(t, e); got.State != contact.Expired || got.Shown != contact.Gone {
		t.Errorf("expired: %+v", got)
	}
	b.holds(t, "expired", 1)
	if n := b.events(t, "gal.contact-ended"); n != 2 {
		t.Errorf("%d events", n)
	}
	b.Clock.Advance(60 * 24 * time.Hour)
	b.look(t)
	if n := b.Database.Count(t, `select count(*) from gal.contact where due_at is not null`); n != 0 {
		t.Errorf("%d are still looked at", n)
	}
}

// Without an entry nothing is shown, and with several neither; the next look sees what the administrators did. What somebody took
// out comes back, and what was moved to another entry follows the address.
func TestEntriesComeAndGo(t *testing.T) {
	b := setup(t, erin, erin)
	e := b.add(t, erin, b.issue(t, erin))
	f := b.add(t, "frank@partner.test", b.issue(t, "frank@partner.test"))
	if e.Shown != contact.Several || f.Shown != contact.NoEntry {
		t.Errorf("%s, %s", e.Shown, f.Shown)
	}
	b.holds(t, "several", 1)
	b.holds(t, "several", 2)
	b.Slapd.Modify(t, "dn: "+entryDN(2)+"\nchangetype: modify\nreplace: mail\nmail: frank@partner.test\n")
	b.Clock.Advance(11 * time.Minute)
	b.look(t)
	b.holds(t, "one each", 1, e.Certificate.Raw)
	b.holds(t, "one each", 2, f.Certificate.Raw)
	// Somebody takes one out, and gives the other's address to the first entry.
	b.Slapd.Modify(t, "dn: "+entryDN(2)+"\nchangetype: modify\ndelete: userCertificate;binary\n-\nreplace: mail\nmail: nobody@partner.test\n")
	b.Slapd.Modify(t, "dn: "+entryDN(1)+"\nchangetype: modify\nreplace: mail\nmail: frank@partner.test\n")
	b.Clock.Advance(25 * time.Hour)
	b.look(t)
	b.holds(t, "moved", 1, f.Certificate.Raw)
	b.holds(t, "moved", 2)
	if got := b.get(t, e); got.Shown != contact.NoEntry {
		t.Errorf("%+v", got)
	}
	// An entry of two addresses shows both's.
	b.Slapd.Modify(t, "dn: "+entryDN(1)+"\nchangetype: modify\nadd: mail\nmail: ERIN@Partner.test\n")
	b.Clock.Advance(25 * time.Hour)
	b.look(t)
	b.holds(t, "both", 1, e.Certificate.Raw, f.Certificate.Raw)
}

// Others' values leave no room above the limit, and what was there before us stays when the contact goes.
func TestLimitAndOthers(t *testing.T) {
	b := setup(t, erin)
	b = b.again(t, func(c *contact.Config) { c.MaxValues = 2 })
	mine := b.issue(t, erin)
	others := [][]byte{b.issue(t, erin).Raw, b.issue(t, erin).Raw}
	b.put(t, 1, others...)
	c := b.add(t, erin, mine)
	if c.Shown != contact.Full {
		t.Errorf("full: %+v", c)
	}
	b.holds(t, "full", 1, others...)
	b.Slapd.Modify(t, "dn: "+entryDN(1)+"\nchangetype: modify\ndelete: userCertificate;binary\n")
	b.put(t, 1, others[0])
	b.Clock.Advance(11 * time.Minute)
	b.look(t)
	b.holds(t, "room", 1, others[0], mine.Raw)
	// The certificate that others put there before is shown by them: it is not ours to take out.
	theirs, err := x509.ParseCertificate(others[0])
	must(t, err)
	b.Clock.Advance(time.Second)
	if _, err := b.Remove(t.Context(), b.rita, c.ID, "wrong one"); err != nil {
		t.Error(err)
	}
	c = b.add(t, erin, theirs)
	if c.Shown != contact.InEntry {
		t.Errorf("theirs: %+v", c)
	}
	_, err = b.Remove(t.Context(), b.rita, c.ID, "enough")
	must(t, err)
	b.holds(t, "theirs", 1, others[0])
}

// The directory is away, or the server dies between its two records: the next look makes up for it, in either of two servers.
func TestAwayAndKilled(t *testing.T) {
	b := setup(t, erin)
	first := b.issue(t, erin)
	b.Slapd.Kill()
	if _, err := b.Add(t.Context(), b.rita, submission(erin, first)); err == nil {
		t.Error("added without a look whether the address is one of our own people's")
	}
	must(t, b.Slapd.Restart(t.Context()))
	for _, step := range []string{"contact.added", "contact.prepared", "contact.written"} {
		dying := b.again(t, func(c *contact.Config) {
			c.After = func(s string) {
				if s == step {
					panic(s)
				}
			}
		})
		b.Clock.Advance(10 * time.Minute)
		c := b.issue(t, erin)
		func() {
			defer func() {
				if got := recover(); got != step {
					t.Errorf("%v instead of %s", got, step)
				}
			}()
			_, _ = dying.Add(t.Context(), b.rita, submission(erin, c))
		}()
		b.look(t)
		b.holds(t, step, 1, c.Raw)
	}
	list, err := b.List(t.Context(), b.rita, contact.Which{})
	must(t, err)
	if len(list) != 1 || list[0].Shown != contact.InEntry {
		t.Fatalf("%d, %+v", len(list), list[0])
	}
	// Removed while the directory is away.
	b.Slapd.Kill()
	c, err := b.Remove(t.Context(), b.rita, list[0].ID, "left")
	must(t, err)
	if c.Shown != contact.Failed || c.Failure == "" {
		t.Errorf("away: %+v", c)
	}
	must(t, b.Slapd.Restart(t.Context()))
	b.Clock.Advance(2 * time.Minute)
	b.look(t)
	b.holds(t, "back", 1)
}

// Two servers look at the same time while registrars change the list.
func TestTwoServers(t *testing.T) {
	b := setup(t, erin)
	other := b.again(t, nil)
	var certificates []*x509.Certificate
	for range 6 {
		b.Clock.Advance(time.Minute)
		certificates = append(certificates, b.issue(t, erin))
	}
	var g sync.WaitGroup
	for n, server := range []*bench{b, other} {
		g.Go(func() {
			for i, c := range certificates {
				if i%2 != n {
					continue
				}
				if _, err := server.Add(t.Context(), b.rita, submission(erin, c)); err != nil && !errors.Is(err, contact.ErrOlder) {
					t.Error(err)
				}
			}
		})
		g.Go(func() {
			for range 5 {
				// What is changed by all at once may be left for later.
				if err := server.Look(t.Context()); err != nil && !errors.Is(err, fault.Unavailable) {
					t.Error(err)
				}
			}
		})
	}
	g.Wait()
	b.Clock.Advance(25 * time.Hour)
	b.look(t)
	b.holds(t, "the newest", 1, certificates[5].Raw)
	if n := b.Database.Count(t, `select count(*) from gal.contact where state = 'current'`); n != 1 {
		t.Errorf("%d are current", n)
	}
}

// An address is what it is, whatever signs are in it.
func TestAddressWithSigns(t *testing.T) {
	const odd, star = "o'neil*x&{y}=z|!#$%/?^_`~+-@partner.test", "*@partner.test"
	b := setup(t, odd, star, erin)
	first, second := b.issue(t, odd), b.issue(t, star)
	for mailbox, c := range map[string]*x509.Certificate{odd: first, star: second} {
		if got := b.add(t, mailbox, c); got.Shown != contact.InEntry {
			t.Errorf("%s: %+v", mailbox, got)
		}
	}
	b.holds(t, "signs", 1, first.Raw)
	b.holds(t, "a star", 2, second.Raw)
	b.holds(t, "another", 3)
}

// Registrars change the list; operators and auditors see it; others do neither, and their trying is recorded.
func TestWhoMay(t *testing.T) {
	b := setup(t, erin)
	c := b.add(t, erin, b.issue(t, erin))
	b.Clock.Advance(time.Minute)
	for login, sees := range map[string]bool{"bob": false, "operator": true, "auditor": true} {
		by := b.Actor(t, login)
		if _, err := b.Add(t.Context(), by, submission(erin, b.issue(t, erin))); !errors.Is(err, contact.ErrNotAllowed) {
			t.Errorf("%s adds: %v", login, err)
		}
		if _, err := b.Check(t.Context(), by, submission(erin, b.issue(t, erin))); !errors.Is(err, contact.ErrNotAllowed) {
			t.Errorf("%s asks: %v", login, err)
		}
		if _, err := b.Remove(t.Context(), by, c.ID, "x"); !errors.Is(err, contact.ErrNotAllowed) {
			t.Errorf("%s removes: %v", login, err)
		}
		if _, err := b.List(t.Context(), by, contact.Which{}); (err == nil) != sees {
			t.Errorf("%s lists: %v", login, err)
		}
		if _, err := b.Get(t.Context(), by, c.ID); (err == nil) != sees {
			t.Errorf("%s gets: %v", login, err)
		}
	}
	if n := b.events(t, "gal.contact-refused"); n != 6 {
		t.Errorf("%d refusals", n)
	}
	if _, err := b.Add(t.Context(), audit.System("x"), submission(erin, b.issue(t, erin))); !errors.Is(err, contact.ErrNotAllowed) {
		t.Errorf("a component adds: %v", err)
	}
	off := b.again(t, func(c *contact.Config) { c.Directory = nil })
	if _, err := off.Add(t.Context(), b.rita, submission(erin, b.issue(t, erin))); !errors.Is(err, contact.ErrOff) {
		t.Errorf("off: %v", err)
	}
}
