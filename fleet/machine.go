package fleet

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/audit"
)

// Machine is a machine of somebody's.
type Machine struct {
	Number     int64 // order in which machines were first heard of; a cursor
	Person     uuid.UUID
	ID         uuid.UUID
	PersonName string // at the last contact
	FirstAt    time.Time
	LastAt     time.Time
	ReportedAt *time.Time // nil: it has said nothing of itself
	System     string     // this and what follows are the machine's word
	Version    string
	Failure    string     // code of what goes wrong now; "": nothing
	EndsAt     *time.Time // when the first of its current certificates does
	Report     *api.MachineReport
}

// Standing says in a word how a machine stands.
func (f *Fleet) Standing(m *Machine) api.MachineStanding {
	now := f.now()
	silent := m.LastAt.Before(now.Add(-f.Policy.Silent))
	switch {
	case m.EndsAt != nil && !m.EndsAt.After(now) && !silent:
		return api.MachineEnded
	case m.EndsAt != nil && m.EndsAt.After(now) && m.EndsAt.Before(now.Add(soon)) && m.LastAt.Before(now.Add(-quiet)):
		return api.MachineEnding
	case silent:
		return api.MachineSilent
	case m.Failure != "":
		return api.MachineFailing
	case m.ReportedAt == nil:
		return api.MachineHeard
	}
	return api.MachineWell
}

// Which chooses machines. What is empty does not narrow.
type Which struct {
	Person      uuid.UUID
	SilentSince time.Time // not heard of since
	EndsBefore  time.Time // the first of the current certificates does
	System      string
	Version     string
	Failure     string // what goes wrong now
	Failing     bool   // something does

	Quietest bool // in the order of contact, the longest silent first; else in that in which they were first heard of
	Reverse  bool // the other way round
	After    Place
	Limit    int
}

// Place is where a page ended.
type Place struct {
	Number int64
	At     time.Time // of contact, where that is the order
}

// Place returns where a machine stands in lists.
func (m *Machine) Place() Place { return Place{m.Number, m.LastAt} }

// maxPage is how many machines a page has at most.
const maxPage = 500

// List returns machines: the actor's own, or those of whom they ask for, which registrars, operators and auditors may.
func (f *Fleet) List(ctx context.Context, by audit.Actor, w Which) ([]*Machine, error) {
	if (w.Person != by.Person || by.Person == uuid.Nil) && !Sees(by) {
		return nil, ErrNotAllowed
	}
	w.Limit = min(max(w.Limit, 1), maxPage)
	var out []*Machine
	err := f.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		out, err = selectMachines(ctx, tx, w)
		return err
	})
	return out, err
}

// Get returns one machine. Who may not see it is told that there is none.
func (f *Fleet) Get(ctx context.Context, by audit.Actor, person, id uuid.UUID) (*Machine, error) {
	if person != by.Person && !Sees(by) {
		return nil, ErrUnknown
	}
	var m *Machine
	err := f.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		m, err = selectMachine(ctx, tx, person, id)
		return err
	})
	return m, err
}

// Forget forgets a machine, of the actor's own or, for registrars and at the server's command line, of anybody's. If it reports again it is known again: what
// should work there no longer is revoked, not forgotten.
func (f *Fleet) Forget(ctx context.Context, by audit.Actor, person, id uuid.UUID) (*Machine, error) {
	data := map[string]any{"machine": id}
	if person != by.Person && !by.Has(audit.Registrar) && by.Method != audit.MethodLocal {
		if !Sees(by) {
			return nil, ErrUnknown
		}
		data["code"] = ErrForget.Code
		_, err := f.Audit.Record(ctx, by, event("fleet.machine-forget-refused", person, data))
		return nil, errors.Join(ErrForget, err)
	}
	var m *Machine
	err := f.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		if m, err = selectMachine(ctx, tx, person, id); err != nil {
			return err
		}
		if err := deleteMachine(ctx, tx, person, id); err != nil {
			return err
		}
		_, err = audit.Append(ctx, tx, f.now(), by, event("fleet.machine-forgotten", person, data))
		return err
	})
	return m, err
}

// event returns an event about somebody's machine.
func event(kind string, person uuid.UUID, data map[string]any) audit.Event {
	return audit.Event{Kind: kind, Subject: "person:" + person.String(), Person: person, Data: data}
}

// Most that a summary tells apart.
const (
	mostFailures = 50
	mostNames    = 20
)

// counting reports whether somebody may count all machines: registrars, operators and auditors, and monitoring.
func counting(by audit.Actor) bool { return Sees(by) || by.Method == audit.MethodSystem }

// Failures counts machines by what goes wrong there now.
func (f *Fleet) Failures(ctx context.Context, by audit.Actor) ([]api.MachineCount, error) {
	return f.counted(ctx, by, countFailures, 10*mostFailures)
}

// Versions counts machines by the agent's version.
func (f *Fleet) Versions(ctx context.Context, by audit.Actor) ([]api.MachineCount, error) {
	return f.counted(ctx, by, countVersions, mostNames)
}

func (f *Fleet) counted(ctx context.Context, by audit.Actor, count func(context.Context, pgx.Tx, int) ([]api.MachineCount, error), most int) (out []api.MachineCount, err error) {
	if !counting(by) {
		return nil, ErrNotAllowed
	}
	err = f.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		out, err = count(ctx, tx, most)
		return err
	})
	return out, err
}

// Summary counts all machines.
func (f *Fleet) Summary(ctx context.Context, by audit.Actor) (*api.MachineSummary, error) {
	if !counting(by) {
		return nil, ErrNotAllowed
	}
	now := f.now()
	s := &api.MachineSummary{At: now, SilentDays: int(f.Policy.Silent / (24 * time.Hour))}
	err := f.DB.Snapshot(ctx, role, func(tx pgx.Tx) (err error) {
		if err := countMachines(ctx, tx, s, now, now.Add(-f.Policy.Silent)); err != nil {
			return err
		}
		if s.Failures, err = countFailures(ctx, tx, mostFailures); err != nil {
			return err
		}
		if s.Versions, err = countVersions(ctx, tx, mostNames); err != nil {
			return err
		}
		s.Systems, err = countSystems(ctx, tx, mostNames)
		return err
	})
	return s, err
}
