package record

import (
	"crypto"

	"github.com/sealpost/sealpost/archive/threshold"
	"github.com/sealpost/sealpost/cms"
)

// SealWith is Seal with given randomness, for the vectors.
func SealWith(key threshold.Point, wrapping *WrappingPublicKey, h Header, pkcs8, dataKey []byte, r, nonce threshold.Scalar) (*Record, error) {
	return seal(key, wrapping, h, pkcs8, sealSecrets{dataKey: dataKey, r: r, nonce: nonce})
}

// RecordWith puts a given outer layer on a capsule, for the vectors.
func RecordWith(c *Capsule, wrappingKey Hash, outer []byte) (*Record, error) {
	return recordOf(c, wrappingKey, outer)
}

// CommitWith is Commit with a given polynomial, for the vectors and for dealers that cheat.
func (c *Ceremony) CommitWith(dealer uint16, p *threshold.Polynomial, signer crypto.Signer) ([]byte, error) {
	return c.commit(dealer, p, signer)
}

// Reseal replaces a sub-share of a reveal message and signs it again: what a dealer does that cheats one agent.
func Reseal(message []byte, i int, sealed []byte, signer crypto.Signer) ([]byte, error) {
	m, err := parseReveal(message)
	if err != nil {
		return nil, err
	}
	m.sealed[i] = sealed
	return signMessage(m.statement(), signer)
}

// SealedSubShare returns one of the sub-shares of a reveal message.
func SealedSubShare(message []byte, i int) ([]byte, error) {
	m, err := parseReveal(message)
	if err != nil {
		return nil, err
	}
	return m.sealed[i], nil
}

// SealSubShare seals a sub-share as a dealer does.
func SealSubShare(plan *Plan, dealer uint16, to Agent, s threshold.Scalar) ([]byte, error) {
	return sealShare(kindSubShare, plan.Hash(), []uint16{dealer, to.ID}, s, to.Decryption)
}

// Core returns the hash that the agents sign, and the plaintext of an agent's sealed share.
func (r *Roster) Core() Hash { return hashOf(r.core().b) }

// Opened returns what is in a sealed share or in sealed partials.
func Opened(sealed []byte, key cms.Recipient) ([]byte, error) {
	return openSealed(sealed, key, MaxSealedPartials)
}

// Round1 returns the hash over round 1.
func (c *Ceremony) Round1() (Hash, error) { return c.round1() }

// PartialsWith is the plaintext of an agent's partials with a given proof nonce.
func (b *Bundle) PartialsWith(share threshold.Share, nonce threshold.Scalar) ([]byte, error) {
	ds, err := threshold.Decrypt(share, b.rs)
	if err != nil {
		return nil, err
	}
	proof, err := threshold.ProvePartialsWith(share, b.context(share.Agent), b.rs, ds, nonce)
	if err != nil {
		return nil, err
	}
	return b.newPartials(share.Agent, ds, proof).encode()
}

// SignApproval signs an approval as an agent's tool does, but checks nothing.
func SignApproval(a Approval, signer crypto.Signer) (*SignedApproval, error) {
	b, err := signMessage(a.statement(), signer)
	if err != nil {
		return nil, err
	}
	return ParseApproval(b)
}

// Info returns what the outer layer is bound to.
func (r *Record) Info() Hash { return labelled(labelWrapping, recordRest(r.Capsule, r.WrappingKey).b) }

// SealTo seals bytes as this package does.
var SealTo = sealTo

// Binding returns what the proof of a capsule is bound to.
func (c *Capsule) Binding() Hash { return c.binding() }

// Resign signs a roster anew with other contents: what an attacker does who has the agents' keys, or their own agents.
func (r *Roster) Resign(signers []crypto.Signer) (*Roster, error) {
	for i, a := range r.Plan.Agents {
		s, err := sign(signers[i], acknowledgeStatement(r.Core(), a.ID, r.Members[i].Sealed))
		if err != nil {
			return nil, err
		}
		r.Members[i].Signature = s
	}
	b, err := r.encode()
	if err != nil {
		return nil, err
	}
	return ParseRoster(b)
}

// Reencode parses bytes as the kind that their second byte names and writes what was understood down again.
func Reencode(b []byte) ([]byte, error) {
	if len(b) < 2 {
		return nil, ErrFormat
	}
	if encode := reencoders[kind(b[1])]; encode != nil {
		return encode(b)
	}
	return nil, ErrFormat
}

