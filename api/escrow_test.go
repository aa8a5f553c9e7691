package api_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
)

var alice = uuid.MustParse("0b9e7f6a-6d0d-4a53-9d0b-3b5f0c1d2e3f")

// The vectors were made with:
//
//	printf '\0\0\0\1\1\0\0\0\2\2\3' | sha256sum
func TestEscrowIdentifier(t *testing.T) {
	for name, tt := range map[string]struct {
		signing, encryption []byte
		want                string
	}{
		"both": {[]byte{1}, []byte{2, 3}, "e946f130d49b0664207bd1655433b498c8b7d6a04baa42c485a45f8005bca39b"},
		"one":  {nil, []byte{1, 2, 3}, "b070698d25c7754918e53fd317b4fe4feddb041a79c78d35d5c8dd6e135fa745"},
	} {
		want := "sealpost-escrow-v1 0b9e7f6a-6d0d-4a53-9d0b-3b5f0c1d2e3f " + tt.want + " nonce-1"
		got := api.EscrowIdentifier(alice, tt.signing, tt.encryption, "nonce-1")
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		if nonce, ok := api.EscrowNonce(got); !ok || nonce != "nonce-1" {
			t.Errorf("%s: EscrowNonce = %q, %v", name, nonce, ok)
		}
	}
}

func TestEscrowIdentifierIsUnambiguous(t *testing.T) {
	seen := map[string]string{}
	for name, csrs := range map[string][2][]byte{
		"ab, nothing": {[]byte("ab"), nil}, "nothing, ab": {nil, []byte("ab")}, "a, b": {[]byte("a"), []byte("b")}, "nothing": {nil, nil},
	} {
		id := api.EscrowIdentifier(alice, csrs[0], csrs[1], "n")
		if other, ok := seen[id]; ok {
			t.Errorf("%q and %q have the same identifier", name, other)
		}
		seen[id] = name
	}
	if api.EscrowIdentifier(alice, nil, nil, "n") == api.EscrowIdentifier(uuid.Nil, nil, nil, "n") {
		t.Error("two people have the same identifier")
	}
}

func TestEscrowNonceRefusesOtherForms(t *testing.T) {
	good := api.EscrowIdentifier(alice, nil, nil, "n")
	for _, s := range []string{"", "nonce", good + " more", good[:len(good)-1], "sealpost-escrow-v2" + good[18:], " " + good} {
		if nonce, ok := api.EscrowNonce(s); ok {
			t.Errorf("EscrowNonce(%q) = %q, want refusal", s, nonce)
		}
	}
}
