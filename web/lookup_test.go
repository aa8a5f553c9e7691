package web

import (
	"crypto/x509"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzLookup(f *testing.F) {
	for _, q := range []string{"email=alice@example.test", "uri=mailto:a%40example.test", "sKIDHash=AAAAAAAAAAAAAAAAAAAAAAAAAAA", "email=a+b@example.test", "name=A+B", "email=%", "=", "a=b&c=d", "email=%00"} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, query string) {
		q, err := parseLookup(query)
		if err != nil {
			return
		}
		if q.value == "" || len(q.attribute)+len(q.value) >= maxLookup || strings.Contains(q.attribute, "=") {
			t.Errorf("%q: %+v", query, q)
		}
		if m := q.mailbox(); !strings.HasSuffix(q.value, m) {
			t.Errorf("%q: mailbox %q", query, m)
		}
		if q.is(authorityAttributes...) && q.check() == nil && q.attribute != "name" && (len(q.value) != hashLength || !utf8.ValidString(q.value)) {
			t.Errorf("%q: taken as a hash", query)
		}
		q.fits(&x509.Certificate{})
	})
}
