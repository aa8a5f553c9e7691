package kra_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/delivery"
	"github.com/sealpost/sealpost/internal/audit/proof"
	"github.com/sealpost/sealpost/internal/audittest"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/kra"
)

// restores is a vault with a key of alice, and her device.
func restores(t *testing.T) (*vault, *device) {
	t.Helper()
	v := newVault(t)
	v.keep("alice", pkitest.NewKey(t, ca.P256), lastMonth)
	return v, v.device("alice")
}

// decides has an officer try to approve and to deny, of which both must be refused before a key is used; and the
// examination must say why.
func (o *officer) refuses(t *testing.T, what, dir string, want *fault.Error, text string) {
	t.Helper()
	uses := o.Count()
	x := o.examine(t, dir)
	if !errorIn(x, &errorText{want, text}) {
		t.Errorf("%s: examined: %v", what, x.Refusal())
	}
	_, err := o.Approve(t.Context(), x, heard(t, x.Case.Deliveries[0].Recipient), "")
	refused(t, what, err, want, text)
	_, err = o.Deny(t.Context(), x, "")
	refused(t, what+", denied", err, want, text)
	if uses.Signatures+uses.Decryptions != 0 {
		t.Errorf("%s: %+v", what, *uses)
	}
	if strings.Contains(text, "Nothing was signed") && !strings.Contains(err.Error(), "an auditor") {
		t.Errorf("%s: nobody to tell is named: %v", what, err)
	}
}

// put writes what is shown of the log into a folder.
func shown(t *testing.T, dir string, l *api.CaseLog) {
	t.Helper()
	must(t, delivery.Open(dir).PutLog(l))
}

func caseLog(t *testing.T, l *audittest.Log, s *record.SignedCase, seen ...int64) *api.CaseLog {
	t.Helper()
	out, err := l.Case(s.ID, seen...)
	must(t, err)
	return out
}

// An officer remembers the log that they verified before they answered, and countersigns it; the next sees that.
func TestOfficersWitnessTheLog(t *testing.T) {
	t.Parallel()
	v, alice := restores(t)
	dir, s := v.folder(v.restore(alice), alice.SigningKey)
	olga, otto := v.officers[0], v.officers[1]
	if l, err := olga.Log(); err != nil || l.Note != nil || l.Key != v.log.Key {
		t.Errorf("%+v, %v", l, err)
	}
	approve(t, dir, s, olga)
	l, err := olga.Log()
	if err != nil || l.Size != v.log.Size() {
		t.Fatalf("%+v, %v", l, err)
	}
	if !bytes.Equal(read(t, dir, delivery.CheckpointFile(1)), l.Note) || !strings.Contains(string(l.Note), "\n— officer/") {
		t.Errorf("in the folder lies %s", read(t, dir, delivery.CheckpointFile(1)))
	}
	uses := olga.Count()
	if a, err := olga.Approve(t.Context(), olga.examine(t, dir), kra.Heard{}, ""); err != nil || !a.Again || !bytes.Equal(a.Checkpoint, l.Note) || uses.Signatures != 0 {
		t.Errorf("again: %+v, %v, %+v", a, err, *uses)
	}
	x := otto.examine(t, dir)
	if x.Refusal() != nil || len(x.Log.Witnessed) != 1 || x.Log.Witnessed[0] != (kra.Witness{Who: "Olga Example", Size: l.Size}) || x.Log.Before != 0 {
		t.Errorf("%+v, %v", x.Log, x.Refusal())
	}

	// The log grows; the next case comes with the proof that it does.
	must(t, v.log.Append("something.else", "", ""))
	dir, s = v.folder(v.restore(alice), alice.SigningKey)
	must(t, os.WriteFile(filepath.Join(dir, delivery.CheckpointFile(1)), l.Note, 0o600))
	approve(t, dir, s, olga, otto)
	now, err := olga.Log()
	if err != nil || now.Size != v.log.Size() || now.Size <= l.Size {
		t.Errorf("%+v, %v", now, err)
	}
	// Garbage, and what another log's key signed, say nothing: they are told of.
	stranger, err := audittest.New()
	must(t, err)
	foreign, err := stranger.Checkpoint(1)
	must(t, err)
	write(t, []byte("x"), dir, "77-agent.checkpoint")
	write(t, foreign, dir, "78-agent.checkpoint")
	write(t, append(bytes.Clone(now.Note[:bytes.LastIndex(now.Note, []byte("— officer/"))]), l.Note[bytes.LastIndex(l.Note, []byte("— officer/")):]...), dir, "79-agent.checkpoint")
	if x := v.officers[2].examine(t, dir); x.Refusal() != nil || len(x.Warnings) != 3 || !strings.Contains(x.Warnings[0], "77-agent") {
		t.Errorf("%q, %v", x.Warnings, x.Refusal())
	}
}

