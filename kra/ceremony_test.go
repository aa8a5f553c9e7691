package kra_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/archive/threshold"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/internal/disk"
	"github.com/sealpost/sealpost/internal/keys"
	"github.com/sealpost/sealpost/kra"
)

// share opens an officer's share as the next issue's cases will, from the files of the home.
func (o *officer) share(t *testing.T, r *record.Roster) threshold.Share {
	t.Helper()
	key, err := keys.Open(t.Context(), filepath.Join(o.home, "decryption.key"), passphrase)
	must(t, err)
	for _, a := range r.Plan.Agents {
		if a.Decryption.Equal(o.card.Decryption) {
			s, err := r.OpenShare(a.ID, cms.Recipient{Certificate: a.Decryption, Key: key})
			must(t, err)
			return s
		}
	}
	t.Fatal("not in the roster")
	return threshold.Share{}
}

// opens seals a record to the roster and opens it with the given shares.
func opens(t *testing.T, r *record.Roster, shares ...threshold.Share) error {
	t.Helper()
	wrapping, err := record.GenerateWrappingKey()
	must(t, err)
	key := []byte("stands for a PKCS #8 key: the format does not look into it")
	rec, err := record.Seal(r.Key(), wrapping.Public(), record.Header{Purpose: record.PurposeKey, SPKI: [32]byte{1}, Algorithm: "ec-p256",
		Person: someone, Name: "Alice", Mail: "alice@example.test", Time: time.Now()}, key)
	must(t, err)
	in, err := rec.UnwrapOuter(wrapping)
	must(t, err)
	var ids []uint16
	var ds []threshold.Point
	for _, s := range shares {
		d, err := threshold.Decrypt(s, []threshold.Point{in.Capsule.R})
		must(t, err)
		ids, ds = append(ids, s.Agent), append(ds, d[0])
	}
	q, err := threshold.NewQuorum(len(ids), ids)
	must(t, err)
	z, err := q.Combine(ds)
	must(t, err)
	got, err := in.Open(z, r.Key())
	if err == nil && !bytes.Equal(got, key) {
		t.Error("opened to another key")
	}
	return err
}

// opensWithTwo demands that any two shares open a record and that none does alone.
func opensWithTwo(t *testing.T, r *record.Roster, officers []*officer) {
	t.Helper()
	var shares []threshold.Share
	for _, o := range officers {
		shares = append(shares, o.share(t, r))
	}
	for i := range shares {
		if err := opens(t, r, shares[i]); !errors.Is(err, record.ErrNotOpened) {
			t.Errorf("share %d alone: %v", i+1, err)
		}
		for j := range i {
			if err := opens(t, r, shares[j], shares[i]); err != nil {
				t.Errorf("shares %d and %d: %v", j+1, i+1, err)
			}
		}
	}
}

// sha256sum judges the pin.
func sha256sum(t *testing.T, path string) string {
	t.Helper()
	out, err := exec.Command("sha256sum", path).Output()
	must(t, err)
	return strings.Fields(string(out))[0]
}

func TestPerform(t *testing.T) {
	t.Parallel()
	c := newCompany(t)
	officers := c.officers("Olga", "Otto", "Odile")
	plain := []*kra.Officer{officers[0].Officer, officers[1].Officer, officers[2].Officer}
	t.Run("all make the key", func(t *testing.T) {
		dir, plan := c.plan(officers, func(p *kra.PlanConfig) {
			both := c.recipient("Both")
			p.Business, p.Legal = []*kra.RecipientCard{both, c.recipient("Boss")}, []*kra.RecipientCard{both, c.recipient("Counsel")}
		})
		r, err := kra.Perform(t.Context(), dir, kra.Agreement{Hash: plan.Hash()}, plain...)
		must(t, err)
		opensWithTwo(t, r, officers)
		if sum := sha256sum(t, filepath.Join(dir, kra.RosterFile)); sum != r.Hash().String() {
			t.Errorf("sha256sum says %s, the pin is %s", sum, r.Hash())
		}
		uses := map[string]record.Uses{}
		for _, x := range r.Plan.Recipients {
			uses[x.Name] = x.Uses
		}
		if len(uses) != 3 || uses["Both Example"] != record.UseBusiness|record.UseLegal || uses["Boss Example"] != record.UseBusiness || uses["Counsel Example"] != record.UseLegal {
			t.Errorf("recipients: %v", uses)
		}
	})
	t.Run("one machine deals", func(t *testing.T) {
		machine := open(t, filepath.Join(t.TempDir(), "machine"))
		key, err := machine.DealerKey(t.Context(), passphrase)
		must(t, err)
		dir, plan := c.plan(officers, func(p *kra.PlanConfig) { p.DealerMachine = key })
		agreement := kra.Agreement{Hash: plan.Hash(), Roots: c.roots()}
		_, err = machine.Deal(t.Context(), dir, passphrase)
		refused(t, "deal before the plan was compared", err, kra.ErrNotAgreed, kra.PlanFile)
		_, err = machine.Agree(dir, agreement)
		must(t, err)
		sent, err := machine.Deal(t.Context(), dir, passphrase)
		must(t, err)
		if len(sent) != 2 || sent[0].Again {
			t.Errorf("sent %+v", sent)
		}
		before := read(t, dir, "00-dealer-reveal.msg")
		must(t, os.Remove(filepath.Join(dir, "00-dealer-reveal.msg"))) // as if it had been killed between the two
		if sent, err = machine.Deal(t.Context(), dir, passphrase); err != nil || !sent[1].Again || !bytes.Equal(before, read(t, dir, "00-dealer-reveal.msg")) {
			t.Errorf("dealt anew: %+v, %v", sent, err)
		}
		other := open(t, filepath.Join(t.TempDir(), "other"))
		_, err = other.DealerKey(t.Context(), passphrase)
		must(t, err)
		_, err = other.Agree(dir, agreement)
		must(t, err)
		_, err = other.Deal(t.Context(), dir, passphrase)
		refused(t, "a second machine", err, kra.ErrSecretLost, "dealt already")
		r, err := kra.Perform(t.Context(), dir, agreement, plain...)
		must(t, err)
		opensWithTwo(t, r, officers)
		_, err = officers[0].Commit(t.Context(), dir)
		refused(t, "an agent commits where a machine deals", err, record.ErrCeremony, "no dealer 1")
	})
}

