// Package api is the wire of Sealpost's REST interface, version 1: the types that server and clients share, with the
// extended key usages that each demands of the other's certificates. It owns no behaviour. The OpenAPI document
// (api/openapi.json) is made from these types by package web and committed.
//
// Binary values (certificates, CSRs, CMS messages, hashes) are DER, in JSON as standard base64. Times are RFC 3339 in
// UTC. Identifiers are UUIDs or lower-case hexadecimal, as said at each.
package api

import (
	"time"

	"github.com/google/uuid"
)

// Base is the path under which every operation lies.
const Base = "/api/v1"

// Limits of what the server reads. Larger requests are refused with 413.
const (
	MaxBody = 256 << 10 // bytes of a request
	MaxCSR  = 16 << 10  // bytes of one CSR, DER
)

// IdempotencyHeader carries a client's own name (8 to 128 printable ASCII characters) for an enrolment. A repetition
// with the same name and body answers what the first one did; with another body it is refused.
const IdempotencyHeader = "Idempotency-Key"

// MachineHeader carries the id (UUID) by which a person's program tells one of their machines from another. It proves nothing.
const MachineHeader = "Sealpost-Machine"

// PolicyMedia is the media type of a signed policy, for Accept: a JSON Web Signature in its compact form (RFC 7515, 9.2.1).
const PolicyMedia = "application/jose"

// PolicyType is the kind of document that a signed policy is: its header's typ.
const PolicyType = "sealpost-policy+jws"

// Policy tells a client what the person who asks should have, and how to ask for it. Signed, with PolicyMedia, it is the payload of a
// signature with ES256 by a certificate with the usage OIDPolicy, which comes with it, as do those above it (x5c).
type Policy struct {
	IssuedAt time.Time  `json:"issued_at" doc:"By the server's clock, in whole seconds. A signed policy takes the place of those that were issued before it."`
	Ends     time.Time  `json:"ends" doc:"It is not followed any more."`
	Machine  *uuid.UUID `json:"machine,omitempty" doc:"For which of the person's machines it is: what the header Sealpost-Machine said."`

	Person     Person      `json:"person" doc:"Who is asking, as the directory knows them."`
	Enrolments []Enrolment `json:"enrolments" doc:"What may be asked for."`
	Exchange   *Exchange   `json:"exchange,omitempty" doc:"How a private encryption key is sent to the archive; absent where none is archived."`
	RenewAfter float64     `json:"renew_after" doc:"The part of a certificate's life after which it is renewed where nothing else says when, between 0 and 1."`
	Renewal    Renewal     `json:"renewal"`
	Old        OldKeys     `json:"old"`
	// AnswerWithin is how long any request may take.
	AnswerWithin int `json:"answer_within" doc:"Seconds within which each request is answered, if only with 503 and when to come back."`

	Advertise []CertificateName `json:"advertise,omitempty" doc:"Certificates for which the person's program, if it has them, should sign what the directory entry says, and hand it in. Absent if there are none, or the directory shows no such values."`
}

// Renewal says when the person's certificates are renewed.
type Renewal struct {
	From         float64 `json:"from" doc:"Certificates are renewed between this part of their life"`
	Until        float64 `json:"until" doc:"and this one, each machine at a moment of its own."`
	Certificates []Due   `json:"certificates" doc:"The person's certificates that have not ended, those of other machines too; at most 200, the newest first."`
}

// Due says when a certificate is renewed.
type Due struct {
	CertificateName
	RenewAt time.Time `json:"renew_at" doc:"The moment of this machine. Not earlier, and as soon as possible after it."`
	LateAt  time.Time `json:"late_at" doc:"It should have been renewed by then."`
	Why     string    `json:"why" enum:"age,revoked,ordered" doc:"age: most of its life is over. revoked: it serves nothing any more. ordered: an order has it replaced before its time."`
	Say     string    `json:"say,omitempty" doc:"What the person is told about it."`
	Status  string    `json:"status" enum:"good,held,revoked"`
}

