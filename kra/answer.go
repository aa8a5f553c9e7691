package kra

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/delivery"
	"github.com/sealpost/sealpost/internal/disk"
)

// Answered is an officer's answer to a case, which now lies in its folder.
type Answered struct {
	Answer *record.Answer
	File   string
	Again  bool // it was given earlier; this machine says the same again
	// Checkpoint of the audit log that was verified before, countersigned; nil in a drill.
	Checkpoint []byte
}

// Approve decrypts the officer's part of every record of the case, seals it to the recipients, and signs. In a restore it
// demands what the subject read to the officer of the recipient's fingerprint. The home remembers the answer before anybody
// sees it: the officer's keys are used once, one decryption and one signature (another countersigns the audit log), and a second call says the same again.
func (o *Officer) Approve(ctx context.Context, x *Examination, heard Heard, comment string) (*Answered, error) {
	may := func() error {
		if err := x.Refusal(); err != nil {
			return err
		}
		if x.Case.Kind != record.CaseRestore {
			return nil
		}
		return heard.agrees(x.Recipients[0].Fingerprint)
	}
	return o.answer(ctx, x, record.Approve, may, func() (*record.Answer, error) {
		share, err := x.Roster.OpenShare(x.Agent.ID, o.keys.recipient(x.Agent.Decryption))
		if err != nil {
			return nil, err
		}
		defer share.Scalar.Wipe()
		return record.Approving{Bundles: x.bundles, Share: share, Signer: o.keys.signing, Time: o.now(), Comment: comment}.Approve()
	})
}

// Deny signs that the officer does not open these keys. It asks less than Approve: a case with faults can be denied, if
// it is one that the requester signed, put to a roster that was verified here, and in the audit log.
func (o *Officer) Deny(ctx context.Context, x *Examination, comment string) (*Answered, error) {
	var a record.Agent
	may := func() (err error) {
		if err = x.checkRoster(o); err == nil {
			a, err = o.self(x.Roster.Plan)
		}
		return err
	}
	return o.answer(ctx, x, record.Deny, may, func() (*record.Answer, error) {
		d, err := record.NewDenial(x.Roster, x.Case, a.ID, o.keys.signing, o.now(), comment)
		if err != nil {
			return nil, err
		}
		return &record.Answer{Approval: d}, nil
	})
}

// answer has the officer answer once: may says whether they may, sign makes the answer. Before anything is signed, the audit
// log is verified and remembered; then its checkpoint is countersigned.
func (o *Officer) answer(ctx context.Context, x *Examination, d record.Decision, may func() error, sign func() (*record.Answer, error)) (*Answered, error) {
	if o.keys == nil {
		return nil, ErrLocked
	}
	out := &Answered{}
	err := o.home.locked(func() error {
		if err := o.forget(); err != nil {
			return err
		}
		if err := o.again(x, d, out); err != nil {
			return err
		}
		if !out.Again {
			if err := may(); err != nil {
				return err
			}
		}
		l, err := o.seeLog(x)
		if err != nil {
			return err
		}
		if !out.Again {
			if err := ctx.Err(); err != nil {
				return err
			}
			if out.Answer, err = sign(); err != nil {
				return err
			}
			if err := o.keepAnswer(x.Case, out.Answer); err != nil {
				return err
			}
		}
		if out.File, err = x.folder.PutAnswer(out.Answer); err != nil || l == nil {
			return err
		}
		if err := o.countersign(l); err != nil {
			return err
		}
		out.Checkpoint = l.Note
		_, err = x.folder.PutCheckpoint(out.Answer.Approval.Agent, l.Note)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// again finds out whether the officer has answered already, and refuses another answer.
func (o *Officer) again(x *Examination, d record.Decision, out *Answered) (err error) {
	if out.Answer, err = o.answered(x.Case); err != nil || out.Answer == nil {
		return err
	}
	out.Again = true
	if out.Answer.Approval.Decision != d {
		return ErrAnswered.Withf("From this home the case was already answered with: %s. An answer cannot be taken back.", out.Answer.Approval.Decision)
	}
	return o.knows(x.Roster) // it may have been retired since
}

func caseFile(c *record.SignedCase, name string) string {
	return path.Join(caseFolder, c.ID.String(), name)
}

// answered returns what this home has answered to the case; nil if nothing yet. Another case under the same id is a fault:
// somebody exchanged it after it was answered.
func (o *Officer) answered(c *record.SignedCase) (*record.Answer, error) {
	old, err := o.home.read(caseFile(c, delivery.CaseFile), maxMessage)
	if err != nil || old == nil {
		return nil, err
	}
	before, err := record.ParseCase(old)
	if err != nil {
		return nil, inFile(o.home.path(caseFile(c, delivery.CaseFile)), err)
	}
	if before.Hash() != c.Hash() {
		return nil, ErrAnswered.Withf("From this home another case under the same id %s was answered. Somebody has exchanged it: do not go on, tell the others.", c.ID)
	}
	b, err := o.home.read(caseFile(c, answerFile), maxMessage)
	if err != nil || b == nil {
		return nil, err
	}
	a, err := record.ParseAnswer(b)
	return a, inFile(o.home.path(caseFile(c, answerFile)), err)
}

func (o *Officer) keepAnswer(c *record.SignedCase, a *record.Answer) error {
	b, err := a.Encode()
	if err != nil {
		return err
	}
	if err := o.home.write(caseFile(c, answerFile), b); err != nil {
		return err
	}
	return o.home.write(caseFile(c, delivery.CaseFile), c.Bytes())
}

// forget drops the answers to cases whose deadline has passed, so that they cannot add up to anything.
func (o *Officer) forget() error {
	entries, err := os.ReadDir(o.home.path(caseFolder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return disk.ErrDisk.Withf("%s cannot be read.", o.home.path(caseFolder)).Because(err)
	}
	for _, e := range entries {
		b, err := o.home.read(path.Join(caseFolder, e.Name(), delivery.CaseFile), maxMessage)
		if err != nil {
			return err
		}
		c, err := record.ParseCase(b)
		if err != nil || o.now().Before(c.Deadline) {
			continue // what cannot be read is told when its case comes
		}
		if err := os.RemoveAll(o.home.path(path.Join(caseFolder, e.Name()))); err != nil {
			return disk.ErrDisk.Withf("The answer to a case that has ended cannot be removed.").Because(err)
		}
	}
	return nil
}