var reencoders = map[kind]func([]byte) ([]byte, error){
	kindHeader: reencoder(ParseHeader, func(h Header) *writer {
		w := newWriter(kindHeader)
		w.b, w.err = h.Encode()
		return w
	}),
	kindCapsule: reencoder(ParseCapsule, func(c *Capsule) *writer {
		w := newWriter(kindCapsule)
		header, err := c.Header.Encode()
		w.err = err
		w.blob16(header)
		for _, b := range [][]byte{c.KeyID[:], c.InnerHash[:], c.Wrapped[:], c.R.Bytes(), c.R2.Bytes(), c.Proof[:]} {
			w.raw(b)
		}
		return w
	}),
	kindRecord: reencoder(ParseRecord, func(r *Record) *writer {
		w := recordRest(r.Capsule, r.WrappingKey)
		w.blob32(r.Outer)
		return w
	}),
	kindInner: reencoder(ParseInnerRecord, func(i *InnerRecord) *writer {
		w := newWriter(kindInner)
		w.blob16(i.Capsule.raw)
		w.blob32(i.Inner)
		return w
	}),
	kindPlan: reencoder(ParsePlan, func(p *Plan) *writer {
		n, err := NewPlan(*p)
		if err != nil {
			return &writer{err: err}
		}
		return &writer{b: n.raw}
	}),
	kindCommit:  reencoder(parseCommit, func(m *commitMessage) *writer { return signed(m.statement(), m.signature) }),
	kindReveal:  reencoder(parseReveal, func(m *revealMessage) *writer { return signed(m.statement(), m.signature) }),
	kindReceipt: reencoder(ParseReceipt, func(s *SignedReceipt) *writer { return signed(s.Receipt.statement(), s.Signature) }),
	kindCase:    reencoder(ParseCase, func(s *SignedCase) *writer { return signed(s.Case.statement(), s.Signature) }),
	kindAcknowledge: reencoder(parseAcknowledgement, func(m *acknowledgement) *writer {
		return signed(&writer{b: acknowledgeStatement(m.core, m.agent, m.sealed)}, m.signature)
	}),
	kindApproval: reencoder(ParseApproval, func(s *SignedApproval) *writer { return signed(s.Approval.statement(), s.Signature) }),
	kindAnswer: reencoder(ParseAnswer, func(a *Answer) *writer {
		b, err := a.Encode()
		return &writer{b: b, err: err}
	}),
	kindDispute: reencoder(ParseDispute, func(s *SignedDispute) *writer { return signed(s.Dispute.statement(), s.Signature) }),
	kindConsent: reencoder(ParseConsent, func(s *SignedConsent) *writer { return signed(s.Consent.statement(), s.Signature) }),
	kindRoster: reencoder(ParseRoster, func(r *Roster) *writer {
		b, err := r.encode()
		return &writer{b: b, err: err}
	}),
	kindPartials: reencoder(parsePartials, func(p *partials) *writer {
		b, err := p.encode()
		return &writer{b: b, err: err}
	}),
	kindShare: func(b []byte) ([]byte, error) {
		if len(b) < 36 {
			return nil, ErrFormat
		}
		context, id := Hash(b[2:34]), uint16(b[34])<<8|uint16(b[35])
		s, err := parseShare(kindShare, context, []uint16{id}, b)
		if err != nil {
			return nil, err
		}
		w := newWriter(kindShare)
		w.raw(context[:])
		w.u16(id)
		w.raw(s.Bytes())
		return w.b, nil
	},
	kindState: reencoder(func(b []byte) (*Ceremony, error) { return ResumeCeremony(b, nil) }, func(c *Ceremony) *writer {
		b, err := c.Save()
		return &writer{b: b, err: err}
	}),
}

func signed(w *writer, s Signature) *writer {
	w.signature(s)
	return w
}

func reencoder[T any](parse func([]byte) (T, error), encode func(T) *writer) func([]byte) ([]byte, error) {
	return func(b []byte) ([]byte, error) {
		v, err := parse(b)
		if err != nil {
			return nil, err
		}
		w := encode(v)
		return w.b, w.err
	}
}
