// Package ocsp answers whether a certificate is revoked (RFC 6960, as RFC 9919 narrows it), for programs that ask about one
// instead of fetching the whole list. It owns the responder: reading requests, its own short-lived certificates, signing,
// what is kept in memory, caching headers. What is revoked is package ca's; where the responder listens is package web's.
//
// Each server process makes itself keys and has them certified by each issuer (delegated responder, RFC 6960 §4.2.2.2).
// They never leave the process's memory; the certificates carry id-pkix-ocsp-nocheck, because they end before anybody could
// learn of their revocation.
//
// While Run runs, answers are kept in memory and signed anew before half of their time is over, and the process follows
// package ca's count of changes: an answer that is given out is at most followEvery older than the database, on every
// server. When the database is away, what is kept is given out until it ends; nothing is signed that was not known.
// Without Run every answer is read from the database and signed. docs/ocsp.md is for operators.
package ocsp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	_ "crypto/sha1" // CertIDs of most clients, and the responder's name; it is no signature
	_ "crypto/sha256"

	"github.com/sealpost/sealpost/ca"
)

// What an answer's times may be (S/MIME BR §4.9.10), and are when nothing else is said.
const (
	leastValidity   = 8 * time.Hour
	mostValidity    = 239 * time.Hour // ten days with what is backdated
	defaultValidity = leastValidity
	mostRenewAfter  = 4 * 24 * time.Hour // a newer answer must be there by then
	defaultMaxAge   = 10 * time.Minute
	defaultKeep     = 20_000
	mostKeep        = 10_000_000

	backdated = 5 * time.Minute // for clients whose clock is behind
	leastLeft = time.Minute     // of an answer's time, when it is given out
)

// maxIDs bounds how many certificates one request may ask for. RFC 9919 clients ask for one; each may cost a look into the
// database.
const maxIDs = 10

// Config is what a Responder is made of. Every field that does not say what zero means is required.
type Config struct {
	Authority *ca.Authority

	// Validity is the time from when a status was known to nextUpdate; 0 means 8h, the least that the S/MIME BR allow. They
	// allow ten days, so the most is 239h.
	Validity time.Duration
	// MaxAge is how long HTTP caches may keep an answer, at most half of Validity; 0 means 10m. Revocations are seen through
	// such a cache that much later.
	MaxAge time.Duration
	// Keep is how many certificates' answers are kept in memory, each with about 1 KiB; 0 means 20000.
	Keep int

	Now func() time.Time // nil means time.Now
	Log *slog.Logger     // nil discards
}

// Responder answers OCSP requests. It is safe for concurrent use.
type Responder struct {
	Config
	issuers []*issuer
	names   map[string]name // by the start of a CertID
	kept    *kept
	looks   looks
	counts  counts
	maxAge  []string // the header Cache-Control

	plainAtOnce chan struct{} // bounds signatures of the plain method
	warmed      atomic.Bool   // Run has signed answers for the newest certificates, as far as it could
}

// issuer is an issuer that the responder answers for.
type issuer struct {
	*ca.Issuer
	names [forms]string // starts of its CertIDs

	light, plain *office

	checked atomic.Int64 // when the count of changes was last read and all of them seen, Unix seconds; 0: never
	lost    bool         // the last attempt to read it failed; Run's alone
}

// name is what the start of a CertID stands for.
type name struct {
	issuer *issuer
	form   int
}

// New returns a responder for all issuers. It answers for those whose keys are at hand.
func New(c Config) (*Responder, error) {
	if c.Authority == nil {
		return nil, errors.New("ocsp: Config needs Authority")
	}
	c = c.orDefaults()
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("ocsp: %w", err)
	}
	r := &Responder{Config: c, names: map[string]name{}, kept: newKept(c.Keep), looks: newLooks(),
		maxAge: []string{cacheControl(int64(c.MaxAge.Seconds()))}, plainAtOnce: make(chan struct{}, (runtime.GOMAXPROCS(0)+1)/2)}
	for _, i := range c.Authority.Issuers() {
		names, err := certIDs(i.Certificate())
		if err != nil {
			return nil, err
		}
		one := &issuer{Issuer: i, names: [forms]string(names)}
		one.light, one.plain = &office{issuer: one, method: light}, &office{issuer: one, method: plain}
		r.issuers = append(r.issuers, one)
		for form, n := range names {
			if other, ok := r.names[n]; ok {
				return nil, fmt.Errorf("ocsp: the issuers %s and %s have one name and one key: requests cannot tell them apart", other.issuer.ID(), i.ID())
			}
			r.names[n] = name{one, form}
		}
	}
	return r, nil
}

func (c Config) orDefaults() Config {
	if c.Validity == 0 {
		c.Validity = defaultValidity
	}
	if c.MaxAge == 0 {
		c.MaxAge = defaultMaxAge
	}
	if c.Keep == 0 {
		c.Keep = defaultKeep
	}
	return c
}

