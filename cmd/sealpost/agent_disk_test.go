package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/internal/disktest"
	"github.com/sealpost/sealpost/internal/e2etest"
)

// page is how much more room a small file system has each time.
const page = 4096

// fullDesk is a workstation with a disk of its own.
type fullDesk struct {
	*desk
	disk *disktest.Disk
}

// fullDesk returns a workstation of which all is on a small disk: state, files, key stores, temporary files.
func (r *running) fullDesk(t *testing.T) *fullDesk {
	t.Helper()
	disk := disktest.New(t, 8<<20)
	d := &fullDesk{&desk{r, t, "alice", disk.Dir}, disk}
	d.prepare()
	return d
}

// fullStores returns one of which the key stores alone are there.
func (r *running) fullStores(t *testing.T) *fullDesk {
	t.Helper()
	d := &fullDesk{r.desk(t, "bob"), disktest.New(t, 8<<20)}
	d.prepare()
	return d
}

func (d *fullDesk) prepare() {
	d.t.Helper()
	for _, name := range []string{"tmp", "gnupg"} {
		must(d.t, os.Mkdir(d.outside(name), 0o700))
	}
	d.t.Cleanup(func() {
		path, args := d.disk.Enter("gpgconf", "--homedir", d.on("gnupg"), "--kill", "all")
		must(d.t, exec.Command(path, args...).Run())
	})
}

// on is where something on the disk is for the agent, and outside where it is for the test.
func (d *fullDesk) on(name string) string { return filepath.Join(d.disk.Dir, name) }

func (d *fullDesk) outside(name ...string) string {
	return filepath.Join(append([]string{d.disk.Outside}, name...)...)
}

// seeing is a run of a program that sees the disk.
func (d *fullDesk) seeing(c e2etest.Command) e2etest.Command {
	c.Path, c.Args = d.disk.Enter(c.Path, c.Args...)
	c.Dir, c.Env = "", append(c.Env, "TMPDIR="+d.on("tmp"), "GNUPGHOME="+d.on("gnupg"))
	return c
}

func (d *fullDesk) good(c e2etest.Command) string {
	d.t.Helper()
	return e2etest.Good(d.t, d.seeing(c))
}

// until runs the agent with more and more room, from none on, until it succeeds: whenever it does not, one line says that the disk is full,
// and whatever is there is whole.
func (d *fullDesk) until(c e2etest.Command) (failures int) {
	d.t.Helper()
	for left := int64(0); ; left += page {
		d.disk.Leave(d.t, left)
		got := e2etest.Run(d.t, d.seeing(c))
		d.disk.Free(d.t)
		d.whole()
		if got.Code == 0 {
			return failures
		}
		failures++
		if line := lastLine(got.Stderr); got.Code != 1 || !strings.HasPrefix(line, "The disk is full. ") || !strings.Contains(line, "Make room") || !strings.HasSuffix(line, "(disk-full)") {
			d.t.Errorf("%s with %d bytes: exit code %d\n%s", c, left, got.Code, got.Stderr)
		}
		if d.t.Failed() || failures > 200 {
			d.t.FailNow()
		}
	}
}

// whole demands that no store has a key without its certificate, and that what is there can be read.
func (d *fullDesk) whole() {
	d.t.Helper()
	if _, err := os.Stat(d.outside("profile", "key4.db")); err == nil {
		got := e2etest.Run(d.t, d.seeing(d.certutil("-K")))
		if got.Code != 0 && !strings.Contains(got.Stdout+got.Stderr, "no keys found") || strings.Contains(got.Stdout, "(orphan)") {
			d.t.Errorf("the database: exit code %d\n%s%s", got.Code, got.Stdout, got.Stderr)
		}
	}
	if got := e2etest.Run(d.t, d.seeing(e2etest.Command{Path: "test", Args: []string{"-e", d.file("out", "identity.p12")}})); got.Code == 0 {
		d.fileKeys()
	}
	left, err := filepath.Glob(d.outside("*", ".*"))
	must(d.t, err)
	more, err := filepath.Glob(d.outside("tmp", "*"))
	must(d.t, err)
	if left = append(left, more...); len(left) > 0 {
		d.t.Errorf("left behind: %v", left)
	}
}

// fileKeys, nssKeys and gpgsmKeys count the private keys that others find.
func (d *fullDesk) fileKeys() int {
	d.t.Helper()
	out := d.good(e2etest.Command{Path: "openssl", Args: []string{"pkcs12", "-in", d.file("out", "identity.p12"), "-passin", "file:" + d.file("out", "identity.password"), "-nodes"}})
	return strings.Count(out, "BEGIN PRIVATE KEY")
}

