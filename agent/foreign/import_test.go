package foreign_test

import (
	"archive/zip"
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpost/sealpost/agent/foreign"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/pkcs12"
)

// A folder of what several programs wrote over the years: everything arrives, under its owner's name, and once.
func TestImportFolder(t *testing.T) {
	d := newDesk(t)
	o := d.oldAuthority()
	o.pair("alice-2019", "/CN=Alice Anders", "alice@example.test", "in/alice-2019.p12", "pässword, with \"quotes\"", "days=1")
	o.pair("alice-2021", "/CN=Anders\\, Alice/emailAddress=ALICE@example.test", "", "in/2021/alice.pfx", "second")
	o.issue("alice-2023", "/CN=alice@example.test", "alice@example.test", "key=ec:P-256", "keyUsage=critical,keyAgreement")
	o.p12("alice-2023", "in/alice-2023.p12", "common", "-legacy") // RC2 and 3DES
	o.pair("bob", "/CN=Bob Brown", "bob@example.test", "pki/bob.p12", "common")
	db := "sql:" + d.path("pki")
	run(t, d.path("pki"), "certutil", "-N", "-d", db, "--empty-password")
	run(t, d.path("pki"), "pk12util", "-i", "bob.p12", "-d", db, "-W", "common")
	run(t, d.path("pki"), "pk12util", "-o", d.path("in/bob-nss.p12"), "-d", db, "-n", "bob", "-W", "common") // BER
	o.p12("bob", "in/copy of bob.p12", "common")
	d.write("in/readme.txt", []byte("The keys of former years.\n"))
	d.write("in/empty", nil)
	csv := "\xef\xbb\xbffile,password\nalice-2019.p12,\"pässword, with \"\"quotes\"\"\"\n2021\\alice.pfx,second\n"
	with := []func(*foreign.Options){list(t, csv), password("common")}

	dry := d.imports("in", append(with, func(o *foreign.Options) { o.DryRun = true })...)
	want := map[string]string{"alice-2019.p12": "ready", "2021/alice.pfx": "ready", "alice-2023.p12": "ready", "bob-nss.p12": "ready",
		"copy of bob.p12": "duplicate", "readme.txt": "skipped", "empty": "skipped"}
	if diff := cmp.Diff(want, said(dry)); diff != "" || !dry.Good() {
		t.Fatalf("dry run: %s", diff)
	}
	if n := d.Database.Count(t, `select count(*) from archive.record`); n != 0 {
		t.Fatalf("%d records after a dry run", n)
	}
	for _, state := range []string{"archived", "already-archived"} {
		report := d.imports("in", with...)
		for file, s := range want {
			if s == "ready" || s == "archived" {
				want[file] = state
			}
		}
		if diff := cmp.Diff(want, said(report)); diff != "" || !report.Good() {
			t.Errorf("%s: %s", state, diff)
		}
		for _, i := range report.Items {
			if strings.HasPrefix(i.File, "alice") && (i.Name != "Alice Anders" || i.Mail != "alice@example.test" || i.Person == nil || *i.Person != d.Actor(t, "alice").Person) {
				t.Errorf("%+v", i)
			}
			if i.State == foreign.Archived && i.Receipt == nil {
				t.Errorf("%s has no receipt", i.File)
			}
		}
		for name := range want {
			if strings.HasPrefix(want[name], "already") {
				want[name] = "archived"
			}
		}
		want["alice-2019.p12"] = "archived"
	}
	if n := d.Database.Count(t, `select count(*) from archive.record where state = 'kept'`); n != 4 {
		t.Errorf("%d records, want 4", n)
	}
	var got []string
	for c, err := range d.opt.Client.Imports(t.Context(), d.Actor(t, "alice").Person) {
		must(t, err)
		leaf, err := x509.ParseCertificate(c.DER)
		must(t, err)
		got = append(got, leaf.Subject.CommonName)
		if ca, err := x509.ParseCertificate(c.Chain[0]); err != nil || leaf.CheckSignatureFrom(ca) != nil {
			t.Errorf("%s comes without its chain", leaf.Subject)
		}
	}
	if diff := cmp.Diff([]string{"Anders, Alice", "Alice Anders", "alice@example.test"}, got); diff != "" {
		t.Error(diff)
	}
	if left, err := os.ReadDir(d.path("in")); err != nil || len(left) != 7 {
		t.Errorf("files were written: %v", left)
	}
}

