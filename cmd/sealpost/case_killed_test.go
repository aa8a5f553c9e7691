package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/delivery"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/kra"
)

// A server is killed after every step of a recovery case, before it could answer, and started again. What was done is
// done once, whoever repeats their act gets on, and in the end the person has their keys and the log says what happened.
func TestCaseKilledAfterEveryStep(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.foreverTLS(t)
	armed := filepath.Join(t.TempDir(), "kill")
	r := i.serve(t, killVariable+"="+armed)
	first, _ := r.enrol(t, "alice")
	status, s := r.enrol(t, "alice")
	alice := newRestore(t, i, status, s)

	// step kills the server after the named step of an act, and has the act repeated at the next server.
	step := func(login, name string, act func(*client.Client) (api.Case, error)) (c api.Case) {
		t.Helper()
		write(t, armed, name+" 1")
		at := r.as(t, login)
		if _, err := act(at); !errors.Is(err, fault.Unavailable) {
			t.Errorf("%s: the server was killed, and the client hears %v", name, err)
		}
		at.Close()
		if code := r.Wait(t); code != -1 {
			t.Fatalf("%s: the server was to be killed, and ended with exit code %d", name, code)
		}
		must(t, os.Remove(armed))
		r.forgetKilled(t)
		r = i.serve(t, killVariable+"="+armed)
		at = r.as(t, login)
		defer at.Close()
		c, err := act(at)
		if err != nil {
			t.Fatalf("%s, repeated: %v", name, err)
		}
		return c
	}

	signed := alice.draft(r)
	id := signed.ID
	step("alice", "requested", func(c *client.Client) (api.Case, error) {
		return c.OpenCase(t.Context(), api.CaseOpening{Case: signed.Bytes()})
	})
	folder := alice.folder(r, id)
	for n, login := range []string{"olivia", "otto"} {
		answer := i.officerApproves(t, login, folder, alice.key.Certificate)
		c := step("alice", "answered", func(c *client.Client) (api.Case, error) { return c.AnswerCase(t.Context(), id, answer) })
		if want := []api.CaseState{api.CaseRequested, api.CaseApproved}[n]; c.State != want || len(c.Answers) != n+1 {
			t.Errorf("after %d answers the case is %s, with %d", n+1, c.State, len(c.Answers))
		}
	}
	step("alice", "collected", func(c *client.Client) (api.Case, error) { return c.CollectCase(t.Context(), id, 0) })
	keys := alice.opens(r, signed)
	for _, want := range []api.EnrolmentStatus{first, status} {
		if keys[want.Certificates[1].SPKISHA256] == nil {
			t.Errorf("the key %s did not come back", want.Certificates[1].SPKISHA256)
		}
	}
	// The server cannot see whether a dispute is right: this one is not.
	dispute := alice.dispute(r, signed, 1)
	if c := step("alice", "disputed", func(c *client.Client) (api.Case, error) { return c.DisputeCase(t.Context(), id, dispute) }); !c.Answers[0].Disputed || c.Answers[1].Disputed {
		t.Errorf("disputed: %+v", c.Answers)
	}
	step("alice", "closed", func(c *client.Client) (api.Case, error) { return c.CloseCase(t.Context(), id) })

	var said []string
	for _, line := range i.psql(t, `select kind from audit.event where subject = 'case:`+id.String()+`' order by id`) {
		said = append(said, strings.TrimPrefix(line, "archive.case-"))
	}
	if want := []string{"requested", "answered", "answered", "approved", "released", "collected", "collected", "disputed", "closed"}; !slices.Equal(said, want) {
		t.Errorf("the log says %v, want %v", said, want)
	}
	if n := i.db.Count(t, `select count(*) from archive.case_partials`); n != 0 {
		t.Errorf("%d sealed partials outlive their case", n)
	}
	// One that was taken back, and one whose time ran out, each with a kill.
	second := alice.draft(r)
	open := func(c *client.Client) (api.Case, error) {
		return c.OpenCase(t.Context(), api.CaseOpening{Case: second.Bytes()})
	}
	step("alice", "requested", open)
	write(t, armed, "cancelled 1")
	at := r.as(t, "alice")
	if _, err := at.CancelCase(t.Context(), second.ID, "I found it."); !errors.Is(err, fault.Unavailable) {
		t.Errorf("cancelled: %v", err)
	}
	at.Close()
	r.Wait(t)
	must(t, os.Remove(armed))
	r.forgetKilled(t)
	r = i.serve(t)
	third := alice.draft(r)
	at = r.as(t, "alice")
	defer at.Close()
	if c, err := at.Case(t.Context(), second.ID); err != nil || c.State != api.CaseCancelled {
		t.Errorf("after the kill: %s, %v", c.State, err)
	}
	_, err := at.OpenCase(t.Context(), api.CaseOpening{Case: third.Bytes()})
	must(t, err)
	for name, minutes := range map[string]int{"transfer-1": 30, "history-1": 0} {
		_, err = at.KeepParcel(t.Context(), name, api.ParcelContent{Content: []byte("sealed"), Minutes: minutes})
		must(t, err)
	}
	r.kill(t)
	write(t, armed, "expired 1")
	later := fmt.Sprintf("%s=%s", clockVariable, 49*time.Hour)
	r = i.launch(t, later, killVariable+"="+armed)
	if code := r.Wait(t); code != -1 {
		t.Fatalf("the server was to be killed when cases expired, and ended with exit code %d", code)
	}
	must(t, os.Remove(armed))
	r.forgetKilled(t)
	r = i.serve(t, later)
	e2etest.Eventually(t, func() error {
		if n := i.db.Count(t, `select count(*) from archive.recovery_case where id = $1 and state = 'expired'`, third.ID); n != 1 {
			return errors.New("the case has not expired")
		}
		if names := i.psql(t, `select name from archive.parcel`); !slices.Equal(names, []string{"history-1"}) {
			return fmt.Errorf("the parcels %v are there", names)
		}
		return nil
	})
	if n := i.eventsOf(t, third.ID)["expired"]; n != 1 {
		t.Errorf("the log says %d times that the case expired", n)
	}
	r.stop(t)
	i.run(t, "audit verify")
}

