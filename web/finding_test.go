package web_test

import (
	"bytes"
	"crypto/sha1"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"io"
	"mime"
	"mime/multipart"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/gal"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/web"
	"github.com/sealpost/sealpost/web/allowance"
)

// shows lets the public listener show what it may.
func shows(store, vcard gal.Audience) func(*web.Config) {
	return func(c *web.Config) { c.Finding = web.Finding{Store: store, VCard: vcard} }
}

var everybody = gal.Audience{Show: gal.ShowEverybody}

// issue makes an encryption certificate outside of any enrolment.
func (r *rig) issue(t testing.TB, id uuid.UUID, mailboxes ...string) ca.Certificate {
	t.Helper()
	q := pkitest.Person{ID: id, Name: "Sample"}.Request(ca.SMIMEEncryption, pkitest.NewKey(t, ca.P256).Public())
	q.Mailboxes = mailboxes
	return r.PKI.Issue(t, q)[0]
}

func escaped(attribute, value string) string {
	return "/certs/search?" + attribute + "=" + strings.ReplaceAll(url.QueryEscape(value), "+", "%20")
}

// One certificate comes as it is, and openssl reads it; curl and whoever caches are served.
func TestStoreShowsTheCurrentCertificate(t *testing.T) {
	r := setup(t, shows(everybody, everybody))
	first, _ := r.enrol(t, "alice", housetest.Pair)
	r.Clock.Advance(time.Hour)
	second, _ := r.enrol(t, "alice", housetest.Pair)
	r.enrol(t, "bob", housetest.Pair)
	want := second.Certificates[1].DER
	for _, path := range []string{escaped("email", "alice@example.test"), escaped("uri", "alice@example.test"), escaped("uri", "mailto:alice@example.test"),
		escaped("email", "Alice@EXAMPLE.Test"), "/certs/search?email=alice@example.test"} {
		got := r.get(t, "GET", path)
		if got.status != 200 || got.header.Get("Content-Type") != "application/pkix-cert" || !bytes.Equal(got.body, want) || bytes.Equal(got.body, first.Certificates[1].DER) {
			t.Fatalf("%s: status %d, %v", path, got.status, got.header)
		}
		tag := got.header.Get("ETag")
		if tag == "" || got.header.Get("Cache-Control") != "public, max-age=300" {
			t.Errorf("%s: %v", path, got.header)
		}
		if again := r.get(t, "GET", path, "If-None-Match", tag); again.status != 304 {
			t.Errorf("%s: status %d", path, again.status)
		}
		if head := r.get(t, "HEAD", path); head.status != 200 || len(head.body) != 0 || head.header.Get("ETag") != tag {
			t.Errorf("HEAD %s: status %d", path, head.status)
		}
	}
	dir := newFiles(t)
	run(t, "curl", "--silent", "--show-error", "--fail", "--output", dir.path("alice.cer"), r.Public+"/certs/search?email=alice@example.test")
	if out := run(t, "openssl", "x509", "-inform", "DER", "-in", dir.path("alice.cer"), "-noout", "-email"); strings.TrimSpace(out) != "alice@example.test" {
		t.Errorf("openssl: %s", out)
	}
	if post := r.get(t, "POST", "/certs/search?email=alice@example.test"); post.status != 405 || post.header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: status %d", post.status)
	}
}

// Several people behind one address are several parts.
func TestStoreShowsSeveral(t *testing.T) {
	r := setup(t, shows(everybody, everybody))
	want := map[string]bool{}
	for range 3 {
		want[string(r.issue(t, uuid.New(), "team@example.test").DER)] = true
	}
	got := r.get(t, "GET", escaped("email", "team@example.test"))
	media, params, err := mime.ParseMediaType(got.header.Get("Content-Type"))
	must(t, err)
	if got.status != 200 || media != "multipart/mixed" {
		t.Fatalf("status %d, %s", got.status, media)
	}
	parts := multipart.NewReader(bytes.NewReader(got.body), params["boundary"])
	for len(want) > 0 {
		part, err := parts.NextRawPart()
		must(t, err)
		der, err := io.ReadAll(part)
		must(t, err)
		if part.Header.Get("Content-Type") != "application/pkix-cert" || !want[string(der)] {
			t.Fatalf("a part that is not wanted: %v", part.Header)
		}
		delete(want, string(der))
	}
	if _, err := parts.NextPart(); err != io.EOF {
		t.Errorf("more parts: %v", err)
	}
	if again := r.get(t, "GET", escaped("email", "team@example.test")); !bytes.Equal(again.body, got.body) {
		t.Error("the same answer has other bytes")
	}
	cards := r.get(t, "GET", "/vcard?email=team@example.test")
	if n := strings.Count(string(cards.body), "BEGIN:VCARD\r\n"); cards.status != 200 || n != 3 {
		t.Errorf("%d vCards, status %d", n, cards.status)
	}
}

