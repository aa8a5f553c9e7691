package fleet_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/fleet"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// kit is a fleet on real rooms, and who asks.
type kit struct {
	*housetest.House
	*fleet.Fleet
	config                               fleet.Config
	alice, bob, rita, operator, watching audit.Actor
	left                                 map[uuid.UUID]bool
}

func setup(t *testing.T) *kit {
	t.Helper()
	t.Parallel()
	k := &kit{House: housetest.New(t), left: map[uuid.UUID]bool{}, watching: audit.System("monitoring")}
	k.config = fleet.Config{DB: k.DB, Audit: k.House.Audit, Policy: fleet.Policy{PerPerson: 4}, Now: k.Clock.Now,
		Left: func(context.Context, []uuid.UUID) (map[uuid.UUID]bool, error) { return k.left, nil }}
	var err error
	k.Fleet, err = fleet.New(k.config)
	must(t, err)
	k.alice, k.bob, k.rita, k.operator = k.Actor(t, "alice"), k.Actor(t, "bob"), k.Actor(t, "rita"), k.Actor(t, "operator")
	return k
}

// sample is what a machine in good order says.
func (k *kit) sample() api.MachineReport {
	now := k.Clock.Now().UTC().Truncate(time.Second)
	renew := now.AddDate(0, 9, 0)
	return api.MachineReport{At: now, Name: "laptop-7", System: "linux", Architecture: "amd64", Version: "sealpost-agent/1.2.0", Schedule: "timer", RenewAt: &renew,
		Places: []api.MachinePlace{{Place: "software"}, {Place: "tpm", Code: "tpm-missing"}}, Stores: []api.MachineStore{{Kind: "nss", Name: "default", At: &now}},
		Certificates: []api.MachineCertificate{{Issuer: "issuing", Serial: "4f1d", Use: "signing", Place: "software", NotAfter: now.AddDate(1, 0, 0), Current: true},
			{Issuer: "issuing", Serial: "4f1e", Use: "encryption", NotAfter: now.AddDate(0, 11, 0), Current: true},
			{Issuer: "issuing", Serial: "1a", Use: "encryption", NotAfter: now.AddDate(-1, 0, 0)}},
		OldKeys: api.MachineOldKeys{Here: 1}, SucceededAt: &now, Succeeded: "renew"}
}

// failed is the sample with something that goes wrong.
func (k *kit) failed(code string) api.MachineReport {
	r := k.sample()
	ended := r.At.Add(-time.Hour)
	r.Failures = []api.MachineFailure{{Code: code, Step: "renew", Detail: "The server cannot be reached.", Since: r.At.AddDate(0, 0, -3), At: r.At, Count: 3},
		{Code: "disk", Step: "fill", Since: ended, At: ended, Count: 1, EndedAt: &ended}}
	return r
}

func code(err error) string {
	if f := fault.Of(err); f != nil {
		return f.Code
	}
	return ""
}

func TestReport(t *testing.T) {
	k := setup(t)
	id := uuid.New()
	if _, err := k.Get(t.Context(), k.alice, k.alice.Person, id); code(err) != "unknown-machine" {
		t.Errorf("before: %v", err)
	}
	r := k.failed("a-code-of-next-year")
	m, err := k.Report(t.Context(), k.alice, id, r)
	must(t, err)
	got, err := k.Get(t.Context(), k.alice, k.alice.Person, id)
	must(t, err)
	for _, m := range []*fleet.Machine{m, got} {
		if m.Failure != "a-code-of-next-year" || m.System != "linux" || m.Version != "sealpost-agent/1.2.0" || m.PersonName != "Alice Anders" || m.ReportedAt == nil ||
			m.EndsAt == nil || !m.EndsAt.Equal(r.Certificates[1].NotAfter) || k.Standing(m) != api.MachineFailing {
			t.Errorf("kept: %+v", m)
		}
	}
	want, err := json.Marshal(r)
	must(t, err)
	have, err := json.Marshal(got.Report)
	must(t, err)
	if string(want) != string(have) {
		t.Errorf("the report has changed:\n%s\n%s", want, have)
	}
	first := got.FirstAt
	k.Clock.Advance(time.Hour)
	_, err = k.Report(t.Context(), k.alice, id, k.sample())
	must(t, err)
	got, err = k.Get(t.Context(), k.operator, k.alice.Person, id)
	must(t, err)
	if got.Failure != "" || k.Standing(got) != api.MachineWell || !got.FirstAt.Equal(first) || got.LastAt.Sub(first) < time.Hour {
		t.Errorf("after the next: %+v", got)
	}
}

