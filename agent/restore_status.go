package agent

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/client"
)

// RestoreStatus is how a restore stands.
type RestoreStatus struct {
	Person      Person
	BegunAt     time.Time
	Fingerprint record.Hash // of this device's key, which the officers must hear from the person
	Words       []string    // the same as sixteen words
	Cases       []RestoreCase
	Warnings    []string
}

// RestoreCase is one case of a restore; usually there is one.
type RestoreCase struct {
	ID       uuid.UUID
	State    api.CaseState // empty: the server has not got it yet
	Ended    string        // why nothing more will come of it
	Keys     int
	Needed   int // how many officers must agree
	Officers []Officer
	Deadline time.Time
}

// statusOf says how a restore stands as far as this machine knows.
func (a *Agent) statusOf(id *Identity, s *restoring) (RestoreStatus, error) {
	st := RestoreStatus{Person: id.Person, BegunAt: s.BegunAt, Warnings: s.Warnings}
	var err error
	if st.Fingerprint, err = s.fingerprint(); err != nil {
		return st, err
	}
	st.Words = st.Fingerprint.Words()
	for i := range s.Cases {
		st.Cases = append(st.Cases, restoreCase(&s.Cases[i], nil, a.cfg.Now()))
	}
	return st, nil
}

func restoreCase(k *restoringCase, now *api.Case, at time.Time) RestoreCase {
	out := RestoreCase{ID: k.signed.ID, Ended: k.Ended, Needed: int(k.roster.Plan.Threshold), Deadline: k.signed.Deadline}
	for _, s := range k.signed.Deliveries[0].Subjects {
		out.Keys += len(s.Records)
	}
	var answers []api.CaseAnswer
	if now != nil {
		out.State, answers = now.State, now.Answers
	}
	out.Officers = officersOf(k.roster, k.signed, answers, at)
	return out
}

// RestoreStatus asks how the restore stands that was begun here; it changes nothing. It returns ErrNoRestore if none was.
func (a *Agent) RestoreStatus(ctx context.Context, mailbox string) (RestoreStatus, error) {
	id, s, err := a.begunRestore(mailbox)
	if err != nil {
		return RestoreStatus{}, err
	}
	st, err := a.statusOf(id, s)
	if err != nil {
		return st, err
	}
	c, err := a.dial(id)
	if err != nil {
		return st, err
	}
	defer c.Close()
	for i := range s.Cases {
		k := &s.Cases[i]
		if !k.Sent {
			continue
		}
		now, err := a.look(ctx, c, k)
		if err != nil {
			return st, err
		}
		st.Cases[i] = restoreCase(k, &now, a.cfg.Now())
	}
	return st, nil
}

func (a *Agent) begunRestore(mailbox string) (*Identity, *restoring, error) {
	id, err := a.forMailbox(mailbox)
	if err != nil {
		return nil, nil, err
	}
	s, err := a.loadRestoring(id)
	if err == nil && s == nil {
		err = ErrNoRestore
	}
	return id, s, err
}

// CancelRestore gives a restore up, at the server and here. Keys that have come already stay.
func (a *Agent) CancelRestore(ctx context.Context, mailbox, reason string) error {
	unlock, err := a.lock()
	if err != nil {
		return err
	}
	defer unlock()
	id, s, err := a.begunRestore(mailbox)
	if err != nil {
		return err
	}
	c, err := a.dial(id)
	if err != nil {
		return err
	}
	defer c.Close()
	for i := range s.Cases {
		if err := a.takeBack(ctx, c, s.Cases[i].signed.ID, reason); err != nil {
			return err
		}
	}
	return a.forgetRestoring(s)
}

// takeBack ends a case, whatever its state. Once something was collected it can only be closed.
func (a *Agent) takeBack(ctx context.Context, c *client.Client, id uuid.UUID, reason string) error {
	now, err := c.Case(ctx, id)
	if hasCode(err, codeUnknownCase) {
		return nil // it never got there
	}
	if err != nil {
		return err
	}
	switch now.State {
	case api.CaseRequested, api.CaseApproved:
		_, err = c.CancelCase(ctx, id, reason)
	case api.CaseReleased:
		_, err = c.CloseCase(ctx, id)
	}
	return err
}
