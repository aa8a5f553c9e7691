package archive_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/audit"
)

// A list says of a case what its statement says, without reading it: that of a case of before, too.
func TestListingOfCases(t *testing.T) {
	o := newOffice(t)
	o.archived(t, o.alice, 3)
	k, capsules := o.opened(t)
	o.mustApprove(t, k, capsules, 1, 2)
	if err := collectOnly(o, t, k, o.alice); err != nil {
		t.Fatal(err)
	}
	k, err := o.Get(t.Context(), o.alice.Actor, k.ID)
	if err != nil {
		t.Fatal(err)
	}
	want := []archive.Listed{{ID: k.ID, Kind: "restore", State: archive.CaseReleased, Requester: "Alice Example", Reason: "The laptop was left in a train.",
		Opened: k.Opened, Deadline: k.Deadline, Changed: k.Changed, Deliveries: []archive.ListedDelivery{
			{Recipient: record.Fingerprint(o.alice.receive.Certificate), Subjects: 1, Records: 3, Collected: k.Collected[0]}}}}
	listed := func(what string) {
		t.Helper()
		got, err := o.List(t.Context(), o.alice.Actor, "", uuid.Nil, 10)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got, cmp.Comparer(time.Time.Equal)); d != "" {
			t.Errorf("%s: %s", what, d)
		}
	}
	listed("as it was opened")
	o.database.Exec(t, `update archive.recovery_case set requester_name = null, purpose = null, reference = null`)
	o.database.Exec(t, `update archive.case_delivery set recipient_sha256 = null, subjects = null, records = null`)
	listed("of before")
	o.database.Exec(t, `update archive.recovery_case set requester_name = 'Alice Example', purpose = 'The laptop was left in a train.', statement = 'altered'`)
	got, err := o.List(t.Context(), o.alice.Actor, "", uuid.Nil, 10)
	if err != nil || len(got) != 1 {
		t.Errorf("a statement is read for a list: %v", err)
	}
	if _, err := o.Get(t.Context(), o.alice.Actor, k.ID); err == nil {
		t.Error("an altered statement is shown")
	}
}

// Lists are paged in the order of opening, and the pages hold each case once.
func TestListingPages(t *testing.T) {
	o := newOffice(t)
	o.archived(t, o.alice, 1)
	var want []uuid.UUID
	for range 7 {
		k, _ := o.opened(t)
		want = append([]uuid.UUID{k.ID}, want...)
		o.wait(time.Second)
	}
	var got []uuid.UUID
	for after := uuid.Nil; ; {
		page, err := o.List(t.Context(), o.auditor.Actor, archive.CaseRequested, after, 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range page {
			got, after = append(got, l.ID), l.ID
		}
		if len(page) < 3 {
			break
		}
	}
	if d := cmp.Diff(fmt.Sprint(want), fmt.Sprint(got)); d != "" {
		t.Error(d)
	}
}

// Those whose agents are asked come in the order of their deadlines, with what was said so far, and what the reader has.
func TestWaitingCases(t *testing.T) {
	o := newOffice(t)
	o.archived(t, o.alice, 1)
	first, capsules := o.opened(t)
	o.wait(time.Hour)
	second, _ := o.opened(t)
	o.wait(time.Hour)
	third, _ := o.opened(t)
	if _, err := o.Cancel(t.Context(), o.alice.Actor, third.ID, "found it"); err != nil {
		t.Fatal(err)
	}
	o.mustApprove(t, first, capsules, 1)
	type row struct {
		ID                          uuid.UUID
		Needed, Approved, Refused   int
		Agent                       uint16
		Answered                    bool
		Requester                   string
		DeliveriesOfThem, KeysThere int
	}
	waiting := func(by audit.Actor, limit int) (out []row) {
		t.Helper()
		found, err := o.Waiting(t.Context(), by, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range found {
			out = append(out, row{w.ID, w.Needed, w.Approved, w.Refused, w.Agent, w.Answered, w.Requester, len(w.Deliveries), w.Deliveries[0].Records})
		}
		return out
	}
	a := row{first.ID, 2, 1, 0, 1, true, "Alice Example", 1, 1}
	b := row{second.ID, 2, 0, 0, 1, false, "Alice Example", 1, 1}
	if d := cmp.Diff([]row{a, b}, waiting(o.agent(1), 10)); d != "" {
		t.Errorf("an agent who answered one: %s", d)
	}
	a.Agent, b.Agent, a.Answered = 2, 2, false
	if d := cmp.Diff([]row{a}, waiting(o.agent(2), 1)); d != "" {
		t.Errorf("another agent, one: %s", d)
	}
	a.Agent, b.Agent = 0, 0
	if d := cmp.Diff([]row{a, b}, waiting(o.auditor.Actor, 10)); d != "" {
		t.Errorf("an auditor: %s", d)
	}
	if got := waiting(o.lawyer.Actor, 10); got != nil {
		t.Errorf("somebody else sees %v", got)
	}
}
