package portal_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/fleet"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/slapdtest"
	"github.com/sealpost/sealpost/web"
)

// machines is a site whose server knows machines.
type machines struct {
	*site
	fleet *fleet.Fleet
}

func setupMachines(t *testing.T) *machines {
	t.Helper()
	m := &machines{}
	m.site = setup(t, func(s *site, c *web.Config) {
		var err error
		m.fleet, err = fleet.New(fleet.Config{DB: s.DB, Audit: s.Audit, Now: s.Clock.Now})
		must(t, err)
		c.Fleet = m.fleet
	})
	return m
}

// report has a machine of somebody's say how things stand: with a failure where there is a code.
func (m *machines) report(t *testing.T, login, name, code string) uuid.UUID {
	t.Helper()
	now, id := m.Clock.Now().UTC().Truncate(time.Second), uuid.New()
	renew, ended := now.AddDate(0, 9, 0), now.AddDate(0, 0, -2)
	r := api.MachineReport{At: now, Name: name, System: "linux", Architecture: "amd64", Version: "sealpost-agent/1.2.0", Schedule: "timer", RenewAt: &renew,
		Stores: []api.MachineStore{{Kind: "nss", Name: "default", Again: true, At: &now}, {Kind: "gpgsm", Code: code, At: &now}},
		Certificates: []api.MachineCertificate{{Issuer: "issuing", Serial: "4f1d0c2b", Use: "signing", Place: "tpm", NotAfter: now.AddDate(1, 0, 0), Current: true},
			{Issuer: "issuing", Serial: "4f1d0c2c", Use: "encryption", Place: "software", NotAfter: now.AddDate(1, 0, 0), Current: true},
			{Issuer: "issuing", Serial: "1a", Use: "encryption", Place: "software", NotAfter: now.AddDate(-1, 0, 0)}},
		OldKeys: api.MachineOldKeys{Here: 1, Wanted: true, Code: "case-waiting"}, SucceededAt: &now, Succeeded: "renew",
		Failures: []api.MachineFailure{{Code: "server-unreachable", Step: "renew", Since: ended, At: ended, Count: 4, EndedAt: &ended}}}
	if code != "" {
		r.Failures = append(r.Failures, api.MachineFailure{Code: code, Step: "fill", Detail: "A key store did not take the certificates.", Since: now.AddDate(0, 0, -1), At: now, Count: 2})
	}
	_, err := m.fleet.Report(t.Context(), m.Actor(t, login), id, r)
	must(t, err)
	return id
}

