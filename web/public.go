package web

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/crl"
)

// Publication is something published at an address of its own.
type Publication struct {
	Path      string // "/crl/root.crl"
	MediaType string // "application/pkix-crl"
	// Read returns the present content. It is called for every request.
	Read func() ([]byte, error)
}

// public is the handler of the public listener: what certificates name, over plain HTTP, because fetching it over HTTPS
// would need the very certificates that are checked with it. Nothing here needs to know who asks, and paths are taken as
// they are: base64 has slashes in it, even two in a row.
type public struct{ *Server }

func newPublic(s *Server) http.Handler {
	p := public{s}
	return p.straight(s.entry(p, slog.LevelDebug))
}

// straight answers OCSP requests at once. They come in numbers, from programs that only look at the answer; an entry's id,
// headers, deadline and log line cost as much as the answer does, which has bounds of its own and cannot fail. What is not as
// it should be goes the long way.
func (p public) straight(rest http.Handler) http.Handler {
	const operation = "public-ocsp"
	answered := p.metrics.observer(operation, http.StatusOK)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tail, ok := strings.CutPrefix(r.RequestURI, "/ocsp/")
		id, request, _ := strings.Cut(tail, "/")
		if !ok || p.OCSP == nil || strings.Contains(tail, "?") || (r.Method != http.MethodGet && r.Method != http.MethodPost) || r.Header["If-None-Match"] != nil {
			rest.ServeHTTP(w, r)
			return
		}
		i, err := p.Authority.Issuer(id)
		if err != nil {
			rest.ServeHTTP(w, r)
			return
		}
		begun := time.Now()
		r.SetPathValue("issuer", i.ID())
		r.SetPathValue("request", request)
		p.OCSP.ServeHTTP(w, r)
		answered(time.Since(begun))
	})
}

// issuerCache lets issuers' certificates, which never change, be kept for a day.
const (
	issuerCache   = "public, max-age=86400"
	documentCache = "public, max-age=3600"
)

// ServeHTTP routes by hand: an operation is the first part of the path.
func (p public) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := callOf(r.Context())
	path := r.URL.EscapedPath()
	for _, d := range p.Publications {
		if d.Path == path {
			c.operation = "public-document"
			p.serveDocument(w, r, d)
			return
		}
	}
	root, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch root {
	case "crl":
		c.operation = "public-crl"
		p.serveCRL(w, r, rest)
	case "ca":
		c.operation = "public-issuer"
		p.serveIssuer(w, r, rest)
	case "ocsp":
		c.operation = "public-ocsp"
		p.serveOCSP(w, r, rest)
	case "certs", "crls", "vcard":
		p.serveFinding(w, r, root, rest)
	case "health":
		c.operation = "public-health"
		p.serveHealth(w, r)
	default:
		refuse(w, r, ErrNoRoute)
	}
}

// serveFinding routes what finds certificates and lists by something else than their address.
func (p public) serveFinding(w http.ResponseWriter, r *http.Request, root, rest string) {
	c := callOf(r.Context())
	switch root + "/" + rest {
	case "certs/search":
		c.operation = "public-store"
		p.serveStore(w, r)
	case "crls/search":
		c.operation = "public-list-store"
		p.serveListStore(w, r)
	case "vcard/":
		c.operation = "public-vcard"
		p.serveVCard(w, r)
	default:
		refuse(w, r, ErrNoRoute)
	}
}

func (p public) serveDocument(w http.ResponseWriter, r *http.Request, d Publication) {
	if !reads(w, r) {
		return
	}
	content, err := d.Read()
	if err != nil {
		refuse(w, r, err)
		return
	}
	serveFixed(w, r, fixed{media: d.MediaType, cache: documentCache, content: content})
}

func (p public) serveIssuer(w http.ResponseWriter, r *http.Request, rest string) {
	i, err := p.issuer(rest, ".cer")
	if err != nil {
		refuse(w, r, err)
		return
	}
	if reads(w, r) {
		serveFixed(w, r, fixed{media: mediaCertificate, cache: issuerCache, content: i.Certificate().Raw})
	}
}

func (p public) serveCRL(w http.ResponseWriter, r *http.Request, rest string) {
	issuer, kind, ok := crl.ParseFileName(rest)
	if !ok {
		refuse(w, r, ErrNoRoute)
		return
	}
	i, err := p.issuer(issuer, "")
	if err == nil && p.CRL == nil {
		err = ErrNoCRL
	}
	if err != nil {
		refuse(w, r, err)
		return
	}
	if !reads(w, r) {
		return
	}
	if err := p.CRL.Serve(w, r, i.ID(), kind); err != nil {
		refuse(w, r, err)
	}
}

func (p public) serveOCSP(w http.ResponseWriter, r *http.Request, rest string) {
	id, request, _ := strings.Cut(rest, "/")
	i, err := p.issuer(id, "")
	if err == nil && p.OCSP == nil {
		err = ErrNoRoute
	}
	if err != nil {
		refuse(w, r, err)
		return
	}
	if r.Method != http.MethodPost && !reads(w, r) {
		return
	}
	r.SetPathValue("issuer", i.ID())
	r.SetPathValue("request", request)
	p.OCSP.ServeHTTP(w, r)
}

func (p public) serveHealth(w http.ResponseWriter, r *http.Request) {
	if !reads(w, r) {
		return
	}
	h := p.health.ask(r.Context())
	status, said := http.StatusOK, map[string]bool{"ok": h.OK}
	if !h.OK {
		status = http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", mediaJSON)
	w.WriteHeader(status)
	// The connection's end is no news to anybody but its client.
	_ = json.NewEncoder(w).Encode(said)
}

// issuer returns the issuer that a name with an ending stands for.
func (p public) issuer(name, ending string) (*ca.Issuer, error) {
	id, ok := strings.CutSuffix(name, ending)
	if !ok {
		return nil, ErrNoRoute
	}
	return p.Authority.Issuer(id)
}

// reads reports whether a request only reads, and refuses others.
func reads(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	w.Header().Set("Allow", "GET, HEAD")
	refuse(w, r, ErrMethod.Withf("This address takes GET, HEAD."))
	return false
}