// What must not come in, or cannot be read, is named with its reason; the rest arrives.
func TestImportBadFiles(t *testing.T) {
	d := newDesk(t)
	o := d.oldAuthority()
	o.pair("good", "/CN=Alice Anders", "alice@example.test", "in/good.p12", "x")
	o.p12("good", "in/wrong-password.p12", "another")
	o.openssl("pkcs12", "-export", "-nokeys", "-in", "good.pem", "-out", d.path("in/no-key.p12"), "-passout", "pass:x")
	o.pair("signs", "/CN=Alice Anders", "alice@example.test", "in/signs.p12", "x", "keyUsage=critical,digitalSignature")
	o.pair("both", "/CN=Alice Anders", "alice@example.test", "in/both.p12", "x", "keyUsage=critical,digitalSignature,keyEncipherment")
	o.pair("unlimited", "/CN=Alice Anders", "alice@example.test", "in/unlimited.p12", "x", "extendedKeyUsage=emailProtection")
	o.pair("weak", "/CN=Alice Anders", "alice@example.test", "in/weak.p12", "x", "key=rsa:1024")
	o.pair("nobody", "/CN=Zoe Zimmer", "zoe@example.test", "in/nobody.p12", "x")
	o.pair("other-name", "/CN=Alina Adams", "alice@example.test", "in/other-name.p12", "x")
	o.issue("lonely", "/CN=Alice Anders", "alice@example.test")
	o.openssl("pkcs12", "-export", "-nocerts", "-inkey", "lonely.key", "-out", d.path("in/no-certificate.p12"), "-passout", "pass:x")
	o.issue("apart", "/CN=Alice Anders", "alice@example.test")
	o.openssl("pkcs12", "-export", "-nocerts", "-inkey", "apart.key", "-out", d.path("in/apart.p12"), "-passout", "pass:x")
	d.write("in/certificates/apart.cer", read(t, d.path("pki/apart.pem")))
	good := read(t, d.path("in/good.p12"))
	d.write("in/cut-off.p12", good[:len(good)/2])
	damaged := bytes.Clone(good)
	damaged[len(damaged)/3] ^= 1
	d.write("in/damaged.p12", damaged)
	d.write("in/large.p12", append(bytes.Clone(good), make([]byte, 10<<20)...))
	d.write("in/garbage.p12", bytes.Repeat([]byte("garbage"), 1000))
	d.write("in/bare.pem", read(t, d.path("pki/good.key")))
	must(t, os.Symlink(d.path("pki/good.key"), d.path("in/link.p12")))
	must(t, os.Symlink(d.path("pki"), d.path("in/link")))
	deep := "in" + strings.Repeat("/deep", foreign.MaxDepth+2)
	d.write(deep+"/good.p12", good)
	csv := "file,password\nmissing.p12,x\ngarbage.p12,x\n"
	report := d.imports("in", list(t, csv), password("x"))
	want := map[string]string{
		"good.p12": "archived", "apart.p12": "archived", "certificates/apart.cer": "skipped",
		"wrong-password.p12": "refused pkcs12-wrong-passphrase", "damaged.p12": "refused pkcs12-wrong-passphrase",
		"no-key.p12": "refused import-no-key", "no-certificate.p12": "refused import-no-certificate",
		"signs.p12": "refused import-signing-key", "both.p12": "refused import-signing-key", "unlimited.p12": "refused import-signing-key",
		"weak.p12": "refused archived-key-weak", "nobody.p12": "refused import-person", "other-name.p12": "refused import-name",
		"cut-off.p12": "refused import-format", "large.p12": "refused import-too-large", "garbage.p12": "refused import-format", "bare.pem": "refused import-format",
		"link.p12": "refused import-file", "link": "refused import-file", "missing.p12": "refused import-file",
		strings.TrimPrefix(deep, "in/"): "refused import-file",
	}
	if diff := cmp.Diff(want, said(report)); diff != "" {
		t.Error(diff)
	}
	if report.Good() {
		t.Error("the report says that all is well")
	}
	encoded, err := json.Marshal(report)
	must(t, err)
	for _, i := range report.Items {
		if i.State == foreign.Refused && i.Detail == "" {
			t.Errorf("%s: no reason", i.File)
		}
	}
	if bytes.Contains(encoded, []byte("PRIVATE")) {
		t.Error("the report quotes a key")
	}
}