func TestFleetPages(t *testing.T) {
	s := setupMachines(t)
	b := s.browser(t)
	b.signIn("operator")
	b.get("/operator").is(t, "nobody", 200, "/operator", "No computer with the agent has been heard of.")
	b.get("/operator/fleet").is(t, "nobody", 200, "/operator/fleet", "No computer with the agent has been heard of yet")
	ids := []uuid.UUID{s.report(t, "alice", "laptop-7", ""), s.report(t, "alice", "desk-1", "key-store"), s.report(t, "bob", "desk-2", "key-store"), s.report(t, "bob", "desk-3", "key-store")}
	b.get("/operator").is(t, "many", 200, "/operator", "3 computers fail for one reason: key-store.")
	page := b.get("/operator/fleet")
	page.is(t, "all", 200, "/operator/fleet", "laptop-7", "desk-3", "Alice Anders", "something goes wrong", "all is well", "/operator/fleet?failure=key-store", "<progress", "sealpost-agent/1.2.0")
	for query, want := range map[string]string{"?state=failing": "desk-1 desk-2 desk-3", "?q=alice": "laptop-7 desk-1", "?q=robert.brown%40example.test": "desk-2 desk-3", "?failure=key-store": "desk-1 desk-2 desk-3",
		"?failure=x": "", "?state=silent": "", "?state=ending": "", "?system=linux": "laptop-7 desk-1 desk-2 desk-3", "?system=windows": "", "?version=sealpost-agent%2F1.2.0&q=alice": "laptop-7 desk-1",
		"?sort=heard": "laptop-7 desk-1 desk-2 desk-3", "?sort=-heard": "desk-3 desk-2 desk-1 laptop-7", "?after=x": "laptop-7 desk-1 desk-2 desk-3"} {
		page := b.get("/operator/fleet" + query)
		var found []string
		for _, part := range strings.Split(page.body, `<a href="/operator/fleet/`)[1:] {
			_, name, _ := strings.Cut(part, "<bdi>")
			name, _, _ = strings.Cut(name, "</bdi>")
			found = append(found, name)
		}
		if got := strings.Join(found, " "); page.status != 200 || got != want {
			t.Errorf("%s: status %d, %s, not %s", query, page.status, got, want)
		}
	}
	if page := b.get("/operator/fleet?q=nobody"); page.status == 200 || !strings.Contains(page.body, `role="alert"`) {
		t.Errorf("nobody of that name: status %d", page.status)
	}
	if csv := b.get("/operator/fleet?format=csv"); csv.status != 200 || strings.Count(csv.body, "\r\n") != 5 || !strings.Contains(csv.body, ids[0].String()) {
		t.Errorf("exported: %s", csv.body)
	}
	alice, bob := s.Actor(t, "alice").Person, s.Actor(t, "bob").Person
	at := "/operator/fleet/" + alice.String() + "/" + ids[1].String()
	b.get(at).is(t, "one", 200, at, "desk-1", "Alice Anders", "A key store did not take the certificates.", "key-store", "in the computer’s TPM", "/certificates/issuing/4f1d0c2b", "server-unreachable", "for old mail", "the officers have to agree", "not finished", "closed and started again")
	if page := b.get(at); strings.Contains(page.body, "/forget") {
		t.Error("an operator is offered to forget it")
	}
	for _, wrong := range []string{"/operator/fleet/" + bob.String() + "/" + ids[1].String(), "/operator/fleet/" + alice.String() + "/x", "/operator/fleet/x/" + ids[1].String()} {
		if got := b.get(wrong); got.status != 404 {
			t.Errorf("%s: status %d", wrong, got.status)
		}
	}
	s.sequenced(t)
	if found, err := s.Audit.Events(t.Context(), audit.Query{Kind: "portal.viewed", Limit: 100}); err != nil || len(found) < 3 {
		t.Errorf("who saw whose machines is not recorded: %d, %v", len(found), err)
	}
	for _, login := range []string{"bob", "auditor", "rita"} {
		other := s.browser(t)
		other.signIn(login)
		for _, page := range []string{"/operator/fleet", at} {
			other.get(page).is(t, login, 403, page, "This page is not for you")
		}
	}
	// A month of silence.
	s.Clock.Advance(31 * 24 * time.Hour)
	again := s.browser(t)
	again.header.Set("Accept-Language", "de")
	again.signIn("operator")
	again.get("/operator").is(t, "silent", 200, "/operator", "4 von 4 Computern haben sich seit 30 Tagen nicht gemeldet.")
	again.get("/operator/fleet?state=silent").is(t, "silent", 200, "/operator/fleet?state=silent", "laptop-7", "meldet sich nicht")
}

// Auditors see everybody's machines, registrars those of whom they help, and neither changes anything there. Nobody sees more than their role is for.
func TestFleetForOtherRoles(t *testing.T) {
	s := setupMachines(t)
	wrong, well := s.report(t, "alice", "desk-1", "key-store"), s.report(t, "alice", "laptop-7", "")
	bobs := s.report(t, "bob", "desk-2", "server-unreachable")
	alice, bob := s.Actor(t, "alice").Person, s.Actor(t, "bob").Person
	list, person := "/auditor/fleet", "/registrar/people/"+alice.String()
	one, theirs := list+"/"+alice.String()+"/"+wrong.String(), person+"/computers/"+wrong.String()

	auditor := s.as(t, "auditor")
	auditor.get("/auditor").is(t, "the tab", 200, "/auditor", `href="/auditor/fleet"`)
	auditor.get(list).is(t, "all", 200, list, "desk-1", "laptop-7", "desk-2", "/auditor/fleet?failure=key-store", one)
	auditor.get(list+"?q=bob").is(t, "one person's", 200, list+"?q=bob", "desk-2")
	page := auditor.get(one)
	page.is(t, "one", 200, one, "desk-1", "Alice Anders", "A mail program’s key store did not take the certificates.", `href="/auditor/fleet"`)
	rita := s.as(t, "rita")
	rita.get(person).is(t, "the person", 200, person, "Computers with the agent", "something goes wrong", theirs, "laptop-7")
	if got := rita.get(person); strings.Contains(got.body, "desk-2") {
		t.Error("another's computer is on a person's page")
	}
	helped := rita.get(theirs)
	helped.is(t, "their computer", 200, theirs, "desk-1", "Alice Anders", "A mail program’s key store did not take the certificates.", `href="`+person+`"`)
	for what, body := range map[string]string{"an auditor": page.body, "a registrar": helped.body} {
		if strings.Contains(body, "/forget") || strings.Contains(body, "/operator/") {
			t.Errorf("%s is offered what is not theirs", what)
		}
	}
	s.sequenced(t)
	for name, who := range map[string]uuid.UUID{"page:auditor-machine": alice, "page:registrar-machine": alice} {
		if n := s.Database.Count(t, `select count(*) from audit.event where kind = 'portal.viewed' and person = $1 and body like '%'||$2||'%'`, who, name); n == 0 {
			t.Errorf("%s: that it was looked at is not recorded", name)
		}
	}
	if n := s.Database.Count(t, `select count(*) from audit.event where kind = 'portal.viewed' and body like '%page:auditor-fleet%' and body like '%'||$1||'%'`, bob.String()); n == 0 {
		t.Error("whose machines the list showed is not recorded")
	}
	for login, pages := range map[string][]string{"auditor": {"/operator/fleet", person, theirs}, "rita": {"/operator/fleet", list, one}, "operator": {list, one, person, theirs}, "bob": {list, one, person, theirs}, "olivia": {list, theirs}} {
		other := s.as(t, login)
		for _, path := range pages {
			other.get(path).is(t, login, 403, path, "This page is not for you")
		}
	}
	for _, path := range []string{list + "/" + bob.String() + "/" + wrong.String(), list + "/x/" + wrong.String(), list + "/" + alice.String() + "/x"} {
		if got := auditor.get(path); got.status != 404 {
			t.Errorf("%s: status %d", path, got.status)
		}
	}
	for _, path := range []string{person + "/computers/" + bobs.String(), person + "/computers/x", "/registrar/people/x/computers/" + well.String()} {
		if got := rita.get(path); got.status != 404 {
			t.Errorf("%s: status %d", path, got.status)
		}
	}
	german := s.browser(t)
	german.header.Set("Accept-Language", "de")
	german.signIn("rita")
	german.get(theirs).is(t, "in German", 200, theirs, "hat die Zertifikate nicht angenommen", "Zurück zur Person")
}

