package agent

import (
	"context"
	"errors"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/internal/fault"
)

// failuresFile holds what went wrong here and what went well, until it has been told and for a while after: a failure that came while
// the server was away is reported when it is back. It is a record, and nothing rests on it: one that cannot be read is begun anew.
const failuresFile = "failures.json"

const (
	maxOutcomes  = 12                  // failures that are kept of a person
	keptOutcomes = 30 * 24 * time.Hour // after they ended
	maxDetail    = 200                 // characters
	maxStores    = 16                  // key stores that are told of
)

// codeInternal stands for an error that has no code of its own.
const codeInternal = "internal"

// Outcome is something that went wrong, as often as it did so in a row.
type Outcome struct {
	Person  uuid.UUID  `json:"person"` // whose; nil where it was not known yet
	Step    string     `json:"step"`   // enrol, renew, restore or fill
	Code    string     `json:"code"`   // of the fault
	Detail  string     `json:"detail,omitempty"`
	Since   time.Time  `json:"since"`
	At      time.Time  `json:"at"`
	Count   int        `json:"count"`
	EndedAt *time.Time `json:"ended_at,omitempty"` // when the same step went well, or went wrong in another way
}

// outcomes is what failures.json holds.
type outcomes struct {
	Version  int                          `json:"version"`
	Failures []Outcome                    `json:"failures"` // the newest first
	People   map[uuid.UUID]*personOutcome `json:"people,omitempty"`
}

// personOutcome is how things stand with one person's certificates here.
type personOutcome struct {
	SucceededAt *time.Time         `json:"succeeded_at,omitempty"`
	Succeeded   string             `json:"succeeded,omitempty"` // the step
	Stores      []api.MachineStore `json:"stores,omitempty"`
	ToldAt      *time.Time         `json:"told_at,omitempty"` // when the server took a report
	Told        string             `json:"told,omitempty"`    // hash of what it said
}

func decodeOutcomes(data []byte) (*outcomes, error) {
	o := &outcomes{}
	if err := decodeState(data, o); err != nil {
		return nil, err
	}
	if o.Version != stateVersion {
		return nil, versionFault(o.Version)
	}
	return o, nil
}

func (o *outcomes) person(id uuid.UUID) *personOutcome {
	if o.People == nil {
		o.People = map[uuid.UUID]*personOutcome{}
	}
	if o.People[id] == nil {
		o.People[id] = &personOutcome{}
	}
	return o.People[id]
}

// memory keeps outcomes that could not be written, such as that the disk is full.
type memory struct {
	mu       sync.Mutex
	outcomes *outcomes
	away     bool // the server could not be reached a moment ago
}

func (m *memory) setAway(away bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.away = away
}

func (m *memory) isAway() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.away
}

// loadOutcomes returns what is known of earlier runs. It is called with the memory's lock held.
func (a *Agent) loadOutcomes() *outcomes {
	if a.memory.outcomes != nil {
		return a.memory.outcomes
	}
	o, err := load(a.cfg.Dir, failuresFile, decodeOutcomes)
	if err != nil {
		a.cfg.Log.Warn("what is known of earlier runs cannot be read, and is begun anew", "error", err)
	}
	if o == nil {
		o = &outcomes{Version: stateVersion}
	}
	return o
}

// noteOutcomes changes what is known of earlier runs. The caller has the folder's lock, or no other agent is to write (see Report). That it
// cannot be written keeps nothing from being done: it is remembered until this process ends.
func (a *Agent) noteOutcomes(change func(*outcomes)) {
	a.memory.mu.Lock()
	defer a.memory.mu.Unlock()
	o := a.loadOutcomes()
	change(o)
	o.bound(a.cfg.Now())
	if err := save(a.cfg.Dir, failuresFile, o); err != nil {
		a.cfg.Log.Warn("what became of a run is not written down", "error", err)
		a.memory.outcomes = o
		return
	}
	a.memory.outcomes = nil
}

// readOutcomes reads what is known of earlier runs.
func (a *Agent) readOutcomes(read func(*outcomes)) {
	a.memory.mu.Lock()
	defer a.memory.mu.Unlock()
	read(a.loadOutcomes())
}

// bound drops what is old, and of each person what is more than can be told.
func (o *outcomes) bound(now time.Time) {
	count := map[uuid.UUID]int{}
	o.Failures = slices.DeleteFunc(o.Failures, func(f Outcome) bool {
		if f.EndedAt != nil && now.Sub(*f.EndedAt) > keptOutcomes {
			return true
		}
		count[f.Person]++
		return count[f.Person] > maxOutcomes
	})
}

