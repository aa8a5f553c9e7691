package portal

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/sealpost/sealpost/web/signin"
)

// KerberosPath is the only page at which browsers are asked for a Kerberos ticket.
const KerberosPath = "/signin/kerberos"

// bringTicket takes somebody's Kerberos ticket. A browser that was not asked yet, is; what it shows people if it has none, or is
// not allowed to give it, says what to do.
func (p *Portal) bringTicket(w http.ResponseWriter, r *http.Request, v *visit) error {
	if p.Kerberos == nil {
		return ErrNoPage
	}
	to := ownPath(r.URL.Query().Get("to"))
	if v.signedIn {
		http.Redirect(w, r, to, http.StatusSeeOther)
		return nil
	}
	caller, err := p.Kerberos.Authenticate(r.Context(), r)
	switch {
	case errors.Is(err, signin.ErrNotOffered):
		w.Header().Set("WWW-Authenticate", "Negotiate")
		return p.show(w, r, v, http.StatusUnauthorized, "signin-kerberos", "kerberos.title", entrance{To: to})
	case err != nil:
		return p.entranceAgain(w, r, v, entrance{To: to}, err)
	}
	if caller.Machine != "" {
		return p.entranceAgain(w, r, v, entrance{To: to}, signin.ErrNoPerson)
	}
	w.Header().Set("WWW-Authenticate", caller.Answer)
	return p.enter(w, r, v, caller, nil, to)
}

// kerberosWay is the way to sign in with a ticket; "" if there is none.
func (p *Portal) kerberosWay(to string) string {
	if p.Kerberos == nil {
		return ""
	}
	return KerberosPath + "?to=" + url.QueryEscape(to)
}
