package ca_test

import (
	"errors"
	"testing"
	"time"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/pkitest"
)

func TestFind(t *testing.T) {
	r := setup(t)
	alice, bob := pkitest.NewPerson("alice"), pkitest.NewPerson("Bob")
	first := r.IssuePair(t, alice)
	r.now = r.now.Add(time.Hour)
	second := r.IssuePair(t, alice)
	bobs := r.IssuePair(t, bob)
	if err := r.Revoke(t.Context(), by, ca.Revocation{Issuer: second.Signing.Issuer, Serial: second.Signing.Serial, Reason: ca.Superseded}); err != nil {
		t.Fatal(err)
	}
	key := first.Encryption.Key
	for name, c := range map[string]struct {
		q    ca.Query
		want []ca.Certificate
	}{
		"person":          {ca.Query{Person: &alice.ID}, []ca.Certificate{second.Encryption, second.Signing, first.Encryption, first.Signing}},
		"mailbox":         {ca.Query{Mailbox: "bob@EXAMPLE.test"}, []ca.Certificate{bobs.Encryption, bobs.Signing}},
		"no such mailbox": {ca.Query{Mailbox: "carol@example.test"}, nil},
		"key":             {ca.Query{Key: &key}, []ca.Certificate{first.Encryption}},
		"request":         {ca.Query{Request: &first.Signing.Request}, []ca.Certificate{first.Encryption, first.Signing}},
		"good":            {ca.Query{Person: &alice.ID, Profile: ca.SMIMESigning, State: ca.Good}, []ca.Certificate{first.Signing}},
		"revoked":         {ca.Query{State: ca.Revoked}, []ca.Certificate{second.Signing}},
		"page":            {ca.Query{Person: &alice.ID, Limit: 2, Before: second.Signing.Number}, []ca.Certificate{first.Encryption, first.Signing}},
		"last second":     {ca.Query{Person: &bob.ID, ValidAt: bobs.Signing.NotAfter.Add(999 * time.Millisecond)}, []ca.Certificate{bobs.Encryption, bobs.Signing}},
		"over":            {ca.Query{Person: &bob.ID, ValidAt: bobs.Signing.NotAfter.Add(time.Second)}, nil},
		"not begun":       {ca.Query{Person: &bob.ID, ValidAt: bobs.Signing.NotBefore.Add(-time.Second)}, nil},
		"serial":          {ca.Query{Serial: bobs.Signing.Serial}, []ca.Certificate{bobs.Signing}},
		"no such serial":  {ca.Query{Serial: "\x01"}, nil},
		"from a number":   {ca.Query{State: ca.Revoked, From: second.Encryption.Number + 1}, nil},
		"between numbers": {ca.Query{Person: &alice.ID, Before: second.Signing.Number, From: first.Encryption.Number}, []ca.Certificate{first.Encryption}},
		"another issuer":  {ca.Query{Issuer: "other"}, nil},
	} {
		got, err := r.Find(t.Context(), c.q)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(got) != len(c.want) {
			t.Errorf("%s: %d found, want %d", name, len(got), len(c.want))
			continue
		}
		for i := range got {
			if got[i].Serial != c.want[i].Serial {
				t.Errorf("%s: %d is %s of %s", name, i, got[i].Serial, got[i].Profile)
			}
		}
	}
	current, err := r.Current(t.Context(), alice.ID, ca.SMIMESigning)
	if err != nil || current.Serial != first.Signing.Serial {
		t.Errorf("current: %v, %v", current.Serial, err)
	}
	if _, err := r.Current(t.Context(), alice.ID, ca.PersonAuth); !errors.Is(err, ca.ErrNotFound) {
		t.Errorf("no such: %v", err)
	}
}
