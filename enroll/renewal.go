package enroll

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
)

// Renewal says when clients renew: at a moment of their own in a window of a certificate's life, so that certificates that were
// issued together are not renewed together.
type Renewal struct {
	// From and Until are the window, as parts of a certificate's life; 0 means 0.7, and halfway between From and the end.
	From, Until float64
}

func (w Renewal) orDefaults() (Renewal, error) {
	if w.From == 0 {
		w.From = 0.7
	}
	if w.Until == 0 {
		w.Until = (1 + w.From) / 2
	}
	if !(w.From > 0 && w.From < w.Until && w.Until < 1) {
		return w, errors.New("renewal: the window must lie within a certificate's life, and begin before it ends")
	}
	return w, nil
}

// Old says what clients do with keys and certificates in whose place there are newer ones.
type Old struct {
	KeepSigning bool          // old signing keys are kept; encryption keys always are
	RevokeAfter time.Duration // old certificates to sign with are revoked then, as superseded; 0: never
}

// Why a certificate is due.
const (
	DueAge     = "age"     // it has lived most of its life
	DueRevoked = "revoked" // it is revoked, and serves nothing any more
	DueOrdered = "ordered" // an order says so
)

// Due says when a certificate is to be renewed.
type Due struct {
	Certificate ca.Certificate
	RenewAt     time.Time
	LateAt      time.Time // it should have been renewed by then
	Why         string    // DueAge and so on
	Say         string    // to the person; "" where there is nothing to be said
}

// mostDue bounds how many certificates of one person a policy speaks of.
const mostDue = 200

// due says when the person's certificates are to be renewed at one of their machines.
func (r *Registry) due(ctx context.Context, person, machine uuid.UUID) ([]Due, error) {
	now := r.Now()
	found, err := r.Authority.Find(ctx, ca.Query{Person: &person, ValidAt: now, Limit: mostDue})
	if err != nil {
		return nil, err
	}
	orders, err := r.openOrders(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]Due, 0, len(found))
	for _, c := range found {
		if !r.planned(c.Profile) {
			continue
		}
		d := Due{Certificate: c, Why: DueAge}
		from, until := r.Renewal.window(c)
		d.RenewAt, d.LateAt = spread(from, until, machine, c.Request), until
		if c.Status.State == ca.Revoked && c.Status.Reason != ca.CertificateHold {
			d.Why, d.RenewAt, d.LateAt = DueRevoked, c.Status.At, c.Status.At
			d.Say = fmt.Sprintf("The certificate was revoked on %s (%s).", c.Status.At.UTC().Format(time.DateOnly), c.Status.Reason)
		} else if err := hasten(orders, &d, machine); err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

// planned reports whether there is an enrolment that yields certificates of the profile.
func (r *Registry) planned(profile string) bool {
	return slices.ContainsFunc(r.Config.Plans, func(p Plan) bool { return p.Signing == profile || p.Encryption == profile })
}

// window returns when a certificate is to be renewed.
func (w Renewal) window(c ca.Certificate) (from, until time.Time) {
	life := float64(c.NotAfter.Sub(c.NotBefore))
	return c.NotBefore.Add(time.Duration(w.From * life)), c.NotBefore.Add(time.Duration(w.Until * life))
}

// spread returns the moment between two times at which a machine's turn is, for what came of a request: always the same one, and
// those of many machines evenly distributed. The certificates of one request have one turn. Nothing about it is secret.
func spread(from, until time.Time, machine, request uuid.UUID) time.Time {
	h := sha256.New()
	h.Write([]byte("sealpost renewal v1\x00"))
	h.Write(machine[:])
	h.Write(request[:])
	at, _ := bits.Mul64(binary.BigEndian.Uint64(h.Sum(nil)), uint64(max(until.Sub(from), 0)))
	return from.Add(time.Duration(at)).Truncate(time.Second)
}
