package directory_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/child"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// twins starts two servers with the same entries, accounts and certificate, as replicas have them. They tell each other nothing:
// what was changed at one and not at the other, a replica that lags behind does not know yet.
func twins(t *testing.T) (first, second *slapdtest.Server) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs slapd; not run with -short")
	}
	certificate, trust, err := child.Loopback("Two directories")
	if err != nil {
		t.Fatal(err)
	}
	var dirs [2]string
	for n := range dirs {
		if dirs[n], err = child.TempDir("sp-ldap-"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dirs[n]) })
	}
	start := func(dir string) *slapdtest.Server {
		s, err := slapdtest.Start(t.Context(), slapdtest.Config{Dir: dir, Certificate: certificate, Trust: trust, Log: t.Output()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Stop)
		return s
	}
	first = start(dirs[0])
	first.Stop()
	if err := os.CopyFS(dirs[1], os.DirFS(dirs[0])); err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(dirs[1], func(path string, _ fs.DirEntry, err error) error { return errors.Join(err, child.Own(path)) })
	if err != nil {
		t.Fatal(err)
	}
	second = start(dirs[1])
	if err := first.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	return first, second
}

// When a server is away, another one is watched. Of that one nothing is known, so everybody is looked at; all the same what both
// say at the same time is told at once, somebody new included, and when the first is back it is not behind.
func TestWatchFailsOver(t *testing.T) {
	t.Parallel()
	first, second := twins(t)
	b := with(t, first, func(c *directory.Config) { c.URLs = append(c.URLs, second.TLSURL()) })
	b.twice = true // what one server told, the other may tell again
	for _, login := range []string{"alice", "bob", "carol"} {
		b.login(t, login)
	}
	b.tells(t, "at first")
	began := b.lost(t)
	nextSecond()
	first.Modify(t, "dn: "+slapdtest.PersonDN("alice")+disable)
	b.tells(t, "the first", "Alice Anders disabled alice@example.test")

	first.Stop() // with a change that the second never gets
	second.Modify(t, "dn: "+slapdtest.PersonDN("bob")+disable)
	second.Modify(t, newcomer("nora"))
	got := b.watched(t)
	for _, want := range []string{"Bob Brown disabled bob@example.test robert.brown@example.test", "nora active nora@example.test joined"} {
		if !slices.Contains(got, want) {
			t.Errorf("the second: %q, want %q", got, want)
		}
	}
	if !b.lost(t).After(*began) {
		t.Error("a server that was never read was trusted")
	}
	second.Modify(t, "dn: "+slapdtest.PersonDN("carol")+disable)
	b.tells(t, "the second goes on", "Carol Müller-Żak disabled carol@example.test")

	// The first is back, with what it was told meanwhile, late.
	again := b.lost(t)
	second.Stop()
	if err := first.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	first.Modify(t, "dn: "+slapdtest.PersonDN("bob")+disable)
	b.tells(t, "the first is back", "Bob Brown disabled bob@example.test robert.brown@example.test")
	if !b.lost(t).Equal(*again) {
		t.Error("the first is known, and everybody was looked at")
	}
}
