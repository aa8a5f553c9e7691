package portal_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/gal"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/pkcs12"
	"github.com/sealpost/sealpost/web"
)

// payload is one of a profile's, with what is looked at here. Data comes as base64.
type payload struct {
	PayloadType, PayloadUUID, PayloadDisplayName, PayloadContent, PayloadOrganization string
	PayloadIdentifier, EmailAddress, EmailAccountName, IncomingMailServerUsername     string
	SMIMESigningCertificateUUID, SMIMEEncryptionCertificateUUID                       string
	IncomingMailServerPortNumber                                                      int
	SMIMESigningEnabled, SMIMEEncryptByDefault                                        bool
}

// readProfile has Python's reader of property lists read one.
func readProfile(t *testing.T, list []byte) (whole payload, of []payload) {
	t.Helper()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "list"), list, 0o600))
	out := e2etest.Tool(t, dir, "python3", "-c", `import plistlib, json, base64
def plain(v):
    if isinstance(v, bytes): return base64.b64encode(v).decode()
    if isinstance(v, dict): return {k: plain(x) for k, x in v.items()}
    return v
p = plistlib.load(open("list", "rb"), fmt=plistlib.FMT_XML)
parts = [plain(x) for x in p.pop("PayloadContent")]
print(json.dumps([plain(p), parts]))`)
	must(t, json.Unmarshal([]byte(out), &[]any{&whole, &of}))
	return whole, of
}

// Somebody with an iPhone makes a profile beside the file: signed by themselves, with an identity in each payload and the mail
// account that uses them. Their entry in the directory says, signed by them, with what to write to them. No key leaves the page.
func TestProfileInTheBrowser(t *testing.T) {
	s := setup(t, told, func(s *site, c *web.Config) {
		p, err := gal.New(gal.Config{DB: s.DB, Authority: c.Authority, Directory: c.Directory, Audit: c.Audit, Policy: gal.Policy{SMIME: gal.Equal}, Now: c.Now})
		must(t, err)
		c.GAL = p
	})
	var mu sync.Mutex
	var everything bytes.Buffer
	var advertised []byte
	s.gate.set(func(_ http.ResponseWriter, r *http.Request) bool {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		mu.Lock()
		defer mu.Unlock()
		everything.Write(body)
		if r.URL.Path == "/api/v1/advertisements" {
			advertised = body
		}
		return false
	})
	ctx := s.chromium(t)
	s.comeIn(t, ctx, "alice", "/enrol")
	ask(t, ctx)
	file := download(t, ctx, "alice@example.test.p12")
	visible(t, ctx, "#advertised")
	must(t, chromedp.Run(ctx, chromedp.Click("#apple summary")))
	visible(t, ctx, "#apple-make")
	must(t, chromedp.Run(ctx, chromedp.Click("#apple-make")))
	visible(t, ctx, "#apple-file")
	dir := t.TempDir()
	var signed []byte
	must(t, chromedp.Run(ctx, pictures(t, "enrol-profile"), cdpbrowser.SetDownloadBehavior(cdpbrowser.SetDownloadBehaviorBehaviorAllow).WithDownloadPath(dir), chromedp.Click("#apple-file")))
	e2etest.Eventually(t, func() (err error) {
		if signed, err = os.ReadFile(filepath.Join(dir, "alice@example.test.mobileconfig")); err == nil && len(signed) == 0 {
			err = io.ErrUnexpectedEOF
		}
		return err
	})
	entries, _, err := pkcs12.Decode(file, passphrase)
	must(t, err)

	// The profile, signed by the signing key of the file.
	must(t, os.WriteFile(filepath.Join(dir, "root.pem"), pkitest.PEM(s.PKI.Root.Raw), 0o600))
	e2etest.Tool(t, dir, "openssl", "cms", "-verify", "-inform", "DER", "-in", "alice@example.test.mobileconfig", "-CAfile", "root.pem", "-purpose", "smimesign", "-signer", "signer.pem", "-binary", "-out", "list")
	signer, err := os.ReadFile(filepath.Join(dir, "signer.pem"))
	must(t, err)
	if !bytes.Equal(signer, pkitest.PEM(entries[0].Certificate.Raw)) {
		t.Error("somebody else signed the profile")
	}
	list, err := os.ReadFile(filepath.Join(dir, "list"))
	must(t, err)
	if bytes.Contains(list, []byte(passphrase)) || bytes.Contains(list, []byte("<key>Password</key>")) {
		t.Error("the passphrase is in the profile")
	}
	s.judgeProfile(t, list, entries, passphrase)

	// The same for an older device, under a passphrase that nobody chose.
	var secret string
	older := t.TempDir()
	must(t, chromedp.Run(ctx, chromedp.Click("#apple-older")))
	visible(t, ctx, "#apple-secret")
	must(t, chromedp.Run(ctx, chromedp.Text("#apple-secret", &secret), cdpbrowser.SetDownloadBehavior(cdpbrowser.SetDownloadBehaviorBehaviorAllow).WithDownloadPath(older), chromedp.Click("#apple-file")))
	e2etest.Eventually(t, func() (err error) {
		if signed, err = os.ReadFile(filepath.Join(older, "alice@example.test.mobileconfig")); err == nil && len(signed) == 0 {
			err = io.ErrUnexpectedEOF
		}
		return err
	})
	e2etest.Tool(t, older, "openssl", "cms", "-verify", "-inform", "DER", "-in", "alice@example.test.mobileconfig", "-CAfile", filepath.Join(dir, "root.pem"), "-purpose", "smimesign", "-binary", "-out", "list")
	list, err = os.ReadFile(filepath.Join(older, "list"))
	must(t, err)
	if len(secret) < 24 || bytes.Contains(list, []byte(secret)) {
		t.Errorf("the older profile's passphrase is %q", secret)
	}
	s.judgeProfile(t, list, entries, secret)

	// What the directory says.
	mu.Lock()
	defer mu.Unlock()
	var said api.Advertisement
	must(t, json.Unmarshal(advertised, &said))
	a, err := cms.ReadAdvertisement(said.Value)
	must(t, err)
	if !a.Signer.Equal(entries[0].Certificate) || !a.Encryption.Equal(entries[1].Certificate) || len(a.Certificates) != 3 {
		t.Errorf("signed by %s for %s, with %d certificates", a.Signer.SerialNumber, a.Encryption.SerialNumber, len(a.Certificates))
	}
	staysSecret(t, everything.String(), file)
	if strings.Contains(everything.String(), secret) {
		t.Error("the older profile's passphrase was sent")
	}
}

