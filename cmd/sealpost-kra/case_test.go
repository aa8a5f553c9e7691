package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/archive/threshold"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/delivery"
	"github.com/sealpost/sealpost/internal/keys"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/kra"
	"github.com/sealpost/sealpost/pkcs12"
)

// alice lost her laptop, and asks from a new one.
type alice struct {
	pkitest.Person
	pkitest.Pair
	signing, device *x509.Certificate
}

// restoreCase puts a case of alice's for one of her keys onto the stick.
func (r *room) restoreCase(roster *record.Roster, name string) (*alice, *record.SignedCase) {
	r.t.Helper()
	a := &alice{Person: pkitest.NewPerson("alice")}
	a.Pair = r.IssuePair(r.t, a.Person)
	var err error
	a.signing, err = x509.ParseCertificate(a.Signing.DER)
	must(r.t, err)
	a.device, err = x509.ParseCertificate(a.Encryption.DER)
	must(r.t, err)
	in := r.keep(roster, a.Person)
	now := time.Now().Add(-time.Minute)
	c, err := record.Case{
		ID: uuid.New(), Kind: record.CaseRestore, Roster: roster.Hash(), KeyID: roster.KeyID(), Epoch: roster.Epoch(),
		Requester: record.Requester{Person: a.ID, Name: "alice Example", Certificate: a.signing},
		Reason:    "Laptop lost on a train.\nReported to the help desk.", Reference: "HD-4711", Opened: now, Deadline: now.Add(72 * time.Hour),
		Deliveries: []record.Delivery{{Recipient: a.device, Subjects: []record.Subject{{Person: a.ID, Records: []record.Hash{in.Capsule.Hash()}}}}},
	}.Sign(a.SigningKey)
	must(r.t, err)
	r.put(name, c, roster, in)
	return a, c
}

// keep archives a key of somebody.
func (r *room) keep(roster *record.Roster, who pkitest.Person) *record.InnerRecord {
	r.t.Helper()
	key := pkitest.NewKey(r.t, ca.P256)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	must(r.t, err)
	wrapping, err := record.GenerateWrappingKey()
	must(r.t, err)
	rec, err := record.Seal(roster.Key(), wrapping.Public(), record.Header{Purpose: record.PurposeKey, SPKI: sha256.Sum256(pkitest.SPKI(key.Public())),
		Algorithm: "ec-p256", Person: who.ID, Name: who.Name + " Example", Mail: who.Mailbox, Time: time.Now().AddDate(-1, 0, 0)}, pkcs8)
	must(r.t, err)
	in, err := rec.UnwrapOuter(wrapping)
	must(r.t, err)
	return in
}

func (r *room) put(name string, c *record.SignedCase, roster *record.Roster, in ...*record.InnerRecord) {
	r.t.Helper()
	f, err := delivery.Create(filepath.Join(r.dir, "stick", name), c, roster, r.Chain()[:1])
	must(r.t, err)
	for _, i := range in {
		must(r.t, f.AddCapsules(i.Capsule.Bytes()))
		must(r.t, f.AddRecords(0, i.Bytes()))
	}
	var seen []int64
	for n := range r.log.Size() {
		seen = append(seen, n+1)
	}
	must(r.t, r.log.Open(c.ID, c.Hash()))
	shown, err := r.log.Case(c.ID, seen...)
	must(r.t, err)
	must(r.t, f.PutLog(shown))
}

// types runs the program at a terminal where somebody hears the words of a hash.
func (r *room) types(who string, heard record.Hash, args ...string) (string, error) {
	r.t.Helper()
	p := &typist{passphrases: []string{"the five words of " + who}, heard: func() record.Hash { return heard }}
	return p.run(r.t, r.command(who, args...))
}

func (r *room) command(who string, args ...string) *exec.Cmd {
	c := exec.CommandContext(r.t.Context(), filepath.Join(r.dir, "bin", program), args...)
	c.Env = []string{"HOME=" + filepath.Join(r.dir, who)}
	c.Dir = filepath.Join(r.dir, "stick")
	return c
}

// runs runs the program without a terminal, with the passphrase in the environment.
func (r *room) runs(who string, args ...string) (stdout, stderr string, err error) {
	c := r.command(who, args...)
	c.Env = append(c.Env, passphraseEnv+"=the five words of "+who)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	err = c.Run()
	return out.String(), errs.String(), err
}

