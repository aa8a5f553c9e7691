package ca_test

import (
	"crypto"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/pkitest"
)

// pairs makes requests for signing and encryption pairs, with keys made beforehand.
type pairs struct {
	signing, encryption []crypto.PublicKey
}

func newPairs(b *testing.B, n int) *pairs {
	p := &pairs{}
	for range n {
		p.signing = append(p.signing, pkitest.NewKey(b, ca.P256).Public())
		p.encryption = append(p.encryption, pkitest.NewKey(b, ca.P256).Public())
	}
	return p
}

func (p *pairs) at(n int) []ca.Request {
	alice := pkitest.NewPerson("alice")
	s, e := alice.Request(ca.SMIMESigning, p.signing[n%len(p.signing)]), alice.Request(ca.SMIMEEncryption, p.encryption[n%len(p.encryption)])
	e.ID = s.ID
	return []ca.Request{s, e}
}

// BenchmarkDraftPair builds and lints a pair, without the database.
func BenchmarkDraftPair(b *testing.B) {
	h := pkitest.NewHierarchy(b, time.Now())
	draft, err := ca.Drafter(h.Config(), nil)
	if err != nil {
		b.Fatal(err)
	}
	p := newPairs(b, 64)
	n := 0
	for b.Loop() {
		for _, r := range p.at(n) {
			if _, err := draft(r); err != nil {
				b.Fatal(err)
			}
		}
		n++
	}
}

// BenchmarkSignBytesPair signs a pair's stored bytes, without the database.
func BenchmarkSignBytesPair(b *testing.B) {
	h := pkitest.NewHierarchy(b, time.Now())
	draft, err := ca.Drafter(h.Config(), nil)
	if err != nil {
		b.Fatal(err)
	}
	var signs []func() ([]byte, error)
	for _, r := range newPairs(b, 1).at(0) {
		d, err := draft(r)
		if err != nil {
			b.Fatal(err)
		}
		signs = append(signs, d.Sign)
	}
	for b.Loop() {
		for _, s := range signs {
			if _, err := s(); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkPreparePair and BenchmarkSignPair are the two steps with the database, one client.
func BenchmarkPreparePair(b *testing.B) {
	pki := pkitest.NewAuthority(b, pgtest.New(b))
	p := newPairs(b, 4000)
	n := 0
	for b.Loop() {
		if _, err := pki.Prepare(b.Context(), by, keyed(p, n)...); err != nil {
			b.Fatal(err)
		}
		n++
	}
}

func BenchmarkSignPair(b *testing.B) {
	pki := pkitest.NewAuthority(b, pgtest.New(b))
	p := newPairs(b, 4000)
	prepared := make([][]ca.Prepared, b.N)
	for n := range prepared {
		var err error
		if prepared[n], err = pki.Prepare(b.Context(), by, keyed(p, n)...); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer() // b.Loop would count the preparing
	for _, pair := range prepared {
		if _, err := pki.Sign(b.Context(), by, pair); err != nil {
			b.Fatal(err)
		}
	}
}

// keyed is the n-th pair's requests, of a person who is always the same for the same keys: keys belong to one person.
func keyed(p *pairs, n int) []ca.Request {
	reqs := p.at(n)
	for i := range reqs {
		reqs[i].Person = uuid.NewSHA1(uuid.Nil, []byte{byte(n % len(p.signing)), byte(n % len(p.signing) >> 8)})
	}
	return reqs
}

// BenchmarkStart is what New does without the database.
func BenchmarkStart(b *testing.B) {
	h := pkitest.NewHierarchy(b, time.Now())
	for b.Loop() {
		if _, err := ca.Drafter(h.Config(), nil); err != nil {
			b.Fatal(err)
		}
	}
}
