package cms

import "encoding/asn1"

// Content types.
var (
	OIDData                = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	OIDSignedData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	OIDEnvelopedData       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 3}
	OIDAuthEnvelopedData   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 23} // RFC 5083 §2.1
	OIDEncKeyWithID        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 21} // RFC 4211 §4.2.1
)
