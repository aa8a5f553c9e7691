package api

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"

	"github.com/google/uuid"
)

const escrowVersion = "sealpost-escrow-v1"

// EscrowIdentifier returns the identifier that travels in one CMS message with a private key (EncKeyWithID, RFC 4211,
// 4.2.1) and binds it to the person, to the requests that it comes with, and to a nonce of the server's. Without it, a
// message that somebody copied could be sent in again under another name. Client and server build it from what each of
// them knows, and the server compares.
//
// It is the version, the person's id, the lower-case hexadecimal SHA-256 of both CSRs, and the nonce, with one space
// between them. The CSRs are hashed each with its length before it, as four octets in network order, so that no two
// pairs have the same hash. A CSR that is not there is empty.
func EscrowIdentifier(person uuid.UUID, signingCSR, encryptionCSR []byte, nonce string) string {
	h := sha256.New()
	for _, csr := range [][]byte{signingCSR, encryptionCSR} {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(csr))))
		h.Write(csr)
	}
	return strings.Join([]string{escrowVersion, person.String(), hex.EncodeToString(h.Sum(nil)), nonce}, " ")
}

// EscrowNonce returns the nonce of an identifier, and whether the identifier has the form that EscrowIdentifier gives
// it. It proves nothing: build the identifier anew and compare.
func EscrowNonce(identifier string) (nonce string, ok bool) {
	return nonceOf(escrowVersion, identifier)
}

// nonceOf returns the nonce of an identifier: a version, a person, a hash and a nonce.
func nonceOf(version, identifier string) (nonce string, ok bool) {
	parts := strings.Split(identifier, " ")
	if len(parts) != 4 || parts[0] != version || len(parts[1]) != 36 || len(parts[2]) != 2*sha256.Size || parts[3] == "" {
		return "", false
	}
	return parts[3], true
}
