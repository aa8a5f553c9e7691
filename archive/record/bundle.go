package record

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/sealpost/sealpost/archive/threshold"
)

// Bundle is one delivery of a case with its capsules, all verified: each is in the case, belongs to the subject under
// whom the case lists it, has the purpose of the case, and was made by someone who knew what is in it. Agents make one
// before they decrypt, recipients before they combine.
type Bundle struct {
	Roster   *Roster
	Case     *SignedCase
	Delivery int
	Capsules []*Capsule // in the order of the case

	rs    []threshold.Point
	index map[Hash]int
}

// NewBundle verifies the capsules of a delivery, given in any order, against the case and its roster, which the caller
// has verified against its pin. Progress, if not nil, is called after each proof with the number done,
// by one goroutine at a time.
func NewBundle(r *Roster, c *SignedCase, delivery int, capsules []*Capsule, progress func(done int)) (*Bundle, error) {
	if err := c.CheckRoster(r); err != nil {
		return nil, err
	}
	if delivery < 0 || delivery >= len(c.Deliveries) {
		return nil, ErrCase.Withf("The case has no delivery %d.", delivery)
	}
	given := make(map[Hash]*Capsule, len(capsules))
	for _, k := range capsules {
		given[k.Hash()] = k
	}
	b := &Bundle{Roster: r, Case: c, Delivery: delivery, index: map[Hash]int{}}
	seen := map[threshold.Point]bool{}
	for _, s := range c.Deliveries[delivery].Subjects {
		for _, h := range s.Records {
			k := given[h]
			if k == nil {
				return nil, ErrCase.Withf("The record %s of the case is missing.", h)
			}
			if err := b.accept(k, s); err != nil {
				return nil, err
			}
			if seen[k.R] {
				return nil, ErrCase.Withf("The record %s repeats another.", h)
			}
			seen[k.R] = true
			b.index[h] = len(b.rs)
			b.Capsules, b.rs = append(b.Capsules, k), append(b.rs, k.R)
		}
	}
	if len(b.rs) != len(capsules) {
		return nil, ErrCase.Withf("%d records were given, the case asks for %d.", len(capsules), len(b.rs))
	}
	return b, b.verifyProofs(progress)
}

// verifyProofs verifies all proofs, on all processors: in a large case they are nearly all of the work. Of several that do
// not hold, the first in the order of the case is reported.
func (b *Bundle) verifyProofs(progress func(done int)) error {
	var (
		wait   sync.WaitGroup
		next   atomic.Int64
		mu     sync.Mutex
		done   int
		failed = len(b.Capsules)
		first  error
	)
	y := b.Roster.Key()
	for range min(runtime.GOMAXPROCS(0), len(b.Capsules)) {
		wait.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(b.Capsules); i = int(next.Add(1)) - 1 {
				err := b.Capsules[i].VerifyProof(y)
				mu.Lock()
				done++
				if err != nil && i < failed {
					failed, first = i, err
				}
				stop := first != nil
				if progress != nil && !stop {
					progress(done)
				}
				mu.Unlock()
				if stop {
					return
				}
			}
		})
	}
	wait.Wait()
	return first
}

// accept trusts nothing but the header; verifyProofs shows that the record was made for it.
func (b *Bundle) accept(k *Capsule, s Subject) error {
	want := PurposeKey
	if b.Case.Kind == CaseDrill {
		want = PurposeDrill
	}
	if k.Header.Purpose != want {
		return ErrCase.Withf("The record %s has the purpose %s, which this case cannot open.", k.Hash(), k.Header.Purpose)
	}
	if k.Header.Person != s.Person {
		return ErrCase.Withf("The record %s belongs to %s <%s> (%s), not to the subject under whom the case lists it.", k.Hash(), k.Header.Name, k.Header.Mail, k.Header.Person)
	}
	return nil
}

// context is what partial decryptions of the bundle are bound to.
func (b *Bundle) context(agent uint16) threshold.Context {
	return threshold.Context{Case: b.Case.Hash(), Epoch: b.Case.Epoch, Agent: agent, Key: b.Roster.Key()}
}

// recipient returns the fingerprint of the delivery's recipient.
func (b *Bundle) recipient() Hash { return Fingerprint(b.Case.Deliveries[b.Delivery].Recipient) }
