package main

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/mailtest"
	"github.com/sealpost/sealpost/internal/rostertest"
)

// mailsWith configures a mail server.
func (i *installation) mailsWith(t testing.TB, s *mailtest.Server) {
	t.Helper()
	write(t, i.path("mail.password"), mailtest.Password+"\n")
	write(t, i.path("mail-ca.pem"), read(t, s.TrustFile))
	i.edit(t, map[string]any{"mail": map[string]any{"host": "127.0.0.1", "port": s.Port, "trust_file": "mail-ca.pem", "user": mailtest.User,
		"password_file": "mail.password", "from": "Example CA <ca@example.test>", "contact": "the help desk"}})
}

// `sealpost check --connect` tries the mail server as far as the login, and sends nothing.
func TestCheckTriesTheMailServer(t *testing.T) {
	t.Parallel()
	i, s := newInstallation(t), mailtest.New(t, mail.StartTLS)
	i.mailsWith(t, s)
	i.run(t, "check --connect")
	bad := func(what string, says ...string) {
		t.Helper()
		oneLine(t, what, e2etest.Bad(t, i.command("check --connect"), says...))
	}
	write(t, i.path("mail.password"), "wrong")
	bad("a wrong password", "mail:", "does not let Sealpost in")
	write(t, i.path("mail.password"), mailtest.Password)
	i.edit(t, map[string]any{"mail.trust_file": "pki/root.pem"})
	bad("another CA's certificate", "mail:")
	i.edit(t, map[string]any{"mail.trust_file": "mail-ca.pem"})
	s.Stop()
	bad("no server", "mail:", "cannot be reached")
	i.run(t, "check")
	s.Start(t)
	i.run(t, "check --connect")
	i.edit(t, map[string]any{"mail.password_file": "none"})
	bad("no password file", "mail: password_file")
	i.edit(t, map[string]any{"mail": map[string]any{"host": "mail.example.test", "tls": "none", "from": "nobody"}})
	e2etest.Bad(t, i.command("check"), "mail.tls:", "mail.from:")
	if n := len(s.Mails(t)); n != 0 {
		t.Errorf("%d mails were sent", n)
	}
}

// A server tells people of a case by itself; one without a mail server says that it does not, and goes on all the same.
func TestServerTellsOfCases(t *testing.T) {
	t.Parallel()
	i, s := newInstallation(t), mailtest.New(t, mail.StartTLS)
	r := i.serve(t)
	status, made := r.enrol(t, "alice")
	cancelled := r.restore(t, "alice", status, made.keys.signing)
	c := r.as(t, "alice")
	defer c.Close()
	if _, err := c.CancelCase(t.Context(), cancelled, "not needed"); err != nil {
		t.Fatal(err)
	}
	e2etest.Eventually(t, func() error {
		if n := i.db.Count(t, `select count(*) from river.river_job where kind = 'archive.tell-case' and state <> 'completed'`); n > 0 {
			return fmt.Errorf("%d jobs wait", n)
		}
		return nil
	})
	r.stop(t)
	if n := strings.Count(r.Stderr(), "no mail server is configured"); n != 1 {
		t.Errorf("the log says %d times that nobody is told:\n%s", n, r.Stderr())
	}
	i.mailsWith(t, s)
	r = i.serve(t)
	id := r.restore(t, "alice", status, made.keys.signing)
	e2etest.Eventually(t, func() error {
		for _, m := range s.Mails(t) {
			if m.To[0] == "alice@example.test" {
				if m.Header("Subject") != "You asked to get your mail keys back" || !strings.Contains(m.Text, id.String()) || !strings.Contains(m.Text, "the help desk") {
					t.Fatalf("alice got:\n%s", m.Raw)
				}
				return nil
			}
		}
		return fmt.Errorf("alice is not told")
	})
	for _, m := range s.Mails(t) {
		if strings.Contains(m.Raw, cancelled.String()) || strings.Contains(m.Raw, "left in a train") {
			t.Errorf("a mail says too much:\n%s", m.Raw)
		}
	}
	r.stop(t)
	if strings.Contains(r.Stderr(), "no mail server") || strings.Contains(r.Stderr(), mailtest.Password) {
		t.Errorf("the log:\n%s", r.Stderr())
	}
}

