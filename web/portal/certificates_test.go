package portal_test

import (
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/slapdtest"
	"github.com/sealpost/sealpost/recovery"
)

const firefox = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0"

// enrolledWith has somebody get a pair, with a program that calls itself so.
func (s *site) enrolledWith(t *testing.T, login, agent string) *enroll.Request {
	t.Helper()
	by := s.Actor(t, login)
	submission, _ := s.Submission(t, by, housetest.Pair)
	submission.Agent = agent
	request, err := s.Enroll.Submit(t.Context(), by, submission)
	must(t, err)
	return request
}

func pathOf(c ca.Certificate) string { return "/certificates/" + c.Issuer + "/" + c.Serial.String() }

func nameOf(c ca.Certificate) string { return c.Issuer + "/" + c.Serial.String() }

// standing is what the authority says of certificates.
func (s *site) standing(t *testing.T, list ...ca.Certificate) (out []ca.Status) {
	t.Helper()
	for _, c := range list {
		found, err := s.PKI.Authority.Certificate(t.Context(), c.Issuer, c.Serial)
		must(t, err)
		out = append(out, found.Status)
	}
	return out
}

func (s *site) events(t *testing.T, kind string) []audit.Entry {
	t.Helper()
	found, err := s.Audit.Events(t.Context(), audit.Query{Kind: kind, Before: math.MaxInt64})
	must(t, err)
	return found
}

// What one has is one's own to see; registrars, auditors and operators see it too, and that is recorded.
func TestCertificateIsItsOwners(t *testing.T) {
	s := setup(t)
	request := s.enrolledWith(t, "alice", firefox)
	sign, read := request.Certificates[0], request.Certificates[1]
	alice := s.browser(t)
	alice.get(pathOf(sign)).is(t, "a stranger", 200, "/signin?to="+url.QueryEscape(pathOf(sign)))
	alice.signIn("alice")
	alice.get(pathOf(sign)).is(t, "her own", 200, pathOf(sign), "Your signing certificate", "Valid", "Firefox on Windows", "alice@example.test", "Secure mail", "Where the revocation list is", sign.Serial.String(), "/lost?c=", "Alice Anders")
	alice.get(pathOf(read)).is(t, "the other half", 200, pathOf(read), "Your encryption certificate", "AES-256-CBC")
	alice.get("/certificates").is(t, "all", 200, "/certificates", "Firefox on Windows", sign.Serial.String(), read.Serial.String())
	alice.get("/certificates?state=revoked").is(t, "revoked ones", 200, "/certificates?state=revoked", "Nothing fits")
	rows, err := csv.NewReader(strings.NewReader(alice.get("/certificates?format=csv").body)).ReadAll()
	if err != nil || len(rows) != 3 || rows[0][0] != "what" {
		t.Errorf("%q %v", rows, err)
	}
	for what, path := range map[string]string{"no such serial": "/certificates/" + sign.Issuer + "/4711", "no serial": "/certificates/" + sign.Issuer + "/x%22%3E", "no issuer": "/certificates/none/" + sign.Serial.String(),
		"no such file": pathOf(sign) + "/key.pem"} {
		alice.get(path).is(t, what, 404, path)
	}
	bob := s.browser(t)
	bob.signIn("bob")
	for _, path := range []string{pathOf(sign), pathOf(read), pathOf(read) + "/certificate.cer"} {
		bob.get(path).is(t, "another's", 404, path)
	}
	if got := bob.get("/certificates"); strings.Contains(got.body, sign.Serial.String()) {
		t.Error("bob's list has alice's certificate")
	}
	if n := len(s.events(t, "portal.viewed")); n != 0 {
		t.Errorf("%d views are recorded", n)
	}
	for i, login := range []string{"rita", "auditor", "operator"} {
		b := s.browser(t)
		b.signIn(login)
		got := b.get(pathOf(sign))
		got.is(t, login, 200, pathOf(sign), "Alice Anders", "<h1>Signing certificate</h1>")
		if strings.Contains(got.body, "/lost?c=") {
			t.Errorf("%s is offered to revoke it here", login)
		}
		seen := s.events(t, "portal.viewed")
		if len(seen) != i+1 || seen[0].Person != request.Person || seen[0].Subject != "page:certificate" {
			t.Errorf("%s: %+v", login, seen)
		}
	}
}

