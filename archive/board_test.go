package archive_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/archive/threshold"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/rostertest"
)

var olivia = audit.Actor{Person: uuid.New(), Name: "Olivia Officer", Roles: []audit.Role{audit.RecoveryAgent}, Method: audit.MethodPassword}

// newPlan is a plan for three agents who make a key together.
func newPlan(t testing.TB) (*record.Plan, []rostertest.Agent) {
	t.Helper()
	agents := rostertest.New(t, 2, 3).Agents
	plan := record.Plan{Archive: "by way of the server", Created: time.Now().UTC().Truncate(time.Second), Epoch: 1, Origin: record.OriginAgents, Threshold: 2}
	_, _ = rand.Read(plan.Session[:])
	for _, a := range agents {
		plan.Agents, plan.Dealers = append(plan.Agents, a.Agent), append(plan.Dealers, a.ID)
	}
	p, err := record.NewPlan(plan)
	if err != nil {
		t.Fatal(err)
	}
	return p, agents
}

// Three agents who never meet make a roster by way of the board alone, each sending at once with the others.
func TestACeremonyByWayOfTheBoard(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t)
	board := archive.NewBoard(archive.BoardConfig{DB: pgtest.Open(t, database)})
	plan, agents := newPlan(t)
	for range 2 {
		c, err := board.OpenCeremony(t.Context(), olivia, plan.Bytes(), nil)
		if err != nil || c.Round != record.RoundCommit || len(c.Missing) != 3 {
			t.Fatalf("%+v, %v", c, err)
		}
	}
	views := map[uint16]*record.Ceremony{}
	for _, a := range agents {
		v, err := record.NewCeremony(plan, nil)
		if err != nil {
			t.Fatal(err)
		}
		views[a.ID] = v
	}
	for _, step := range []func(*record.Ceremony, rostertest.Agent) ([]byte, error){
		func(v *record.Ceremony, a rostertest.Agent) ([]byte, error) {
			return v.Commit(a.ID, threshold.Share{}, a.Signer)
		},
		func(v *record.Ceremony, a rostertest.Agent) ([]byte, error) { return v.Reveal(a.Signer) },
		func(v *record.Ceremony, a rostertest.Agent) ([]byte, error) {
			return v.Acknowledge(a.ID, a.Key, a.Signer)
		},
	} {
		var wg sync.WaitGroup
		for _, a := range agents {
			m, err := step(views[a.ID], a)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // a retry
				wg.Go(func() {
					if _, err := board.Send(t.Context(), olivia, plan.Hash(), m); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		c, err := board.Ceremony(t.Context(), olivia, plan.Hash())
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range views {
			for _, m := range c.Messages {
				if err := v.Add(m); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	list, err := board.Ceremonies(t.Context(), olivia)
	if err != nil || len(list) != 1 || list[0].Round != record.RoundDone || len(list[0].Messages) != 9 {
		t.Fatalf("%d, %v", len(list), err)
	}
	var rosters [][]byte
	for _, v := range views {
		r, err := v.Roster()
		if err != nil {
			t.Fatal(err)
		}
		rosters = append(rosters, r.Bytes())
	}
	if !bytes.Equal(rosters[0], rosters[1]) || !bytes.Equal(rosters[1], rosters[2]) {
		t.Error("the agents made different rosters")
	}
	if n := database.Count(t, `select count(*) from audit.event where kind = 'archive.ceremony-message'`); n != 9 {
		t.Errorf("%d messages in the log of 9", n)
	}
}

func TestTheBoardRefuses(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t)
	board := archive.NewBoard(archive.BoardConfig{DB: pgtest.Open(t, database)})
	plan, agents := newPlan(t)
	other, others := newPlan(t)
	stranger := audit.Actor{Person: uuid.New(), Name: "Sam Stranger", Method: audit.MethodPassword}
	auditor := audit.Actor{Person: uuid.New(), Name: "Audrey Audit", Roles: []audit.Role{audit.Auditor}, Method: audit.MethodPassword}
	commit := func(p *record.Plan, a rostertest.Agent) []byte {
		v, err := record.NewCeremony(p, nil)
		if err != nil {
			t.Fatal(err)
		}
		m, err := v.Commit(a.ID, threshold.Share{}, a.Signer)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	if _, err := board.OpenCeremony(t.Context(), olivia, plan.Bytes(), nil); err != nil {
		t.Fatal(err)
	}
	first := commit(plan, agents[0])
	if _, err := board.Send(t.Context(), olivia, plan.Hash(), first); err != nil {
		t.Fatal(err)
	}
	reshare := record.Plan(*plan)
	reshare.Epoch, reshare.Previous = 2, record.Hash{9}
	missing, err := record.NewPlan(reshare)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		do   func() error
		want error
	}{
		"a stranger opens": {func() error { _, err := board.OpenCeremony(t.Context(), stranger, other.Bytes(), nil); return err }, audit.ErrRoleRequired},
		"an auditor opens": {func() error { _, err := board.OpenCeremony(t.Context(), auditor, other.Bytes(), nil); return err }, audit.ErrRoleRequired},
		"a stranger reads": {func() error { _, err := board.Ceremony(t.Context(), stranger, plan.Hash()); return err }, archive.ErrBoard},
		"a stranger lists": {func() error { _, err := board.Ceremonies(t.Context(), stranger); return err }, archive.ErrBoard},
		"a stranger sends": {func() error { _, err := board.Send(t.Context(), stranger, plan.Hash(), first); return err }, archive.ErrBoard},
		"no plan":          {func() error { _, err := board.OpenCeremony(t.Context(), olivia, []byte("x"), nil); return err }, record.ErrFormat},
		"no certificate": {func() error {
			_, err := board.OpenCeremony(t.Context(), olivia, other.Bytes(), [][]byte{{1}})
			return err
		}, record.ErrFormat},
		"an unknown roster": {func() error { _, err := board.OpenCeremony(t.Context(), olivia, missing.Bytes(), nil); return err }, archive.ErrNoRoster},
		"another plan's": {func() error {
			_, err := board.Send(t.Context(), olivia, plan.Hash(), commit(other, others[0]))
			return err
		}, fault.Conflict},
		"a second, different": {func() error {
			_, err := board.Send(t.Context(), olivia, plan.Hash(), commit(plan, agents[0]))
			return err
		}, record.ErrDealer},
		"garbage":              {func() error { _, err := board.Send(t.Context(), olivia, plan.Hash(), []byte{1, 6, 0}); return err }, record.ErrFormat},
		"an unknown ceremony":  {func() error { _, err := board.Send(t.Context(), olivia, other.Hash(), first); return err }, archive.ErrUnknownCeremony},
		"an unknown one, read": {func() error { _, err := board.Ceremony(t.Context(), auditor, other.Hash()); return err }, archive.ErrUnknownCeremony},
	} {
		if err := tt.do(); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	if c, err := board.Ceremony(t.Context(), auditor, plan.Hash()); err != nil || len(c.Messages) != 1 || !slices.Equal(c.Missing, []uint16{2, 3}) {
		t.Errorf("%+v, %v", c, err)
	}
	for range 30 {
		p, _ := newPlan(t)
		if _, err = board.OpenCeremony(t.Context(), olivia, p.Bytes(), nil); err != nil {
			break
		}
	}
	if !errors.Is(err, archive.ErrCeremonies) {
		t.Errorf("after many ceremonies: %v", err)
	}
}
