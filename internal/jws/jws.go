// Package jws signs a document, and opens one that was signed, in the one form that Sealpost uses of JSON Web Signatures (RFC 7515):
// the compact one, signed with ES256, with the signer's certificate and those above it in x5c and the kind of the document in typ.
//
// It owns the form and the signature. Whether the signer is one to believe for this kind of document is for who
// opens it: Open only holds that the certificate comes from the given roots.
package jws

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const maxSigned = 1 << 20 // bytes of a signed document

// Sign returns the payload signed. The chain begins with the key's own certificate, which is of a P-256 key.
func Sign(key *ecdsa.PrivateKey, chain []*x509.Certificate, typ string, payload []byte) (string, error) {
	x5c := make([]string, len(chain))
	for i, c := range chain {
		x5c[i] = base64.StdEncoding.EncodeToString(c.Raw) // RFC 7515, 4.1.6: not base64url
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key},
		(&jose.SignerOptions{}).WithType(jose.ContentType(typ)).WithHeader("x5c", x5c))
	if err != nil {
		return "", fmt.Errorf("sign %s: %w", typ, err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign %s: %w", typ, err)
	}
	return signed.CompactSerialize()
}

// Signed is what was signed, and by whom.
type Signed struct {
	Payload []byte
	Signer  *x509.Certificate
}

// Open reads a document of the given kind, and holds that the key of the certificate in it signed it and that the certificate chained
// to one of the roots when the document says that it was signed: at finds that in the payload, which is not to be believed yet. What
// the certificate is for is left to the caller. The algorithm is ES256 and nothing else, whatever the document says; keys that it names
// in any other way than x5c are not looked at.
func Open(compact, typ string, roots *x509.CertPool, at func(payload []byte) (time.Time, error)) (*Signed, error) {
	if len(compact) > maxSigned {
		return nil, fmt.Errorf("%d bytes, at most %d are read", len(compact), maxSigned)
	}
	parsed, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return nil, err
	}
	header := parsed.Signatures[0].Protected
	if got, _ := header.ExtraHeaders[jose.HeaderType].(string); got != typ {
		return nil, fmt.Errorf("typ is %.40q, not %q", got, typ)
	}
	when, err := at(parsed.UnsafePayloadWithoutVerification())
	if err != nil {
		return nil, err
	}
	// Any usage, because x509 knows ours only as an unknown one.
	chains, err := header.Certificates(x509.VerifyOptions{Roots: roots, CurrentTime: when, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return nil, err
	}
	signer := chains[0][0]
	key, ok := signer.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("the signer's key is not of the curve P-256")
	}
	payload, err := parsed.Verify(key)
	if err != nil {
		return nil, err
	}
	return &Signed{Payload: payload, Signer: signer}, nil
}
