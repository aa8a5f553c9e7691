package notice_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/mailtest"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/rostertest"
	"github.com/sealpost/sealpost/notice"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// What no mail may hold.
const (
	reason    = "Suspected of selling the drawings."
	reference = "HR-2026-4711"
)

// office is a house whose cases are told of by a mail server.
type office struct {
	*housetest.House
	server *mailtest.Server
	teller *notice.Teller
	config notice.Config
	log    *bytes.Buffer
	people map[string]*somebody
	seen   int // mails that told returned before
}

// somebody can sign, and has a device to receive with.
type somebody struct {
	audit.Actor
	key     *ecdsa.PrivateKey
	signing *x509.Certificate
	device  *x509.Certificate
}

func setup(t *testing.T) *office {
	t.Helper()
	t.Parallel()
	o := &office{House: housetest.New(t), server: mailtest.New(t, mail.StartTLS), people: map[string]*somebody{}, log: &bytes.Buffer{}}
	sender, err := mail.New(o.server.Config())
	must(t, err)
	o.config = notice.Config{DB: o.DB, Jobs: o.PKI.Jobs, Cases: o.Recovery.Cases, Directory: o.Directory, Mail: sender, Organisation: "Example Ltd",
		Contact: "the help desk, telephone 4711", Now: o.Clock.Now, Log: slog.New(slog.NewTextHandler(o.log, nil))}
	o.teller, err = notice.New(o.config)
	must(t, err)
	return o
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// person returns somebody of the sample company, with a certificate.
func (o *office) person(t testing.TB, login string) *somebody {
	t.Helper()
	if s := o.people[login]; s != nil {
		return s
	}
	p, err := o.Directory.ByLogin(t.Context(), login)
	must(t, err)
	s := &somebody{Actor: p.Actor(audit.MethodCertificate, audit.StrengthCertificate), key: pkitest.NewKey(t, ca.P256).(*ecdsa.PrivateKey)}
	issued := o.PKI.Issue(t, ca.Request{ID: uuid.New(), Profile: ca.SMIMESigning, Person: p.ID, PublicKey: pkitest.SPKI(s.key.Public()), Mailboxes: p.Mailboxes[:1],
		Subject: ca.Subject{CommonName: p.Name, GivenName: p.GivenName, Surname: p.Surname, SerialNumber: p.Employee}})
	s.signing, err = x509.ParseCertificate(issued[0].DER)
	must(t, err)
	_, s.device = rostertest.Certify(t, "device", x509.KeyUsageKeyAgreement, api.OIDRecipient)
	o.people[login] = s
	return s
}

// archived deposits n keys of a person.
func (o *office) archived(t testing.TB, login string, n int) *somebody {
	t.Helper()
	s := o.person(t, login)
	for range n {
		key := pkitest.NewKey(t, ca.P256)
		pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
		must(t, err)
		d := archive.Deposit{Request: uuid.New(), Person: s.Person, Name: s.Name, Mail: login + ".archived@example.test", Key: pkcs8, PublicKey: pkitest.SPKI(key.Public())}
		_, err = o.Archive.Deposit(t.Context(), pkitest.Actor(), d)
		must(t, err)
		must(t, o.Archive.Confirm(t.Context(), d.Request))
	}
	return s
}

// running is a case with what its agents need.
type running struct {
	*archive.Case
	capsules []*record.Capsule
}

// ask opens a case; in a legal one silent until a time if that is not zero.
func (o *office) ask(t testing.TB, kind record.CaseKind, asker string, silent time.Time, subjects ...string) running {
	t.Helper()
	who := o.person(t, asker)
	a := archive.Ask{Kind: kind}
	for _, s := range subjects {
		a.Subjects = append(a.Subjects, o.person(t, s).Person)
	}
	drafts, err := o.Recovery.Draft(t.Context(), who.Actor, a)
	must(t, err)
	now := o.Clock.Now().UTC().Truncate(time.Second)
	to := o.Recipient.Certificate
	if kind == record.CaseRestore {
		to = who.device
	}
	d := drafts[0]
	c := record.Case{ID: uuid.New(), Kind: kind, Roster: d.Roster.Hash(), KeyID: d.Roster.KeyID(), Epoch: d.Roster.Epoch(), Reason: reason, Reference: reference,
		Requester: record.Requester{Person: who.Person, Name: who.Name, Certificate: who.signing}, Opened: now, Deadline: now.Add(72 * time.Hour),
		Deliveries: []record.Delivery{{Recipient: to}}}
	out := running{}
	for _, s := range d.Subjects {
		subject := record.Subject{Person: s.Person}
		for _, k := range s.Records {
			subject.Records, out.capsules = append(subject.Records, k.Hash()), append(out.capsules, k)
		}
		c.Deliveries[0].Subjects = append(c.Deliveries[0].Subjects, subject)
	}
	signed, err := c.Sign(who.key)
	must(t, err)
	var consent []byte
	if !silent.IsZero() {
		auditor := o.person(t, "auditor")
		s, err := record.Consent{Case: signed.Hash(), Person: auditor.Person, Name: auditor.Name, Certificate: auditor.signing, SilentUntil: silent, Time: now}.Sign(auditor.key)
		must(t, err)
		consent = s.Bytes()
	}
	out.Case, err = o.Recovery.Open(t.Context(), who.Actor, signed.Bytes(), consent)
	must(t, err)
	return out
}

// approve answers as agents: 1 is olivia, 2 oscar, 3 otto.
func (o *office) approve(t testing.TB, k running, agents ...uint16) {
	t.Helper()
	for _, a := range agents {
		raw, err := o.Roster.Approve(t, k.SignedCase, k.capsules, a, o.Clock.Now()).Encode()
		must(t, err)
		agent := o.Roster.Agents[a-1]
		_, err = o.Recovery.Answer(t.Context(), audit.Actor{Person: agent.Person, Name: agent.Name, Roles: []audit.Role{audit.RecoveryAgent}, Method: audit.MethodCertificate}, k.ID, raw)
		must(t, err)
	}
}

type job struct {
	id   int64
	kind string
	args []byte
}

// work does the jobs that wait, in order, until those that are left fail. It returns their errors.
func (o *office) work(t testing.TB) (errs []error) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), o.Database.AdminURL())
	must(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	for {
		rows, err := conn.Query(t.Context(), `select id, kind, args::text::bytea from river.river_job where kind in ('archive.tell-case', 'notice.send') order by id`)
		must(t, err)
		list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (j job, err error) { return j, row.Scan(&j.id, &j.kind, &j.args) })
		must(t, err)
		done := 0
		errs = nil
		for _, j := range list {
			if err := o.do(t, j); err != nil {
				errs = append(errs, err)
				continue
			}
			done++
			_, err = conn.Exec(t.Context(), `delete from river.river_job where id = $1`, j.id)
			must(t, err)
		}
		if done == 0 {
			return errs
		}
	}
}

