package demo

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"os"
	"strings"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/cmd/sealpost/server"
	"github.com/sealpost/sealpost/cmd/sealpost/setup"
)

// fetchCRL fetches the issuing authority's list over HTTP and leaves it in crl/, for openssl also as PEM, together with
// root, issuing certificate and the root's list.
func (d *Demo) fetchCRL(ctx context.Context) ([]byte, error) {
	der, err := d.publicURL(ctx, "/crl/issuing.crl")
	if err != nil {
		return nil, err
	}
	if err := d.write(der, "crl", "issuing.crl"); err != nil {
		return nil, err
	}
	list, err := d.program(ctx, "openssl", "crl", "-inform", "DER", "-in", "crl/issuing.crl")
	if err != nil {
		return nil, err
	}
	parts := [][]byte{[]byte(list)}
	for _, f := range []string{setup.RootCertificate, "pki/root-crl.pem"} {
		b, err := os.ReadFile(d.path(f))
		if err != nil {
			return nil, err
		}
		parts = append(parts, b)
	}
	return der, d.write(bytes.Join(parts, []byte("\n")), "pki", "root-and-crls.pem")
}

// publicURL fetches something from the public listener.
func (d *Demo) publicURL(ctx context.Context, path string) ([]byte, error) {
	file := d.sockets + "/fetched"
	_, err := d.program(ctx, "curl", "-sS", "--fail", "--max-time", "20", "-o", file, strings.TrimSuffix(d.config.PublicURL, "/")+path)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(file)
}

// crlPublished compares the list that HTTP serves with the one in the directory.
func (d *Demo) crlPublished(ctx context.Context) (string, error) {
	var number *big.Int
	err := eventually(ctx, func(ctx context.Context) error {
		served, err := d.fetchCRL(ctx)
		if err != nil {
			return err
		}
		ldif, err := d.ldapsearch(ctx, crlEntry, "(objectClass=pkiCA)", "certificateRevocationList;binary")
		if err != nil {
			return err
		}
		shown, err := binaryValues(ldif, "certificateRevocationList;binary")
		if err != nil {
			return err
		}
		if len(shown) != 1 || !bytes.Equal(shown[0], served) {
			return fmt.Errorf("the directory shows %d lists, or another than HTTP", len(shown))
		}
		list, err := x509.ParseRevocationList(served)
		if err == nil {
			number = list.Number
		}
		return err
	})
	if err != nil {
		return "", err
	}
	_, err = d.program(ctx, "openssl", "crl", "-inform", "DER", "-in", "crl/issuing.crl", "-noout", "-CAfile", setup.IssuingCertificate)
	return fmt.Sprintf("curl and ldapsearch fetch the same bytes (number %s); openssl crl: signature good", number), err
}

// revoked enrols carol, revokes her signing certificate, and lets openssl refuse it.
func (d *Demo) revoked(ctx context.Context) (string, error) {
	if err := d.enrol(ctx, "carol"); err != nil {
		return "", err
	}
	verify := []string{"verify", "-purpose", "smimesign", "-crl_check_all", "-CAfile", "pki/root-and-crls.pem", "-untrusted", setup.IssuingCertificate, "people/carol/signing.pem"}
	if _, err := d.program(ctx, "openssl", verify...); err != nil {
		return "", fmt.Errorf("before the revocation: %w", err)
	}
	serial, err := d.revoke(ctx, "carol")
	if err != nil {
		return "", err
	}
	err = eventually(ctx, func(ctx context.Context) error {
		der, err := d.fetchCRL(ctx)
		if err != nil {
			return err
		}
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			return err
		}
		for _, e := range list.RevokedCertificateEntries {
			if fmt.Sprintf("%x", e.SerialNumber) == strings.TrimLeft(serial, "0") {
				return nil
			}
		}
		return errors.New("the list does not hold the serial yet")
	})
	if err != nil {
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
	err := eventually(ctx, func(ctx context.Context) error {
		for login, want := range map[string]string{"carol": ": revoked", "bob": ": good"} {
			out, err := d.program(ctx, "openssl", "ocsp", "-issuer", setup.IssuingCertificate, "-cert", d.path("people", login, "signing.pem"),
				"-CAfile", setup.RootCertificate, "-url", d.config.OCSPURL(setup.IssuerID), "-no_nonce")
			if err != nil {
				return err
			}
			if !strings.Contains(out, "Response verify OK") || !strings.Contains(out, want) {
				return fmt.Errorf("openssl ocsp says of %s: %s", login, clip(out))
			}
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return "openssl ocsp, at the URL in the certificates: carol revoked, bob good", nil
}
