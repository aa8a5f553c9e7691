package web

import (
	"context"
	"net/http"
	"time"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/web/signin"
)

func (s *Server) listOperations() {
	register(s, operation{id: "getCRLStatus", method: http.MethodGet, path: "/crl/status", tag: tagSystem, who: known,
		summary: "How all revocation lists and distribution points stand",
		about:   "What was last seen at every distribution point by looking there as an outsider would. For operators and auditors.",
		faults:  []*fault.Error{crl.ErrNotAllowed, ErrNoCRL}, answer: exampleCRLStatus}, s.getCRLStatus)
}

func (s *Server) getCRLStatus(ctx context.Context, by signin.Caller, _ *struct{}) (*answer[api.CRLStatus], error) {
	if s.CRL == nil {
		return nil, ErrNoCRL
	}
	st, err := s.CRL.Status(ctx, by.Actor)
	if err != nil {
		return nil, err
	}
	return &answer[api.CRLStatus]{CRLStatus(st)}, nil
}

// CRLStatus returns a status as the interface tells it, for the command line too.
func CRLStatus(st *crl.Status) api.CRLStatus {
	lists, points := st.Urgent()
	out := api.CRLStatus{At: utc(st.At), Urgent: lists+points > 0, Lists: []api.NewestCRL{}, Points: []api.CRLStanding{}}
	for _, l := range st.Lists {
		n := api.NewestCRL{Issuer: l.Issuer, File: l.File, Partition: l.Partition, Delta: l.Delta, Number: l.Number, Base: l.Base, Entries: l.Entries,
			Size: l.Size, State: api.CRLState(l.State), Urgent: l.Urgent, Failure: l.Failure}
		if !l.ThisUpdate.IsZero() {
			n.ThisUpdate = maybeUTC(&l.ThisUpdate)
		}
		if !l.NextUpdate.IsZero() {
			n.NextUpdate, n.MinutesLeft = maybeUTC(&l.NextUpdate), minutesLeft(&l.NextUpdate, st.At)
		}
		out.Lists = append(out.Lists, n)
	}
	for _, p := range st.Points {
		out.Points = append(out.Points, api.CRLStanding{Point: p.Point, Issuer: p.Issuer, File: p.File, Address: p.Address, Newest: p.Newest, Number: p.Number,
			NextUpdate: maybeUTC(p.NextUpdate), MinutesLeft: minutesLeft(p.NextUpdate, st.At), NewestLeft: minutesLeft(p.Until, st.At), SeenAt: maybeUTC(p.SeenAt),
			LookedAt: maybeUTC(p.LookedAt), FailedAt: maybeUTC(p.FailedAt), Failure: p.Failure, State: api.CRLState(p.State), Urgent: p.Urgent})
	}
	return out
}

func maybeUTC(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := utc(*t)
	return &u
}

// minutesLeft returns the whole minutes until a time, fewer than none after it.
func minutesLeft(t *time.Time, now time.Time) *int64 {
	if t == nil {
		return nil
	}
	left := t.Sub(now)
	m := int64(left / time.Minute)
	if left < 0 && left%time.Minute != 0 {
		m--
	}
	return &m
}
