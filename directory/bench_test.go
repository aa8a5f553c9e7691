package directory_test

import (
	"testing"
	"time"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// What enrolment asks of the directory for each request: with memory (the answer for 30 s) and without.
func BenchmarkPerson(b *testing.B) {
	for name, keep := range map[string]time.Duration{"asked": 0, "remembered": time.Minute} {
		b.Run(name, func(b *testing.B) {
			d := setup(b, func(c *directory.Config) { c.Cache = keep })
			id := d.login(b, "alice").ID
			for b.Loop() {
				if _, err := d.Person(b.Context(), id); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	d := setup(b)
	for b.Loop() {
		if _, err := d.Authenticate(b.Context(), "alice", slapdtest.Password("alice")); err != nil {
			b.Fatal(err)
		}
	}
}
