package api

import "encoding/asn1"

// OIDExchange is the extended key usage of the exchange certificate: receives keys that are to be archived. Clients send
// a private key to no certificate without it. It is the same in every installation; docs/oids.md lists the arc.
var OIDExchange = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 2, 4}
