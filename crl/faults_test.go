package crl_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/crl/point"
	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/pkitest"
)

func mkdir(path string) error { return os.Mkdir(path, 0o755) }

func inserts(q *jobs.Queue, ctx context.Context, args []jobs.Args) func(pgx.Tx) error {
	return func(tx pgx.Tx) error { return q.Insert(ctx, tx, args...) }
}

// Every point is away for an hour, in which a list becomes due and a certificate is revoked. Status says so all the time, the
// next server's own point has the list, and when the points are back they get the newest, and nothing before it.
func TestPointsAwayForAnHour(t *testing.T) {
	t.Parallel()
	r := newRig(t, everywhere...)
	r.more = []crl.Point{folderPoint(t, "spare", t.TempDir())}
	s := r.site().run()
	alice, bob := r.pki.IssuePair(t, pkitest.NewPerson("alice")), r.pki.IssuePair(t, pkitest.NewPerson("bob"))
	r.revoke(alice.Signing, ca.KeyCompromise)
	s.arrive("the first lists", 30*time.Second, everywhere, alice.Signing)
	s.healthy(everywhere...)
	first := s.standing()
	watching := s.observe(everywhere...)

	away := r.folder + ".away"
	watching["folder"].lapse.Store(true) // its web server has nothing
	must(t, os.Rename(r.folder, away))
	r.ftp.Stop()
	r.store.Kill()
	r.slapd.Kill()
	r.revoke(bob.Signing, ca.KeyCompromise)
	s.arrive("at the point that is left", 10*time.Second, []string{"spare"}, bob.Signing)
	before := s.ails(everywhere...)
	for range 4 { // an hour passes
		r.clock.Advance(15 * time.Minute)
		_, err := s.Build(t.Context(), pkitest.IssuerID, 0)
		must(t, err)
		r.hurry()
		time.Sleep(500 * time.Millisecond)
	}
	s.arrive("what was due, at the point that is left", 20*time.Second, []string{"spare"}, bob.Signing)
	during := s.ails(everywhere...)
	for _, name := range everywhere {
		if d := during[name]; d.Number != first[name].Number || !d.SeenAt.Equal(*first[name].SeenAt) || !d.FailedAt.Equal(*before[name].FailedAt) || !d.NextUpdate.Equal(*first[name].NextUpdate) {
			t.Errorf("%s: status forgets what it knew: %+v, before %+v, %+v", name, d, before[name], first[name])
		}
		t.Logf("%s: %s", name, during[name].Failure)
	}

	must(t, os.Rename(away, r.folder))
	watching["folder"].lapse.Store(false)
	must(t, r.ftp.Restart(t.Context()))
	r.store.Restart(t)
	must(t, r.slapd.Restart(t.Context()))
	r.hurry()
	s.arrive("after an hour", 30*time.Second, everywhere, alice.Signing, bob.Signing)
	s.healthy(everywhere...)
	looked(t, watching)
	r.eventually("no delivery is left", 30*time.Second, func() error {
		r.hurry()
		if n := r.database.Count(t, `select count(*) from river.river_job where kind = 'crl.deliver' and state not in ('completed', 'cancelled')`); n > 0 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
}

// Points that take a connection and say nothing, more of them than there are connections to the database, hold up nobody.
func TestPointsThatHangDelayNoOther(t *testing.T) {
	t.Parallel()
	r := newRig(t, everywhere...)
	healthy := []string{"spare"}
	r.more = []crl.Point{folderPoint(t, "spare", t.TempDir())}
	for n := range 10 {
		place, err := point.NewFTP(point.FTPConfig{Server: silent(t), Security: "none", Login: "x", Password: "x", Timeout: time.Hour})
		must(t, err)
		r.more = append(r.more, crl.Point{Name: fmt.Sprintf("silent-%d", n), Place: place})
	}
	s := r.site().run()
	alice, bob, carol := r.pki.IssuePair(t, pkitest.NewPerson("alice")), r.pki.IssuePair(t, pkitest.NewPerson("bob")), r.pki.IssuePair(t, pkitest.NewPerson("carol"))
	r.revoke(alice.Signing, ca.KeyCompromise)
	all := append([]string{"spare"}, everywhere...)
	s.arrive("with points that are silent", 30*time.Second, all, alice.Signing)
	s.healthy(all...)
	watching := s.observe(all...)
	r.ftp.Freeze()
	r.store.Freeze()
	r.revoke(bob.Signing, ca.KeyCompromise)
	healthy = append(healthy, "folder", "directory")
	took := s.arrive("while two hang", 10*time.Second, healthy, bob.Signing)
	t.Logf("the other points had it after %v", took)
	s.healthy(healthy...)
	s.ails("ftp", "store")
	r.revoke(carol.Signing, ca.KeyCompromise)
	took = s.arrive("a second time while two hang", 10*time.Second, healthy, carol.Signing)
	t.Logf("and the next after %v", took)
	r.ftp.Thaw()
	r.store.Thaw()
	r.eventually("when they are back", 40*time.Second, func() error {
		r.hurry()
		newest, err := s.Newest(t.Context(), pkitest.IssuerID)
		must(t, err)
		for name, n := range s.numbers(all...) {
			if n != newest.Number {
				return fmt.Errorf("%s shows %d, not %d", name, n, newest.Number)
			}
		}
		return nil
	})
	s.healthy(all...)
	looked(t, watching)
}

func folderPoint(t testing.TB, name, path string) crl.Point {
	t.Helper()
	place, err := point.NewFolder(point.FolderConfig{Path: path})
	must(t, err)
	return crl.Point{Name: name, Place: place}
}

// silent accepts connections and says nothing.
func silent(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = c.Close() })
		}
	}()
	return l.Addr().String()
}
