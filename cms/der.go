package cms

import (
	"bytes"
	"encoding/asn1"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/sealpost/sealpost/internal/ber"
)

// context returns the constructed context-specific tag n.
func context(n uint8) cbasn1.Tag { return cbasn1.Tag(n).ContextSpecific().Constructed() }

// contextPrimitive returns the primitive context-specific tag n, as an IMPLICIT
// OCTET STRING has it.
func contextPrimitive(n uint8) cbasn1.Tag { return cbasn1.Tag(n).ContextSpecific() }

// checkDER refuses what is too large, nests too deeply or is not DER, before
// anything is interpreted. It looks into constructed elements only.
func checkDER(der []byte, maxSize int) error {
	if maxSize <= 0 {
		maxSize = DefaultMaxSize
	}
	if len(der) > maxSize {
		return ErrTooLarge.Withf("The message has %d bytes; at most %d are accepted.", len(der), maxSize)
	}
	return checkElements(der, 0)
}

// readable returns a message as DER, checked as checkDER does.
func readable(b []byte, maxSize int, mayBeBER bool) ([]byte, error) {
	if mayBeBER {
		if maxSize <= 0 {
			maxSize = DefaultMaxSize
		}
		if len(b) > maxSize {
			return nil, ErrTooLarge.Withf("The message has %d bytes; at most %d are accepted.", len(b), maxSize)
		}
		der, err := ber.ToDER(b)
		if err != nil {
			return nil, ErrMalformed.Because(err)
		}
		b = der
	}
	return b, checkDER(b, maxSize)
}

func checkElements(s cryptobyte.String, depth int) error {
	if depth > maxDepth {
		return ErrTooLarge.Withf("The message nests deeper than %d levels.", maxDepth)
	}
	for !s.Empty() {
		indefinite := len(s) > 1 && s[1] == 0x80
		var body cryptobyte.String
		var tag cbasn1.Tag
		if !s.ReadAnyASN1(&body, &tag) {
			if indefinite {
				return ErrMalformed.Withf("The message is BER with indefinite lengths; only DER is accepted.")
			}
			return ErrMalformed
		}
		if tag&0x20 != 0 {
			if err := checkElements(body, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// contentInfo takes the outermost SEQUENCE apart (RFC 5652 §3): the content type
// and the one element inside the explicit [0].
func contentInfo(der []byte) (asn1.ObjectIdentifier, cryptobyte.String, error) {
	input := cryptobyte.String(der)
	var info, content cryptobyte.String
	var typ asn1.ObjectIdentifier
	if !input.ReadASN1(&info, cbasn1.SEQUENCE) || !input.Empty() ||
		!info.ReadASN1ObjectIdentifier(&typ) ||
		!info.ReadASN1(&content, context(0)) || !info.Empty() {
		return nil, nil, ErrMalformed
	}
	var body cryptobyte.String
	if !content.ReadASN1(&body, cbasn1.SEQUENCE) || !content.Empty() {
		return nil, nil, ErrMalformed
	}
	return typ, body, nil
}

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
	var tag cbasn1.Tag
	return body.ReadAnyASN1Element(new(cryptobyte.String), &tag) && body.Empty()
}

// plain reports whether the parameters are absent or NULL, which RFC 5754 and
// RFC 4055 tell readers to treat alike.
func (a algorithm) plain() bool {
	return len(a.params) == 0 || bytes.Equal(a.params, []byte{0x05, 0x00})
}

// addAlgorithm writes an AlgorithmIdentifier with the parameters that params
// writes; nil leaves them out.
func addAlgorithm(b *cryptobyte.Builder, oid asn1.ObjectIdentifier, params func(*cryptobyte.Builder)) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		if params != nil {
			params(b)
		}
	})
}

func addNull(b *cryptobyte.Builder) { b.AddASN1(cbasn1.NULL, func(*cryptobyte.Builder) {}) }

// addSetOf writes the elements of a SET OF in the order that DER asks for.
func addSetOf(b *cryptobyte.Builder, tag cbasn1.Tag, elements [][]byte) {
	sorted := slices.Clone(elements)
	slices.SortFunc(sorted, bytes.Compare)
	b.AddASN1(tag, func(b *cryptobyte.Builder) {
		for _, e := range sorted {
			b.AddBytes(e)
		}
	})
}

// build runs f on a new builder and returns what it wrote.
func build(f func(*cryptobyte.Builder)) ([]byte, error) {
	var b cryptobyte.Builder
	f(&b)
	return b.Bytes()
}

// buildContentInfo wraps a message in its ContentInfo.
func buildContentInfo(typ asn1.ObjectIdentifier, sequence func(*cryptobyte.Builder)) ([]byte, error) {
	return build(func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(typ)
			b.AddASN1(context(0), func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, sequence)
			})
		})
	})
}
