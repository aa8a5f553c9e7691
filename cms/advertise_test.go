package cms_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/internal/fault"
)

var said = time.Date(2026, 11, 23, 9, 30, 0, 0, time.UTC)

// dual are somebody's two certificates.
type dual struct{ signing, encryption *holder }

func (p *pki) dual(name string, signing, encryption crypto.Signer) dual {
	return dual{p.issue(name+" signing", signing, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }),
		p.issue(name+" encryption", encryption, func(c *x509.Certificate) {
			c.KeyUsage = x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement
		})}
}

func (d dual) advertise(t testing.TB, chain ...*x509.Certificate) []byte {
	t.Helper()
	der, err := cms.Advertise(d.signing.key, d.signing.cert, cms.AdvertiseOptions{Encryption: d.encryption.cert, Chain: chain, SigningTime: said})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// smartcard is a key that does nothing but sign, as one in PKCS #11.
type smartcard struct{ key crypto.Signer }

func (t smartcard) Public() crypto.PublicKey { return t.key.Public() }

func (t smartcard) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return t.key.Sign(r, digest, opts)
}

func TestAdvertise(t *testing.T) {
	t.Parallel()
	p := thePKI()
	enc := p.dual("alice", p.p256.key, p.rsa.key).encryption
	for _, h := range []*holder{p.rsa, p.p256, p.p384, p.p521, p.issue("ed", newEd25519(), nil)} {
		for _, to := range []*holder{enc, p.x25519, h} {
			der, err := cms.Advertise(smartcard{h.key}, h.cert, cms.AdvertiseOptions{Encryption: to.cert, Chain: []*x509.Certificate{p.ca, to.cert}, SigningTime: said})
			if err != nil {
				t.Fatal(err)
			}
			got, err := cms.ReadAdvertisement(der)
			if err != nil {
				t.Fatal(err)
			}
			want := []*x509.Certificate{h.cert, to.cert}
			if to == h {
				want = want[:1]
			}
			if !got.Signer.Equal(h.cert) || !got.Encryption.Equal(to.cert) || !got.SigningTime.Equal(said) ||
				!slices.EqualFunc(got.Certificates, want, (*x509.Certificate).Equal) ||
				!slices.EqualFunc(got.Capabilities, cms.DefaultCapabilities(), asn1.ObjectIdentifier.Equal) {
				t.Errorf("%s for %s: got %+v", h.name, to.name, got)
			}
		}
	}
}

// What the encryption certificate names is what its owner says.
func TestAdvertiseTheCertificatesCapabilities(t *testing.T) {
	t.Parallel()
	p := thePKI()
	gcm := asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 46}
	named := func(value []byte) *holder {
		return p.issue("named", p.rsa.key, func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: attrCapabilities, Value: value})
		})
	}
	one := must(asn1.Marshal([]struct{ OID asn1.ObjectIdentifier }{{gcm}}))
	got := must(cms.ReadAdvertisement(dual{p.p256, named(one)}.advertise(t)))
	if !slices.EqualFunc(got.Capabilities, []asn1.ObjectIdentifier{gcm}, asn1.ObjectIdentifier.Equal) {
		t.Errorf("capabilities: %v", got.Capabilities)
	}
	for _, bad := range [][]byte{{0x30, 0}, {5, 0}, append(one, 0)} {
		if _, err := cms.Advertise(p.p256.key, p.p256.cert, cms.AdvertiseOptions{Encryption: named(bad).cert}); !errors.Is(err, cms.ErrRecipient) {
			t.Errorf("%x: %v", bad, err)
		}
	}
}

func TestAdvertiseRefuses(t *testing.T) {
	t.Parallel()
	p := thePKI()
	alice := p.dual("alice", p.p256.key, p.rsa.key)
	for name, c := range map[string]struct {
		signer     crypto.Signer
		cert       *x509.Certificate
		encryption *x509.Certificate
		want       error
	}{
		"no encryption certificate": {p.p256.key, alice.signing.cert, nil, cms.ErrRecipient},
		"one for signing":           {p.p256.key, alice.signing.cert, alice.signing.cert, cms.ErrRecipient},
		"another's key":             {p.p256b.key, alice.signing.cert, alice.encryption.cert, cms.ErrSigner},
		"signed for encryption":     {p.rsa.key, alice.encryption.cert, alice.encryption.cert, cms.ErrSigner},
		"nobody":                    {nil, nil, alice.encryption.cert, cms.ErrSigner},
	} {
		if der, err := cms.Advertise(c.signer, c.cert, cms.AdvertiseOptions{Encryption: c.encryption}); der != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// forgery is SignedData of which every part can be wrong, with a signature that holds.
type forgery struct {
	version    int64
	detached   bool
	attributes [][]byte
	unsorted   bool
	keyID      bool // the signer is named by it
	certs      [][]byte
	after      []byte // the certificates
	signers    int
	unsigned   []byte // after the signature
}

func attribute(oid asn1.ObjectIdentifier, values ...[]byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
			for _, v := range values {
				b.AddBytes(v)
			}
		})
	})
	return b.BytesOrPanic()
}

