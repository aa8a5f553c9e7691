package portal

import (
	"encoding/base64"
	"net/http"
	"net/url"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/web/session"
	"github.com/sealpost/sealpost/web/signin"
)

// CertificatePath is where people begin to sign in with a certificate, here and on the listener that asks for it.
const CertificatePath = "/signin/certificate"

// showCertificate sends somebody to the listener that asks browsers for a certificate.
func (p *Portal) showCertificate(w http.ResponseWriter, r *http.Request, v *visit) error {
	if p.Certificates == "" {
		return ErrNoPage
	}
	a := attempt{To: ownPath(r.URL.Query().Get("to")), Attempt: signin.Attempt{Verifier: session.NewVerifier(), Anew: v.signedIn && r.URL.Query().Get("anew") != ""}}
	if err := keepAttempt(w, a); err != nil {
		return err
	}
	challenge := session.Challenge(a.Verifier)
	http.Redirect(w, r, p.Certificates+CertificatePath+"?challenge="+base64.RawURLEncoding.EncodeToString(challenge[:]), http.StatusSeeOther)
	return nil
}

// refusedThere are the faults that the other listener may name, because a link could name any.
var refusedThere = []*fault.Error{signin.ErrNoCertificate, signin.ErrCertificate, signin.ErrRevoked, signin.ErrHeld, directory.ErrDisabled, directory.ErrUnavailable}

// bringCertificate takes somebody who comes back from there.
func (p *Portal) bringCertificate(w http.ResponseWriter, r *http.Request, v *visit) error {
	if p.Certificates == "" {
		return ErrNoPage
	}
	a := takeAttempt(w, r)
	caller, err := p.takeOver(r, a)
	return p.arrive(w, r, v, a, caller, nil, err)
}

func (p *Portal) takeOver(r *http.Request, a attempt) (signin.Caller, error) {
	q := r.URL.Query()
	if code := q.Get("failed"); code != "" {
		for _, f := range refusedThere {
			if f.Code == code {
				return signin.Caller{}, f
			}
		}
		return signin.Caller{}, session.ErrHandover
	}
	if a.Verifier == "" {
		return signin.Caller{}, session.ErrHandover
	}
	by, err := p.Sessions.TakeOver(r.Context(), q.Get("code"), a.Verifier)
	if err != nil {
		return signin.Caller{}, err
	}
	person, err := p.Directory.Person(r.Context(), by.Person)
	if err != nil {
		return signin.Caller{}, err
	}
	return signin.Caller{Actor: person.Actor(by.Method, by.Strength)}, nil
}

// certificateWay is the way to the other listener; "" if there is none.
func (p *Portal) certificateWay(to string, anew bool) string {
	if p.Certificates == "" {
		return ""
	}
	q := url.Values{"to": {to}}
	if anew {
		q.Set("anew", "1")
	}
	return CertificatePath + "?" + q.Encode()
}
