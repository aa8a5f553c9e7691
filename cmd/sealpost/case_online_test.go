package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// officer is a recovery officer at their own machine, who reaches the server.
func (r *running) officer(t testing.TB, login, line string, args ...string) e2etest.Command {
	t.Helper()
	return e2etest.Command{Path: shared.path("sealpost-kra"),
		Env:  []string{"SEALPOST_KRA_PASSPHRASE=five random words of " + login, "SEALPOST_SERVER=" + r.url(), "SEALPOST_LOGIN=" + login, "SEALPOST_PASSWORD=" + slapdtest.Password(login)},
		Args: append(append([]string{"--home", r.home(t, login)}, words(line)...), args...)}
}

// home returns an officer's or recipient's home, which is of this installation alone: it knows the installation's audit log.
func (i *installation) home(t testing.TB, login string) string {
	t.Helper()
	i.moving.Lock()
	defer i.moving.Unlock()
	dir := filepath.Join(i.homes, login)
	if _, err := os.Stat(dir); err != nil {
		copyHome(t, dir, filepath.Join(shared.path("officers"), login))
	}
	return dir
}

// Officers find a case on the server, look at it, and answer it there; one who hears the wrong words does not approve.
func TestOfficersAnswerOnline(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	r := i.serve(t)
	status, s := r.enrol(t, "alice")
	alice := newRestore(t, i, status, s)
	signed := alice.draft(r)
	id := signed.ID.String()
	c := r.as(t, "alice")
	defer c.Close()
	_, err := c.OpenCase(t.Context(), api.CaseOpening{Case: signed.Bytes()})
	must(t, err)

	if out := e2etest.Good(t, r.officer(t, "oscar", "cases --state requested")); !strings.Contains(out, id) || !strings.Contains(out, "Alice Anders") {
		t.Errorf("cases:\n%s", out)
	}
	if out := e2etest.Good(t, r.officer(t, "oscar", "cases --state closed")); !strings.Contains(out, "no cases") {
		t.Errorf("closed cases:\n%s", out)
	}
	if out := e2etest.Good(t, r.officer(t, "oscar", "show", id)); !strings.Contains(out, "Alice Anders") || !strings.Contains(out, "left in a train") {
		t.Errorf("show:\n%s", out)
	}
	right := record.Fingerprint(alice.key.Certificate).Words()[:5]
	wrong := record.Hash{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}.Words()[:5]
	e2etest.Bad(t, r.officer(t, "oscar", "approve", id, "--fingerprint", strings.Join(wrong, " ")), "fingerprint")
	for range 2 { // the same answer again changes nothing
		if out := e2etest.Good(t, r.officer(t, "oscar", "approve", id, "--fingerprint", strings.Join(right, " "))); !strings.Contains(out, "It was sent.") {
			t.Errorf("approve:\n%s", out)
		}
	}
	k, err := c.Case(t.Context(), signed.ID)
	if err != nil || k.State != api.CaseRequested || len(k.Answers) != 1 {
		t.Errorf("after one: %s, %d answers, %v", k.State, len(k.Answers), err)
	}
	e2etest.Good(t, r.officer(t, "olivia", "deny", id, "--comment", "Nobody answers at this number."))
	e2etest.Good(t, r.officer(t, "otto", "approve", id, "--fingerprint", strings.Join(right, " ")))
	if k, err = c.Case(t.Context(), signed.ID); err != nil || k.State != api.CaseApproved || len(k.Answers) != 3 {
		t.Errorf("after all: %s, %d answers, %v", k.State, len(k.Answers), err)
	}
	e2etest.Bad(t, r.officer(t, "otto", "show", "00000000-0000-4000-8000-000000000000"), "no such recovery case")
	e2etest.Bad(t, e2etest.Command{Path: shared.path("sealpost-kra"), Args: []string{"--home", r.home(t, "otto"), "cases"}}, "--server")
	r.stop(t)
	e2etest.Bad(t, r.officer(t, "otto", "cases"), "")
}

