package agent

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/delivery"
	"github.com/sealpost/sealpost/internal/disk"
)

// ConsentFile is where an auditor's consent lies in the folder of a drafted case.
const ConsentFile = "auditor.consent"

const maxConsent = 1 << 16

// minFingerprint is how many hexadecimal digits of a recipient's fingerprint must be given.
const minFingerprint = 16

// CaseRequest asks for other people's keys, for a recipient in the officers' roster.
type CaseRequest struct {
	Mailbox   string          // of who asks, where there are several people
	Kind      record.CaseKind // CaseBusiness or CaseLegal
	People    []string        // whose keys: mail addresses, now or formerly, or ids
	Keys      []string        // only these: SHA-256 of their SubjectPublicKeyInfo, hexadecimal
	From, To  time.Time       // only keys with a certificate that was valid then; zero does not limit
	Recipient string          // fingerprint, or its first 16 digits at least
	Reason    string
	Reference string
	Lasts     time.Duration // until the deadline; 0 means a week
}

// DraftedCase is a case that its requester signed.
type DraftedCase struct {
	Case          *record.SignedCase
	Roster        *record.Roster
	Intermediates [][]byte
	Recipient     record.Recipient
	Subjects      []api.CaseSubject // what the server says of them; empty if it was read from a folder
	Warning       string            // about the officers
	Consent       []byte            // an auditor's, if there is one
}

// DraftCases makes and signs the cases of a request: one for each archive key that the records are sealed to, usually one.
// Nothing is opened yet.
func (a *Agent) DraftCases(ctx context.Context, req CaseRequest) ([]DraftedCase, error) {
	if req.Kind != record.CaseBusiness && req.Kind != record.CaseLegal {
		return nil, ErrConfig.Withf("The kind of a case is business or legal. For your own keys, use restore.")
	}
	id, err := a.forMailbox(req.Mailbox)
	if err != nil {
		return nil, err
	}
	by, err := id.asker()
	if err != nil {
		return nil, err
	}
	q, err := req.query()
	if err != nil {
		return nil, err
	}
	c, err := a.dial(id)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	found, err := a.drafts(ctx, c, id, q)
	if err != nil {
		return nil, err
	}
	var out []DraftedCase
	for _, d := range found {
		if err := req.checkSubjects(q, d); err != nil {
			return nil, err
		}
		to, err := chooseRecipient(d.roster, req.Kind, req.Recipient)
		if err != nil {
			return nil, err
		}
		signed, err := d.build(by, req.Kind, to.Certificate, req.Reason, req.Reference, a.cfg.Now(), req.Lasts)
		if err != nil {
			return nil, err
		}
		if err := reachable(d.roster, signed, a.cfg.Now()); err != nil {
			return nil, err
		}
		out = append(out, DraftedCase{Case: signed, Roster: d.roster, Intermediates: d.intermediates, Recipient: to, Subjects: d.subjects, Warning: d.warning})
	}
	return out, nil
}

func (req CaseRequest) query() (api.CaseQuery, error) {
	q := api.CaseQuery{Kind: req.Kind.String()}
	if len(req.People) == 0 {
		return q, ErrConfig.Withf("Say whose keys: at least one address, or a person's id.")
	}
	for _, p := range req.People {
		if id, err := uuid.Parse(p); err == nil {
			q.People = append(q.People, id)
		} else if strings.Contains(p, "@") {
			q.Mailboxes = append(q.Mailboxes, p)
		} else {
			return q, ErrConfig.Withf("%q is neither a mail address nor a person's id.", p)
		}
	}
	for _, k := range req.Keys {
		h, err := record.ParseHash(strings.ToLower(k))
		if err != nil {
			return q, ErrConfig.Withf("%q is not the name of a key: 64 hexadecimal digits, as lists show them.", k)
		}
		q.Keys = append(q.Keys, h.String())
	}
	if !req.From.IsZero() {
		q.From = &req.From
	}
	if !req.To.IsZero() {
		q.To = &req.To
	}
	return q, nil
}

