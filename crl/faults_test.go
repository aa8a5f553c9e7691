package crl_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/crl/point"
	"github.com/sealpost/sealpost/internal/ftptest"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/nettest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/s3test"
	"github.com/sealpost/sealpost/internal/slapdtest"
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
		place, err := point.NewFTP(point.FTPConfig{Server: nettest.Silent(t), Security: "none", Login: "x", Password: "x", Timeout: time.Hour})
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

// What an operator must mend is named in the status, the old list stays whole, and when it is mended the newest arrives.
func TestPointsThatRefuse(t *testing.T) {
	t.Parallel()
	r := newRig(t, everywhere...)
	s := r.site().run()
	alice, bob := r.pki.IssuePair(t, pkitest.NewPerson("alice")), r.pki.IssuePair(t, pkitest.NewPerson("bob"))
	r.revoke(alice.Signing, ca.KeyCompromise)
	s.arrive("the first lists", 30*time.Second, everywhere, alice.Signing)
	s.healthy(everywhere...)
	watching := s.observe(everywhere...)

	passwords, conf := filepath.Join(filepath.Dir(r.ftp.PasswordFile), "passwords"), filepath.Join(filepath.Dir(r.slapd.TrustFile), "..", "slapd.conf")
	right := swap(t, passwords, func(string) string { return "another\n" })
	open := swap(t, conf, func(s string) string {
		return strings.ReplaceAll(s, `by dn.exact="`+r.slapd.Publisher.DN+`" write`, `by dn.exact="`+r.slapd.Publisher.DN+`" read`)
	})
	secret := r.store.SecretKey
	r.store.SecretKey = "another-secret"
	restart := func() {
		t.Helper()
		r.store.Kill()
		r.store.Restart(t)
		r.slapd.Stop()
		must(t, r.slapd.Restart(t.Context()))
	}
	restart()
	old := filepath.Join(r.folder, pkitest.IssuerID+".crl")
	closed := shut(t, r.folder)
	first, err := os.ReadFile(old)
	must(t, err)

	r.revoke(bob.Signing, ca.KeyCompromise)
	for name, want := range map[string]string{"ftp": "does not accept the login", "store": "does not let the access key", "directory": "", "folder": "may not read and write"} {
		s.ails(name)
		if one := s.says(name, want); one.Number != 1 && one.Number != 2 {
			t.Errorf("%s: %+v", name, one)
		}
		t.Logf("%s: %s", name, s.standing()[name].Failure)
	}
	if now, err := os.ReadFile(old); err != nil || !bytes.Equal(first, now) {
		t.Errorf("the old list was touched: %v", err)
	}

	closed()
	must(t, os.WriteFile(passwords, right, 0o600))
	must(t, os.WriteFile(conf, open, 0o600))
	r.store.SecretKey = secret
	restart()
	r.hurry()
	s.arrive("when all is mended", 30*time.Second, everywhere, alice.Signing, bob.Signing)
	s.healthy(everywhere...)
	looked(t, watching)
}

// shut keeps everybody from writing in a folder, also root where the file system knows how. It returns what ends that.
func shut(t testing.TB, dir string) (open func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		must(t, os.Chmod(dir, 0o555))
		return func() { must(t, os.Chmod(dir, 0o755)) }
	}
	if out, err := exec.Command("chattr", "+i", dir).CombinedOutput(); err != nil {
		t.Fatalf("chattr: %v: %s; run the tests as another user than root, or where the file system knows chattr", err, out)
	}
	end := sync.OnceFunc(func() { _ = exec.Command("chattr", "-i", dir).Run() })
	t.Cleanup(end)
	return end
}

// swap changes a file and returns what it was.
func swap(t testing.TB, path string, change func(string) string) []byte {
	t.Helper()
	was, err := os.ReadFile(path)
	must(t, err)
	now := change(string(was))
	if now == string(was) {
		t.Fatalf("%s was not changed", path)
	}
	must(t, os.WriteFile(path, []byte(now), 0o600))
	return was
}

