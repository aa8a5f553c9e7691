package gal

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/audit"
)

const (
	publishTimeout   = 10 * time.Second // of one entry
	publishersAtOnce = 4
	readAhead        = 16 // entries that are read in one search before they are written: little may happen to them meanwhile
)

// TargetConfig is a directory that is kept as it should be, and how.
type TargetConfig struct {
	Directory *directory.Directory
	Policy    Policy
	// Find finds people's entries by the mail addresses in their certificates, in a directory that they are not looked up in:
	// another forest, or an outside directory for partners. nil: they are found by the ids that the directory knows them by.
	Find *directory.Finder
	// Domains are the mail domains whose addresses belong there, in lower-case A-labels; none means all. It counts with Find.
	Domains []string
}

// Target is a directory that a Publisher keeps as it should be. It is safe for concurrent use.
type Target struct {
	TargetConfig
	p       *Publisher
	entries entries
}

// entries is how a target's entries are found, and so how they are compared and repaired.
type entries interface {
	// compare holds people's entries against what they should show.
	compare(ctx context.Context, people []uuid.UUID) (compared, error)
	// scan goes through all entries that hold certificates.
	scan(ctx context.Context, fn func([]directory.Listed) error) error
	// doubles returns findings of entries that share a mail address with one before.
	doubles(page []directory.Listed, addresses map[string]string) []Finding
	// strangers returns findings of entries with certificates of ours that compare does not come by.
	strangers(ctx context.Context, page []directory.Listed) ([]Finding, error)
	// difference compares one person's entries.
	difference(ctx context.Context, person uuid.UUID) (Difference, error)
	// publish makes people's entries show what they should, and returns what was found of each, and what failed.
	publish(ctx context.Context, people []uuid.UUID) ([]Difference, []error)
	// mend makes the entries of findings show what they should, and returns what failed of each. An error says that nothing
	// was tried.
	mend(ctx context.Context, list []Finding) ([]error, error)
}

// compared is what comparing people's entries found.
type compared struct {
	findings []Finding
	clean    []string // keys of entries that are as they should be
	people   int      // who belong there
	foreign  int      // values of others
}

func newTarget(p *Publisher, c TargetConfig) *Target {
	t := &Target{TargetConfig: c, p: p}
	if t.entries = (byID{t}); c.Find != nil {
		t.entries = byMailbox{t}
	}
	return t
}

// Name is the directory's name.
func (t *Target) Name() string { return t.Directory.Name }

// queue is the directory's name among lists of people who are due.
func (t *Target) queue() string {
	if t == t.p.Target {
		return ""
	}
	return t.Name()
}

// Compare returns how a person's entry differs from what it should show.
func (t *Target) Compare(ctx context.Context, person uuid.UUID) (Difference, error) {
	return t.entries.difference(ctx, person)
}

// Publish compares a person's entry and repairs it, and records what it changed.
func (t *Target) Publish(ctx context.Context, person uuid.UUID) (Difference, error) {
	found, failed := t.entries.publish(ctx, []uuid.UUID{person})
	return found[0], failed[0]
}

// settle is Publish for people who are due. Who has no entry is done with; in a directory of others, so is who has several:
// the sweep says so.
func (t *Target) settle(ctx context.Context, people []uuid.UUID) []error {
	_, failed := t.entries.publish(ctx, people)
	for n, err := range failed {
		if errors.Is(err, directory.ErrUnknownPerson) || t.Find != nil && errors.Is(err, directory.ErrSeveral) {
			t.p.Log.Info("person has no entry, or several", "directory", t.Name(), "person", people[n])
			failed[n] = nil
		}
	}
	return failed
}

// full is what is wrong with an entry that others have filled.
func (t *Target) full(d Difference) error {
	return ErrFull.Withf("The entry holds %d values of others, and systems that copy it drop all of them above %d. "+
		"An administrator of the directory must take some out before the certificate can be shown.", d.Foreign+d.Undecodable, t.Policy.MaxValues)
}

// done is what became of an entry.
type done struct {
	person uuid.UUID // uuid.Nil: nobody's whom we know
	dn     string    // named then
	found  Difference
	failed error
}

// changed reports whether the entry was changed.
func (d done) changed() bool {
	return (d.failed == nil || errors.Is(d.failed, ErrFull)) && !d.found.Empty()
}

// record records what was changed, all at once. Its own failure is that of those who were changed.
func (t *Target) record(ctx context.Context, list []done) {
	var events []audit.Event
	for _, e := range list {
		if !e.changed() {
			continue
		}
		d := e.found
		data := map[string]any{"directory": t.Name(), "added": names(d.Missing), "removed": names(d.Stale)}
		if len(d.SMIMEMissing)+len(d.SMIMEStale) > 0 {
			data["smime_added"], data["smime_removed"] = len(d.SMIMEMissing), digests(d.SMIMEStale)
		}
		subject := "person:" + e.person.String()
		if e.person == uuid.Nil {
			subject = "entry:" + e.dn
		}
		events = append(events, audit.Event{Kind: "gal.published", Subject: subject, Person: e.person, Data: data})
	}
	// Not cut off with the work: the directory has changed, and the log must say so.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishTimeout)
	defer cancel()
	if _, err := t.p.Audit.Record(ctx, audit.System("gal"), events...); err != nil {
		for n := range list {
			if list[n].changed() {
				list[n].failed = err
			}
		}
	}
}

// belongs reports whether a mail address is among those that are shown there.
func (t *Target) belongs(mailbox string) bool {
	return len(t.Domains) == 0 || slices.Contains(t.Domains, mailbox[strings.LastIndexByte(mailbox, '@')+1:])
}

// Domain returns a mail domain as TargetConfig.Domains wants it.
func Domain(s string) (string, error) { return domain(s) }
