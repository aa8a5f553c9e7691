package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/internal/fault"
)

type enrollFlags struct {
	agent.EnrolOptions
	storeFlags
	p12Password string
	onBehalf    string
}

func enrollCommand(s *session) *cobra.Command {
	var o enrollFlags
	c := &cobra.Command{
		Use:     "enroll",
		Aliases: []string{"enrol"},
		Short:   "Make keys and get certificates for them",
		Long: `Makes your keys, asks the server for certificates, checks what comes back and writes, into the agent's folder or --out:

  identity.p12       all your keys with certificates and their issuers, for mail programs and phones
  identity.password  its password, unless you chose one with --p12-password-file
  signing.pem, encryption.pem, chain.pem   the certificates, without keys
  gpgsm/NN.p12       one key each, for gpgsm 2.2

If anything stops it, run the same command again: it goes on with the same keys. If you have valid certificates
already, nothing is asked for.

A registrar may enrol for somebody else with --on-behalf ADDRESS, showing who they are themselves (--login, --openid, --kerberos, which
asks for their password for this, or their own certificate here). The other's keys are made on this computer, all in --out, a new folder; what is to be done with them is
said at the end, and the record names who did it.`,
		Example: `  sealpost-agent enroll --server https://ca.example.com:8443 --roots root.pem --login alice
  sealpost-agent enroll --kerberos        # with the ticket of this computer's login
  sealpost-agent enroll --openid          # with your account at the organisation's identity provider
  sealpost-agent enroll --token-file token.txt --nss ~/.thunderbird/abcd.default --gpgsm --gpgsm-trust
  sealpost-agent enroll --on-behalf bob@example.com --out for-bob --login rita`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.onBehalf != "" {
				return s.enrollFor(cmd.Context(), o)
			}
			return s.enroll(cmd.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.onBehalf, "on-behalf", "", "as a registrar: mail address of the person to enrol for; needs --out, a new folder")
	f.StringVar(&o.Enrolment, "enrolment", "", "what to enrol for, where the server offers several things")
	f.StringVar(&o.Folder, "out", "", "folder for the files (remembered; default a folder in --state)")
	f.StringVar(&o.p12Password, "p12-password-file", "", `file with a password of your own for identity.p12`)
	f.StringVar(&o.Prefer.Signing, "signing-key", "", "kind of signing key: P-256, P-384, RSA-3072, RSA-4096 (remembered; default the server's choice)")
	f.StringVar(&o.Prefer.Encryption, "encryption-key", "", "kind of encryption key, likewise")
	f.StringVar(&o.Prefer.Place, "signing-place", "", "where the signing key must be: software, token or tpm (remembered; default the server's choice)")
	f.DurationVar(&o.Patience, "wait", 2*time.Minute, "how long to wait until the certificates are issued")
	f.BoolVar(&o.Again, "again", false, "get another pair although there is a valid one")
	f.BoolVar(&o.Anew, "anew", false, "give up a request that was begun earlier, and make new keys")
	o.storeFlags.add(c)
	return c
}

func (s *session) enroll(ctx context.Context, o enrollFlags) error {
	settings, changed, err := s.settings()
	if err != nil {
		return err
	}
	credentials, err := s.credentials(settings)
	if err != nil {
		return err
	}
	if credentials.Login == "" && credentials.Token == "" && credentials.IDToken == "" && credentials.Kerberos == nil {
		if credentials, err = s.choose(settings); err != nil {
			return err
		}
	}
	if credentials.Kerberos != nil && (s.kerberos || !settings.Kerberos) { // one that was only found changes nothing that was said
		told, err := s.keepTicket(&settings)
		if err != nil {
			return err
		}
		changed = changed || told
	}
	if o.p12Password != "" {
		if o.Password, err = s.secret("password of identity.p12", o.p12Password, ""); err != nil {
			return err
		}
	}
	a, err := s.agent(settings, credentials)
	if err != nil {
		return err
	}
	if changed { // before anything is begun, so that it can be gone on with
		dir, err := s.folder()
		if err != nil {
			return err
		}
		if err := settings.Save(dir); err != nil {
			return err
		}
	}
	defer s.ended(ctx, a)
	o.Stores = o.stores()
	id, err := a.Enrol(ctx, o.EnrolOptions)
	if errors.Is(err, agent.ErrEnrolled) { // what was asked for is there: scripts may run this every day
		s.progress("enrolled", fault.Of(err).Detail)
		if o.Stores.None() {
			return s.show(id, nil)
		}
		id.Stores = o.Stores
	} else if err != nil {
		s.hintAnew(err)
		return err
	}
	return s.finish(ctx, a, id, o.Password)
}

// hintAnew says how to be rid of a request that the server calls wrong: asking again would end the same way.
func (s *session) hintAnew(err error) {
	var refusal *client.Refusal
	if errors.As(err, &refusal) && errors.Is(err, fault.Malformed) {
		s.progress("anew", "the request is kept; to give it up and make new keys, add --anew")
	}
}

// finish fills the key stores and shows the identity.
func (s *session) finish(ctx context.Context, a *agent.Agent, id *agent.Identity, password string) error {
	var filled []agent.Filled
	var failed error
	if !id.Stores.None() {
		filled, failed = a.Fill(ctx, agent.FillOptions{Person: id.Person.ID, Password: password, Stores: id.Stores})
	}
	if err := s.show(id, filled); err != nil {
		return err
	}
	return failed
}
