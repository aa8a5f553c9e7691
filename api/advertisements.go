package api

// CertificateName names a certificate of this installation.
type CertificateName struct {
	Issuer string `json:"issuer" doc:"Name of the issuer in this installation."`
	Serial string `json:"serial" doc:"Lower-case hexadecimal."`
}

// Advertisement is what a person's program says about them to those who write to them, for userSMIMECertificate of their
// directory entry.
type Advertisement struct {
	Value []byte `json:"value" doc:"SignedData in DER, at most 32 KiB (docs/gal.md, Signed values)."`
}

// Advertised is an Advertisement as it is kept.
type Advertised struct {
	Encryption CertificateName `json:"encryption" doc:"The certificate to encrypt to."`
	Signing    CertificateName `json:"signing" doc:"The certificate that signed."`
	SHA256     string          `json:"sha256" doc:"Of the value, lower-case hexadecimal."`
}
