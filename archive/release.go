package archive

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/jobs"
)

// Collect releases a delivery to its recipient, once enough agents have approved. Only after its event is committed do
// Records and Sealed give anything out. Each collection is an event; repeating it is allowed until the case ends, for a
// recipient whose download broke off.
//
// It returns ErrUnknownCase, ErrNotRecipient and ErrCaseState.
func (c *Cases) Collect(ctx context.Context, by audit.Actor, id uuid.UUID, delivery int) (*Case, error) {
	k, err := c.collect(ctx, by, id, delivery)
	if err != nil {
		return nil, c.refused(ctx, by, id, "archive.collection-refused", err)
	}
	return k, nil
}

func (c *Cases) collect(ctx context.Context, by audit.Actor, id uuid.UUID, delivery int) (*Case, error) {
	before, err := c.Get(ctx, by, id)
	if err != nil {
		return nil, err
	}
	roster, err := c.roster(ctx, before.SignedCase)
	if err != nil {
		return nil, err
	}
	may, why, err := c.mayApprove(ctx, before.SignedCase, roster)
	if err != nil {
		return nil, err
	}
	return c.change(ctx, by, id, "collected", func(tx pgx.Tx, k *Case) error {
		if err := c.mayCollect(by, k, delivery); err != nil {
			return err
		}
		if err := k.mayBeReleased(roster, may, why); err != nil {
			return err
		}
		now := c.Now()
		if k.State == CaseApproved {
			if err := c.move(ctx, tx, by, k, CaseReleased, ""); err != nil {
				return err
			}
		} else if err := c.Jobs.Insert(ctx, tx, jobs.TellCase{Case: k.ID, About: collectedAgain(k, delivery, now)}); err != nil {
			return err
		}
		k.Collected[delivery] = now
		if err := updateCollected(ctx, tx, id, delivery, now); err != nil {
			return err
		}
		return c.event(ctx, tx, by, k, "archive.case-collected", map[string]any{"delivery": delivery,
			"recipient": record.Fingerprint(k.Deliveries[delivery].Recipient).String()})
	})
}

// collectedAgain is what people are told of a collection from a case that was released before: that these keys were given
// out, if others were before; else that they were once more, which is told once a day, however often it happens.
func collectedAgain(k *Case, delivery int, now time.Time) string {
	if k.Collected[delivery].IsZero() {
		return string(CaseReleased)
	}
	return fmt.Sprintf("again/%d/%s", delivery, now.UTC().Format(time.DateOnly))
}

// mayBeReleased says what is missing for a release: so many approvals that are undisputed and come from agents who may
// approve and whose certificates are in force. Once the release has begun, their certificates may end.
func (k *Case) mayBeReleased(roster *record.Roster, may []uint16, why []string) error {
	if k.State == CaseReleased {
		return k.wasApproved(roster)
	}
	if err := k.unaltered(roster); err != nil {
		return err
	}
	if missing := int(roster.Plan.Threshold) - k.approvals(may); missing > 0 {
		return ErrCaseState.Withf("%s", strings.TrimSpace(fmt.Sprintf("%d more agents must approve this case. %s", missing, strings.Join(why, " "))))
	}
	return nil
}

// wasApproved holds that enough agents approved this very case.
func (k *Case) wasApproved(roster *record.Roster) error {
	if err := k.unaltered(roster); err != nil {
		return err
	}
	approved := 0
	for _, a := range k.Answers {
		if a.Decision == record.Approve {
			approved++
		}
	}
	if approved < int(roster.Plan.Threshold) {
		return errAltered
	}
	return nil
}

// unaltered holds that all answers are to this case, and signed: whoever writes to the database may have exchanged either.
func (k *Case) unaltered(roster *record.Roster) error {
	for _, a := range k.Answers {
		if err := a.Verify(roster, k.SignedCase); err != nil {
			return errAltered.Because(err)
		}
	}
	return nil
}

var errAltered = ErrCaseState.Withf("The case is not what the agents approved: it was altered in the database. Nothing is given out. Tell your operators.")

// mayCollect says whether the actor is the recipient of a delivery in a case that can still come to something.
func (c *Cases) mayCollect(by audit.Actor, k *Case, delivery int) error {
	if delivery < 0 || delivery >= len(k.Deliveries) || k.recipients[delivery] != by.Person {
		return ErrNotRecipient
	}
	return c.inTime(k)
}

