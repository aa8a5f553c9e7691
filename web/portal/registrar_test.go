package portal_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/enroll/leaver"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/slapdtest"
	"github.com/sealpost/sealpost/web"
)

// asks has somebody ask for certificates to which a registrar has to agree.
func (s *site) asks(t *testing.T, login string) *enroll.Request {
	t.Helper()
	by := s.Actor(t, login)
	submission, _ := s.Submission(t, by, housetest.Endorsed)
	req, err := s.Enroll.Submit(t.Context(), by, submission)
	must(t, err)
	return req
}

// has gives somebody a pair of certificates.
func (s *site) has(t *testing.T, login string) *enroll.Request {
	t.Helper()
	by := s.Actor(t, login)
	submission, _ := s.Submission(t, by, housetest.Pair)
	req, err := s.Enroll.Submit(t.Context(), by, submission)
	must(t, err)
	return req
}

// as signs somebody in, in a browser of their own.
func (s *site) as(t *testing.T, login string) *browser {
	t.Helper()
	b := s.browser(t)
	b.signIn(login)
	return b
}

// joins makes somebody a registrar too.
func (s *site) joins(t *testing.T, login string) {
	t.Helper()
	s.Slapd.Modify(t, "dn: "+slapdtest.GroupDN("registrars")+"\nchangetype: modify\nadd: member\nmember: "+slapdtest.PersonDN(login)+"\n")
}

func (s *site) recorded(t *testing.T, kind string, person uuid.UUID) int64 {
	t.Helper()
	return s.Database.Count(t, `select count(*) from audit.event where kind = $1 and person = $2`, kind, person)
}

func TestRegistrarEndorses(t *testing.T) {
	s := setup(t)
	rita := s.as(t, "rita")
	rita.get("/registrar").is(t, "nobody waits", 200, "/registrar", "Nobody waits for you")
	req := s.asks(t, "alice")
	s.Clock.Advance(3 * time.Hour)
	rita = s.as(t, "rita")
	at := "/registrar/requests/" + req.ID.String()
	rita.get("/registrar").is(t, "the queue", 200, "/registrar", "Alice Anders", "waits: 3 hours", "Secure mail, endorsed", at, "alice@example.test")
	if got := rita.get("/registrar?format=csv"); got.status != 200 || !strings.Contains(got.body, "Alice Anders") {
		t.Errorf("exported: %s", got.body)
	}
	page := rita.get(at)
	page.is(t, "the request", 200, at, "Request of <bdi>Alice Anders</bdi>", "EC P-256", "Everything is as the directory says", "Endorse and issue", "No certificate yet", "password")
	if strings.Contains(page.body, "differs\"") {
		t.Error("something differs")
	}
	if n := s.recorded(t, "portal.viewed", req.Person); n < 3 {
		t.Errorf("%d views are recorded", n)
	}
	rita.post(at+"/endorse", nil).is(t, "endorsed", 200, at, "Endorsed. The certificates are issued.", "Issued", "Decided by")
	rita.get("/registrar").is(t, "after that", 200, "/registrar", "Nobody waits for you")
	again := rita.post(at+"/endorse", nil)
	again.is(t, "again, by the back button", 409, at+"/endorse", "decided already", "Issued")
	if got, err := s.Enroll.Get(t.Context(), s.Actor(t, "rita"), req.ID); err != nil || got.State != enroll.Issued || got.DecidedBy.Name != "Rita Registrar" {
		t.Errorf("%+v %v", got, err)
	}
}

func TestRegistrarRejects(t *testing.T) {
	s := setup(t)
	s.joins(t, "bob")
	req := s.asks(t, "alice")
	rita, bob := s.as(t, "rita"), s.as(t, "bob")
	at := "/registrar/requests/" + req.ID.String()
	rita.post(at+"/reject", url.Values{"reason": {"  "}}).is(t, "without a reason", 422, at+"/reject", "Say why.", "Something is missing")
	long := strings.Repeat("x", 1001)
	rita.post(at+"/reject", url.Values{"reason": {long}}).is(t, "a long reason", 422, at+"/reject", "Say why.", long)
	evil := `"><script>alert(1)</script>` + "\nCall me."
	rita.post(at+"/reject", url.Values{"reason": {evil}}).is(t, "rejected", 200, at, "Rejected. The person reads your reason.", "&lt;script&gt;", "Rita Registrar")
	// The second of two who had the same page open sees what the first decided.
	second := bob.post(at+"/endorse", nil)
	second.is(t, "the other registrar", 409, at+"/endorse", "decided already", "Rejected", "Rita Registrar", "Call me.")
	if strings.Contains(second.body, "<script>alert") || strings.Contains(second.body, `"danger"`) {
		t.Error("a script, or a button for what is over")
	}
}

