package web

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/internal/audit/proof"
)

// What follows turns the rooms' types into those of the wire.

// utc returns a time as the database keeps it, so that an answer does not change when it is read back.
func utc(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

func policyOf(p *enroll.Policy) api.Policy {
	out := api.Policy{IssuedAt: p.IssuedAt, Ends: p.Ends, Person: personOf(p.Person), Enrolments: make([]api.Enrolment, len(p.Plans)), RenewAfter: p.Renewal.From,
		Renewal: renewalOf(p), Old: api.OldKeys{SigningKeys: "forget", EncryptionKeys: "keep", RevokeAfterDays: int(p.Old.RevokeAfter / (24 * time.Hour))}}
	if p.Old.KeepSigning {
		out.Old.SigningKeys = "keep"
	}
	if p.Machine != uuid.Nil {
		out.Machine = &p.Machine
	}
	if p.Exchange != nil {
		out.Exchange = exchangeOf(p.Offer)
	}
	out.Person.Restricted = p.Restricted
	for i, plan := range p.Plans {
		out.Enrolments[i] = api.Enrolment{Name: plan.Name, Title: plan.Title, Endorsed: plan.Endorsement,
			Signing: planOf(plan.SigningProfile, plan.SigningKeys, plan.Protection), Encryption: planOf(plan.EncryptionProfile, plan.EncryptionKeys, enroll.Protection{Passphrase: plan.Protection.Passphrase})}
	}
	return out
}

func renewalOf(p *enroll.Policy) api.Renewal {
	out := api.Renewal{From: p.Renewal.From, Until: p.Renewal.Until, Certificates: make([]api.Due, len(p.Due))}
	for i, d := range p.Due {
		c := d.Certificate
		w := api.Due{CertificateName: api.CertificateName{Issuer: c.Issuer, Serial: c.Serial.String()}, RenewAt: utc(d.RenewAt), LateAt: utc(d.LateAt),
			Why: d.Why, Say: d.Say, Status: certificateGood}
		switch {
		case c.Status.State == ca.Revoked && c.Status.Reason == ca.CertificateHold:
			w.Status = certificateHeld
		case c.Status.State == ca.Revoked:
			w.Status = certificateRevoked
		}
		out.Certificates[i] = w
	}
	return out
}

func exchangeOf(o enroll.Offer) *api.Exchange {
	return &api.Exchange{Certificate: o.Exchange.Raw, Chain: derOf(o.Chain), Nonce: o.Nonce, NonceEnds: utc(o.NonceEnds)}
}

func planOf(p *ca.Profile, keys []ca.KeyAlgorithm, how enroll.Protection) *api.KeyPlan {
	if p == nil {
		return nil
	}
	out := &api.KeyPlan{Profile: p.Name(), Escrowed: p.EscrowRequired(), ValidityDays: int(p.Validity() / (24 * time.Hour)),
		Places: how.Places, Attested: how.Attested, PIN: how.PIN, Passphrase: how.Passphrase}
	for _, k := range keys {
		out.Algorithms = append(out.Algorithms, string(k))
	}
	return out
}

func personOf(p directory.Person) api.Person {
	out := api.Person{ID: p.ID, Name: p.Name, GivenName: p.GivenName, Surname: p.Surname, Mailboxes: p.Mailboxes}
	if out.Mailboxes == nil {
		out.Mailboxes = []string{}
	}
	for _, r := range p.Roles {
		out.Roles = append(out.Roles, string(r))
	}
	return out
}

func derOf(chain []*x509.Certificate) [][]byte {
	out := make([][]byte, len(chain))
	for i, c := range chain {
		out[i] = c.Raw
	}
	return out
}

func (s *Server) enrolmentOf(r *enroll.Request) (api.EnrolmentStatus, error) {
	out := api.EnrolmentStatus{ID: r.ID, Enrolment: r.Enrolment, Person: r.Person, PersonName: r.Subject.CommonName,
		Mailboxes: r.Subject.Mailboxes, State: api.EnrolmentState(r.State), Reason: r.Reason, SubmittedAt: utc(r.ReceivedAt)}
	for _, c := range r.Certificates {
		w := s.certificateOf(c)
		w.Chain = s.chainOf(c.Issuer)
		out.Certificates = append(out.Certificates, w)
	}
	if o := r.Origin; o != nil {
		out.KeyOrigin = &api.KeyOrigin{Device: o.Device, Maker: o.Maker, Serial: o.Serial, Endorsement: o.Endorsement, Firmware: o.Firmware, Slot: o.Slot, PIN: o.PIN, Touch: o.Touch}
	}
	var err error
	if r.Receipt != nil {
		out.Receipt, err = s.receiptOf(r.Receipt)
	}
	return out, err
}

func (s *Server) certificateOf(c ca.Certificate) api.Certificate {
	out := api.Certificate{Issuer: c.Issuer, Serial: c.Serial.String(), Profile: c.Profile, Mailboxes: c.Mailboxes,
		NotBefore: utc(c.NotBefore), NotAfter: utc(c.NotAfter), SPKISHA256: hex.EncodeToString(c.Key[:]), Status: s.statusOf(c), DER: c.DER}
	if p, err := s.Authority.Profile(c.Profile); err == nil { // else one that is no longer configured
		out.Use = string(p.Use())
	}
	if c.Person != uuid.Nil {
		out.Person = &c.Person
	}
	if c.Status.State == ca.Revoked {
		at := utc(c.Status.At)
		out.RevokedAt, out.Reason = &at, c.Status.Reason.String()
	}
	return out
}

// The states of a certificate on the wire.
const (
	certificateGood    = "good"
	certificateRevoked = "revoked"
	certificateExpired = "expired"
	certificateHeld    = "held" // in policies alone; elsewhere it is revoked, with its reason
)

func (s *Server) statusOf(c ca.Certificate) string {
	switch {
	case c.Status.State == ca.Revoked:
		return certificateRevoked
	case s.Now().After(c.NotAfter):
		return certificateExpired
	}
	return certificateGood
}

// chainOf returns the certificates from the issuer's up to the root's; nil if the issuer is no longer configured.
func (s *Server) chainOf(issuer string) [][]byte {
	i, err := s.Authority.Issuer(issuer)
	if err != nil {
		return nil
	}
	return derOf(i.Chain())
}

func issuerOf(i *ca.Issuer) api.Issuer {
	return api.Issuer{ID: i.ID(), Certificate: i.Certificate().Raw, Chain: derOf(i.Chain()[1:]), CRLs: i.CRL(), OCSP: i.OCSP()}
}

func (s *Server) receiptOf(r *archive.Receipt) (*api.Receipt, error) {
	signed, err := record.ParseReceipt(r.Signed)
	if err != nil {
		return nil, fmt.Errorf("stored receipt %s: %w", r.ID, err)
	}
	out := &api.Receipt{ID: r.ID, SPKISHA256: signed.SPKI.String(), KeyID: signed.KeyID.String(), Time: utc(signed.Time),
		Signed: r.Signed}
	if key := s.Archive.ReceiptKey(); sha256.Sum256(key) == signed.Signer { // else it was signed before the key changed
		out.Signer = key
	}
	return out, nil
}

func proofOf(leaf [32]byte, p proof.Inclusion) (api.ReceiptProof, error) {
	out := api.ReceiptProof{LeafHash: leaf[:], Index: p.Index, Hashes: make([][]byte, len(p.Hashes)), Checkpoint: string(p.Checkpoint)}
	for i, h := range p.Hashes {
		out.Hashes[i] = h[:]
	}
	// The second line of a checkpoint is the size of its tree (c2sp.org/tlog-checkpoint).
	_, rest, _ := strings.Cut(out.Checkpoint, "\n")
	size, _, _ := strings.Cut(rest, "\n")
	var err error
	out.Size, err = strconv.ParseInt(size, 10, 64)
	return out, err
}
