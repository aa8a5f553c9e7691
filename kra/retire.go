package kra

import (
	"errors"
	"io/fs"
	"os"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/disk"
)

// Retire ends an officer's part in a roster that was reshared: the home forgets it, and answers no case under it any
// more. It demands that the reshare in the ceremony's folder is finished, every new officer's acknowledgement included, and
// that a drill under the new roster was passed. An officer who stays must have verified the new share before. It returns
// the new roster.
//
// The old share stays sealed in copies of the old roster, and the officer's key still opens it there: an officer who leaves
// destroys the home, too.
func (o *Officer) Retire(ceremony, drill string) (*record.Roster, error) {
	f := folder{ceremony}
	plan, err := o.agreed(f)
	if err != nil {
		return nil, err
	}
	previous, err := f.previous(plan)
	if err != nil {
		return nil, err
	}
	if previous == nil {
		return nil, ErrPlan.Withf("The ceremony in %s passes no key on: there is nothing to retire.", ceremony)
	}
	r, err := ReadRoster(f.path(RosterFile))
	if err != nil {
		return nil, err
	}
	if r.Plan.Hash() != plan.Hash() {
		return nil, ErrPlan.Withf("%s was not made by the ceremony in this folder.", f.path(RosterFile))
	}
	opt := record.VerifyOptions{Pins: []record.Hash{r.Hash()}, SingleAgentMayOpenAlone: plan.SingleAgentMayOpenAlone}
	if err := errors.Join(r.Verify(opt), r.VerifySuccessor(previous)); err != nil {
		return nil, inFile(f.path(RosterFile), err)
	}
	if _, err := o.agentOf(r); err == nil {
		if err := o.knows(r); err != nil {
			return nil, err
		}
	}
	if _, err := PassedDrill(drill, r); err != nil {
		return nil, err
	}
	return r, o.home.locked(func() error {
		if err := os.Remove(o.home.path(rosterName(previous.Hash()))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return disk.ErrDisk.Withf("%s cannot be removed.", o.home.path(rosterName(previous.Hash()))).Because(err)
		}
		return nil
	})
}
