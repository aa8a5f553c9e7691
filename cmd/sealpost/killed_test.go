package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/fault"
)

// A server is killed after every step of issuance, as a power cut would, and started again. After any of them the rules of
// the design hold, what the client repeats ends in its pair, what nobody repeats is finished or undone, and every serial
// that was written down and not signed is on the revocation list. The steps are those that a server tells of when it is
// not killed, so a new one is killed after as well.
func TestKilledAfterEveryStep(t *testing.T) {
	t.Parallel()
	for plan, steps := range stepsOf(t) {
		for _, step := range steps {
			t.Run(plan+"/"+step, func(t *testing.T) {
				t.Parallel()
				killedAfter(t, plan, step)
			})
		}
	}
}

// stepsOf returns the steps that each plan's enrolments take. Those that end an enrolment are the same in both plans, and
// listed once.
func stepsOf(t *testing.T) map[string][]string {
	t.Helper()
	i := newInstallation(t)
	file := filepath.Join(t.TempDir(), "steps")
	r := i.serve(t, stepsVariable+"="+file)
	steps := func(plan, login string) []string {
		write(t, file, "")
		if status, err := r.through(t, r.prepare(t, login, plan)); err != nil || status.State != api.StateIssued {
			t.Fatalf("%s: %+v, %v", plan, status, err)
		}
		return slices.DeleteFunc(words(read(t, file)), func(step string) bool { return strings.HasPrefix(step, "leaver.") }) // the sweep's, at its own time
	}
	plain, endorsed := steps("smime", "alice"), steps("smime-endorsed", "bob")
	r.stop(t)
	for n := len(plain); len(endorsed) > 0 && n > 0 && endorsed[len(endorsed)-1] == plain[n-1]; n-- {
		endorsed = endorsed[:len(endorsed)-1]
	}
	if len(plain) < 7 || len(endorsed) < 3 {
		t.Fatalf("these are not all steps: %v, %v", plain, endorsed)
	}
	return map[string][]string{"smime": plain, "smime-endorsed": endorsed}
}

// through takes a submission to its end, or repeats it: the person submits it, and a registrar endorses it where the plan
// asks. It returns the last answer.
func (r *running) through(t testing.TB, s submission) (api.EnrolmentStatus, error) {
	t.Helper()
	status, err := r.submit(t, s)
	if err != nil || status.State != api.StateSubmitted {
		return status, err
	}
	rita := r.as(t, "rita")
	defer rita.Close()
	return rita.Endorse(t.Context(), status.ID, api.Decision{})
}

// crash has people enrol at once, on a server that runs, and kills it when all have taken the step.
func (r *running) crash(t *testing.T, killFile, plan, step string, logins ...string) []submission {
	t.Helper()
	var all []submission
	for _, login := range logins {
		all = append(all, r.prepare(t, login, plan))
	}
	write(t, killFile, fmt.Sprintf("%s %d", step, len(logins)))
	var wg sync.WaitGroup
	for _, s := range all {
		wg.Go(func() {
			status, err := r.through(t, s)
			if !errors.Is(err, fault.Unavailable) {
				t.Errorf("%s: the server was killed, and the client hears %+v, %v", s.login, status, err)
			}
		})
	}
	wg.Wait()
	if code := r.Wait(t); code != -1 {
		t.Fatalf("the server was to be killed, and ended with exit code %d", code)
	}
	must(t, os.Remove(killFile))
	r.forgetKilled(t)
	r.keepsRules(t, "at the moment of the kill")
	return all
}

func killedAfter(t *testing.T, plan, step string) {
	i := newInstallation(t)
	i.foreverTLS(t)
	armed := filepath.Join(t.TempDir(), "kill")
	arm := killVariable + "=" + armed
	ahead := func(minutes int) string { return fmt.Sprintf("%s=%dm", clockVariable, minutes) }

	lost := i.serve(t, arm).crash(t, armed, plan, step, "alice", "bob")
	// Alice repeats her request at once.
	r := i.serve(t)
	r.yieldsPair(t, lost[0])
	r.keepsRules(t, "after the repetition")
	r.kill(t)
	// Bob does not, and within two minutes the server finishes what it can: everything but a key that it never got, and
	// what waits for a registrar.
	r = i.serve(t, arm, ahead(2))
	if step != "received" {
		e2etest.Eventually(t, func() error {
			if n := i.db.Count(t, `select count(*) from enroll.request where state in ('received', 'endorsed')`); n > 0 {
				return fmt.Errorf("%d requests are not resumed", n)
			}
			return nil
		})
	}
	r.keepsRules(t, "after two minutes")
	r.yieldsPair(t, lost[1])
	// Carol's server stays away for longer than anything prepared may be signed.
	late := r.crash(t, armed, plan, step, "carol")[0]
	r = i.serve(t, ahead(15))
	r.awaitSettled(t)
	r.keepsRules(t, "after a quarter of an hour")
	r.seenOutside(t)
	if step == "received" {
		if status, err := r.through(t, late); err != nil || status.State != api.StateFailed || !strings.Contains(status.Reason, "was not repeated in time") || len(status.Certificates) != 0 {
			t.Errorf("what came too late: %+v, %v", status, err)
		}
	} else {
		r.yieldsPair(t, late)
	}
	r.awaitSettled(t)
	r.seenOutside(t)
	r.keepsRules(t, "at the end")
	r.stop(t)
	i.run(t, "audit verify")
}

