package bench

import (
	"bufio"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/cmd/sealpost/server"
	"github.com/sealpost/sealpost/internal/keys"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// galPerson is somebody in the large directory, with a certificate of their own.
type galPerson struct {
	number    int
	id, entry uuid.UUID // ours, and the directory's
	key       [sha256.Size]byte
	serial    []byte
	der       []byte
}

// makePeople has the issuer's own key sign a certificate for each of many people, and writes the rows that enrolments would
// have left for the directory. Some of them wait to be published.
func (g *galPart) makePeople(ctx context.Context) ([]galPerson, error) {
	issuer, signer, err := g.issuer(ctx)
	if err != nil {
		return nil, err
	}
	people := make([]galPerson, g.GALEntries)
	now := time.Now().Truncate(time.Second)
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for n := range people {
		group.Go(func() (err error) {
			people[n], err = certified(n, issuer, signer, now)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	each := min(mostPublications, len(people)/(4*g.Rounds))
	g.due = slices.Clone(people[:3*g.Rounds*each])
	if err := g.insert(ctx, people, now); err != nil {
		return nil, err
	}
	_, err = g.db.Exec(ctx, "vacuum analyze ca.certificate, directory.person")
	return people, err
}

// issuer opens the issuing authority's key.
func (g *galPart) issuer(ctx context.Context) (*x509.Certificate, crypto.Signer, error) {
	i := g.config.Issuers[0]
	chain, err := server.ReadCertificates(g.config.Path(i.Certificate))
	if err != nil {
		return nil, nil, err
	}
	unlock, err := g.config.Passphrase()
	if err != nil {
		return nil, nil, err
	}
	signer, err := keys.Open(ctx, g.config.KeyURI(i.Key), unlock)
	return chain[0], signer, err
}

// certified makes a person with a certificate that has what the authority's encryption certificates have.
func certified(n int, issuer *x509.Certificate, signer crypto.Signer, now time.Time) (p galPerson, err error) {
	p = galPerson{number: n, id: uuid.New(), entry: uuid.New(), serial: make([]byte, 16)}
	_, _ = rand.Read(p.serial) // never fails
	p.serial[0] = p.serial[0]&0x3f | 0x40
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return p, err
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return p, err
	}
	p.key = sha256.Sum256(spki)
	p.der, err = x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: new(big.Int).SetBytes(p.serial),
		Subject:   pkix.Name{CommonName: fmt.Sprintf("Person %05d", n), Organization: []string{"Example"}, Country: []string{"DE"}, SerialNumber: fmt.Sprint(100_000 + n)},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(2, 0, 0), EmailAddresses: []string{mailbox(n)},
		KeyUsage: x509.KeyUsageKeyAgreement, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}, BasicConstraintsValid: true,
		PolicyIdentifiers:     []asn1.ObjectIdentifier{{2, 23, 140, 1, 5, 4, 1}},
		CRLDistributionPoints: []string{"http://pki.example.test/crl/issuing.crl"}, OCSPServer: []string{"http://pki.example.test/ocsp/issuing"},
		IssuingCertificateURL: []string{"http://pki.example.test/ca/issuing.cer"}}, issuer, key.Public(), signer)
	return p, err
}

func mailbox(n int) string { return login(n) + "@example.test" }

// insert writes the rows.
func (g *galPart) insert(ctx context.Context, people []galPerson, now time.Time) error {
	rows := func(of func(galPerson) []any) pgx.CopyFromSource {
		return pgx.CopyFromSlice(len(people), func(n int) ([]any, error) { return of(people[n]), nil })
	}
	_, err := g.db.CopyFrom(ctx, pgx.Identifier{"directory", "person"}, []string{"id", "target", "source_id", "login", "name", "first_seen"}, rows(func(p galPerson) []any {
		return []any{p.id, g.config.Directory.Name, p.entry.String(), login(p.number), fmt.Sprintf("Person %05d", p.number), now}
	}))
	if err != nil {
		return fmt.Errorf("people: %w", err)
	}
	_, err = g.db.CopyFrom(ctx, pgx.Identifier{"ca", "certificate"}, []string{"issuer", "serial", "request", "profile", "person", "spki_sha256", "mailboxes", "not_before", "not_after", "issued_at", "der"},
		rows(func(p galPerson) []any {
			return []any{g.config.Issuers[0].ID, p.serial, uuid.New(), ca.SMIMEEncryption, p.id, p.key[:], []string{mailbox(p.number)}, now.Add(-time.Hour), now.AddDate(2, 0, 0), now, p.der}
		}))
	if err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	return nil
}