// Whoever is no registrar hears that the page is not theirs; another site, and whoever is a stranger, can do nothing.
func TestRegistrarsAlone(t *testing.T) {
	s := setup(t)
	req := s.asks(t, "alice")
	alice := req.Person.String()
	token, err := s.Enroll.MintTokenFor(t.Context(), s.Actor(t, "rita"), enroll.TokenOrder{Person: req.Person, Life: time.Hour})
	must(t, err)
	pages := []string{"/registrar", "/registrar/requests/" + req.ID.String(), "/registrar/people?q=alice", "/registrar/people/" + alice, "/registrar/people/" + alice + "/revoke",
		"/registrar/people/" + alice + "/token", "/registrar/leavers", "/registrar/leavers/" + alice, "/registrar/tokens", "/registrar/tokens/" + strconv.FormatInt(token.Number, 10)}
	forms := []string{"/registrar/requests/" + req.ID.String() + "/endorse", "/registrar/requests/" + req.ID.String() + "/reject", "/registrar/people/" + alice + "/revoke",
		"/registrar/people/" + alice + "/release", "/registrar/people/" + alice + "/token", "/registrar/leavers/" + alice + "/revoke", "/registrar/leavers/" + alice + "/keep",
		fmt.Sprintf("/registrar/tokens/%d/withdraw", token.Number)}
	for _, login := range []string{"alice", "auditor", "operator", "olivia"} {
		b := s.as(t, login)
		if strings.Contains(b.get("/").body, `href="/registrar"`) {
			t.Errorf("%s is shown the way", login)
		}
		for _, p := range pages {
			b.get(p).is(t, login, 403, p, "This page is not for you")
		}
		for _, p := range forms {
			b.post(p, url.Values{"reason": {"lost"}, "note": {"x"}}).is(t, login, 403, p, "This page is not for you")
		}
	}
	stranger := s.browser(t)
	for _, p := range pages {
		stranger.get(p).is(t, "a stranger", 200, "/signin?to="+url.QueryEscape(p))
	}
	rita := s.as(t, "rita")
	for _, p := range forms {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.server.URL+p, strings.NewReader("reason=lost"))
		must(t, err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.Header.Set("Origin", "https://evil.example")
		if got := rita.send(r); got.status != 403 {
			t.Errorf("%s from elsewhere: status %d", p, got.status)
		}
	}
	if got, err := s.Enroll.Get(t.Context(), s.Actor(t, "rita"), req.ID); err != nil || got.State != enroll.Submitted {
		t.Errorf("%+v %v", got, err)
	}
	// Addresses of nothing, and of what is of another kind.
	for _, p := range []string{"/registrar/requests/x", "/registrar/requests/" + uuid.NewString(), "/registrar/requests/" + uuid.Nil.String(), "/registrar/people/" + uuid.NewString(),
		"/registrar/people/../tokens/0", "/registrar/people/" + req.ID.String(), "/registrar/people/" + alice + "/revoke?certificate=issuing/00", "/registrar/people/" + alice + "/revoke?certificate=x",
		"/registrar/tokens/0", "/registrar/tokens/4711", "/registrar/tokens/-1", "/registrar/tokens/x", "/registrar/leavers/" + alice} {
		if got := rita.get(p); got.status != 404 {
			t.Errorf("%s: status %d", p, got.status)
		}
	}
}

