package list_test

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpost/sealpost/crl/list"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What our own lists say of their scope and their delta is read back; so is what others' say.
func TestScopeAndAddresses(t *testing.T) {
	t.Parallel()
	i := p256(t)
	template := i.template(7)
	template.Scope, template.Freshest = "http://x.test/7.crl", []string{"http://x.test/d.crl", "ldap://x.test/cn=d"}
	h, err := list.Read(bytes.NewReader(compose(t, i, template).Bytes()), nil)
	if err != nil {
		t.Fatal(err)
	}
	scope, err := list.ParseScope(h.Scope)
	if diff := cmp.Diff(list.Scope{Addresses: []string{"http://x.test/7.crl"}, Users: true}, scope); err != nil || diff != "" {
		t.Errorf("%v, %s", err, diff)
	}
	if got, err := list.ParseAddresses(h.Freshest); err != nil || !slices.Equal(got, template.Freshest) {
		t.Errorf("%q, %v", got, err)
	}
	for text, want := range map[string]list.Scope{
		"3000":                                   {},
		"3003" + "8201ff":                        {Authorities: true},
		"3003" + "8401ff":                        {OtherIssuers: true},
		"3003" + "8501ff":                        {Attributes: true},
		"3004" + "83020560":                      {SomeReasons: true},
		"300c" + "a00aa0088606" + "687474703a2f": {Addresses: []string{"http:/"}},
		"3009" + "a007a0058203" + "612e62":       {}, // a DNS name
		"3006" + "a004a1023000":                  {}, // relative to the issuer
	} {
		got, err := list.ParseScope(unhex(t, text))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v, %s", text, err, diff)
		}
	}
	for _, text := range []string{"", "05", "3001", "30030101ff", "3003820100", "3003820101", "30068101ff8101ff", "30068201ff8101ff", "3002a000", "300000", "3004a002a100ff"} {
		if got, err := list.ParseScope(unhex(t, text)); err == nil {
			t.Errorf("%s was read as a scope: %+v", text, got)
		}
	}
	for _, text := range []string{"", "3001", "30023100", "3004300205ff", "300000"} {
		if got, err := list.ParseAddresses(unhex(t, text)); err == nil {
			t.Errorf("%s was read as addresses: %q", text, got)
		}
	}
}

func FuzzParseAddresses(f *testing.F) {
	for _, text := range []string{"3000", "30023000", "301030" + "0ea00ca00a8608" + "687474703a2f2f61", "3008300681040a0b0c0d"} {
		f.Add(unhex(f, text))
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		scope, _ := list.ParseScope(der)
		got, _ := list.ParseAddresses(der)
		if n := len(strings.Join(append(scope.Addresses, got...), "")); n > len(der) {
			t.Fatalf("%d bytes of addresses out of %d", n, len(der))
		}
	})
}
