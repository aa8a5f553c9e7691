package bench

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/cmd/sealpost/demo"
	"github.com/sealpost/sealpost/cmd/sealpost/server"
	"github.com/sealpost/sealpost/cmd/sealpost/setup"
	"github.com/sealpost/sealpost/internal/keys"
)

// bench is a running measurement.
type bench struct {
	Config
	installation *demo.Installation
	roots        *x509.CertPool
	admin        *pgx.Conn // as the owner of all databases
	rsa          *rsaKeys
	floor, first *target
	second       *target // with the filled database
	estimates    map[string]float64
	others       map[string]demo.Server // with databases of their own, by part
	report       Report
	closers      []func()
}

// Run measures. It leaves logs and configuration in Config.Dir, and no process.
func Run(ctx context.Context, c Config) (*Report, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	b := &bench{Config: c, rsa: &rsaKeys{}, estimates: map[string]float64{}, report: Report{Rounds: c.Rounds, Seconds: c.Seconds, By: c.By, Issuer: c.Issuer}}
	defer func() {
		for i := len(b.closers) - 1; i >= 0; i-- {
			b.closers[i]()
		}
	}()
	for _, step := range []struct {
		name string
		do   func(context.Context) error
		part string // "": all
	}{{"set up", b.setUp, ""}, {"start", b.startServers, "enrolments"}, {"cryptography", b.measureCryptography, "enrolments"}, {"rounds", b.measureRounds, "enrolments"},
		{"stored", b.measureStored, "enrolments"}, {"archive", b.measureArchive, "archive"}, {"lists", b.measureLists, "lists"},
		{"ocsp", b.measureOCSP, "ocsp"}, {"points", b.measurePoints, "points"}, {"gal", b.measureGAL, "gal"}, {"pages", b.measurePages, "pages"},
		{"workstations", b.measureWorkstations, "workstations"}} {
		if step.part != "" && !b.measures(step.part) {
			continue
		}
		if err := step.do(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return &b.report, nil
}

func (b *bench) say(format string, args ...any) { fmt.Fprintf(b.Out, format+"\n", args...) }

// setUp makes an installation with many people.
func (b *bench) setUp(ctx context.Context) (err error) {
	b.say("making an installation with %d people in %s", b.People, b.Dir)
	b.installation, err = demo.Install(ctx, demo.InstallConfig{Dir: b.Dir, People: company(b.People), Algorithm: keys.Algorithm(b.Issuer)})
	if err != nil {
		return err
	}
	b.closers = append(b.closers, b.installation.Close)
	list, err := server.ReadCertificates(filepath.Join(b.Dir, setup.RootCertificate))
	if err != nil {
		return err
	}
	b.others = map[string]demo.Server{}
	for _, part := range []string{"lists", "points", "gal", "pages", "workstations"} { // while nobody uses the first one's database
		if !b.measures(part) {
			continue
		}
		if b.others[part], err = b.installation.Another(ctx, part); err != nil {
			return err
		}
	}
	b.roots = x509.NewCertPool()
	for _, c := range list {
		b.roots.AddCert(c)
	}
	if b.admin, err = b.connect(ctx, b.installation.Cluster.URL("postgres")); err != nil {
		return err
	}
	return b.describe(ctx)
}

// connect opens a database as its owner.
func (b *bench) connect(ctx context.Context, url string) (*pgx.Conn, error) {
	db, err := pgx.Connect(ctx, url)
	if err == nil {
		b.closers = append(b.closers, func() { _ = db.Close(context.WithoutCancel(ctx)) })
	}
	return db, err
}

// startServers starts the floor and the server; the latter several times.
func (b *bench) startServers(ctx context.Context) error {
	half := b.People / 2
	first := b.installation.First()
	var another demo.Server
	if b.Stored > 0 { // while nobody uses the first one's database
		var err error
		if another, err = b.installation.Another(ctx, "stored"); err != nil {
			return err
		}
	}
	b.say("starting the server %d times", b.Starts)
	for n := range b.Starts {
		last := n == b.Starts-1
		t, took, err := b.serve(ctx, first, "server.log", last)
		if err != nil {
			return err
		}
		b.report.StartMS = append(b.report.StartMS, ms(took))
		b.first = t
		if !last {
			t.server.stop()
		}
	}
	b.closers = append(b.closers, b.first.server.stop)
	b.first.people = numbers(0, half)
	if b.Stored > 0 {
		var err error
		if b.second, _, err = b.serve(ctx, another, "stored.log", false); err != nil {
			return err
		}
		b.closers = append(b.closers, b.second.server.stop)
		b.second.people = numbers(half, b.People)
	}
	return b.startFloor(ctx)
}

func numbers(from, to int) []int {
	out := make([]int, 0, to-from)
	for n := from; n < to; n++ {
		out = append(out, n)
	}
	return out
}

// serve starts a server and returns it with the time until it said that it is well.
func (b *bench) serve(ctx context.Context, s demo.Server, log string, profiled bool) (*target, time.Duration, error) {
	args := []string{"serve", "--config", s.Config}
	if profiled && b.Profile != "" {
		args = []string{"bench", "serve", "--config", s.Config, "--cpu-profile", b.Profile}
	}
	begun := time.Now()
	p, err := start(b.Program, args, filepath.Join(b.Dir, log), nil)
	if err != nil {
		return nil, 0, err
	}
	t := &target{url: s.API, path: enrolPath, by: b.By, roots: b.roots, others: newClient(b.roots, 8), server: p, rsa: b.rsa}
	took, err := t.well(ctx, begun, b.patient)
	if err == nil {
		t.db, err = b.connect(ctx, s.DatabaseURL)
	}
	if err != nil {
		p.stop()
		return nil, 0, err
	}
	return t, took, nil
}

// well waits until the server says that it is well.
func (t *target) well(ctx context.Context, begun time.Time, patient time.Duration) (time.Duration, error) {
	for {
		if err := t.server.ended(); err != nil {
			return 0, err
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url+api.Base+"/health", nil)
		if err != nil {
			return 0, err
		}
		resp, err := t.others.Do(r)
		if err == nil {
			_ = resp.Body.Close() // the status is all that is wanted
			if resp.StatusCode == http.StatusOK {
				return time.Since(begun), nil
			}
		}
		if time.Since(begun) > patient {
			return 0, errors.Join(errors.New("the server does not get well"), err)
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func (b *bench) startFloor(ctx context.Context) error {
	if _, err := b.admin.Exec(ctx, "create database floor"); err != nil {
		return err
	}
	in, out := io.Pipe()
	p, err := start(b.Program, []string{"bench", "floor", "--database", b.installation.Cluster.URL("floor"), "--issuer", b.Issuer}, filepath.Join(b.Dir, "floor.log"), out)
	if err != nil {
		return err
	}
	b.closers = append(b.closers, p.stop)
	stop := context.AfterFunc(ctx, func() { _ = out.CloseWithError(ctx.Err()) })
	defer stop()
	go func() { <-p.done; _ = out.CloseWithError(io.ErrUnexpectedEOF) }()
	line, err := bufio.NewReader(in).ReadBytes('\n')
	if err != nil {
		return errors.Join(err, p.ended())
	}
	var said floorAddress
	if err := json.Unmarshal(line, &said); err != nil {
		return err
	}
	cert, err := x509.ParseCertificate(said.Certificate)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	b.floor = &target{url: said.URL, path: floorPath, roots: roots, server: p}
	return nil
}

// describe notes where this is.
func (b *bench) describe(ctx context.Context) error {
	m := &b.report.Machine
	m.CPUs, m.Go, m.CPU = runtime.NumCPU(), runtime.Version(), runtime.GOARCH
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, ok := strings.Cut(string(text), "model name"); ok {
			name, _, _ := strings.Cut(rest, "\n")
			m.CPU = strings.TrimLeft(name, "\t :")
		}
	}
	return b.admin.QueryRow(ctx, `select current_setting('server_version'), current_setting('fsync'), current_setting('synchronous_commit')`).
		Scan(&m.Postgres, &m.Fsync, &m.SyncAfter)
}

// measureCryptography times the cryptography of one pair for each kind of key.
func (b *bench) measureCryptography(context.Context) error {
	for _, key := range b.Keys {
		b.say("timing the cryptography of one pair, %s", key)
		parts, err := b.cryptography(key)
		if err != nil {
			return err
		}
		c := Cryptography{Key: key}
		for _, p := range parts {
			took, err := timePart(p, b.partTime())
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			c.Parts = append(c.Parts, Part{p.name, p.times, float64(took.Nanoseconds()) / 1e6})
			c.MS += float64(took.Nanoseconds()) / 1e6 * float64(p.times)
		}
		b.report.Cryptography = append(b.report.Cryptography, c)
	}
	return nil
}