var (
	attrType         = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	attrDigest       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	attrTime         = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}
	attrCapabilities = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 15}
	attrPreference   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 11}
	attrMicrosoft    = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 16, 4}
)

// named is IssuerAndSerialNumber under a tag.
func named(tag cbasn1.Tag, c *x509.Certificate) []byte {
	var b cryptobyte.Builder
	b.AddASN1(tag, func(b *cryptobyte.Builder) {
		b.AddBytes(c.RawIssuer)
		b.AddASN1BigInt(c.SerialNumber)
	})
	return b.BytesOrPanic()
}

const implicit0 = cbasn1.Tag(0xa0)

func capabilities(t testing.TB, list ...asn1.ObjectIdentifier) []byte {
	t.Helper()
	type one struct{ OID asn1.ObjectIdentifier }
	var all []one
	for _, oid := range list {
		all = append(all, one{oid})
	}
	return must(asn1.Marshal(all))
}

// right is a forgery in which nothing is wrong.
func (d dual) right(t testing.TB) forgery {
	nothing := sha256.Sum256(nil)
	return forgery{version: 1, detached: true, signers: 1, certs: [][]byte{d.signing.cert.Raw, d.encryption.cert.Raw}, attributes: [][]byte{
		attribute(attrType, must(asn1.Marshal(cms.OIDData))),
		attribute(attrDigest, must(asn1.Marshal(nothing[:]))),
		attribute(attrTime, must(asn1.Marshal(said))),
		attribute(attrCapabilities, capabilities(t, cms.DefaultCapabilities()...)),
		attribute(attrPreference, named(implicit0, d.encryption.cert)),
		attribute(attrMicrosoft, named(cbasn1.SEQUENCE, d.encryption.cert)),
	}}
}

// with returns a copy with another attribute in place of one, or without it for nil.
func (f forgery) with(place int, attr []byte) forgery {
	f.attributes = slices.Clone(f.attributes)
	if f.attributes[place] = attr; attr == nil {
		f.attributes = slices.Delete(f.attributes, place, place+1)
	}
	return f
}

// signed builds it, signed by a P-256 key.
func (f forgery) signed(h *holder) []byte {
	attrs := slices.Clone(f.attributes)
	slices.SortFunc(attrs, bytes.Compare)
	if f.unsorted {
		slices.Reverse(attrs)
	}
	set := func(tag cbasn1.Tag) []byte {
		var b cryptobyte.Builder
		b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes(bytes.Join(attrs, nil)) })
		return b.BytesOrPanic()
	}
	digest := sha256.Sum256(set(cbasn1.SET))
	signature := must(h.key.Sign(rand.Reader, digest[:], crypto.SHA256))
	algorithm := func(b *cryptobyte.Builder, oid ...int) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oid) })
	}
	signer := func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			if f.keyID {
				b.AddASN1Int64(3)
				b.AddASN1(cbasn1.Tag(0x80), func(b *cryptobyte.Builder) { b.AddBytes(h.cert.SubjectKeyId) })
			} else {
				b.AddASN1Int64(1)
				b.AddBytes(named(cbasn1.SEQUENCE, h.cert))
			}
			algorithm(b, 2, 16, 840, 1, 101, 3, 4, 2, 1)
			b.AddBytes(set(implicit0))
			algorithm(b, 1, 2, 840, 10045, 4, 3, 2)
			b.AddASN1OctetString(signature)
			b.AddBytes(f.unsigned)
		})
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(cms.OIDSignedData)
		b.AddASN1(implicit0, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(f.version)
				b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { algorithm(b, 2, 16, 840, 1, 101, 3, 4, 2, 1) })
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(cms.OIDData)
					if !f.detached {
						b.AddASN1(implicit0, func(b *cryptobyte.Builder) { b.AddASN1OctetString(nil) })
					}
				})
				b.AddASN1(implicit0, func(b *cryptobyte.Builder) { b.AddBytes(bytes.Join(f.certs, nil)) })
				b.AddBytes(f.after)
				b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
					for range f.signers {
						signer(b)
					}
				})
			})
		})
	})
	return b.BytesOrPanic()
}

