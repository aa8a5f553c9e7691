package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/internal/child"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/pgtest"
)

// PostgreSQL and slapd are killed while people enrol, and started again. Every answer is a certificate pair or a problem
// document that says what is away; the server recovers without being touched; what was cut off is finished by
// repeating it, and nothing is half done.
func TestServersKilledWhileEnrolling(t *testing.T) {
	t.Parallel()
	i, cluster := newInstallationAlone(t)
	r := i.serve(t)
	var all []submission
	for _, outage := range []struct {
		what       string
		says       []string // codes of problem documents
		kill, back func()
	}{
		{"PostgreSQL stops at once", []string{"database-unavailable"}, func() { cluster.kill(syscall.SIGQUIT) }, cluster.start},
		{"PostgreSQL is killed", []string{"database-unavailable"}, func() { cluster.kill(syscall.SIGKILL) }, cluster.start},
		{"slapd is killed", []string{"directory-unavailable"}, i.slapd.Kill, func() { must(t, i.slapd.Restart(t.Context())) }},
	} {
		e := r.enrolMany(t, outage.says...)
		e.await(t, "pairs before", func() bool { return e.good > 2 })
		outage.kill()
		e.await(t, "refusals", func() bool { return e.refused > 2 })
		e2etest.Eventually(t, func() error { // it is asked anew every few seconds
			if h, err := e.watch.Health(t.Context()); err != nil || h.OK {
				return fmt.Errorf("%s: health says %+v, %w", outage.what, h, err)
			}
			return nil
		})
		i.fetch(t, "/crl/issuing.crl") // outsiders are served all the same
		outage.back()
		e.await(t, "pairs after", func() bool { return e.good > 2 })
		all = append(all, e.end()...)
		r.awaitHealth(t)
		i.keepsRules(t, outage.what)
	}
	for _, s := range all {
		if status, err := r.submit(t, s); err != nil || status.State != api.StateIssued || len(status.Certificates) != 2 {
			t.Errorf("%s repeats %s: %+v, %v", s.login, s.name, status, err)
		}
	}
	r.awaitSettled(t)
	i.keepsRules(t, "at the end")
	r.seenOutside(t)
	r.stop(t)
	i.run(t, "audit verify")
}

// ownCluster is a PostgreSQL that one test may kill. Unlike the shared one it is durable: what it has committed it still
// knows afterwards.
type ownCluster struct {
	t      *testing.T
	config pgtest.ClusterConfig
	now    *pgtest.Cluster
}

// newInstallationAlone returns an installation on a PostgreSQL of its own.
func newInstallationAlone(t *testing.T) (*installation, *ownCluster) {
	t.Helper()
	firstHour(t)
	dir, err := child.TempDir("sp-pg-")
	must(t, err)
	c := &ownCluster{t: t, config: pgtest.ClusterConfig{Data: filepath.Join(dir, "data"), Sockets: filepath.Join(dir, "s"), Durable: true}}
	t.Cleanup(func() {
		if c.now != nil {
			c.now.Stop()
		}
		must(t, os.RemoveAll(dir))
	})
	c.start()
	db := pgtest.Database{Cluster: c.now, Name: "sealpost"}
	pgtest.Database{Cluster: c.now, Name: "postgres"}.Exec(t, "create database sealpost")
	i := newInstallationOn(t, db)
	i.run(t, "migrate")
	i.run(t, "roster add", i.path("roster.bin"))
	return i, c
}

// start starts it, also after a crash: processes of a server that was killed take a moment to end, and it refuses until then.
func (c *ownCluster) start() {
	c.t.Helper()
	e2etest.Eventually(c.t, func() (err error) {
		c.now, err = pgtest.StartCluster(context.WithoutCancel(c.t.Context()), c.config)
		return err
	})
}

func (c *ownCluster) kill(sig syscall.Signal) {
	c.now.Kill(sig)
	c.now = nil
}

// enrolling is people who enrol one after the other, until told to end.
type enrolling struct {
	watch *client.Client
	stop  context.CancelFunc
	wg    sync.WaitGroup

	mu            sync.Mutex
	good, refused int // since the last await
	all           []submission
}

// enrolMany has four people enrol again and again. What they hear is a pair or one of the faults, as a problem document.
func (r *running) enrolMany(t *testing.T, faults ...string) *enrolling {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	e := &enrolling{stop: stop, watch: r.client(t, client.Config{})}
	t.Cleanup(func() { e.end() })
	for _, login := range []string{"alice", "bob", "carol", "rita"} {
		c := r.as(t, login)
		e.wg.Go(func() {
			defer c.Close()
			for ctx.Err() == nil {
				e.heard(t, r.enrolOnce(t, c, login, e), faults)
				time.Sleep(100 * time.Millisecond)
			}
		})
	}
	return e
}

// enrolOnce asks for the policy and a pair. The request is kept, for a repetition.
func (r *running) enrolOnce(t *testing.T, c *client.Client, login string, e *enrolling) error {
	ctx := context.WithoutCancel(t.Context())
	p, err := c.Policy(ctx)
	if err != nil {
		return err
	}
	k := newKeys(t)
	s := newSubmission(login, k, request(t, p, "smime", k))
	e.mu.Lock()
	e.all = append(e.all, s)
	e.mu.Unlock()
	status, err := c.Enrol(ctx, s.name, s.request)
	if err == nil && (status.State != api.StateIssued || len(status.Certificates) != 2) {
		t.Errorf("%s: %+v", login, status)
	}
	return err
}

// heard judges an answer.
func (e *enrolling) heard(t *testing.T, err error, faults []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err == nil {
		e.good++
		return
	}
	e.refused++
	var refusal *client.Refusal
	if !errors.As(err, &refusal) || refusal.Status != http.StatusServiceUnavailable || refusal.Instance == "" || refusal.RetryAfter == 0 {
		t.Errorf("this is no answer of a server that waits for another: %v: %#v", err, refusal)
	}
	for _, f := range faults {
		if codeOf(err) == f {
			return
		}
	}
	t.Errorf("the fault is %v, want one of %v", err, faults)
}

// await waits for something to be heard often enough from now on.
func (e *enrolling) await(t *testing.T, what string, enough func() bool) {
	t.Helper()
	e.mu.Lock()
	e.good, e.refused = 0, 0
	e.mu.Unlock()
	e2etest.Eventually(t, func() error {
		e.mu.Lock()
		defer e.mu.Unlock()
		if enough() {
			return nil
		}
		return fmt.Errorf("not enough %s: %d pairs, %d refusals", what, e.good, e.refused)
	})
}

// end lets everybody finish, and returns what they sent.
func (e *enrolling) end() []submission {
	e.stop()
	e.wg.Wait()
	e.watch.Close()
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.all
}
