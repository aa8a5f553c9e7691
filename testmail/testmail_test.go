package testmail_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/imaptest"
	"github.com/sealpost/sealpost/internal/mailtest"
	"github.com/sealpost/sealpost/testmail"
)

const perfect = "good:signature-holds good:signer-yours good:chain good:encryption-certificate good:capabilities good:sender good:encrypted good:opened note:program"

// The whole way: the mail goes out by SMTP, openssl opens and verifies it, answers signed and encrypted by SMTP, and what was found in
// the mailbox is told.
func TestThereAndBack(t *testing.T) {
	k := newKit(t)
	k.work(t)
	m, code := k.send(t)
	if m.From != address || m.HeaderTo[0][1] != "alice@example.test" || len(m.To) != 1 || !m.TLS || m.Header("Auto-Submitted") != "auto-generated" ||
		!strings.HasPrefix(m.Header("Content-Type"), "application/pkcs7-mime") || m.Parts != 1 || strings.Contains(m.Raw, code) {
		t.Errorf("sent: %+v", m)
	}
	if seen := string(k.keys.openssl(t, []byte(m.Raw), "cms", "-cmsout", "-print", "-noout")); !strings.Contains(seen, "aes-256-cbc") || !strings.Contains(seen, "rsaEncryption") {
		t.Error("not encrypted as mail programs read it")
	}
	if n := len(k.imap.Mails(t, "alice")); n != 1 {
		t.Errorf("alice's mailbox has %d mails", n)
	}
	a := k.keys.to(m, code).made(t)
	k.keys.write(t, "answer.eml", a)
	out, err := exec.CommandContext(t.Context(), "curl", "--silent", "--show-error", "--ssl-reqd", "--cacert", k.smtp.TrustFile, "--user", mailtest.User+":"+mailtest.Password,
		"--mail-from", "alice@example.test", "--mail-rcpt", address, "--upload-file", k.keys.path("answer.eml"), fmt.Sprintf("smtp://127.0.0.1:%d", k.smtp.Port)).CombinedOutput()
	if err != nil {
		t.Fatalf("curl: %v: %s", err, out)
	}
	test := k.wait(t, testmail.Answered, 1)
	if got := codes(test.Findings); got != perfect || testmail.Worst(test.Findings) != testmail.Good {
		t.Errorf("found %s", got)
	}
	if n := len(k.imap.Mails(t, "test")); n != 0 {
		t.Errorf("the test mailbox has %d mails still", n)
	}
	look, err := k.LastLook(t.Context())
	must(t, err)
	if look.At.IsZero() || !look.Failed.IsZero() {
		t.Errorf("%+v", look)
	}
	if n := k.Database.Count(t, `select count(*) from audit.event where kind = 'testmail.begun'`); n != 1 {
		t.Errorf("%d events", n)
	}
}