// That the directory cannot be told changes nothing for who gets certificates, and is said.
func TestDirectoryIsNotTold(t *testing.T) {
	s := setup(t, func(s *site, c *web.Config) {
		p, err := gal.New(gal.Config{DB: s.DB, Authority: c.Authority, Directory: c.Directory, Audit: c.Audit, Policy: gal.Policy{SMIME: gal.Equal}, Now: c.Now})
		must(t, err)
		c.GAL = p
	})
	s.gate.set(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/api/v1/advertisements" {
			return false
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	ctx := s.chromium(t)
	s.comeIn(t, ctx, "alice", "/enrol")
	ask(t, ctx)
	s.good(t, download(t, ctx, "alice@example.test.p12"), "alice")
	visible(t, ctx, "#not-advertised")
}

// judgeProfile holds that a profile has the two identities of a file, the certificates above, and the account with both.
func (s *site) judgeProfile(t *testing.T, list []byte, entries []pkcs12.Entry, passphrase string) {
	t.Helper()
	whole, parts := readProfile(t, list)
	if whole.PayloadType != "Configuration" || whole.PayloadOrganization != awkward || len(parts) != 5 {
		t.Fatalf("%+v with %d payloads", whole, len(parts))
	}
	ids := map[string]bool{whole.PayloadUUID: true}
	for i, want := range []string{"com.apple.security.pkcs12", "com.apple.security.pkcs12", "com.apple.security.pkcs1", "com.apple.security.root", "com.apple.mail.managed"} {
		p := parts[i]
		if p.PayloadType != want || ids[p.PayloadUUID] || ids[p.PayloadIdentifier] || !strings.HasPrefix(p.PayloadIdentifier, whole.PayloadIdentifier+".") {
			t.Errorf("payload %d is %+v", i, p)
		}
		ids[p.PayloadUUID], ids[p.PayloadIdentifier] = true, true
	}
	for i, e := range entries {
		content, err := base64.StdEncoding.DecodeString(parts[i].PayloadContent)
		must(t, err)
		got, _, err := pkcs12.Decode(content, passphrase)
		must(t, err)
		type comparable interface{ Equal(crypto.PrivateKey) bool }
		if len(got) != 1 || !got[0].Certificate.Equal(e.Certificate) || !got[0].Key.(comparable).Equal(e.Key) {
			t.Errorf("payload %d has %d identities, or another one", i, len(got))
		}
	}
	for i, want := range []*x509.Certificate{s.PKI.Issuing, s.PKI.Root} {
		if parts[2+i].PayloadContent != base64.StdEncoding.EncodeToString(want.Raw) {
			t.Errorf("payload %d is another certificate", 2+i)
		}
	}
	mail := parts[4]
	if mail.EmailAddress != "alice@example.test" || mail.IncomingMailServerUsername != mail.EmailAddress || mail.IncomingMailServerPortNumber != 993 ||
		mail.SMIMESigningCertificateUUID != parts[0].PayloadUUID || mail.SMIMEEncryptionCertificateUUID != parts[1].PayloadUUID || !mail.SMIMESigningEnabled || mail.SMIMEEncryptByDefault {
		t.Errorf("the account is %+v", mail)
	}
}

// Names of people in every script of the world, and what XML takes for its own, come out of a profile as they are; what XML
// cannot hold, as the sign for that.
func TestProfileOfAwkwardNames(t *testing.T) {
	s := setup(t)
	ctx := s.chromium(t)
	script, err := os.ReadFile("assets/app/enrol.js")
	must(t, err)
	must(t, chromedp.Run(ctx, chromedp.Navigate(s.server.URL+"/signin"), chromedp.WaitVisible("#login"), chromedp.Evaluate(string(script)+";0", nil)))
	const account = `{ imap: "mail.example.test", imapPort: 993, smtp: "mail.example.test", smtpPort: 587, login: "local" }`
	for name, want := range map[string]string{
		awkward:                       awkward,
		"a]]>b<!--c--><?d?>&amp;&#0;": "a]]>b<!--c--><?d?>&amp;&#0;",
		"\t\r\n":                      "\t\r\n",
		"\x00\x01\x1f\ufffe\uffff":    "\ufffd\ufffd\ufffd\ufffd\ufffd",
		"":                            "",
	} {
		var got struct{ List []byte }
		inPage(t, ctx, `return { List: text(S.profile({ person: { id: "0", name: A[0], mailbox: "zoë@example.test" }, identities: [{ use: "both", name: A[0], file: bytes("AAEC") }], chain: [bytes(A[1])],
			settings: { organisation: A[0], account: `+account+`, sign: false, encrypt: true } })) }`, &got, name, s.PKI.Root.Raw)
		whole, parts := readProfile(t, got.List)
		if whole.PayloadDisplayName != want || parts[0].PayloadDisplayName != want || parts[2].EmailAccountName != want || parts[2].IncomingMailServerUsername != "zoë" || parts[0].PayloadContent != "AAEC" {
			t.Errorf("%q becomes %q, %+v", name, whole.PayloadDisplayName, parts)
		}
	}
	// One half of what stands for a character beyond 16 bits.
	var got struct{ List []byte }
	inPage(t, ctx, `return { List: text(S.profile({ person: { id: "0", name: "\uD83D", mailbox: "z@example.test" }, identities: [], chain: [], settings: { organisation: "\uDD0Fx", sign: false, encrypt: false } })) }`, &got)
	if whole, _ := readProfile(t, got.List); whole.PayloadDisplayName != "\ufffdx" {
		t.Errorf("half a character becomes %q", whole.PayloadDisplayName)
	}
}
