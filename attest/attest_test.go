package attest_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-tpm/tpm2"

	"github.com/sealpost/sealpost/attest"
)

var now = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// authority is a root of a maker, with what it certifies.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newAuthority(t testing.TB, name string) authority {
	t.Helper()
	a := authority{key: newKey(t)}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(9, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a.cert = a.sign(t, tmpl, tmpl, a.key.Public())
	return a
}

func (a authority) sign(t testing.TB, tmpl, parent *x509.Certificate, public crypto.PublicKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, public, a.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func (a authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// device is a TPM as a server sees one: an endorsement, an attestation key, and statements about keys. (What a TPM really says is tested
// where there is one: agent/tpm, enroll.)
type device struct {
	t       testing.TB
	maker   authority
	ek      *x509.Certificate
	aik     *ecdsa.PrivateKey
	signing *ecdsa.PrivateKey
}

func newDevice(t testing.TB, maker authority) *device {
	t.Helper()
	d := &device{t: t, maker: maker, aik: newKey(t), signing: newKey(t)}
	d.ek = maker.sign(t, ekTemplate(t, nil), maker.cert, newKey(t).Public())
	return d
}

// ekTemplate is as TPMs have it: no subject, and a critical name of the device that is no host or mail address.
func ekTemplate(t testing.TB, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	model, err := asn1.Marshal(pkix.Name{CommonName: "id:53414D50"}.ToRDNSequence())
	if err != nil {
		t.Fatal(err)
	}
	name, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: model}})
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(0x4711), NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(5, 0, 0), KeyUsage: x509.KeyUsageKeyAgreement,
		UnknownExtKeyUsage: []asn1.ObjectIdentifier{{2, 23, 133, 8, 1}}, BasicConstraintsValid: true,
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: name}}}
	if change != nil {
		change(c)
	}
	return c
}

var (
	aikAttributes = tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, Restricted: true, SignEncrypt: true}
	keyAttributes = tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, SignEncrypt: true}
)

// area is a key's public area with the attributes.
func area(t testing.TB, k *ecdsa.PrivateKey, a tpm2.TPMAObject) []byte {
	t.Helper()
	point, err := k.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return tpm2.Marshal(tpm2.TPMTPublic{Type: tpm2.TPMAlgECC, NameAlg: tpm2.TPMAlgSHA256, ObjectAttributes: a,
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{CurveID: tpm2.TPMECCNistP256}),
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{X: tpm2.TPM2BECCParameter{Buffer: point[1:33]},
			Y: tpm2.TPM2BECCParameter{Buffer: point[33:]}})})
}

