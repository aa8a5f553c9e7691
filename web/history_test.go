package web_test

import (
	"crypto/x509"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/housetest"
)

// history reads a whole history in pages of a size.
func (r *rig) history(t testing.TB, login, query string, size int) (out []api.HistoryEntry) {
	t.Helper()
	for after := ""; ; {
		page := read[api.Page[api.HistoryEntry]](t, r.ask(t, person(login), "GET", fmt.Sprintf("/history?limit=%d&after=%s%s", size, after, query), nil))
		out = append(out, page.Items...)
		if after = page.Next; after == "" {
			return out
		}
	}
}

// outline says what entries are about, the newest first.
func outline(entries []api.HistoryEntry) []string {
	out := []string{}
	for _, e := range entries {
		switch {
		case e.Key != nil:
			out = append(out, "key "+e.Key.State)
		case e.Certificate != nil:
			out = append(out, "certificate")
		case e.Case != nil:
			out = append(out, e.Case.Kind+" "+string(e.Case.State))
		}
	}
	return out
}

// consented signs, as the auditor, that the subjects of a case are told later.
func (r *rig) consented(t testing.TB, s *record.SignedCase, silent time.Duration) []byte {
	t.Helper()
	status, keys := r.enrol(t, "auditor", housetest.Pair)
	own, err := x509.ParseCertificate(status.Certificates[0].DER)
	must(t, err)
	who, now := r.Actor(t, "auditor"), r.Clock.Now().UTC().Truncate(time.Second)
	c, err := record.Consent{Case: s.Hash(), Person: who.Person, Name: who.Name, Certificate: own, SilentUntil: now.Add(silent), Time: now}.Sign(keys.Signing)
	must(t, err)
	return c.Bytes()
}

// A person sees everything that touched their archived keys, and nobody else's; what they are not to know yet only after.
func TestHistory(t *testing.T) {
	r := setup(t)
	ids := []api.EnrolmentStatus{}
	for range 2 {
		status, _ := r.enrol(t, "alice", housetest.Pair)
		ids = append(ids, status)
	}
	bobs, _ := r.enrol(t, "bob", housetest.Pair)
	rita, keys := r.enrol(t, "rita", housetest.Pair)
	alice := r.Actor(t, "alice").Person

	old, imported := newForeignAuthority(t), newKey(t)
	foreign := old.issue(t, imported, "Alice Anders", "alice@example.test")
	brought := read[api.Imported](t, r.ask(t, person("rita"), "POST", "/imports", r.importOf(t, "rita", api.ImportSubject{Certificate: foreign.Raw}, imported)))

	ask := func(kind string, q api.CaseQuery) *record.SignedCase {
		q.Kind, q.Mailboxes = kind, append(q.Mailboxes, "alice@example.test")
		d := read[api.CaseDrafts](t, r.ask(t, person("rita"), "POST", "/cases/drafts", q))
		return r.signed(t, "rita", kind, d.Drafts[0], r.Recipient.Certificate, rita, keys)
	}
	r.Clock.Advance(2 * time.Second) // a case tells its time in seconds
	business := ask("business", api.CaseQuery{Keys: []string{ids[0].Certificates[1].SPKISHA256}})
	read[api.Case](t, r.ask(t, person("rita"), "POST", "/cases", api.CaseOpening{Case: business.Bytes()}))
	r.answered(t, "olivia", 1, business.ID)
	r.answered(t, "otto", 3, business.ID)
	if got := r.opened(t, "bob", business.ID, r.Recipient); len(got) != 1 {
		t.Fatalf("%d keys", len(got))
	}
	r.Clock.Advance(2 * time.Second)
	legal := ask("legal", api.CaseQuery{Mailboxes: []string{"bob@example.test"}})
	read[api.Case](t, r.ask(t, person("rita"), "POST", "/cases", api.CaseOpening{Case: legal.Bytes(), Consent: r.consented(t, legal, 10*24*time.Hour)}))

	told := []string{"business released", "certificate", "key kept", "key kept", "key kept"}
	for _, size := range []int{1, 2, 500} {
		if diff := cmp.Diff(told, outline(r.history(t, "alice", "", size))); diff != "" {
			t.Errorf("alice, in pages of %d: %s", size, diff)
		}
	}
	if diff := cmp.Diff([]string{"key kept"}, outline(r.history(t, "bob", "", 100))); diff != "" {
		t.Errorf("bob: %s", diff)
	}
	whole := append([]string{"legal requested"}, told...)
	for _, query := range []string{"&person=" + alice.String(), "&mailbox=Alice@example.test"} {
		if diff := cmp.Diff(whole, outline(r.history(t, "auditor", query, 2))); diff != "" {
			t.Errorf("the auditor, %s: %s", query, diff)
		}
	}

	list := r.history(t, "alice", "", 100)
	recipient := record.Fingerprint(r.Recipient.Certificate).String()
	k := list[0].Case
	if k.ID != business.ID || k.Requester != r.Actor(t, "rita").Name || k.Reason == "" || k.Fingerprint != recipient || k.Recipient == "" || k.Collected == nil || k.Needed != 2 ||
		len(k.Answers) != 2 || k.Answers[0].Decision != "approve" || k.Answers[0].Name != r.Actor(t, "olivia").Name || k.Answers[1].Agent != 3 ||
		!slices.Equal(k.Keys, []string{ids[0].Certificates[1].SPKISHA256}) || k.Records != 1 || k.SilentUntil != nil {
		t.Errorf("%+v", k)
	}
	if c := list[1].Certificate; c.SPKISHA256 != brought.SPKISHA256 || !slices.Equal(c.Mailboxes, []string{"alice@example.test"}) {
		t.Errorf("%+v", c)
	}
	if x := list[2].Key; x.SPKISHA256 != brought.SPKISHA256 || !x.Imported || x.Receipt != brought.Receipt.ID {
		t.Errorf("%+v", x)
	}
	if x := list[4].Key; x.SPKISHA256 != ids[0].Certificates[1].SPKISHA256 || x.Imported || x.Receipt != ids[0].Receipt.ID || x.Mail != "alice@example.test" || x.MovedFrom != "" {
		t.Errorf("%+v", x)
	}

	r.Clock.Advance(10*24*time.Hour + time.Minute)
	if diff := cmp.Diff(whole, outline(r.history(t, "alice", "", 1))); diff != "" {
		t.Errorf("alice, after the silence: %s", diff)
	}
	got := r.history(t, "bob", "", 100)
	if diff := cmp.Diff([]string{"legal requested", "key kept"}, outline(got)); diff != "" {
		t.Fatalf("bob, after the silence: %s", diff)
	}
	if k := got[0].Case; k.SilentUntil == nil || !slices.Equal(k.Keys, []string{bobs.Certificates[1].SPKISHA256}) {
		t.Errorf("bob sees alice's part of the case, or not his own: %+v", k)
	}
}

