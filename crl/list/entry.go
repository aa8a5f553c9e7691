package list

import (
	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Extensions of entries, as they stand before their values.
var (
	oidReason  = []byte{tagOID, 3, 0x55, 0x1d, 21}
	oidInvalid = []byte{tagOID, 3, 0x55, 0x1d, 24}
)

// maxSerial is the longest serial number in octets (RFC 5280, section 4.1.2.2).
const maxSerial = 20

// check returns what is wrong with an entry that is to be written.
func (e Entry) check() error {
	switch {
	case len(e.Serial) == 0 || len(e.Serial) > maxSerial || e.Serial[0] == 0:
		return ErrWrong.Withf("A serial number has 1 to %d octets and does not begin with zero: %x.", maxSerial, e.Serial)
	case e.At.IsZero():
		return ErrWrong.Withf("The entry of %x has no date.", e.Serial)
	case e.Reason < 0 || e.Reason == 7 || e.Reason > 10:
		return ErrWrong.Withf("The entry of %x has the reason %d, which there is not.", e.Serial, e.Reason)
	}
	return nil
}

// appendEntry writes an entry: SEQUENCE { serial, revocationDate, extensions }.
func appendEntry(b []byte, e Entry) ([]byte, error) {
	if err := e.check(); err != nil {
		return b, err
	}
	var room [96]byte
	content := appendTime(appendUnsigned(room[:0], e.Serial), e.At)
	if e.Reason == 0 && e.Invalid.IsZero() {
		return appendElement(b, tagSequence, content), nil
	}
	var extensions, value [40]byte
	x := extensions[:0]
	if e.Reason != 0 {
		x = append(x, tagSequence, 10)
		x = append(x, oidReason...)
		x = append(x, tagOctetString, 3, tagEnumerated, 1, byte(e.Reason))
	}
	if !e.Invalid.IsZero() {
		v := appendGeneralizedTime(value[:0], e.Invalid)
		x = append(x, tagSequence, byte(len(oidInvalid)+2+len(v)))
		x = append(x, oidInvalid...)
		x = appendElement(x, tagOctetString, v)
	}
	content = appendElement(content, tagSequence, x)
	return appendElement(b, tagSequence, content), nil
}

// parseEntry reads the content of an entry's SEQUENCE. The serial lies in it.
func parseEntry(content []byte) (e Entry, err error) {
	in := cryptobyte.String(content)
	var serial cryptobyte.String
	if !in.ReadASN1(&serial, cryptobyte_asn1.INTEGER) {
		return e, ErrList.Withf("An entry has no serial number.")
	}
	if e.Serial, err = serialOf(serial); err != nil {
		return e, err
	}
	if e.At, err = readTime(&in); err != nil {
		return e, err
	}
	if in.Empty() {
		return e, nil
	}
	var extensions cryptobyte.String
	if !in.ReadASN1(&extensions, cryptobyte_asn1.SEQUENCE) || !in.Empty() || extensions.Empty() {
		return e, ErrList.Withf("The entry of %x does not end where it should.", e.Serial)
	}
	return e, e.extensions(extensions)
}

// serialOf returns the octets of an INTEGER without the zero that keeps it positive. Zero and negative numbers, which some
// authorities gave, are kept as they are.
func serialOf(integer []byte) ([]byte, error) {
	switch {
	case len(integer) == 0 || len(integer) > 1 && (integer[0] == 0 && integer[1] < 0x80 || integer[0] == 0xff && integer[1] >= 0x80):
		return nil, ErrList.Withf("A serial number is not in DER.")
	case len(integer) > maxSerial+1:
		return nil, ErrList.Withf("A serial number is longer than %d octets.", maxSerial)
	case len(integer) > 1 && integer[0] == 0:
		return integer[1:], nil
	}
	return integer, nil
}

func (e *Entry) extensions(in cryptobyte.String) error {
	for !in.Empty() {
		x, err := readExtension(&in)
		if err != nil {
			return err
		}
		switch {
		case x.is(oidReason):
			var reason int
			if !x.value.ReadASN1Enum(&reason) || !x.value.Empty() || reason < 0 || reason > 10 {
				return ErrList.Withf("The reason of %x cannot be read.", e.Serial)
			}
			e.Reason = Reason(reason)
		case x.is(oidInvalid):
			if !x.value.ReadASN1GeneralizedTime(&e.Invalid) || !x.value.Empty() {
				return ErrList.Withf("The invalidity date of %x cannot be read.", e.Serial)
			}
		case x.critical:
			return ErrList.Withf("The entry of %x has a critical extension that is not known here.", e.Serial)
		}
	}
	return nil
}

// extension is one of a list or an entry.
type extension struct {
	oid      []byte // with identifier and length
	critical bool
	value    cryptobyte.String
}

func (x extension) is(oid []byte) bool { return string(x.oid) == string(oid) }

func readExtension(in *cryptobyte.String) (x extension, err error) {
	var one, oid cryptobyte.String
	if !in.ReadASN1(&one, cryptobyte_asn1.SEQUENCE) || !one.ReadASN1Element(&oid, cryptobyte_asn1.OBJECT_IDENTIFIER) {
		return x, ErrList.Withf("An extension cannot be read.")
	}
	x.oid = oid
	if one.PeekASN1Tag(cryptobyte_asn1.BOOLEAN) && (!one.ReadASN1Boolean(&x.critical) || !x.critical) { // FALSE is left out in DER
		return x, ErrList.Withf("An extension cannot be read.")
	}
	if !one.ReadASN1(&x.value, cryptobyte_asn1.OCTET_STRING) || !one.Empty() {
		return x, ErrList.Withf("An extension cannot be read.")
	}
	return x, nil
}
