// Package watch looks at revocation lists wherever they are, as an outsider finds them: also at distribution points that
// Sealpost does not publish, of authorities that it knows nothing of. It owns what is wrong with a list that was read: who
// signed it, how long it is good, whether an older one than before is shown.
//
// It needs no database, remembers nothing beyond its own life, and neither fetches (package fetch) nor reads the format
// (package list) itself. Sealpost's own points are looked at by package crl, which knows what they should show.
package watch

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"sync"
	"time"

	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/crl/list"
	"github.com/sealpost/sealpost/internal/fault"
)

// Faults of a list that can be read.
var (
	ErrFuture = fault.New(fault.Unavailable, "crl-future", "The revocation list is from the future. Is a clock wrong?")
	ErrRunOut = fault.New(fault.Unavailable, "crl-run-out", "The revocation list has run out.")
	ErrNoEnd  = fault.New(fault.Malformed, "crl-no-end", "The revocation list does not say until when it is good (nextUpdate).")
	// ErrIssuer is a list of none of the given authorities.
	ErrIssuer = fault.New(fault.Denied, "crl-issuer", "The revocation list is of another authority than the given certificate.")
)

// clockSkew is how far ahead another's clock may be.
const clockSkew = 5 * time.Minute

// Config is what a Watcher is made of.
type Config struct {
	// Open reads what is at an address (package fetch).
	Open func(ctx context.Context, address string) (io.ReadCloser, error)
	// Issuers are the authorities of the lists. Empty: signatures are not verified.
	Issuers []*x509.Certificate
	// Margin is how much is left of a list that is running out. 0 means a twelfth of its lifetime.
	Margin time.Duration
	Now    func() time.Time // nil means time.Now
}

// Watcher looks at addresses, again and again. It is safe for concurrent use.
type Watcher struct {
	config Config
	mu     sync.Mutex
	last   map[string]*list.Head // the newest that was seen at an address
}

// New returns a Watcher.
func New(c Config) *Watcher {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Watcher{config: c, last: map[string]*list.Head{}}
}

// Sighting is what was seen at an address.
type Sighting struct {
	Address string
	At      time.Time
	State   crl.State
	Head    *list.Head // nil: no list of a given authority
	Failure string     // what is wrong
}

// Look looks at all addresses at once.
func (w *Watcher) Look(ctx context.Context, addresses []string) []Sighting {
	out := make([]Sighting, len(addresses))
	var wait sync.WaitGroup
	for n, address := range addresses {
		wait.Go(func() { out[n] = w.look(ctx, address) })
	}
	wait.Wait()
	for n := range out {
		for _, other := range out {
			out[n].behind(other.Head, other.Address+" shows")
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for n := range out {
		if last := w.last[out[n].Address]; last != nil {
			out[n].behind(last, "It showed")
		}
		if h := out[n].Head; h != nil && (w.last[out[n].Address] == nil || newer(h, w.last[out[n].Address])) {
			w.last[out[n].Address] = h
		}
	}
	return out
}

// behind notes that another list for the same certificates is newer.
func (s *Sighting) behind(other *list.Head, said string) {
	if s.Head == nil || other == nil || !same(s.Head, other) || !newer(other, s.Head) || s.State == crl.Late {
		return
	}
	if s.State == crl.OK {
		s.State = crl.Late
	}
	s.say(fmt.Sprintf("%s a newer list, number %s.", said, Number(other.Number)))
}

func (s *Sighting) say(failure string) {
	if s.Failure != "" {
		s.Failure += " "
	}
	s.Failure += failure
}

func same(a, b *list.Head) bool {
	return bytes.Equal(a.Issuer, b.Issuer) && bytes.Equal(a.AuthorityKeyID, b.AuthorityKeyID) && bytes.Equal(a.Scope, b.Scope) && a.Delta() == b.Delta()
}

// newer reports whether a is a newer list than b, which is for the same certificates.
func newer(a, b *list.Head) bool {
	if a.Number != nil && b.Number != nil {
		return a.Number.Cmp(b.Number) > 0
	}
	return a.ThisUpdate.After(b.ThisUpdate)
}

func (w *Watcher) look(ctx context.Context, address string) Sighting {
	s := Sighting{Address: address, At: w.config.Now(), State: crl.Unknown}
	r, err := w.config.Open(ctx, address)
	if err != nil {
		s.say(detail(err))
		return s
	}
	defer func() { _ = r.Close() }() // it was read to its end, or failed
	h, err := list.Read(r, nil)
	if err == nil && len(w.config.Issuers) > 0 {
		err = Signed(h, w.config.Issuers)
	}
	if err != nil {
		s.say(detail(err))
		return s
	}
	s.Head = h
	margin := w.config.Margin
	if margin == 0 {
		margin = crl.OthersMargin(h)
	}
	s.State = crl.StateAt(h.NextUpdate, s.At, margin)
	if err := Current(h, s.At); err != nil {
		s.say(detail(err))
	}
	return s
}

func detail(err error) string {
	if f := fault.Of(err); f != nil {
		return f.Detail
	}
	return err.Error()
}

// Signed returns nil if one of the authorities signed the list, else ErrIssuer or list.ErrSignature.
func Signed(h *list.Head, issuers []*x509.Certificate) error {
	err := error(ErrIssuer)
	for _, i := range issuers {
		if !bytes.Equal(i.RawSubject, h.Issuer) || h.AuthorityKeyID != nil && !bytes.Equal(i.SubjectKeyId, h.AuthorityKeyID) {
			continue
		}
		if i.KeyUsage != 0 && i.KeyUsage&x509.KeyUsageCRLSign == 0 {
			err = list.ErrSignature.Withf("The authority's certificate is not for signing revocation lists.")
			continue
		}
		if err = h.Verify(i); err == nil {
			return nil
		}
	}
	return err
}

// Current returns nil if the list is good at a time, else ErrFuture, ErrRunOut or ErrNoEnd.
func Current(h *list.Head, now time.Time) error {
	switch {
	case h.NextUpdate.IsZero():
		return ErrNoEnd
	case !now.Before(h.NextUpdate):
		return ErrRunOut.Withf("The revocation list has run out: it was good until %s.", h.NextUpdate.UTC().Format(time.RFC3339))
	case h.ThisUpdate.Sub(now) > clockSkew:
		return ErrFuture.Withf("The revocation list is from the future: %s. Is a clock wrong?", h.ThisUpdate.UTC().Format(time.RFC3339))
	}
	return nil
}

// Number returns a number as text; "-" where there is none.
func Number(n *big.Int) string {
	if n == nil {
		return "-"
	}
	return n.String()
}
