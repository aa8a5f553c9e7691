package cms

import (
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// EncKeyWithID is a private key on its way to an archive, together with whom it
// belongs to (RFC 4211 §4.2.1, content type OIDEncKeyWithID).
type EncKeyWithID struct {
	// PrivateKey is PKCS #8 in DER, not encrypted. The caller clears it.
	PrivateKey []byte
	// Identifier is the UTF8String form of the identifier; empty when there is none.
	Identifier string
	// GeneralName is the DER of the other form of the identifier; nil when
	// absent. At most one of the two is set.
	GeneralName []byte
}

// Marshal returns the DER encoding, which holds the key: the caller clears it. No
// other copy of the key is left behind.
func (e EncKeyWithID) Marshal() ([]byte, error) {
	if !isPrivateKeyInfo(e.PrivateKey) {
		return nil, ErrMalformed.Withf("The private key is not PKCS #8.")
	}
	if e.Identifier != "" && e.GeneralName != nil {
		return nil, ErrMalformed.Withf("A key has one identifier, a string or a general name.")
	}
	if !utf8.ValidString(e.Identifier) {
		return nil, ErrMalformed.Withf("The identifier is not UTF-8.")
	}
	if e.GeneralName != nil && !isGeneralName(e.GeneralName) {
		return nil, ErrMalformed.Withf("The identifier is not a general name.")
	}
	// With room for all of it the builder never moves to a larger buffer, which
	// would leave the key in the old one.
	b := cryptobyte.NewBuilder(make([]byte, 0, len(e.PrivateKey)+len(e.Identifier)+len(e.GeneralName)+32))
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(e.PrivateKey)
		if e.Identifier != "" {
			b.AddASN1(cbasn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(e.Identifier)) })
		}
		b.AddBytes(e.GeneralName)
	})
	return b.Bytes()
}

// ParseEncKeyWithID reads the DER encoding. PrivateKey and GeneralName point into
// der, so that clearing der clears them.
func ParseEncKeyWithID(der []byte) (*EncKeyWithID, error) {
	if err := checkDER(der, DefaultMaxSize); err != nil {
		return nil, err
	}
	input := cryptobyte.String(der)
	var body, key cryptobyte.String
	if !input.ReadASN1(&body, cbasn1.SEQUENCE) || !input.Empty() ||
		!body.ReadASN1Element(&key, cbasn1.SEQUENCE) || !isPrivateKeyInfo(key) {
		return nil, ErrMalformed.Withf("The content is not a private key with an identifier.")
	}
	e := &EncKeyWithID{PrivateKey: key}
	if body.Empty() {
		return e, nil
	}
	if !body.PeekASN1Tag(cbasn1.UTF8String) {
		if !isGeneralName(body) {
			return nil, ErrMalformed
		}
		e.GeneralName = body
		return e, nil
	}
	var text cryptobyte.String
	if !body.ReadASN1(&text, cbasn1.UTF8String) || !body.Empty() || len(text) == 0 || !utf8.Valid(text) {
		return nil, ErrMalformed
	}
	e.Identifier = string(text)
	return e, nil
}

// isPrivateKeyInfo reports whether der has the outline of PrivateKeyInfo (RFC 5958
// §2): what is inside the key is not looked at.
func isPrivateKeyInfo(der []byte) bool {
	input := cryptobyte.String(der)
	var body, key cryptobyte.String
	var version int
	var alg algorithm
	return input.ReadASN1(&body, cbasn1.SEQUENCE) && input.Empty() &&
		body.ReadASN1Integer(&version) && (version == 0 || version == 1) &&
		readAlgorithm(&body, &alg) && body.ReadASN1(&key, cbasn1.OCTET_STRING)
}

// isGeneralName reports whether der is one element with one of the nine tags of
// GeneralName (RFC 5280 §4.2.1.6).
func isGeneralName(der []byte) bool {
	input := cryptobyte.String(der)
	var body cryptobyte.String
	var tag cbasn1.Tag
	return input.ReadAnyASN1(&body, &tag) && input.Empty() && tag&0xc0 == 0x80 && tag&0x1f <= 8
}