func TestHistoryRefuses(t *testing.T) {
	r := setup(t)
	status, _ := r.enrol(t, "alice", housetest.Pair)
	alice := r.Actor(t, "alice").Person
	for name, tt := range map[string]struct {
		who    as
		query  string
		status int
		code   string
	}{
		"not logged in":      {as{}, "", 401, "credentials-missing"},
		"another's, by id":   {person("bob"), "?person=" + alice.String(), 403, "role-required"},
		"another's, by mail": {person("bob"), "?mailbox=alice@example.test", 403, "role-required"},
		"a registrar":        {person("rita"), "?person=" + alice.String(), 403, "role-required"},
		"an operator":        {person("operator"), "?person=" + alice.String(), 403, "role-required"},
		"an officer":         {person("olivia"), "?mailbox=alice@example.test", 403, "role-required"},
		"both":               {person("auditor"), "?mailbox=alice@example.test&person=" + alice.String(), 400, "request-invalid"},
		"nobody":             {person("auditor"), "?mailbox=nobody@example.test", 404, "case-subject"},
		"no id":              {person("auditor"), "?person=alice", 400, "request-invalid"},
		"no page":            {person("alice"), "?after=x", 400, "history-place"},
		"a receipt's page":   {person("alice"), "?after=" + status.Receipt.ID.String(), 400, "history-place"},
		"too many":           {person("alice"), "?limit=501", 400, "request-invalid"},
	} {
		got := r.ask(t, tt.who, "GET", "/history"+tt.query, nil)
		if code := got.code(t); got.status != tt.status || code != tt.code {
			t.Errorf("%s: %d %s, want %d %s", name, got.status, code, tt.status, tt.code)
		}
	}
	if got := r.history(t, "auditor", "&person="+uuid.NewString(), 10); len(got) != 0 {
		t.Errorf("of somebody unknown: %+v", got)
	}
	if got := r.history(t, "carol", "", 10); len(got) != 0 {
		t.Errorf("of somebody without keys: %+v", got)
	}
}
