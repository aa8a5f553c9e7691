package kra

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/disk"
)

// Files in a ceremony's folder. Messages are called NN-agent-ROUND.msg, where NN is the agent's id and ROUND commit,
// reveal or acknowledge; those of a dealing machine 00-dealer-ROUND.msg. Their names are for people: what a message is and
// whose, it says itself.
const (
	PlanFile          = "plan.bin"
	IntermediatesFile = "intermediates.pem"
	PreviousFile      = "previous.bin" // in a reshare, the roster that is passed on
	RosterFile        = "roster.bin"
	messageSuffix     = ".msg"
)

// Limits of what is read from a folder that others write to, in bytes; the formats have the same.
const (
	maxPlan     = 1 << 24
	maxMessage  = 1 << 25
	maxRoster   = 1 << 26
	maxMessages = 1000
)

// roundNames are the names of the rounds in files and in sentences.
var roundNames = map[record.Round]string{record.RoundCommit: "commit", record.RoundReveal: "reveal", record.RoundAcknowledge: "acknowledge", record.RoundDone: "done"}

// RoundName returns what a round is called on the command line: commit, reveal, acknowledge, done.
func RoundName(r record.Round) string { return roundNames[r] }

// MessageFile returns the name of the file with one agent's message of one round. Agent 0 is the dealing machine.
func MessageFile(id uint16, round record.Round) string {
	who := "agent"
	if id == 0 {
		who = "dealer"
	}
	return fmt.Sprintf("%02d-%s-%s%s", id, who, roundNames[round], messageSuffix)
}

// folder is where the messages of one ceremony lie. Whoever can write to it can disturb the ceremony, but not unseen.
type folder struct{ dir string }

func (f folder) path(name string) string { return filepath.Join(f.dir, name) }

func (f folder) plan() (*record.Plan, error) {
	b, err := disk.Read(f.path(PlanFile), maxPlan)
	if err != nil {
		return nil, err
	}
	if b == nil {
		return nil, ErrFolder.Withf("There is no %s in %s. Is it the ceremony's folder?", PlanFile, f.dir)
	}
	p, err := record.ParsePlan(b)
	if err != nil {
		return nil, inFile(f.path(PlanFile), err)
	}
	return p, nil
}

// previous reads the roster that a reshare passes on; nil for a new key. The plan names it by its hash, so that whoever
// agreed on the plan has agreed on it.
func (f folder) previous(plan *record.Plan) (*record.Roster, error) {
	if !plan.IsReshare() {
		return nil, nil
	}
	r, err := ReadRoster(f.path(PreviousFile))
	if err != nil {
		return nil, err
	}
	opt := record.VerifyOptions{Pins: []record.Hash{plan.Previous}, SingleAgentMayOpenAlone: r.Plan.SingleAgentMayOpenAlone}
	return r, inFile(f.path(PreviousFile), r.Verify(opt))
}

// begin shows a new view of the ceremony all that lies in the folder.
func (f folder) begin(plan *record.Plan) (*record.Ceremony, *record.Roster, error) {
	previous, err := f.previous(plan)
	if err != nil {
		return nil, nil, err
	}
	c, err := record.NewCeremony(plan, previous)
	if err != nil {
		return nil, nil, err
	}
	return c, previous, f.addTo(c)
}

// intermediates returns the issuing certificates beside the plan; none if there is no such file.
func (f folder) intermediates() ([]*x509.Certificate, error) {
	b, err := disk.Read(f.path(IntermediatesFile), maxCard*4)
	if err != nil || len(bytes.TrimSpace(b)) == 0 {
		return nil, err
	}
	certs, err := ParseCertificates(b)
	return certs, inFile(f.path(IntermediatesFile), err)
}

// message is one file of the folder.
type message struct {
	path  string
	bytes []byte
}

// messages returns all messages of the folder, in the order of the rounds.
func (f folder) messages() ([]message, error) {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return nil, ErrFolder.Withf("The folder %s cannot be read.", f.dir).Because(err)
	}
	var out []message
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || !strings.HasSuffix(e.Name(), messageSuffix) || record.Line(e.Name(), 255) != e.Name() {
			continue // a name that would mislead whoever reads it is none of ours
		}
		if len(out) == maxMessages {
			return nil, ErrFolder.Withf("There are more than %d messages in %s.", maxMessages, f.dir)
		}
		m := message{path: f.path(e.Name())}
		if m.bytes, err = disk.Read(m.path, maxMessage); err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	// The kinds of messages are numbered in the order of the rounds.
	slices.SortStableFunc(out, func(a, b message) int { return kindOf(a.bytes) - kindOf(b.bytes) })
	return out, nil
}

// Kinds of objects (docs/archive-format.md, 1.1).
const (
	kindPlan   = 5
	kindRoster = 9
)

// kindOf returns the second byte of an object, which says what it is.
func kindOf(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	return int(b[1])
}

// addTo shows a ceremony all messages of the folder. The first that is wrong is named.
func (f folder) addTo(c *record.Ceremony) error {
	messages, err := f.messages()
	if err != nil {
		return err
	}
	for _, m := range messages {
		if err := c.Add(m.bytes); err != nil {
			return inFile(m.path, err)
		}
	}
	return nil
}

// publish writes a file for the others to see. It leaves alone what is there already, and never replaces anything else.
func (f folder) publish(name string, data []byte) error {
	path := f.path(name)
	err := disk.Publish(path, data, maxRoster)
	if errors.Is(err, fs.ErrExist) {
		return ErrFolder.Withf("There is a file %s already, with other content. It was not touched.", path).Because(err)
	}
	return err
}

// isMissing reports whether err says that a file is not there.
func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

func sha(b []byte) [sha256.Size]byte { return sha256.Sum256(b) }
