package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"golang.org/x/term"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/agent/kerberos"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/internal/fault"
)

var errSecret = fault.New(fault.Malformed, "secret-missing", "A password is needed.")

const maxSecret = 4096 // bytes

// credentials returns who is asking, if this run says: a token, a ticket, who signs in now, or a login with its password.
func (s *session) credentials(settings agent.Settings) (c client.Config, err error) {
	if s.openid {
		return s.identify(settings)
	}
	if s.kerberos {
		return s.ticket()
	}
	if s.keytab != "" || s.principal != "" {
		return c, errSecret.Withf("A keytab and its principal need --kerberos.")
	}
	token := s.tokenFile != "" || s.login == "" && s.env("SEALPOST_TOKEN") != ""
	switch {
	case s.tokenFile != "" && s.login != "":
		return c, errSecret.Withf("Give --login or --token-file, not both.")
	case s.passwordFile != "" && s.login == "":
		return c, errSecret.Withf("A password needs its --login.")
	case token:
		c.Token, err = s.secret("enrolment token", s.tokenFile, "SEALPOST_TOKEN")
		return c, err
	case s.login == "":
		return c, nil
	}
	c.Login = s.login
	c.Password, err = s.secret("password of "+s.login, s.passwordFile, "SEALPOST_PASSWORD")
	return c, err
}

// isPerson reports whether credentials are a person's own, not a token that somebody else made.
func isPerson(c client.Config) bool { return c.Login != "" || c.Kerberos != nil || c.IDToken != "" }

// ticket returns who is asking by their Kerberos ticket. A password is asked for only where the server wants that they show anew who they are.
func (s *session) ticket() (c client.Config, err error) {
	if s.login != "" || s.tokenFile != "" || s.passwordFile != "" && s.keytab != "" {
		return c, errSecret.Withf("Give --kerberos, --login or --token-file: one of them.")
	}
	if s.keytab == "" {
		c.Kerberos, err = s.loginTicket()
		return c, err
	}
	login, err := kerberos.OpenKeytab(s.env, s.keytab, s.principal, nil)
	if err != nil {
		return c, err
	}
	c.Kerberos = login
	return c, nil
}

// loginTicket returns the ticket of the computer's login: the system's own, if it keeps one and no other is named, else that of a cache.
func (s *session) loginTicket() (client.Negotiator, error) {
	if s.env("KRB5CCNAME") == "" {
		system, err := kerberos.OpenSystem()
		if err == nil {
			return system, nil
		}
		if !errors.Is(err, kerberos.ErrNoSystem) {
			return nil, err
		}
	}
	login, err := kerberos.Open(s.env, nil)
	if err != nil {
		return nil, err
	}
	login.Ask = func() (string, error) { return s.prove(login.Principal()) }
	return login, nil
}

// prove asks whose ticket it is for their password.
func (s *session) prove(principal string) (string, error) {
	s.progress("proof", "this needs that you show anew who you are; the password is for your organisation's sign-in service, and goes nowhere else")
	password, err := s.secret("password of "+principal, s.passwordFile, "SEALPOST_PASSWORD")
	if err != nil {
		return "", kerberos.ErrProof.Withf("This needs that you show anew who you are, and a ticket of this morning does not. Run it at a terminal, where it asks for the password of %s, "+
			"or give that with --password-file; or get a ticket with a card first: kinit -S HTTP/SERVER.", principal).Because(err)
	}
	return password, nil
}

// keepTicket has the runs that nobody starts show who is asking as this one does: with the ticket of the computer's login, or with keys.
// It reports whether that is new.
func (s *session) keepTicket(settings *agent.Settings) (bool, error) {
	before := *settings
	settings.Kerberos, settings.Keytab, settings.Principal, settings.TokenFile = true, "", s.principal, ""
	if s.keytab != "" {
		path, err := filepath.Abs(s.keytab)
		if err != nil {
			return false, errFile.Because(err)
		}
		settings.Keytab = path
	}
	return before.Kerberos != settings.Kerberos || before.Keytab != settings.Keytab || before.Principal != settings.Principal || before.TokenFile != settings.TokenFile, nil
}

// secret reads a secret from a file, the environment, or the person at the terminal.
func (s *session) secret(what, file, variable string) (string, error) {
	if file == "-" {
		return line(s.stdin, what)
	}
	if file != "" {
		data, err := readLimited(file, maxSecret)
		if err != nil {
			return "", err
		}
		return line(strings.NewReader(string(data)), what)
	}
	if variable != "" {
		if value := s.env(variable); value != "" {
			return value, nil
		}
	}
	fd := int(s.stdin.Fd())
	if !term.IsTerminal(fd) {
		return "", errSecret.Withf("The %s is needed, and there is nobody to ask. Give it in a file or in the environment; see --help.", what)
	}
	fmt.Fprintf(s.stderr, "%s: ", what)
	data, err := term.ReadPassword(fd)
	fmt.Fprintln(s.stderr)
	if err != nil {
		return "", errSecret.Withf("The %s could not be read.", what).Because(err)
	}
	if len(data) == 0 {
		return "", errSecret.Withf("The %s is empty.", what)
	}
	return string(data), nil
}

// line returns the first line, without its end.
func line(r io.Reader, what string) (string, error) {
	text, err := bufio.NewReader(io.LimitReader(r, maxSecret)).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", errSecret.Withf("The %s could not be read.", what).Because(err)
	}
	if text = strings.TrimRight(text, "\r\n"); text == "" {
		return "", errSecret.Withf("The %s is empty.", what)
	}
	return text, nil
}

// confirm asks the person, who must be there.
func (s *session) confirm(question string) error {
	if !term.IsTerminal(int(s.stdin.Fd())) {
		return errSecret.Withf("This needs a yes, and there is nobody to ask. Give --yes.")
	}
	fmt.Fprintf(s.stderr, "%s [y/N] ", question)
	answer, err := line(s.stdin, "answer")
	if err != nil || !strings.EqualFold(answer, "y") && !strings.EqualFold(answer, "yes") {
		return errSecret.Withf("Nothing was done.")
	}
	return nil
}