func spki(t testing.TB, k *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// says is the statement about a key, as a TPM would make it.
func (d *device) says(key []byte, binding []byte, change func(*tpm2.TPMSAttest)) attest.Statement {
	d.t.Helper()
	public, err := tpm2.Unmarshal[tpm2.TPMTPublic](key)
	if err != nil {
		d.t.Fatal(err)
	}
	name, err := tpm2.ObjectName(public)
	if err != nil {
		d.t.Fatal(err)
	}
	info := tpm2.TPMSAttest{Magic: tpm2.TPMGeneratedValue, Type: tpm2.TPMSTAttestCertify, ExtraData: tpm2.TPM2BData{Buffer: binding},
		Attested: tpm2.NewTPMUAttest(tpm2.TPMSTAttestCertify, &tpm2.TPMSCertifyInfo{Name: *name})}
	if change != nil {
		change(&info)
	}
	text := tpm2.Marshal(info)
	return attest.Statement{Key: key, Info: text, Signature: d.signature(d.aik, text)}
}

func (d *device) signature(k *ecdsa.PrivateKey, text []byte) []byte {
	d.t.Helper()
	digest := sha256.Sum256(text)
	r, s, err := ecdsa.Sign(rand.Reader, k, digest[:])
	if err != nil {
		d.t.Fatal(err)
	}
	return tpm2.Marshal(tpm2.TPMTSignature{SigAlg: tpm2.TPMAlgECDSA, Signature: tpm2.NewTPMUSignature(tpm2.TPMAlgECDSA, &tpm2.TPMSSignatureECC{Hash: tpm2.TPMAlgSHA256,
		SignatureR: tpm2.TPM2BECCParameter{Buffer: r.FillBytes(make([]byte, 32))}, SignatureS: tpm2.TPM2BECCParameter{Buffer: s.FillBytes(make([]byte, 32))}})})
}

func TestTPM(t *testing.T) {
	t.Parallel()
	maker := newAuthority(t, "Example TPM Maker")
	d := newDevice(t, maker)
	checked, err := attest.NewDevice([][]byte{d.ek.Raw}, area(t, d.aik, aikAttributes), maker.pool(), now)
	if err != nil {
		t.Fatal(err)
	}
	binding := bytes.Repeat([]byte{7}, 32)
	good := area(t, d.signing, keyAttributes)
	proof, err := checked.Verify(d.says(good, binding, nil), binding, spki(t, d.signing))
	if err != nil || proof.Device != "tpm" || proof.Maker != "CN=Example TPM Maker" || proof.Serial != "4711" || len(proof.Endorsement) != 64 {
		t.Fatalf("%+v, %v", proof, err)
	}
	without := func(change func(*tpm2.TPMAObject)) []byte {
		a := keyAttributes
		change(&a)
		return area(t, d.signing, a)
	}
	other := newKey(t)
	for name, c := range map[string]struct {
		says attest.Statement
		want error
	}{
		"another binding":       {d.says(good, bytes.Repeat([]byte{8}, 32), nil), attest.ErrChallenge},
		"no binding":            {d.says(good, nil, nil), attest.ErrChallenge},
		"another key":           {d.says(area(t, other, keyAttributes), binding, nil), attest.ErrOtherKey},
		"another key's name":    {withKey(d.says(area(t, other, keyAttributes), binding, nil), good), attest.ErrOtherKey},
		"other attributes":      {withKey(d.says(without(func(a *tpm2.TPMAObject) { a.FixedTPM = false }), binding, nil), good), attest.ErrOtherKey},
		"can leave the TPM":     {d.says(without(func(a *tpm2.TPMAObject) { a.FixedTPM = false }), binding, nil), attest.ErrCopyable},
		"can leave its parent":  {d.says(without(func(a *tpm2.TPMAObject) { a.FixedParent = false }), binding, nil), attest.ErrCopyable},
		"was brought in":        {d.says(without(func(a *tpm2.TPMAObject) { a.SensitiveDataOrigin = false }), binding, nil), attest.ErrCopyable},
		"decrypts":              {d.says(without(func(a *tpm2.TPMAObject) { a.SignEncrypt, a.Decrypt = false, true }), binding, nil), attest.ErrNotSigning},
		"signs and decrypts":    {d.says(without(func(a *tpm2.TPMAObject) { a.Decrypt = true }), binding, nil), attest.ErrNotSigning},
		"not the TPM's own":     {d.says(good, binding, func(a *tpm2.TPMSAttest) { a.Magic = 1 }), attest.ErrStatement},
		"another signer":        {withSignature(d.says(good, binding, nil), d, other), attest.ErrSignature},
		"altered":               {altered(d.says(good, binding, nil)), attest.ErrSignature},
		"no statement":          {attest.Statement{Key: good}, attest.ErrStatement},
		"no key":                {attest.Statement{}, attest.ErrStatement},
		"something behind":      {withKey(d.says(good, binding, nil), append(bytes.Clone(good), 0)), attest.ErrStatement},
		"oversized key":         {withKey(d.says(good, binding, nil), make([]byte, 5000)), attest.ErrStatement},
		"oversized information": {attest.Statement{Key: good, Info: make([]byte, 5000)}, attest.ErrStatement},
	} {
		if p, err := checked.Verify(c.says, binding, spki(t, d.signing)); !errors.Is(err, c.want) || p != nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func withKey(s attest.Statement, key []byte) attest.Statement { s.Key = key; return s }

func withSignature(s attest.Statement, d *device, k *ecdsa.PrivateKey) attest.Statement {
	s.Signature = d.signature(k, s.Info)
	return s
}

func altered(s attest.Statement) attest.Statement {
	s.Info = bytes.Clone(s.Info)
	s.Info[20] ^= 1
	return s
}

func TestDeviceRefused(t *testing.T) {
	t.Parallel()
	maker, stranger := newAuthority(t, "Example TPM Maker"), newAuthority(t, "Somebody")
	d := newDevice(t, maker)
	ek := func(change func(*x509.Certificate)) [][]byte {
		return [][]byte{maker.sign(t, ekTemplate(t, change), maker.cert, newKey(t).Public()).Raw}
	}
	attributes := func(change func(*tpm2.TPMAObject)) []byte {
		a := aikAttributes
		change(&a)
		return area(t, d.aik, a)
	}
	good := area(t, d.aik, aikAttributes)
	for name, c := range map[string]struct {
		ek   [][]byte
		aik  []byte
		want error
	}{
		"unendorsed":                  {[][]byte{newDevice(t, stranger).ek.Raw}, good, attest.ErrEndorsed},
		"ended":                       {ek(func(c *x509.Certificate) { c.NotAfter = now.AddDate(0, 0, -1) }), good, attest.ErrEndorsed},
		"not an endorsement":          {ek(func(c *x509.Certificate) { c.UnknownExtKeyUsage = nil }), good, attest.ErrEndorsed},
		"an authority":                {ek(func(c *x509.Certificate) { c.IsCA = true }), good, attest.ErrEndorsed},
		"no certificate":              {nil, good, attest.ErrStatement},
		"too many":                    {make([][]byte, 9), good, attest.ErrStatement},
		"oversized":                   {[][]byte{make([]byte, 5000)}, good, attest.ErrStatement},
		"garbage":                     {[][]byte{{1, 2, 3}}, good, attest.ErrStatement},
		"signs anything":              {[][]byte{d.ek.Raw}, attributes(func(a *tpm2.TPMAObject) { a.Restricted = false }), attest.ErrAttestKey},
		"a storage key":               {[][]byte{d.ek.Raw}, attributes(func(a *tpm2.TPMAObject) { a.SignEncrypt, a.Decrypt = false, true }), attest.ErrAttestKey},
		"an AIK that can leave":       {[][]byte{d.ek.Raw}, attributes(func(a *tpm2.TPMAObject) { a.FixedTPM = false }), attest.ErrAttestKey},
		"an AIK that was brought in":  {[][]byte{d.ek.Raw}, attributes(func(a *tpm2.TPMAObject) { a.SensitiveDataOrigin = false }), attest.ErrAttestKey},
		"no AIK":                      {[][]byte{d.ek.Raw}, nil, attest.ErrStatement},
		"an AIK of another name hash": {[][]byte{d.ek.Raw}, append([]byte{good[0], good[1], 0, 0x0c}, good[4:]...), attest.ErrStatement},
	} {
		if got, err := attest.NewDevice(c.ek, c.aik, maker.pool(), now); !errors.Is(err, c.want) || got != nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := attest.NewDevice([][]byte{d.ek.Raw}, good, nil, now); !errors.Is(err, attest.ErrEndorsed) {
		t.Errorf("no maker is trusted: %v", err)
	}
	if _, err := attest.NewDevice([][]byte{d.ek.Raw}, good, x509.NewCertPool(), now); !errors.Is(err, attest.ErrEndorsed) {
		t.Errorf("an empty list of makers: %v", err)
	}
}

// yubiKey makes chains as a YubiKey does, after Yubico's public description of PIV attestation: none was at hand.
type yubiKey struct {
	root authority
	f9   authority
}

func newYubiKey(t testing.TB) yubiKey {
	t.Helper()
	y := yubiKey{root: newAuthority(t, "Yubico PIV Root CA Serial 263751")}
	y.f9.key = newKey(t)
	y.f9.cert = y.root.sign(t, &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "Yubico PIV Attestation"}, NotBefore: now.AddDate(-1, 0, 0),
		NotAfter: now.AddDate(9, 0, 0), IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true}, y.root.cert, y.f9.key.Public())
	return y
}

func extension(last int, value ...byte) pkix.Extension {
	return pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 3, last}, Value: value}
}

