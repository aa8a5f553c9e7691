package cms

import (
	"bytes"
	"encoding/asn1"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// attributes are the signed or authenticated attributes of a message, by type.
// Every one has exactly one value here: the ones that this package understands
// must (RFC 5652 §11), and others are kept as the whole SET.
type attributes map[string]cryptobyte.String

// parseAttributes reads the body of a SET OF Attribute. No type may appear twice.
func parseAttributes(set cryptobyte.String) (attributes, bool) {
	attrs := make(attributes)
	for !set.Empty() {
		var attr, values cryptobyte.String
		var typ asn1.ObjectIdentifier
		if !set.ReadASN1(&attr, cbasn1.SEQUENCE) ||
			!attr.ReadASN1ObjectIdentifier(&typ) ||
			!attr.ReadASN1(&values, cbasn1.SET) || !attr.Empty() {
			return nil, false
		}
		if _, twice := attrs[typ.String()]; twice {
			return nil, false
		}
		attrs[typ.String()] = values
	}
	return attrs, len(attrs) > 0
}

// contentType returns the one value of the content-type attribute.
func (a attributes) contentType() (asn1.ObjectIdentifier, bool) {
	v, ok := a[oidAttrContentType.String()]
	var typ asn1.ObjectIdentifier
	return typ, ok && v.ReadASN1ObjectIdentifier(&typ) && v.Empty()
}

// messageDigest returns the one value of the message-digest attribute.
func (a attributes) messageDigest() ([]byte, bool) {
	v, ok := a[oidAttrMessageDigest.String()]
	var digest cryptobyte.String
	return digest, ok && v.ReadASN1(&digest, cbasn1.OCTET_STRING) && v.Empty()
}

// signingTime returns the claimed time, zero when there is none; false when it
// is there and wrong.
func (a attributes) signingTime() (time.Time, bool) {
	v, ok := a[oidAttrSigningTime.String()]
	if !ok {
		return time.Time{}, true
	}
	var t time.Time
	if v.PeekASN1Tag(cbasn1.UTCTime) {
		return t, v.ReadASN1UTCTime(&t) && v.Empty()
	}
	return t, v.ReadASN1GeneralizedTime(&t) && v.Empty()
}

// buildAttribute returns one Attribute with one value.
func buildAttribute(typ asn1.ObjectIdentifier, value func(*cryptobyte.Builder)) ([]byte, error) {
	return build(func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(typ)
			b.AddASN1(cbasn1.SET, value)
		})
	})
}

// buildContentTypeAttribute returns the attribute that binds a content type.
func buildContentTypeAttribute(typ asn1.ObjectIdentifier) ([]byte, error) {
	return buildAttribute(oidAttrContentType, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(typ) })
}

// withTag returns a copy of a DER element under another tag: attributes travel
// under an IMPLICIT context tag but are signed and authenticated as a SET OF
// (RFC 5652 §5.4, RFC 5083 §2.2).
func withTag(element []byte, tag cbasn1.Tag) []byte {
	c := bytes.Clone(element)
	c[0] = byte(tag)
	return c
}
