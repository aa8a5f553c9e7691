package api

import "encoding/asn1"

// Sealpost's own extended key usages. They are the same in every installation, because clients and the agents' tools
// demand them: no configuration weakens that. Until the project has an enterprise number of its own they lie under the one
// for documentation (RFC 5612); docs/oids.md lists the arc.
var (
	// OIDAgentSigning is for the certificate by which a recovery agent signs approvals of cases.
	OIDAgentSigning = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 2, 1}
	// OIDAgentDecryption is for the certificate to which a recovery agent's share is sealed.
	OIDAgentDecryption = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 2, 2}
	// OIDRecipient is for the certificate of somebody who may receive recovered keys.
	OIDRecipient = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 2, 3}
	// OIDExchange is for the exchange certificate: clients send a private key to no certificate without it.
	OIDExchange = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 2, 4}
	// OIDPolicy is for the certificate by which the server signs policies: clients follow none that is signed by another.
	OIDPolicy = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 2, 5}
)