// Who is not shown: all the same, to the letter and to the time, and never by anything but the exact address.
func TestStoreTellsNobodyWhoThereIs(t *testing.T) {
	few := gal.Audience{Show: gal.ShowDomains, Domains: []string{"EXAMPLE.test"}}
	r := setup(t, shows(few, gal.Audience{}), func(c *web.Config) { c.Finding.Lookups = allowance.Allowance{Burst: 1000, Every: time.Second} })
	r.enrol(t, "alice", housetest.Pair)
	revoked := r.issue(t, uuid.New(), "revoked@example.test")
	must(t, r.PKI.Revoke(t.Context(), pkitest.Actor(), ca.Revocation{Issuer: revoked.Issuer, Serial: revoked.Serial, Reason: ca.Superseded}))
	r.PKI.Issue(t, pkitest.NewPerson("signer").Request(ca.SMIMESigning, pkitest.NewKey(t, ca.P256).Public()))
	alice := r.get(t, "GET", escaped("email", "alice@example.test"))
	if alice.status != 200 {
		t.Fatalf("status %d: %s", alice.status, alice.body)
	}
	cert, err := x509.ParseCertificate(alice.body)
	must(t, err)
	hash := func(b []byte) string {
		sum := sha1.Sum(b)
		return base64.RawStdEncoding.EncodeToString(sum[:])
	}
	blank := func(path string) (string, time.Duration) {
		begun := time.Now()
		got := r.get(t, "GET", path)
		took := time.Since(begun)
		if got.status != 404 || got.code(t) != "no-certificate-found" || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: status %d, %s", path, got.status, got.body)
		}
		return strings.ReplaceAll(string(got.body), got.header.Get("Request-Id"), ""), took
	}
	said, _ := blank(escaped("email", "nobody@example.test"))
	for _, address := range []string{"revoked@example.test", "signer@example.test", "alice@sub.example.test", "alice@elsewhere.test", "alic@example.test", "*@example.test",
		"a%@example.test", "alice_@example.test"} {
		other, took := blank(escaped("email", address))
		if other != said || took < 50*time.Millisecond {
			t.Errorf("%s: after %v, %s", address, took, other)
		}
	}
	for attribute, value := range map[string]string{"sHash": hash(cert.RawSubject), "name": cert.Subject.CommonName, "sKIDHash": hash(cert.SubjectKeyId), "certHash": hash(cert.Raw)} {
		if other, _ := blank(escaped(attribute, value)); other != said {
			t.Errorf("%s: %s", attribute, other)
		}
	}
	if got := r.get(t, "GET", escaped("iHash", hash(cert.RawIssuer))); got.status != 404 { // of all that the issuer has issued
		t.Errorf("iHash: status %d", got.status)
	}
	if got := r.get(t, "GET", "/vcard?email=alice@example.test"); got.status != 404 || got.code(t) != "no-certificate-found" {
		t.Errorf("vCard to nobody: status %d", got.status)
	}
	none := setupIn(t, r)
	if got := none.get(t, "GET", escaped("email", "alice@example.test")); got.status != 404 || got.code(t) != "no-certificate-found" {
		t.Errorf("nothing configured: status %d", got.status)
	}
	r.Clock.Advance(20 * 365 * 24 * time.Hour)
	blank(escaped("email", "alice@example.test")) // expired
	if log := r.Log.String(); strings.Contains(log, "alice@") || strings.Contains(log, "revoked@") {
		t.Error("the log has addresses that were asked for")
	}
}

