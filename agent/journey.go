package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/client"
)

// sealAhead is how long before its end a nonce is no longer relied on: the clocks of this machine and the server's may
// differ, and a request takes its time.
const sealAhead = 2 * time.Minute

const longestPoll = 15 * time.Second

// journey is one request on its way from "kept here" to "issued and kept here". Every step may be the last one before a
// crash; walking the journey again from what is on disk comes to the same end.
type journey struct {
	agent    *Agent
	client   *client.Client
	dir      string
	pending  *pending
	password string        // of identity.p12, where the person keeps it
	patience time.Duration // how long to wait for the server

	status   api.EnrolmentStatus
	pair     *Pair
	identity *Identity
}

// walk takes the request, which is on disk, to its end.
func (j *journey) walk(ctx context.Context) (*Identity, error) {
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"send", j.send},     // the server has the request
		{"note", j.note},     // we know its id
		{"await", j.await},   // it is issued
		{"verify", j.verify}, // and what came is right
		{"keep", j.keep},     // identity.json has it
		{"write", j.write},   // the files for mail programs have it
		{"finish", j.finish}, // pending.json is gone
	} {
		if err := step.do(ctx); err != nil {
			return nil, err
		}
		if err := j.agent.after(step.name); err != nil {
			return nil, err
		}
	}
	return j.identity, nil
}

// wrapUp ends a journey whose pair is kept already.
func (j *journey) wrapUp(ctx context.Context, id *Identity) (*Identity, error) {
	j.identity = id
	p := j.pending
	id.Folder, id.OwnPassword, id.Stores = p.Folder, p.OwnPassword, id.Stores.with(p.Stores)
	for _, do := range []func(context.Context) error{j.write, j.finish} {
		if err := do(ctx); err != nil {
			return nil, err
		}
	}
	return id, j.agent.saveIdentity(j.dir, id)
}

func (j *journey) tell(step, format string, args ...any) {
	j.agent.cfg.Progress(step, fmt.Sprintf(format, args...))
}

// send submits the request, or asks for it when the server is known to have it.
func (j *journey) send(ctx context.Context) error {
	p := j.pending
	if p.ID != nil {
		j.tell("send", "asking for request %s", p.ID)
		st, err := j.client.Enrolment(ctx, *p.ID)
		j.status = st
		return err
	}
	if len(p.EscrowedKey) > 0 && j.agent.cfg.Now().After(p.NonceEnds.Add(-sealAhead)) {
		if err := j.sealAnew(ctx); err != nil {
			return err
		}
	}
	if p.Attested && (p.Attestation == nil || j.agent.cfg.Now().After(p.AttestationEnds.Add(-sealAhead))) {
		if err := j.attest(ctx); err != nil {
			return err
		}
	}
	j.tell("send", "sending the request to %s", p.Server)
	st, err := j.client.Enrol(ctx, p.Name, p.wire())
	j.status = st
	return err
}

// attest has the place of the signing key prove that it was made there.
func (j *journey) attest(ctx context.Context) error {
	p := j.pending
	key := p.SigningKey.there
	if key == nil {
		return ErrKeyPlace
	}
	place, ok := j.agent.ring.place(key.Place).(Attester)
	if !ok {
		return ErrKeyPlace.Withf("The server wants a proof that the signing key is in the %s, and this agent was not told of one. %s", key.Place, howTo(key.Place))
	}
	j.tell("attest", "proving that the signing key was made in the %s", key.Place)
	var err error
	p.Attestation, err = place.Attest(key.Name, key.Object, func(q api.AttestationRequest) (api.AttestationChallenge, error) {
		got, err := j.client.ChallengeAttestation(ctx, q)
		p.AttestationEnds = j.agent.cfg.Now().UTC().Add(time.Duration(got.Seconds) * time.Second)
		return got, err
	})
	if err != nil {
		return err
	}
	return j.agent.savePending(j.dir, p)
}

// sealAnew seals the same key with a new nonce, when the server may not take the old one any more. The request keeps its
// name and its CSRs, by which the server knows it again should it have come in before.
func (j *journey) sealAnew(ctx context.Context) error {
	p := j.pending
	policy, err := j.agent.ask(ctx, j.client, uuid.Nil, true)
	if err != nil {
		return err
	}
	if policy.Person.ID != p.Person.ID {
		return ErrBegun.Withf("The request in %s is %s's. Enrol as that person, or begin anew in another folder.", j.dir, p.Person.Name)
	}
	if err := j.agent.sealPending(p, policy.Exchange); err != nil {
		return err
	}
	j.tell("send", "sealed the encryption key again, for the old message would be too old")
	return j.agent.savePending(j.dir, p)
}

// sealPending puts the CMS message for the archive into a request.
func (a *Agent) sealPending(p *pending, x *api.Exchange) error {
	exchange, err := CheckExchange(x, a.anchors, a.cfg.Now())
	if err != nil {
		return err
	}
	pkcs8, err := p.EncryptionKey.PKCS8()
	if err != nil {
		return err
	}
	p.EscrowedKey, err = seal(pkcs8, exchange, p.Person.ID, p.SigningCSR, p.EncryptionCSR, x.Nonce)
	p.NonceEnds = x.NonceEnds
	return err
}

