package agent

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/jws"
)

const (
	// policyFresh is how long a kept policy is good without asking whether there is a newer one.
	policyFresh = 30 * time.Minute
	// sameTime is how far a policy may be older than the newest one that was seen: servers whose clocks differ a little answer in turns.
	sameTime = 2 * time.Minute
)

// keptPolicy is what policy.json holds: the newest policy that was seen, as it was signed.
type keptPolicy struct {
	Version  int       `json:"version"`
	Signed   string    `json:"signed"`
	ETag     string    `json:"etag"`
	IssuedAt time.Time `json:"issued_at"` // no older one is taken
	AskedAt  time.Time `json:"asked_at"`  // when the server last said that it is still so

	policy api.Policy
}

func decodePolicy(data []byte) (*keptPolicy, error) {
	k := &keptPolicy{}
	if err := decodeState(data, k); err != nil {
		return nil, err
	}
	if k.Version != stateVersion {
		return nil, versionFault(k.Version)
	}
	return k, nil
}

// keptPolicy returns the newest policy of a person that was seen here, whether or not it has ended; nil if there is none. One that cannot be
// read, or is not signed under today's roots, is none: the server is asked for another.
func (a *Agent) keptPolicy(person uuid.UUID) (*keptPolicy, error) {
	machine, err := a.Machine()
	if err != nil || person == uuid.Nil {
		return nil, err
	}
	k, err := load(a.folder(person), policyFile, decodePolicy)
	if err != nil {
		a.cfg.Log.Warn("kept policy not read", "error", err)
		return nil, nil
	}
	if k == nil {
		return nil, nil
	}
	k.policy, err = ReadPolicy(k.Signed, a.anchors)
	if err != nil || k.policy.Person.ID != person || !forMachine(k.policy, machine) {
		return nil, nil
	}
	return k, nil
}

// ReadPolicy opens a signed policy and holds that the server's policy certificate, under the given roots, signed it. Whose it is, and whether it
// may be followed now, is for Policy.follow.
func ReadPolicy(signed string, anchors *x509.CertPool) (api.Policy, error) {
	var p api.Policy
	decode := func(payload []byte) (time.Time, error) {
		p = api.Policy{}
		err := json.Unmarshal(payload, &p)
		return p.IssuedAt, err
	}
	s, err := jws.Open(signed, api.PolicyType, anchors, decode)
	if err != nil {
		return api.Policy{}, ErrPolicyTrust.Because(err)
	}
	c := s.Signer
	if c.IsCA || len(c.ExtKeyUsage) > 0 || len(c.UnknownExtKeyUsage) != 1 || !c.UnknownExtKeyUsage[0].Equal(api.OIDPolicy) ||
		c.KeyUsage != x509.KeyUsageDigitalSignature {
		return api.Policy{}, ErrPolicyTrust.Withf("What the server tells this agent to do is signed with a certificate that is not for that. It is not followed.")
	}
	// A stolen key is of no use after its certificate has ended: it may put back the date, but then the policy has ended, too.
	if !p.Ends.After(p.IssuedAt) || p.Ends.After(c.NotAfter.Add(time.Second)) {
		return api.Policy{}, ErrPolicyTrust.Withf("What the server tells this agent to do is for longer than its signature holds. It is not followed.")
	}
	return p, nil
}

func forMachine(p api.Policy, machine uuid.UUID) bool {
	if p.Machine == nil {
		return machine == uuid.Nil
	}
	return *p.Machine == machine
}

// follow decides whether a policy that has just come may be followed: it is for this person, if they are known, and this machine, has not
// ended, and is no older than one that was followed before.
func (a *Agent) follow(p api.Policy, person uuid.UUID, kept *keptPolicy) error {
	machine, err := a.Machine()
	if err != nil {
		return err
	}
	now := a.cfg.Now()
	switch {
	case p.Person.ID == uuid.Nil, person != uuid.Nil && p.Person.ID != person:
		return ErrAnswerPerson
	case !forMachine(p, machine):
		return ErrPolicyTrust.Withf("What the server tells this agent to do is meant for another machine. It is not followed.")
	case p.IssuedAt.Sub(now) > clockTolerance:
		return clockFault(now, p.IssuedAt)
	case !now.Before(p.Ends):
		return ErrPolicyEnded.Withf("What the server tells this agent to do was good until %s. It is not followed.", p.Ends.UTC().Format(time.RFC3339))
	case kept == nil, kept.IssuedAt.Sub(now) > clockTolerance: // that was when a clock was wrong, ours or theirs
		return nil
	case kept.IssuedAt.Sub(p.IssuedAt) > sameTime:
		return ErrPolicyOlder.Withf("What the server tells this agent to do is of %s, and it has seen something newer, of %s. It is not followed.",
			p.IssuedAt.UTC().Format(time.RFC3339), kept.IssuedAt.UTC().Format(time.RFC3339))
	}
	return nil
}

