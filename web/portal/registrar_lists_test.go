package portal_test

import (
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/slapdtest"
	"github.com/sealpost/sealpost/web"
)

// upload sends a form with a file.
func (b *browser) upload(path string, form url.Values, file string) answer {
	b.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for name, values := range form {
		must(b.t, w.WriteField(name, values[0]))
	}
	part, err := w.CreateFormFile("file", "people.csv")
	must(b.t, err)
	_, err = part.Write([]byte(file))
	must(b.t, err)
	must(b.t, w.Close())
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.s.server.URL+path, &body)
	must(b.t, err)
	req.Header.Set("Content-Type", w.FormDataContentType())
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	return b.send(req)
}

var (
	wantedHidden = regexp.MustCompile(`(?s)name="list" value="([^"]*)"`)
	dataFile     = regexp.MustCompile(`href="data:([a-z/]+);base64,([A-Za-z0-9+/=]+)" download="([^"]+)"`)
)

// taken is the files that a page offers, by their names.
func taken(t *testing.T, body string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, m := range dataFile.FindAllStringSubmatch(body, -1) {
		content, err := base64.StdEncoding.DecodeString(m[2])
		must(t, err)
		out[m[3]] = string(content)
	}
	return out
}

const (
	previewPath = "/registrar/tokens/preview"
	makePath    = "/registrar/tokens/make"
)