// What the directory, the request and people write is text on every page, in every script.
func TestRegistrarSeesText(t *testing.T) {
	s := setup(t)
	evil := `"><img src=x onerror=alert(1)>`
	names := []string{evil, "عليّ بن أبي طالب", "Ηλίας Παπαδόπουλος", "山田太郎", "ꦲꦏ꧀ꦱꦫ", "Zoë \u202eevil\u202c", "𒀭𒂗𒆤"}
	rita := s.as(t, "rita")
	for i, name := range names {
		login := fmt.Sprintf("odd%d", i)
		s.Slapd.Modify(t, fmt.Sprintf("dn: uid=%s,%s\nobjectClass: inetOrgPerson\nuid: %s\ncn: %s\nsn: %s\nemployeeNumber: %s\nmail: %s@example.test\nuserPassword: %s\n",
			login, slapdtest.People, login, name, name, "<b>7</b>", login, slapdtest.Password(login)))
		p, err := s.Directory.ByLogin(t.Context(), login)
		must(t, err)
		by := p.Actor(audit.MethodPassword, audit.StrengthPassword)
		// The request claims to be from somebody else again, with more than a name.
		keys := housetest.Keys{Signing: pkitest.NewKey(t, ca.P256), Encryption: pkitest.NewKey(t, ca.P256)}
		claims := by
		claims.Name = "Mallory " + evil
		submission := s.SubmissionWith(t, claims, housetest.Endorsed, keys)
		submission.Agent = evil
		req, err := s.Enroll.Submit(t.Context(), by, submission)
		must(t, err)
		_, err = s.Enroll.MintTokenFor(t.Context(), s.Actor(t, "rita"), enroll.TokenOrder{Person: p.ID, Life: time.Hour})
		must(t, err)
		at := "/registrar/requests/" + req.ID.String()
		page := rita.get(at)
		page.is(t, name, 200, at, "Something differs", `class="differs"`, "Mallory", "Differs")
		person := "/registrar/people/" + p.ID.String()
		for _, path := range []string{at, person, person + "/token", person + "/revoke", "/registrar", "/registrar/tokens", "/registrar/people?q=" + url.QueryEscape(login), "/registrar/people?q=" + url.QueryEscape(evil)} {
			got := rita.get(path)
			if strings.Contains(got.body, "<img") || strings.Contains(got.body, "<b>7") || got.status != 200 {
				t.Errorf("%s: status %d, or a tag", path, got.status)
			}
			if path != "/registrar/people?q="+url.QueryEscape(evil) && i > 0 && !strings.Contains(got.body, "<bdi>"+name+"</bdi>") {
				t.Errorf("%s does not show %q by itself", path, name)
			}
		}
	}
}

// A registrar's own request, and one that was asked for with a token of theirs, is somebody else's to decide. The page says so.
func TestRegistrarsOwn(t *testing.T) {
	s := setup(t)
	own := s.asks(t, "rita")
	rita := s.as(t, "rita")
	at := "/registrar/requests/" + own.ID.String()
	page := rita.get(at)
	page.is(t, "the own request", 200, at, "It is your own request")
	if strings.Contains(page.body, "Endorse and issue") {
		t.Error("it can be endorsed")
	}
	rita.post(at+"/endorse", nil).is(t, "all the same", 403, at+"/endorse", "another registrar")
	mine := "/registrar/people/" + own.Person.String() + "/token"
	rita.get(mine).is(t, "a token for oneself", 200, mine, "Nobody makes a token for themselves")
	rita.post(mine, url.Values{"form": {uuid.NewString()}, "days": {"1"}}).is(t, "all the same", 403, mine, "another registrar")
	alice := s.Actor(t, "alice")
	token, err := s.Enroll.MintTokenFor(t.Context(), s.Actor(t, "rita"), enroll.TokenOrder{Person: alice.Person, Life: time.Hour, Use: enroll.Behalf})
	must(t, err)
	holder, err := s.Enroll.TokenActor(t.Context(), token.Secret)
	must(t, err)
	submission, _ := s.Submission(t, holder, housetest.Endorsed)
	submission.Token = token.Secret
	req, err := s.Enroll.Submit(t.Context(), holder, submission)
	must(t, err)
	at = "/registrar/requests/" + req.ID.String()
	rita.get(at).is(t, "one with a token of theirs", 200, at, "asked for with a token that you made", "on behalf")
	s.as(t, "alice").get("/history").is(t, "what alice is told", 200, "/history", "Certificates were asked for in your name with such a code", "whoever had the code", "Rita Registrar")
	rita.post(at+"/endorse", nil).is(t, "all the same", 403, at+"/endorse", "Another registrar")
}

