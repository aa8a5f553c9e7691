package foreign_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpost/sealpost/agent/foreign"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/pkcs12"
)

// windows is Windows' authority as far as "certutil -getkey" goes: what it writes is made here by openssl after the public
// documents ([MS-CSRA] 3.1.4.2.9, [MS-WCCE], bcrypt.h). No blob of a real one was at hand.
type windows struct {
	old
	agents []cms.Recipient
}

func (d *desk) windowsAuthority() *windows {
	d.t.Helper()
	w := &windows{old: d.oldAuthority()}
	for _, name := range []string{"kra-1", "kra-2"} {
		w.issue(name, "/CN="+name, "", "keyUsage=critical,keyEncipherment\nextendedKeyUsage=1.3.6.1.4.1.311.21.6")
		w.p12(name, "pki/"+name+".pfx", "kra")
		entries, _, err := pkcs12.DecodeForeign(read(d.t, d.path("pki/"+name+".pfx")), "kra")
		must(d.t, err)
		w.agents = append(w.agents, cms.Recipient{Certificate: entries[0].Certificate, Key: entries[0].Key.(cms.Decrypter)})
	}
	return w
}

// archive makes the recovery blob of a key: content sealed to both agents, in SignedData of the authority with the user's
// certificate.
func (w *windows) archive(name, file string, content []byte, encrypt ...string) []byte {
	w.d.t.Helper()
	must(w.d.t, os.WriteFile(w.d.path("pki/content"), content, 0o600))
	if encrypt == nil {
		encrypt = []string{"-des3"}
	}
	w.openssl(append(append([]string{"cms", "-encrypt", "-binary", "-outform", "DER", "-in", "content", "-out", "enveloped"}, encrypt...), "kra-1.pem", "kra-2.pem")...)
	w.openssl("cms", "-sign", "-binary", "-nodetach", "-nosmimecap", "-outform", "DER", "-md", "sha256", "-in", "enveloped", "-signer", "ca.pem", "-inkey", "ca.key", "-certfile", name+".pem",
		"-out", "blob")
	blob := read(w.d.t, w.d.path("pki/blob"))
	if file != "" {
		w.d.write(file, blob)
	}
	return blob
}

// capi is the key as Windows' older interface exports it, by openssl.
func (w *windows) capi(name string) []byte {
	w.d.t.Helper()
	w.openssl("rsa", "-in", name+".key", "-outform", "MS PRIVATEKEYBLOB", "-out", name+".blob")
	return read(w.d.t, w.d.path("pki/"+name+".blob"))
}

// cng is the key as Windows' newer interface exports it (bcrypt.h).
func (w *windows) cng(name string, full bool) []byte {
	w.d.t.Helper()
	le := binary.LittleEndian
	switch k := w.key(name).(type) {
	case *rsa.PrivateKey:
		magic := uint32(0x32415352)
		if full {
			magic = 0x33415352
		}
		n, half := k.Size(), k.Size()/2
		b := le.AppendUint32(nil, magic)
		for _, size := range []int{8 * n, 3, n, half, half} {
			b = le.AppendUint32(b, uint32(size))
		}
		fixed := func(x *big.Int, size int) { b = append(b, x.FillBytes(make([]byte, size))...) }
		fixed(big.NewInt(int64(k.E)), 3)
		fixed(k.N, n)
		fixed(k.Primes[0], half)
		fixed(k.Primes[1], half)
		if full {
			fixed(k.Precomputed.Dp, half)
			fixed(k.Precomputed.Dq, half)
			fixed(k.Precomputed.Qinv, half)
			fixed(k.D, n)
		}
		return b
	case *ecdsa.PrivateKey:
		magic := map[string]uint32{"P-256": 0x324b4345, "P-384": 0x344b4345, "P-521": 0x364b4345}[k.Params().Name]
		public, err := k.PublicKey.Bytes()
		must(w.d.t, err)
		d, err := k.Bytes()
		must(w.d.t, err)
		b := le.AppendUint32(le.AppendUint32(nil, magic), uint32(len(d)))
		return append(append(b, public[1:]...), d...)
	}
	w.d.t.Fatalf("%s has another kind of key", name)
	return nil
}