// restore is a person at a new computer.
type restore struct {
	t      *testing.T
	i      *installation
	own    *x509.Certificate // to sign with
	signer *ecdsa.PrivateKey
	person uuid.UUID
	key    cms.Recipient
	home   string
}

func newRestore(t *testing.T, i *installation, status api.EnrolmentStatus, s submission) *restore {
	t.Helper()
	own, err := x509.ParseCertificate(status.Certificates[0].DER)
	must(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "New laptop"}, KeyUsage: x509.KeyUsageKeyAgreement,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 1, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	c, err := x509.ParseCertificate(der)
	must(t, err)
	return &restore{t, i, own, s.keys.signing.(*ecdsa.PrivateKey), status.Person, cms.Recipient{Certificate: c, Key: key}, t.TempDir()}
}

// draft makes and signs a case of all the person's keys.
func (a *restore) draft(r *running) *record.SignedCase {
	a.t.Helper()
	c := r.as(a.t, "alice")
	defer c.Close()
	drafts, err := c.DraftCase(a.t.Context(), api.CaseQuery{Kind: "restore"})
	must(a.t, err)
	d := drafts.Drafts[0]
	roster, err := record.ParseRoster(d.Roster)
	must(a.t, err)
	subject := record.Subject{Person: a.person}
	for _, x := range d.Subjects[0].Records {
		h, err := record.ParseHash(x.Record)
		must(a.t, err)
		subject.Records = append(subject.Records, h)
	}
	now := time.Now().UTC().Truncate(time.Second)
	s, err := record.Case{ID: uuid.New(), Kind: record.CaseRestore, Roster: roster.Hash(), KeyID: roster.KeyID(), Epoch: roster.Epoch(),
		Requester: record.Requester{Person: a.person, Name: a.own.Subject.CommonName, Certificate: a.own}, Reason: "The laptop was left in a train.",
		Opened: now, Deadline: now.Add(48 * time.Hour), Deliveries: []record.Delivery{{Recipient: a.key.Certificate, Subjects: []record.Subject{subject}}}}.Sign(a.signer)
	must(a.t, err)
	return s
}

// dispute is the person's signed word that what an officer sealed is wrong.
func (a *restore) dispute(r *running, s *record.SignedCase, agent uint16) []byte {
	a.t.Helper()
	c := r.as(a.t, "alice")
	defer c.Close()
	k, err := c.Case(a.t.Context(), s.ID)
	must(a.t, err)
	for _, x := range k.Answers {
		if x.Agent == int(agent) {
			approval, err := record.ParseApproval(x.Signed)
			must(a.t, err)
			d, err := record.Dispute{Case: s.Hash(), Roster: s.Roster, Agent: agent, Recipient: record.Fingerprint(a.key.Certificate), Sealed: approval.Sealings[0].Sealed,
				Time: time.Now(), Reason: "The proof does not hold.", Certificate: a.own}.Sign(a.signer)
			must(a.t, err)
			return d.Bytes()
		}
	}
	a.t.Fatalf("officer %d has not answered", agent)
	return nil
}

