package archive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/jobs"
)

// consentTime is how long ago a case may have been signed that comes with an auditor's consent, which is signed after it.
const consentTime = 72 * time.Hour

// Open takes a case that its requester signed. Repeating it returns the case as it stands. With an auditor's signed
// consent (for a legal case; nil otherwise) the subjects are told later.
//
// It returns record.ErrFormat, record.ErrCase, record.ErrConsent, ErrCaseRefused (who asks, receives or signs may not),
// ErrNothingToAsk (a record is not there), ErrNoRoster, and what Signs and InForce return.
func (c *Cases) Open(ctx context.Context, by audit.Actor, signed, consent []byte) (*Case, error) {
	s, err := record.ParseCase(signed)
	if err != nil {
		return nil, err
	}
	k, err := c.open(ctx, by, s, consent)
	if err != nil {
		return nil, c.refused(ctx, by, s.ID, "archive.case-refused", err)
	}
	return k, nil
}

func (c *Cases) open(ctx context.Context, by audit.Actor, s *record.SignedCase, consent []byte) (*Case, error) {
	k := &Case{SignedCase: s, State: CaseRequested, Changed: c.Now()}
	roster, err := c.checkCase(ctx, by, k, consent != nil)
	if err != nil {
		return nil, err
	}
	if err := c.checkConsent(ctx, k, roster, consent); err != nil {
		return nil, err
	}
	err = c.Archive.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		found, err := selectCase(ctx, tx, s.ID, true)
		if err == nil && found.Hash() == s.Hash() {
			k = found
			return nil
		}
		if err == nil {
			return ErrCaseRefused.Withf("There is another case with the id %s.", s.ID)
		}
		if !errors.Is(err, ErrUnknownCase) {
			return err
		}
		if err := c.checkRecords(ctx, tx, s); err != nil {
			return err
		}
		return c.insert(ctx, tx, by, k, roster, consent)
	})
	if err != nil {
		return nil, err
	}
	c.After(string(CaseRequested))
	return k, nil
}

func (c *Cases) insert(ctx context.Context, tx pgx.Tx, by audit.Actor, k *Case, roster *record.Roster, consent []byte) error {
	if err := insertCase(ctx, tx, k, consent, parties(k, roster)); err != nil {
		return err
	}
	k.Collected = make([]time.Time, len(k.Deliveries))
	var recipients []string
	records := 0
	for _, d := range k.Deliveries {
		recipients = append(recipients, record.Fingerprint(d.Recipient).String())
		for _, s := range d.Subjects {
			records += len(s.Records)
		}
	}
	data := map[string]any{"kind": k.Kind.String(), "reference": k.Reference, "deadline": k.Deadline, "records": records,
		"recipients": recipients[:min(len(recipients), 100)], "roster": k.Roster.String()}
	if !k.SilentUntil.IsZero() {
		data["silent_until"] = k.SilentUntil
	}
	if err := c.event(ctx, tx, by, k, "archive.case-requested", data); err != nil {
		return err
	}
	return c.Jobs.Insert(ctx, tx, jobs.TellCase{Case: k.ID, About: string(CaseRequested)})
}

// checkCase checks everything about a case but its records, and finds who receives.
func (c *Cases) checkCase(ctx context.Context, by audit.Actor, k *Case, consented bool) (*record.Roster, error) {
	var subjects []uuid.UUID
	for _, d := range k.Deliveries {
		for _, s := range d.Subjects {
			subjects = append(subjects, s.Person)
		}
	}
	if k.Requester.Person != by.Person {
		return nil, ErrCaseRefused.Withf("The case names another requester than who sends it.")
	}
	if err := mayAsk(by, k.Kind, subjects); err != nil {
		return nil, err
	}
	roster, err := c.roster(ctx, k.SignedCase)
	if err != nil {
		return nil, err
	}
	if err := k.CheckRoster(roster); err != nil {
		return nil, err
	}
	if newest, err := c.Archive.roster.forKey(ctx, k.KeyID); err != nil || newest.Hash() != roster.Hash() {
		return nil, errors.Join(ErrCaseRefused.Withf("The case is put to a roster that another has replaced. Make it again."), err)
	}
	if _, err := c.Signs(ctx, k.Requester.Certificate, by.Person); err != nil {
		return nil, err
	}
	if err := c.checkTimes(k.SignedCase, consented); err != nil {
		return nil, err
	}
	if err := c.checkRecipients(ctx, k, roster); err != nil {
		return nil, err
	}
	return roster, c.checkReachable(ctx, k, roster)
}