// A network has to wait when it has asked for many addresses; authorities' own certificates are not counted.
func TestLookupsAreLimited(t *testing.T) {
	r := setup(t, shows(everybody, everybody), func(c *web.Config) { c.Finding.Lookups = allowance.Allowance{Burst: 3, Every: time.Hour} })
	for n := range 3 {
		if got := r.get(t, "GET", []string{"/vcard?email=x@example.test", escaped("email", "y@example.test"), escaped("uri", "z@example.test")}[n]); got.status != 404 {
			t.Fatalf("status %d", got.status)
		}
	}
	for _, path := range []string{"/vcard?email=x@example.test", escaped("email", "x@example.test")} {
		if got := r.get(t, "GET", path); got.status != 429 || got.code(t) != "too-many-lookups" {
			t.Errorf("%s: status %d", path, got.status)
		}
	}
	if got := r.get(t, "GET", escaped("name", r.PKI.Root.Subject.CommonName)); got.status != 200 {
		t.Errorf("the root: status %d", got.status)
	}
	r.enrol(t, "bob", housetest.Pair)
	for n := range 4 {
		got := r.ask(t, person("alice"), "GET", "/recipients?mailbox=bob@example.test", nil)
		if want := []int{200, 200, 200, 429}[n]; got.status != want {
			t.Errorf("request %d by alice: status %d", n, got.status)
		}
	}
	r.Clock.Advance(time.Hour)
	if got := r.get(t, "GET", escaped("email", "x@example.test")); got.status != 404 {
		t.Errorf("an hour later: status %d", got.status)
	}
}

// Authorities' certificates and lists are found by all that RFC 4387 has, as hashes that openssl made.
func TestStoreFindsAuthorities(t *testing.T) {
	r := setup(t)
	_, err := r.Lists.Build(t.Context(), "issuing", 0)
	must(t, err)
	dir := newFiles(t)
	key := func(b []byte) string {
		run(t, "openssl", "dgst", "-sha1", "-binary", "-out", dir.path("hash"), dir.write("in", b))
		return base64.RawStdEncoding.EncodeToString(dir.read("hash"))
	}
	issuing := r.PKI.Issuing
	for attribute, value := range map[string]string{"certHash": key(issuing.Raw), "sHash": key(issuing.RawSubject), "sKIDHash": key(issuing.SubjectKeyId), "name": issuing.Subject.CommonName} {
		if got := r.get(t, "GET", escaped(attribute, value)); got.status != 200 || !bytes.Equal(got.body, issuing.Raw) {
			t.Errorf("%s: status %d, %s", attribute, got.status, got.body)
		}
	}
	// iAndSHash is of issuerAndSerialNumber, which openssl takes out of a message.
	serial := append([]byte{2, byte(len(issuing.SerialNumber.Bytes()))}, issuing.SerialNumber.Bytes()...)
	if serial[2] >= 0x80 {
		serial = append([]byte{2, serial[1] + 1, 0}, serial[2:]...)
	}
	inner := append(bytes.Clone(issuing.RawIssuer), serial...)
	if len(inner) >= 128 {
		t.Fatal("the sample needs a longer length")
	}
	if got := r.get(t, "GET", escaped("iAndSHash", key(append([]byte{0x30, byte(len(inner))}, inner...)))); got.status != 200 || !bytes.Equal(got.body, issuing.Raw) {
		t.Errorf("iAndSHash: status %d", got.status)
	}
	// The root has issued itself and the issuing authority.
	if got := r.get(t, "GET", escaped("iHash", key(r.PKI.Root.RawSubject))); got.status != 200 || !strings.HasPrefix(got.header.Get("Content-Type"), "multipart/mixed") {
		t.Errorf("iHash: status %d, %v", got.status, got.header)
	}
	for attribute, value := range map[string]string{"iHash": key(issuing.RawSubject), "sKIDHash": key(issuing.SubjectKeyId)} {
		got := r.get(t, "GET", "/crls/search?"+attribute+"="+url.QueryEscape(value))
		if got.status != 200 || got.header.Get("Content-Type") != "application/pkix-crl" {
			t.Fatalf("list by %s: status %d", attribute, got.status)
		}
		out := run(t, "openssl", "crl", "-inform", "DER", "-in", dir.write("list.crl", got.body), "-noout", "-CAfile", dir.write("ca.pem", pemOf(r.PKI.Root.Raw, issuing.Raw)))
		if !strings.Contains(out, "verify OK") {
			t.Errorf("%s", out)
		}
	}
	if got := r.get(t, "GET", "/certs/search?name="+url.QueryEscape(r.PKI.Root.Subject.CommonName)); got.status != 200 || !bytes.Equal(got.body, r.PKI.Root.Raw) {
		t.Errorf("spaces as plus signs: status %d", got.status)
	}
	if got := r.get(t, "GET", "/crls/search?iHash="+url.QueryEscape(key([]byte("x")))); got.status != 404 {
		t.Errorf("unknown list: status %d", got.status)
	}
}

