// Package portal is Sealpost in the browser: the pages on which people get, look after and recover their certificates, and on
// which those who run the installation see how it stands.
//
// It owns the pages, their words in every language (texts.go), how they look (assets), and the cookie. It decides nothing: a
// page asks the rooms with the actor who signed in, as the REST interface does. Who is asking is package signin's, how long
// they stay signed in package session's, and which fault is which HTTP status package web's, through Config.Problem.
package portal

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/enroll/leaver"
	"github.com/sealpost/sealpost/fleet"
	"github.com/sealpost/sealpost/gal"
	"github.com/sealpost/sealpost/gal/contact"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/recovery"
	"github.com/sealpost/sealpost/testmail"
	"github.com/sealpost/sealpost/web/allowance"
	"github.com/sealpost/sealpost/web/clients"
	"github.com/sealpost/sealpost/web/session"
	"github.com/sealpost/sealpost/web/signin"
)

// Faults of pages.
var (
	ErrNoPage  = fault.New(fault.NotFound, "unknown-page", "There is no page at this address.")
	ErrTooMuch = fault.New(fault.Unavailable, "too-many-requests", "There were too many requests in a short time. Wait a moment, then go on.")
	ErrForm    = fault.New(fault.Malformed, "form-invalid", "The form could not be read. Go back and send it again.")
)

// Config is what a Portal is made of. Every field without "nil" in its comment is required.
type Config struct {
	Organisation string         // as people know it
	Mail         clients.Policy // what people's mail programs are told
	Sessions     *session.Sessions
	Password     signin.Password
	OpenID       *signin.OpenID      // nil: nobody signs in at an identity provider
	Kerberos     *signin.Kerberos    // nil: nobody signs in with a ticket
	Certificates string              // the address of the listener that asks browsers for a certificate: https://host:port; "": there is none
	Requests     allowance.Allowance // for pages, of a person, or of a network's strangers; zero means 200 at once, and one more per 100ms
	Directory    *directory.Directory
	Authority    *ca.Authority
	Registry     *enroll.Registry
	Audit        *audit.Log
	// OfficersApprove lets officers answer cases in the page, with their keys in a file that is opened there alone.
	OfficersApprove bool

	// Rooms that an installation may not have; nil: their pages say so, or are not there.
	Archive  *archive.Archive
	Recovery *recovery.Desk
	Board    *archive.Board
	Leavers  *leaver.Desk
	GAL      *gal.Publisher
	Contacts *contact.Desk
	TestMail *testmail.Desk
	Fleet    *fleet.Fleet
	Lists    Lists
	Standing Standing

	// Problem says what may be shown of an error, and its HTTP status.
	Problem func(ctx context.Context, err error) api.Problem
	// Called is told which page a request is for and who asks, for the log; nil does nothing.
	Called func(ctx context.Context, page string, by signin.Caller)

	Now func() time.Time // nil means time.Now
	Log *slog.Logger     // nil discards
}

// Lists tells how revocation lists and their distribution points stand: *crl.Publisher.
type Lists interface {
	Status(ctx context.Context, by audit.Actor) (*crl.Status, error)
}

// Portal is an http.Handler of pages. It is safe for concurrent use.
type Portal struct {
	Config
	assets  *assets
	looks   map[language]*look
	asked   *allowance.Counter[any] // by person, or network
	router  *chi.Mux
	counted countedOnce
}

// New returns a portal.
func New(c Config) (*Portal, error) {
	if c.Sessions == nil || c.Password.Directory == nil || c.Directory == nil || c.Authority == nil || c.Registry == nil || c.Audit == nil || c.Problem == nil {
		return nil, errors.New("portal: Config needs Sessions, Password, Directory, Authority, Registry, Audit and Problem")
	}
	if c.Called == nil {
		c.Called = func(context.Context, string, signin.Caller) {}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	p := &Portal{Config: c, looks: map[language]*look{}}
	p.asked = allowance.NewCounter[any](c.Requests.Or(allowance.Allowance{Burst: 200, Every: 100 * time.Millisecond}), c.Now)
	var err error
	if p.assets, err = readAssets(); err != nil {
		return nil, err
	}
	for _, l := range languages {
		if p.looks[l], err = newLook(l, p.assets); err != nil {
			return nil, err
		}
	}
	p.route()
	return p, nil
}

// ServeHTTP answers a request for a page or what belongs to one.
func (p *Portal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	headers(w.Header())
	p.router.ServeHTTP(w, r)
}

// headers sets what keeps a page to itself. Trusted Types are demanded, and none can be made: no script of ours writes HTML.
func headers(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "+
		"form-action 'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=()")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
}

// CallbackPath is where the identity provider sends people back to.
const CallbackPath = "/signin/openid/callback"

// page is a handler of a page. What it returns as an error is shown as a page too.
type page func(w http.ResponseWriter, r *http.Request, v *visit) error

// visit is one request for a page: in which language, and by whom.
type visit struct {
	language language
	signin.Visit
	signedIn bool
}

