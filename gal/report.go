package gal

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/jobs"
)

// Kind is one thing to say of an entry.
type Kind string

// The kinds.
const (
	Missing     Kind = "missing"     // a value that should be there is not
	Stale       Kind = "stale"       // a value of ours is there that should not be
	Undecodable Kind = "undecodable" // a value cannot be read; it stays
	NoEntry     Kind = "no-entry"    // somebody with a current certificate has no entry
	Several     Kind = "several"     // there are several entries, or another one has the same mail address
	Full        Kind = "full"        // others' values leave no room for ours
	NearlyFull  Kind = "nearly-full" // soon they will
	TooLarge    Kind = "too-large"   // more is in the entry than is read
)

// Kinds returns all kinds.
func Kinds() []Kind {
	return []Kind{Missing, Stale, Undecodable, NoEntry, Several, Full, NearlyFull, TooLarge}
}

// Finding is what there is to say of an entry that is not as it should be.
type Finding struct {
	Number      int64     // order in which it was first found; a cursor
	Person      uuid.UUID // uuid.Nil: nobody's whom we know
	DN          string    // "" if there is no entry
	Kinds       []Kind
	Missing     int // values
	Stale       int
	Foreign     int
	Undecodable int
	Held        int    // values of userCertificate
	Failure     string // of the last repair; may be shown
	Seen        time.Time

	entry string // key of the row
}

// Status is the newest sweep. Number 0 means that there was none.
type Status struct {
	Target  string // the directory's name
	Number  int64  // of sweeps begun
	Begun   time.Time
	Ended   *time.Time
	Phase   Phase
	Repair  bool   // whether it repairs what it finds
	Beyond  bool   // and however much that is
	People  int    // compared
	Entries int    // gone through beside them
	Changed int    // entries that were repaired
	Foreign int    // values of others in people's entries
	Stopped string // StoppedLimit, StoppedScan or ""
	Failure string // of the last attempt to go on; may be shown
	Drift   map[Kind]int
	Waiting int // people whose entries could not be brought up to date so far, and are tried again

	cursor   uuid.UUID
	repaired int64
}

// at reports whether two are the same place of the same sweep.
func (s Status) at(o Status) bool {
	return s.Number == o.Number && s.Phase == o.Phase && s.cursor == o.cursor && s.Entries == o.Entries && s.repaired == o.repaired
}

func sees(by audit.Actor) bool { return by.Has(audit.Operator) || by.Has(audit.Auditor) }

// Status returns the newest sweep, how many entries are not as they should be, by kind, and how many people wait. Operators and auditors may see
// it.
func (t *Target) Status(ctx context.Context, by audit.Actor) (Status, error) {
	if !sees(by) {
		return Status{}, ErrNotAllowed
	}
	s, err := t.status(ctx)
	if err == nil {
		s.Waiting, err = jobs.Waiting(ctx, t.p.DB, t.queue())
	}
	return s, err
}

func (t *Target) status(ctx context.Context) (s Status, err error) {
	err = t.p.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		s, err = selectSweep(ctx, tx, t.Directory.Name, "")
		if errors.Is(err, pgx.ErrNoRows) {
			s, err = Status{Target: t.Directory.Name, Phase: Done}, nil
		}
		if err == nil {
			s.Drift, err = countKinds(ctx, tx, t.Directory.Name)
		}
		return err
	})
	return s, err
}

// Drift returns entries that were not as they should be when they were last looked at, of a kind ("": any), in the order in
// which they were found: those after a number, at most limit. Operators and auditors may see them.
func (t *Target) Drift(ctx context.Context, by audit.Actor, kind Kind, after int64, limit int) (out []Finding, err error) {
	if !sees(by) {
		return nil, ErrNotAllowed
	}
	err = t.p.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		out, err = selectFindings(ctx, tx, t.Directory.Name, kind, after, min(max(limit, 1), 500))
		return err
	})
	return out, err
}

// LastEnded returns when the newest sweep that came to its end did so; zero if none has, or one is under way.
func (t *Target) LastEnded(ctx context.Context) (time.Time, error) {
	s, err := t.status(ctx)
	if err != nil || s.Ended == nil {
		return time.Time{}, err
	}
	return *s.Ended, nil
}

// Keys of findings that are not a person's.
const (
	entryPrefix  = "entry:"  // with certificates of ours that are nobody's
	doublePrefix = "double:" // with another one's address
	mailPrefix   = "mail:"   // an address that leads to no entry, or to several
)

func entryKey(entry string) string  { return entryPrefix + entry }
func mailboxKey(m string) string    { return mailPrefix + m }
func doubleKey(entry string) string { return doublePrefix + entry }
func entryOf(key string) string     { return strings.TrimPrefix(key, entryPrefix) }

// foldMailbox is a mailbox as directories compare them.
func foldMailbox(m string) string { return strings.ToLower(m) }

func without(kinds []Kind, which ...Kind) []Kind {
	return slices.DeleteFunc(slices.Clone(kinds), func(k Kind) bool { return slices.Contains(which, k) })
}
