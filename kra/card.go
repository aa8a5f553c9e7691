package kra

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"strings"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive/record"
)

// A card is a PEM text that the authority's operator hands out: a block that says whose it is, with a checksum over what
// follows, and the certificates, leaf first, then the issuers'. Programs that know nothing of cards see the certificates.
//
//	-----BEGIN SEALPOST AGENT CARD-----
//	Person: 3f0c1d6e-0d0b-4d0e-9a43-5b1f6f3a2c11
//	Version: 1
//
//	base64 of SHA-256 over the certificates (DER), concatenated
//	-----END SEALPOST AGENT CARD-----
//	-----BEGIN CERTIFICATE-----   the signing certificate (on a recipient's card: the only one)
//	-----BEGIN CERTIFICATE-----   the decryption certificate (not on a recipient's card)
//	-----BEGIN CERTIFICATE-----   …   the chain
//
// A card is not signed and proves nothing: its certificates do, and the officers compare the plan that is made of cards.
const (
	agentBlock     = "SEALPOST AGENT CARD"
	recipientBlock = "SEALPOST RECIPIENT CARD"
	cardVersion    = "1"
	maxCard        = 1 << 18 // bytes
	maxChain       = 8       // certificates
)

// AgentCard is who a recovery agent is: what the operator returns for two certificate requests, and what plans are made of.
type AgentCard struct {
	Person     uuid.UUID // in the directory of the authority
	Name       string    // the certificates' common name
	Signing    *x509.Certificate
	Decryption *x509.Certificate
	Chain      []*x509.Certificate // issuing certificates; the root may be among them and is not trusted for it
}

// RecipientCard is who may receive recovered keys in business or legal cases.
type RecipientCard struct {
	Person      uuid.UUID
	Name        string // the certificate's common name
	Certificate *x509.Certificate
	Chain       []*x509.Certificate
}

// NewAgentCard makes a card of the certificates that were issued to one person. Both must be for the same name.
func NewAgentCard(person uuid.UUID, signing, decryption *x509.Certificate, chain []*x509.Certificate) (*AgentCard, error) {
	if signing == nil || decryption == nil {
		return nil, ErrCard.Withf("An agent's card holds two certificates.")
	}
	c := &AgentCard{Person: person, Name: commonName(signing), Signing: signing, Decryption: decryption, Chain: chain}
	if commonName(decryption) != c.Name {
		return nil, ErrCard.Withf("The two certificates of this card are for different people.")
	}
	if same(signing.PublicKey, decryption.PublicKey) {
		return nil, ErrCard.Withf("The two certificates of this card are for the same key.")
	}
	if err := checkCard(person, c.Name, chain); err != nil {
		return nil, err
	}
	return c, nil
}

// NewRecipientCard makes a card of a recipient's certificate.
func NewRecipientCard(person uuid.UUID, certificate *x509.Certificate, chain []*x509.Certificate) (*RecipientCard, error) {
	if certificate == nil {
		return nil, ErrCard.Withf("A recipient's card holds a certificate.")
	}
	c := &RecipientCard{Person: person, Name: commonName(certificate), Certificate: certificate, Chain: chain}
	if err := checkCard(person, c.Name, chain); err != nil {
		return nil, err
	}
	return c, nil
}

func checkCard(person uuid.UUID, name string, chain []*x509.Certificate) error {
	switch {
	case person == uuid.Nil:
		return ErrCard.Withf("This card does not say whose it is.")
	case name == "":
		return ErrCard.Withf("The certificates of this card name nobody.")
	case len(chain) > maxChain:
		return ErrCard.Withf("This card has a chain of %d certificates; %d are read.", len(chain), maxChain)
	}
	return nil
}

// commonName returns the name of a certificate's subject as plans and rosters hold it.
func commonName(c *x509.Certificate) string { return record.Line(c.Subject.CommonName, record.MaxName) }

