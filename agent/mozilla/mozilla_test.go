package mozilla_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpost/sealpost/agent/mozilla"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o700))
	must(t, os.WriteFile(path, []byte(text), 0o600))
}

func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return string(b)
}

// Profiles are found where each system's packages put them, by whichever list names them; each once.
func TestProfiles(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		goos    string
		program mozilla.Program
		folder  string
	}{
		{"linux", mozilla.Thunderbird, ".thunderbird"},
		{"freebsd", mozilla.Thunderbird, ".thunderbird"},
		{"linux", mozilla.Thunderbird, "snap/thunderbird/common/.thunderbird"},
		{"linux", mozilla.Thunderbird, ".var/app/org.mozilla.Thunderbird/.thunderbird"},
		{"linux", mozilla.Firefox, ".mozilla/firefox"},
		{"linux", mozilla.Firefox, ".config/mozilla/firefox"},
		{"linux", mozilla.Firefox, "snap/firefox/common/.mozilla/firefox"},
		{"darwin", mozilla.Thunderbird, "Library/Thunderbird"},
		{"darwin", mozilla.Firefox, "Library/Application Support/Firefox"},
		{"windows", mozilla.Thunderbird, "AppData/Roaming/Thunderbird"},
		{"windows", mozilla.Firefox, "AppData/Roaming/Mozilla/Firefox"},
	} {
		t.Run(tt.goos+" "+tt.folder, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			at := filepath.Join(home, tt.folder)
			far := filepath.Join(home, "far")
			write(t, filepath.Join(at, "profiles.ini"), "[Install4F96D1932A9F858E]\r\nDefault=Profiles/one.default\r\nLocked=1\r\n\r\n"+
				"[Profile1]\r\nName=far\r\nIsRelative=0\r\nPath="+far+"\r\n; mine\r\n[Profile0]\r\nName=default\r\nIsRelative=1\r\nPath=Profiles/one.default\r\n"+
				"[Profile2]\nName=gone\nIsRelative=1\nPath=Profiles/gone\n[General]\nStartWithLastProfile=1\nVersion=2\n")
			write(t, filepath.Join(at, "installs.ini"), "[4F96D1932A9F858E]\nDefault=Profiles/two\nLocked=1\n")
			for _, dir := range []string{filepath.Join(at, "Profiles/one.default"), filepath.Join(at, "Profiles/two"), far} {
				must(t, os.MkdirAll(dir, 0o700))
			}
			got, err := mozilla.System{GOOS: tt.goos, Home: home}.Profiles(tt.program)
			want := []string{filepath.Join(at, "Profiles/one.default"), far, filepath.Join(at, "Profiles/two")}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%v %s", err, diff)
			}
		})
	}
}

func TestProfilesRefuse(t *testing.T) {
	t.Parallel()
	for name, list := range map[string]string{
		"leads out":          "[Profile0]\nIsRelative=1\nPath=../../etc\n",
		"leads out later":    "[Profile0]\nIsRelative=1\nPath=a/../../b\n",
		"whole, as relative": "[Profile0]\nIsRelative=1\nPath=/etc\n",
		"relative, as whole": "[Profile0]\nIsRelative=0\nPath=etc\n",
		"an install's":       "[Install1]\nDefault=../x\n",
		"no section":         "Path=x\n",
		"no setting":         "[Profile0]\nhello\n",
		"control characters": "[Profile0]\nPath=a\tb\n",
		"too many":           strings.Repeat("[Profile0]\nPath=a\n[Profile1]\nPath=b\n", 1) + many(201),
	} {
		home := t.TempDir()
		write(t, filepath.Join(home, ".thunderbird/profiles.ini"), list)
		good := filepath.Join(home, "snap/thunderbird/common/.thunderbird")
		write(t, filepath.Join(good, "profiles.ini"), "[Profile0]\nPath=p\n")
		must(t, os.Mkdir(filepath.Join(good, "p"), 0o700))
		got, err := mozilla.System{GOOS: "linux", Home: home}.Profiles(mozilla.Thunderbird)
		if err == nil || !cmp.Equal(got, []string{filepath.Join(good, "p")}) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if got, err := (mozilla.System{GOOS: "linux", Home: t.TempDir()}).Profiles(mozilla.Thunderbird); got != nil || err != nil {
		t.Errorf("nobody: %v, %v", got, err)
	}
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("[ProfileX]\nPath=p" + strings.Repeat("x", i) + "\n")
	}
	return b.String()
}