// What the directory says is what it says now.
func TestRegistrarSeesTheDirectoryOfNow(t *testing.T) {
	s := setup(t)
	req := s.asks(t, "alice")
	rita := s.as(t, "rita")
	at := "/registrar/requests/" + req.ID.String()
	change := func(how string) {
		t.Helper()
		s.Slapd.Modify(t, "dn: "+slapdtest.PersonDN("alice")+"\nchangetype: modify\n"+how)
	}
	change("replace: mail\nmail: alice.new@example.test\n-\nreplace: sn\nsn: Berg\n")
	rita.get(at).is(t, "moved and married", 200, at, "Something differs", "alice.new@example.test", "alice@example.test", "Berg", "Differs")
	change("delete: mail\n")
	page := rita.get(at)
	page.is(t, "without an address", 200, at, "no mail address of this person")
	if strings.Contains(page.body, "Endorse and issue") {
		t.Error("it can be endorsed")
	}
	change("add: mail\nmail: alice@example.test\n-\nadd: employeeType\nemployeeType: disabled\n")
	rita.get(at).is(t, "locked", 200, at, "This account is locked in the directory")
	rita.post(at+"/endorse", nil).is(t, "all the same", 403, at+"/endorse", "account is locked")
	person := "/registrar/people/" + req.Person.String()
	rita.get(person+"/token").is(t, "a token", 200, person+"/token", "does not show this person as active")
	s.Slapd.Modify(t, "dn: "+slapdtest.PersonDN("alice")+"\nchangetype: delete\n")
	rita.get(at).is(t, "gone", 200, at, "The directory has this person no more")
	rita.get(person).is(t, "gone", 200, person, "Alice Anders", "Not there any more")
	rita.post(at+"/reject", url.Values{"reason": {"You have left."}}).is(t, "rejected", 200, at, "Rejected")
	s.Slapd.Stop()
	if got := rita.get(at); got.status != 503 && got.status != 200 { // who asks cannot be found out either
		t.Errorf("status %d", got.status)
	}
}

func TestRegistrarFindsPeople(t *testing.T) {
	s := setup(t)
	req := s.has(t, "alice")
	rita := s.as(t, "rita")
	rita.get("/registrar/people").is(t, "the page", 200, "/registrar/people", "Type a part of a name")
	path := "/registrar/people/" + req.Person.String()
	rita.get("/registrar/people?q=LICE+and").is(t, "found", 200, "/registrar/people?q=LICE+and", path, "alice@example.test", "Active")
	rita.get("/registrar/people?q=dunn").is(t, "somebody locked", 200, "/registrar/people?q=dunn", "Dave Dunn", "Locked")
	rita.get("/registrar/people?q=*").is(t, "too short", 422, "/registrar/people?q=*", "at least two characters")
	rita.get("/registrar/people?q=**").is(t, "nobody", 200, "/registrar/people?q=**", "knows nobody like that")
	rita.get("/registrar/people?q=%FF%FEal").is(t, "no text", 200, "/registrar/people?q=%FF%FEal", "Alice Anders")
	page := rita.get(path)
	page.is(t, "a person", 200, path, "Alice Anders", "<dd>1 <span", "To sign", "To encrypt to", "Valid", "Issued", "Make an enrolment token", "Revoke all certificates")
	if n := s.recorded(t, "portal.viewed", req.Person); n < 2 {
		t.Errorf("%d views are recorded", n)
	}
	own := "/registrar/people/" + s.Actor(t, "rita").Person.String()
	mine := rita.get(own)
	mine.is(t, "oneself", 200, own, "this is you")
	if strings.Contains(mine.body, own+"/token") {
		t.Error("a token for oneself is offered")
	}
}

