package portal_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/slapdtest"
	"github.com/sealpost/sealpost/recovery"
	"github.com/sealpost/sealpost/web"
)

// withBoard has the server hold ceremonies.
func withBoard(s *site, c *web.Config) {
	c.Board = archive.NewBoard(archive.BoardConfig{DB: s.DB, Now: s.Clock.Now})
}

// enrolled gets somebody certificates of the pair.
func (s *site) enrolled(t *testing.T, login string) (audit.Actor, *x509.Certificate, housetest.Keys) {
	t.Helper()
	who := s.Actor(t, login)
	submission, keys := s.Submission(t, who, housetest.Pair)
	request, err := s.Enroll.Submit(t.Context(), who, submission)
	must(t, err)
	certificate, err := x509.ParseCertificate(request.Certificates[0].DER)
	must(t, err)
	return who, certificate, keys
}

// opened opens a case as its requester's program does, for what the query names.
func (s *site) opened(t *testing.T, by audit.Actor, certificate *x509.Certificate, key crypto.Signer, recipient *x509.Certificate, q recovery.Query, reason string, lasts time.Duration) *archive.Case {
	t.Helper()
	drafts, err := s.Recovery.Ask(t.Context(), by, q)
	must(t, err)
	roster := drafts[0].Roster
	now := s.Clock.Now().UTC().Truncate(time.Second)
	c := record.Case{ID: uuid.New(), Kind: q.Kind, Roster: roster.Hash(), KeyID: roster.KeyID(), Epoch: roster.Epoch(), Reason: reason, Reference: "HR-2026-118",
		Requester: record.Requester{Person: by.Person, Name: by.Name, Certificate: certificate}, Opened: now, Deadline: now.Add(lasts), Deliveries: []record.Delivery{{Recipient: recipient}}}
	for _, d := range drafts[0].Subjects {
		subject := record.Subject{Person: d.Person}
		for _, k := range d.Records {
			subject.Records = append(subject.Records, k.Hash())
		}
		c.Deliveries[0].Subjects = append(c.Deliveries[0].Subjects, subject)
	}
	signed, err := c.Sign(key)
	must(t, err)
	k, err := s.Recovery.Open(t.Context(), by, signed.Bytes(), nil)
	must(t, err)
	return k
}

// answered has an officer answer with their own program.
func (s *site) answered(t *testing.T, login string, agent uint16, k *archive.Case, decision record.Decision) {
	t.Helper()
	who := s.Actor(t, login)
	raw, err := s.Recovery.Capsules(t.Context(), who, k.ID, 0, 100)
	must(t, err)
	var capsules []*record.Capsule
	for _, b := range raw {
		c, err := record.ParseCapsule(b)
		must(t, err)
		capsules = append(capsules, c)
	}
	var a *record.Answer
	if decision == record.Approve {
		a = s.Roster.Approve(t, k.SignedCase, capsules, agent, s.Clock.Now())
	} else {
		denial, err := record.NewDenial(s.Roster.Roster, k.SignedCase, agent, s.Roster.Agents[agent-1].Signer, s.Clock.Now(), `"><img src=x onerror=alert(1)>`)
		must(t, err)
		a = &record.Answer{Approval: denial}
	}
	b, err := a.Encode()
	must(t, err)
	_, err = s.Recovery.Answer(t.Context(), who, k.ID, b)
	must(t, err)
}