// What every kind of answer tells.
func TestAnswers(t *testing.T) {
	k := newKit(t)
	m, code := k.send(t)
	bob := k.enrolled(t, "bob")
	stranger := k.stranger(t)
	old := k.keys
	k.keys = k.enrolled(t, "alice") // newer ones
	k.keys.write(t, "their-encryption.pem", old.read(t, "their-encryption.pem"))
	good := func(change func(*answer)) answer {
		a := k.keys.to(m, code)
		change(&a)
		return a
	}
	const after = " good:chain good:encryption-certificate good:capabilities good:sender"
	for _, c := range []struct {
		name   string
		answer answer
		want   string
	}{
		{"as it should be", good(func(*answer) {}), perfect},
		{"opaque", good(func(a *answer) { a.signArgs = []string{"-nodetach"} }), perfect},
		{"in pieces (BER)", good(func(a *answer) {
			a.signArgs = []string{"-stream"}
			a.encrypt = append([]string{"-stream"}, a.encrypt...)
		}), perfect},
		{"with AES-GCM", good(func(a *answer) { a.encrypt[0] = "-aes-256-gcm" }), perfect},
		{"the code is not quoted", good(func(a *answer) { a.text = "\r\nYes.\r\n" }), strings.Replace(perfect, " good:opened", "", 1)},
		{"the token in the subject alone", good(func(a *answer) { a.headers[2], a.headers[3] = "Subject: AW: "+m.Header("Subject"), "X: y" }), perfect},
		{"not signed", good(func(a *answer) { a.signer = "" }), "bad:not-signed good:encrypted good:opened note:program"},
		{"not encrypted", good(func(a *answer) { a.encrypt = nil }), "good:signature-holds good:signer-yours" + after + " bad:not-encrypted good:opened note:program"},
		{"neither", good(func(a *answer) { a.signer, a.encrypt = "", nil }), "bad:not-signed bad:not-encrypted good:opened note:program"},
		{"encrypted to somebody else", good(func(a *answer) { a.encrypt[1] = "encryption.pem" }), "bad:encrypted-elsewhere note:program"},
		{"with Triple-DES", good(func(a *answer) { a.encrypt[0] = "-des3" }), strings.Replace(perfect, "good:encrypted ", "warn:cipher-old ", 1)},
		{"with SHA-1", good(func(a *answer) { a.signArgs = []string{"-md", "sha1"} }), "bad:digest-old good:encrypted good:opened note:program"},
		{"no chain", good(func(a *answer) { a.beside = "encryption.pem" }), strings.Replace(perfect, "good:chain", "warn:chain-missing", 1)},
		{"no encryption certificate", good(func(a *answer) { a.beside = "issuing.pem" }), strings.Replace(perfect, "good:encryption-certificate", "warn:encryption-certificate-missing", 1)},
		{"no certificate at all", good(func(a *answer) { a.signArgs, a.beside = []string{"-nocerts"}, "" }),
			"good:signature-holds warn:signer-left-out good:signer-yours warn:chain-missing warn:encryption-certificate-missing good:capabilities good:sender good:encrypted good:opened note:program"},
		{"no capabilities", good(func(a *answer) { a.signArgs = []string{"-nosmimecap"} }), strings.Replace(perfect, "good:capabilities", "note:capabilities-none", 1)},
		{"another sender", good(func(a *answer) { a.headers[0] = "From: <alice.private@example.org>" }), strings.Replace(perfect, "good:sender", "bad:sender-differs", 1)},
		{"two senders", good(func(a *answer) { a.headers[0] = "From: a@example.test, b@example.test" }), strings.Replace(perfect, "good:sender", "bad:sender-unclear", 1)},
		{"altered on the way", good(func(a *answer) {
			a.encrypt, a.beforeSend = nil, func(b []byte) []byte { return []byte(strings.Replace(string(b), "It works.", "It woks.", 1)) }
		}), "bad:signature-broken bad:not-encrypted good:opened note:program"},
		{"a list's footer", good(func(a *answer) {
			a.encrypt, a.beforeSend = nil, func(b []byte) []byte {
				head, body, _ := strings.Cut(string(b), "MIME-Version: 1.0\r\n")
				return []byte(head + "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=foot\r\n\r\n--foot\r\n" + body + "\r\n--foot\r\n\r\nThis mail was checked.\r\n--foot--\r\n")
			}
		}), "good:signature-holds good:signer-yours" + after + " bad:not-encrypted good:opened warn:wrapped note:program"},
		{"OpenPGP", good(func(a *answer) {
			a.signer, a.encrypt = "", nil
			a.text = "Content-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\"; boundary=x\r\n\r\n--x\r\n\r\n--x--\r\n"
		}), "bad:openpgp bad:not-encrypted note:program"},
		{"an older certificate", answer{p: old, text: k.keys.to(m, code).text, headers: k.keys.to(m, code).headers, signer: "signing", beside: "beside.pem", encrypt: k.keys.to(m, code).encrypt},
			strings.NewReplacer("good:signer-yours", "warn:signer-older", "good:encryption-certificate", "warn:encryption-certificate-missing").Replace(perfect)},
		{"signed with the encryption key", good(func(a *answer) { a.signer, a.beside = "encryption", "issuing.pem" }), "bad:signer-not-for-signing good:encrypted good:opened note:program"},
		{"bob's certificate", answer{p: bob, text: k.keys.to(m, code).text, headers: k.keys.to(m, code).headers, signer: "signing", beside: "beside.pem"},
			"good:signature-holds bad:signer-other good:capabilities bad:not-encrypted good:opened note:program"},
		{"a foreign certificate", answer{p: stranger, text: k.keys.to(m, code).text, headers: k.keys.to(m, code).headers, signer: "signing"},
			"good:signature-holds bad:signer-foreign good:capabilities bad:not-encrypted good:opened note:program"},
	} {
		got := k.found(t, c.answer.made(t))
		if codes(got) != c.want {
			t.Errorf("%s:\n found %s\n  want %s", c.name, codes(got), c.want)
		}
	}
}