func TestRegistrarRevokes(t *testing.T) {
	s := setup(t)
	req := s.has(t, "alice")
	other := s.has(t, "bob")
	rita := s.as(t, "rita")
	person := "/registrar/people/" + req.Person.String()
	name := func(c ca.Certificate) string { return c.Issuer + "/" + c.Serial.String() }
	one := req.Certificates[0]
	form := person + "/revoke?certificate=" + url.QueryEscape(name(one))
	rita.get(form).is(t, "the page", 200, form, "What will happen", "Lost or stolen", "Put it on hold", one.Serial.String())
	status := func(c ca.Certificate) ca.Status {
		t.Helper()
		got, err := s.PKI.Status(t.Context(), c.Issuer, c.Serial)
		must(t, err)
		return got
	}
	for what, c := range map[string]struct {
		form   url.Values
		status int
		words  string
	}{
		"no reason":         {url.Values{"certificate": {name(one)}}, 422, "Choose why."},
		"an unknown reason": {url.Values{"certificate": {name(one)}, "reason": {"keyCompromise"}, "note": {"ticket 17"}}, 422, `value="ticket 17"`},
		"no date":           {url.Values{"certificate": {name(one)}, "reason": {"lost"}, "since": {"yesterday"}}, 422, "A date must be one that has been"},
		"a date to come":    {url.Values{"certificate": {name(one)}, "reason": {"lost"}, "since": {"2999-01-01"}}, 422, "A date must be one that has been"},
		"a long note":       {url.Values{"certificate": {name(one)}, "reason": {"lost"}, "note": {strings.Repeat("x", 501)}}, 422, "at most 500 characters"},
		"somebody else's":   {url.Values{"certificate": {name(other.Certificates[0])}, "reason": {"lost"}}, 404, "There is no such certificate"},
		"one that is none":  {url.Values{"certificate": {"x"}, "reason": {"lost"}}, 404, "There is no such certificate"},
	} {
		rita.post(person+"/revoke", c.form).is(t, what, c.status, person+"/revoke", c.words)
	}
	hold := url.Values{"certificate": {name(one)}, "reason": {"hold"}, "note": {"Ticket 4711.\r\nSecond <b>line</b>"}}
	rita.post(person+"/revoke", hold).is(t, "on hold", 200, person, "On hold until you release or revoke it.", "On hold")
	if got := status(one); got.Reason != ca.CertificateHold {
		t.Errorf("%+v", got)
	}
	rita.get(form).is(t, "what is on hold", 200, form, "Release it", "Good after all?")
	rita.post(person+"/release", url.Values{"certificate": {name(one)}}).is(t, "released", 200, person, "Released.")
	rita.post(person+"/release", url.Values{"certificate": {name(one)}}).is(t, "twice", 409, person+"/release", "not on hold any more")
	// A proof that is old is asked for anew, and nothing of the form is lost.
	s.Clock.Advance(11 * time.Minute)
	lost := url.Values{"certificate": {name(one)}, "reason": {"lost"}, "since": {s.Clock.Now().UTC().Add(-48 * time.Hour).Format(time.DateOnly)}, "note": {"Left in a train."}}
	rita.post(person+"/revoke", lost).is(t, "long after signing in", 403, person+"/revoke", "Show that it is you", `value="Left in a train."`)
	if got := status(one); got.State != ca.Good {
		t.Fatalf("%+v", got)
	}
	lost.Set("prove-password", slapdtest.Password("rita"))
	rita.post(person+"/revoke", lost).is(t, "with the password", 200, person, "Revoked.", "lost or stolen")
	if got := status(one); got.Reason != ca.KeyCompromise || got.Invalid.IsZero() {
		t.Errorf("%+v", got)
	}
	rita.post(person+"/revoke", lost).is(t, "twice", 409, person+"/revoke", "revoked already")
	rita.post(person+"/revoke", url.Values{"reason": {"left"}}).is(t, "all that is left", 200, person, "Revoked.", "has left")
	if got := status(req.Certificates[1]); got.Reason != ca.AffiliationChanged {
		t.Errorf("%+v", got)
	}
	if got := status(other.Certificates[0]); got.State != ca.Good {
		t.Errorf("somebody else's: %+v", got)
	}
	rita.post(person+"/revoke", url.Values{"reason": {"left"}}).is(t, "once more", 200, person, "There was nothing to change.")
	rita.get(person+"/revoke").is(t, "nothing left", 200, person+"/revoke", "There is nothing to revoke")
	if n := s.Database.Count(t, `select count(*) from audit.event where kind = 'certificate.revoked' and person = $1 and body like '%Left in a train.%' and body like '%Rita Registrar%'`, req.Person); n != 1 {
		t.Errorf("%d events with the note", n)
	}
}

