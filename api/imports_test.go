package api_test

import (
	"crypto/x509"
	"encoding/asn1"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
)

// The vector was made with: printf '\1\2\3' | sha256sum
func TestImportIdentifier(t *testing.T) {
	t.Parallel()
	want := "sealpost-import-v1 0b9e7f6a-6d0d-4a53-9d0b-3b5f0c1d2e3f 039058c6f2c0cb492c533b0a4d14ef77cc0f78abccced5287d84a1a2011cfb81 nonce-1"
	got := api.ImportIdentifier(alice, []byte{1, 2, 3}, "nonce-1")
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if nonce, ok := api.ImportNonce(got); !ok || nonce != "nonce-1" {
		t.Errorf("ImportNonce = %q, %v", nonce, ok)
	}
	if _, ok := api.EscrowNonce(got); ok {
		t.Error("it passes for the identifier of an enrolment")
	}
	if _, ok := api.ImportNonce(api.EscrowIdentifier(alice, nil, []byte{1, 2, 3}, "nonce-1")); ok {
		t.Error("that of an enrolment passes for one of an import")
	}
	for _, other := range []string{api.ImportIdentifier(uuid.New(), []byte{1, 2, 3}, "nonce-1"), api.ImportIdentifier(alice, []byte{1, 2}, "nonce-1"),
		api.ImportIdentifier(alice, []byte{1, 2, 3}, "nonce-2")} {
		if other == got {
			t.Errorf("%q twice", other)
		}
	}
	for _, s := range []string{"", got + " more", strings.TrimSuffix(got, "nonce-1"), " " + got} {
		if nonce, ok := api.ImportNonce(s); ok {
			t.Errorf("ImportNonce(%q) = %q, want refusal", s, nonce)
		}
	}
}

// What may be archived, as its certificate tells.
func TestMayBeArchived(t *testing.T) {
	t.Parallel()
	efs := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 10, 3, 4}
	for name, tt := range map[string]struct {
		c  x509.Certificate
		ok bool
	}{
		"encipherment":        {x509.Certificate{KeyUsage: x509.KeyUsageKeyEncipherment}, true},
		"agreement":           {x509.Certificate{KeyUsage: x509.KeyUsageKeyAgreement | x509.KeyUsageEncipherOnly}, true},
		"files":               {x509.Certificate{KeyUsage: x509.KeyUsageKeyEncipherment, UnknownExtKeyUsage: []asn1.ObjectIdentifier{efs}}, true},
		"nothing said":        {x509.Certificate{}, false},
		"signs":               {x509.Certificate{KeyUsage: x509.KeyUsageDigitalSignature}, false},
		"both":                {x509.Certificate{KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment}, false},
		"signs certificates":  {x509.Certificate{KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageKeyEncipherment}, false},
		"authority":           {x509.Certificate{KeyUsage: x509.KeyUsageKeyEncipherment, IsCA: true}, false},
		"decipherOnly, alone": {x509.Certificate{KeyUsage: x509.KeyUsageDecipherOnly}, false},
		"for logins":          {x509.Certificate{KeyUsage: x509.KeyUsageKeyEncipherment, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, false},
	} {
		if why, ok := api.MayBeArchived(&tt.c); ok != tt.ok || ok == (why != "") {
			t.Errorf("%s: %v %q", name, ok, why)
		}
	}
}