// What certutil -getkey writes arrives, opened by the old agent's key.
func TestImportRecoveryBlobs(t *testing.T) {
	d := newDesk(t)
	w := d.windowsAuthority()
	rsaKeys := []string{"older", "newer", "full", "aes", "base64", "header", "pkcs8", "bare"}
	for _, name := range append(rsaKeys, "p256", "p384") {
		kind := []string{}
		switch name {
		case "p256":
			kind = []string{"key=ec:P-256", "keyUsage=critical,keyAgreement"}
		case "p384":
			kind = []string{"key=ec:P-384", "keyUsage=critical,keyAgreement"}
		}
		w.issue(name, "/CN=Alice Anders", "alice@example.test", kind...)
	}
	w.archive("older", "in/older.bin", w.capi("older"))
	w.archive("newer", "in/newer.bin", w.cng("newer", false), "-aes256")
	w.archive("full", "in/full.bin", w.cng("full", true), "-aes256")
	w.archive("aes", "in/aes.bin", w.capi("aes"), "-aes128")
	w.archive("p256", "in/p256.bin", w.cng("p256", false))
	w.archive("p384", "in/p384.bin", w.cng("p384", false))
	w.openssl("pkcs8", "-topk8", "-nocrypt", "-in", "pkcs8.key", "-outform", "DER", "-out", "pkcs8.der")
	w.archive("pkcs8", "in/pkcs8.bin", read(t, d.path("pki/pkcs8.der")))
	d.write("in/base64.txt", []byte(base64.StdEncoding.EncodeToString(w.archive("base64", "", w.capi("base64")))+"\r\n"))
	d.write("in/header.txt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.archive("header", "", w.capi("header"))}))
	// Without the authority's signature, and the certificate among the files, as "certutil -dump" and the like leave it.
	w.archive("bare", "", w.capi("bare"))
	d.write("in/bare.bin", read(t, d.path("pki/enveloped")))
	d.write("in/bare.cer", read(t, d.path("pki/bare.pem")))

	agents := func(o *foreign.Options) { o.Agents = w.agents[1:] }
	want := map[string]string{"bare.cer": "skipped"}
	for _, f := range []string{"older.bin", "newer.bin", "full.bin", "aes.bin", "p256.bin", "p384.bin", "pkcs8.bin", "base64.txt", "header.txt", "bare.bin"} {
		want[f] = "archived"
	}
	if diff := cmp.Diff(want, said(d.imports("in", agents))); diff != "" {
		t.Error(diff)
	}
	if n := d.Database.Count(t, `select count(*) from archive.record where person = '`+d.Actor(t, "alice").Person.String()+`'`); n != 10 {
		t.Errorf("%d of alice's keys, want 10", n)
	}
}

// Blobs that must not come in, or cannot be opened.
func TestImportBadBlobs(t *testing.T) {
	d := newDesk(t)
	w := d.windowsAuthority()
	w.issue("alice", "/CN=Alice Anders", "alice@example.test")
	w.issue("other", "/CN=Alice Anders", "alice@example.test")
	w.issue("signs", "/CN=Alice Anders", "alice@example.test", "keyUsage=critical,digitalSignature")
	capi := w.capi("alice")
	signature := bytes.Clone(capi)
	binary.LittleEndian.PutUint32(signature[4:], 0x2400) // CALG_RSA_SIGN
	flipped := bytes.Clone(capi)
	flipped[300] ^= 1 // of p
	w.archive("alice", "in/at-signature.bin", signature)
	w.archive("alice", "in/cut.bin", capi[:len(capi)-1])
	w.archive("alice", "in/flipped.bin", flipped)
	w.archive("alice", "in/ecdsa.bin", append([]byte("ECS2"), make([]byte, 100)...))
	w.archive("alice", "in/text.bin", []byte("this is not a key at all, but some text"))
	w.archive("alice", "in/empty.bin", []byte("x"))
	w.archive("other", "in/other-certificate.bin", capi)
	w.archive("signs", "in/signs.bin", w.capi("signs"))
	blob := w.archive("alice", "", capi)
	d.write("in/cut-off.bin", blob[:len(blob)-40])
	changed := bytes.Clone(blob)
	changed[bytes.Index(blob, read(t, d.path("pki/enveloped"))[len(read(t, d.path("pki/enveloped")))-64:])+3] ^= 1 // in the ciphertext
	d.write("in/changed.bin", changed)
	w.openssl("cms", "-sign", "-binary", "-nodetach", "-outform", "DER", "-in", "alice.pem", "-signer", "ca.pem", "-inkey", "ca.key", "-out", d.path("in/signed-mail.bin"))
	w.openssl("cms", "-sign", "-binary", "-outform", "DER", "-in", "alice.pem", "-signer", "ca.pem", "-inkey", "ca.key", "-out", d.path("in/detached.bin"))
	report := d.imports("in", func(o *foreign.Options) { o.Agents = w.agents })
	want := map[string]string{"at-signature.bin": "refused import-signing-key", "cut.bin": "refused import-recovery-blob", "flipped.bin": "refused import-recovery-blob",
		"ecdsa.bin": "refused import-signing-key", "text.bin": "refused import-recovery-blob", "empty.bin": "refused import-recovery-blob",
		"other-certificate.bin": "refused import-no-certificate", "signs.bin": "refused import-signing-key", "cut-off.bin": "skipped",
		"changed.bin": "refused import-recovery-blob", "signed-mail.bin": "refused import-recovery-blob", "detached.bin": "skipped"}
	if diff := cmp.Diff(want, said(report)); diff != "" {
		t.Error(diff)
	}
	if n := d.Database.Count(t, `select count(*) from archive.record`); n != 0 {
		t.Errorf("%d records", n)
	}
	d.write("one/alice.bin", blob)
	if diff := cmp.Diff(map[string]string{"alice.bin": "refused import-recovery-agent"}, said(d.imports("one"))); diff != "" {
		t.Error(diff)
	}
	w.issue("kra-3", "/CN=kra-3", "")
	w.p12("kra-3", "pki/kra-3.pfx", "kra")
	entries, _, err := pkcs12.DecodeForeign(read(t, d.path("pki/kra-3.pfx")), "kra")
	must(t, err)
	stranger := func(o *foreign.Options) {
		o.Agents = []cms.Recipient{{Certificate: entries[0].Certificate, Key: entries[0].Key.(cms.Decrypter)}}
	}
	if diff := cmp.Diff(map[string]string{"alice.bin": "refused import-recovery-agent"}, said(d.imports("one", stranger))); diff != "" {
		t.Error(diff)
	}
}

func FuzzRecoveryBlob(f *testing.F) {
	agent := foreign.NewAgent(f)
	for _, inner := range [][]byte{[]byte("\x07\x02\x00\x00\x00\xa4\x00\x00RSA2"), []byte("ECK2 \x00\x00\x00")} {
		for _, b := range foreign.Blobs(f, agent.Certificate, inner) {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		keys, err := foreign.KeysInBlob(b, agent)
		if err != nil && fault.Of(err) == nil {
			t.Errorf("no fault: %v", err)
		}
		if err == nil && keys == 0 {
			t.Error("no key and no reason")
		}
	})
}

func FuzzKeyBlob(f *testing.F) {
	for _, b := range foreign.KeyBlobs(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		pkcs8, err := foreign.ParseKeyBlob(b)
		if err != nil {
			if fault.Of(err) == nil {
				t.Errorf("no fault: %v", err)
			}
			return
		}
		if _, err := x509.ParsePKCS8PrivateKey(pkcs8); err != nil {
			t.Errorf("it is a key that cannot be read: %v", err)
		}
	})
}

