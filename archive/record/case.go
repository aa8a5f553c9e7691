package record

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive/threshold"
	"github.com/sealpost/sealpost/internal/fault"
)

// ErrCase is returned for a case that may not be opened as it stands.
var ErrCase = fault.New(fault.Denied, "case-not-acceptable", "This case cannot be accepted.")

// CaseKind says on whose behalf keys are opened.
type CaseKind uint8

const (
	CaseRestore  CaseKind = 1 // the subject's own keys, for a new device
	CaseBusiness CaseKind = 2 // for a recipient in the roster
	CaseLegal    CaseKind = 3 // for a recipient in the roster; the subject may be told later
	CaseDrill    CaseKind = 4 // records of purpose drill, to prove that opening works
)

// String returns the kind's name.
func (k CaseKind) String() string {
	switch k {
	case CaseRestore:
		return "restore"
	case CaseBusiness:
		return "business"
	case CaseLegal:
		return "legal"
	case CaseDrill:
		return "drill"
	}
	return "unknown"
}

// Limits of a case.
const (
	MaxReason     = 4000 // bytes
	MaxReference  = 256  // bytes
	MaxRecords    = threshold.MaxBatch
	MaxDeliveries = 1000
	MaxSubjects   = 1 << 14
	maxCase       = 1 << 25
)

// Requester is who asks, and never one who approves.
type Requester struct {
	Person      uuid.UUID
	Name        string
	Certificate *x509.Certificate // with whose key the case is signed
}

// Subject is one person's keys in a case: the hashes of their records' capsules, ascending.
type Subject struct {
	Person  uuid.UUID // all zero in a drill
	Records []Hash
}

// Delivery is what one recipient gets. A subject is in one delivery of a case alone.
type Delivery struct {
	Recipient *x509.Certificate
	Subjects  []Subject // ascending by person
}

// Case is what is to be opened, for whom and why. Signed, it is frozen: whoever approves, approves exactly this.
type Case struct {
	ID         uuid.UUID
	Kind       CaseKind
	Roster     Hash // the pin of the roster whose agents are asked
	KeyID      Hash
	Epoch      uint32
	Requester  Requester
	Reason     string // required, may have several lines
	Reference  string // ticket or file number; may be empty
	Opened     time.Time
	Deadline   time.Time  // after Opened
	Deliveries []Delivery // ascending by the recipient's fingerprint
}

// SignedCase is a case with its requester's signature.
type SignedCase struct {
	Case
	Signature Signature

	raw    []byte
	signed []byte // all of raw but the signature
}

// Bytes returns the canonical bytes.
func (s *SignedCase) Bytes() []byte { return s.raw }

// Hash names the case: what the requester signed, and what approvals are for.
func (s *SignedCase) Hash() Hash { return digest(s.signed) }

// Sign puts deliveries, subjects and records in order and signs the case with the key of the requester's certificate.
func (c Case) Sign(signer crypto.Signer) (*SignedCase, error) {
	b, err := signMessage(c.statement(), signer)
	if err != nil {
		return nil, err
	}
	s, err := ParseCase(b)
	if err != nil {
		return nil, err
	}
	return s, s.Verify()
}

func (c Case) statement() *writer {
	w := newWriter(kindCase)
	w.raw(c.ID[:])
	w.u8(uint8(c.Kind))
	w.raw(c.Roster[:])
	w.raw(c.KeyID[:])
	w.u32(c.Epoch)
	w.raw(c.Requester.Person[:])
	w.line(c.Requester.Name)
	w.certificate(c.Requester.Certificate)
	w.line(c.Reason)
	w.line(c.Reference)
	w.time(c.Opened)
	w.time(c.Deadline)
	w.deliveries(c.Deliveries)
	return w
}

func (w *writer) deliveries(list []Delivery) {
	for _, d := range list {
		if d.Recipient == nil {
			w.err = ErrFormat.Withf("A recipient's certificate is missing.")
			return
		}
	}
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b Delivery) int {
		fa, fb := Fingerprint(a.Recipient), Fingerprint(b.Recipient)
		return bytes.Compare(fa[:], fb[:])
	})
	w.count16(len(list))
	for _, d := range list {
		w.certificate(d.Recipient)
		subjects := slices.Clone(d.Subjects)
		slices.SortFunc(subjects, func(a, b Subject) int { return bytes.Compare(a.Person[:], b.Person[:]) })
		w.count16(len(subjects))
		for _, s := range subjects {
			w.raw(s.Person[:])
			records := slices.Clone(s.Records)
			slices.SortFunc(records, func(a, b Hash) int { return bytes.Compare(a[:], b[:]) })
			w.u32(uint32(len(records)))
			for _, h := range records {
				w.raw(h[:])
			}
		}
	}
}