// A case is shown as a letter to whom it concerns, with what was decided and the commands with which to decide; it shows no
// fingerprint that an officer of a restore is to hear from the person.
func TestCaseAsALetter(t *testing.T) {
	s := setup(t, withBoard)
	alice, certificate, keys := s.enrolled(t, "alice")
	own := s.opened(t, alice, certificate, keys.Signing, newDevice(t), recovery.Query{Kind: record.CaseRestore}, "My laptop was left in a train.", 48*time.Hour)
	rita, hers, ritas := s.enrolled(t, "rita")
	bad := `<script>alert(1)</script>"><img src=x onerror=alert(1)>`
	business := s.opened(t, rita, hers, ritas.Signing, s.Recipient.Certificate, recovery.Query{Kind: record.CaseBusiness, Mailboxes: []string{"alice@example.test"}}, bad, 20*time.Hour)
	s.answered(t, "oscar", 2, own, record.Approve)
	s.answered(t, "otto", 3, business, record.Deny)

	olivia := s.browser(t)
	olivia.signIn("olivia").is(t, "olivia", 200, "/", `href="/officer"`)
	list := olivia.get("/officer")
	list.is(t, "the cases", 200, "/officer", "Alice Anders asks for their own keys back", "My laptop was left in a train.", "Your decision is asked for", "1 of the 2 approvals", "19 hours left", "Refused: 1.",
		"&lt;script&gt;alert(1)&lt;/script&gt;", "HR-2026-118", "Officers are asked")
	if strings.Index(list.body, "/officer/cases/"+business.ID.String()) > strings.Index(list.body, "/officer/cases/"+own.ID.String()) {
		t.Error("the case with the least time left is not the first")
	}
	fingerprint := record.Fingerprint(own.Deliveries[0].Recipient)
	host := strings.TrimPrefix(s.server.URL, "https://")
	page := olivia.get("/officer/cases/" + own.ID.String())
	page.is(t, "a restore", 200, page.path, "Alice Anders asks for their own keys back", "Alice Anders (alice@example.test)</bdi>: 1 key", "Your decision", "Call Alice Anders", "Approved",
		"sealpost-kra approve "+own.ID.String()+" --server https://"+host+" --login olivia", "sealpost-kra deny "+own.ID.String()+" --comment &#39;why not&#39; --server https://"+host)
	for _, word := range []string{fingerprint.String(), fingerprint.String()[:20], record.Fingerprint(certificate).String(), "Fingerprint of the recipient"} {
		if strings.Contains(page.body, word) {
			t.Errorf("the page of a restore shows %q", word)
		}
	}
	// Nor do the pages of the person themselves: words that the server shows prove nothing of the device (decision 36).
	hersPages := s.as(t, "alice")
	spoken := strings.Join(fingerprint.Words()[:2], " ")
	for _, path := range []string{"/", "/history", "/certificates", "/restore", "/history?format=json"} {
		shown := hersPages.get(path)
		if shown.status != 200 || strings.Contains(shown.body, fingerprint.String()[:20]) || strings.Contains(shown.body, spoken) {
			t.Errorf("%s: status %d, or the words", path, shown.status)
		}
	}
	page = olivia.get("/officer/cases/" + business.ID.String())
	page.is(t, "a business case", 200, page.path, "Bob Brown", record.Fingerprint(s.Recipient.Certificate).String(), "&lt;script&gt;alert(1)&lt;/script&gt;&#34;&gt;&lt;img", "Refused", "whether reason and reference are true")
	if strings.Contains(page.body, "<script>alert") || strings.Contains(page.body, "<img src=x") {
		t.Error("what somebody wrote is HTML")
	}
	s.answered(t, "olivia", 1, own, record.Approve)
	olivia.get("/officer/cases/"+own.ID.String()).is(t, "answered", 200, "/officer/cases/"+own.ID.String(), "You have approved.", "2 of the 2 approvals")
	if n := s.Database.Count(t, `select count(*) from audit.event where kind = 'portal.viewed' and subject = 'page:officer-cases'`); n == 0 {
		t.Error("nobody has recorded who saw the list")
	}
	if n := s.Database.Count(t, `select count(*) from audit.event where kind = 'portal.viewed' and subject = 'page:case'`); n != 3 {
		t.Errorf("%d views of cases are recorded", n)
	}

	// Whom it does not concern sees nothing; a subject who is no officer has no such page.
	other := s.browser(t)
	other.signIn("alice")
	other.get("/officer/cases/"+own.ID.String()).is(t, "who has no role", 403, "/officer/cases/"+own.ID.String(), "This page is not for you")
	ritasBrowser := s.browser(t)
	ritasBrowser.signIn("rita")
	for _, id := range []string{own.ID.String(), uuid.NewString(), "x", "'%20or%201=1"} {
		ritasBrowser.get("/officer/cases/"+id).is(t, "a case of others", 404, "/officer/cases/"+id, "There is no such case")
	}
	s.browser(t).get("/officer").is(t, "a stranger", 200, "/signin?to=%2Fofficer")
	if got := olivia.get("/officer?state=denied&after=nonsense"); got.status != 400 && got.status != 422 {
		t.Errorf("a page after nonsense: status %d", got.status)
	}
	olivia.get("/officer?format=csv").is(t, "an export", 200, "/officer?format=csv", "opened,asked-by,kind,state,keys,until,reference", "Rita")

	// In German, and when the officers are not asked any more.
	olivia.header.Set("Accept-Language", "de")
	olivia.get("/officer/cases/"+business.ID.String()).is(t, "in German", 200, "/officer/cases/"+business.ID.String(), "Ihre Entscheidung", "aus betrieblichem Grund", "--comment &#39;warum nicht&#39;")
	s.Clock.Advance(21 * time.Hour)
	olivia.signIn("olivia")
	if got := olivia.get("/officer/cases/" + business.ID.String()); strings.Contains(got.body, "sealpost-kra approve") {
		t.Error("a case whose time is over can be approved")
	}
}