// folder fills a case's folder, for officers who have no network. Whoever brings their answers, their signatures decide.
func (a *restore) folder(r *running, id uuid.UUID) string {
	a.t.Helper()
	c := r.as(a.t, "alice")
	defer c.Close()
	k, err := c.Case(a.t.Context(), id)
	must(a.t, err)
	s, err := record.ParseCase(k.Signed)
	must(a.t, err)
	roster, err := record.ParseRoster(k.Roster)
	must(a.t, err)
	var between []*x509.Certificate
	for _, der := range k.Intermediates {
		x, err := x509.ParseCertificate(der)
		must(a.t, err)
		between = append(between, x)
	}
	f, err := delivery.Create(filepath.Join(a.home, "case"), s, roster, between)
	must(a.t, err)
	for b, err := range c.CaseCapsules(a.t.Context(), id, 0) {
		must(a.t, err)
		must(a.t, f.AddCapsules(b))
	}
	var seen []int64
	for _, login := range officers {
		o, err := kra.Open(kra.Config{Home: a.i.home(a.t, login)})
		must(a.t, err)
		l, err := o.Log()
		must(a.t, err)
		seen = append(seen, l.Size)
	}
	e2etest.Eventually(a.t, func() error { return kra.Online{Client: c}.FetchLog(a.t.Context(), id, f, seen...) }) // it has its place in the log a moment later
	return f.Path("")
}

// officerApproves is an officer at their own machine. The person has read them the fingerprint of the new computer's key.
func (i *installation) officerApproves(t *testing.T, login, folder string, recipient *x509.Certificate) []byte {
	t.Helper()
	heard := strings.Join(record.Fingerprint(recipient).Words()[:5], " ")
	e2etest.Good(t, e2etest.Command{Path: shared.path("sealpost-kra"), Env: []string{"SEALPOST_KRA_PASSPHRASE=five random words of " + login},
		Args: []string{"--home", i.home(t, login), "approve", folder, "--fingerprint", heard}})
	answers, err := delivery.Open(folder).Answers()
	must(t, err)
	agent := uint16(slices.Index(officers, login) + 1)
	for _, a := range answers {
		if a.Err == nil && a.Approval.Agent == agent {
			raw, err := a.Encode()
			must(t, err)
			return raw
		}
	}
	t.Fatalf("%s has not answered", login)
	return nil
}

// opens collects nothing: that was done. It fetches what was released and opens it, and returns the keys by their names.
func (a *restore) opens(r *running, s *record.SignedCase) map[string][]byte {
	a.t.Helper()
	c := r.as(a.t, "alice")
	defer c.Close()
	f := delivery.Open(filepath.Join(a.home, "case"))
	roster, err := f.Roster()
	must(a.t, err)
	var capsules []*record.Capsule
	for k, err := range f.Capsules() {
		must(a.t, err)
		capsules = append(capsules, k)
	}
	b, err := record.NewBundle(roster, s, 0, capsules, nil)
	must(a.t, err)
	opener := record.NewOpener(b)
	sealed, err := c.CaseSealed(a.t.Context(), s.ID, 0)
	must(a.t, err)
	for _, x := range sealed.Items {
		approval, err := record.ParseApproval(x.Approval)
		must(a.t, err)
		must(a.t, opener.Add(approval, x.Partials, a.key))
	}
	out := map[string][]byte{}
	for raw, err := range c.CaseRecords(a.t.Context(), s.ID, 0, 0) {
		must(a.t, err)
		inner, err := record.ParseInnerRecord(raw)
		must(a.t, err)
		key, err := opener.Open(inner)
		must(a.t, err)
		private, err := x509.ParsePKCS8PrivateKey(key)
		must(a.t, err)
		spki, err := x509.MarshalPKIXPublicKey(private.(crypto.Signer).Public())
		must(a.t, err)
		if h := record.Hash(sha256.Sum256(spki)); h != inner.Capsule.Header.SPKI {
			a.t.Errorf("the record of %s holds the key %s", inner.Capsule.Header.SPKI, h)
		}
		out[inner.Capsule.Header.SPKI.String()] = bytes.Clone(key)
	}
	return out
}
