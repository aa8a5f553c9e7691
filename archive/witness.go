package archive

import (
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/audit/proof"
	"github.com/sealpost/sealpost/internal/fault"
)

// Witnesses returns the agents of the pinned rosters, who countersign the audit log's checkpoints.
func (a *Archive) Witnesses(ctx context.Context) ([]*proof.Witness, error) {
	var out []*proof.Witness
	for _, pin := range a.Pins {
		r, err := a.roster.get(ctx, pin)
		if errors.Is(err, ErrNoRoster) { // pinned ahead of a change
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, agent := range r.Plan.Agents {
			w, err := proof.NewWitness(agent.Name, agent.Signing.PublicKey)
			if err != nil { // a key of a kind that does not countersign
				continue
			}
			if !slices.ContainsFunc(out, func(o *proof.Witness) bool { return o.Name() == w.Name() }) {
				out = append(out, w)
			}
		}
	}
	return out, nil
}

// InLog shows the audit log to somebody who may see a case: with the body of the event of its opening, nil if there is
// none, and how the log continues what they have seen. It returns ErrUnknownCase and what audit.Log.View returns.
func (c *Cases) InLog(ctx context.Context, by audit.Actor, id uuid.UUID, seen ...int64) (audit.View, []byte, error) {
	if _, err := c.Get(ctx, by, id); err != nil {
		return audit.View{}, nil, err
	}
	found, err := c.Audit.Events(ctx, audit.Query{Subject: "case:" + id.String(), Kind: "archive.case-requested", Limit: 1})
	if err != nil {
		return audit.View{}, nil, err
	}
	var leaf audit.Leaf
	var body []byte
	if len(found) > 0 {
		body = found[0].Body
		leaf = audit.Leaf{Event: found[0].ID, Hash: proof.LeafHash(body)}
	}
	v, err := c.Audit.View(ctx, leaf, seen...)
	return v, body, err
}

// Countersign takes a checkpoint of the audit log that an agent has verified and signed. Whoever brings it, the agent's
// signature decides. See audit.Log.Countersign.
func (c *Cases) Countersign(ctx context.Context, by audit.Actor, msg []byte) error {
	witnesses, err := c.Archive.Witnesses(ctx)
	if err != nil {
		return err
	}
	err = c.Audit.Countersign(ctx, by, msg, witnesses)
	f := fault.Of(err)
	if f == nil || errors.Is(f, proof.ErrFalse) || errors.Is(f, fault.Unavailable) { // the second is recorded already
		return err
	}
	_, failed := c.Audit.Record(ctx, by, audit.Event{Kind: "audit.countersignature-refused", Person: by.Person, Data: map[string]any{"code": f.Code}})
	return errors.Join(err, failed)
}
