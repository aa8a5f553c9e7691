package clients_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/web/clients"
)

// awkward is a name with what XML, JSON, JavaScript and HTML take for their own, and scripts of the world.
const awkward = "</string>]]><script>alert(1)</script> \"'&\\ \u2028\u0001\u0000\x7f\xff Ünïçødé Иван 山田太郎 אבג عرب हिन्दी 🔏 \ufffe\r\n\");x(\""

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func installation(t testing.TB) clients.Installation {
	t.Helper()
	h := pkitest.NewHierarchy(t, time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
	return clients.Installation{Organisation: awkward, Certificates: clients.Chains(h.Chain(), h.Chain()), Policy: clients.Policy{
		Account: clients.Account{IMAP: "mail.example.test"}, Sign: true, Encrypt: true,
		AddressBook: clients.AddressBook{URL: "ldaps://ldap.example.test", Base: "ou=People & Söhne,dc=example,dc=test"},
	}}
}

// python runs a script over a file and reads what it prints as JSON.
func python(t *testing.T, script string, file []byte, into any) {
	t.Helper()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "file"), file, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "read.py"), []byte(script), 0o600))
	out := e2etest.Tool(t, dir, "python3", "read.py", "file")
	if err := json.Unmarshal([]byte(out), into); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
}

func raw(certs []*x509.Certificate) (out [][]byte) {
	for _, c := range certs {
		out = append(out, c.Raw)
	}
	return out
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	good := installation(t).Policy
	must(t, good.Validate())
	must(t, clients.Policy{}.Validate())
	for want, p := range map[string]clients.Policy{
		"account.imap: is missing":     {Account: clients.Account{SMTP: "mail.example.test"}},
		"account.imap: must be":        {Account: clients.Account{IMAP: "https://mail.example.test/"}},
		"account.smtp: must be":        {Account: clients.Account{IMAP: "mail.example.test", SMTP: `"><script>`}},
		"account.imap_port: must lie":  {Account: clients.Account{IMAP: "mail.example.test", IMAPPort: 65536}},
		"account.smtp_port: must lie":  {Account: clients.Account{IMAP: "mail.example.test", SMTPPort: -1}},
		"account.login: must be":       {Account: clients.Account{IMAP: "mail.example.test", Login: "mail"}},
		"address_book.url: must be":    {AddressBook: clients.AddressBook{URL: "http://ldap.example.test", Base: "dc=test"}},
		"address_book.base: must be":   {AddressBook: clients.AddressBook{URL: "ldap://ldap.example.test"}},
		"address_book.name: must be":   {AddressBook: clients.AddressBook{URL: "ldap://ldap.example.test", Base: "dc=test", Name: "a\nb"}},
		"address_book.url: must be l":  {AddressBook: clients.AddressBook{URL: "ldap://user:secret@ldap.example.test", Base: "dc=test"}},
		"address_book.url: must be ld": {AddressBook: clients.AddressBook{Name: "a", Base: "dc=test"}},
	} {
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	want := clients.Account{IMAP: "mail.example.test", IMAPPort: 993, SMTP: "mail.example.test", SMTPPort: 587, Login: "address"}
	if diff := cmp.Diff(want, good.Account.Complete()); diff != "" {
		t.Error(diff)
	}
}

func TestBundles(t *testing.T) {
	t.Parallel()
	i := installation(t)
	var got [][]byte
	for rest := i.PEM(); len(rest) > 0; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			t.Fatalf("no PEM: %q", rest)
		}
		got = append(got, b.Bytes)
	}
	if diff := cmp.Diff(raw(i.Certificates), got); diff != "" || len(got) != 2 || len(i.Roots()) != 1 || len(i.Issuing()) != 1 {
		t.Error(len(got), diff)
	}
	p7b, err := i.P7B()
	must(t, err)
	list, err := cms.ParseCertsOnly(p7b)
	must(t, err)
	if diff := cmp.Diff(raw(i.Certificates), raw(list)); diff != "" {
		t.Error(diff)
	}
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "file"), p7b, 0o600))
	if out := e2etest.Tool(t, dir, "openssl", "pkcs7", "-inform", "DER", "-in", "file", "-print_certs", "-noout"); strings.Count(out, "subject=") != 2 {
		t.Error(out)
	}
}

// readStore reads a store as [MS-OSHARED] 2.3.9.1 says, and nothing else.
const readStore = `import sys, struct, json, base64
b = open(sys.argv[1], "rb").read()
version, kind = struct.unpack_from("<II", b)
assert version == 0 and kind == 0x54524543 and b[4:8] == b"CERT"
at, out = 8, []
while True:
    ident, encoding, length = struct.unpack_from("<III", b, at)
    at += 12
    if ident == 0:
        assert encoding == 0 and length == 0 and at == len(b)
        break
    assert ident == 0x20 and encoding == 1
    out.append(base64.b64encode(b[at:at+length]).decode())
    at += length
print(json.dumps(out))`

