package proof

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"

	"golang.org/x/mod/sumdb/note"

	"github.com/sealpost/sealpost/internal/fault"
)

// ErrWitness is returned for a countersignature that is none, or a key that cannot make one.
var ErrWitness = fault.New(fault.Malformed, "audit-countersignature", "This is not a checkpoint that a known officer has countersigned.")

// Witness is somebody who countersigns checkpoints after having verified them: a recovery officer, with the key that
// they sign approvals with. In a note their key is called officer/ and the SHA-256 of its SubjectPublicKeyInfo.
//
// The signatures are of the type 2 of c2sp.org/signed-note: ECDSA over SHA-256 of the note's text, so that `openssl dgst
// -verify` judges them too. A note's text has no zero byte and is UTF-8; nothing else that an officer's key signs is.
type Witness struct {
	who  string
	name string
	hash uint32
	key  *ecdsa.PublicKey
}

// NewWitness returns the witness with a key; who names them to people. It returns ErrWitness for another key than ECDSA on
// P-256 or P-384.
func NewWitness(who string, key crypto.PublicKey) (*Witness, error) {
	k, ok := key.(*ecdsa.PublicKey)
	if !ok || k.Curve != elliptic.P256() && k.Curve != elliptic.P384() {
		return nil, ErrWitness.Withf("Checkpoints are countersigned with ECDSA keys on P-256 or P-384; that of %s is another.", who)
	}
	spki, err := x509.MarshalPKIXPublicKey(k)
	if err != nil {
		return nil, ErrWitness.Because(err)
	}
	id := sha256.Sum256(spki)
	return &Witness{who: who, name: "officer/" + hex.EncodeToString(id[:]), hash: binary.BigEndian.Uint32(id[:4]), key: k}, nil
}

// Who names the witness to people.
func (w *Witness) Who() string { return w.who }

// Name and the two methods after it are those of note.Verifier.
func (w *Witness) Name() string { return w.name }

// KeyHash is the key's short name in a note.
func (w *Witness) KeyHash() uint32 { return w.hash }

// Verify reports whether sig is the witness's over msg.
func (w *Witness) Verify(msg, sig []byte) bool {
	d := sha256.Sum256(msg)
	return ecdsa.VerifyASN1(w.key, d[:], sig)
}

// witnessSigner is a witness with their key, which may lie on a token.
type witnessSigner struct {
	*Witness
	key crypto.Signer
}

// Sign signs msg, and checks the signature: a device may fail quietly.
func (s witnessSigner) Sign(msg []byte) ([]byte, error) {
	d := sha256.Sum256(msg)
	sig, err := s.key.Sign(rand.Reader, d[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	if !s.Verify(msg, sig) {
		return nil, errors.New("the officer's key makes signatures that do not verify")
	}
	return sig, nil
}

// Countersign returns a checkpoint that the log has signed with the signature of a witness beside the log's, and no others.
// What it says was verified by the caller.
func Countersign(msg []byte, known note.Verifiers, key crypto.Signer) ([]byte, error) {
	if _, err := Open(msg, known); err != nil {
		return nil, err
	}
	w, err := NewWitness("the officer", key.Public())
	if err != nil {
		return nil, err
	}
	n, err := note.Open(msg, known)
	if err != nil {
		return nil, ErrSignature.Because(err)
	}
	n.UnverifiedSigs = nil
	return note.Sign(n, witnessSigner{w, key})
}

// Countersigned is a checkpoint that witnesses have countersigned.
type Countersigned struct {
	Checkpoint
	Note []byte     // with the log's signatures and the known witnesses', no others
	By   []*Witness // may be empty
}

// OpenCountersigned is Open for a checkpoint that some of the witnesses may have countersigned. A signature in the name of
// one of them that does not hold is ErrSignature.
func OpenCountersigned(msg []byte, known note.Verifiers, witnesses []*Witness) (Countersigned, error) {
	c, err := Open(msg, known) // the witnesses' keys must not count as a log's
	if err != nil {
		return Countersigned{}, err
	}
	all := both{known, witnesses}
	n, err := note.Open(msg, all)
	if err != nil {
		return Countersigned{}, ErrSignature.Because(err)
	}
	out := Countersigned{Checkpoint: c}
	for _, s := range n.Sigs {
		if w := all.witness(s.Name, s.Hash); w != nil {
			out.By = append(out.By, w)
		}
	}
	n.UnverifiedSigs = nil
	out.Note, err = note.Sign(n)
	return out, err
}

// both knows a log's keys and those of witnesses.
type both struct {
	log       note.Verifiers
	witnesses []*Witness
}

func (b both) witness(name string, hash uint32) *Witness {
	for _, w := range b.witnesses {
		if w.name == name && w.hash == hash {
			return w
		}
	}
	return nil
}

// Verifier is the method of note.Verifiers.
func (b both) Verifier(name string, hash uint32) (note.Verifier, error) {
	if w := b.witness(name, hash); w != nil {
		return w, nil
	}
	if b.log == nil {
		return nil, &note.UnknownVerifierError{Name: name, KeyHash: hash}
	}
	return b.log.Verifier(name, hash)
}
