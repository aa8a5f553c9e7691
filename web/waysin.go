package web

import (
	"context"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/web/signin"
)

// getSignIn says which ways there are to say who is asking.
func (s *Server) getSignIn(context.Context, signin.Caller, *struct{}) (*answer[api.SignIn], error) {
	out := api.SignIn{Password: true, Token: true, Certificate: true}
	if k := s.Kerberos; k.Configured() {
		out.Kerberos = &api.KerberosSignIn{Principals: k.Principals}
		for _, r := range k.Realms {
			out.Kerberos.Realms = append(out.Kerberos.Realms, r.Realm)
		}
	}
	if d := s.Device; d.Configured() {
		out.OpenID = &api.OpenIDSignIn{Issuer: d.Issuer, ClientID: d.ClientID, Scopes: d.Asked(), Name: d.Name}
	}
	return &answer[api.SignIn]{out}, nil
}