// A registrar pastes a list, sees what is wrong in which line before anything is made, makes the tokens of the others once, takes them along, and
// withdraws what nobody has used.
func TestRegistrarMakesTokensFromAList(t *testing.T) {
	s := setup(t, func(_ *site, c *web.Config) { c.Standing.Mails = true })
	alice, bob := s.Actor(t, "alice"), s.Actor(t, "bob")
	rita := s.as(t, "rita")
	rita.get("/registrar/tokens/new").is(t, "the form", 200, "/registrar/tokens/new", "Tokens for many people", `type="file"`, "The mail names you and says until when, not the token.")
	evil := `"><script>alert(1)</script>`
	wish := url.Values{"form": {uuid.NewString()}, "days": {"7"}, "tell": {"1"},
		"list": {"alice@example.test\n\nnobody@example.test\r\nALICE@example.test,\n" + evil + "\nrita@example.test\ndave@example.test\n Bob@example.test ;\n=cmd|'/c calc'!A1"}}
	read := rita.post(previewPath, wish)
	read.is(t, "read", 200, previewPath, "No token for these lines: 6", "People who would get one: 2", "Alice Anders", "Bob Brown", "&lt;script&gt;", "These people are told by mail.",
		"<td>3</td><td><bdi>nobody@example.test</bdi></td><td>The directory knows nobody of this address.</td>", "<td>4</td><td><bdi>ALICE@example.test</bdi></td><td>This person is in the list before",
		"<td>6</td><td><bdi>rita@example.test</bdi></td><td>This is you", "<td>7</td><td><bdi>dave@example.test</bdi></td><td>This person’s account is locked")
	if strings.Contains(read.body, "<script>alert") {
		t.Error("a line is markup")
	}
	if n := s.Database.Count(t, `select count(*) from enroll.token`); n != 0 {
		t.Fatalf("reading made %d tokens", n)
	}
	make := url.Values{"form": wish["form"], "days": {"7"}, "tell": {"1"}, "list": {wantedHidden.FindStringSubmatch(read.body)[1]}}
	if make.Get("list") != "alice@example.test\nBob@example.test" {
		t.Errorf("wanted: %q", make.Get("list"))
	}
	s.Clock.Advance(11 * time.Minute)
	rita.post(makePath, make).is(t, "an old proof", 403, makePath, "Show that it is you", "Bob@example.test")
	if n := s.Database.Count(t, `select count(*) from enroll.token`); n != 0 {
		t.Fatalf("%d tokens without a proof", n)
	}
	make.Set("prove-password", slapdtest.Password("rita"))
	made := rita.post(makePath, make)
	made.is(t, "made", 200, makePath, "This is shown only now", "The mail does not hold it", "sealpost-agent install --all-users --server https://SERVER:PORT")
	if made.header.Get("Cache-Control") != "no-store" {
		t.Errorf("it is kept: %v", made.header)
	}
	files := taken(t, made.body)
	rows, err := csv.NewReader(strings.NewReader(files["tokens-1.csv"])).ReadAll()
	must(t, err)
	if len(rows) != 3 || strings.Join(rows[0], " ") != "mailbox token number ends" || rows[1][0] != "alice@example.test" || rows[2][0] != "Bob@example.test" {
		t.Fatalf("%q", rows)
	}
	var objects []map[string]string
	must(t, json.Unmarshal([]byte(files["tokens-1.json"]), &objects))
	if len(objects) != 2 || objects[0]["token"] != rows[1][1] {
		t.Errorf("%v", objects)
	}
	for i, who := range []uuid.UUID{alice.Person, bob.Person} {
		if by, err := s.Enroll.TokenActor(t.Context(), rows[i+1][1]); err != nil || by.Person != who || !strings.Contains(made.body, rows[i+1][1]) {
			t.Errorf("row %d: %+v %v", i+1, by, err)
		}
	}
	if n := s.Database.Count(t, `select count(*) from river.river_job where kind = 'notice.token' and args->>'about' = 'made'`); n != 2 {
		t.Errorf("%d are told", n)
	}
	again := rita.post(makePath, make)
	again.is(t, "the page loaded again", 409, makePath, "made a token for this person before", `href="/registrar/tokens/1"`)
	by, err := s.Enroll.TokenActor(t.Context(), rows[1][1])
	must(t, err)
	submission, _ := s.Submission(t, by, housetest.Pair)
	submission.Token = rows[1][1]
	_, err = s.Enroll.Submit(t.Context(), by, submission)
	must(t, err)
	single, err := s.Enroll.MintTokenFor(t.Context(), s.Actor(t, "rita"), enroll.TokenOrder{Person: alice.Person, Life: time.Hour})
	must(t, err)
	one := "/registrar/tokens/" + strconv.FormatInt(single.Number, 10)
	numbers := func(query string) (out string) {
		for _, m := range regexp.MustCompile(`<td><a href="/registrar/tokens/(\d+)"`).FindAllStringSubmatch(rita.get("/registrar/tokens"+query).body, -1) {
			out += m[1] + " "
		}
		return strings.TrimSpace(out)
	}
	last := strconv.FormatInt(single.Number, 10)
	for query, want := range map[string]string{"": last + " 2", "?state=used": "1", "?state=any": last + " 2 1", "?state=withdrawn": "", "?state=any&q=bob": "2", "?q=2": "2", "?state=any&q=alice%40example.test": last + " 1", "?state=x": last + " 2"} {
		if got := numbers(query); got != want {
			t.Errorf("%s: %q, not %q", query, got, want)
		}
	}
	if page := rita.get("/registrar/tokens?q=nobody"); page.status != 404 || !strings.Contains(page.body, `role="alert"`) {
		t.Errorf("nobody of that name: status %d", page.status)
	}
	rita.get("/registrar/tokens/1").is(t, "a used one", 200, "/registrar/tokens/1", "Used", "/registrar/requests/", "List 1")
	if page := rita.get("/registrar/tokens/1"); strings.Contains(page.body, "/withdraw") {
		t.Error("what was used can be withdrawn")
	}
	list := "/registrar/tokens/lists/1"
	rita.get(list).is(t, "the list", 200, list, "Rita Registrar", "Alice Anders", "Bob Brown", "Withdraw them (1)")
	if exported := rita.get(list + "?format=csv"); exported.status != 200 || strings.Count(exported.body, "\r\n") != 3 || strings.Contains(exported.body, rows[2][1]) {
		t.Errorf("exported: %s", exported.body)
	}
	if page := rita.get(list + "?state=open"); strings.Contains(page.body, "Alice Anders") || !strings.Contains(page.body, "Bob Brown") {
		t.Error("what is not open is among what is")
	}
	rita.post(list+"/withdraw", nil).is(t, "withdrawn", 200, list, "Nobody can use the tokens of this list any more.")
	rita.post(list+"/withdraw", nil).is(t, "twice", 200, list, "There was nothing to change.")
	if _, err := s.Enroll.TokenActor(t.Context(), rows[2][1]); err == nil {
		t.Error("it can be used still")
	}
	rita.get("/registrar/tokens/2").is(t, "a withdrawn one", 200, "/registrar/tokens/2", "Withdrawn", "Rita Registrar")
	rita.get(one).is(t, "another", 200, one, "can be used", "/withdraw")
	for _, path := range []string{"/registrar/tokens", "/registrar/tokens?state=any", list, "/registrar/tokens/1", "/registrar/tokens/2"} {
		if body := rita.get(path).body; strings.Contains(body, rows[1][1]) || strings.Contains(body, rows[2][1]) {
			t.Errorf("%s shows a token", path)
		}
	}
	if n := s.recorded(t, "enrolment.token-withdrawn", bob.Person); n != 1 {
		t.Errorf("%d events", n)
	}
}