func TestStore(t *testing.T) {
	t.Parallel()
	i := installation(t)
	store := i.SST()
	var got [][]byte
	python(t, readStore, store, &got)
	if diff := cmp.Diff(raw(i.Certificates), got); diff != "" {
		t.Error(diff)
	}
	list, err := clients.ReadSST(store)
	must(t, err)
	if diff := cmp.Diff(raw(i.Certificates), raw(list)); diff != "" {
		t.Error(diff)
	}
	for n := range store { // every piece of it is too short
		if _, err := clients.ReadSST(store[:n]); err == nil {
			t.Fatalf("%d bytes of %d are taken for a store", n, len(store))
		}
	}
	for what, bad := range map[string][]byte{
		"more after the end": append(bytes.Clone(store), 0),
		"another version":    append([]byte{1}, store[1:]...),
		"a revocation list":  append(append(bytes.Clone(store[:8]), 0x21), store[9:]...),
		"a huge one":         make([]byte, 1<<20+1),
	} {
		if _, err := clients.ReadSST(bad); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
}

func FuzzStore(f *testing.F) {
	f.Add(installation(f).SST())
	f.Add([]byte("\x00\x00\x00\x00CERT\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x00\x00\x00\x00CERT\x03\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00a\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := clients.ReadSST(b)
		if err != nil {
			return
		}
		again, err := clients.ReadSST(clients.Installation{Certificates: list}.SST())
		if err != nil || !cmp.Equal(raw(list), raw(again)) {
			t.Errorf("%d certificates become %d: %v", len(list), len(again), err)
		}
	})
}

const readProfile = `import sys, plistlib, json, base64
def plain(v):
    if isinstance(v, bytes): return "data:" + base64.b64encode(v).decode()
    if isinstance(v, dict): return {k: plain(x) for k, x in v.items()}
    if isinstance(v, list): return [plain(x) for x in v]
    return v
print(json.dumps(plain(plistlib.load(open(sys.argv[1], "rb"), fmt=plistlib.FMT_XML))))`

func TestProfile(t *testing.T) {
	t.Parallel()
	i := installation(t)
	file, err := i.Profile()
	must(t, err)
	var got struct {
		PayloadType, PayloadUUID, PayloadOrganization, PayloadIdentifier string
		PayloadContent                                                   []map[string]any
	}
	python(t, readProfile, file, &got)
	if got.PayloadType != "Configuration" || !strings.HasPrefix(got.PayloadOrganization, "</string>]]><script>") || !strings.Contains(got.PayloadOrganization, "山田太郎 אבג عرب हिन्दी 🔏") || strings.ContainsAny(got.PayloadOrganization, "\x00\x01") {
		t.Errorf("%+v", got)
	}
	if n := len(got.PayloadContent); n != 3 {
		t.Fatalf("%d payloads", n)
	}
	ids := map[any]bool{got.PayloadUUID: true}
	for n, want := range []string{"com.apple.security.pkcs1", "com.apple.security.root", "com.apple.mail.managed"} {
		p := got.PayloadContent[n]
		if p["PayloadType"] != want || ids[p["PayloadUUID"]] || !strings.HasPrefix(p["PayloadIdentifier"].(string), got.PayloadIdentifier+".") {
			t.Errorf("payload %d: %v", n, p)
		}
		ids[p["PayloadUUID"]] = true
	}
	mail := got.PayloadContent[2]
	if mail["IncomingMailServerHostName"] != "mail.example.test" || mail["IncomingMailServerPortNumber"] != 993.0 || mail["OutgoingMailServerPortNumber"] != 587.0 || mail["OutgoingMailServerUseSSL"] != true {
		t.Error(mail)
	}
	if again, err := i.Profile(); err != nil || !bytes.Equal(file, again) {
		t.Error("the same installation has another profile")
	}
	i.Policy.Account = clients.Account{}
	without, err := i.Profile()
	must(t, err)
	if bytes.Contains(without, []byte("mail.managed")) {
		t.Error("there is an account that nobody has")
	}
}

func TestThunderbird(t *testing.T) {
	t.Parallel()
	i := installation(t)
	file, err := i.ThunderbirdPolicies()
	must(t, err)
	var got struct {
		Policies struct {
			Certificates struct {
				ImportEnterpriseRoots bool
				Install               []string
			}
			Preferences map[string]struct {
				Value  any
				Status string
			}
		}
	}
	python(t, `import sys, json; print(json.dumps(json.load(open(sys.argv[1], encoding="ascii"))))`, file, &got)
	if c := got.Policies.Certificates; !c.ImportEnterpriseRoots || !cmp.Equal(c.Install, []string{"sealpost-root.pem"}) || len(got.Policies.Preferences) != 1 {
		t.Errorf("%+v", got)
	}
	script, err := i.ThunderbirdAutoconfig()
	must(t, err)
	lines := strings.Split(strings.TrimSuffix(string(script), "\n"), "\n")
	if len(lines) != 10 || !strings.HasPrefix(lines[0], "//") {
		t.Fatalf("%q", lines)
	}
	for _, line := range lines[1:] {
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) || strings.Contains(line, "<script") || !strings.HasPrefix(line, `defaultPref("`) || !strings.HasSuffix(line, ");") {
			t.Errorf("%q", line)
		}
	}
	// What it sets, as a program with another reader of JavaScript's strings sees it.
	var set map[string]any
	python(t, `import sys, re, json
out = {}
for line in open(sys.argv[1], encoding="ascii").read().splitlines()[1:]:
    name, value = json.loads("[" + re.fullmatch(r'defaultPref\((.*)\);', line).group(1) + "]")
    out[name] = value
print(json.dumps(out))`, script, &set)
	if d := set["ldap_2.servers.sealpost.description"].(string); !strings.Contains(d, "山田太郎") || !strings.HasSuffix(d, "\r\n\");x(\"") {
		t.Errorf("%q", d)
	}
	if u := set["ldap_2.servers.sealpost.uri"]; u != "ldaps://ldap.example.test/ou=People%20&%20S%C3%B6hne,dc=example,dc=test??sub?(objectclass=*)" {
		t.Error(u)
	}
	i.Policy.AddressBook = clients.AddressBook{}
	script, err = i.ThunderbirdAutoconfig()
	must(t, err)
	if strings.Contains(string(script), "ldap") {
		t.Error("there is an address book that nobody has")
	}
}

