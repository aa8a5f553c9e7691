package ca

import "github.com/sealpost/sealpost/internal/fault"

// Faults of what was asked for.
var (
	ErrUnknownProfile = fault.New(fault.NotFound, "unknown-profile", "There is no such certificate profile.")
	ErrUnknownIssuer  = fault.New(fault.NotFound, "unknown-issuer", "There is no such issuer.")
	ErrNotFound       = fault.New(fault.NotFound, "unknown-certificate", "There is no such certificate.")
	ErrRequest        = fault.New(fault.Malformed, "certificate-request", "The certificate request is not complete.")
	ErrSubject        = fault.New(fault.Malformed, "subject", "The subject does not fit the profile.")
	ErrMailbox        = fault.New(fault.Malformed, "mailbox", "This is not a mail address.")
	ErrDNSName        = fault.New(fault.Malformed, "dns-name", "This is not a host name.")
	ErrNameNotAllowed = fault.New(fault.Denied, "name-not-allowed",
		"This authority does not certify names in that domain. An operator can allow the domain in the name policy.")
	ErrKeyNotAllowed = fault.New(fault.Denied, "key-not-allowed", "The profile does not allow this kind of key.")
	ErrKeyReused     = fault.New(fault.Conflict, "key-reused",
		"This key is certified for another use already. Make a new key for each certificate.")
	ErrRequestChanged = fault.New(fault.Conflict, "request-changed",
		"A certificate was prepared for this request already, with other contents.")
	ErrLint = fault.New(fault.Malformed, "lint", "The certificate would break a rule and was not prepared.")
)

// Faults of issuing.
var (
	ErrStale     = fault.New(fault.Conflict, "prepared-too-long-ago", "This was prepared more than ten minutes ago and can no longer be signed.")
	ErrAbandoned = fault.New(fault.Conflict, "certificate-abandoned", "The issue of this certificate was given up. Request it anew.")
	ErrIssuerEnd = fault.New(fault.Unavailable, "issuer-ended", "The issuer's own certificate is not valid at this time.")
	ErrNoSigner  = fault.New(fault.Unavailable, "issuer-without-key", "The issuer's key is not at hand.")
	// ErrTampered means that stored bytes do not have their stored digest, or that what was signed is not what was
	// stored. It is never a user's doing.
	ErrTampered = fault.New(fault.Conflict, "prepared-bytes-changed",
		"The stored certificate is not the one that was prepared. It was not signed; tell an operator.")
)

// Faults of revoking.
var (
	ErrReason    = fault.New(fault.Malformed, "revocation-reason", "This is not a reason for revoking a certificate.")
	ErrNote      = fault.New(fault.Malformed, "revocation-note", "A note is one line of at most 500 characters.")
	ErrRevoked   = fault.New(fault.Conflict, "already-revoked", "This certificate is revoked already.")
	ErrNotHeld   = fault.New(fault.Conflict, "not-on-hold", "This certificate is not on hold.")
	ErrNotIssued = fault.New(fault.Conflict, "not-issued", "This certificate has not been issued.")
)

// Faults of a certificate request (PKCS #10) and its key, as ParseCSR finds them.
var (
	ErrCSRTooLarge  = fault.New(fault.Malformed, "csr-too-large", "The certificate request is too large.")
	ErrCSRMalformed = fault.New(fault.Malformed, "csr-malformed", "This is not a certificate request in DER (PKCS #10).")
	ErrCSRAlgorithm = fault.New(fault.Malformed, "csr-signature-algorithm",
		"The request is signed with an algorithm that is unknown or too weak. Use SHA-256 or better.")
	ErrCSRSignature   = fault.New(fault.Malformed, "csr-signature", "The request's signature is not made by its own key.")
	ErrKeyAlgorithm   = fault.New(fault.Malformed, "key-algorithm", "The key is of a kind that this authority does not know.")
	ErrKeyEncoding    = fault.New(fault.Malformed, "key-encoding", "The public key is not encoded as the standard says.")
	ErrKeySize        = fault.New(fault.Malformed, "key-size", "The key's size is not allowed.")
	ErrKeyExponent    = fault.New(fault.Malformed, "key-exponent", "The RSA exponent is not allowed. Use 65537.")
	ErrKeyWeak        = fault.New(fault.Malformed, "key-weak", "The key can be broken. Make a new key with other software.")
	ErrKeyCompromised = fault.New(fault.Denied, "key-compromised", "A certificate with this key was revoked because the key is compromised. Make a new key.")
)

// Faults of configuration. They are joined by New, each with its path.
var (
	ErrConfig        = fault.New(fault.Malformed, "ca-config", "The configuration of the authority is wrong.")
	ErrIssuerChanged = fault.New(fault.Conflict, "issuer-changed",
		"The database knows another certificate for this issuer. Give a new issuing certificate a new issuer id.")
)
