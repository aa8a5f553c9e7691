package portal

import (
	"encoding/base64"
	"encoding/json"
	"net/http"

	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/web/signin"
)

// attemptCookie is what a browser keeps while somebody shows elsewhere who they are.
const (
	attemptCookie = "__Host-sealpost-attempt"
	attemptLasts  = 600 // seconds
)

// attempt is its content.
type attempt struct {
	signin.Attempt
	To string // where they go then
}

// leave sends somebody to the identity provider.
func (p *Portal) leave(w http.ResponseWriter, r *http.Request, v *visit) error {
	if p.OpenID == nil {
		return ErrNoPage
	}
	address, a, err := p.OpenID.Leave(r.Context(), v.signedIn && r.URL.Query().Get("anew") != "")
	if err != nil {
		return p.entranceAgain(w, r, v, entrance{To: ownPath(r.URL.Query().Get("to"))}, err)
	}
	if err := keepAttempt(w, attempt{a, ownPath(r.URL.Query().Get("to"))}); err != nil {
		return err
	}
	http.Redirect(w, r, address, http.StatusSeeOther)
	return nil
}

// comeBack takes somebody whom the identity provider sent back.
func (p *Portal) comeBack(w http.ResponseWriter, r *http.Request, v *visit) error {
	if p.OpenID == nil {
		return ErrNoPage
	}
	a := takeAttempt(w, r)
	caller, roles, err := p.OpenID.Return(r.Context(), a.Attempt, r.URL.Query())
	return p.arrive(w, r, v, a, caller, roles, err)
}

// arrive takes somebody who comes back from where they showed who they are: to sign in, or to show it anew.
func (p *Portal) arrive(w http.ResponseWriter, r *http.Request, v *visit, a attempt, caller signin.Caller, roles []audit.Role, err error) error {
	again := a.Anew && v.signedIn
	switch {
	case err != nil && again:
		return p.showProof(w, r, v, proof{To: ownPath(a.To), Action: "/prove", Back: "/", Kept: []field{{"to", ownPath(a.To)}}}, err)
	case err != nil:
		return p.entranceAgain(w, r, v, entrance{To: ownPath(a.To)}, err)
	case again:
		if err := p.prove(w, r, v, caller); err != nil {
			return err
		}
		http.Redirect(w, r, ownPath(a.To), http.StatusSeeOther)
		return nil
	}
	return p.enter(w, r, v, caller, roles, ownPath(a.To))
}

// keepAttempt has the browser keep what it began.
func keepAttempt(w http.ResponseWriter, a attempt) error {
	content, err := json.Marshal(a)
	if err != nil {
		return err
	}
	setAttempt(w, base64.RawURLEncoding.EncodeToString(content), attemptLasts)
	return nil
}

// takeAttempt returns what the browser began; the zero value, which nobody accepts, if it began nothing. It serves once.
func takeAttempt(w http.ResponseWriter, r *http.Request) (a attempt) {
	if c, err := r.Cookie(attemptCookie); err == nil {
		if content, err := base64.RawURLEncoding.DecodeString(c.Value); err != nil || json.Unmarshal(content, &a) != nil {
			a = attempt{}
		}
	}
	setAttempt(w, "", -1)
	return a
}

func setAttempt(w http.ResponseWriter, value string, lasts int) {
	http.SetCookie(w, &http.Cookie{Name: attemptCookie, Value: value, Path: "/", MaxAge: lasts, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// entranceAgain shows the entrance to somebody who could not come in, and why. What is no refusal stays an error.
func (p *Portal) entranceAgain(w http.ResponseWriter, r *http.Request, v *visit, e entrance, err error) error {
	f := fault.Of(err)
	if f == nil || f.Kind != fault.Denied && f.Kind != fault.Unavailable {
		return err
	}
	problem := p.Problem(r.Context(), err)
	e.Failed, v.signedIn = v.language.happened(problem), false
	return p.showEntrance(w, r, v, problem.Status, e)
}
