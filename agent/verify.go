package agent

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/sealpost/sealpost/api"
)

var oidKeyUsage = asn1.ObjectIdentifier{2, 5, 29, 15}

const (
	signingUsage   = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
	encipherUsage  = x509.KeyUsageKeyEncipherment | x509.KeyUsageDataEncipherment | x509.KeyUsageKeyAgreement | x509.KeyUsageEncipherOnly | x509.KeyUsageDecipherOnly
	authorityUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
)

// verifyAnswer checks everything about certificates that came for a request: whose they are, which keys they hold, who
// issued them, what they are for, which addresses they name, and that the archive has receipted the encryption key. It
// returns the pair with chains as they were verified, up to and with the root.
func verifyAnswer(p *pending, st api.EnrolmentStatus, anchors *x509.CertPool, now time.Time) (*Pair, error) {
	if st.Person != p.Person.ID || p.ID != nil && st.ID != *p.ID {
		return nil, ErrAnswerPerson
	}
	pair := &Pair{Enrolment: p.Enrolment, Name: p.Name, Request: st.ID, KeptAt: now.UTC()}
	c := answerCheck{pending: p, status: st, anchors: anchors, now: now}
	var err error
	if !p.SigningKey.IsZero() {
		if pair.Signing, err = c.half(signingHalf, p.SigningKey); err != nil {
			return nil, err
		}
	}
	if !p.EncryptionKey.IsZero() {
		if pair.Encryption, err = c.half(encryptionHalf, p.EncryptionKey); err != nil {
			return nil, err
		}
		if len(p.EscrowedKey) > 0 {
			if pair.Receipt, err = c.receipt(); err != nil {
				return nil, err
			}
		}
	}
	return pair, nil
}

// half is which part of a pair a certificate is.
type half string

const (
	signingHalf    half = "signing"
	encryptionHalf half = "encryption"
)

type answerCheck struct {
	pending *pending
	status  api.EnrolmentStatus
	anchors *x509.CertPool
	now     time.Time
}

// half finds and checks the certificate for one of our keys.
func (c answerCheck) half(which half, key Key) (*Held, error) {
	spki, err := key.public()
	if err != nil {
		return nil, err
	}
	cert, wire, err := c.find(which, spki)
	if err != nil {
		return nil, err
	}
	intermediates, err := parseChain(wire.Chain)
	if err != nil {
		return nil, ErrAnswerTrust.Withf("The chain of the %s certificate cannot be read.", which).Because(err)
	}
	chains, err := cert.Verify(x509.VerifyOptions{Roots: c.anchors, Intermediates: pool(intermediates), CurrentTime: c.now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}})
	if err != nil {
		return nil, ErrAnswerTrust.Withf("The %s certificate that came does not chain to the trusted roots, or is not valid for mail at this machine's time (%s).",
			which, c.now.UTC().Format(time.RFC3339)).Because(err)
	}
	if err := checkUsage(which, cert, c.pending.single()); err != nil {
		return nil, err
	}
	if err := c.checkMailboxes(which, cert); err != nil {
		return nil, err
	}
	held := &Held{Issuer: wire.Issuer, Serial: wire.Serial, Certificate: cert.Raw, Key: key}
	for _, issuer := range chains[0][1:] {
		held.Chain = append(held.Chain, issuer.Raw)
	}
	return held, nil
}

// find returns the certificate for the public key (SubjectPublicKeyInfo).
func (c answerCheck) find(which half, spki []byte) (*x509.Certificate, *api.Certificate, error) {
	if len(c.status.Certificates) < len(c.pending.keys()) {
		return nil, nil, ErrAnswerIncomplete
	}
	for i := range c.status.Certificates {
		wire := &c.status.Certificates[i]
		cert, err := x509.ParseCertificate(wire.DER)
		if err != nil {
			return nil, nil, ErrAnswerIncomplete.Withf("A certificate that came cannot be read.").Because(err)
		}
		if !bytes.Equal(cert.RawSubjectPublicKeyInfo, spki) {
			continue
		}
		serial, ok := new(big.Int).SetString(wire.Serial, 16)
		if !ok || serial.Cmp(cert.SerialNumber) != 0 || wire.Serial != strings.ToLower(wire.Serial) {
			return nil, nil, ErrAnswerIncomplete.Withf("The %s certificate that came has another serial number than the server says.", which)
		}
		return cert, wire, nil
	}
	return nil, nil, ErrAnswerKey.Withf("No %s certificate for the key made here came.", which)
}

// checkUsage holds that a certificate is for its half alone (RFC 8550 §4.4.2, RFC 5480 §3, RFC 3279 §2.3.1), or at least
// for that when it is to serve both.
func checkUsage(which half, cert *x509.Certificate, single bool) error {
	wrong := ErrAnswerUsage.Withf("The key usage of the %s certificate that came is not one for %s.", which, which)
	if cert.IsCA || cert.KeyUsage&authorityUsage != 0 || !critical(cert, oidKeyUsage) {
		return wrong
	}
	if !slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageEmailProtection) {
		return ErrAnswerUsage.Withf("The %s certificate that came is not for mail.", which)
	}
	encipher := x509.KeyUsageKeyAgreement
	if _, ok := cert.PublicKey.(*rsa.PublicKey); ok {
		encipher = x509.KeyUsageKeyEncipherment
	}
	needed, foreign := x509.KeyUsageDigitalSignature, encipherUsage
	if which == encryptionHalf { // above all, an archived key must not be able to sign
		needed, foreign = encipher, signingUsage
	}
	if cert.KeyUsage&needed == 0 || cert.KeyUsage&foreign != 0 && !single {
		return wrong
	}
	return nil
}

func critical(cert *x509.Certificate, id asn1.ObjectIdentifier) bool {
	for _, e := range cert.Extensions {
		if e.Id.Equal(id) {
			return e.Critical
		}
	}
	return false
}

// checkMailboxes holds that a certificate names our addresses: those that the policy told us when the request was made,
// or, when the directory has changed since, those that the server says it certified, if one of ours is among them.
func (c answerCheck) checkMailboxes(which half, cert *x509.Certificate) error {
	have, err := certificateMailboxes(cert)
	if err != nil {
		return err
	}
	ours, err := normalMailboxes(c.pending.Person.Mailboxes)
	if err != nil {
		return err
	}
	if sameMailboxes(have, ours) {
		return nil
	}
	theirs, err := normalMailboxes(c.status.Mailboxes)
	if err == nil && sameMailboxes(have, theirs) && slices.ContainsFunc(ours, func(m string) bool { return slices.Contains(have, m) }) {
		return nil
	}
	return ErrAnswerMailboxes.Withf("The %s certificate that came names %s; asked for was %s.", which, list(have), list(ours))
}

func list(names []string) string {
	if len(names) == 0 {
		return "no address"
	}
	return strings.Join(names, ", ")
}

// publicBytes returns the SubjectPublicKeyInfo of one of our private keys.
func publicBytes(pkcs8 []byte) ([]byte, error) {
	key, err := parseKey(pkcs8)
	if err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, ErrState.Because(err)
	}
	return spki, nil
}