// The server's log is not what the officer saw, or does not have the case: nothing is signed.
func TestLogsThatAreRefused(t *testing.T) {
	t.Parallel()
	v, alice := restores(t)
	o := v.officers[0]
	old, so := v.folder(v.restore(alice), alice.SigningKey)
	before := v.log.Size()
	dir, s := v.folder(v.restore(alice), alice.SigningKey)
	good := caseLog(t, v.log, s, before)
	must(t, v.log.Append("something.else", "", ""))
	must(t, v.log.Append("something.else", "", ""))
	shown(t, old, caseLog(t, v.log, so))
	approve(t, old, so, o) // has seen it with everything
	size := v.log.Size()
	fork := func(n int64, more int) *audittest.Log {
		f, err := v.log.Fork(n)
		must(t, err)
		must(t, f.Open(s.ID, s.Hash()))
		for range more {
			must(t, f.Append("something.else", "", ""))
		}
		return f
	}
	rewritten := caseLog(t, fork(before, 5), s, before, size)
	sameSize := caseLog(t, fork(before, 2), s, before)
	stranger, err := audittest.New()
	must(t, err)
	must(t, stranger.Open(s.ID, s.Hash()))
	forged := caseLog(t, stranger, s)
	pretended := *forged
	pretended.Key = v.log.Key
	must(t, v.log.Append("something.else", "", ""))
	whole := caseLog(t, v.log, s, size)
	change := func(f func(*api.CaseLog)) *api.CaseLog {
		l := *whole
		f(&l)
		return &l
	}
	other := caseLog(t, v.log, so, size)
	for what, c := range map[string]struct {
		log  *api.CaseLog
		want *fault.Error
		text string
	}{
		"rewritten with the log's key": {rewritten, kra.ErrLogRewritten, "does not continue"},
		"of the same size, rewritten":  {sameSize, kra.ErrLogRewritten, "it was rewritten"},
		"set back to an old backup":    {good, kra.ErrLogShortened, "its end is gone"},
		"another log":                  {forged, kra.ErrLogKey, "Nothing was signed"},
		"another log, as if it was it": {&pretended, kra.ErrLogKey, "not signed by the key"},
		"no proof that it continues":   {caseLog(t, v.log, s), kra.ErrLogMissing, "with --seen"},
		"a proof that is none":         {change(func(l *api.CaseLog) { l.Consistency = []string{"x", ""} }), kra.ErrLogMissing, "It is not shown"},
		"a proof of another checkpoint": {change(func(l *api.CaseLog) { l.Consistency = caseLog(t, fork(size, 2), s, size).Consistency }),
			kra.ErrLogRewritten, "does not continue"},
		"no checkpoint":              {change(func(l *api.CaseLog) { l.Checkpoint = "" }), kra.ErrLogKey, "Nothing was signed"},
		"a case without an event":    {change(func(l *api.CaseLog) { l.Event, l.Inclusion = "", "" }), kra.ErrLogCase, "no event of this case's opening"},
		"an event that is not in it": {change(func(l *api.CaseLog) { l.Inclusion = "" }), kra.ErrLogCase, "is not in the audit log"},
		"an event of another case":   {change(func(l *api.CaseLog) { l.Event, l.Inclusion = other.Event, other.Inclusion }), kra.ErrLogCase, "names another"},
		"an event that was altered":  {change(func(l *api.CaseLog) { l.Event = strings.Replace(l.Event, "2026", "2025", 1) }), kra.ErrLogCase, "does not hold"},
		"a proof of another event":   {change(func(l *api.CaseLog) { l.Inclusion = other.Inclusion }), kra.ErrLogCase, "does not hold"},
		"a proof in another log":     {change(func(l *api.CaseLog) { l.Inclusion = rewritten.Inclusion }), kra.ErrLogCase, "does not hold"},
		"garbage for an event":       {change(func(l *api.CaseLog) { l.Event = "{" }), kra.ErrLogCase, "is none"},
		"garbage for a proof":        {change(func(l *api.CaseLog) { l.Inclusion = "x" }), kra.ErrLogCase, "no proof"},
	} {
		shown(t, dir, c.log)
		o.refuses(t, what, dir, c.want, c.text)
	}
	// An event of another kind names the case: what was refused, say.
	must(t, v.log.Append("archive.case-refused", "case:"+s.ID.String(), s.Hash().String()))
	must(t, os.Remove(filepath.Join(dir, delivery.LogFile)))
	o.refuses(t, "no log at all", dir, kra.ErrLogMissing, "sealpost-kra fetch")
	write(t, []byte(`{"checkpoint":1}`), dir, delivery.LogFile)
	if _, err := o.Examine(dir, nil); err != nil {
		t.Errorf("garbage ends the examination: %v", err)
	}
	o.refuses(t, "a file that is none", dir, delivery.ErrFolder, "log.json")
	shown(t, dir, whole)
	approve(t, dir, s, o)
}