func TestReadAdvertisementRefuses(t *testing.T) {
	t.Parallel()
	p := thePKI()
	alice, bob := p.dual("alice", p.p256.key, p.rsa.key), p.dual("bob", p.p256b.key, p.rsa2.key)
	good := alice.right(t)
	if _, err := cms.ReadAdvertisement(good.signed(alice.signing)); err != nil {
		t.Fatalf("nothing is wrong: %v", err)
	}
	if _, err := cms.ReadAdvertisement(good.with(5, nil).signed(alice.signing)); err != nil {
		t.Fatalf("without Microsoft's attribute: %v", err)
	}
	change := func(f func(*forgery)) []byte {
		c := good
		f(&c)
		return c.signed(alice.signing)
	}
	des := asn1.ObjectIdentifier{1, 2, 840, 113549, 3, 7}
	wrong := map[string][]byte{
		"nothing":                      {},
		"signed by another's key":      good.signed(&holder{key: bob.signing.key, cert: alice.signing.cert}),
		"by somebody not in it":        good.signed(bob.signing),
		"by the encryption key's cert": good.signed(&holder{key: alice.signing.key, cert: alice.encryption.cert}),
		"version 3":                    change(func(f *forgery) { f.version = 3 }),
		"with a content":               change(func(f *forgery) { f.detached = false }),
		"unsorted":                     change(func(f *forgery) { f.unsorted = true }),
		"named by key identifier":      change(func(f *forgery) { f.keyID = true }),
		"nobody signed":                change(func(f *forgery) { f.signers = 0 }),
		"two signed":                   change(func(f *forgery) { f.signers = 2 }),
		"no encryption certificate":    change(func(f *forgery) { f.certs = f.certs[:1] }),
		"no certificates":              change(func(f *forgery) { f.certs = nil }),
		"one twice":                    change(func(f *forgery) { f.certs = append(slices.Clone(f.certs), f.certs[0]) }),
		"seventeen": change(func(f *forgery) {
			for range 15 {
				f.certs = append(f.certs, p.issue("other", p.p256b.key, nil).cert.Raw)
			}
		}),
		"revocation lists": change(func(f *forgery) { f.after = []byte{0xa1, 0} }),
		"unsigned attributes": change(func(f *forgery) {
			f.unsigned = append([]byte{0xa1, byte(len(good.attributes[2]))}, good.attributes[2]...)
		}),
		"another attribute":         change(func(f *forgery) { f.attributes = append(f.attributes, attribute(oidOther, []byte{5, 0})) }),
		"an attribute twice":        change(func(f *forgery) { f.attributes = append(f.attributes, f.attributes[2]) }),
		"another digest":            good.with(1, attribute(attrDigest, must(asn1.Marshal(make([]byte, 32))))).signed(alice.signing),
		"another type":              good.with(0, attribute(attrType, must(asn1.Marshal(oidOther)))).signed(alice.signing),
		"no time that can be read":  good.with(2, attribute(attrTime, []byte{5, 0})).signed(alice.signing),
		"two times":                 good.with(2, attribute(attrTime, must(asn1.Marshal(said)), must(asn1.Marshal(said.Add(time.Hour))))).signed(alice.signing),
		"no capabilities in it":     good.with(3, attribute(attrCapabilities, capabilities(t))).signed(alice.signing),
		"old ciphers alone":         good.with(3, attribute(attrCapabilities, capabilities(t, des))).signed(alice.signing),
		"a capability twice":        good.with(3, attribute(attrCapabilities, capabilities(t, append(cms.DefaultCapabilities(), cms.DefaultCapabilities()...)...))).signed(alice.signing),
		"preference of bob's":       good.with(4, attribute(attrPreference, named(implicit0, bob.encryption.cert))).signed(alice.signing),
		"preference under SEQUENCE": good.with(4, attribute(attrPreference, named(cbasn1.SEQUENCE, alice.encryption.cert))).signed(alice.signing),
		"preference of a key id":    good.with(4, attribute(attrPreference, []byte{0x82, 1, 1})).signed(alice.signing),
		"preference for signing":    good.with(4, attribute(attrPreference, named(implicit0, alice.signing.cert))).with(5, nil).signed(alice.signing),
		"two preferences":           good.with(4, attribute(attrPreference, named(implicit0, alice.encryption.cert), named(implicit0, alice.signing.cert))).signed(alice.signing),
		"Microsoft's for another":   good.with(5, attribute(attrMicrosoft, named(cbasn1.SEQUENCE, alice.signing.cert))).signed(alice.signing),
		"Microsoft's under a tag":   good.with(5, attribute(attrMicrosoft, named(implicit0, alice.encryption.cert))).signed(alice.signing),
		"a byte more":               append(good.signed(alice.signing), 0),
		"huge":                      change(func(f *forgery) { f.unsigned = append([]byte{0xa1, 0x83, 1, 0, 0}, make([]byte, 1<<16)...) }),
	}
	for i := range 5 {
		wrong[fmt.Sprintf("without attribute %d", i)] = good.with(i, nil).signed(alice.signing)
	}
	// BER: the outermost length is indefinite.
	der := good.signed(alice.signing)
	wrong["BER"] = slices.Concat([]byte{0x30, 0x80}, der[4:], []byte{0, 0})
	for name, bad := range wrong {
		if got, err := cms.ReadAdvertisement(bad); got != nil || fault.Of(err) == nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for i := range der { // what is in certificates beside the signer's key and their names is for others to verify
		bad := bytes.Clone(der)
		bad[i] ^= 1
		got, err := cms.ReadAdvertisement(bad)
		if err == nil && !(got.SigningTime.Equal(said) && bytes.Equal(got.Signer.RawSubjectPublicKeyInfo, alice.signing.cert.RawSubjectPublicKeyInfo) &&
			got.Encryption.SerialNumber.Cmp(alice.encryption.cert.SerialNumber) == 0) {
			t.Errorf("byte %d changed: %+v", i, got)
		}
	}
}

// openssl and NSS verify what is made, and openssl shows what it says.
func TestOthersReadAdvertisements(t *testing.T) {
	t.Parallel()
	p := thePKI()
	for name, d := range map[string]dual{"EC": p.dual("alice", p.p256.key, p.rsa.key), "RSA": p.dual("bob", p.rsa2.key, p.p384.key), "one for both": {p.p256, p.p256}} {
		dir := t.TempDir()
		file := filepath.Join(dir, "value.der")
		if err := os.WriteFile(file, d.advertise(t, p.ca), 0o600); err != nil {
			t.Fatal(err)
		}
		signer := filepath.Join(dir, "signer.pem")
		openssl(t, nil, "cms", "-verify", "-inform", "DER", "-in", file, "-content", os.DevNull, "-CAfile", p.caFile, "-purpose", "smimesign", "-signer", signer, "-out", os.DevNull)
		if got := openssl(t, must(os.ReadFile(signer)), "x509", "-outform", "DER"); !bytes.Equal(got, d.signing.cert.Raw) {
			t.Errorf("%s: openssl names another signer", name)
		}
		shown := string(openssl(t, nil, "cms", "-cmsout", "-print", "-inform", "DER", "-in", file))
		for _, want := range []string{"S/MIME Capabilities", "aes-256-cbc", "aes-128-cbc", "id-smime-aa-encrypKeyPref", "undefined (1.3.6.1.4.1.311.16.4)", "signingTime", "Nov 23 09:30:00 2026"} {
			if !strings.Contains(shown, want) {
				t.Errorf("%s: openssl does not show %q:\n%s", name, want, shown)
			}
		}
		if strings.Index(shown, "aes-256-cbc") > strings.Index(shown, "aes-128-cbc") {
			t.Errorf("%s: the preferred cipher is not the first", name)
		}
		for _, args := range [][]string{{"-N", "--empty-password"}, {"-A", "-n", "ca", "-t", "CT,C,C", "-a", "-i", p.caFile}} {
			if out, err := exec.Command("certutil", append([]string{"-d", "sql:" + dir}, args...)...).CombinedOutput(); err != nil {
				t.Fatalf("certutil: %v %s", err, out)
			}
		}
		out, err := exec.Command("cmsutil", "-D", "-d", "sql:"+dir, "-c", os.DevNull, "-i", file, "-h", "0", "-n").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "GoodSignature") {
			t.Errorf("%s: cmsutil: %v %s", name, err, out)
		}
	}
}