// startDirectory starts a directory of the people, durable, into which slapadd has loaded what is published. The lookup account
// has the right that docs/gal.md asks for.
func (g *galPart) startDirectory(ctx context.Context, people []galPerson) (err error) {
	var b strings.Builder
	for _, p := range people {
		fmt.Fprintf(&b, "dn: %s\nobjectClass: inetOrgPerson\nuid: %s\ncn: Person %05d\ngivenName: Person\nsn: Number%05d\nemployeeNumber: %d\nmail: %s\nentryUUID: %s\n",
			slapdtest.PersonDN(login(p.number)), login(p.number), p.number, p.number, 100_000+p.number, mailbox(p.number), p.entry)
		if p.number >= len(g.due) {
			fmt.Fprintf(&b, "userCertificate;binary:: %s\n", base64.StdEncoding.EncodeToString(p.der))
		}
		b.WriteByte('\n')
	}
	g.directory, err = slapdtest.Start(ctx, slapdtest.Config{Dir: filepath.Join(g.Dir, "gal"), Durable: true, More: b.String(),
		Extra: `limits dn.exact="cn=lookup,ou=services,` + slapdtest.Base + `" size.prtotal=unlimited`})
	if err == nil {
		g.closers = append(g.closers, g.directory.Stop)
	}
	return err
}

// ldapmodify has OpenLDAP's own program write the certificates, one after the other over one connection, in so many processes. It
// returns how many that were in a second, from after the first on: until then they start, connect and log in.
func (g *galPart) ldapmodify(ctx context.Context, people []galPerson, processes int) (perSecond float64, err error) {
	var running []*modifier
	defer func() {
		for _, m := range running {
			err = errors.Join(err, m.close())
		}
	}()
	for part := range slices.Chunk(people, (len(people)+processes-1)/processes) {
		m, err := g.startModifier(ctx)
		if err != nil {
			return 0, err
		}
		running = append(running, m)
		if err := m.write(part[:1]); err != nil {
			return 0, err
		}
		m.rest = part[1:]
	}
	begun := time.Now()
	var group errgroup.Group
	for _, m := range running {
		group.Go(func() error { return m.write(m.rest) })
	}
	err = group.Wait()
	return float64(len(people)-len(running)) / time.Since(begun).Seconds(), err
}

// modifier is a running ldapmodify.
type modifier struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Reader
	said  strings.Builder
	rest  []galPerson
}

func (g *galPart) startModifier(ctx context.Context) (*modifier, error) {
	a := g.directory.Publisher
	// stdbuf has it say at once when it is through with an entry.
	m := &modifier{cmd: exec.CommandContext(ctx, "stdbuf", "-oL", "ldapmodify", "-x", "-H", g.directory.TLSURL(), "-D", a.DN, "-y", a.PasswordFile)}
	m.cmd.Env = []string{"LDAPCONF=/dev/null", "LDAPTLS_CACERT=" + g.directory.TrustFile, "PATH=/usr/bin:/bin", "HOME=" + g.Dir}
	m.cmd.Stderr = &m.said
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	m.lines = bufio.NewReader(out)
	if m.in, err = m.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	return m, m.cmd.Start()
}

// write has it write certificates, and waits until it is through: it says an empty line after each entry.
func (m *modifier) write(people []galPerson) error {
	written := make(chan error, 1)
	go func() { written <- writeLDIF(m.in, people) }()
	for n := len(people); n > 0; {
		line, err := m.lines.ReadString('\n')
		if err != nil {
			return errors.Join(err, <-written)
		}
		if line == "\n" {
			n--
		}
	}
	return <-written
}

func (m *modifier) close() error {
	if err := errors.Join(m.in.Close(), m.cmd.Wait()); err != nil {
		return fmt.Errorf("ldapmodify: %w: %s", err, m.said.String())
	}
	return nil
}

func writeLDIF(w io.Writer, people []galPerson) error {
	b := bufio.NewWriterSize(w, 1<<16)
	for _, p := range people {
		fmt.Fprintf(b, "dn: %s\nchangetype: modify\nadd: userCertificate;binary\nuserCertificate;binary:: %s\n\n", slapdtest.PersonDN(login(p.number)), base64.StdEncoding.EncodeToString(p.der))
	}
	return b.Flush()
}
