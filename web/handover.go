package web

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"

	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/web/portal"
	"github.com/sealpost/sealpost/web/signin"
)

// ErrChallenge refuses who did not come from the portal.
var ErrChallenge = fault.New(fault.Malformed, "handover-challenge", "This address is only for people whom the portal sends here. Begin there.")

// handOver takes somebody whom the portal sent to the API's listener, because browsers are asked for a certificate here, and
// sends them back with a code in its place. Nobody is sent anywhere but to the portal.
func (s *Server) handOver(w http.ResponseWriter, r *http.Request) {
	c := callOf(r.Context())
	c.operation = "page signin-certificate"
	challenge, err := base64.RawURLEncoding.DecodeString(r.URL.Query().Get("challenge"))
	if err != nil || len(challenge) != 32 {
		refuse(w, r, ErrChallenge)
		return
	}
	answer := url.Values{}
	caller, err := signin.NewCertificate(s.Authority, s.Directory, s.Now).Authenticate(r.Context(), r)
	if errors.Is(err, signin.ErrNotOffered) {
		err = signin.ErrNoCertificate
	}
	if err == nil {
		c.caller = caller
		s.metrics.authenticated(caller.Actor.Method)
		var code string
		if code, err = s.Sessions.HandOver(r.Context(), caller.Actor, [32]byte(challenge)); err == nil {
			answer.Set("code", code)
		}
	}
	if err != nil {
		f := faultOf(r.Context(), err)
		c.err, c.code = err, f.Code
		s.failures.count(err, s.Now())
		answer.Set("failed", f.Code)
	}
	http.Redirect(w, r, s.PortalURL+portal.CertificatePath+"/return?"+answer.Encode(), http.StatusSeeOther)
}
