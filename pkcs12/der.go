package pkcs12

import (
	"bytes"
	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// bmpTag is the tag of BMPString.
const bmpTag = cbasn1.Tag(30)

// context returns the constructed context-specific tag n.
func context(n uint8) cbasn1.Tag { return cbasn1.Tag(n).ContextSpecific().Constructed() }

// algorithm is an AlgorithmIdentifier; params is the whole parameter element, or
// empty when there is none.
type algorithm struct {
	oid    asn1.ObjectIdentifier
	params cryptobyte.String
}

func readAlgorithm(s *cryptobyte.String, a *algorithm) bool {
	var body cryptobyte.String
	if !s.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1ObjectIdentifier(&a.oid) {
		return false
	}
	a.params = body
	if body.Empty() {
		return true
	}
	var element cryptobyte.String
	var tag cbasn1.Tag
	return body.ReadAnyASN1Element(&element, &tag) && body.Empty()
}

// plain reports whether the parameters are absent or NULL.
func (a algorithm) plain() bool {
	return len(a.params) == 0 || bytes.Equal(a.params, []byte{0x05, 0x00})
}

// readContentInfo reads a ContentInfo: its type and what is inside the explicit [0].
func readContentInfo(s *cryptobyte.String) (typ asn1.ObjectIdentifier, content cryptobyte.String, ok bool) {
	var info cryptobyte.String
	ok = s.ReadASN1(&info, cbasn1.SEQUENCE) && info.ReadASN1ObjectIdentifier(&typ) &&
		info.ReadASN1(&content, context(0)) && info.Empty()
	return typ, content, ok
}

func addAlgorithm(b *cryptobyte.Builder, oid asn1.ObjectIdentifier, params func(*cryptobyte.Builder)) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		if params != nil {
			params(b)
		}
	})
}

func addNull(b *cryptobyte.Builder) { b.AddASN1(cbasn1.NULL, func(*cryptobyte.Builder) {}) }

// addContentInfo writes a ContentInfo with what content writes inside the [0].
func addContentInfo(b *cryptobyte.Builder, typ asn1.ObjectIdentifier, content func(*cryptobyte.Builder)) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(typ)
		b.AddASN1(context(0), content)
	})
}

// build runs f on a new builder and returns what it wrote.
func build(f func(*cryptobyte.Builder)) ([]byte, error) {
	var b cryptobyte.Builder
	f(&b)
	return b.Bytes()
}
