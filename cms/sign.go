package cms

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// SignOptions choose what goes into a signature beside the content.
type SignOptions struct {
	// Chain are further certificates to include, usually the intermediates.
	Chain []*x509.Certificate
	// Detached leaves the content out of the message.
	Detached bool
	// ContentType says what the content is; empty means id-data.
	ContentType asn1.ObjectIdentifier
	// SigningTime is written as a signed attribute unless it is zero.
	SigningTime time.Time
	// Encryption is the certificate that correspondents should encrypt to, which
	// a signed mail tells them with the ciphers that are read, as Advertise does;
	// nil tells them nothing. It goes into the message with Chain.
	Encryption *x509.Certificate

	attributes [][]byte // further signed attributes, encoded
}

// Sign signs content and returns SignedData in DER with one signer, signed
// attributes, and the signer's certificate. RSA keys sign with PKCS #1 v1.5 and
// SHA-256, ECDSA keys with the hash that fits their curve, Ed25519 as in RFC 8419.
// The signer may be on a token; what it returns is verified before it is used. A
// certificate that is not the signer's, or is not for signing, is ErrSigner.
func Sign(content []byte, signer crypto.Signer, cert *x509.Certificate, opt SignOptions) ([]byte, error) {
	if signer == nil || cert == nil {
		return nil, ErrSigner.Withf("A key and its certificate are needed to sign.")
	}
	s, ok := signatureSchemeFor(signer.Public())
	if !ok {
		return nil, ErrSigner.Withf("The key is too short or of a kind that cannot sign.")
	}
	if pub, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !pub.Equal(signer.Public()) {
		return nil, ErrSigner.Withf("The key does not belong to the certificate of serial %x.", cert.SerialNumber)
	}
	if !mayUseForSigning(cert) {
		return nil, ErrSigner.Withf("The certificate of serial %x is not for signing.", cert.SerialNumber)
	}
	if len(opt.Chain)+1 > MaxCertificates {
		return nil, ErrSigner.Withf("A message can carry at most %d certificates.", MaxCertificates)
	}
	if len(opt.ContentType) == 0 {
		opt.ContentType = OIDData
	}
	if opt.Encryption != nil {
		if err := opt.addPreferences(cert); err != nil {
			return nil, err
		}
	}
	attrs, err := buildSignedAttributes(content, s, opt)
	if err != nil {
		return nil, fmt.Errorf("encode signed attributes: %w", err)
	}
	signature, err := s.sign(attrs, signer, cert)
	if err != nil {
		return nil, err
	}
	return buildSignedData(content, s, attrs, signature, cert, opt)
}

// buildSignedAttributes returns the SET OF that is signed (RFC 5652 §5.4).
func buildSignedAttributes(content []byte, s signatureScheme, opt SignOptions) ([]byte, error) {
	h := s.hash.New()
	h.Write(content)
	typ, err := buildContentTypeAttribute(opt.ContentType)
	if err != nil {
		return nil, err
	}
	digest, err := buildAttribute(oidAttrMessageDigest, func(b *cryptobyte.Builder) { b.AddASN1OctetString(h.Sum(nil)) })
	if err != nil {
		return nil, err
	}
	attrs := append([][]byte{typ, digest}, opt.attributes...)
	if !opt.SigningTime.IsZero() {
		at, err := buildAttribute(oidAttrSigningTime, func(b *cryptobyte.Builder) { addTime(b, opt.SigningTime) })
		if err != nil {
			return nil, err
		}
		attrs = append(attrs, at)
	}
	return build(func(b *cryptobyte.Builder) { addSetOf(b, cbasn1.SET, attrs) })
}

// addTime writes UTCTime through 2049 and GeneralizedTime from then on (RFC 5652 §11.3).
func addTime(b *cryptobyte.Builder, t time.Time) {
	t = t.UTC().Truncate(time.Second)
	if t.Year() >= 1950 && t.Year() < 2050 {
		b.AddASN1UTCTime(t)
		return
	}
	b.AddASN1GeneralizedTime(t)
}

// sign signs the attributes and checks the result: a faulty token must not give
// away its key through a wrong signature.
func (s signatureScheme) sign(attrs []byte, signer crypto.Signer, cert *x509.Certificate) ([]byte, error) {
	message, opts := attrs, crypto.Hash(0)
	if !s.pure {
		h := s.hash.New()
		h.Write(attrs)
		message, opts = h.Sum(nil), s.hash
	}
	signature, err := signer.Sign(rand.Reader, message, opts)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	if err := checkSignature(cert, s.hash, algorithm{oid: s.oid}, attrs, signature); err != nil {
		return nil, fmt.Errorf("the signer returned a signature that does not verify: %w", err)
	}
	return signature, nil
}

// buildSignedData writes SignedData with one SignerInfo (RFC 5652 §5.1, §5.3).
func buildSignedData(content []byte, s signatureScheme, attrs, signature []byte, cert *x509.Certificate, opt SignOptions) ([]byte, error) {
	version := int64(1)
	if !opt.ContentType.Equal(OIDData) {
		version = 3
	}
	return buildContentInfo(OIDSignedData, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(version)
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { addAlgorithm(b, s.digestOID, nil) })
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // EncapsulatedContentInfo
			b.AddASN1ObjectIdentifier(opt.ContentType)
			if !opt.Detached {
				b.AddASN1(context(0), func(b *cryptobyte.Builder) { b.AddASN1OctetString(content) })
			}
		})
		addCertificates(b, append([]*x509.Certificate{cert}, opt.Chain...))
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(1)
				addIssuerAndSerial(b, cert)
				addAlgorithm(b, s.digestOID, nil)
				b.AddBytes(withTag(attrs, context(0)))
				s.addSignatureAlgorithm(b)
				b.AddASN1OctetString(signature)
			})
		})
	})
}

// addCertificates writes the certificates [0] in the order given, as everybody
// does: programs expect the signer's or the leaf first, and nothing is signed
// over this SET.
func addCertificates(b *cryptobyte.Builder, certs []*x509.Certificate) {
	b.AddASN1(context(0), func(b *cryptobyte.Builder) {
		for _, c := range certs {
			b.AddBytes(c.Raw)
		}
	})
}
