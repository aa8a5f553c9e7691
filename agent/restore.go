package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/delivery"
)

// unsentAfter is how old a case may be that the server has not seen: it takes none whose clock is five minutes off.
const unsentAfter = 4 * time.Minute

const usualReason = "My keys are needed on a new device."

// RestoreOptions say what to restore, and where to.
type RestoreOptions struct {
	Mailbox   string        // whose, where there are several people
	Reason    string        // why, for the officers; empty means the usual one
	Reference string        // ticket number or the like; may be empty
	Lasts     time.Duration // until the case's deadline; 0 means a week
	All       bool          // ask even if every archived key is here
	Folder    string        // where files for mail programs go; empty means where they went before
	Password  string        // of identity.p12, where the person keeps it
	Stores    Stores        // key stores to keep up to date, for the next runs too
	Patience  time.Duration // how long to wait for the officers; 0 means not at all

	// Told, if not nil, hears how the restore stands: at first, and whenever that has changed.
	Told func(RestoreStatus)
}

// Restored is what a restore brought.
type Restored struct {
	Identity    *Identity
	Cases       []uuid.UUID
	Keys        int             // opened
	New         int             // of them were not here
	Loose       *delivery.Files // keys without a certificate that could be believed, or of a kind that is not kept here
	Wrong       []WrongAnswer
	Faults      []string // keys that were not what they should be, and cases that came to nothing
	Unavailable int      // encryption certificates of whose keys the archive and this machine have none
	Warnings    []string
}

// WrongAnswer names an officer whose answer was wrong.
type WrongAnswer struct {
	Agent  uint16
	Name   string
	Reason string
	Told   bool // the server has the signed dispute
}

// restore is one run.
type restore struct {
	agent  *Agent
	client *client.Client
	id     *Identity
	state  *restoring
	opt    RestoreOptions
	out    *Restored
	told   string
}

// Restore gets the person's archived encryption keys onto this machine, with the officers' help. The first run opens the
// case; whatever stops it, the next one goes on. It returns ErrCaseWaiting while officers have to answer, ErrNothingLost
// if there is nothing to ask for, and ErrCaseEnded if they refused or did not answer in time.
func (a *Agent) Restore(ctx context.Context, opt RestoreOptions) (_ *Restored, err error) {
	unlock, err := a.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	attempt := a.attempt("restore")
	defer attempt.ends(ctx, &err)
	id, err := a.forMailbox(opt.Mailbox)
	if err != nil {
		return nil, err
	}
	attempt.person = id.Person.ID
	if err := a.settleRestore(id, &opt); err != nil {
		return nil, err
	}
	c, err := a.dial(id)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	r := &restore{agent: a, client: c, id: id, opt: opt, out: &Restored{Identity: id}}
	if r.state, err = a.loadRestoring(id); err != nil {
		return nil, err
	}
	if r.state == nil {
		if err := r.begin(ctx); err != nil {
			return nil, err
		}
	} else {
		a.cfg.Progress("resume", "going on with the restore begun at "+r.state.BegunAt.Format(time.RFC3339))
	}
	if err := r.send(ctx); err != nil {
		return nil, err
	}
	if err := r.await(ctx); err != nil {
		return nil, err
	}
	return r.out, r.finish(ctx)
}

// settleRestore finds out early what would stop the end.
func (a *Agent) settleRestore(id *Identity, opt *RestoreOptions) error {
	if err := a.takes(id, opt.Password); err != nil {
		return err
	}
	if err := opt.Stores.absolute(); err != nil {
		return err
	}
	id.Stores = id.Stores.with(opt.Stores)
	if opt.Folder != "" {
		folder, err := filepath.Abs(opt.Folder)
		if err != nil {
			return ErrConfig.Because(err)
		}
		id.Folder = folder
	}
	if err := takesFiles(id.Folder); err != nil {
		return err
	}
	return a.saveIdentity(a.folder(id.Person.ID), id)
}

// await asks how the cases stand until everything has come or patience ends.
func (r *restore) await(ctx context.Context) error {
	end := time.NewTimer(r.opt.Patience)
	defer end.Stop()
	pause := r.agent.cfg.Poll
	for {
		waiting, err := r.round(ctx)
		if err != nil {
			return err
		}
		if waiting == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for case %s: %w", waiting.signed.ID, context.Cause(ctx))
		case <-end.C:
			return ErrCaseWaiting.Withf("Case %s waits for the officers. Run the same command again later to go on.", waiting.signed.ID)
		case <-time.After(pause):
		}
		pause = min(pause*2, longestWait)
	}
}

