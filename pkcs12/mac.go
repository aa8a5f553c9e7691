package pkcs12

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// sum computes the MAC of RFC 7292 §5.1 over the authenticated safe. Its key is as
// long as the digest (appendix B.4).
func (d *deriver) sum(h crypto.Hash, safe, salt []byte, iterations int) ([]byte, error) {
	key, err := d.rfc7292(h, purposeMAC, salt, iterations, h.Size())
	if err != nil {
		return nil, err
	}
	mac := hmac.New(h.New, key)
	mac.Write(safe)
	return mac.Sum(nil), nil
}

// buildMAC returns MacData for the authenticated safe: SHA-256 in modern files,
// SHA-1 in others.
func (e *encrypter) buildMAC(safe []byte) ([]byte, error) {
	h, oid := crypto.SHA256, oidSHA256
	if !e.modern {
		h, oid = crypto.SHA1, oidSHA1
	}
	salt := make([]byte, e.saltSize)
	rand.Read(salt)
	sum, err := e.keys.sum(h, safe, salt, e.iterations)
	if err != nil {
		return nil, err
	}
	return build(func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // DigestInfo
				addAlgorithm(b, oid, addNull)
				b.AddASN1OctetString(sum)
			})
			b.AddASN1OctetString(salt)
			b.AddASN1Int64(int64(e.iterations))
		})
	})
}

// checkMAC reads MacData and verifies it.
func (d *deriver) checkMAC(macData cryptobyte.String, safe []byte) error {
	var info, sum, salt cryptobyte.String
	var alg algorithm
	if !macData.ReadASN1(&info, cbasn1.SEQUENCE) ||
		!readAlgorithm(&info, &alg) || !info.ReadASN1(&sum, cbasn1.OCTET_STRING) || !info.Empty() ||
		!macData.ReadASN1(&salt, cbasn1.OCTET_STRING) {
		return ErrMalformed
	}
	iterations := 1 // DEFAULT
	if !macData.Empty() && !macData.ReadASN1Integer(&iterations) || !macData.Empty() {
		return ErrMalformed
	}
	if alg.oid.Equal(oidPBMAC1) {
		return ErrUnsupported.Withf("The file is authenticated with PBMAC1, which is not accepted yet.")
	}
	h, ok := macHash(alg.oid)
	if !ok || !alg.plain() {
		return ErrUnsupported.Withf("The file is authenticated with %v, which is not accepted.", alg.oid)
	}
	want, err := d.sum(h, safe, salt, iterations)
	if err != nil {
		return err
	}
	if !hmac.Equal(sum, want) {
		return ErrPassphrase
	}
	return nil
}

func macHash(oid asn1.ObjectIdentifier) (crypto.Hash, bool) {
	switch {
	case oid.Equal(oidSHA1):
		return crypto.SHA1, true
	case oid.Equal(oidSHA256):
		return crypto.SHA256, true
	case oid.Equal(oidSHA384):
		return crypto.SHA384, true
	case oid.Equal(oidSHA512):
		return crypto.SHA512, true
	}
	return 0, false
}
