package demo

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/cmd/sealpost/server"
	"github.com/sealpost/sealpost/cmd/sealpost/setup"
)

// carol is who loses her computer.
type carol struct {
	serial string                   // of her signing certificate, in hexadecimal
	ocsp   time.Duration            // from the revocation until openssl had the responder's word
	shown  map[string]time.Duration // until each distribution point was seen to show it
}

// revoked enrols carol, revokes her signing certificate, and lets openssl refuse it.
func (d *Demo) revoked(ctx context.Context) (string, error) {
	err := d.enrol(ctx, "carol")
	if err != nil {
		return "", err
	}
	verify := []string{"verify", "-purpose", "smimesign", "-crl_check_all", "-CAfile", "pki/root-and-crls.pem", "-untrusted", setup.IssuingCertificate, "people/carol/signing.pem"}
	if _, err := d.program(ctx, "openssl", verify...); err != nil {
		return "", fmt.Errorf("before the revocation: %w", err)
	}
	if d.carol.serial, err = d.revoke(ctx, "carol"); err != nil {
		return "", err
	}
	start := time.Now()
	if err := eventually(ctx, func(ctx context.Context) error { return d.ocspSays(ctx, "carol", ": revoked") }); err != nil {
		return "", err
	}
	d.carol.ocsp = time.Since(start)
	if d.carol.shown, err = d.untilShown(ctx, start, d.carol.serial); err != nil {
		return "", err
	}
	if _, err := d.fetchCRL(ctx); err != nil {
		return "", err
	}
	return "openssl verify -crl_check_all: good before, «certificate revoked» after", d.refused(ctx, "certificate revoked", "openssl", verify...)
}

// revoke revokes a person's signing certificate, as that person.
func (d *Demo) revoke(ctx context.Context, login string) (serial string, err error) {
	leaf, err := server.ReadCertificates(d.path("people", login, "signing.pem"))
	if err != nil {
		return "", err
	}
	serial = fmt.Sprintf("%x", leaf[0].SerialNumber)
	if len(serial)%2 == 1 {
		serial = "0" + serial
	}
	c, err := d.client(login)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_, err = c.Revoke(ctx, setup.IssuerID, serial, api.RevocationRequest{Reason: "keyCompromise"})
	return serial, err
}

// ocsp asks the responder about both. A revocation is there within a second.
func (d *Demo) ocsp(ctx context.Context) (string, error) {
	for login, want := range map[string]string{"carol": ": revoked", "bob": ": good"} {
		if err := d.ocspSays(ctx, login, want); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("openssl ocsp, at the URL in the certificates: carol revoked, bob good; it had said so of carol %d ms after the revocation",
		d.carol.ocsp.Milliseconds()), nil
}

// ocspSays asks the responder once about a person's signing certificate.
func (d *Demo) ocspSays(ctx context.Context, login, want string) error {
	out, err := d.program(ctx, "openssl", "ocsp", "-issuer", setup.IssuingCertificate, "-cert", d.path("people", login, "signing.pem"),
		"-CAfile", setup.RootCertificate, "-url", d.config.OCSPURL(setup.IssuerID), "-no_nonce")
	if err != nil {
		return err
	}
	if !strings.Contains(out, "Response verify OK") || !strings.Contains(out, want) {
		return fmt.Errorf("openssl ocsp says of %s: %s", login, clip(out))
	}
	return nil
}
