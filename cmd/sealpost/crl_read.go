package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/cmd/sealpost/server"
	crlfetch "github.com/sealpost/sealpost/crl/fetch"
	"github.com/sealpost/sealpost/crl/list"
	"github.com/sealpost/sealpost/crl/watch"
)

// exit is an error with an exit code of its own.
type exit struct {
	error
	code int
}

func (e exit) Unwrap() error { return e.error }

// unreadable is the exit code where there is no list to judge.
const unreadable = 2

// readList reads a list in DER or PEM from a file, an address, or standard input ("-").
func readList(ctx context.Context, from string, stdin io.Reader, visit func(list.Entry) error) (*list.Head, error) {
	in, err := openList(ctx, from, stdin)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }() // it was read to its end, or failed
	const armour, most = "-----BEGIN ", 256 << 20
	b := bufio.NewReader(in)
	if start, err := b.Peek(len(armour)); err != nil || string(start) != armour {
		return list.Read(b, visit)
	}
	text, err := io.ReadAll(io.LimitReader(b, most+1))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "X509 CRL" || len(text) > most {
		return nil, list.ErrList
	}
	return list.Read(bytes.NewReader(block.Bytes), visit)
}

func openList(ctx context.Context, from string, stdin io.Reader) (io.ReadCloser, error) {
	switch {
	case from == "-":
		return io.NopCloser(stdin), nil
	case strings.Contains(from, "://"):
		return crlfetch.New(crlfetch.Config{}).Open(ctx, from)
	}
	return os.Open(from)
}

// readIssuers reads the certificates of authorities from files.
func readIssuers(files []string) (out []*x509.Certificate, err error) {
	for _, f := range files {
		certificates, err := server.ReadCertificates(f)
		if err != nil {
			return nil, err
		}
		out = append(out, certificates...)
	}
	return out, nil
}

// shownList is a list as crl show and crl watch print it.
type shownList struct {
	Issuer     string     `json:"issuer"`
	Kind       string     `json:"kind"` // complete, delta
	Number     string     `json:"number,omitempty"`
	Base       string     `json:"base,omitempty"`
	ThisUpdate time.Time  `json:"this_update"`
	NextUpdate *time.Time `json:"next_update,omitempty"`
	Scope      string     `json:"scope"`
	Freshest   []string   `json:"freshest,omitempty"` // addresses of the delta
	Entries    int        `json:"entries"`
	Size       int64      `json:"size"`
	SHA256     string     `json:"sha256"`
}

func shown(h *list.Head) (*shownList, error) {
	s := &shownList{Issuer: nameOf(h.Issuer), Kind: "complete", Number: decimal(h.Number), Base: decimal(h.Base), ThisUpdate: h.ThisUpdate,
		Scope: "all certificates of the issuer", Entries: h.Entries, Size: h.Size, SHA256: hex.EncodeToString(h.SHA256[:])}
	if h.Delta() {
		s.Kind = "delta"
	}
	if !h.NextUpdate.IsZero() {
		s.NextUpdate = &h.NextUpdate
	}
	var err error
	if h.Freshest != nil {
		s.Freshest, err = list.ParseAddresses(h.Freshest)
	}
	if h.Scope != nil && err == nil {
		s.Scope, err = scopeOf(h.Scope)
	}
	return s, err
}

func decimal(n *big.Int) string {
	if n == nil {
		return ""
	}
	return n.String()
}

func nameOf(der []byte) string {
	var rdns pkix.RDNSequence
	if rest, err := asn1.Unmarshal(der, &rdns); err != nil || len(rest) > 0 {
		return hex.EncodeToString(der)
	}
	return rdns.String()
}

// scopeOf says which certificates a list is about.
func scopeOf(der []byte) (string, error) {
	s, err := list.ParseScope(der)
	if err != nil {
		return "", err
	}
	said := []string{"certificates"}
	for _, c := range []struct {
		is  bool
		say string
	}{{s.Users, "people's and systems' certificates"}, {s.Authorities, "authorities' certificates"}, {s.Attributes, "attribute certificates"}} {
		if c.is {
			said[0] = c.say
		}
	}
	if len(s.Addresses) > 0 {
		said = append(said, "that name "+strings.Join(s.Addresses, " or "))
	}
	if s.SomeReasons {
		said = append(said, "(some reasons alone)")
	}
	if s.OtherIssuers {
		said = append(said, "(of other issuers too)")
	}
	return strings.Join(said, " "), nil
}

func (s *shownList) print(w io.Writer) error {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-12s %s\n", name, value)
		}
	}
	line("issuer", s.Issuer)
	line("kind", s.Kind)
	line("number", s.Number)
	line("base", s.Base)
	line("this update", s.ThisUpdate.Format(time.RFC3339))
	if s.NextUpdate != nil {
		line("next update", s.NextUpdate.Format(time.RFC3339))
	} else {
		line("next update", "none: it does not say until when it is good")
	}
	line("about", s.Scope)
	line("delta at", strings.Join(s.Freshest, ", "))
	line("entries", fmt.Sprint(s.Entries))
	line("size", fmt.Sprintf("%d bytes", s.Size))
	line("SHA-256", s.SHA256)
	_, err := io.WriteString(w, b.String())
	return err
}

