package web

import (
	"context"
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/enroll/leaver"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/web/signin"
)

func (s *Server) leaverOperations() {
	register(s, operation{id: "listLeavers", method: http.MethodGet, path: "/leavers", tag: tagDecide, who: known,
		summary: "People with certificates whom the directory shows as disabled, no longer, or without an address that they name",
		about:   "In the order in which that was noticed. For registrars, operators and auditors.",
		faults:  []*fault.Error{leaver.ErrNotAllowed}, answer: api.Page[api.Leaver]{Items: []api.Leaver{exampleLeaver}}}, s.listLeavers)

	decided := []*fault.Error{leaver.ErrNotAllowed, leaver.ErrUnknown, leaver.ErrReturned, leaver.ErrState, leaver.ErrOwn, leaver.ErrReason, directory.ErrUnavailable}
	register(s, operation{id: "revokeLeaver", method: http.MethodPost, proof: true, path: "/leavers/{person}/revoke", tag: tagDecide, who: known,
		summary: "Say that somebody has left",
		about: "For registrars and operators, and not about themselves. What the person signs with is revoked (affiliationChanged), their " +
			"encryption certificate is taken out of the directory, their archived keys stay. Of somebody who has lost an address, all that names it " +
			"is revoked, and nothing else. The directory is asked once more before.",
		faults: decided, body: api.LeaverDecision{Reason: "Left on Friday."}, answer: leaverAs(api.LeaverLeft, "Left on Friday.")}, s.revokeLeaver)
	register(s, operation{id: "keepLeaver", method: http.MethodPost, path: "/leavers/{person}/keep", tag: tagDecide, who: known,
		summary: "Say that somebody's certificates stay",
		about:   "For registrars and operators, and not about themselves. It holds until the directory says something else about the person.",
		faults:  decided, body: api.LeaverDecision{Reason: "On leave until spring."}, answer: leaverAs(api.LeaverKept, "On leave until spring.")}, s.keepLeaver)
}

// leaverAs is the example after a decision.
func leaverAs(state api.LeaverState, reason string) api.Leaver {
	l := exampleLeaver
	l.State, l.Why, l.DecidedBy, l.Reason = state, "", "Rita Rust", reason
	return l
}

type leaversInput struct {
	State string `query:"state" enum:"noticed,waiting,leaving,left,kept" doc:"Empty means any."`
	Page
}

func (s *Server) listLeavers(ctx context.Context, by signin.Caller, in *leaversInput) (*answer[api.Page[api.Leaver]], error) {
	after, err := in.number()
	if err != nil {
		return nil, err
	}
	if s.Leavers == nil {
		return &answer[api.Page[api.Leaver]]{Body: api.Page[api.Leaver]{Items: []api.Leaver{}}}, nil
	}
	var states []leaver.State
	if in.State != "" {
		states = []leaver.State{leaver.State(in.State)}
	}
	found, err := s.Leavers.List(ctx, by.Actor, states, after, in.Limit)
	if err != nil {
		return nil, err
	}
	return pageOf(found, in.Limit, leaverOf, func(l *leaver.Leaver) string { return strconv.FormatInt(l.Number, 10) }), nil
}

type leaverInput struct {
	Person uuid.UUID `path:"person" doc:"The person's id."`
	Body   api.LeaverDecision
}

func (s *Server) revokeLeaver(ctx context.Context, by signin.Caller, in *leaverInput) (*answer[api.Leaver], error) {
	if s.Leavers == nil {
		return nil, leaver.ErrUnknown
	}
	l, err := s.Leavers.Revoke(ctx, by.Actor, in.Person, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	return &answer[api.Leaver]{leaverOf(l)}, nil
}

func (s *Server) keepLeaver(ctx context.Context, by signin.Caller, in *leaverInput) (*answer[api.Leaver], error) {
	if s.Leavers == nil {
		return nil, leaver.ErrUnknown
	}
	l, err := s.Leavers.Keep(ctx, by.Actor, in.Person, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	return &answer[api.Leaver]{leaverOf(l)}, nil
}

func leaverOf(l *leaver.Leaver) api.Leaver {
	out := api.Leaver{Person: l.Person, Name: l.Name, Mailbox: l.Mailbox, Standing: string(l.Standing), State: api.LeaverState(l.State), Why: l.Why,
		NoticedAt: utc(l.Noticed), ChangedAt: utc(l.Changed), Reason: l.Reason, Lost: l.Lost}
	if l.By != nil {
		out.DecidedBy = l.By.Name
	}
	return out
}
