package cms

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// SealOptions choose how Seal writes. The zero value is right for everything
// that Sealpost itself will read.
type SealOptions struct {
	// ContentType says what the content is; empty means id-data.
	ContentType asn1.ObjectIdentifier
	// Legacy writes EnvelopedData with AES-256-CBC, which mail programs read
	// but which does not notice alterations, in place of AuthEnvelopedData.
	Legacy bool
	// PKCS1v15 encrypts the content key to RSA keys with PKCS #1 v1.5 padding in
	// place of OAEP, which is all that Apple's and older mail programs read (and
	// what RFC 8551 §2.3 demands of each). Only for mail.
	PKCS1v15 bool
}

// Seal encrypts content to every one of the recipients and returns DER. Any one
// of them can open it. RSA keys get RSAES-OAEP with SHA-256; P-256, P-384, P-521
// and X25519 keys get ephemeral-static ECDH with AES-256 key wrap. No recipient,
// more than MaxRecipients, or a certificate whose key or key usage does not fit
// is ErrRecipient. Whether the certificates are valid is the caller's to check.
func Seal(content []byte, recipients []*x509.Certificate, opt SealOptions) ([]byte, error) {
	if len(recipients) == 0 {
		return nil, ErrRecipient.Withf("A message needs at least one recipient.")
	}
	if len(recipients) > MaxRecipients {
		return nil, ErrRecipient.Withf("A message can have at most %d recipients.", MaxRecipients)
	}
	if len(opt.ContentType) == 0 {
		opt.ContentType = OIDData
	}
	contentKey := make([]byte, contentKeySize)
	defer clear(contentKey)
	rand.Read(contentKey)
	infos := make([][]byte, len(recipients))
	version := 0
	for i, cert := range recipients {
		info, err := sealKey(contentKey, cert, opt.PKCS1v15)
		if err != nil {
			return nil, err
		}
		if info[0] != byte(cbasn1.SEQUENCE) {
			version = 2 // RFC 5652 §6.1: not only KeyTransRecipientInfo
		}
		infos[i] = info
	}
	if opt.Legacy {
		return sealEnveloped(content, contentKey, version, infos, opt.ContentType)
	}
	return sealAuthEnveloped(content, contentKey, infos, opt.ContentType)
}

// sealAuthEnveloped writes AuthEnvelopedData (RFC 5083). A content type other than
// id-data is authenticated with the content, as §2.1 demands.
func sealAuthEnveloped(content, contentKey []byte, infos [][]byte, typ asn1.ObjectIdentifier) ([]byte, error) {
	var attrs, aad []byte
	if !typ.Equal(OIDData) {
		attr, err := buildContentTypeAttribute(typ)
		if err != nil {
			return nil, fmt.Errorf("encode content type: %w", err)
		}
		attrs, err = build(func(b *cryptobyte.Builder) { addSetOf(b, context(1), [][]byte{attr}) })
		if err != nil {
			return nil, fmt.Errorf("encode attributes: %w", err)
		}
		aad = withTag(attrs, cbasn1.SET)
	}
	nonce := make([]byte, gcmNonceSize)
	rand.Read(nonce)
	ciphertext, tag, err := sealGCM(contentKey, nonce, content, aad)
	if err != nil {
		return nil, fmt.Errorf("encrypt content: %w", err)
	}
	return buildContentInfo(OIDAuthEnvelopedData, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		addSetOf(b, cbasn1.SET, infos)
		addEncryptedContent(b, typ, oidAES256GCM, ciphertext, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1OctetString(nonce)
				b.AddASN1Int64(gcmTagSize)
			})
		})
		b.AddBytes(attrs)
		b.AddASN1OctetString(tag)
	})
}

// sealEnveloped writes EnvelopedData (RFC 5652 §6.1).
func sealEnveloped(content, contentKey []byte, version int, infos [][]byte, typ asn1.ObjectIdentifier) ([]byte, error) {
	iv := make([]byte, 16)
	rand.Read(iv)
	ciphertext, err := sealCBC(contentKey, iv, content)
	if err != nil {
		return nil, fmt.Errorf("encrypt content: %w", err)
	}
	return buildContentInfo(OIDEnvelopedData, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(int64(version))
		addSetOf(b, cbasn1.SET, infos)
		addEncryptedContent(b, typ, oidAES256CBC, ciphertext, func(b *cryptobyte.Builder) { b.AddASN1OctetString(iv) })
	})
}

func addEncryptedContent(b *cryptobyte.Builder, typ, alg asn1.ObjectIdentifier, ciphertext []byte, params func(*cryptobyte.Builder)) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(typ)
		addAlgorithm(b, alg, params)
		b.AddASN1(contextPrimitive(0), func(b *cryptobyte.Builder) { b.AddBytes(ciphertext) })
	})
}