func (y yubiKey) attests(t testing.TB, k *ecdsa.PrivateKey, slot string, extensions ...pkix.Extension) [][]byte {
	t.Helper()
	leaf := y.f9.sign(t, &x509.Certificate{SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: "YubiKey PIV Attestation " + slot}, NotBefore: now.AddDate(-1, 0, 0),
		NotAfter: now.AddDate(9, 0, 0), ExtraExtensions: extensions}, y.f9.cert, k.Public())
	return [][]byte{leaf.Raw, y.f9.cert.Raw}
}

func usual() []pkix.Extension {
	return []pkix.Extension{extension(3, 5, 4, 3), extension(7, 2, 4, 0, 0x98, 0x96, 0x7f), extension(8, 2, 1), extension(9, 1)}
}

func TestPIV(t *testing.T) {
	t.Parallel()
	y, k := newYubiKey(t), newKey(t)
	good := y.attests(t, k, "9c", usual()...)
	proof, err := attest.VerifyPIV(good, y.root.pool(), spki(t, k), now)
	if err != nil {
		t.Fatal(err)
	}
	want := attest.Proof{Device: "piv", Maker: "CN=Yubico PIV Root CA Serial 263751", Serial: "9999999", Endorsement: proof.Endorsement, Firmware: "5.4.3", Slot: "9c", PIN: "once", Touch: "never"}
	if diff := cmp.Diff(want, *proof); diff != "" || len(proof.Endorsement) != 64 {
		t.Error(diff)
	}
	stranger := newYubiKey(t)
	direct := y.root.sign(t, &x509.Certificate{SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: "YubiKey PIV Attestation 9c"}, NotBefore: now.AddDate(-1, 0, 0),
		NotAfter: now.AddDate(9, 0, 0), ExtraExtensions: usual()}, y.root.cert, k.Public())
	for name, c := range map[string]struct {
		certs [][]byte
		key   *ecdsa.PrivateKey
		want  error
	}{
		"another key":            {good, newKey(t), attest.ErrOtherKey},
		"another maker":          {stranger.attests(t, k, "9c", usual()...), k, attest.ErrEndorsed},
		"without F9":             {good[:1], k, attest.ErrStatement},
		"F9 of another":          {[][]byte{good[0], stranger.f9.cert.Raw}, k, attest.ErrEndorsed},
		"F9 alone":               {[][]byte{y.f9.cert.Raw, y.root.cert.Raw}, y.f9.key, attest.ErrEndorsed},
		"not made by a YubiKey":  {[][]byte{direct.Raw, y.root.cert.Raw}, k, attest.ErrEndorsed},
		"another name":           {y.f9Signs(t, k, "Alice"), k, attest.ErrEndorsed},
		"no firmware":            {y.attests(t, k, "9c", usual()[1:]...), k, attest.ErrStatement},
		"short firmware":         {y.attests(t, k, "9c", extension(3, 5), extension(8, 2, 1)), k, attest.ErrStatement},
		"no policy":              {y.attests(t, k, "9c", usual()[:2]...), k, attest.ErrStatement},
		"a policy unheard of":    {y.attests(t, k, "9c", extension(3, 5, 4, 3), extension(8, 9, 9)), k, attest.ErrStatement},
		"a long policy":          {y.attests(t, k, "9c", extension(3, 5, 4, 3), extension(8, 2, 1, 1)), k, attest.ErrStatement},
		"a serial that is none":  {y.attests(t, k, "9c", extension(3, 5, 4, 3), extension(7, 4, 1, 1), extension(8, 2, 1)), k, attest.ErrStatement},
		"a serial below nothing": {y.attests(t, k, "9c", extension(3, 5, 4, 3), extension(7, 2, 1, 0xff), extension(8, 2, 1)), k, attest.ErrStatement},
		"no slot":                {y.attests(t, k, "", usual()...), k, attest.ErrStatement},
		"nothing":                {nil, k, attest.ErrStatement},
		"oversized":              {[][]byte{make([]byte, 5000), good[1]}, k, attest.ErrStatement},
	} {
		if p, err := attest.VerifyPIV(c.certs, y.root.pool(), spki(t, c.key), now); !errors.Is(err, c.want) || p != nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func (y yubiKey) f9Signs(t testing.TB, k *ecdsa.PrivateKey, name string) [][]byte {
	t.Helper()
	leaf := y.f9.sign(t, &x509.Certificate{SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: name}, NotBefore: now.AddDate(-1, 0, 0),
		NotAfter: now.AddDate(9, 0, 0), ExtraExtensions: usual()}, y.f9.cert, k.Public())
	return [][]byte{leaf.Raw, y.f9.cert.Raw}
}

