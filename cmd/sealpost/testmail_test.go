package main

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/imaptest"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/mailtest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// testMailsWith configures the test mailbox.
func (i *installation) testMailsWith(t testing.TB, s *imaptest.Server) {
	t.Helper()
	write(t, i.path("imap.password"), imaptest.Password+"\n")
	write(t, i.path("imap-ca.pem"), read(t, s.TrustFile))
	i.edit(t, map[string]any{"test_mail": map[string]any{"address": "mail-test@example.test",
		"imap": map[string]any{"host": "127.0.0.1", "port": s.Port, "trust_file": "imap-ca.pem", "user": "mail-test", "password_file": "imap.password"}}})
}

// A server with a test mailbox gives it certificates, keeps their keys sealed, sends a person the mail that they ask for on the
// portal, and reads what comes back.
func TestServerSendsTestMails(t *testing.T) {
	t.Parallel()
	i, smtp, imap := newInstallation(t), mailtest.New(t, mail.StartTLS), imaptest.New(t)
	i.mailsWith(t, smtp)
	i.testMailsWith(t, imap)
	i.run(t, "check --connect")
	write(t, i.path("imap.password"), "wrong")
	oneLine(t, "a wrong password", e2etest.Bad(t, i.command("check --connect"), "test_mail:", "does not let Sealpost in"))
	write(t, i.path("imap.password"), imaptest.Password)
	r := i.serve(t)
	r.enrol(t, "alice")

	jar, err := cookiejar.New(nil)
	must(t, err)
	browser := &http.Client{Jar: jar, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // the page is looked at, not the certificate
	post := func(path string, form url.Values) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+i.portal+path, strings.NewReader(form.Encode()))
		must(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
		resp, err := browser.Do(req)
		must(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		must(t, err)
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: status %d: %s", path, resp.StatusCode, body)
		}
		return string(body)
	}
	post("/signin", url.Values{"login": {"alice"}, "password": {slapdtest.Password("alice")}, "to": {"/test"}})
	post("/test", nil)
	m := smtp.Wait(t, 1)[0]
	if m.From != "mail-test@example.test" || m.To[0] != "alice@example.test" || !strings.Contains(m.Header("Content-Type"), "pkcs7-mime") {
		t.Errorf("%+v", m)
	}
	id, _, _ := strings.Cut(strings.SplitAfter(m.Raw, "Message-ID: ")[1], "\r\n")
	imap.Put(t, "mail-test", []byte("From: alice@example.test\r\nIn-Reply-To: "+id+"\r\n\r\nNot signed.\r\n"))
	e2etest.Eventually(t, func() error {
		if n := i.db.Count(t, `select count(*) from testmail.test where findings::text like '%not-signed%'`); n != 1 {
			return fmt.Errorf("%d tests have findings", n)
		}
		return nil
	})
	for _, key := range []string{"signing_key", "encryption_key"} { // PKCS#8 begins with a sequence and the version 0
		if n := i.db.Count(t, `select count(*) from testmail.identity where position('\x020100'::bytea in substring(`+key+` from 1 for 8)) > 0`); n != 0 {
			t.Errorf("%s lies there in the clear", key)
		}
	}
	r.stop(t)
	if strings.Contains(r.Stderr(), imaptest.Password) || strings.Contains(r.Stderr(), base64.StdEncoding.EncodeToString([]byte(imaptest.Password))) {
		t.Error("the log has the mailbox's password")
	}
	// Without the section the server starts all the same, and what was begun is forgotten.
	i.edit(t, map[string]any{"test_mail": nil})
	i.serve(t)
}