// checkSubjects holds that a draft names no more than was asked for, as far as that can be seen here: that an address is
// whose the server says, the officers see in the records.
func (req CaseRequest) checkSubjects(q api.CaseQuery, d draft) error {
	if len(d.subjects) == 0 || len(d.subjects) > len(req.People) {
		return ErrDraft.Withf("Keys of %d people were asked for, and the server names %d. Nothing was signed.", len(req.People), len(d.subjects))
	}
	for _, s := range d.subjects {
		if len(q.Mailboxes) == 0 && !slices.Contains(q.People, s.Person) {
			return ErrDraft.Withf("The server names keys of a person who was not asked for. Nothing was signed.")
		}
		for _, x := range s.Records {
			if len(q.Keys) > 0 && !slices.Contains(q.Keys, x.SPKISHA256) {
				return ErrDraft.Withf("The server names a key that was not asked for. Nothing was signed.")
			}
		}
	}
	return nil
}

// chooseRecipient finds the recipient of a fingerprint among those whom the roster allows for a kind of case.
func chooseRecipient(r *record.Roster, kind record.CaseKind, fingerprint string) (record.Recipient, error) {
	use := record.UseBusiness
	if kind == record.CaseLegal {
		use = record.UseLegal
	}
	digits := strings.ToLower(strings.NewReplacer(" ", "", ":", "").Replace(fingerprint))
	var names []string
	for _, c := range r.Plan.Recipients {
		if c.Uses&use == 0 {
			continue
		}
		f := record.Fingerprint(c.Certificate)
		if len(digits) >= minFingerprint && strings.HasPrefix(f.String(), digits) {
			return c, nil
		}
		names = append(names, fmt.Sprintf("%s (%s…)", c.Name, hex.EncodeToString(f[:minFingerprint/2])))
	}
	if len(names) == 0 {
		return record.Recipient{}, ErrRecipient.Withf("The officers' list allows no recipient for a %s case.", kind)
	}
	return record.Recipient{}, ErrRecipient.Withf("Name the recipient by fingerprint, at least its first %d digits. For a %s case the officers' list allows: %s.",
		minFingerprint, kind, strings.Join(names, ", "))
}

// Write puts a drafted case into a folder, for an auditor who is to consent, or for officers without a network.
func (d DraftedCase) Write(dir string) error {
	between, err := parseBetween(d.Intermediates)
	if err != nil {
		return ErrState.Because(err)
	}
	_, err = delivery.Create(dir, d.Case, d.Roster, between)
	return err
}

// ReadDraft reads what Write wrote, with the consent that lies beside it, and checks it as if it came from the server.
func (a *Agent) ReadDraft(dir string) (DraftedCase, error) {
	f := delivery.Open(dir)
	var d DraftedCase
	var err error
	if d.Case, err = f.Case(); err != nil {
		return d, err
	}
	found, err := f.Roster()
	if err != nil {
		return d, err
	}
	between, err := f.Intermediates()
	if err != nil {
		return d, err
	}
	for _, c := range between {
		d.Intermediates = append(d.Intermediates, c.Raw)
	}
	if d.Roster, err = a.rosterOf(found.Bytes(), d.Intermediates); err != nil {
		return d, err
	}
	if err := d.Case.CheckRoster(d.Roster); err != nil {
		return d, err
	}
	if err := a.checkRequester(d.Case, between); err != nil {
		return d, err
	}
	for _, c := range d.Roster.Plan.Recipients {
		if c.Certificate.Equal(d.Case.Deliveries[0].Recipient) {
			d.Recipient = c
		}
	}
	d.Consent, err = disk.Read(f.Path(ConsentFile), maxConsent)
	return d, err
}