// OldKeys says what is done with what newer certificates have taken the place of. Encryption keys always stay.
type OldKeys struct {
	SigningKeys     string `json:"signing_keys" enum:"forget,keep" doc:"forget: an old signing key is erased."`
	EncryptionKeys  string `json:"encryption_keys" enum:"keep"`
	RevokeAfterDays int    `json:"revoke_after_days" doc:"Old certificates to sign with are revoked as superseded this many days after there is a newer one; 0: never."`
}

// Person is somebody in the directory.
type Person struct {
	ID         uuid.UUID `json:"id" doc:"Stays the same when name, login or address change."`
	Name       string    `json:"name"`
	GivenName  string    `json:"given_name,omitempty"`
	Surname    string    `json:"surname,omitempty"`
	Mailboxes  []string  `json:"mailboxes" doc:"Mail addresses, the primary one first."`
	Roles      []string  `json:"roles,omitempty"`
	Restricted string    `json:"restricted,omitempty" doc:"Why this person may not enrol, if so."`
}

// Enrolment is one thing that may be asked for: a pair of certificates, or one.
type Enrolment struct {
	Name       string   `json:"name" doc:"For example smime."`
	Title      string   `json:"title" doc:"For people."`
	Signing    *KeyPlan `json:"signing,omitempty" doc:"The certificate to sign with. Its key never leaves the client."`
	Encryption *KeyPlan `json:"encryption,omitempty" doc:"The certificate to read mail with."`
	Endorsed   bool     `json:"endorsed" doc:"Whether a registrar must agree before anything is issued."`
}

// KeyPlan says what kind of key a certificate takes.
type KeyPlan struct {
	Profile      string   `json:"profile"`
	Algorithms   []string `json:"algorithms" doc:"Key algorithms that are accepted, the preferred one first: P-256, P-384, RSA-3072, RSA-4096."`
	Escrowed     bool     `json:"escrowed" doc:"Whether the private key must be sent to the archive with the request."`
	ValidityDays int      `json:"validity_days"`
	Places       []string `json:"places,omitempty" enum:"software,token,tpm,system" doc:"Where the private key may be, the preferred place first; absent: anywhere. Only of keys to sign with."`
	Attested     bool     `json:"attested,omitempty" doc:"Whether the request must prove that the key was made where it cannot be copied from."`
	Passphrase   int      `json:"passphrase,omitempty" doc:"The least number of characters of the passphrase that private keys in files must be protected with; absent: none is demanded."`
	PIN          int      `json:"pin,omitempty" doc:"The least number of characters of the PIN of a token or TPM with the key."`
}

// Passphrase returns the least length of the passphrase that the enrolment demands; 0: none.
func (e Enrolment) Passphrase() (least int) {
	for _, p := range []*KeyPlan{e.Signing, e.Encryption} {
		if p != nil {
			least = max(least, p.Passphrase)
		}
	}
	return least
}

// The places of a private key, in KeyPlan.Places.
const (
	PlaceSoftware = "software" // a file, or a program's key store
	PlaceToken    = "token"    // a PKCS#11 token
	PlaceTPM      = "tpm"      // a TPM 2.0
	PlaceSystem   = "system"   // the operating system's own key store
)

// Exchange is what a client needs to send a private key to the archive: it encrypts EncKeyWithID (RFC 4211, 4.2.1), whose
// identifier is the Nonce, as CMS AuthEnvelopedData to Certificate.
type Exchange struct {
	Certificate []byte    `json:"certificate" doc:"Clients check that it chains to their trust anchor and has the exchange EKU."`
	Chain       [][]byte  `json:"chain"`
	Nonce       string    `json:"nonce" doc:"Goes into the message; valid for this person alone."`
	NonceEnds   time.Time `json:"nonce_ends"`
}

