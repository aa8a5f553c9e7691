package pkcs12_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math"
	"regexp"
	"testing"
	"time"

	gopkcs12 "software.sslmate.com/src/go-pkcs12"

	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/pkcs12"
)

const generated = "mzxw-6ytb-oi4d-q2lk-a3fe-n5rp"

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	p := thePKI()
	all := []pkcs12.Entry{p.x25519, p.rsa2, p.rsa, p.p256, p.p384}
	for _, tc := range []struct {
		profile    pkcs12.Profile
		passphrase string
		entries    []pkcs12.Entry
	}{
		{pkcs12.Modern, "correct horse", all},
		{pkcs12.Modern, "Schlüssel 🔑", all[:1]},
		{pkcs12.ModernGenerated, generated, all},
		{pkcs12.Compatibility, generated, all[1:2]},
		{pkcs12.Compatibility, "é", all[3:4]},
	} {
		t.Run(tc.profile.String(), func(t *testing.T) {
			t.Parallel()
			p12 := encode(t, tc.entries, []*x509.Certificate{p.ca, tc.entries[0].Certificate, p.ca}, tc.passphrase, tc.profile)
			entries, chain, err := pkcs12.Decode(p12, tc.passphrase)
			if err != nil {
				t.Fatal(err)
			}
			compareEntries(t, tc.entries, entries)
			compareChain(t, []*x509.Certificate{p.ca}, chain)
		})
	}
}

// TestRenewedCertificate has one key with two certificates.
func TestRenewedCertificate(t *testing.T) {
	t.Parallel()
	p := thePKI()
	again := p.issue("renewed", p.p256.Key.(crypto.Signer))
	want := []pkcs12.Entry{again, p.p256}
	entries, chain, err := pkcs12.Decode(encode(t, want, nil, generated, pkcs12.ModernGenerated), generated)
	if err != nil {
		t.Fatal(err)
	}
	compareEntries(t, want, entries)
	compareChain(t, nil, chain)
}

// TestThousandKeys is a long key history. It takes well under a second because there
// is one derivation; a thousand would take minutes.
func TestThousandKeys(t *testing.T) {
	t.Parallel()
	p := thePKI()
	var want []pkcs12.Entry
	for range 1000 {
		want = append(want, p.issue("S/MIME encryption", must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))))
	}
	start := time.Now()
	p12 := encode(t, want, []*x509.Certificate{p.ca}, "correct horse", pkcs12.Modern)
	encoded := time.Now()
	entries, _, err := pkcs12.Decode(p12, "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes, written in %v, read in %v", len(p12), encoded.Sub(start), time.Since(encoded))
	compareEntries(t, want, entries)
}

