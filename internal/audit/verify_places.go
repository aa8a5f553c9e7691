package audit

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/audit/proof"
	"github.com/sealpost/sealpost/internal/pg"
)

// waiting checks the events that have no index: each must wait for one, and not for long.
func (v *verification) waiting(ctx context.Context, db *pg.DB) error {
	for after, done := int64(math.MinInt64), false; !done; {
		err := db.Snapshot(ctx, roleAudit, func(tx pgx.Tx) (err error) {
			n := 0
			err = selectPlaces(ctx, tx, after, verifyPage, func(p placeRow) error {
				n++
				after = p.event
				return v.place(p)
			})
			if err != nil || n == verifyPage {
				return err
			}
			done = true
			return v.orphan(ctx, tx)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// place checks that an event has one place: an index, or the queue for one.
func (v *verification) place(p placeRow) error {
	f := Finding{Index: -1, Last: -1, Event: p.event, Kind: p.kind}
	switch {
	case p.indexed && !p.waits:
		return nil
	case p.indexed:
		f.What = Inserted
		f.Text = fmt.Sprintf("event %d (%s) has an index and waits for another: its row in pending was put in", p.event, p.kind)
	case !p.waits:
		f.What = Inserted
		f.Text = fmt.Sprintf("event %d (%s) has no index and waits for none: it was put in, or its index was taken away", p.event, p.kind)
	case proof.LeafHash(p.body) != p.hash:
		f.What = Altered
		f.Text = fmt.Sprintf("event %d (%s, without index yet) was altered: its body does not have the hash that was recorded", p.event, p.kind)
	case p.disagreement() != "":
		f.What = Altered
		f.Text = fmt.Sprintf("event %d (%s, without index yet) was altered: %s", p.event, p.kind, p.disagreement())
	case v.now().Sub(p.at) > v.config.MaxWait:
		f.What = Stuck
		f.Text = fmt.Sprintf("event %d (%s) has waited for its index since %s", p.event, p.kind, p.at.UTC().Format(time.RFC3339))
	default:
		v.report.Waiting++
		return nil
	}
	return &f
}

func (v *verification) orphan(ctx context.Context, tx pgx.Tx) error {
	event, err := selectOrphan(ctx, tx)
	if err != nil || event == 0 {
		return err
	}
	return &Finding{What: Missing, Index: -1, Last: -1, Event: event,
		Text: fmt.Sprintf("event %d, which waits for its index, is missing", event)}
}

// eventRow is an event's row.
type eventRow struct {
	event   int64
	body    []byte
	at      time.Time
	kind    string
	subject string
	person  uuid.UUID
	actor   uuid.UUID
}

// disagreement says in what the columns differ from the body; "" if in nothing.
func (r eventRow) disagreement() string {
	e, err := decode(r.body)
	differs := func(column string, has, should any) string {
		return fmt.Sprintf("its column %s says %v, its body %v", column, has, should)
	}
	switch {
	case err != nil:
		return err.Error()
	case e.Kind != r.kind:
		return differs("kind", r.kind, e.Kind)
	case e.Subject != r.subject:
		return differs("subject", r.subject, e.Subject)
	case e.Person != r.person:
		return differs("person", r.person, e.Person)
	case e.By.Person != r.actor:
		return differs("actor", r.actor, e.By.Person)
	case !e.At.Equal(r.at):
		return differs("at", r.at.UTC().Format(bodyTime), e.At.Format(bodyTime))
	}
	return ""
}
