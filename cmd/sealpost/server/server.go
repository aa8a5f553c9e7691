// Package server puts the rooms together as the configuration says, and runs them: listeners, jobs, the audit log's
// sequencer. It is wiring; every decision is the rooms' own.
//
// There are two stages. Base is what the tools on the command line need: database, authority, directory, log. Server is
// everything, and needs an archive where a profile asks for one.
package server

import (
	"cmp"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/cmd/sealpost/config"
	"github.com/sealpost/sealpost/cmd/sealpost/setup"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/keys"
	"github.com/sealpost/sealpost/internal/pg"
)

// Base is the rooms that stand on their own.
type Base struct {
	Config    *config.Config
	Log       *slog.Logger
	DB        *pg.DB
	Jobs      *jobs.Queue
	Audit     *audit.Log
	Directory *directory.Directory
	Authority *ca.Authority
	Unlock    keys.Unlock

	further []*directory.Directory // gal.targets
	now     func() time.Time
}

// Hooks let tests into a server. The zero value changes nothing.
type Hooks struct {
	AfterStep func(string)     // enroll.Config.After
	Now       func() time.Time // the time for every room; nil means time.Now
}

// OpenBase opens the rooms that stand on their own. The configuration must be valid.
func OpenBase(ctx context.Context, c *config.Config, log *slog.Logger, hooks Hooks) (_ *Base, err error) {
	b := &Base{Config: c, Log: log, now: hooks.Now}
	if b.now == nil {
		b.now = time.Now
	}
	defer func() {
		if err != nil {
			b.Close()
		}
	}()
	if b.Unlock, err = c.Passphrase(); err != nil {
		return nil, err
	}
	if b.DB, err = OpenDatabase(ctx, c, log); err != nil {
		return nil, err
	}
	if b.Jobs, err = jobs.New(jobs.Config{DB: b.DB, Log: quiet(log)}); err != nil {
		return nil, err
	}
	if err := b.openAudit(ctx); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	if err := b.openDirectory(ctx); err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	if err := b.openAuthority(ctx); err != nil {
		return nil, err
	}
	return b, nil
}

// OpenDatabase opens the database alone. The caller closes it.
func OpenDatabase(ctx context.Context, c *config.Config, log *slog.Logger) (*pg.DB, error) {
	url, err := c.DatabaseURL()
	if err != nil {
		return nil, err
	}
	return pg.Open(ctx, pg.Config{URL: url, MaxConns: c.Database.MaxConns, RolePrefix: c.Database.RolePrefix, Log: log})
}

// quiet leaves out what the queue says of its own running.
func quiet(log *slog.Logger) *slog.Logger {
	return slog.New(warnings{log.Handler()})
}

type warnings struct{ slog.Handler }

func (w warnings) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && w.Handler.Enabled(ctx, l)
}

// Close gives everything back.
func (b *Base) Close() {
	if b.Directory != nil {
		b.Directory.Close()
	}
	for _, d := range b.further {
		d.Close()
	}
	if b.DB != nil {
		b.DB.Close()
	}
	clear(b.Unlock)
}

func (b *Base) openAudit(ctx context.Context) error {
	c := b.Config.Audit
	signer, err := keys.Open(ctx, b.Config.KeyURI(c.Key), b.Unlock)
	if err != nil {
		return err
	}
	var sinks []audit.Sink
	for _, f := range c.Files {
		sinks = append(sinks, audit.FileSink{Path: b.Config.Path(f)})
	}
	for _, s := range c.Syslog {
		network, address, _ := strings.Cut(s, "://")
		sinks = append(sinks, audit.SyslogSink{Network: network, Address: address})
	}
	for _, a := range c.Addresses {
		sinks = append(sinks, audit.HTTPSink{URL: a})
	}
	b.Audit, err = audit.New(audit.Config{DB: b.DB, Name: c.Origin, Signer: signer, Sinks: sinks, Interval: time.Duration(c.Interval), Now: b.now, Log: b.Log})
	return err
}

func (b *Base) openDirectory(ctx context.Context) (err error) {
	b.Directory, err = b.directory(ctx, b.Config.Directory)
	return err
}

// directory opens a directory with what lies in other files.
func (b *Base) directory(ctx context.Context, c directory.Config) (*directory.Directory, error) {
	var err error
	if c.LookupPassword, c.LookupProof, err = b.proof(ctx, c.Lookup); err != nil {
		return nil, fmt.Errorf("lookup: %w", err)
	}
	if c.PublisherPassword, c.PublisherProof, err = b.proof(ctx, c.Publisher); err != nil {
		return nil, fmt.Errorf("publisher: %w", err)
	}
	if c.TrustFile != "" {
		certificates, err := ReadCertificates(b.Config.Path(c.TrustFile))
		if err != nil {
			return nil, err
		}
		c.Trust = x509.NewCertPool()
		for _, cert := range certificates {
			c.Trust.AddCert(cert)
		}
	}
	c.DB, c.Now, c.Log = b.DB, b.now, b.Log
	return directory.New(c)
}

