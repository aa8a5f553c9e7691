package archive_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/keyuse"
	"github.com/sealpost/sealpost/internal/rostertest"
)

// history reads a person's history in pages of one.
func history(t testing.TB, c *archive.Cases, by audit.Actor, person uuid.UUID) (out []archive.HistoryEntry) {
	t.Helper()
	for after := ""; ; {
		place, err := archive.ParseHistoryPlace(after)
		if err != nil {
			t.Fatal(err)
		}
		page, err := c.History(t.Context(), by, person, place, 1)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			return out
		}
		out, after = append(out, page...), page[0].Place.String()
	}
}

// After the officers moved the records to another archive key, the history still tells which keys an older case asked for,
// and who the officers of then were.
func TestHistoryAfterRekey(t *testing.T) {
	o := newOffice(t)
	o.archived(t, o.alice, 2)
	k, capsules := o.opened(t)
	o.mustApprove(t, k, capsules, 1, 3)
	o.collect(t, k, capsules, o.alice)

	next := rostertest.New(t, 2, 3)
	c := o.bundle.config
	c.Pins = []record.Hash{next.Hash()} // the old one is not pinned any more
	after, err := archive.New(c)
	if err == nil {
		_, err = after.AddRoster(t.Context(), by, next.Bytes())
	}
	if err != nil {
		t.Fatal(err)
	}
	var moved []*record.Capsule
	for _, x := range capsules {
		moved = append(moved, rekeyed(t, o.roster, next, x))
	}
	if n, err := after.Adopt(t.Context(), by, all(moved), nil); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	config := o.config
	config.Archive = after
	cases, err := archive.NewCases(config)
	if err != nil {
		t.Fatal(err)
	}

	found := history(t, cases, o.alice.Actor, o.alice.Person)
	if len(found) != 3 {
		t.Fatalf("%d entries: %+v", len(found), found)
	}
	var keys []keyuse.Hash
	var touched *archive.HistoryCase
	for i, e := range found {
		if i > 0 && e.At.After(found[i-1].At) {
			t.Errorf("entry %d is newer than the one before", i)
		}
		if e.Case != nil {
			touched = e.Case
		}
		if e.Key != nil {
			keys = append(keys, e.Key.Receipt.Key)
			if e.Key.Held || e.Key.Imported || e.Key.KeyID != next.KeyID() || e.Key.SealedTo != o.roster.KeyID() || e.Key.Algorithm == "" {
				t.Errorf("%+v", e.Key)
			}
		}
	}
	if len(keys) != 2 || touched == nil {
		t.Fatalf("%d keys, case %v", len(keys), touched)
	}
	for _, key := range keys {
		if !slices.Contains(touched.Keys, key) {
			t.Errorf("the case does not tell that it asked for %x", key)
		}
	}
	if touched.Records != 2 || touched.Needed != 2 || len(touched.Answers) != 2 || touched.Collected[touched.Delivery].IsZero() ||
		touched.Officers[1] != o.roster.Agents[0].Name {
		t.Errorf("%+v", touched)
	}
}

// A deposit is in the history from its first moment, as held.
func TestHistoryOfAHeldKey(t *testing.T) {
	o := newOffice(t)
	d := newDeposit(t)
	d.Person = o.alice.Person
	if _, err := o.Deposit(t.Context(), by, d); err != nil {
		t.Fatal(err)
	}
	if found := history(t, o.Cases, o.alice.Actor, o.alice.Person); len(found) != 1 || !found[0].Key.Held {
		t.Errorf("held: %+v", found)
	}
	if err := o.Confirm(t.Context(), d.Request); err != nil {
		t.Fatal(err)
	}
	if found := history(t, o.Cases, o.auditor.Actor, o.alice.Person); len(found) != 1 || found[0].Key.Held {
		t.Errorf("kept: %+v", found)
	}
	if _, err := o.History(t.Context(), o.boss.Actor, o.alice.Person, archive.HistoryPlace{}, 10); !errors.Is(err, audit.ErrRoleRequired) {
		t.Errorf("who may ask for keys reads another's history: %v", err)
	}
}

func TestHistoryPlace(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"x", "1", "1.0", "1.0.", "1.3.00", "-1.0.00", "1.00.00", "1.0.x' or true", "99999999999999999999.0.00", "9007199254740993.0.00", ".0.00"} {
		if p, err := archive.ParseHistoryPlace(text); !errors.Is(err, archive.ErrHistoryPlace) {
			t.Errorf("%q: %v, %v", text, p, err)
		}
	}
	const text = "1772616600123456.2.0195f2c4-7c1e-7000-8000-5f3a9e1b2c4d"
	if p, err := archive.ParseHistoryPlace(text); err != nil || p.String() != text {
		t.Errorf("%v, %v", p, err)
	}
	if (archive.HistoryPlace{}).String() != "" {
		t.Error("the beginning has a name")
	}
}

func FuzzParseHistoryPlace(f *testing.F) {
	f.Add("")
	f.Add("1772616600123456.2.0195f2c4-7c1e-7000-8000-5f3a9e1b2c4d")
	f.Add("1772616600123456.1.00000000000000000017")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := archive.ParseHistoryPlace(text)
		if err != nil {
			return
		}
		if again, err := archive.ParseHistoryPlace(p.String()); err != nil || again != p {
			t.Errorf("%q: %v, %v, %v", text, p, again, err)
		}
	})
}

// The subject of a case in silence finds it in their history when the silence is over, in its place.
func TestHistoryInSilence(t *testing.T) {
	o := newOffice(t)
	o.archived(t, o.alice, 1)
	c, _ := o.draft(t, o.boss, record.CaseLegal, o.lawyer.receive.Certificate, o.alice.Person)
	s := sign(t, c, o.boss)
	consent, err := record.Consent{Case: s.Hash(), Person: o.auditor.Person, Name: o.auditor.Name, Certificate: o.auditor.signing,
		SilentUntil: o.clock().AddDate(0, 0, 10), Time: o.clock()}.Sign(o.auditor.signer)
	if err == nil {
		_, err = o.Open(t.Context(), o.boss.Actor, s.Bytes(), consent.Bytes())
	}
	if err != nil {
		t.Fatal(err)
	}
	cases := func(who audit.Actor) (n int) {
		for _, e := range history(t, o.Cases, who, o.alice.Person) {
			if e.Case != nil {
				n++
			}
		}
		return n
	}
	asAuditor := o.alice.Actor
	asAuditor.Roles = append(asAuditor.Roles, audit.Auditor)
	if cases(o.alice.Actor) != 0 || cases(asAuditor) != 0 {
		t.Error("the subject sees the case in silence")
	}
	if cases(o.auditor.Actor) != 1 {
		t.Error("the auditor does not see the case")
	}
	o.wait(10*24*time.Hour + time.Second)
	if cases(o.alice.Actor) != 1 {
		t.Error("the subject does not see the case after the silence")
	}
}
