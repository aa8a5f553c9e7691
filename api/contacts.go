package api

import (
	"time"

	"github.com/google/uuid"
)

// ContactRequest is a certificate of somebody outside that a registrar has verified.
type ContactRequest struct {
	Mailbox     string `json:"mailbox" minLength:"3" maxLength:"254" doc:"Whose certificate it is. The certificate names the address."`
	Certificate []byte `json:"certificate" doc:"In DER or PEM, with the chain if there is one; or SignedData, such as the signature of a mail. At most 256 KiB."`
	Note        string `json:"note" minLength:"1" maxLength:"500" doc:"How it was verified. One line."`
	CheckOnly   bool   `json:"check_only,omitempty" doc:"Say what would be kept, and keep nothing."`
}

// ContactRemoval has a contact's certificate be shown no more.
type ContactRemoval struct {
	Reason string `json:"reason" minLength:"1" maxLength:"500" doc:"One line, for the audit log and for other registrars."`
}

// Contact is a certificate of somebody outside the company, and what became of it in the directory.
type Contact struct {
	ID         uuid.UUID  `json:"id" doc:"Zero where nothing is kept (check_only)."`
	Mailbox    string     `json:"mailbox"`
	State      string     `json:"state" enum:"current,replaced,removed,expired,revoked"`
	Subject    string     `json:"subject"`
	Issuer     string     `json:"issuer"`
	SHA256     string     `json:"sha256" doc:"Of the certificate, lower-case hexadecimal: the fingerprint that is compared."`
	NotBefore  time.Time  `json:"not_before"`
	NotAfter   time.Time  `json:"not_after"`
	DER        []byte     `json:"der"`
	Chain      [][]byte   `json:"chain" doc:"Certificates above it, as far as they are known."`
	Trust      string     `json:"trust" enum:"anchors,registrar" doc:"anchors: the chain leads to an authority that is trusted for contacts. registrar: there are none; the registrar's word counts."`
	Note       string     `json:"note" doc:"How it was verified."`
	Revocation string     `json:"revocation" doc:"good, none (the certificate names no revocation lists), or why nothing is known."`
	AskedAt    time.Time  `json:"asked_at" doc:"When revocation was last asked about."`
	AddedAt    *time.Time `json:"added_at,omitempty"`
	AddedBy    string     `json:"added_by,omitempty"`
	EndedAt    *time.Time `json:"ended_at,omitempty" doc:"Of one that is not current."`
	EndedBy    string     `json:"ended_by,omitempty"`
	Reason     string     `json:"reason,omitempty" doc:"Of the end."`
	Shown      string     `json:"shown" enum:"waiting,shown,no-entry,several,full,too-large,failed,gone" doc:"What became of it in the directory. gone: of one that is not current, it is nowhere any more."`
	DN         string     `json:"dn,omitempty" doc:"The entry that shows it."`
	Failure    string     `json:"failure,omitempty" doc:"Of the last look."`
	LookedAt   *time.Time `json:"looked_at,omitempty"`
	EndsSoon   bool       `json:"ends_soon,omitempty" doc:"It ends within 30 days."`
}
