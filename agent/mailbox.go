package agent

import (
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/net/idna"
)

var (
	oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidSMTPUTF8       = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 9} // id-on-SmtpUTF8Mailbox, RFC 9598 §3
)

// Tags of GeneralName, RFC 5280 §4.2.1.6.
var (
	tagOtherName = cbasn1.Tag(0).Constructed().ContextSpecific()
	tagRFC822    = cbasn1.Tag(1).ContextSpecific()
	tagValue     = cbasn1.Tag(0).Constructed().ContextSpecific() // of otherName, explicit
)

// normalMailbox returns an address as certificates have it: the local part as it is, the domain in lower-case A-labels
// (RFC 9598 §3, RFC 5280 §7.5).
func normalMailbox(s string) (string, error) {
	at := strings.LastIndexByte(s, '@')
	if at < 1 || !utf8.ValidString(s) {
		return "", ErrConfig.Withf("%q is not a mail address.", s)
	}
	domain, err := idna.Lookup.ToASCII(s[at+1:])
	if err != nil || domain == "" {
		return "", ErrConfig.Withf("The domain of the mail address %q is not a host name.", s).Because(err)
	}
	return s[:at+1] + domain, nil
}

// normalMailboxes returns the addresses in normal form, each once, in their order.
func normalMailboxes(mailboxes []string) ([]string, error) {
	var out []string
	for _, s := range mailboxes {
		m, err := normalMailbox(s)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(out, m) {
			out = append(out, m)
		}
	}
	return out, nil
}

func ascii(s string) bool { return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 }) }

// altNames returns the value of a subjectAltName extension with normal addresses: rfc822Name, or SmtpUTF8Mailbox where
// the local part needs it.
func altNames(mailboxes []string) ([]byte, error) {
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, m := range mailboxes {
			if ascii(m) {
				b.AddASN1(tagRFC822, func(b *cryptobyte.Builder) { b.AddBytes([]byte(m)) })
				continue
			}
			b.AddASN1(tagOtherName, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(oidSMTPUTF8)
				b.AddASN1(tagValue, func(b *cryptobyte.Builder) {
					b.AddASN1(cbasn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(m)) })
				})
			})
		}
	})
	return b.Bytes()
}

// certificateMailboxes returns the addresses of a certificate, of both kinds, normal where they can be. Other names are
// left out.
func certificateMailboxes(cert *x509.Certificate) ([]string, error) {
	found := slices.Clone(cert.EmailAddresses)
	for _, e := range cert.Extensions {
		if e.Id.Equal(oidSubjectAltName) {
			others, err := utf8Mailboxes(e.Value)
			if err != nil {
				return nil, err
			}
			found = append(found, others...)
		}
	}
	return normalMailboxes(found)
}

func utf8Mailboxes(san []byte) ([]string, error) {
	var out []string
	malformed := ErrAnswerMailboxes.Withf("The alternative names of a certificate that came cannot be read.")
	input := cryptobyte.String(san)
	var names cryptobyte.String
	if !input.ReadASN1(&names, cbasn1.SEQUENCE) || !input.Empty() {
		return nil, malformed
	}
	for !names.Empty() {
		var name, value, text cryptobyte.String
		var tag cbasn1.Tag
		var kind asn1.ObjectIdentifier
		if !names.ReadAnyASN1(&name, &tag) {
			return nil, malformed
		}
		if tag != tagOtherName {
			continue
		}
		if !name.ReadASN1ObjectIdentifier(&kind) || !name.ReadASN1(&value, tagValue) {
			return nil, malformed
		}
		if !kind.Equal(oidSMTPUTF8) {
			continue
		}
		if !value.ReadASN1(&text, cbasn1.UTF8String) || !value.Empty() {
			return nil, malformed
		}
		out = append(out, string(text))
	}
	return out, nil
}

// sameMailboxes reports whether both lists hold the same addresses, in any order.
func sameMailboxes(a, b []string) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(m string) bool { return !slices.Contains(b, m) })
}
