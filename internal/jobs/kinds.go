package jobs

import (
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// forever stands for "retried without end": River wants a number.
const forever = 30000

// pending are the states in which a second job for the same thing adds nothing: one that has not begun will do the
// work of both. River demands the first four to be among them, so a running job counts too; whoever must not be missed
// by a running job reads its input in that job's last transaction.
var pending = []rivertype.JobState{rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning,
	rivertype.JobStateRetryable, rivertype.JobStateScheduled}

// BuildCRL makes an issuer's next list and enqueues its deliveries (package crl).
type BuildCRL struct {
	Issuer string `json:"issuer"`
	// AtLeast is a revocation's own count: a list that holds at least so many needs no further one. 0 asks for a list
	// only when the present one is due.
	AtLeast int64 `json:"at_least"`
}

// Kind names the job.
func (BuildCRL) Kind() string { return "crl.build" }

// InsertOpts retries without end.
func (BuildCRL) InsertOpts() river.InsertOpts { return river.InsertOpts{MaxAttempts: forever} }

// TidyCRLs lets go of an issuer's old lists (package crl).
type TidyCRLs struct {
	Issuer string `json:"issuer"`
}

// Kind names the job.
func (TidyCRLs) Kind() string { return "crl.tidy" }

// InsertOpts keeps one of each issuer at a time.
func (TidyCRLs) InsertOpts() river.InsertOpts { return onceEach }

// DeliverCRL brings one file to one distribution point and reads it back (package crl).
type DeliverCRL struct {
	Issuer string `json:"issuer"`
	Point  string `json:"point"`
	File   string `json:"file"`   // its name
	Number int64  `json:"number"` // of the list; 0 for a certificate
}

// Kind names the job.
func (DeliverCRL) Kind() string { return "crl.deliver" }

// InsertOpts retries without end, in a queue of the point's own: one that hangs holds up no other.
func (j DeliverCRL) InsertOpts() river.InsertOpts {
	o := onceEach
	o.MaxAttempts, o.Queue = forever, pointQueue(j.Point)
	return o
}

// LongestDelay bounds the time that a point goes without the newest list after it is there again.
func (DeliverCRL) LongestDelay() time.Duration { return time.Minute }

// WatchPoint reads back all that a distribution point should show (package crl).
type WatchPoint struct {
	Point string `json:"point"`
}

// Kind names the job.
func (WatchPoint) Kind() string { return "crl.watch" }

// InsertOpts keeps one of each point at a time, in the point's queue.
func (j WatchPoint) InsertOpts() river.InsertOpts {
	o := onceEach
	o.Queue = pointQueue(j.Point)
	return o
}

// WatchLists has operators told of lists that run out and of distribution points that fail.
type WatchLists struct{}

// Kind names the job.
func (WatchLists) Kind() string { return "crl.watch-lists" }

// InsertOpts keeps one at a time.
func (WatchLists) InsertOpts() river.InsertOpts { return once }

func pointQueue(point string) string { return "point-" + point }

// ResumeEnrolments finishes or undoes what a crash left half done (package enroll).
type ResumeEnrolments struct{}

// Kind names the job.
func (ResumeEnrolments) Kind() string { return "enroll.resume" }

// InsertOpts keeps one at a time.
func (ResumeEnrolments) InsertOpts() river.InsertOpts { return once }

// SweepLeavers looks whether people are still in the directory (package enroll/leaver).
type SweepLeavers struct{}

// Kind names the job.
func (SweepLeavers) Kind() string { return "leaver.sweep" }

// InsertOpts keeps one at a time.
func (SweepLeavers) InsertOpts() river.InsertOpts { return once }

// TidyFleet forgets machines that are not heard of any more (package fleet).
type TidyFleet struct{}

// Kind names the job.
func (TidyFleet) Kind() string { return "fleet.tidy" }

// InsertOpts keeps one at a time.
func (TidyFleet) InsertOpts() river.InsertOpts { return once }

// LookAtContacts looks at directory entries of people outside (package gal/contact).
type LookAtContacts struct{}

// Kind names the job.
func (LookAtContacts) Kind() string { return "gal.contacts" }

// InsertOpts keeps one at a time.
func (LookAtContacts) InsertOpts() river.InsertOpts { return once }

// WatchDirectory looks what has changed in the directory (packages directory and enroll/leaver).
type WatchDirectory struct{}

// Kind names the job.
func (WatchDirectory) Kind() string { return "directory.watch" }

// InsertOpts keeps one at a time.
func (WatchDirectory) InsertOpts() river.InsertOpts { return once }

// SweepGAL compares a directory with what it should show (package gal).
type SweepGAL struct {
	Directory string `json:"directory,omitempty"` // of a further one, its name
}

// Kind names the job.
func (SweepGAL) Kind() string { return "gal.sweep" }

// InsertOpts keeps one of each directory at a time, of a further one in its own queue: one that hangs holds up no other.
func (j SweepGAL) InsertOpts() river.InsertOpts {
	o := onceEach
	if j.Directory != "" {
		o.Queue = directoryQueue(j.Directory)
	}
	return o
}

func directoryQueue(name string) string { return "directory-" + name }

// RenewServiceCertificates renews what the system itself needs before it runs out: the exchange certificate (package
// enroll), the OCSP responder's (package ocsp) and the test mailbox's (package testmail).
type RenewServiceCertificates struct{}

// Kind names the job.
func (RenewServiceCertificates) Kind() string { return "service.renew-certificates" }

// InsertOpts keeps one at a time.
func (RenewServiceCertificates) InsertOpts() river.InsertOpts { return once }

// TellCase tells those whom a recovery case concerns what became of it (package notice).
type TellCase struct {
	Case  uuid.UUID `json:"case"`
	About string    `json:"about"` // the case's new state, answered, disputed, revealed, or again/delivery/day
}

// Kind names the job.
func (TellCase) Kind() string { return "archive.tell-case" }

// InsertOpts retries without end.
func (TellCase) InsertOpts() river.InsertOpts { return river.InsertOpts{MaxAttempts: forever} }

// SendNotice tells one person one thing about a recovery case (package notice).
type SendNotice struct {
	Case   uuid.UUID `json:"case"`
	About  string    `json:"about"`
	Person uuid.UUID `json:"person"`
}

// Kind names the job.
func (SendNotice) Kind() string { return "notice.send" }

// InsertOpts retries without end, in a queue of its own.
func (SendNotice) InsertOpts() river.InsertOpts {
	return river.InsertOpts{MaxAttempts: forever, Queue: mailQueue}
}

// SendAlert tells one operator of something that needs them, or no longer does (package notice).
type SendAlert struct {
	ID      string    `json:"id"` // of the message
	Address string    `json:"address"`
	Subject string    `json:"subject"`
	Text    string    `json:"text"`
	Until   time.Time `json:"until"` // then it is not sent any more
}

// Kind names the job.
func (SendAlert) Kind() string { return "notice.alert" }

// InsertOpts retries without end, in the queue of messages.
func (SendAlert) InsertOpts() river.InsertOpts {
	return river.InsertOpts{MaxAttempts: forever, Queue: mailQueue}
}

// SendTestMail sends somebody the mail with which they test their mail program (package testmail).
type SendTestMail struct {
	Test uuid.UUID `json:"test"`
}

// Kind names the job.
func (SendTestMail) Kind() string { return "testmail.send" }

// InsertOpts retries without end, in the queue of messages.
func (SendTestMail) InsertOpts() river.InsertOpts {
	return river.InsertOpts{MaxAttempts: forever, Queue: mailQueue}
}

// LongestDelay is short: somebody sits before the page and waits.
func (SendTestMail) LongestDelay() time.Duration { return time.Minute }

// ReadTestMail looks whether people have answered their test mails (package testmail).
type ReadTestMail struct {
	// Soon is for as long as somebody has just sent one or answered, and looks every few seconds.
	Soon bool `json:"soon"`
}

// Kind names the job.
func (ReadTestMail) Kind() string { return "testmail.read" }

// InsertOpts keeps one of each at a time, in the queue of messages: a mailbox that hangs holds up no revocation list.
func (ReadTestMail) InsertOpts() river.InsertOpts {
	o := onceEach
	o.MaxAttempts, o.Queue = forever, mailQueue
	return o
}

// LongestDelay is short for the same reason.
func (ReadTestMail) LongestDelay() time.Duration { return time.Minute }

// TellToken tells somebody that an enrolment token was made for them, or used (package notice). It holds what is said, and never the token.
type TellToken struct {
	Token  int64     `json:"token"` // its number
	About  string    `json:"about"` // made or used
	Person uuid.UUID `json:"person"`
	MadeBy uuid.UUID `json:"made_by"`
	MadeAt time.Time `json:"made_at"`
	Ends   time.Time `json:"ends"`
	Behalf bool      `json:"behalf"` // its maker uses it
	At     time.Time `json:"at"`     // when that was
}

// Kind names the job.
func (TellToken) Kind() string { return "notice.token" }

// InsertOpts retries without end, in the queue of messages.
func (TellToken) InsertOpts() river.InsertOpts {
	return river.InsertOpts{MaxAttempts: forever, Queue: mailQueue}
}

// RevealCases tells the subjects of legal cases who could not be told before (package notice).
type RevealCases struct{}

// Kind names the job.
func (RevealCases) Kind() string { return "notice.reveal" }

// InsertOpts keeps one at a time.
func (RevealCases) InsertOpts() river.InsertOpts { return once }

// ExpireCases ends recovery cases whose deadline has passed (package archive).
type ExpireCases struct{}

// Kind names the job.
func (ExpireCases) Kind() string { return "archive.expire-cases" }

// InsertOpts keeps one at a time.
func (ExpireCases) InsertOpts() river.InsertOpts { return once }

// EndParcels removes what devices left for each other and nobody fetched in time (package archive).
type EndParcels struct{}

// Kind names the job.
func (EndParcels) Kind() string { return "archive.end-parcels" }

// InsertOpts keeps one at a time.
func (EndParcels) InsertOpts() river.InsertOpts { return once }

// RewrapRecords moves archived records to the newest wrapping key (package archive).
type RewrapRecords struct{}

// Kind names the job.
func (RewrapRecords) Kind() string { return "archive.rewrap-records" }

// InsertOpts keeps one at a time.
func (RewrapRecords) InsertOpts() river.InsertOpts { return once }

// WatchDrills says so when the recovery officers' last drill is too long ago.
type WatchDrills struct{}

// Kind names the job.
func (WatchDrills) Kind() string { return "archive.watch-drills" }

// InsertOpts keeps one at a time.
func (WatchDrills) InsertOpts() river.InsertOpts { return once }

var once = river.InsertOpts{MaxAttempts: 3, UniqueOpts: river.UniqueOpts{ByState: pending}}

// onceEach is once for each thing that the job is about.
var onceEach = river.InsertOpts{MaxAttempts: 3, UniqueOpts: river.UniqueOpts{ByState: pending, ByArgs: true}}
