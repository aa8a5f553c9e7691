package ca_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/keyuse"
	"github.com/sealpost/sealpost/internal/pg"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/pkitest"
)

func TestPrepareRefuses(t *testing.T) {
	r := setup(t)
	alice := pkitest.NewPerson("alice")
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		profile string
		spoil   func(*ca.Request)
		want    error
		says    string
	}{
		{"unknown profile", "smime-magic", nil, ca.ErrUnknownProfile, "smime-magic"},
		{"no id", ca.SMIMESigning, func(q *ca.Request) { q.ID = uuid.Nil }, ca.ErrRequest, "no id"},
		{"no mailbox", ca.SMIMESigning, func(q *ca.Request) { q.Mailboxes = nil }, ca.ErrRequest, "needs mail addresses"},
		{"mailbox where none belongs", ca.OCSPSigning, nil, ca.ErrRequest, "does not allow mail addresses"},
		{"host where none belongs", ca.SMIMESigning, func(q *ca.Request) { q.DNSNames = []string{"a.example.test"} }, ca.ErrRequest, "host names"},
		{"another domain", ca.SMIMESigning, func(q *ca.Request) { q.Mailboxes = []string{"alice@example.com"} }, ca.ErrNameNotAllowed, "alice@example.com"},
		{"a subdomain", ca.SMIMESigning, func(q *ca.Request) { q.Mailboxes = []string{"alice@sub.example.test"} }, ca.ErrNameNotAllowed, "sub.example.test"},
		{"another domain, beyond ASCII", ca.SMIMESigning, func(q *ca.Request) { q.Mailboxes = []string{"älice@example.com"} }, ca.ErrNameNotAllowed, "älice@example.com"},
		{"second of two addresses", ca.SMIMESigning, func(q *ca.Request) { q.Mailboxes = append(q.Mailboxes, "eve@evil.test") }, ca.ErrNameNotAllowed, "eve@evil.test"},
		{"another host", ca.ServerTLS, func(q *ca.Request) { q.Mailboxes, q.DNSNames = nil, []string{"www.example.com"} }, ca.ErrNameNotAllowed, "www.example.com"},
		{"not an address", ca.SMIMESigning, func(q *ca.Request) { q.Mailboxes = []string{"alice"} }, ca.ErrMailbox, `"alice"`},
		{"a display name", ca.SMIMESigning, func(q *ca.Request) { q.Mailboxes = []string{"Alice <alice@example.test>"} }, ca.ErrMailbox, ""},
		{"a quoted local part", ca.SMIMESigning, func(q *ca.Request) { q.Mailboxes = []string{`"a b"@example.test`} }, ca.ErrMailbox, ""},
		{"a line break", ca.SMIMESigning, func(q *ca.Request) { q.Mailboxes = []string{"alice\r\n@example.test"} }, ca.ErrMailbox, ""},
		{"an address literal", ca.SMIMESigning, func(q *ca.Request) { q.Mailboxes = []string{"alice@[127.0.0.1]"} }, ca.ErrMailbox, ""},
		{"too many addresses", ca.SMIMESigning, func(q *ca.Request) { q.Mailboxes = make([]string, 65) }, ca.ErrRequest, "at most 64"},
		{"no name", ca.SMIMESigning, func(q *ca.Request) { q.Subject.CommonName = "" }, ca.ErrSubject, "needs a name"},
		{"a long name", ca.SMIMESigning, func(q *ca.Request) { q.Subject.CommonName = strings.Repeat("ä", 65) }, ca.ErrSubject, "64 characters"},
		{"a name with a blank behind", ca.SMIMESigning, func(q *ca.Request) { q.Subject.Surname = "Example " }, ca.ErrSubject, "blank"},
		{"a placeholder", ca.SMIMESigning, func(q *ca.Request) { q.Subject.GivenName = "-" }, ca.ErrSubject, "placeholder"},
		{"a name with a control character", ca.SMIMESigning, func(q *ca.Request) { q.Subject.CommonName = "A\x00B" }, ca.ErrSubject, "not text"},
		{"a serial number that is no PrintableString", ca.SMIMESigning, func(q *ca.Request) { q.Subject.SerialNumber = "a_b" }, ca.ErrSubject, "serial number"},
		{"nobody's name for a person's mail", ca.SMIMESigning, func(q *ca.Request) { q.Subject.GivenName, q.Subject.Surname = "", "" }, ca.ErrLint, "e_invalid_individual_identity"},
		{"no key", ca.SMIMESigning, func(q *ca.Request) { q.PublicKey = nil }, ca.ErrKeyAlgorithm, ""},
		{"a curve that is not accepted", ca.SMIMESigning, func(q *ca.Request) { q.PublicKey = pkitest.SPKI(p521.Public()) }, ca.ErrKeyAlgorithm, "P-521"},
		{"a kind of key the profile does not allow", ca.SMIMESigning, func(q *ca.Request) { q.PublicKey = pkitest.SPKI(pkitest.NewKey(t, ca.Ed25519).Public()) }, ca.ErrKeyNotAllowed, "Ed25519"},
		{"a key too small for the profile", ca.SMIMESigning, func(q *ca.Request) { q.PublicKey = pkitest.SPKI(pkitest.RSAKey(t, ca.RSA2048, 0).Public()) }, ca.ErrKeyNotAllowed, "RSA-2048"},
		{"a key with something behind", ca.SMIMESigning, func(q *ca.Request) { q.PublicKey = append(q.PublicKey, 0) }, ca.ErrKeyAlgorithm, ""},
	} {
		q := alice.Request(c.profile, pkitest.NewKey(t, ca.P256).Public())
		if c.spoil != nil {
			c.spoil(&q)
		}
		// Whatever is wrong with one of a pair, neither is prepared.
		good := alice.Request(ca.SMIMEEncryption, pkitest.NewKey(t, ca.P256).Public())
		_, err := r.Prepare(t.Context(), by, good, q)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %v saying %q", c.name, err, c.want, c.says)
		}
	}
	for _, table := range []string{"ca.prepared", "keyuse.key_use", "audit.event"} {
		if n := r.d.Count(t, "select count(*) from "+table); n != 0 {
			t.Errorf("%s has %d rows", table, n)
		}
	}
}

