package agent

import (
	"crypto/x509"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Identity is what a person has on this workstation: certificates with their keys, the newest first, back to the first.
// It is what identity.json holds.
type Identity struct {
	Version     int       `json:"version"`
	Server      string    `json:"server"`                 // base URL
	Person      Person    `json:"person"`                 // as the directory last had them
	RenewAfter  float64   `json:"renew_after"`            // part of a certificate's life after which it is renewed
	Folder      string    `json:"folder"`                 // where the files for mail programs are written
	OwnPassword bool      `json:"own_password,omitempty"` // the person keeps the password of identity.p12, not we
	Passphrase  int       `json:"passphrase,omitempty"`   // least length of that, if the keys here are kept under it, too; 0: they are not
	Stores      Stores    `json:"stores"`                 // what else is kept up to date
	Prefer      Prefer    `json:"prefer"`                 // kinds of key that the person asked for
	Pairs       []Pair    `json:"pairs"`
	History     []Held    `json:"history,omitempty"` // encryption keys that came from the archive or another device; see addHistory
	Resealed    *Resealed `json:"resealed,omitempty"`

	Advertised *Advertised `json:"advertised,omitempty"`
}

// Person is whose identity it is.
type Person struct {
	ID        uuid.UUID `json:"id"`
	Name      string    `json:"name"`
	Mailboxes []string  `json:"mailboxes"` // the primary one first
}

// Receipt is the archive's word that it keeps the encryption key, verified when it came.
type Receipt struct {
	ID     uuid.UUID `json:"id"`
	Time   time.Time `json:"time"`
	Signed []byte    `json:"signed"` // archive/record's SignedReceipt
	Signer []byte    `json:"signer"` // SubjectPublicKeyInfo
}

// Pair is what one request yielded. One of the certificates may be missing.
type Pair struct {
	Enrolment  string    `json:"enrolment"`
	Name       string    `json:"name"` // of the request, ours
	Request    uuid.UUID `json:"request"`
	KeptAt     time.Time `json:"kept_at"`
	Signing    *Held     `json:"signing,omitempty"`
	Encryption *Held     `json:"encryption,omitempty"`
	Receipt    *Receipt  `json:"receipt,omitempty"`
}

// Held is a certificate with its key.
type Held struct {
	Issuer      string   `json:"issuer"` // the server's name for it
	Serial      string   `json:"serial"` // lower-case hexadecimal
	Certificate []byte   `json:"certificate"`
	Chain       [][]byte `json:"chain"` // from the issuing certificate to the root, as verified
	// Key is that of the certificate. A signing key is dropped when a newer one takes its place; an encryption key never.
	Key Key `json:"key,omitzero"`
	// Foreign says that another authority issued the certificate, of a key that was imported into the archive. Its chain is
	// what was known, and nothing trusts it.
	Foreign bool `json:"foreign,omitempty"`
}

// Leaf parses the certificate.
func (h *Held) Leaf() (*x509.Certificate, error) {
	cert, err := x509.ParseCertificate(h.Certificate)
	if err != nil {
		return nil, ErrState.Withf("A certificate in the agent's folder cannot be read.").Because(err)
	}
	return cert, nil
}

// Signing returns the certificate to sign with, nil if there is none.
func (id *Identity) Signing() *Held {
	for i := range id.Pairs {
		if id.Pairs[i].Signing != nil {
			return id.Pairs[i].Signing
		}
	}
	return nil
}

// Encryption returns the certificate that others encrypt to, nil if there is none.
func (id *Identity) Encryption() *Held {
	for i := range id.Pairs {
		if id.Pairs[i].Encryption != nil {
			return id.Pairs[i].Encryption
		}
	}
	return nil
}

// enrolments returns the names of the enrolments that there are pairs of.
func (id *Identity) enrolments() []string {
	var out []string
	for i := range id.Pairs {
		if !slices.Contains(out, id.Pairs[i].Enrolment) {
			out = append(out, id.Pairs[i].Enrolment)
		}
	}
	return out
}

// current returns the newest pair of an enrolment.
func (id *Identity) current(enrolment string) *Pair {
	for i := range id.Pairs {
		if id.Pairs[i].Enrolment == enrolment {
			return &id.Pairs[i]
		}
	}
	return nil
}

// halves returns the certificates of a pair.
func (p *Pair) halves() []*Held {
	var out []*Held
	for _, h := range []*Held{p.Signing, p.Encryption} {
		if h != nil {
			out = append(out, h)
		}
	}
	return out
}

// valid reports whether all certificates of a pair are within their time.
func (p *Pair) valid(now time.Time) (bool, error) {
	for _, h := range p.halves() {
		leaf, err := h.Leaf()
		if err != nil {
			return false, err
		}
		if now.After(leaf.NotAfter) {
			return false, nil
		}
	}
	return true, nil
}

// RenewAt returns when the pair is due: when the first of its certificates has lived the given part of its life.
func (p *Pair) RenewAt(part float64) (time.Time, error) {
	var due time.Time
	for _, h := range p.halves() {
		leaf, err := h.Leaf()
		if err != nil {
			return due, err
		}
		at := leaf.NotBefore.Add(time.Duration(part * float64(leaf.NotAfter.Sub(leaf.NotBefore))))
		if due.IsZero() || at.Before(due) {
			due = at
		}
	}
	return due, nil
}

// has reports whether the request of that name is in already.
func (id *Identity) has(name string) bool {
	for i := range id.Pairs {
		if id.Pairs[i].Name == name {
			return true
		}
	}
	return false
}

// add puts a new pair in front. The signing keys that it takes the place of are dropped, unless the server says otherwise: nothing needs
// them, and a key that is not there cannot be stolen.
func (id *Identity) add(pair *Pair, keepSigning bool) {
	if pair.Signing != nil && !keepSigning {
		for i := range id.Pairs {
			if old := &id.Pairs[i]; old.Enrolment == pair.Enrolment && old.Signing != nil {
				old.Signing.Key.forget()
			}
		}
	}
	id.Pairs = append([]Pair{*pair}, id.Pairs...)
}

func (id *Identity) check() error {
	if id.Version != stateVersion {
		return versionFault(id.Version)
	}
	if id.Person.ID == uuid.Nil || len(id.Pairs) == 0 || !(id.RenewAfter > 0 && id.RenewAfter < 1) {
		return ErrState.Withf("The identity in the agent's folder is not complete.")
	}
	for i := range id.Pairs {
		halves := id.Pairs[i].halves()
		if len(halves) == 0 {
			return ErrState.Withf("The identity in the agent's folder is not complete.")
		}
		for _, h := range halves {
			if err := h.check(); err != nil {
				return err
			}
		}
	}
	for i := range id.History {
		if err := id.History[i].check(); err != nil {
			return err
		}
	}
	return nil
}

func (h *Held) check() error {
	if _, err := h.Leaf(); err != nil {
		return err
	}
	if len(h.Chain) == 0 && !h.Foreign {
		return ErrState.Withf("A certificate in the agent's folder has no issuer.")
	}
	if h.Key.IsZero() {
		return nil
	}
	return h.Key.check()
}

// Identities returns the identities on this workstation.
func (a *Agent) Identities() ([]*Identity, error) {
	dirs, err := a.people()
	if err != nil {
		return nil, err
	}
	var out []*Identity
	for _, dir := range dirs {
		id, err := a.loadIdentity(dir)
		if err != nil {
			return nil, err
		}
		if id != nil {
			out = append(out, id)
		}
	}
	return out, nil
}
