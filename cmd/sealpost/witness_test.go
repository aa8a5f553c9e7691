package main

import (
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/audit/proof"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/kra"
)

// asks has alice ask for her keys on a new device. It returns the case, and what she reads from it to officers.
func (r *running) asks(t *testing.T) (*record.SignedCase, string) {
	t.Helper()
	status, s := r.enrol(t, "alice")
	alice := newRestore(t, r.installation, status, s)
	signed := alice.draft(r)
	c := r.as(t, "alice")
	defer c.Close()
	_, err := c.OpenCase(t.Context(), api.CaseOpening{Case: signed.Bytes()})
	must(t, err)
	// The sequencer gives the case its place within a second; what follows is about a case that has it.
	e2etest.Eventually(t, func() error { _, err := c.CaseLog(t.Context(), signed.ID, nil); return err })
	return signed, strings.Join(record.Fingerprint(alice.key.Certificate).Words()[:5], " ")
}

// copied copies the database, as a backup does. Nobody may be connected.
func (i *installation) copied(t *testing.T) pgtest.Database {
	t.Helper()
	name := fmt.Sprintf("copy_%d", databases.Add(1))
	pgtest.Database{Cluster: i.db.Cluster, Name: "postgres"}.Exec(t, "create database "+name+" template "+i.db.Name+" strategy file_copy")
	return pgtest.Database{Cluster: i.db.Cluster, Name: name}
}

// use has the installation work on another database.
func (i *installation) use(t *testing.T, db pgtest.Database) {
	t.Helper()
	i.db = db
	i.edit(t, map[string]any{"database.url": db.URL(), "database.admin_url": db.AdminURL()})
}

func (i *installation) answers(t *testing.T, s *record.SignedCase) int64 {
	t.Helper()
	return i.db.Count(t, `select count(*) from archive.case_answer where case_id = $1`, s.ID)
}

// Officers verify the audit log before they answer, one online, one from a stick; what they countersign is with the log, and
// `audit verify` names them.
func TestOfficersWitnessTheLog(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	r := i.serve(t)
	signed, heard := r.asks(t)
	id := signed.ID.String()
	key := strings.TrimSpace(i.run(t, "audit key"))
	if words := i.run(t, "audit key --words"); strings.TrimSpace(words) != strings.Join(kra.KeyHash(key).Words(), " ") {
		t.Errorf("audit key --words: %s", words)
	}
	if out := e2etest.Good(t, r.officer(t, "oscar", "show", id)); !strings.Contains(out, "signed by its key") {
		t.Errorf("show:\n%s", out)
	}
	e2etest.Good(t, r.officer(t, "oscar", "approve", id, "--fingerprint", heard))
	if out := i.run(t, "audit verify"); !strings.Contains(out, "Oscar Officer has countersigned the first ") {
		t.Errorf("audit verify:\n%s", out)
	}

	// Otto has no network. He has seen the log before; who fetches the case for him does not know, and asks.
	e2etest.Good(t, r.officer(t, "otto", "log check"))
	var seen string
	for line := range strings.Lines(e2etest.Good(t, r.officer(t, "otto", "log show"))) {
		if _, n, ok := strings.Cut(line, "you have seen "); ok {
			seen = strings.Fields(n)[0]
		}
	}
	_, _ = r.enrol(t, "bob") // it grows
	r.awaitSequencer(t)
	stick := filepath.Join(t.TempDir(), "case")
	e2etest.Good(t, r.officer(t, "oscar", "fetch", id, stick))
	offline := e2etest.Command{Path: shared.path("sealpost-kra"), Env: []string{"SEALPOST_KRA_PASSPHRASE=five random words of otto"},
		Args: []string{"--home", i.home(t, "otto"), "approve", stick, "--fingerprint", heard}}
	e2etest.Bad(t, offline, "kra-log-missing", "with --seen "+seen)
	e2etest.Good(t, r.officer(t, "oscar", "fetch", id, stick, "--seen", seen))
	if out := e2etest.Run(t, offline); out.Code != 0 || !strings.Contains(out.Stderr, "Oscar Officer has countersigned") {
		t.Errorf("%d\n%s%s", out.Code, out.Stdout, out.Stderr)
	}
	if _, err := os.Stat(filepath.Join(stick, "03-agent.checkpoint")); err != nil {
		t.Error(err)
	}
	if out := e2etest.Good(t, r.officer(t, "oscar", "send", stick)); !strings.Contains(out, "The case is approved") {
		t.Errorf("send:\n%s", out)
	}
	if out := e2etest.Good(t, r.officer(t, "olivia", "log check --countersign --json")); !strings.Contains(out, "Otto Officer") {
		t.Errorf("log check:\n%s", out)
	}
	out := i.run(t, "audit verify")
	for _, who := range []string{"Olivia", "Oscar", "Otto"} {
		if !strings.Contains(out, who+" Officer has countersigned the first ") {
			t.Errorf("audit verify:\n%s", out)
		}
	}
	// Another installation's key is refused, whoever gives it.
	other, err := proof.VerifierKey("localhost/sealpost", make([]byte, ed25519.PublicKeySize))
	must(t, err)
	e2etest.Bad(t, r.officer(t, "olivia", "log trust", other), "kra-log-key", key)
	e2etest.Bad(t, r.officer(t, "olivia", "log trust", "x"), "audit verifier key")
	r.stop(t)
}