// EnrolmentRequest asks for certificates. All or none are issued.
type EnrolmentRequest struct {
	Enrolment     string `json:"enrolment" minLength:"1" maxLength:"64" doc:"Name of one of the policy's enrolments."`
	SigningCSR    []byte `json:"signing_csr,omitempty" doc:"PKCS#10, signed by the signing key."`
	EncryptionCSR []byte `json:"encryption_csr,omitempty" doc:"PKCS#10, signed by the encryption key."`
	EscrowedKey   []byte `json:"escrowed_key,omitempty" doc:"CMS message to the exchange certificate with the private encryption key, where the plan says escrowed."`

	SigningAttestation *SigningAttestation `json:"signing_attestation,omitempty" doc:"Where the signing key was made, where the plan says attested."`
}

// EnrolmentState is where a request stands.
type EnrolmentState string

// The states of an enrolment request. Issued, rejected and failed are final.
const (
	StateReceived  EnrolmentState = "received"  // being worked on; ask again
	StateSubmitted EnrolmentState = "submitted" // waits for a registrar
	StateEndorsed  EnrolmentState = "endorsed"  // a registrar agreed; being issued
	StateIssued    EnrolmentState = "issued"
	StateRejected  EnrolmentState = "rejected" // a registrar refused
	StateFailed    EnrolmentState = "failed"   // nothing was issued; a new request may be made
)

// EnrolmentStatus is a request and what became of it.
type EnrolmentStatus struct {
	ID           uuid.UUID      `json:"id"`
	Enrolment    string         `json:"enrolment"`
	Person       uuid.UUID      `json:"person"`
	PersonName   string         `json:"person_name"`
	Mailboxes    []string       `json:"mailboxes"`
	State        EnrolmentState `json:"state" enum:"received,submitted,endorsed,issued,rejected,failed"`
	Reason       string         `json:"reason,omitempty" doc:"Why it was rejected or failed."`
	SubmittedAt  time.Time      `json:"submitted_at"`
	Certificates []Certificate  `json:"certificates,omitempty" doc:"When issued: signing first, then encryption."`
	Receipt      *Receipt       `json:"receipt,omitempty" doc:"The archive's receipt for the encryption key, as soon as it is kept."`
	KeyOrigin    *KeyOrigin     `json:"key_origin,omitempty" doc:"What was proven about where the signing key was made, where the plan asked for it."`
}

// Certificate is one certificate and its state.
type Certificate struct {
	Issuer     string     `json:"issuer" doc:"Name of the issuer in this installation."`
	Serial     string     `json:"serial" doc:"Lower-case hexadecimal."`
	Profile    string     `json:"profile"`
	Use        string     `json:"use" enum:"signing,encryption,single,agent,service"`
	Person     *uuid.UUID `json:"person,omitempty"`
	Mailboxes  []string   `json:"mailboxes,omitempty"`
	NotBefore  time.Time  `json:"not_before"`
	NotAfter   time.Time  `json:"not_after"`
	SPKISHA256 string     `json:"spki_sha256" doc:"The key's name: lower-case hexadecimal SHA-256 of its SubjectPublicKeyInfo."`
	Status     string     `json:"status" enum:"good,revoked,expired"`
	RevokedAt  *time.Time `json:"revoked_at,omitempty"`
	Reason     string     `json:"reason,omitempty" doc:"Why it was revoked, in the words of RFC 5280."`
	DER        []byte     `json:"der"`
	Chain      [][]byte   `json:"chain,omitempty" doc:"From the issuing certificate to the root."`
}

// Receipt is the archive's signed statement that it keeps a key.
type Receipt struct {
	ID         uuid.UUID `json:"id"`
	SPKISHA256 string    `json:"spki_sha256"`
	KeyID      string    `json:"key_id" doc:"Names the officers' group key that the record is sealed to; lower-case hexadecimal."`
	Time       time.Time `json:"time"`
	Signed     []byte    `json:"signed" doc:"The receipt with its signature, in the archive's own encoding (docs/archive-format.md)."`
	Signer     []byte    `json:"signer" doc:"SubjectPublicKeyInfo of the archive's receipt key."`
}

