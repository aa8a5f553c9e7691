package portal

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/web/session"
	"github.com/sealpost/sealpost/web/signin"
)

// provePassword is the field in which a form brings the password that shows anew who somebody is. No page gets to see it.
const provePassword = "prove-password"

// proof is the page on which people show anew who they are.
type proof struct {
	To     string  // where they go then; "" if a form waits
	Action string  // where the form goes
	Kept   []field // what a form brought that waits
	Back   string  // where they go who leave it
	Failed string  // why it did not work

	Provider    string // the identity provider, as people call it
	Elsewhere   string // the way there; "" if there is none
	Certificate string // the way to show a certificate; "" if there is none
}

// field is one value of a form.
type field struct{ Name, Value string }

// fresh is a page for people who showed lately who they are. Others are asked, and it goes on with what their form brought.
func (p *Portal) fresh(do page) page {
	return func(w http.ResponseWriter, r *http.Request, v *visit) error {
		if r.Method != http.MethodPost {
			if p.Sessions.Fresh(v.Session) {
				return do(w, r, v)
			}
			http.Redirect(w, r, "/prove?to="+url.QueryEscape(backTo(r)), http.StatusSeeOther)
			return nil
		}
		form, err := readForm(w, r)
		if err != nil {
			return err
		}
		password := form.Get(provePassword)
		form.Del(provePassword)
		if password != "" {
			caller, err := p.Password.Try(r.Context(), v.Person.Login, password, r.RemoteAddr)
			if err == nil {
				err = p.prove(w, r, v, caller)
			}
			if err != nil {
				return p.askProof(w, r, v, form, err)
			}
		}
		if !p.Sessions.Fresh(v.Session) {
			return p.askProof(w, r, v, form, nil)
		}
		return do(w, r, v)
	}
}

// prove notes that who is signed in has shown anew who they are. Somebody else's proof ends nothing and serves nothing.
func (p *Portal) prove(w http.ResponseWriter, r *http.Request, v *visit, caller signin.Caller) error {
	if caller.Actor.Person != v.Person.ID {
		return session.ErrEnded.Withf("You showed that you are somebody else than who is signed in. Sign out first.")
	}
	secret, s, err := p.Sessions.Prove(r.Context(), v.Secret, caller.Actor)
	if err != nil {
		return err
	}
	setSession(w, secret)
	v.Secret, v.Session = secret, s
	v.Caller.Actor.Method, v.Caller.Actor.Strength, v.Caller.Stale = s.Method, s.Strength, false
	return nil
}

// askProof shows the page to somebody whose form waits for it.
func (p *Portal) askProof(w http.ResponseWriter, r *http.Request, v *visit, form url.Values, failed error) error {
	page := proof{Action: r.URL.RequestURI(), Back: v.cameFrom(r)}
	for name, values := range form {
		for _, value := range values {
			page.Kept = append(page.Kept, field{name, value})
		}
	}
	slices.SortStableFunc(page.Kept, func(a, b field) int { return strings.Compare(a.Name, b.Name) })
	if r.URL.Path == "/prove" { // nothing waits but a way
		page.To, page.Back, page.Kept = ownPath(form.Get("to")), "/", []field{{"to", ownPath(form.Get("to"))}}
	}
	return p.showProof(w, r, v, page, failed)
}

func (p *Portal) proveForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	to := ownPath(r.URL.Query().Get("to"))
	return p.showProof(w, r, v, proof{To: to, Action: "/prove", Back: "/", Kept: []field{{"to", to}}}, nil)
}

// proven sends somebody on who has shown who they are.
func (p *Portal) proven(w http.ResponseWriter, r *http.Request, _ *visit) error {
	http.Redirect(w, r, ownPath(r.PostForm.Get("to")), http.StatusSeeOther)
	return nil
}

func (p *Portal) showProof(w http.ResponseWriter, r *http.Request, v *visit, page proof, failed error) error {
	status := http.StatusForbidden
	if r.Method != http.MethodPost {
		status = http.StatusOK
	}
	if failed != nil {
		said, code, ok := p.refusal(r, v, failed)
		if !ok {
			return failed
		}
		page.Failed, status = said, code
	}
	to := page.To
	if to == "" {
		to = page.Back // from elsewhere nobody can bring a form back
	}
	page.Certificate = p.certificateWay(to, true)
	if p.OpenID != nil {
		page.Provider, page.Elsewhere = p.OpenID.Policy.Name, "/signin/openid?anew=1&to="+url.QueryEscape(to)
	}
	return p.show(w, r, v, status, "prove", "prove.title", page)
}