// Records returns inner records (record.InnerRecord) of a delivery that was collected, in its order, from the given
// position on, at most limit: without the server's layer, and under the agents'.
func (c *Cases) Records(ctx context.Context, by audit.Actor, id uuid.UUID, delivery, from, limit int) ([][]byte, error) {
	var sealed []*record.Record
	var named []record.Hash
	err := c.collected(ctx, by, id, delivery, func(tx pgx.Tx, k *Case) (err error) {
		first, count := k.positions(delivery)
		from, limit = min(max(from, 0), count), min(max(limit, 1), 500)
		for _, s := range k.Deliveries[delivery].Subjects {
			named = append(named, s.Records...)
		}
		sealed, err = selectCaseRecords(ctx, tx, id, first+from, min(limit, count-from))
		return err
	})
	if err != nil {
		return nil, err
	}
	out := make([][]byte, len(sealed))
	for i, s := range sealed {
		if s.Capsule.Hash() != named[from+i] {
			return nil, errAltered.Because(fmt.Errorf("record %d of delivery %d is not the one that the case names", from+i, delivery))
		}
		inner, err := s.UnwrapOuter(c.Archive.Wrapping...)
		if err != nil {
			return nil, err
		}
		out[i] = inner.Bytes()
	}
	return out, nil
}

// positions returns where a delivery's records begin in the case, and how many they are.
func (c *Case) positions(delivery int) (first, count int) {
	for _, d := range c.Deliveries[:delivery+1] {
		first += count
		count = 0
		for _, s := range d.Subjects {
			count += len(s.Records)
		}
	}
	return first, count
}

// Sealed is what one agent sealed to a delivery's recipient.
type Sealed struct {
	Approval []byte // record.SignedApproval
	Partials []byte // CMS
}

// Sealed returns the approvals of a delivery that was collected, each with what it sealed to the recipient.
func (c *Cases) Sealed(ctx context.Context, by audit.Actor, id uuid.UUID, delivery int) ([]Sealed, error) {
	var out []Sealed
	err := c.collected(ctx, by, id, delivery, func(tx pgx.Tx, _ *Case) (err error) {
		out, err = selectPartials(ctx, tx, id, delivery)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// collected reads something of a delivery whose release is committed. What was read counts only if there is no error.
func (c *Cases) collected(ctx context.Context, by audit.Actor, id uuid.UUID, delivery int, read func(pgx.Tx, *Case) error) error {
	var k *Case
	err := c.Archive.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		if err := c.maySee(ctx, tx, by, id); err != nil {
			return err
		}
		if k, err = selectCase(ctx, tx, id, false); err != nil {
			return err
		}
		if err := c.mayCollect(by, k, delivery); err != nil {
			return err
		}
		if k.State != CaseReleased || k.Collected[delivery].IsZero() {
			return ErrCaseState.Withf("The case is %s; collect it first.", k.State)
		}
		return read(tx, k)
	})
	if err != nil {
		return err
	}
	roster, err := c.roster(ctx, k.SignedCase)
	if err != nil {
		return err
	}
	return k.wasApproved(roster)
}

// Close ends a case whose recipients have what they asked for. The recipient of its only delivery may say so, or the
// requester. What the agents sealed is deleted.
func (c *Cases) Close(ctx context.Context, by audit.Actor, id uuid.UUID) (*Case, error) {
	return c.change(ctx, by, id, "closed", func(tx pgx.Tx, k *Case) error {
		alone := len(k.recipients) == 1 && k.recipients[0] == by.Person
		if k.Requester.Person != by.Person && !alone {
			return ErrNotRequester
		}
		if k.State == CaseClosed {
			return nil
		}
		return c.move(ctx, tx, by, k, CaseClosed, "")
	})
}

// RosterOf returns the verified roster that a case is put to.
func (c *Cases) RosterOf(ctx context.Context, k *Case) (*record.Roster, error) {
	return c.roster(ctx, k.SignedCase)
}

// CaseOf returns a case for a component of the server, such as the one that writes mails.
func (c *Cases) CaseOf(ctx context.Context, id uuid.UUID) (*Case, *record.Roster, error) {
	var k *Case
	err := c.Archive.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		k, err = selectCase(ctx, tx, id, false)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	r, err := c.roster(ctx, k.SignedCase)
	return k, r, err
}
