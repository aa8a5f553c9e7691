package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/agent"
)

func fillCommand(s *session) *cobra.Command {
	var o storeFlags
	var password string
	var only bool
	c := &cobra.Command{
		Use:   "fill",
		Short: "Put the keys into the key stores of mail programs",
		Long: `Writes the files again and imports the keys into the key stores named here or earlier. It asks the server nothing, and
doing it twice does no harm. Thunderbird may be running: it has the keys at once, and its accounts use the new certificates
when it is started the next time. Other programs should be closed first.

In NSS (Thunderbird) the root certificates become trusted for mail, and for nothing else. In gpgsm they become trusted
only with --gpgsm-trust. gpg-agent protects the keys with the password of identity.p12; change it with: gpgsm --passwd`,
		Example: `  sealpost-agent fill --thunderbird
  sealpost-agent fill --nss ~/.thunderbird/abcd.default
  sealpost-agent fill --gpgsm --gpgsm-trust`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			opt := agent.FillOptions{Mailbox: s.mailbox, Stores: o.stores(), Only: only}
			if password != "" {
				if opt.Password, err = s.secret("password of identity.p12", password, ""); err != nil {
					return err
				}
			}
			a, err := s.open()
			if err != nil {
				return err
			}
			defer s.keepStatus(a)
			return s.fill(cmd.Context(), a, opt)
		},
	}
	c.Flags().BoolVar(&only, "only", false, "forget the stores that were named before; what they have stays in them")
	c.Flags().StringVar(&password, "p12-password-file", "", "file with the password of identity.p12, if it is your own")
	o.add(c)
	return c
}

func (s *session) fill(ctx context.Context, a *agent.Agent, opt agent.FillOptions) error {
	filled, failed := a.Fill(ctx, opt)
	if failed != nil && len(filled) == 0 {
		return failed
	}
	if err := s.showFilled(filled); err != nil {
		return err
	}
	return failed
}