// Everybody sees their own machines alone, and may forget them.
func TestOwnDevices(t *testing.T) {
	s := setupMachines(t)
	b := s.browser(t)
	b.signIn("alice")
	b.get("/devices").is(t, "none", 200, "/devices", "has not been heard of on any of your computers")
	s.withPair(t, "alice")
	b.get("/").is(t, "the first page", 200, "/", `href="/devices"`)
	evil := `"><script>alert(1)</script>`
	well, wrong, bobs := s.report(t, "alice", evil, ""), s.report(t, "alice", "=cmd|'/c calc'!A1", "key-store"), s.report(t, "bob", "desk-2", "")
	page := b.get("/devices")
	page.is(t, "two", 200, "/devices", "all is well", "something goes wrong", "&lt;script&gt;", "/devices/"+well.String())
	one := "/devices/" + wrong.String()
	for _, body := range []string{page.body, b.get("/devices/" + well.String()).body, b.get(one).body} {
		if strings.Contains(body, "<script>alert") || strings.Contains(body, "desk-2") {
			t.Error("something is shown that must not be")
		}
	}
	b.get(one).is(t, "one", 200, one, "A key store did not take the certificates.", one+"/forget", "Forget this computer", "/lost")
	// Who asked for older keys is told where the words for the officers are: on that computer. They are the fingerprint of a key that was made there, which the
	// server has with the case; it must not show them, or it could show others.
	asks := b.get(one)
	asks.is(t, "older keys", 200, one, "This computer has asked for your older keys", "sealpost-agent restore status", "neither here nor in any mail")
	b.get("/devices").is(t, "older keys, in the list", 200, "/devices", one+"#asks", "This computer has asked for your older keys")
	officer, operator := s.as(t, "rita").get("/registrar/people/"+s.Actor(t, "alice").Person.String()+"/computers/"+wrong.String()), s.as(t, "operator").get("/operator/fleet/"+s.Actor(t, "alice").Person.String()+"/"+wrong.String())
	for _, other := range []answer{officer, operator} {
		if other.status != 200 || strings.Contains(other.body, `id="asks"`) {
			t.Error("others are told to read words to officers")
		}
	}
	for _, path := range []string{"/devices/" + bobs.String(), "/devices/x", "/devices/" + uuid.NewString(), one + "/forget"} {
		if got := b.get(path); got.status != 404 {
			t.Errorf("%s: status %d", path, got.status)
		}
	}
	if got := b.post("/devices/"+bobs.String()+"/forget", url.Values{}); got.status != 404 {
		t.Errorf("another's machine forgotten: status %d", got.status)
	}
	b.header.Set("Sec-Fetch-Site", "cross-site")
	if got := b.post(one+"/forget", url.Values{}); got.status != 403 {
		t.Errorf("by another site: status %d", got.status)
	}
	b.header.Del("Sec-Fetch-Site")
	b.post(one+"/forget", url.Values{}).is(t, "forgotten", 200, "/devices", "The computer is forgotten.", "/devices/"+well.String())
	if got := b.post(one+"/forget", url.Values{}); got.status != 404 {
		t.Errorf("twice: status %d", got.status)
	}
	stranger := s.browser(t)
	if got := stranger.get("/devices"); !strings.HasPrefix(got.path, "/signin") {
		t.Errorf("a stranger is at %s", got.path)
	}
	german := s.browser(t)
	german.header.Set("Accept-Language", "de")
	german.signIn("bob")
	german.get("/devices/"+well.String()).is(t, "another's", 404, "/devices/"+well.String(), "Einen solchen Computer gibt es nicht.")
	german.get("/devices/"+bobs.String()).is(t, "in German", 200, "/devices/"+bobs.String(), "Es ist nichts zu tun", "Diesen Computer vergessen")
}

