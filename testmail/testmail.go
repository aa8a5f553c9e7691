// Package testmail lets people try out whether their mail program is set up: it sends them a mail that is signed and encrypted,
// and tells what it found in their answer. Its main type is Desk.
//
// A mail goes to the person's own address, as the directory has it, and is encrypted to their newest certificate. It comes
// from a mailbox of the installation's own, whose two certificates the desk has issued and renews by itself; the server
// holds both keys, so nothing secret belongs into an answer. Answers are fetched from that mailbox by IMAP, as long as
// one is waited for. To which test an answer belongs is told by a random word in the mail's id and subject, never by the sender's
// address; who signed it, by the certificate alone. A mail whose word is not of a test stays where it is. An answer is
// judged, and removed; of what it said nothing is kept.
//
// It owns the schema testmail, the test mailbox's keys, and what is said of an answer, as codes with their facts (Finding). The
// words for those are the portal's. It answers no mail, so that two machines never talk to each other.
package testmail

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/pg"
)

// Faults that callers test for.
var (
	ErrNoCertificate = fault.New(fault.Conflict, "no-encryption-certificate", "There is no certificate that a mail to you could be encrypted to. Get your certificates first.")
	ErrNoAddress     = fault.New(fault.Conflict, "no-mailbox", "The directory has no mail address of yours.")
	ErrTooMany       = fault.New(fault.Conflict, "too-many-tests", "You have sent yourself several test mails just now. Wait a while before the next.")
	ErrNotReady      = fault.New(fault.Unavailable, "test-mailbox-not-ready", "The test mailbox has no certificate yet. Try again in a minute.")
	ErrMailbox       = fault.New(fault.Unavailable, "test-mailbox-unavailable", "The test mailbox cannot be read at the moment.")
)

// Limits.
const (
	// MaxAnswer is how large an answer may be, in bytes.
	MaxAnswer = 2 << 20
	// A person may send themselves so many in so long; so many of their tests are kept, for so long.
	maxRecent = 6
	recently  = time.Hour
	keptEach  = 10
	keptFor   = 30 * 24 * time.Hour
	// maxAnswers is how many answers to one test are looked at.
	maxAnswers = 20
	// defaultWait is how long answers are waited for.
	defaultWait = 24 * time.Hour
)

// Config is what a Desk is made of. Every field without "nil" or a default in its comment is required.
type Config struct {
	DB        *pg.DB
	Jobs      *jobs.Queue
	Authority *ca.Authority
	Directory *directory.Directory
	Mail      *mail.Sender
	Mailbox   Mailbox
	Address   string        // of the test mailbox
	Wait      time.Duration // for answers; 0 means a day

	// SealKey and UnsealKey keep the test mailbox's private keys (PKCS#8) in the database.
	SealKey, UnsealKey func([]byte) ([]byte, error)

	Now func() time.Time // nil means time.Now
	Log *slog.Logger     // nil discards
}

// Desk sends test mails and judges answers. It is safe for concurrent use, by any number of processes on one database.
type Desk struct {
	Config
}

// New returns a desk. It does not connect.
func New(c Config) (*Desk, error) {
	if c.DB == nil || c.Jobs == nil || c.Authority == nil || c.Directory == nil || c.Mail == nil || c.SealKey == nil || c.UnsealKey == nil {
		return nil, errors.New("testmail: Config needs DB, Jobs, Authority, Directory, Mail, SealKey and UnsealKey")
	}
	if m, err := directory.ParseMailbox(c.Address); err != nil || m != c.Address {
		return nil, errors.New("address: must be a mail address as Sealpost writes it: the domain in lower case")
	}
	if err := c.Mailbox.Validate(); err != nil {
		return nil, err
	}
	if c.Wait <= 0 {
		c.Wait = defaultWait
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Desk{c}, nil
}

// State says how far a test is.
type State string

// The states.
const (
	Sending  State = "sending"  // the mail server has not taken the mail yet
	Failed   State = "failed"   // it does not take it
	Waiting  State = "waiting"  // for an answer
	Answered State = "answered" // findings are there; a further answer replaces them
	Silent   State = "silent"   // nobody answered in time
)

// Test is one test mail, and what became of it.
type Test struct {
	ID         uuid.UUID
	Person     uuid.UUID
	Mailbox    string
	Begun      time.Time
	Until      time.Time
	State      State
	Failure    string // the code of what keeps the mail from being sent; "" if nothing does
	Said       string // by the mail server, for the person's eyes
	Notice     string // automatic: a machine answered; bounced: the mail came back
	Answers    int
	AnsweredAt time.Time
	Findings   []Finding // in the order in which people read them
}

// Open reports whether an answer is still waited for.
func (t *Test) Open(now time.Time) bool { return now.Before(t.Until) && t.State != Failed }

// Grade says what a finding means for whoever reads it.
type Grade string

// The grades, the worst first.
const (
	Bad  Grade = "bad"
	Warn Grade = "warn"
	Good Grade = "good"
	Note Grade = "note" // neither good nor bad
)

// Finding is one thing that was found in an answer.
type Finding struct {
	Code  string            `json:"code"`
	Grade Grade             `json:"grade"`
	Facts map[string]string `json:"facts,omitempty"` // what comes from the answer is one printable line, and still a stranger's
}

// Worst returns the worst grade among findings; Note for none.
func Worst(findings []Finding) Grade {
	worst := Note
	for _, f := range findings {
		switch {
		case f.Grade == Bad:
			return Bad
		case f.Grade == Warn, f.Grade == Good && worst == Note:
			worst = f.Grade
		}
	}
	return worst
}

// Look says how the mailbox was found last.
type Look struct {
	At      time.Time // zero: never
	Failed  time.Time // zero: the last look went well
	Failure string
}

// Register has the desk's jobs done.
func (d *Desk) Register(q *jobs.Queue) {
	jobs.Handle(q, sendTimeout, d.send)
	jobs.Handle(q, readTimeout, d.read)
	q.Every(readEvery, jobs.ReadTestMail{})
}

// Times of the desk's jobs.
const (
	sendTimeout = time.Minute
	readTimeout = 2 * time.Minute
	readEvery   = 2 * time.Minute
	soonEvery   = 4 * time.Second  // while somebody waits before the page
	soonLasts   = 20 * time.Minute // after they sent the mail, or answered
)

// Check connects to the mailbox, logs in and opens the folder. It reads no mail.
func (d *Desk) Check(ctx context.Context) error { return d.Mailbox.Check(ctx) }

func decodeFindings(text []byte) ([]Finding, error) {
	var out []Finding
	if text == nil {
		return nil, nil
	}
	err := json.Unmarshal(text, &out)
	return out, err
}
