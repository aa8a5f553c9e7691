package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
)

// begin makes this device's key and the cases. Nothing has been sent yet.
func (r *restore) begin(ctx context.Context) error {
	a := r.agent
	s := &restoring{Version: stateVersion, Server: a.cfg.Server.BaseURL, Person: r.id.Person.ID, BegunAt: a.cfg.Now().UTC(),
		Reason: r.opt.Reason, Reference: r.opt.Reference, Lasts: r.opt.Lasts}
	if s.Reason == "" {
		s.Reason = usualReason
	}
	var err error
	if s.Key, s.Recipient, err = makeRecipient(r.id.Person.Name, a.cfg.Now()); err != nil {
		return err
	}
	r.state = s
	if err := r.draw(ctx); err != nil {
		return err
	}
	if err := a.saveRestoring(s); err != nil {
		return err
	}
	return a.after("restore-begin")
}

// draw makes the cases of what the server says that the archive keeps, for the device's key.
func (r *restore) draw(ctx context.Context) error {
	a := r.agent
	a.cfg.Progress("draft", "asking "+a.cfg.Server.BaseURL+" what the archive keeps of yours")
	by, err := r.id.asker()
	if err != nil {
		return err
	}
	to, err := r.state.recipient()
	if err != nil {
		return err
	}
	found, err := a.drafts(ctx, r.client, r.id, api.CaseQuery{Kind: record.CaseRestore.String()})
	if err != nil {
		return err
	}
	lost := 0
	r.state.Cases = nil
	for _, d := range found {
		n, err := r.lost(d)
		if err != nil {
			return err
		}
		if lost += n; n == 0 && !r.opt.All {
			continue
		}
		signed, err := d.build(by, record.CaseRestore, to.Certificate, r.state.Reason, r.state.Reference, a.cfg.Now(), r.state.Lasts)
		if err != nil {
			return err
		}
		if err := reachable(d.roster, signed, a.cfg.Now()); err != nil {
			return err
		}
		r.state.Cases = append(r.state.Cases, restoringCase{Signed: signed.Bytes(), Roster: d.roster.Bytes(), Intermediates: d.intermediates, signed: signed, roster: d.roster})
		if d.warning != "" {
			r.state.Warnings = append(r.state.Warnings, d.warning)
		}
	}
	if len(r.state.Cases) == 0 {
		return ErrNothingLost
	}
	a.cfg.Progress("draft", fmt.Sprintf("%d archived keys of yours are not on this machine", lost))
	return nil
}

// lost counts the keys of a draft that are not here, after checking that it is about this person alone.
func (r *restore) lost(d draft) (int, error) {
	if len(d.subjects) != 1 || d.subjects[0].Person != r.id.Person.ID {
		return 0, ErrDraft.Withf("The server names other people's keys for a restore of yours. Nothing was signed.")
	}
	n := 0
	for _, x := range d.subjects[0].Records {
		spki, err := record.ParseHash(x.SPKISHA256)
		if err != nil {
			return 0, ErrDraft.Because(err)
		}
		if r.id.holdsKey(spki) == nil {
			n++
		}
	}
	return n, nil
}

// send brings the cases to the server. One that has lain here for too long, unseen, is made anew, for the same key.
func (r *restore) send(ctx context.Context) error {
	for i := range r.state.Cases {
		k := &r.state.Cases[i]
		if k.Sent || k.Ended != "" {
			continue
		}
		if r.agent.cfg.Now().Sub(k.signed.Opened) > unsentAfter {
			_, err := r.client.Case(ctx, k.signed.ID)
			if err != nil && !hasCode(err, codeUnknownCase) {
				return err
			}
			if err != nil {
				return r.sendAnew(ctx)
			}
		}
		if err := r.open(ctx, k); err != nil {
			return err
		}
	}
	return nil
}

func (r *restore) open(ctx context.Context, k *restoringCase) error {
	_, err := r.client.OpenCase(ctx, api.CaseOpening{Case: k.Signed})
	if err != nil && refusedForGood(err) {
		if _, unknown := r.client.Case(ctx, k.signed.ID); hasCode(unknown, codeUnknownCase) {
			return r.refused(k, err)
		}
		return err
	}
	if err != nil {
		return err
	}
	r.agent.cfg.Progress("open", "the officers are asked: case "+k.signed.ID.String())
	k.Sent = true
	if err := r.agent.after("restore-open"); err != nil {
		return err
	}
	return r.agent.saveRestoring(r.state)
}

// refused forgets a restore of which the server takes no case. If it took another one before, that one goes on.
func (r *restore) refused(k *restoringCase, err error) error {
	if !slices.ContainsFunc(r.state.Cases, func(o restoringCase) bool { return o.Sent }) {
		return errors.Join(err, r.agent.forgetRestoring(r.state))
	}
	k.Ended = "the server refused it: " + detail(err)
	return r.agent.saveRestoring(r.state)
}

func (r *restore) sendAnew(ctx context.Context) error {
	sent := slices.DeleteFunc(slices.Clone(r.state.Cases), func(k restoringCase) bool { return !k.Sent })
	if err := r.draw(ctx); err != nil {
		return err
	}
	// Those that the server has are gone on with.
	r.state.Cases = slices.DeleteFunc(r.state.Cases, func(k restoringCase) bool {
		return slices.ContainsFunc(sent, func(o restoringCase) bool { return o.signed.KeyID == k.signed.KeyID })
	})
	r.state.Cases = append(sent, r.state.Cases...)
	if err := r.agent.saveRestoring(r.state); err != nil {
		return err
	}
	return r.send(ctx)
}
