package agent

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/client"
)

// defaultRenewAfter is the part of a certificate's life after which it is renewed when the server says nothing sensible.
const defaultRenewAfter = 0.75

// keepKeys is what a policy says of old keys that stay (api.OldKeys).
const keepKeys = "keep"

// EnrolOptions say what to ask for.
type EnrolOptions struct {
	Enrolment string        // name of one of the policy's enrolments; empty where it has only one, or one named "smime"
	Again     bool          // make a pair even if there is a valid one
	Anew      bool          // put a request that was begun aside and make a new one
	Folder    string        // where files for mail programs go; empty means the person's folder
	Password  string        // of identity.p12; empty means that one is generated and written beside it
	Prefer    Prefer        // kinds of key, for the next runs too
	Stores    Stores        // key stores to keep up to date, for the next runs too
	Patience  time.Duration // how long to wait for the server to issue; 0 means not at all
}

// Enrol takes a person from nothing to certificates in files. A request that was begun earlier is taken up where it
// stands. The stores are not touched: see Fill. Beside ErrEnrolled it returns the identity that is there.
func (a *Agent) Enrol(ctx context.Context, opt EnrolOptions) (_ *Identity, err error) {
	unlock, err := a.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	attempt := a.attempt("enrol")
	defer attempt.ends(ctx, &err)
	id, err := a.enrol(ctx, opt)
	if id != nil {
		attempt.person = id.Person.ID
	}
	if id != nil && (err == nil || errors.Is(err, ErrEnrolled)) {
		a.advertise(ctx, id)
	}
	return id, err
}

func (a *Agent) enrol(ctx context.Context, opt EnrolOptions) (*Identity, error) {
	if !a.hasCredentials() {
		return nil, ErrConfig.Withf("Say who is enrolling: with a login and password, or with an enrolment token.")
	}
	c, err := a.dial(nil)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if !opt.Anew {
		// Before the server is asked anything: a token that was spent on the request opens nothing else any more.
		dir, p, err := a.findPending()
		if err != nil {
			return nil, err
		}
		if p != nil {
			return a.resume(ctx, c, dir, p, opt)
		}
	}
	policy, err := a.policy(ctx, c, uuid.Nil)
	if err != nil {
		return nil, err
	}
	return a.request(ctx, c, policy, opt)
}

// policy asks what the person should have, for an enrolment. Without a person it is whoever the credentials show.
func (a *Agent) policy(ctx context.Context, c *client.Client, person uuid.UUID) (api.Policy, error) {
	a.cfg.Progress("policy", "asking "+a.cfg.Server.BaseURL+" what you should have")
	policy, err := a.ask(ctx, c, person, true)
	switch {
	case err != nil:
		return policy, err
	case policy.Person.Restricted != "":
		return policy, ErrRestricted.Withf("The server does not let you enrol: %s", policy.Person.Restricted)
	}
	return policy, nil
}

// request finds the request that the person began, or makes one, and takes it to its end.
func (a *Agent) request(ctx context.Context, c *client.Client, policy api.Policy, opt EnrolOptions) (*Identity, error) {
	dir := a.folder(policy.Person.ID)
	if err := makePrivateDir(dir); err != nil {
		return nil, err
	}
	p, err := a.loadPending(dir)
	if err != nil {
		return nil, err
	}
	if p != nil && opt.Anew {
		if err := setAside(dir, p); err != nil {
			return nil, err
		}
		p = nil
	}
	if p != nil {
		return a.resume(ctx, c, dir, p, opt)
	}
	plan, err := choosePlan(policy.Enrolments, opt.Enrolment)
	if err != nil {
		return nil, err
	}
	id, err := a.loadIdentity(dir)
	if err != nil {
		return nil, err
	}
	if err := a.checkNeeded(id, plan, opt); err != nil {
		return id, err
	}
	if err := opt.complete(dir, id); err != nil {
		return nil, err
	}
	if err := takesFiles(opt.Folder); err != nil { // better now than when the certificates are there
		return nil, err
	}
	a.tidy(dir, false)
	if err := errors.Join(longEnough(opt.Password, plan.Passphrase()), a.takes(id, opt.Password)); err != nil {
		return nil, err
	}
	if p, err = a.begin(policy, plan, opt); err != nil {
		return nil, err
	}
	if err := a.savePending(dir, p); err != nil {
		return nil, err
	}
	if err := a.after("begin"); err != nil {
		return nil, err
	}
	j := &journey{agent: a, client: c, dir: dir, pending: p, password: opt.Password, patience: opt.Patience}
	return j.walk(ctx)
}

