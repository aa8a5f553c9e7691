// Package attest decides what a statement proves about where a private key was made and whether it can be copied: by a TPM 2.0, whose
// maker endorsed it, or by a YubiKey. It computes and does nothing else: certificates to trust, time, and the secret of a
// challenge are given by who asks, who also decides what has to be proven.
//
// A TPM proves in two steps (TCG, "TPM 2.0 Keys for Device Identity and Attestation", section 5.1): the challenge can be opened only by the
// TPM with the endorsed key (EK), and it does so only for a key that it holds itself, makes statements with and never gives out (the
// attestation key, AIK). What that one then signs about the key in a certificate request has the opened secret in it, so it is new, and
// from that TPM.
//
// A YubiKey signs a certificate for each key that was made on it (Yubico, "PIV attestation"). There is no challenge in it: that the key is in
// the hands of who asks is what the certificate request shows.
package attest

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"slices"
	"time"

	"github.com/sealpost/sealpost/internal/fault"
)

// Faults of statements.
var (
	ErrStatement  = fault.New(fault.Malformed, "attestation-unreadable", "What should prove where the key was made cannot be read.")
	ErrEndorsed   = fault.New(fault.Denied, "attestation-not-endorsed", "The device that should prove where the key was made is not one of a maker that this server trusts.")
	ErrAttestKey  = fault.New(fault.Denied, "attestation-key", "The key that signed the statement is not one that only makes true statements.")
	ErrSignature  = fault.New(fault.Denied, "attestation-signature", "The statement about the key is not signed by the device that was asked.")
	ErrChallenge  = fault.New(fault.Denied, "attestation-challenge", "The statement about the key answers another question than this server asked this person. Ask for a new challenge.")
	ErrOtherKey   = fault.New(fault.Denied, "attestation-other-key", "The statement is about another key than the one in the certificate request.")
	ErrCopyable   = fault.New(fault.Denied, "attestation-copyable", "The key was not made in the device, or can leave it.")
	ErrNotSigning = fault.New(fault.Denied, "attestation-not-signing", "The key in the device is not one to sign with.")
	ErrPolicy     = fault.New(fault.Denied, "attestation-policy", "The key can be used without a PIN, and this server wants one.")
)

// Limits of what is read.
const (
	maxPart  = 4 << 10 // bytes of one structure or certificate
	maxChain = 8       // certificates
)

// Proof is what was proven about a key.
type Proof struct {
	Device string `json:"device"`          // "tpm" or "piv"
	Maker  string `json:"maker,omitempty"` // who vouches for the device: the subject of the trusted certificate
	Serial string `json:"serial,omitempty"`
	// Endorsement is the SHA-256 of the device's own certificate, hexadecimal: the EK's, or that of slot F9.
	Endorsement string `json:"endorsement"`

	Firmware string `json:"firmware,omitempty"` // of a YubiKey
	Slot     string `json:"slot,omitempty"`     // likewise: "9c"
	PIN      string `json:"pin,omitempty"`      // when the key wants it: never, once, always; "" if it is not said
	Touch    string `json:"touch,omitempty"`    // when it wants a touch: never, always, cached
}

// chain parses certificates and finds the way from the first to one that is trusted.
func chain(certs [][]byte, trusted *x509.CertPool, now time.Time) (leaf *x509.Certificate, way []*x509.Certificate, err error) {
	if len(certs) == 0 || len(certs) > maxChain {
		return nil, nil, ErrStatement.Withf("There must be 1 to %d certificates of the device.", maxChain)
	}
	intermediates := x509.NewCertPool()
	for i, der := range certs {
		if len(der) > maxPart {
			return nil, nil, ErrStatement.Withf("A certificate of the device is too large.")
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, nil, ErrStatement.Withf("A certificate of the device cannot be read.").Because(err)
		}
		if i == 0 {
			leaf = cert
		} else {
			intermediates.AddCert(cert)
		}
	}
	if trusted == nil {
		return nil, nil, ErrEndorsed.Withf("This server trusts no maker of such devices.")
	}
	// The names of a device are no mail address or host: what x509 does not understand of them says nothing about trust.
	leaf.UnhandledCriticalExtensions = slices.DeleteFunc(leaf.UnhandledCriticalExtensions, oidSubjectAltName.Equal)
	found, err := leaf.Verify(x509.VerifyOptions{Roots: trusted, Intermediates: intermediates, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired {
		return nil, nil, ErrEndorsed.Withf("The certificate of the device has ended, or is not valid yet.").Because(err)
	}
	if err != nil {
		return nil, nil, ErrEndorsed.Because(err)
	}
	return leaf, found[0], nil
}

var oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}