// A list comes in many forms, and in some that are none. Nothing is made of those.
func TestTokenListsThatAreRead(t *testing.T) {
	s := setup(t)
	rita := s.as(t, "rita")
	if page := rita.get("/registrar/tokens/new"); strings.Contains(page.body, `name="tell"`) {
		t.Error("people can be told without a mail server")
	}
	form := func(list string) url.Values {
		return url.Values{"form": {uuid.NewString()}, "days": {"1"}, "list": {list}}
	}
	for what, list := range map[string]string{
		"a table": "name,mailbox\r\nAlice,alice@example.test\r\n\"Brown, Bob\",bob@example.test\r\n", "with semicolons": "E-Mail;Name\nalice@example.test;A\nbob@example.test;B",
		"with tabs": "\ufeffid\tmail\n1\talice@example.test\n2\tbob@example.test\n", "lines of an old Mac": "alice@example.test\rbob@example.test",
	} {
		got := rita.upload(previewPath, form(""), list)
		if m := wantedHidden.FindStringSubmatch(got.body); got.status != 200 || m == nil || m[1] != "alice@example.test\nbob@example.test" {
			t.Errorf("%s: status %d, %q", what, got.status, m)
		}
	}
	rita.upload(previewPath, form(""), "name,mailbox\nA,\nBob,bob@example.test").is(t, "a row without an address", 200, previewPath, "There is no address in this line.", "<td>2</td>")
	rita.post(previewPath, form("nobody@example.test")).is(t, "nobody", 422, previewPath, "Nobody on this list would get a token.")
	var many strings.Builder
	for i := range 1001 {
		fmt.Fprintf(&many, "p%d@example.test\n", i)
	}
	for what, got := range map[string]answer{"nothing": rita.post(previewPath, form(" \n\n")), "too many": rita.post(previewPath, form(many.String())), "no text": rita.upload(previewPath, form(""), "\xff\xfe\x00a"),
		"half a table": rita.upload(previewPath, form(""), "mailbox,x\n\"alice@example.test"), "both": rita.upload(previewPath, form("alice@example.test"), "bob@example.test"), "a table of nobody": rita.upload(previewPath, form(""), "mailbox\n")} {
		got.is(t, what, 422, previewPath, "The list cannot be read")
	}
	if got := rita.upload(previewPath, form(""), strings.Repeat("x", 512<<10)); got.status != 400 {
		t.Errorf("half a megabyte: status %d", got.status)
	}
	for what, f := range map[string]url.Values{"no form": {"days": {"1"}, "list": {"bob@example.test"}}, "no days": {"form": {uuid.NewString()}, "days": {"x"}, "list": {"bob@example.test"}}} {
		for _, path := range []string{previewPath, makePath} {
			rita.post(path, f).is(t, what, 400, path, "The form could not be read")
		}
	}
	year := form("bob@example.test")
	year.Set("days", "365")
	for _, path := range []string{previewPath, makePath} {
		rita.post(path, year).is(t, "a year", 403, path, "up to 30 days")
	}
	if n := s.Database.Count(t, `select count(*) from enroll.token`); n != 0 {
		t.Errorf("%d tokens", n)
	}
	// Who may: nobody else, and no other site.
	batch, err := s.Enroll.MintTokens(t.Context(), s.Actor(t, "rita"), enroll.TokenBatch{Mailboxes: []string{"alice@example.test"}, Life: time.Hour})
	must(t, err)
	list := "/registrar/tokens/lists/" + strconv.FormatInt(batch[0].Number, 10)
	for _, login := range []string{"bob", "auditor", "operator"} {
		other := s.as(t, login)
		for _, path := range []string{"/registrar/tokens/new", list} {
			other.get(path).is(t, login, 403, path, "This page is not for you")
		}
		for _, path := range []string{previewPath, makePath, list + "/withdraw"} {
			other.post(path, form("alice@example.test")).is(t, login, 403, path, "This page is not for you")
		}
	}
	rita.header.Set("Sec-Fetch-Site", "cross-site")
	for _, path := range []string{previewPath, makePath, list + "/withdraw"} {
		if got := rita.post(path, form("alice@example.test")); got.status != 403 {
			t.Errorf("%s by another site: status %d", path, got.status)
		}
	}
	rita.header.Del("Sec-Fetch-Site")
	for _, path := range []string{"/registrar/tokens/lists/4711", "/registrar/tokens/lists/x", "/registrar/tokens/lists/0"} {
		if got := rita.get(path); got.status != 404 {
			t.Errorf("%s: status %d", path, got.status)
		}
	}
	if _, err := s.Enroll.TokenActor(t.Context(), batch[0].Token.Secret); err != nil {
		t.Errorf("somebody withdrew it: %v", err)
	}
	german := s.browser(t)
	german.header.Set("Accept-Language", "de")
	german.signIn("rita")
	german.post(previewPath, form("nobody@example.test\nalice@example.test")).is(t, "in German", 200, previewPath, "Das Verzeichnis kennt niemanden mit dieser Adresse.", "Einmalcodes ausstellen (1)")
	// The largest list there is, with a proof asked for in between.
	s.Clock.Advance(11 * time.Minute)
	var most strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&most, "somebody.with.a.long.name.%d@subdivision.department.example.test\n", i)
	}
	large := form(most.String())
	waits := rita.post(makePath, large)
	waits.is(t, "a large list", 403, makePath, "Show that it is you", "somebody.with.a.long.name.999@")
	large.Set("prove-password", slapdtest.Password("rita"))
	if got := rita.post(makePath, large); got.status != 409 || !strings.Contains(got.body, "No token for these lines: 1000") {
		t.Errorf("a large list, with the password: status %d", got.status)
	}
}

