package record

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive/threshold"
)

// Origin says how the archive's key came to be. It stays through every reshare.
type Origin uint8

const (
	OriginAgents Origin = 1 // all agents made it together; the whole key never existed anywhere
	OriginDealer Origin = 2 // one machine made and dealt it: the weaker mode
)

// String returns the origin's name.
func (o Origin) String() string {
	switch o {
	case OriginAgents:
		return "agents"
	case OriginDealer:
		return "dealer"
	}
	return "unknown"
}

// Uses says for which cases a recipient may be named.
type Uses uint8

const (
	UseBusiness Uses = 1 << iota
	UseLegal
)

// Limits of a plan.
const (
	MaxArchiveName = 128
	MaxRecipients  = 100
	maxPlan        = 1 << 24
)

// Agent is one who holds a share. Its two keys and its person are nobody else's.
type Agent struct {
	ID         uint16 // 1..65535; where its share lies on the polynomial
	Person     uuid.UUID
	Name       string
	Signing    *x509.Certificate
	Decryption *x509.Certificate
}

// Recipient is one to whom keys may be delivered in business or legal cases.
type Recipient struct {
	Uses        Uses
	Person      uuid.UUID
	Name        string
	Certificate *x509.Certificate
}

// Plan is what a ceremony sets out to make. Everybody who takes part compares its hash with the others before doing
// anything: whoever could change the plan unseen could be all the agents.
type Plan struct {
	Archive                 string   // the archive's name, for people
	Session                 [16]byte // random: no message of one ceremony fits another
	Created                 time.Time
	Epoch                   uint32 // 1 for a new key, one more at each reshare
	Origin                  Origin
	Previous                Hash // of the roster that is reshared; zero for a new key
	Threshold               uint16
	SingleAgentMayOpenAlone bool        // true if and only if Threshold is 1
	Dealers                 []uint16    // ascending: all agents; or old agents, by their old ids; or 0 alone, the dealer's machine
	DealerKey               []byte      // SubjectPublicKeyInfo with which machine 0 signs; otherwise empty
	Agents                  []Agent     // ascending by id
	Recipients              []Recipient // ascending by fingerprint; Encode puts them in order

	raw []byte
}

// Size returns t and n.
func (p *Plan) Size() threshold.Size {
	return threshold.Size{T: int(p.Threshold), N: len(p.Agents), SingleAgentMayOpenAlone: p.SingleAgentMayOpenAlone}
}

// Agent returns the agent with the id.
func (p *Plan) Agent(id uint16) (Agent, bool) {
	i := slices.IndexFunc(p.Agents, func(a Agent) bool { return a.ID == id })
	if i < 0 {
		return Agent{}, false
	}
	return p.Agents[i], true
}

// IsReshare reports whether the plan passes an existing key on.
func (p *Plan) IsReshare() bool { return !p.Previous.IsZero() }

// Bytes returns the canonical bytes of a parsed plan.
func (p *Plan) Bytes() []byte { return p.raw }

// Hash names the plan: SHA-256 of its bytes.
func (p *Plan) Hash() Hash { return hashOf(p.raw) }

// NewPlan checks a plan, puts its recipients in order and returns it as ParsePlan would.
func NewPlan(p Plan) (*Plan, error) {
	w := newWriter(kindPlan)
	w.line(p.Archive)
	w.raw(p.Session[:])
	w.time(p.Created)
	w.u32(p.Epoch)
	w.u8(uint8(p.Origin))
	w.raw(p.Previous[:])
	w.u16(p.Threshold)
	w.flag(p.SingleAgentMayOpenAlone)
	w.count16(len(p.Dealers))
	for _, d := range p.Dealers {
		w.u16(d)
	}
	w.blob16(p.DealerKey)
	w.count16(len(p.Agents))
	for _, a := range p.Agents {
		w.agent(a)
	}
	w.recipients(p.Recipients)
	if w.err != nil {
		return nil, w.err
	}
	return ParsePlan(w.b)
}

func (w *writer) agent(a Agent) {
	w.u16(a.ID)
	w.raw(a.Person[:])
	w.line(a.Name)
	w.certificate(a.Signing)
	w.certificate(a.Decryption)
}

func (w *writer) recipients(list []Recipient) {
	for _, r := range list {
		if r.Certificate == nil {
			w.err = ErrFormat.Withf("A recipient's certificate is missing.")
			return
		}
	}
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b Recipient) int {
		fa, fb := Fingerprint(a.Certificate), Fingerprint(b.Certificate)
		return bytes.Compare(fa[:], fb[:])
	})
	w.count16(len(list))
	for _, r := range list {
		w.u8(uint8(r.Uses))
		w.raw(r.Person[:])
		w.line(r.Name)
		w.certificate(r.Certificate)
	}
}