// awaitSequencer waits until every event has its place.
func (r *running) awaitSequencer(t *testing.T) {
	t.Helper()
	e2etest.Eventually(t, func() error {
		if n := r.db.Count(t, `select count(*) from audit.pending`); n > 0 {
			return fmt.Errorf("%d wait", n)
		}
		return nil
	})
}

// The database is set back to an old backup after an officer saw the log, and goes on from there, with the log's own key. The
// officer notices, before and after the log is longer than what they saw; so does one to whom they show that; nobody signs.
func TestOfficersNoticeARewoundLog(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	r := i.serve(t)
	signed, heard := r.asks(t)
	id := signed.ID.String()
	r.stop(t)
	backup := i.copied(t)
	r = i.serve(t)
	for _, login := range []string{"bob", "carol", "rita"} {
		_, _ = r.enrol(t, login)
	}
	r.awaitSequencer(t)
	e2etest.Good(t, r.officer(t, "oscar", "approve", id, "--fingerprint", heard))
	r.stop(t)

	must(t, os.Rename(i.path("audit-checkpoints"), i.path("audit-checkpoints.before"))) // nobody but Oscar knows better
	i.use(t, backup)
	r = i.serve(t)
	notices := func(login, code string) {
		t.Helper()
		for _, line := range []string{"approve", "deny"} {
			args := []string{id}
			if line == "approve" {
				args = append(args, "--fingerprint", heard)
			}
			e2etest.Bad(t, r.officer(t, login, line, args...), code, "Nothing was signed", "an auditor")
		}
	}
	notices("oscar", "kra-log-shortened")
	e2etest.Bad(t, r.officer(t, "oscar", "log check"), "kra-log-shortened")
	for _, login := range []string{"bob", "carol", "rita", "alice", "bob"} {
		_, _ = r.enrol(t, login)
	}
	r.awaitSequencer(t)
	notices("oscar", "kra-log-rewritten")

	// Olivia sees nothing amiss, until Oscar shows her what he has seen.
	e2etest.Good(t, r.officer(t, "olivia", "log check"))
	seen := filepath.Join(i.home(t, "oscar"), "log.txt")
	e2etest.Bad(t, r.officer(t, "olivia", "log check", seen), "kra-log-split", "Oscar Officer has countersigned")
	stick := filepath.Join(t.TempDir(), "case")
	for range 2 { // the second time with what the server has to say of Oscar's
		e2etest.Good(t, r.officer(t, "olivia", "fetch", id, stick))
		must(t, os.WriteFile(filepath.Join(stick, "02-agent.checkpoint"), []byte(after(read(t, seen), "\n\n")), 0o600))
	}
	e2etest.Bad(t, r.officer(t, "olivia", "approve", stick, "--fingerprint", heard), "kra-log-split", "Oscar Officer has countersigned (02-agent.checkpoint)")
	if n := i.answers(t, signed); n != 0 {
		t.Errorf("%d officers answered", n)
	}
	// An auditor measures by what Oscar has seen.
	e2etest.Bad(t, i.command("audit verify --kept", seen), "not whole")
	if out := e2etest.Run(t, i.command("audit verify --kept", seen)); !strings.Contains(out.Stdout, "NOT WHOLE: rewritten") || !strings.Contains(out.Stdout, "that Oscar Officer countersigned has another root") {
		t.Errorf("audit verify:\n%s", out.Stdout)
	}
	// Brought to the server, it is kept as evidence, and then found by everybody.
	e2etest.Bad(t, r.officer(t, "olivia", "send", stick), "kra-log-rewritten", "02-agent.checkpoint was not sent")
	e2etest.Bad(t, r.officer(t, "otto", "log check"), "kra-log-split", "Oscar Officer has countersigned")
	if out := e2etest.Run(t, i.command("audit verify")); !strings.Contains(out.Stdout, "that Oscar Officer countersigned") {
		t.Errorf("audit verify:\n%s", out.Stdout)
	}

	// The officers have found out why, and agree to begin anew.
	e2etest.Good(t, r.officer(t, "oscar", "log forget"))
	e2etest.Bad(t, r.officer(t, "oscar", "approve", id, "--fingerprint", heard), "not typed", "log trust")
	e2etest.Good(t, r.officer(t, "oscar", "log trust", strings.TrimSpace(i.run(t, "audit key"))))
	r.stop(t)
}

// after returns what follows a separator.
func after(s, sep string) string {
	_, rest, _ := strings.Cut(s, sep)
	return rest
}

// A case that was put in behind the log's back, or whose event names another, is not answered.
func TestOfficersNoticeACaseThatIsNotInTheLog(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	r := i.serve(t)
	signed, heard := r.asks(t)
	subject := "case:" + signed.ID.String()
	for _, c := range []struct{ what, sql, says string }{
		{"an event that names another case", `update audit.event set body = replace(body, '` + signed.Hash().String() + `', repeat('0', 64)) where kind = 'archive.case-requested' and subject = $1`, "names another"},
		{"no event", `delete from audit.event where kind = 'archive.case-requested' and subject = $1`, "no event of this case's opening"},
	} {
		i.db.Exec(t, c.sql, subject)
		e2etest.Bad(t, r.officer(t, "oscar", "approve", signed.ID.String(), "--fingerprint", heard), "kra-log-case", c.says, "Nothing was signed")
		e2etest.Bad(t, r.officer(t, "oscar", "deny", signed.ID.String()), "kra-log-case", c.says)
	}
	if n := i.answers(t, signed); n != 0 {
		t.Errorf("%d officers answered", n)
	}
	r.stop(t)
}
