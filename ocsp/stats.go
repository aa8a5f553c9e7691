package ocsp

import (
	"sync/atomic"
	"time"

	"github.com/sealpost/sealpost/ca"
)

// Result is what became of a question.
type Result int

// The results: what was told of a certificate, or the error that a whole request met.
const (
	Good Result = iota
	Revoked
	Unknown
	Unauthorized  // asks for certificates of other issuers, or for too many
	Malformed     // cannot be read
	TryLater      // what is asked is not known now: the database or the issuer's key is away
	InternalError // a fault of ours
	results
)

var resultNames = [results]string{"good", "revoked", "unknown", "unauthorized", "malformed", "try-later", "internal-error"}

// String returns the result as metrics name it.
func (r Result) String() string { return resultNames[r] }

func resultOf(s ca.State) Result {
	switch s {
	case ca.Good:
		return Good
	case ca.Revoked:
		return Revoked
	default:
		return Unknown
	}
}

// counts are what Stats tells.
type counts struct {
	results [results]atomic.Uint64
	kept    atomic.Uint64
	signed  atomic.Uint64
}

func (c *counts) add(a *Answer) {
	for _, r := range a.results {
		c.results[r].Add(1)
	}
}

// Stats is what a responder has done since it was made, and how it stands.
type Stats struct {
	Results map[Result]uint64 // by result; a request for several certificates counts for each
	Kept    uint64            // answers given out from memory
	Signed  uint64            // signatures made
	Entries int               // certificates in memory

	Seen map[string]time.Time // by issuer: when all revocations had been seen; zero: Run does not run
	Ends map[string]time.Time // by issuer: end of the responder's certificate; zero: there is none yet
}

// Stats returns the counts, for metrics. All results are in it, also those that never happened.
func (r *Responder) Stats() Stats {
	s := Stats{Results: map[Result]uint64{}, Kept: r.counts.kept.Load(), Signed: r.counts.signed.Load(), Entries: r.kept.len(),
		Seen: map[string]time.Time{}, Ends: map[string]time.Time{}}
	for n := range r.counts.results {
		s.Results[Result(n)] = r.counts.results[n].Load()
	}
	for _, i := range r.issuers {
		if !i.CanSign() {
			continue
		}
		s.Seen[i.ID()], s.Ends[i.ID()] = time.Time{}, time.Time{}
		if _, following := r.kept.count(i); following {
			s.Seen[i.ID()] = time.Unix(i.checked.Load(), 0)
		}
		if d := i.light.current.Load(); d != nil {
			s.Ends[i.ID()] = d.certificate.NotAfter
		}
	}
	return s
}
