package portal_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/internal/audit"
	logproof "github.com/sealpost/sealpost/internal/audit/proof"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// sequenced has the log sign what it has.
func (s *site) sequenced(t *testing.T) {
	t.Helper()
	for {
		n, err := s.Audit.Sequence(t.Context())
		must(t, err)
		if n == 0 {
			return
		}
	}
}

// withPair is somebody with certificates, and the keys behind them.
func (s *site) withPair(t *testing.T, login string) (audit.Actor, housetest.Keys) {
	t.Helper()
	who := s.Actor(t, login)
	submission, keys := s.Submission(t, who, housetest.Pair)
	_, err := s.Enroll.Submit(t.Context(), who, submission)
	must(t, err)
	return who, keys
}

func TestAuditorsAlone(t *testing.T) {
	s := setup(t)
	pages := []string{"/auditor", "/auditor/events", "/auditor/events/0", "/auditor/events/0/event.json", "/auditor/events/0/event.tlog-proof", "/auditor/checkpoint.txt",
		"/auditor/recovery", "/auditor/certificates", "/auditor/events?format=csv", "/auditor/recovery?format=json", "/auditor/certificates?format=csv"}
	for _, login := range []string{"bob", "operator", "olivia"} {
		b := s.browser(t)
		b.signIn(login)
		for _, page := range pages {
			if got := b.get(page); got.status != 403 || !strings.Contains(got.body, "This page is not for you") {
				t.Errorf("%s at %s: status %d", login, page, got.status)
			}
		}
	}
	stranger := s.browser(t)
	for _, page := range pages {
		if got := stranger.get(page); !strings.HasPrefix(got.path, "/signin?to=") {
			t.Errorf("a stranger at %s is at %s", page, got.path)
		}
	}
	auditor := s.browser(t)
	auditor.signIn("auditor")
	for _, page := range pages[:1] {
		for _, method := range []string{"/auditor", "/auditor/events"} {
			if got := auditor.post(method, url.Values{"x": {"y"}}); got.status != 404 && got.status != 405 {
				t.Errorf("%s %s: something is changed: status %d", method, page, got.status)
			}
		}
	}
}