// A department's mail after somebody left: rita asks, two officers agree, bob receives and opens, and openssl reads old
// mail with what he got. The people's own tools do all of it.
func TestBusinessCaseOnline(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.edit(t, map[string]any{"directory.roles.4": map[string]any{"role": "recovery-requester", "group": slapdtest.GroupDN("recovery-requesters")}})
	r := i.serve(t)
	alice, rita := r.desk(t, "alice"), r.desk(t, "rita")
	e2etest.Good(t, alice.enroll())
	e2etest.Good(t, rita.enroll())
	mail := openssl(t, alice.home, "cms", "-encrypt", "-in", "mail.txt", "-aes-256-cbc", "-outform", "PEM", "out/encryption.pem")
	write(t, alice.file("old.pem"), mail)

	recipient := openssl(t, "", "x509", "-in", filepath.Join(shared.path("officers"), "bob.card"), "-outform", "DER")
	sum := sha256.Sum256([]byte(recipient))
	var opened []struct{ ID string }
	out := rita.does("case open --kind business --yes --json", "--person", "alice@example.test", "--recipient", hex.EncodeToString(sum[:]),
		"--reason", "Alice has left; her customers' mail must be answered.", "--reference", "HR-2026-118")
	must(t, json.Unmarshal([]byte(out), &opened))
	id := opened[0].ID
	fails(t, rita.byCertificate("case open --kind business --yes", "--person", "alice@example.test", "--recipient", strings.Repeat("0", 64), "--reason", "x"), "no-such-recipient")
	e2etest.Bad(t, r.officer(t, "bob", "open", id, "--out", t.TempDir()), "more agents must approve")
	e2etest.Good(t, r.officer(t, "oscar", "approve", id, "--yes"))
	e2etest.Good(t, r.officer(t, "olivia", "approve", id, "--yes", "--comment", "The head of sales confirms it."))
	got := filepath.Join(t.TempDir(), "got")
	if said := e2etest.Good(t, r.officer(t, "bob", "open", id, "--out", got)); !strings.Contains(said, "alice") {
		t.Errorf("open:\n%s", said)
	}
	p12, err := filepath.Glob(filepath.Join(got, "*.p12"))
	if err != nil || len(p12) != 1 {
		t.Fatalf("%v, %v", p12, err)
	}
	key := filepath.Join(t.TempDir(), "key.pem")
	openssl(t, "", "pkcs12", "-in", p12[0], "-passin", "file:"+strings.TrimSuffix(p12[0], ".p12")+".password", "-nodes", "-nocerts", "-out", key)
	if text := openssl(t, alice.home, "cms", "-decrypt", "-inform", "PEM", "-in", "old.pem", "-recip", "out/encryption.pem", "-inkey", key); !strings.Contains(text, "small room") {
		t.Errorf("openssl reads %s", text)
	}
	if n := i.db.Count(t, `select count(*) from archive.recovery_case where id = $1 and state = 'closed'`, id); n != 1 {
		t.Error("the case is not closed")
	}
	e2etest.Bad(t, r.officer(t, "bob", "open", id, "--out", filepath.Join(t.TempDir(), "again")), "closed")
	r.stop(t)
	i.run(t, "audit verify")
}

// Officers who have no folder in common hold a ceremony by way of the server: each has a folder of their own.
func TestCeremonyOnline(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	r := i.serve(t)
	base := t.TempDir()
	folder := func(login string) string { return filepath.Join(base, login, "ceremony") }
	var cards []string
	for _, login := range officers {
		cards = append(cards, filepath.Join(shared.path("officers"), login+".card"))
	}
	must(t, os.MkdirAll(filepath.Join(base, "olivia"), 0o700))
	e2etest.Good(t, r.officer(t, "olivia", "plan", append([]string{folder("olivia"), "--archive", "Second", "--threshold", "2"}, cards...)...))
	plan := sha256.Sum256([]byte(read(t, filepath.Join(folder("olivia"), "plan.bin"))))
	hash := hex.EncodeToString(plan[:])
	e2etest.Bad(t, r.officer(t, "oscar", "ceremony sync", folder("oscar")), "by its hash")
	e2etest.Bad(t, r.officer(t, "oscar", "ceremony sync", folder("oscar"), "--plan", hash), "no ceremony")
	sync := func() {
		t.Helper()
		for _, login := range officers {
			args := []string{folder(login)}
			if _, err := os.Stat(folder(login)); err != nil {
				args = append(args, "--plan", hash)
			}
			e2etest.Good(t, r.officer(t, login, "ceremony sync", args...))
		}
	}
	sync()
	for _, round := range []string{"commit", "reveal", "acknowledge"} {
		for _, login := range officers {
			e2etest.Good(t, r.officer(t, login, "ceremony "+round, folder(login), "--agreed-hash", hash))
		}
		sync() // the first has not what the last sends
		sync()
	}
	var rosters []string
	for _, login := range officers {
		e2etest.Good(t, r.officer(t, login, "ceremony finish", folder(login)))
		rosters = append(rosters, read(t, filepath.Join(folder(login), "roster.bin")))
	}
	if rosters[0] != rosters[1] || rosters[1] != rosters[2] {
		t.Error("the officers have different rosters")
	}
	r.stop(t)
}
