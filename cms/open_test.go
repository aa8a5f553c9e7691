package cms_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"io"
	"testing"

	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/internal/fault"
)

var oidOther = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 99}

func seal(t testing.TB, content []byte, opt cms.SealOptions, to ...*holder) []byte {
	t.Helper()
	der, err := cms.Seal(content, certs(to...), opt)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestSealOpen(t *testing.T) {
	t.Parallel()
	p := thePKI()
	all := []*holder{p.rsa, p.rsa2, p.p256, p.p256b, p.p384, p.p521, p.x25519}
	for _, content := range [][]byte{{}, {0}, bytes.Repeat([]byte{16}, 16), bytes.Repeat([]byte("x"), 100_000)} {
		for _, opt := range []cms.SealOptions{{}, {ContentType: cms.OIDEncKeyWithID}, {Legacy: true}, {Legacy: true, ContentType: cms.OIDSignedData}} {
			der := seal(t, content, opt, all...)
			for _, h := range all {
				got, err := cms.Open(der, h.recipient(), cms.OpenOptions{AllowUnauthenticated: opt.Legacy})
				if err != nil {
					t.Fatalf("%s: %v", h.name, err)
				}
				want := opt.ContentType
				if want == nil {
					want = cms.OIDData
				}
				if !bytes.Equal(got.Content, content) || !got.ContentType.Equal(want) || got.Authenticated == opt.Legacy {
					t.Errorf("%s: got %+v", h.name, got)
				}
			}
		}
	}
}

// TestAlteredMessage alters every byte of authenticated messages. Nothing but an
// error may come of it; with further recipients, whose entries are not looked at,
// nothing but an error or the same plaintext.
func TestAlteredMessage(t *testing.T) {
	t.Parallel()
	p := thePKI()
	for name, tc := range map[string]struct {
		opt    cms.SealOptions
		to     []*holder
		strict bool
	}{
		"rsa":         {cms.SealOptions{}, []*holder{p.rsa}, true},
		"p256":        {cms.SealOptions{}, []*holder{p.p256}, true},
		"p256 typed":  {cms.SealOptions{ContentType: oidOther}, []*holder{p.p256}, true},
		"p384":        {cms.SealOptions{}, []*holder{p.p384}, true},
		"p521":        {cms.SealOptions{}, []*holder{p.p521}, true},
		"x25519":      {cms.SealOptions{}, []*holder{p.x25519}, true},
		"mixed typed": {cms.SealOptions{ContentType: oidOther}, []*holder{p.p256, p.rsa2, p.x25519}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			der := seal(t, plaintext, tc.opt, tc.to...)
			opt := cms.OpenOptions{AllowPKCS1v15: true, AllowUnauthenticated: true}
			try := func(what string, i int, bad []byte) {
				got, err := cms.Open(bad, tc.to[0].recipient(), opt)
				if err != nil {
					if fault.Of(err) == nil {
						t.Errorf("%s at %d: %v is no fault", what, i, err)
					}
					return
				}
				if tc.strict || !bytes.Equal(got.Content, plaintext) || !got.Authenticated || !got.ContentType.Equal(must(cms.Open(der, tc.to[0].recipient(), opt)).ContentType) {
					t.Errorf("%s at %d of %d: opened to %q", what, i, len(der), got.Content)
				}
			}
			for i := range der {
				for _, x := range []byte{0x01, 0x80} {
					bad := bytes.Clone(der)
					bad[i] ^= x
					try("flip", i, bad)
				}
				try("cut", i, der[:i])
				try("deletion", i, append(bytes.Clone(der[:i]), der[i+1:]...))
			}
			try("extra byte", len(der), append(bytes.Clone(der), 0))
		})
	}
}

