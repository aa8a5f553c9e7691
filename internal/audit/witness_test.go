package audit_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/audit/proof"
	"github.com/sealpost/sealpost/internal/pgtest"
)

type witness struct {
	*proof.Witness
	key *ecdsa.PrivateKey
}

func newWitness(t *testing.T, who string) witness {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w, err := proof.NewWitness(who, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return witness{w, key}
}

func (w witness) signs(t *testing.T, msg []byte) []byte {
	t.Helper()
	out, err := proof.Countersign(msg, known(t), w.key)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func view(t *testing.T, l *audit.Log, leaf audit.Leaf, seen ...int64) audit.View {
	t.Helper()
	v, err := l.View(t.Context(), leaf, seen...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// What officers countersigned is kept with the log, shown with the proof that the log continues it, and told by Verify.
func TestCountersign(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	l := newLog(t, db)
	olga, otto, stranger := newWitness(t, "Olga"), newWitness(t, "Otto"), newWitness(t, "Mallory")
	all := []*proof.Witness{olga.Witness, otto.Witness}
	leaves := add(t, db, "ca", registrar, events(5)...)
	sequence(t, l, 5)
	first := view(t, l, leaves[3])
	if c, err := first.Inclusion.Check(leaves[3].Hash, known(t)); err != nil || c.Size != 5 || len(first.Consistency) != 0 {
		t.Errorf("%+v, %v", first, err)
	}
	for range 2 { // the second changes nothing
		if err := l.Countersign(t.Context(), registrar, olga.signs(t, first.Checkpoint), all); err != nil {
			t.Fatal(err)
		}
	}
	add(t, db, "ca", registrar, events(8)...)
	sequence(t, l, 8)
	second := view(t, l, audit.Leaf{Event: 99}, 3, 3, 0, -1, 13, 14)
	if second.Inclusion != nil {
		t.Error("an event that is not there is in the log")
	}
	var old []int64
	for _, p := range second.Consistency {
		old = append(old, p.OldSize)
	}
	if !slices.Equal(old, []int64{3, 5}) || len(second.Witnessed) != 1 || second.Witnessed[0].Witness != olga.Name() || second.Witnessed[0].Size != 5 {
		t.Errorf("%v, %+v", old, second.Witnessed)
	}
	was, err := proof.OpenCountersigned(second.Witnessed[0].Note, known(t), all)
	if err != nil || len(was.By) != 1 {
		t.Fatal(err)
	}
	if c, err := second.Consistency[1].Check(was.Checkpoint, known(t)); err != nil || c.Size != 13 {
		t.Errorf("%+v, %v", c, err)
	}
	if err := l.Countersign(t.Context(), registrar, otto.signs(t, second.Checkpoint), all); err != nil {
		t.Fatal(err)
	}
	r := clean(t, db, audit.VerifyConfig{Verifiers: known(t), Witnesses: all}, 13)
	if diff := cmp.Diff([]audit.Witnessed{{Who: "Olga", Size: 5}, {Who: "Otto", Size: 13}}, r.Witnessed); diff != "" {
		t.Error(diff)
	}

	for what, msg := range map[string][]byte{"nobody's": second.Checkpoint, "a stranger's": stranger.signs(t, second.Checkpoint), "garbage": []byte("x")} {
		if err := l.Countersign(t.Context(), registrar, msg, all); !errors.Is(err, proof.ErrMalformed) && !errors.Is(err, proof.ErrWitness) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := newLog(t, pgtest.New(t)).View(t.Context(), audit.Leaf{}); !errors.Is(err, audit.ErrEmpty) {
		t.Errorf("an empty log: %v", err)
	}
}

// An officer has countersigned what the log's key signed, and the log is another now: rewritten by somebody with the key, or
// set back to an old backup. The server says so, keeps the evidence and shows it; Verify names who saw what.
func TestCountersignaturesOfAnotherLog(t *testing.T) {
	t.Parallel()
	signs := func(t *testing.T, w witness, k keptLog, n int) []byte { return w.signs(t, k.outside[n]) }
	for _, c := range []struct {
		what  string
		spoil func(*testing.T, keptLog)
		want  audit.What
		text  string
	}{
		{"rewritten with the log's key", func(t *testing.T, k keptLog) { rewrite(t, k.database, 1) }, audit.Rewritten, "of size 330 that Olga countersigned has another root"},
		{"set back", func(t *testing.T, k keptLog) {
			script(t, k.database, `delete from audit.event where id > 30; delete from audit.leaf where idx >= 30; delete from audit.node;
				delete from audit.checkpoint where size > 30; delete from audit.pending`)
		}, audit.Truncated, "a checkpoint that Olga countersigned proves that it had 330"},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			k := kept(t)
			olga := newWitness(t, "Olga")
			all := []*proof.Witness{olga.Witness}
			c.spoil(t, k)
			l := newLog(t, k.db)
			note := signs(t, olga, k, 2)
			config := audit.VerifyConfig{Verifiers: known(t), Witnesses: all, Now: func() time.Time { return noon }}
			for range 2 { // it stays so
				err := l.Countersign(t.Context(), registrar, note, all)
				if !errors.Is(err, proof.ErrFalse) || !strings.Contains(err.Error(), "Olga has countersigned a checkpoint of 330 events") {
					t.Fatal(err)
				}
			}
			recorded, err := l.Events(t.Context(), audit.Query{Kind: "audit.countersignature-conflict"})
			if err != nil || len(recorded) != 1 {
				t.Errorf("recorded: %v, %v", recorded, err)
			}
			if v := view(t, l, audit.Leaf{}); len(v.Witnessed) != 1 || string(v.Witnessed[0].Note) != string(note) {
				t.Errorf("%+v", v.Witnessed)
			}
			r, err := audit.Verify(t.Context(), k.db, config)
			if err != nil || r.Finding == nil || r.Finding.What != c.want || !strings.Contains(r.Finding.Text, c.text) {
				t.Errorf("%v, %v", r.Finding, err)
			}
			if len(r.Witnessed) != 1 || r.Witnessed[0] != (audit.Witnessed{Who: "Olga", Size: 330}) {
				t.Errorf("%+v", r.Witnessed)
			}
			// The file from an officer's home does the same, where the database has lost what it knew.
			script(t, k.database, `delete from audit.countersignature`)
			config.Outside = [][]byte{note}
			r, err = audit.Verify(t.Context(), k.db, config)
			if err != nil || r.Finding == nil || r.Finding.What != c.want || !strings.Contains(r.Finding.Text, c.text) {
				t.Errorf("with the officer's file: %v, %v", r.Finding, err)
			}
			script(t, k.database, `insert into audit.countersignature (witness, size, root, note, received_at) values ('officer/x', 5, decode(repeat('00', 32), 'hex'), 'x', now())`)
			config.Outside = nil
			if r, err = audit.Verify(t.Context(), k.db, config); err != nil || r.Finding == nil || r.Finding.What != audit.BadNote {
				t.Errorf("a stored countersignature that is none: %v, %v", r.Finding, err)
			}
		})
	}
}
