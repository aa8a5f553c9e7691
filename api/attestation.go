package api

import "crypto/sha256"

// AttestationKind is how it is proven where a key was made.
type AttestationKind string

// The kinds.
const (
	AttestationTPM AttestationKind = "tpm" // TPM2_Certify under a key of a TPM that its maker endorsed
	AttestationPIV AttestationKind = "piv" // a certificate that a YubiKey made
)

// AttestationRequest asks for the challenge that a TPM must open before it says where a key was made.
type AttestationRequest struct {
	Endorsement [][]byte `json:"endorsement" minItems:"1" maxItems:"8" doc:"The certificate of the TPM's endorsement key, then those above it that the TPM has."`
	Key         []byte   `json:"key" doc:"The attestation key: TPMT_PUBLIC. It must be in that TPM, restricted, and for signing."`
}

// AttestationChallenge is what only that TPM opens (TPM2_ActivateCredential).
type AttestationChallenge struct {
	Challenge  []byte `json:"challenge" doc:"Goes back with the statement. It is for this person and this TPM."`
	Credential []byte `json:"credential" doc:"Content of TPM2B_ID_OBJECT."`
	Secret     []byte `json:"secret" doc:"Content of TPM2B_ENCRYPTED_SECRET."`
	Seconds    int    `json:"seconds" doc:"How long the challenge is good for."`
}

// SigningAttestation proves where the signing key was made.
type SigningAttestation struct {
	Kind         AttestationKind `json:"kind" enum:"tpm,piv"`
	Certificates [][]byte        `json:"certificates" minItems:"1" maxItems:"8" doc:"tpm: as endorsement in the request for a challenge. piv: the certificate that the YubiKey made for the key, that of its slot F9, and those above."`
	Key          []byte          `json:"key,omitempty" doc:"tpm: the attestation key, TPMT_PUBLIC."`
	Challenge    []byte          `json:"challenge,omitempty" doc:"tpm: the challenge."`
	Public       []byte          `json:"public,omitempty" doc:"tpm: the signing key, TPMT_PUBLIC."`
	Info         []byte          `json:"info,omitempty" doc:"tpm: TPMS_ATTEST. Its extraData is SHA-256 of 'sealpost attestation v1', a zero byte, the opened secret, and the signing key's SubjectPublicKeyInfo."`
	Signature    []byte          `json:"signature,omitempty" doc:"tpm: TPMT_SIGNATURE of info by the attestation key."`
}

// KeyOrigin is what was proven of a signing key.
type KeyOrigin struct {
	Device      string `json:"device" enum:"tpm,piv"`
	Maker       string `json:"maker,omitempty" doc:"Who vouches for the device: the subject of the certificate that this server trusts."`
	Serial      string `json:"serial,omitempty" doc:"The YubiKey's serial number; of a TPM, that of its endorsement certificate, in hexadecimal."`
	Endorsement string `json:"endorsement" doc:"SHA-256 of the device's own certificate, in hexadecimal."`
	Firmware    string `json:"firmware,omitempty"`
	Slot        string `json:"slot,omitempty"`
	PIN         string `json:"pin,omitempty" enum:"never,once,always" doc:"When the key wants the PIN, if the device says."`
	Touch       string `json:"touch,omitempty" enum:"never,always,cached" doc:"When the key wants to be touched, if the device says."`
}

// AttestationBinding is what a TPM puts into a statement about a key: the opened secret of the challenge, and the key's
// SubjectPublicKeyInfo (DER).
func AttestationBinding(secret, spki []byte) []byte {
	h := sha256.New()
	h.Write([]byte("sealpost attestation v1\x00"))
	h.Write(secret)
	h.Write(spki)
	return h.Sum(nil)
}
