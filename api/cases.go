package api

import (
	"time"

	"github.com/google/uuid"
)

// MaxCaseBody is how many bytes a request has at most that brings a recovery case or an answer to one: enough for
// 65536 keys.
const MaxCaseBody = 8 << 20

// CaseQuery asks what a recovery case would have to name.
type CaseQuery struct {
	Kind      string      `json:"kind" enum:"restore,business,legal" doc:"restore: your own keys, for a new device. business, legal: other people's, for a recipient in the officers' roster."`
	Mailboxes []string    `json:"mailboxes,omitempty" maxItems:"16384" doc:"The subjects' addresses, now or formerly. None in a restore."`
	People    []uuid.UUID `json:"people,omitempty" maxItems:"16384" doc:"Subjects by their id."`
	Keys      []string    `json:"keys,omitempty" maxItems:"65536" doc:"Only these keys: lower-case hexadecimal SHA-256 of their SubjectPublicKeyInfo. Empty means all."`
	From      *time.Time  `json:"from,omitempty" doc:"Only keys with a certificate that was valid after this time."`
	To        *time.Time  `json:"to,omitempty" doc:"Only keys with a certificate that was valid before this time."`
}

// CaseDrafts are what cases would have to name: one for each archive key that the records are sealed to.
type CaseDrafts struct {
	Drafts []CaseDraft `json:"drafts"`
}

// CaseDraft is what one case would have to name. The requester's program makes the case of it, in the archive's own
// encoding (docs/archive-format.md), and signs it.
type CaseDraft struct {
	Roster        []byte        `json:"roster" doc:"The officers who are asked, in the archive's own encoding."`
	Intermediates [][]byte      `json:"intermediates" doc:"Issuing certificates that lead from the roster's certificates to their root."`
	Subjects      []CaseSubject `json:"subjects"`
}

// CaseSubject is one person's keys in a case.
type CaseSubject struct {
	Person  uuid.UUID    `json:"person"`
	Records []CaseRecord `json:"records"`
}

// CaseRecord is one archived key.
type CaseRecord struct {
	Record     string    `json:"record" doc:"The record's hash, as a case names it; lower-case hexadecimal."`
	SPKISHA256 string    `json:"spki_sha256"`
	Algorithm  string    `json:"algorithm"`
	Name       string    `json:"name" doc:"The person's name and address when the key was archived."`
	Mail       string    `json:"mail"`
	Time       time.Time `json:"time" doc:"When the key was archived."`
}

// CaseOpening opens a case.
type CaseOpening struct {
	Case    []byte `json:"case" doc:"The case, signed by its requester."`
	Consent []byte `json:"consent,omitempty" doc:"For a legal case: an auditor's signed consent to tell the subjects later."`
}

// CaseState is where a recovery case stands.
type CaseState string

// The states of a recovery case. Closed, denied, cancelled and expired are final.
const (
	CaseRequested CaseState = "requested" // officers are asked
	CaseApproved  CaseState = "approved"  // the recipient may collect
	CaseReleased  CaseState = "released"  // the recipient has begun to
	CaseClosed    CaseState = "closed"
	CaseDenied    CaseState = "denied"
	CaseCancelled CaseState = "cancelled"
	CaseExpired   CaseState = "expired"
)

// Case is a recovery case. What counts is in its signed form; the other members say the same for readers.
type Case struct {
	ID          uuid.UUID      `json:"id"`
	Kind        string         `json:"kind" enum:"restore,business,legal"`
	State       CaseState      `json:"state" enum:"requested,approved,released,closed,denied,cancelled,expired"`
	StateReason string         `json:"state_reason,omitempty" doc:"Why it was denied or cancelled."`
	Requester   string         `json:"requester"`
	Reason      string         `json:"reason" doc:"Why the keys are asked for."`
	Reference   string         `json:"reference,omitempty"`
	Subjects    int            `json:"subjects" doc:"How many people's keys."`
	Records     int            `json:"records" doc:"How many keys."`
	Opened      time.Time      `json:"opened"`
	Deadline    time.Time      `json:"deadline"`
	Changed     time.Time      `json:"changed"`
	SilentUntil *time.Time     `json:"silent_until,omitempty" doc:"The subjects are not told before."`
	Answers     []CaseAnswer   `json:"answers,omitempty" doc:"Left out in lists."`
	Deliveries  []CaseDelivery `json:"deliveries"`

	Signed        []byte   `json:"signed,omitempty" doc:"The case as its requester signed it. Left out in lists."`
	Roster        []byte   `json:"roster,omitempty" doc:"The officers who are asked. Left out in lists."`
	Intermediates [][]byte `json:"intermediates,omitempty" doc:"Issuing certificates that lead from the certificates of a case to their root. Left out in lists."`
}

// CaseAnswer is what an officer said about a case.
type CaseAnswer struct {
	Agent    int       `json:"agent" doc:"The officer's number in the roster."`
	Decision string    `json:"decision" enum:"approve,deny"`
	Comment  string    `json:"comment,omitempty"`
	Received time.Time `json:"received"`
	Disputed bool      `json:"disputed,omitempty" doc:"The recipient says that what came with it is wrong."`
	Signed   []byte    `json:"signed" doc:"The approval as the officer signed it."`
}

// CaseDelivery is what one recipient gets.
type CaseDelivery struct {
	Recipient string     `json:"recipient" doc:"Lower-case hexadecimal SHA-256 of the recipient's certificate."`
	Records   int        `json:"records"`
	Collected *time.Time `json:"collected,omitempty"`
}

// Blobs is one page of a case's capsules or records, each in the archive's own encoding.
type Blobs struct {
	Items [][]byte `json:"items"`
	Next  string   `json:"next,omitempty" doc:"Give it as after= to have the next page; empty on the last."`
}

// CaseAnswerUpload brings an officer's answer.
type CaseAnswerUpload struct {
	Answer []byte `json:"answer" doc:"The officer's signed answer with what is sealed to the recipients."`
}

// CaseDispute says that what an officer sealed to a recipient is wrong.
type CaseDispute struct {
	Dispute []byte `json:"dispute" doc:"The recipient's signed word."`
}

// CaseSealed are the approvals of a delivery, each with what it sealed to the recipient.
type CaseSealed struct {
	Items []SealedApproval `json:"items"`
}

// SealedApproval is one approval with what it sealed to the recipient.
type SealedApproval struct {
	Approval []byte `json:"approval" doc:"As the officer signed it."`
	Partials []byte `json:"partials" doc:"CMS to the recipient."`
}

// CaseCancellation takes a case back.
type CaseCancellation struct {
	Reason string `json:"reason,omitempty" maxLength:"500"`
}