// TestGoPKCS12 lets another implementation read ours, and the other way round.
func TestGoPKCS12(t *testing.T) {
	t.Parallel()
	p := thePKI()
	for profile, passphrase := range map[pkcs12.Profile]string{pkcs12.Modern: "correct horse", pkcs12.ModernGenerated: generated, pkcs12.Compatibility: "pässword"} {
		key, cert, chain, err := gopkcs12.DecodeChain(encode(t, []pkcs12.Entry{p.rsa}, []*x509.Certificate{p.ca}, passphrase, profile), passphrase)
		if err != nil {
			t.Fatalf("%s: %v", profile, err)
		}
		compareEntries(t, []pkcs12.Entry{p.rsa}, []pkcs12.Entry{{Key: key, Certificate: cert, Name: p.rsa.Name}})
		compareChain(t, []*x509.Certificate{p.ca}, chain)
	}
	for name, encoder := range map[string]*gopkcs12.Encoder{"Modern2023": gopkcs12.Modern2023, "LegacyDES": gopkcs12.LegacyDES} {
		p12 := must(encoder.Encode(p.rsa.Key, p.rsa.Certificate, []*x509.Certificate{p.ca}, "pässword"))
		entries, chain, err := pkcs12.Decode(p12, "pässword")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		compareEntries(t, []pkcs12.Entry{{Key: p.rsa.Key, Certificate: p.rsa.Certificate}}, entries)
		compareChain(t, []*x509.Certificate{p.ca}, chain)
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	p := thePKI()
	good := encode(t, []pkcs12.Entry{p.p256, p.rsa}, []*x509.Certificate{p.ca}, generated, pkcs12.ModernGenerated)
	flipped := func(i int) []byte {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		return bad
	}
	by := func(e *gopkcs12.Encoder, passphrase string) []byte {
		return must(e.Encode(p.p256.Key, p.p256.Certificate, nil, passphrase))
	}
	for name, tc := range map[string]struct {
		p12        []byte
		passphrase string
		want       error
	}{
		"nothing":                {nil, generated, pkcs12.ErrMalformed},
		"text":                   {[]byte("hello"), generated, pkcs12.ErrMalformed},
		"certificate":            {p.ca.Raw, generated, pkcs12.ErrMalformed},
		"wrong passphrase":       {good, "mzxw-6ytb-oi4d-q2lk-a3fe-n5rq", pkcs12.ErrPassphrase},
		"empty passphrase":       {good, "", pkcs12.ErrPassphrase},
		"altered MAC":            {flipped(len(good) - 30), generated, pkcs12.ErrPassphrase},
		"altered content":        {flipped(len(good) / 2), generated, pkcs12.ErrPassphrase},
		"cut":                    {good[:len(good)-1], generated, pkcs12.ErrMalformed},
		"trailing":               {append(bytes.Clone(good), 0), generated, pkcs12.ErrMalformed},
		"indefinite":             {append([]byte{0x30, 0x80}, good[4:]...), generated, pkcs12.ErrUnsupported},
		"too large":              {make([]byte, pkcs12.MaxSize+1), generated, pkcs12.ErrTooLarge},
		"no MAC":                 {by(gopkcs12.Passwordless, ""), "", pkcs12.ErrUnsupported},
		"RC2":                    {by(gopkcs12.LegacyRC2, "secret"), "secret", pkcs12.ErrUnsupported},
		"PBMAC1":                 {by(gopkcs12.Modern2026, "secret"), "secret", pkcs12.ErrUnsupported},
		"iterations of the MAC":  {withMACIterations(good, 10_000_001), generated, pkcs12.ErrTooLarge},
		"iterations beyond 2^31": {withMACIterations(good, math.MaxInt64), generated, pkcs12.ErrTooLarge},
		"no iterations":          {withMACIterations(good, 0), generated, pkcs12.ErrMalformed},
		"negative iterations":    {withMACIterations(good, -1), generated, pkcs12.ErrMalformed},
		"iterations of a bag":    {must(pkcs12.EncodeClaiming([]pkcs12.Entry{p.p256}, nil, generated, pkcs12.MaxIterations)), generated, pkcs12.ErrTooLarge},
	} {
		entries, chain, err := pkcs12.Decode(tc.p12, tc.passphrase)
		if entries != nil || chain != nil || !errors.Is(err, tc.want) {
			t.Errorf("%s: got %d entries, %v; want %v", name, len(entries), err, tc.want)
		}
	}
}

// withMACIterations replaces the iteration count of the MAC, which is the last
// element of a file.
func withMACIterations(p12 []byte, n int64) []byte {
	var pfx struct {
		Version int
		Safe    asn1.RawValue
		MAC     struct {
			Digest     asn1.RawValue
			Salt       []byte
			Iterations int64
		}
	}
	must(asn1.Unmarshal(p12, &pfx))
	pfx.MAC.Iterations = n
	return must(asn1.Marshal(pfx))
}

// TestAlteredFile alters every byte of a file.
func TestAlteredFile(t *testing.T) {
	t.Parallel()
	p := thePKI()
	p12 := must(gopkcs12.Modern2023.WithIterations(1).Encode(p.p256.Key, p.p256.Certificate, nil, "secret"))
	if _, _, err := pkcs12.Decode(p12, "secret"); err != nil {
		t.Fatal(err)
	}
	for i := range p12 {
		for _, x := range []byte{0x01, 0x80, 0xff} {
			bad := bytes.Clone(p12)
			bad[i] ^= x
			if _, _, err := pkcs12.Decode(bad, "secret"); fault.Of(err) == nil {
				t.Errorf("flip of %02x at %d of %d: %v", x, i, len(p12), err)
			}
		}
		if _, _, err := pkcs12.Decode(p12[:i], "secret"); !errors.Is(err, pkcs12.ErrMalformed) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	t.Parallel()
	p := thePKI()
	good := []pkcs12.Entry{p.p256}
	for name, tc := range map[string]struct {
		entries    []pkcs12.Entry
		chain      []*x509.Certificate
		passphrase string
		profile    pkcs12.Profile
	}{
		"no entries":                {nil, nil, generated, pkcs12.Modern},
		"no key":                    {[]pkcs12.Entry{{Certificate: p.ca}}, nil, generated, pkcs12.Modern},
		"no certificate":            {[]pkcs12.Entry{{Key: p.rsa.Key}}, nil, generated, pkcs12.Modern},
		"another's certificate":     {[]pkcs12.Entry{p.p256, {Key: p.rsa.Key, Certificate: p.rsa2.Certificate}}, nil, generated, pkcs12.Modern},
		"no private key":            {[]pkcs12.Entry{{Key: p.rsa.Certificate.PublicKey, Certificate: p.rsa.Certificate}}, nil, generated, pkcs12.Modern},
		"the same twice":            {[]pkcs12.Entry{p.p256, p.p256}, nil, generated, pkcs12.Modern},
		"name is no text":           {[]pkcs12.Entry{{Key: p.p256.Key, Certificate: p.p256.Certificate, Name: "\xff"}}, nil, generated, pkcs12.Modern},
		"nil in chain":              {good, []*x509.Certificate{nil}, generated, pkcs12.Modern},
		"no passphrase":             {good, nil, "", pkcs12.Modern},
		"passphrase is no text":     {good, nil, "\xff", pkcs12.Modern},
		"passphrase with zero":      {good, nil, "a\x00b", pkcs12.Modern},
		"chosen, not generated":     {good, nil, "correct horse battery staple", pkcs12.ModernGenerated},
		"two keys in compatibility": {[]pkcs12.Entry{p.p256, p.rsa}, nil, generated, pkcs12.Compatibility},
		"no such profile":           {good, nil, generated, pkcs12.Profile(7)},
	} {
		p12, err := pkcs12.Encode(tc.entries, tc.chain, tc.passphrase, tc.profile)
		if p12 != nil || !errors.Is(err, pkcs12.ErrEntry) {
			t.Errorf("%s: got %d bytes, %v", name, len(p12), err)
		}
	}
}

func TestGeneratePassphrase(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for range 1000 {
		s, err := pkcs12.GeneratePassphrase()
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`^([a-z2-7]{4}-){5}[a-z2-7]{4}$`).MatchString(s) || seen[s] {
			t.Fatalf("got %q", s)
		}
		seen[s] = true
	}
	s := must(pkcs12.GeneratePassphrase())
	encode(t, []pkcs12.Entry{thePKI().p256}, nil, s, pkcs12.ModernGenerated)
}
