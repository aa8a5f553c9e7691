package record

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"slices"
)

const (
	signingUsages    = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
	decryptionUsages = x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement | x509.KeyUsageDataEncipherment
	issuingUsages    = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
)

// certificate reads a DER certificate. Chain, revocation and validity are the caller's to check.
func (r *reader) certificate(field string) *x509.Certificate {
	der := r.blob16(field, maxCertificate)
	if r.err != nil {
		return nil
	}
	c, err := x509.ParseCertificate(append([]byte(nil), der...))
	if err != nil {
		r.err = ErrFormat.Withf("The %s of this %s is no certificate.", field, r.what).Because(err)
		return nil
	}
	return c
}

func (w *writer) certificate(c *x509.Certificate) {
	if c == nil {
		w.err = ErrFormat.Withf("A certificate is missing.")
		return
	}
	w.blob16(c.Raw)
}

// signs refuses a certificate with whose key nothing here is signed.
func (r *reader) signs(field string, c *x509.Certificate) {
	if r.err != nil {
		return
	}
	if _, err := algorithmOf(c.PublicKey); err != nil {
		r.failed(field, err)
	}
}

// checkSigning holds that a certificate's key can sign and, as far as the certificate says, does nothing else.
func checkSigning(c *x509.Certificate) error {
	if _, err := algorithmOf(c.PublicKey); err != nil {
		return err
	}
	if c.KeyUsage != 0 && (c.KeyUsage&signingUsages == 0 || c.KeyUsage&(decryptionUsages|issuingUsages) != 0) || c.IsCA {
		return ErrFormat.Withf("The certificate is not one for signatures alone.")
	}
	return nil
}

// checkDecryption holds that something can be sealed to a certificate and that, as far as it says, its key does nothing else.
func checkDecryption(c *x509.Certificate) error {
	if err := checkReceives(c); err != nil {
		return err
	}
	if c.KeyUsage != 0 && (c.KeyUsage&decryptionUsages == 0 || c.KeyUsage&(signingUsages|issuingUsages) != 0) || c.IsCA {
		return ErrFormat.Withf("The certificate is not one for decryption alone.")
	}
	return nil
}

// checkReceives holds that something can be sealed to a certificate.
func checkReceives(c *x509.Certificate) error {
	switch k := c.PublicKey.(type) {
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() || k.Curve == elliptic.P384() || k.Curve == elliptic.P521() {
			return nil
		}
	case *rsa.PublicKey:
		if k.N.BitLen() >= minRSABits {
			return nil
		}
	}
	return ErrFormat.Withf("Nothing can be sealed to this certificate's kind of key.")
}

// hasUsage reports whether the certificate carries an extended key usage that is not one of x509's own.
func hasUsage(c *x509.Certificate, usage asn1.ObjectIdentifier) bool {
	return slices.ContainsFunc(c.UnknownExtKeyUsage, usage.Equal)
}