// ParseCase reads canonical bytes. It does not verify the signature.
func ParseCase(b []byte) (*SignedCase, error) {
	r := newReader(b, kindCase, maxCase)
	s := &SignedCase{Case: Case{
		ID: r.uuid("id"), Kind: CaseKind(r.u8("case's kind")), Roster: r.hash("roster"), KeyID: r.hash("archive key id"), Epoch: r.u32("epoch"),
		Requester: Requester{
			Person: r.uuid("requester's person"), Name: r.line("requester's name", MaxName), Certificate: r.certificate("requester's certificate"),
		},
		Reason: r.text("reason", MaxReason, checkText), Reference: r.line("reference", MaxReference),
		Opened: r.time("opening time"), Deadline: r.time("deadline"),
	}}
	for range r.count16("list of deliveries", MaxDeliveries, 2+2) {
		s.Deliveries = append(s.Deliveries, r.delivery())
	}
	s.signed = append([]byte(nil), b[:len(b)-len(r.s)]...)
	s.Signature = r.signature()
	if r.err == nil {
		s.check(r)
	}
	if err := r.done(); err != nil {
		return nil, err
	}
	s.raw = append([]byte(nil), b...)
	return s, nil
}

func (r *reader) delivery() Delivery {
	d := Delivery{Recipient: r.certificate("recipient's certificate")}
	for range r.count16("list of subjects", MaxSubjects, 16+4) {
		s := Subject{Person: r.uuid("subject")}
		for range r.count32("list of records", MaxRecords, 32) {
			s.Records = append(s.Records, r.hash("record"))
		}
		d.Subjects = append(d.Subjects, s)
	}
	return d
}

func (c *Case) check(r *reader) {
	if c.ID == uuid.Nil || c.Roster.IsZero() || c.KeyID.IsZero() || c.Epoch == 0 {
		r.fail("id, roster or epoch", "is missing")
	}
	if c.Kind < CaseRestore || c.Kind > CaseDrill {
		r.fail("case's kind", "is not known")
	}
	if c.Requester.Person == uuid.Nil || c.Requester.Name == "" {
		r.fail("requester", "is missing")
	}
	if _, err := algorithmOf(c.Requester.Certificate.PublicKey); err != nil {
		r.failed("requester's certificate", err)
	}
	if c.Reason == "" {
		r.fail("reason", "is missing")
	}
	if !c.Opened.Before(c.Deadline) {
		r.fail("deadline", "is not after the opening")
	}
	c.checkDeliveries(r)
	if c.Kind == CaseRestore && (len(c.Deliveries) != 1 || len(c.Deliveries[0].Subjects) != 1 || c.Deliveries[0].Subjects[0].Person != c.Requester.Person) {
		r.fail("list of subjects", "is not the requester alone, who restores their own keys")
	}
}

func (c *Case) checkDeliveries(r *reader) {
	var before Hash
	persons, records := map[uuid.UUID]bool{}, map[Hash]bool{}
	if len(c.Deliveries) == 0 {
		r.fail("list of deliveries", "is empty")
	}
	for _, d := range c.Deliveries {
		f := Fingerprint(d.Recipient)
		if bytes.Compare(f[:], before[:]) <= 0 {
			r.fail("list of deliveries", "is not in order")
		}
		before = f
		if err := checkReceives(d.Recipient); err != nil {
			r.failed("recipient's certificate", err)
		}
		if len(d.Subjects) == 0 {
			r.fail("list of subjects", "is empty")
		}
		for i, s := range d.Subjects {
			if i > 0 && bytes.Compare(d.Subjects[i-1].Person[:], s.Person[:]) >= 0 {
				r.fail("list of subjects", "is not in order")
			}
			if persons[s.Person] || (s.Person == uuid.Nil) != (c.Kind == CaseDrill) {
				r.fail("subject", "is missing or there twice")
			}
			persons[s.Person] = true
			c.checkRecords(r, s.Records, records)
		}
	}
	if len(records) > MaxRecords {
		r.fail("list of records", "is too long")
	}
}