// ReceiptProof shows that a deposit is in the audit log: its leaf's inclusion in the tree of a signed checkpoint.
type ReceiptProof struct {
	LeafHash   []byte   `json:"leaf_hash" doc:"RFC 6962 leaf hash; also in the receipt."`
	Index      int64    `json:"index"`
	Size       int64    `json:"size"`
	Hashes     [][]byte `json:"hashes"`
	Checkpoint string   `json:"checkpoint" doc:"Signed note (c2sp.org/tlog-checkpoint)."`
}

// Decision is a registrar's word on a request.
type Decision struct {
	Reason string `json:"reason,omitempty" maxLength:"500" doc:"Required for a rejection; the person will read it."`
}

// RevocationRequest asks for a certificate to be revoked.
type RevocationRequest struct {
	Reason      string     `json:"reason" enum:"unspecified,keyCompromise,affiliationChanged,superseded,cessationOfOperation,certificateHold,privilegeWithdrawn,removeFromCRL" doc:"In the words of RFC 5280, 5.3.1; removeFromCRL releases a hold."`
	InvalidFrom *time.Time `json:"invalid_from,omitempty" doc:"Since when the key is suspected."`
	Note        string     `json:"note,omitempty" maxLength:"500" doc:"For the audit log: one line, such as a ticket's number."`
}

// RevocationsRequest asks for all certificates of a person, or with a key, to be revoked.
type RevocationsRequest struct {
	Person     *uuid.UUID `json:"person,omitempty" doc:"Whose certificates."`
	SPKISHA256 string     `json:"spki_sha256,omitempty" pattern:"^[0-9a-fA-F]{64}$" doc:"Or with which key: the hexadecimal SHA-256 of its SubjectPublicKeyInfo."`
	RevocationRequest
}

// Revocations is what was revoked, held or released.
type Revocations struct {
	Certificates []Certificate `json:"certificates" doc:"Without their chains."`
}

// LeaverState is where somebody stands whom the directory shows as disabled or no longer.
type LeaverState string

// The states of a leaver.
const (
	LeaverNoticed LeaverState = "noticed" // may yet come back
	LeaverWaiting LeaverState = "waiting" // for a registrar
	LeaverLeaving LeaverState = "leaving" // is being revoked
	LeaverLeft    LeaverState = "left"    // signs no more, and the directory shows no certificate
	LeaverKept    LeaverState = "kept"    // a registrar said so
)

// Leaver is somebody with certificates whom the directory shows as disabled, no longer, or without an address that they name.
type Leaver struct {
	Person    uuid.UUID   `json:"person"`
	Name      string      `json:"name" doc:"As in their newest certificate, and so is the address."`
	Mailbox   string      `json:"mailbox,omitempty"`
	Standing  string      `json:"standing" enum:"disabled,gone,moved" doc:"What the directory says. moved: certificates name addresses that it no longer has for the person."`
	Lost      []string    `json:"lost,omitempty" doc:"Of moved: those addresses, in lower case."`
	State     LeaverState `json:"state" enum:"noticed,waiting,leaving,left,kept"`
	Why       string      `json:"why,omitempty" enum:"policy,limit" doc:"Why a registrar is waited for: the policy asks for it, or so many people are missing that the directory may be wrong."`
	NoticedAt time.Time   `json:"noticed_at"`
	ChangedAt time.Time   `json:"changed_at" doc:"Since when the state is what it is."`
	DecidedBy string      `json:"decided_by,omitempty" doc:"Who decided; absent where the policy did."`
	Reason    string      `json:"reason,omitempty" doc:"What they said."`
}

// LeaverDecision is a registrar's word on a leaver.
type LeaverDecision struct {
	Reason string `json:"reason" minLength:"1" maxLength:"500" doc:"One line, for the audit log and for other registrars."`
}

