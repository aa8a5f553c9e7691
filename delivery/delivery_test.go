package delivery_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/delivery"
	"github.com/sealpost/sealpost/pkcs12"
)

var day = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func frames(t *testing.T, b []byte, most int) (out [][]byte, err error) {
	t.Helper()
	for f, err := range delivery.Frames(bytes.NewReader(b), most) {
		if err != nil {
			return out, err
		}
		out = append(out, f)
	}
	return out, nil
}

func TestFrames(t *testing.T) {
	t.Parallel()
	objects := [][]byte{[]byte("one"), {}, bytes.Repeat([]byte("x"), 100_000), []byte("four")}
	var file []byte
	var ends []int
	for _, o := range objects {
		file = delivery.AppendFrame(file, o)
		ends = append(ends, len(file))
	}
	for _, n := range []int{0, 1, 3, 4, 6, 7, 8, 10, 11, 12, 50_000, len(file) - 1, len(file)} {
		got, err := frames(t, file[:n], 1<<20)
		want := 0
		for want < len(ends) && ends[want] <= n {
			want++
		}
		if err != nil || !slices.EqualFunc(got, objects[:want], bytes.Equal) {
			t.Errorf("%d bytes hold %d frames, want %d: %v", n, len(got), want, err)
		}
	}
	if got, err := frames(t, file, 1000); len(got) != 2 || !errors.Is(err, delivery.ErrFolder) {
		t.Errorf("a frame that is too large: %d, %v", len(got), err)
	}
	for range delivery.Frames(bytes.NewReader(file), 1000) {
		break // the reader need not read on
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(delivery.AppendFrame(delivery.AppendFrame(nil, []byte("one")), []byte("two")))
	f.Add([]byte{0, 0, 0, 200, 1})
	f.Add([]byte{255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := frames(t, b, 1000)
		var again []byte
		for _, o := range got {
			again = delivery.AppendFrame(again, o)
		}
		if !bytes.HasPrefix(b, again) || err == nil && len(again) < len(b) && len(b)-len(again) >= 4+1000 {
			t.Errorf("%x has frames %x, %v", b, got, err)
		}
	})
}

func TestNames(t *testing.T) {
	t.Parallel()
	id := uuid.MustParse("12345678-9dc0-41d1-b245-5ffdce74fad2")
	names := delivery.Names{}
	for _, c := range []struct{ name, mail, want string }{
		{"Alice", "alice@example.test", "alice"}, {"Alice", "Alice@example.org", "Alice-12345678"}, {"Alice", "alice@example.net", "alice-12345678-2"},
		{"", "../../etc/passwd@x", "_.._etc_passwd"}, {"Jürgen Groß", "", "J_rgen_Gro_"}, {"", "", "12345678"}, {"", ".-@x", "12345678-2"}, {"/", "a/b\x00c@x", "a_b_c"},
	} {
		p := &delivery.Person{ID: id, Name: c.name, Mail: c.mail}
		if got := names.For(p); got != c.want || got != delivery.FileName(got) {
			t.Errorf("%q <%q> is %q, want %q", c.name, c.mail, got, c.want)
		}
	}
}

// authority is two certificates of issuers, and certifies.
type authority struct {
	t             *testing.T
	root, issuing *x509.Certificate
	key           *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	rootKey := newKey(t)
	a.key = newKey(t)
	ca := func(name string, serial int64) *x509.Certificate {
		return &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
			NotBefore: day, NotAfter: day.AddDate(9, 0, 0), KeyUsage: x509.KeyUsageCertSign}
	}
	root := ca("Root", 1)
	a.root = a.create(root, root, rootKey.Public(), rootKey)
	a.issuing = a.create(ca("Issuing", 2), a.root, a.key.Public(), rootKey)
	return a
}

func (a *authority) create(c, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	a.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, parent, public, key)
	must(a.t, err)
	out, err := x509.ParseCertificate(der)
	must(a.t, err)
	return out
}

func (a *authority) certify(serial int64, key crypto.PublicKey, from time.Time) *x509.Certificate {
	return a.create(&x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "Alice"}, NotBefore: from, NotAfter: from.AddDate(2, 0, 0)},
		a.issuing, key, a.key)
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return k
}

func headerOf(t *testing.T, key interface{ Public() crypto.PublicKey }) record.Header {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	must(t, err)
	return record.Header{SPKI: sha256.Sum256(spki), Time: day}
}

