package audit

import (
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealpost/sealpost/internal/audit/proof"
)

// VerifyConfig says what Verify trusts.
type VerifyConfig struct {
	Verifiers note.Verifiers // the log's keys, from a trusted place
	// Outside are signed checkpoints that were kept outside the database (see proof.ReadKept). Without them Verify cannot
	// see that whoever holds the log's key has rewritten it, nor that its end is missing.
	Outside [][]byte
	// Witnesses are the officers who countersign checkpoints. What they countersigned, in the database or among Outside,
	// is measured by as if it were kept outside, and told in the report.
	Witnesses []*proof.Witness
	// MaxWait is how long an event may wait for its index; 0 means one minute.
	MaxWait  time.Duration
	Now      func() time.Time             // nil means time.Now
	Progress func(events int64, of int64) // called now and then, from the same goroutine; may be nil
}

// Report is what Verify found.
type Report struct {
	Events      int64     // in the log, that is with an index; if there is a finding, up to it
	Root        tlog.Hash // of these
	Checkpoints int       // of the database that were checked
	Outside     int       // checkpoints kept outside that were checked
	Waiting     int64     // events without an index yet
	Witnessed   []Witnessed
	Finding     *Finding // the first fault; nil if the log is whole
}

// Witnessed says up to where an officer has countersigned the log. In a report with a finding it is what they countersigned,
// whether or not the log agrees.
type Witnessed struct {
	Who  string
	Size int64
}

// What is the kind of a finding.
type What string

// The kinds of findings.
const (
	Altered   What = "altered"    // an event's row is not what was recorded
	Missing   What = "missing"    // an event's row, or its place in the log, is gone
	Moved     What = "reordered"  // an event stands in another's place
	Inserted  What = "inserted"   // a row that never went through the log
	Rewritten What = "rewritten"  // some rows of a range were altered, removed, moved or put in, and their hashes with them
	BadTree   What = "tree"       // a stored hash of the tree is wrong, while the events are right
	BadNote   What = "checkpoint" // a checkpoint is not the log's
	Truncated What = "truncated"  // the end of the log is gone
	Stuck     What = "waiting"    // an event has waited too long for its index
)

// Finding is a fault in the log: the first one, in the order of the log.
type Finding struct {
	What  What
	Index int64  // of the first event concerned; -1 if it has none
	Last  int64  // index of the last event that may be concerned; Index if there is one
	Event int64  // id of the event's row; 0 if not known
	Kind  string // of the event; "" if not known
	Text  string // what is wrong, in a sentence
}

// String returns the finding in a line.
func (f *Finding) String() string { return string(f.What) + ": " + f.Text }

// Error makes a finding the error that ends a walk; it leaves this package only in a Report.
func (f *Finding) Error() string { return f.String() }
