package archive_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/audit"
)

// A report names who asked for whose keys and why, what the officers said, and what became of it; of a time and a state.
func TestReport(t *testing.T) {
	o := newOffice(t)
	o.archived(t, o.alice, 2)
	first, capsules := o.opened(t)
	o.mustApprove(t, first, capsules, 2, 1)
	if err := collectOnly(o, t, first, o.alice); err != nil {
		t.Fatal(err)
	}
	o.wait(24 * time.Hour)
	middle := o.clock()
	second, _ := o.opened(t)

	all, err := o.Report(t.Context(), o.auditor.Actor, archive.Span{}, uuid.Nil, 10)
	if err != nil || len(all) != 2 || all[0].ID != second.ID || all[1].ID != first.ID {
		t.Fatalf("%+v %v", all, err)
	}
	got := all[1]
	if got.State != archive.CaseReleased || got.Requester != "Alice Example" || got.Reason == "" || len(got.Deliveries) != 1 || got.Deliveries[0].Collected.IsZero() {
		t.Errorf("%+v", got)
	}
	if d := cmp.Diff([]archive.ReportedSubject{{Person: o.alice.Person, Name: "Alice Example", Mail: "alice@example.test"}}, got.Subjects); d != "" || got.Further != 0 {
		t.Error(d)
	}
	var said []string
	for _, a := range got.Answers {
		said = append(said, a.Officer+" "+a.Decision)
	}
	if want := []string{o.agent(1).Name + " approve", o.agent(2).Name + " approve"}; !slices.Equal(said, want) && !slices.Equal(said, []string{want[1], want[0]}) {
		t.Errorf("%v, want %v", said, want)
	}
	for what, c := range map[string]struct {
		in    archive.Span
		after uuid.UUID
		want  []uuid.UUID
	}{
		"since":     {archive.Span{From: middle}, uuid.Nil, []uuid.UUID{second.ID}},
		"until":     {archive.Span{To: middle}, uuid.Nil, []uuid.UUID{first.ID}},
		"nothing":   {archive.Span{From: middle, To: middle}, uuid.Nil, nil},
		"state":     {archive.Span{State: archive.CaseRequested}, uuid.Nil, []uuid.UUID{second.ID}},
		"next page": {archive.Span{}, second.ID, []uuid.UUID{first.ID}},
	} {
		page, err := o.Report(t.Context(), o.auditor.Actor, c.in, c.after, 10)
		var ids []uuid.UUID
		for _, k := range page {
			ids = append(ids, k.ID)
		}
		if err != nil || !slices.Equal(ids, c.want) {
			t.Errorf("%s: %v, %v", what, ids, err)
		}
	}
	sums, err := o.ReportSums(t.Context(), o.auditor.Actor, archive.Span{})
	if err != nil || fmt.Sprint(sums) != "[{restore released 1 2} {restore requested 1 2}]" {
		t.Errorf("%v, %v", sums, err)
	}
	if sums, err := o.ReportSums(t.Context(), o.auditor.Actor, archive.Span{From: middle}); err != nil || len(sums) != 1 || sums[0].Cases != 1 {
		t.Errorf("%v, %v", sums, err)
	}
	for _, who := range []audit.Actor{o.alice.Actor, o.boss.Actor, o.agent(1)} {
		_, err := o.Report(t.Context(), who, archive.Span{}, uuid.Nil, 10)
		_, sums := o.ReportSums(t.Context(), who, archive.Span{})
		if !errors.Is(err, audit.ErrRoleRequired) || !errors.Is(sums, audit.ErrRoleRequired) {
			t.Errorf("%s: %v %v", who.Name, err, sums)
		}
	}
}

// An auditor whose keys a silent case asks for reads nothing of it in a report either.
func TestReportIsSilent(t *testing.T) {
	o := newOffice(t)
	o.archived(t, o.auditor, 1)
	second := newSomebody(t, "Second Auditor", audit.Auditor)
	o.signers[string(second.signing.Raw)] = second
	c, _ := o.draft(t, o.boss, record.CaseLegal, o.lawyer.receive.Certificate, o.auditor.Person)
	s := sign(t, c, o.boss)
	consent, err := record.Consent{Case: s.Hash(), Person: second.Person, Name: second.Name, Certificate: second.signing,
		SilentUntil: o.clock().AddDate(0, 0, 10), Time: o.clock()}.Sign(second.signer)
	if err == nil {
		_, err = o.Open(t.Context(), o.boss.Actor, s.Bytes(), consent.Bytes())
	}
	if err != nil {
		t.Fatal(err)
	}
	reads := func(who *somebody) int {
		list, err := o.Report(t.Context(), who.Actor, archive.Span{}, uuid.Nil, 10)
		sums, err2 := o.ReportSums(t.Context(), who.Actor, archive.Span{})
		if err != nil || err2 != nil || len(list) != len(sums) {
			t.Errorf("%v %v, %d %d", err, err2, len(list), len(sums))
		}
		return len(list)
	}
	silent := func(who *somebody) int {
		ids, err := o.SilentAbout(t.Context(), who.Person)
		if err != nil {
			t.Error(err)
		}
		return len(ids)
	}
	if reads(o.auditor) != 0 || reads(second) != 1 || silent(o.auditor) != 1 || silent(second) != 0 {
		t.Error("the wrong people read of it")
	}
	o.wait(10*24*time.Hour + time.Second)
	if reads(o.auditor) != 1 || silent(o.auditor) != 0 {
		t.Error("the subject does not read of it after the silence")
	}
}