// TestAlteredLegacyMessage knows that CBC content can be altered; it must not
// panic, and what is not content must still count.
func TestAlteredLegacyMessage(t *testing.T) {
	t.Parallel()
	p := thePKI()
	der := seal(t, plaintext, cms.SealOptions{Legacy: true}, p.p256)
	for i := range der {
		bad := bytes.Clone(der)
		bad[i] ^= 0x01
		got, err := cms.Open(bad, p.p256.recipient(), cms.OpenOptions{AllowUnauthenticated: true})
		if err == nil && got.Authenticated {
			t.Errorf("flip at %d: opened as authenticated", i)
		}
	}
}

// TestCannotOpen holds that one answer is given to all that fails after parsing.
func TestCannotOpen(t *testing.T) {
	t.Parallel()
	p := thePKI()
	rsaMessage, ecMessage := seal(t, plaintext, cms.SealOptions{}, p.rsa), seal(t, plaintext, cms.SealOptions{}, p.p256)
	flipped := func(der []byte, fromEnd int) []byte {
		bad := bytes.Clone(der)
		bad[len(bad)-fromEnd] ^= 1
		return bad
	}
	// The same issuer and serial number, another key: only the key agreement or
	// transport can fail.
	impostorRSA := &holder{key: p.rsa2.key, cert: withKey(p.rsa.cert, p.rsa2.cert.PublicKey)}
	shortRSA := &holder{key: must(rsa.GenerateKey(rand.Reader, 2048)), cert: nil}
	shortRSA.cert = withKey(p.rsa.cert, shortRSA.key.Public())
	impostorEC := &holder{key: p.p256b.key, cert: withKey(p.p256.cert, p.p256b.cert.PublicKey)}
	legacy := seal(t, plaintext, cms.SealOptions{Legacy: true}, p.p256)
	badPadding := bytes.Clone(legacy)
	badPadding[len(badPadding)-17] ^= 0xff // the last byte of the padding
	for name, tc := range map[string]struct {
		der []byte
		by  *holder
	}{
		"not a recipient, rsa":      {rsaMessage, p.rsa2},
		"not a recipient, ec":       {ecMessage, p.p256b},
		"other kind of key":         {ecMessage, p.rsa},
		"wrong rsa key, other size": {rsaMessage, impostorRSA},
		"wrong rsa key, same size":  {rsaMessage, shortRSA},
		"wrong ec key":              {ecMessage, impostorEC},
		"altered tag":               {ecMessage[:len(ecMessage):len(ecMessage)], nil},
		"altered content":           {flipped(ecMessage, 20), p.p256},
		"altered legacy padding":    {badPadding, p.p256},
	} {
		if tc.by == nil {
			tc.der, tc.by = flipped(ecMessage, 1), p.p256
		}
		got, err := cms.Open(tc.der, tc.by.recipient(), cms.OpenOptions{AllowUnauthenticated: true})
		if got != nil || err != error(cms.ErrOpen) {
			t.Errorf("%s: got %v, %v; want exactly ErrOpen", name, got, err)
		}
	}
}

// withKey is a copy of cert that claims another public key.
func withKey(cert *x509.Certificate, pub crypto.PublicKey) *x509.Certificate {
	c := *cert
	c.PublicKey = pub
	return &c
}

// TestPKCS1v15HidesFailure holds that a wrong padding of the content key looks
// like any other wrong key: the answer is that of the content.
func TestPKCS1v15HidesFailure(t *testing.T) {
	t.Parallel()
	p := thePKI()
	der := openssl(t, plaintext, "cms", "-encrypt", "-binary", "-outform", "DER", "-aes-256-gcm", "-recip", p.rsa.certFile)
	other := &holder{key: must(rsa.GenerateKey(rand.Reader, 2048))}
	other.cert = withKey(p.rsa.cert, other.key.Public())
	if _, err := cms.Open(der, other.recipient(), cms.OpenOptions{AllowPKCS1v15: true}); err != error(cms.ErrOpen) {
		t.Errorf("got %v", err)
	}
	failing := cms.Recipient{Certificate: p.rsa.cert, Key: brokenToken{p.rsa.key}}
	if _, err := cms.Open(der, failing, cms.OpenOptions{AllowPKCS1v15: true}); err != error(cms.ErrOpen) {
		t.Errorf("token that fails: got %v", err)
	}
}