// Validate returns every fault of what can be configured, each with its path, joined; nil if there is none.
func (c Config) Validate() error {
	c = c.orDefaults()
	var errs []error
	if c.Validity < leastValidity || c.Validity > mostValidity {
		errs = append(errs, fmt.Errorf("validity: must lie between %s and %s", leastValidity, mostValidity))
	}
	if c.MaxAge < time.Second || c.MaxAge > c.Validity/2 {
		errs = append(errs, errors.New("max_age: must lie between 1s and half of the validity"))
	}
	if c.Keep < 0 || c.Keep > mostKeep {
		errs = append(errs, fmt.Errorf("keep: must lie between 0 and %d", mostKeep))
	}
	return errors.Join(errs...)
}

// renewAfter is how old what is told may get before it is signed anew.
func (c Config) renewAfter() time.Duration { return min(c.Validity/2, mostRenewAfter) }

func cacheControl(seconds int64) string {
	return "max-age=" + strconv.FormatInt(seconds, 10) + ", public, no-transform, must-revalidate"
}

// Respond answers a request (DER). Every request has an answer; the error is for the log.
func (r *Responder) Respond(ctx context.Context, request []byte) (*Answer, error) {
	a, err := r.respond(ctx, request)
	r.counts.add(a)
	return a, err
}

func (r *Responder) respond(ctx context.Context, request []byte) (*Answer, error) {
	q, err := parse(request)
	if err != nil {
		return malformed, err
	}
	name, ok := r.names[string(q.ids[0].issuer)]
	if !ok || !name.issuer.CanSign() || len(q.ids) > maxIDs {
		return unauthorized, nil // not ours to answer for, or more than we do for one (RFC 6960 §2.3)
	}
	if len(q.ids) == 1 && q.nonce == nil {
		return r.ahead(ctx, name, q.ids[0])
	}
	// One signature can answer for one issuer's certificates only: its delegate is that issuer's.
	for _, id := range q.ids[1:] {
		if r.names[string(id.issuer)].issuer != name.issuer {
			return unauthorized, nil
		}
	}
	return r.afresh(ctx, name.issuer, q)
}

// ahead answers what many ask in the same words: from memory, where that can be.
func (r *Responder) ahead(ctx context.Context, n name, id certID) (*Answer, error) {
	serial, ok := id.octets()
	if !ok {
		return r.afresh(ctx, n.issuer, request{ids: []certID{id}})
	}
	now := r.Now()
	e := r.kept.get(n.issuer, serial)
	if e != nil {
		if a := e.answers[n.form].Load(); a.fresh(now) || (a.good(now) && n.issuer.checked.Load() <= a.known) {
			e.answered()
			r.counts.kept.Add(1)
			return a, nil
		}
	}
	e, err := r.entry(ctx, n.issuer, ca.Serial(serial))
	if err != nil {
		return tryLater, err
	}
	return r.sign(ctx, e, n.form)
}

// fresh reports whether memory may give an answer out without a further look.
func (a *Answer) fresh(now time.Time) bool {
	return a != nil && a.known <= now.Unix() && now.Unix() < a.renewAt
}

// good reports whether clients accept an answer.
func (a *Answer) good(now time.Time) bool {
	return a != nil && a.known <= now.Unix() && now.Unix() < a.ends
}

// sign makes the answer of an entry in one form, and keeps it there.
func (r *Responder) sign(ctx context.Context, e *entry, form int) (*Answer, error) {
	d, err := r.delegate(ctx, e.issuer.light)
	if err != nil {
		return tryLater, err
	}
	id := certID{issuer: []byte(e.issuer.names[form]), serial: integer(e.serial)}
	a, err := r.answer(e.issuer, d, []told{{id, e.status}}, nil, e.known())
	if err == nil && a.Caches {
		e.answers[form].Store(a)
		e.answered()
	}
	return a, err
}

// afresh answers what one client alone asks: with a nonce, or for several certificates.
func (r *Responder) afresh(ctx context.Context, i *issuer, q request) (*Answer, error) {
	known := r.Now()
	list := make([]told, len(q.ids))
	for n, id := range q.ids {
		list[n] = told{id, ca.Status{State: ca.Unknown}}
		serial, ok := id.octets()
		if !ok {
			continue
		}
		e, err := r.entry(ctx, i, ca.Serial(serial))
		if err != nil {
			return tryLater, err
		}
		list[n].Status = e.status
		if at := e.known(); at.Before(known) {
			known = at
		}
	}
	if q.nonce != nil {
		if d, done := r.plainly(i); d != nil {
			defer done()
			return r.answer(i, d, list, q.nonce, known)
		}
	}
	d, err := r.delegate(ctx, i.light)
	if err != nil {
		return tryLater, err
	}
	return r.answer(i, d, list, q.nonce, known)
}

// octets returns the serial's octets as a ca.Serial has them, and whether a certificate can have such a serial at all
// (RFC 5280 §4.1.2.2).
func (c certID) octets() ([]byte, bool) {
	s := c.serial
	if s[0] == 0 {
		s = s[1:]
	}
	return s, len(s) > 0 && len(s) <= 20 && c.serial[0] < 0x80
}

// integer returns a serial as the content of an INTEGER.
func integer(s ca.Serial) []byte {
	if s[0] >= 0x80 {
		return append([]byte{0}, s...)
	}
	return []byte(s)
}
