package ca

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"
)

// State is whether a certificate may be relied on, as far as its issuer knows.
type State string

// The states. A serial that is prepared and not yet signed is unknown.
const (
	Good    State = "good"
	Revoked State = "revoked"
	Unknown State = "unknown"
)

// Status is what the issuer says of a serial. On hold is revoked for CertificateHold.
type Status struct {
	State   State
	Reason  Reason    // of a revoked one
	At      time.Time // when it was revoked (revocationDate)
	Invalid time.Time // since when the key must not be trusted; zero: not known
}

func statusOf(standing *string, reason *Reason, at, invalid *time.Time) Status {
	if standing == nil || *standing == released {
		return Status{State: Good}
	}
	s := Status{State: Revoked, Reason: *reason, At: at.UTC()}
	if invalid != nil {
		s.Invalid = invalid.UTC()
	}
	return s
}

// Status returns what is known of a serial. One that nobody prepared is Unknown, and no error.
func (a *Authority) Status(ctx context.Context, issuer string, serial Serial) (Status, error) {
	var out Status
	err := a.db.InTx(ctx, role, func(tx pgx.Tx) error {
		var state string
		var standing *string
		var reason *Reason
		var at, invalid *time.Time
		err := tx.QueryRow(ctx, `
			select p.state, r.standing, r.reason, r.revoked_at, r.invalidity_at
			from ca.prepared p left join lateral (
				select standing, reason, revoked_at, invalidity_at from ca.revocation
				where issuer = p.issuer and serial = p.serial order by change desc limit 1) r on true
			where p.issuer = $1 and p.serial = $2`, issuer, []byte(serial)).Scan(&state, &standing, &reason, &at, &invalid)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			out = Status{State: Unknown}
			return nil
		case err != nil:
			return fmt.Errorf("read status of %s: %w", serial, err)
		case state == statePrepared:
			out = Status{State: Unknown}
		default:
			out = statusOf(standing, reason, at, invalid)
		}
		return nil
	})
	return out, err
}

// Change is one change of a serial's standing.
type Change struct {
	Count    int64 // the issuer's count at this change; they rise by one
	Serial   Serial
	Released bool // the hold ended: the serial is good again. Otherwise it is revoked or on hold.
	Reason   Reason
	At       time.Time // revocationDate
	Invalid  time.Time // invalidityDate; zero: none
	NotAfter time.Time // the certificate's last second

	Profile     string
	Partition   int  // whose list the certificate names, beside the whole one; 0: none
	KeepExpired bool // it stays on lists after its last second (ProfileConfig.KeepExpired)
}

// Revoked yields every change of an issuer's serials after the given count (0 for all), in the order of the count. The
// last change of a serial holds. Abandoned serials are among them, and what has expired: leaving that out is the
// caller's. All are of one moment, and complete: a later call with the last count yields exactly what came after.
//
// The sequence ends at the first error, which is yielded with an empty Change. The database's connection is held until
// the sequence ends.
func (a *Authority) Revoked(ctx context.Context, issuer string, after int64) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		err := a.db.Snapshot(ctx, role, func(tx pgx.Tx) error {
			count, err := selectChanges(ctx, tx, issuer)
			for err == nil && after < count {
				err = a.someRevoked(ctx, tx, issuer, after, yield)
				after += revokedAtOnce
			}
			return err
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield(Change{}, err)
		}
	}
}

// revokedAtOnce is how many changes one statement reads. They are numbered without gaps. One statement for all would be at work
// for as long as their reader is, and the database ends it after a minute.
const revokedAtOnce = 50_000

// errStopped is that the reader of changes wants no more.
var errStopped = errors.New("stopped")

func (a *Authority) someRevoked(ctx context.Context, tx pgx.Tx, issuer string, after int64, yield func(Change, error) bool) error {
	rows, err := tx.Query(ctx, `
		select change, serial, standing, reason, revoked_at, invalidity_at, not_after, profile, partition
		from ca.revocation where issuer = $1 and change > $2 and change <= $3 order by change`, issuer, after, after+revokedAtOnce)
	if err != nil {
		return fmt.Errorf("read revocations: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var c Change
		var serial []byte
		var standing string
		var invalid *time.Time
		if err := rows.Scan(&c.Count, &serial, &standing, &c.Reason, &c.At, &invalid, &c.NotAfter, &c.Profile, &c.Partition); err != nil {
			return fmt.Errorf("read revocations: %w", err)
		}
		c.Serial, c.Released = Serial(serial), standing == released
		c.At, c.NotAfter, c.KeepExpired = c.At.UTC(), c.NotAfter.UTC(), a.keepsExpired(c.Profile)
		if invalid != nil {
			c.Invalid = invalid.UTC()
		}
		if !yield(c, nil) {
			return errStopped
		}
	}
	return rows.Err()
}

// keepsExpired reports whether what was revoked of a profile stays on lists after its end. Of one that is no longer
// configured it does: too long a list does no harm.
func (a *Authority) keepsExpired(profile string) bool {
	p := a.profiles[profile]
	return p == nil || p.keepExpired
}

// Partitions returns how many partitions an issuer has a list for: as many as it has now or ever had (IssuerConfig.Partitions).
// 0 means that it has the whole list alone.
func (a *Authority) Partitions(ctx context.Context, issuer string) (n int, err error) {
	err = a.db.InTx(ctx, role, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, `select partitions from ca.issuer where id = $1`, issuer).Scan(&n)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrUnknownIssuer.Withf("There is no issuer %q.", clip(issuer))
		}
		return err
	})
	return n, err
}

// Changes returns an issuer's count of changes: what Revoked yields last.
func (a *Authority) Changes(ctx context.Context, issuer string) (count int64, err error) {
	err = a.db.InTx(ctx, role, func(tx pgx.Tx) error {
		count, err = selectChanges(ctx, tx, issuer)
		return err
	})
	return count, err
}

func selectChanges(ctx context.Context, tx pgx.Tx, issuer string) (count int64, err error) {
	err = tx.QueryRow(ctx, `select changes from ca.issuer where id = $1`, issuer).Scan(&count)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrUnknownIssuer.Withf("There is no issuer %q.", clip(issuer))
	}
	return count, err
}
