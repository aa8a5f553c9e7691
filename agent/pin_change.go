package agent

import (
	"sync"
	"unicode/utf8"

	"github.com/sealpost/sealpost/agent/pin"
	"github.com/sealpost/sealpost/api"
)

// ChangePIN changes the PIN of the keys to sign with that are in a TPM; that of a token is for its own program. It asks the server nothing. Stopped
// anywhere, the old or the new one is good for all of them: they are in one file.
func (a *Agent) ChangePIN(opt ChangeOptions) (*Identity, error) {
	unlock, err := a.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	id, err := a.forMailbox(opt.Mailbox)
	if err != nil {
		return nil, err
	}
	dir := a.folder(id.Person.ID)
	p, err := a.loadPending(dir)
	if err != nil {
		return nil, err
	}
	if p != nil && p.SigningKey.there != nil && p.SigningKey.there.Sealed == nil {
		return nil, ErrBegun.Withf("A request is under way whose key has the old PIN. Finish it first, by running enroll or renew, then change the PIN.")
	}
	least, err := a.leastPIN(id)
	if err != nil {
		return nil, err
	}
	change := sync.OnceValues(func() (string, error) { // one for all
		text, err := opt.New(least)
		if n := utf8.RuneCountInString(text); err == nil && n < max(least, 1) {
			err = pin.ErrShort.Withf("The new PIN must have at least %d characters; this one has %d. Nothing was changed.", max(least, 1), n)
		}
		return text, err
	})
	changed := false
	for _, h := range id.held() {
		at := h.Key.there
		if at == nil || at.Sealed != nil {
			continue
		}
		place, ok := a.ring.place(at.Place).(PINChanger)
		if !ok && at.Place == api.PlaceToken {
			return nil, ErrKeyPlace.Withf("The key is on a token, whose PIN its maker's program changes, or for most tokens: pkcs11-tool --module LIBRARY --login --change-pin")
		}
		if !ok {
			return nil, ErrKeyPlace.Withf("The key is in a %s, and this agent was not told of one. %s", at.Place, howTo(at.Place))
		}
		if at.Object, err = place.ChangePIN(at.Name, at.Object, change); err != nil {
			return nil, err
		}
		changed = true
	}
	if !changed {
		return nil, ErrKeyPlace.Withf("No key here has a PIN. What your keys are under is changed by: sealpost-agent passphrase")
	}
	return id, a.saveIdentity(dir, id)
}

// leastPIN returns how long a PIN must be by what the server said last.
func (a *Agent) leastPIN(id *Identity) (least int, err error) {
	kept, err := a.keptPolicy(id.Person.ID)
	if err != nil || kept == nil {
		return 0, err
	}
	for _, name := range id.enrolments() {
		for _, plan := range kept.policy.Enrolments {
			if plan.Name == name && plan.Signing != nil {
				least = max(least, plan.Signing.PIN)
			}
		}
	}
	return least, nil
}