// TestRestoreAtTheTerminal is an officer who hears words on the telephone.
func TestRestoreAtTheTerminal(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	roster := r.settle()
	a, c := r.restoreCase(roster, "case")
	fingerprint := record.Fingerprint(a.device)

	out, _, err := r.runs("olga", "show", "case")
	must(t, err)
	for _, want := range []string{"alice Example <alice@example.test>", "Laptop lost on a train.\n              Reported", "HD-4711", "1 keys of 1 people", "have them read the words"} {
		if !strings.Contains(out, want) {
			t.Errorf("show does not say %q:\n%s", want, out)
		}
	}
	asJSON, _, err := r.runs("olga", "show", "case", "--json")
	must(t, err)
	var v caseView
	must(t, json.Unmarshal([]byte(asJSON), &v))
	if v.Kind != "restore" || v.Keys != 1 || v.People[0].Mails[0] != "alice@example.test" || v.Officer.Name != "Olga Berg" || len(v.Faults) != 0 {
		t.Errorf("%+v", v)
	}

	all, err := r.types("olga", record.Hash{1, 2, 3}, "approve", "case")
	if err == nil || !strings.Contains(all, "kra-fingerprint") {
		t.Errorf("approved with other words: %v\n%s", err, all)
	}
	all2, err := r.types("olga", fingerprint, "approve", "case", "--comment", "Spoke with Alice.")
	if err != nil {
		t.Fatalf("%v\n%s", err, all2)
	}
	// None of what the officer must hear from alice is on the officer's screen, but what they typed.
	for _, shown := range []string{out, asJSON, all} {
		for _, word := range fingerprint.Words() {
			if strings.Contains(shown, word) {
				t.Errorf("the fingerprint's word %q is shown:\n%s", word, shown)
			}
		}
		if strings.Contains(shown, fingerprint.String()[:20]) {
			t.Errorf("the fingerprint is shown:\n%s", shown)
		}
	}

	// By script, with digits; too few are refused.
	if _, errs, err := r.runs("otto", "approve", "case", "--fingerprint", fingerprint.String()[:16]); err == nil || !strings.Contains(errs, "at least 80 bits") {
		t.Errorf("64 bits: %v\n%s", err, errs)
	}
	if _, _, err := r.runs("otto", "approve", "case"); err == nil {
		t.Error("approved without anybody who hears")
	}
	stdout, errs, err := r.runs("otto", "approve", "case", "--fingerprint", fingerprint.String()[:20], "--json")
	var answer answeredView
	if err != nil || json.Unmarshal([]byte(stdout), &answer) != nil || answer.Agent != 2 || answer.Decision != "approve" || answer.Again {
		t.Errorf("%v: %s\n%s", err, stdout, errs)
	}
	if stdout, _, err = r.runs("otto", "approve", "case", "--fingerprint", fingerprint.String()[:20]); err != nil || !strings.Contains(stdout, "(as before)") {
		t.Errorf("again: %v, %s", err, stdout)
	}
	if stdout, _, err = r.runs("odile", "deny", "case", "--comment", "Nobody knows her."); err != nil || !strings.Contains(stdout, "03-agent.answer") {
		t.Errorf("deny: %v, %s", err, stdout)
	}
	out, _, err = r.runs("odile", "show", "case")
	if must(t, err); !strings.Contains(out, "Officer 1 (Olga Berg) answered") || !strings.Contains(out, "approve (Spoke with Alice.)") || !strings.Contains(out, "deny (Nobody knows her.)") {
		t.Errorf("show:\n%s", out)
	}
	o, err := delivery.NewOpening(delivery.Open(filepath.Join(r.dir, "stick", "case")), delivery.OpeningConfig{Pins: []record.Hash{c.Roster}, Recipient: cms.Recipient{Certificate: a.device, Key: a.EncryptionKey}})
	if must(t, err); o.Missing() != 0 {
		t.Errorf("%d are missing", o.Missing())
	}
}

// TestRefusedAtTheTerminal: a case with faults is shown with all of them, and not approved.
func TestRefusedAtTheTerminal(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	roster := r.settle()
	a, c := r.restoreCase(roster, "case")
	other := *c
	other.Deadline = time.Now().Add(-time.Second)
	other.Opened = other.Deadline.Add(-time.Hour)
	s, err := other.Case.Sign(a.SigningKey)
	must(t, err)
	in := r.keep(roster, pkitest.NewPerson("bob"))
	r.put("bad", s, roster, in)
	out, _, err := r.runs("olga", "show", "bad")
	if must(t, err); strings.Count(out, "CANNOT BE APPROVED") != 2 || !strings.Contains(out, "Whose they are is not known") || strings.Contains(out, "bob") {
		t.Errorf("show:\n%s", out)
	}
	_, errs, err := r.runs("olga", "approve", "bad", "--fingerprint", record.Fingerprint(a.device).String())
	if err == nil || !strings.Contains(errs, "for 2 reasons") || !strings.Contains(errs, "kra-case-refused") {
		t.Errorf("approve: %v\n%s", err, errs)
	}
}