// certificate makes one that an issuer has signed, with a serial number.
func certificate(t testing.TB, issuer, name string, serial int64) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	parent := &x509.Certificate{Subject: pkix.Name{CommonName: issuer}}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}}, parent, key.Public(), key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return cert
}

// As Thunderbird 153 gives it for a certificate of this issuer and number.
func TestDBKey(t *testing.T) {
	t.Parallel()
	issuer := pkix.Name{CommonName: "Example Root", Organization: []string{"Example"}}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	for serial, want := range map[string]string{
		"8f3300112233445566778899aabbccddeeff0011": "AAAAAAAAAAAAAAAVAAAAKwCPMwARIjNEVWZ3iJmqu8zd7v8AETApMRAwDgYDVQQKDAdFeGFtcGxlMRUwEwYDVQQDDAxFeGFtcGxlIFJvb3Q=",
		"10002": "AAAAAAAAAAAAAAADAAAAKwEAAjApMRAwDgYDVQQKDAdFeGFtcGxlMRUwEwYDVQQDDAxFeGFtcGxlIFJvb3Q=",
	} {
		n, _ := new(big.Int).SetString(serial, 16)
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: n}, &x509.Certificate{Subject: issuer}, key.Public(), key)
		must(t, err)
		cert, err := x509.ParseCertificate(der)
		must(t, err)
		// OpenSSL wrote UTF8Strings where Go writes PrintableStrings.
		cert.RawIssuer = []byte(strings.NewReplacer("\x13\x07", "\x0c\x07", "\x13\x0c", "\x0c\x0c").Replace(string(cert.RawIssuer)))
		if got := mozilla.DBKey(cert); got != want {
			t.Errorf("%s: %s", serial, got)
		}
	}
}

const sample = `// Mozilla User Preferences

// If you make changes to this file while the application is running,
// the changes will be overwritten when the application exits.

user_pref("a.first", -3);
user_pref("mail.identity.id1.fullName", "Alice \"A\" Ä\\");
user_pref("mail.identity.id1.useremail", "Alice@Example.test");
user_pref("mail.identity.id2.useremail", "bob@example.test");
user_pref("mail.identity.id3.useremail", "a.liddell@example.test"); user_pref("mail.identity.id3.valid", true);
/* user_pref("mail.identity.id4.useremail", "alice@example.test"); */
this is no statement user_pref("mail.identity.id5.useremail", "alice@example.test");
user_pref("z.last", true);`

