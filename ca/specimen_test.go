package ca_test

import (
	"crypto/x509"
	"errors"
	"testing"

	"github.com/sealpost/sealpost/ca"
)

// Every profile can be shown by a specimen that nobody's key has signed and of which nothing is stored.
func TestSpecimen(t *testing.T) {
	r := setup(t)
	before := r.d.Count(t, `select count(*) from ca.prepared`)
	for _, name := range r.Profiles() {
		der, err := r.Specimen(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if c.CheckSignatureFrom(r.Issuing) == nil {
			t.Errorf("%s: the issuer has signed it", name)
		}
		p, err := r.Profile(name)
		if err != nil || len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 || p.Mail() && len(c.EmailAddresses) == 0 {
			t.Errorf("%s: %v %v %v", name, err, c.ExtKeyUsage, c.EmailAddresses)
		}
	}
	if n := r.d.Count(t, `select count(*) from ca.prepared`); n != before {
		t.Errorf("%d are stored", n-before)
	}
	if _, err := r.Specimen("none"); !errors.Is(err, ca.ErrUnknownProfile) {
		t.Error(err)
	}
}
