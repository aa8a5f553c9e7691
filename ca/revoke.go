package ca

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/jobs"
)

// Reason is why a certificate was revoked: a CRLReason of RFC 5280 §5.3.1.
type Reason int

// The reasons that are used here. A list leaves Unspecified out.
const (
	Unspecified          Reason = 0
	KeyCompromise        Reason = 1
	AffiliationChanged   Reason = 3
	Superseded           Reason = 4
	CessationOfOperation Reason = 5
	CertificateHold      Reason = 6
	PrivilegeWithdrawn   Reason = 9
)

var reasonNames = map[Reason]string{Unspecified: "unspecified", KeyCompromise: "keyCompromise", AffiliationChanged: "affiliationChanged",
	Superseded: "superseded", CessationOfOperation: "cessationOfOperation", CertificateHold: "certificateHold", PrivilegeWithdrawn: "privilegeWithdrawn"}

// String returns the reason in the words of RFC 5280.
func (r Reason) String() string {
	if s, ok := reasonNames[r]; ok {
		return s
	}
	return fmt.Sprintf("reason %d", int(r))
}

// ParseReason reads a reason in the words of RFC 5280.
func ParseReason(s string) (Reason, error) {
	for r, name := range reasonNames {
		if name == s {
			return r, nil
		}
	}
	return 0, ErrReason.Withf("%q is not a reason for revoking a certificate.", clip(s))
}

// Revocation asks to revoke a certificate, or with CertificateHold to put it on hold.
type Revocation struct {
	Issuer  string
	Serial  Serial
	Reason  Reason
	Invalid time.Time // since when the key must not be trusted (invalidityDate); zero means unknown
	Note    string    // what the audit log is told beside; one line, may be empty
}

// maxNote bounds Revocation.Note, in characters.
const maxNote = 500

func checkNote(s string) error {
	if !utf8.ValidString(s) || utf8.RuneCountInString(s) > maxNote || strings.ContainsFunc(s, unicode.IsControl) {
		return ErrNote
	}
	return nil
}

// Revoke revokes a certificate now and asks for a new revocation list, in one transaction. One on hold may be revoked,
// and keeps the time of its hold. A revoked one may be revoked once more for KeyCompromise alone; all else is ErrRevoked.
func (a *Authority) Revoke(ctx context.Context, by audit.Actor, r Revocation) error {
	c, err := a.revoking(r)
	if err != nil {
		return err
	}
	return a.change(ctx, by, r.Issuer, r.Serial, c)
}

// revoking checks a revocation and returns the change that it asks for.
func (a *Authority) revoking(r Revocation) (change, error) {
	if _, ok := reasonNames[r.Reason]; !ok {
		return change{}, ErrReason.Withf("%d is not a reason for revoking a certificate.", r.Reason)
	}
	now := a.now().UTC().Truncate(time.Microsecond)
	if r.Invalid.After(now) {
		return change{}, ErrReason.Withf("The key cannot be invalid only from a time to come.")
	}
	c := change{standing: revoked, reason: r.Reason, at: now, invalid: r.Invalid, note: r.Note}
	if r.Reason == CertificateHold {
		c.standing = held
	}
	return c, checkNote(r.Note)
}

// Release ends a hold.
func (a *Authority) Release(ctx context.Context, by audit.Actor, issuer string, serial Serial) error {
	return a.ReleaseNoted(ctx, by, issuer, serial, "")
}

// ReleaseNoted is Release with a note for the audit log, as that of a Revocation.
func (a *Authority) ReleaseNoted(ctx context.Context, by audit.Actor, issuer string, serial Serial, note string) error {
	if err := checkNote(note); err != nil {
		return err
	}
	return a.change(ctx, by, issuer, serial, change{standing: released, at: a.now().UTC().Truncate(time.Microsecond), note: note})
}

// Standings of a serial in ca.revocation.
const (
	revoked  = "revoked"
	held     = "held"
	released = "released"
)

// change is a row of ca.revocation that is to be.
type change struct {
	standing string
	reason   Reason
	at       time.Time // when it is done
	since    time.Time // revocationDate
	invalid  time.Time
	notAfter time.Time
	note     string
}

