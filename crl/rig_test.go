package crl_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/crl/fetch"
	"github.com/sealpost/sealpost/crl/list"
	"github.com/sealpost/sealpost/crl/point"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/ftptest"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/pg"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/s3test"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// rig is an authority with a distribution point of each kind, on real servers. What the world sees of them it reads as an
// outsider does: the folder through a web server, the directory and the FTP server anonymously. The store shows its
// content to its owner alone.
type rig struct {
	t        testing.TB
	database pgtest.Database
	pki      *pkitest.PKI
	clock    *clock
	slapd    *slapdtest.Server
	ftp      *ftptest.Server
	store    *s3test.Server
	folder   string // where its web server looks
	web      *httptest.Server
	fetcher  *fetch.Fetcher
	kinds    []string // of points
	schedule crl.Schedule

	more []crl.Point // besides those
}

// clock is the time of all servers.
type clock struct{ offset atomic.Int64 }

func (c *clock) Now() time.Time          { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) Advance(d time.Duration) { c.offset.Add(int64(d)) }

var everywhere = []string{"directory", "folder", "ftp", "store"}

func newRig(t testing.TB, kinds ...string) *rig {
	t.Helper()
	r := &rig{t: t, database: pgtest.NewDatabase(t), clock: &clock{}, kinds: kinds, schedule: schedule, folder: filepath.Join(t.TempDir(), "www"),
		fetcher: fetch.New(fetch.Config{Step: 5 * time.Second, Timeout: 5 * time.Second})}
	r.pki = pkitest.NewAuthorityAt(t, pgtest.Open(t, r.database), r.clock.Now)
	for _, k := range kinds {
		switch k {
		case "directory":
			r.slapd = slapdtest.New(t)
		case "folder":
			must(t, mkdir(r.folder))
			r.web = httptest.NewServer(http.FileServer(http.Dir(r.folder)))
			t.Cleanup(r.web.Close)
		case "ftp":
			r.ftp = ftptest.New(t, ftptest.Config{})
		case "store":
			r.store = s3test.New(t, s3test.Config{})
		}
	}
	return r
}

// point is one of the rig's distribution points, as a server has it.
func (r *rig) point(db *pg.DB, kind string) crl.Point {
	r.t.Helper()
	p := crl.Point{Name: kind}
	var err error
	const step = 3 * time.Second
	switch kind {
	case "directory":
		c := housetest.DirectoryConfig(r.slapd)
		c.DB, c.Timeout = db, step
		d, failed := directory.New(c)
		must(r.t, failed)
		r.t.Cleanup(d.Close)
		p.Place, err = point.NewLDAP(point.LDAPConfig{DN: entry, Directory: d})
		p.Address = func(_ *ca.Issuer, file string) string {
			_, k, ok := crl.ParseFileName(file)
			if !ok {
				return ""
			}
			attribute := map[bool]string{false: "certificateRevocationList", true: "deltaRevocationList"}[k.Delta]
			return r.slapd.StartTLSURL() + "/" + url.PathEscape(entry) + "?" + attribute + ";binary?base?(objectClass=pkiCA)"
		}
	case "folder":
		p.Place, err = point.NewFolder(point.FolderConfig{Path: r.folder})
		p.Address = func(_ *ca.Issuer, file string) string { return r.web.URL + "/" + file }
	case "ftp":
		p.Place, err = point.NewFTP(point.FTPConfig{Server: r.ftp.Address(), Security: "none", Login: ftptest.Login, Password: r.ftp.Password, Timeout: step})
		p.Address = func(_ *ca.Issuer, file string) string { return r.ftp.URL() + "/" + file }
	case "store":
		p.Place, err = point.NewS3(point.S3Config{Endpoint: r.store.URL(), Bucket: s3test.Bucket, AccessKey: r.store.AccessKey, SecretKey: r.store.SecretKey, Timeout: step})
	}
	must(r.t, err)
	return p
}

// site is one server of ours.
type site struct {
	*crl.Publisher
	rig   *rig
	queue *jobs.Queue
	stop  func() // ends its work
}

// site makes a server with a connection pool, points and a queue of its own. change may alter its configuration.
func (r *rig) site(change ...func(*crl.Config)) *site {
	r.t.Helper()
	db := pgtest.Open(r.t, r.database)
	q, err := jobs.New(jobs.Config{DB: db})
	must(r.t, err)
	c := crl.Config{DB: db, Authority: r.pki.Authority, Jobs: q, Now: r.clock.Now, Schedule: r.schedule, Open: r.fetcher.Open, Points: r.more}
	for _, k := range r.kinds {
		c.Points = append(c.Points, r.point(db, k))
	}
	for _, fn := range change {
		fn(&c)
	}
	p, err := crl.New(c)
	must(r.t, err)
	return &site{p, r, q, func() {}}
}

