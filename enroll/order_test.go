package enroll_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/keyuse"
	"github.com/sealpost/sealpost/internal/pkitest"
)

const why = "The keys of spring can be guessed."

// ordered counts what a policy has renewed because of an order.
func ordered(t *testing.T, h *housetest.House, by audit.Actor, machine uuid.UUID) (n int) {
	t.Helper()
	p, err := h.Enroll.Policy(t.Context(), by, machine)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range p.Due {
		if d.Why == enroll.DueOrdered {
			n++
			if !strings.Contains(d.Say, why) || d.RenewAt.After(d.LateAt) {
				t.Errorf("due: %+v", d)
			}
		}
	}
	return n
}

// Each criterion concerns the certificates that meet it and no others; what came of the order is not renewed again; a withdrawn order does nothing.
func TestRenewalOrders(t *testing.T) {
	h := setup(t)
	alice, bob, rita := h.Actor(t, "alice"), h.Actor(t, "bob"), h.Actor(t, "rita")
	s, keys := h.Submission(t, alice, housetest.Pair)
	theirs, _ := h.Submission(t, bob, housetest.Pair)
	for who, s := range map[*audit.Actor]enroll.Submission{&alice: s, &bob: theirs} {
		if _, err := h.Enroll.Submit(t.Context(), *who, s); err != nil {
			t.Fatal(err)
		}
	}
	key := keyuse.HashOf(pkitest.SPKI(keys.Signing.Public()))
	h.Clock.Advance(time.Hour)
	now, long := h.Clock.Now(), h.Clock.Now().Add(-2*time.Hour)
	for what, c := range map[string]struct {
		o          enroll.Order
		alice, bob int
		after      int // of alice's, when she has renewed
	}{
		"profile":                {enroll.Order{Profile: ca.SMIMESigning}, 1, 1, 0},
		"issuer":                 {enroll.Order{Issuer: pkitest.IssuerID}, 2, 2, 0},
		"person":                 {enroll.Order{Person: alice.Person}, 2, 0, 0},
		"person and profile":     {enroll.Order{Person: bob.Person, Profile: ca.SMIMEEncryption}, 0, 1, 0},
		"key":                    {enroll.Order{Key: &key}, 1, 0, 1},
		"algorithm":              {enroll.Order{Algorithm: ca.P256}, 2, 2, 2},
		"algorithm and profile":  {enroll.Order{Algorithm: ca.P256, Profile: ca.SMIMESigning}, 1, 1, 1},
		"another algorithm":      {enroll.Order{Algorithm: ca.P384}, 0, 0, 0},
		"issued before":          {enroll.Order{Issuer: pkitest.IssuerID, IssuedBefore: now}, 2, 2, 0},
		"issued long before":     {enroll.Order{Issuer: pkitest.IssuerID, IssuedBefore: long}, 0, 0, 0},
		"algorithm, long before": {enroll.Order{Algorithm: ca.P256, IssuedBefore: long}, 0, 0, 0},
	} {
		c.o.Reason, c.o.Hours = why, 10
		o, err := h.Enroll.OrderRenewal(t.Context(), rita, c.o)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if a, b := ordered(t, h, alice, uuid.New()), ordered(t, h, bob, uuid.Nil); a != c.alice || b != c.bob {
			t.Errorf("%s: %d and %d are to be renewed, not %d and %d", what, a, b, c.alice, c.bob)
		}
		if p, err := h.Enroll.RenewalProgress(t.Context(), o); err != nil || p != (enroll.Progress{Waiting: c.alice + c.bob, Whole: true}) {
			t.Errorf("%s: %+v, %v", what, p, err)
		}
		if got, err := h.Enroll.RenewalOrder(t.Context(), rita, o.Number); err != nil || got.Reason != why || got.Profile != o.Profile || got.Issuer != o.Issuer || got.Person != o.Person ||
			got.Algorithm != o.Algorithm || (got.Key == nil) != (o.Key == nil) || !got.IssuedBefore.Equal(o.IssuedBefore) || !got.At.Equal(o.At) || got.Hours != 10 {
			t.Errorf("%s: kept as %+v, %v", what, got, err)
		}
		if _, err := h.Enroll.WithdrawRenewalOrder(t.Context(), rita, o.Number); err != nil {
			t.Fatal(err)
		}
		if a, b := ordered(t, h, alice, uuid.Nil), ordered(t, h, bob, uuid.Nil); a+b != 0 {
			t.Errorf("%s, withdrawn: %d and %d are to be renewed", what, a, b)
		}
		if _, err := h.Enroll.WithdrawRenewalOrder(t.Context(), rita, o.Number); !errors.Is(err, enroll.ErrOrderWithdrawn) {
			t.Errorf("%s, withdrawn twice: %v", what, err)
		}
	}
	if n := h.Database.Count(t, `select count(*) from audit.event where kind in ('enrolment.renewal-ordered', 'enrolment.renewal-withdrawn')`); n != 22 {
		t.Errorf("%d events, want 22", n)
	}

	o, err := h.Enroll.OrderRenewal(t.Context(), rita, enroll.Order{Person: alice.Person, Reason: why})
	if err != nil {
		t.Fatal(err)
	}
	h.Clock.Advance(time.Minute)
	again, _ := h.Submission(t, alice, housetest.Pair)
	if _, err := h.Enroll.Submit(t.Context(), alice, again); err != nil {
		t.Fatal(err)
	}
	if n := ordered(t, h, alice, uuid.Nil); n != 2 { // those from before, which her agent has left behind
		t.Errorf("after the renewal %d are to be renewed", n)
	}
	if p, err := h.Enroll.RenewalProgress(t.Context(), o); err != nil || p != (enroll.Progress{Replaced: 2, Whole: true}) {
		t.Errorf("after the renewal: %+v, %v", p, err)
	}
}

