package crl_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/crl/fetch"
	"github.com/sealpost/sealpost/crl/point"
	"github.com/sealpost/sealpost/internal/child"
	"github.com/sealpost/sealpost/internal/ftptest"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/pg"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/s3test"
)

// A server that is killed is a process of its own: this test binary, with what it needs in its environment.
const childVariable = "SEALPOST_TEST_CRL_SERVER"

// childConfig is what such a server needs.
type childConfig struct {
	Database      string
	Root, Issuing []byte // certificates
	Key           []byte // PKCS #8
	Folder, Web   string
	FTP, FTPWorld string
	FTPPassword   string
	Store         string
	AccessKey     string
	SecretKey     string
	Armed         string // a file that names a point and a step: there the process is killed
}

// steps are where a server is killed: before the list is signed, before it is brought to a point, with half of it written, when
// it is there, while it is read back, and before that is noted.
var steps = []string{"signing", "folder writing", "folder read", "ftp begun", "ftp writing", "ftp written", "ftp reading", "ftp read", "store writing", "store written"}

func TestKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	points := []string{"folder", "ftp", "store"}
	r := newRig(t, points...)
	s := r.site() // looks on; it does no work
	key, err := x509.MarshalPKCS8PrivateKey(r.pki.IssuingKey)
	must(t, err)
	c := childConfig{Database: r.database.URL(), Root: r.pki.Root.Raw, Issuing: r.pki.Issuing.Raw, Key: key, Folder: r.folder, Web: r.web.URL, FTP: r.ftp.Address(), FTPWorld: r.ftp.URL(),
		FTPPassword: r.ftp.Password, Store: r.store.URL(), AccessKey: r.store.AccessKey, SecretKey: r.store.SecretKey, Armed: filepath.Join(t.TempDir(), "armed")}
	start := func() (*exec.Cmd, <-chan struct{}) {
		t.Helper()
		b, err := json.Marshal(c)
		must(t, err)
		self, err := os.Executable()
		must(t, err)
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), childVariable+"="+string(b))
		cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
		done, err := child.StartBound(cmd, syscall.SIGKILL)
		must(t, err)
		t.Cleanup(func() {
			_ = cmd.Process.Kill() // it may have ended
			<-done
		})
		return cmd, done
	}
	r.pki.IssuePair(t, pkitest.NewPerson("nobody"))
	(&bundle{House: &housetest.House{Database: r.database}}).many(t, 2_000) // so that half a list is something
	cmd, running := start()
	s.arrive("the first list", 40*time.Second, points)
	watching := s.observe(points...)
	number := s.standing()["ftp"].Number
	for _, step := range steps {
		alice := r.pki.IssuePair(t, pkitest.NewPerson("alice"))
		must(t, os.WriteFile(c.Armed, []byte(step), 0o600))
		r.revoke(alice.Signing, ca.KeyCompromise)
		select {
		case <-running:
		case <-time.After(40 * time.Second):
			t.Fatalf("%s: the server was not killed", step)
		}
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
			t.Fatalf("%s: the server ended by itself: %v", step, cmd.ProcessState)
		}
		must(t, os.Remove(c.Armed))
		newest, err := s.Newest(t.Context(), pkitest.IssuerID)
		must(t, err)
		for name, one := range s.standing() { // what is not known is not claimed
			if shown := s.numbers(name)[name]; one.Failure == "" && one.Number > shown || shown > newest.Number {
				t.Errorf("%s: status says %d of %s, which shows %d; the newest is %d", step, one.Number, name, shown, newest.Number)
			}
		}
		// What other servers wait for before they take over: a lease, and jobs that count as at work for three minutes.
		r.database.Exec(t, `delete from river.river_leader; update river.river_job set state = 'available' where state = 'running'`)
		cmd, running = start()
		s.arrive("after "+step, 40*time.Second, points, alice.Signing)
		s.healthy(points...)
		now := s.standing()["ftp"].Number
		if now <= number {
			t.Errorf("%s: list %d after %d", step, now, number)
		}
		number = now
	}
	looked(t, watching)
	names, err := os.ReadDir(r.ftp.Root)
	must(t, err)
	for _, n := range names { // what was half written is under names of its own, until an hour has passed
		if !strings.HasPrefix(n.Name(), pkitest.IssuerID+".") && !strings.HasPrefix(n.Name(), "sealpost-") {
			t.Errorf("there is %s", n.Name())
		}
	}
}