// The whole way in Chromium: a list with a mistake, the tokens, the file, one that was used, the list withdrawn.
func TestTokenListsInTheBrowser(t *testing.T) {
	s := setup(t, func(_ *site, c *web.Config) {
		c.Standing.Mails, c.Certificates, c.PortalURL = true, "https://ca.example.test:8443", "https://portal.example.test"
	})
	ctx := s.chromium(t)
	var text, command string
	at := func(path string) string { return s.server.URL + path }
	must(t, chromedp.Run(ctx, chromedp.Navigate(at("/registrar/tokens")), chromedp.WaitVisible("#login"), chromedp.SendKeys("#login", "rita"),
		chromedp.SendKeys("#password", slapdtest.Password("rita")+"\r"), chromedp.WaitVisible(`a[href="/registrar/tokens/new"]`), chromedp.Click(`a[href="/registrar/tokens/new"]`),
		chromedp.WaitVisible("#list"), pictures(t, "registrar-lists"), chromedp.SendKeys("#list", "alice@example.test\nbobb@example.test\ncarol@example.test"), chromedp.Click("input[name=tell]"),
		chromedp.Click("form.stack button"), chromedp.WaitVisible("#wrong"), chromedp.Text("#wrong tbody", &text), pictures(t, "registrar-lists-read")))
	if !strings.HasPrefix(strings.TrimSpace(text), "2") || !strings.Contains(text, "bobb@example.test") {
		t.Errorf("wrong: %q", text)
	}
	dir := t.TempDir()
	must(t, chromedp.Run(ctx, chromedp.Click("#make"), chromedp.WaitVisible("#csv"), chromedp.Text(".copy code", &command), pictures(t, "registrar-list-made"),
		cdpbrowser.SetDownloadBehavior(cdpbrowser.SetDownloadBehaviorBehaviorAllow).WithDownloadPath(dir), chromedp.Click("#csv")))
	var content []byte
	e2etest.Eventually(t, func() (err error) {
		if content, err = os.ReadFile(filepath.Join(dir, "tokens-1.csv")); err == nil && len(content) == 0 {
			err = fmt.Errorf("the file is empty yet")
		}
		return err
	})
	rows, err := csv.NewReader(bytes.NewReader(content)).ReadAll()
	must(t, err)
	if len(rows) != 3 || command != "sealpost-agent install --all-users --server https://ca.example.test:8443 --roots root.pem --token-file token.txt" {
		t.Fatalf("%q %q", rows, command)
	}
	by, err := s.Enroll.TokenActor(t.Context(), rows[1][1])
	must(t, err)
	submission, _ := s.Submission(t, by, housetest.Pair)
	submission.Token = rows[1][1]
	_, err = s.Enroll.Submit(t.Context(), by, submission)
	must(t, err)
	must(t, chromedp.Run(ctx, chromedp.Navigate(at("/registrar/tokens?state=any")), chromedp.WaitVisible("table"), pictures(t, "registrar-tokens-any"), chromedp.Click(`td a[href="/registrar/tokens/lists/1"]`),
		chromedp.WaitVisible("#withdraw"), pictures(t, "registrar-list"), chromedp.Click("#withdraw"), chromedp.WaitVisible(".notice.good[role=status]"), chromedp.Text(".facts", &text)))
	if _, err := s.Enroll.TokenActor(t.Context(), rows[2][1]); err == nil {
		t.Errorf("the other token works still: %s", text)
	}
	must(t, chromedp.Run(ctx, chromedp.Click(`button[value=de]`), chromedp.WaitVisible(`html[lang=de] .facts`), chromedp.Navigate(at("/registrar/tokens/new")), chromedp.WaitVisible("#list"), pictures(t, "registrar-lists-german")))
}
