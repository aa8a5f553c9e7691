package bench

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/cmd/sealpost/config"
	"github.com/sealpost/sealpost/cmd/sealpost/server"
	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/crl/fetch"
	"github.com/sealpost/sealpost/crl/list"
	"github.com/sealpost/sealpost/crl/point"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/ftptest"
	"github.com/sealpost/sealpost/internal/s3test"
)

// points measures how long after a revocation the list that has it can be read at each kind of distribution point.
type points struct {
	*bench
	server *server.Server
	issuer *ca.Issuer
	open   map[string]func(context.Context) (io.ReadCloser, error) // by kind, as an outsider reads
}

// delayRounds is how many revocations are followed, in every round.
const delayRounds = 4

func (b *bench) measurePoints(ctx context.Context) error {
	p, err := b.openPoints(ctx)
	if err != nil {
		return err
	}
	defer p.server.Close()
	l, err := p.server.Listen()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var running errgroup.Group
	running.Go(func() error { return p.server.Run(ctx, l) })
	took := map[string][]float64{}
	for range delayRounds * b.Rounds {
		if err = p.follow(ctx, took); err != nil {
			break
		}
	}
	cancel()
	if err := errors.Join(err, running.Wait()); err != nil {
		return err
	}
	for _, kind := range []string{"http", "ldap", "folder", "ftp", "s3"} {
		b.report.Delays = append(b.report.Delays, Delay{Kind: kind, Revocations: len(took[kind]), MS: spread(took[kind])})
		b.say("a revocation can be read by %s after %.0f ms", kind, median(took[kind]))
	}
	return nil
}

// Delay is how long after a revocation for a compromised key the list that has it can be read at a kind of point.
type Delay struct {
	Kind        string `json:"kind"`
	Revocations int    `json:"revocations"`
	MS          Spread `json:"ms"`
}

func printDelays(out io.Writer, all []Delay) {
	fmt.Fprintln(out, "\nfrom revocation to readable\tms: least\tmedian\trevocations\t")
	for _, d := range all {
		fmt.Fprintf(out, "%s\t%.0f\t%.0f\t%d\t\n", d.Kind, d.MS.Min, d.MS.Median, d.Revocations)
	}
}

func (b *bench) openPoints(ctx context.Context) (*points, error) {
	conf, err := config.Load(b.others["points"].Config)
	if err != nil {
		return nil, err
	}
	conf.PublicURL = "http://" + conf.Listen.Public // of its own: lists are asked for there
	folder := filepath.Join(b.Dir, "folder")
	if err := os.Mkdir(folder, 0o755); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(b.Dir, "vsftpd.log"))
	if err != nil {
		return nil, err
	}
	b.closers = append(b.closers, func() { _ = log.Close() })
	ftp, err := ftptest.Start(ctx, ftptest.Config{Dir: filepath.Join(b.Dir, "ftp"), Security: ftptest.Explicit, Log: log})
	if err != nil {
		return nil, err
	}
	b.closers = append(b.closers, ftp.Stop)
	store, objects, err := b.openStore(ctx)
	if err != nil {
		return nil, err
	}
	conf.CRL.Points = []config.Point{{Name: "s3", S3: store}, {Name: "folder", Folder: &point.FolderConfig{Path: folder}},
		{Name: "ftp", URL: ftp.URL(), FTP: &point.FTPConfig{Server: ftp.Address(), TrustFile: ftp.TrustFile, Login: ftptest.Login, PasswordFile: ftp.PasswordFile}}}
	if err := conf.Validate(); err != nil {
		return nil, err
	}
	p := &points{bench: b}
	if p.server, err = server.Open(ctx, conf, slog.New(slog.DiscardHandler), server.Hooks{}); err != nil {
		return nil, err
	}
	p.issuer = p.server.Authority.Issuers()[0]
	file := crl.Kind{}.FileName(p.issuer.ID())
	outsider := fetch.New(fetch.Config{})
	at := func(address string) func(context.Context) (io.ReadCloser, error) {
		return func(ctx context.Context) (io.ReadCloser, error) { return outsider.Open(ctx, address) }
	}
	p.open = map[string]func(context.Context) (io.ReadCloser, error){
		"folder": func(context.Context) (io.ReadCloser, error) { return os.Open(filepath.Join(folder, file)) },
		"ftp":    at(ftp.URL() + "/" + url.PathEscape(file)),
		"s3": func(ctx context.Context) (io.ReadCloser, error) {
			return objects.Get(ctx, point.File{Name: file, Kind: point.Full})
		},
	}
	for _, address := range p.issuer.CRL() {
		scheme, _, _ := strings.Cut(address, ":")
		p.open[scheme] = at(address)
	}
	return p, nil
}

// openStore starts an S3-compatible store, and returns it as it is configured and as it is read.
func (b *bench) openStore(ctx context.Context) (*point.S3Config, *point.S3, error) {
	dir := filepath.Join(b.Dir, "s3")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, nil, err
	}
	b.say("the store for S3 is built if it is not there yet")
	s, err := s3test.Start(ctx, dir, s3test.Config{})
	if err != nil {
		return nil, nil, err
	}
	b.closers = append(b.closers, s.Stop)
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte(s.SecretKey+"\n"), 0o600); err != nil {
		return nil, nil, err
	}
	conf := point.S3Config{Endpoint: s.URL(), Region: s3test.Region, Bucket: s3test.Bucket, AccessKey: s.AccessKey, SecretKeyFile: secret}
	open := conf
	open.SecretKey = s.SecretKey
	objects, err := point.NewS3(open)
	return &conf, objects, err
}

// follow revokes a certificate and waits until every point shows it.
func (p *points) follow(ctx context.Context, took map[string][]float64) error {
	serial, err := p.issue(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, p.patient)
	defer cancel()
	begun := time.Now()
	if err := p.server.Authority.Revoke(ctx, audit.System("bench"), ca.Revocation{Issuer: p.issuer.ID(), Serial: serial, Reason: ca.KeyCompromise}); err != nil {
		return err
	}
	var g errgroup.Group
	var mu sync.Mutex
	for kind, open := range p.open {
		g.Go(func() error {
			for !shows(ctx, open, serial) {
				select {
				case <-ctx.Done():
					return fmt.Errorf("%s does not show the revocation: %w", kind, ctx.Err())
				case <-time.After(2 * time.Millisecond):
				}
			}
			mu.Lock()
			defer mu.Unlock()
			took[kind] = append(took[kind], ms(time.Since(begun)))
			return nil
		})
	}
	return g.Wait()
}

// shows reports whether the list that can be read now has the serial.
func shows(ctx context.Context, open func(context.Context) (io.ReadCloser, error), serial ca.Serial) bool {
	r, err := open(ctx)
	if err != nil {
		return false
	}
	defer r.Close()
	there := false
	_, err = list.Read(r, func(e list.Entry) error {
		there = there || string(e.Serial) == string(serial)
		return nil
	})
	return err == nil && there
}

// issue issues a certificate to be revoked: an OCSP responder's, which belongs to nobody.
func (p *points) issue(ctx context.Context) (ca.Serial, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return "", err
	}
	prepared, err := p.server.Authority.Prepare(ctx, audit.System("bench"), ca.Request{ID: uuid.New(), Profile: ca.OCSPSigning, PublicKey: spki,
		Subject: ca.Subject{CommonName: "To be revoked"}})
	if err != nil {
		return "", err
	}
	issued, err := p.server.Authority.Sign(ctx, audit.System("bench"), prepared)
	if err != nil {
		return "", err
	}
	return issued[0].Serial, nil
}
