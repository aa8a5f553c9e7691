// Package notice tells people by mail what becomes of recovery cases: those whose keys are asked for, who asks, who
// decides and who receives; people that an enrolment token was made for them, and used; and operators what needs them. It owns who is told what and in which words, and that each is told
// once, and operators of what lasts once a day; the words lie in templates, one file per event and reader.
//
// Mail is read by others: no message holds a key, a secret, or the reason and reference of a case, which whoever decides
// reads with `sealpost-kra show`. What each reader gets to know is said at the parts.
//
// It does not own the cases (package archive) nor the way to the mail server (package internal/mail). Every event of a case
// becomes one row and one job per reader, in one transaction; the job is repeated until the message is out, so one mailbox
// that takes nothing keeps nobody else from being told.
package notice

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/pg"
)

// ErrNoMail is returned for messages that wait from a time when there was a mail server.
var ErrNoMail = fault.New(fault.Unavailable, "notice-no-mail", "A message waits, and the configuration names no mail server any more.")

// revealEvery is how often cases are looked for whose subjects may now be told. Their jobs, and those that tell the
// readers of a case, have jobTimeout.
const (
	revealEvery = time.Minute
	jobTimeout  = time.Minute
)

// Config is what a Teller is made of. Every field without "nil" or a default in its comment is required.
type Config struct {
	DB           *pg.DB
	Jobs         *jobs.Queue
	Cases        *archive.Cases // nil: there is no archive, and nothing to tell of
	Directory    *directory.Directory
	Mail         *mail.Sender // nil: nobody is told by mail
	Organisation string
	Operators    []string         // mail addresses of those who run the house; empty: they are not told by mail
	Contact      string           // whom people turn to, in a sentence; "" means "your IT help desk"
	Now          func() time.Time // nil means time.Now
	Log          *slog.Logger     // nil discards
}

// Teller tells people of cases. It is safe for concurrent use, by any number of servers.
type Teller struct {
	Config
	letters letters
	alarms  alarms
	slips   alarms // about enrolment tokens
}

// New returns a Teller. Without a mail server it does nothing.
func New(c Config) (*Teller, error) {
	if c.DB == nil || c.Jobs == nil || c.Directory == nil {
		return nil, errors.New("notice: the configuration is not complete")
	}
	if c.Contact == "" {
		c.Contact = "your IT help desk"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	t := &Teller{Config: c}
	var err error
	if t.letters, err = readLetters(); err != nil {
		return nil, err
	}
	if t.alarms, err = readAlarms("operators", "point", "lists", "drill", good); err != nil {
		return nil, err
	}
	t.slips, err = readAlarms("tokens", tokenMade, tokenUsed)
	return t, err
}

// mute reports whether there is nothing to tell of, or no way to.
func (t *Teller) mute() bool { return t.Cases == nil || t.Mail == nil }

// Register makes the queue's jobs tell people. It is called also where there is no mail server, so that the jobs of cases do
// not wait for one; the log then says that nobody is told.
func (t *Teller) Register(q *jobs.Queue) {
	if t.Cases != nil && t.Mail == nil {
		t.Log.Warn("no mail server is configured: nobody is told of recovery cases by mail")
	}
	if t.Mail == nil || len(t.Operators) == 0 {
		t.Log.Warn("mail.operators or a mail server is not configured: operators are told in the log alone of what needs them")
	}
	jobs.Handle(q, jobTimeout, t.Alert)
	jobs.Handle(q, jobTimeout, t.Tell)
	jobs.Handle(q, jobTimeout, t.Send)
	jobs.Handle(q, jobTimeout, t.TellToken)
	jobs.Handle(q, jobTimeout, func(ctx context.Context, _ jobs.RevealCases) error { return t.Reveal(ctx) })
	q.Every(revealEvery, jobs.RevealCases{})
}

// Tell finds who is to be told of an event, and makes a job for each who was not found before. Repeating it is harmless.
func (t *Teller) Tell(ctx context.Context, j jobs.TellCase) error {
	if t.mute() {
		return nil
	}
	k, roster, err := t.caseOf(ctx, j.Case)
	if errors.Is(err, archive.ErrUnknownCase) {
		return jobs.Cancel(err)
	}
	if err != nil {
		return err
	}
	now := t.Now()
	about, err := events(k, j.About)
	if err != nil {
		return jobs.Cancel(err)
	}
	var list []reader
	for _, e := range about {
		list = append(list, t.readers(k, roster, e, now)...)
	}
	return t.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		fresh, err := insertMails(ctx, tx, k.ID, list, now)
		if err != nil || len(fresh) == 0 {
			return err
		}
		send := make([]jobs.Args, len(fresh))
		for i, f := range fresh {
			send[i] = f
		}
		return t.Jobs.Insert(ctx, tx, send...)
	})
}

// caseOf returns a case and its roster; nil for the roster if it is not pinned any more, when no agent is asked.
func (t *Teller) caseOf(ctx context.Context, id uuid.UUID) (*archive.Case, *record.Roster, error) {
	k, roster, err := t.Cases.CaseOf(ctx, id)
	if k != nil && errors.Is(err, archive.ErrCaseState) {
		return k, nil, nil
	}
	return k, roster, err
}

// Reveal finds the legal cases whose subjects could not be told at once and may know now, and has them told. It asks the
// archive what these are, not what was planned before: a case cannot be forgotten.
func (t *Teller) Reveal(ctx context.Context) error {
	if t.mute() {
		return nil
	}
	ids, err := t.Cases.SilenceEnded(ctx)
	if err != nil || len(ids) == 0 {
		return err
	}
	now := t.Now()
	return t.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		fresh, err := insertRevealed(ctx, tx, ids, now)
		if err != nil || len(fresh) == 0 {
			return err
		}
		tell := make([]jobs.Args, len(fresh))
		for i, id := range fresh {
			tell[i] = jobs.TellCase{Case: id, About: aboutRevealed}
		}
		return t.Jobs.Insert(ctx, tx, tell...)
	})
}