// shownEntry is an entry as crl show prints it.
type shownEntry struct {
	Serial  string     `json:"serial"`
	At      time.Time  `json:"at"`
	Reason  string     `json:"reason,omitempty"`
	Invalid *time.Time `json:"invalid_from,omitempty"`
}

func shownEntryOf(e list.Entry) shownEntry {
	out := shownEntry{Serial: hex.EncodeToString(e.Serial), At: e.At}
	if e.Reason != 0 {
		out.Reason = ca.Reason(e.Reason).String()
	}
	if !e.Invalid.IsZero() {
		out.Invalid = &e.Invalid
	}
	return out
}

func (e shownEntry) String() string {
	out := e.Serial + "  " + e.At.Format(time.RFC3339) + "  " + e.Reason
	if e.Invalid != nil {
		out += "  invalid from " + e.Invalid.Format(time.RFC3339)
	}
	return strings.TrimSpace(out)
}

func crlShowCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "show FILE|URL|-",
		Short: "Say what any revocation list says",
		Long: `Reads a list, of this authority or any other, in DER or PEM: from a file, an address (http, https, ldap, ldaps, ftp), or
standard input. It needs no configuration, and little memory however long the list is. What it says is not verified: see
crl verify.

With --serial it looks one certificate up, and ends with exit code 1 if the list does not have it. With --json it prints one
object a line: the entries, if they are asked for, then the list.`,
		Example: `  sealpost crl show http://pki.example.com/crl/issuing.crl
  sealpost crl show issuing.crl --serial 4f1d0c2b3a495867768594a3b2c1d0ef
  sealpost crl show issuing.crl --entries --json`,
		Args: cobra.ExactArgs(1),
	}
	entries := c.Flags().Bool("entries", false, "print every entry, before the rest")
	serial := c.Flags().String("serial", "", "print the entry of this serial number (hexadecimal) alone")
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		wanted, err := parseSerial(*serial)
		if err != nil {
			return err
		}
		w := bufio.NewWriter(cmd.OutOrStdout())
		found := false
		h, err := readList(cmd.Context(), args[0], cmd.InOrStdin(), func(e list.Entry) error {
			hit := wanted != nil && bytes.Equal(e.Serial, wanted)
			found = found || hit
			if !hit && (!*entries || wanted != nil) {
				return nil
			}
			return printTo(w, shownEntryOf(e), *asJSON)
		})
		if err != nil {
			return exit{errors.Join(fmt.Errorf("%s: %w", args[0], err), w.Flush()), unreadable}
		}
		s, err := shown(h)
		if err == nil && wanted == nil {
			if *asJSON {
				err = json.NewEncoder(w).Encode(s)
			} else {
				err = s.print(w)
			}
		}
		if err = errors.Join(err, w.Flush()); err != nil {
			return err
		}
		if wanted != nil && !found {
			return fmt.Errorf("the list %s of %s does not have the serial number %x", s.Number, s.Issuer, wanted)
		}
		return nil
	}
	return c
}

func printTo(w io.Writer, e shownEntry, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(e)
	}
	_, err := fmt.Fprintln(w, e)
	return err
}

// parseSerial reads a serial number as people copy it: with colons, or zeros before it.
func parseSerial(text string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	n, ok := new(big.Int).SetString(strings.NewReplacer(":", "", " ", "").Replace(text), 16)
	if !ok || n.Sign() <= 0 {
		return nil, fmt.Errorf("%q is no serial number in hexadecimal", text)
	}
	return n.Bytes(), nil
}

func crlVerifyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "verify FILE|URL|-",
		Short: "Verify any revocation list with its issuer's certificate",
		Long: `Verifies that the authority signed the list, that it is good now, that it has a number, and that it has no critical extension
that is not known. Exit codes: 0 it is good; 1 it is not; 2 there is nothing to judge: nothing there, or no list.`,
		Example: `  sealpost crl verify http://pki.example.com/crl/issuing.crl --issuer-cert issuing.pem
  sealpost crl verify root.crl --issuer-cert root.pem`,
		Args: cobra.ExactArgs(1),
	}
	issuers := c.Flags().StringArray("issuer-cert", nil, "file with the certificate of the authority (PEM), or of several (required)")
	if err := c.MarkFlagRequired("issuer-cert"); err != nil {
		panic(err) // the flag is defined above
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		certificates, err := readIssuers(*issuers)
		if err != nil {
			return exit{err, unreadable}
		}
		h, err := readList(cmd.Context(), args[0], cmd.InOrStdin(), nil)
		if err != nil {
			return exit{fmt.Errorf("%s: %w", args[0], err), unreadable}
		}
		if err := verifyList(h, certificates, time.Now()); err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: good until %s, number %s, %d entries, signed by %s\n", args[0], h.NextUpdate.Format(time.RFC3339),
			decimal(h.Number), h.Entries, nameOf(h.Issuer))
		return err
	}
	return c
}

func verifyList(h *list.Head, issuers []*x509.Certificate, now time.Time) error {
	if err := watch.Signed(h, issuers); err != nil {
		return err
	}
	if err := watch.Current(h, now); err != nil {
		return err
	}
	if h.Number == nil {
		return errors.New("the revocation list has no number: nobody can tell whether it is the newest")
	}
	_, err := shown(h) // its scope and addresses can be read
	return err
}
