package kra_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/archive/threshold"
	"github.com/sealpost/sealpost/delivery"
	"github.com/sealpost/sealpost/internal/disk"
	"github.com/sealpost/sealpost/kra"
)

// handover is a reshare that everybody has agreed on.
func (v *vault) handover(to []*officer, change ...func(*kra.PlanConfig)) (string, *record.Plan) {
	v.t.Helper()
	dir, plan := v.plan(to, append([]func(*kra.PlanConfig){func(p *kra.PlanConfig) {
		p.Previous, p.Dealers = v.roster, []uint16{3, 1}
	}}, change...)...)
	for _, o := range append(v.officers[:3:3], to...) {
		_, err := o.Agree(dir, kra.Agreement{Hash: plan.Hash()})
		must(v.t, err)
	}
	return dir, plan
}

// TestReshare: three officers become five, one of them new keys, one leaves; records stay, old shares go after a drill.
func TestReshare(t *testing.T) {
	t.Parallel()
	v := alices(t)
	olga, otto, odile := v.officers[0], v.officers[1], v.officers[2]
	fresh := v.company.officers("Oskar", "Ortrud", "Onno")
	five := []*officer{fresh[0], olga, fresh[1], fresh[2], otto} // Odile leaves, Olga and Otto stay
	dir, plan := v.handover(five, func(p *kra.PlanConfig) { p.Threshold = 3 })
	if plan.Epoch != 2 || plan.Archive != "Example" || len(plan.Agents) != 5 || !plan.IsReshare() {
		t.Errorf("plan %+v", plan)
	}
	_, err := otto.Commit(t.Context(), dir)
	refused(t, "one who does not deal", err, kra.ErrNotInPlan, "Otto Example does not deal")
	_, err = fresh[0].Commit(t.Context(), dir)
	refused(t, "a new officer deals", err, kra.ErrNotInPlan, "does not deal")
	_, err = olga.Reveal(t.Context(), dir)
	refused(t, "reveal too soon", err, kra.ErrWaiting, "03-agent-commit.msg (Odile Example)")
	uses := olga.Count()
	all(t, []*officer{olga, odile}, dir, record.RoundCommit)
	if uses.Decryptions != 1 {
		t.Errorf("the old share was opened %d times", uses.Decryptions)
	}
	if sent, err := olga.Commit(t.Context(), dir); err != nil || !sent.Again || uses.Signatures != 1 {
		t.Errorf("committed again: %+v, %v", sent, err)
	}
	all(t, []*officer{olga.again(t), odile}, dir, record.RoundReveal)
	status, err := olga.Status(dir)
	if must(t, err); status.Round != record.RoundAcknowledge || len(status.Missing) != 5 || status.Name(2) != "Olga Example" {
		t.Errorf("status %+v", status)
	}
	_, err = odile.Acknowledge(t.Context(), dir)
	refused(t, "one who leaves acknowledges", err, kra.ErrNotInPlan, "Odile Example hands over")
	_, err = olga.Finish(dir)
	refused(t, "finish too soon", err, kra.ErrWaiting, "01-agent-acknowledge.msg (Oskar Example)")
	all(t, five, dir, record.RoundAcknowledge)
	next, err := odile.Finish(dir)
	must(t, err)
	if next.KeyID() != v.roster.KeyID() || next.Epoch() != 2 {
		t.Errorf("the roster is of another key: %+v", next)
	}
	for _, o := range five {
		_, err := o.VerifyShare(next, next.Hash())
		must(t, err)
	}

	// Nobody lets go of the old shares before a drill under the new roster.
	drill := filepath.Join(t.TempDir(), "drill")
	_, err = olga.Retire(dir, drill)
	refused(t, "no drill", err, delivery.ErrFolder, delivery.CaseFile)
	v.drill(t, drill, next, five[0])
	for _, o := range five[1:4] {
		_, err = olga.Retire(dir, drill)
		refused(t, "a drill that was not passed", err, kra.ErrDrill, "officers have approved")
		approveDrill(t, drill, o)
	}
	_, err = olga.Retire(dir, drill)
	refused(t, "a drill that was not opened", err, kra.ErrDrill, "nobody has opened")
	_, err = five[0].OpenDrill(drill)
	must(t, err)
	must(t, os.RemoveAll(filepath.Join(otto.home, "rosters", next.Hash().String()+".bin")))
	_, err = otto.Retire(dir, drill)
	refused(t, "one who has not verified the new share", err, kra.ErrRosterUnknown, next.Hash().String())

	// The old roster still answers until its officers retire; then it does not.
	alice := v.device("alice")
	old, s := v.folder(v.restore(alice), alice.SigningKey)
	approve(t, old, s, olga)
	for _, o := range []*officer{olga, odile} {
		_, err := o.Retire(dir, drill)
		must(t, err)
	}
	_, err = olga.Approve(t.Context(), olga.examine(t, old), heard(t, s.Deliveries[0].Recipient), "")
	refused(t, "what was answered before, after retiring", err, kra.ErrRosterUnknown, v.roster.Hash().String())
	x := odile.examine(t, old)
	_, err = odile.Approve(t.Context(), x, heard(t, s.Deliveries[0].Recipient), "")
	refused(t, "the old roster after it was retired", err, kra.ErrRosterUnknown, v.roster.Hash().String())

	// Records from before open under the new one.
	v.roster, v.officers = next, five
	folder, s := v.folder(v.restore(alice), alice.SigningKey)
	approve(t, folder, s, five[0], five[1], five[3])
	for p, err := range receive(t, folder, alice.recipient(t)).People(delivery.Certificates{}) {
		must(t, err)
		holds(t, p, v.kept["alice"][1], v.kept["alice"][0])
	}
}

