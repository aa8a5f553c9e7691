package foreign_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/agent/foreign"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/slapdtest"
	"github.com/sealpost/sealpost/web"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// desk is a registrar's desk: a real server, and a folder of what openssl and NSS made.
type desk struct {
	*housetest.House
	t   *testing.T
	dir string
	opt foreign.Options
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	t.Parallel()
	d := &desk{House: housetest.New(t), t: t, dir: t.TempDir()}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "127.0.0.1"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	leaf, err := x509.ParseCertificate(der)
	must(t, err)
	s, err := web.New(web.Config{Registry: d.Enroll, Authority: d.PKI.Authority, Archive: d.Archive, Recovery: d.Recovery, Directory: d.Directory, Audit: d.Audit, Now: d.Clock.Now,
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
		}})
	must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, web.Listeners{API: l}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	d.opt.Client, err = client.New(client.Config{BaseURL: "https://" + l.Addr().String(), Roots: roots, Login: "rita", Password: slapdtest.Password("rita"), Backoff: time.Millisecond, Retries: 1})
	must(t, err)
	t.Cleanup(d.opt.Client.Close)
	d.opt.Anchors = x509.NewCertPool()
	for _, i := range d.PKI.Authority.Issuers() {
		chain := i.Chain()
		d.opt.Anchors.AddCert(chain[len(chain)-1])
	}
	return d
}

func (d *desk) path(name string) string { return filepath.Join(d.dir, filepath.FromSlash(name)) }

// in returns a path in a new folder of the desk.
func (d *desk) write(name string, content []byte) {
	d.t.Helper()
	must(d.t, os.MkdirAll(filepath.Dir(d.path(name)), 0o700))
	must(d.t, os.WriteFile(d.path(name), content, 0o600))
}

// imports runs an import of a path on the desk.
func (d *desk) imports(at string, change ...func(*foreign.Options)) *foreign.Report {
	d.t.Helper()
	r, err := d.tries(at, change...)
	must(d.t, err)
	return r
}

func (d *desk) tries(at string, change ...func(*foreign.Options)) (*foreign.Report, error) {
	d.t.Helper()
	opt := d.opt
	for _, f := range change {
		f(&opt)
	}
	s, err := foreign.Open(d.path(at))
	must(d.t, err)
	defer s.Close()
	return foreign.Import(d.t.Context(), s, opt)
}

func password(p string) func(*foreign.Options) {
	return func(o *foreign.Options) { o.Password = func() (string, error) { return p, nil } }
}

func list(t *testing.T, csv string) func(*foreign.Options) {
	t.Helper()
	l, err := foreign.ParseList([]byte(csv))
	must(t, err)
	return func(o *foreign.Options) { o.List = l }
}

// said is the report in short: a line for each item.
func said(r *foreign.Report) map[string]string {
	out := map[string]string{}
	for _, i := range r.Items {
		s := string(i.State)
		if i.Code != "" {
			s += " " + i.Code
		}
		if out[i.File] != "" {
			s = out[i.File] + ", " + s
		}
		out[i.File] = s
	}
	return out
}

// old is an authority of former years, made and used by openssl in folder pki of the desk.
type old struct{ d *desk }

func (d *desk) oldAuthority() old {
	d.t.Helper()
	must(d.t, os.MkdirAll(d.path("pki"), 0o700))
	o := old{d}
	o.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Old Authority", "-days", "3650",
		"-addext", "keyUsage=critical,keyCertSign")
	return o
}

func (o old) openssl(args ...string) string {
	o.d.t.Helper()
	return run(o.d.t, o.d.path("pki"), "openssl", args...)
}

// issue makes NAME.key and NAME.pem in the folder pki; the extensions are as openssl's configuration has them.
func (o old) issue(name, subject, mailbox string, change ...string) {
	o.d.t.Helper()
	extensions := "keyUsage=critical,keyEncipherment\nextendedKeyUsage=emailProtection\n"
	days, newkey := "730", "rsa:2048"
	for _, c := range change {
		switch {
		case strings.HasPrefix(c, "days="):
			days = strings.TrimPrefix(c, "days=")
		case strings.HasPrefix(c, "key="):
			newkey = strings.TrimPrefix(c, "key=")
		default:
			extensions = c + "\n"
		}
	}
	if mailbox != "" {
		extensions += "subjectAltName=email:" + mailbox + "\n"
	}
	must(o.d.t, os.WriteFile(filepath.Join(o.d.path("pki"), name+".ext"), []byte(extensions), 0o600))
	key := []string{"-newkey", newkey}
	if curve, ok := strings.CutPrefix(newkey, "ec:"); ok {
		key = []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:" + curve}
	}
	o.openssl(append([]string{"req", "-new", "-nodes", "-keyout", name + ".key", "-out", name + ".csr", "-subj", subject}, key...)...)
	o.certify(name, name, days)
}

// certify makes CERT.pem of NAME.csr.
func (o old) certify(name, cert, days string) {
	o.d.t.Helper()
	args := []string{"x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-extfile", name + ".ext", "-out", cert + ".pem", "-days", days}
	o.openssl(args...)
}

// p12 puts a key and its certificate into a file.
func (o old) p12(name, file, password string, args ...string) {
	o.d.t.Helper()
	must(o.d.t, os.MkdirAll(filepath.Dir(o.d.path(file)), 0o700))
	o.openssl(append([]string{"pkcs12", "-export", "-inkey", name + ".key", "-in", name + ".pem", "-certfile", "ca.pem", "-name", name,
		"-out", o.d.path(file), "-passout", "pass:" + password}, args...)...)
}

// pair makes a key, a certificate, and a file of both.
func (o old) pair(name, subject, mailbox, file, password string, change ...string) {
	o.d.t.Helper()
	o.issue(name, subject, mailbox, change...)
	o.p12(name, file, password)
}

func (o old) key(name string) crypto.PrivateKey {
	o.d.t.Helper()
	der := o.openssl("pkcs8", "-topk8", "-nocrypt", "-in", name+".key", "-outform", "DER")
	key, err := x509.ParsePKCS8PrivateKey([]byte(der))
	must(o.d.t, err)
	return key
}

// run runs a program in a folder and returns what it wrote.
func run(t testing.TB, dir, name string, args ...string) string {
	t.Helper()
	c := exec.Command(name, args...)
	c.Dir = dir
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		t.Fatalf("%s %v: %v\n%s%s", name, args, err, out.Bytes(), errs.Bytes())
	}
	return out.String()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