// note keeps the server's id of the request.
func (j *journey) note(context.Context) error {
	if j.status.Person != j.pending.Person.ID || j.status.ID == uuid.Nil || j.pending.ID != nil && j.status.ID != *j.pending.ID {
		return ErrAnswerPerson
	}
	if j.pending.ID != nil {
		return nil
	}
	j.pending.ID = &j.status.ID
	return j.agent.savePending(j.dir, j.pending)
}

// await asks until the request is issued or has failed, or until patience runs out.
func (j *journey) await(ctx context.Context) error {
	end := time.NewTimer(j.patience)
	defer end.Stop()
	pause, told := j.agent.cfg.Poll, api.EnrolmentState("")
	for {
		if st := j.status.State; st != told {
			told = st
			j.tell("await", "%s", stateInWords(st))
		}
		switch j.status.State {
		case api.StateIssued:
			return nil
		case api.StateRejected, api.StateFailed:
			return j.cameToNothing()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for request %s: %w", j.status.ID, context.Cause(ctx))
		case <-end.C:
			return j.stillWaiting()
		case <-time.After(pause):
		}
		pause = min(pause*2, longestPoll)
		st, err := j.client.Enrolment(ctx, j.status.ID)
		if err != nil {
			return err
		}
		if st.ID != j.status.ID || st.Person != j.pending.Person.ID {
			return ErrAnswerPerson
		}
		j.status = st
	}
}

func stateInWords(s api.EnrolmentState) string {
	switch s {
	case api.StateReceived:
		return "the server is working on it"
	case api.StateSubmitted:
		return "a registrar has to agree"
	case api.StateEndorsed:
		return "a registrar agreed; the certificates are being issued"
	case api.StateIssued:
		return "the certificates are issued"
	case api.StateRejected:
		return "a registrar rejected the request"
	case api.StateFailed:
		return "the server could not issue the certificates"
	}
	return fmt.Sprintf("the request is in a state that this agent does not know: %q", string(s))
}

func (j *journey) stillWaiting() error {
	if j.status.State == api.StateSubmitted {
		return ErrWaiting.Withf("Request %s waits for a registrar. Run the same command again later to fetch the certificates.", j.status.ID)
	}
	return ErrWaiting.Withf("Request %s is not done yet. Run the same command again later to fetch the certificates.", j.status.ID)
}

// cameToNothing puts the request aside, so that the next run makes a new one.
func (j *journey) cameToNothing() error {
	if err := setAside(j.dir, j.pending); err != nil {
		return err
	}
	reason := j.status.Reason
	if reason == "" {
		reason = "no reason was given"
	}
	if j.status.State == api.StateRejected {
		return ErrRejected.Withf("A registrar rejected the request: %s", reason)
	}
	return ErrFailed.Withf("The server could not issue the certificates: %s. Run the same command again to make a new request.", reason)
}

// verify decides whether what came is to be believed.
func (j *journey) verify(context.Context) (err error) {
	j.pair, err = verifyAnswer(j.pending, j.status, j.agent.anchors, j.agent.cfg.Now())
	if err != nil {
		return err
	}
	j.tell("verify", "keys, chain, usages, addresses and receipt are right")
	return nil
}

// keep writes identity.json with the new pair in front.
func (j *journey) keep(context.Context) error {
	id, err := j.agent.loadIdentity(j.dir)
	if err != nil {
		return err
	}
	if id == nil {
		id = &Identity{Version: stateVersion}
	}
	p := j.pending
	id.Server, id.Person, id.RenewAfter, id.Folder, id.OwnPassword, id.Passphrase = p.Server, p.Person, p.RenewAfter, p.Folder, p.OwnPassword, max(id.Passphrase, p.Passphrase)
	id.Stores, id.Prefer = id.Stores.with(p.Stores), p.Prefer
	j.identity = id
	if id.has(p.Name) { // a crash came after this step
		return nil
	}
	if r := j.pair.Receipt; r != nil {
		if note := r.note(lastReceipt(id)); note != "" {
			j.tell("verify", "%s", note)
		}
	}
	id.add(j.pair, p.KeepSigning)
	return j.agent.saveIdentity(j.dir, id)
}

func lastReceipt(id *Identity) *Receipt {
	for i := range id.Pairs {
		if r := id.Pairs[i].Receipt; r != nil {
			return r
		}
	}
	return nil
}

// write brings the files for mail programs up to date.
func (j *journey) write(context.Context) error {
	if err := j.identity.writeFiles(j.password); err != nil {
		return err
	}
	if err := j.identity.certify(); err != nil {
		return err
	}
	j.tell("write", "wrote identity.p12 and certificates to %s", j.identity.Folder)
	return nil
}

// finish forgets the request: identity.json has all of it. Keys whose place was taken are removed from where they are.
func (j *journey) finish(context.Context) error {
	if err := forget(j.dir, pendingFile); err != nil {
		return err
	}
	j.agent.tidy(j.dir, true)
	return nil
}