// serveAsChild is such a server. It returns only with an error.
func serveAsChild(config string) error {
	var c childConfig
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		return err
	}
	ctx := context.Background()
	step := func(name string) {
		if b, err := os.ReadFile(c.Armed); err == nil && string(b) == name {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	root, err := x509.ParseCertificate(c.Root)
	if err != nil {
		return err
	}
	issuing, err := x509.ParseCertificate(c.Issuing)
	if err != nil {
		return err
	}
	key, err := x509.ParsePKCS8PrivateKey(c.Key)
	if err != nil {
		return err
	}
	db, err := pg.Open(ctx, pg.Config{URL: c.Database, MaxConns: 8})
	if err != nil {
		return err
	}
	q, err := jobs.New(jobs.Config{DB: db})
	if err != nil {
		return err
	}
	h := pkitest.Hierarchy{Root: root, Issuing: issuing, IssuingKey: &steppedKey{key.(crypto.Signer), step}}
	ac := h.Config()
	ac.DB, ac.Jobs = db, q
	authority, err := ca.New(ctx, ac)
	if err != nil {
		return err
	}
	folder, err := point.NewFolder(point.FolderConfig{Path: c.Folder})
	if err != nil {
		return err
	}
	ftp, err := point.NewFTP(point.FTPConfig{Server: c.FTP, Security: "none", Login: ftptest.Login, Password: c.FTPPassword})
	if err != nil {
		return err
	}
	store, err := point.NewS3(point.S3Config{Endpoint: c.Store, Bucket: s3test.Bucket, AccessKey: c.AccessKey, SecretKey: c.SecretKey})
	if err != nil {
		return err
	}
	at := func(base string) func(*ca.Issuer, string) string {
		return func(_ *ca.Issuer, file string) string { return base + "/" + file }
	}
	fetcher := fetch.New(fetch.Config{})
	p, err := crl.New(crl.Config{DB: db, Authority: authority, Jobs: q, Schedule: schedule,
		Points: []crl.Point{{Name: "folder", Place: &steppedPlace{folder, "folder", step}, Address: at(c.Web)},
			{Name: "ftp", Place: &steppedPlace{ftp, "ftp", step}, Address: at(c.FTPWorld)}, {Name: "store", Place: &steppedPlace{store, "store", step}}},
		Open: func(ctx context.Context, address string) (io.ReadCloser, error) {
			name := "folder"
			if strings.HasPrefix(address, c.FTPWorld) {
				name = "ftp"
			}
			in, err := fetcher.Open(ctx, address)
			if err != nil || !strings.HasSuffix(address, ".crl") {
				return in, err
			}
			return &steppedReader{in, name, step}, nil
		}})
	if err != nil {
		return err
	}
	p.Register(q)
	if err := q.Start(ctx); err != nil {
		return err
	}
	select {}
}

// steppedKey is a key whose use is a step.
type steppedKey struct {
	crypto.Signer
	step func(string)
}

func (k *steppedKey) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	k.step("signing")
	return k.Signer.Sign(rand, digest, opts)
}

// steppedPlace is a point whose writing has steps.
type steppedPlace struct {
	point.Point
	name string
	step func(string)
}

func (p *steppedPlace) Put(ctx context.Context, f point.File) error {
	if f.Kind != point.Full {
		return p.Point.Put(ctx, f)
	}
	p.step(p.name + " begun")
	open := f.Open
	f.Open = func() io.ReadSeeker { return &halfway{open(), f.Size / 2, func() { p.step(p.name + " writing") }} }
	err := p.Point.Put(ctx, f)
	if err == nil {
		p.step(p.name + " written")
	}
	return err
}

// halfway calls do when half is read.
type halfway struct {
	io.ReadSeeker
	left int64
	do   func()
}

func (h *halfway) Read(b []byte) (int, error) {
	if h.left > 0 {
		b = b[:min(int64(len(b)), h.left)]
	}
	n, err := h.ReadSeeker.Read(b)
	if h.left -= int64(n); h.left <= 0 && n > 0 {
		time.Sleep(20 * time.Millisecond) // so that the other side has what was sent
		h.do()
	}
	return n, err
}

type steppedReader struct {
	io.ReadCloser
	name string
	step func(string)
}

func (r *steppedReader) Read(b []byte) (int, error) {
	n, err := r.ReadCloser.Read(b)
	switch {
	case errors.Is(err, io.EOF):
		r.step(r.name + " read")
	default:
		r.step(r.name + " reading")
	}
	return n, err
}

// childMain runs this binary as a server if it was started as one.
func childMain() {
	if config := os.Getenv(childVariable); config != "" {
		fmt.Fprintln(os.Stderr, serveAsChild(config))
		os.Exit(1)
	}
}
