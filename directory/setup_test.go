package directory_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"log/slog"
	"math/big"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/pg"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/sambatest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

func TestMain(m *testing.M) { pgtest.Main(m, sambatest.Ends()) }

// bench is what most tests start from: a directory before a real slapd and a real database.
type bench struct {
	*directory.Directory
	ldap   *slapdtest.Server
	config directory.Config
	log    *buffer
	db     pgtest.Database
	twice  bool // the watcher may tell the same again
}

// config returns the configuration that fits a sample server.
func config(s *slapdtest.Server) directory.Config {
	return directory.Config{
		Name: "company", URLs: []string{s.TLSURL()}, TrustFile: s.TrustFile,
		Lookup:    directory.Account{DN: s.Lookup.DN, PasswordFile: s.Lookup.PasswordFile},
		Publisher: directory.Account{DN: s.Publisher.DN, PasswordFile: s.Publisher.PasswordFile},
		People:    directory.People{Base: slapdtest.People},
		Disabled:  []directory.Mark{{Attribute: "employeeType", Value: "disabled"}},
		Roles: []directory.RoleRule{
			{Role: audit.Registrar, Group: slapdtest.GroupDN("registrars")},
			{Role: audit.RecoveryAgent, Group: slapdtest.GroupDN("recovery-agents")},
			{Role: audit.Operator, Group: slapdtest.GroupDN("operators")},
			{Role: audit.Auditor, Group: slapdtest.GroupDN("auditors")},
		},
		Decoy:       slapdtest.Decoy,
		Authorities: directory.Authorities{Base: slapdtest.PKI, Create: true},
		Connections: 4, ConnectTimeout: 3 * time.Second, Timeout: 3 * time.Second,
		LookupPassword: s.Lookup.Password, PublisherPassword: s.Publisher.Password, Trust: s.Trust,
	}
}

// setup starts a server and a directory whose configuration change has changed.
func setup(t testing.TB, change ...func(*directory.Config)) *bench {
	t.Helper()
	return with(t, slapdtest.New(t), change...)
}

// with is setup on a server that is there already.
func with(t testing.TB, s *slapdtest.Server, change ...func(*directory.Config)) *bench {
	t.Helper()
	b := &bench{ldap: s, config: config(s), log: new(buffer), db: pgtest.NewDatabase(t)}
	b.config.DB = pgtest.Open(t, b.db)
	b.config.Log = slog.New(slog.NewTextHandler(b.log, nil))
	for _, c := range change {
		c(&b.config)
	}
	d, err := directory.New(b.config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	b.Directory = d
	return b
}

// login returns the person with that login.
func (b *bench) login(t testing.TB, login string) directory.Person {
	t.Helper()
	p, err := b.ByLogin(t.Context(), login)
	if err != nil {
		t.Fatalf("%s: %v", login, err)
	}
	return p
}

// is fails the test unless err is want and what it shows tells nothing of what must not be shown.
func is(t testing.TB, what string, err, want error) {
	t.Helper()
	if want == nil && err == nil {
		return
	}
	if !errors.Is(err, want) || want == nil {
		t.Errorf("%s: got %v, want %v", what, err, want)
		return
	}
	if f := fault.Of(err); f != nil && (strings.Contains(f.Detail, "-sample") || !strings.HasSuffix(f.Detail, ".")) {
		t.Errorf("%s: detail %q", what, f.Detail)
	}
}

// buffer is a log that goroutines share.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// settle waits until nothing has been written for a while: a server writes its log a moment after it has answered.
func (b *buffer) settle() {
	const quiet, most = 200 * time.Millisecond, 10 * time.Second
	for start, last := time.Now(), -1; time.Since(start) < most; time.Sleep(quiet) {
		if n := len(b.String()); n == last {
			return
		} else {
			last = n
		}
	}
}

// issuer makes certificates and revocation lists.
type issuer struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

// serials are those of issuers' own certificates: OpenLDAP takes two of one issuer and serial for the same value.
var serials atomic.Int64

func newIssuer(t testing.TB, name string) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key}
	i.cert = i.sign(t, &x509.Certificate{SerialNumber: big.NewInt(serials.Add(1)), Subject: pkix.Name{CommonName: name}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte(name)})
	return i
}

func (i *issuer) sign(t testing.TB, c *x509.Certificate) *x509.Certificate {
	t.Helper()
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent := i.cert
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, i.key.Public(), i.key)
	if err != nil {
		t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// certificate returns a person's certificate, DER.
func (i *issuer) certificate(t testing.TB, serial int64) []byte {
	t.Helper()
	return i.sign(t, &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "Somebody"}}).Raw
}

// crl returns a revocation list, DER.
func (i *issuer) crl(t testing.TB, number int64) []byte {
	t.Helper()
	now := time.Now().Add(time.Duration(number) * time.Second)
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: now,
		NextUpdate: now.Add(time.Hour)}, i.cert, i.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// exec runs SQL as a room's role.
func exec(t testing.TB, db *pg.DB, role pg.Role, sql string) error {
	return db.InTx(t.Context(), role, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), sql)
		return err
	})
}
