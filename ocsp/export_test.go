package ocsp

import (
	"context"
	"sync"
)

// Parse reads a request, and says how many certificates it asks for and what its nonce is.
func Parse(der []byte) (ids int, serial, nonce []byte, err error) {
	q, err := parse(der)
	if err != nil {
		return 0, nil, nil, err
	}
	return len(q.ids), q.ids[0].serial, q.nonce, nil
}

// DecodePath reads the end of a GET's path.
func DecodePath(text string) ([]byte, error) { return decodePath(text) }

// Times that tests wait for.
const (
	FollowEvery = followEvery
	MaxRequest  = maxRequest
	MaxIDs      = maxIDs
)

// Follow, Renew and Warm do once what Run does again and again.
func (r *Responder) Follow(ctx context.Context) { r.follow(ctx) }
func (r *Responder) Renew(ctx context.Context)  { r.renew(ctx) }
func (r *Responder) Warm(ctx context.Context)   { r.warm(ctx) }

// Warmed reports whether Run has done with the newest certificates: what is issued later is signed when it is asked for.
func (r *Responder) Warmed() bool { return r.warmed.Load() }

// HasPlain reports whether answers with nonces can be signed in the plain way.
func (r *Responder) HasPlain() bool {
	for _, i := range r.issuers {
		if i.plain.current.Load() == nil {
			return false
		}
	}
	return true
}

// TakePlain uses up all signatures of the plain method that there are at a time.
func (r *Responder) TakePlain() (free func()) {
	for range cap(r.plainAtOnce) {
		r.plainAtOnce <- struct{}{}
	}
	return func() {
		for range cap(r.plainAtOnce) {
			<-r.plainAtOnce
		}
	}
}

// Forget forgets all entries.
func (r *Responder) Forget() {
	r.kept.list(func(*entry) bool { return false }, func(*entry) bool { return true })
}

// ShareSlowKeys lets all responders of a test binary have one RSA key: making one takes a while.
func ShareSlowKeys() { plain.make = sync.OnceValues(plain.make) }
