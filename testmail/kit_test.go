package testmail_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/imaptest"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/mailtest"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/testmail"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const address = "test@example.test"

// letter is what test mails say.
var letter = testmail.Letter{Subject: "Test of your secure mail", Text: "Grüß Gott.\n\nPlease answer. " + testmail.CodeHere + "\n.\nFrom here on: nothing.\n"}

// kit is a desk with a mail server, a mailbox, and a person who has certificates.
type kit struct {
	*housetest.House
	*testmail.Desk
	smtp  *mailtest.Server
	imap  *imaptest.Server
	alice audit.Actor
	keys  program

	working bool // jobs are done by themselves
}

func newKit(t *testing.T, change ...func(*testmail.Config)) *kit {
	t.Helper()
	t.Parallel()
	k := &kit{House: housetest.New(t), smtp: mailtest.New(t, mail.StartTLS), imap: imaptest.New(t)}
	k.smtp.Deliver(t, k.imap.Mailboxes())
	sender, err := mail.New(k.smtp.Config())
	must(t, err)
	plain := func(b []byte) ([]byte, error) { return bytes.Clone(b), nil }
	c := testmail.Config{DB: k.DB, Jobs: k.PKI.Jobs, Authority: k.PKI.Authority, Directory: k.House.Directory, Mail: sender, Address: address,
		Mailbox: testmail.Mailbox{Host: "127.0.0.1", Port: k.imap.Port, Trust: k.imap.Trust, User: "test", Password: imaptest.Password},
		SealKey: plain, UnsealKey: plain, Now: k.Clock.Now}
	for _, f := range change {
		f(&c)
	}
	k.Desk, err = testmail.New(c)
	must(t, err)
	must(t, k.EnsureCertificates(t.Context()))
	k.alice = k.Actor(t, "alice")
	k.keys = k.enrol(t, k.alice, pkitest.NewKey(t, ca.P256), pkitest.RSAKey(t, ca.RSA3072, 0))
	return k
}

// work has the jobs done from now on.
func (k *kit) work(t *testing.T) {
	t.Helper()
	k.working = true
	k.Register(k.PKI.Jobs)
	must(t, k.PKI.Jobs.Start(context.WithoutCancel(t.Context())))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		must(t, k.PKI.Jobs.Stop(ctx))
	})
}

// program is somebody's mail program: openssl, and the files it needs.
type program struct {
	dir     string
	address string
}

// enrol gets a pair for somebody.
func (k *kit) enrol(t *testing.T, by audit.Actor, signing, encryption crypto.Signer) program {
	t.Helper()
	s := k.SubmissionWith(t, by, housetest.Pair, housetest.Keys{Signing: signing, Encryption: encryption})
	r, err := k.Enroll.Submit(t.Context(), by, s)
	must(t, err)
	p := program{t.TempDir(), ""}
	p.key(t, "signing.key", signing)
	p.key(t, "encryption.key", encryption)
	found, err := k.PKI.Find(t.Context(), ca.Query{Request: &r.ID})
	must(t, err)
	for _, c := range found {
		name := map[string]string{ca.SMIMESigning: "signing.pem", ca.SMIMEEncryption: "encryption.pem"}[c.Profile]
		p.write(t, name, pkitest.PEM(c.DER))
		p.address = c.Mailboxes[0]
	}
	p.write(t, "root.pem", pkitest.PEM(k.PKI.Root.Raw))
	p.write(t, "issuing.pem", pkitest.PEM(k.PKI.Issuing.Raw))
	p.write(t, "beside.pem", slices.Concat(p.read(t, "issuing.pem"), p.read(t, "encryption.pem")))
	return p
}

func (p program) path(name string) string { return filepath.Join(p.dir, name) }

func (p program) write(t *testing.T, name string, content []byte) {
	t.Helper()
	must(t, os.WriteFile(p.path(name), content, 0o600))
}

func (p program) read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(p.path(name))
	must(t, err)
	return b
}

func (p program) key(t *testing.T, name string, key crypto.Signer) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	p.write(t, name, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// openssl runs it in the program's folder.
func (p program) openssl(t *testing.T, in []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "openssl", args...)
	cmd.Dir, cmd.Stdin = p.dir, bytes.NewReader(in)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("openssl %s: %v: %s", strings.Join(args, " "), err, said.Bytes())
	}
	return out.Bytes()
}