var secretShown = regexp.MustCompile(`<code>([a-z2-7]{32})</code>`)

func TestRegistrarMakesTokens(t *testing.T) {
	s := setup(t)
	alice := s.Actor(t, "alice")
	rita := s.as(t, "rita")
	person := "/registrar/people/" + alice.Person.String()
	rita.get("/registrar/tokens").is(t, "none", 200, "/registrar/tokens", "There is none.")
	page := rita.get(person + "/token")
	page.is(t, "the page", 200, person+"/token", "Enrolment token for <bdi>Alice Anders</bdi>", "I, on their behalf", "with both names")
	form := url.Values{"form": regexp.MustCompile(`name="form" value="([^"]+)"`).FindStringSubmatch(page.body)[1:], "days": {"7"}, "use": {"behalf"}}
	for what, c := range map[string]url.Values{"no form": {"days": {"1"}}, "no days": {"form": form["form"], "days": {"x"}}} {
		rita.post(person+"/token", c).is(t, what, 400, person+"/token", "The form could not be read")
	}
	rita.post(person+"/token", url.Values{"form": {uuid.NewString()}, "days": {"365"}}).is(t, "a year", 403, person+"/token", "up to 30 days")
	s.Clock.Advance(11 * time.Minute)
	rita.post(person+"/token", form).is(t, "an old proof", 403, person+"/token", "Show that it is you", `name="use" value="behalf"`)
	form.Set("prove-password", slapdtest.Password("rita"))
	made := rita.post(person+"/token", form)
	made.is(t, "made", 200, person+"/token", "This is shown only now", "sealpost-agent enroll --state enrol-1/state", "You will have this person’s signing key", "SERVER:PORT")
	if made.header.Get("Cache-Control") != "no-store" {
		t.Errorf("it is kept: %v", made.header)
	}
	shown := secretShown.FindStringSubmatch(made.body)
	if files := taken(t, made.body); shown != nil && files["token.txt"] != shown[1]+"\n" {
		t.Errorf("the file is %q", files)
	}
	if shown == nil {
		t.Fatal(made.body)
	}
	secret := shown[1]
	if by, err := s.Enroll.TokenActor(t.Context(), secret); err != nil || by.Person != alice.Person {
		t.Errorf("%+v %v", by, err)
	}
	again := rita.post(person+"/token", form)
	again.is(t, "the page loaded again", 409, person+"/token", "made its token already")
	for what, got := range map[string]answer{"again": again, "the list": rita.get("/registrar/tokens"), "the person": rita.get(person), "the token": rita.get("/registrar/tokens/1")} {
		if strings.Contains(got.body, secret) {
			t.Errorf("%s shows it", what)
		}
	}
	rita.get("/registrar/tokens").is(t, "the list", 200, "/registrar/tokens", "Token 1", "Alice Anders", "Rita Registrar", "left: 6 days", "on their behalf")
	rita.get(person).is(t, "the person", 200, person, "Token 1")
	if n := s.Database.Count(t, `select count(*) from audit.event where kind = 'enrolment.token' and person = $1 and body like '%Rita Registrar%' and body like '%behalf%'`, alice.Person); n != 1 {
		t.Errorf("%d events name both", n)
	}
	rita.get("/registrar/tokens/1").is(t, "one", 200, "/registrar/tokens/1", "Withdraw it")
	rita.post("/registrar/tokens/1/withdraw", nil).is(t, "withdrawn", 200, "/registrar/tokens", "Withdrawn.", "There is none.")
	rita.post("/registrar/tokens/1/withdraw", nil).is(t, "twice", 404, "/registrar/tokens/1/withdraw", "used or withdrawn")
	if _, err := s.Enroll.TokenActor(t.Context(), secret); err == nil {
		t.Error("it can be used still")
	}
}

// Where the interface's address is known, the command names it.
func TestTokenCommandNamesTheServer(t *testing.T) {
	s := setup(t, func(_ *site, c *web.Config) {
		c.Certificates, c.PortalURL = "https://ca.example.test:8443", "https://portal.example.test"
	})
	alice := s.Actor(t, "alice")
	rita := s.as(t, "rita")
	at := "/registrar/people/" + alice.Person.String() + "/token"
	rita.post(at, url.Values{"form": {uuid.NewString()}, "days": {"1"}, "use": {"handed"}}).is(t, "made", 200, at,
		"sealpost-agent enroll --server https://ca.example.test:8443 --roots root.pem --token-file token.txt", "On their computer the person saves")
}