// TestBusinessAtTheTerminal: a manager's home, a case of two people, files that openssl reads, a wrong answer reported.
func TestBusinessAtTheTerminal(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	must(t, os.Mkdir(filepath.Join(r.dir, "manager"), 0o700))
	if all, err := r.types("manager", record.Hash{}, "keygen", "Mara Linde", "--recipient"); err != nil {
		t.Fatalf("%v\n%s", err, all)
	}
	card := filepath.Join(r.dir, "stick", "manager.card")
	receiver := r.certifyRecipient("Mara Linde", filepath.Join(r.home("manager"), "decryption.csr"), card)
	root := filepath.Join(r.dir, "olga", "root.pem")
	if all, err := r.types("manager", record.Hash{}, "import", card, "--root", root); err != nil || !strings.Contains(all, "may receive recovered keys") {
		t.Fatalf("%v\n%s", err, all)
	}
	roster := r.settle(func(p *kra.PlanConfig) { p.Business = []*kra.RecipientCard{receiver} })
	if all, err := r.types("manager", roster.Hash(), "verify-share", "ceremony/roster.bin"); err != nil || !strings.Contains(all, "lets you receive") {
		t.Fatalf("%v\n%s", err, all)
	}
	a, c := r.restoreCase(roster, "case")
	bob, carol := pkitest.NewPerson("bob"), pkitest.NewPerson("carol")
	b := *c
	b.ID, b.Kind = uuid.New(), record.CaseBusiness
	ins := []*record.InnerRecord{r.keep(roster, bob), r.keep(roster, carol)}
	b.Deliveries = []record.Delivery{{Recipient: receiver.Certificate, Subjects: []record.Subject{
		{Person: bob.ID, Records: []record.Hash{ins[0].Capsule.Hash()}}, {Person: carol.ID, Records: []record.Hash{ins[1].Capsule.Hash()}}}}}
	s, err := b.Case.Sign(a.SigningKey)
	must(t, err)
	if s.Deliveries[0].Subjects[0].Person != bob.ID {
		ins[0], ins[1] = ins[1], ins[0]
	}
	r.put("business", s, roster, ins...)
	if all, err := r.types("olga", record.Hash{}, "approve", "business"); err != nil || !strings.Contains(all, record.Fingerprint(receiver.Certificate).Words()[0]) {
		t.Fatalf("%v\n%s", err, all)
	}
	if _, errs, err := r.runs("manager", "open", "business", "--out", "../recovered"); err == nil || !strings.Contains(errs, "case-agents-missing") {
		t.Errorf("opened with one officer: %v\n%s", err, errs)
	}
	if _, errs, err := r.runs("odile", "approve", "business"); err == nil || !strings.Contains(errs, "was not approved") {
		t.Errorf("approved by nobody: %v\n%s", err, errs)
	}
	if _, errs, err := r.runs("odile", "approve", "business", "--yes"); err != nil {
		t.Fatalf("%v\n%s", err, errs)
	}
	must(t, os.WriteFile(filepath.Join(r.dir, "stick", "business", "02-agent.answer"), []byte("garbage"), 0o644))
	out, errs, err := r.runs("manager", "open", "business", "--out", "../recovered", "--gpgsm")
	if err != nil || !strings.Contains(out, "2 keys of 2 people were opened") || !strings.Contains(out, "WRONG ANSWER in") || !strings.Contains(out, "certificate is not known") {
		t.Errorf("%v\n%s%s", err, out, errs)
	}
	for _, who := range []string{"bob", "carol"} {
		dir := filepath.Join(r.dir, "recovered", who)
		text, err := exec.CommandContext(t.Context(), "openssl", "pkcs12", "-in", filepath.Join(dir, who+".p12"), "-passin", "file:"+filepath.Join(dir, who+".password"), "-nodes").CombinedOutput()
		if err != nil || bytes.Count(text, []byte("BEGIN PRIVATE KEY")) != 1 {
			t.Errorf("openssl: %v\n%s", err, text)
		}
		if _, err := os.Stat(filepath.Join(dir, "gpgsm", "01.p12")); err != nil {
			t.Error(err)
		}
	}
	again, _, err := r.runs("manager", "open", "business", "--out", "../recovered", "--json")
	var v openedView
	if err != nil || json.Unmarshal([]byte(again), &v) != nil || len(v.People) != 2 || len(v.Wrong) != 1 || v.People[0].Files.Uncertified != 1 {
		t.Errorf("%v\n%s", err, again)
	}
}

