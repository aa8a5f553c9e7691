package web

import (
	"context"
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/gal"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/web/signin"
)

func (s *Server) galOperations() {
	register(s, operation{id: "getGALStatus", method: http.MethodGet, path: "/gal", tag: tagSystem, who: known,
		summary: "The newest sweep through the directory",
		about:   "How far it is or what became of it, and how many entries were not as they should be. For operators and auditors.",
		faults:  []*fault.Error{gal.ErrNotAllowed, gal.ErrNoTarget}, answer: exampleGAL}, s.getGAL)
	register(s, operation{id: "listDrift", method: http.MethodGet, path: "/gal/drift", tag: tagSystem, who: known,
		summary: "Entries of the directory that are not as they should be",
		about:   "As they were when they were last looked at. For operators and auditors.",
		faults:  []*fault.Error{gal.ErrNotAllowed, gal.ErrNoTarget}, answer: api.Page[api.Drift]{Items: []api.Drift{exampleDrift}}}, s.listDrift)
}

type galInput struct {
	Directory string `query:"directory" maxLength:"64" doc:"Its name, as the configuration has it. Empty means the one that people are looked up in."`
}

func (s *Server) getGAL(ctx context.Context, by signin.Caller, in *galInput) (*answer[api.GALStatus], error) {
	if s.GAL == nil {
		return &answer[api.GALStatus]{GALStatusOf(gal.Status{Phase: gal.Done})}, nil
	}
	t, err := s.target(by, in.Directory)
	if err != nil {
		return nil, err
	}
	st, err := t.Status(ctx, by.Actor)
	if err != nil {
		return nil, err
	}
	out := GALStatusOf(st)
	for _, t := range s.GAL.Targets() {
		out.Directories = append(out.Directories, t.Name())
	}
	return &answer[api.GALStatus]{out}, nil
}

// target returns the directory of a name. Which there are is told to those only who may see their status.
func (s *Server) target(by signin.Caller, name string) (*gal.Target, error) {
	t, err := s.GAL.At(name)
	if err != nil && !by.Actor.Has(audit.Operator) && !by.Actor.Has(audit.Auditor) {
		return nil, gal.ErrNotAllowed
	}
	return t, err
}

type driftInput struct {
	Directory string `query:"directory" maxLength:"64" doc:"Its name. Empty means the one that people are looked up in."`
	Kind      string `query:"kind" enum:"missing,stale,undecodable,no-entry,several,full,nearly-full,too-large" doc:"Empty means any."`
	Page
}

func (s *Server) listDrift(ctx context.Context, by signin.Caller, in *driftInput) (*answer[api.Page[api.Drift]], error) {
	after, err := in.number()
	if err != nil {
		return nil, err
	}
	if s.GAL == nil {
		return &answer[api.Page[api.Drift]]{Body: api.Page[api.Drift]{Items: []api.Drift{}}}, nil
	}
	t, err := s.target(by, in.Directory)
	if err != nil {
		return nil, err
	}
	found, err := t.Drift(ctx, by.Actor, gal.Kind(in.Kind), after, in.Limit)
	if err != nil {
		return nil, err
	}
	return pageOf(found, in.Limit, DriftOf, func(f gal.Finding) string { return strconv.FormatInt(f.Number, 10) }), nil
}

// GALStatusOf is a sweep as the interface shows it.
func GALStatusOf(s gal.Status) api.GALStatus {
	out := api.GALStatus{Directory: s.Target, Number: s.Number, BegunAt: utc(s.Begun), Phase: string(s.Phase), Repair: s.Repair, People: s.People, Entries: s.Entries,
		Repaired: s.Changed, Foreign: s.Foreign, Stopped: s.Stopped, Failure: s.Failure, Waiting: s.Waiting, Drift: map[string]int{}}
	if s.Ended != nil {
		ended := utc(*s.Ended)
		out.EndedAt = &ended
	}
	for k, n := range s.Drift {
		out.Drift[string(k)] = n
	}
	return out
}

// DriftOf is a finding as the interface shows it.
func DriftOf(f gal.Finding) api.Drift {
	out := api.Drift{DN: f.DN, Missing: f.Missing, Stale: f.Stale, Foreign: f.Foreign, Undecodable: f.Undecodable, Held: f.Held, Failure: f.Failure, SeenAt: utc(f.Seen)}
	if f.Person != uuid.Nil {
		out.Person = &f.Person
	}
	for _, k := range f.Kinds {
		out.Kinds = append(out.Kinds, string(k))
	}
	return out
}
