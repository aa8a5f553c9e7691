package agent_test

import (
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/agent/store"
	"github.com/sealpost/sealpost/archive/record"
)

// opened begins a restore and returns its case.
func (m *machine) opened(opt agent.RestoreOptions) (uuid.UUID, agent.RestoreStatus) {
	m.t.Helper()
	var st agent.RestoreStatus
	opt.Told = func(s agent.RestoreStatus) { st = s }
	if _, err := m.agent(false).Restore(m.t.Context(), opt); !errors.Is(err, agent.ErrCaseWaiting) {
		m.t.Fatalf("restore: %v, want ErrCaseWaiting", err)
	}
	return st.Cases[0].ID, st
}

// encryptedTo is mail that somebody encrypted to a certificate, by openssl.
func encryptedTo(t *testing.T, der []byte, text string) string {
	t.Helper()
	dir := t.TempDir()
	cert, mail := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "mail.p7m")
	write(t, cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	run(t, text, "openssl", "cms", "-encrypt", "-aes256", "-outform", "PEM", "-out", mail, cert)
	return mail
}

// A laptop is lost. On the new one, with two of three officers, all old mail can be read again: openssl decrypts it with
// the keys in identity.p12, NSS and gpgsm take them.
func TestRestore(t *testing.T) {
	o := newOffice(t)
	old := o.machine("alice").enrolled(3, "RSA-3072")
	var mails []string
	for i := range old.Pairs {
		mails = append(mails, encryptedTo(t, old.Pairs[i].Encryption.Certificate, fmt.Sprintf("mail %d", i)))
	}
	m := o.machine("alice")
	id := m.enrolled(1, "RSA-3072")
	if _, err := m.agent(false).RestoreStatus(t.Context(), ""); !errors.Is(err, agent.ErrNoRestore) {
		t.Errorf("status before: %v", err)
	}
	kase, st := m.opened(agent.RestoreOptions{Reason: "My laptop was left in a train.", Reference: "HELP-1"})
	if len(st.Cases) != 1 || st.Cases[0].Keys != 4 || st.Cases[0].Needed != 2 || len(st.Words) != 16 || st.Fingerprint.IsZero() || len(st.Warnings) > 0 {
		t.Errorf("%+v", st)
	}
	var names []string
	for _, x := range st.Cases[0].Officers {
		names = append(names, x.Name)
		if !x.May || x.Answer != "" {
			t.Errorf("%+v", x)
		}
	}
	if len(names) != 3 {
		t.Errorf("officers: %v", names)
	}
	// Run again, it is the same case and the same words.
	if again, st2 := m.opened(agent.RestoreOptions{}); again != kase || st2.Fingerprint != st.Fingerprint {
		t.Errorf("another case %s or other words", again)
	}
	o.approve(kase, "olivia")
	if _, err := m.agent(false).Restore(t.Context(), agent.RestoreOptions{}); !errors.Is(err, agent.ErrCaseWaiting) {
		t.Errorf("one officer alone: %v", err)
	}
	o.approve(kase, "otto")
	home, err := os.MkdirTemp("", "gpgsm-")
	must(t, err)
	t.Cleanup(func() {
		_, _ = runError("", []string{"GNUPGHOME=" + home}, "gpgconf", "--kill", "all")
		_ = os.RemoveAll(home)
	})
	nss := store.NSS{Dir: filepath.Join(t.TempDir(), "profile")}
	stores := agent.Stores{NSS: agent.Databases{nss}, GPGSM: &store.GPGSM{Home: home, TrustRoots: true}}
	r, err := m.agent(false).Restore(t.Context(), agent.RestoreOptions{Stores: stores})
	must(t, err)
	if r.Keys != 4 || r.New != 3 || len(r.Wrong)+len(r.Faults)+len(r.Warnings) > 0 || r.Unavailable != 0 || r.Loose != nil || len(r.Identity.History) != 3 {
		t.Errorf("%+v", r)
	}
	if _, err := m.agent(false).Fill(t.Context(), agent.FillOptions{}); err != nil {
		t.Error(err)
	}
	checkRestored(t, r.Identity, id, mails)
	if keys := run(t, "", "certutil", "-K", "-d", "sql:"+nss.Dir); strings.Count(keys, "\n<") != 5 {
		t.Errorf("NSS has:\n%s", keys)
	}
	password, err := r.Identity.GeneratedPassword()
	must(t, err)
	for i, mail := range mails {
		out, err := runError(password+"\n", []string{"GNUPGHOME=" + home}, "gpgsm", "--batch", "--disable-crl-checks", "--pinentry-mode", "loopback", "--passphrase-fd", "0", "--assume-armor", "--decrypt", mail)
		if err != nil || !strings.Contains(out, fmt.Sprintf("mail %d", i)) {
			t.Errorf("gpgsm does not decrypt mail %d: %v\n%s", i, err, out)
		}
	}
	// Nothing of the restore is left, and a renewal keeps the history.
	left, err := filepath.Glob(filepath.Join(m.dir, "*", "restore*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
	if k, err := o.Recovery.Get(t.Context(), o.Actor(t, "alice"), kase); err != nil || k.State != "closed" {
		t.Errorf("the case is %v, %v", k.State, err)
	}
	if _, err := m.agent(false).Restore(t.Context(), agent.RestoreOptions{}); !errors.Is(err, agent.ErrNothingLost) {
		t.Errorf("once more: %v", err)
	}
	renewed, err := m.agent(false).Renew(t.Context(), agent.RenewOptions{Force: true, Patience: time.Minute})
	must(t, err)
	if len(renewed.Identity.History) != 3 || len(renewed.Identity.Pairs) != 2 {
		t.Errorf("after a renewal there are %d old keys", len(renewed.Identity.History))
	}
	checkModes(t, m.dir)
}

// checkRestored has openssl read identity.p12 and the files for gpgsm, and decrypt every mail.
func checkRestored(t *testing.T, id, before *agent.Identity, mails []string) {
	t.Helper()
	dir := t.TempDir()
	all := filepath.Join(dir, "all.pem")
	password := "file:" + filepath.Join(id.Folder, agent.PasswordFile)
	out := run(t, "", "openssl", "pkcs12", "-in", filepath.Join(id.Folder, agent.P12File), "-passin", password, "-nodes", "-out", all)
	text := readFile(t, all)
	if n := strings.Count(text, "BEGIN PRIVATE KEY"); n != 2+len(mails) {
		t.Errorf("identity.p12 has %d keys: %s", n, out)
	}
	if !strings.Contains(text, "(old encryption, ") || strings.Count(text, "(encryption)") == 0 {
		t.Error("the newest key is not marked")
	}
	run(t, "", "pk12util", "-l", filepath.Join(id.Folder, agent.P12File), "-w", filepath.Join(id.Folder, agent.PasswordFile))
	singles, err := filepath.Glob(filepath.Join(id.Folder, agent.GPGSMFolder, "*.p12"))
	if err != nil || len(singles) != 2+len(mails) {
		t.Errorf("files for gpgsm: %v, %v", singles, err)
	}
	for i, mail := range mails {
		if !slices.ContainsFunc(singles, func(single string) bool {
			key := filepath.Join(dir, filepath.Base(single)+".pem")
			run(t, "", "openssl", "pkcs12", "-in", single, "-passin", password, "-nodes", "-out", key)
			out, err := runError("", nil, "openssl", "cms", "-decrypt", "-inform", "PEM", "-in", mail, "-recip", key, "-inkey", key)
			return err == nil && strings.Contains(out, fmt.Sprintf("mail %d", i))
		}) {
			t.Errorf("mail %d cannot be read", i)
		}
	}
	if !slices.Equal(id.Signing().Certificate, before.Signing().Certificate) {
		t.Error("the signing certificate is another one")
	}
}

// Killed after any step, the next run goes on with the same case, or starts over cleanly, and comes to the same end.
func TestRestoreKilledAtAnyStep(t *testing.T) {
	o := newOffice(t)
	o.machine("alice").enrolled(2, "P-256")
	crash := errors.New("killed")
	for _, step := range []string{"restore-begin", "restore-open", "restore-collect", "restore-keep", "restore-write", "restore-close"} {
		m := o.machine("alice")
		m.enrolled(1, "P-256")
		killed := false
		kill := func(at string) error {
			if at == step {
				killed = true
				return crash
			}
			return nil
		}
		run := func() (*agent.Restored, error) {
			a := m.agent(false)
			if !killed {
				a.SetAfter(kill)
			}
			return a.Restore(t.Context(), agent.RestoreOptions{})
		}
		if _, err := run(); !errors.Is(err, crash) && !errors.Is(err, agent.ErrCaseWaiting) {
			t.Fatalf("%s: %v", step, err)
		}
		if killed {
			if _, err := run(); !errors.Is(err, agent.ErrCaseWaiting) {
				t.Fatalf("%s: run again: %v", step, err)
			}
		}
		st, err := m.agent(false).RestoreStatus(t.Context(), "")
		must(t, err)
		o.approve(st.Cases[0].ID, "olivia")
		o.approve(st.Cases[0].ID, "oscar")
		r, err := run()
		if errors.Is(err, crash) {
			r, err = run()
		}
		if err != nil || !killed || len(r.Identity.History) < 2 {
			t.Errorf("%s: killed %v: %+v, %v", step, killed, r, err)
		}
		left, err := filepath.Glob(filepath.Join(m.dir, "*", "restore*"))
		if err != nil || len(left) > 0 {
			t.Errorf("%s: left over: %v, %v", step, left, err)
		}
		if n := o.Database.Count(t, `select count(*) from archive.recovery_case where state <> 'closed'`); n != 0 {
			t.Errorf("%s: %d cases are not closed", step, n)
		}
	}
}

// An officer sends garbage: they are named and reported, and another officer's answer takes its place.
func TestRestoreNamesWhoSendsGarbage(t *testing.T) {
	o := newOffice(t)
	o.machine("alice").enrolled(2, "P-256")
	m := o.machine("alice")
	m.enrolled(1, "P-256")
	kase, _ := m.opened(agent.RestoreOptions{})
	o.approve(kase, "olivia")
	o.garbage("oscar", kase)
	var st agent.RestoreStatus
	_, err := m.agent(false).Restore(t.Context(), agent.RestoreOptions{Told: func(s agent.RestoreStatus) { st = s }})
	if !errors.Is(err, agent.ErrCaseWaiting) {
		t.Fatalf("with one good answer of two: %v", err)
	}
	if st, err = m.agent(false).RestoreStatus(t.Context(), ""); err != nil || st.Cases[0].Officers[1].Answer != "disputed" {
		t.Errorf("%+v, %v", st, err)
	}
	if n := o.events("archive.case-disputed"); n != 1 {
		t.Errorf("%d disputes are in the log", n)
	}
	o.approve(kase, "otto")
	r, err := m.agent(false).Restore(t.Context(), agent.RestoreOptions{})
	must(t, err)
	if r.New != 2 || len(r.Wrong) != 1 || r.Wrong[0].Agent != 2 || !strings.Contains(r.Wrong[0].Name, "Oscar") || !r.Wrong[0].Told {
		t.Errorf("%+v", r)
	}
}

// Waiting takes the answers as they come.
func TestRestoreWaits(t *testing.T) {
	o := newOffice(t)
	o.machine("alice").enrolled(1, "P-256")
	m := o.machine("alice")
	m.enrolled(1, "P-256")
	answered := false
	r, err := m.agent(false).Restore(t.Context(), agent.RestoreOptions{Patience: time.Minute, Told: func(st agent.RestoreStatus) {
		if !answered {
			answered = true
			o.approve(st.Cases[0].ID, "olivia")
			o.approve(st.Cases[0].ID, "oscar")
		}
	}})
	if err != nil || r.New != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

// A restore that comes to nothing says why, and leaves nothing that the next one stumbles over.
func TestRestoreThatComesToNothing(t *testing.T) {
	o := newOffice(t)
	o.machine("alice").enrolled(1, "P-256")
	for name, tt := range map[string]struct {
		do   func(m *machine, kase uuid.UUID)
		want string
	}{
		"refused": {func(_ *machine, k uuid.UUID) {
			o.deny("olivia", k, "Nobody answers at this number.")
			o.deny("oscar", k, "")
		}, "the officers refused it (So many agents refused that too few are left.); Olivia"},
		"cancelled": {func(_ *machine, k uuid.UUID) {
			_, err := o.Recovery.Cancel(t.Context(), o.Actor(t, "alice"), k, "elsewhere")
			must(t, err)
		}, "the case is cancelled (elsewhere)"},
		"too late": {func(_ *machine, k uuid.UUID) {
			o.Database.Exec(t, `update archive.recovery_case set state = 'expired' where id = $1`, k)
		}, "its deadline passed"},
	} {
		m := o.machine("alice")
		m.enrolled(1, "P-256")
		kase, _ := m.opened(agent.RestoreOptions{})
		tt.do(m, kase)
		if _, err := m.agent(false).Restore(t.Context(), agent.RestoreOptions{}); !errors.Is(err, agent.ErrCaseEnded) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
		if again, _ := m.opened(agent.RestoreOptions{}); again == kase {
			t.Errorf("%s: the same case again", name)
		}
		must(t, m.agent(false).CancelRestore(t.Context(), "", "enough"))
		if _, err := m.agent(false).RestoreStatus(t.Context(), ""); !errors.Is(err, agent.ErrNoRestore) {
			t.Errorf("%s: after cancelling: %v", name, err)
		}
	}
	if n := o.Database.Count(t, `select count(*) from archive.recovery_case where state in ('requested', 'approved', 'released')`); n != 0 {
		t.Errorf("%d cases are open", n)
	}
}

// A case that never reached the server is made anew once its time is wrong, for the same key and with the same words.
func TestRestoreAfterALongPause(t *testing.T) {
	o := newOffice(t)
	o.machine("alice").enrolled(1, "P-256")
	m := o.machine("alice")
	m.enrolled(1, "P-256")
	crash := errors.New("killed")
	a := m.agent(false)
	a.SetAfter(func(string) error { return crash })
	if _, err := a.Restore(t.Context(), agent.RestoreOptions{}); !errors.Is(err, crash) {
		t.Fatal(err)
	}
	before, err := m.agent(false).RestoreStatus(t.Context(), "")
	must(t, err)
	o.Clock.Advance(time.Hour)
	kase, st := m.opened(agent.RestoreOptions{})
	if kase == before.Cases[0].ID || st.Fingerprint != before.Fingerprint {
		t.Errorf("case %s again, or other words", kase)
	}
}

func TestRestoreRefuses(t *testing.T) {
	o := newOffice(t)
	m := o.machine("alice")
	if _, err := m.agent(true).Restore(t.Context(), agent.RestoreOptions{}); !errors.Is(err, agent.ErrNoIdentity) {
		t.Errorf("without an identity: %v", err)
	}
	m.enrolled(1, "P-256")
	if _, err := m.agent(false).Restore(t.Context(), agent.RestoreOptions{}); !errors.Is(err, agent.ErrNothingLost) {
		t.Errorf("nothing lost: %v", err)
	}
	if err := m.agent(false).CancelRestore(t.Context(), "", ""); !errors.Is(err, agent.ErrNoRestore) {
		t.Errorf("nothing to cancel: %v", err)
	}
	o.machine("alice").enrolled(1, "P-256")
	if _, err := m.agent(false).Restore(t.Context(), agent.RestoreOptions{Reason: "an\u202eevil reason"}); !errors.Is(err, record.ErrFormat) {
		t.Errorf("a reason that misleads: %v", err)
	}
	if _, err := m.agent(false).Restore(t.Context(), agent.RestoreOptions{Lasts: 300 * 24 * time.Hour}); err == nil || !strings.Contains(err.Error(), "deadline") {
		t.Errorf("a deadline too far away: %v", err)
	}
	if _, err := m.agent(false).RestoreStatus(t.Context(), ""); !errors.Is(err, agent.ErrNoRestore) {
		t.Errorf("a case that the server refused stays: %v", err)
	}
}
