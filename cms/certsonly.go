package cms

import "crypto/x509"

// ParseCertsOnly unpacks what bundle.Write and others write, at most DefaultMaxSize
// bytes. A message with a signer or content is refused, so that no signature
// passes unverified.
func ParseCertsOnly(der []byte) ([]*x509.Certificate, error) {
	if err := checkDER(der, DefaultMaxSize); err != nil {
		return nil, err
	}
	data, err := parseSignedData(der)
	if err != nil {
		return nil, err
	}
	if len(data.signers) != 0 || data.content != nil {
		return nil, ErrMalformed.Withf("The message is signed; a bundle of certificates alone is required.")
	}
	if len(data.certificates) == 0 {
		return nil, ErrMalformed.Withf("The message carries no certificates.")
	}
	return data.certificates, nil
}

// CertificatesIn returns the certificates that a SignedData carries, as directories hold it in userSMIMECertificate (RFC
// 2798 §2.8), and whether somebody signed it. Nothing is verified: who relies on a certificate checks it.
func CertificatesIn(der []byte) (certs []*x509.Certificate, signed bool, err error) {
	if err := checkDER(der, DefaultMaxSize); err != nil {
		return nil, false, err
	}
	data, err := parseSignedData(der)
	if err != nil {
		return nil, false, err
	}
	return data.certificates, len(data.signers) > 0, nil
}
