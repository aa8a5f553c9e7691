package cms

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/hkdf"
	"crypto/sha256"
	_ "crypto/sha512" // the KDF of P-384 and P-521
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// scheme is one key agreement scheme: ephemeral-static ECDH and the derivation
// that follows it.
type scheme struct {
	oid  asn1.ObjectIdentifier
	hash crypto.Hash
	hkdf bool // RFC 8418; otherwise the KDF of ANSI X9.63 (RFC 5753 §7.2)
}

var schemes = []scheme{
	{oid: oidECDH256, hash: crypto.SHA256},
	{oid: oidECDH384, hash: crypto.SHA384},
	{oid: oidECDH512, hash: crypto.SHA512},
	{oid: oidECDHKDF, hash: crypto.SHA256, hkdf: true},
}

func schemeByOID(oid asn1.ObjectIdentifier) (scheme, bool) {
	for _, s := range schemes {
		if s.oid.Equal(oid) {
			return s, true
		}
	}
	return scheme{}, false
}

// schemeFor is the scheme that Seal writes for a recipient's curve.
func schemeFor(curve ecdh.Curve) (scheme, bool) {
	oid, ok := map[ecdh.Curve]asn1.ObjectIdentifier{
		ecdh.P256():   oidECDH256,
		ecdh.P384():   oidECDH384,
		ecdh.P521():   oidECDH512,
		ecdh.X25519(): oidECDHKDF,
	}[curve]
	if !ok {
		return scheme{}, false
	}
	return schemeByOID(oid)
}

// kek derives the key-encryption key of size bytes from the shared secret.
// keyInfo is the AlgorithmIdentifier of the key wrap as it stands in the message.
func (s scheme) kek(secret, keyInfo, ukm []byte, size int) ([]byte, error) {
	info, err := sharedInfo(keyInfo, ukm, size)
	if err != nil {
		return nil, err
	}
	if s.hkdf {
		return hkdf.Key(sha256.New, secret, ukm, string(info), size)
	}
	return x963KDF(s.hash, secret, info, size), nil
}

// sharedInfo builds ECC-CMS-SharedInfo (RFC 5753 §7.2).
func sharedInfo(keyInfo, ukm []byte, size int) ([]byte, error) {
	return build(func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(keyInfo)
			if ukm != nil {
				b.AddASN1(context(0), func(b *cryptobyte.Builder) { b.AddASN1OctetString(ukm) })
			}
			b.AddASN1(context(2), func(b *cryptobyte.Builder) {
				b.AddASN1OctetString(binary.BigEndian.AppendUint32(nil, uint32(size*8)))
			})
		})
	})
}

// x963KDF is the key derivation of ANSI X9.63, as in SEC 1 §3.6.1.
func x963KDF(hash crypto.Hash, secret, info []byte, size int) []byte {
	var out []byte
	for counter := uint32(1); len(out) < size; counter++ {
		h := hash.New()
		h.Write(secret)
		h.Write(binary.BigEndian.AppendUint32(nil, counter))
		h.Write(info)
		out = h.Sum(out)
	}
	clear(out[size:])
	return out[:size]
}

// certifiedKey returns the public key of a certificate. crypto/x509 reads X25519
// keys but leaves them out when it parses a certificate.
func certifiedKey(cert *x509.Certificate) crypto.PublicKey {
	if cert.PublicKey != nil {
		return cert.PublicKey
	}
	pub, err := x509.ParsePKIXPublicKey(cert.RawSubjectPublicKeyInfo)
	if err != nil {
		return nil // of an unknown kind, which the caller reports
	}
	return pub
}

// ecdhPublic returns an elliptic curve public key, in either of the forms that
// the standard library has for it, as one for key agreement.
func ecdhPublic(pub crypto.PublicKey) (*ecdh.PublicKey, bool) {
	switch pub := pub.(type) {
	case *ecdh.PublicKey:
		return pub, pub != nil
	case *ecdsa.PublicKey:
		k, err := pub.ECDH()
		return k, err == nil
	}
	return nil, false
}

// ecdhKey returns the key agreement side of a private key.
func ecdhKey(key Decrypter) (ECDHKey, bool) {
	switch key := key.(type) {
	case *ecdsa.PrivateKey:
		k, err := key.ECDH()
		return k, err == nil
	case ECDHKey:
		return key, true
	}
	return nil, false
}
