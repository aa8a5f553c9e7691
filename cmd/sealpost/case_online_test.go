package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/delivery"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// officer is a recovery officer at their own machine, who reaches the server.
func (r *running) officer(t testing.TB, login, line string, args ...string) e2etest.Command {
	t.Helper()
	return e2etest.Command{Path: shared.path("sealpost-kra"),
		Env: []string{"SEALPOST_KRA_PASSPHRASE=five random words of " + login, "SEALPOST_SERVER=" + r.url(), "SEALPOST_LOGIN=" + login, "SEALPOST_PASSWORD=" + slapdtest.Password(login)},
		Args: append(append([]string{"--home", filepath.Join(shared.path("officers"), login)}, words(line)...), args...)}
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
	right := delivery.Words(record.Fingerprint(alice.key.Certificate))[:5]
	wrong := delivery.Words(record.Hash{1, 2, 3, 4, 5, 6, 7, 8, 9, 10})[:5]
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
	e2etest.Bad(t, e2etest.Command{Path: shared.path("sealpost-kra"), Args: []string{"--home", filepath.Join(shared.path("officers"), "otto"), "cases"}}, "--server")
	r.stop(t)
	e2etest.Bad(t, r.officer(t, "otto", "cases"), "")
}
