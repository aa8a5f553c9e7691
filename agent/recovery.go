package agent

import (
	"context"
	"crypto"
	"crypto/x509"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/internal/fault"
)

// Faults of recovery. Those of archive/record and delivery come as well.
var (
	ErrOfficers    = fault.New(fault.Denied, "officers-not-trusted", "The list of officers that the server sent must not be believed.")
	ErrDraft       = fault.New(fault.Denied, "draft-not-asked-for", "The server names other keys than were asked for. Nothing was signed.")
	ErrCaseAltered = fault.New(fault.Denied, "case-altered", "The server has another case than the one that was signed here.")
	ErrCaseWaiting = fault.New(fault.Unavailable, "case-waiting", "The officers have not answered yet. Run the same command again later.")
	ErrCaseEnded   = fault.New(fault.Conflict, "case-ended", "The recovery case came to nothing.")
	ErrNothingLost = fault.New(fault.Conflict, "nothing-to-restore", "Every archived key is on this machine already.")
	ErrNoRestore   = fault.New(fault.NotFound, "no-restore", "No restore was begun on this machine.")
	ErrRecipient   = fault.New(fault.NotFound, "no-such-recipient", "The officers' list has no such recipient for this kind of case.")
)

// The server's own codes that decide what is done next.
const (
	codeUnknownCase = "unknown-case"
	codeCaseState   = "case-state"
)

func hasCode(err error, code string) bool {
	f := fault.Of(err)
	return f != nil && f.Code == code
}

// refusedForGood reports whether the server said no, and would again.
func refusedForGood(err error) bool {
	f := fault.Of(err)
	return f != nil && f.Kind != fault.Unavailable
}

const (
	// usualDeadline is how long officers have to answer.
	usualDeadline = 7 * 24 * time.Hour
	longestWait   = time.Minute // between two questions how a case stands
)

// asker is who opens a case: the person of an identity with their signing key.
type asker struct {
	id     *Identity
	leaf   *x509.Certificate
	signer crypto.Signer
}

func (id *Identity) asker() (*asker, error) {
	held := id.Signing()
	if held == nil || held.Key.IsZero() {
		return nil, ErrNoIdentity.Withf("There is no signing certificate here, and a case must be signed. Run enroll first.")
	}
	leaf, err := held.Leaf()
	if err != nil {
		return nil, err
	}
	key, err := held.Key.Signer()
	if err != nil {
		return nil, err
	}
	return &asker{id, leaf, key}, nil
}

// requester is how the case names the asker: as their certificate does.
func (a *asker) requester() record.Requester {
	name := a.leaf.Subject.CommonName
	if name == "" && len(a.leaf.EmailAddresses) > 0 {
		name = a.leaf.EmailAddresses[0]
	}
	return record.Requester{Person: a.id.Person.ID, Name: record.Line(name, record.MaxName), Certificate: a.leaf}
}

// draft is one case that could be opened, with a roster that was checked.
type draft struct {
	roster        *record.Roster
	intermediates [][]byte
	subjects      []api.CaseSubject
	warning       string
}

// drafts asks what cases would have to name, and checks the rosters.
func (a *Agent) drafts(ctx context.Context, c *client.Client, id *Identity, q api.CaseQuery) ([]draft, error) {
	found, err := c.DraftCase(ctx, q)
	if err != nil {
		return nil, err
	}
	var out []draft
	for _, d := range found.Drafts {
		r, err := a.rosterOf(d.Roster, d.Intermediates)
		if err != nil {
			return nil, err
		}
		warning, err := a.remember(a.folder(id.Person.ID), r)
		if err != nil {
			return nil, err
		}
		if warning != "" {
			a.cfg.Progress("warning", warning)
		}
		out = append(out, draft{r, d.Intermediates, d.Subjects, warning})
	}
	if len(out) == 0 {
		return nil, ErrDraft.Withf("The server answered without saying what a case would have to name.")
	}
	return out, nil
}

// build makes the case of a draft and signs it. At is when it counts as opened.
func (d draft) build(by *asker, kind record.CaseKind, recipient *x509.Certificate, reason, reference string, at time.Time, lasts time.Duration) (*record.SignedCase, error) {
	if lasts <= 0 {
		lasts = usualDeadline
	}
	at = at.UTC().Truncate(time.Second)
	k := record.Case{ID: uuid.New(), Kind: kind, Roster: d.roster.Hash(), KeyID: d.roster.KeyID(), Epoch: d.roster.Epoch(), Requester: by.requester(),
		Reason: reason, Reference: reference, Opened: at, Deadline: at.Add(lasts)}
	to := record.Delivery{Recipient: recipient}
	for _, s := range d.subjects {
		subject := record.Subject{Person: s.Person}
		for _, x := range s.Records {
			h, err := record.ParseHash(x.Record)
			if err != nil {
				return nil, ErrDraft.Because(err)
			}
			subject.Records = append(subject.Records, h)
		}
		to.Subjects = append(to.Subjects, subject)
	}
	k.Deliveries = []record.Delivery{to}
	s, err := k.Sign(by.signer)
	if err != nil {
		return nil, err
	}
	return s, s.CheckRoster(d.roster)
}

// reachable holds that enough officers may answer a case.
func reachable(r *record.Roster, s *record.SignedCase, now time.Time) error {
	may := slices.DeleteFunc(officersOf(r, s, nil, now), func(o Officer) bool { return !o.May })
	if n := int(r.Plan.Threshold); len(may) < n {
		return ErrOfficers.Withf("%d officers must agree, and only %d of them could answer this case.", n, len(may))
	}
	return nil
}
