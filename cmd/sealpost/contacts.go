package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/cmd/sealpost/server"
	"github.com/sealpost/sealpost/gal/contact"
	"github.com/sealpost/sealpost/web"
)

func contactCommand() *cobra.Command {
	c := &cobra.Command{Use: "contact", Short: "Certificates of people outside, verified by a registrar, that the directory shows",
		Long: `Employees find the certificates of outside correspondents in the company's own directory: in the contact's entry, which must be there
already. Each was verified and added by a registrar, here or over the REST interface (docs/gal.md). A running server takes out what
has expired, or what its issuer has revoked.`}
	c.AddCommand(contactAddCommand(), contactListCommand(), contactShowCommand(), contactRemoveCommand())
	return c
}

func contactAddCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "add MAILBOX FILE",
		Short: "Add a certificate, in the place of an older one of the address",
		Long: `FILE has the certificate, in PEM or DER, with its chain if there is one; or it is the signature of a mail of theirs (smime.p7s).
"-" is standard input. Without --yes it is only checked and shown: compare its fingerprint with what they tell you over another
way than mail.`,
		Args: cobra.ExactArgs(2),
	}
	path := configFlag(c)
	note := c.Flags().String("note", "", "how it was verified (required)")
	yes := c.Flags().BoolP("yes", "y", false, "add it, and do not only show it")
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		b, err := readInput(args[1], cmd.InOrStdin())
		if err != nil {
			return err
		}
		return withServer(cmd.Context(), *path, func(s *server.Server) error {
			given := contact.Submission{Mailbox: args[0], Certificate: b, Note: *note}
			do := s.Contacts.Check
			if *yes {
				do = s.Contacts.Add
			}
			got, err := do(cmd.Context(), operator(), given)
			if err != nil {
				return err
			}
			if err := printContact(cmd.OutOrStdout(), got, *asJSON); err != nil || *yes || *asJSON {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "Nothing was added. With --yes, it would be.")
			return err
		})
	}
	return c
}

// readInput reads a small file, or standard input.
func readInput(name string, stdin io.Reader) ([]byte, error) {
	const most = 1 << 20
	in := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }() // it was read to its end, or failed
		in = f
	}
	return io.ReadAll(io.LimitReader(in, most))
}

func contactListCommand() *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List them", Args: cobra.NoArgs}
	path := configFlag(c)
	former := c.Flags().Bool("former", false, "those too that are shown no more")
	asJSON := c.Flags().Bool("json", false, "print one JSON object a line")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return withServer(cmd.Context(), *path, func(s *server.Server) error {
			return printContacts(cmd.Context(), cmd.OutOrStdout(), s.Contacts, *former, *asJSON)
		})
	}
	return c
}

func printContacts(ctx context.Context, w io.Writer, d *contact.Desk, former, asJSON bool) error {
	const page = 500
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for after := int64(0); ; {
		list, err := d.List(ctx, operator(), contact.Which{Former: former, After: after, Limit: page})
		if err != nil {
			return err
		}
		if after == 0 && len(list) > 0 && !asJSON {
			fmt.Fprintln(t, "MAILBOX\tSTATE\tDIRECTORY\tCERTIFICATE\tSHA-256")
		}
		for _, c := range list {
			after = c.Number
			if asJSON {
				if err := json.NewEncoder(w).Encode(web.ContactOf(c, d.Now())); err != nil {
					return err
				}
				continue
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", c.Mailbox, c.State, c.Shown, endsWhen(c, d.Now()), c.Fingerprint())
		}
		if len(list) < page {
			return t.Flush()
		}
	}
}

// endsWhen says when a contact's certificate does.
func endsWhen(c *contact.Contact, now time.Time) string {
	const day = 24 * time.Hour
	end := c.Certificate.NotAfter
	switch left := end.Sub(now); {
	case left < 0:
		return "ended " + end.UTC().Format(time.DateOnly)
	case !c.Ends(now, contact.Soon):
		return "until " + end.UTC().Format(time.DateOnly)
	case left < 2*day:
		return fmt.Sprintf("ends in %d hours", int(left/time.Hour))
	default:
		return fmt.Sprintf("ends in %d days", int(left/day))
	}
}

func contactShowCommand() *cobra.Command {
	c := &cobra.Command{Use: "show MAILBOX|ID", Short: "Show one", Args: cobra.ExactArgs(1)}
	path := configFlag(c)
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return withServer(cmd.Context(), *path, func(s *server.Server) error {
			got, err := contactNamed(cmd.Context(), s.Contacts, args[0])
			if err != nil {
				return err
			}
			return printContact(cmd.OutOrStdout(), got, *asJSON)
		})
	}
	return c
}

