package gal

import (
	"crypto/x509"
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"github.com/sealpost/sealpost/ca"
)

// VCards returns one vCard (RFC 6350) for each of the certificates that Find found of a mail address: the address, the name
// in the certificate, and the certificate as KEY. Nothing else is known of a person here, and nothing else is told.
func VCards(mailbox string, found []ca.Certificate) ([]byte, error) {
	m, err := ca.ParseMailbox(mailbox)
	if err != nil {
		return nil, err
	}
	var out strings.Builder
	for _, c := range found {
		cert, err := x509.ParseCertificate(c.DER)
		if err != nil {
			return nil, err
		}
		name := cert.Subject.CommonName
		if name == "" {
			name = m.String()
		}
		for _, line := range []string{"BEGIN:VCARD", "VERSION:4.0", "FN:" + escapeText(name), "EMAIL:" + escapeText(m.String()),
			"KEY:data:application/pkix-cert;base64," + base64.StdEncoding.EncodeToString(c.DER), "END:VCARD"} {
			fold(&out, line)
		}
	}
	return []byte(out.String()), nil
}

// escapeText escapes a text value (RFC 6350 §3.4).
func escapeText(s string) string {
	return strings.NewReplacer(`\`, `\\`, ",", `\,`, ";", `\;`, "\r", "", "\n", `\n`).Replace(s)
}

// foldAt is how many octets a line has at most, without its end (RFC 6350 §3.2).
const foldAt = 75

// fold writes a line, continued on further lines where it is long, and not within a character.
func fold(out *strings.Builder, line string) {
	for limit := foldAt; len(line) > limit; limit = foldAt - 1 {
		at := limit
		for at > 1 && !utf8.RuneStart(line[at]) {
			at--
		}
		out.WriteString(line[:at] + "\r\n ")
		line = line[at:]
	}
	out.WriteString(line + "\r\n")
}
