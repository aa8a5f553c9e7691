package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/sealpost/sealpost/cmd/sealpost/setup"
	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/internal/audit"
)

// oldCRL keeps the complete list from before the revocation.
const oldCRL = "crl/old.crl"

// fetchCRL fetches the issuing authority's list from every distribution point until all show the same, and leaves each in
// crl/; for openssl also as PEM, together with root, issuing certificate and the root's list. It returns the list.
func (d *Demo) fetchCRL(ctx context.Context) ([]byte, error) {
	var der []byte
	err := eventually(ctx, func(ctx context.Context) (err error) {
		der, err = d.fetchAll(ctx, crl.Kind{})
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := d.write(der, "crl", "issuing.crl"); err != nil {
		return nil, err
	}
	return der, d.trust(ctx, "pki/root-and-crls.pem", "crl/issuing.crl")
}

// fetchAll fetches a list from every distribution point once, leaves each in crl/, and fails if they are not the same.
func (d *Demo) fetchAll(ctx context.Context, k crl.Kind) (first []byte, err error) {
	for _, p := range d.places(k) {
		der, err := d.fetch(ctx, p.address)
		if err != nil {
			return nil, err
		}
		if !k.Delta {
			if err := d.write(der, "crl", p.name+".crl"); err != nil {
				return nil, err
			}
		}
		if first == nil {
			first = der
		}
		if !bytes.Equal(der, first) {
			return nil, fmt.Errorf("%s shows another list than HTTP", p.name)
		}
	}
	return first, nil
}

// trust writes what a relying party has: the root with its list, and lists of the issuing authority, for openssl in PEM.
func (d *Demo) trust(ctx context.Context, to string, lists ...string) error {
	var parts [][]byte
	for _, f := range lists {
		pem, err := d.program(ctx, "openssl", "crl", "-inform", "DER", "-in", f)
		if err != nil {
			return err
		}
		parts = append(parts, []byte(pem))
	}
	for _, f := range []string{setup.RootCertificate, "pki/root-crl.pem"} {
		b, err := os.ReadFile(d.path(f))
		if err != nil {
			return err
		}
		parts = append(parts, b)
	}
	return d.write(bytes.Join(parts, []byte("\n")), to)
}

// crlText has openssl check a list's signature and show it.
func (d *Demo) crlText(ctx context.Context, file string) (string, error) {
	return d.program(ctx, "openssl", "crl", "-inform", "DER", "-in", file, "-CAfile", setup.IssuingCertificate, "-noout", "-text")
}

var crlNumber = regexp.MustCompile(`X509v3 CRL Number: *\n *(\w+)`)

// numberIn returns a list's number from what openssl shows.
func numberIn(text string) string {
	if m := crlNumber.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return "unknown"
}

// crlPublished has the next list made, as happens every few hours: the very first does not name a delta, since there was none
// yet. It compares what the distribution points show, and finds the addresses of HTTP and LDAP in a certificate.
func (d *Demo) crlPublished(ctx context.Context) (string, error) {
	next, err := d.server.CRL.Renew(ctx, setup.IssuerID)
	if err != nil {
		return "", err
	}
	var der []byte
	var text string
	err = eventually(ctx, func(ctx context.Context) error {
		if der, err = d.fetchCRL(ctx); err != nil {
			return err
		}
		if text, err = d.crlText(ctx, "crl/issuing.crl"); err == nil && numberIn(text) != fmt.Sprint(next.Number) {
			err = fmt.Errorf("all show number %s, and %d is the newest", numberIn(text), next.Number)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	if err := d.write(der, oldCRL); err != nil {
		return "", err
	}
	named, err := d.program(ctx, "openssl", "x509", "-in", "people/alice/signing.pem", "-noout", "-ext", "crlDistributionPoints")
	if err != nil {
		return "", err
	}
	for _, p := range d.places(crl.Kind{})[:2] {
		if !strings.Contains(named, "URI:"+p.address+"\n") {
			return "", fmt.Errorf("alice's certificate does not name %s: %s", p.address, clip(named))
		}
	}
	return fmt.Sprintf("curl and ldapsearch fetch the same %d bytes (number %s) at four places, two of them named in alice's certificate; openssl crl: signature good",
		len(der), numberIn(text)), nil
}

// untilShown waits until every distribution point shows a serial as revoked, and returns how long that took at each.
func (d *Demo) untilShown(ctx context.Context, start time.Time, serial string) (map[string]time.Duration, error) {
	shown := map[string]time.Duration{}
	places := d.places(crl.Kind{})
	return shown, eventually(ctx, func(ctx context.Context) error {
		for _, p := range places {
			if shown[p.name] > 0 {
				continue
			}
			der, err := d.fetch(ctx, p.address)
			if err != nil {
				return err
			}
			text, err := d.programWith(ctx, nil, der, "openssl", "crl", "-inform", "DER", "-noout", "-text")
			if err != nil {
				return err
			}
			if revokes(text, serial) {
				shown[p.name] = time.Since(start)
			}
		}
		if len(shown) < len(places) {
			return fmt.Errorf("of %d distribution points, %d show the revocation", len(places), len(shown))
		}
		return nil
	})
}

// revokes reports whether a list, as openssl shows it, holds a serial.
func revokes(text, serial string) bool {
	return strings.Contains(text, "Serial Number: "+strings.ToUpper(serial)+"\n")
}

// readBack shows what each distribution point shows, and what Sealpost itself saw there, as outsiders do.
func (d *Demo) readBack(ctx context.Context) (string, error) {
	var number string
	var said []string
	for _, p := range d.places(crl.Kind{}) {
		text, err := d.crlText(ctx, "crl/"+p.name+".crl")
		if err != nil {
			return "", err
		}
		if !revokes(text, d.carol.serial) {
			return "", fmt.Errorf("crl/%s.crl does not hold carol's serial", p.name)
		}
		number = numberIn(text)
		said = append(said, fmt.Sprintf("%s after %.1f s", p.name, d.carol.shown[p.name].Seconds()))
	}
	err := eventually(ctx, func(ctx context.Context) error { return d.sealpostSaw(ctx, number) })
	return fmt.Sprintf("curl, ldapsearch, openssl crl: %s, the same bytes, with carol's serial; sealpost crl status: number %s read back at all four",
		strings.Join(said, ", "), number), err
}

// sealpostSaw returns an error unless Sealpost has read the list with this number back at every distribution point.
func (d *Demo) sealpostSaw(ctx context.Context, number string) error {
	status, err := d.server.CRL.Status(ctx, audit.System("demo"))
	if err != nil {
		return err
	}
	seen := map[string]string{}
	for _, s := range status.Points {
		if s.File == (crl.Kind{}).FileName(setup.IssuerID) {
			seen[s.Point] = fmt.Sprint(s.Number) + s.Failure
		}
	}
	for _, p := range d.places(crl.Kind{}) {
		if seen[p.point] != number {
			return fmt.Errorf("sealpost has not read number %s back at point %s, but %q", number, p.point, seen[p.point])
		}
	}
	return nil
}

// deltaSuffices shows a relying party that has the list from before the revocation, and the delta.
func (d *Demo) deltaSuffices(ctx context.Context) (string, error) {
	var delta []byte
	err := eventually(ctx, func(ctx context.Context) (err error) {
		if delta, err = d.fetchAll(ctx, crl.Kind{Delta: true}); err != nil {
			return err
		}
		if err := d.write(delta, "crl", "delta.crl"); err != nil {
			return err
		}
		text, err := d.crlText(ctx, "crl/delta.crl")
		if err == nil && !(strings.Contains(text, "X509v3 Delta CRL Indicator") && revokes(text, d.carol.serial)) {
			err = errors.New("the delta does not hold carol's serial")
		}
		return err
	})
	if err != nil {
		return "", err
	}
	complete, err := d.crlText(ctx, oldCRL)
	if err != nil {
		return "", err
	}
	if address := d.places(crl.Kind{Delta: true})[0].address; !strings.Contains(complete, "URI:"+address+"\n") {
		return "", fmt.Errorf("the complete list does not name %s", address)
	}
	verify := func(trust string) []string {
		return []string{"verify", "-purpose", "smimesign", "-crl_check_all", "-use_deltas", "-extended_crl", "-CAfile", trust,
			"-untrusted", setup.IssuingCertificate, "people/carol/signing.pem"}
	}
	const without, with = "pki/root-and-old-crl.pem", "pki/root-and-delta.pem"
	if err := errors.Join(d.trust(ctx, without, oldCRL), d.trust(ctx, with, oldCRL, "crl/delta.crl")); err != nil {
		return "", err
	}
	if _, err := d.program(ctx, "openssl", verify(without)...); err != nil {
		return "", fmt.Errorf("with the old list alone: %w", err)
	}
	return fmt.Sprintf("openssl verify -use_deltas: with the old list alone still good, with the delta (%d bytes, the same at four places) «certificate revoked»", len(delta)),
		d.refused(ctx, "certificate revoked", "openssl", verify(with)...)
}