// An entry of a class that cannot hold lists keeps the directory's list away, and nothing else.
func TestEntryOfAnotherClass(t *testing.T) {
	t.Parallel()
	r := newRig(t, "directory", "folder")
	r.slapd.Modify(t, "dn: "+entry+"\nobjectClass: referral\nobjectClass: extensibleObject\ncn: Test Issuing\nref: ldap://ldap.example.test/"+slapdtest.PKI+"\n")
	s := r.site().run()
	alice := r.pki.IssuePair(t, pkitest.NewPerson("alice"))
	r.revoke(alice.Signing, ca.KeyCompromise)
	s.arrive("beside it", 30*time.Second, []string{"folder"}, alice.Signing)
	t.Logf("%+v", s.ails("directory")["directory"].Failure)
	s.healthy("folder")
	r.slapd.Modify(t, "dn: "+entry+"\ncontrol: 2.16.840.1.113730.3.4.2 true\nchangetype: delete\n") // the referral itself
	r.hurry()
	s.arrive("when it is gone", 30*time.Second, r.kinds, alice.Signing)
	s.healthy(r.kinds...)
}

// A disk that is full keeps the old list, and gets the new one when there is room.
func TestPointsThatAreFull(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ftp, r.store = ftptest.New(t, ftptest.Config{MaxFile: 40 << 10}), s3test.New(t, s3test.Config{MaxFile: 40 << 10})
	r.kinds = []string{"ftp", "store"}
	s := r.site().run()
	s.arrive("a small list", 30*time.Second, r.kinds)
	s.healthy(r.kinds...)
	watching := s.observe(r.kinds...)
	r.pki.IssuePair(t, pkitest.NewPerson("alice"))
	(&bundle{House: &housetest.House{Database: r.database}}).many(t, 2_000)
	r.database.Exec(t, `update ca.revocation set profile = 'smime-encryption', not_after = $1`, r.clock.Now().Add(24*time.Hour))
	_, err := s.Renew(t.Context(), pkitest.IssuerID)
	must(t, err)
	full := s.ails(r.kinds...)
	for name, one := range full {
		t.Logf("%s: %s", name, one.Failure)
		if one.Number == 0 || one.NextUpdate == nil {
			t.Errorf("%s: %+v", name, one)
		}
	}
	// There is room again when what was revoked has expired: this profile does not keep it.
	r.clock.Advance(32 * 24 * time.Hour)
	_, err = s.Renew(t.Context(), pkitest.IssuerID)
	must(t, err)
	s.arrive("when there is room", 30*time.Second, r.kinds)
	s.healthy(r.kinds...)
	looked(t, watching)
}

// The FTP server, the store and the directory are killed in the middle of what is brought to them. The old list stays, status says
// so, and when they are back the newest arrives.
func TestServersDropInTheMiddle(t *testing.T) {
	t.Parallel()
	points := []string{"ftp", "store", "directory"}
	r := newRig(t, points...)
	kill := map[string]func(){"ftp": r.ftp.Kill, "store": r.store.Kill, "directory": r.slapd.Kill}
	var armed atomic.Bool
	s := r.site(func(c *crl.Config) {
		for n, p := range c.Points {
			end := sync.OnceFunc(kill[p.Name])
			c.Points[n].Place = &steppedPlace{p.Place, p.Name, func(step string) {
				if armed.Load() && step == p.Name+" writing" {
					end()
				}
			}}
		}
	}).run()
	r.pki.IssuePair(t, pkitest.NewPerson("nobody"))
	(&bundle{House: &housetest.House{Database: r.database}}).many(t, 2_000)
	s.arrive("the first list", 30*time.Second, points)
	s.healthy(points...)
	watching := s.observe(points...)
	armed.Store(true)
	alice := r.pki.IssuePair(t, pkitest.NewPerson("alice"))
	r.revoke(alice.Signing, ca.KeyCompromise)
	for name, one := range s.ails(points...) {
		t.Logf("%s: %s", name, one.Failure)
	}
	must(t, r.ftp.Restart(t.Context()))
	r.store.Restart(t)
	must(t, r.slapd.Restart(t.Context()))
	r.hurry()
	s.arrive("when they are back", 30*time.Second, points, alice.Signing)
	s.healthy(points...)
	looked(t, watching)
}
