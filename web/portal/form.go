package portal

import (
	"net/http"
	"net/url"

	"github.com/sealpost/sealpost/internal/fault"
)

// readForm reads what a form sent.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return nil, ErrForm.Because(err)
	}
	return r.PostForm, nil
}

// maxForm bounds what a form may send.
const maxForm = 64 << 10

// refusal is what people are told who may mend what they asked for: in our words, and with which status. Not ok is what they
// cannot mend: a fault of ours.
func (p *Portal) refusal(r *http.Request, v *visit, err error) (said string, status int, ok bool) {
	f := fault.Of(err)
	if f == nil {
		return "", 0, false
	}
	problem := p.Problem(r.Context(), err)
	return v.language.happened(problem), problem.Status, true
}

// doneCookie names what was just done, for the page that comes next.
const doneCookie = "__Host-sealpost-done"

// done sends somebody on after their form did what it should. The page that they come to says so once: the text "done." and
// what.
func (p *Portal) done(w http.ResponseWriter, r *http.Request, to, what string) error {
	http.SetCookie(w, &http.Cookie{Name: doneCookie, Value: what, Path: "/", MaxAge: 60, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, ownPath(to), http.StatusSeeOther)
	return nil
}

// justDone is what was done right before this page; "" if nothing was.
func justDone(w http.ResponseWriter, r *http.Request, l language) string {
	c, err := r.Cookie(doneCookie)
	if err != nil || r.Method != http.MethodGet {
		return ""
	}
	http.SetCookie(w, &http.Cookie{Name: doneCookie, Path: "/", MaxAge: -1, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	if key := "done." + c.Value; texts[key].EN != "" {
		return l.say(key)
	}
	return ""
}

// cameFrom is the page of ours on which a form was.
func (v *visit) cameFrom(r *http.Request) string {
	u, err := url.Parse(r.Header.Get("Referer"))
	if err != nil || u.Host != r.Host {
		return "/"
	}
	return ownPath(u.RequestURI())
}