// An auditor finds what happened by whom, about whom, of what kind and when; takes it along; and reads one event with its proof.
func TestAuditorReadsTheRecord(t *testing.T) {
	s := setup(t)
	alice, _ := s.withPair(t, "alice")
	bob, _ := s.withPair(t, "bob")
	evil := `"><img src=x onerror=alert(1)>`
	_, err := s.Audit.Record(t.Context(), audit.Actor{Name: evil + "漢字 עברית", Method: audit.MethodNone}, audit.Event{Kind: "test.evil", Subject: "thing:" + evil, Data: map[string]any{"why": evil}})
	must(t, err)
	b := s.browser(t)
	b.signIn("auditor")
	b.get("/auditor").is(t, "before anything is signed", 200, "/auditor", "Nothing is signed yet", "could rewrite the record unseen")
	s.sequenced(t)
	b.get("/auditor").is(t, "the record", 200, "/auditor", "Events that are signed", "test.example/audit", "No officer has countersigned yet", "sealpost audit verify --kept checkpoint.txt")
	if got := b.get("/auditor/checkpoint.txt"); got.status != 200 || !strings.Contains(got.body, "test.example/audit\n") {
		t.Errorf("the checkpoint: %d %q", got.status, got.body)
	}

	all := b.get("/auditor/events")
	all.is(t, "all", 200, "/auditor/events", "A certificate was issued", "Alice Anders", "Bob Brown", "&#34;&gt;&lt;img src=x", "漢字 עברית", "<bdi>")
	if strings.Contains(all.body, "<img src=x") {
		t.Error("a tag of somebody's")
	}
	own := b.get("/auditor/events?q=alice%40example.test&kind=certificate.issued")
	if own.status != 200 || strings.Contains(own.body, "Bob Brown") || strings.Count(own.body, "A certificate was issued</bdi>") != 2 {
		t.Errorf("alice's: %s", own.body)
	}
	for what, query := range map[string]string{"by login": "q=alice", "by id": "q=" + alice.Person.String(), "by whom": "by=alice%40example.test", "of today": "from=" + s.Clock.Now().UTC().Format(time.DateOnly)} {
		if got := b.get("/auditor/events?" + query); got.status != 200 || !strings.Contains(got.body, "Alice Anders") {
			t.Errorf("%s: %d %s", what, got.status, got.body)
		}
	}
	b.get("/auditor/events?to=2020-01-01").is(t, "of long ago", 200, "/auditor/events?to=2020-01-01", "Nothing fits what you asked for.")
	b.get("/auditor/events?q=nobody%40example.test").is(t, "nobody", 404, "/auditor/events?q=nobody%40example.test", "Nobody and nothing of that is known here", `value="nobody@example.test"`)
	b.get("/auditor/events?q="+url.QueryEscape("(uid=*)")).is(t, "a filter", 404, "/auditor/events?q="+url.QueryEscape("(uid=*)"), "(uid=*)")
	b.get("/auditor/events?from=x&to=%00&after=y&kind=none").is(t, "nonsense", 200, "/auditor/events?from=x&to=%00&after=y&kind=none", "A certificate was issued")

	// What is taken along is the same, whole.
	rows, err := csv.NewReader(strings.NewReader(b.get("/auditor/events?format=csv&kind=certificate.issued&q=" + bob.Person.String()).body)).ReadAll()
	if err != nil || len(rows) != 4 || rows[1][5] != "certificate.issued" || rows[1][7] != bob.Person.String() || !json.Valid([]byte(rows[1][10])) {
		t.Errorf("%v %q", err, rows)
	}
	// That somebody looked, for whom, and who was seen, is recorded.
	found, err := s.Audit.Events(t.Context(), audit.Query{Kind: "portal.viewed", Before: 1 << 62, Limit: 1})
	must(t, err)
	if e := found[0]; e.By.Name != s.Actor(t, "auditor").Name || e.Subject != "page:auditor-events" || !strings.Contains(string(e.Data), bob.Person.String()) || !strings.Contains(string(e.Data), `"kind":"certificate.issued"`) {
		t.Errorf("%+v %s", e, e.Data)
	}

	// One event, with the proof that it is in the record.
	page := b.get("/auditor/events/0")
	page.is(t, "one", 200, "/auditor/events/0", "Event 0 of", "sealpost audit prove event-0.json event-0.tlog-proof --key test.example/audit")
	body, text := b.get("/auditor/events/0/event.json"), b.get("/auditor/events/0/event.tlog-proof")
	var in logproof.Inclusion
	must(t, in.UnmarshalText([]byte(text.body)))
	known, err := logproof.Verifiers(s.Audit.VerifierKey())
	must(t, err)
	if _, err := in.Check(logproof.LeafHash([]byte(body.body)), known); err != nil {
		t.Errorf("the proof does not hold: %v", err)
	}
	for _, index := range []string{"-1", "99999999", "x", "0x0", "9223372036854775808", "%3Cscript%3E"} {
		if got := b.get("/auditor/events/" + index); got.status != 404 {
			t.Errorf("event %s: status %d", index, got.status)
		}
	}
	german := s.browser(t)
	german.header.Set("Accept-Language", "de")
	german.signIn("auditor")
	german.get("/auditor/events?kind=certificate.issued").is(t, "in German", 200, "/auditor/events?kind=certificate.issued", "Ein Zertifikat wurde ausgestellt", "Was geschah")
}

// Ten thousand events are one file.
func TestAuditorTakesManyEvents(t *testing.T) {
	s := setup(t)
	const n = 10_000
	for range n / 1000 {
		var events []audit.Event
		for i := range 1000 {
			events = append(events, audit.Event{Kind: "test.many", Subject: fmt.Sprint("thing:", i), Person: uuid.New()})
		}
		_, err := s.Audit.Record(t.Context(), audit.System("test"), events...)
		must(t, err)
	}
	b := s.browser(t)
	b.signIn("auditor")
	rows, err := csv.NewReader(strings.NewReader(b.get("/auditor/events?format=csv&kind=test.many").body)).ReadAll()
	if err != nil || len(rows) != n+1 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	seen := map[string]bool{}
	for _, r := range rows[1:] {
		seen[r[7]] = true
	}
	if len(seen) != n {
		t.Errorf("%d are there once", len(seen))
	}
}