// attempt is one step on its way.
type attempt struct {
	agent  *Agent
	step   string
	person uuid.UUID // nil until it is known
}

// attempt begins a step. Its end is to be deferred, while the folder's lock is held.
func (a *Agent) attempt(step string) *attempt { return &attempt{agent: a, step: step} }

// ends notes what became of the step. That somebody has to wait for other people is neither a failure nor a success, and that
// somebody stopped the program is nothing at all.
func (t *attempt) ends(ctx context.Context, err *error) {
	failed := *err
	switch {
	case ctx.Err() != nil, errors.Is(failed, ErrWaiting), errors.Is(failed, ErrCaseWaiting), errors.Is(failed, ErrBusy):
		return
	case errors.Is(failed, ErrEnrolled), errors.Is(failed, ErrNothingLost):
		failed = nil
	}
	t.agent.memory.setAway(errors.Is(failed, client.ErrUnreachable))
	t.agent.noteOutcomes(func(o *outcomes) { o.note(t.person, t.step, failed, t.agent.cfg.Now().UTC()) })
}

// note adds what became of a step.
func (o *outcomes) note(person uuid.UUID, step string, failed error, now time.Time) {
	code := ""
	var said string
	if failed != nil {
		code = codeInternal
		if f := fault.Of(failed); f != nil {
			code, said = f.Code, plainDetail(f.Detail)
		}
	}
	again := false
	for i := range o.Failures {
		f := &o.Failures[i]
		mine := f.Person == person || f.Person == uuid.Nil && failed == nil
		if f.EndedAt != nil || f.Step != step || !mine {
			continue
		}
		if f.Code == code {
			f.At, f.Detail, again = now, said, true
			f.Count++
			continue
		}
		f.EndedAt = &now
	}
	switch {
	case failed == nil && person != uuid.Nil:
		p := o.person(person)
		p.SucceededAt, p.Succeeded = &now, step
	case failed != nil && !again:
		o.Failures = slices.Insert(o.Failures, 0, Outcome{Person: person, Step: step, Code: code, Detail: said, Since: now, At: now, Count: 1})
	}
}

// pathForm finds the names of files and folders in a text.
var pathForm = regexp.MustCompile(`(^|[\s"'(])(?:/[^\s"',;)]+|[A-Za-z]:\\[^"',;)]*|\\\\[^\s"',;)]+)`)

// plainDetail is a fault's detail without the names of files and folders, which are nobody's business but the person's.
func plainDetail(s string) string {
	s = pathForm.ReplaceAllString(s, "${1}…")
	if runes := []rune(s); len(runes) > maxDetail {
		s = string(runes[:maxDetail-1]) + "…"
	}
	return s
}

// noteStores remembers what became of filling somebody's key stores.
func (a *Agent) noteStores(person uuid.UUID, filled []Filled) {
	if len(filled) == 0 {
		return
	}
	a.noteOutcomes(func(o *outcomes) {
		now := a.cfg.Now().UTC()
		p := o.person(person)
		p.Stores = nil
		for _, f := range filled {
			if f.Nowhere() || len(p.Stores) == maxStores {
				continue
			}
			s := api.MachineStore{Kind: f.Store, Code: f.Code, Again: f.Again, At: &now}
			if f.Place != "" {
				s.Name = filepath.Base(f.Place) // of a profile; where it lies is nobody's business
			}
			p.Stores = append(p.Stores, s)
		}
	})
}

// Known is what is known of earlier runs, for people and scripts.
type Known struct {
	Failures []Outcome                        // the newest first; of everybody here
	Stores   map[uuid.UUID][]api.MachineStore // of each person, what became of filling them last
	ToldAt   *time.Time                       // when the server last took a report
}

// Known returns what is known of earlier runs.
func (a *Agent) Known() (k Known) {
	a.readOutcomes(func(o *outcomes) {
		k.Failures, k.Stores = slices.Clone(o.Failures), map[uuid.UUID][]api.MachineStore{}
		for id, p := range o.People {
			k.Stores[id] = slices.Clone(p.Stores)
			if p.ToldAt != nil && (k.ToldAt == nil || p.ToldAt.After(*k.ToldAt)) {
				k.ToldAt = p.ToldAt
			}
		}
	})
	return k
}

// StatusFile is the name, in the agent's folder, of what the program last said of its state.
const StatusFile = "status.json"

// KeepStatus writes what a program says of the agent's state where others find it, whole or not at all. It holds no secret.
func (a *Agent) KeepStatus(v any) error {
	id, err := a.Machine()
	if err != nil || id == uuid.Nil { // no agent has worked here yet
		return err
	}
	return save(filepath.Clean(a.cfg.Dir), StatusFile, v)
}
