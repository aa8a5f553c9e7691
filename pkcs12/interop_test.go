package pkcs12_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/pkcs12"
)

// pemBlocks returns the DER of all blocks of one type.
func pemBlocks(text []byte, typ string) (list [][]byte) {
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return list
		}
		if block.Type == typ {
			list = append(list, block.Bytes)
		}
		text = rest
	}
}

// TestOpenSSLReadsOurs has openssl extract every key and certificate.
func TestOpenSSLReadsOurs(t *testing.T) {
	t.Parallel()
	p := thePKI()
	all := []pkcs12.Entry{p.rsa2, p.rsa, p.p256, p.p384, p.x25519}
	for _, tc := range []struct {
		profile    pkcs12.Profile
		passphrase string
		entries    []pkcs12.Entry
		info       []string
	}{
		{pkcs12.Modern, "pässword", all[:2], []string{"MAC: sha256, Iteration 600000", "PBES2, PBKDF2, AES-256-CBC, Iteration 600000, PRF hmacWithSHA256"}},
		{pkcs12.ModernGenerated, generated, all, []string{"MAC: sha256, Iteration 10000", "PBES2, PBKDF2, AES-256-CBC, Iteration 10000, PRF hmacWithSHA256"}},
		{pkcs12.Compatibility, generated, all[:1], []string{"MAC: sha1, Iteration 100000", "pbeWithSHA1And3-KeyTripleDES-CBC, Iteration 100000"}},
		{pkcs12.Compatibility, generated, all[2:3], []string{"MAC: sha1, Iteration 100000"}},
	} {
		t.Run(tc.profile.String(), func(t *testing.T) {
			t.Parallel()
			p12 := encode(t, tc.entries, []*x509.Certificate{p.ca}, tc.passphrase, tc.profile)
			out, info := run(t, nil, p12, "openssl", "pkcs12", "-info", "-nodes", "-passin", "pass:"+tc.passphrase)
			keys, certs := pemBlocks(out, "PRIVATE KEY"), pemBlocks(out, "CERTIFICATE")
			if len(keys) != len(tc.entries) || len(certs) != len(tc.entries)+1 {
				t.Fatalf("%d keys and %d certificates:\n%s", len(keys), len(certs), info)
			}
			for i, e := range tc.entries {
				if !bytes.Equal(keys[i], must(x509.MarshalPKCS8PrivateKey(e.Key))) || !bytes.Equal(certs[i], e.Certificate.Raw) {
					t.Errorf("entry %d differs", i)
				}
			}
			for _, want := range tc.info {
				if !strings.Contains(string(info), want) {
					t.Errorf("no %q in:\n%s", want, info)
				}
			}
			if n := bytes.Count(out, []byte("localKeyID")); n != 2*len(tc.entries) {
				t.Errorf("%d bags have a localKeyID", n)
			}
			for _, name := range []string{p.rsa.Name, p.p256.Name, p.x25519.Name} { // openssl garbles what is not ASCII
				named := slices.ContainsFunc(tc.entries, func(e pkcs12.Entry) bool { return e.Name == name })
				if n := bytes.Count(out, []byte("friendlyName: "+name)); named && n != 2 {
					t.Errorf("%d bags are named %q", n, name)
				}
			}
		})
	}
}

// TestDecodeOpenSSLs reads what openssl writes.
func TestDecodeOpenSSLs(t *testing.T) {
	t.Parallel()
	p := thePKI()
	for name, flags := range map[string][]string{
		"default":          nil,
		"many iterations":  {"-iter", "100000"},
		"no encryption":    {"-certpbe", "NONE", "-keypbe", "NONE"},
		"certs in clear":   {"-certpbe", "NONE"},
		"aes128 sha512":    {"-certpbe", "AES-128-CBC", "-keypbe", "AES-192-CBC", "-macalg", "sha512"},
		"mac sha384":       {"-macalg", "sha384"},
		"3des":             {"-legacy", "-certpbe", "PBE-SHA1-3DES", "-keypbe", "PBE-SHA1-3DES", "-macalg", "sha1"},
		"legacy descert":   {"-legacy", "-descert"},
		"iterations of 1":  {"-noiter", "-nomaciter"},
		"microsoft's name": {"-CSP", "Microsoft Enhanced Cryptographic Provider v1.0"},
	} {
		for _, e := range []pkcs12.Entry{p.rsa, p.p256} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				key := writePEM(dir, "key", "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(e.Key)))
				crt := writePEM(dir, "crt", "CERTIFICATE", e.Certificate.Raw)
				ca := writePEM(dir, "ca", "CERTIFICATE", p.ca.Raw)
				args := append([]string{"pkcs12", "-export", "-inkey", key, "-in", crt, "-certfile", ca, "-name", e.Name, "-passout", "pass:pässword"}, flags...)
				p12, _ := run(t, nil, nil, "openssl", args...)
				entries, chain, err := pkcs12.Decode(p12, "pässword")
				if err != nil {
					t.Fatal(err)
				}
				compareEntries(t, []pkcs12.Entry{e}, entries)
				compareChain(t, []*x509.Certificate{p.ca}, chain)
				if _, _, err := pkcs12.Decode(p12, "password"); !errors.Is(err, pkcs12.ErrPassphrase) {
					t.Errorf("wrong passphrase: %v", err)
				}
			})
		}
	}
}

