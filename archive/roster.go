package archive

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/audit"
)

// rosters are those that the configuration pins, verified. Each is read once: what is in memory was verified, and the
// database can change nothing about it.
type rosters struct {
	archive *Archive
	mu      sync.Mutex
	byHash  map[record.Hash]*record.Roster
}

// get returns the verified roster with a hash. It returns ErrRosterPin when that is not pinned, or what the database
// holds is not it, and ErrNoRoster when the database has none.
func (r *rosters) get(ctx context.Context, hash record.Hash) (*record.Roster, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.byHash[hash]; known != nil {
		return known, nil
	}
	a := r.archive
	if !slices.Contains(a.Pins, hash) {
		return nil, ErrRosterPin
	}
	var file []byte
	err := a.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		file, err = selectRoster(ctx, tx, hash)
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ErrNoRoster
	}
	if err != nil {
		return nil, err
	}
	roster, err := a.verify(file)
	if err != nil {
		return nil, err
	}
	if roster.Hash() != hash {
		return nil, ErrRosterPin
	}
	r.byHash[hash] = roster
	return roster, nil
}

// active returns the roster that new keys are sealed to.
func (r *rosters) active(ctx context.Context) (*record.Roster, error) {
	return r.get(ctx, r.archive.Pins[0])
}

// forKey returns the newest pinned roster of an archive key.
func (r *rosters) forKey(ctx context.Context, key record.Hash) (*record.Roster, error) {
	var newest *record.Roster
	for _, pin := range r.archive.Pins {
		roster, err := r.get(ctx, pin)
		if errors.Is(err, ErrNoRoster) && pin != r.archive.Pins[0] { // pinned ahead of a change
			continue
		}
		if err != nil {
			return nil, err
		}
		if roster.KeyID() == key && (newest == nil || roster.Epoch() > newest.Epoch()) {
			newest = roster
		}
	}
	if newest == nil {
		return nil, ErrNoRoster.Withf("No roster that archive.roster_pins names can open the key %s.", key)
	}
	return newest, nil
}

// verify parses a roster file and checks it against the pins, itself, and what its certificates may be used for.
func (a *Archive) verify(file []byte) (*record.Roster, error) {
	roster, err := record.ParseRoster(file)
	if err != nil {
		return nil, ErrRosterPin.Because(err)
	}
	err = roster.Verify(record.VerifyOptions{Pins: a.Pins, SingleAgentMayOpenAlone: a.SingleAgentMayOpenAlone})
	if err != nil {
		return nil, ErrRosterPin.Because(err)
	}
	if err := roster.CheckUsages(api.OIDAgentSigning, api.OIDAgentDecryption, api.OIDRecipient); err != nil {
		return nil, ErrRosterPin.Withf("The roster names certificates that were not issued for recovery agents and recipients.").Because(err)
	}
	return roster, nil
}

// CheckRoster reads and verifies the active roster, as at start.
func (a *Archive) CheckRoster(ctx context.Context) error {
	_, err := a.roster.active(ctx)
	return err
}

// Roster returns the active roster, verified.
func (a *Archive) Roster(ctx context.Context) (*record.Roster, error) { return a.roster.active(ctx) }

// AddRoster brings a roster file in. Its hash must be one of the configuration's pins. Adding it again changes nothing.
func (a *Archive) AddRoster(ctx context.Context, by audit.Actor, file []byte) (*record.Roster, error) {
	roster, err := a.verify(file)
	if err != nil {
		return nil, err
	}
	now := a.Now()
	return roster, a.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		added, err := insertRoster(ctx, tx, roster, now)
		if err != nil || !added {
			return err
		}
		_, err = audit.Append(ctx, tx, now, by, audit.Event{Kind: "archive.roster-added", Subject: "roster:" + roster.Hash().String(),
			Data: map[string]any{"key_id": roster.KeyID().String(), "epoch": roster.Epoch(), "threshold": roster.Plan.Threshold, "agents": len(roster.Plan.Agents)}})
		return err
	})
}
