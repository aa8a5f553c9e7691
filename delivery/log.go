package delivery

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/disk"
)

// LogFile is what shows that the case is in the audit log: an api.CaseLog as the server gave it. Beside it lie checkpoints
// that officers countersigned.
const LogFile = "log.json"

const (
	checkpointSuffix = ".checkpoint"
	maxLog           = 8 << 20
	maxNote          = 32 << 10 // proof.MaxNote
)

// CheckpointFile returns the name of the file with the checkpoint that one agent countersigned.
func CheckpointFile(agent uint16) string { return fmt.Sprintf("%02d-agent%s", agent, checkpointSuffix) }

// Log reads what shows that the case is in the audit log; nil if there is no such file. Nothing of it has been verified.
func (f Folder) Log() (*api.CaseLog, error) {
	b, err := disk.Read(f.Path(LogFile), maxLog)
	if err != nil || b == nil {
		return nil, err
	}
	l, err := parseLog(b)
	return l, inFile(f.Path(LogFile), err)
}

func parseLog(b []byte) (*api.CaseLog, error) {
	var l api.CaseLog
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&l); err != nil {
		return nil, ErrFolder.Withf("This does not show that a case is in an audit log.").Because(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, ErrFolder.Withf("There is more than what shows that a case is in an audit log.").Because(err)
	}
	return &l, nil
}

// PutLog writes what shows that the case is in the audit log. What was there before is replaced: the log grows.
func (f Folder) PutLog(l *api.CaseLog) error {
	b, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return err
	}
	return disk.Write(f.Path(LogFile), append(b, '\n'), 0o644)
}

// Checkpoint is a checkpoint that lies in the folder. Nothing about it has been verified.
type Checkpoint struct {
	Note []byte
	File string // its path
}

// Checkpoints reads the checkpoints that officers have put into the folder.
func (f Folder) Checkpoints() ([]Checkpoint, error) {
	names, err := f.list(checkpointSuffix)
	if err != nil {
		return nil, err
	}
	var out []Checkpoint
	for _, name := range names {
		c := Checkpoint{File: f.Path(name)}
		if c.Note, err = disk.Read(c.File, maxNote); err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// PutCheckpoint writes the checkpoint that an agent countersigned and returns where. It replaces an older one.
func (f Folder) PutCheckpoint(agent uint16, note []byte) (string, error) {
	path := f.Path(CheckpointFile(agent))
	return path, disk.Write(path, note, 0o644)
}
