package ca

import "encoding/asn1"

// Arc is the placeholder for the organisation's own OID arc: the enterprise number that RFC 5612 reserves for
// documentation. Certificate policies lie under it unless the configuration names another; docs/oids.md lists them.
const Arc = "1.3.6.1.4.1.32473.1"

// Extended key usages of RFC 5280 §4.2.1.12.
var (
	oidServerAuth      = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 1}
	oidClientAuth      = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 2}
	oidCodeSigning     = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 3}
	oidEmailProtection = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 4}
	oidTimeStamping    = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8}
	oidOCSPSigning     = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 9}
	oidAnyUsage        = asn1.ObjectIdentifier{2, 5, 29, 37, 0}
)

// Extensions, in the order in which they stand in our certificates.
var (
	oidKeyUsage         = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidExtKeyUsage      = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidSubjectKeyID     = asn1.ObjectIdentifier{2, 5, 29, 14}
	oidAuthorityKeyID   = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidPolicies         = asn1.ObjectIdentifier{2, 5, 29, 32}
	oidSubjectAltName   = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidCRLPoints        = asn1.ObjectIdentifier{2, 5, 29, 31}
	oidAuthorityInfo    = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 1}
	oidCapabilities     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 15}
	oidOCSPNoCheck      = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}
	oidBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
)

// Parts of extensions.
var (
	oidSMTPUTF8  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 9}  // id-on-SmtpUTF8Mailbox, RFC 9598
	oidCAIssuers = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 2} // id-ad-caIssuers
	oidOCSP      = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1} // id-ad-ocsp
	oidCPS       = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 2, 1}  // id-qt-cps
	oidReserved  = asn1.ObjectIdentifier{2, 23, 140, 1, 5}           // policies of the S/MIME BR, §7.1.6.1
	oidAES256CBC = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
	oidAES128CBC = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 2}
	oidAES256GCM = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 46}
	oidAES128GCM = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 6}
)

// Attributes of a subject.
var (
	oidCommonName     = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidSurname        = asn1.ObjectIdentifier{2, 5, 4, 4}
	oidSerialNumber   = asn1.ObjectIdentifier{2, 5, 4, 5}
	oidCountry        = asn1.ObjectIdentifier{2, 5, 4, 6}
	oidOrganization   = asn1.ObjectIdentifier{2, 5, 4, 10}
	oidGivenName      = asn1.ObjectIdentifier{2, 5, 4, 42}
	oidOrganizationID = asn1.ObjectIdentifier{2, 5, 4, 97}
)