func (v *vault) drill(t *testing.T, dir string, r *record.Roster, o *officer) {
	t.Helper()
	_, err := o.NewDrill(t.Context(), dir, r)
	must(t, err)
}

func approveDrill(t *testing.T, dir string, o *officer) {
	t.Helper()
	_, err := o.Approve(t.Context(), o.examine(t, dir), kra.Heard{}, "")
	must(t, err)
}

func TestDrill(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	dir := filepath.Join(t.TempDir(), "drill")
	olga, otto, odile := v.officers[0], v.officers[1], v.officers[2]
	v.drill(t, dir, v.roster, olga)
	x := olga.examine(t, dir)
	if !errorIn(x, &errorText{record.ErrCase, "asks for these keys"}) || len(x.Subjects) != 1 || x.Subjects[0].Person != uuid.Nil || x.Subjects[0].Name() != "(a drill)" {
		t.Errorf("seen by who drills: %+v", x)
	}
	approveDrill(t, dir, otto)
	_, err := olga.OpenDrill(dir)
	refused(t, "one officer alone", err, delivery.ErrNotEnough, "1 more")
	_, err = otto.OpenDrill(dir)
	refused(t, "another opens", err, delivery.ErrRecipient, "delivers nothing")
	approveDrill(t, dir, odile)
	_, err = olga.OpenDrill(dir)
	must(t, err)
	when, err := kra.PassedDrill(dir, v.roster)
	if err != nil || time.Since(when) > time.Hour {
		t.Errorf("passed %v: %v", when, err)
	}

	// A proof is of this drill and this key.
	proof := read(t, dir, kra.ProofFile)
	for name, b := range map[string][]byte{"cut off": proof[:len(proof)-1], "another's": alter(proof, len(proof)-1), "garbage": []byte("x"), "another key": alter(proof, 60)} {
		write(t, b, dir, kra.ProofFile)
		if _, err := kra.PassedDrill(dir, v.roster); !errors.Is(err, kra.ErrDrill) {
			t.Errorf("%s: %v", name, err)
		}
	}
	other := filepath.Join(t.TempDir(), "other")
	v.drill(t, other, v.roster, olga)
	approveDrill(t, other, otto)
	approveDrill(t, other, odile)
	write(t, proof, other, kra.ProofFile)
	if _, err := kra.PassedDrill(other, v.roster); !errors.Is(err, kra.ErrDrill) {
		t.Errorf("the proof of another drill: %v", err)
	}
	if found := leaks(t, dir, []byte("BEGIN PRIVATE")); len(found) != 0 {
		t.Errorf("a key in %v", found)
	}
}

func alter(b []byte, i int) []byte {
	c := append([]byte{}, b...)
	c[i] ^= 1
	return c
}