func FuzzList(f *testing.F) {
	f.Add([]byte("file,password\na.p12,x\n"))
	f.Add([]byte("\xef\xbb\xbffile;password;person\r\n\"a;b.p12\";\"x\"\"y\";departed 5f0c2a9e-54f1-4c0a-9d2e-0f6b8d7c1a23\r\n"))
	f.Add([]byte("file,password\n\"a,\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := foreign.ParseList(b); err != nil && !errors.Is(err, foreign.ErrList) {
			t.Error(err)
		}
	})
}

// Lists that are refused, without a password in what is said of them.
func TestParseList(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"nothing": "", "no headings": "a.p12,s3cret\n", "other headings": "name,pass\n", "a column too many": "file,password\na.p12,s3cret,x,y\n",
		"twice": "file,password\na.p12,s3cret\n./a.p12,s3cret\n", "no name": "file,password\n,s3cret\n", "no person": "file,password,person\na.p12,s3cret,alice\n",
		"a short id": "file,password,person\na.p12,s3cret,{5f0c2a9e-54f1-4c0a-9d2e-0f6b8d7c1a23}\n", "open quote": "file,password\na.p12,\"s3cret\n", "a lone quote": "file,password\na.p12,s3\"cret\n",
		"Latin-1": "file,password\na.p12,s3cr\xe9t\n"} {
		_, err := foreign.ParseList([]byte(text))
		if !errors.Is(err, foreign.ErrList) {
			t.Errorf("%s: %v", name, err)
		} else if bytes.Contains([]byte(err.Error()), []byte("s3c")) {
			t.Errorf("%s: the password is quoted: %v", name, err)
		}
	}
}
