package list

import (
	"crypto/x509"
	"math/big"
	"time"
)

// Template is what a list says besides its entries.
type Template struct {
	Issuer    *x509.Certificate // its name, and the key that will sign
	Algorithm []byte            // AlgorithmIdentifier in DER

	Number     int64 // above 0
	Base       int64 // of a delta: the complete list's number; 0: this one is complete
	ThisUpdate time.Time
	NextUpdate time.Time

	Scope    string   // the list's own address, if it is of one partition (RFC 5280, section 5.2.5); "": all certificates
	Freshest []string // addresses of the delta; none in a delta

	// Microsoft's: when the next list comes out, so that Windows looks before this one ends (szOID_CRL_NEXT_PUBLISH), and
	// where it is in the directory (szOID_CRL_SELF_CDP). Zero: left out.
	Publish   time.Time
	Locations []string
}

// List is a signed list in pieces that are not copied: Parts make the file.
type List struct {
	Parts [][]byte
	Size  int64
}

// Signer signs what the pieces of a TBSCertList make and returns the signature.
type Signer func(tbs ...[]byte) ([]byte, error)

// Sign puts a list together from entries, encoded and in pieces, and has it signed.
func (t *Template) Sign(entries [][]byte, sign Signer) (*List, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	size := int64(0)
	for _, e := range entries {
		size += int64(len(e))
	}
	start := t.start()
	if size > 0 { // an empty SEQUENCE is not allowed (RFC 5280, section 5.1.2.6)
		start = appendHeader(start, tagSequence, size)
	}
	end := t.extensions()
	length := int64(len(start)) + size + int64(len(end))
	signed := append(appendHeader(make([]byte, 0, 6+len(start)), tagSequence, length), start...)

	parts := make([][]byte, 0, len(entries)+3)
	parts = append(append(append(parts, signed), entries...), end)
	signature, err := sign(parts...)
	if err != nil {
		return nil, err
	}
	tail := append(append([]byte{}, t.Algorithm...), element(tagBitString, []byte{0}, signature)...)
	length += headerSize(length) + int64(len(tail))
	parts[0] = append(appendHeader(make([]byte, 0, 6+len(signed)), tagSequence, length), signed...)
	parts[len(parts)-1] = append(end, tail...)
	return &List{Parts: parts, Size: headerSize(length) + length}, nil
}

// check returns what RFC 5280 forbids.
func (t *Template) check() error {
	switch {
	case t.Number <= 0:
		return ErrWrong.Withf("A revocation list has a number above 0.")
	case t.Base < 0 || t.Base > 0 && t.Base >= t.Number:
		return ErrWrong.Withf("The delta %d cannot be one of the list %d.", t.Number, t.Base)
	case t.Base > 0 && len(t.Freshest) > 0:
		return ErrWrong.Withf("A delta does not name another delta.")
	case !t.NextUpdate.After(t.ThisUpdate):
		return ErrWrong.Withf("The revocation list would end before it begins.")
	case len(t.Issuer.SubjectKeyId) == 0:
		return ErrWrong.Withf("The issuer's certificate has no subject key identifier.")
	}
	return nil
}

// start returns the first fields of TBSCertList, up to the entries.
func (t *Template) start() []byte {
	b := []byte{tagInteger, 1, 1} // v2
	b = append(b, t.Algorithm...)
	b = append(b, t.Issuer.RawSubject...)
	return appendTime(appendTime(b, t.ThisUpdate), t.NextUpdate)
}

var (
	oidPublish   = []byte{tagOID, 9, 0x2b, 6, 1, 4, 1, 0x82, 0x37, 21, 4}
	oidLocations = []byte{tagOID, 9, 0x2b, 6, 1, 4, 1, 0x82, 0x37, 21, 14}
)

// extensions returns crlExtensions.
func (t *Template) extensions() []byte {
	x := extensionOf(oidAuthorityKeyID, false, element(tagSequence, element(0x80, t.Issuer.SubjectKeyId)))
	x = append(x, extensionOf(oidNumber, false, number(t.Number))...)
	if t.Base > 0 {
		x = append(x, extensionOf(oidDelta, true, number(t.Base))...)
	}
	if t.Scope != "" {
		value := element(tagSequence, element(tagContext0, fullName(t.Scope)), []byte{0x81, 1, 0xff}) // onlyContainsUserCerts
		x = append(x, extensionOf(oidScope, true, value)...)
	}
	if len(t.Freshest) > 0 {
		x = append(x, extensionOf(oidFreshest, false, distributionPoints(t.Freshest))...)
	}
	if !t.Publish.IsZero() {
		x = append(x, extensionOf(oidPublish, false, appendTime(nil, t.Publish))...)
	}
	if len(t.Locations) > 0 {
		x = append(x, extensionOf(oidLocations, false, distributionPoints(t.Locations))...)
	}
	return element(tagContext0, element(tagSequence, x))
}

func extensionOf(oid []byte, critical bool, value []byte) []byte {
	var flag []byte
	if critical {
		flag = []byte{tagBoolean, 1, 0xff}
	}
	return element(tagSequence, oid, flag, element(tagOctetString, value))
}

func number(n int64) []byte { return appendUnsigned(nil, big.NewInt(n).Bytes()) }

// fullName is [0] of DistributionPointName with addresses.
func fullName(addresses ...string) []byte {
	var names []byte
	for _, a := range addresses {
		names = appendElement(names, 0x86, []byte(a)) // uniformResourceIdentifier
	}
	return element(tagContext0, names)
}

// distributionPoints is CRLDistributionPoints with one point, which has all addresses of the same list.
func distributionPoints(addresses []string) []byte {
	return element(tagSequence, element(tagSequence, element(tagContext0, fullName(addresses...))))
}