func (c *Cases) checkTimes(s *record.SignedCase, consented bool) error {
	now, age := c.Now(), record.ClockSkew
	if consented {
		age = consentTime
	}
	switch {
	case s.Opened.Before(now.Add(-age)) || s.Opened.After(now.Add(record.ClockSkew)):
		return ErrCaseRefused.Withf("The case says that it was opened at %s, and it is %s now. Check the clock of the computer that signed it.",
			s.Opened.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	case s.Deadline.After(s.Opened.Add(c.Longest)):
		return ErrCaseRefused.Withf("The deadline is more than %d hours away.", int(c.Longest.Hours()))
	}
	return nil
}

// checkRecipients finds the person who may collect each delivery: the requester's own in a restore, and else
// the roster's, whose certificate must be in force.
func (c *Cases) checkRecipients(ctx context.Context, k *Case, roster *record.Roster) error {
	for _, d := range k.Deliveries {
		if k.Kind == record.CaseRestore {
			k.recipients = append(k.recipients, k.Requester.Person)
			continue
		}
		i := slices.IndexFunc(roster.Plan.Recipients, func(r record.Recipient) bool { return r.Certificate.Equal(d.Recipient) })
		if i < 0 { // CheckRoster has looked already
			return record.ErrCase
		}
		if err := c.InForce(ctx, d.Recipient); err != nil {
			return fmt.Errorf("recipient %s: %w", roster.Plan.Recipients[i].Name, err)
		}
		k.recipients = append(k.recipients, roster.Plan.Recipients[i].Person)
	}
	return nil
}

// checkReachable refuses a case that can never be approved, because too many of the agents may not decide about it.
func (c *Cases) checkReachable(ctx context.Context, k *Case, roster *record.Roster) error {
	may, why, err := c.mayApprove(ctx, k.SignedCase, roster)
	if err != nil {
		return err
	}
	if need := int(roster.Plan.Threshold); len(may) < need {
		return ErrCaseRefused.Withf("%d agents are needed, and only %d could approve this case. %s", need, len(may), strings.Join(why, " "))
	}
	return nil
}

// mayApprove returns the agents who may decide about a case, whose certificates are in force, and why the others may not.
// An error means that it cannot be told now.
func (c *Cases) mayApprove(ctx context.Context, s *record.SignedCase, roster *record.Roster) (may []uint16, why []string, err error) {
	for _, a := range roster.Plan.Agents {
		err := s.CheckApprover(roster, a.ID)
		if err == nil {
			if err = c.InForce(ctx, a.Signing); err != nil && !errors.Is(err, fault.Denied) {
				return nil, nil, err
			}
		}
		if err != nil {
			why = append(why, err.Error())
			continue
		}
		may = append(may, a.ID)
	}
	return may, why, nil
}

// checkRecords checks that the archive keeps every record, of the person under whom the case lists it, under the case's key.
func (c *Cases) checkRecords(ctx context.Context, tx pgx.Tx, s *record.SignedCase) error {
	whose, err := selectOwners(ctx, tx, s)
	if err != nil {
		return err
	}
	for _, d := range s.Deliveries {
		for _, p := range d.Subjects {
			for _, h := range p.Records {
				o, ok := whose[h]
				if !ok || o.keyID != s.KeyID {
					return ErrNothingToAsk.Withf("The archive keeps no record %s under the key that the case names.", h)
				}
				if o.person != p.Person {
					return ErrCaseRefused.Withf("The record %s belongs to another person than the case says.", h)
				}
			}
		}
	}
	return nil
}

// checkConsent takes an auditor's consent to tell the subjects of a legal case later.
func (c *Cases) checkConsent(ctx context.Context, k *Case, roster *record.Roster, raw []byte) error {
	if raw == nil {
		return nil
	}
	s, err := record.ParseConsent(raw)
	if err != nil {
		return err
	}
	if err := s.Verify(roster, k.SignedCase); err != nil {
		return err
	}
	roles, err := c.Signs(ctx, s.Certificate, s.Person)
	if err != nil {
		return err
	}
	if !slices.Contains(roles, audit.Auditor) {
		return record.ErrConsent.Withf("%s is no auditor.", s.Name)
	}
	if s.SilentUntil.After(k.Opened.Add(c.Silence)) {
		return record.ErrConsent.Withf("The subjects may be told %d days after the opening at the latest.", int(c.Silence.Hours()/24))
	}
	k.SilentUntil = s.SilentUntil
	return nil
}

type party struct {
	person uuid.UUID
	part   string
}

// parties are those who may see a case, but for its requester and the auditors.
func parties(k *Case, roster *record.Roster) []party {
	var out []party
	add := func(p uuid.UUID, part string) {
		if p != uuid.Nil {
			out = append(out, party{p, part})
		}
	}
	for i, d := range k.Deliveries {
		add(k.recipients[i], "recipient")
		for _, s := range d.Subjects {
			add(s.Person, "subject")
		}
	}
	for _, a := range roster.Plan.Agents {
		add(a.Person, "agent")
	}
	return out
}
