package main

import (
	"crypto"
	"crypto/tls"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// A server that logs everything takes people through enrolment, renewal, every way to fail, and a recovery case, and then its
// log, a dump of its whole database, its memory, its folder, what it left for temporary files, and what went around with the
// case are searched for what it was given. Memory is the erasing build's, which
// `make build` makes; docs/security-model.md says what is promised of it.
func TestSecretsAreLeftNowhere(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.edit(t, map[string]any{"log.level": "debug"})
	erasing := erasingProgram(t)
	c := i.command("serve")
	temporary := t.TempDir()
	c.Path, c.Env = erasing, []string{collectVariable + "=1", "TMPDIR=" + temporary}
	r := &running{e2etest.Start(t, c), i}
	r.Await(t, `"msg":"serving"`)
	r.awaitHealth(t)
	i.fetch(t, "/crl/issuing.crl") // of which only a debug log tells
	l := r.tellSecrets(t)
	folder := r.recover(t, l)
	control := secret{word, "the passphrase, which a server keeps"}
	l[control] = [][]byte{[]byte(strings.TrimSpace(read(t, i.path("passphrase"))))}

	r.Signal(syscall.SIGUSR2)
	r.Await(t, collected)
	found := l.inMemory(t, r.PID())
	if found[control] == 0 {
		t.Errorf("the scan does not find %s: it sees nothing", control.name)
	}
	for what, n := range found {
		if what.kind != word { // Go's HTTP and LDAP libraries keep passwords in strings, which nobody can overwrite
			t.Errorf("the server's memory has %s, %d times", what.name, n)
		}
	}
	r.stop(t)
	log, dump := r.Stderr()+r.Stdout(), e2etest.Good(t, e2etest.Command{Path: "pg_dump", Args: []string{"-d", i.db.AdminURL()}})
	if !strings.Contains(log, `"level":"DEBUG"`) || !strings.Contains(log, `"status":401`) || !strings.Contains(log, `"status":400`) || !strings.Contains(dump, "archive.deposited") {
		t.Fatalf("these are not the log and the dump that this test looks through:\n%s", log)
	}
	l.notIn(t, "the log", log)
	l.notIn(t, "the dump", dump)
	delete(l, control) // which an operator put into the folder
	l.notInFolder(t, i.dir)
	l.notInFolder(t, folder)
	l.notInFolder(t, shared.path("officers"))
	if left, err := os.ReadDir(temporary); err != nil || len(left) != 0 {
		t.Errorf("the server left %v, %v", left, err)
	}
}

// recover has Alice's keys opened by two officers, and returns the folder that went around.
func (r *running) recover(t *testing.T, l ledger) string {
	t.Helper()
	status, s := r.enrol(t, "alice")
	l.key(t, encryptionKey, "the key that Alice reads with and gets back", s.keys.encryption)
	alice := newRestore(t, r.installation, status, s)
	l.key(t, signingKey, "the key of Alice's new laptop", alice.key.Key.(crypto.Signer))
	signed := alice.draft(r)
	r.opensCase(t, "alice", signed)
	folder := alice.folder(r, signed.ID)
	c := r.as(t, "alice")
	defer c.Close()
	for _, login := range officers[:2] {
		l.word("the passphrase of "+login, "five random words of "+login)
		_, err := c.AnswerCase(t.Context(), signed.ID, r.officerApproves(t, login, folder, alice.key.Certificate))
		must(t, err)
	}
	_, err := c.CollectCase(t.Context(), signed.ID, 0)
	must(t, err)
	if keys := alice.opens(r, signed); len(keys) != 4 {
		t.Errorf("%d keys came back", len(keys))
	}
	_, err = c.CloseCase(t.Context(), signed.ID)
	must(t, err)
	return folder
}

// Who runs as the server's own user, and has no power over all processes, cannot look into its memory, and it leaves no core.
func TestMemoryIsHardToReach(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	start := func(i *installation, env ...string) *running {
		c := unprivileged(i.command("serve"))
		c.Env = env
		r := &running{e2etest.Start(t, c), i}
		r.Await(t, `"msg":"serving"`)
		return r
	}
	hardened, open := start(i), start(i.sibling(t), clockVariable+"=0s") // with hooks for tests, and so without harden
	if !mayLook(t, open.PID()) {
		t.Error("a process that is not hardened cannot be looked into: this test shows nothing")
	}
	if mayLook(t, hardened.PID()) {
		t.Error("the server's memory can be looked into")
	}
	limits := read(t, fmt.Sprintf("/proc/%d/limits", hardened.PID()))
	if !strings.Contains(strings.Join(strings.Fields(limits), " "), "Max core file size 0 0 bytes") {
		t.Errorf("the server may leave a core:\n%s", limits)
	}
}

// mayLook reports whether a process of this user may look at another's memory map.
func mayLook(t testing.TB, pid int) bool {
	t.Helper()
	said := e2etest.Run(t, unprivileged(e2etest.Command{Path: "cat", Args: []string{fmt.Sprintf("/proc/%d/maps", pid)}}))
	if refused := strings.Contains(said.Stderr, "Permission denied"); refused == (said.Code == 0) {
		t.Errorf("cat: %+v", said)
	}
	return said.Code == 0
}

// without are the capabilities by which root looks into processes that nobody may look into.
const without = "-sys_ptrace,-perfmon,-sys_admin"

// unprivileged is a command without root's power over other processes, if it is root who runs it.
func unprivileged(c e2etest.Command) e2etest.Command {
	if os.Geteuid() == 0 {
		c.Path, c.Args = "setpriv", append([]string{"--bounding-set=" + without, "--inh-caps=" + without, c.Path}, c.Args...)
	}
	return c
}

// erasingProgram builds this test binary, once, as `make build` builds the program: with memory erased after plaintext keys.
func erasingProgram(t *testing.T) string {
	t.Helper()
	path := filepath.Join(shared.path("erasing"), program)
	shared.erasing.Do(func() {
		build := exec.Command("go", "test", "-c", "-o", path, ".")
		build.Env = append(os.Environ(), "GOEXPERIMENT=runtimesecret")
		if out, err := build.CombinedOutput(); err != nil {
			shared.erases = fmt.Errorf("%w: %s", err, out)
		}
	})
	must(t, shared.erases)
	return path
}

// tellSecrets takes people through everything that hands a server something secret, and returns what it was.
func (r *running) tellSecrets(t *testing.T) ledger {
	t.Helper()
	l := ledger{}
	deposited := func(name string, s submission) submission {
		l.key(t, signingKey, "the key that "+name+" signs with", s.keys.signing)
		l.key(t, encryptionKey, "the key that "+name+" reads with", s.keys.encryption)
		return s
	}
	good := func(c *client.Client, s submission) api.EnrolmentStatus {
		status, err := c.Enrol(t.Context(), s.name, s.request)
		if err != nil || status.State != api.StateIssued {
			t.Fatalf("%+v, %v", status, err)
		}
		return status
	}
	bad := func(code string, c *client.Client, q api.EnrolmentRequest) {
		if _, err := c.Enrol(t.Context(), uuid.NewString(), q); codeOf(err) != code {
			t.Errorf("got %v, want %s", err, code)
		}
	}
	for _, login := range []string{"alice", "rita"} {
		l.word("the password of "+login, slapdtest.Password(login))
	}
	// By password, a P-256 key and an RSA key.
	alice := r.as(t, "alice")
	defer alice.Close()
	p, err := alice.Policy(t.Context())
	must(t, err)
	first := r.make(t, p, "alice", newKeys(t))
	status := good(alice, deposited("Alice", first))
	good(alice, deposited("Alice's RSA", r.make(t, p, "alice", keyPair{pkitest.NewKey(t, ca.P256), pkitest.NewKey(t, ca.RSA3072)})))
	// By token.
	rita := r.as(t, "rita")
	defer rita.Close()
	token, err := rita.MakeToken(t.Context(), api.TokenRequest{Mailbox: "bob@example.test"})
	must(t, err)
	l.word("Bob's token", token.Token)
	bob := r.client(t, client.Config{Token: token.Token})
	defer bob.Close()
	bobs, err := bob.Policy(t.Context())
	must(t, err)
	good(bob, deposited("Bob", r.make(t, bobs, "bob", newKeys(t))))
	// By the certificate that is renewed.
	chain := append([][]byte{status.Certificates[0].DER}, status.Certificates[0].Chain...)
	renewing := r.client(t, client.Config{ClientCertificate: &tls.Certificate{Certificate: chain, PrivateKey: first.keys.signing}})
	defer renewing.Close()
	good(renewing, deposited("Alice, renewed,", r.make(t, p, "alice", newKeys(t))))
	// And what fails.
	wrong := r.client(t, client.Config{Login: "alice", Password: "wr0ng-pa55word-of-alice"})
	defer wrong.Close()
	l.word("a wrong password", "wr0ng-pa55word-of-alice")
	if _, err := wrong.Policy(t.Context()); codeOf(err) != "wrong-credentials" {
		t.Errorf("a wrong password: %v", err)
	}
	guessed := r.client(t, client.Config{Token: "guessed-t0ken-guessed-t0ken"})
	defer guessed.Close()
	l.word("a guessed token", "guessed-t0ken-guessed-t0ken")
	if _, err := guessed.Policy(t.Context()); codeOf(err) != "enrolment-token" {
		t.Errorf("a guessed token: %v", err)
	}
	mismatch, other := r.make(t, p, "alice", newKeys(t)), newKeys(t)
	l.key(t, encryptionKey, "a key that does not match", other.encryption)
	mismatch.request.EscrowedKey = escrow(t, p, mismatch.request, other.encryption)
	bad("archived-key-mismatch", alice, mismatch.request)
	signing := r.make(t, p, "alice", keyPair{newKeys(t).signing, first.keys.encryption})
	bad("key-already-archived", alice, signing.request)
	foreign := r.make(t, bobs, "bob", newKeys(t))
	l.key(t, encryptionKey, "a key sent for somebody else", foreign.keys.encryption)
	bad("escrowed-key-refused", alice, foreign.request)
	broken := r.make(t, p, "alice", newKeys(t))
	l.key(t, encryptionKey, "a key in a broken message", broken.keys.encryption)
	broken.request.EscrowedKey[len(broken.request.EscrowedKey)-20] ^= 1
	bad("escrowed-key-refused", alice, broken.request)
	return l
}

func (r *running) make(t testing.TB, p api.Policy, login string, k keyPair) submission {
	t.Helper()
	return newSubmission(login, k, request(t, p, "smime", k))
}