// checkRequester holds that a case was signed with a certificate of the person whom it calls its requester.
func (a *Agent) checkRequester(s *record.SignedCase, between []*x509.Certificate) error {
	cert := s.Requester.Certificate
	if err := checkUsage(signingHalf, cert, true); err != nil {
		return err
	}
	if cert.Subject.CommonName != s.Requester.Name && !slices.Contains(cert.EmailAddresses, s.Requester.Name) {
		return record.ErrCase.Withf("The case says that %s asks, with a certificate that is for %s.", s.Requester.Name, cert.Subject.CommonName)
	}
	if !inTime(cert, a.cfg.Now()) {
		return record.ErrCase.Withf("The certificate of %s, who asks, is not valid now.", s.Requester.Name)
	}
	_, err := a.chainAt(cert, between, a.cfg.Now(), x509.ExtKeyUsageEmailProtection)
	return err
}

// OpenCase opens a drafted case. Doing it again changes nothing.
func (a *Agent) OpenCase(ctx context.Context, mailbox string, d DraftedCase) (api.Case, error) {
	c, err := a.connect(mailbox)
	if err != nil {
		return api.Case{}, err
	}
	defer c.Close()
	return c.OpenCase(ctx, api.CaseOpening{Case: d.Case.Bytes(), Consent: d.Consent})
}

// Consent signs, as an auditor, that the subjects of the legal case in a folder are told of it only after a date, and puts
// that into the folder. It needs no network.
func (a *Agent) Consent(mailbox, dir string, until time.Time) (DraftedCase, error) {
	d, err := a.ReadDraft(dir)
	if err != nil {
		return d, err
	}
	id, err := a.forMailbox(mailbox)
	if err != nil {
		return d, err
	}
	by, err := id.asker()
	if err != nil {
		return d, err
	}
	who := by.requester()
	signed, err := record.Consent{Case: d.Case.Hash(), Person: who.Person, Name: who.Name, Certificate: who.Certificate,
		SilentUntil: until.UTC().Truncate(time.Second), Time: a.cfg.Now().UTC().Truncate(time.Second)}.Sign(by.signer)
	if err != nil {
		return d, err
	}
	if err := signed.Verify(d.Roster, d.Case); err != nil {
		return d, err
	}
	d.Consent = signed.Bytes()
	return d, disk.Write(delivery.Open(dir).Path(ConsentFile), d.Consent, 0o644)
}

// connect returns a client with the configured credentials, for which no identity is needed, or with an identity's.
func (a *Agent) connect(mailbox string) (*client.Client, error) {
	if a.hasCredentials() {
		return a.dial(nil)
	}
	id, err := a.forMailbox(mailbox)
	if err != nil {
		return nil, err
	}
	return a.dial(id)
}

// Cases returns the recovery cases that the person may see, the newest first; of one state, unless it is empty.
func (a *Agent) Cases(ctx context.Context, mailbox string, state api.CaseState) ([]api.Case, error) {
	c, err := a.connect(mailbox)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	out := []api.Case{}
	for k, err := range c.AllCases(ctx, client.CaseQuery{State: state}) {
		if err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	return out, nil
}

// Case returns one recovery case with its officers. Who they are is the server's word if it is no case of this machine's.
func (a *Agent) Case(ctx context.Context, mailbox string, id uuid.UUID) (api.Case, []Officer, error) {
	c, err := a.connect(mailbox)
	if err != nil {
		return api.Case{}, nil, err
	}
	defer c.Close()
	k, err := c.Case(ctx, id)
	if err != nil {
		return k, nil, err
	}
	signed, err := record.ParseCase(k.Signed)
	if err != nil {
		return k, nil, err
	}
	if len(k.Roster) == 0 { // its officers have changed, and it has lapsed
		return k, nil, nil
	}
	r, err := a.rosterOf(k.Roster, k.Intermediates)
	if err != nil {
		return k, nil, err
	}
	if err := signed.CheckRoster(r); err != nil {
		return k, nil, err
	}
	return k, officersOf(r, signed, k.Answers, a.cfg.Now()), nil
}

// CancelCase takes a case back that the person opened.
func (a *Agent) CancelCase(ctx context.Context, mailbox string, id uuid.UUID, reason string) (api.Case, error) {
	c, err := a.connect(mailbox)
	if err != nil {
		return api.Case{}, err
	}
	defer c.Close()
	return c.CancelCase(ctx, id, reason)
}
