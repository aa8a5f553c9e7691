package threshold

import (
	"github.com/cloudflare/circl/group"

	"github.com/sealpost/sealpost/internal/fault"
)

// ProofSize is the length of either kind of proof in bytes: a challenge and a response.
const ProofSize = 2 * ScalarSize

// ErrProof is returned when a proof does not hold: the ciphertext or the partial decryption is not what it claims to be.
var ErrProof = fault.New(fault.Denied, "threshold-proof", "The proof does not hold.")

// Proof is a zero-knowledge proof that two pairs of points share one logarithm: challenge ‖ response, both canonical.
type Proof [ProofSize]byte

// ParseProof decodes a proof and refuses scalars that are not reduced.
func ParseProof(b []byte) (Proof, error) {
	var p Proof
	if len(b) != ProofSize {
		return p, ErrEncoding.Withf("A proof has %d bytes, not %d.", ProofSize, len(b))
	}
	copy(p[:], b)
	if _, _, err := p.scalars(); err != nil {
		return Proof{}, err
	}
	return p, nil
}

func (p Proof) scalars() (challenge, response group.Scalar, err error) {
	challenge, response = curve.NewScalar(), curve.NewScalar()
	if challenge.UnmarshalBinary(p[:ScalarSize]) != nil || response.UnmarshalBinary(p[ScalarSize:]) != nil {
		return nil, nil, ErrEncoding.Withf("A proof's scalars are not canonical.")
	}
	return challenge, response, nil
}

// nonce derives the one-time scalar of a proof from the secret, from what is proved and from fresh randomness, so that
// neither a weak random generator nor a restored virtual machine makes it repeat for two statements, which would reveal
// the secret.
func nonce(secret Scalar, statement []byte) Scalar {
	key := secret.Bytes()
	fresh := RandomScalar()
	random := fresh.Bytes()
	input := make([]byte, 0, len(key)+len(statement)+len(random))
	input = append(append(append(input, key...), statement...), random...)
	w := curve.HashToScalar(input, []byte(labelNonce))
	clear(key)
	clear(random)
	clear(input)
	fresh.Wipe()
	return Scalar{w}
}
