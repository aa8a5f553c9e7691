package gal

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
)

// A Record is an SMIMEA record (RFC 8162): the certificate of a mail address in the domain name system.
type Record struct {
	Mailbox      string    `json:"mailbox"`
	Owner        string    `json:"owner"` // the record's whole name, without the last dot
	Usage        int       `json:"usage"`
	Selector     int       `json:"selector"`
	MatchingType int       `json:"matching_type"`
	Certificate  []byte    `json:"certificate"` // DER
	NotAfter     time.Time `json:"not_after"`
}

// SMIMEAOwner returns the name of an address's SMIMEA record, without the last dot: the first 28 octets of the SHA-256 of
// the part before the @, as it is (RFC 8162 §3). That part is a dot-atom, so that nothing in it needs to be unquoted first.
func SMIMEAOwner(m ca.Mailbox) string {
	sum := sha256.Sum256([]byte(m.Local))
	return hex.EncodeToString(sum[:28]) + "._smimecert." + m.Domain
}

// smimeaPage is how many people are read at a time.
const smimeaPage = 500

// SMIMEA returns the records of the addresses in one mail domain (A-labels) that are shown in the domain name system, in the
// order of their names. The certificate is there whole (3 0 0): a sender needs all of it to encrypt. An address with capital letters has a second
// record under its lower-case form, which is how most people write it: whoever asks by DNS must ask for what they were given.
func (p *Publisher) SMIMEA(ctx context.Context, zone string, a Audience) ([]Record, error) {
	out := []Record{}
	if a.Closed() {
		return out, nil
	}
	for after := uuid.Nil; ; {
		people, err := p.Authority.Holders(ctx, p.profiles.all(), after, smimeaPage)
		if err != nil {
			return nil, err
		}
		shown, err := p.Shown(ctx, people)
		if err != nil {
			return nil, err
		}
		for _, c := range shown {
			more, err := records(c, zone, a)
			if err != nil {
				return nil, fmt.Errorf("certificate %s of %s: %w", c.Serial, c.Issuer, err)
			}
			out = append(out, more...)
		}
		if len(people) < smimeaPage {
			break
		}
		after = people[len(people)-1]
	}
	slices.SortFunc(out, func(a, b Record) int {
		return cmp.Or(strings.Compare(a.Owner, b.Owner), bytes.Compare(a.Certificate, b.Certificate))
	})
	return slices.CompactFunc(out, func(a, b Record) bool { return a.Owner == b.Owner && bytes.Equal(a.Certificate, b.Certificate) }), nil
}

// records returns the records of one certificate.
func records(c ca.Certificate, zone string, a Audience) ([]Record, error) {
	cert, err := x509.ParseCertificate(c.DER)
	if err != nil {
		return nil, err
	}
	mailboxes, err := ca.MailboxesOf(cert)
	if err != nil {
		return nil, err
	}
	var out []Record
	for _, m := range mailboxes {
		if m.Domain != zone || !a.Shows(m) {
			continue
		}
		lower := ca.Mailbox{Local: strings.ToLower(m.Local), Domain: m.Domain}
		for _, form := range slices.Compact([]ca.Mailbox{m, lower}) {
			out = append(out, Record{Mailbox: form.String(), Owner: SMIMEAOwner(form), Usage: 3, Certificate: c.DER, NotAfter: c.NotAfter})
		}
	}
	return out, nil
}

// hexLine is how many digits of a record's data stand on a line.
const hexLine = 96

// WriteZone writes records as a zone file has them (RFC 1035 §5), to be included in the zone's own. Addresses are not in it.
func WriteZone(w io.Writer, records []Record, ttl time.Duration) error {
	var out strings.Builder
	for _, r := range records {
		fmt.Fprintf(&out, "%s. %d IN SMIMEA %d %d %d (\n", r.Owner, int(ttl/time.Second), r.Usage, r.Selector, r.MatchingType)
		for line := range slices.Chunk([]byte(hex.EncodeToString(r.Certificate)), hexLine) {
			fmt.Fprintf(&out, "\t%s\n", line)
		}
		out.WriteString("\t)\n")
	}
	_, err := io.WriteString(w, out.String())
	return err
}