// TestFilesOfEveryKindOfKey: what is known of certificates is in the file, and what is not known does not lose the key.
func TestFilesOfEveryKindOfKey(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	ec := newKey(t)
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	x, err := ecdh.X25519().GenerateKey(rand.Reader)
	must(t, err)
	newest, older := a.certify(10, ec.Public(), day), a.certify(11, ec.Public(), day.AddDate(-1, 0, 0))
	p := &delivery.Person{ID: uuid.New(), Name: "Alice Example", Mail: "alice@example.test", Keys: []delivery.Key{
		{Private: ec, Header: headerOf(t, ec), Certificates: []*x509.Certificate{newest, older}, Chain: []*x509.Certificate{a.issuing, a.root, a.issuing, a.root}},
		{Private: r, Header: headerOf(t, r)}, {Private: x, Header: headerOf(t, x)},
	}}
	dir := filepath.Join(t.TempDir(), "out")
	files, err := p.Write(dir, "alice", delivery.FileOptions{Now: day})
	must(t, err)
	if files.Keys != 3 || files.Uncertified != 2 || len(files.GPGSM) != 0 {
		t.Errorf("%+v", files)
	}
	password, err := os.ReadFile(files.Password)
	must(t, err)
	file, err := os.ReadFile(files.P12)
	must(t, err)
	entries, chain, err := pkcs12.Decode(file, strings.TrimSpace(string(password)))
	must(t, err)
	if len(entries) != 3 || len(chain) != 3 || !slices.ContainsFunc(chain, older.Equal) || !entries[0].Certificate.Equal(newest) || entries[0].Name != "Alice Example (encryption)" {
		t.Errorf("%d keys, %d more certificates, %+v", len(entries), len(chain), entries[0].Name)
	}
	for i, k := range []crypto.PrivateKey{ec, r, x} {
		if got, ok := entries[i].Key.(interface{ Equal(crypto.PrivateKey) bool }); !ok || !got.Equal(k) {
			t.Errorf("key %d is another: %T", i+1, entries[i].Key)
		}
	}
	for _, path := range []string{dir, files.P12, files.Password} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is open to others: %v", path, info.Mode())
		}
	}
	// A second time the password stays; a person's own leaves none behind.
	again, err := p.Write(dir, "alice", delivery.FileOptions{Now: day})
	must(t, err)
	if b, err := os.ReadFile(again.Password); err != nil || !bytes.Equal(b, password) {
		t.Errorf("the password changed: %v", err)
	}
	own, err := p.Write(filepath.Join(dir, "own"), "alice", delivery.FileOptions{Password: "chosen by a person", Now: day})
	must(t, err)
	if entries, _ := os.ReadDir(filepath.Join(dir, "own")); len(entries) != 1 || own.Password != "" {
		t.Errorf("%v", entries)
	}
}

func TestGPGSMReadsEachKey(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	p := &delivery.Person{ID: uuid.New(), Name: "Alice", Mail: "alice@example.test"}
	for i := range 2 {
		r, err := rsa.GenerateKey(rand.Reader, 2048)
		must(t, err)
		p.Keys = append(p.Keys, delivery.Key{Private: r, Header: headerOf(t, r), Certificates: []*x509.Certificate{a.certify(int64(20+i), r.Public(), day)},
			Chain: []*x509.Certificate{a.issuing, a.root}})
	}
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o700))
	files, err := p.Write(dir, "alice", delivery.FileOptions{GPGSM: true, Now: day})
	must(t, err)
	password, err := os.ReadFile(files.Password)
	must(t, err)
	home := filepath.Join(dir, "h")
	must(t, os.Mkdir(home, 0o700))
	t.Cleanup(func() {
		c := exec.Command("gpgconf", "--kill", "all")
		c.Env = append(os.Environ(), "GNUPGHOME="+home)
		_ = c.Run() // there may be nothing to end
	})
	for _, path := range files.GPGSM {
		c := exec.CommandContext(t.Context(), "gpgsm", "--batch", "--pinentry-mode=loopback", "--passphrase-fd=0", "--disable-crl-checks", "--import", path)
		c.Env, c.Stdin = append(os.Environ(), "GNUPGHOME="+home), bytes.NewReader(password)
		if out, err := c.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("secret keys imported: 1")) {
			t.Errorf("gpgsm: %v\n%s", err, out)
		}
	}
}

func TestWhereNothingIsWritten(t *testing.T) {
	t.Parallel()
	k := newKey(t)
	p := &delivery.Person{Name: "Alice", Keys: []delivery.Key{{Private: k, Header: headerOf(t, k)}}}
	open := filepath.Join(t.TempDir(), "open")
	must(t, os.Mkdir(open, 0o700))
	must(t, os.Chmod(open, 0o777))
	for name, c := range map[string]struct {
		p         *delivery.Person
		dir, file string
		want      error
	}{
		"no keys":                   {&delivery.Person{}, t.TempDir(), "alice", delivery.ErrKey},
		"a path in place of a name": {p, t.TempDir(), "../alice", delivery.ErrOutput},
		"no name":                   {p, t.TempDir(), "", delivery.ErrOutput},
		"a folder open to others":   {p, open, "alice", delivery.ErrOutput},
		"a file":                    {p, os.DevNull, "alice", delivery.ErrOutput},
	} {
		if _, err := c.p.Write(c.dir, c.file, delivery.FileOptions{Now: day}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadCertificates(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "certificates.pem")
	for _, bad := range []string{"nothing", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		must(t, os.WriteFile(path, []byte(bad), 0o600))
		if _, err := delivery.ReadCertificates(path); !errors.Is(err, delivery.ErrCertificates) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := delivery.ReadCertificates(path + "x"); err != nil {
		t.Errorf("no file: %v", err)
	}
}

// failing is a disk that breaks.
type failing struct{ io.Reader }

func (f failing) Read(b []byte) (int, error) {
	n, err := f.Reader.Read(b)
	if err != nil {
		err = errors.New("the disk broke")
	}
	return n, err
}

func TestFramesOfABrokenDisk(t *testing.T) {
	t.Parallel()
	n := 0
	var last error
	for _, err := range delivery.Frames(failing{bytes.NewReader(delivery.AppendFrame(nil, []byte("one")))}, 10) {
		n, last = n+1, err
	}
	if n != 2 || last == nil {
		t.Errorf("%d frames, %v", n, last)
	}
}