// Encode writes the card as text.
func (c *AgentCard) Encode() ([]byte, error) {
	if _, err := NewAgentCard(c.Person, c.Signing, c.Decryption, c.Chain); err != nil {
		return nil, err
	}
	return encodeCard(agentBlock, c.Person, append([]*x509.Certificate{c.Signing, c.Decryption}, c.Chain...)), nil
}

// Encode writes the card as text.
func (c *RecipientCard) Encode() ([]byte, error) {
	if _, err := NewRecipientCard(c.Person, c.Certificate, c.Chain); err != nil {
		return nil, err
	}
	return encodeCard(recipientBlock, c.Person, append([]*x509.Certificate{c.Certificate}, c.Chain...)), nil
}

// ParseAgentCard reads an agent's card. Whether its certificates can be trusted is another question.
func ParseAgentCard(text []byte) (*AgentCard, error) {
	person, certs, err := parseCard(text, agentBlock, 2)
	if err != nil {
		return nil, err
	}
	return NewAgentCard(person, certs[0], certs[1], certs[2:])
}

// ParseRecipientCard reads a recipient's card.
func ParseRecipientCard(text []byte) (*RecipientCard, error) {
	person, certs, err := parseCard(text, recipientBlock, 1)
	if err != nil {
		return nil, err
	}
	return NewRecipientCard(person, certs[0], certs[1:])
}

func encodeCard(kind string, person uuid.UUID, certs []*x509.Certificate) []byte {
	sum := sha256.New()
	for _, c := range certs {
		sum.Write(c.Raw)
	}
	head := pem.EncodeToMemory(&pem.Block{Type: kind, Headers: map[string]string{"Person": person.String(), "Version": cardVersion}, Bytes: sum.Sum(nil)})
	return append(head, encodeCertificates(certs)...)
}

// parseCard reads a card with at least so many certificates. Whatever is not written as encodeCard writes it is refused,
// but for line ends and blank space around, which mail programs change.
func parseCard(text []byte, kind string, least int) (uuid.UUID, []*x509.Certificate, error) {
	if len(text) > maxCard {
		return uuid.Nil, nil, ErrCard.Withf("This is larger than any card (%d bytes).", maxCard)
	}
	text = append(bytes.TrimSpace(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))), '\n')
	head, rest := pem.Decode(text)
	if head == nil || head.Type != kind {
		return uuid.Nil, nil, ErrCard.Withf("This is not a text that begins with %q.", "-----BEGIN "+kind+"-----")
	}
	if v := head.Headers["Version"]; v != cardVersion {
		return uuid.Nil, nil, ErrCard.Withf("This card has version %q, which this program does not know.", record.Line(v, 20))
	}
	person, err := uuid.Parse(head.Headers["Person"])
	if err != nil {
		return uuid.Nil, nil, ErrCard.Withf("This card does not say whose it is.").Because(err)
	}
	certs, err := ParseCertificates(rest)
	if err != nil {
		return uuid.Nil, nil, err
	}
	if len(certs) < least {
		return uuid.Nil, nil, ErrCard.Withf("This card is cut off: it has %d certificates.", len(certs))
	}
	if !bytes.Equal(text, encodeCard(kind, person, certs)) {
		return uuid.Nil, nil, ErrCard.Withf("This card was changed or damaged: its checksum or its form is wrong.")
	}
	return person, certs, nil
}

// ParseCertificates reads certificates in PEM, at least one, and nothing but certificates.
func ParseCertificates(text []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, ErrCard.Withf("Among certificates there is a %s.", strings.ToLower(record.Line(block.Type, 40)))
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, ErrCard.Withf("Certificate %d cannot be read.", len(out)+1).Because(err)
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, ErrCard.Withf("There is no certificate (PEM) in it.")
	}
	return out, nil
}

func encodeCertificates(certs []*x509.Certificate) []byte {
	var out []byte
	for _, c := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}
