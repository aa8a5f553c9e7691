package agent

import (
	"time"

	"github.com/google/uuid"
)

// BegunRequest is a request that has not come to its end yet.
type BegunRequest struct {
	Person    Person
	Enrolment string
	Server    string
	BegunAt   time.Time
	ID        *uuid.UUID // nil while the server is not known to have it
}

// Begun returns the requests on this workstation that have not come to their end.
func (a *Agent) Begun() ([]BegunRequest, error) {
	dirs, err := a.people()
	if err != nil {
		return nil, err
	}
	var out []BegunRequest
	for _, dir := range dirs {
		p, err := a.loadPending(dir)
		if err != nil {
			return nil, err
		}
		if p != nil {
			out = append(out, BegunRequest{Person: p.Person, Enrolment: p.Enrolment, Server: p.Server, BegunAt: p.BegunAt, ID: p.ID})
		}
	}
	return out, nil
}

// BegunRestores returns the restores on this workstation that have not come to their end, as far as it knows.
func (a *Agent) BegunRestores() ([]RestoreStatus, error) {
	ids, err := a.Identities()
	if err != nil {
		return nil, err
	}
	var out []RestoreStatus
	for _, id := range ids {
		s, err := a.loadRestoring(id)
		if err != nil {
			return nil, err
		}
		if s == nil {
			continue
		}
		st, err := a.statusOf(id, s)
		if err != nil {
			return nil, err
		}
		out = append(out, st)
	}
	return out, nil
}
