package kra_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/delivery"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/kra"
)

var lastYear, lastMonth = time.Now().AddDate(-1, 0, 0), time.Now().AddDate(0, -1, 0)

// alices is a vault with two keys of alice and one of bob.
func alices(t *testing.T, change ...func(*kra.PlanConfig)) *vault {
	t.Helper()
	v := newVault(t, change...)
	v.keep("alice", pkitest.RSAKey(t, ca.RSA3072, 0), lastYear)
	v.keep("alice", pkitest.NewKey(t, ca.P256), lastMonth)
	v.keep("bob", pkitest.NewKey(t, ca.P256), lastMonth)
	return v
}

// TestRestoreCase: a case goes from the folder through two officers to files that openssl reads.
func TestRestoreCase(t *testing.T) {
	t.Parallel()
	v := alices(t)
	alice := v.device("alice")
	dir, s := v.folder(v.restore(alice), alice.SigningKey)

	x := v.officers[0].examine(t, dir)
	if x.Refusal() != nil || len(x.Subjects) != 1 || x.Subjects[0].Keys != 2 || x.Subjects[0].Name() != "alice Example" ||
		x.Subjects[0].Mails[0] != "alice@example.test" || x.Agent.ID != 1 || len(x.Warnings) != 0 {
		t.Errorf("seen: %+v, %v", x, x.Refusal())
	}
	for name, typed := range map[string]string{"nothing": "", "64 bits": strings.Join(x.Recipients[0].Fingerprint.Words()[:4], " "),
		"76 bits": x.Recipients[0].Fingerprint.String()[:19], "another's": strings.Repeat("babab ", 5)} {
		h, err := kra.ParseHeard(typed)
		must(t, err)
		if _, err := v.officers[0].Approve(t.Context(), x, h, ""); !errors.Is(err, kra.ErrHeard) {
			t.Errorf("approved having heard %s: %v", name, err)
		}
	}
	if found, _ := filepath.Glob(filepath.Join(dir, "*.answer")); len(found) != 0 {
		t.Errorf("answers before anybody approved: %v", found)
	}
	approve(t, dir, s, v.officers[0])
	if o := receive(t, dir, alice.recipient(t)); o.Missing() != 1 {
		t.Errorf("%d are missing", o.Missing())
	} else {
		for _, err := range o.People(delivery.Certificates{}) {
			refused(t, "one officer alone", err, delivery.ErrNotEnough, "1 more agents")
		}
	}
	approve(t, dir, s, v.officers[2])

	o := receive(t, dir, alice.recipient(t))
	if len(o.Wrong) != 0 || len(o.Good) != 2 {
		t.Errorf("good %v, wrong %v", o.Good, o.Wrong)
	}
	certs, err := delivery.Open(dir).Certificates()
	must(t, err)
	out := filepath.Join(t.TempDir(), "recovered")
	for p, err := range o.People(certs) {
		must(t, err)
		kept := v.kept["alice"]
		holds(t, p, kept[1], kept[0])
		files, err := p.Write(out, delivery.Names{}.For(p), delivery.FileOptions{GPGSM: true, Now: time.Now()})
		must(t, err)
		if files.Keys != 2 || files.Uncertified != 0 || len(files.GPGSM) != 2 {
			t.Errorf("files: %+v", files)
		}
	}
	readByOpenSSL(t, out, "alice", 2)
}

// readByOpenSSL demands that openssl reads so many keys, the newest first.
func readByOpenSSL(t *testing.T, dir, name string, n int) {
	t.Helper()
	text, err := exec.CommandContext(t.Context(), "openssl", "pkcs12", "-in", filepath.Join(dir, name+".p12"),
		"-passin", "file:"+filepath.Join(dir, name+".password"), "-nodes").CombinedOutput()
	if err != nil {
		t.Fatalf("openssl: %v\n%s", err, text)
	}
	if bytes.Count(text, []byte("BEGIN PRIVATE KEY")) != n || bytes.Count(text, []byte("BEGIN CERTIFICATE")) != n+2 {
		t.Errorf("openssl reads:\n%s", text)
	}
	first := bytes.Index(text, []byte("friendlyName: alice Example (encryption)"))
	if old := bytes.Index(text, []byte("friendlyName: alice Example (old encryption")); first < 0 || old < first {
		t.Errorf("the newest key is not the first:\n%s", text)
	}
}