// ParsePlan reads canonical bytes and checks everything that can be checked without the previous roster.
func ParsePlan(b []byte) (*Plan, error) {
	r := newReader(b, kindPlan, maxPlan)
	p := &Plan{Archive: r.line("archive's name", MaxArchiveName)}
	copy(p.Session[:], r.raw("session", len(p.Session)))
	p.Created = r.time("time")
	p.Epoch = r.u32("epoch")
	p.Origin = Origin(r.u8("origin"))
	p.Previous = r.hash("previous roster's hash")
	p.Threshold = r.u16("threshold")
	p.SingleAgentMayOpenAlone = r.flag("permission for a single agent")
	for range r.count16("list of dealers", threshold.MaxAgents, 2) {
		p.Dealers = append(p.Dealers, r.u16("dealer"))
	}
	p.DealerKey = append([]byte(nil), r.blob16("dealer's key", maxCertificate)...)
	for range r.count16("list of agents", threshold.MaxAgents, 24) {
		p.Agents = append(p.Agents, r.agent())
	}
	for range r.count16("list of recipients", MaxRecipients, 21) {
		p.Recipients = append(p.Recipients, r.recipient())
	}
	if r.err == nil {
		p.check(r)
	}
	if err := r.done(); err != nil {
		return nil, err
	}
	p.raw = append([]byte(nil), b...)
	return p, nil
}

func (r *reader) agent() Agent {
	return Agent{
		ID: r.u16("agent's id"), Person: r.uuid("agent's person"), Name: r.line("agent's name", MaxName),
		Signing: r.certificate("agent's signature certificate"), Decryption: r.certificate("agent's decryption certificate"),
	}
}

func (r *reader) recipient() Recipient {
	return Recipient{
		Uses: Uses(r.u8("recipient's uses")), Person: r.uuid("recipient's person"), Name: r.line("recipient's name", MaxName),
		Certificate: r.certificate("recipient's certificate"),
	}
}

func (p *Plan) check(r *reader) {
	if p.Archive == "" {
		r.fail("archive's name", "is missing")
	}
	if p.Session == ([16]byte{}) {
		r.fail("session", "is missing")
	}
	if p.Origin != OriginAgents && p.Origin != OriginDealer {
		r.fail("origin", "is not known")
	}
	if p.Epoch == 0 || (p.Epoch == 1) == p.IsReshare() {
		r.fail("epoch", "does not fit the previous roster")
	}
	if p.SingleAgentMayOpenAlone != (p.Threshold == 1) {
		r.fail("permission for a single agent", "does not fit the threshold")
	}
	if err := p.Size().Check(); err != nil {
		r.failed("threshold", err)
	}
	p.checkDealers(r)
	p.checkPeople(r)
}

func (p *Plan) checkDealers(r *reader) {
	if !slices.IsSorted(p.Dealers) || len(slices.Compact(slices.Clone(p.Dealers))) != len(p.Dealers) || len(p.Dealers) == 0 {
		r.fail("list of dealers", "is empty, not in order or names one twice")
	}
	machine := p.Origin == OriginDealer && !p.IsReshare()
	switch {
	case machine:
		if !slices.Equal(p.Dealers, []uint16{0}) {
			r.fail("list of dealers", "is not the dealer's machine alone")
		}
		if _, err := p.dealerKey(); err != nil {
			r.failed("dealer's key", err)
		}
	case len(p.DealerKey) != 0:
		r.fail("dealer's key", "is set, but no machine deals")
	case p.IsReshare():
		if slices.Contains(p.Dealers, 0) {
			r.fail("list of dealers", "names agent 0")
		}
	default:
		if !slices.EqualFunc(p.Dealers, p.Agents, func(d uint16, a Agent) bool { return d == a.ID }) {
			r.fail("list of dealers", "is not that of all agents")
		}
	}
}

func (p *Plan) dealerKey() (crypto.PublicKey, error) {
	k, err := x509.ParsePKIXPublicKey(p.DealerKey)
	if err != nil {
		return nil, ErrFormat.Withf("This is no public key.").Because(err)
	}
	_, err = algorithmOf(k)
	return k, err
}

// checkPeople holds that no person and no key has two places: a threshold of one person's two keys would be none.
func (p *Plan) checkPeople(r *reader) {
	persons, keys := map[uuid.UUID]bool{uuid.Nil: true}, map[string]bool{}
	once := func(field string, c *x509.Certificate) {
		if keys[string(c.RawSubjectPublicKeyInfo)] {
			r.fail(field, "has a key that is already used in this plan")
		}
		keys[string(c.RawSubjectPublicKeyInfo)] = true
	}
	last := uint16(0)
	for _, a := range p.Agents {
		if a.ID <= last {
			r.fail("agent's id", "is zero or not in ascending order")
		}
		last = a.ID
		if persons[a.Person] {
			r.fail("agent's person", "is missing or there twice")
		}
		persons[a.Person] = true
		if a.Name == "" {
			r.fail("agent's name", "is missing")
		}
		once("agent's signature certificate", a.Signing)
		once("agent's decryption certificate", a.Decryption)
		if err := checkSigning(a.Signing); err != nil {
			r.failed("agent's signature certificate", err)
		}
		if err := checkDecryption(a.Decryption); err != nil {
			r.failed("agent's decryption certificate", err)
		}
	}
	var before Hash
	for _, c := range p.Recipients {
		f := Fingerprint(c.Certificate)
		if bytes.Compare(f[:], before[:]) <= 0 {
			r.fail("list of recipients", "is not in order")
		}
		before = f
		if c.Uses == 0 || c.Uses > UseBusiness|UseLegal {
			r.fail("recipient's uses", "are not known")
		}
		if c.Person == uuid.Nil || c.Name == "" {
			r.fail("recipient's person or name", "is missing")
		}
		once("recipient's certificate", c.Certificate)
		if err := checkDecryption(c.Certificate); err != nil {
			r.failed("recipient's certificate", err)
		}
	}
}
