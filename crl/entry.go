package crl

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"time"

	"github.com/sealpost/sealpost/ca"
)

// oidInvalidityDate is RFC 5280, 5.3.2.
var oidInvalidityDate = asn1.ObjectIdentifier{2, 5, 29, 24}

// entryOf returns the list's entry for a revoked serial. The reason unspecified is left out (RFC 5280, 5.3.1).
func entryOf(c ca.Change) (x509.RevocationListEntry, error) {
	e := x509.RevocationListEntry{SerialNumber: c.Serial.Big(), RevocationTime: c.At.UTC().Truncate(time.Second), ReasonCode: int(c.Reason)}
	if c.Invalid.IsZero() {
		return e, nil
	}
	der, err := asn1.MarshalWithParams(c.Invalid.UTC().Truncate(time.Second), "generalized")
	if err != nil {
		return e, err
	}
	e.ExtraExtensions = []pkix.Extension{{Id: oidInvalidityDate, Value: der}}
	return e, nil
}