// While an algorithm is ordered away nobody is told to use it, and nothing of it is certified; then it is as before.
func TestOrderedAwayAlgorithm(t *testing.T) {
	h := setup(t)
	alice, operator := h.Actor(t, "alice"), h.Actor(t, "operator")
	s, _ := h.Submission(t, alice, housetest.Pair)
	o, err := h.Enroll.OrderRenewal(t.Context(), operator, enroll.Order{Algorithm: ca.P256, Profile: ca.SMIMESigning, Reason: why})
	if err != nil {
		t.Fatal(err)
	}
	plan := func() enroll.PlanPolicy {
		p, err := h.Enroll.Policy(t.Context(), alice, uuid.Nil)
		if err != nil {
			t.Fatal(err)
		}
		return p.Plans[0]
	}
	if p := plan(); slices.Contains(p.SigningKeys, ca.P256) || len(p.SigningKeys) == 0 || !slices.Contains(p.EncryptionKeys, ca.P256) {
		t.Errorf("told: %v, %v", p.SigningKeys, p.EncryptionKeys)
	}
	if _, err := h.Enroll.Submit(t.Context(), alice, s); !errors.Is(err, enroll.ErrOrderedAway) {
		t.Errorf("submitted: %v", err)
	}
	other := h.SubmissionWith(t, alice, housetest.Pair, housetest.Keys{Signing: pkitest.NewKey(t, plan().SigningKeys[0]), Encryption: pkitest.NewKey(t, ca.P256)})
	if _, err := h.Enroll.Submit(t.Context(), alice, other); err != nil {
		t.Errorf("with another kind of key: %v", err)
	}
	if n := ordered(t, h, alice, uuid.Nil); n != 0 {
		t.Errorf("%d of the new ones are to be renewed", n)
	}
	// Nothing may be left over of any profile.
	p, err := h.PKI.Authority.Profile(ca.SMIMESigning)
	if err != nil {
		t.Fatal(err)
	}
	var refused error
	for _, k := range p.Keys() {
		if k != ca.P256 && refused == nil {
			_, refused = h.Enroll.OrderRenewal(t.Context(), operator, enroll.Order{Algorithm: k, Profile: ca.SMIMESigning, Reason: why})
		}
	}
	if !errors.Is(refused, enroll.ErrOrderImpossible) || len(plan().SigningKeys) != 1 {
		t.Errorf("the last kind of key: %v, %v", refused, plan().SigningKeys)
	}
	if _, err := h.Enroll.WithdrawRenewalOrder(t.Context(), operator, o.Number); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Enroll.Submit(t.Context(), alice, s); err != nil {
		t.Errorf("withdrawn: %v", err)
	}
}