// run starts the server's work, until the test ends.
func (s *site) run() *site {
	s.rig.t.Helper()
	s.Register(s.queue)
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.rig.t.Context()))
	must(s.rig.t, s.queue.Start(ctx))
	s.stop = sync.OnceFunc(func() {
		stop, done := context.WithTimeout(ctx, time.Second)
		defer done()
		_ = s.queue.Stop(stop) // what hangs is cut off
		cancel()
	})
	s.rig.t.Cleanup(s.stop)
	return s
}

func (r *rig) revoke(c ca.Certificate, reason ca.Reason) {
	r.t.Helper()
	must(r.t, r.pki.Revoke(r.t.Context(), pkitest.Actor(), ca.Revocation{Issuer: c.Issuer, Serial: c.Serial, Reason: reason}))
}

// hurry makes jobs that wait for their next attempt due, as after the minute that they wait at most.
func (r *rig) hurry() {
	r.t.Helper()
	if n := r.database.Count(r.t, `select count(*) from river.river_job where kind = 'crl.deliver' and state = 'retryable' and scheduled_at > now() + interval '65 seconds'`); n > 0 {
		r.t.Errorf("%d deliveries wait for longer than a minute", n)
	}
	r.database.Exec(r.t, `update river.river_job set state = 'available', scheduled_at = now() where state in ('retryable', 'scheduled') and kind like 'crl.%'`)
}

// look has every point watched now, as it is every five minutes.
func (r *rig) look(s *site) {
	r.t.Helper()
	args := make([]jobs.Args, 0, len(s.Points))
	for _, p := range s.Points {
		args = append(args, jobs.WatchPoint{Point: p.Name})
	}
	must(r.t, s.DB.InTx(r.t.Context(), "crl", inserts(s.queue, r.t.Context(), args)))
}

// shown reads what an outsider sees at a point.
func (s *site) shown(ctx context.Context, name, file string) ([]byte, error) {
	for _, p := range s.Points {
		if p.Name != name {
			continue
		}
		var in io.ReadCloser
		var err error
		if p.Address != nil {
			in, err = s.Open(ctx, p.Address(nil, file))
		} else {
			in, err = p.Place.Get(ctx, point.File{Name: file, Kind: point.Full})
		}
		if err != nil {
			return nil, err
		}
		defer in.Close()
		return io.ReadAll(in)
	}
	return nil, errors.New("there is no such point")
}

// numbers returns the number of the list at each point; 0: none that can be read.
func (s *site) numbers(points ...string) map[string]int64 {
	out := map[string]int64{}
	for _, name := range points {
		b, err := s.shown(s.rig.t.Context(), name, pkitest.IssuerID+".crl")
		if err != nil {
			out[name] = 0
			continue
		}
		h, err := list.Read(bytes.NewReader(b), nil)
		if err == nil && h.Verify(s.rig.pki.Issuing) == nil {
			out[name] = h.Number.Int64()
		}
	}
	return out
}

// arrive waits until every point shows a list that is the newest and has the certificates.
func (s *site) arrive(what string, within time.Duration, points []string, revoked ...ca.Certificate) time.Duration {
	s.rig.t.Helper()
	return s.rig.eventually(what, within, func() error {
		newest, err := s.Newest(s.rig.t.Context(), pkitest.IssuerID)
		if err != nil {
			return err
		}
		has := reasons(s.rig.t, newest)
		for _, c := range revoked {
			if _, ok := has[c.Serial]; !ok {
				return fmt.Errorf("list %d does not have %v", newest.Number, c.Serial)
			}
		}
		for name, n := range s.numbers(points...) {
			if n != newest.Number {
				return fmt.Errorf("the newest is %d; at the points are %v, also %s", newest.Number, s.numbers(points...), name)
			}
		}
		return nil
	})
}

// eventually tries until it succeeds, and returns how long that took.
func (r *rig) eventually(what string, within time.Duration, try func() error) time.Duration {
	r.t.Helper()
	begin := time.Now()
	for {
		err := try()
		if err == nil {
			return time.Since(begin)
		}
		if time.Since(begin) > within {
			r.t.Fatalf("%s: not within %v: %v", what, within, err)
		}
		time.Sleep(30 * time.Millisecond)
	}
}

