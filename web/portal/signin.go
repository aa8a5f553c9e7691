package portal

import (
	"net/http"
	"net/url"

	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/web/session"
	"github.com/sealpost/sealpost/web/signin"
)

// entrance is the page on which people sign in.
type entrance struct {
	To     string // where they go then
	Login  string // what they typed; a password is never sent back
	Failed string // why it did not work

	Provider    string // the identity provider, as people call it
	Elsewhere   string // the way there; "" if there is none
	Certificate string // the way to sign in with one; "" if there is none
	Kerberos    string // the way to sign in with the computer's login; "" if there is none
}

func (p *Portal) signInForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	to := ownPath(r.URL.Query().Get("to"))
	if v.signedIn {
		http.Redirect(w, r, to, http.StatusSeeOther)
		return nil
	}
	return p.showEntrance(w, r, v, http.StatusOK, entrance{To: to})
}

// signIn takes login and password.
func (p *Portal) signIn(w http.ResponseWriter, r *http.Request, v *visit) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	e := entrance{To: ownPath(form.Get("to")), Login: form.Get("login")}
	caller, err := p.Password.Try(r.Context(), e.Login, form.Get("password"), r.RemoteAddr)
	if err != nil {
		return p.entranceAgain(w, r, v, e, err)
	}
	return p.enter(w, r, v, caller, nil, e.To)
}

// enter signs somebody in who has shown who they are. Who was signed in before, here, is not any more.
func (p *Portal) enter(w http.ResponseWriter, r *http.Request, v *visit, caller signin.Caller, roles []audit.Role, to string) error {
	if v.signedIn {
		if err := p.Sessions.End(r.Context(), v.Caller.Actor, v.Secret); err != nil {
			return err
		}
	}
	secret, _, err := p.Sessions.Begin(r.Context(), caller.Actor, roles, r.UserAgent())
	if err != nil {
		return err
	}
	setSession(w, secret)
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// showEntrance shows what ways in there are.
func (p *Portal) showEntrance(w http.ResponseWriter, r *http.Request, v *visit, status int, e entrance) error {
	if p.OpenID != nil {
		e.Provider, e.Elsewhere = p.OpenID.Policy.Name, "/signin/openid?to="+url.QueryEscape(e.To)
	}
	e.Certificate, e.Kerberos = p.certificateWay(e.To, false), p.kerberosWay(e.To)
	return p.show(w, r, v, status, "signin", "signin.title", e)
}

func (p *Portal) signOut(w http.ResponseWriter, r *http.Request, v *visit) error {
	if v.signedIn {
		if err := p.Sessions.End(r.Context(), v.Caller.Actor, v.Secret); err != nil {
			return err
		}
	}
	dropSession(w)
	w.Header().Set("Clear-Site-Data", `"cache"`)
	v.signedIn = false
	return p.show(w, r, v, http.StatusOK, "signedout", "signedout.title", nil)
}

// endOthers ends somebody's other sessions.
func (p *Portal) endOthers(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := p.Sessions.EndOthers(r.Context(), v.Caller.Actor, v.Session.ID); err != nil {
		return err
	}
	http.Redirect(w, r, "/sessions", http.StatusSeeOther)
	return nil
}

// seat is one session as the page of sessions shows it.
type seat struct {
	session.Session
	Here   bool // it is the one that asks
	Device device
}

func (p *Portal) sessions(w http.ResponseWriter, r *http.Request, v *visit) error {
	found, err := p.Sessions.Of(r.Context(), v.Person.ID)
	if err != nil {
		return err
	}
	seats := make([]seat, len(found))
	for i, s := range found {
		seats[i] = seat{s, s.ID == v.Session.ID, v.language.deviceOf(s.Agent)}
	}
	return p.show(w, r, v, http.StatusOK, "sessions", "sessions.title", seats)
}