// GALStatus is the newest sweep through the directory. Number 0: there was none yet.
type GALStatus struct {
	Directory   string         `json:"directory" doc:"Its name."`
	Directories []string       `json:"directories,omitempty" doc:"Names of all directories in which certificates are shown, the one first that people are looked up in."`
	Number      int64          `json:"number" doc:"Of sweeps begun."`
	BegunAt     time.Time      `json:"begun_at"`
	EndedAt     *time.Time     `json:"ended_at,omitempty" doc:"Absent while it is under way."`
	Phase       string         `json:"phase" enum:"people,entries,repair,done"`
	Repair      bool           `json:"repair" doc:"Whether it repairs what it finds."`
	People      int            `json:"people" doc:"Compared so far."`
	Entries     int            `json:"entries" doc:"Gone through for copies of certificates so far."`
	Repaired    int            `json:"repaired" doc:"Entries that were changed."`
	Foreign     int            `json:"foreign" doc:"Values of others in people's entries; they are never touched."`
	Stopped     string         `json:"stopped,omitempty" enum:"limit,scan" doc:"limit: nothing was repaired, because too many entries would have lost values. scan: the directory did not list all its entries."`
	Failure     string         `json:"failure,omitempty" doc:"Why it does not go on."`
	Drift       map[string]int `json:"drift" doc:"How many entries there are of each kind."`
	Waiting     int            `json:"waiting" doc:"People whose entries could not be brought up to date so far; that is tried again."`
}

// Drift is an entry of the directory that was not as it should be when it was last looked at.
type Drift struct {
	Person      *uuid.UUID `json:"person,omitempty" doc:"Absent for an entry that is nobody's who is known."`
	DN          string     `json:"dn,omitempty" doc:"Absent if there is no entry."`
	Kinds       []string   `json:"kinds" doc:"missing, stale, undecodable, no-entry, several, full, nearly-full, too-large."`
	Missing     int        `json:"missing" doc:"Values that should be there and are not."`
	Stale       int        `json:"stale" doc:"Values of this authority that should not be there."`
	Foreign     int        `json:"foreign"`
	Undecodable int        `json:"undecodable"`
	Held        int        `json:"held" doc:"Values of userCertificate."`
	Failure     string     `json:"failure,omitempty" doc:"Of the last repair."`
	SeenAt      time.Time  `json:"seen_at"`
}

// TokenRequest asks for an enrolment token, which stands for a person's login once.
type TokenRequest struct {
	Mailbox string `json:"mailbox" doc:"One of the person's addresses."`
	Hours   int    `json:"hours,omitempty" minimum:"1" maximum:"720" default:"72"`
	Use     string `json:"use,omitempty" enum:"handed,behalf" default:"handed" doc:"Who is to use it: the person, to whom it is handed over, or its maker on their behalf. It binds nobody: it is what the record keeps."`
	Tell    bool   `json:"tell,omitempty" doc:"Tell the person by mail that there is a token for them. The mail does not hold it. That it was used they are told in any case."`
}

// Token is an enrolment token. It is shown once.
type Token struct {
	Token  string    `json:"token"`
	Number int64     `json:"number" doc:"Its name, which tells nothing of it."`
	Person uuid.UUID `json:"person"`
	Ends   time.Time `json:"ends"`
}

// Issuer is one certificate authority of this installation.
type Issuer struct {
	ID          string   `json:"id"`
	Certificate []byte   `json:"certificate"`
	Chain       [][]byte `json:"chain" doc:"The issuers above it, up to the root."`
	CRLs        []string `json:"crls" doc:"URLs of its revocation list."`
	OCSP        string   `json:"ocsp"`
}

// CRLState is how a revocation list stands, or a file at a distribution point.
type CRLState string

// The states of lists and points. Only points are late.
const (
	CRLOK         CRLState = "ok"
	CRLLate       CRLState = "late"        // another than the newest is shown, and still valid
	CRLRunningOut CRLState = "running-out" // less than the configured margin is left
	CRLRunOut     CRLState = "run-out"
	CRLUnknown    CRLState = "unknown" // the last look saw nothing of ours, or nobody has looked of late
)