// Who has a certificate, or a message with its serial number or its key's name, finds the certificate while it is shown.
func TestStoreFindsByKey(t *testing.T) {
	r := setup(t, shows(gal.Audience{Show: gal.ShowDomains, Domains: []string{"example.test"}}, gal.Audience{}))
	issued, _ := r.enrol(t, "alice", housetest.Pair)
	_, err := r.Server.GAL.Publish(t.Context(), issued.Person)
	must(t, err)
	der := issued.Certificates[1].DER
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	dir := newFiles(t)
	// openssl's own issuerAndSerialNumber: it stands in a message to alice.
	file, message := dir.write("alice.pem", pemOf(der)), dir.path("message.der")
	run(t, "openssl", "cms", "-encrypt", "-in", dir.write("text", []byte("x")), "-outform", "DER", "-out", message, file)
	at := bytes.Index(dir.read("message.der"), cert.RawIssuer)
	if at < 4 {
		t.Fatal("the message does not name the issuer")
	}
	start := at - 2
	if len(cert.RawIssuer) > 100 {
		start = at - 3
	}
	var id asn1.RawValue
	_, err = asn1.Unmarshal(dir.read("message.der")[start:], &id)
	must(t, err)
	paths := map[string]string{}
	for attribute, b := range map[string][]byte{"certHash": der, "iAndSHash": id.FullBytes, "sKIDHash": cert.SubjectKeyId} {
		run(t, "openssl", "dgst", "-sha1", "-binary", "-out", dir.path("hash"), dir.write("in", b))
		paths[attribute] = escaped(attribute, base64.RawStdEncoding.EncodeToString(dir.read("hash")))
	}
	hidden := setupIn(t, r, shows(gal.Audience{Show: gal.ShowDomains, Domains: []string{"elsewhere.test"}}, everybody))
	closed := setupIn(t, r, shows(gal.Audience{}, everybody))
	for attribute, path := range paths {
		if got := r.get(t, "GET", path); got.status != 200 || !bytes.Equal(got.body, der) {
			t.Errorf("%s: status %d, %s", attribute, got.status, got.body)
		}
		for what, other := range map[string]*rig{"another domain": hidden, "nobody": closed} {
			if got := other.get(t, "GET", path); got.status != 404 || got.code(t) != "no-certificate-found" {
				t.Errorf("%s, %s: status %d", what, attribute, got.status)
			}
		}
	}
	if got := r.ask(t, person("alice"), "POST", path(issued.Certificates[1])+"/revoke", api.RevocationRequest{Reason: "superseded"}); got.status != 200 {
		t.Fatalf("%s", got.body)
	}
	for attribute, path := range paths {
		if got := r.get(t, "GET", path); got.status != 404 || got.code(t) != "no-certificate-found" {
			t.Errorf("revoked, %s: status %d", attribute, got.status)
		}
	}
}

// Questions that are none are refused with a reason.
func TestStoreRefuses(t *testing.T) {
	r := setup(t, shows(everybody, everybody))
	for _, path := range []string{"/certs/search", "/certs/search?", "/certs/search?email", "/certs/search?email=", "/certs/search?=x", "/certs/search?EMAIL=x@example.test",
		"/certs/search?email=a@example.test&email=b@example.test", "/certs/search?email=a@example.test;uri=x", "/certs/search?email=%", "/certs/search?mail=a@example.test",
		"/certs/search?sKIDHash=AAAA", "/certs/search?sKIDHash=" + strings.Repeat("A", 26) + "_", "/certs/search?sKIDHash=" + strings.Repeat("A", 26) + "=", "/certs/search?certHash=" + strings.Repeat("A", 28),
		"/certs/search?sKIDHash=" + strings.Repeat("A", 26) + "B", // bits that no octet has
		"/certs/search?email=" + strings.Repeat("a", 2000), "/crls/search?email=alice@example.test", "/crls/search?name=x", "/vcard", "/vcard?name=x"} {
		if got := r.get(t, "GET", path); got.status != 400 || got.code(t) != "lookup-invalid" {
			t.Errorf("%.60s: status %d, %s", path, got.status, got.body)
		}
	}
	for _, address := range []string{"alice", "@example.test", "alice@", "a b@example.test", "\"a\"@example.test", "alice@example.test\x00", "alice@[127.0.0.1]", "\xff@example.test", "alice@example.test,bob@example.test", "<alice@example.test>"} {
		if got := r.get(t, "GET", escaped("email", address)); got.status != 400 {
			t.Errorf("%q: status %d, %s", address, got.status, got.body)
		}
	}
	for _, path := range []string{"/certs", "/certs/", "/certs/search/", "/crls", "/vcard/alice"} {
		if got := r.get(t, "GET", path); got.status != 404 || got.code(t) != "unknown-operation" {
			t.Errorf("%s: status %d", path, got.status)
		}
	}
}

