package testmail_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/testmail"
)

// Mails that strangers make: each is told something, holds nobody up, and leaves nothing of itself.
func TestHostileAnswers(t *testing.T) {
	k := newKit(t)
	m, code := k.send(t)
	good := k.keys.to(m, code)
	top := strings.Join(good.headers, "\r\n") + "\r\n"
	nested := func(depth int) string {
		var b strings.Builder
		for i := range depth {
			fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
		}
		return b.String()
	}
	p7m := func(der []byte) string {
		return "Content-Type: application/pkcs7-mime; smime-type=signed-data\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString(der) + "\r\n"
	}
	for _, c := range []struct{ name, mail, want string }{
		{"nothing", top + "\r\n", "bad:not-signed bad:not-encrypted note:program"},
		{"no end of the header", top, "bad:not-signed bad:not-encrypted note:program"},
		{"nested", top + nested(500), "bad:unreadable bad:not-encrypted note:program"},
		{"many parts", top + "Content-Type: multipart/mixed; boundary=x\r\n\r\n" + strings.Repeat("--x\r\n\r\n", 50_000), "bad:not-signed bad:not-encrypted note:program"},
		{"multipart without boundary", top + "Content-Type: multipart/signed\r\n\r\nx", "bad:unreadable bad:not-encrypted note:program"},
		{"no CMS", top + p7m([]byte("hello")), "bad:unreadable bad:not-encrypted note:program"},
		{"deep BER", top + p7m(bytes.Repeat([]byte{0x30, 0x80}, 100_000)), "bad:unreadable bad:not-encrypted note:program"},
		{"length that lies", top + p7m([]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x06}), "bad:unreadable bad:not-encrypted note:program"},
		{"huge", top + "\r\n" + strings.Repeat("x", testmail.MaxAnswer), "bad:too-large"},
		{"scripts", top + "X-Y: <script>alert(1)</script>\r\nContent-Type: text/html\r\n\r\n<script>alert(1)</script>", "bad:not-signed bad:not-encrypted note:program"},
		{"headers of another kind", top + ":\r\n\x00\x01: x\r\n no\r\nContent-Type: multipart/signed; boundary=\"\r\n\r\n", "bad:unreadable bad:not-encrypted note:program"},
	} {
		begin := time.Now()
		got := k.found(t, []byte(c.mail))
		if codes(got) != c.want {
			t.Errorf("%s:\n found %s\n  want %s", c.name, codes(got), c.want)
		}
		if d := time.Since(begin); d > 10*time.Second {
			t.Errorf("%s: took %s", c.name, d)
		}
	}
	// What a stranger puts into headers is told as one short printable line.
	a := good
	a.headers = append(good.headers[:0:0], good.headers...)
	a.headers[4] = "X-Mailer: <b>Bad\x1b[31m\u202e mailer" + strings.Repeat(" very", 500)
	for _, f := range k.found(t, a.made(t)) {
		if f.Code == "program" && (len(f.Facts["program"]) > 100 || strings.ContainsAny(f.Facts["program"], "\x1b\u202e")) {
			t.Errorf("%q", f.Facts)
		}
	}
	if n := k.Database.Count(t, `select count(*) from testmail.test where findings::text like '%It works%' or findings::text like '%script%'`); n != 0 {
		t.Error("text of an answer was kept")
	}
}

// A revoked certificate, and one that has ended.
func TestRevokedAndEnded(t *testing.T) {
	k := newKit(t, func(c *testmail.Config) { c.Wait = 3 * 365 * 24 * time.Hour })
	m, code := k.send(t)
	later := k.enrolled(t, "alice")
	found, err := k.PKI.Find(t.Context(), ca.Query{Person: &k.alice.Person, Profile: ca.SMIMESigning})
	must(t, err)
	must(t, k.PKI.Revoke(t.Context(), k.alice, ca.Revocation{Issuer: found[1].Issuer, Serial: found[1].Serial, Reason: ca.Superseded}))
	if got := codes(k.found(t, k.keys.to(m, code).made(t))); !strings.HasPrefix(got, "good:signature-holds bad:signer-revoked good:chain") {
		t.Errorf("found %s", got)
	}
	k.Clock.Advance(731 * 24 * time.Hour)
	a := later.to(m, code)
	a.encrypt = nil
	if got := codes(k.found(t, a.made(t))); !strings.HasPrefix(got, "good:signature-holds bad:signer-ended good:chain") {
		t.Errorf("found %s", got)
	}
}

// Whose turn it is, how often, and to which certificate.
func TestWhoMayBegin(t *testing.T) {
	k := newKit(t)
	carol := k.Actor(t, "carol")
	if _, err := k.Begin(t.Context(), carol, letter); !errors.Is(err, testmail.ErrNoCertificate) {
		t.Errorf("without certificates: %v", err)
	}
	for range 6 {
		_, err := k.Begin(t.Context(), k.alice, letter)
		must(t, err)
	}
	if _, err := k.Begin(t.Context(), k.alice, letter); !errors.Is(err, testmail.ErrTooMany) {
		t.Errorf("too many: %v", err)
	}
	k.Clock.Advance(61 * time.Minute)
	for range 6 {
		_, err := k.Begin(t.Context(), k.alice, letter)
		must(t, err)
	}
	all, err := k.Tests(t.Context(), k.alice)
	must(t, err)
	if len(all) != 10 || k.Database.Count(t, `select count(*) from testmail.test`) != 10 {
		t.Errorf("%d are kept", len(all))
	}
	if theirs, err := k.Tests(t.Context(), carol); err != nil || len(theirs) != 0 {
		t.Errorf("carol sees %d: %v", len(theirs), err)
	}
	k.Clock.Advance(32 * 24 * time.Hour)
	must(t, k.ReadAsJob(t.Context(), false))
	if n := k.Database.Count(t, `select count(*) from testmail.test`); n != 0 {
		t.Errorf("%d old ones are kept", n)
	}
}