// Where nothing is kept of machines, nothing leads there.
func TestNoDevices(t *testing.T) {
	s := setup(t)
	c := s.as(t, "operator")
	for _, path := range []string{"/devices", "/operator/fleet", "/operator/fleet/" + uuid.NewString() + "/" + uuid.NewString()} {
		if got := c.get(path); got.status != 404 {
			t.Errorf("%s where nothing is kept: status %d", path, got.status)
		}
	}
	if page := c.get("/operator"); strings.Contains(page.body, `href="/operator/fleet"`) {
		t.Error("a tab leads nowhere")
	}
	if page := s.as(t, "auditor").get("/auditor"); page.status != 200 || strings.Contains(page.body, "/auditor/fleet") {
		t.Error("the auditors' tab leads nowhere")
	}
}

// An operator finds why many machines fail; whose machine it is looks at it, and forgets it.
func TestFleetInTheBrowser(t *testing.T) {
	s := setupMachines(t)
	s.withPair(t, "alice")
	for _, name := range []string{"laptop-7", "desk-1", "a-very-long-name-of-a-workstation-in-the-third-building.accounting.europe.example.test"} {
		s.report(t, "bob", name, "key-store")
	}
	s.report(t, "alice", "laptop-9", "")
	s.report(t, "alice", "desk-4", "server-unreachable")
	ctx := s.chromium(t)
	var urgent, where, rows, done string
	must(t, chromedp.Run(ctx, chromedp.Navigate(s.server.URL+"/operator"), chromedp.WaitVisible("#login"), chromedp.SendKeys("#login", "operator"),
		chromedp.SendKeys("#password", slapdtest.Password("operator")+"\r"), chromedp.WaitVisible("#urgent"), chromedp.Text("main", &urgent),
		chromedp.Click(".tabs a[href='/operator/fleet']"), chromedp.WaitVisible("#group-0"), pictures(t, "operator-fleet"),
		chromedp.Click("a[href='/operator/fleet?failure=key-store']"), chromedp.WaitVisible("a.button.calm[href='/operator/fleet']"), chromedp.Location(&where), chromedp.Text("main .scroll", &rows),
		pictures(t, "operator-fleet-filtered"), chromedp.Click("main .scroll tbody a"), chromedp.WaitVisible("#wrong"), pictures(t, "operator-machine")))
	if !strings.Contains(urgent, "3 computers fail for one reason: key-store.") || !strings.HasSuffix(where, "?failure=key-store") || !strings.Contains(rows, "laptop-7") || strings.Contains(rows, "laptop-9") {
		t.Errorf("%s: %s; %s", where, rows, urgent)
	}
	must(t, chromedp.Run(ctx, chromedp.Click("form[action='/signout'] button"), chromedp.WaitNotPresent("form[action='/signout']"), chromedp.Navigate(s.server.URL+"/devices"),
		chromedp.WaitVisible("#login"), chromedp.SendKeys("#login", "alice"), chromedp.SendKeys("#password", slapdtest.Password("alice")+"\r"),
		chromedp.WaitVisible(".plainlist"), pictures(t, "devices"), chromedp.Click(".plainlist a"), chromedp.WaitVisible("form.panel"), pictures(t, "device"),
		chromedp.ScrollIntoView("form.panel"), chromedp.Click("form.panel button"), chromedp.WaitVisible(".plainlist"), chromedp.Text("main", &done)))
	if strings.Contains(done, "desk-4") == strings.Contains(done, "laptop-9") {
		t.Errorf("one of two is forgotten: %s", done)
	}
	var helped string
	must(t, chromedp.Run(ctx, chromedp.Click("form[action='/signout'] button"), chromedp.WaitNotPresent("form[action='/signout']"), chromedp.Navigate(s.server.URL+"/registrar/people/"+s.Actor(t, "bob").Person.String()),
		chromedp.WaitVisible("#login"), chromedp.SendKeys("#login", "rita"), chromedp.SendKeys("#password", slapdtest.Password("rita")+"\r"), chromedp.WaitVisible("#computers"),
		pictures(t, "registrar-computers"), chromedp.Click(".plainlist a"), chromedp.WaitVisible("#wrong"), chromedp.Text("main", &helped), pictures(t, "registrar-machine")))
	if !strings.Contains(helped, "A mail program’s key store did not take the certificates.") || strings.Contains(helped, "Forget") {
		t.Errorf("a registrar sees %s", helped)
	}
}
