package api

import "time"

// AuditLog is the audit log as the server shows it to those who do not trust it. Everything in it can be checked with the
// log's key alone, which one has from elsewhere.
type AuditLog struct {
	Key         string             `json:"key" doc:"The key that verifies the log's checkpoints (a verifier key of c2sp.org/signed-note). Compare it with what you were given."`
	Checkpoint  string             `json:"checkpoint" doc:"The newest signed checkpoint (c2sp.org/tlog-checkpoint)."`
	Consistency []string           `json:"consistency" doc:"That the checkpoint continues those of the sizes that were asked for, and those that officers countersigned; each in the form of c2sp.org/tlog-witness."`
	Witnessed   []Countersignature `json:"witnessed" doc:"What each officer countersigned last."`
}

// Countersignature is a checkpoint of the audit log that a recovery officer verified and signed.
type Countersignature struct {
	Officer    string    `json:"officer,omitempty" doc:"Who, if they are in a roster of this installation."`
	Size       int64     `json:"size"`
	Checkpoint string    `json:"checkpoint" doc:"Signed by the log and by the officer (ECDSA, type 2 of c2sp.org/signed-note)."`
	Received   time.Time `json:"received"`
}

// CaseLog shows that the opening of a recovery case is in the audit log.
type CaseLog struct {
	AuditLog
	Event     string `json:"event,omitempty" doc:"The event of the case's opening, exactly as it is hashed. Absent if the log has none."`
	Inclusion string `json:"inclusion,omitempty" doc:"That the event is in the log of the checkpoint, in the form of c2sp.org/tlog-proof. Absent if it is not."`
}

// CountersignatureUpload brings a checkpoint that an officer countersigned.
type CountersignatureUpload struct {
	Checkpoint string `json:"checkpoint" maxLength:"32768" doc:"Signed by the log and by the officer."`
}