// Two officers were shown different logs by a server that has the log's key. As soon as one sees what the other
// countersigned, in the folder or from the server, neither signs.
func TestSplitView(t *testing.T) {
	t.Parallel()
	v, alice := restores(t)
	olga, otto := v.officers[0], v.officers[1]
	dir, s := v.folder(v.restore(alice), alice.SigningKey)
	split, err := v.log.Fork(1)
	must(t, err)
	must(t, split.Open(s.ID, s.Hash()))
	approve(t, dir, s, olga)
	countersigned := read(t, dir, delivery.CheckpointFile(1))
	for name, more := range map[string]int{"as many events": 0, "more": 3} {
		for range more {
			must(t, split.Append("something.else", "", ""))
		}
		shown(t, dir, caseLog(t, split, s, 1, 2))
		otto.refuses(t, "in the folder, "+name, dir, kra.ErrLogSplit, "Olga Example has countersigned (01-agent.checkpoint)")
	}
	must(t, os.Remove(filepath.Join(dir, delivery.CheckpointFile(1))))
	split.Witnessed = []api.Countersignature{{Officer: "Otto Example", Size: 2, Checkpoint: string(countersigned)}}
	shown(t, dir, caseLog(t, split, s))
	otto.refuses(t, "from the server", dir, kra.ErrLogSplit, "Olga Example has countersigned (the server's list)")

	// What Olga saw is longer than what Otto is shown.
	short, err := v.log.Fork(1)
	must(t, err)
	short.Witnessed = split.Witnessed
	shown(t, dir, caseLog(t, short, s))
	otto.refuses(t, "a shorter one", dir, kra.ErrLogSplit, "its end is gone")

	// Nobody countersigned, but the log's key signed both: that is enough.
	plain, err := v.log.Checkpoint(v.log.Size())
	must(t, err)
	split.Witnessed = nil
	shown(t, dir, caseLog(t, split, s, 2))
	write(t, plain, dir, "found.checkpoint")
	otto.refuses(t, "without a countersignature", dir, kra.ErrLogSplit, "somebody has seen (found.checkpoint)")
}

// The log's key is given once; what the home keeps is believed only whole.
func TestLogKey(t *testing.T) {
	t.Parallel()
	v, alice := restores(t)
	dir, s := v.folder(v.restore(alice), alice.SigningKey)
	o := v.officers[0]
	state := filepath.Join(o.home, "log.txt")
	must(t, os.Remove(state))
	o.refuses(t, "no key yet", dir, kra.ErrLogUnknown, "sealpost-kra log trust")
	refused(t, "garbage for a key", o.TrustLog("x"), proof.ErrMalformed, "no audit verifier key")
	refused(t, "a long one", o.TrustLog(strings.Repeat("x", 1<<20)), proof.ErrMalformed, "no key")
	must(t, o.TrustLog(v.log.Key))
	must(t, o.TrustLog(v.log.Key))
	other, err := audittest.New()
	must(t, err)
	refused(t, "another key", o.TrustLog(other.Key), kra.ErrLogKey, v.log.Key)
	approve(t, dir, s, o)

	whole := read(t, state)
	for what, bad := range map[string][]byte{"empty": {}, "cut": whole[:len(whole)-60], "no key": whole[4:], "two lines": append([]byte("key x\n"), whole...),
		"another key": bytes.Replace(whole, []byte(v.log.Key), []byte(other.Key), 1), "another size": bytes.Replace(whole, []byte("\n2\n"), []byte("\n1\n"), 1), "garbage": {0, 1, 2}} {
		write(t, bad, state)
		if _, err := o.Log(); err == nil {
			t.Errorf("%s is believed", what)
		}
		x := o.examine(t, dir)
		if !errorIn(x, &errorText{kra.ErrLogState, "log.txt was damaged"}) {
			t.Errorf("%s: %v", what, x.Refusal())
		}
		refused(t, what, o.TrustLog(v.log.Key), kra.ErrLogState, "log.txt")
	}
	write(t, whole, state)
	aside, err := o.ForgetLog()
	if err != nil || !bytes.Equal(read(t, aside), whole) {
		t.Errorf("%s, %v", aside, err)
	}
	_, err = o.ForgetLog()
	refused(t, "forgotten already", err, kra.ErrLogUnknown, "log trust")
	must(t, o.TrustLog(other.Key))
}

func FuzzParseLog(f *testing.F) {
	l, err := audittest.New()
	if err != nil {
		f.Fatal(err)
	}
	note, err := l.Checkpoint(1)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("key " + l.Key + "\n"))
	f.Add([]byte("key " + l.Key + "\n\n" + string(note)))
	f.Add([]byte("key x\n\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if l, err := kra.ParseLog(b); err == nil && (l.Key == "" || l.Note != nil && l.Size < 0) {
			t.Errorf("%+v", l)
		}
	})
}
