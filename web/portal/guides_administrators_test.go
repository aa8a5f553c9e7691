package portal_test

import (
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/web"
	"github.com/sealpost/sealpost/web/clients"
)

// awkward is what an organisation may be called, with what XML, JSON, JavaScript and HTML take for their own.
const awkward = `</string></script><script>alert(1)</script>"><img src=x onerror=alert(1)> '&\ Müller & Söhne Иван 山田 אבג عرب हिन्दी 🔏` + "\u2028"

// told has mail programs told all that can be configured.
func told(_ *site, c *web.Config) {
	c.Organisation = awkward
	c.Mail = clients.Policy{Account: clients.Account{IMAP: "mail.example.test"}, Sign: true, AddressBook: clients.AddressBook{URL: "ldaps://ldap.example.test", Base: "ou=Söhne,dc=example,dc=test"}}
}

const administrators = "/guides/administrators"

var handouts = []string{"root.cer", "issuing.cer", "sealpost-root.pem", "sealpost-chain.pem", "sealpost-chain.p7b", "sealpost.sst", "sealpost.reg", "sealpost.mobileconfig", "policies.json", "mozilla.cfg", "sealpost.js"}

// administrator is a browser of an operator.
func (s *site) administrator(t *testing.T) *browser {
	t.Helper()
	b := s.browser(t)
	b.signIn("operator")
	return b
}

// Who is no operator gets neither the page nor a file of it, and nobody gets another file.
func TestAdministratorsAlone(t *testing.T) {
	s := setup(t)
	stranger, bob, admin := s.browser(t), s.browser(t), s.administrator(t)
	bob.signIn("bob")
	for _, path := range append([]string{""}, handouts...) {
		if path != "" {
			path = "/" + path
		}
		if got := stranger.get(administrators + path); !strings.HasPrefix(got.path, "/signin?to=") {
			t.Errorf("a stranger at %q: %s", path, got.path)
		}
		if got := bob.get(administrators + path); got.status != 403 {
			t.Errorf("bob at %q: %d", path, got.status)
		}
	}
	for _, path := range []string{"nothing", "root-2.cer", "%2e%2e", "root.key"} {
		if got := admin.get(administrators + "/" + path); got.status != 404 {
			t.Errorf("%s: %d", path, got.status)
		}
	}
}

// What administrators get is of this installation's certificates, is what other programs read, and holds no key.
func TestAdministratorsFiles(t *testing.T) {
	s := setup(t, told)
	b := s.administrator(t)
	page := b.get(administrators)
	page.is(t, "the page", 200, administrators, fmt.Sprintf("%X", sha256.Sum256(s.PKI.Root.Raw)), "certutil -dspublish -f root.cer RootCA", "certutil -dspublish -f issuing.cer SubCA", "AlwaysSign", "ldaps://ldap.example.test")
	if strings.Contains(page.body, "<script>alert") || strings.Contains(page.body, "<img src=x") || strings.Contains(page.body, "AlwaysEncrypt") || strings.Contains(page.body, "portal.mail.a") {
		t.Error("the page has what it should not have")
	}
	dir := t.TempDir()
	files := map[string][]byte{}
	for _, name := range handouts {
		if !strings.Contains(page.body, administrators+"/"+name+`"`) {
			t.Errorf("the page does not offer %s", name)
		}
		got := b.get(administrators + "/" + name)
		if got.status != 200 || got.header.Get("Content-Disposition") != `attachment; filename="`+name+`"` || got.header.Get("X-Content-Type-Options") != "nosniff" || strings.Contains(got.body, "PRIVATE") {
			t.Errorf("%s: %d %v", name, got.status, got.header)
		}
		files[name] = []byte(got.body)
		must(t, os.WriteFile(filepath.Join(dir, name), files[name], 0o600))
	}
	for name, want := range map[string][]byte{"root.cer": s.PKI.Root.Raw, "issuing.cer": s.PKI.Issuing.Raw} {
		if string(files[name]) != string(want) {
			t.Errorf("%s is another certificate", name)
		}
	}
	if block, rest := pem.Decode(files["sealpost-root.pem"]); block == nil || string(block.Bytes) != string(s.PKI.Root.Raw) || len(rest) > 0 {
		t.Error("the root in PEM is another certificate")
	}
	e2etest.Tool(t, dir, "openssl", "verify", "-CAfile", "sealpost-chain.pem", "issuing.cer")
	store, err := clients.ReadSST(files["sealpost.sst"])
	must(t, err)
	bundle, err := cms.ParseCertsOnly(files["sealpost-chain.p7b"])
	must(t, err)
	if len(store) != 2 || len(bundle) != 2 || !store[1].Equal(s.PKI.Root) || !bundle[1].Equal(s.PKI.Root) {
		t.Errorf("%d certificates in the store, %d in the bundle", len(store), len(bundle))
	}
	var name string
	must(t, json.Unmarshal([]byte(e2etest.Tool(t, dir, "python3", "-c", `import plistlib, json; print(json.dumps(plistlib.load(open("sealpost.mobileconfig", "rb"))["PayloadDisplayName"]))`)), &name))
	if name != awkward {
		t.Errorf("the profile is of %q", name)
	}
	if script := string(files["mozilla.cfg"]); !strings.Contains(script, `"ldap_2.autoComplete.useDirectory", true`) || strings.Contains(script, "<script") {
		t.Error(script)
	}
}

// Where nothing is configured, the page says what is missing.
func TestAdministratorsUnconfigured(t *testing.T) {
	s := setup(t)
	s.administrator(t).get(administrators).is(t, "the page", 200, administrators, "portal.mail.account", "portal.mail.address_book")
}

func TestAdministratorsInTheBrowser(t *testing.T) {
	s := setup(t, told, func(_ *site, c *web.Config) { c.Organisation = "Example Ltd" })
	ctx := s.chromium(t)
	s.comeIn(t, ctx, "operator", administrators)
	visible(t, ctx, "#chain")
	must(t, chromedp.Run(ctx, pictures(t, "guides-administrators"), chromedp.Navigate(s.server.URL+"/guides")))
	visible(t, ctx, `a[href="`+administrators+`"]`)
}