type brokenToken struct{ crypto.Signer }

func (brokenToken) Decrypt(io.Reader, []byte, crypto.DecrypterOpts) ([]byte, error) {
	return nil, errors.New("token removed")
}

// token is a key that shows nothing but its interface, as on a smart card.
type token struct{ key *ecdh.PrivateKey }

func (k token) Public() crypto.PublicKey                 { return k.key.Public() }
func (k token) ECDH(pub *ecdh.PublicKey) ([]byte, error) { return k.key.ECDH(pub) }

type rsaToken struct{ key *rsa.PrivateKey }

func (k rsaToken) Public() crypto.PublicKey { return k.key.Public() }
func (k rsaToken) Decrypt(r io.Reader, c []byte, o crypto.DecrypterOpts) ([]byte, error) {
	return k.key.Decrypt(r, c, o)
}

func TestOpenWithToken(t *testing.T) {
	t.Parallel()
	p := thePKI()
	der := seal(t, plaintext, cms.SealOptions{}, p.rsa, p.p256)
	for _, r := range []cms.Recipient{
		{Certificate: p.rsa.cert, Key: rsaToken{p.rsa.key.(*rsa.PrivateKey)}},
		{Certificate: p.p256.cert, Key: token{must(p.p256.key.(*ecdsa.PrivateKey).ECDH())}},
		{Certificate: p.p256.cert, Key: must(p.p256.key.(*ecdsa.PrivateKey).ECDH())},
	} {
		got, err := cms.Open(der, r, cms.OpenOptions{})
		if err != nil || !bytes.Equal(got.Content, plaintext) {
			t.Errorf("%T: got %v, %v", r.Key, got, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	p := thePKI()
	good := seal(t, plaintext, cms.SealOptions{}, p.rsa)
	signed, err := cms.Sign(plaintext, p.p256.key, p.p256.cert, cms.SignOptions{})
	if err != nil {
		t.Fatal(err)
	}
	encrypt := func(flags ...string) []byte {
		return openssl(t, plaintext, append([]string{"cms", "-encrypt", "-binary", "-outform", "DER"}, flags...)...)
	}
	for name, tc := range map[string]struct {
		der  []byte
		r    cms.Recipient
		opt  cms.OpenOptions
		want error
	}{
		"nothing":         {nil, p.rsa.recipient(), cms.OpenOptions{}, cms.ErrMalformed},
		"text":            {[]byte("hello"), p.rsa.recipient(), cms.OpenOptions{}, cms.ErrMalformed},
		"signed":          {signed, p.rsa.recipient(), cms.OpenOptions{}, cms.ErrMalformed},
		"too large":       {good, p.rsa.recipient(), cms.OpenOptions{MaxSize: len(good) - 1}, cms.ErrTooLarge},
		"deep":            {nest(100), p.rsa.recipient(), cms.OpenOptions{}, cms.ErrTooLarge},
		"indefinite":      {encrypt("-stream", "-aes-256-gcm", "-recip", p.p256.certFile), p.p256.recipient(), cms.OpenOptions{}, cms.ErrMalformed},
		"cbc":             {seal(t, plaintext, cms.SealOptions{Legacy: true}, p.rsa), p.rsa.recipient(), cms.OpenOptions{}, cms.ErrUnsupported},
		"v1.5":            {encrypt("-aes-256-gcm", "-recip", p.rsa.certFile), p.rsa.recipient(), cms.OpenOptions{}, cms.ErrUnsupported},
		"oaep sha1":       {encrypt("-aes-256-gcm", "-recip", p.rsa.certFile, "-keyopt", "rsa_padding_mode:oaep"), p.rsa.recipient(), cms.OpenOptions{}, cms.ErrUnsupported},
		"sha1 kdf":        {encrypt("-aes-256-gcm", "-recip", p.p256.certFile), p.p256.recipient(), cms.OpenOptions{}, cms.ErrUnsupported},
		"camellia":        {encrypt("-camellia256", "-recip", p.p256.certFile, "-keyopt", "ecdh_kdf_md:sha256"), p.p256.recipient(), cms.OpenOptions{AllowUnauthenticated: true}, cms.ErrUnsupported},
		"password only":   {encrypt("-aes-256-cbc", "-pwri_password", "secret"), p.p256.recipient(), cms.OpenOptions{AllowUnauthenticated: true}, cms.ErrOpen},
		"no certificate":  {good, cms.Recipient{Key: p.rsa.decrypter()}, cms.OpenOptions{}, cms.ErrRecipient},
		"no key":          {good, cms.Recipient{Certificate: p.rsa.cert}, cms.OpenOptions{}, cms.ErrRecipient},
		"key of another":  {good, cms.Recipient{Certificate: p.rsa.cert, Key: p.rsa2.decrypter()}, cms.OpenOptions{}, cms.ErrRecipient},
		"key of a curve":  {good, cms.Recipient{Certificate: p.rsa.cert, Key: p.p256.decrypter()}, cms.OpenOptions{}, cms.ErrRecipient},
		"another's curve": {good, cms.Recipient{Certificate: p.p256.cert, Key: p.p256b.decrypter()}, cms.OpenOptions{}, cms.ErrRecipient},
	} {
		got, err := cms.Open(tc.der, tc.r, tc.opt)
		if got != nil || !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, %v; want %v", name, got, err, tc.want)
		}
	}
}

// nest returns n SEQUENCEs inside each other.
func nest(n int) []byte {
	var der []byte
	for range n {
		der = must(asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: der}))
	}
	return der
}

