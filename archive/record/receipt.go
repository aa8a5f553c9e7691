package record

import (
	"crypto"
	"crypto/x509"
	"time"
)

const maxReceipt = 1 << 14

// Receipt is the archive's signed word that it keeps a key.
type Receipt struct {
	SPKI      Hash      // of the key's SubjectPublicKeyInfo
	Record    Hash      // of the record's capsule, as it was sealed
	KeyID     Hash      // of the archive key
	Time      time.Time // of deposit
	AuditLeaf Hash      // of the deposit's event in the audit log
	Signer    Hash      // SHA-256 of the receipt key's SubjectPublicKeyInfo
}

// SignedReceipt is a receipt with its signature.
type SignedReceipt struct {
	Receipt
	Signature Signature

	raw []byte
}

// Bytes returns the canonical bytes.
func (s *SignedReceipt) Bytes() []byte { return s.raw }

// Hash names the receipt: what was signed.
func (s *SignedReceipt) Hash() Hash { return digest(s.Receipt.statement().b) }

func (r Receipt) statement() *writer {
	w := newWriter(kindReceipt)
	w.raw(r.SPKI[:])
	w.raw(r.Record[:])
	w.raw(r.KeyID[:])
	w.time(r.Time)
	w.raw(r.AuditLeaf[:])
	w.raw(r.Signer[:])
	return w
}

// Sign signs the receipt with the archive's receipt key; Signer is filled in.
func (r Receipt) Sign(signer crypto.Signer) (*SignedReceipt, error) {
	if signer == nil {
		return nil, ErrSignature.Withf("There is no receipt key.")
	}
	spki, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		return nil, ErrSignature.Because(err)
	}
	r.Signer = hashOf(spki)
	b, err := signMessage(r.statement(), signer)
	if err != nil {
		return nil, err
	}
	return ParseReceipt(b)
}

// ParseReceipt reads canonical bytes. It does not verify the signature.
func ParseReceipt(b []byte) (*SignedReceipt, error) {
	r := newReader(b, kindReceipt, maxReceipt)
	s := &SignedReceipt{Receipt: Receipt{
		SPKI: r.hash("public key hash"), Record: r.hash("record hash"), KeyID: r.hash("archive key id"),
		Time: r.time("time"), AuditLeaf: r.hash("audit leaf"), Signer: r.hash("signer"),
	}}
	s.Signature = r.signature()
	if s.SPKI.IsZero() || s.Record.IsZero() || s.KeyID.IsZero() || s.AuditLeaf.IsZero() || s.Signer.IsZero() {
		r.fail("list of hashes", "has one that is missing")
	}
	if err := r.done(); err != nil {
		return nil, err
	}
	s.raw = append([]byte(nil), b...)
	return s, nil
}

// Verify checks the signature against the archive's receipt key.
func (s *SignedReceipt) Verify(public crypto.PublicKey) error {
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return ErrSignature.Because(err)
	}
	if hashOf(spki) != s.Signer {
		return ErrSignature.Withf("The receipt was signed with another key.")
	}
	return s.Signature.verify(public, s.Receipt.statement().b)
}