// Accounts with the person's addresses, and no others, use the certificates; not a byte of anything else changes.
func TestChoose(t *testing.T) {
	t.Parallel()
	profile := t.TempDir()
	prefs := filepath.Join(profile, "prefs.js")
	write(t, prefs, sample)
	signing, encryption := certificate(t, "CA", `Alice "x" \ Ä`, 1), certificate(t, "CA", "Alice", 2)
	c := mozilla.Choice{Addresses: []string{"alice@example.test", "A.Liddell@example.test"}, Signing: signing, Encryption: encryption, Ours: []*x509.Certificate{signing, encryption}}
	got, err := mozilla.Choose(profile, c)
	if diff := cmp.Diff(mozilla.Chosen{Accounts: []string{"Alice@Example.test", "a.liddell@example.test"}}, got); err != nil || diff != "" {
		t.Fatalf("%v %s", err, diff)
	}
	text := read(t, prefs)
	rest, ok := strings.CutPrefix(text, sample+"\n")
	if !ok || strings.Count(rest, "\n") != 10 {
		t.Errorf("prefs.js:\n%s", text)
	}
	for _, id := range []string{"id1", "id3"} {
		for _, want := range []string{`.signing_cert_name", "Alice \"x\" \\ Ä");`, `.signing_cert_dbkey", "` + mozilla.DBKey(signing) + `");`, `.sign_mail", true);`,
			`.encryption_cert_name", "Alice");`, `.encryption_cert_dbkey", "` + mozilla.DBKey(encryption) + `");`} {
			if !strings.Contains(rest, `user_pref("mail.identity.`+id+want+"\n") {
				t.Errorf("there is no %s%s in:\n%s", id, want, rest)
			}
		}
	}
	if old := read(t, prefs+".before-sealpost"); old != sample {
		t.Errorf("kept as it was before:\n%s", old)
	}
	info, err := os.Stat(prefs)
	must(t, err)
	if _, err = mozilla.Choose(profile, c); err != nil {
		t.Fatal(err)
	}
	if again, err := os.Stat(prefs); err != nil || !os.SameFile(info, again) {
		t.Errorf("written though nothing changed: %v", err)
	}
	// A renewal; in the meantime the person has switched signing off for one account, and so it stays.
	off := strings.Replace(text, `user_pref("mail.identity.id1.sign_mail", true);`+"\n", "", 1)
	write(t, prefs, off)
	renewed := certificate(t, "CA", "Alice", 0x81)
	c.Signing, c.Ours = renewed, append(c.Ours, renewed)
	if _, err = mozilla.Choose(profile, c); err != nil {
		t.Fatal(err)
	}
	want := strings.ReplaceAll(strings.ReplaceAll(off, mozilla.DBKey(signing), mozilla.DBKey(renewed)), `"Alice \"x\" \\ Ä"`, `"Alice"`)
	if diff := cmp.Diff(want, read(t, prefs)); diff != "" {
		t.Error(diff)
	}
}

// What somebody chose of another authority stays; one that is known as the person's of old does not.
func TestChooseLeavesOthers(t *testing.T) {
	t.Parallel()
	other, old, ours := certificate(t, "Other CA", "Alice", 7), certificate(t, "Old CA", "Alice", 8), certificate(t, "CA", "Alice", 9)
	c := mozilla.Choice{Addresses: []string{"alice@example.test"}, Signing: ours, Encryption: ours, Ours: []*x509.Certificate{ours}, Foreign: []*x509.Certificate{old}}
	for _, tt := range []struct {
		has  string
		kept bool
	}{{mozilla.DBKey(other), true}, {"garbage", true}, {mozilla.DBKey(old), false}, {mozilla.DBKey(ours), false}, {"", false}} {
		profile := t.TempDir()
		text := `user_pref("mail.identity.id1.useremail", "alice@example.test");` + "\n" + `user_pref("mail.identity.id1.signing_cert_dbkey", "` + tt.has + `");` + "\n" +
			`user_pref("mail.identity.id1.encryption_cert_dbkey", "` + tt.has + `");` + "\n"
		write(t, filepath.Join(profile, "prefs.js"), text)
		got, err := mozilla.Choose(profile, c)
		must(t, err)
		now := read(t, filepath.Join(profile, "prefs.js"))
		if tt.kept != (len(got.Kept) == 1) || tt.kept != (now == text) || tt.kept == strings.Contains(now, mozilla.DBKey(ours)) {
			t.Errorf("%q: %+v\n%s", tt.has, got, now)
		}
	}
}

const holdLock = `
import fcntl, sys
f = open(sys.argv[1] + "/.parentlock", "w")
fcntl.lockf(f, fcntl.LOCK_EX)
print("ready", flush=True)
sys.stdin.read()
`

// running holds the profile as Thunderbird does, until the function is called.
func running(t *testing.T, profile string) (end func()) {
	t.Helper()
	cmd := exec.Command("/usr/bin/python3", "-I", "-c", holdLock, profile)
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("%q, %v", line, err)
	}
	ended := false
	end = func() {
		if !ended {
			ended = true
			must(t, in.Close())
			must(t, cmd.Wait())
		}
	}
	t.Cleanup(end)
	return end
}