// round looks at every case once, takes what there is to be had, and returns a case that must be waited for.
func (r *restore) round(ctx context.Context) (waiting *restoringCase, err error) {
	st, err := r.agent.statusOf(r.id, r.state)
	if err != nil {
		return nil, err
	}
	for i := range r.state.Cases {
		k := &r.state.Cases[i]
		if k.Kept || k.Ended != "" {
			continue
		}
		now, err := r.agent.look(ctx, r.client, k)
		if err != nil {
			return nil, err
		}
		st.Cases[i] = restoreCase(k, &now, r.agent.cfg.Now())
		done := false
		switch now.State {
		case api.CaseRequested:
		case api.CaseApproved, api.CaseReleased:
			r.tell(st)
			if done, err = r.receive(ctx, k, now); err != nil {
				return nil, err
			}
		default:
			if err := r.ended(k, now); err != nil {
				return nil, err
			}
			done = true
		}
		if !done {
			waiting = k
		}
	}
	r.tell(st)
	return waiting, nil
}

// look asks how a case stands, and holds that it is the one that was signed here.
func (a *Agent) look(ctx context.Context, c *client.Client, k *restoringCase) (api.Case, error) {
	now, err := c.Case(ctx, k.signed.ID)
	if hasCode(err, codeUnknownCase) {
		return now, ErrCaseAltered.Withf("The server says that it has never seen the case %s, which it took. Tell your administrator; \"restore cancel\" gives it up here.", k.signed.ID)
	}
	if err == nil && !bytes.Equal(now.Signed, k.Signed) {
		return now, ErrCaseAltered
	}
	return now, err
}

// ended notes that a case came to nothing.
func (r *restore) ended(k *restoringCase, now api.Case) error {
	k.Ended = "the case is " + string(now.State)
	switch now.State {
	case api.CaseDenied:
		k.Ended = "the officers refused it"
	case api.CaseExpired:
		k.Ended = "its deadline passed"
	}
	if now.StateReason != "" {
		k.Ended += " (" + now.StateReason + ")"
	}
	var said []string
	for _, o := range officersOf(k.roster, k.signed, now.Answers, r.agent.cfg.Now()) {
		for _, x := range now.Answers {
			if x.Agent == int(o.Agent) && o.Answer == record.Deny.String() && x.Comment != "" {
				said = append(said, o.Name+": "+record.Line(x.Comment, record.MaxComment))
			}
		}
	}
	if len(said) > 0 {
		k.Ended += "; " + strings.Join(said, "; ")
	}
	return r.agent.saveRestoring(r.state)
}

// finish writes the files and closes the cases. Whatever stops it, the keys are kept already.
func (r *restore) finish(ctx context.Context) error {
	kept := 0
	for i := range r.state.Cases {
		k := &r.state.Cases[i]
		if !k.Kept {
			r.out.Faults = append(r.out.Faults, fmt.Sprintf("Case %s came to nothing: %s.", k.signed.ID, k.Ended))
			continue
		}
		kept++
	}
	r.out.Warnings = append(r.out.Warnings, r.state.Warnings...)
	if kept == 0 {
		return errors.Join(ErrCaseEnded.Withf("The restore came to nothing: %s. Run restore again to ask anew.", r.state.Cases[0].Ended), r.agent.forgetRestoring(r.state))
	}
	if err := r.id.writeFiles(r.opt.Password); err != nil {
		return err
	}
	r.agent.cfg.Progress("write", "wrote identity.p12 with all keys to "+r.id.Folder)
	if err := r.agent.after("restore-write"); err != nil {
		return err
	}
	for i := range r.state.Cases {
		k := &r.state.Cases[i]
		if !k.Kept {
			continue
		}
		r.out.Cases = append(r.out.Cases, k.signed.ID)
		// What the server cannot take any more, because somebody closed it or its time is over, is over.
		if _, err := r.client.CloseCase(ctx, k.signed.ID); err != nil && !hasCode(err, codeCaseState) {
			return err
		}
	}
	if err := r.agent.after("restore-close"); err != nil {
		return err
	}
	return r.agent.forgetRestoring(r.state)
}

// tell says how the restore stands, if that has changed.
func (r *restore) tell(st RestoreStatus) {
	if now := fmt.Sprint(st.Cases); r.opt.Told != nil && now != r.told {
		r.told = now
		r.opt.Told(st)
	}
}