// A registrar makes tokens with the agent and wishes that people hear of it; one is used by an agent on a computer. The server mails both by itself, and no mail
// or log has a token.
func TestServerTellsOfTokens(t *testing.T) {
	t.Parallel()
	i, s := newInstallation(t), mailtest.New(t, mail.StartTLS)
	i.mailsWith(t, s)
	r := i.serve(t)
	desk, computer := t.TempDir(), t.TempDir()
	e2etest.Good(t, i.agent(desk, "rita", "token make --tell", "--server", i.url(), "--roots", i.path("pki/root.pem"), "--login", "rita", "--for", "alice@example.test", "--out", desk+"/tokens.csv"))
	rows := strings.Split(read(t, desk+"/tokens.csv"), "\n")
	token := strings.Split(rows[1], ",")[1]
	if len(token) != 32 {
		t.Fatalf("%q", rows)
	}
	await := func(subject, says string) {
		t.Helper()
		e2etest.Eventually(t, func() error {
			for _, m := range s.Mails(t) {
				if m.To[0] == "alice@example.test" && m.Header("Subject") == subject {
					if !strings.Contains(strings.Join(strings.Fields(m.Text), " "), says) {
						t.Fatalf("alice got:\n%s", m.Raw)
					}
					return nil
				}
			}
			return fmt.Errorf("alice is not told: %s", subject)
		})
	}
	await("A computer can be set up for you", "Rita Registrar made an enrolment token for you")
	write(t, computer+"/token.txt", token+"\n")
	e2etest.Good(t, i.agent(computer, "", "enroll", "--server", i.url(), "--roots", i.path("pki/root.pem"), "--token-file", computer+"/token.txt"))
	await("Certificates for secure mail were issued in your name", "an enrolment token, which Rita Registrar made for you")
	if n := len(s.Mails(t)); n != 2 {
		t.Errorf("%d mails", n)
	}
	r.stop(t)
	for _, m := range s.Mails(t) {
		if strings.Contains(m.Raw, token) {
			t.Errorf("a token is in a mail:\n%s", m.Raw)
		}
	}
	if strings.Contains(r.Stderr(), token) {
		t.Error("a token is in the log")
	}
}

// restore opens a case with which somebody gets their own keys back, and returns its id.
func (r *running) restore(t testing.TB, login string, status api.EnrolmentStatus, signer crypto.Signer) uuid.UUID {
	t.Helper()
	c := r.as(t, login)
	defer c.Close()
	drafts, err := c.DraftCase(t.Context(), api.CaseQuery{Kind: "restore"})
	must(t, err)
	d := drafts.Drafts[0]
	roster, err := record.ParseRoster(d.Roster)
	must(t, err)
	own, err := x509.ParseCertificate(status.Certificates[0].DER)
	must(t, err)
	_, device := rostertest.Certify(t, "New laptop", x509.KeyUsageKeyAgreement, api.OIDRecipient)
	now := time.Now().UTC().Truncate(time.Second)
	k := record.Case{ID: uuid.New(), Kind: record.CaseRestore, Roster: roster.Hash(), KeyID: roster.KeyID(), Epoch: roster.Epoch(), Reason: "My laptop was left in a train.",
		Requester: record.Requester{Person: d.Subjects[0].Person, Name: login, Certificate: own}, Opened: now, Deadline: now.Add(48 * time.Hour),
		Deliveries: []record.Delivery{{Recipient: device, Subjects: []record.Subject{{Person: d.Subjects[0].Person}}}}}
	for _, x := range d.Subjects[0].Records {
		h, err := record.ParseHash(x.Record)
		must(t, err)
		k.Deliveries[0].Subjects[0].Records = append(k.Deliveries[0].Subjects[0].Records, h)
	}
	signed, err := k.Sign(signer)
	must(t, err)
	_, err = c.OpenCase(t.Context(), api.CaseOpening{Case: signed.Bytes()})
	must(t, err)
	return k.ID
}
