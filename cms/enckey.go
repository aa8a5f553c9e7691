package cms

// EncKeyWithID is a private key on its way to an archive, together with whom it
// belongs to (RFC 4211 §4.2.1, content type OIDEncKeyWithID).
type EncKeyWithID struct {
	// PrivateKey is PKCS #8 in DER, not encrypted. The caller clears it.
	PrivateKey []byte
	// Identifier is the UTF8String form of the identifier; empty when there is none.
	Identifier string
	// GeneralName is the DER of the other form of the identifier; nil when absent.
	GeneralName []byte
}

// Marshal returns the DER encoding, which is a secret.
func (e EncKeyWithID) Marshal() ([]byte, error) {
	return nil, ErrMalformed
}

// ParseEncKeyWithID reads the DER encoding. PrivateKey and GeneralName point into
// der, so that clearing der clears them.
func ParseEncKeyWithID(der []byte) (*EncKeyWithID, error) {
	return nil, ErrMalformed
}