func TestSealRefuses(t *testing.T) {
	t.Parallel()
	p := thePKI()
	small := p.issue("small", must(rsa.GenerateKey(rand.Reader, 1024)), nil)
	p224 := p.issue("p224", must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader)), nil)
	signing := func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }
	many := make([]*x509.Certificate, cms.MaxRecipients+1)
	for i := range many {
		many[i] = p.p256.cert
	}
	for name, to := range map[string][]*x509.Certificate{
		"nobody":          nil,
		"nil":             {nil},
		"too many":        many,
		"small rsa":       certs(p.p256, small),
		"p224":            certs(p224),
		"ed25519":         certs(p.issue("ed25519", newEd25519(), nil)),
		"signing key":     certs(p.issue("signing", p.p256.key, signing)),
		"signing rsa key": certs(p.issue("signing-rsa", p.rsa.key, signing)),
	} {
		if der, err := cms.Seal(plaintext, to, cms.SealOptions{}); der != nil || !errors.Is(err, cms.ErrRecipient) {
			t.Errorf("%s: got %d bytes, %v", name, len(der), err)
		}
	}
}

// TestManyRecipients goes up to the limit and one beyond it.
func TestManyRecipients(t *testing.T) {
	t.Parallel()
	p := thePKI()
	many := certs(p.p256)
	for len(many) < cms.MaxRecipients {
		many = append(many, p.p256b.cert)
	}
	der, err := cms.Seal(plaintext, many, cms.SealOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cms.Open(der, p.p256.recipient(), cms.OpenOptions{}); err != nil {
		t.Errorf("%d bytes: %v", len(der), err)
	}
	if _, err := cms.Open(addRecipient(t, der), p.p256.recipient(), cms.OpenOptions{}); !errors.Is(err, cms.ErrTooLarge) {
		t.Errorf("one more: %v", err)
	}
}

// addRecipient repeats the last recipient of a message.
func addRecipient(t *testing.T, der []byte) []byte {
	var info struct {
		Type    asn1.ObjectIdentifier
		Content struct {
			Version    int
			Recipients []asn1.RawValue `asn1:"set"`
			Encrypted  asn1.RawValue
			Tag        []byte
		} `asn1:"explicit,tag:0"`
	}
	if _, err := asn1.Unmarshal(der, &info); err != nil {
		t.Fatal(err)
	}
	r := info.Content.Recipients
	info.Content.Recipients = append(r, r[len(r)-1])
	return must(asn1.Marshal(info))
}