// standing returns what status says of the complete list at each point.
func (s *site) standing() map[string]crl.Standing {
	s.rig.t.Helper()
	all, err := s.Status(s.rig.t.Context(), pkitest.Actor())
	must(s.rig.t, err)
	out := map[string]crl.Standing{}
	for _, one := range all.Points {
		if one.File == pkitest.IssuerID+".crl" {
			out[one.Point] = one
		}
	}
	return out
}

// healthy waits until status says that every point shows the newest.
func (s *site) healthy(points ...string) {
	s.rig.t.Helper()
	s.rig.eventually("status is good", 3*time.Minute, func() error {
		newest, err := s.Newest(s.rig.t.Context(), pkitest.IssuerID)
		if err != nil {
			return err
		}
		all := s.standing()
		for _, name := range points {
			if one := all[name]; one.Failure != "" || one.FailedAt != nil || one.Number != newest.Number || one.SeenAt == nil || one.NextUpdate == nil || !one.NextUpdate.Equal(newest.NextUpdate) {
				return fmt.Errorf("the newest is %d: %+v", newest.Number, one)
			}
		}
		return nil
	})
}

// ails waits until status says of each point why it does not show the newest, and returns that.
func (s *site) ails(points ...string) map[string]crl.Standing {
	s.rig.t.Helper()
	var all map[string]crl.Standing
	s.rig.eventually("status tells of the failure", 3*time.Minute, func() error {
		all = s.standing()
		for _, name := range points {
			if one := all[name]; one.Failure == "" || one.FailedAt == nil || strings.Contains(one.Failure, "has no name") {
				return fmt.Errorf("%s: %+v", name, one)
			}
		}
		return nil
	})
	return all
}

// says waits until status tells of a point's failure in certain words. Delivery and watch both write it, in turns.
func (s *site) says(point, words string) crl.Standing {
	s.rig.t.Helper()
	var one crl.Standing
	s.rig.eventually("status says "+words, 3*time.Minute, func() error {
		if one = s.standing()[point]; one.FailedAt == nil || !strings.Contains(one.Failure, words) {
			return fmt.Errorf("%s: %+v", point, one)
		}
		return nil
	})
	return one
}

// observer reads a point all the time, as relying parties do: what it shows must be a list that is whole and signed, and no
// older than what it showed before.
type observer struct {
	cancel context.CancelFunc
	done   chan struct{}
	reads  atomic.Int64
	lapse  atomic.Bool // while true, there may be nothing: nobody serves the point
}

func (s *site) observe(points ...string) map[string]*observer {
	out := map[string]*observer{}
	for _, name := range points {
		ctx, cancel := context.WithCancel(context.WithoutCancel(s.rig.t.Context()))
		o := &observer{cancel: cancel, done: make(chan struct{})}
		out[name] = o
		go o.run(ctx, s, name)
		s.rig.t.Cleanup(o.stop)
	}
	return out
}

func (o *observer) stop() {
	o.cancel()
	<-o.done
}

func (o *observer) run(ctx context.Context, s *site, name string) {
	defer close(o.done)
	newest := int64(0)
	for ctx.Err() == nil {
		lapse := o.lapse.Load()
		b, err := s.shown(ctx, name, pkitest.IssuerID+".crl")
		lapse = lapse || o.lapse.Load()
		switch {
		case ctx.Err() != nil:
			return
		case (errors.Is(err, fetch.ErrAbsent) || errors.Is(err, point.ErrAbsent)) && newest > 0 && !lapse:
			s.rig.t.Errorf("%s: after list %d there is nothing: %v", name, newest, err)
		case err == nil:
			h, err := list.Read(bytes.NewReader(b), nil)
			if err == nil {
				err = h.Verify(s.rig.pki.Issuing)
			}
			if err != nil {
				s.rig.t.Errorf("%s: after list %d a reader finds %d bytes that are no list: %v", name, newest, len(b), err)
				return
			}
			if n := h.Number.Int64(); n < newest {
				s.rig.t.Errorf("%s: list %d after list %d", name, n, newest)
			} else {
				newest = n
			}
			o.reads.Add(1)
		}
		time.Sleep(15 * time.Millisecond)
	}
}

// looked fails the test if an observer saw nothing.
func looked(t testing.TB, all map[string]*observer) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		all[name].stop()
		if n := all[name].reads.Load(); n < 5 {
			t.Errorf("%s was read only %d times", name, n)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// opensslCRL runs openssl crl on a list and returns what it prints.
func opensslCRL(t testing.TB, l *crl.List, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "openssl", append([]string{"crl", "-inform", "DER", "-noout"}, args...)...)
	cmd.Stdin = l.Open()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("openssl: %v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}
