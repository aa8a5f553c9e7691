package portal_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/imaptest"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/mailtest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/slapdtest"
	"github.com/sealpost/sealpost/testmail"
	"github.com/sealpost/sealpost/web"
)

// post is a site with a mail server, a test mailbox, and people's mail programs.
type post struct {
	*site
	desk *testmail.Desk
	smtp *mailtest.Server
	imap *imaptest.Server
}

func withTestMail(t *testing.T) *post {
	t.Helper()
	out := &post{}
	out.site = setup(t, func(s *site, c *web.Config) {
		out.smtp, out.imap = mailtest.New(t, mail.StartTLS), imaptest.New(t)
		sender, err := mail.New(out.smtp.Config())
		must(t, err)
		plain := func(b []byte) ([]byte, error) { return bytes.Clone(b), nil }
		out.desk, err = testmail.New(testmail.Config{DB: s.DB, Jobs: s.PKI.Jobs, Authority: s.PKI.Authority, Directory: s.Directory, Mail: sender, Address: "mail-test@example.test",
			Mailbox: testmail.Mailbox{Host: "127.0.0.1", Port: out.imap.Port, Trust: out.imap.Trust, User: "mail-test", Password: imaptest.Password},
			SealKey: plain, UnsealKey: plain, Now: s.Clock.Now})
		must(t, err)
		must(t, out.desk.EnsureCertificates(t.Context()))
		c.TestMail = out.desk
	})
	out.desk.Register(out.PKI.Jobs)
	must(t, out.PKI.Jobs.Start(context.WithoutCancel(t.Context())))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		must(t, out.PKI.Jobs.Stop(ctx))
	})
	return out
}

// writer is somebody's mail program: openssl, and the files it needs.
type writer struct{ dir string }

func (p *post) writer(t *testing.T, login string) writer {
	t.Helper()
	by := p.Actor(t, login)
	submission, keys := p.Submission(t, by, housetest.Pair)
	request, err := p.Enroll.Submit(t.Context(), by, submission)
	must(t, err)
	w := writer{t.TempDir()}
	found, err := p.PKI.Find(t.Context(), ca.Query{Request: &request.ID})
	must(t, err)
	for _, c := range found {
		name, key := "signing", keys.Signing
		if c.Profile == ca.SMIMEEncryption {
			name, key = "encryption", keys.Encryption
		}
		pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
		must(t, err)
		w.write(t, name+".key", pemKey(pkcs8))
		w.write(t, name+".pem", pkitest.PEM(c.DER))
	}
	w.write(t, "beside.pem", slices.Concat(pkitest.PEM(p.PKI.Issuing.Raw), w.read(t, "encryption.pem")))
	_, encryption, err := p.desk.Certificates(t.Context())
	must(t, err)
	w.write(t, "theirs.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: encryption.Raw}))
	return w
}

func (w writer) write(t *testing.T, name string, content []byte) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(w.dir, name), content, 0o600))
}

func (w writer) read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, name))
	must(t, err)
	return b
}

func (w writer) openssl(t *testing.T, in []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "openssl", args...)
	cmd.Dir, cmd.Stdin = w.dir, bytes.NewReader(in)
	out, err := cmd.Output()
	if err != nil {
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			t.Fatalf("openssl %s: %s", strings.Join(args, " "), failed.Stderr)
		}
		t.Fatal(err)
	}
	return out
}

// opened is what a test mail says inside.
func (w writer) opened(t *testing.T, m mailtest.Mail) string {
	t.Helper()
	inner := w.openssl(t, []byte(m.Raw), "cms", "-decrypt", "-recip", "encryption.pem", "-inkey", "encryption.key")
	return string(inner)
}

