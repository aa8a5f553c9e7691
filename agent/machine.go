package agent

import (
	"github.com/google/uuid"
)

// machine names this folder to the server, which tells one of a person's machines from another by it. It is random, says nothing
// of the machine, and proves nothing: who copies the folder has copied it too.
type machine struct {
	Version int       `json:"version"`
	ID      uuid.UUID `json:"id"`
}

func decodeMachine(data []byte) (*machine, error) {
	m := &machine{}
	if err := decodeState(data, m); err != nil {
		return nil, err
	}
	switch {
	case m.Version != stateVersion:
		return nil, versionFault(m.Version)
	case m.ID == uuid.Nil:
		return nil, ErrState.Withf("The machine's id in the agent's folder is missing.")
	}
	return m, nil
}

// Machine returns this folder's id; the nil id where no agent has worked in it yet, and while it is filled for somebody else: a folder to
// hand over is no machine of theirs, and none of whoever hands it over.
func (a *Agent) Machine() (uuid.UUID, error) {
	if a.handover {
		return uuid.Nil, nil
	}
	m, err := load(a.cfg.Dir, machineFile, decodeMachine)
	if err != nil || m == nil {
		return uuid.Nil, err
	}
	return m.ID, nil
}

// nameMachine gives the folder its id, if it has none. The caller has the lock.
func (a *Agent) nameMachine() error {
	id, err := a.Machine()
	if err != nil || id != uuid.Nil || a.handover {
		return err
	}
	return save(a.cfg.Dir, machineFile, machine{Version: stateVersion, ID: uuid.New()})
}