// A report is its person's word: what is not as it should be is refused by name, and what a page or a terminal could stumble over is gone.
func TestHostileReports(t *testing.T) {
	k := setup(t)
	for what, change := range map[string]func(*api.MachineReport){
		"too large":         func(r *api.MachineReport) { r.Name = strings.Repeat("x", api.MaxMachineReport) },
		"many certificates": func(r *api.MachineReport) { r.Certificates = make([]api.MachineCertificate, 33) },
		"many failures":     func(r *api.MachineReport) { r.Failures = make([]api.MachineFailure, 17) },
		"many stores":       func(r *api.MachineReport) { r.Stores = make([]api.MachineStore, 17) },
		"many places":       func(r *api.MachineReport) { r.Places = make([]api.MachinePlace, 17) },
		"a system":          func(r *api.MachineReport) { r.System = "<script>" },
		"a schedule":        func(r *api.MachineReport) { r.Schedule = strings.Repeat("x", 33) },
		"no code":           func(r *api.MachineReport) { r.Failures = []api.MachineFailure{{}} },
		"a code":            func(r *api.MachineReport) { r.Failures = []api.MachineFailure{{Code: "a code"}} },
		"a place's code":    func(r *api.MachineReport) { r.Places = []api.MachinePlace{{Place: "tpm", Code: "'; drop table"}} },
		"no place":          func(r *api.MachineReport) { r.Places = []api.MachinePlace{{}} },
		"a serial number":   func(r *api.MachineReport) { r.Certificates[0].Serial = "4F" },
	} {
		r := k.sample()
		change(&r)
		if _, err := k.Report(t.Context(), k.alice, uuid.New(), r); code(err) != "machine-report" {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := k.Report(t.Context(), k.alice, uuid.Nil, k.sample()); code(err) != "machine-id" {
		t.Errorf("no id: %v", err)
	}
	id, hostile := uuid.New(), "\x1b[2J\u202e\x00<script>\xff\r\n'\"; "
	r := k.failed("disk")
	r.Name, r.Version, r.Stores[0].Name, r.Failures[0].Detail, r.Certificates[0].Issuer = hostile, hostile+strings.Repeat("v", 100), hostile, hostile+strings.Repeat("ä", 400), hostile
	r.At, r.Failures[0].Since, r.Failures[0].Count, r.OldKeys.Here = time.Date(-4000, 1, 1, 0, 0, 0, 0, time.UTC), time.Time{}, -5, -1
	if _, err := k.Report(t.Context(), k.alice, id, r); code(err) != "machine-report" {
		t.Errorf("a year before Christ cannot be written as JSON: %v", err)
	}
	r.At = time.Time{}
	_, err := k.Report(t.Context(), k.alice, id, r)
	must(t, err)
	m, err := k.Get(t.Context(), k.alice, k.alice.Person, id)
	must(t, err)
	for _, s := range []string{m.Report.Name, m.Version, m.Report.Stores[0].Name, m.Report.Failures[0].Detail, m.Report.Certificates[0].Issuer} {
		if !strings.Contains(s, "<script>") || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) || len([]rune(s)) > 300 {
			t.Errorf("kept: %q", s)
		}
	}
	if len([]rune(m.Version)) != 64 || m.Report.At.Year() < 2000 || m.Report.Failures[0].Count != 1 || m.Report.OldKeys.Here != 0 {
		t.Errorf("kept: %+v", m.Report)
	}
}

// Nobody sees or touches somebody else's machine by knowing its id, and the same id of two people is two machines.
func TestOthersMachines(t *testing.T) {
	k := setup(t)
	id := uuid.New()
	_, err := k.Report(t.Context(), k.alice, id, k.failed("disk"))
	must(t, err)
	if _, err := k.Get(t.Context(), k.bob, k.alice.Person, id); code(err) != "unknown-machine" {
		t.Errorf("seen by another: %v", err)
	}
	if _, err := k.Forget(t.Context(), k.bob, k.alice.Person, id); code(err) != "unknown-machine" {
		t.Errorf("forgotten by another: %v", err)
	}
	if _, err := k.List(t.Context(), k.bob, fleet.Which{Person: k.alice.Person}); code(err) != "machines-not-allowed" {
		t.Errorf("listed for another: %v", err)
	}
	if _, err := k.List(t.Context(), k.bob, fleet.Which{}); code(err) != "machines-not-allowed" {
		t.Errorf("all listed for somebody: %v", err)
	}
	if _, err := k.Summary(t.Context(), k.bob); code(err) != "machines-not-allowed" {
		t.Errorf("counted for somebody: %v", err)
	}
	_, err = k.Report(t.Context(), k.bob, id, k.sample())
	must(t, err)
	m, err := k.Get(t.Context(), k.alice, k.alice.Person, id)
	must(t, err)
	if m.Failure != "disk" {
		t.Errorf("somebody else's report took the place of it: %+v", m)
	}
	if list, err := k.List(t.Context(), k.bob, fleet.Which{Person: k.bob.Person, Limit: 10}); err != nil || len(list) != 1 || list[0].Person != k.bob.Person {
		t.Errorf("own: %v, %v", list, err)
	}
	// Operators see and do not forget; registrars do; both is on record.
	if _, err := k.Forget(t.Context(), k.operator, k.alice.Person, id); code(err) != "machine-forget-not-allowed" {
		t.Errorf("forgotten by an operator: %v", err)
	}
	_, err = k.Forget(t.Context(), k.rita, k.alice.Person, id)
	must(t, err)
	if _, err := k.Get(t.Context(), k.alice, k.alice.Person, id); code(err) != "unknown-machine" {
		t.Errorf("after: %v", err)
	}
	if _, err := k.Get(t.Context(), k.bob, k.bob.Person, id); err != nil {
		t.Errorf("the other one with that id: %v", err)
	}
	_, err = k.Forget(t.Context(), k.bob, k.bob.Person, id)
	must(t, err)
	for kind, n := range map[string]int64{"fleet.machine-forgotten": 2, "fleet.machine-forget-refused": 1} {
		if got := k.Database.Count(t, `select count(*) from audit.event where body::json->>'kind' = $1`, kind); got != n {
			t.Errorf("%s: %d events, not %d", kind, got, n)
		}
	}
}

// Of a person there are so many, however many servers are told of more at once: first those give way that never reported, then the
// longest silent.
func TestBound(t *testing.T) {
	k := setup(t)
	second, err := fleet.New(k.config)
	must(t, err)
	var ids []uuid.UUID
	for range 4 {
		ids = append(ids, uuid.New())
		_, err := k.Report(t.Context(), k.alice, ids[len(ids)-1], k.sample())
		must(t, err)
		k.Clock.Advance(time.Minute)
	}
	for range 3 { // made up: only the header
		k.Heard(k.alice, uuid.New())
	}
	k.run(t, k.Fleet)
	if got := k.ids(t, k.alice); !slices.Equal(got, ids) {
		t.Errorf("machines that never reported took the place of others: %v, not %v", got, ids)
	}
	var all sync.WaitGroup
	for i := range 24 {
		f := []*fleet.Fleet{k.Fleet, second}[i%2]
		all.Go(func() {
			if _, err := f.Report(context.WithoutCancel(t.Context()), k.alice, uuid.New(), k.sample()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	got := k.ids(t, k.alice)
	if len(got) != 4 || slices.ContainsFunc(ids, func(id uuid.UUID) bool { return slices.Contains(got, id) }) {
		t.Errorf("after many: %v", got)
	}
}

// ids are somebody's machines, in the order in which they were first heard of.
func (k *kit) ids(t *testing.T, by audit.Actor) (out []uuid.UUID) {
	t.Helper()
	list, err := k.List(t.Context(), by, fleet.Which{Person: by.Person, Limit: 100})
	must(t, err)
	for _, m := range list {
		out = append(out, m.ID)
	}
	return out
}

// run has a fleet write down what it heard.
func (k *kit) run(t *testing.T, f *fleet.Fleet) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f.Run(ctx)
}

// That a machine is there is seen from any request, and written at most once in some minutes.
func TestHeard(t *testing.T) {
	k := setup(t)
	id := uuid.New()
	at := func() *fleet.Machine {
		t.Helper()
		k.run(t, k.Fleet)
		m, err := k.Get(t.Context(), k.alice, k.alice.Person, id)
		must(t, err)
		return m
	}
	k.Heard(k.alice, uuid.Nil)
	k.Heard(audit.Actor{Method: audit.MethodNone}, id)
	k.Heard(k.alice, id)
	first := at()
	if first.ReportedAt != nil || k.Standing(first) != api.MachineHeard || first.PersonName != "Alice Anders" {
		t.Errorf("heard of: %+v", first)
	}
	if n := k.Contacts(); n != 1 {
		t.Errorf("%d contacts", n)
	}
	k.Clock.Advance(time.Minute)
	k.Heard(k.alice, id)
	if m := at(); !m.LastAt.Equal(first.LastAt) {
		t.Errorf("written again within minutes: %v", m.LastAt)
	}
	k.Clock.Advance(5 * time.Minute)
	k.Heard(k.alice, id)
	if m := at(); m.LastAt.Sub(first.LastAt) < 6*time.Minute || !m.FirstAt.Equal(first.FirstAt) {
		t.Errorf("not written: %+v", m)
	}
	_, err := k.Report(t.Context(), k.alice, id, k.sample())
	must(t, err)
	reported := at()
	k.Clock.Advance(time.Hour)
	k.Heard(k.alice, id)
	if m := at(); m.Report == nil || !m.ReportedAt.Equal(*reported.ReportedAt) || m.LastAt.Sub(*m.ReportedAt) < time.Hour {
		t.Errorf("a request after the report: %+v", m)
	}
	k.Database.Exec(t, `drop schema fleet cascade`)
	k.Clock.Advance(time.Hour)
	k.Heard(k.alice, id) // nobody has to wait for what cannot be written
	k.run(t, k.Fleet)
}

func TestListAndSummary(t *testing.T) {
	k := setup(t)
	var machines []uuid.UUID
	report := func(by audit.Actor, r api.MachineReport) {
		t.Helper()
		machines = append(machines, uuid.New())
		_, err := k.Report(t.Context(), by, machines[len(machines)-1], r)
		must(t, err)
		k.Clock.Advance(time.Second)
	}
	old := k.sample()
	old.Version, old.System = "sealpost-agent/1.0.0", "windows"
	soon := k.sample()
	soon.Certificates[0].NotAfter = k.Clock.Now().AddDate(0, 0, 40)
	over := k.sample()
	over.Certificates[0].NotAfter = k.Clock.Now().AddDate(0, 0, 30)
	report(k.alice, old)                          // 0
	report(k.alice, k.failed("disk"))             // 1
	report(k.bob, k.failed("server-unreachable")) // 2
	report(k.bob, soon)                           // 3
	report(k.bob, over)                           // 4
	k.Clock.Advance(31 * 24 * time.Hour)
	for _, i := range []int{1, 4} { // heard of again
		by := map[int]audit.Actor{1: k.alice, 4: k.bob}[i]
		k.Heard(by, machines[i])
	}
	k.run(t, k.Fleet)
	now := k.Clock.Now()
	for _, c := range []struct {
		what  string
		which fleet.Which
		want  []int
	}{
		{"all", fleet.Which{}, []int{0, 1, 2, 3, 4}},
		{"backwards", fleet.Which{Reverse: true}, []int{4, 3, 2, 1, 0}},
		{"the longest silent first", fleet.Which{Quietest: true}, []int{0, 2, 3, 1, 4}},
		{"somebody's", fleet.Which{Person: k.bob.Person}, []int{2, 3, 4}},
		{"silent", fleet.Which{SilentSince: now.AddDate(0, 0, -30)}, []int{0, 2, 3}},
		{"ending", fleet.Which{EndsBefore: now.AddDate(0, 0, 20)}, []int{3, 4}},
		{"system", fleet.Which{System: "windows"}, []int{0}},
		{"version", fleet.Which{Version: "sealpost-agent/1.2.0"}, []int{1, 2, 3, 4}},
		{"failure", fleet.Which{Failure: "server-unreachable"}, []int{2}},
		{"failing", fleet.Which{Failing: true}, []int{1, 2}},
		{"several", fleet.Which{Failing: true, SilentSince: now.AddDate(0, 0, -30), System: "linux"}, []int{2}},
		{"none", fleet.Which{Version: "%"}, nil},
	} {
		var got []int
		c.which.Limit = 2
		for range 5 { // a page at a time
			list, err := k.List(t.Context(), k.operator, c.which)
			must(t, err)
			for _, m := range list {
				got = append(got, slices.Index(machines, m.ID))
			}
			if len(list) < 2 {
				break
			}
			c.which.After = list[1].Place()
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, not %v", c.what, got, c.want)
		}
	}
	s, err := k.Summary(t.Context(), k.watching)
	must(t, err)
	want := api.MachineSummary{At: s.At, Machines: 5, Silent: 3, SilentDays: 30, Failing: 2, Ending: 1, Ended: 1,
		Failures: []api.MachineCount{{Value: "disk", Machines: 1}, {Value: "server-unreachable", Machines: 1}},
		Versions: []api.MachineCount{{Value: "sealpost-agent/1.2.0", Machines: 4}, {Value: "sealpost-agent/1.0.0", Machines: 1}},
		Systems:  []api.MachineCount{{Value: "linux", Machines: 4}, {Value: "windows", Machines: 1}}}
	if fmt.Sprint(*s) != fmt.Sprint(want) {
		t.Errorf("summary:\n%+v\n%+v", *s, want)
	}
	var standings []string
	list, err := k.List(t.Context(), k.operator, fleet.Which{Limit: 9})
	must(t, err)
	for _, m := range list {
		standings = append(standings, string(k.Standing(m)))
	}
	if got := strings.Join(standings, " "); got != "silent failing silent ending ended" {
		t.Errorf("standings: %s", got)
	}
}

// What is not heard of for long is forgotten, and so are the machines of who left.
func TestTidy(t *testing.T) {
	k := setup(t)
	gone, kept, leavers := uuid.New(), uuid.New(), uuid.New()
	_, err := k.Report(t.Context(), k.alice, gone, k.sample())
	must(t, err)
	k.Clock.Advance(200 * 24 * time.Hour)
	for id, by := range map[uuid.UUID]audit.Actor{kept: k.alice, leavers: k.bob} {
		_, err := k.Report(t.Context(), by, id, k.sample())
		must(t, err)
	}
	must(t, k.Tidy(t.Context()))
	if n := len(k.ids(t, k.alice)); n != 2 {
		t.Errorf("%d machines before their time is over", n)
	}
	k.Clock.Advance(201 * 24 * time.Hour)
	k.left[k.bob.Person] = true
	must(t, k.Tidy(t.Context()))
	if a, b := k.ids(t, k.alice), k.ids(t, k.bob); !slices.Equal(a, []uuid.UUID{kept}) || b != nil {
		t.Errorf("after: %v, %v", a, b)
	}
	k.config.Left = func(context.Context, []uuid.UUID) (map[uuid.UUID]bool, error) { return nil, errors.New("away") }
	f, err := fleet.New(k.config)
	must(t, err)
	if err := f.Tidy(t.Context()); err == nil {
		t.Error("that it is not known who left is no fault")
	}
	if a := k.ids(t, k.alice); len(a) != 1 {
		t.Errorf("forgotten without knowing who left: %v", a)
	}
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	p := fleet.Policy{Silent: -1, Forget: -1, PerPerson: 1001}
	err := p.Validate()
	for _, want := range []string{"silent:", "forget:", "per_person:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
	must(t, fleet.Policy{}.Validate())
}

// BenchmarkHundredThousand measures what is asked for of a large fleet, and what one report costs there.
func BenchmarkHundredThousand(b *testing.B) {
	h := housetest.New(b)
	f, err := fleet.New(fleet.Config{DB: h.DB, Audit: h.Audit, Now: h.Clock.Now})
	must(b, err)
	h.Database.Exec(b, `insert into fleet.machine (person, id, person_name, first_at, last_at, reported_at, system, version, failure, ends_at)
		select gen_random_uuid(), gen_random_uuid(), 'Somebody ' || n, now() - interval '300 days', now() - n % 60 * interval '1 day', now(),
			(array['linux', 'windows', 'darwin'])[n % 3 + 1], 'sealpost-agent/1.' || n % 9, case when n % 50 = 0 then 'failure-' || n % 7 else '' end,
			now() + n % 365 * interval '1 day' from generate_series(1, 100000) n`)
	h.Database.Exec(b, `insert into fleet.report (machine, report) select number, jsonb_build_object('name', 'machine-' || number, 'filler', repeat('x', 1500)) from fleet.machine`)
	h.Database.Exec(b, `vacuum analyze fleet.machine`)
	h.Database.Exec(b, `vacuum analyze fleet.report`)
	operator, alice := h.Actor(b, "operator"), h.Actor(b, "alice")
	list := func(w fleet.Which) func() error {
		w.Limit = 50
		return func() error {
			found, err := f.List(b.Context(), operator, w)
			if err == nil && len(found) == 0 {
				err = errors.New("nothing found")
			}
			return err
		}
	}
	k := &kit{House: h}
	id := uuid.New()
	for _, c := range []struct {
		name string
		do   func() error
	}{
		{"summary", func() error { _, err := f.Summary(b.Context(), operator); return err }},
		{"all", list(fleet.Which{})},
		{"silent", list(fleet.Which{SilentSince: h.Clock.Now().AddDate(0, 0, -30)})},
		{"quietest", list(fleet.Which{Quietest: true})},
		{"failure", list(fleet.Which{Failure: "failure-3"})},
		{"version", list(fleet.Which{Version: "sealpost-agent/1.4"})},
		{"ending", list(fleet.Which{EndsBefore: h.Clock.Now().AddDate(0, 0, 14)})},
		{"report", func() error { _, err := f.Report(b.Context(), alice, id, k.sample()); return err }},
		{"new machine", func() error { _, err := f.Report(b.Context(), alice, uuid.New(), k.sample()); return err }},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				must(b, c.do())
			}
		})
	}
}