// Several keys in one file, and several certificates of one key.
func TestImportSeveral(t *testing.T) {
	d := newDesk(t)
	o := d.oldAuthority()
	o.issue("one", "/CN=Alice Anders", "alice@example.test")
	o.certify("one", "one-again", "400")
	o.issue("two", "/CN=Bob Brown", "bob@example.test")
	o.issue("signs", "/CN=Bob Brown", "bob@example.test", "keyUsage=critical,digitalSignature")
	must(t, os.MkdirAll(d.path("in"), 0o700))
	// openssl writes one key a file; both certificates of the first lie in its file.
	o.openssl("pkcs12", "-export", "-inkey", "one.key", "-in", "one.pem", "-certfile", "one-again.pem", "-out", d.path("in/one.p12"), "-passout", "pass:x")
	report := d.imports("in", password("x"))
	if diff := cmp.Diff(map[string]string{"one.p12": "archived, certificate-added"}, said(report)); diff != "" {
		t.Error(diff)
	}
	if n := d.Database.Count(t, `select count(*) from archive.foreign_certificate`); n != 2 {
		t.Errorf("%d certificates, want 2 of one key", n)
	}
	d.write("several/keys.p12", d.several(o, "x", "one", "two", "signs"))
	report = d.imports("several", password("x"))
	if len(report.Items) != 3 || report.Counts[foreign.Archived] != 1 || report.Counts[foreign.ArchivedBefore] != 1 || report.Counts[foreign.Refused] != 1 {
		t.Errorf("%v", said(report))
	}
}

// several puts keys with their certificates into one file.
func (d *desk) several(o old, password string, names ...string) []byte {
	d.t.Helper()
	var entries []pkcs12.Entry
	for _, name := range names {
		block, _ := pem.Decode(read(d.t, d.path("pki/"+name+".pem")))
		c, err := x509.ParseCertificate(block.Bytes)
		must(d.t, err)
		entries = append(entries, pkcs12.Entry{Key: o.key(name), Certificate: c, Name: name})
	}
	file, err := pkcs12.Encode(entries, nil, password, pkcs12.Modern)
	must(d.t, err)
	return file
}

// A ZIP archive is read as a folder is, and its tricks are named.
func TestImportZIP(t *testing.T) {
	d := newDesk(t)
	o := d.oldAuthority()
	o.pair("alice", "/CN=Alice Anders", "alice@example.test", "pki/alice.p12", "x")
	o.pair("bob", "/CN=Bob Brown", "bob@example.test", "pki/bob.p12", "x")
	alice, bob := read(t, d.path("pki/alice.p12")), read(t, d.path("pki/bob.p12"))
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	put := func(h zip.FileHeader, content []byte) {
		w, err := z.CreateHeader(&h)
		must(t, err)
		_, err = w.Write(content)
		must(t, err)
	}
	named := func(name string) zip.FileHeader { return zip.FileHeader{Name: name, Method: zip.Deflate} }
	put(named("people/alice.p12"), alice)
	put(named("people/alice.p12"), bob) // another of the same name
	put(named("people/bob.p12"), bob)
	put(named("../../outside.p12"), alice)
	put(named("/etc/absolute.p12"), alice)
	put(named("c:\\windows\\odd.p12"), alice)
	put(named("bomb.p12"), make([]byte, 64<<20)) // 64 MB of nothing, 64 KB packed
	link := named("link.p12")
	link.SetMode(os.ModeSymlink | 0o777)
	put(link, []byte("/etc/passwd"))
	put(named(strings.Repeat("a/", 20)+"deep.p12"), alice)
	inner := named("inner.zip")
	put(inner, []byte("PK\x03\x04"))
	put(named("nothing.p12"), nil)
	must(t, z.Close())
	d.write("keys.zip", b.Bytes())
	want := map[string]string{"people/alice.p12": "refused import-file, archived", "people/bob.p12": "archived", "../../outside.p12": "refused import-file",
		"/etc/absolute.p12": "refused import-file", "c:\\windows\\odd.p12": "refused import-file", "bomb.p12": "refused import-too-large",
		"link.p12": "refused import-file", strings.Repeat("a/", 20) + "deep.p12": "refused import-file", "inner.zip": "skipped", "nothing.p12": "refused import-format"}
	if diff := cmp.Diff(want, said(d.imports("keys.zip", password("x")))); diff != "" {
		t.Error(diff)
	}
	some, err := foreign.Open(d.path("keys.zip"))
	must(t, err)
	defer some.Close()
	some.Leave(100)
	password("x")(&d.opt)
	report, err := foreign.Import(t.Context(), some, d.opt)
	must(t, err)
	if got := said(report)["people/bob.p12"]; got != "refused import-too-large" {
		t.Errorf("beyond what all files may have together: %s", got)
	}
	d.opt.Password = nil
	d.write("broken.zip", b.Bytes()[:b.Len()/2])
	if _, err := foreign.Open(d.path("broken.zip")); !errors.Is(err, foreign.ErrSource) {
		t.Errorf("half an archive: %v", err)
	}
	run(t, d.path("pki"), "zip", "-q", "-P", "secret", d.path("encrypted.zip"), "alice.p12")
	if diff := cmp.Diff(map[string]string{"alice.p12": "refused import-file"}, said(d.imports("encrypted.zip", password("x")))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"alice.p12": "already-archived"}, said(d.imports("pki/alice.p12", password("x")))); diff != "" {
		t.Errorf("one file: %s", diff)
	}
	if _, err := foreign.Open(d.path("nothing")); !errors.Is(err, foreign.ErrSource) {
		t.Errorf("nothing there: %v", err)
	}
}

