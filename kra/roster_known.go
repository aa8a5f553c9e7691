package kra

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/disk"
)

func rosterName(h record.Hash) string { return path.Join(rosterFolder, h.String()+".bin") }

// keepRoster remembers a roster whose pin this home's person has compared and that was verified.
func (o *Officer) keepRoster(r *record.Roster) error {
	return o.home.locked(func() error { return o.home.write(rosterName(r.Hash()), r.Bytes()) })
}

// Rosters returns the rosters that were verified in this home (VerifyShare), those of later epochs first.
func (o *Officer) Rosters() ([]*record.Roster, error) {
	entries, err := os.ReadDir(o.home.path(rosterFolder))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, disk.ErrDisk.Withf("%s cannot be read.", o.home.path(rosterFolder)).Because(err)
	}
	var out []*record.Roster
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".bin")
		if !ok {
			continue
		}
		r, err := ReadRoster(o.home.path(path.Join(rosterFolder, e.Name())))
		if err != nil {
			return nil, err
		}
		if r.Hash().String() != name {
			return nil, ErrState.Withf("%s was altered.", o.home.path(path.Join(rosterFolder, e.Name())))
		}
		out = append(out, r)
	}
	sortRosters(out)
	return out, nil
}

// knows says why a roster is not to be used: it was never verified here, or its agents have handed over to others.
func (o *Officer) knows(r *record.Roster) error {
	b, err := o.home.read(rosterName(r.Hash()), maxRoster)
	if err != nil {
		return err
	}
	if b == nil || record.Hash(sha(b)) != r.Hash() {
		return ErrRosterUnknown.Withf("The roster with the pin %s was not verified in this home. Compare its pin with the other officers first: sealpost-kra verify-share", r.Hash())
	}
	return nil
}
