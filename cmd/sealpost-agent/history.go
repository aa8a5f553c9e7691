package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/agent"
)

func historyCommand(s *session) *cobra.Command {
	c := &cobra.Command{
		Use:   "history",
		Short: "Bring your encryption keys from one of your machines to another",
		Long: `Old mail is encrypted to old keys. If one of your machines still has them, no officer is needed:

  on the new machine, after "enroll":   sealpost-agent history receive
  on the old machine:                   sealpost-agent history send

The new machine shows four words, and you type them on the old one. Never type words that somebody tells you on the
telephone or in a mail: only those that you see yourself on your own new machine.

"renew" has the server keep your older keys, sealed to the newest one; "history fetch" gets them on a machine that has
that key. If every machine is lost, use "restore".

"history list" is another thing: what touched your keys in the archive, and who asked for them.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("there is no command %q", args[0]), c.CommandPath()}
			}
			return c.Help()
		},
	}
	c.AddCommand(historyReceiveCommand(s), historySendCommand(s), historyFetchCommand(s), historyListCommand(s))
	return c
}

func historyReceiveCommand(s *session) *cobra.Command {
	var o agent.ReceiveOptions
	var stores storeFlags
	var password string
	c := &cobra.Command{
		Use:   "receive",
		Short: "On the new machine: get the keys",
		Long: `Waits for "history send" on the old machine, shows four words that you type there, and then gets all keys. Each is checked
against its certificate; identity.p12, the files for gpgsm and the key stores have them afterwards. If it is stopped, begin
again on both machines.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			o.Mailbox = s.mailbox
			if o.Device == "" {
				if o.Device, err = os.Hostname(); err != nil {
					return agent.ErrConfig.Withf("This machine has no name. Give it one with --name.").Because(err)
				}
			}
			o.Show = func(words []string) { s.showWords(words) }
			return s.receive(cmd.Context(), password, stores, func(ctx context.Context, a *agent.Agent, password string) (*agent.Received, error) {
				o.Password = password
				return a.ReceiveHistory(ctx, o)
			})
		},
	}
	f := c.Flags()
	f.StringVar(&o.Device, "name", "", "what the other machine calls this one (default its host name)")
	f.DurationVar(&o.Patience, "wait", 10*time.Minute, "how long to wait for the other machine")
	f.StringVar(&password, "p12-password-file", "", "file with the password of identity.p12, if it is your own")
	stores.add(c)
	return c
}

// showWords shows the words on standard error, also when it is quiet: nothing goes on without them.
func (s *session) showWords(words []string) {
	fmt.Fprintf(s.stderr, "\nType these words on the other machine:\n\n    %s\n\n", strings.Join(words, " "))
}

func historyFetchCommand(s *session) *cobra.Command {
	var stores storeFlags
	var password string
	c := &cobra.Command{
		Use:   "fetch",
		Short: "Get older keys that a renewal sealed to a key that is here",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.receive(cmd.Context(), password, stores, func(ctx context.Context, a *agent.Agent, password string) (*agent.Received, error) {
				return a.FetchHistory(ctx, agent.HistoryOptions{Mailbox: s.mailbox, Password: password})
			})
		},
	}
	c.Flags().StringVar(&password, "p12-password-file", "", "file with the password of identity.p12, if it is your own")
	stores.add(c)
	return c
}

type receivedJSON struct {
	identityJSON
	Keys int `json:"keys"`
	New  int `json:"new"`
}

// receive gets keys, fills the key stores, and shows what came.
func (s *session) receive(ctx context.Context, passwordFile string, stores storeFlags, get func(context.Context, *agent.Agent, string) (*agent.Received, error)) error {
	password := ""
	if passwordFile != "" {
		var err error
		if password, err = s.secret("password of identity.p12", passwordFile, ""); err != nil {
			return err
		}
	}
	a, err := s.open()
	if err != nil {
		return err
	}
	r, err := get(ctx, a, password)
	if err != nil {
		return err
	}
	var filled []agent.Filled
	var failed error
	if id := r.Identity; !id.Stores.None() || !stores.stores().None() {
		filled, failed = a.Fill(ctx, agent.FillOptions{Person: id.Person.ID, Password: password, Stores: stores.stores()})
	}
	one, err := s.viewIdentity(r.Identity)
	if err != nil {
		return err
	}
	one.Stores = viewFilled(filled)
	return errors.Join(s.write(receivedJSON{one, r.Keys, r.New}, func(w io.Writer) {
		fmt.Fprintf(w, "%d keys came; %d of them were not on this machine.\n", r.Keys, r.New)
		one.print(w)
	}), failed)
}

func historySendCommand(s *session) *cobra.Command {
	var o agent.SendOptions
	c := &cobra.Command{
		Use:   "send",
		Short: "On the old machine: send the keys",
		Long: `Finds the machine of yours that waits with "history receive", asks for the four words that it shows, and sends it all your
encryption keys, sealed so that it alone can read them. Nothing is sent if the words are not those: then somebody is between
your machines. Stop, and tell your administrator.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Mailbox = s.mailbox
			o.Ask = func(device string, try int) (string, error) {
				if try > 1 {
					fmt.Fprintln(s.stderr, "These are not the words.")
				}
				fmt.Fprintf(s.stderr, "Your machine %q shows four words. Type them here, as you see them yourself: ", plain(device))
				return s.answer()
			}
			a, err := s.open()
			if err != nil {
				return err
			}
			sent, err := a.SendHistory(cmd.Context(), o)
			if err != nil {
				return err
			}
			return s.write(map[string]any{"device": sent.Device, "keys": sent.Keys, "left": sent.Left}, func(w io.Writer) {
				fmt.Fprintf(w, "The words agree. %d keys were sent to %s.\n", sent.Keys, plain(sent.Device))
				if sent.Left > 0 {
					fmt.Fprintf(w, "%d imported keys, with other authorities' certificates, were not: \"restore\" gets those.\n", sent.Left)
				}
			})
		},
	}
	f := c.Flags()
	f.StringVar(&o.Session, "transfer", "", "which one, as the new machine says, where several ask")
	f.DurationVar(&o.Patience, "wait", 10*time.Minute, "how long to wait for the other machine")
	return c
}

// answer reads one line that the person types, byte by byte: there may be another after it.
func (s *session) answer() (string, error) {
	var text []byte
	one := make([]byte, 1)
	for len(text) < maxSecret {
		n, err := s.stdin.Read(one)
		if n == 1 && one[0] == '\n' {
			return string(text), nil
		}
		if n == 1 {
			text = append(text, one[0])
		}
		if errors.Is(err, io.EOF) && len(text) > 0 {
			return string(text), nil
		}
		if err != nil {
			return "", errSecret.Withf("Nothing was typed. Nothing was sent.")
		}
	}
	return "", errSecret.Withf("This is too long.")
}
