package cms

import (
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"time"
)

// VerifyOptions say what is expected of a signature. Who is trusted must be said:
// one of Roots, Signer or AllowAnySigner has to be set. Revocation is not looked
// at: that is the caller's.
type VerifyOptions struct {
	// Content is the signed content of a detached signature. It must be nil
	// when the message carries its content, and non-nil when it does not.
	Content []byte
	// ContentType is what the content has to be; empty means id-data.
	ContentType asn1.ObjectIdentifier
	// Signer is the certificate that must have signed. It need not be in the
	// message.
	Signer *x509.Certificate
	// Roots that the signer's chain must reach. Intermediates are taken from
	// the message and from Intermediates.
	Roots         *x509.CertPool
	Intermediates []*x509.Certificate
	// ExtKeyUsages of which the chain must allow one; empty means any. Only
	// looked at together with Roots.
	ExtKeyUsages []x509.ExtKeyUsage
	// At is the time for which the chain is checked; zero means now. The
	// signing time in the message is the signer's claim and is not used.
	At time.Time
	// AllowAnySigner accepts whoever signed, with whatever certificate came in
	// the message: it proves possession of a key and nothing about a person.
	AllowAnySigner bool
	// BER accepts indefinite lengths and content in pieces, as mail programs write
	// them. The signed attributes have to be DER in any case (RFC 5652 §5.3).
	BER bool
	// MaxSize in bytes of the whole message; zero means DefaultMaxSize.
	MaxSize int
}

// Signed is a message whose signature held.
type Signed struct {
	ContentType asn1.ObjectIdentifier
	Content     []byte
	Signer      *x509.Certificate
	// Certificates are all that came in the message, unchecked.
	Certificates []*x509.Certificate
	// SigningTime is what the signer claims; zero when absent.
	SigningTime time.Time
}

// Verify checks SignedData in DER with exactly one signer and signed attributes.
// It checks that the attributes name the content's type and digest, that the
// signature over them is by the signer's key and uses the same digest (SHA-256,
// SHA-384 or SHA-512), that the signer's certificate is for signing, and that the
// signer is trusted as the options say. A message that is not understood is
// ErrMalformed, ErrTooLarge or ErrUnsupported; one that does not hold is ErrVerify.
func Verify(der []byte, opt VerifyOptions) (*Signed, error) {
	if opt.Roots == nil && opt.Signer == nil && !opt.AllowAnySigner {
		return nil, ErrVerify.Withf("Nobody is trusted to have signed.")
	}
	der, err := readable(der, opt.MaxSize, opt.BER)
	if err != nil {
		return nil, err
	}
	data, err := parseSignedData(der)
	if err != nil {
		return nil, err
	}
	if len(data.signers) != 1 {
		return nil, ErrVerify.Withf("The message has %d signers; exactly one is required.", len(data.signers))
	}
	signer, err := parseSignerInfo(data.signers[0])
	if err != nil {
		return nil, err
	}
	content, err := data.contentFor(opt)
	if err != nil {
		return nil, err
	}
	cert, err := data.signerCertificate(signer, opt)
	if err != nil {
		return nil, err
	}
	if err := data.checkAttributes(signer, content); err != nil {
		return nil, err
	}
	if err := checkSignature(cert, signer.hash, signer.algorithm, signer.signed, signer.signature); err != nil {
		return nil, err
	}
	if err := data.checkTrust(cert, opt); err != nil {
		return nil, err
	}
	at, _ := signer.attributes.signingTime()
	return &Signed{ContentType: data.contentType, Content: content, Signer: cert, Certificates: data.certificates, SigningTime: at}, nil
}

// contentFor returns what was signed, from the message or from the options, but
// never from both.
func (d *signedData) contentFor(opt VerifyOptions) ([]byte, error) {
	want := opt.ContentType
	if len(want) == 0 {
		want = OIDData
	}
	if !d.contentType.Equal(want) {
		return nil, ErrVerify.Withf("The signed content is of type %v, not %v.", d.contentType, want)
	}
	switch {
	case d.content == nil && opt.Content == nil:
		return nil, ErrVerify.Withf("The signature is detached and its content was not given.")
	case d.content != nil && opt.Content != nil:
		return nil, ErrVerify.Withf("The message carries its content; no other can be given.")
	case d.content != nil:
		return d.content, nil
	}
	return opt.Content, nil
}

// signerCertificate finds the certificate that the SignerInfo names.
func (d *signedData) signerCertificate(signer *signerInfo, opt VerifyOptions) (*x509.Certificate, error) {
	candidates := slices.Concat(d.certificates, opt.Intermediates)
	if opt.Signer != nil {
		candidates = []*x509.Certificate{opt.Signer}
	}
	for _, cert := range candidates {
		if !signer.matches(cert) {
			continue
		}
		if !mayUseForSigning(cert) {
			return nil, ErrVerify.Withf("The signer's certificate is not for signing.")
		}
		return cert, nil
	}
	if opt.Signer != nil {
		return nil, ErrVerify.Withf("The message is not signed by the certificate of serial %x.", opt.Signer.SerialNumber)
	}
	return nil, ErrVerify.Withf("The signer's certificate is missing.")
}

// checkAttributes compares the signed attributes with the content, and the
// signer's digest with those announced for the message.
func (d *signedData) checkAttributes(signer *signerInfo, content []byte) error {
	typ, ok1 := signer.attributes.contentType()
	digest, ok2 := signer.attributes.messageDigest()
	_, ok3 := signer.attributes.signingTime()
	announced := slices.ContainsFunc(d.digests, func(a algorithm) bool { return a.oid.Equal(signer.digest.oid) && a.plain() })
	if !ok1 || !ok2 || !ok3 || !announced {
		return ErrMalformed
	}
	if !typ.Equal(d.contentType) {
		return ErrVerify.Withf("The content is not of the type that was signed.")
	}
	h := signer.hash.New()
	h.Write(content)
	if subtle.ConstantTimeCompare(h.Sum(nil), digest) != 1 {
		return ErrVerify.Withf("The content is not what was signed.")
	}
	return nil
}

// checkTrust checks the chain to the roots, if roots are given.
func (d *signedData) checkTrust(cert *x509.Certificate, opt VerifyOptions) error {
	if opt.Roots == nil {
		return nil
	}
	intermediates := x509.NewCertPool()
	for _, c := range slices.Concat(d.certificates, opt.Intermediates) {
		intermediates.AddCert(c)
	}
	usages := opt.ExtKeyUsages
	if len(usages) == 0 {
		usages = []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
	}
	_, err := cert.Verify(x509.VerifyOptions{Roots: opt.Roots, Intermediates: intermediates, KeyUsages: usages, CurrentTime: opt.At})
	if err != nil {
		return ErrVerify.Withf("The signer's certificate is not trusted.").Because(err)
	}
	return nil
}