func (d *fullDesk) nssKeys() int {
	d.t.Helper()
	return strings.Count(d.good(d.certutil("-K")), "\n<")
}

func (d *fullDesk) certutil(args ...string) e2etest.Command {
	return e2etest.Command{Path: "certutil", Args: append(args, "-d", "sql:"+d.on("profile"))}
}

func (d *fullDesk) gpgsmKeys() int {
	d.t.Helper()
	out := d.good(e2etest.Command{Path: "gpgsm", Args: []string{"--batch", "--disable-dirmngr", "--with-colons", "--list-secret-keys"}})
	return strings.Count("\n"+out, "\ncrs:")
}

// have demands how many keys there are in the file, in NSS and in gpgsm.
func (d *fullDesk) have(file, nss, gpgsm int) {
	d.t.Helper()
	if f, n, g := d.fileKeys(), d.nssKeys(), d.gpgsmKeys(); f != file || n != nss || g != gpgsm {
		d.t.Errorf("identity.p12 has %d keys, NSS %d, gpgsm %d; want %d, %d, %d", f, n, g, file, nss, gpgsm)
	}
}

// rsaKeys are those that every gpgsm takes.
var rsaKeys = []string{"--signing-key", "RSA-3072", "--encryption-key", "RSA-3072"}

// All of a workstation is on a real file system that has no room, or a little: whatever the agent could not write, it says so with a code of its
// own, the fleet hears of it, what works goes on working, and no second pair is made; with room again the next run finishes.
func TestAgentOnFullDisk(t *testing.T) {
	t.Parallel()
	r := newInstallation(t).serve(t)
	d := r.fullDesk(t)
	if n := d.until(d.enroll(rsaKeys...)); n < 5 {
		t.Errorf("enrolling failed %d times", n)
	}
	d.count(2, 1)
	fill := d.byCertificate("fill", "--nss", d.on("profile"), "--gpgsm")
	if n := d.until(fill); n < 10 {
		t.Errorf("filling failed %d times", n)
	}
	d.have(2, 2, 2)

	d.disk.Leave(t, 0)
	fails(t, d.seeing(d.byCertificate("renew --force")), "disk-full", "disk is full")
	machines, err := r.as(t, "operator").Machines(t.Context(), client.MachineQuery{All: true})
	must(t, err)
	if m := machines.Items; len(m) != 1 || m[0].Standing != api.MachineFailing || m[0].Failure != "disk-full" || strings.Contains(m[0].Report.Failures[0].Detail, d.home) {
		t.Errorf("the fleet: %+v", m)
	}
	d.good(d.byCertificate("status"))
	if d.fileKeys() != 2 || d.nssKeys() != 2 {
		t.Error("keys that worked do not work any more")
	}
	d.disk.Free(t)
	d.have(2, 2, 2)
	d.count(2, 1)

	d.disk.Leave(t, 16*page) // for the files, not for NSS
	fails(t, d.seeing(d.byCertificate("renew --force")), "disk-full", "disk is full")
	d.count(4, 2)
	d.until(d.byCertificate("fill"))
	d.have(3, 4, 4)
	d.count(4, 2)

	change := d.byCertificate("passphrase")
	change.Env = append(change.Env, "SEALPOST_NEW_PASSPHRASE=another")
	for left := int64(0); left < 8*page; left += page {
		d.disk.Leave(t, left)
		fails(t, d.seeing(change), "disk-full", "disk is full")
		d.whole()
	}
	d.disk.Free(t)
	d.have(3, 4, 4)
	d.good(change)
	d.good(e2etest.Command{Path: "openssl", Args: []string{"pkcs12", "-in", d.file("out", "identity.p12"), "-passin", "pass:another", "-noout"}})
}

// Key stores on a disk without room take all of it once there is some.
func TestStoresOnFullDisk(t *testing.T) {
	t.Parallel()
	d := newInstallation(t).serve(t).fullStores(t)
	e2etest.Good(t, d.enroll(rsaKeys...))
	if n := d.until(d.byCertificate("fill", "--nss", d.on("profile"))); n < 10 {
		t.Errorf("filling NSS failed %d times", n)
	}
	if n := d.until(d.byCertificate("fill", "--only", "--gpgsm", "--gpgsm-trust")); n < 5 {
		t.Errorf("filling gpgsm failed %d times", n)
	}
	d.have(2, 2, 2)
	d.good(d.byCertificate("renew --force"))
	d.until(d.byCertificate("fill", "--nss", d.on("profile")))
	d.have(3, 4, 4)
}