// The very key is not certified again.
func TestOrderedAwayKey(t *testing.T) {
	h := setup(t)
	alice := h.Actor(t, "alice")
	s, keys := h.Submission(t, alice, housetest.Pair)
	key := keyuse.HashOf(pkitest.SPKI(keys.Signing.Public()))
	if _, err := h.Enroll.OrderRenewal(t.Context(), h.Actor(t, "rita"), enroll.Order{Key: &key, Reason: why}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Enroll.Submit(t.Context(), alice, s); !errors.Is(err, enroll.ErrOrderedAway) {
		t.Errorf("submitted: %v", err)
	}
}

// Machines have moments of their own within the order's hours, always the same ones, and none is later than it would be anyway.
func TestOrderedRenewalsAreSpread(t *testing.T) {
	h := setup(t)
	alice := h.Actor(t, "alice")
	bob := h.Actor(t, "bob")
	for _, who := range []audit.Actor{alice, bob} {
		s, _ := h.Submission(t, who, housetest.Pair)
		if _, err := h.Enroll.Submit(t.Context(), who, s); err != nil {
			t.Fatal(err)
		}
	}
	h.Clock.Advance(time.Minute)
	o, err := h.Enroll.OrderRenewal(t.Context(), h.Actor(t, "rita"), enroll.Order{Person: alice.Person, Hours: 100, Reason: why})
	if err != nil {
		t.Fatal(err)
	}
	due := func(machine uuid.UUID) enroll.Due {
		p, err := h.Enroll.Policy(t.Context(), alice, machine)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Due) != 2 || !p.Due[0].RenewAt.Equal(p.Due[1].RenewAt) || p.Due[0].Why != enroll.DueOrdered {
			t.Fatalf("due: %+v", p.Due)
		}
		return p.Due[0]
	}
	late, machine := 0, uuid.New()
	for range 200 {
		id := uuid.New()
		d := due(id)
		if d.RenewAt.Before(o.At.Truncate(time.Second)) || !d.RenewAt.Before(o.At.Add(100*time.Hour)) || !due(id).RenewAt.Equal(d.RenewAt) {
			t.Fatalf("at %v", d.RenewAt)
		}
		if d.RenewAt.After(o.At.Add(50 * time.Hour)) {
			late++
		}
	}
	if late < 50 || late > 150 { // seven standard deviations
		t.Errorf("%d of 200 in the second half", late)
	}
	first := due(machine).RenewAt
	h.Clock.Advance(time.Hour)
	if _, err := h.Enroll.OrderRenewal(t.Context(), h.Actor(t, "rita"), enroll.Order{Person: alice.Person, Hours: 2000, Reason: why}); err != nil {
		t.Fatal(err)
	}
	if got := due(machine).RenewAt; got.After(first) {
		t.Errorf("a second order puts it off, from %v to %v", first, got)
	}
	// An order after the usual moment makes nothing later.
	h.Clock.Advance(due(machine).Certificate.NotAfter.Add(-200 * time.Hour).Sub(h.Clock.Now()))
	if err := h.Enroll.EnsureKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	usual, err := h.Enroll.Policy(t.Context(), bob, machine)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Enroll.OrderRenewal(t.Context(), h.Actor(t, "rita"), enroll.Order{Person: bob.Person, Hours: 100, Reason: why}); err != nil {
		t.Fatal(err)
	}
	hastened, err := h.Enroll.Policy(t.Context(), bob, machine)
	if err != nil {
		t.Fatal(err)
	}
	if d, u := hastened.Due[0], usual.Due[0]; u.Why != enroll.DueAge || d.Why != enroll.DueOrdered || !d.RenewAt.Equal(u.RenewAt) || !d.LateAt.Equal(u.LateAt) {
		t.Errorf("ordered late: %+v, and before %+v", d, u)
	}
}