func (o *office) do(t testing.TB, j job) error {
	if j.kind == "notice.send" {
		return o.teller.Send(t.Context(), args[jobs.SendNotice](t, j))
	}
	return o.teller.Tell(t.Context(), args[jobs.TellCase](t, j))
}

func args[T any](t testing.TB, j job) (a T) {
	t.Helper()
	must(t, json.Unmarshal(j.args, &a))
	return a
}

// told works and returns the mails that came since the last call, as "login: subject", sorted, and themselves by login.
func (o *office) told(t testing.TB) ([]string, map[string]mailtest.Mail) {
	t.Helper()
	for _, err := range o.work(t) {
		t.Error(err)
	}
	return o.arrived(t)
}

func (o *office) arrived(t testing.TB) (list []string, by map[string]mailtest.Mail) {
	t.Helper()
	all := o.server.Mails(t)
	by = map[string]mailtest.Mail{}
	for _, m := range all[o.seen:] {
		login, _, _ := strings.Cut(m.To[0], "@")
		list = append(list, login+": "+m.Header("Subject"))
		by[login] = m
		for _, never := range []string{reason, reference, "selling", "HR-2026", "BEGIN ", "MII", "<no value>", "http"} {
			if strings.Contains(m.Raw, never) {
				t.Errorf("a mail to %s holds %q:\n%s", login, never, m.Raw)
			}
		}
		if len(m.Defects) > 0 || len(m.To) != 1 {
			t.Errorf("%s: %q, %q", login, m.Defects, m.To)
		}
	}
	o.seen = len(all)
	slices.Sort(list)
	return list, by
}

// expect compares who was told what.
func expect(t testing.TB, what string, got []string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got  %s\n want %s", what, strings.Join(got, "\n      "), strings.Join(want, "\n      "))
	}
}