// resume goes on with a request that was begun. What the options say about files and stores holds for it.
func (a *Agent) resume(ctx context.Context, c *client.Client, dir string, p *pending, opt EnrolOptions) (*Identity, error) {
	if opt.Enrolment != "" && opt.Enrolment != p.Enrolment {
		return nil, ErrBegun.Withf("A request for %q was begun at %s and has not ended. Finish it first, or begin anew and give it up.",
			p.Enrolment, p.BegunAt.Format(time.RFC3339))
	}
	if p.OwnPassword && opt.Password == "" {
		return nil, ErrPassword.Withf("The request was begun with a password of your own for identity.p12. Give it again.")
	}
	a.cfg.Progress("resume", "going on with the request begun at "+p.BegunAt.Format(time.RFC3339))
	a.ring.pass.know(opt.Password)
	if err := longEnough(opt.Password, p.Passphrase); err != nil {
		return nil, err
	}
	p.OwnPassword = opt.Password != ""
	if opt.Folder != "" {
		folder, err := filepath.Abs(opt.Folder)
		if err != nil {
			return nil, ErrConfig.Because(err)
		}
		if err := takesFiles(folder); err != nil {
			return nil, err
		}
		p.Folder = folder
	}
	if err := opt.Stores.absolute(); err != nil {
		return nil, err
	}
	p.Stores = p.Stores.with(opt.Stores)
	j := &journey{agent: a, client: c, dir: dir, pending: p, password: opt.Password, patience: opt.Patience}
	id, err := a.loadIdentity(dir)
	if err != nil {
		return nil, err
	}
	if id != nil && id.has(p.Name) { // only the files were missing: the server need not be asked
		return j.wrapUp(ctx, id)
	}
	return j.walk(ctx)
}

// findPending looks for a request that was begun with the same server and credentials.
func (a *Agent) findPending() (dir string, found *pending, err error) {
	dirs, err := a.people()
	if err != nil {
		return "", nil, err
	}
	for _, dir := range dirs {
		p, err := a.loadPending(dir)
		if err != nil {
			return "", nil, err
		}
		if p != nil && p.Server == a.cfg.Server.BaseURL && p.As == a.as() {
			return dir, p, nil
		}
	}
	return "", nil, nil
}

// choosePlan returns the enrolment of that name; without a name, the only one or the one for mail.
func choosePlan(plans []api.Enrolment, name string) (api.Enrolment, error) {
	names := make([]string, len(plans))
	for i, plan := range plans {
		names[i] = plan.Name
		if plan.Name == name || name == "" && (len(plans) == 1 || plan.Name == "smime") {
			if plan.Signing == nil && plan.Encryption == nil {
				return plan, ErrNoEnrolment.Withf("The server's enrolment %q has no certificates.", plan.Name)
			}
			return plan, nil
		}
	}
	if name == "" {
		return api.Enrolment{}, ErrNoEnrolment.Withf("Say which enrolment: the server offers %s.", strings.Join(names, ", "))
	}
	return api.Enrolment{}, ErrNoEnrolment.Withf("The server offers no enrolment %q but %s.", name, strings.Join(names, ", "))
}

// checkNeeded refuses a second pair beside a valid one.
func (a *Agent) checkNeeded(id *Identity, plan api.Enrolment, opt EnrolOptions) error {
	if id == nil || opt.Again {
		return nil
	}
	pair := id.current(plan.Name)
	if pair == nil {
		return nil
	}
	valid, err := pair.valid(a.cfg.Now())
	if err != nil || !valid {
		return err
	}
	return ErrEnrolled.Withf("%s has valid certificates already, in %s. Renew them, or ask for another pair.", id.Person.Name, id.Folder)
}

// complete fills in what was said at an earlier enrolment.
func (opt *EnrolOptions) complete(dir string, id *Identity) error {
	if opt.Folder == "" {
		opt.Folder = dir
		if id != nil {
			opt.Folder = id.Folder
		}
	}
	folder, err := filepath.Abs(opt.Folder)
	if err != nil {
		return ErrConfig.Because(err)
	}
	opt.Folder = folder
	if id != nil && opt.Prefer == (Prefer{}) {
		opt.Prefer = id.Prefer
	}
	if err := opt.Stores.absolute(); err != nil {
		return err
	}
	if id != nil {
		return id.needs(opt.Password)
	}
	return nil
}

