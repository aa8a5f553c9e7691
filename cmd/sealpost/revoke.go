package main

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/cmd/sealpost/server"
	"github.com/sealpost/sealpost/internal/keyuse"
)

// revokeFlags says what is to be revoked, and why.
type revokeFlags struct {
	issuer, person, key string
	reason, since, note string
	yes                 bool
}

func revokeCommand() *cobra.Command {
	var o revokeFlags
	c := &cobra.Command{
		Use:   "revoke [SERIAL...]",
		Short: "Revoke certificates: by serial number, of a person, or with a key",
		Long: `Revokes the certificates with these serial numbers, or with --person all of somebody's that are valid, or with --key all that
hold a key. It cannot be undone. Without --yes it shows what it would revoke. A running server makes the new revocation list and
takes certificates out of the directory.

This is for who is at the server. Registrars revoke, hold and release over the REST interface; people revoke their own with
sealpost-agent.`,
		Example: `  sealpost revoke 3617582bc6426e4c --reason superseded --note "issued with an old address"
  sealpost revoke --person alice --reason affiliationChanged --note "left on Friday" --yes
  sealpost revoke --key stolen.pem --reason keyCompromise --since 2026-11-20T18:00:00Z --note "ticket 4711" --yes`,
	}
	path := configFlag(c)
	f := c.Flags()
	f.StringVar(&o.issuer, "issuer", "", "issuer of the serial numbers (default: the first in the configuration)")
	f.StringVar(&o.person, "person", "", "login, mail address or id; the id alone of somebody who is no longer in the directory")
	f.StringVar(&o.key, "key", "", "file with a certificate or public key (PEM), or the key's SHA-256 in hexadecimal")
	f.StringVar(&o.reason, "reason", "", "keyCompromise, affiliationChanged, superseded, cessationOfOperation, privilegeWithdrawn or unspecified (required)")
	f.StringVar(&o.since, "since", "", "since when the key may have been in other hands, such as 2026-11-20T18:00:00Z")
	f.StringVar(&o.note, "note", "", "why, in words, for the audit log (required)")
	f.BoolVarP(&o.yes, "yes", "y", false, "revoke, and do not only show")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		r, err := o.revocation()
		if err != nil {
			return err
		}
		ways := 0
		for _, given := range []bool{len(args) > 0, o.person != "", o.key != ""} {
			if given {
				ways++
			}
		}
		if ways != 1 {
			return errors.New("name serial numbers, --person or --key: one of them")
		}
		return withBase(cmd.Context(), *path, func(b *server.Base) error {
			return o.run(cmd.Context(), b, cmd.OutOrStdout(), args, r)
		})
	}
	return c
}

func (o revokeFlags) revocation() (r ca.Revocation, err error) {
	r.Note = o.note
	if r.Reason, err = ca.ParseReason(o.reason); err != nil {
		return r, fmt.Errorf("--reason: %w", err)
	}
	if r.Reason == ca.CertificateHold {
		return r, errors.New("--reason: only registrars put certificates on hold")
	}
	if strings.TrimSpace(o.note) == "" {
		return r, errors.New("--note is missing: the audit log must say why")
	}
	if o.since != "" {
		if r.Invalid, err = time.Parse(time.RFC3339, o.since); err != nil {
			return r, errors.New("--since must be a time such as 2026-11-20T18:00:00Z")
		}
	}
	return r, nil
}

func (o revokeFlags) run(ctx context.Context, b *server.Base, w io.Writer, serials []string, r ca.Revocation) error {
	if len(serials) > 0 {
		return o.bySerial(ctx, b, w, serials, r)
	}
	q, err := o.query(ctx, b)
	if err != nil {
		return err
	}
	if o.yes {
		changed, err := b.Authority.RevokeAll(ctx, operator(), q, r, nil)
		return errors.Join(printRevoked(w, "revoked", changed), err)
	}
	q.Limit = 1000
	found, err := b.Authority.Find(ctx, q)
	if err != nil {
		return err
	}
	return o.onlyShow(w, found)
}

// bySerial revokes certificates in turn; none if one is unknown.
func (o revokeFlags) bySerial(ctx context.Context, b *server.Base, w io.Writer, serials []string, r ca.Revocation) error {
	r.Issuer = o.issuer
	if r.Issuer == "" {
		r.Issuer = b.Authority.Issuers()[0].ID()
	}
	var list []ca.Certificate
	for _, text := range serials {
		serial, err := ca.ParseSerial(strings.ReplaceAll(text, ":", ""))
		if err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
		c, err := b.Authority.Certificate(ctx, r.Issuer, serial)
		if err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
		list = append(list, c)
	}
	if !o.yes {
		return o.onlyShow(w, list)
	}
	for i, c := range list {
		r.Serial = c.Serial
		if err := b.Authority.Revoke(ctx, operator(), r); err != nil {
			return errors.Join(printRevoked(w, "revoked", list[:i]), fmt.Errorf("%s: %w", c.Serial, err))
		}
	}
	return printRevoked(w, "revoked", list)
}

// query finds what --person or --key names.
func (o revokeFlags) query(ctx context.Context, b *server.Base) (q ca.Query, err error) {
	if o.key != "" {
		key, err := keyNamed(o.key)
		q.Key = &key
		return q, err
	}
	person, err := personNamed(ctx, b, o.person)
	q.Person = &person
	return q, err
}

// personNamed returns the id of a person by id, mail address or login.
func personNamed(ctx context.Context, b *server.Base, name string) (uuid.UUID, error) {
	if id, err := uuid.Parse(name); err == nil {
		return id, nil
	}
	find := b.Directory.ByLogin
	if strings.Contains(name, "@") {
		find = b.Directory.ByMailbox
	}
	p, err := find(ctx, name)
	return p.ID, err
}

// maxKeyFile bounds a file with a certificate or a public key, in bytes.
const maxKeyFile = 64 << 10

// keyNamed returns a key's hash: it is given as that, or as a file.
func keyNamed(name string) (key keyuse.Hash, err error) {
	if n, err := hex.Decode(key[:], []byte(name)); len(name) == 2*len(key) && err == nil && n == len(key) {
		return key, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return key, fmt.Errorf("--key is neither a file nor 64 hexadecimal digits: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return key, err
	}
	block, _ := pem.Decode(text)
	switch {
	case block == nil:
	case block.Type == "PUBLIC KEY":
		return sha256.Sum256(block.Bytes), nil
	case block.Type == "CERTIFICATE":
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return key, fmt.Errorf("%s: %w", name, err)
		}
		return sha256.Sum256(c.RawSubjectPublicKeyInfo), nil
	}
	return key, fmt.Errorf("%s holds neither a certificate nor a public key in PEM", name)
}

func (o revokeFlags) onlyShow(w io.Writer, found []ca.Certificate) error {
	if len(found) == 0 {
		return ca.ErrNotFound
	}
	if err := printRevoked(w, "", found); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, "Nothing was revoked. With --yes, those that are good would be, for good.")
	return err
}

// printRevoked lists certificates, as done or as they are.
func printRevoked(w io.Writer, done string, list []ca.Certificate) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range list {
		state := done
		if state == "" {
			state = string(c.Status.State)
		}
		fmt.Fprintf(t, "%s\t%s/%s\t%s\t%s\tuntil %s\n", state, c.Issuer, c.Serial, c.Profile, strings.Join(c.Mailboxes, " "), c.NotAfter.Format(time.DateOnly))
	}
	if done != "" && len(list) == 0 {
		fmt.Fprintln(t, "There was nothing to revoke.")
	}
	return t.Flush()
}
