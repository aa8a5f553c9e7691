package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/internal/fault"
)

// behalfJSON is the result of an enrolment for somebody else.
type behalfJSON struct {
	identityJSON
	Token  int64  `json:"token"`  // number of the one that it was made with
	Remove string `json:"remove"` // folder to remove after the handing over
}

// enrollFor enrols for the person with an address, as the officer that this run shows.
func (s *session) enrollFor(ctx context.Context, o enrollFlags) error {
	if s.tokenFile != "" || s.env("SEALPOST_TOKEN") != "" && s.login == "" {
		return errSecret.Withf("To enrol for somebody else, say who you are: with --login, --openid, --kerberos, or your own certificate. With a token of theirs, leave --on-behalf out.")
	}
	if o.Folder == "" { // before a password is asked for
		return agent.ErrBehalfFolder
	}
	a, err := s.officer()
	if err != nil {
		return err
	}
	if o.p12Password != "" {
		if o.Password, err = s.secret("password of identity.p12", o.p12Password, ""); err != nil {
			return err
		}
	}
	o.Stores = o.stores()
	done, err := a.EnrolFor(ctx, s.mailbox, o.onBehalf, o.EnrolOptions)
	if errors.Is(err, agent.ErrEnrolled) {
		s.progress("enrolled", fault.Of(err).Detail)
	} else if err != nil {
		s.hintAnew(err)
		return err
	}
	return s.showBehalf(done)
}

// officer makes the agent of whoever enrols for others: with the credentials of this run, or the certificate in the agent's folder. The
// ticket of the computer's login is not looked for: whose it is does not show who sits there.
func (s *session) officer() (*agent.Agent, error) {
	settings, credentials, err := s.told()
	if err != nil {
		return nil, err
	}
	a, err := s.agent(settings, credentials)
	if err != nil || isPerson(credentials) {
		return a, err
	}
	if ids, err := a.Identities(); err != nil || len(ids) > 0 {
		return a, err
	}
	return nil, errSecret.Withf("Say who you are, with --login, --openid or --kerberos: you have no certificate of your own here. You must be in the group of registrars.")
}

func (s *session) showBehalf(done *agent.Behalf) error {
	id := done.Identity
	v, err := s.viewIdentity(id)
	if err != nil {
		return err
	}
	if s.json {
		return s.write(behalfJSON{v, done.Token, done.Folder}, nil)
	}
	if err := s.show(id, nil); err != nil {
		return err
	}
	password := "the password that you chose"
	if v.PasswordFile != "" {
		password = "the password in " + v.PasswordFile
	}
	_, err = fmt.Fprintf(s.stdout, `
These are the keys of %s, and not yours. As long as they are here you could sign as this person. The record names you: token %d.

  1. Give them the file %s on one way: on a USB stick, or by mail.
  2. Give them %s on another: in person, or by telephone.
  3. When they have taken both in, remove the whole folder %s and empty the trash.
`, plain(id.Person.Name), done.Token, filepath.Clean(v.P12), password, done.Folder)
	return err
}
