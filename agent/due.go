package agent

import (
	"context"
	"time"

	"github.com/sealpost/sealpost/api"
)

// Due says when certificates are to be renewed.
type Due struct {
	At   time.Time
	Why  string // api.Due.Why; empty where the server has not said when
	Say  string // the server's words to the person
	Held bool   // a certificate is on hold: it waits for a registrar
}

const (
	statusGood  = "good"
	statusHeld  = "held"
	mostRevoked = 20 // old certificates that one run revokes
)

// due returns when the pair is to be renewed: when the first of its certificates is, as the policy says; if it says nothing of them, when that
// has lived the given part of its life.
func (p *Pair) due(told api.Policy, part float64) (out Due, err error) {
	known := false
	for _, h := range p.halves() {
		for _, d := range told.Renewal.Certificates {
			if d.Issuer != h.Issuer || d.Serial != h.Serial {
				continue
			}
			held := out.Held || d.Status == statusHeld
			if !known || d.RenewAt.Before(out.At) {
				out = Due{At: d.RenewAt, Why: d.Why, Say: d.Say}
			}
			out.Held, known = held, true
		}
	}
	if !known {
		out.At, err = p.RenewAt(part)
	}
	return out, err
}

// NextDue returns when the first of the identity's pairs is to be renewed, as far as is known here. It asks nobody.
func (a *Agent) NextDue(id *Identity) (Due, error) {
	var told api.Policy
	kept, err := a.keptPolicy(id.Person.ID)
	if err != nil {
		return Due{}, err
	}
	if kept != nil {
		told = kept.policy
	}
	var first Due
	for i, name := range id.enrolments() {
		d, err := id.current(name).due(told, id.RenewAfter)
		if err != nil {
			return first, err
		}
		if i == 0 || d.At.Before(first.At) {
			first = d
		}
	}
	return first, nil
}

// revokeOld revokes certificates to sign with that newer ones have taken the place of, if the server says that this is done. It
// matters to nobody today, so that the next run tries again is enough.
func (a *Agent) revokeOld(ctx context.Context, id *Identity, told api.Policy) {
	old := id.superseded(told, a.cfg.Now())
	if len(old) == 0 {
		return
	}
	c, err := a.dialAfterwards(id)
	if err != nil {
		a.cfg.Log.Warn("old certificates not revoked", "error", err)
		return
	}
	defer c.Close()
	for _, name := range old {
		if _, err := c.Revoke(ctx, name.Issuer, name.Serial, api.RevocationRequest{Reason: "superseded"}); err != nil {
			a.cfg.Log.Warn("old certificate not revoked", "serial", name.Serial, "error", err)
			return
		}
		if err := a.askAgain(id); err != nil { // or it would be revoked again
			a.cfg.Log.Warn("kept policy not marked", "error", err)
		}
		a.cfg.Progress("revoke", "revoked an old signing certificate that a newer one has taken the place of")
	}
}

// superseded names the old certificates to sign with whose time has come: a newer pair of the same enrolment has been here for so many days,
// and the server knows them as good.
func (id *Identity) superseded(told api.Policy, now time.Time) (out []api.CertificateName) {
	days := told.Old.RevokeAfterDays
	if days <= 0 {
		return nil
	}
	for i := range id.Pairs {
		p := &id.Pairs[i]
		newer := id.after(i)
		if p.Signing == nil || newer == nil || now.Before(newer.KeptAt.AddDate(0, 0, days)) {
			continue
		}
		for _, d := range told.Renewal.Certificates {
			if d.Issuer == p.Signing.Issuer && d.Serial == p.Signing.Serial && d.Status == statusGood && len(out) < mostRevoked {
				out = append(out, d.CertificateName)
			}
		}
	}
	return out
}

// after returns the pair with a certificate to sign with that took the place of another, nil if none did.
func (id *Identity) after(i int) *Pair {
	for j := i - 1; j >= 0; j-- { // newest first
		if id.Pairs[j].Enrolment == id.Pairs[i].Enrolment && id.Pairs[j].Signing != nil {
			return &id.Pairs[j]
		}
	}
	return nil
}