func (a *Authority) change(ctx context.Context, by audit.Actor, issuer string, serial Serial, c change) error {
	return a.db.InTx(ctx, role, func(tx pgx.Tx) error {
		if err := lockIssuer(ctx, tx, issuer); err != nil {
			return err
		}
		cert, err := certificate(ctx, tx, issuer, serial)
		if errors.Is(err, ErrNotFound) {
			return whyNotIssued(ctx, tx, issuer, serial)
		}
		if err != nil {
			return err
		}
		if c.since, err = c.follows(cert.Status); err != nil {
			return err
		}
		c.notAfter = cert.NotAfter
		count, err := insertChanges(ctx, tx, issuer, []Serial{serial}, c)
		if err != nil {
			return err
		}
		data := map[string]any{"profile": cert.Profile, "request": cert.Request}
		if c.standing != released {
			data["reason"] = c.reason.String()
		}
		if !c.invalid.IsZero() {
			data["invalid"] = c.invalid.UTC()
		}
		if c.note != "" {
			data["note"] = c.note
		}
		_, err = audit.Append(ctx, tx, c.at, by, audit.Event{Kind: "certificate." + c.standing, Subject: subjectOf(issuer, serial), Person: cert.Person, Data: data})
		if err != nil {
			return err
		}
		return a.afterChange(ctx, tx, cert, count, c)
	})
}

// afterChange asks for what must be done when a certificate's standing has changed.
func (a *Authority) afterChange(ctx context.Context, tx pgx.Tx, c Certificate, count int64, made change) error {
	if err := a.askForList(ctx, tx, c.Issuer, count, made); err != nil {
		return err
	}
	if c.Person == uuid.Nil {
		return nil
	}
	b := &pgx.Batch{}
	jobs.QueuePublication(b, a.now(), c.Person)
	return tx.SendBatch(ctx, b).Close()
}

// askForList asks for a list with a change in it. It waits for further ones, which then need no list of their own; but not
// where somebody else may be using a key.
func (a *Authority) askForList(ctx context.Context, tx pgx.Tx, issuer string, count int64, made change) error {
	delay := a.debounce
	if made.standing == revoked && made.reason == KeyCompromise {
		delay = 0
	}
	return a.jobs.InsertAfter(ctx, tx, delay, jobs.BuildCRL{Issuer: issuer, AtLeast: count})
}

// follows checks that the change may follow the present status, and returns the time of revocation.
func (c change) follows(s Status) (time.Time, error) {
	switch {
	case c.standing == released:
		if s.State != Revoked || s.Reason != CertificateHold {
			return time.Time{}, ErrNotHeld
		}
		return s.At, nil
	case s.State == Good:
		return c.at, nil
	case s.Reason == CertificateHold && c.standing == revoked:
		return s.At, nil
	case c.reason == KeyCompromise && s.Reason != KeyCompromise:
		return s.At, nil
	default:
		return time.Time{}, ErrRevoked
	}
}

// lockIssuer makes the changes of one issuer follow each other: whoever sees count n sees all before it.
func lockIssuer(ctx context.Context, tx pgx.Tx, issuer string) error {
	var one int
	err := tx.QueryRow(ctx, `select 1 from ca.issuer where id = $1 for no key update`, issuer).Scan(&one)
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrUnknownIssuer.Withf("There is no issuer %q.", clip(issuer))
	}
	if err != nil {
		return fmt.Errorf("lock issuer %s: %w", issuer, err)
	}
	return nil
}

// whyNotIssued tells a serial that was never issued from one that never was.
func whyNotIssued(ctx context.Context, tx pgx.Tx, issuer string, serial Serial) error {
	var state string
	err := tx.QueryRow(ctx, `select state from ca.prepared where issuer = $1 and serial = $2`, issuer, []byte(serial)).Scan(&state)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return ErrNotFound.Withf("There is no certificate with the serial number %s.", serial)
	case err != nil:
		return fmt.Errorf("read certificate %s: %w", serial, err)
	case state == stateAbandoned:
		return ErrRevoked.Withf("The issue of this certificate was given up; its serial number is revoked already.")
	default:
		return ErrNotIssued
	}
}

// insertChanges records the same change of several serials and returns the issuer's new count. The issuer is locked.
func insertChanges(ctx context.Context, tx pgx.Tx, issuer string, serials []Serial, c change) (count int64, err error) {
	raw := make([][]byte, len(serials))
	for n, s := range serials {
		raw[n] = []byte(s)
	}
	var invalid *time.Time
	if !c.invalid.IsZero() {
		invalid = &c.invalid
	}
	err = tx.QueryRow(ctx, `
		with counted as (update ca.issuer set changes = changes + cardinality($2::bytea[]) where id = $1 returning changes),
		added as (
			insert into ca.revocation (issuer, change, serial, standing, reason, revoked_at, invalidity_at, not_after, profile, partition)
			select $1, changes - cardinality($2::bytea[]) + n, serial, $3, $4, $5, $6, $7, p.profile, p.partition
			from counted, unnest($2::bytea[]) with ordinality as u (serial, n),
				lateral (select profile, partition from ca.prepared where issuer = $1 and serial = u.serial offset 0) p) -- one look-up each
		select changes from counted`, issuer, raw, c.standing, c.reason, c.since, invalid, c.notAfter).Scan(&count)
	if err != nil {
		return 0, fmt.Errorf("record revocation: %w", err)
	}
	return count, nil
}