// The files are what they say; openssl verifies the certificate with the chain.
func TestCertificateFiles(t *testing.T) {
	s := setup(t)
	c := s.enrolledWith(t, "alice", "").Certificates[0]
	b := s.browser(t)
	b.signIn("alice")
	dir := t.TempDir()
	take := func(name, media string) string {
		got := b.get(pathOf(c) + "/" + name)
		if got.status != 200 || got.header.Get("Content-Type") != media || !strings.HasPrefix(got.header.Get("Content-Disposition"), `attachment; filename="sign-`) {
			t.Fatalf("%s: status %d %v", name, got.status, got.header)
		}
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(got.body), 0o600))
		return path
	}
	openssl := func(args ...string) string {
		out, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("openssl %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	der, pem := take("certificate.cer", "application/pkix-cert"), take("certificate.pem", "application/x-pem-file")
	chain, p7b := take("chain.pem", "application/x-pem-file"), take("chain.p7b", "application/x-pkcs7-certificates")
	openssl("x509", "-inform", "DER", "-in", der, "-noout")
	openssl("verify", "-purpose", "smimesign", "-CAfile", chain, pem)
	if got := openssl("pkcs7", "-inform", "DER", "-in", p7b, "-print_certs", "-noout"); strings.Count(got, "subject=") != 3 {
		t.Errorf("the bundle has\n%s", got)
	}
	if all, err := os.ReadFile(chain); err != nil || bytes.Count(all, []byte("BEGIN CERTIFICATE")) != 3 || bytes.Contains(all, []byte("PRIVATE")) {
		t.Errorf("the chain is %s %v", all, err)
	}
}

// Somebody lost a device: one decision a screen, and what they chose is revoked, once.
func TestLostDevice(t *testing.T) {
	s := setup(t)
	old := s.enrolledWith(t, "alice", "sealpost-agent/1.0 (linux; laptop-7)")
	kept := s.enrolledWith(t, "alice", firefox)
	b := s.browser(t)
	b.signIn("alice")
	b.get("/").is(t, "home", 200, "/", "sealpost-agent on laptop-7", "Firefox on Windows", "I lost my computer")
	b.get("/lost").is(t, "what happened", 200, "/lost", "What happened?", "lost or stolen", "My name or my address changed")
	b.get("/lost?ask=1").is(t, "nothing chosen", 422, "/lost?ask=1", "Choose what happened.")
	b.get("/lost?why=x%3E").is(t, "something else", 422, "/lost?why=x%3E", "Choose what happened.")
	which := b.get("/lost?ask=1&why=lost")
	which.is(t, "which", 200, "/lost?ask=1&why=lost", "Which certificates?", "sealpost-agent on laptop-7", nameOf(old.Certificates[0]), nameOf(kept.Certificates[1]))
	if strings.Contains(which.body, "checked") {
		t.Error("with two pairs, something is chosen")
	}
	b.get("/lost?why=lost&sure=1").is(t, "none chosen", 422, "/lost?why=lost&sure=1", "Choose at least one certificate.", nameOf(old.Certificates[0]))
	q := url.Values{"why": {"lost"}, "c": {nameOf(old.Certificates[0]), nameOf(old.Certificates[1])}}
	sure := "/lost?" + q.Encode() + "&sure=1"
	b.get(sure).is(t, "sure", 200, sure, "Revoke these certificates?", "stays readable", "refuse signatures", "You have another one to sign with.", "Since when")
	for _, state := range s.standing(t, append(old.Certificates, kept.Certificates...)...) {
		if state.State != ca.Good {
			t.Fatal("looking revoked something")
		}
	}
	for what, since := range map[string]string{"a day to come": s.Clock.Now().Add(72 * time.Hour).Format(time.DateOnly), "no day": "yesterday", "long ago": "1066-10-14"} {
		q.Set("since", since)
		b.post("/lost", q).is(t, what, 422, "/lost", "Give a day that has been", since)
	}
	since := s.Clock.Now().UTC().Add(-48 * time.Hour).Format(time.DateOnly)
	q.Set("since", since)
	done := b.post("/lost", q)
	if done.status != 200 || !strings.HasPrefix(done.path, "/lost/done?") {
		t.Fatalf("status %d at %s", done.status, done.path)
	}
	done.is(t, "done", 200, done.path, "Revoked. Nothing else changed.", "You have other valid certificates", "Tell whoever looks after devices")
	for i, state := range s.standing(t, old.Certificates...) {
		if state.State != ca.Revoked || state.Reason != ca.KeyCompromise || state.Invalid.Format(time.DateOnly) != since {
			t.Errorf("%d: %+v", i, state)
		}
	}
	for _, state := range s.standing(t, kept.Certificates...) {
		if state.State != ca.Good {
			t.Error("the other pair was revoked")
		}
	}
	events := s.events(t, "certificate.revoked")
	if len(events) != 2 || events[0].By.Person != old.Person || !strings.Contains(string(events[0].Data), "device is lost") {
		t.Errorf("%+v", events)
	}
	// Twice, and with the back button: nothing changes, and the page says so.
	b.post("/lost", q).is(t, "twice", 200, done.path, "revoked already")
	b.get(sure).is(t, "back", 200, sure, "Revoked")
	if n := len(s.events(t, "certificate.revoked")); n != 2 {
		t.Errorf("%d revocations", n)
	}
	b.get(pathOf(old.Certificates[0])).is(t, "its page", 200, pathOf(old.Certificates[0]), "Revoked on", "Somebody else may have the key", "Not to be trusted since")
	// The list that others read has it.
	s.onTheList(t, old.Certificates...)
}

// The reason is what was said: newer ones took its place, it is not needed, or a name changed.
func TestLostReasons(t *testing.T) {
	s := setup(t)
	first, second := s.enrolledWith(t, "alice", ""), s.enrolledWith(t, "alice", "")
	b := s.browser(t)
	b.signIn("alice")
	for _, c := range []struct {
		why  string
		what ca.Certificate
		want ca.Reason
	}{{"unneeded", first.Certificates[0], ca.Superseded}, {"changed", first.Certificates[1], ca.AffiliationChanged}, {"unneeded", second.Certificates[0], ca.CessationOfOperation}, {"known", second.Certificates[1], ca.KeyCompromise}} {
		q := url.Values{"why": {c.why}, "c": {nameOf(c.what), nameOf(c.what)}}
		if got := b.post("/lost", q); got.status != 200 {
			t.Fatalf("%s: status %d %s", c.why, got.status, got.body)
		}
		if got := s.standing(t, c.what)[0]; got.Reason != c.want || got.State != ca.Revoked {
			t.Errorf("%s: %+v, want %s", c.why, got, c.want)
		}
	}
	b.get("/lost?why=lost").is(t, "with nothing left", 200, "/lost?why=lost", "There is nothing to revoke")
	b.get("/").is(t, "home", 200, "/", "Revoked", "Get my certificates")
}

// A single pair is chosen from the start; from its own page a certificate alone is.
func TestLostChoosesWhatIsThere(t *testing.T) {
	s := setup(t)
	pair := s.enrolledWith(t, "alice", "")
	b := s.browser(t)
	b.signIn("alice")
	if got := b.get("/lost?why=lost").body; strings.Count(got, " checked") != 2 {
		t.Errorf("not both are chosen:\n%s", got)
	}
	q := "/lost?c=" + url.QueryEscape(nameOf(pair.Certificates[1]))
	b.get(q).is(t, "from its page", 200, q, "What happened?", `name="c" value="`+nameOf(pair.Certificates[1]))
	if got := b.get(q + "&why=known").body; strings.Count(got, " checked") != 1 {
		t.Errorf("not the one is chosen:\n%s", got)
	}
}

// Nobody revokes what is another's, an officer's certificate, or what there is not; nor for somebody who forgot to sign out.
func TestLostIsOnesOwn(t *testing.T) {
	s := setup(t)
	theirs := s.enrolledWith(t, "alice", "").Certificates
	mine := s.enrolledWith(t, "bob", "").Certificates
	b := s.browser(t)
	b.signIn("bob")
	for what, names := range map[string][]string{"another's": {nameOf(mine[0]), nameOf(theirs[0])}, "unknown": {"issuing/4711"}, "no name": {"x"}, "no serial": {"issuing/zz"}, "markup": {`"><script>/1`}} {
		q := url.Values{"why": {"lost"}, "c": names}
		b.post("/lost", q).is(t, what, 404, "/lost")
		path := "/lost?" + q.Encode()
		b.get(path).is(t, what, 404, path)
	}
	b.post("/lost", url.Values{"why": {"lost"}, "c": make([]string, 101)}).is(t, "too many", 400, "/lost")
	b.post("/lost", url.Values{"c": {nameOf(mine[0])}}).is(t, "no reason", 422, "/lost", "Choose what happened.")
	b.post("/lost", url.Values{"why": {"lost"}}).is(t, "nothing", 422, "/lost", "Choose at least one")
	for _, state := range s.standing(t, append(mine, theirs...)...) {
		if state.State != ca.Good {
			t.Fatal("something was revoked")
		}
	}
	if refused := s.events(t, "certificate.revocation-refused"); len(refused) == 0 || refused[0].Person != s.Actor(t, "alice").Person || refused[0].By.Name != "Bob Brown" {
		t.Errorf("%+v", refused)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.server.URL+"/lost", strings.NewReader(url.Values{"why": {"lost"}, "c": {nameOf(mine[0])}}.Encode()))
	must(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	if got := b.send(req); got.status != 403 || s.standing(t, mine[0])[0].State != ca.Good {
		t.Errorf("from another site: status %d", got.status)
	}
	// Later, the password is asked for, and what was chosen is kept.
	s.Clock.Advance(11 * time.Minute)
	q := url.Values{"why": {"known"}, "c": {nameOf(mine[0]), nameOf(mine[1])}}
	b.post("/lost", q).is(t, "an old proof", 403, "/lost", "Show that it is you", nameOf(mine[1]))
	q.Set("prove-password", slapdtest.Password("bob"))
	if got := b.post("/lost", q); got.status != 200 || s.standing(t, mine[1])[0].State != ca.Revoked {
		t.Errorf("with the password: status %d at %s", got.status, got.path)
	}
	s.Clock.Advance(31 * time.Minute)
	b.post("/lost", q).is(t, "after the session", 200, "/signin?to=%2F")
	olivia := s.browser(t)
	olivia.signIn("olivia")
	found, err := s.PKI.Authority.Find(t.Context(), ca.Query{Profile: ca.AgentSigning, Mailbox: "olivia@example.test"})
	must(t, err)
	olivia.get(pathOf(found[0])).is(t, "an officer's", 200, pathOf(found[0]), "tell an operator at once")
	olivia.post("/lost", url.Values{"why": {"lost"}, "c": {nameOf(found[0])}}).is(t, "an officer's", 404, "/lost")
}

// What touched somebody's keys, page by page, and nothing of anybody else's.
func TestHistory(t *testing.T) {
	s := setup(t)
	s.enrolledWith(t, "bob", "")
	b := s.browser(t)
	b.signIn("alice")
	b.get("/history").is(t, "before", 200, "/history", "Nothing has happened yet")
	for range 20 {
		s.enrolledWith(t, "alice", "")
		s.Clock.Advance(time.Second)
	}
	rita := s.Actor(t, "rita")
	endorsed, _ := s.Submission(t, s.Actor(t, "alice"), housetest.Endorsed)
	request, err := s.Enroll.Submit(t.Context(), s.Actor(t, "alice"), endorsed)
	must(t, err)
	_, err = s.Enroll.Reject(t.Context(), rita, request.ID, `Not you: <script>alert(1)</script>`)
	must(t, err)
	first := b.get("/history")
	first.is(t, "the first page", 200, "/history", "A registrar refused your request", "Rita Registrar", "&lt;script&gt;", "You asked for certificates", "safe keeping", "Your signing certificate was issued")
	if strings.Contains(first.body, "<script>alert") || strings.Contains(first.body, "bob@") {
		t.Error("the page has what it should not")
	}
	// 20 times two certificates and a key, and the two of the request.
	seen, path := strings.Count(first.body, "<li class"), "/history"
	for body := first.body; ; {
		_, rest, more := strings.Cut(body, `rel="next"`)
		before, _, _ := strings.Cut(body, `" rel="next"`)
		if !more || rest == "" {
			break
		}
		path = strings.ReplaceAll(before[strings.LastIndex(before, `"`)+1:], "&amp;", "&")
		next := b.get(path)
		if next.status != 200 {
			t.Fatalf("%s: status %d", path, next.status)
		}
		body = next.body
		seen += strings.Count(body, "<li class")
	}
	if seen != 62 {
		t.Errorf("%d entries on all pages, want 62", seen)
	}
	rows, err := csv.NewReader(strings.NewReader(b.get("/history?format=csv").body)).ReadAll()
	if err != nil || len(rows) != 63 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	for i := 2; i < len(rows); i++ {
		if rows[i][0] > rows[i-1][0] {
			t.Errorf("%s comes after %s", rows[i][0], rows[i-1][0])
		}
	}
	for _, after := range []string{"x", "~", "5~x", "-1~", "99999999999999999999~1.2.3", "~1.9.x", "0~"} {
		path := "/history?after=" + url.QueryEscape(after)
		b.get(path).is(t, after, 200, path)
	}
	b.get("/").is(t, "home", 200, "/", "What happened lately", "/history")
}

// scripts are names as people have them, and as nobody should: each must be shown, and change nothing around it.
var scripts = map[string]string{
	"Arabic": "ليلى حدّاد", "Hebrew": "דנה לוי", "Chinese": "王小明", "Japanese": "山田 花子", "Devanagari": "आशा शर्मा", "Thai": "สมหญิง ใจดี", "emoji": "Zoë 👩🏽‍💻 Ångström",
	"combining": "Ze\u0301lie\u0323 O\u0308zgu\u0308r", "override": "Eve \u202egnirtS\u202c \u2067x", "markup": `<script>alert(1)</script>"><img src=x onerror=alert(1)>`,
}

// A person's name is shown on every page whatever its script, apart from what stands around it.
func TestNamesInEveryScript(t *testing.T) {
	s := setup(t)
	s.enrolledWith(t, "alice", "")
	b := s.browser(t)
	b.signIn("alice")
	for script, name := range scripts {
		s.Slapd.Modify(t, fmt.Sprintf("dn: %s\nchangetype: modify\nreplace: cn\ncn:: %s\n", slapdtest.PersonDN("alice"), base64.StdEncoding.EncodeToString([]byte(name))))
		s.Clock.Advance(time.Minute)
		for _, path := range []string{"/", "/certificates", "/history", "/lost", "/lost?why=lost", "/another-device", "/sessions", "/enrol"} {
			got := b.get(path)
			shown := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;").Replace(name)
			got.is(t, script, 200, path, "<bdi>"+shown+"</bdi>")
			if outside := strings.ReplaceAll(got.body, "<bdi>"+shown+"</bdi>", ""); strings.Contains(outside, "\u202e") || strings.Contains(outside, "<img src=x") {
				t.Errorf("%s at %s: the name is outside of its place", script, path)
			}
		}
		s.Clock.Advance(-time.Minute)
	}
	// And in certificates, as far as the authority certifies them.
	for _, script := range []string{"Arabic", "Chinese", "emoji", "combining"} {
		s.Slapd.Modify(t, fmt.Sprintf("dn: %s\nchangetype: modify\nreplace: cn\ncn:: %s\n", slapdtest.PersonDN("carol"), base64.StdEncoding.EncodeToString([]byte(scripts[script]))))
		c := s.enrolledWith(t, "carol", "").Certificates[0]
		other := s.browser(t)
		other.signIn("carol")
		other.get(pathOf(c)).is(t, script, 200, pathOf(c), `<span class="value"><bdi>`+scripts[script]+"</bdi></span>")
	}
}

// What ends soon is to be renewed; what has ended too, and then nothing is said to be lost.
func TestRenewal(t *testing.T) {
	s := setup(t)
	c := s.enrolledWith(t, "alice", "").Certificates[0]
	b := s.browser(t)
	at := func(when time.Time) answer {
		s.Clock.Advance(when.Sub(s.Clock.Now()))
		b.signIn("alice")
		return b.get("/")
	}
	if got := at(s.Clock.Now()); strings.Contains(got.body, "Renew now") {
		t.Error("new ones are to be renewed")
	}
	lasts := c.NotAfter.Sub(c.NotBefore)
	got := at(c.NotBefore.Add(lasts*3/4 + time.Hour))
	got.is(t, "in the last quarter", 200, "/", "can be renewed already", "Valid", "Renew now")
	got = at(c.NotAfter.Add(-20 * 24 * time.Hour))
	got.is(t, "in the last month", 200, "/", "Ends soon", "Renew your certificates", "stays valid until its end")
	b.get("/enrol").is(t, "the page that renews", 200, "/enrol", "can be renewed now")
	got = at(c.NotAfter.Add(time.Hour))
	got.is(t, "after the end", 200, "/", "Has ended", "Renew your certificates")
	b.get("/another-device").is(t, "nothing to download", 200, "/another-device", "You still have the file")
}

// The history tells of everybody who asked for one's keys, why, and what became of it; not of a case that its subjects are not to
// know of yet.
func TestHistoryTellsOfCases(t *testing.T) {
	s := setup(t)
	alice, certificate, keys := s.enrolled(t, "alice")
	s.Clock.Advance(time.Second)
	own := s.opened(t, alice, certificate, keys.Signing, newDevice(t), recovery.Query{Kind: record.CaseRestore}, "My laptop was left in a train.", 48*time.Hour)
	s.answered(t, "oscar", 2, own, record.Approve)
	rita, hers, ritas := s.enrolled(t, "rita")
	s.Clock.Advance(time.Second)
	other := s.opened(t, rita, hers, ritas.Signing, s.Recipient.Certificate, recovery.Query{Kind: record.CaseBusiness, Mailboxes: []string{"alice@example.test"}},
		`Her customers wait <script>alert(1)</script>`, 20*time.Hour)
	b := s.browser(t)
	b.signIn("alice")
	got := b.get("/history")
	got.is(t, "alice", 200, "/history", "Somebody asked for archived keys of yours (1)", "Rita Registrar", "Her customers wait &lt;script&gt;", "You asked for archived keys of yours back (1)",
		"My laptop was left in a train.", "Oscar", "agreed.", "The officers are asked.")
	if strings.Contains(got.body, "<script>alert") {
		t.Error("the reason is not text")
	}
	s.Database.Exec(t, `update archive.recovery_case set kind = 'legal', consent = 'x', silent_until = $2 where id = $1`, other.ID, s.Clock.Now().Add(time.Hour))
	for _, path := range []string{"/history", "/", "/history?format=csv", "/history?format=json"} {
		if got := b.get(path); got.status != 200 || strings.Contains(got.body, "customers wait") || strings.Contains(got.body, "Rita") {
			t.Errorf("%s tells of a silent case: %d %s", path, got.status, got.body)
		}
	}
	b.header.Set("Accept-Language", "de")
	b.get("/history").is(t, "in German", 200, "/history", "Sie haben archivierte Schlüssel zurückverlangt (1)", "hat zugestimmt.")
}
