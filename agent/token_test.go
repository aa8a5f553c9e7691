//go:build cgo

package agent_test

import (
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/agent/pin"
	"github.com/sealpost/sealpost/agent/token"
	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/tokentest"
)

// withToken is a workstation with a token, and a server that wants the signing key on it.
func withToken(t *testing.T) (*workstation, *tokentest.Token) {
	t.Helper()
	v := tokentest.New(t)
	w := newWorkstation(t)
	p := token.New(token.Config{Address: v.Module, PIN: pin.Source{Given: true, Read: func(string) (string, error) { return v.PIN, nil }}})
	t.Cleanup(func() { _ = p.Close() })
	w.places = []agent.Place{p}
	w.plans[0].Signing.Places, w.plans[0].Signing.PIN = []string{api.PlaceToken}, 6
	return w, v
}

// whole demands one key with both halves and its certificate, and nothing else.
func whole(t *testing.T, when string, v *tokentest.Token) {
	t.Helper()
	for _, kind := range []string{"Private Key", "Public Key", "Certificate"} {
		if n := v.Count(kind); n != 1 {
			t.Errorf("%s: %d of %q on the token", when, n, kind)
		}
	}
}

// A signing key on the token enrols, renews by its own certificate, and makes room for the next; NSS signs mail with it.
func TestSigningKeyOnToken(t *testing.T) {
	w, v := withToken(t)
	w.wants, w.clock.at = true, time.Now() // at which Mozilla's tools judge
	id, err := w.enrol(t, agent.EnrolOptions{})
	if err != nil {
		t.Fatal(err)
	}
	whole(t, "enrolled", v)
	onlyCertificate(t, id)
	r, err := w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{Force: true})
	if err != nil || !r.Renewed || r.Identity.Signing().Key.Place() != api.PlaceToken || len(w.advertised) != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	whole(t, "renewed", v)
	onlyCertificate(t, r.Identity)
	signsInNSS(t, w, v)
}

// signsInNSS has Mozilla's tools sign a message with the key on the token, and openssl verify it.
func signsInNSS(t *testing.T, w *workstation, v *tokentest.Token) {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "root.pem"), pemOf(w.pki.root))
	write(t, filepath.Join(dir, "issuing.pem"), pemOf(w.pki.issuing))
	write(t, filepath.Join(dir, "message"), []byte("Content-Type: text/plain\r\n\r\nSigned on a token.\r\n"))
	write(t, filepath.Join(dir, "pin"), []byte(v.Label+":"+v.PIN+"\n"))
	write(t, filepath.Join(dir, "pin-alone"), []byte(v.PIN+"\n"))
	run := func(name string, args ...string) string {
		t.Helper()
		c := exec.Command(name, args...)
		c.Dir = dir
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		return string(out)
	}
	run("certutil", "-N", "-d", "sql:"+dir, "--empty-password")
	run("certutil", "-A", "-d", "sql:"+dir, "-n", "root", "-t", ",C,", "-i", "root.pem")
	run("certutil", "-A", "-d", "sql:"+dir, "-n", "issuing", "-t", ",,", "-i", "issuing.pem")
	run("modutil", "-dbdir", "sql:"+dir, "-add", "sample", "-libfile", v.Module, "-force")
	listed := run("certutil", "-L", "-d", "sql:"+dir, "-h", v.Label, "-f", "pin-alone")
	nickname := v.Label + ":Alice Example"
	if !strings.Contains(listed, nickname) || !strings.Contains(listed, "u,u,u") {
		t.Fatalf("NSS does not find the key with its certificate:\n%s", listed)
	}
	run("cmsutil", "-S", "-d", "sql:"+dir, "-N", nickname, "-f", "pin", "-i", "message", "-o", "signed")
	run("openssl", "cms", "-verify", "-inform", "DER", "-in", "signed", "-CAfile", "root.pem", "-certfile", "issuing.pem", "-out", "out")
	if !strings.Contains(readFile(t, filepath.Join(dir, "out")), "Signed on a token.") {
		t.Error("openssl read another message")
	}
}

