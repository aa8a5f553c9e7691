package agent

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
)

// held returns every certificate of the identity: those of the pairs, the newest first, then the history.
func (id *Identity) held() []*Held {
	var out []*Held
	for i := range id.Pairs {
		out = append(out, id.Pairs[i].halves()...)
	}
	for i := range id.History {
		out = append(out, &id.History[i])
	}
	return out
}

// signsWith reports whether a certificate of the identity is one to sign with.
func (id *Identity) signsWith(h *Held) bool {
	return slices.ContainsFunc(id.Pairs, func(p Pair) bool { return p.Signing == h })
}

// encryptionKeys returns what the identity can decrypt with, the current key first.
func (id *Identity) encryptionKeys() []*Held {
	return slices.DeleteFunc(id.held(), func(h *Held) bool { return h.Key.IsZero() || id.signsWith(h) })
}

// handable returns those of the keys that another device can check by their certificates: not foreign ones.
func handable(keys []*Held) []*Held {
	return slices.DeleteFunc(slices.Clone(keys), func(h *Held) bool { return h.Foreign })
}

// holdsKey returns the certificate whose key has this hash, if the key is here.
func (id *Identity) holdsKey(spki record.Hash) *Held {
	for _, h := range id.encryptionKeys() {
		if leaf, err := h.Leaf(); err == nil && spkiOf(leaf) == spki {
			return h
		}
	}
	return nil
}

func spkiOf(c *x509.Certificate) record.Hash { return sha256.Sum256(c.RawSubjectPublicKeyInfo) }

// addHistory takes an encryption key that was made on another device, with its certificate as [certified] returned it. It
// reports whether the key is new here.
func (id *Identity) addHistory(h Held) (bool, error) {
	leaf, err := h.Leaf()
	if err != nil {
		return false, err
	}
	if id.holdsKey(spkiOf(leaf)) != nil {
		return false, nil
	}
	id.History = append(id.History, h)
	slices.SortStableFunc(id.History, func(a, b Held) int { return cmp.Compare(b.begins(), a.begins()) })
	return true, nil
}

func (h *Held) begins() int64 {
	leaf, err := h.Leaf()
	if err != nil {
		return 0
	}
	return leaf.NotBefore.Unix()
}

// known is a certificate of a person's that was verified, and what is needed to keep it.
type known struct {
	leaf *x509.Certificate
	held Held // without a key
}

// certified finds, for every key of an identity's person, the newest of the certificates that the server knows and that
// can be believed: it encrypts mail, names one of the person's addresses and chains to the trusted roots. One that has
// ended is good: there is mail to it.
func (a *Agent) certified(id *Identity, certs []api.Certificate) map[record.Hash]known {
	out := map[record.Hash]known{}
	for i := range certs {
		k, err := a.believe(id.Person, &certs[i])
		if err != nil {
			a.cfg.Log.Warn("certificate left out", "issuer", certs[i].Issuer, "serial", certs[i].Serial, "error", err)
			continue
		}
		h := spkiOf(k.leaf)
		if other, ok := out[h]; !ok || other.leaf.NotBefore.Before(k.leaf.NotBefore) {
			out[h] = k
		}
	}
	return out
}

func (a *Agent) believe(person Person, wire *api.Certificate) (known, error) {
	var k known
	var err error
	if k.leaf, err = x509.ParseCertificate(wire.DER); err != nil {
		return k, err
	}
	k.held = Held{Issuer: wire.Issuer, Serial: wire.Serial, Certificate: k.leaf.Raw}
	return k, a.checkHistorical(person, k.leaf, wire.Chain, &k.held)
}

// checkHistorical holds that a certificate is, or was, one to encrypt the person's mail to, and keeps its chain.
func (a *Agent) checkHistorical(person Person, leaf *x509.Certificate, chain [][]byte, keep *Held) error {
	if err := checkUsage(encryptionHalf, leaf, true); err != nil {
		return err
	}
	theirs, err := certificateMailboxes(leaf)
	if err != nil {
		return err
	}
	ours, err := normalMailboxes(person.Mailboxes)
	if err != nil {
		return err
	}
	// Addresses change over the years; the first of the old certificates may have none of today's.
	if len(theirs) > 0 && !slices.ContainsFunc(theirs, func(m string) bool { return slices.Contains(ours, m) }) && leaf.Subject.CommonName != person.Name {
		return ErrAnswerMailboxes.Withf("The certificate names %s, and neither %s nor %s.", list(theirs), list(ours), person.Name)
	}
	intermediates, err := parseChain(chain)
	if err != nil {
		return err
	}
	keep.Chain, err = a.chainAt(leaf, intermediates, a.cfg.Now(), x509.ExtKeyUsageEmailProtection)
	return err
}

// chainAt returns the issuers of a certificate up to a trusted root. A certificate that has ended is judged as on its last
// day.
func (a *Agent) chainAt(leaf *x509.Certificate, intermediates []*x509.Certificate, now time.Time, usage x509.ExtKeyUsage) ([][]byte, error) {
	if now.After(leaf.NotAfter) {
		now = leaf.NotAfter
	}
	chains, err := leaf.Verify(x509.VerifyOptions{Roots: a.anchors, Intermediates: pool(intermediates), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}})
	if err != nil {
		return nil, ErrAnswerTrust.Withf("The certificate of %s does not chain to the trusted roots.", leaf.Subject.CommonName).Because(err)
	}
	var out [][]byte
	for _, issuer := range chains[0][1:] {
		out = append(out, issuer.Raw)
	}
	return out, nil
}

// withKey returns a copy of a certificate that is kept, with its private key (PKCS#8), which must be the certificate's.
func (h Held) withKey(pkcs8 []byte) (Held, error) {
	leaf, err := h.Leaf()
	if err != nil {
		return h, err
	}
	spki, err := publicBytes(pkcs8)
	if err != nil {
		return h, err
	}
	if !bytes.Equal(spki, leaf.RawSubjectPublicKeyInfo) {
		return h, ErrAnswerKey.Withf("A key that came is not the one of its certificate %s.", h.Serial)
	}
	h.Key = softwareKey(pkcs8)
	return h, nil
}

// encodeKey returns a key's PKCS#8 form if it is of a kind that is kept here.
func encodeKey(key crypto.PrivateKey) (Secret, error) {
	if _, ok := key.(crypto.Signer); !ok {
		return nil, ErrAlgorithm.Withf("Keys of this kind are not kept by this agent.")
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return pkcs8, nil
}