// CRLStatus is how all revocation lists stand, and all files at all distribution points.
type CRLStatus struct {
	At     time.Time     `json:"at"`
	Urgent bool          `json:"urgent" doc:"Whether somebody must do something about any of them."`
	Lists  []NewestCRL   `json:"lists" doc:"The newest of each kind."`
	Points []CRLStanding `json:"points"`
}

// NewestCRL is an issuer's newest revocation list of a kind.
type NewestCRL struct {
	Issuer      string     `json:"issuer,omitempty" doc:"Absent where another authority made it, such as the root."`
	File        string     `json:"file"`
	Partition   int        `json:"partition,omitempty" doc:"Absent for the list of all certificates."`
	Delta       bool       `json:"delta"`
	Number      int64      `json:"number" doc:"0: there is none."`
	Base        int64      `json:"base,omitempty" doc:"Of a delta: the complete list that it adds to."`
	ThisUpdate  *time.Time `json:"this_update,omitempty"`
	NextUpdate  *time.Time `json:"next_update,omitempty"`
	MinutesLeft *int64     `json:"minutes_left,omitempty" doc:"Until nextUpdate; negative afterwards."`
	Entries     int        `json:"entries"`
	Size        int64      `json:"size" doc:"In bytes."`
	State       CRLState   `json:"state" enum:"ok,running-out,run-out,unknown"`
	Urgent      bool       `json:"urgent"`
	Failure     string     `json:"failure,omitempty" doc:"Why there is none."`
}

// CRLStanding is how a file stands at a distribution point.
type CRLStanding struct {
	Point       string     `json:"point"`
	Issuer      string     `json:"issuer"`
	File        string     `json:"file"`
	Address     string     `json:"address,omitempty" doc:"Where it was looked for; absent where the place itself was asked."`
	Newest      int64      `json:"newest,omitempty" doc:"Number of the newest list; absent for certificates."`
	Number      int64      `json:"number,omitempty" doc:"Number of the list that was last seen there; absent if there was none."`
	NextUpdate  *time.Time `json:"next_update,omitempty" doc:"Of the list that was last seen there."`
	MinutesLeft *int64     `json:"minutes_left,omitempty" doc:"Until then; negative afterwards."`
	NewestLeft  *int64     `json:"newest_minutes_left,omitempty" doc:"Until nextUpdate of the newest list."`
	SeenAt      *time.Time `json:"seen_at,omitempty" doc:"When it was last seen to be as it should; absent: never."`
	LookedAt    *time.Time `json:"looked_at,omitempty" doc:"When it was last looked at; absent: never."`
	FailedAt    *time.Time `json:"failed_at,omitempty" doc:"Since when it is not as it should be."`
	Failure     string     `json:"failure,omitempty" doc:"Why, and what to do."`
	State       CRLState   `json:"state" enum:"ok,late,running-out,run-out,unknown"`
	Urgent      bool       `json:"urgent" doc:"It runs out, has run out, or has failed for longer than the configured patience."`
}

// Health says whether the server can do its work, part by part.
type Health struct {
	OK     bool              `json:"ok"`
	Parts  map[string]string `json:"parts" doc:"ok, or what is wrong, for: database, directory, archive, audit, crl."`
	Server string            `json:"server" doc:"Version."`
}

// Page is one page of a list.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty" doc:"Give it as after= to have the next page; empty on the last."`
}

// Problem is an error, RFC 9457. Type is stable: "urn:sealpost:problem:" followed by the fault's code.
type Problem struct {
	Type     string `json:"type"`
	Title    string `json:"title"`
	Status   int    `json:"status"`
	Detail   string `json:"detail,omitempty" doc:"What happened and what to do."`
	Instance string `json:"instance,omitempty" doc:"urn:uuid: and the request's id, which the server's log has too."`
}

// ProblemType begins the type of every problem document.
const ProblemType = "urn:sealpost:problem:"
