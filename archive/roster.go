package archive

import (
	"context"
	"errors"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/audit"
)

// activeRoster is the roster that new keys are sealed to, verified against the pin. It is read once: what is in memory was
// verified, and the database can change nothing about it.
type activeRoster struct {
	archive *Archive
	mu      sync.Mutex
	roster  *record.Roster
}

// get returns the verified roster. It returns ErrNoRoster or ErrRosterPin when there is none.
func (r *activeRoster) get(ctx context.Context) (*record.Roster, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.roster != nil {
		return r.roster, nil
	}
	a := r.archive
	var file []byte
	err := a.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		file, err = selectRoster(ctx, tx, a.Pins[0])
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
	r.roster = roster
	return roster, nil
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
	_, err := a.roster.get(ctx)
	return err
}

// Roster returns the active roster, verified.
func (a *Archive) Roster(ctx context.Context) (*record.Roster, error) { return a.roster.get(ctx) }

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
