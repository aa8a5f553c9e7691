// Package housetest puts the rooms together on a real PostgreSQL and a real slapd, for tests of the rooms that stand on
// them. It is imported by tests only.
package housetest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/pg"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/rostertest"
	"github.com/sealpost/sealpost/internal/slapdtest"
	"github.com/sealpost/sealpost/recovery"
)

// Plans of a test's registry: the pair, the pair with a registrar's yes, and the single certificate.
const (
	Pair     = "smime"
	Endorsed = "smime-endorsed"
	Single   = "smime-single"
)

// House is all rooms up to enroll, on servers of the test's own.
type House struct {
	Database  pgtest.Database
	DB        *pg.DB
	Slapd     *slapdtest.Server
	Directory *directory.Directory
	PKI       *pkitest.PKI
	Roster    rostertest.Roster // olivia, oscar and otto, any two; bob receives in business and legal cases
	Recipient cms.Recipient     // bob's key for that
	Wrapping  *record.WrappingKey
	Archive   *archive.Archive
	Audit     *audit.Log
	Enroll    *enroll.Registry
	Recovery  *recovery.Desk
	Config    enroll.Config // of Enroll, to make another one like it
	Clock     *Clock
}

// Clock is the time of a House: the real one, plus what the test has added. It is not safe for concurrent change.
type Clock struct{ offset time.Duration }

// Now returns the time.
func (c *Clock) Now() time.Time { return time.Now().Add(c.offset) }

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) { c.offset += d }

// New makes a House with an exchange certificate, ready for requests.
func New(t testing.TB) *House {
	t.Helper()
	return On(t, pgtest.NewDatabase(t), slapdtest.New(t))
}

// On makes a House on servers that the test has.
func On(t testing.TB, database pgtest.Database, slapd *slapdtest.Server) *House {
	t.Helper()
	h := &House{Database: database, Slapd: slapd, DB: pgtest.Open(t, database), Clock: &Clock{}}
	h.PKI = pkitest.NewAuthorityAt(t, h.DB, h.Clock.Now)
	h.Directory = h.newDirectory(t)
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	h.Audit, err = audit.New(audit.Config{DB: h.DB, Name: "test.example/audit", Signer: key, Now: h.Clock.Now})
	must(t, err)
	h.holdCeremony(t)
	h.Wrapping, err = record.GenerateWrappingKey()
	must(t, err)
	h.Archive, err = archive.New(archive.Config{DB: h.DB, Pins: []record.Hash{h.Roster.Hash()}, Wrapping: []*record.WrappingKey{h.Wrapping},
		Receipts: pkitest.NewKey(t, ca.P256), Now: h.Clock.Now})
	must(t, err)
	_, err = h.Archive.AddRoster(t.Context(), pkitest.Actor(), h.Roster.Bytes())
	must(t, err)
	h.Config = enroll.Config{DB: h.DB, Authority: h.PKI.Authority, Archive: h.Archive, Directory: h.Directory, Jobs: h.PKI.Jobs, Audit: h.Audit,
		Issuer: pkitest.IssuerID, SealKey: plain, UnsealKey: plain, Now: h.Clock.Now,
		Plans: []enroll.Plan{
			{Name: Pair, Title: "Secure mail", Signing: ca.SMIMESigning, Encryption: ca.SMIMEEncryption},
			{Name: Endorsed, Title: "Secure mail, endorsed", Signing: ca.SMIMESigning, Encryption: ca.SMIMEEncryption, Endorsement: true},
			{Name: Single, Title: "One certificate", Signing: ca.SMIMESingle},
		}}
	h.Enroll, err = enroll.New(h.Config)
	must(t, err)
	must(t, h.Enroll.EnsureKeys(t.Context()))
	h.Recovery, err = recovery.New(recovery.Config{Archive: h.Archive, Authority: h.PKI.Authority, Directory: h.Directory, Jobs: h.PKI.Jobs, Audit: h.Audit, Now: h.Clock.Now})
	must(t, err)
	return h
}

// plain seals nothing: tests of sealing have their own.
func plain(b []byte) ([]byte, error) { return bytes.Clone(b), nil }

func (h *House) newDirectory(t testing.TB) *directory.Directory {
	t.Helper()
	c := DirectoryConfig(h.Slapd)
	c.DB, c.Now = h.DB, h.Clock.Now
	d, err := directory.New(c)
	must(t, err)
	return d
}