// begin makes keys, requests and the message for the archive. Nothing has left this machine yet, nor is anything kept.
func (a *Agent) begin(policy api.Policy, plan api.Enrolment, opt EnrolOptions) (*pending, error) {
	p := &pending{
		Version: stateVersion, Server: a.cfg.Server.BaseURL, As: a.as(), Name: uuid.NewString(), BegunAt: a.cfg.Now().UTC(),
		Person:    Person{ID: policy.Person.ID, Name: policy.Person.Name, Mailboxes: policy.Person.Mailboxes},
		Enrolment: plan.Name, Folder: opt.Folder, Stores: opt.Stores, OwnPassword: opt.Password != "", Passphrase: plan.Passphrase(),
		RenewAfter: policy.RenewAfter, KeepSigning: policy.Old.SigningKeys == keepKeys, Prefer: opt.Prefer,
	}
	if !(p.RenewAfter > 0 && p.RenewAfter < 1) {
		p.RenewAfter = defaultRenewAfter
	}
	if plan.Signing != nil {
		if err := a.makeSigning(p, plan.Signing); err != nil {
			return nil, err
		}
	}
	if plan.Encryption != nil {
		algorithm, err := chooseAlgorithm(plan.Encryption.Algorithms, p.Prefer.Encryption)
		if err != nil {
			return nil, err
		}
		if p.EncryptionKey, p.EncryptionCSR, err = a.makeHalf("encryption", algorithm, p.Person); err != nil {
			return nil, err
		}
		if plan.Encryption.Escrowed {
			if err := a.sealPending(p, policy.Exchange); err != nil {
				return nil, err
			}
			a.cfg.Progress("seal", "sealed the encryption key to the archive; its certificate chains to your root")
		}
	}
	return p, nil
}

// makeSigning makes the signing key, where the server and the person want it, and its request.
func (a *Agent) makeSigning(p *pending, plan *api.KeyPlan) error {
	place, algorithm, err := a.choosePlace(plan, p.Prefer)
	if err != nil {
		return err
	}
	if place == nil {
		p.SigningKey, p.SigningCSR, err = a.makeHalf("signing", algorithm, p.Person)
		return err
	}
	a.cfg.Progress("key", "making the signing key in the "+place.Name()+" ("+algorithm+")")
	key, signer, err := a.makeIn(place, a.folder(p.Person.ID), algorithm, plan.PIN)
	if err != nil {
		return err
	}
	p.SigningKey, p.Attested = key, plan.Attested
	p.SigningCSR, err = makeCSR(signer, p.Person)
	return err
}

// makeHalf makes a key here and its request.
func (a *Agent) makeHalf(use, algorithm string, person Person) (k Key, csr []byte, err error) {
	a.cfg.Progress("key", "making the "+use+" key ("+algorithm+")")
	key, pkcs8, err := makeKey(algorithm)
	if err != nil {
		return k, nil, err
	}
	csr, err = makeCSR(key, person)
	return softwareKey(pkcs8), csr, err
}

// forMailbox chooses the identity with the address; without one, the only identity.
func (a *Agent) forMailbox(mailbox string) (*Identity, error) {
	ids, err := a.Identities()
	if err != nil {
		return nil, err
	}
	if mailbox != "" {
		ids = slices.DeleteFunc(ids, func(id *Identity) bool {
			return !slices.ContainsFunc(id.Person.Mailboxes, func(m string) bool { return strings.EqualFold(m, mailbox) })
		})
	}
	switch {
	case len(ids) == 1:
		return ids[0], nil
	case len(ids) == 0 && mailbox != "":
		return nil, ErrNoIdentity.Withf("There is no identity for %s here.", mailbox)
	case len(ids) == 0:
		return nil, ErrNoIdentity
	}
	return nil, ErrNoIdentity.Withf("There are identities of %d people here. Say whose with --mailbox.", len(ids))
}

// rewritable is forMailbox for what ends in new files: it finds out early that their password is missing.
func (a *Agent) rewritable(mailbox, password string) (*Identity, error) {
	id, err := a.forMailbox(mailbox)
	if err != nil {
		return nil, err
	}
	return id, a.takes(id, password)
}

// needs returns ErrPassword where identity.p12 has a password of the person's own and it was not given.
func (id *Identity) needs(password string) error {
	if id.OwnPassword && password == "" {
		return ErrPassword.Withf("identity.p12 has a password of your own. Give it, so that the new file has the same.")
	}
	return nil
}
