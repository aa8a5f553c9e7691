package enroll_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/internal/housetest"
)

// A thousand machines whose certificates were issued in the same minute renew evenly over the window, each at the same moment however
// often it asks, and both certificates of a pair at once.
func TestRenewalsAreSpread(t *testing.T) {
	h := setup(t)
	alice := h.Actor(t, "alice")
	s, _ := h.Submission(t, alice, housetest.Pair)
	if _, err := h.Enroll.Submit(t.Context(), alice, s); err != nil {
		t.Fatal(err)
	}
	const machines, parts = 1000, 20
	var buckets [parts]int
	for range machines {
		machine := uuid.New()
		p, err := h.Enroll.Policy(t.Context(), alice, machine)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Due) != 2 || !p.Due[0].RenewAt.Equal(p.Due[1].RenewAt) {
			t.Fatalf("due: %+v", p.Due)
		}
		d := p.Due[0]
		life := d.Certificate.NotAfter.Sub(d.Certificate.NotBefore)
		from, until := d.Certificate.NotBefore.Add(time.Duration(p.Renewal.From*float64(life))), d.LateAt
		if d.RenewAt.Before(from.Truncate(time.Second)) || !d.RenewAt.Before(until) {
			t.Fatalf("%v is not between %v and %v", d.RenewAt, from, until)
		}
		buckets[int(float64(d.RenewAt.Sub(from))/float64(until.Sub(from))*parts)]++
		if again, err := h.Enroll.Policy(t.Context(), alice, machine); err != nil || !again.Due[0].RenewAt.Equal(d.RenewAt) {
			t.Fatalf("asked again: %v, %v", again.Due[0].RenewAt, err)
		}
	}
	// Chi-square with 19 degrees of freedom: an even spread exceeds 60 once in three hundred thousand runs.
	chi := 0.0
	for _, n := range buckets {
		chi += float64((n-machines/parts)*(n-machines/parts)) / (machines / parts)
	}
	if chi > 60 {
		t.Errorf("chi-square %.1f: %v", chi, buckets)
	}
}