// readRegistry is a strict reader of the registry editor's files: every line is of a known form.
const readRegistry = `import sys, re, json, base64, hashlib, struct
text = open(sys.argv[1], "rb").read().decode("utf-16")
assert "\r\n" in text and "\n" not in text.replace("\r\n", "")
lines = re.sub(r"\\\r\n {2}", "", text).split("\r\n")
assert lines[0] == "Windows Registry Editor Version 5.00" and lines[1] == "" and lines[-1] == ""
key, out = None, {}
for line in lines[2:]:
    if line == "":
        key = None
    elif m := re.fullmatch(r"\[(HKEY_(?:LOCAL_MACHINE|CURRENT_USER)\\[A-Za-z0-9\\. ]+)\]", line):
        assert key is None and m.group(1) not in out
        key = m.group(1); out[key] = {}
    elif m := re.fullmatch(r'"([A-Za-z]+)"=dword:([0-9a-f]{8})', line):
        out[key][m.group(1)] = int(m.group(2), 16)
    elif m := re.fullmatch(r'"Blob"=hex:((?:[0-9a-f]{2},)*[0-9a-f]{2})', line):
        b = bytes.fromhex(m.group(1).replace(",", ""))
        at, found = 0, {}
        while at < len(b):
            ident, encoding, length = struct.unpack_from("<III", b, at)
            assert encoding == 1
            found[ident] = b[at+12:at+12+length]; at += 12 + length
        assert at == len(b) and set(found) == {3, 32}
        assert hashlib.sha1(found[32]).digest() == found[3] and key.endswith("\\" + found[3].hex().upper())
        out[key] = base64.b64encode(found[32]).decode()
    else:
        raise ValueError(line)
print(json.dumps(out))`

func TestRegistry(t *testing.T) {
	t.Parallel()
	i := installation(t)
	var got map[string]any
	python(t, readRegistry, i.Registry(), &got)
	if len(got) != 3 {
		t.Fatalf("%d keys", len(got))
	}
	outlook := got[`HKEY_CURRENT_USER\Software\Policies\Microsoft\Office\16.0\Outlook\Security`]
	if diff := cmp.Diff(map[string]any{"ClearSign": 1.0, "msgformats": 1.0, "ForceDefaultProfile": 1.0, "AlwaysSign": 1.0, "AlwaysEncrypt": 1.0}, outlook); diff != "" {
		t.Error(diff)
	}
	i.Policy = clients.Policy{}
	if file := string(bytes.ReplaceAll(i.Registry(), []byte{0}, nil)); strings.Contains(file, "Always") {
		t.Error("somebody must sign or encrypt whom nobody told to")
	}
}

// Certificates with awkward names do no harm either: people run other authorities' roots through here.
func TestAwkwardCertificates(t *testing.T) {
	t.Parallel()
	key := pkitest.NewKey(t, ca.P256)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: strings.ToValidUTF8(strings.ReplaceAll(awkward, "\x00", ""), "")}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	must(t, err)
	c, err := x509.ParseCertificate(der)
	must(t, err)
	i := clients.Installation{Organisation: awkward, Certificates: []*x509.Certificate{c}}
	file, err := i.Profile()
	must(t, err)
	var got map[string]any
	python(t, readProfile, file, &got)
	python(t, readRegistry, i.Registry(), &got)
}
