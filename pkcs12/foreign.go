package pkcs12

import (
	"crypto"
	"crypto/cipher"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/sealpost/sealpost/internal/ber"
)

// What files of other programs have that ours have not.

// der returns one element in DER: of foreign files a copy, of others the bytes themselves.
func (d *deriver) der(b []byte) ([]byte, error) {
	if !d.foreign {
		return b, nil
	}
	out, err := ber.ToDER(b)
	if err != nil {
		return nil, ErrMalformed
	}
	return out, nil
}

// implicit reads an OCTET STRING under the implicit tag [0], in foreign files maybe in pieces.
func (d *deriver) implicit(s *cryptobyte.String) (content []byte, ok bool) {
	var whole, pieces cryptobyte.String
	if d.foreign && s.PeekASN1Tag(context(0)) {
		if !s.ReadASN1(&pieces, context(0)) {
			return nil, false
		}
		joined, err := ber.Join(pieces)
		return joined, err == nil
	}
	ok = s.ReadASN1(&whole, cbasn1.Tag(0).ContextSpecific())
	return whole, ok
}

// rc2 is RC2 with a key of so many bytes and IV from the passphrase (RFC 7292 appendix C).
func (d *deriver) rc2(salt []byte, iterations, size int) (cipher.Block, []byte, error) {
	key, err := d.rfc7292(crypto.SHA1, purposeKey, salt, iterations, size)
	if err != nil {
		return nil, nil, err
	}
	iv, err := d.rfc7292(crypto.SHA1, purposeIV, salt, iterations, rc2BlockSize)
	if err != nil {
		return nil, nil, err
	}
	return newRC2(key), iv, nil
}
