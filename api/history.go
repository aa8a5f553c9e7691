package api

import (
	"time"

	"github.com/google/uuid"
)

// HistoryEntry is one thing that touched a person's archived keys: exactly one of Key, Certificate and Case is there.
type HistoryEntry struct {
	Time        time.Time           `json:"time" doc:"When the key was archived, the certificate imported, the case opened: what the list goes by."`
	Key         *HistoryKey         `json:"key,omitempty" doc:"A key that the archive keeps."`
	Certificate *HistoryCertificate `json:"certificate,omitempty" doc:"A certificate of another authority that was imported with a key."`
	Case        *HistoryCase        `json:"case,omitempty" doc:"A recovery case that asked for keys."`
}

// HistoryKey is a person's key in the archive.
type HistoryKey struct {
	SPKISHA256 string    `json:"spki_sha256"`
	Algorithm  string    `json:"algorithm"`
	Mail       string    `json:"mail" doc:"The person's address when the key was archived."`
	State      string    `json:"state" enum:"held,kept" doc:"held while its certificate is not issued; kept for ever after."`
	Imported   bool      `json:"imported,omitempty" doc:"It was kept elsewhere before."`
	Receipt    uuid.UUID `json:"receipt" doc:"The archive's receipt: see /receipts."`
	KeyID      string    `json:"key_id" doc:"Names the officers' group key that the record is sealed to now; lower-case hexadecimal."`
	MovedFrom  string    `json:"moved_from,omitempty" doc:"The group key that the receipt names, if the officers have moved the record to another one since."`
}

// HistoryCertificate is a certificate of another authority whose key was imported.
type HistoryCertificate struct {
	SPKISHA256 string   `json:"spki_sha256"`
	SHA256     string   `json:"sha256" doc:"Of the certificate, lower-case hexadecimal. The certificate itself: see /imports."`
	Mailboxes  []string `json:"mailboxes"`
}

// HistoryCase is a recovery case, as it concerns one of its subjects.
type HistoryCase struct {
	ID          uuid.UUID       `json:"id"`
	Kind        string          `json:"kind" enum:"restore,business,legal"`
	State       CaseState       `json:"state" enum:"requested,approved,released,closed,denied,cancelled,expired"`
	StateReason string          `json:"state_reason,omitempty" doc:"Why it was denied or cancelled."`
	Requester   string          `json:"requester" doc:"Who asked."`
	Reason      string          `json:"reason" doc:"Why."`
	Reference   string          `json:"reference,omitempty"`
	Recipient   string          `json:"recipient" doc:"Who receives the keys: the name in the certificate to which they are sealed."`
	Fingerprint string          `json:"fingerprint" doc:"SHA-256 of that certificate, lower-case hexadecimal."`
	Deadline    time.Time       `json:"deadline"`
	Changed     time.Time       `json:"changed" doc:"When it came into its state."`
	Collected   *time.Time      `json:"collected,omitempty" doc:"When the recipient last fetched the person's keys; absent if never."`
	SilentUntil *time.Time      `json:"silent_until,omitempty" doc:"The person was not told before."`
	Needed      int             `json:"needed,omitempty" doc:"How many officers must agree; absent if the roster is not known any more."`
	Answers     []HistoryAnswer `json:"answers" doc:"What the officers said, the oldest first."`
	Records     int             `json:"records" doc:"How many of the person's keys the case asks for."`
	Keys        []string        `json:"keys" doc:"Which, by their spki_sha256, as far as they can still be told."`
}

// HistoryAnswer is what an officer said about a case.
type HistoryAnswer struct {
	Agent    int       `json:"agent" doc:"The officer's number in the roster."`
	Name     string    `json:"name,omitempty"`
	Decision string    `json:"decision" enum:"approve,deny"`
	Comment  string    `json:"comment,omitempty"`
	Received time.Time `json:"received"`
	Disputed bool      `json:"disputed,omitempty" doc:"The recipient says that what came with it is wrong."`
}