// TestApprovingAgain: one decryption and one answer, whatever happens.
func TestApprovingAgain(t *testing.T) {
	t.Parallel()
	v := alices(t)
	alice := v.device("alice")
	c := v.restore(alice)
	dir, s := v.folder(c, alice.SigningKey)
	o := v.officers[0]
	approve(t, dir, s, o)
	path := filepath.Join(dir, delivery.AnswerFile(1))
	before := read(t, path)
	must(t, os.Remove(path))
	a, err := o.again(t).Approve(t.Context(), o.examine(t, dir), kra.Heard{}, "another comment")
	if err != nil || !a.Again || !bytes.Equal(read(t, path), before) {
		t.Errorf("a second approval: %+v, %v", a, err)
	}
	if a, err := o.Approve(t.Context(), o.examine(t, dir), kra.Heard{}, ""); err != nil || !a.Again {
		t.Errorf("a third: %v", err)
	}
	_, err = o.Deny(t.Context(), o.examine(t, dir), "No.")
	refused(t, "deny after approving", err, kra.ErrAnswered, "approve")

	// Somebody exchanges the case under its id after it was approved.
	c.Reason = "Another reason."
	other, err := c.Sign(alice.SigningKey)
	must(t, err)
	swapped := v.put(other)
	x := o.examine(t, swapped)
	refused(t, "a swapped case", x.Refusal(), kra.ErrAnswered, "exchanged")
	_, err = o.Approve(t.Context(), x, heard(t, s.Deliveries[0].Recipient), "")
	refused(t, "a swapped case", err, kra.ErrAnswered, "exchanged")

	// A denial stands too, and is forgotten only when the case is over.
	_, err = v.officers[1].Deny(t.Context(), v.officers[1].examine(t, dir), "I do not know her.")
	must(t, err)
	_, err = v.officers[1].Approve(t.Context(), v.officers[1].examine(t, dir), heard(t, s.Deliveries[0].Recipient), "")
	refused(t, "approve after denying", err, kra.ErrAnswered, "deny")
	if op := receive(t, dir, alice.recipient(t)); len(op.Denied) != 1 || op.Missing() != 1 {
		t.Errorf("denied %v, missing %d", op.Denied, op.Missing())
	}
	late := &officer{Officer: openAt(t, o.home, time.Now().AddDate(0, 1, 0)), home: o.home, card: o.card}
	must(t, late.Unlock(t.Context(), passphrase))
	if _, err := late.Approve(t.Context(), late.examine(t, dir), heard(t, s.Deliveries[0].Recipient), ""); !errors.Is(err, record.ErrCase) {
		t.Errorf("after the deadline: %v", err)
	}
	if found := leaks(t, filepath.Join(o.home, "cases"), s.Bytes()); len(found) != 0 {
		t.Errorf("an answer is kept after its case: %v", found)
	}
}

