package ca

import (
	"context"
	"errors"
	"time"

	"github.com/sealpost/sealpost/internal/audit"
)

// RevokeAll revokes every certificate that a query finds and which agrees to (nil: to each), as Revoke does, and returns
// them. What is revoked already is left as it is, unless for a compromised key; so is what has ended, with the same
// exception. Each is a transaction of its own: after an error the same call goes on where it stopped. The query's Before
// and Limit do not count, nor do the revocation's Issuer and Serial.
func (a *Authority) RevokeAll(ctx context.Context, by audit.Actor, q Query, r Revocation, which func(Certificate) bool) ([]Certificate, error) {
	c, err := a.revoking(r)
	if err != nil {
		return nil, err
	}
	return a.changeAll(ctx, by, q, c, func(found Certificate) bool {
		return (which == nil || which(found)) && (r.Reason == KeyCompromise || !c.at.After(found.NotAfter))
	})
}

// ReleaseAll ends the hold of every certificate that a query finds, as RevokeAll revokes.
func (a *Authority) ReleaseAll(ctx context.Context, by audit.Actor, q Query, note string) ([]Certificate, error) {
	if err := checkNote(note); err != nil {
		return nil, err
	}
	return a.changeAll(ctx, by, q, change{standing: released, at: a.now().UTC().Truncate(time.Microsecond), note: note}, func(Certificate) bool { return true })
}

func (a *Authority) changeAll(ctx context.Context, by audit.Actor, q Query, c change, which func(Certificate) bool) (changed []Certificate, err error) {
	q.Before, q.Limit = 0, maxFound
	for {
		found, err := a.Find(ctx, q)
		if err != nil {
			return changed, err
		}
		for _, f := range found {
			if _, err := c.follows(f.Status); err != nil || !which(f) {
				continue
			}
			err := a.change(ctx, by, f.Issuer, f.Serial, c)
			if errors.Is(err, ErrRevoked) || errors.Is(err, ErrNotHeld) { // another was faster
				continue
			}
			if err == nil {
				f, err = a.Certificate(ctx, f.Issuer, f.Serial)
			}
			if err != nil {
				return changed, err
			}
			changed = append(changed, f)
		}
		if len(found) < maxFound {
			return changed, nil
		}
		q.Before = found[len(found)-1].Number
	}
}
