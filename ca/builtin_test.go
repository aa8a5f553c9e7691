package ca_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpost/sealpost/ca"
)

// Every issuer has a profile for its OCSP responder, and no more are made than are needed.
func TestWithResponders(t *testing.T) {
	t.Parallel()
	own := ca.ProfileConfig{Name: ca.ResponderProfile("old"), Issuer: "old", ValidityDays: 7}
	second := ca.ProfileConfig{Name: ca.OCSPSigning, Issuer: "old", Policy: "11"}
	for _, c := range []struct {
		what     string
		profiles []ca.ProfileConfig
		issuers  []string
		want     []string // name and issuer of those that were added
	}{
		{"one issuer", ca.DefaultProfiles(), []string{"new"}, nil},
		{"no issuer", ca.DefaultProfiles(), nil, nil},
		{"two issuers", ca.DefaultProfiles(), []string{"new", "old"}, []string{"ocsp-signing-old old"}},
		{"the second has its own", ca.WithDefaults([]ca.ProfileConfig{own}), []string{"new", "old"}, nil},
		{"the usual one is the second's", ca.WithDefaults([]ca.ProfileConfig{second}), []string{"new", "old"}, []string{"ocsp-signing-new new"}},
		{"there is no responder", []ca.ProfileConfig{{Name: "x"}}, []string{"new", "old"}, nil},
	} {
		before := slices.Clone(c.profiles)
		var added []string
		for _, p := range ca.WithResponders(c.profiles, c.issuers...)[len(c.profiles):] {
			added = append(added, p.Name+" "+p.Issuer)
		}
		if d := cmp.Diff(c.want, added); d != "" {
			t.Errorf("%s: %s", c.what, d)
		}
		if d := cmp.Diff(before, c.profiles); d != "" {
			t.Errorf("%s: the profiles that were given changed: %s", c.what, d)
		}
	}
}