func TestRegistrarAndLeavers(t *testing.T) {
	var desk *leaver.Desk
	s := setup(t, func(_ *site, c *web.Config) {
		var err error
		desk, err = leaver.New(leaver.Config{DB: c.Registry.DB, Authority: c.Authority, Directory: c.Directory, Audit: c.Audit, Policy: leaver.Policy{Disabled: leaver.Revoke, Limit: 1, Grace: 24 * time.Hour}, Now: c.Now})
		must(t, err)
		c.Leavers = desk
	})
	s.joins(t, "bob")
	alice, carol := s.has(t, "alice"), s.has(t, "carol")
	rita, bob := s.as(t, "rita"), s.as(t, "bob")
	rita.get("/registrar/leavers").is(t, "nobody", 200, "/registrar/leavers", "Nobody. Whoever is locked")
	for _, login := range []string{"alice", "carol"} {
		s.Slapd.Modify(t, "dn: "+slapdtest.PersonDN(login)+"\nchangetype: modify\nadd: employeeType\nemployeeType: disabled\n")
	}
	must(t, desk.Sweep(t.Context(), true))
	rita.get("/registrar/leavers").is(t, "two", 200, "/registrar/leavers", "Alice Anders", "Carol Müller-Żak", "Locked", "Is revoked from")
	rita.get("/registrar/leavers?state=left").is(t, "none of that state", 200, "/registrar/leavers?state=left", "Nothing fits")
	at := "/registrar/leavers/" + alice.Person.String()
	rita.get(at).is(t, "alice", 200, at, "Has left: revoke", "Keep", "Noticed")
	rita.post(at+"/revoke", url.Values{"note": {" "}}).is(t, "without a note", 422, at+"/revoke", "Say in one line")
	rita.post(at+"/revoke", url.Values{"note": {"<i>Left</i> on Friday."}}).is(t, "left", 200, "/registrar/leavers", "Revoked: this person has left.")
	rita.get(at).is(t, "after that", 200, at, "Has left", "&lt;i&gt;Left&lt;/i&gt;", "Rita Registrar")
	bob.post(at+"/keep", url.Values{"note": {"on leave"}}).is(t, "the other registrar", 409, at+"/keep", "revoked already")
	if got, err := s.PKI.Status(t.Context(), alice.Certificates[0].Issuer, alice.Certificates[0].Serial); err != nil || got.Reason != ca.AffiliationChanged {
		t.Errorf("%+v %v", got, err)
	}
	at = "/registrar/leavers/" + carol.Person.String()
	rita.post(at+"/keep", url.Values{"note": {"On leave until spring."}}).is(t, "kept", 200, "/registrar/leavers", "Their certificates stay")
	s.Clock.Advance(11 * time.Minute)
	rita.post(at+"/revoke", url.Values{"note": {"x"}}).is(t, "an old proof", 403, at+"/revoke", "Show that it is you")
	s.Slapd.Modify(t, "dn: "+slapdtest.PersonDN("carol")+"\nchangetype: modify\ndelete: employeeType\n")
	rita.post(at+"/keep", url.Values{"note": {"x"}}).is(t, "who is back", 409, at+"/keep", "as active again")
}

func TestWithoutLeavers(t *testing.T) {
	s := setup(t)
	s.as(t, "rita").get("/registrar/leavers").is(t, "no desk", 200, "/registrar/leavers", "does not look after people who leave")
}

func TestRegistrarInGerman(t *testing.T) {
	s := setup(t)
	req := s.asks(t, "alice")
	rita := s.as(t, "rita")
	rita.header.Set("Accept-Language", "de")
	at := "/registrar/requests/" + req.ID.String()
	rita.get(at).is(t, "a request", 200, at, "Neben dem Verzeichnis", "Zustimmen und ausstellen")
	rita.get("/registrar/people?q=a").is(t, "too short", 422, "/registrar/people?q=a", "mindestens zwei Zeichen")
}