// While the program runs, its preferences are left alone; what it should read at its next start waits in user.js, and goes again
// without a trace.
func TestChooseWhileRunning(t *testing.T) {
	t.Parallel()
	for _, before := range []string{"", "// my own\nuser_pref(\"a.b\", 1);\n"} {
		profile := t.TempDir()
		prefs, user := filepath.Join(profile, "prefs.js"), filepath.Join(profile, "user.js")
		write(t, prefs, sample)
		if before != "" {
			write(t, user, before)
		}
		signing := certificate(t, "CA", "Alice", 1)
		c := mozilla.Choice{Addresses: []string{"alice@example.test"}, Signing: signing, Ours: []*x509.Certificate{signing}}
		end := running(t, profile)
		for range 2 {
			got, err := mozilla.Choose(profile, c)
			if err != nil || !got.Waiting || read(t, prefs) != sample {
				t.Fatalf("%+v, %v\n%s", got, err, read(t, prefs))
			}
		}
		block := read(t, user)
		if !strings.HasPrefix(block, before+"// Begin:") || strings.Count(block, "Begin:") != 1 || strings.Count(block, "user_pref(\"mail") != 3 {
			t.Errorf("user.js:\n%s", block)
		}
		// It was started again, and has read the block.
		write(t, prefs, sample+"\n"+strings.TrimPrefix(block, before))
		got, err := mozilla.Choose(profile, c)
		if err != nil || got.Waiting {
			t.Errorf("once it is in: %+v, %v", got, err)
		}
		checkUser(t, user, before)
		// The next one waits again; but the program ends, and so it is written where it belongs.
		c.Signing = certificate(t, "CA", "Alice", 2)
		if got, err = mozilla.Choose(profile, c); err != nil || !got.Waiting {
			t.Errorf("the next: %+v, %v", got, err)
		}
		end()
		if got, err = mozilla.Choose(profile, c); err != nil || got.Waiting || !strings.Contains(read(t, prefs), mozilla.DBKey(c.Signing)) {
			t.Errorf("after its end: %+v, %v", got, err)
		}
		checkUser(t, user, before)
	}
}

func checkUser(t *testing.T, user, want string) {
	t.Helper()
	b, err := os.ReadFile(user)
	if want == "" && os.IsNotExist(err) {
		return
	}
	if err != nil || string(b) != want {
		t.Errorf("user.js is %q, %v; want %q", b, err, want)
	}
}

func FuzzList(f *testing.F) {
	f.Add("[Profile0]\nName=default\nIsRelative=1\nPath=Profiles/abc.default\nDefault=1\n[General]\nVersion=2\n")
	f.Add("\ufeff[Install1]\r\nDefault=x\r\n[Profile1]\r\nIsRelative=0\r\nPath=/elsewhere/x\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		found, err := mozilla.ParseList(text)
		if err != nil && found != nil {
			t.Errorf("%v beside %v", found, err)
		}
		for _, path := range found {
			if !filepath.IsAbs(path) && !filepath.IsLocal(path) {
				t.Errorf("%q leads out", path)
			}
		}
	})
}

func FuzzPrefs(f *testing.F) {
	f.Add(sample, "mail.identity.id1.signing_cert_name", "Alice \\ \"x\"\n\x01")
	f.Add("user_pref('x', '\\u00c4\\x41'); # y\nuser_pref(\"x\",2)", "x", "")
	f.Fuzz(func(t *testing.T, text, name, value string) {
		if strings.ContainsRune(name+value, 0) {
			return // no preference of ours
		}
		now := mozilla.SetPref(text, name, value)
		if got, ok := mozilla.GetPref(now, name); mozilla.Unended(text) || ok && got == value {
			if again := mozilla.SetPref(now, name, value); ok && again != now {
				t.Errorf("set again: %q, %q", now, again)
			}
			return
		} else {
			t.Errorf("%q is %q, %v in %q", name, got, ok, now)
		}
	})
}