func contactRemoveCommand() *cobra.Command {
	c := &cobra.Command{Use: "remove MAILBOX|ID", Short: "Show it no more", Args: cobra.ExactArgs(1)}
	path := configFlag(c)
	note := c.Flags().String("note", "", "why, for the audit log (required)")
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return withServer(cmd.Context(), *path, func(s *server.Server) error {
			named, err := contactNamed(cmd.Context(), s.Contacts, args[0])
			if err != nil {
				return err
			}
			got, err := s.Contacts.Remove(cmd.Context(), operator(), named.ID, *note)
			if err != nil {
				return err
			}
			return printContact(cmd.OutOrStdout(), got, *asJSON)
		})
	}
	return c
}

// contactNamed returns the contact of an id, or the current one of an address.
func contactNamed(ctx context.Context, d *contact.Desk, name string) (*contact.Contact, error) {
	if id, err := uuid.Parse(name); err == nil {
		return d.Get(ctx, operator(), id)
	}
	list, err := d.List(ctx, operator(), contact.Which{Mailbox: name, Limit: 1})
	if err == nil && len(list) == 0 {
		err = contact.ErrUnknown
	}
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

func printContact(w io.Writer, c *contact.Contact, asJSON bool) error {
	now := time.Now()
	if asJSON {
		return json.NewEncoder(w).Encode(web.ContactOf(c, now))
	}
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-12s %s\n", name, value)
		}
	}
	at := func(t *time.Time) string {
		if t == nil || t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339)
	}
	line("mailbox", c.Mailbox)
	line("subject", c.Certificate.Subject.String())
	line("issuer", c.Certificate.Issuer.String())
	line("SHA-256", spaced(c.Fingerprint()))
	line("valid", at(&c.Certificate.NotBefore)+" to "+at(&c.Certificate.NotAfter)+" ("+endsWhen(c, now)+")")
	line("trust", map[contact.Trust]string{contact.ByAnchors: "its chain leads to an authority of gal.contacts.trust_file",
		contact.ByRegistrar: "your word: no authorities are configured (gal.contacts.trust_file)"}[c.Trust])
	line("revocation", c.Revocation)
	line("verified", c.Note)
	if c.ID != uuid.Nil {
		line("id", c.ID.String())
		line("added", at(&c.AddedAt)+" by "+c.AddedBy.Name)
		line("state", string(c.State))
		if c.EndedBy != nil {
			line("ended", at(c.EndedAt)+" by "+c.EndedBy.Name+": "+c.Reason)
		}
		line("directory", strings.TrimSpace(string(c.Shown)+" "+c.DN))
		line("failure", c.Failure)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// spaced writes a fingerprint as people read it to each other.
func spaced(hex string) string {
	var b strings.Builder
	for i, r := range strings.ToUpper(hex) {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// contactsSummary says how contacts stand, in one line; "" if there are none.
func contactsSummary(ctx context.Context, d *contact.Desk) (string, error) {
	if !d.On() {
		return "", nil
	}
	places, ending, err := d.Count(ctx)
	all := 0
	for _, n := range places {
		all += n
	}
	if err != nil || all == 0 {
		return "", err
	}
	return fmt.Sprintf("%d contacts, %d of them shown; %d end within %d days\n", all, places[contact.InEntry], ending, contact.Soon/(24*time.Hour)), nil
}
