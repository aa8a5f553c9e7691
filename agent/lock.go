package agent

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// lock takes the agent's folder for this process. The kernel gives it back when the process ends, however it ends.
func (a *Agent) lock() (unlock func(), err error) {
	if err := makePrivateDir(a.cfg.Dir); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(a.cfg.Dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, ErrDisk.Withf("The folder %s cannot be locked.", a.cfg.Dir).Because(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrBusy.Withf("Another agent is at work in %s. Wait until it has ended.", a.cfg.Dir)
		} else {
			err = ErrDisk.Withf("The folder %s cannot be locked.", a.cfg.Dir).Because(err)
		}
		return nil, errors.Join(err, f.Close())
	}
	return func() {
		// Unlocked by name: a child that is just being started may still share the open file, and keep the lock with it.
		if err := errors.Join(syscall.Flock(int(f.Fd()), syscall.LOCK_UN), f.Close()); err != nil {
			a.cfg.Log.Warn("lock not closed", "error", err)
		}
	}, nil
}