// trusted reads certificates to trust; nil where no file is named.
func (b *Base) trusted(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	certificates, err := ReadCertificates(b.Config.Path(file))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, cert := range certificates {
		pool.AddCert(cert)
	}
	return pool, nil
}

// proof reads what an account of a directory shows who it is with.
func (b *Base) proof(ctx context.Context, a directory.Account) (password string, p directory.Proof, err error) {
	switch {
	case a.PasswordFile != "":
		password, err = b.Config.Secret(a.PasswordFile)
	case a.Certificate != "":
		p.Certificate, err = b.clientCertificate(ctx, a)
	case a.Keytab != "":
		if p.Keytab, err = keys.ReadKeytab(b.Config.Path(a.Keytab)); err != nil {
			return "", p, err
		}
		var conf []byte
		conf, err = os.ReadFile(b.Config.Path(cmp.Or(a.KRB5Conf, "/etc/krb5.conf")))
		p.KRB5Conf = string(conf)
	}
	return password, p, err
}

// clientCertificate reads the TLS certificate of an account, and opens its key.
func (b *Base) clientCertificate(ctx context.Context, a directory.Account) (*tls.Certificate, error) {
	chain, err := ReadCertificates(b.Config.Path(a.Certificate))
	if err != nil {
		return nil, err
	}
	signer, err := keys.Open(ctx, b.Config.KeyURI(a.Key), b.Unlock)
	if err != nil {
		return nil, err
	}
	if public, ok := chain[0].PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(signer.Public()) {
		return nil, fmt.Errorf("%s: is not of the key %s", a.Certificate, a.Key)
	}
	out := &tls.Certificate{PrivateKey: signer, Leaf: chain[0]}
	for _, c := range chain {
		out.Certificate = append(out.Certificate, c.Raw)
	}
	return out, nil
}

func (b *Base) openAuthority(ctx context.Context) error {
	c := ca.Config{DB: b.DB, Jobs: b.Jobs, Arc: b.Config.PolicyArc, Organisation: b.Config.Organisation, Names: b.Config.Names, Debounce: time.Duration(b.Config.CRL.Debounce), Now: b.now, Log: b.Log,
		Profiles: b.Config.AllProfiles()}
	for n, i := range b.Config.Issuers {
		issuer, err := b.issuer(ctx, i)
		if err != nil {
			return fmt.Errorf("issuers[%d]: %w", n, err)
		}
		c.Issuers = append(c.Issuers, issuer)
	}
	var err error
	b.Authority, err = ca.New(ctx, c)
	return err
}

func (b *Base) issuer(ctx context.Context, i config.Issuer) (ca.IssuerConfig, error) {
	chain, err := ReadCertificates(b.Config.Path(i.Certificate))
	if err != nil {
		return ca.IssuerConfig{}, err
	}
	signer, err := keys.Open(ctx, b.Config.KeyURI(i.Key), b.Unlock)
	if err != nil {
		return ca.IssuerConfig{}, err
	}
	return ca.IssuerConfig{ID: i.ID, CRL: b.Config.CRLURLs(i), Partitions: i.Partitions, PartitionCRL: b.Config.PartitionURL(i),
		OCSP: b.Config.OCSPURL(i.ID), CAIssuers: b.Config.CAURL(i.ID), Chain: chain, Signer: signer}, nil
}

// ReadCertificates reads certificates (PEM) from a file.
func ReadCertificates(path string) ([]*x509.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	out, err := setup.ParseCertificates(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return out, nil
}

// OpenArchive opens the archive, or returns nil when the configuration has none. The roster is not read yet.
func (b *Base) OpenArchive(ctx context.Context) (*archive.Archive, error) {
	c := b.Config.Archive
	if len(c.RosterPins) == 0 {
		return nil, nil
	}
	out := archive.Config{DB: b.DB, DrillEvery: time.Duration(c.DrillEvery), Now: b.now, Log: b.Log}
	for i, p := range c.RosterPins {
		pin, err := record.ParseHash(p)
		if err != nil {
			return nil, fmt.Errorf("archive.roster_pins[%d]: %w", i, err)
		}
		out.Pins = append(out.Pins, pin)
	}
	for i, f := range c.WrappingKeys {
		key, err := setup.OpenServersWrappingKey(b.Config.Path(f), b.Unlock)
		if err != nil {
			return nil, fmt.Errorf("archive.wrapping_keys[%d]: %w", i, err)
		}
		out.Wrapping = append(out.Wrapping, key)
	}
	var err error
	if out.Receipts, err = keys.Open(ctx, b.Config.KeyURI(c.ReceiptKey), b.Unlock); err != nil {
		return nil, fmt.Errorf("archive.receipt_key: %w", err)
	}
	return archive.New(out)
}

// Logger returns a logger of the configured level that writes JSON to standard error.
func Logger(c *config.Config) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Log.Level)); err != nil { // Validate has refused it
		level = slog.LevelInfo
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}