// DirectoryConfig is the configuration for a test's slapd, without a database.
func DirectoryConfig(s *slapdtest.Server) directory.Config {
	group := func(r audit.Role, name string) directory.RoleRule {
		return directory.RoleRule{Role: r, Group: slapdtest.GroupDN(name)}
	}
	return directory.Config{
		Name: "example", URLs: []string{s.TLSURL()}, Trust: s.Trust,
		Lookup:         directory.Account{DN: s.Lookup.DN, PasswordFile: s.Lookup.PasswordFile},
		LookupPassword: s.Lookup.Password,
		Publisher:      directory.Account{DN: s.Publisher.DN, PasswordFile: s.Publisher.PasswordFile}, PublisherPassword: s.Publisher.Password,
		People:      directory.People{Base: slapdtest.People},
		Disabled:    []directory.Mark{{Attribute: "employeeType", Value: "disabled"}},
		Roles:       []directory.RoleRule{group(audit.Registrar, "registrars"), group(audit.RecoveryRequester, "recovery-requesters"), group(audit.RecoveryAgent, "recovery-agents"), group(audit.Operator, "operators"), group(audit.Auditor, "auditors")},
		Authorities: directory.Authorities{Base: slapdtest.PKI, Create: true},
	}
}

// Actor logs a person of the sample company in.
func (h *House) Actor(t testing.TB, login string) audit.Actor {
	t.Helper()
	p, err := h.Directory.Authenticate(t.Context(), login, slapdtest.Password(login))
	must(t, err)
	return p.Actor(audit.MethodPassword, audit.StrengthPassword)
}

// Keys are the private keys behind a submission.
type Keys struct{ Signing, Encryption crypto.Signer }

// Submission makes a request of the pair for a person, with fresh P-256 keys and everything in order.
func (h *House) Submission(t testing.TB, by audit.Actor, plan string) (enroll.Submission, Keys) {
	t.Helper()
	k := Keys{pkitest.NewKey(t, ca.P256), pkitest.NewKey(t, ca.P256)}
	return h.SubmissionWith(t, by, plan, k), k
}

// SubmissionWith makes a request with the given keys.
func (h *House) SubmissionWith(t testing.TB, by audit.Actor, plan string, k Keys) enroll.Submission {
	t.Helper()
	s := enroll.Submission{Idempotency: uuid.NewString(), Enrolment: plan, SigningCSR: pkitest.CSR(t, k.Signing, by.Name)}
	if plan == Single {
		return s
	}
	s.EncryptionCSR = pkitest.CSR(t, k.Encryption, by.Name)
	s.EscrowedKey = h.Escrow(t, by, s, k.Encryption)
	return s
}

// Escrow encrypts a private key to the exchange certificate, bound to the submission's CSRs.
func (h *House) Escrow(t testing.TB, by audit.Actor, s enroll.Submission, key crypto.PrivateKey) []byte {
	t.Helper()
	policy, err := h.Enroll.Policy(context.WithoutCancel(t.Context()), by, uuid.Nil)
	must(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	content, err := cms.EncKeyWithID{PrivateKey: pkcs8, Identifier: api.EscrowIdentifier(by.Person, s.SigningCSR, s.EncryptionCSR, policy.Nonce)}.Marshal()
	must(t, err)
	der, err := cms.Seal(content, []*x509.Certificate{policy.Exchange}, cms.SealOptions{ContentType: cms.OIDEncKeyWithID})
	must(t, err)
	return der
}

// Settled fails the test unless rules 1 to 3 of the design hold for everything in the database: every certificate was
// prepared and has its event; every encryption certificate's key is archived; no archived key signs.
func (h *House) Settled(t testing.TB) {
	t.Helper()
	for what, sql := range map[string]string{
		"certificates that were not prepared": `select count(*) from ca.certificate c
			where not exists (select from ca.prepared p where p.issuer = c.issuer and p.serial = c.serial and p.state = 'issued')`,
		"archived keys in certificates that sign": `select count(*) from ca.prepared p join archive.record r on r.spki_sha256 = p.spki_sha256
			where p.profile not in ('smime-encryption', 'role-mailbox-encryption')`,
		"encryption certificates whose key is not archived": `select count(*) from ca.certificate c join ca.prepared p using (issuer, serial)
			where p.profile = 'smime-encryption' and not exists (select from archive.record r where r.spki_sha256 = p.spki_sha256)`,
		"requests with one certificate of two": `select count(*) from (select p.request from ca.certificate c join ca.prepared p using (issuer, serial)
			where p.profile in ('smime-signing', 'smime-encryption') group by p.request having count(*) <> 2) x`,
	} {
		if n := h.Database.Count(t, sql); n != 0 {
			t.Errorf("%d %s", n, what)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