// ask asks the server for a policy, and keeps it. Without a person it is for whoever the credentials show. Unless it must be a new one, with a
// new nonce, the one that is kept will do where the server says that nothing has changed.
func (a *Agent) ask(ctx context.Context, c *client.Client, person uuid.UUID, anew bool) (api.Policy, error) {
	kept, err := a.keptPolicy(person)
	if err != nil {
		return api.Policy{}, err
	}
	has := ""
	if now := a.cfg.Now(); !anew && kept != nil && now.After(kept.IssuedAt) && now.Before(kept.IssuedAt.Add(kept.policy.Ends.Sub(kept.IssuedAt)/2)) {
		has = kept.ETag // later a new one is wanted, which ends later
	}
	got, err := c.SignedPolicy(ctx, has)
	if wrong := a.clock.fault(a.cfg.Now()); wrong != nil {
		return api.Policy{}, wrong.Because(err)
	}
	if err != nil {
		return api.Policy{}, a.revokedFault(err)
	}
	if got.Unchanged {
		kept.AskedAt = a.cfg.Now().UTC()
		a.keepPolicy(person, kept)
		return kept.policy, nil
	}
	p, err := ReadPolicy(got.Signed, a.anchors)
	if err != nil {
		return p, err
	}
	if person == uuid.Nil { // now it is known who that is
		if kept, err = a.keptPolicy(p.Person.ID); err != nil {
			return api.Policy{}, err
		}
	}
	if err := a.follow(p, person, kept); err != nil {
		return api.Policy{}, err
	}
	a.keepPolicy(p.Person.ID, &keptPolicy{Version: stateVersion, Signed: got.Signed, ETag: got.ETag, IssuedAt: p.IssuedAt, AskedAt: a.cfg.Now().UTC()})
	return p, nil
}

// keepPolicy writes policy.json. What is in it can be asked for again: where there is no room for it, that is no reason to do less.
func (a *Agent) keepPolicy(person uuid.UUID, k *keptPolicy) {
	dir := a.folder(person)
	err := makePrivateDir(dir)
	if err == nil {
		err = save(dir, policyFile, k)
	}
	if err != nil {
		a.cfg.Log.Warn("policy not kept", "error", err)
	}
}

// fresh reports whether the server was asked lately whether the policy is still so. None is not fresh.
func (k *keptPolicy) fresh(now time.Time) bool {
	return k != nil && !now.Before(k.AskedAt) && now.Before(k.AskedAt.Add(policyFresh)) && now.Before(k.policy.Ends)
}

// askAgain has the server asked at the next run, whenever that is: what it said is known to be no longer so.
func (a *Agent) askAgain(id *Identity) error {
	kept, err := a.keptPolicy(id.Person.ID)
	if err != nil || kept == nil {
		return err
	}
	kept.AskedAt = time.Time{}
	return save(a.folder(id.Person.ID), policyFile, kept)
}

// consult returns what the identity's person should do now, as the server says, or said when it could last be asked. The zero policy means that
// nothing is known.
func (a *Agent) consult(ctx context.Context, id *Identity) (api.Policy, error) {
	kept, err := a.keptPolicy(id.Person.ID)
	if err != nil {
		return api.Policy{}, err
	}
	if kept.fresh(a.cfg.Now()) {
		return kept.policy, nil
	}
	c, err := a.dialNow(ctx, id)
	if err != nil {
		return api.Policy{}, err
	}
	defer c.Close()
	p, err := a.ask(ctx, c, id.Person.ID, false)
	switch {
	case err == nil:
		return p, nil
	case !errors.Is(err, fault.Unavailable):
		return p, err
	case kept == nil:
		a.cfg.Log.Info("policy not asked for", "error", err)
		return api.Policy{}, nil
	}
	a.cfg.Log.Info("policy not asked for; going by the last one", "issued", kept.IssuedAt, "error", err)
	return kept.policy, nil
}

// revokedFault tells the person what it means that the server takes their certificate no more.
func (a *Agent) revokedFault(err error) error {
	if !hasCode(err, codeRevoked) {
		return err
	}
	return ErrRevoked.Withf("%s The certificate cannot be renewed with itself. If you did not ask for that, ask your administrator why; then run enroll with your login, "+
		"or with an enrolment token from them. Old mail can be read as before.", detail(err)).Because(err)
}
