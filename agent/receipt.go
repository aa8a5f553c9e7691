package agent

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"

	"github.com/sealpost/sealpost/archive/record"
)

// receipt checks the archive's receipt for the encryption key of the request: that it is for this key, says what the
// server says it does, and is signed with the key beside it. Whose key that is, is the server's word; a change of it is
// told to the person. A receipt that was signed before the archive's key changed comes without the key: it is kept, and
// its signature can be checked whenever the old key turns up.
func (c answerCheck) receipt() (*Receipt, error) {
	r := c.status.Receipt
	if r == nil {
		return nil, ErrAnswerReceipt.Withf("The server issued an encryption certificate without the archive's receipt for its key.")
	}
	spki, err := c.pending.EncryptionKey.public()
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
	kept := &Receipt{ID: r.ID, Time: signed.Time, Signed: r.Signed, Signer: r.Signer}
	if len(r.Signer) == 0 {
		return kept, nil
	}
	signer, err := x509.ParsePKIXPublicKey(r.Signer)
	if err != nil {
		return nil, ErrAnswerReceipt.Withf("The archive's receipt key cannot be read.").Because(err)
	}
	if err := signed.Verify(signer); err != nil {
		return nil, ErrAnswerReceipt.Withf("The signature of the archive's receipt does not hold.").Because(err)
	}
	return kept, nil
}

// note returns what a person should know about a receipt, given the one before; empty for nothing.
func (r *Receipt) note(before *Receipt) string {
	switch {
	case len(r.Signer) == 0:
		return "note: the archive's receipt came without the key that signed it, so its signature was not checked"
	case before != nil && len(before.Signer) > 0 && !bytes.Equal(before.Signer, r.Signer):
		sum := sha256.Sum256(r.Signer)
		return "note: the archive signs receipts with another key than last time, " + hex.EncodeToString(sum[:])
	}
	return ""
}
