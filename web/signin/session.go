package signin

import (
	"context"
	"errors"
	"net/http"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/web/session"
)

// Session knows people by their session's cookie.
type Session struct {
	Sessions  *session.Sessions
	Directory *directory.Directory
}

// Visit is somebody who is signed in.
type Visit struct {
	Caller  Caller
	Person  directory.Person
	Session session.Session
	Secret  string // the cookie's
}

// Visit returns who is signed in: ErrNotOffered if nobody is, a Denied fault if they are no more.
func (w Session) Visit(ctx context.Context, r *http.Request) (Visit, error) {
	cookie, err := r.Cookie(session.Cookie)
	if err != nil {
		return Visit{}, ErrNotOffered
	}
	v := Visit{Secret: cookie.Value}
	if v.Session, err = w.Sessions.Resume(ctx, v.Secret); err != nil {
		return Visit{}, err
	}
	v.Person, err = w.Directory.Person(ctx, v.Session.Person)
	switch {
	case errors.Is(err, directory.ErrUnknownPerson):
		return Visit{}, session.ErrEnded.Because(err)
	case err != nil:
		return Visit{}, err
	case v.Person.Disabled:
		return Visit{}, directory.ErrDisabled
	}
	v.Caller.Actor, v.Caller.Stale = v.Person.Actor(v.Session.Method, v.Session.Strength), !w.Sessions.Fresh(v.Session)
	for _, r := range v.Session.Roles { // of the identity provider, beside those of the directory
		if !v.Caller.Actor.Has(r) {
			v.Caller.Actor.Roles = append(v.Caller.Actor.Roles, r)
		}
	}
	return v, nil
}

// Authenticate takes the cookie. That no other site's page sent it, the server's protection against requests across origins
// makes sure.
func (w Session) Authenticate(ctx context.Context, r *http.Request) (Caller, error) {
	v, err := w.Visit(ctx, r)
	return v.Caller, err
}