func TestRenewalOrdersAreRefused(t *testing.T) {
	h := setup(t)
	rita := h.Actor(t, "rita")
	for login, want := range map[string]error{"alice": enroll.ErrNotAllowed, "olivia": enroll.ErrNotAllowed, "auditor": enroll.ErrNotAllowed} {
		by := h.Actor(t, login)
		if _, err := h.Enroll.OrderRenewal(t.Context(), by, enroll.Order{Issuer: pkitest.IssuerID, Reason: why}); !errors.Is(err, want) {
			t.Errorf("%s orders: %v", login, err)
		}
		if _, err := h.Enroll.WithdrawRenewalOrder(t.Context(), by, 1); !errors.Is(err, want) {
			t.Errorf("%s withdraws: %v", login, err)
		}
		if _, err := h.Enroll.RenewalOrders(t.Context(), by, false, 0, 10); (err == nil) != (login == "auditor") {
			t.Errorf("%s lists: %v", login, err)
		}
	}
	key := keyuse.Hash{1}
	for what, o := range map[string]enroll.Order{
		"no criterion":               {Reason: why},
		"only a time":                {Reason: why, IssuedBefore: h.Clock.Now()},
		"no reason":                  {Issuer: pkitest.IssuerID, Reason: " "},
		"a long reason":              {Issuer: pkitest.IssuerID, Reason: strings.Repeat("x", 501)},
		"a control character":        {Issuer: pkitest.IssuerID, Reason: "a\x1bb"},
		"an unknown algorithm":       {Algorithm: "RSA-512", Reason: why},
		"an unknown issuer":          {Issuer: "x", Reason: why},
		"an unknown profile":         {Profile: "x", Reason: why},
		"a profile of no enrolment":  {Profile: ca.AgentSigning, Reason: why},
		"too many hours":             {Issuer: pkitest.IssuerID, Reason: why, Hours: 2161},
		"a negative number of hours": {Issuer: pkitest.IssuerID, Reason: why, Hours: -1},
		"issued in the future":       {Issuer: pkitest.IssuerID, Reason: why, IssuedBefore: h.Clock.Now().Add(time.Hour)},
		"an algorithm and a person":  {Algorithm: ca.P256, Person: rita.Person, Reason: why},
		"an algorithm and a key":     {Algorithm: ca.P256, Key: &key, Reason: why},
	} {
		if _, err := h.Enroll.OrderRenewal(t.Context(), rita, o); !errors.Is(err, enroll.ErrOrder) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := h.Enroll.RenewalOrder(t.Context(), rita, 4711); !errors.Is(err, enroll.ErrUnknownOrder) {
		t.Errorf("an unknown order: %v", err)
	}
	if _, err := h.Enroll.WithdrawRenewalOrder(t.Context(), rita, 4711); !errors.Is(err, enroll.ErrUnknownOrder) {
		t.Errorf("an unknown order is withdrawn: %v", err)
	}
	for range 100 {
		if _, err := h.Enroll.OrderRenewal(t.Context(), rita, enroll.Order{Key: &key, Reason: why}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.Enroll.OrderRenewal(t.Context(), rita, enroll.Order{Key: &key, Reason: why}); !errors.Is(err, enroll.ErrOrders) {
		t.Errorf("one too many: %v", err)
	}
}
