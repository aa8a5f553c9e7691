package pkcs12_test

import (
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"testing"

	gopkcs12 "software.sslmate.com/src/go-pkcs12"

	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/pkcs12"
)

// TestForeignFiles reads what openssl and NSS write in their old ways, which Decode refuses.
func TestForeignFiles(t *testing.T) {
	t.Parallel()
	p := thePKI()
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	writePEM(dir, "key.pem", "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(p.rsa2.Key)))
	writePEM(dir, "cert.pem", "CERTIFICATE", p.rsa2.Certificate.Raw)
	writePEM(dir, "ca.pem", "CERTIFICATE", p.ca.Raw)
	export := func(out string, args ...string) {
		run(t, nil, nil, "openssl", append([]string{"pkcs12", "-export", "-inkey", path("key.pem"), "-in", path("cert.pem"), "-certfile", path("ca.pem"),
			"-name", "alice", "-passout", "pass:päss", "-out", path(out)}, args...)...)
	}
	export("modern.p12")
	export("rc2-40.p12", "-legacy")
	export("rc2-128.p12", "-legacy", "-certpbe", "PBE-SHA1-RC2-128", "-keypbe", "PBE-SHA1-RC2-128")
	db := "sql:" + dir
	run(t, nil, nil, "certutil", "-N", "-d", db, "--empty-password")
	run(t, nil, nil, "pk12util", "-i", path("modern.p12"), "-d", db, "-W", "päss")
	run(t, nil, nil, "pk12util", "-o", path("nss.p12"), "-d", db, "-n", "alice", "-W", "päss")
	run(t, nil, nil, "pk12util", "-o", path("nss-old.p12"), "-d", db, "-n", "alice", "-W", "päss",
		"-C", "PKCS #12 V2 PBE With SHA-1 And 40 Bit RC2 CBC", "-c", "PKCS #12 V2 PBE With SHA-1 And 3KEY Triple DES-cbc")
	for _, name := range []string{"modern.p12", "rc2-40.p12", "rc2-128.p12", "nss.p12", "nss-old.p12"} {
		t.Run(name, func(t *testing.T) {
			file := must(os.ReadFile(path(name)))
			got, chain, err := pkcs12.DecodeForeign(file, "päss")
			if err != nil || len(got) != 1 || got[0].Certificate == nil || !got[0].Certificate.Equal(p.rsa2.Certificate) || len(chain) != 1 || !chain[0].Equal(p.ca) {
				t.Fatalf("%d entries, %d in the chain, %v", len(got), len(chain), err)
			}
			if !p.rsa2.Key.(*rsa.PrivateKey).Equal(got[0].Key) {
				t.Error("the key is another one")
			}
			if _, _, err := pkcs12.DecodeForeign(file, "other"); !errors.Is(err, pkcs12.ErrPassphrase) {
				t.Errorf("another passphrase: %v", err)
			}
			if _, _, err := pkcs12.Decode(file, "päss"); (err == nil) != (name == "modern.p12") {
				t.Errorf("Decode: %v", err)
			}
		})
	}
}

// FuzzDecodeForeign reads altered files, also past the MAC, as FuzzDecode does.
func FuzzDecodeForeign(f *testing.F) {
	p := thePKI()
	for _, e := range []*gopkcs12.Encoder{gopkcs12.Modern2023.WithIterations(1), gopkcs12.LegacyDES.WithIterations(1), gopkcs12.LegacyRC2.WithIterations(1)} {
		p12 := must(e.Encode(p.p256.Key, p.p256.Certificate, []*x509.Certificate{p.ca}, "x"))
		f.Add(p12, false)
		f.Add(insideOf(p12), true)
	}
	f.Add([]byte("\x30\x80\x02\x01\x03\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01\xa0\x80\x24\x80\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00"), false)
	f.Add([]byte("\x30\x80\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01\xa0\x80\x24\x80\x04\x02\x30\x00\x00\x00\x00\x00\x00\x00\x00\x00"), true)
	f.Fuzz(func(t *testing.T, data []byte, inside bool) {
		if inside {
			data = pkcs12.WithMAC(data, "x")
		}
		if asksForWork(data) {
			return
		}
		strict, _, errStrict := pkcs12.Decode(data, "x")
		loose, _, err := pkcs12.DecodeForeign(data, "x")
		if err != nil && fault.Of(err) == nil {
			t.Errorf("no fault: %v", err)
		}
		if errStrict == nil && (err != nil || len(strict) != len(loose)) {
			t.Errorf("Decode reads it, DecodeForeign does not: %v", err)
		}
	})
}