// FuzzTPM: whatever is said of a key ends in a fault, unless it is what the device said.
func FuzzTPM(f *testing.F) {
	maker := newAuthority(f, "Example TPM Maker")
	d := newDevice(f, maker)
	binding := bytes.Repeat([]byte{7}, 32)
	aik, key := area(f, d.aik, aikAttributes), area(f, d.signing, keyAttributes)
	good := d.says(key, binding, nil)
	f.Add(aik, good.Key, good.Info, good.Signature)
	f.Add([]byte{}, []byte{}, []byte{}, []byte{})
	wanted := spki(f, d.signing)
	f.Fuzz(func(t *testing.T, a, k, info, signature []byte) {
		device, err := attest.NewDevice([][]byte{d.ek.Raw}, a, maker.pool(), now)
		if err != nil {
			return
		}
		if _, _, err := device.Challenge(binding); err != nil {
			t.Error(err)
		}
		if _, err := device.Verify(attest.Statement{Key: k, Info: info, Signature: signature}, binding, wanted); err == nil && bytes.Equal(a, aik) && !bytes.Equal(info, good.Info) {
			t.Error("another statement was believed")
		}
	})
}

// FuzzPIV: whatever certificates come, a proof is only for the key that was asked about.
func FuzzPIV(f *testing.F) {
	y, k := newYubiKey(f), newKey(f)
	good := y.attests(f, k, "9c", usual()...)
	f.Add(good[0], good[1])
	other := spki(f, newKey(f))
	f.Fuzz(func(t *testing.T, leaf, f9 []byte) {
		if _, err := attest.VerifyPIV([][]byte{leaf, f9}, y.root.pool(), other, now); err == nil {
			t.Error("a proof for another key")
		}
	})
}
