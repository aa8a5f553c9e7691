package agent

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/sealpost/sealpost/internal/disk"
)

// lock takes the agent's folder for this process. The kernel gives it back when the process ends, however it ends.
func (a *Agent) lock() (unlock func(), err error) {
	if err := makePrivateDir(a.cfg.Dir); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(a.cfg.Dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, disk.Cannot(err, "The folder %s cannot be locked.", a.cfg.Dir)
	}
	free, err := disk.TryLock(f)
	if errors.Is(err, disk.ErrLocked) {
		return nil, ErrBusy.Withf("Another agent is at work in %s. Wait until it has ended.", a.cfg.Dir)
	}
	if err != nil {
		return nil, disk.Cannot(err, "The folder %s cannot be locked.", a.cfg.Dir)
	}
	unlock = func() {
		if err := free(); err != nil {
			a.cfg.Log.Warn("lock not closed", "error", err)
		}
	}
	if err := errors.Join(a.nameMachine(), a.settleAll()); err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}
