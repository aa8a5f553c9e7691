package archive

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/jobs"
)

// Answer takes an agent's answer (a record.Answer) to a case, until its deadline: also after its release, because the
// archive cannot see whether what was sealed to the recipient is right. Whoever brings it, the agent's signature
// decides. Repeating an answer changes nothing.
//
// It returns record.ErrFormat, record.ErrApproval, record.ErrCase, ErrCaseState, ErrAnswered, ErrUnknownCase and what
// InForce returns for the agent's certificate.
func (c *Cases) Answer(ctx context.Context, by audit.Actor, id uuid.UUID, raw []byte) (*Case, error) {
	k, err := c.answer(ctx, by, id, raw)
	if err != nil {
		return nil, c.refused(ctx, by, id, "archive.answer-refused", err)
	}
	return k, nil
}

func (c *Cases) answer(ctx context.Context, by audit.Actor, id uuid.UUID, raw []byte) (*Case, error) {
	a, err := record.ParseAnswer(raw)
	if err != nil {
		return nil, err
	}
	before, err := c.Get(ctx, by, id)
	if err != nil {
		return nil, err
	}
	roster, err := c.roster(ctx, before.SignedCase)
	if err != nil {
		return nil, err
	}
	if err := c.checkAnswer(ctx, before, roster, a.Approval); err != nil {
		return nil, err
	}
	may, _, err := c.mayApprove(ctx, before.SignedCase, roster)
	if err != nil {
		return nil, err
	}
	return c.change(ctx, by, id, "answered", func(tx pgx.Tx, k *Case) error {
		if i := slices.IndexFunc(k.Answers, func(x CaseAnswer) bool { return x.Agent == a.Approval.Agent }); i >= 0 {
			if bytes.Equal(k.Answers[i].Bytes(), a.Approval.Bytes()) {
				return nil
			}
			return ErrAnswered
		}
		if err := c.inTime(k); err != nil {
			return err
		}
		if err := c.keepAnswer(ctx, tx, by, k, a); err != nil {
			return err
		}
		return c.tally(ctx, tx, by, k, roster, may)
	})
}

func (c *Cases) checkAnswer(ctx context.Context, k *Case, roster *record.Roster, a *record.SignedApproval) error {
	if err := a.Verify(roster, k.SignedCase); err != nil {
		return err
	}
	if a.Time.After(c.Now().Add(record.ClockSkew)) {
		return record.ErrApproval.Withf("The approval is from the future. Check the clock of the computer that signed it.")
	}
	agent, _ := roster.Plan.Agent(a.Agent) // Verify has found it
	return c.InForce(ctx, agent.Signing)
}

func (c *Cases) keepAnswer(ctx context.Context, tx pgx.Tx, by audit.Actor, k *Case, a *record.Answer) error {
	now := c.Now()
	if err := insertAnswer(ctx, tx, k.ID, a, now); err != nil {
		return err
	}
	k.Answers = append(k.Answers, CaseAnswer{SignedApproval: a.Approval, Received: now})
	if err := c.event(ctx, tx, by, k, "archive.case-answered", map[string]any{"agent": a.Approval.Agent, "decision": a.Approval.Decision.String(),
		"approval": a.Approval.Hash().String()}); err != nil {
		return err
	}
	return c.Jobs.Insert(ctx, tx, jobs.TellCase{Case: k.ID, About: "answered"})
}

// tally moves a case that is being decided to approved, or to denied when too few are left of those who may approve. An
// approval whose agent's certificate was revoked since counts no more.
func (c *Cases) tally(ctx context.Context, tx pgx.Tx, by audit.Actor, k *Case, roster *record.Roster, may []uint16) error {
	if k.State != CaseRequested {
		return nil
	}
	threshold := int(roster.Plan.Threshold)
	if k.approvals(may) >= threshold {
		return c.move(ctx, tx, by, k, CaseApproved, "")
	}
	possible, denials := k.approvals(may), 0
	for _, id := range may {
		if !slices.ContainsFunc(k.Answers, func(a CaseAnswer) bool { return a.Agent == id }) {
			possible++
		}
	}
	for _, a := range k.Answers {
		if a.Decision == record.Deny {
			denials++
		}
	}
	switch {
	case possible >= threshold:
		return nil
	case len(roster.Plan.Agents)-denials < threshold:
		return c.move(ctx, tx, by, k, CaseDenied, "So many agents refused that too few are left.")
	}
	return c.move(ctx, tx, by, k, CaseDenied, "Too few agents are left who have not refused and may approve this case.")
}

// Dispute takes a recipient's signed word (a record.Dispute) that what an agent sealed to it is wrong. The agent is named
// in the case and in the log; another agent's approval takes the place of the disputed one. Repeating it changes nothing.
func (c *Cases) Dispute(ctx context.Context, by audit.Actor, id uuid.UUID, raw []byte) (*Case, error) {
	s, err := record.ParseDispute(raw)
	if err != nil {
		return nil, err
	}
	k, err := c.dispute(ctx, by, id, s)
	if err != nil {
		return nil, c.refused(ctx, by, id, "archive.dispute-refused", err)
	}
	return k, nil
}

func (c *Cases) dispute(ctx context.Context, by audit.Actor, id uuid.UUID, s *record.SignedDispute) (*Case, error) {
	before, err := c.Get(ctx, by, id)
	if err != nil {
		return nil, err
	}
	roster, err := c.roster(ctx, before.SignedCase)
	if err != nil {
		return nil, err
	}
	if err := s.Verify(roster, before.SignedCase); err != nil {
		return nil, err
	}
	delivery := slices.IndexFunc(before.Deliveries, func(d record.Delivery) bool { return record.Fingerprint(d.Recipient) == s.Recipient })
	if _, err := c.Signs(ctx, s.Certificate, before.recipients[delivery]); err != nil {
		return nil, errors.Join(ErrNotRecipient, err)
	}
	return c.change(ctx, by, id, "disputed", func(tx pgx.Tx, k *Case) error {
		i := slices.IndexFunc(k.Answers, func(a CaseAnswer) bool { return s.Concerns(a.SignedApproval) })
		switch {
		case i < 0:
			return record.ErrDispute.Withf("No approval of this case holds what is disputed.")
		case k.Answers[i].Disputed:
			return nil
		case k.State != CaseReleased:
			return ErrCaseState.Withf("The case is %s: nothing was collected that could be disputed.", k.State)
		}
		if err := updateDispute(ctx, tx, k.ID, s); err != nil {
			return err
		}
		k.Answers[i].Disputed = true
		if err := c.event(ctx, tx, by, k, "archive.case-disputed", map[string]any{"agent": s.Agent, "dispute": s.Hash().String(), "reason": s.Reason}); err != nil {
			return err
		}
		return c.Jobs.Insert(ctx, tx, jobs.TellCase{Case: k.ID, About: "disputed"})
	})
}