// sealKey returns the RecipientInfo for one certificate.
func sealKey(contentKey []byte, cert *x509.Certificate, v15 bool) ([]byte, error) {
	if cert == nil {
		return nil, ErrRecipient.Withf("A recipient has no certificate.")
	}
	if pub, ok := cert.PublicKey.(*rsa.PublicKey); ok {
		if n := pub.N.BitLen(); n < minRSABits || n > maxRSABits {
			return nil, ErrRecipient.Withf("The recipient's RSA key has %d bits; %d to %d are accepted.", n, minRSABits, maxRSABits)
		}
		if cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageKeyEncipherment == 0 {
			return nil, ErrRecipient.Withf("The recipient's certificate is not for key encipherment.")
		}
		return sealKeyTransport(contentKey, cert, pub, v15)
	}
	pub, ok := ecdhPublic(certifiedKey(cert))
	if !ok {
		return nil, ErrRecipient.Withf("The recipient's certificate has a key that cannot be encrypted to.")
	}
	if cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageKeyAgreement == 0 {
		return nil, ErrRecipient.Withf("The recipient's certificate is not for key agreement.")
	}
	return sealKeyAgreement(contentKey, cert, pub)
}

// sealKeyTransport writes a KeyTransRecipientInfo with RSAES-OAEP, or with PKCS #1
// v1.5.
func sealKeyTransport(contentKey []byte, cert *x509.Certificate, pub *rsa.PublicKey, v15 bool) ([]byte, error) {
	var encrypted []byte
	var err error
	if v15 {
		//lint:ignore SA1019 what all mail programs read; only on request
		encrypted, err = rsa.EncryptPKCS1v15(rand.Reader, pub, contentKey)
	} else {
		encrypted, err = rsa.EncryptOAEP(sha256.New(), rand.Reader, pub, contentKey, nil)
	}
	if err != nil {
		return nil, ErrRecipient.Because(err)
	}
	return build(func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(0)
			addIssuerAndSerial(b, cert)
			if v15 {
				addAlgorithm(b, oidRSA, addNull)
			} else {
				addOAEP(b)
			}
			b.AddASN1OctetString(encrypted)
		})
	})
}

// sealKeyAgreement writes a KeyAgreeRecipientInfo with an ephemeral key of its own.
func sealKeyAgreement(contentKey []byte, cert *x509.Certificate, pub *ecdh.PublicKey) ([]byte, error) {
	s, ok := schemeFor(pub.Curve())
	if !ok {
		return nil, ErrRecipient.Withf("The recipient's key is on a curve that is not supported.")
	}
	ephemeral, err := pub.Curve().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make ephemeral key: %w", err)
	}
	secret, err := ephemeral.ECDH(pub)
	if err != nil {
		return nil, ErrRecipient.Because(err)
	}
	defer clear(secret)
	keyInfo, err := build(func(b *cryptobyte.Builder) { addAlgorithm(b, oidAES256Wrp, nil) })
	if err != nil {
		return nil, fmt.Errorf("encode key wrap: %w", err)
	}
	kek, err := s.kek(secret, keyInfo, nil, 32)
	if err != nil {
		return nil, fmt.Errorf("derive key-encryption key: %w", err)
	}
	defer clear(kek)
	wrapped, err := wrapKey(kek, contentKey)
	if err != nil {
		return nil, fmt.Errorf("wrap content key: %w", err)
	}
	return buildKeyAgreement(s, ephemeral.PublicKey(), keyInfo, cert, wrapped)
}

func buildKeyAgreement(s scheme, ephemeral *ecdh.PublicKey, keyInfo []byte, cert *x509.Certificate, wrapped []byte) ([]byte, error) {
	keyOID := oidECPublic
	if ephemeral.Curve() == ecdh.X25519() {
		keyOID = oidX25519
	}
	return build(func(b *cryptobyte.Builder) {
		b.AddASN1(context(1), func(b *cryptobyte.Builder) {
			b.AddASN1Int64(3)
			b.AddASN1(context(0), func(b *cryptobyte.Builder) {
				b.AddASN1(context(1), func(b *cryptobyte.Builder) { // OriginatorPublicKey
					addAlgorithm(b, keyOID, nil)
					b.AddASN1BitString(ephemeral.Bytes())
				})
			})
			addAlgorithm(b, s.oid, func(b *cryptobyte.Builder) { b.AddBytes(keyInfo) })
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // RecipientEncryptedKey
					addIssuerAndSerial(b, cert)
					b.AddASN1OctetString(wrapped)
				})
			})
		})
	})
}

func addIssuerAndSerial(b *cryptobyte.Builder, cert *x509.Certificate) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(cert.RawIssuer)
		b.AddASN1BigInt(cert.SerialNumber)
	})
}