// kill ends the server without its leave.
func (r *running) kill(t testing.TB) {
	t.Helper()
	r.Signal(syscall.SIGKILL)
	r.Wait(t)
	r.forgetKilled(t)
}

// forgetKilled ends at once what other servers wait for before they take over from one that was killed: a quarter of a
// minute for its lease of periodic work, and three minutes for jobs it was at. TestOtherServerTakesOver waits.
func (r *running) forgetKilled(t testing.TB) {
	t.Helper()
	r.db.Exec(t, `delete from river.river_leader`)
	r.db.Exec(t, `update river.river_job set state = 'available' where state = 'running'`)
}

// Of two servers on one database one is killed in the middle of an enrolment; the other finishes it, and answers the
// client's repetition.
func TestOtherServerTakesOver(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	armed := filepath.Join(t.TempDir(), "kill")
	first := i.serve(t, killVariable+"="+armed)
	second := i.sibling(t).serve(t, clockVariable+"=2m")
	s := first.prepare(t, "alice", "smime")
	write(t, armed, "prepared 1")
	if status, err := first.submit(t, s); !errors.Is(err, fault.Unavailable) {
		t.Errorf("the server was killed, and the client hears %+v, %v", status, err)
	}
	if code := first.Wait(t); code != -1 {
		t.Fatalf("the server was to be killed, and ended with exit code %d", code)
	}
	i.keepsRules(t, "at the moment of the kill")
	second.awaitSettled(t)
	if n := i.db.Count(t, `select count(*) from ca.certificate where profile = 'smime-encryption'`); n != 1 {
		t.Errorf("%d encryption certificates before the client repeated", n)
	}
	second.yieldsPair(t, s)
	second.keepsRules(t, "at the end")
	second.seenOutside(t)
	second.stop(t)
}

// sibling returns another server's configuration for the same folder, database and directory.
func (i *installation) sibling(t testing.TB) *installation {
	t.Helper()
	s := *i
	s.api, s.public, s.portal = freeAddress(t), freeAddress(t), freeAddress(t)
	s.config = "sibling.yaml"
	write(t, s.path(s.config), read(t, i.path("server.yaml")))
	s.edit(t, map[string]any{"listen.api": s.api, "listen.public": s.public, "listen.portal": s.portal})
	return &s
}

// foreverTLS gives the API a certificate whose time does not depend on the server's clock, as one from elsewhere. The
// clients of this installation trust it.
func (i *installation) foreverTLS(t testing.TB) {
	t.Helper()
	openssl(t, i.dir, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "tls.key", "-out", "tls.pem", "-days", "30",
		"-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-addext", "extendedKeyUsage=serverAuth")
	i.edit(t, map[string]any{"listen.certificate": "tls.pem", "listen.key": "tls.key", "listen.hosts": nil})
	i.trusts = append(i.trusts, "tls.pem")
}

// yieldsPair repeats a request, which must end in a pair of its keys that openssl accepts.
func (r *running) yieldsPair(t testing.TB, s submission) {
	t.Helper()
	status, err := r.through(t, s)
	if err != nil || status.State != api.StateIssued || len(status.Certificates) != 2 || status.Receipt == nil {
		t.Errorf("%s does not get a pair: %+v, %v", s.login, status, err)
		return
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "crl.der"), string(r.fetch(t, "/crl/issuing.crl")))
	openssl(t, dir, "crl", "-inform", "DER", "-in", "crl.der", "-out", "crl.pem")
	for n, key := range []any{s.keys.signing.Public(), s.keys.encryption.Public()} {
		c := status.Certificates[n]
		spki, err := x509.MarshalPKIXPublicKey(key)
		must(t, err)
		leaf, err := x509.ParseCertificate(c.DER)
		must(t, err)
		if !bytes.Equal(leaf.RawSubjectPublicKeyInfo, spki) {
			t.Errorf("certificate %d of %s is of another key", n, s.login)
		}
		write(t, filepath.Join(dir, "leaf.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.DER})))
		// Servers with clocks ahead made some of these: time is not what is judged here.
		openssl(t, dir, "verify", "-x509_strict", "-no_check_time", "-crl_check", "-CAfile", r.path("pki/root.pem"), "-untrusted", r.path("pki/issuing.pem"),
			"-CRLfile", "crl.pem", "leaf.pem")
	}
}