// TestRekey: records move to a new key, the run resumes, and the old officers open nothing any more.
func TestRekey(t *testing.T) {
	t.Parallel()
	v := alices(t)
	for range 300 { // more than one batch
		v.keepAs("carol", v.kept["bob"][0].key, v.kept["bob"][0].key, lastMonth)
	}
	ceremony, plan := v.plan(v.officers)
	to, err := kra.Perform(t.Context(), ceremony, kra.Agreement{Hash: plan.Hash()}, v.plain()...)
	must(t, err)
	dir, from := t.TempDir(), v.roster
	var all []*kept
	for _, name := range []string{"alice", "bob", "carol"} {
		all = append(all, v.kept[name]...)
	}
	for _, k := range all {
		must(t, delivery.AppendFrames(filepath.Join(dir, kra.RekeyFrom), [][]byte{k.record.Capsule.Bytes()}, 1<<12))
	}
	two := []*kra.Officer{v.officers[2].Officer, v.officers[0].Officer}
	for name, c := range map[string]struct {
		from, to *record.Roster
		officers []*kra.Officer
	}{
		"one officer": {v.roster, to, two[:1]}, "three officers": {v.roster, to, v.plain()}, "the same key": {v.roster, v.roster, two}, "one twice": {v.roster, to, []*kra.Officer{two[0], two[0]}},
		"a roster that nobody verified": {v.roster, v.strangers(t), two},
	} {
		if n, err := kra.Rekey(t.Context(), dir, c.from, c.to, c.officers, nil); err == nil || n != 0 {
			t.Errorf("%s: %d, %v", name, n, err)
		}
		if b, _ := disk.Read(filepath.Join(dir, kra.RekeyTo), 1<<30); len(b) != 0 {
			t.Errorf("%s: something was written", name)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	n, err := kra.Rekey(ctx, dir, v.roster, to, two, func(done, total int) {
		if total != len(all) {
			t.Errorf("%d of %d", done, total)
		}
		stop()
	})
	if !errors.Is(err, context.Canceled) || n == 0 || n == len(all) {
		t.Errorf("interrupted: %d, %v", n, err)
	}
	path := filepath.Join(dir, kra.RekeyTo)
	must(t, os.Truncate(path, int64(len(read(t, path))-7))) // and the stick was pulled out
	if n, err = kra.Rekey(t.Context(), dir, v.roster, to, two, nil); err != nil || n != len(all) {
		t.Fatalf("resumed: %d, %v", n, err)
	}
	if n, err = kra.Rekey(t.Context(), dir, v.roster, to, two, nil); err != nil || n != len(all) {
		t.Errorf("done already: %d, %v", n, err)
	}
	i := 0
	for made, err := range delivery.FramesOf(path, 1<<12, record.ParseCapsule) {
		must(t, err)
		adopted, err := all[i].record.Adopt(made, v.wrapping.Public(), v.wrapping)
		must(t, err)
		all[i].record = adopted
		i++
	}
	if i != len(all) {
		t.Errorf("%d of %d", i, len(all))
	}

	// It opens under the new roster, and no more with shares of the old one.
	in := v.inner(all[0])
	share := v.officers[0].share(t, v.roster)
	d, err := threshold.Decrypt(share, []threshold.Point{in.Capsule.R})
	must(t, err)
	share3 := v.officers[2].share(t, v.roster)
	d3, err := threshold.Decrypt(share3, []threshold.Point{in.Capsule.R})
	must(t, err)
	q, err := threshold.NewQuorum(2, []uint16{1, 3})
	must(t, err)
	z, err := q.Combine([]threshold.Point{d[0], d3[0]})
	must(t, err)
	if _, err := in.Open(z, v.roster.Key()); err == nil {
		t.Error("it still opens with the old shares")
	}
	v.roster = to
	alice := v.device("alice")
	folder, s := v.folder(v.restore(alice), alice.SigningKey)
	approve(t, folder, s, v.officers[0], v.officers[1])
	for p, err := range receive(t, folder, alice.recipient(t)).People(delivery.Certificates{}) {
		must(t, err)
		holds(t, p, v.kept["alice"][1], v.kept["alice"][0])
	}

	// What somebody else put there is not gone on with.
	foreign := read(t, dir, kra.RekeyFrom)
	write(t, foreign, path)
	_, err = kra.Rekey(t.Context(), dir, from, to, two, nil)
	refused(t, "another's file", err, kra.ErrRekey, "from number 1 on")
}

// strangers is a roster of people who want the archive for themselves.
func (v *vault) strangers(t *testing.T) *record.Roster {
	t.Helper()
	mallories := v.company.officers("Mallory", "Marvin", "Moriarty")
	dir, plan := v.plan(mallories)
	r, err := kra.Perform(t.Context(), dir, kra.Agreement{Hash: plan.Hash()}, mallories[0].Officer, mallories[1].Officer, mallories[2].Officer)
	must(t, err)
	return r
}
