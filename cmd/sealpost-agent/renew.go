package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/agent"
)

func renewCommand(s *session) *cobra.Command {
	var o agent.RenewOptions
	var password string
	c := &cobra.Command{
		Use:   "renew",
		Short: "Replace certificates whose time has come",
		Long: `Makes new keys and gets new certificates when the old ones have lived the part of their life that the server says, and
otherwise only asks, once a day, whether the directory shows what you sign: let it run once a day. It needs no login,
because the signing certificate shows who is asking; once that has ended, give --login or --token-file.

Old encryption keys stay in identity.p12 and in the key stores, so that old mail stays readable. Key stores that
"enroll" or "fill" filled are filled again.`,
		Example: `  sealpost-agent renew --quiet        # for cron or a systemd timer
  sealpost-agent renew --force        # now, for example after a key may have been copied`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.renew(cmd.Context(), o, password) },
	}
	f := c.Flags()
	f.BoolVar(&o.Force, "force", false, "even if it is not time yet")
	f.DurationVar(&o.Patience, "wait", 2*time.Minute, "how long to wait until the certificates are issued")
	f.StringVar(&password, "p12-password-file", "", "file with the password of identity.p12, if it is your own")
	return c
}

func (s *session) renew(ctx context.Context, o agent.RenewOptions, passwordFile string) (err error) {
	if passwordFile != "" {
		if o.Password, err = s.secret("password of identity.p12", passwordFile, ""); err != nil {
			return err
		}
	}
	a, err := s.open()
	if err != nil {
		return err
	}
	defer s.ended(ctx, a)
	o.Mailbox = s.mailbox
	r, err := a.Renew(ctx, o)
	if err != nil {
		return err
	}
	if !r.Renewed {
		s.progress("due", "not due before "+r.Due.Local().Format("2 January 2006"))
		return s.show(r.Identity, nil)
	}
	return s.finish(ctx, a, r.Identity, o.Password)
}
