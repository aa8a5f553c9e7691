package cms

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
)

// signatureScheme is how one key signs: the digest of the content and of the
// attributes, and the names of both algorithms.
type signatureScheme struct {
	hash      crypto.Hash
	digestOID asn1.ObjectIdentifier
	oid       asn1.ObjectIdentifier
	rsa       bool // the signature algorithm has a NULL
	pure      bool // Ed25519 signs the attributes, not their digest
}

var (
	sha256Digest = signatureScheme{hash: crypto.SHA256, digestOID: oidSHA256}
	sha384Digest = signatureScheme{hash: crypto.SHA384, digestOID: oidSHA384}
	sha512Digest = signatureScheme{hash: crypto.SHA512, digestOID: oidSHA512}
)

func (s signatureScheme) with(oid asn1.ObjectIdentifier) signatureScheme {
	s.oid = oid
	s.rsa = oid.Equal(oidRSA)
	s.pure = oid.Equal(oidEd25519)
	return s
}

// signatureSchemeFor chooses how Sign signs with a key (RFC 5754, RFC 8419).
func signatureSchemeFor(pub crypto.PublicKey) (signatureScheme, bool) {
	if !acceptableSigningKey(pub) {
		return signatureScheme{}, false
	}
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		return sha256Digest.with(oidRSA), true
	case *ecdsa.PublicKey:
		switch pub.Curve {
		case elliptic.P256():
			return sha256Digest.with(oidECDSASHA256), true
		case elliptic.P384():
			return sha384Digest.with(oidECDSASHA384), true
		default:
			return sha512Digest.with(oidECDSASHA512), true
		}
	default:
		return sha512Digest.with(oidEd25519), true
	}
}

// acceptableSigningKey holds the strength that both Sign and Verify insist on.
func acceptableSigningKey(pub crypto.PublicKey) bool {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		return pub.N.BitLen() >= minRSABits && pub.N.BitLen() <= maxRSABits
	case *ecdsa.PublicKey:
		return pub.Curve == elliptic.P256() || pub.Curve == elliptic.P384() || pub.Curve == elliptic.P521()
	case ed25519.PublicKey:
		return true
	}
	return false
}

// mayUseForSigning looks at the key usage, if the certificate has one.
func mayUseForSigning(cert *x509.Certificate) bool {
	return cert.KeyUsage == 0 || cert.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) != 0
}

// addSignatureAlgorithm writes the signature's AlgorithmIdentifier.
func (s signatureScheme) addSignatureAlgorithm(b *cryptobyte.Builder) {
	if s.rsa {
		addAlgorithm(b, s.oid, addNull)
		return
	}
	addAlgorithm(b, s.oid, nil)
}

// checkSignature verifies a signature over message. The digest named for the
// content must be the one that the signature uses: otherwise a weaker one could
// be put beside a good signature. Structure and support are told from failure.
func checkSignature(cert *x509.Certificate, digest crypto.Hash, alg algorithm, message, signature []byte) error {
	if !acceptableSigningKey(cert.PublicKey) {
		return ErrUnsupported.Withf("The signer's key is too short or of a kind that is not accepted.")
	}
	if alg.oid.Equal(oidRSAPSS) {
		return checkPSS(cert, digest, alg, message, signature)
	}
	algo, rsaAlgo := x509SignatureAlgorithm(alg.oid, digest)
	if algo == x509.UnknownSignatureAlgorithm {
		return ErrUnsupported.Withf("The signature algorithm %v is not accepted with this digest.", alg.oid)
	}
	if rsaAlgo && !alg.plain() || !rsaAlgo && len(alg.params) != 0 {
		return ErrMalformed
	}
	if err := cert.CheckSignature(algo, message, signature); err != nil {
		return ErrVerify.Because(err)
	}
	return nil
}

// x509SignatureAlgorithm maps a signature algorithm and the digest that has to go
// with it; the second result is true for RSA.
func x509SignatureAlgorithm(oid asn1.ObjectIdentifier, digest crypto.Hash) (x509.SignatureAlgorithm, bool) {
	for _, row := range []struct {
		oid    asn1.ObjectIdentifier
		digest crypto.Hash
		algo   x509.SignatureAlgorithm
		rsa    bool
	}{
		{oidRSA, crypto.SHA256, x509.SHA256WithRSA, true},
		{oidRSA, crypto.SHA384, x509.SHA384WithRSA, true},
		{oidRSA, crypto.SHA512, x509.SHA512WithRSA, true},
		{oidRSASHA256, crypto.SHA256, x509.SHA256WithRSA, true},
		{oidRSASHA384, crypto.SHA384, x509.SHA384WithRSA, true},
		{oidRSASHA512, crypto.SHA512, x509.SHA512WithRSA, true},
		{oidECDSASHA256, crypto.SHA256, x509.ECDSAWithSHA256, false},
		{oidECDSASHA384, crypto.SHA384, x509.ECDSAWithSHA384, false},
		{oidECDSASHA512, crypto.SHA512, x509.ECDSAWithSHA512, false},
		{oidEd25519, crypto.SHA512, x509.PureEd25519, false}, // RFC 8419 §2.3
	} {
		if row.digest == digest && row.oid.Equal(oid) {
			return row.algo, row.rsa
		}
	}
	return x509.UnknownSignatureAlgorithm, false
}

// checkPSS verifies RSASSA-PSS with the salt length that the message names.
func checkPSS(cert *x509.Certificate, digest crypto.Hash, alg algorithm, message, signature []byte) error {
	hash, saltLen, err := parsePSS(alg)
	if err != nil {
		return err
	}
	pub, ok := cert.PublicKey.(*rsa.PublicKey)
	if hash != digest || !ok || saltLen == 0 { // for Go, zero means any length
		return ErrUnsupported.Withf("The signature algorithm %v is not accepted with these parameters.", alg.oid)
	}
	h := hash.New()
	h.Write(message)
	if err := rsa.VerifyPSS(pub, hash, h.Sum(nil), signature, &rsa.PSSOptions{SaltLength: saltLen}); err != nil {
		return ErrVerify.Because(err)
	}
	return nil
}