// Who left, by the list's third column or the option for all.
func TestImportDeparted(t *testing.T) {
	d := newDesk(t)
	o := d.oldAuthority()
	o.pair("zoe", "/CN=Zoe Zimmer", "zoe@example.test", "in/zoe.p12", "x")
	o.pair("yan", "/CN=Yan", "yan@example.test", "in/yan.p12", "x")
	o.pair("alice", "/CN=Alice Anders", "alice@example.test", "in/alice.p12", "x")
	o.pair("bob", "/CN=Bob Barnes", "barnes@example.test", "in/bob.p12", "x") // his former name
	bob := d.Actor(t, "bob").Person
	csv := "file;password;person\nzoe.p12;x;departed\nbob.p12;x;" + bob.String() + "\n"
	if diff := cmp.Diff(map[string]string{"zoe.p12": "archived", "yan.p12": "refused import-person", "alice.p12": "archived", "bob.p12": "archived"},
		said(d.imports("in", list(t, csv), password("x")))); diff != "" {
		t.Error(diff)
	}
	departed := func(o *foreign.Options) { o.Departed = true }
	report := d.imports("in", list(t, csv), password("x"), departed)
	if diff := cmp.Diff(map[string]string{"zoe.p12": "already-archived", "yan.p12": "archived", "alice.p12": "already-archived", "bob.p12": "already-archived"}, said(report)); diff != "" {
		t.Error(diff)
	}
	for _, i := range report.Items {
		if i.File == "bob.p12" && *i.Person != bob {
			t.Errorf("%+v", i)
		}
	}
}

// A server that is away, or refuses who asks, stops the import; nothing is lost by running it again.
func TestImportStops(t *testing.T) {
	d := newDesk(t)
	o := d.oldAuthority()
	o.pair("alice", "/CN=Alice Anders", "alice@example.test", "in/alice.p12", "x")
	d.write("in/readme.txt", []byte("x"))
	d.Slapd.Stop()
	report, err := d.tries("in", password("x"))
	if !errors.Is(err, fault.Unavailable) || report == nil {
		t.Fatalf("%v", err)
	}
	if diff := cmp.Diff(map[string]string{"alice.p12": "not-tried", "readme.txt": "skipped"}, said(report)); diff != "" || report.Good() {
		t.Error(diff)
	}
	must(t, d.Slapd.Restart(t.Context()))
	if diff := cmp.Diff(map[string]string{"alice.p12": "archived", "readme.txt": "skipped"}, said(d.imports("in", password("x")))); diff != "" {
		t.Error(diff)
	}
	// Roots that the exchange certificate does not chain to: no key is sent.
	o.pair("bob", "/CN=Bob Brown", "bob@example.test", "in/bob.p12", "x")
	report, err = d.tries("in", password("x"), func(o *foreign.Options) { o.Anchors = x509.NewCertPool() })
	if f := fault.Of(err); f == nil || f.Code != "exchange-not-trusted" || report.Counts[foreign.Archived] != 0 {
		t.Errorf("%v, %+v", err, report)
	}
	if n := d.Database.Count(t, `select count(*) from archive.record`); n != 1 {
		t.Errorf("%d records", n)
	}
	if _, err := d.tries("in", func(o *foreign.Options) {
		o.Password = func() (string, error) { return "", errors.New("nobody there") }
	}); err == nil {
		t.Error("an import went on without the password that was to be asked for")
	}
	if diff := cmp.Diff(map[string]string{"alice.p12": "refused import-password", "bob.p12": "refused import-password", "readme.txt": "skipped"}, said(d.imports("in"))); diff != "" {
		t.Error(diff)
	}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.FromSlash(path))
	must(t, err)
	return b
}