func TestAuditorSeesCertificates(t *testing.T) {
	s := setup(t)
	alice, _ := s.withPair(t, "alice")
	s.withPair(t, "bob")
	certificates, err := s.PKI.Authority.Newest(t.Context(), []uuid.UUID{alice.Person}, s.PKI.Authority.Profiles(), 5)
	must(t, err)
	serial := certificates[0].Serial.String()
	b := s.browser(t)
	b.signIn("auditor")
	b.get("/auditor/certificates").is(t, "all", 200, "/auditor/certificates", "Alice Anders", "Bob Brown", serial, "valid", "the system’s own")
	for what, q := range map[string]string{"person": "alice", "mail address": "ALICE@example.test", "serial number": strings.ToUpper(serial), "id": alice.Person.String()} {
		got := b.get("/auditor/certificates?q=" + url.QueryEscape(q))
		if got.status != 200 || !strings.Contains(got.body, serial) || strings.Contains(got.body, "Bob Brown") {
			t.Errorf("by %s: %d", what, got.status)
		}
	}
	b.get("/auditor/certificates?state=revoked").is(t, "revoked", 200, "/auditor/certificates?state=revoked", "Nothing fits")
	if got := b.get("/auditor/certificates?state=good"); got.status != 200 || !strings.Contains(got.body, serial) {
		t.Errorf("good: %d", got.status)
	}
	b.get("/auditor/certificates?q=nobody").is(t, "nobody", 404, "/auditor/certificates?q=nobody", "Nobody and nothing of that is known here")
	if got := b.get("/auditor/certificates?q=dddddddddddddddddd"); got.status != 200 || !strings.Contains(got.body, "Nothing fits") {
		t.Errorf("an unknown serial number: %d", got.status)
	}
	var all []map[string]string
	must(t, json.Unmarshal([]byte(b.get("/auditor/certificates?format=json&q=alice").body), &all))
	if len(all) != 2 || all[0]["id"] != alice.Person.String() || all[0]["key"] == "" {
		t.Errorf("%v", all)
	}
}

// A legal case is in the report, and in the record; but not for the auditor whose keys it asks for, while they are not to know.
func TestAuditorReadsNothingOfTheirOwnSilentCase(t *testing.T) {
	s := setup(t)
	for _, login := range []string{"carol"} {
		s.Slapd.Modify(t, "dn: "+slapdtest.GroupDN("auditors")+"\nchangetype: modify\nadd: member\nmember: "+slapdtest.PersonDN(login)+"\n")
	}
	k := s.legalCase(t, "auditor", "carol", 20*24*time.Hour)
	s.sequenced(t)
	subject, other := s.browser(t), s.browser(t)
	subject.signIn("auditor")
	other.signIn("carol")
	other.get("/auditor/recovery").is(t, "the report", 200, "/auditor/recovery", "The drawings are gone.", "HR-4711", "legal", "officers are asked", "not before")
	other.get("/auditor/events?q=case%3A"+k.String()).is(t, "the record", 200, "/auditor/events?q=case%3A"+k.String(), "Archived keys were asked for")
	for _, page := range []string{"/auditor/recovery", "/auditor/recovery?format=csv", "/auditor/events", "/auditor/events?format=json", "/auditor/events?q=case%3A" + k.String(),
		"/auditor/events?kind=archive.case-requested", "/auditor/events?kind=portal.viewed"} {
		got := subject.get(page)
		body := strings.ReplaceAll(got.body, "case%3A"+k.String(), "")
		body = strings.ReplaceAll(body, `value="case:`+k.String(), "")
		if got.status != 200 || strings.Contains(body, k.String()) || strings.Contains(body, "HR-4711") || strings.Contains(body, "Archived keys were asked for</bdi>") {
			t.Errorf("%s tells the subject: %d %s", page, got.status, body)
		}
	}
	found, err := s.Audit.Events(t.Context(), audit.Query{Kind: "archive.case-requested"})
	must(t, err)
	path := fmt.Sprintf("/auditor/events/%d", found[0].Index)
	for _, page := range []string{path, path + "/event.json", path + "/event.tlog-proof"} {
		if got := subject.get(page); got.status != 404 {
			t.Errorf("%s: status %d for the subject", page, got.status)
		}
		if got := other.get(page); got.status != 200 {
			t.Errorf("%s: status %d for another auditor", page, got.status)
		}
	}
	s.Clock.Advance(21 * 24 * time.Hour)
	subject = s.browser(t)
	subject.signIn("auditor")
	subject.get("/auditor/recovery").is(t, "after the silence", 200, "/auditor/recovery", "HR-4711")
}
