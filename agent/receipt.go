package agent

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"

	"github.com/sealpost/sealpost/archive/record"
)

// receipt checks the archive's receipt for the encryption key of the request: that it is for this key, says what the
// server says it does, and is signed with the key beside it. Whose key that is, is the server's word; a change of it is
// told to the person.
func (c answerCheck) receipt() (*Receipt, error) {
	r := c.status.Receipt
	if r == nil {
		return nil, ErrAnswerReceipt.Withf("The server issued an encryption certificate without the archive's receipt for its key.")
	}
	spki, err := publicBytes(c.pending.EncryptionKey)
	if err != nil {
		return nil, err
	}
	signed, err := record.ParseReceipt(r.Signed)
	if err != nil {
		return nil, ErrAnswerReceipt.Withf("The archive's receipt for the encryption key cannot be read.").Because(err)
	}
	if signed.SPKI != sha256.Sum256(spki) {
		return nil, ErrAnswerReceipt.Withf("The archive's receipt is for another key.")
	}
	if r.SPKISHA256 != signed.SPKI.String() || r.KeyID != signed.KeyID.String() || !r.Time.Equal(signed.Time) {
		return nil, ErrAnswerReceipt.Withf("The archive's receipt says something else than the server says it does.")
	}
	signer, err := x509.ParsePKIXPublicKey(r.Signer)
	if err != nil {
		return nil, ErrAnswerReceipt.Withf("The archive's receipt key cannot be read.").Because(err)
	}
	if err := signed.Verify(signer); err != nil {
		return nil, ErrAnswerReceipt.Withf("The signature of the archive's receipt does not hold.").Because(err)
	}
	return &Receipt{ID: r.ID, Time: signed.Time, Signed: r.Signed, Signer: r.Signer}, nil
}

// receiptSigner returns the name of the key that signed a receipt, for people to compare.
func receiptSigner(r *Receipt) string {
	sum := sha256.Sum256(r.Signer)
	return hex.EncodeToString(sum[:])
}