// open decrypts and verifies a test mail, keeps the certificate to answer to, and returns the text.
func (p program) open(t *testing.T, m mailtest.Mail) string {
	t.Helper()
	inner := p.openssl(t, []byte(m.Raw), "cms", "-decrypt", "-recip", "encryption.pem", "-inkey", "encryption.key")
	text := p.openssl(t, inner, "cms", "-verify", "-CAfile", "root.pem", "-purpose", "smimesign", "-signer", "their-signer.pem")
	if who := p.openssl(t, nil, "x509", "-in", "their-signer.pem", "-noout", "-email"); strings.TrimSpace(string(who)) != address {
		t.Errorf("signed by %s", who)
	}
	p7 := p.openssl(t, inner, "smime", "-pk7out")
	certs := p.openssl(t, p7, "pkcs7", "-print_certs")
	for _, block := range regexp.MustCompile(`(?s)-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n`).FindAll(certs, -1) {
		if usage := p.openssl(t, block, "x509", "-noout", "-ext", "keyUsage"); bytes.Contains(usage, []byte("Key Encipherment")) {
			p.write(t, "their-encryption.pem", block)
		}
	}
	return string(text)
}

// answer makes the parts of an answer, each as it is told.
type answer struct {
	p          program
	text       string
	headers    []string
	signer     string // name of its files; "" signs nothing
	beside     string // file of further certificates; "" none
	signArgs   []string
	encrypt    []string // arguments, with the certificate; nil encrypts nothing
	beforeSend func([]byte) []byte
}

// to answers a test mail as a good program does.
func (p program) to(m mailtest.Mail, code string) answer {
	id := regexp.MustCompile(`(?mi)^Message-ID: (.*?)\r?$`).FindStringSubmatch(m.Raw)[1]
	return answer{p: p, text: "Content-Type: text/plain; charset=utf-8\r\n\r\nIt works.\r\n> Please answer. " + code + "\r\n",
		headers: []string{"From: Alice Anders <" + p.address + ">", "To: " + address, "Subject: Re: your test", "In-Reply-To: " + id, "User-Agent: Testing Mail 1.0"},
		signer:  "signing", beside: "beside.pem", encrypt: []string{"-aes-256-cbc", "their-encryption.pem"}}
}

// made is the answer as it is sent.
func (a answer) made(t *testing.T) []byte {
	t.Helper()
	out := []byte(a.text)
	if a.signer != "" {
		args := append([]string{"cms", "-sign", "-signer", a.signer + ".pem", "-inkey", a.signer + ".key"}, a.signArgs...)
		if a.beside != "" {
			args = append(args, "-certfile", a.beside)
		}
		out = a.p.openssl(t, out, args...)
	}
	if a.encrypt != nil {
		out = a.p.openssl(t, out, append([]string{"cms", "-encrypt"}, a.encrypt...)...)
	}
	out = slices.Concat([]byte(strings.Join(a.headers, "\r\n")+"\r\n"), bytes.ReplaceAll(bytes.ReplaceAll(out, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n")))
	if a.beforeSend != nil {
		out = a.beforeSend(out)
	}
	return out
}

// newest is alice's newest test.
func (k *kit) newest(t *testing.T) testmail.Test {
	t.Helper()
	all, err := k.Tests(t.Context(), k.alice)
	must(t, err)
	if len(all) == 0 {
		t.Fatal("there is no test")
	}
	return all[0]
}

// wait waits until alice's newest test is in a state, with so many answers at least.
func (k *kit) wait(t *testing.T, state testmail.State, answers int) testmail.Test {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		test := k.newest(t)
		if test.State == state && test.Answers >= answers {
			return test
		}
		if time.Since(begin) > time.Minute {
			t.Fatalf("the test is %s with %d answers (%s, %s)", test.State, test.Answers, test.Failure, test.Said)
		}
	}
}

// send sends alice a test mail and returns it, with the code inside.
func (k *kit) send(t *testing.T) (mailtest.Mail, string) {
	t.Helper()
	test, err := k.Begin(t.Context(), k.alice, letter)
	must(t, err)
	if !k.working {
		must(t, k.SendNow(t.Context(), test.ID))
	}
	k.wait(t, testmail.Waiting, 0)
	mails := k.smtp.Mails(t)
	m := mails[len(mails)-1]
	return m, codeIn(t, k.keys.open(t, m))
}

func codeIn(t *testing.T, text string) string {
	t.Helper()
	found := regexp.MustCompile(`Please answer\. ([a-z2-7]{10})`).FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("no code in %q", text)
	}
	return found[1]
}

// codes are those of findings, each with its grade.
func codes(findings []testmail.Finding) string {
	var out []string
	for _, f := range findings {
		out = append(out, fmt.Sprintf("%s:%s", f.Grade, f.Code))
	}
	return strings.Join(out, " ")
}