// unfolded returns a vCard's properties.
func unfolded(t *testing.T, card []byte) map[string]string {
	t.Helper()
	out := map[string]string{}
	for line := range strings.Lines(string(card)) {
		if len(line) > 77 || !strings.HasSuffix(line, "\r\n") {
			t.Errorf("a line of %d bytes: %q", len(line), line)
		}
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(strings.ReplaceAll(string(card), "\r\n ", ""), "\r\n"), "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		out[name] = value
	}
	return out
}

// Addresses with every sign that is allowed, and beyond ASCII.
func TestVCard(t *testing.T) {
	r := setup(t, shows(gal.Audience{}, everybody))
	dir := newFiles(t)
	for _, address := range []string{"alice@example.test", "o'brien+tag/a&b=c?d%e#f@example.test", "grün@example.test"} {
		c := r.issue(t, uuid.New(), address)
		got := r.get(t, "GET", "/vcard?email="+url.QueryEscape(address))
		card := unfolded(t, got.body)
		if got.status != 200 || got.header.Get("Content-Type") != "text/vcard; charset=utf-8" || card["VERSION"] != "4.0" || card["EMAIL"] != address || card["FN"] != "Sample Example" {
			t.Fatalf("%s: status %d, %s", address, got.status, got.body)
		}
		text, ok := strings.CutPrefix(card["KEY"], "data:application/pkix-cert;base64,")
		der, err := base64.StdEncoding.DecodeString(text)
		if !ok || err != nil || !bytes.Equal(der, c.DER) {
			t.Errorf("%s: KEY %v, %s", address, err, card["KEY"])
		}
		run(t, "openssl", "x509", "-inform", "DER", "-in", dir.write("key.cer", der), "-noout")
	}
	if got := r.get(t, "GET", escaped("email", "alice@example.test")); got.status != 404 {
		t.Errorf("the store shows what only vCards may: status %d", got.status)
	}
}

// People who say who they are find everybody, as JSON, vCard and PEM, whatever the public listener shows.
func TestRecipients(t *testing.T) {
	r := setup(t, shows(gal.Audience{}, gal.Audience{}))
	bobs, _ := r.enrol(t, "bob", housetest.Pair)
	const path = "/recipients?mailbox=Robert.Brown@example.test"
	page := read[api.Page[api.Certificate]](t, r.ask(t, person("alice"), "GET", path, nil))
	if len(page.Items) != 1 || !bytes.Equal(page.Items[0].DER, bobs.Certificates[1].DER) || len(page.Items[0].Chain) == 0 {
		t.Fatalf("%d certificates", len(page.Items))
	}
	accept := func(media string) as {
		a := person("alice")
		a.header = map[string][]string{"Accept": {media}}
		return a
	}
	if block, _ := pem.Decode(r.ask(t, accept("application/x-pem-file"), "GET", path, nil).body); block == nil || !bytes.Equal(block.Bytes, bobs.Certificates[1].DER) {
		t.Error("PEM")
	}
	if card := unfolded(t, r.ask(t, accept("text/vcard"), "GET", path, nil).body); card["EMAIL"] != "Robert.Brown@example.test" || card["FN"] != "Bob Brown" {
		t.Errorf("vCard: %v", card)
	}
	for path, want := range map[string]string{"/recipients?mailbox=carol@example.test": "no-certificate-found", "/recipients?mailbox=nobody@example.test": "no-certificate-found",
		"/recipients?mailbox=x": "mailbox", "/recipients": "request-invalid"} {
		if got := r.ask(t, person("alice"), "GET", path, nil); got.code(t) != want {
			t.Errorf("%s: status %d, %s", path, got.status, got.body)
		}
	}
	if got := r.ask(t, as{}, "GET", path, nil); got.status != 401 {
		t.Errorf("nobody: status %d", got.status)
	}
}
