package list

import (
	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Scope is an issuingDistributionPoint (RFC 5280, section 5.2.5): which certificates a list is about.
type Scope struct {
	Addresses    []string // where the list is, as URIs; other names are left out
	Users        bool     // onlyContainsUserCerts
	Authorities  bool     // onlyContainsCACerts
	Attributes   bool     // onlyContainsAttributeCerts
	SomeReasons  bool     // onlySomeReasons
	OtherIssuers bool     // indirectCRL
}

// ParseScope reads Head.Scope.
func ParseScope(der []byte) (s Scope, err error) {
	in := cryptobyte.String(der)
	var content, point, reasons cryptobyte.String
	var named bool
	ok := in.ReadASN1(&content, cryptobyte_asn1.SEQUENCE) && in.Empty() &&
		content.ReadOptionalASN1(&point, &named, constructed(0)) && optionalFlag(&content, &s.Users, 1) && optionalFlag(&content, &s.Authorities, 2) &&
		content.ReadOptionalASN1(&reasons, &s.SomeReasons, primitive(3)) && optionalFlag(&content, &s.OtherIssuers, 4) &&
		optionalFlag(&content, &s.Attributes, 5) && content.Empty()
	if ok && named {
		s.Addresses, ok = pointName(&point)
		ok = ok && point.Empty()
	}
	if !ok {
		return Scope{}, ErrList.Withf("What the revocation list is about cannot be read.")
	}
	return s, nil
}

// ParseAddresses reads the URIs in CRLDistributionPoints, which freshestCRL is (Head.Freshest).
func ParseAddresses(der []byte) (out []string, err error) {
	in := cryptobyte.String(der)
	var points cryptobyte.String
	ok := in.ReadASN1(&points, cryptobyte_asn1.SEQUENCE) && in.Empty()
	for ok && !points.Empty() {
		var point, name, rest cryptobyte.String
		var named, more bool
		ok = points.ReadASN1(&point, cryptobyte_asn1.SEQUENCE) && point.ReadOptionalASN1(&name, &named, constructed(0)) &&
			point.ReadOptionalASN1(&rest, &more, primitive(1)) && point.ReadOptionalASN1(&rest, &more, constructed(2)) && point.Empty() // reasons, cRLIssuer
		if ok && named {
			var addresses []string
			addresses, ok = pointName(&name)
			out = append(out, addresses...)
		}
	}
	if !ok {
		return nil, ErrList.Withf("The addresses in the revocation list cannot be read.")
	}
	return out, nil
}

func constructed(n uint8) cryptobyte_asn1.Tag {
	return cryptobyte_asn1.Tag(n).ContextSpecific().Constructed()
}
func primitive(n uint8) cryptobyte_asn1.Tag { return cryptobyte_asn1.Tag(n).ContextSpecific() }

// optionalFlag reads [n] BOOLEAN DEFAULT FALSE, which in DER stands there only as TRUE.
func optionalFlag(in *cryptobyte.String, to *bool, n uint8) bool {
	var value cryptobyte.String
	if !in.ReadOptionalASN1(&value, to, primitive(n)) {
		return false
	}
	return !*to || len(value) == 1 && value[0] == 0xff
}

// pointName reads the URIs in a DistributionPointName. Of a name relative to the issuer there are none.
func pointName(in *cryptobyte.String) (out []string, ok bool) {
	if in.PeekASN1Tag(constructed(1)) {
		var relative cryptobyte.String
		return nil, in.ReadASN1(&relative, constructed(1))
	}
	var names cryptobyte.String
	if !in.ReadASN1(&names, constructed(0)) {
		return nil, false
	}
	for !names.Empty() {
		var name cryptobyte.String
		var tag cryptobyte_asn1.Tag
		if !names.ReadAnyASN1(&name, &tag) {
			return nil, false
		}
		if tag == primitive(6) { // uniformResourceIdentifier
			out = append(out, string(name))
		}
	}
	return out, true
}