func (c *Case) checkRecords(r *reader, list []Hash, seen map[Hash]bool) {
	if len(list) == 0 {
		r.fail("list of records", "is empty")
	}
	for i, h := range list {
		if i > 0 && bytes.Compare(list[i-1][:], h[:]) >= 0 {
			r.fail("list of records", "is not in order")
		}
		if seen[h] {
			r.fail("list of records", "has one twice")
		}
		seen[h] = true
	}
}

// Verify checks the requester's signature. Whether the certificate is the requester's is the caller's to check.
func (s *SignedCase) Verify() error {
	if err := s.Signature.verify(s.Requester.Certificate.PublicKey, s.signed); err != nil {
		return ErrCase.Withf("The signature of the requester (%s) does not hold.", s.Requester.Name).Because(err)
	}
	return nil
}

// CheckRoster verifies the case and that it is put to this (verified) roster and names only recipients that it allows.
func (s *SignedCase) CheckRoster(r *Roster) error {
	if err := s.Verify(); err != nil {
		return err
	}
	if s.Roster != r.Hash() || s.KeyID != r.KeyID() || s.Epoch != r.Epoch() {
		return ErrCase.Withf("This case is put to another roster, or to one of another epoch.")
	}
	use := map[CaseKind]Uses{CaseBusiness: UseBusiness, CaseLegal: UseLegal}[s.Kind]
	if use == 0 {
		return nil
	}
	for _, d := range s.Deliveries {
		if !slices.ContainsFunc(r.Plan.Recipients, func(c Recipient) bool { return c.Uses&use != 0 && c.Certificate.Equal(d.Recipient) }) {
			return ErrCase.Withf("The recipient %s is not one whom the roster allows for a %s case.", Fingerprint(d.Recipient), s.Kind)
		}
	}
	return nil
}

// CheckApprover says why an agent may not decide about the case: who asks, receives, or is its subject (but in a
// restore, where the subject asks) is not asked. The case has passed CheckRoster.
func (s *SignedCase) CheckApprover(r *Roster, agent uint16) error {
	a, ok := r.Plan.Agent(agent)
	if !ok {
		return ErrCase.Withf("There is no agent %d in this roster.", agent)
	}
	if a.Person == s.Requester.Person || bytes.Equal(a.Signing.RawSubjectPublicKeyInfo, s.Requester.Certificate.RawSubjectPublicKeyInfo) {
		return ErrCase.Withf("Agent %d (%s) asks for these keys and so cannot approve.", agent, a.Name)
	}
	for _, d := range s.Deliveries {
		if receives(r, d.Recipient, a) {
			return ErrCase.Withf("Agent %d (%s) receives these keys and so cannot approve.", agent, a.Name)
		}
		if slices.ContainsFunc(d.Subjects, func(p Subject) bool { return p.Person == a.Person }) {
			return ErrCase.Withf("Keys of agent %d (%s) are asked for, who so cannot approve.", agent, a.Name)
		}
	}
	return nil
}

func receives(r *Roster, recipient *x509.Certificate, a Agent) bool {
	if bytes.Equal(recipient.RawSubjectPublicKeyInfo, a.Decryption.RawSubjectPublicKeyInfo) {
		return true
	}
	return slices.ContainsFunc(r.Plan.Recipients, func(c Recipient) bool { return c.Person == a.Person && c.Certificate.Equal(recipient) })
}

// ClockSkew is how far apart the clocks of those who have to do with a case may be: of its requester, its agents and the
// server.
const ClockSkew = 5 * time.Minute

// CheckTime says why the case is not open at a time. Before the opening the clocks' skew is allowed for: nobody can know a
// case before it is opened. After the deadline it is not.
func (s *SignedCase) CheckTime(t time.Time) error {
	if t.Before(s.Opened.Add(-ClockSkew)) || t.After(s.Deadline) {
		return ErrCase.Withf("The case is open from %s to %s, and by the clock of this computer, or of the one that signed, it was %s.",
			s.Opened.Format(time.RFC3339), s.Deadline.Format(time.RFC3339), t.UTC().Format(time.RFC3339))
	}
	return nil
}
