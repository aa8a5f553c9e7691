package kra

import (
	"path/filepath"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/delivery"
	"github.com/sealpost/sealpost/internal/audit/proof"
	"github.com/sealpost/sealpost/internal/fault"
)

// Seen is a state of the audit log that was verified: its key signed it, it continues what this home saw last and what
// other officers countersigned.
type Seen struct {
	proof.Checkpoint
	Note      []byte
	Before    int64     // the size that this home saw last; 0 if none
	Witnessed []Witness // the others
	Warnings  []string  // countersignatures that are none: they say nothing about the log
}

// Witness is an officer who countersigned the log up to a size.
type Witness struct {
	Who  string
	Size int64
}

// requested is the kind of the event that a case's opening leaves in the audit log.
const requested = "archive.case-requested"

// checkLog demands that the audit log is shown to be whole and to have the case's opening, which names this very case. It
// returns nil for a drill, which officers hold among themselves.
func (o *Officer) checkLog(x *Examination) (*Log, *Seen, error) {
	if x.Case.Kind == record.CaseDrill {
		return nil, nil, nil
	}
	l, err := o.Log()
	if err != nil {
		return nil, nil, err
	}
	shown, err := x.folder.Log()
	if err != nil {
		return nil, nil, err
	}
	if shown == nil {
		return nil, nil, ErrLogMissing.Withf("There is no %s: it is not shown that the case is in the audit log. Have the folder made with sealpost-kra fetch, or look at the case by its id.",
			x.folder.Path(delivery.LogFile))
	}
	files, err := x.folder.Checkpoints()
	if err != nil {
		return nil, nil, err
	}
	seen, err := l.verify(shown.AuditLog, files, witnesses(x.Roster))
	if err != nil {
		return nil, nil, err
	}
	return l, seen, l.has(shown, seen, x.Case)
}

// has demands that the event of a case's opening is in the log.
func (l *Log) has(shown *api.CaseLog, seen *Seen, c *record.SignedCase) error {
	if shown.Event == "" {
		return ErrLogCase.Withf("The audit log has no event of this case's opening: the case was put in behind the log's back, or its event was taken away. %s", alarm)
	}
	e, err := proof.ParseEvent([]byte(shown.Event))
	if err != nil {
		return ErrLogCase.Withf("What is shown as the event of this case's opening is none. %s", alarm).Because(err)
	}
	if e.Kind != requested || e.Subject != "case:"+c.ID.String() || e.Text("case") != c.Hash().String() {
		return ErrLogCase.Withf("The audit log's event is not of this case: it names another, or the case was exchanged after it was opened. %s", alarm)
	}
	var in proof.Inclusion
	if shown.Inclusion == "" {
		return ErrLogCase.Withf("The event of this case's opening is not in the audit log: it was altered or put in. %s", alarm)
	}
	if err := in.UnmarshalText([]byte(shown.Inclusion)); err != nil {
		return ErrLogCase.Withf("What should prove that this case's opening is in the audit log is no proof. %s", alarm).Because(err)
	}
	at, err := in.Check(proof.LeafHash([]byte(shown.Event)), l.known)
	if err != nil || at != seen.Checkpoint {
		return ErrLogCase.Withf("The proof that this case's opening is in the audit log does not hold. %s", alarm).Because(err)
	}
	return nil
}

// verify checks a log that is shown against what the home has seen, and against what others countersigned: as the server
// says, and in files.
func (l *Log) verify(shown api.AuditLog, files []delivery.Checkpoint, officers []*proof.Witness) (*Seen, error) {
	if shown.Key != l.Key && shown.Key != "" {
		return nil, ErrLogKey.Withf("The audit log is shown with the key %s; this home knows %s. %s", record.Line(shown.Key, maxLogKey), l.Key, alarm)
	}
	c, err := proof.Open([]byte(shown.Checkpoint), l.known)
	if err != nil {
		return nil, ErrLogKey.Withf("What is shown as the audit log's newest checkpoint is not signed by the key that this home knows. %s", alarm).Because(err)
	}
	seen := &Seen{Checkpoint: c, Note: []byte(shown.Checkpoint), Before: l.Size}
	proofs := map[int64]proof.Consistency{}
	for _, text := range shown.Consistency {
		var p proof.Consistency
		if err := p.UnmarshalText([]byte(text)); err == nil { // else it proves nothing
			proofs[p.OldSize] = p
		}
	}
	if l.Note != nil {
		if err := l.continues(l.Checkpoint, c, proofs, "this home has seen", ErrLogRewritten, ErrLogShortened); err != nil {
			return nil, err
		}
	}
	for _, w := range shown.Witnessed {
		if err := l.meet(seen, proofs, []byte(w.Checkpoint), "the server's list", officers); err != nil {
			return nil, err
		}
	}
	for _, f := range files {
		if err := l.meet(seen, proofs, f.Note, filepath.Base(f.File), officers); err != nil {
			return nil, err
		}
	}
	return seen, nil
}

// meet compares the log with a checkpoint that somebody else has seen. That the log's key signed it suffices: it must not
// sign two logs.
func (l *Log) meet(seen *Seen, proofs map[int64]proof.Consistency, msg []byte, from string, officers []*proof.Witness) error {
	c, err := proof.OpenCountersigned(msg, l.known, officers)
	if err != nil {
		seen.Warnings = append(seen.Warnings, "A checkpoint in "+from+" is not one that an officer countersigned, and says nothing about the audit log.")
		return nil
	}
	who := "somebody has seen (" + from + ")"
	for i, w := range c.By {
		if i == 0 {
			who = w.Who() + " has countersigned (" + from + ")"
		}
		seen.Witnessed = append(seen.Witnessed, Witness{w.Who(), c.Size})
	}
	return l.continues(c.Checkpoint, seen.Checkpoint, proofs, who, ErrLogSplit, ErrLogSplit)
}

// continues demands that the log of a checkpoint has all that an older one stands for.
func (l *Log) continues(old, now proof.Checkpoint, proofs map[int64]proof.Consistency, who string, rewritten, shortened *fault.Error) error {
	switch {
	case old.Size > now.Size:
		return shortened.Withf("The audit log is shown with %s, but %s %d: its end is gone, as if it had been set back, or what is shown is older than that. "+
			"If it came in a folder, have it fetched again. If it stays so: %s", events(now.Size), who, old.Size, alarm)
	case old.Size == now.Size && old.Root == now.Root, old.Size == 0:
		return nil
	case old.Size == now.Size:
		return rewritten.Withf("The audit log of %s is not the one that %s: it was rewritten, or shows different contents to different readers. %s", events(now.Size), who, alarm)
	}
	p, ok := proofs[old.Size]
	if !ok {
		return ErrLogMissing.Withf("It is not shown that the audit log continues the %s that %s. Have the folder fetched again, with --seen %d. %s", events(old.Size), who, old.Size, alarm)
	}
	at, err := p.Check(old, l.known)
	if err != nil || at != now {
		return rewritten.Withf("The audit log does not continue the %s that %s: it was rewritten, or shows different contents to different readers. %s", events(old.Size), who, alarm).Because(err)
	}
	return nil
}

// seeLog verifies the audit log anew, since another command may have seen more of it, and remembers it. It returns nil for
// a drill.
func (o *Officer) seeLog(x *Examination) (*Log, error) {
	l, seen, err := o.checkLog(x)
	if err != nil || l == nil {
		return nil, err
	}
	return l, o.keepLog(l, seen)
}
