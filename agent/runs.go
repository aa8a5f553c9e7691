package agent

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/internal/fault"
)

const (
	lookEvery  = 6 * time.Hour    // how often a machine that has all it needs looks whether that is so
	lookSoon   = 10 * time.Minute // while somebody else has to act
	firstPause = time.Minute      // after a failure that may pass by itself
	deniedWait = 15 * time.Minute // after one that somebody has to mend
	maxBackoff = 12 * time.Hour   // the longest pause between two runs, whatever fails
)

// runs is what runs.json holds: what the next run by itself must know of the last ones.
type runs struct {
	Version  int       `json:"version"`
	Next     time.Time `json:"next"`               // not before this
	Failures int       `json:"failures,omitempty"` // in a row
	Code     string    `json:"code,omitempty"`     // of the last one

	People map[uuid.UUID]*personRuns `json:"people,omitempty"`
}

type personRuns struct {
	Filled  string `json:"filled,omitempty"`  // Identity.contentHash of what the key stores have
	Restore string `json:"restore,omitempty"` // what became of asking for older keys: "restored", "nothing" or "refused"; empty: not asked
}

func decodeRuns(data []byte) (*runs, error) {
	r := &runs{}
	if err := decodeState(data, r); err != nil {
		return nil, err
	}
	if r.Version != stateVersion {
		return nil, versionFault(r.Version)
	}
	if r.Failures < 0 {
		return nil, ErrState
	}
	return r, nil
}

func (r *runs) person(id uuid.UUID) *personRuns {
	if r.People == nil {
		r.People = map[uuid.UUID]*personRuns{}
	}
	if r.People[id] == nil {
		r.People[id] = &personRuns{}
	}
	return r.People[id]
}

// settle notes how a run went and returns when the next is to come: at the time that was planned, or after a pause that doubles with each
// failure and of whose second half chance decides.
func (r *runs) settle(failed error, planned, now time.Time) time.Time {
	if failed == nil {
		r.Failures, r.Code, r.Next = 0, "", planned
		return r.Next
	}
	r.Failures++
	r.Code = "internal"
	pause := firstPause
	if f := fault.Of(failed); f != nil {
		r.Code = f.Code
		if !errors.Is(f, fault.Unavailable) {
			pause = deniedWait
		}
	}
	for i := 1; i < r.Failures && pause < maxBackoff; i++ {
		pause *= 2
	}
	pause = min(pause, maxBackoff)
	r.Next = now.Add(pause/2 + rand.N(pause/2))
	return r.Next
}

func (a *Agent) loadRuns() (*runs, error) {
	r, err := load(a.cfg.Dir, runsFile, decodeRuns)
	if err == nil && r == nil {
		r = &runs{Version: stateVersion}
	}
	return r, err
}

func (a *Agent) saveRuns(r *runs) error {
	unlock, err := a.lock()
	if err != nil {
		return err
	}
	defer unlock()
	return save(a.cfg.Dir, runsFile, r)
}

// Schedule is when the agent runs by itself again, and why it waits.
type Schedule struct {
	Next     time.Time // zero: it never ran by itself
	Failures int       // in a row
	Code     string    // of the last failure
}

// Schedule returns when the agent runs by itself again.
func (a *Agent) Schedule() (Schedule, error) {
	r, err := a.loadRuns()
	if err != nil {
		return Schedule{}, err
	}
	return Schedule{r.Next, r.Failures, r.Code}, nil
}
