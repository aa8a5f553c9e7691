package testmail

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"mime/quotedprintable"
	"time"

	"github.com/sealpost/sealpost/cms"
)

// textEntity is a text as MIME: quoted-printable, so that no gateway has a reason to alter what is signed (RFC 8551 §3.1.3).
func textEntity(text string) []byte {
	var b bytes.Buffer
	b.WriteString("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write(bytes.ReplaceAll([]byte(text), []byte("\n"), []byte("\r\n"))) // a buffer takes all
	_ = w.Close()
	return b.Bytes()
}

// signed signs an entity so that programs without S/MIME could read it (multipart/signed, RFC 8551 §3.5.3). The signature tells the
// reader's program which certificate to answer to.
func signed(entity []byte, i *identity, chain []*x509.Certificate, at time.Time) ([]byte, error) {
	signature, err := cms.Sign(entity, i.signer, i.signing, cms.SignOptions{Detached: true, Encryption: i.encryption, Chain: chain, SigningTime: at})
	if err != nil {
		return nil, err
	}
	boundary := "=_" + word(24)
	var b bytes.Buffer
	fmt.Fprintf(&b, "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; micalg=%s; boundary=\"%s\"\r\n\r\n", micalg(i.signing), boundary)
	fmt.Fprintf(&b, "--%s\r\n%s\r\n--%s\r\n", boundary, entity, boundary)
	b.WriteString("Content-Type: application/pkcs7-signature; name=\"smime.p7s\"\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\"smime.p7s\"\r\n\r\n")
	encoded := base64.StdEncoding.EncodeToString(signature)
	for len(encoded) > 76 {
		b.WriteString(encoded[:76] + "\r\n")
		encoded = encoded[76:]
	}
	fmt.Fprintf(&b, "%s\r\n--%s--\r\n", encoded, boundary)
	return b.Bytes(), nil
}

// micalg names the digest that cms.Sign takes for a key.
func micalg(cert *x509.Certificate) string {
	if k, ok := cert.PublicKey.(*ecdsa.PublicKey); ok && k.Curve != elliptic.P256() {
		return "sha-384"
	}
	return "sha-256"
}
