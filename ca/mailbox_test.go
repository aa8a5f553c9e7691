package ca_test

import (
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/ca"
)

func TestParseMailbox(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"alice@example.test":                      "alice@example.test",
		"Alice.B@EXAMPLE.Test":                    "Alice.B@example.test",
		"o'brien+x@a-b.example.test":              "o'brien+x@a-b.example.test",
		"alice@bücher.test":                       "alice@xn--bcher-kva.test",
		"alice@BÜCHER.test":                       "alice@xn--bcher-kva.test",
		"alice@xn--bcher-kva.test":                "alice@xn--bcher-kva.test",
		"älice@bücher.test":                       "älice@xn--bcher-kva.test",
		"用户@example.test":                         "用户@example.test",
		"alice@localhost":                         "alice@localhost",
		"alice@1und1.test":                        "alice@1und1.test",
		"\"@example.test":                         "",
		"":                                        "",
		"@example.test":                           "",
		"alice@":                                  "",
		"alice":                                   "",
		"a..b@example.test":                       "",
		".a@example.test":                         "",
		"a.@example.test":                         "",
		"a b@example.test":                        "",
		"a@b@example.test":                        "",
		"a@example..test":                         "",
		"a@.example.test":                         "",
		"a@example.test.":                         "",
		"a@-example.test":                         "",
		"a@exa_mple.test":                         "",
		"a@ex ample.test":                         "",
		"a@xn--zz--.test":                         "",
		"\ufeffalice@example.test":                "",
		"al\u0085ice@example.test":                "",
		"al\u2003ice@example.test":                "",
		"a\xff@example.test":                      "",
		"a@" + strings.Repeat("a", 64):            "",
		strings.Repeat("a", 65) + "@example.test": "",
		"a@" + strings.Repeat("a.", 130) + "test": "",
		strings.Repeat("a", 64) + "@example.test": strings.Repeat("a", 64) + "@example.test",
		"a@" + strings.Repeat(strings.Repeat("b", 62)+".", 4): "",
	} {
		m, err := ca.ParseMailbox(in)
		if want == "" {
			if !errors.Is(err, ca.ErrMailbox) {
				t.Errorf("%q: got %v, %v", in, m, err)
			}
			continue
		}
		if err != nil || m.String() != want {
			t.Errorf("%q: got %v, %v; want %s", in, m, err, want)
		}
	}
}

// FuzzParseMailbox: what is read is read the same again, and holds nothing that would need quoting.
func FuzzParseMailbox(f *testing.F) {
	for _, s := range []string{"alice@example.test", "älice@bücher.test", "a@b", "", "@", "a@xn--bcher-kva.test"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ca.ParseMailbox(s)
		if err != nil {
			return
		}
		again, err := ca.ParseMailbox(m.String())
		if err != nil || again != m {
			t.Errorf("%q is read as %v, and that as %v, %v", s, m, again, err)
		}
		if strings.ContainsAny(m.String(), " \t\r\n\"<>()[]\\,;:\x00") || strings.Count(m.String(), "@") != 1 {
			t.Errorf("%q is read as %q", s, m)
		}
	})
}

func TestSerial(t *testing.T) {
	t.Parallel()
	s, err := ca.ParseSerial("0A:fF")
	if err != nil || s.String() != "0aff" || s.Big().Int64() != 0xaff || ca.SerialOf(big.NewInt(0xaff)) != s {
		t.Errorf("%v, %v", s, err)
	}
	for in, want := range map[string]string{"1": "01", "001": "01", "00ff": "ff", strings.Repeat("f", 40): strings.Repeat("f", 40)} {
		if s, err := ca.ParseSerial(in); err != nil || s.String() != want {
			t.Errorf("%s: %v, %v", in, s, err)
		}
	}
	for _, in := range []string{"", ":", "xyz", "-1", strings.Repeat("f", 43)} {
		if s, err := ca.ParseSerial(in); !errors.Is(err, ca.ErrNotFound) {
			t.Errorf("%q: %v, %v", in, s, err)
		}
	}
	for _, n := range []*big.Int{nil, big.NewInt(0), big.NewInt(-5)} {
		if s := ca.SerialOf(n); s != "" {
			t.Errorf("%v: %v", n, s)
		}
	}
	text, err := s.MarshalText()
	if err != nil || string(text) != "0aff" {
		t.Errorf("%s, %v", text, err)
	}
	var back ca.Serial
	if err := back.UnmarshalText(text); err != nil || back != s {
		t.Errorf("%v, %v", back, err)
	}
}