// TestStepsMayBeRepeated kills every step after it has written down what it says and before it says it, and lets every step
// be done by another process.
func TestStepsMayBeRepeated(t *testing.T) {
	t.Parallel()
	c := newCompany(t)
	officers := c.officers("Olga", "Otto", "Odile")
	dir, _ := c.ceremony(officers)
	for _, round := range []record.Round{record.RoundCommit, record.RoundReveal, record.RoundAcknowledge} {
		for _, o := range officers {
			first, err := o.again(t).step(t, dir, round)
			must(t, err)
			said := read(t, first.File)
			must(t, os.Remove(first.File))
			second, err := o.again(t).step(t, dir, round)
			must(t, err)
			if first.Again || !second.Again || !bytes.Equal(said, read(t, second.File)) {
				t.Errorf("round %d of %s: another message the second time", round, o.card.Name)
			}
		}
	}
	for _, o := range officers {
		if _, err := o.Finish(dir); err != nil {
			t.Error(err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*.new")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// secrets takes the polynomial out of what a home keeps (docs/archive-format.md, section 10).
func (o *officer) secrets(t *testing.T, plan *record.Plan) [][]byte {
	t.Helper()
	key, err := keys.Open(t.Context(), filepath.Join(o.home, "decryption.key"), passphrase)
	must(t, err)
	state, err := cms.Open(read(t, o.home, "ceremonies", plan.Hash().String(), "state.cms"),
		cms.Recipient{Certificate: o.card.Decryption, Key: key}, cms.OpenOptions{MaxSize: 1 << 28})
	must(t, err)
	b := state.Content[2+4+len(plan.Bytes()):]
	if b[0] != 1 {
		t.Fatal("no secret is kept")
	}
	n := int(binary.BigEndian.Uint16(b[3:]))
	var out [][]byte
	for i := range n {
		out = append(out, b[5+32*i:5+32*(i+1)])
	}
	return out
}

func TestSecretsStayInTheHome(t *testing.T) {
	t.Parallel()
	c := newCompany(t)
	officers := c.officers("Olga", "Otto", "Odile")
	dir, plan := c.ceremony(officers)
	all(t, officers, dir, record.RoundCommit)
	var secrets [][]byte
	for _, o := range officers {
		s := o.secrets(t, plan)
		if len(s) != 2 {
			t.Fatalf("%d coefficients", len(s))
		}
		secrets = append(secrets, s...)
	}
	all(t, officers, dir, record.RoundReveal)
	for _, o := range officers {
		if s := o.secrets(t, plan); len(s) != 0 {
			t.Errorf("%s still keeps the secret after round 2", o.card.Name)
		}
	}
	all(t, officers, dir, record.RoundAcknowledge)
	r, err := officers[0].Finish(dir)
	must(t, err)
	for _, o := range officers {
		share := o.share(t, r)
		secrets = append(secrets, share.Scalar.Bytes())
	}
	if found := leaks(t, dir, append(slices.Clone(secrets), passphrase)...); len(found) > 0 {
		t.Errorf("secrets in the shared folder: %v", found)
	}
	for _, o := range officers {
		if found := leaks(t, o.home, append(slices.Clone(secrets), passphrase)...); len(found) > 0 {
			t.Errorf("secrets in clear in the home: %v", found)
		}
	}
}

func TestOutOfTurn(t *testing.T) {
	t.Parallel()
	c := newCompany(t)
	officers := c.officers("Olga", "Otto", "Odile")
	dir, plan := c.plan(officers)
	olga := officers[0]
	_, err := olga.Commit(t.Context(), dir)
	refused(t, "commit without an agreement", err, kra.ErrNotAgreed, "plan.bin")
	wrong := plan.Hash()
	wrong[31] ^= 1
	_, err = olga.Agree(dir, kra.Agreement{Hash: wrong})
	refused(t, "another hash was compared", err, kra.ErrPlan, "plan.bin")
	for _, o := range officers {
		_, err := o.Agree(dir, kra.Agreement{Hash: plan.Hash()})
		must(t, err)
	}
	locked := open(t, olga.home)
	_, err = locked.Commit(t.Context(), dir)
	refused(t, "locked", err, kra.ErrLocked, "unlocked")
	_, err = olga.Reveal(t.Context(), dir)
	refused(t, "reveal first", err, kra.ErrWaiting, "01-agent-commit.msg (Olga Example)")
	all(t, officers[:2], dir, record.RoundCommit)
	_, err = olga.Reveal(t.Context(), dir)
	refused(t, "one has not committed", err, kra.ErrWaiting, "missing: 03-agent-commit.msg (Odile Example).")
	all(t, officers[2:], dir, record.RoundCommit)
	all(t, officers[:1], dir, record.RoundReveal)
	_, err = olga.Acknowledge(t.Context(), dir)
	refused(t, "two have not revealed", err, kra.ErrWaiting, "02-agent-reveal.msg (Otto Example), 03-agent-reveal.msg (Odile Example)")
	all(t, officers[1:], dir, record.RoundReveal)
	all(t, officers[1:], dir, record.RoundAcknowledge)
	_, err = olga.Finish(dir)
	refused(t, "one has not acknowledged", err, kra.ErrWaiting, "01-agent-acknowledge.msg (Olga Example)")
	status, err := olga.Status(dir)
	if err != nil || status.Round != record.RoundAcknowledge || !slices.Equal(status.Missing, []uint16{1}) || !status.Agreed || status.Roster != nil {
		t.Errorf("status %+v, %v", status, err)
	}
	all(t, officers[:1], dir, record.RoundAcknowledge)
	r, err := officers[2].Finish(dir)
	must(t, err)
	if status, err = olga.Status(dir); err != nil || status.Round != record.RoundDone || status.Roster.Hash() != r.Hash() {
		t.Errorf("status %+v, %v", status, err)
	}
	_, err = kra.WritePlan(dir, kra.PlanConfig{Archive: "x", Threshold: 2, Roots: c.roots(), Agents: []*kra.AgentCard{officers[0].card, officers[1].card, officers[2].card}})
	refused(t, "a second plan", err, kra.ErrFolder, "folder of its own")
	write(t, []byte("something else"), dir, kra.RosterFile)
	_, err = olga.Finish(dir)
	refused(t, "another roster", err, kra.ErrFolder, kra.RosterFile)
}

func TestHomeLostBetweenRounds(t *testing.T) {
	t.Parallel()
	c := newCompany(t)
	officers := c.officers("Olga", "Otto", "Odile")
	dir, plan := c.ceremony(officers)
	backup := officers[0].twin(t) // of the keys, made before the first round
	all(t, officers, dir, record.RoundCommit)
	_, err := backup.Reveal(t.Context(), dir)
	refused(t, "reveal without the secret", err, kra.ErrSecretLost, "begin a new one")
	_, err = backup.Commit(t.Context(), dir)
	refused(t, "a second secret", err, kra.ErrSecretLost, "Agent 1 (Olga Example)")
	all(t, officers, dir, record.RoundReveal)
	_, err = backup.Reveal(t.Context(), dir)
	refused(t, "reveal again without the home", err, kra.ErrSecretLost, "nothing more to do")
	// From then on the keys suffice.
	_, err = backup.Acknowledge(t.Context(), dir)
	must(t, err)
	all(t, officers[1:], dir, record.RoundAcknowledge)
	r, err := backup.Finish(dir)
	must(t, err)
	if id, err := backup.VerifyShare(r, r.Hash()); err != nil || id != 1 {
		t.Errorf("agent %d, %v", id, err)
	}
	must(t, os.RemoveAll(officers[1].home))
	_, err = officers[1].Finish(dir)
	refused(t, "no home", err, kra.ErrNotAgreed, "plan.bin")
	_, err = officers[1].Agree(dir, kra.Agreement{Hash: plan.Hash(), Roots: c.roots()})
	refused(t, "no home", err, kra.ErrNoKeys, officers[1].home)
}

func TestFoldersThatLie(t *testing.T) {
	t.Parallel()
	c := newCompany(t)
	officers := c.officers("Olga", "Otto", "Odile")
	olga, otto := officers[0], officers[1]
	elsewhere, _ := c.ceremony(officers)
	all(t, officers, elsewhere, record.RoundCommit)

	// A twin of Otto's home that says something else, to others.
	begun := func() (string, *officer) {
		dir, _ := c.ceremony(officers)
		twin := otto.twin(t)
		all(t, officers, dir, record.RoundCommit)
		_, err := olga.Reveal(t.Context(), dir) // Olga's home has now seen all of round 1
		must(t, err)
		return dir, twin
	}
	said := func(dir string) func(string) []byte { return func(name string) []byte { return read(t, dir, name) } }
	for name, test := range map[string]struct {
		lie  func(t *testing.T, dir string, twin *officer)
		want error
		text string
	}{
		"a message of another ceremony": {func(t *testing.T, dir string, _ *officer) {
			write(t, said(elsewhere)("02-agent-commit.msg"), dir, "02-agent-commit.msg")
		}, record.ErrCeremony, "02-agent-commit.msg: This message belongs to another plan."},
		"two different messages of one dealer": {func(t *testing.T, dir string, twin *officer) {
			must(t, os.Remove(filepath.Join(dir, "02-agent-commit.msg")))
			must(t, os.Remove(filepath.Join(dir, "01-agent-reveal.msg")))
			_, err := twin.Commit(t.Context(), dir)
			must(t, err)
		}, record.ErrDealer, "02-agent-commit.msg: Two different messages (commit message) came from dealer 2 (Otto Example)."},
		"the same, side by side": {func(t *testing.T, dir string, twin *officer) {
			first := said(dir)("02-agent-commit.msg")
			must(t, os.Remove(filepath.Join(dir, "02-agent-commit.msg")))
			must(t, os.Remove(filepath.Join(dir, "01-agent-reveal.msg")))
			_, err := twin.Commit(t.Context(), dir)
			must(t, err)
			write(t, first, dir, "02-agent-commit (copy).msg")
		}, record.ErrDealer, "Two different messages"},
		"a flipped bit": {func(t *testing.T, dir string, _ *officer) {
			b := said(dir)("03-agent-commit.msg")
			b[40] ^= 1
			write(t, b, dir, "03-agent-commit.msg")
		}, record.ErrDealer, "03-agent-commit.msg: The signature of dealer 3 (Odile Example) does not hold."},
		"a message that was cut off": {func(t *testing.T, dir string, _ *officer) {
			b := said(dir)("01-agent-reveal.msg")
			write(t, b[:len(b)-9], dir, "01-agent-reveal.msg")
		}, record.ErrFormat, "01-agent-reveal.msg"},
		"an empty message": {func(t *testing.T, dir string, _ *officer) { write(t, nil, dir, "02-agent-reveal.msg") },
			record.ErrFormat, "02-agent-reveal.msg: This is no message of a ceremony."},
		"a plan among the messages": {func(t *testing.T, dir string, _ *officer) { write(t, said(dir)(kra.PlanFile), dir, "00-x.msg") },
			record.ErrFormat, "00-x.msg"},
		"a folder among the messages": {func(t *testing.T, dir string, _ *officer) { must(t, os.Mkdir(filepath.Join(dir, "05-x.msg"), 0o700)) },
			disk.ErrDisk, "05-x.msg is not a file"},
		"the plan of another ceremony, compared too": {func(t *testing.T, dir string, _ *officer) { write(t, said(elsewhere)(kra.PlanFile), dir, kra.PlanFile) },
			record.ErrCeremony, "01-agent-commit.msg: This message belongs to another plan."},
		"a plan nobody has compared": {func(t *testing.T, dir string, _ *officer) {
			other, _ := c.plan(officers)
			write(t, said(other)(kra.PlanFile), dir, kra.PlanFile)
		}, kra.ErrNotAgreed, kra.PlanFile},
		"a damaged plan": {func(t *testing.T, dir string, _ *officer) { write(t, said(dir)(kra.PlanFile)[1:], dir, kra.PlanFile) },
			record.ErrFormat, kra.PlanFile},
		"no plan": {func(t *testing.T, dir string, _ *officer) { must(t, os.Remove(filepath.Join(dir, kra.PlanFile))) },
			kra.ErrFolder, kra.PlanFile},
		"no folder": {func(t *testing.T, dir string, _ *officer) { must(t, os.RemoveAll(dir)) }, kra.ErrFolder, "Is it the ceremony's folder?"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, twin := begun()
			test.lie(t, dir, twin)
			_, err := olga.again(t).Reveal(t.Context(), dir)
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("got %v", err)
			}
		})
	}
}