// What the mail server says is told, and tried again where that is of use.
func TestWhatTheMailServerSays(t *testing.T) {
	k := newKit(t)
	k.smtp.Full(t, true)
	test, err := k.Begin(t.Context(), k.alice, letter)
	must(t, err)
	if err := k.SendNow(t.Context(), test.ID); !errors.Is(err, fault.Unavailable) {
		t.Errorf("%v", err)
	}
	if got := k.newest(t); got.State != testmail.Sending || got.Failure != mail.ErrUnavailable.Code || !strings.HasPrefix(got.Said, "452 ") {
		t.Errorf("%+v", got)
	}
	k.smtp.Full(t, false)
	must(t, k.SendNow(t.Context(), test.ID))
	must(t, k.SendNow(t.Context(), test.ID)) // nothing is left to do
	if got := k.newest(t); got.State != testmail.Waiting || got.Failure != "" || got.Said != "" || len(k.smtp.Mails(t)) != 1 {
		t.Errorf("%+v", got)
	}
	k.Database.Exec(t, `update testmail.test set sent_at = null, mailbox = 'refused@example.test'`)
	must(t, k.SendNow(t.Context(), test.ID))
	if got := k.newest(t); got.State != testmail.Failed || got.Failure != mail.ErrRefused.Code || !strings.Contains(got.Said, "no such mailbox") {
		t.Errorf("%+v", got)
	}
}

// The test mailbox's certificates are renewed at half their life; what was encrypted to the old one is still read.
func TestOwnCertificates(t *testing.T) {
	k := newKit(t, func(c *testmail.Config) { c.Wait = 365 * 24 * time.Hour })
	m, code := k.send(t)
	signing, encryption, err := k.Certificates(t.Context())
	must(t, err)
	must(t, k.EnsureCertificates(t.Context()))
	if again, _, err := k.Certificates(t.Context()); err != nil || !again.Equal(signing) {
		t.Errorf("renewed at once: %v", err)
	}
	k.Clock.Advance(200 * 24 * time.Hour)
	must(t, k.EnsureCertificates(t.Context()))
	if s, e, err := k.Certificates(t.Context()); err != nil || s.Equal(signing) || e.Equal(encryption) {
		t.Errorf("not renewed: %v", err)
	}
	if got := codes(k.found(t, k.keys.to(m, code).made(t))); got != perfect {
		t.Errorf("found %s", got)
	}
	k.Clock.Advance(200 * 24 * time.Hour)
	must(t, k.EnsureCertificates(t.Context()))
	if n := k.Database.Count(t, `select count(*) from testmail.identity where signing_key is not null`); n != 2 || k.Database.Count(t, `select count(*) from testmail.identity`) != 3 {
		t.Errorf("%d identities have keys; the first has ended", n)
	}
	k.Settled(t)
}

func TestHead(t *testing.T) {
	t.Parallel()
	const token = "abcdefghijklmnopqrst"
	for raw, want := range map[string]string{
		"In-Reply-To: <" + token + ".test@example.test>\r\n":                                           token,
		"References: <x@y>\r\n <" + token + ".test@example.test>\r\n":                                  token,
		"Subject: Re: x [ABCDEFGHIJKLMNOPQRST]\r\n":                                                    token,
		"Subject: =?utf-8?Q?Re=3A_x_[abcdefghijklmnopqrst]?=\r\n":                                      token,
		"From: " + token + "@example.test\r\n":                                                         "",
		"Subject: abcdefghijklmnopqrst\r\n":                                                            "",
		"X: y\r\n\r\nIn-Reply-To: <" + token + ".test@example.test>\r\n":                               "",
		"In-Reply-To: " + strings.Repeat("<aaaaaaaaaaaaaaaaaaaa.test@x>", 1000) + "\r\n":               "aaaaaaaaaaaaaaaaaaaa",
		"In-Reply-To: <" + token + ".test@a>\r\nReferences: <bbbbbbbbbbbbbbbbbbbb.test@b>\r\nX: y\r\n": token + " bbbbbbbbbbbbbbbbbbbb",
	} {
		if tokens, _, _, _ := testmail.Head([]byte(raw)); strings.Join(tokens, " ") != want {
			t.Errorf("%.60q: %q", raw, tokens)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte("From: a@b.test\r\nSubject: [abcdefghijklmnopqrst]\r\n\r\ntext"))
	f.Add([]byte("Content-Type: multipart/signed; boundary=x; protocol=\"application/pkcs7-signature\"\r\n\r\n--x\r\n\r\na\r\n--x\r\nContent-Transfer-Encoding: base64\r\n\r\nMIIB\r\n--x--\r\n"))
	f.Add([]byte("Content-Type: application/pkcs7-mime\nContent-Transfer-Encoding: base64\n\nMIAGCSqGSIb3DQEHA6CAMIACAQAxAA=="))
	f.Add([]byte("Content-Type: multipart/mixed; boundary=\"a\"\r\n\r\n--a\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n--b--\r\n--a--"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		tokens, _, from, program := testmail.Head(raw)
		if len(tokens) > 10 || len(from) > 254 || len(program) > 100 {
			t.Errorf("%d tokens, sender %q, program %q", len(tokens), from, program)
		}
		if _, _, _, _, steps := testmail.Walked(raw, "aaaaaaaaaa"); steps > testmail.MaxSteps+20 {
			t.Errorf("%d steps", steps)
		}
	})
}
