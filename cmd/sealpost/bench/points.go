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
	for _, kind := range []string{"http", "ldap", "folder", "ftp"} {
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
	conf.CRL.Points = []config.Point{{Name: "folder", Folder: &point.FolderConfig{Path: folder}},
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
	}
	for _, address := range p.issuer.CRL() {
		scheme, _, _ := strings.Cut(address, ":")
		p.open[scheme] = at(address)
	}
	return p, nil
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