// Wherever the agent is stopped, the next run ends with one key on the token, which is the one of the certificate.
func TestCrashWithToken(t *testing.T) {
	w, v := withToken(t)
	crash := errors.New("crash")
	at := func(step string) *agent.Agent {
		a := w.agent(t, asAlice)
		a.SetAfter(func(s string) error {
			if s == step {
				return crash
			}
			return nil
		})
		return a
	}
	for _, step := range append([]string{"made"}, agent.Steps...) {
		if _, err := at(step).Enrol(t.Context(), agent.EnrolOptions{Again: true}); !errors.Is(err, crash) {
			t.Fatalf("%s: %v", step, err)
		}
		before := v.Count("Private Key")
		id, err := w.enrol(t, agent.EnrolOptions{})
		if errors.Is(err, agent.ErrEnrolled) && step == "made" { // it was for another pair: there is one
			id, err = w.enrol(t, agent.EnrolOptions{Again: true})
		}
		if err != nil && !errors.Is(err, agent.ErrEnrolled) {
			t.Fatalf("%s: %v", step, err)
		}
		whole(t, step, v)
		if _, err := id.Signing().Key.Signer(); err != nil || before == 0 {
			t.Errorf("%s: %d keys before; %v", step, before, err)
		}
	}
}

// A request that a registrar rejected, or that was given up, leaves no key on the token once there is a newer one.
func TestRequestGivenUpWithToken(t *testing.T) {
	w, v := withToken(t)
	w.states = []api.EnrolmentState{api.StateSubmitted, api.StateRejected}
	if _, err := w.enrol(t, agent.EnrolOptions{}); !errors.Is(err, agent.ErrWaiting) {
		t.Fatal(err)
	}
	if _, err := w.enrol(t, agent.EnrolOptions{}); !errors.Is(err, agent.ErrRejected) {
		t.Fatal(err)
	}
	if n := v.Count("Private Key"); n != 1 { // if it should have come to something after all
		t.Errorf("%d keys after the rejection", n)
	}
	w.states = []api.EnrolmentState{api.StateIssued}
	if _, err := w.enrol(t, agent.EnrolOptions{}); err != nil {
		t.Fatal(err)
	}
	whole(t, "enrolled", v)
}

// Other keys on the same token, such as those of another machine of the person, are not touched.
func TestTwoMachinesOneToken(t *testing.T) {
	w, v := withToken(t)
	first := w.dir
	if _, err := w.enrol(t, agent.EnrolOptions{}); err != nil {
		t.Fatal(err)
	}
	w.dir = filepath.Join(t.TempDir(), "second")
	if _, err := w.enrol(t, agent.EnrolOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	if n := v.Count("Private Key"); n != 2 {
		t.Errorf("%d keys", n)
	}
	w.dir = first
	if _, err := w.agent(t, byCertificate).Certificates(t.Context(), ""); err != nil {
		t.Errorf("the first machine's key: %v", err)
	}
}

// The token is gone when it is needed: the fault says so, nothing is lost, and what is not needed any more is removed later.
func TestTokenUnplugged(t *testing.T) {
	w, v := withToken(t)
	if _, err := w.enrol(t, agent.EnrolOptions{}); err != nil {
		t.Fatal(err)
	}
	close := func() {
		t.Helper()
		if err := w.places[0].(*token.Token).Close(); err != nil {
			t.Fatal(err)
		}
	}
	close()
	plug := v.Unplug()
	_, err := w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{Force: true})
	if f := fault.Of(err); f == nil || f.Code != token.ErrAbsent.Code {
		t.Errorf("unplugged: %v", err)
	}
	plug()
	if r, err := w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{Force: true}); err != nil || !r.Renewed {
		t.Fatalf("back: %v", err)
	}
	whole(t, "back", v)
}

// Another token, which locks its PIN: keys are made, used and replaced on it as on any; after too many wrong PINs it says so with a code of its own; and when its
// owner has unlocked it, the same key renews.
func TestLockedToken(t *testing.T) {
	v := tokentest.NewInTPM(t)
	w := newWorkstation(t)
	w.plans[0].Signing.Places, w.plans[0].Signing.PIN = []string{api.PlaceToken}, 6
	with := func(text string, do func() error) error {
		p := token.New(token.Config{Address: v.Module, PIN: pin.Source{Given: true, Read: func(string) (string, error) { return text, nil }}})
		w.places = []agent.Place{p}
		return errors.Join(do(), p.Close()) // the simulated TPM serves one program at a time
	}
	renew := func() error {
		_, err := w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{Force: true})
		return err
	}
	must(t, with(v.PIN, func() error { _, err := w.enrol(t, agent.EnrolOptions{}); return err }))
	whole(t, "enrolled", v)
	for tries := 0; ; tries++ {
		err := with("654321", renew)
		if errors.Is(err, pin.ErrLocked) && tries > 0 {
			break
		}
		if !errors.Is(err, pin.ErrWrong) || tries == 10 {
			t.Fatalf("wrong PIN number %d: %v", tries+1, err)
		}
	}
	if err := with(v.PIN, renew); !errors.Is(err, pin.ErrLocked) {
		t.Errorf("with the right PIN: %v", err)
	}
	v.Unlock()
	must(t, with(v.PIN, renew))
	whole(t, "renewed", v)
}
