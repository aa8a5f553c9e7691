package api

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Limits of an import.
const (
	MaxImportDrafts       = 50       // certificates that may be asked about at once
	MaxForeignCertificate = 16 << 10 // bytes of one certificate, DER
	MaxForeignChain       = 8        // certificates above it
)

// ImportQuery asks what would become of keys that were kept elsewhere, if they were sent.
type ImportQuery struct {
	Items []ImportSubject `json:"items" minItems:"1" maxItems:"50"`
}

// ImportSubject is the certificate of a key that was kept elsewhere, and whose it is.
type ImportSubject struct {
	Certificate []byte     `json:"certificate" doc:"The foreign certificate of the key."`
	Person      *uuid.UUID `json:"person,omitempty" doc:"Whose key it is. Without it, the person to whom the certificate's mail address belongs in the directory."`
	Departed    bool       `json:"departed,omitempty" doc:"The person is in the directory no longer. Without person, their id is found from, or made of, the address."`
}

// ImportState is what would become of a key.
type ImportState string

// The states of an import's draft.
const (
	ImportReady    ImportState = "ready"    // it would be archived
	ImportArchived ImportState = "archived" // it is archived, with this certificate
	ImportRefused  ImportState = "refused"
)

// ImportDrafts say what would become of keys, and how they are sent.
type ImportDrafts struct {
	Exchange *Exchange     `json:"exchange" doc:"Keys are sent to this certificate; the nonce is for whoever asked."`
	Items    []ImportDraft `json:"items" doc:"In the order of the query."`
}

// ImportDraft says what would become of one key.
type ImportDraft struct {
	State  ImportState `json:"state" enum:"ready,archived,refused"`
	Person uuid.UUID   `json:"person" doc:"Whose it would be; all zero when that is not known. It goes into the message with the key."`
	Name   string      `json:"name,omitempty" doc:"Of that person: in the directory, or in the certificate for one who left."`
	Mail   string      `json:"mail,omitempty"`
	Code   string      `json:"code,omitempty" doc:"Why it would be refused: the code of a problem."`
	Detail string      `json:"detail,omitempty"`
}

// ImportRequest brings a key that was kept elsewhere into the archive.
type ImportRequest struct {
	ImportSubject
	Chain [][]byte `json:"chain,omitempty" maxItems:"8" doc:"Certificates of its issuers, as far as known."`
	Key   []byte   `json:"key" doc:"CMS message to the exchange certificate with the private key, as for an enrolment, whose identifier is the one for imports: \"sealpost-import-v1\", the person, the SHA-256 of the certificate in hexadecimal and the nonce, with one space between them."`
}

// Imported says that a key is in the archive.
type Imported struct {
	State      string    `json:"state" enum:"archived,certificate-added,archived-before" doc:"certificate-added: the key was archived before, under another certificate."`
	Person     uuid.UUID `json:"person"`
	Name       string    `json:"name,omitempty"`
	Mail       string    `json:"mail,omitempty"`
	SPKISHA256 string    `json:"spki_sha256"`
	Receipt    Receipt   `json:"receipt"`
}

// The states of Imported.
const (
	ImportedNow         = "archived"
	ImportedCertificate = "certificate-added"
	ImportedBefore      = "archived-before"
)

// ForeignCertificate is a certificate of another authority, whose key was imported.
type ForeignCertificate struct {
	SPKISHA256 string    `json:"spki_sha256"`
	Person     uuid.UUID `json:"person"`
	Mailboxes  []string  `json:"mailboxes" doc:"As the certificate has them."`
	ImportedAt time.Time `json:"imported_at"`
	DER        []byte    `json:"der"`
	Chain      [][]byte  `json:"chain"`
}

// CaseCertificates are the certificates of a case's keys.
type CaseCertificates struct {
	Items []CaseKeyCertificates `json:"items"`
	Next  string                `json:"next,omitempty" doc:"Give it as after= to have the next page; empty on the last."`
}

// CaseKeyCertificates are the certificates of one of a case's keys, this authority's and foreign ones.
type CaseKeyCertificates struct {
	SPKISHA256   string   `json:"spki_sha256"`
	Certificates [][]byte `json:"certificates" doc:"Of the key; none if none is known."`
	Issuers      [][]byte `json:"issuers" doc:"Above them, as far as known."`
}

// importVersion begins the identifier of a key that is imported.
const importVersion = "sealpost-import-v1"

// ImportIdentifier returns the identifier that travels with a private key that is imported, in EncKeyWithID (RFC 4211,
// 4.2.1): it binds the key to its person, its certificate (DER) and the nonce, which is bound to who imports. A message
// that was sealed for one person or certificate thus serves no other, nor in somebody else's hands, nor as the escrowed
// key of an enrolment:
//
//	sealpost-import-v1 PERSON HASH NONCE
//
// with single spaces, PERSON as a lower-case UUID, HASH the lower-case hexadecimal SHA-256 of the certificate, and NONCE
// as the server gave it.
func ImportIdentifier(person uuid.UUID, certificate []byte, nonce string) string {
	h := sha256.Sum256(certificate)
	return strings.Join([]string{importVersion, person.String(), hex.EncodeToString(h[:]), nonce}, " ")
}

// ImportNonce returns the nonce of an identifier, and whether the identifier has the form that ImportIdentifier gives it.
// It proves nothing: build the identifier anew and compare.
func ImportNonce(identifier string) (nonce string, ok bool) {
	return nonceOf(importVersion, identifier)
}

// MayBeArchived reports whether a foreign certificate says of its key that it serves encryption and nothing else, and if
// not, why: a sentence for people. Clients ask before they send anything, and the server before it opens anything: a key
// that signs is never archived, whoever issued its certificate. There is no exception for keys that serve both.
func MayBeArchived(c *x509.Certificate) (why string, ok bool) {
	const encrypts = x509.KeyUsageKeyEncipherment | x509.KeyUsageDataEncipherment | x509.KeyUsageKeyAgreement
	const allowed = encrypts | x509.KeyUsageEncipherOnly | x509.KeyUsageDecipherOnly
	switch {
	case c.IsCA:
		return "It is the certificate of an authority.", false
	case c.KeyUsage == 0:
		return "The certificate does not limit what its key is for, so the key may sign. A key that signs is never archived.", false
	case c.KeyUsage&encrypts == 0:
		return "The certificate is for signing. A key that signs is never archived.", false
	case c.KeyUsage&^allowed != 0:
		return "The certificate is for signing as well as for encryption. A key that signs is never archived; its owner keeps it.", false
	case !forMail(c):
		return "The certificate is for something else than mail or files.", false
	}
	return "", true
}

// Extended key usages of Windows for encrypted files and documents, which certificates for mail often have beside
// emailProtection, or in its place.
var (
	oidEFS                = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 10, 3, 4}
	oidDocumentEncryption = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 80, 1}
)

// forMail reports whether a certificate may serve encrypted mail or files: it says so, or does not limit it.
func forMail(c *x509.Certificate) bool {
	if len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 {
		return true
	}
	return slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageEmailProtection) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny) ||
		slices.ContainsFunc(c.UnknownExtKeyUsage, func(o asn1.ObjectIdentifier) bool { return o.Equal(oidEFS) || o.Equal(oidDocumentEncryption) })
}
