package fleet

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/pg"
)

// Limits of a report's lists.
const (
	maxPlaces       = 16
	maxStores       = 16
	maxCertificates = 32
	maxFailures     = 16
	maxDetail       = 300 // characters; of every other text api.MaxMachineText
	maxCount        = 1_000_000
)

// Forms of what is more than text. A code that nobody here knows is kept: a newer agent has more of them.
var (
	codeForm   = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)
	wordForm   = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)
	serialForm = regexp.MustCompile(`^[0-9a-f]{1,64}$`)
)

// Report keeps what a machine of the actor's says of itself, in place of what it said before.
func (f *Fleet) Report(ctx context.Context, by audit.Actor, id uuid.UUID, r api.MachineReport) (*Machine, error) {
	if id == uuid.Nil || by.Person == uuid.Nil {
		return nil, ErrID
	}
	now := f.now()
	r, err := checked(r, now)
	if err != nil {
		return nil, err
	}
	f.contacts.Add(1)
	m := &Machine{Person: by.Person, ID: id, PersonName: line(by.Name, api.MaxMachineText), FirstAt: now, LastAt: now, ReportedAt: &now,
		System: r.System, Version: r.Version, Failure: failing(r), EndsAt: ends(r), Report: &r}
	err = f.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		known, err := updateReported(ctx, tx, m)
		if err != nil || known {
			return err
		}
		if err := pg.Lock(ctx, tx, "fleet "+by.Person.String()); err != nil {
			return err
		}
		if err := insertReported(ctx, tx, m); err != nil {
			return err
		}
		return deleteBeyond(ctx, tx, by.Person, f.Policy.PerPerson)
	})
	if err != nil {
		return nil, err
	}
	f.heard.mark(key{by.Person, id}, now)
	return m, nil
}

// failing is the code of what goes wrong on a machine now: the newest failure that has not ended.
func failing(r api.MachineReport) string {
	var newest api.MachineFailure
	for _, x := range r.Failures {
		if x.EndedAt == nil && (newest.Code == "" || x.At.After(newest.At)) {
			newest = x
		}
	}
	return newest.Code
}

// ends is when the first of a machine's current certificates does; nil if it has none.
func ends(r api.MachineReport) *time.Time {
	var first *time.Time
	for _, c := range r.Certificates {
		if c.Current && (first == nil || c.NotAfter.Before(*first)) {
			at := c.NotAfter
			first = &at
		}
	}
	return first
}

// checked returns a report as it is kept: bounded, its texts printable on one line, its times such as the database can hold.
func checked(r api.MachineReport, now time.Time) (api.MachineReport, error) {
	if text, err := json.Marshal(r); err != nil || len(text) > api.MaxMachineReport {
		return r, ErrReport.Withf("The report of the machine has more than %d bytes.", api.MaxMachineReport)
	}
	if len(r.Places) > maxPlaces || len(r.Stores) > maxStores || len(r.Certificates) > maxCertificates || len(r.Failures) > maxFailures {
		return r, ErrReport.Withf("The report of the machine has a list that is too long: of places and stores %d are taken, of certificates %d, of failures %d.",
			maxPlaces, maxCertificates, maxFailures)
	}
	c := &check{now: now}
	c.time(&r.At)
	c.text(&r.Name, api.MaxMachineText)
	c.text(&r.Version, 64)
	for _, w := range []*string{&r.System, &r.Architecture, &r.Schedule, &r.Succeeded} {
		c.word(w)
	}
	c.maybe(r.RenewAt)
	c.maybe(r.SucceededAt)
	for i := range r.Places {
		c.need(&r.Places[i].Place)
		c.code(r.Places[i].Code)
	}
	for i := range r.Stores {
		s := &r.Stores[i]
		c.need(&s.Kind)
		c.text(&s.Name, api.MaxMachineText)
		c.code(s.Code)
		c.maybe(s.At)
	}
	for i := range r.Certificates {
		c.certificate(&r.Certificates[i])
	}
	c.code(r.OldKeys.Code)
	r.OldKeys.Here = min(max(r.OldKeys.Here, 0), maxCount)
	for i := range r.Failures {
		c.failure(&r.Failures[i])
	}
	if c.wrong != "" {
		return r, ErrReport.Withf("The report of the machine has something wrong in it: %s.", c.wrong)
	}
	return r, nil
}

// check finds the first thing that is wrong.
type check struct {
	now   time.Time
	wrong string
}

func (c *check) refuse(why string) {
	if c.wrong == "" {
		c.wrong = why
	}
}

func (c *check) text(s *string, most int) { *s = line(*s, most) }

func (c *check) word(s *string) {
	if *s != "" && !wordForm.MatchString(*s) {
		c.refuse("a word that is none (lower-case letters, digits and hyphens, 32 at most)")
	}
}

func (c *check) need(s *string) {
	if *s == "" {
		c.refuse("a place or store without a name")
	}
	c.word(s)
}

func (c *check) code(s string) {
	if s != "" && !codeForm.MatchString(s) {
		c.refuse("a code that is none (lower-case letters, digits and hyphens, 64 at most)")
	}
}

// time bounds a time that a machine says: its clock may be anything.
func (c *check) time(t *time.Time) {
	if t.Year() < 1970 || t.Year() > 9999 {
		*t = c.now
	}
	*t = t.UTC().Truncate(time.Second)
}

func (c *check) maybe(t *time.Time) {
	if t != nil {
		c.time(t)
	}
}

func (c *check) certificate(x *api.MachineCertificate) {
	if !serialForm.MatchString(x.Serial) {
		c.refuse("a serial number that is none")
	}
	c.text(&x.Issuer, 64)
	c.word(&x.Use)
	c.word(&x.Place)
	c.time(&x.NotAfter)
}

func (c *check) failure(x *api.MachineFailure) {
	if x.Code == "" {
		c.refuse("a failure without a code")
	}
	c.code(x.Code)
	c.word(&x.Step)
	c.text(&x.Detail, maxDetail)
	c.time(&x.Since)
	c.time(&x.At)
	c.maybe(x.EndedAt)
	x.Count = min(max(x.Count, 1), maxCount)
}

// line makes of a stranger's text one printable line of at most so many characters.
func line(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsPrint(r):
			return r
		}
		return -1
	}, strings.ToValidUTF8(s, "?"))
	s = strings.TrimSpace(s)
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return s
}
