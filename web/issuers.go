package web

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/web/signin"
)

// ErrNoCRL says that this server has no revocation lists.
var ErrNoCRL = fault.New(fault.NotFound, "no-revocation-list", "This server publishes no revocation lists.")

func (s *Server) issuerOperations() {
	register(s, operation{id: "listIssuers", method: http.MethodGet, path: "/issuers", tag: tagIssuers,
		summary: "The certificate authorities of this installation", answer: api.Page[api.Issuer]{Items: []api.Issuer{exampleIssuer}}}, s.listIssuers)
	register(s, operation{id: "getIssuer", method: http.MethodGet, path: "/issuers/{id}", tag: tagIssuers,
		summary: "One certificate authority, with its chain", faults: []*fault.Error{ca.ErrUnknownIssuer}, answer: exampleIssuer}, s.getIssuer)
	register(s, operation{id: "getCRL", method: http.MethodGet, path: "/issuers/{id}/crl", tag: tagIssuers,
		summary: "One of its revocation lists, in DER", about: "The same bytes as at the addresses that certificates name, with the same caching headers.",
		faults: []*fault.Error{ca.ErrUnknownIssuer, ErrNoCRL, crl.ErrNoList}, media: []string{"application/pkix-crl"}}, s.getCRL)
}

func (s *Server) listIssuers(context.Context, signin.Caller, *struct{}) (*answer[api.Page[api.Issuer]], error) {
	out := &answer[api.Page[api.Issuer]]{Body: api.Page[api.Issuer]{Items: []api.Issuer{}}}
	for _, i := range s.Authority.Issuers() {
		out.Body.Items = append(out.Body.Items, issuerOf(i))
	}
	return out, nil
}

type issuerInput struct {
	ID string `path:"id" maxLength:"64" doc:"The issuer's id." example:"issuing"`
}

func (s *Server) getIssuer(_ context.Context, _ signin.Caller, in *issuerInput) (*answer[api.Issuer], error) {
	i, err := s.Authority.Issuer(in.ID)
	if err != nil {
		return nil, err
	}
	return &answer[api.Issuer]{issuerOf(i)}, nil
}

type crlInput struct {
	ID        string `path:"id" maxLength:"64" doc:"The issuer's id." example:"issuing"`
	Partition int    `query:"partition" minimum:"0" maximum:"1024" doc:"Of which partition; 0, or absent, is the list of all certificates."`
	Delta     bool   `query:"delta" doc:"What has changed since a complete list."`
}

type crlAnswer struct{ Body func(huma.Context) }

func (s *Server) getCRL(_ context.Context, _ signin.Caller, in *crlInput) (*crlAnswer, error) {
	i, err := s.Authority.Issuer(in.ID)
	if err != nil {
		return nil, err
	}
	if s.CRL == nil {
		return nil, ErrNoCRL
	}
	return &crlAnswer{func(ctx huma.Context) {
		r, w := humachi.Unwrap(ctx)
		if err := s.CRL.Serve(w, r, i.ID(), crl.Kind{Partition: in.Partition, Delta: in.Delta}); err != nil {
			refuse(w, r, err)
		}
	}}, nil
}