// answer makes the answer to a test mail.
func (w writer) answer(t *testing.T, m mailtest.Mail, sign, encrypt bool, headers ...string) []byte {
	t.Helper()
	out := []byte("Content-Type: text/plain; charset=utf-8\r\n\r\nIt works.\r\n")
	if code := regexp.MustCompile(`answer: ([a-z2-7]{10})`).FindStringSubmatch(w.opened(t, m)); code != nil {
		out = append(out, "> "+code[1]+"\r\n"...)
	}
	if sign {
		out = w.openssl(t, out, "cms", "-sign", "-signer", "signing.pem", "-inkey", "signing.key", "-certfile", "beside.pem")
	}
	if encrypt {
		out = w.openssl(t, out, "cms", "-encrypt", "-aes-256-cbc", "theirs.pem")
	}
	id := regexp.MustCompile(`(?mi)^Message-ID: (.*?)\r?$`).FindStringSubmatch(m.Raw)[1]
	headers = append(headers, "From: alice@example.test", "To: mail-test@example.test", "Subject: Re", "In-Reply-To: "+id)
	return append([]byte(strings.Join(headers, "\r\n")+"\r\n"), bytes.ReplaceAll(bytes.ReplaceAll(out, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))...)
}

func TestTestMailPages(t *testing.T) {
	p := withTestMail(t)
	alice := p.writer(t, "alice")
	b := p.browser(t)
	b.get("/test").is(t, "a stranger", 200, "/signin?to=%2Ftest")
	carol := p.browser(t)
	carol.signIn("carol")
	carol.get("/test").is(t, "without certificates", 200, "/test", "First get your certificates", `href="/enrol"`)
	carol.post("/test", nil).is(t, "without certificates, all the same", 422, "/test", "Get your certificates first.")
	b.signIn("alice")
	b.get("/test").is(t, "alice", 200, "/test", "Send me a test mail", "Do not write anything secret")
	b.post("/test", nil).is(t, "sent", 200, "/test", "The test mail is on its way to you.", "Look again", "alice@example.test", "mail-test@example.test")
	m := p.smtp.Wait(t, 1)[0]
	if inner := alice.opened(t, m); !strings.Contains(inner, "this is the test mail that you asked for") {
		t.Errorf("the mail says %s", inner)
	}
	before := b.get("/test/state").body
	// Somebody answers with scripts in what they may write.
	p.imap.Put(t, "mail-test", alice.answer(t, m, false, false, `X-Mailer: <script>alert("x")</script>"><img src=x onerror=alert(1)>`))
	p.waitFor(t, b, before)
	got := b.get("/test")
	got.is(t, "an answer without anything", 200, "/test", "Something is not right yet", "Your answer was not signed", "Your answer was not encrypted", "You could open our mail", "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;")
	if strings.Contains(got.body, "<script>alert") || strings.Contains(got.body, "<img src=x") {
		t.Error("what an answer says is markup")
	}
	before = b.get("/test/state").body
	p.imap.Put(t, "mail-test", alice.answer(t, m, true, true))
	p.waitFor(t, b, before)
	b.get("/test").is(t, "a good answer", 200, "/test", "Everything works", "Your answer is encrypted", "with AES-256", "It is signed with your own certificate")
	b.header.Set("Accept-Language", "de")
	b.get("/test").is(t, "in German", 200, "/test", "Alles klappt", "Ihre Antwort ist verschlüsselt")
	b.post("/test", nil).is(t, "another one", 200, "/test", "Frühere Tests")
	if inner := alice.opened(t, p.smtp.Wait(t, 2)[1]); !strings.Contains(inner, "das ist die Test-Mail") {
		t.Errorf("the mail says %s", inner)
	}
	for range 4 {
		b.post("/test", nil)
	}
	b.post("/test", nil).is(t, "too many", 422, "/test", "warten Sie eine Stunde")
	if other := carol.get("/test"); strings.Contains(other.body, "Earlier tests") {
		t.Error("carol sees alice's tests")
	}
	b.post("/test", url.Values{"x": {strings.Repeat("y", 1<<17)}}).is(t, "a huge form", 400, "/test")
}

// waitFor waits until the page would say something else than before.
func (p *post) waitFor(t *testing.T, b *browser, before string) {
	t.Helper()
	for begin := time.Now(); b.get("/test/state").body == before; time.Sleep(100 * time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatal("nothing happens")
		}
	}
}

// says waits until the page says something.
func (p *post) says(t *testing.T, b *browser, words string) {
	t.Helper()
	for begin := time.Now(); !strings.Contains(b.get("/test").body, words); time.Sleep(200 * time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatalf("the page never says %q", words)
		}
	}
}