// TestNSS imports a file with several keys into a fresh database, as Thunderbird
// and Firefox do, and reads what NSS exports.
func TestNSS(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs the NSS tools")
	}
	p := thePKI()
	for _, tc := range []struct {
		profile    pkcs12.Profile
		passphrase string
		entries    []pkcs12.Entry
	}{
		{pkcs12.Modern, "correct horse", []pkcs12.Entry{p.rsa2, p.rsa, p.p256, p.p384}},
		{pkcs12.ModernGenerated, generated, []pkcs12.Entry{p.rsa, p.p256}},
		{pkcs12.Compatibility, generated, []pkcs12.Entry{p.rsa}},
	} {
		t.Run(tc.profile.String(), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			db := "sql:" + filepath.Join(dir, "db")
			if err := os.Mkdir(filepath.Join(dir, "db"), 0o700); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, "in.p12")
			if err := os.WriteFile(file, encode(t, tc.entries, []*x509.Certificate{p.ca}, tc.passphrase, tc.profile), 0o600); err != nil {
				t.Fatal(err)
			}
			run(t, nil, nil, "certutil", "-N", "-d", db, "--empty-password")
			run(t, nil, nil, "pk12util", "-i", file, "-d", db, "-W", tc.passphrase)
			listed, _ := run(t, nil, nil, "certutil", "-K", "-d", db)
			if n := bytes.Count(listed, []byte("\n<")); n != len(tc.entries) {
				t.Errorf("NSS has %d keys, not %d:\n%s", n, len(tc.entries), listed)
			}
			for _, want := range tc.entries {
				if want.Name == "" {
					continue // NSS makes up a name
				}
				// What NSS exports is BER, which Decode does not read; openssl does.
				exported := filepath.Join(dir, "out.p12")
				run(t, nil, nil, "pk12util", "-o", exported, "-d", db, "-W", "other pass", "-n", want.Name)
				out, _ := run(t, nil, nil, "openssl", "pkcs12", "-in", exported, "-nodes", "-passin", "pass:other pass")
				keys := pemBlocks(out, "PRIVATE KEY")
				if len(keys) != 1 || !bytes.Equal(keys[0], must(x509.MarshalPKCS8PrivateKey(want.Key))) {
					t.Errorf("NSS exports %d keys as %q, and not this", len(keys), want.Name)
				}
				if _, _, err := pkcs12.Decode(must(os.ReadFile(exported)), "other pass"); !errors.Is(err, pkcs12.ErrUnsupported) {
					t.Errorf("BER: %v", err)
				}
			}
		})
	}
}

// TestGPGSM imports a Compatibility file into gpgsm, which then decrypts mail.
func TestGPGSM(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs gpgsm")
	}
	p := thePKI()
	home, err := os.MkdirTemp("", "g") // its sockets need a short path
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"GNUPGHOME=" + home}
	t.Cleanup(func() {
		run(t, env, nil, "gpgconf", "--kill", "all")
		os.RemoveAll(home)
	})
	for i, e := range []pkcs12.Entry{p.rsa, p.rsa2} {
		file := filepath.Join(home, "in.p12")
		if err := os.WriteFile(file, encode(t, []pkcs12.Entry{e}, []*x509.Certificate{p.ca}, generated, pkcs12.Compatibility), 0o600); err != nil {
			t.Fatal(err)
		}
		_, log := run(t, env, []byte(generated+"\n"), "gpgsm", "--batch", "--yes", "--pinentry-mode", "loopback", "--passphrase-fd", "0", "--import", file)
		if !bytes.Contains(log, []byte("secret keys imported: 1")) {
			t.Fatalf("key %d was not imported:\n%s", i, log)
		}
	}
	crt := writePEM(home, "crt", "CERTIFICATE", p.rsa.Certificate.Raw)
	mail := filepath.Join(home, "mail")
	run(t, nil, []byte("hello alice"), "openssl", "cms", "-encrypt", "-binary", "-aes256", "-outform", "DER", "-out", mail, "-recip", crt)
	out, log := run(t, env, []byte(generated+"\n"), "gpgsm", "--batch", "--pinentry-mode", "loopback", "--passphrase-fd", "0", "--decrypt", mail)
	if string(out) != "hello alice" {
		t.Errorf("gpgsm decrypts to %q:\n%s", out, log)
	}
}
