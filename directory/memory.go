package directory

import (
	"sync"
	"time"

	"github.com/google/uuid"
)

// How many identities and persons are remembered at most.
const (
	maxIdentities = 100_000
	maxPersons    = 10_000
)

// identities remembers which id stands for which entry. That never changes, so it never expires.
type identities struct {
	mu       sync.RWMutex
	bySource map[string]uuid.UUID
	byPerson map[uuid.UUID]string
}

func newIdentities() *identities {
	return &identities{bySource: map[string]uuid.UUID{}, byPerson: map[uuid.UUID]string{}}
}

func (i *identities) person(source string) (uuid.UUID, bool) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	id, ok := i.bySource[source]
	return id, ok
}

func (i *identities) source(id uuid.UUID) (string, bool) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	s, ok := i.byPerson[id]
	return s, ok
}

func (i *identities) add(id uuid.UUID, source string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.bySource) >= maxIdentities {
		clear(i.bySource)
		clear(i.byPerson)
	}
	i.bySource[source], i.byPerson[id] = id, source
}

// persons remembers what was read about persons, for a short while.
type persons struct {
	keep time.Duration // 0: nothing is remembered
	mu   sync.RWMutex
	byID map[uuid.UUID]remembered
}

type remembered struct {
	person Person
	until  time.Time
}

func newPersons(keep time.Duration) *persons {
	return &persons{keep: keep, byID: map[uuid.UUID]remembered{}}
}

func (m *persons) get(id uuid.UUID, now time.Time) (Person, bool) {
	if m.keep == 0 {
		return Person{}, false
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	r, ok := m.byID[id]
	if !ok || !now.Before(r.until) || r.until.Sub(now) > m.keep { // the last: the clock was set back
		return Person{}, false
	}
	return r.person.clone(), true
}

// forget forgets one person, and clear all.
func (m *persons) forget(id uuid.UUID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.byID, id)
}

func (m *persons) clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.byID)
}

func (m *persons) put(p Person, now time.Time) {
	if m.keep == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.byID) >= maxPersons {
		for id, r := range m.byID {
			if !now.Before(r.until) {
				delete(m.byID, id)
			}
		}
		if len(m.byID) >= maxPersons {
			clear(m.byID)
		}
	}
	m.byID[p.ID] = remembered{p.clone(), now.Add(m.keep)}
}
