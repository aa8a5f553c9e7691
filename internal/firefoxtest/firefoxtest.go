// Package firefoxtest runs the real Firefox for tests, without a display, in a profile and a home of its own, and drives it through Marionette. It
// is imported by tests only.
//
// It knows what Firefox can tell of certificates and do with them. Which there are is for others to arrange: it adds none and trusts none.
package firefoxtest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/sealpost/sealpost/internal/child"
	"github.com/sealpost/sealpost/internal/marionettetest"
)

// Firefox is a profile, and the program once it was started.
type Firefox struct {
	Home    string // with .mozilla in it, as a person's
	Profile string

	*marionettetest.Program
	port int
}

// New makes the profile, which nothing has used yet. With -short the test is skipped; a missing Firefox fails it.
func New(t testing.TB) *Firefox {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Firefox; not run with -short")
	}
	home := t.TempDir()
	f := &Firefox{Home: home, Profile: filepath.Join(home, ".mozilla", "firefox", "abcd1234.default-esr")}
	ports, err := child.FreePorts(1)
	if err == nil {
		f.port = ports[0]
		err = os.MkdirAll(f.Profile, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	all := marionettetest.Preferences(f.port)
	all["browser.shell.checkDefaultBrowser"] = false
	for path, text := range map[string]string{
		filepath.Join(f.Profile, "prefs.js"):                 marionettetest.Prefs(t, all),
		filepath.Join(home, ".mozilla/firefox/profiles.ini"): "[Profile0]\nName=default-esr\nIsRelative=1\nPath=abcd1234.default-esr\nDefault=1\n\n[General]\nStartWithLastProfile=1\nVersion=2\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { f.Kill() })
	return f
}

// Start starts the program, which ends with the test at the latest.
func (f *Firefox) Start(t testing.TB) {
	t.Helper()
	path, err := child.FindProgram("firefox-esr", "/usr/lib/firefox-esr")
	if err != nil {
		t.Fatal(err)
	}
	f.Program = marionettetest.Start(t, marionettetest.Config{Path: path, Home: f.Home, Profile: f.Profile, Port: f.port})
}

// Certificate is one that Firefox knows, as it judges it now.
type Certificate struct {
	Serial  string // in Firefox's form
	Issuer  bool   // trusted as an issuer for mail
	HasKey  bool
	Subject string
}

// Certificates returns those whose subject has a name in it.
func (f *Firefox) Certificates(t testing.TB, name string) (found []Certificate) {
	t.Helper()
	v := f.Run(t, `
const out = [];
for (const c of certificates.getCerts().filter(c => c.subjectName.includes(a0))) out.push({Serial: c.serialNumber, Subject: c.subjectName,
	Issuer: certificates.isCertTrusted(c, Ci.nsIX509Cert.CA_CERT, Ci.nsIX509CertDB.TRUSTED_EMAIL),
	HasKey: (c.certType & Ci.nsIX509Cert.USER_CERT) != 0});
return out;`, name)
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, &found)
	}
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Export has Firefox write certificates of these serial numbers with their keys into a PKCS#12 file ("Back Up").
func (f *Firefox) Export(t testing.TB, path, password string, serials ...string) {
	t.Helper()
	f.Run(t, `
const file = Cc["@mozilla.org/file/local;1"].createInstance(Ci.nsIFile);
file.initWithPath(a0);
const code = certificates.exportPKCS12File(file, certificates.getCerts().filter(c => a2.includes(c.serialNumber)), a1);
if (code) throw new Error("exportPKCS12File: " + code);`, path, password, serials)
}

// Fetch has Firefox get a page, and returns its text, or why not.
func (f *Firefox) Fetch(t testing.TB, url string) (text, failure string) {
	t.Helper()
	v, ok := f.Run(t, `
const x = new XMLHttpRequest();
return await new Promise(r => { x.open("GET", a0); x.onload = () => r([x.responseText, ""]);
	x.onerror = () => r(["", "0x" + (x.channel.status >>> 0).toString(16)]); x.send() });`, url).([]any)
	if !ok || len(v) != 2 {
		t.Fatalf("Firefox says %v", v)
	}
	text, _ = v[0].(string)
	failure, _ = v[1].(string)
	return text, failure
}