// Who asked takes a case back, once, with a reason, having shown who they are.
func TestCaseTakenBack(t *testing.T) {
	s := setup(t)
	s.enrolled(t, "alice")
	rita, hers, ritas := s.enrolled(t, "rita")
	k := s.opened(t, rita, hers, ritas.Signing, s.Recipient.Certificate, recovery.Query{Kind: record.CaseBusiness, Mailboxes: []string{"alice@example.test"}}, "She left.", 48*time.Hour)
	path := "/officer/cases/" + k.ID.String()
	b := s.browser(t)
	b.signIn("rita")
	b.get(path).is(t, "the letter", 200, path, "Take this case back")
	b.post(path+"/cancel", url.Values{"reason": {" "}}).is(t, "without a reason", 422, path+"/cancel", "Say in a few words why")
	officer := s.browser(t)
	officer.signIn("oscar")
	officer.post(path+"/cancel", url.Values{"reason": {"no"}}).is(t, "by an officer", 403, path+"/cancel", "Only who opened the case may do that.")
	if got := officer.post("/officer/cases/"+uuid.NewString()+"/cancel", url.Values{"reason": {"no"}}); got.status != 404 {
		t.Errorf("no such case: status %d", got.status)
	}
	s.Clock.Advance(11 * time.Minute)
	b.post(path+"/cancel", url.Values{"reason": {"I found her."}}).is(t, "with an old proof", 403, path+"/cancel", "Show that it is you", "I found her.")
	b.post(path+"/cancel", url.Values{"reason": {"I found her."}, "prove-password": {slapdtest.Password("rita")}}).is(t, "taken back", 200, path, "The case was taken back.", "I found her.", "Taken back")
	b.post(path+"/cancel", url.Values{"reason": {"again"}}).is(t, "twice", 409, path+"/cancel", "cancelled")
	if got := b.get(path); strings.Contains(got.body, "Take this case back") {
		t.Error("it can be taken back twice")
	}
}

// Somebody asks for other people's keys: what would be named is shown, and the command that asks for it; what is wrong is said,
// and what was typed stays.
func TestAskForKeys(t *testing.T) {
	s := setup(t)
	_, _, _ = s.enrolled(t, "alice")
	b := s.browser(t)
	b.signIn("rita")
	b.get("/officer/cases/new").is(t, "the form", 200, "/officer/cases/new", "Bob Brown (Business, Legal)", "Nothing is opened by this")
	right := func() url.Values {
		return url.Values{"kind": {"business"}, "people": {"alice@example.test"}, "recipient": {record.Fingerprint(s.Recipient.Certificate).String()},
			"reason": {"Alice has left; it's urgent.\n<script>alert(1)</script>"}, "reference": {"HR-2026-118"}, "days": {"5"}}
	}
	page := b.post("/officer/cases/new", right())
	page.is(t, "what it would name", 200, "/officer/cases/new", "This is what the officers would be asked", "Alice Anders (alice@example.test)</bdi>: 1 key",
		"sealpost-agent case open --kind business --person alice@example.test --recipient "+record.Fingerprint(s.Recipient.Certificate).String()+" --reason &#39;Alice has left; it&#39;\\&#39;&#39;s urgent.", "--reference HR-2026-118 --days 5")
	if strings.Contains(page.body, "<script>alert") {
		t.Error("what somebody wrote is HTML")
	}
	if n := s.Database.Count(t, `select count(*) from archive.recovery_case`); n != 0 {
		t.Errorf("%d cases are opened", n)
	}
	if n := s.Database.Count(t, `select count(*) from audit.event where kind = 'portal.viewed' and subject = 'page:new-case'`); n != 1 {
		t.Errorf("%d views are recorded", n)
	}
	for what, c := range map[string]struct {
		change url.Values
		says   string
	}{
		"nobody":             {url.Values{"people": {" "}}, "Say whose keys are needed."},
		"no address":         {url.Values{"people": {"alice"}}, "Write mail addresses"},
		"somebody unknown":   {url.Values{"people": {"nobody@example.test"}}, "Nobody is known by one of these addresses"},
		"somebody without":   {url.Values{"people": {"carol@example.test"}}, "The archive keeps no key"},
		"herself":            {url.Values{"people": {"rita@example.test"}}, "restore case"},
		"no recipient":       {url.Values{"recipient": {""}}, "Choose who receives"},
		"another recipient":  {url.Values{"recipient": {strings.Repeat("0", 64)}}, "Choose who receives"},
		"no reason":          {url.Values{"reason": {" \n"}}, "Write why"},
		"a long reason":      {url.Values{"reason": {strings.Repeat("x", 4001)}}, "Write why"},
		"a kind":             {url.Values{"kind": {"restore"}}, "Choose for what"},
		"a drill":            {url.Values{"kind": {"drill"}}, "Choose for what"},
		"a day":              {url.Values{"from": {"31.3.2026"}}, "A day is written like"},
		"days the other way": {url.Values{"from": {"2026-03-31"}, "to": {"2026-03-30"}}, "before the first"},
		"no days":            {url.Values{"days": {"0"}}, "from 1 to 365"},
		"long ago":           {url.Values{"to": {"2001-01-01"}}, "The archive keeps no key"},
	} {
		form := right()
		for name, value := range c.change {
			form[name] = value
		}
		b.post("/officer/cases/new", form).is(t, what, 422, "/officer/cases/new", c.says, "HR-2026-118")
	}
	officer := s.browser(t)
	officer.signIn("olivia")
	officer.get("/officer/cases/new").is(t, "an officer", 403, "/officer/cases/new", "This page is not for you")
	s.Clock.Advance(11 * time.Minute)
	form := right()
	b.post("/officer/cases/new", form).is(t, "with an old proof", 403, "/officer/cases/new", "Show that it is you", "HR-2026-118")
	form.Set("prove-password", slapdtest.Password("rita"))
	b.post("/officer/cases/new", form).is(t, "with a proof", 200, "/officer/cases/new", "This is what the officers would be asked")
}

