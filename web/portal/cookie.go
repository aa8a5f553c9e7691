package portal

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/sealpost/sealpost/web/session"
)

func setSession(w http.ResponseWriter, secret string) {
	http.SetCookie(w, &http.Cookie{Name: session.Cookie, Value: secret, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

func dropSession(w http.ResponseWriter) {
	http.SetCookie(w, &http.Cookie{Name: session.Cookie, Path: "/", MaxAge: -1, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// backTo is where somebody wanted to go: a page of ours, never another site's.
func backTo(r *http.Request) string {
	if r.Method != http.MethodGet {
		return "/"
	}
	return ownPath(r.URL.RequestURI())
}

// ownPath returns a path of ours, "/" for everything else: //host, /\host and https://host lead away.
func ownPath(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n\t") {
		return "/"
	}
	return to
}