// What somebody else answers never takes the place of what the person did.
func TestSomebodyElseAnswers(t *testing.T) {
	k := newKit(t)
	m, code := k.send(t)
	bob := k.enrolled(t, "bob")
	bob.write(t, "their-encryption.pem", k.keys.read(t, "their-encryption.pem"))
	k.imap.Put(t, "test", k.keys.to(m, code).made(t))
	must(t, k.Read(t.Context()))
	forged := bob.to(m, code)
	forged.headers[0] = "From: Alice Anders <alice@example.test>"
	k.imap.Put(t, "test", forged.made(t))
	must(t, k.Read(t.Context()))
	if test := k.wait(t, testmail.Answered, 2); codes(test.Findings) != perfect {
		t.Errorf("found %s", codes(test.Findings))
	}
	// Who only has the sender's address and no token is nobody.
	lost := k.keys.to(m, code)
	lost.headers = lost.headers[:3]
	k.imap.Put(t, "test", lost.made(t))
	must(t, k.Read(t.Context()))
	if test := k.newest(t); test.Answers != 2 {
		t.Errorf("%d answers", test.Answers)
	}
	if n := len(k.imap.Mails(t, "test")); n != 1 {
		t.Errorf("the stranger's mail is gone, or others are there: %d", n)
	}
}

// Machines' answers are told from people's, and none is answered.
func TestMachinesAnswer(t *testing.T) {
	k := newKit(t)
	m, code := k.send(t)
	for _, c := range []struct{ header, want string }{
		{"Auto-Submitted: auto-replied", "automatic"}, {"Auto-Submitted: AUTO-GENERATED; x=y", "automatic"}, {"Precedence: bulk", "automatic"},
		{"X-Autoreply: yes", "automatic"}, {"List-Id: <all.example.test>", "automatic"},
		{"Content-Type: multipart/report; report-type=delivery-status; boundary=x", "bounced"},
	} {
		a := k.keys.to(m, code)
		a.signer, a.encrypt, a.text = "", nil, "\r\nI am away.\r\n"
		a.headers = append(a.headers, c.header)
		k.imap.Put(t, "test", a.made(t))
		before := k.newest(t).Answers
		must(t, k.Read(t.Context()))
		test := k.wait(t, testmail.Waiting, before+1)
		if test.Notice != c.want || test.Findings != nil {
			t.Errorf("%s: %q, %s", c.header, test.Notice, codes(test.Findings))
		}
	}
	if n := len(k.smtp.Mails(t)); n != 1 {
		t.Errorf("%d mails were sent", n)
	}
	a := k.keys.to(m, code)
	a.headers = append(a.headers, "Auto-Submitted: no")
	k.imap.Put(t, "test", a.made(t))
	must(t, k.Read(t.Context()))
	if test := k.wait(t, testmail.Answered, 1); codes(test.Findings) != perfect || test.Notice != "" {
		t.Errorf("%q: %s", test.Notice, codes(test.Findings))
	}
}

// A mailbox that cannot be read is said to be so, and read when it can be again.
func TestMailboxIsAway(t *testing.T) {
	k := newKit(t)
	k.work(t)
	m, code := k.send(t)
	k.imap.Stop()
	k.imap.Put(t, "test", k.keys.to(m, code).made(t))
	if err := k.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("%v", err)
	}
	k.imap.Start(t)
	must(t, k.Check(t.Context()))
	k.wait(t, testmail.Answered, 1)
}

func TestMailboxesThatAreRefused(t *testing.T) {
	t.Parallel()
	s := imaptest.New(t)
	good := testmail.Mailbox{Host: "127.0.0.1", Port: s.Port, Trust: s.Trust, User: "test", Password: imaptest.Password}
	must(t, good.Check(t.Context()))
	started := good
	started.Port, started.Security = s.StartTLS, testmail.StartTLS
	must(t, started.Check(t.Context()))
	for what, change := range map[string]func(*testmail.Mailbox){
		"a wrong password": func(m *testmail.Mailbox) { m.Password = "wrong" },
		"no such folder":   func(m *testmail.Mailbox) { m.Folder = "nowhere" },
		"not trusted":      func(m *testmail.Mailbox) { m.Trust = nil },
		"another name":     func(m *testmail.Mailbox) { m.Host = "localhost.localdomain" },
		"plain, not TLS":   func(m *testmail.Mailbox) { m.Port = s.StartTLS },
	} {
		m := good
		change(&m)
		if err := m.Check(t.Context()); err == nil || strings.Contains(err.Error(), imaptest.Password) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, m := range map[string]testmail.Mailbox{
		"host": {User: "x"}, "user": {Host: "h"}, "tls": {Host: "h", User: "x", Security: "none"}, "port": {Host: "h", User: "x", Port: 70000}, "folder": {Host: "h", User: "x", Folder: "a\r\nb"},
	} {
		if err := m.Validate(); err == nil || !strings.HasPrefix(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