// has reports whether somebody has one of the roles.
func (v *visit) has(roles ...audit.Role) bool {
	return v.signedIn && slices.ContainsFunc(roles, v.Caller.Actor.Has)
}

func (p *Portal) route() {
	p.router = chi.NewMux()
	p.router.NotFound(p.open("", func(http.ResponseWriter, *http.Request, *visit) error { return ErrNoPage }))
	p.router.MethodNotAllowed(p.open("", func(http.ResponseWriter, *http.Request, *visit) error { return ErrNoPage }))
	p.router.Get(assetsPath+"*", p.assets.serve)
	p.router.Get("/signin", p.open("signin", p.signInForm))
	p.router.Post("/signin", p.open("signin", p.signIn))
	p.router.Get("/signin/openid", p.open("signin-openid", p.leave))
	p.router.Get(KerberosPath, p.open("signin-kerberos", p.bringTicket))
	p.router.Get(CertificatePath, p.open("signin-certificate", p.showCertificate))
	p.router.Get(CertificatePath+"/return", p.open("signin-certificate-return", p.bringCertificate))
	p.router.Get(CallbackPath, p.open("signin-openid-return", p.comeBack))
	p.router.Post("/language", p.open("language", p.chooseLanguage))
	p.router.Post("/signout", p.open("signout", p.signOut))
	p.router.Get("/", p.known("home", p.home))
	p.router.Get("/enrol", p.known("enrol", p.enrol))
	p.router.Get("/sessions", p.known("sessions", p.sessions))
	p.router.Post("/sessions/end-others", p.known("end-sessions", p.endOthers))
	p.router.Get("/prove", p.known("prove", p.proveForm))
	p.router.Post("/prove", p.known("prove", p.fresh(p.proven)))
	for _, area := range []func(){p.routeCertificates, p.routeGuides, p.routeTestMail, p.routeRestore, p.routeRegistrar, p.routeOfficer, p.routeOperator, p.routeAuditor, p.routeDevices} {
		area()
	}
}

// open is a page for everybody.
func (p *Portal) open(name string, do page) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := &visit{language: languageOf(r)}
		var err error
		v.Visit, err = signin.Session{Sessions: p.Sessions, Directory: p.Directory}.Visit(r.Context(), r)
		if v.signedIn = err == nil; !v.signedIn {
			v.Caller.Actor.Method = audit.MethodNone
		}
		p.Called(r.Context(), name, v.Caller)
		if wait := p.asked.Take(whoOf(r, v)); wait > 0 {
			p.fail(w, r, v, allowance.Later{Fault: ErrTooMuch, After: wait})
			return
		}
		if err == nil || errors.Is(err, signin.ErrNotOffered) || errors.Is(err, fault.Denied) { // who is not signed in any more sees what strangers see
			err = do(w, r, v)
		}
		if err != nil {
			p.fail(w, r, v, err)
		}
	}
}

// whoOf is for whom a request is counted.
func whoOf(r *http.Request, v *visit) any {
	if v.signedIn {
		return v.Person.ID
	}
	return allowance.Network(r.RemoteAddr)
}

// known is a page for people who are signed in. Others are asked to, and come back.
func (p *Portal) known(name string, do page) http.HandlerFunc {
	return p.open(name, func(w http.ResponseWriter, r *http.Request, v *visit) error {
		if !v.signedIn {
			http.Redirect(w, r, "/signin?to="+url.QueryEscape(backTo(r)), http.StatusSeeOther)
			return nil
		}
		return do(w, r, v)
	})
}

// only is a page for those who have one of the roles. That it is not theirs is said, and recorded by nobody: they have seen
// nothing. What they may do there, the rooms decide again.
func (p *Portal) only(name string, do page, roles ...audit.Role) http.HandlerFunc {
	return p.known(name, func(w http.ResponseWriter, r *http.Request, v *visit) error {
		if !v.has(roles...) {
			return audit.ErrRoleRequired
		}
		return do(w, r, v)
	})
}

// viewed records that somebody is about to see what is personal to others, in which page and of whom: uuid.Nil and the reader
// themselves are left out. A page that cannot be recorded is not shown.
func (p *Portal) viewed(ctx context.Context, v *visit, page string, of ...uuid.UUID) error {
	of = v.others(of)
	e := audit.Event{Kind: "portal.viewed", Subject: "page:" + page}
	switch {
	case len(of) == 0:
		return nil
	case len(of) == 1:
		e.Person = of[0]
	default:
		e.Data = map[string]any{"people": of}
	}
	_, err := p.Audit.Record(ctx, v.Caller.Actor, e)
	return err
}

// others are people beside the reader, each once.
func (v *visit) others(of []uuid.UUID) []uuid.UUID {
	of = slices.DeleteFunc(slices.Clone(of), func(id uuid.UUID) bool { return id == uuid.Nil || id == v.Person.ID })
	slices.SortFunc(of, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(of)
}