// The roster says who can open, until when, when that was last shown, and which ceremonies are going on.
func TestRosterPage(t *testing.T) {
	s := setup(t, withBoard)
	b := s.browser(t)
	b.signIn("olivia")
	b.get("/officer/roster").is(t, "the roster", 200, "/officer/roster", "Any 2 of these 3 people", "Olivia", "Oscar", "Otto", "Bob Brown", "Business, Legal", "have not passed a drill yet", "A drill is due", "No ceremony is going on")
	_, err := s.Archive.Drills(t.Context())
	must(t, err)
	must(t, s.Archive.RecordDrill(t.Context(), s.Actor(t, "olivia"), s.Roster.Hash(), record.Hash{1}, s.Clock.Now()))
	b.get("/officer/roster").is(t, "after a drill", 200, "/officer/roster", "They can open, as a drill showed")

	plan := reshare(t, s)
	_, err = archive.NewBoard(archive.BoardConfig{DB: s.DB, Now: s.Clock.Now}).OpenCeremony(t.Context(), s.Actor(t, "olivia"), plan.Bytes(), nil)
	must(t, err)
	b.get("/officer/roster").is(t, "a ceremony", 200, "/officer/roster", "Passing the key on: edition 2", "Waits until all have committed", "Waits for", "sealpost-kra ceremony sync FOLDER --server")
	requester := s.browser(t)
	requester.signIn("rita")
	if got := requester.get("/officer/roster"); got.status != 200 || strings.Contains(got.body, "Passing the key on") {
		t.Errorf("a requester sees ceremonies, or no roster: status %d", got.status)
	}
	s.Clock.Advance(210 * 24 * time.Hour)
	b.signIn("olivia")
	b.get("/officer/roster").is(t, "much later", 200, "/officer/roster", "A drill is overdue")
	if got := b.get("/officer/roster"); !regexp.MustCompile(`Nothing for a week|No ceremony`).MatchString(got.body) {
		t.Error("a ceremony that stands still is not said to")
	}
}

// Where no keys are archived, the pages say so.
func TestOfficersWithoutAnArchive(t *testing.T) {
	s := setup(t, func(_ *site, c *web.Config) { c.Archive, c.Recovery = nil, nil })
	b := s.browser(t)
	b.signIn("olivia")
	for _, path := range []string{"/officer", "/officer/roster", "/officer/cases/" + uuid.NewString()} {
		b.get(path).is(t, "without an archive", 404, path, "Here no keys are archived")
	}
}

// newDevice is a certificate as somebody's new computer makes it.
func newDevice(t *testing.T) *x509.Certificate {
	t.Helper()
	return certify(t, generate(t, "P-256"))
}

// reshare plans that the key is passed on to the same officers.
func reshare(t *testing.T, s *site) *record.Plan {
	t.Helper()
	p := *s.Roster.Plan
	p.Epoch, p.Previous, p.Created, p.Dealers = 2, s.Roster.Hash(), s.Clock.Now().UTC().Truncate(time.Second), []uint16{1, 2}
	rand.Read(p.Session[:])
	plan, err := record.NewPlan(p)
	must(t, err)
	return plan
}