// TestWrongAnswerIsReported: the manager names the officer whose answer is wrong, signed with their own certificate for mail.
func TestWrongAnswerIsReported(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	must(t, os.Mkdir(filepath.Join(r.dir, "manager"), 0o700))
	_, errs, err := r.runs("manager", "keygen", "Mara Linde", "--recipient")
	if err != nil {
		t.Fatal(errs)
	}
	card := filepath.Join(r.dir, "stick", "manager.card")
	receiver := r.certifyRecipient("Mara Linde", filepath.Join(r.home("manager"), "decryption.csr"), card)
	if _, errs, err = r.runs("manager", "import", card, "--root", filepath.Join(r.dir, "olga", "root.pem")); err != nil {
		t.Fatal(errs)
	}
	roster := r.settle(func(p *kra.PlanConfig) { p.Legal = []*kra.RecipientCard{receiver} })
	if _, errs, err = r.runs("manager", "verify-share", "ceremony/roster.bin", "--pin", roster.Hash().String()); err != nil {
		t.Fatal(errs)
	}
	a, c := r.restoreCase(roster, "restore")
	bob := pkitest.NewPerson("bob")
	in := r.keep(roster, bob)
	legal := *c
	legal.ID, legal.Kind = uuid.New(), record.CaseLegal
	legal.Deliveries = []record.Delivery{{Recipient: receiver.Certificate, Subjects: []record.Subject{{Person: bob.ID, Records: []record.Hash{in.Capsule.Hash()}}}}}
	s, err := legal.Case.Sign(a.SigningKey)
	must(t, err)
	r.put("legal", s, roster, in)

	bundle, err := record.NewBundle(roster, s, 0, []*record.Capsule{in.Capsule}, nil)
	must(t, err)
	signer, err := keys.Open(t.Context(), filepath.Join(r.home("otto"), "signing.key"), keys.Unlock("the five words of otto"))
	must(t, err)
	garbage, err := record.Approving{Bundles: []*record.Bundle{bundle}, Share: threshold.Share{Agent: 2, Scalar: threshold.RandomScalar()}, Signer: signer, Time: time.Now()}.Approve()
	must(t, err)
	_, err = delivery.Open(filepath.Join(r.dir, "stick", "legal")).PutAnswer(garbage)
	must(t, err)
	for _, who := range []string{"olga", "odile"} {
		if _, errs, err = r.runs(who, "approve", "legal", "--yes"); err != nil {
			t.Fatal(errs)
		}
	}
	mara := r.IssuePair(t, pkitest.NewPerson("mara"))
	cert, err := x509.ParseCertificate(mara.Signing.DER)
	must(t, err)
	p12, err := pkcs12.Encode([]pkcs12.Entry{{Key: mara.SigningKey, Certificate: cert}}, nil, "a password", pkcs12.Modern)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(r.dir, "mara.p12"), p12, 0o600))
	must(t, os.WriteFile(filepath.Join(r.dir, "mara.password"), []byte("a password\n"), 0o600))
	out, errs, err := r.runs("manager", "open", "legal", "--out", "../out", "--identity", "../mara.p12", "--identity-password-file", "../mara.password")
	if err != nil || !strings.Contains(out, "agent 2 (Otto Lang) are wrong") || !strings.Contains(out, "Your signed report is in legal/02-agent.dispute") || !strings.Contains(out, "1 keys of 1 people") {
		t.Errorf("%v\n%s%s", err, out, errs)
	}
	b, err := os.ReadFile(filepath.Join(r.dir, "stick", "legal", "02-agent.dispute"))
	must(t, err)
	d, err := record.ParseDispute(b)
	must(t, err)
	if err := d.Verify(roster, s); err != nil || !d.Certificate.Equal(cert) || !d.Concerns(garbage.Approval) {
		t.Errorf("the report: %v", err)
	}
}

// certifyRecipient does what the operator does for somebody who may receive keys.
func (r *room) certifyRecipient(name, csr, out string) *kra.RecipientCard {
	r.t.Helper()
	certs := r.certified(name, csr, ca.RecoveryRecipient)
	card, err := kra.NewRecipientCard(r.persons[name], certs, r.Chain())
	must(r.t, err)
	text, err := card.Encode()
	must(r.t, err)
	must(r.t, os.WriteFile(out, text, 0o644))
	return card
}