// TestRefusedCases is a rogue server, and requesters who may not.
func TestRefusedCases(t *testing.T) {
	t.Parallel()
	v := alices(t)
	alice, mallory, olga := v.device("alice"), v.device("mallory"), v.device("Olga")
	foreign := newCompany(t)
	stranger := foreign.IssuePair(t, v.person("alice"))
	for name, c := range map[string]struct {
		change func(*record.Case)
		signer func() *device
		want   *errorText
	}{
		"an invented requester": {func(c *record.Case) { c.Requester.Certificate = parse(t, stranger.Signing.DER) },
			func() *device { return &device{alice.Person, stranger} }, &errorText{kra.ErrRequester, "does not lead to the root"}},
		"a requester under another's name": {func(c *record.Case) { c.Requester.Certificate = mallory.signing(t) },
			func() *device { return mallory }, &errorText{kra.ErrRequester, "mallory Example"}},
		"an encryption certificate signs": {func(c *record.Case) { c.Requester.Certificate = parse(t, alice.Encryption.DER) },
			func() *device { return &device{alice.Person, pkitest.Pair{SigningKey: alice.EncryptionKey}} }, &errorText{kra.ErrRequester, "not one to sign"}},
		"another's keys under alice": {func(c *record.Case) {
			c.Deliveries[0].Subjects[0].Records = append(c.Deliveries[0].Subjects[0].Records, v.kept["bob"][0].record.Capsule.Hash())
		}, nil, &errorText{record.ErrCase, "belongs to bob Example"}},
		"a recipient that the roster does not know": {func(c *record.Case) { c.Kind = record.CaseLegal }, nil, &errorText{record.ErrCase, "not one whom the roster allows"}},
		"another epoch":       {func(c *record.Case) { c.Epoch = 2 }, nil, &errorText{record.ErrCase, "another roster"}},
		"a case that is over": {func(c *record.Case) { c.Opened, c.Deadline = lastYear, lastMonth }, nil, &errorText{record.ErrCase, "The case is open from"}},
		"keys for a drill":    {func(c *record.Case) { c.Kind = record.CaseDrill; c.Deliveries[0].Subjects[0].Person = [16]byte{} }, nil, &errorText{record.ErrCase, "purpose"}},
		"the officer's own keys": {func(c *record.Case) {
			c.Requester = record.Requester{Person: olga.ID, Name: "Olga Example", Certificate: olga.signing(t)}
			c.Kind = record.CaseBusiness
		}, func() *device { return olga }, &errorText{record.ErrCase, "asks for these keys"}},
	} {
		cc := v.restore(alice)
		cc.Deliveries[0].Subjects = []record.Subject{v.subject("alice")}
		c.change(&cc)
		by := alice
		if c.signer != nil {
			by = c.signer()
		}
		dir, s := v.folder(cc, by.SigningKey)
		x := v.officers[0].examine(t, dir)
		if err := x.Refusal(); err == nil || !errorIn(x, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := v.officers[0].Approve(t.Context(), x, heard(t, s.Deliveries[0].Recipient), ""); err == nil {
			t.Errorf("%s: approved", name)
		}
		if found, _ := filepath.Glob(filepath.Join(dir, "*.answer")); len(found) != 0 {
			t.Errorf("%s: %v", name, found)
		}
	}
}

type errorText struct {
	err  error
	text string
}

func errorIn(x *kra.Examination, want *errorText) bool {
	for _, err := range x.Faults {
		if errors.Is(err, want.err) && strings.Contains(err.Error(), want.text) {
			return true
		}
	}
	return false
}

// TestOtherRoster: a roster that an officer has not verified is not used, whatever it says.
func TestOtherRoster(t *testing.T) {
	t.Parallel()
	v := alices(t)
	alice := v.device("alice")
	dir, s := v.folder(v.restore(alice), alice.SigningKey)
	o := v.officers[1]
	must(t, os.RemoveAll(filepath.Join(o.home, "rosters")))
	_, err := o.Approve(t.Context(), o.examine(t, dir), heard(t, s.Deliveries[0].Recipient), "")
	refused(t, "a roster that was not verified", err, kra.ErrRosterUnknown, "verify-share")
	_, err = o.Deny(t.Context(), o.examine(t, dir), "")
	refused(t, "deny under it", err, kra.ErrRosterUnknown, "verify-share")
	_, err = o.VerifyShare(v.roster, v.roster.Hash())
	must(t, err)
	approve(t, dir, s, o)

	// And an officer of another roster is none of this one.
	stranger := v.company.officers("Ortrud")[0]
	x := stranger.examine(t, dir)
	if !errorIn(x, &errorText{kra.ErrNotInPlan, "Ortrud"}) || !errorIn(x, &errorText{kra.ErrRosterUnknown, ""}) {
		t.Errorf("a stranger: %v", x.Refusal())
	}
}

// TestFoldersThatAreNotWhole: what is missing is named; a download resumes.
func TestFoldersThatAreNotWhole(t *testing.T) {
	t.Parallel()
	v := alices(t)
	alice := v.device("alice")
	dir, s := v.folder(v.restore(alice), alice.SigningKey)
	o, f := v.officers[0], delivery.Open(dir)
	whole := read(t, dir, delivery.CapsulesFile)
	must(t, os.Truncate(filepath.Join(dir, delivery.CapsulesFile), int64(len(whole)-10)))
	refused(t, "capsules cut off", o.examine(t, dir).Refusal(), delivery.ErrIncomplete, "1 of the case's 2 records")
	kept := v.of(s.Deliveries[0])
	must(t, f.AddCapsules(kept[1].record.Capsule.Bytes()))
	if !bytes.Equal(read(t, dir, delivery.CapsulesFile), whole) {
		t.Error("a resumed file is not the whole one")
	}
	must(t, o.examine(t, dir).Refusal())
	write(t, append(bytes.Clone(whole), whole...), dir, delivery.CapsulesFile)
	refused(t, "capsules twice", o.examine(t, dir).Refusal(), delivery.ErrIncomplete, "4 of the case's 2 records")
	write(t, append([]byte{0xff, 0xff, 0xff, 0xff}, whole...), dir, delivery.CapsulesFile)
	refused(t, "a huge frame", o.examine(t, dir).Refusal(), delivery.ErrFolder, delivery.CapsulesFile)
	if err := f.AddCapsules(kept[0].record.Capsule.Bytes()); !errors.Is(err, delivery.ErrFolder) {
		t.Errorf("adding to a damaged file: %v", err)
	}
	write(t, whole, dir, delivery.CapsulesFile)
	approve(t, dir, s, v.officers[0], v.officers[1])

	records := read(t, dir, delivery.RecordsFile(0))
	must(t, os.Truncate(filepath.Join(dir, delivery.RecordsFile(0)), int64(len(records)-1)))
	_, err := delivery.NewOpening(f, delivery.OpeningConfig{Pins: []record.Hash{s.Roster}, Recipient: alice.recipient(t)})
	refused(t, "records cut off", err, delivery.ErrIncomplete, "1 of 2 records")
	_, err = delivery.NewOpening(f, delivery.OpeningConfig{Pins: []record.Hash{s.Roster}, Recipient: v.device("bob").recipient(t)})
	refused(t, "another recipient", err, delivery.ErrRecipient, "delivers nothing")
	_, err = delivery.NewOpening(f, delivery.OpeningConfig{Pins: []record.Hash{{1}}, Recipient: alice.recipient(t)})
	refused(t, "another roster", err, record.ErrPin, delivery.RosterFile)
	if _, err := delivery.Create(dir, mustSign(t, v.restore(alice), alice), v.roster, nil); !errors.Is(err, delivery.ErrFolder) {
		t.Errorf("another case in the same folder: %v", err)
	}
	_, err = o.Examine(t.TempDir(), nil)
	refused(t, "an empty folder", err, delivery.ErrFolder, delivery.CaseFile)
}

func mustSign(t *testing.T, c record.Case, d *device) *record.SignedCase {
	t.Helper()
	s, err := c.Sign(d.SigningKey)
	must(t, err)
	return s
}
