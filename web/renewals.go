package web

import (
	"context"
	"encoding/hex"
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/keyuse"
	"github.com/sealpost/sealpost/web/signin"
)

var (
	exampleOrder = api.RenewalOrder{Number: 3, RenewalRequest: api.RenewalRequest{Reason: "RSA keys from older smart cards are weak.", Algorithm: "RSA-3072", Hours: 72},
		MadeBy: "Rita Rust", MadeAt: exampleTime}
	exampleOrderShown = func() api.RenewalOrder {
		o := exampleOrder
		o.Progress = &api.RenewalProgress{Waiting: 120, Replaced: 4711, Whole: true}
		return o
	}()
)

func (s *Server) renewalOperations() {
	register(s, operation{id: "orderRenewal", method: http.MethodPost, proof: true, path: "/renewals", tag: tagDecide, who: known, status: http.StatusCreated,
		summary: "Have certificates renewed before their time",
		about: "For registrars and operators, when an algorithm or a key is not to be relied on any more. The signed policy tells the agents, which renew with new keys, each machine at a " +
			"moment of its own within the hours, and tell the person why. Nothing is revoked by this.",
		faults: []*fault.Error{enroll.ErrNotAllowed, enroll.ErrOrder, enroll.ErrOrderImpossible, enroll.ErrOrders}, body: exampleOrder.RenewalRequest, answer: exampleOrder}, s.orderRenewal)
	register(s, operation{id: "listRenewals", method: http.MethodGet, path: "/renewals", tag: tagDecide, who: known, summary: "Orders to renew certificates, the newest first",
		about: "For registrars, operators and auditors.", faults: []*fault.Error{enroll.ErrNotAllowed}, answer: api.Page[api.RenewalOrder]{Items: []api.RenewalOrder{exampleOrder}}}, s.listRenewals)
	register(s, operation{id: "getRenewal", method: http.MethodGet, path: "/renewals/{renewal}", tag: tagDecide, who: known, summary: "One order to renew certificates, and how far it has come",
		about:  "For registrars, operators and auditors. It looks at up to 20,000 certificates: do not ask every second.",
		faults: []*fault.Error{enroll.ErrNotAllowed, enroll.ErrUnknownOrder}, answer: exampleOrderShown}, s.getRenewal)
	register(s, operation{id: "withdrawRenewal", method: http.MethodDelete, proof: true, path: "/renewals/{renewal}", tag: tagDecide, who: known, summary: "Withdraw an order to renew certificates",
		about:  "For registrars and operators. What has not been renewed yet has its usual moment again, and a kind of key is taken again: that weighs as much as the order.",
		faults: []*fault.Error{enroll.ErrNotAllowed, enroll.ErrUnknownOrder, enroll.ErrOrderWithdrawn}, answer: exampleOrder}, s.withdrawRenewal)
}

func (s *Server) orderRenewal(ctx context.Context, by signin.Caller, in *struct{ Body api.RenewalRequest }) (*answer[api.RenewalOrder], error) {
	o, err := RenewalOf(in.Body)
	if err != nil {
		return nil, err
	}
	made, err := s.Registry.OrderRenewal(ctx, by.Actor, o)
	if err != nil {
		return nil, err
	}
	return &answer[api.RenewalOrder]{RenewalOrderOf(made)}, nil
}

type renewalsInput struct {
	Open bool `query:"open" doc:"Only those that were not withdrawn."`
	Page
}

func (s *Server) listRenewals(ctx context.Context, by signin.Caller, in *renewalsInput) (*answer[api.Page[api.RenewalOrder]], error) {
	before, err := in.number()
	if err != nil {
		return nil, err
	}
	found, err := s.Registry.RenewalOrders(ctx, by.Actor, in.Open, before, in.Limit)
	if err != nil {
		return nil, err
	}
	return pageOf(found, in.Limit, RenewalOrderOf, func(o *enroll.Order) string { return strconv.FormatInt(o.Number, 10) }), nil
}

type renewalInput struct {
	Renewal int64 `path:"renewal" minimum:"1" doc:"The order's number."`
}

func (s *Server) getRenewal(ctx context.Context, by signin.Caller, in *renewalInput) (*answer[api.RenewalOrder], error) {
	o, err := s.Registry.RenewalOrder(ctx, by.Actor, in.Renewal)
	if err != nil {
		return nil, err
	}
	p, err := s.Registry.RenewalProgress(ctx, o)
	if err != nil {
		return nil, err
	}
	out := RenewalOrderOf(o)
	out.Progress = &api.RenewalProgress{Waiting: p.Waiting, Replaced: p.Replaced, Whole: p.Whole}
	return &answer[api.RenewalOrder]{out}, nil
}

func (s *Server) withdrawRenewal(ctx context.Context, by signin.Caller, in *renewalInput) (*answer[api.RenewalOrder], error) {
	o, err := s.Registry.WithdrawRenewalOrder(ctx, by.Actor, in.Renewal)
	if err != nil {
		return nil, err
	}
	return &answer[api.RenewalOrder]{RenewalOrderOf(o)}, nil
}

// RenewalOf is an order as it is asked for, for the command line too. It returns enroll.ErrOrder where the key is no hash.
func RenewalOf(in api.RenewalRequest) (enroll.Order, error) {
	o := enroll.Order{Reason: in.Reason, Algorithm: ca.KeyAlgorithm(in.Algorithm), Issuer: in.Issuer, Profile: in.Profile, Hours: in.Hours}
	if in.SPKISHA256 != "" {
		h, err := hex.DecodeString(in.SPKISHA256)
		if err != nil || len(h) != len(keyuse.Hash{}) {
			return o, enroll.ErrOrder.Withf("A key is named by the SHA-256 of its SubjectPublicKeyInfo, in 64 hexadecimal digits.")
		}
		key := keyuse.Hash(h)
		o.Key = &key
	}
	if in.Person != nil {
		o.Person = *in.Person
	}
	if in.IssuedBefore != nil {
		o.IssuedBefore = *in.IssuedBefore
	}
	return o, nil
}

// RenewalOrderOf is an order as the interface shows it, for the command line too.
func RenewalOrderOf(o *enroll.Order) api.RenewalOrder {
	out := api.RenewalOrder{Number: o.Number, MadeBy: o.By.Name, MadeAt: utc(o.At),
		RenewalRequest: api.RenewalRequest{Reason: o.Reason, Algorithm: string(o.Algorithm), Issuer: o.Issuer, Profile: o.Profile, Hours: o.Hours}}
	if o.Key != nil {
		out.SPKISHA256 = hex.EncodeToString(o.Key[:])
	}
	if o.Person != uuid.Nil {
		out.Person = &o.Person
	}
	if !o.IssuedBefore.IsZero() {
		before := utc(o.IssuedBefore)
		out.IssuedBefore = &before
	}
	if o.WithdrawnBy != nil {
		out.WithdrawnBy = o.WithdrawnBy.Name
	}
	if o.WithdrawnAt != nil {
		at := utc(*o.WithdrawnAt)
		out.WithdrawnAt = &at
	}
	return out
}