func TestKeyHasOneUseAndOnePerson(t *testing.T) {
	r := setup(t)
	alice, bob := pkitest.NewPerson("alice"), pkitest.NewPerson("bob")
	key := pkitest.NewKey(t, ca.P256).Public()
	r.Issue(t, alice.Request(ca.SMIMESigning, key))
	for name, q := range map[string]ca.Request{
		"for encryption": alice.Request(ca.SMIMEEncryption, key),
		"for both":       alice.Request(ca.SMIMESingle, key),
		"for another":    bob.Request(ca.SMIMESigning, key),
		"as an agent":    alice.Request(ca.AgentSigning, key),
	} {
		if _, err := r.Prepare(t.Context(), by, q); !errors.Is(err, keyuse.ErrInUse) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The same key again for the same use: a renewal.
	r.Issue(t, alice.Request(ca.SMIMESigning, key))
	// One pair with one key: neither.
	other := pkitest.NewKey(t, ca.P256).Public()
	s, e := bob.Request(ca.SMIMESigning, other), bob.Request(ca.SMIMEEncryption, other)
	e.ID = s.ID
	if _, err := r.Prepare(t.Context(), by, s, e); !errors.Is(err, keyuse.ErrInUse) {
		t.Errorf("a pair of one key: %v", err)
	}
	if p, err := r.ByRequest(t.Context(), s.ID); err != nil || len(p.Prepared) != 0 {
		t.Errorf("left behind: %+v, %v", p, err)
	}
	// Agents sign and decrypt with different keys, although keyuse calls both an agent's.
	agent := pkitest.NewKey(t, ca.P256).Public()
	r.Issue(t, bob.Request(ca.AgentSigning, agent))
	if _, err := r.Prepare(t.Context(), by, bob.Request(ca.AgentDecryption, agent)); !errors.Is(err, ca.ErrKeyReused) {
		t.Errorf("an agent's key for both: %v", err)
	}
}

func TestCompromisedKeyIsNotCertifiedAgain(t *testing.T) {
	r := setup(t)
	alice := pkitest.NewPerson("alice")
	key := pkitest.NewKey(t, ca.P256).Public()
	c := r.Issue(t, alice.Request(ca.SMIMESigning, key))[0]
	if err := r.Revoke(t.Context(), by, ca.Revocation{Issuer: c.Issuer, Serial: c.Serial, Reason: ca.KeyCompromise}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Prepare(t.Context(), by, alice.Request(ca.SMIMESigning, key)); !errors.Is(err, ca.ErrKeyCompromised) {
		t.Errorf("got %v", err)
	}
}

func TestTamperedBytesAreNotSigned(t *testing.T) {
	for name, sql := range map[string]string{
		"bytes":  `update ca.prepared set tbs = set_byte(tbs, length(tbs) - 1, 255 - get_byte(tbs, length(tbs) - 1))`,
		"digest": `update ca.prepared set digest = sha256('something else')`,
		"both, with bytes that are no certificate": `update ca.prepared set tbs = 'x', digest = sha256('x')`,
	} {
		t.Run(name, func(t *testing.T) {
			r := setup(t)
			prepared, err := r.Prepare(t.Context(), by, pkitest.NewPerson("alice").Request(ca.SMIMESigning, pkitest.NewKey(t, ca.P256).Public()))
			if err != nil {
				t.Fatal(err)
			}
			r.d.Exec(t, sql)
			if _, err := r.Sign(t.Context(), by, prepared); !errors.Is(err, ca.ErrTampered) {
				t.Errorf("got %v", err)
			}
			if n := r.d.Count(t, `select count(*) from ca.certificate`); n != 0 {
				t.Errorf("%d certificates", n)
			}
		})
	}
}

// TestSignIsAllOrNothing spoils the second of a pair.
func TestSignIsAllOrNothing(t *testing.T) {
	r := setup(t)
	alice := pkitest.NewPerson("alice")
	s, e := alice.Request(ca.SMIMESigning, pkitest.NewKey(t, ca.P256).Public()), alice.Request(ca.SMIMEEncryption, pkitest.NewKey(t, ca.P256).Public())
	e.ID = s.ID
	prepared, err := r.Prepare(t.Context(), by, s, e)
	if err != nil {
		t.Fatal(err)
	}
	r.d.Exec(t, `update ca.prepared set digest = sha256('x') where profile = 'smime-encryption'`)
	if _, err := r.Sign(t.Context(), by, prepared); err == nil {
		t.Fatal("signed")
	}
	p, err := r.ByRequest(t.Context(), s.ID)
	if err != nil || len(p.Prepared) != 2 || len(p.Issued) != 0 {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := r.Sign(t.Context(), by, []ca.Prepared{{Issuer: pkitest.IssuerID, Serial: "\x01"}}); !errors.Is(err, ca.ErrNotFound) {
		t.Errorf("unknown serial: %v", err)
	}
	if n, err := r.Abandon(t.Context(), by, s.ID); n != 2 || err != nil {
		t.Errorf("abandoned %d, %v", n, err)
	}
	if n, err := r.Abandon(t.Context(), by, s.ID); n != 0 || err != nil {
		t.Errorf("abandoned again %d, %v", n, err)
	}
	if err := r.Revoke(t.Context(), by, ca.Revocation{Issuer: pkitest.IssuerID, Serial: prepared[0].Serial}); !errors.Is(err, ca.ErrRevoked) {
		t.Errorf("revoke what was abandoned: %v", err)
	}
}

// TestServersRace lets two servers prepare and sign the same pair at once: one pair comes of it.
func TestServersRace(t *testing.T) {
	r := setup(t)
	c := r.Config()
	c.DB, c.Jobs = pgtest.Open(t, r.d), r.Jobs
	other, err := ca.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		alice := pkitest.NewPerson("alice")
		s, e := alice.Request(ca.SMIMESigning, pkitest.NewKey(t, ca.P256).Public()), alice.Request(ca.SMIMEEncryption, pkitest.NewKey(t, ca.P256).Public())
		e.ID = s.ID
		var wg sync.WaitGroup
		results := make([][]ca.Certificate, 8)
		for i := range results {
			a := []*ca.Authority{r.Authority, other}[i%2]
			wg.Go(func() {
				prepared, err := a.Prepare(t.Context(), by, s, e)
				if err != nil {
					t.Error(err)
					return
				}
				if results[i], err = a.Sign(t.Context(), by, prepared); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, pair := range results[1:] {
			if len(pair) != 2 || string(pair[0].DER) != string(results[0][0].DER) || string(pair[1].DER) != string(results[0][1].DER) {
				t.Fatal("two servers made different certificates")
			}
		}
	}
	if n := r.d.Count(t, `select count(*) from ca.certificate`); n != 10 {
		t.Errorf("%d certificates, want 10", n)
	}
	if n := r.d.Count(t, `select count(*) from ca.prepared`); n != 10 {
		t.Errorf("%d serials, want 10", n)
	}
	if n := r.d.Count(t, `select count(*) from audit.event where kind = 'certificate.issued'`); n != 10 {
		t.Errorf("%d events, want 10", n)
	}
}

// TestSignAndAbandonRace: whichever comes first, the other sees it.
func TestSignAndAbandonRace(t *testing.T) {
	r := setup(t)
	for range 10 {
		q := pkitest.NewPerson("alice").Request(ca.SMIMESigning, pkitest.NewKey(t, ca.P256).Public())
		prepared, err := r.Prepare(t.Context(), by, q)
		if err != nil {
			t.Fatal(err)
		}
		var signed, abandoned int
		var wg sync.WaitGroup
		wg.Go(func() {
			certs, err := r.Sign(t.Context(), by, prepared)
			if err != nil && !errors.Is(err, ca.ErrAbandoned) {
				t.Error(err)
			}
			signed = len(certs)
		})
		wg.Go(func() {
			n, err := r.Abandon(t.Context(), by, q.ID)
			if err != nil {
				t.Error(err)
			}
			abandoned = n
		})
		wg.Wait()
		if signed+abandoned != 1 {
			t.Errorf("signed %d, abandoned %d", signed, abandoned)
		}
	}
}

func TestIssuerIsOneCertificateForEver(t *testing.T) {
	r := setup(t)
	c := pkitest.NewHierarchy(t, time.Now()).Config()
	c.DB, c.Jobs = pgtest.Open(t, r.d), r.Jobs
	if _, err := ca.New(t.Context(), c); !errors.Is(err, ca.ErrIssuerChanged) {
		t.Errorf("got %v", err)
	}
}

// TestNeverPastTheIssuer issues near the end of the issuer's own certificate, and after it.
func TestNeverPastTheIssuer(t *testing.T) {
	r := setup(t)
	r.now = r.Issuing.NotAfter.Add(-100 * 24 * time.Hour)
	c := r.Issue(t, pkitest.NewPerson("alice").Request(ca.SMIMESigning, pkitest.NewKey(t, ca.P256).Public()))[0]
	if !c.NotAfter.Equal(r.Issuing.NotAfter) {
		t.Errorf("until %v, the issuer until %v", c.NotAfter, r.Issuing.NotAfter)
	}
	prepared, err := r.Prepare(t.Context(), by, pkitest.NewPerson("bob").Request(ca.SMIMESigning, pkitest.NewKey(t, ca.P256).Public()))
	if err != nil {
		t.Fatal(err)
	}
	r.now = r.Issuing.NotAfter.Add(time.Second)
	if _, err := r.Sign(t.Context(), by, prepared); !errors.Is(err, ca.ErrStale) && !errors.Is(err, ca.ErrIssuerEnd) {
		t.Errorf("signed after the end: %v", err)
	}
	if _, err := r.Prepare(t.Context(), by, pkitest.NewPerson("bob").Request(ca.SMIMESigning, pkitest.NewKey(t, ca.P256).Public())); !errors.Is(err, ca.ErrIssuerEnd) {
		t.Errorf("prepared after the end: %v", err)
	}
}

// TestLeastPrivilege tries, with the room's own role, what its code never does.
func TestLeastPrivilege(t *testing.T) {
	r := setup(t)
	r.IssuePair(t, pkitest.NewPerson("alice"))
	db := pgtest.Open(t, r.d)
	for _, sql := range []string{
		`update ca.prepared set tbs = 'x'`,
		`update ca.prepared set digest = 'x'`,
		`update ca.certificate set der = 'x'`,
		`update ca.revocation set reason = 0`,
		`update ca.issuer set certificate = 'x'`,
		`update keyuse.key_use set use = 'encryption'`,
		`delete from ca.prepared`,
		`delete from ca.certificate`,
		`delete from ca.revocation`,
		`delete from keyuse.key_use`,
		`truncate ca.revocation`,
		`select * from audit.event`,
	} {
		err := db.InTx(t.Context(), "ca", func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), sql)
			return err
		})
		if err == nil || !strings.Contains(err.Error(), "permission denied") {
			t.Errorf("%s: %v", sql, err)
		}
	}
	for _, role := range []pg.Role{"enroll", "crl", "gal", "web", "archive", "directory"} {
		err := db.InTx(t.Context(), role, func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), `select 1 from ca.certificate`)
			return err
		})
		if err == nil || !strings.Contains(err.Error(), "permission denied") {
			t.Errorf("%s reads certificates: %v", role, err)
		}
	}
}

// TestOtherIssuers issues with RSA and P-384 issuers.
func TestOtherIssuers(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]ca.KeyAlgorithm{"RSA": ca.RSA3072, "P-384": ca.P384} {
		h := pkitest.NewHierarchyWith(t, time.Now(), pkitest.RSAKey(t, ca.RSA3072, 1), pkitest.RSAKey(t, key, 0))
		draft, err := ca.Drafter(h.Config(), nil)
		if err != nil {
			t.Fatal(err)
		}
		d, err := draft(pkitest.NewPerson("alice").Request(ca.SMIMEEncryption, pkitest.RSAKey(t, ca.RSA3072, 2).Public()))
		if err != nil {
			t.Fatal(err)
		}
		der, err := d.Sign()
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		if err := cert.CheckSignatureFrom(h.Issuing); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