func TestNoTestMail(t *testing.T) {
	s := setup(t)
	b := s.browser(t)
	b.signIn("alice")
	b.get("/test").is(t, "there is none", 404, "/test", "There is no page at this address")
	if home := b.get("/"); strings.Contains(home.body, `href="/test"`) {
		t.Error("the way there is offered")
	}
}

// The mail server and the mailbox are away, and the page says so.
func TestTestMailIsHeldUp(t *testing.T) {
	p := withTestMail(t)
	p.writer(t, "alice")
	p.smtp.Full(t, true)
	b := p.browser(t)
	b.signIn("alice")
	b.post("/test", nil)
	p.says(t, b, "It is tried again by itself")
	b.get("/test").is(t, "the mail server takes nothing", 200, "/test", "The mail server says:", "452 4.3.1 No room")
	p.imap.Stop()
	p.smtp.Full(t, false)
	p.says(t, b, "Answers cannot be read at the moment")
	p.imap.Start(t)
}

// Every finding that the room can make has its words in each language.
func TestEveryFindingHasWords(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("../../testmail/judge.go")
	must(t, err)
	more, err := os.ReadFile("../../testmail/read.go")
	must(t, err)
	texts, err := os.ReadFile("texts_testmail.go")
	must(t, err)
	found := regexp.MustCompile(`v\.add\("([a-z0-9-]+)", (Good|Bad|Warn|Note)`).FindAllStringSubmatch(string(source)+string(more), -1)
	if len(found) < 30 {
		t.Errorf("%d findings", len(found))
	}
	for _, f := range found {
		if !strings.Contains(string(texts), `"testmail.found.`+f[1]+`"`) {
			t.Errorf("%s has no words", f[1])
		}
		if f[2] != "Good" && f[2] != "Note" && !strings.Contains(string(texts), `"testmail.do.`+f[1]+`"`) {
			t.Errorf("nobody is told what to do about %s", f[1])
		}
	}
}

// The whole journey in the browser: the page sends the mail, waits, and shows by itself what was found.
func TestTestMailInTheBrowser(t *testing.T) {
	p := withTestMail(t)
	alice := p.writer(t, "alice")
	ctx := p.chromium(t)
	var text string
	must(t, chromedp.Run(ctx, chromedp.Navigate(p.server.URL+"/test"), chromedp.WaitVisible("#login"),
		chromedp.SendKeys("#login", "alice"), chromedp.SendKeys("#password", slapdtest.Password("alice")+"\r"),
		chromedp.WaitVisible("form[action='/test'] button"), pictures(t, "testmail-begin"), chromedp.Click("form[action='/test'] button"), chromedp.WaitVisible(".trial")))
	m := p.smtp.Wait(t, 1)[0]
	comesTo(ctx, t, "Waiting for your answer")
	must(t, chromedp.Run(ctx, pictures(t, "testmail-waiting")))
	p.imap.Put(t, "mail-test", alice.answer(t, m, true, false, "User-Agent: Testing Mail 1.0"))
	comesTo(ctx, t, "Something is not right yet")
	must(t, chromedp.Run(ctx, chromedp.Text(".found li:first-child", &text), pictures(t, "testmail-found")))
	if !strings.Contains(text, "Your answer was not encrypted") {
		t.Errorf("%q", text)
	}
	p.imap.Put(t, "mail-test", alice.answer(t, m, true, true, "User-Agent: Testing Mail 1.0"))
	comesTo(ctx, t, "Everything works")
	must(t, chromedp.Run(ctx, pictures(t, "testmail-good")))
}

// comesTo waits until the page says something by itself. It is loaded anew in between, which interrupts whoever looks.
func comesTo(ctx context.Context, t *testing.T, words string) {
	t.Helper()
	var heading string
	for begin := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		if err := chromedp.Run(ctx, chromedp.Evaluate(`document.querySelector("#now")?.textContent ?? ""`, &heading)); err == nil && strings.Contains(heading, words) {
			break
		}
		if time.Since(begin) > time.Minute {
			t.Fatalf("the page says %q, and never %q", heading, words)
		}
	}
	must(t, chromedp.Run(ctx, chromedp.WaitVisible(".foot")))
}
