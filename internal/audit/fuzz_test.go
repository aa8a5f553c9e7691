package audit

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"
	"unicode/utf8"
)

// Whatever is decoded is what encode could have written, and says the same again.
func FuzzDecode(f *testing.F) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, e := range []Event{{Kind: "a"}, {Kind: "a.b", Subject: "key:00", Data: map[string]any{"x": "\x00\U0001F600"}}} {
		b, err := encode(at, System("crl"), e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"v":2}`))
	f.Add([]byte(`{"v":1,"at":"2026-01-02T03:04:05.000000Z","kind":"a","actor":{"method":"system","strength":"none"}} {}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := decode(b)
		if err != nil {
			return
		}
		ev := Event{Kind: e.Kind, Subject: e.Subject, Person: e.Person}
		if e.Data != nil {
			ev.Data = e.Data
		}
		again, err := encode(e.At, e.By, ev)
		if err != nil {
			return // it was written by nobody of us, but harms nobody
		}
		e2, err := decode(again)
		if err != nil || e2.Kind != e.Kind || e2.Subject != e.Subject || e2.Person != e.Person || !e2.At.Equal(e.At) || e2.By.Name != e.By.Name {
			t.Errorf("%+v became %+v, %v", e, e2, err)
		}
	})
}

// Whatever a room's data holds, the body is JSON that PostgreSQL's jsonb takes too.
func FuzzStorable(f *testing.F) {
	for _, s := range []string{`"\u0000"`, `"\\u0000"`, `"\\\u0000"`, `"\ud800"`, `"\ud83d\ude00"`, `"\udc00\ud800x"`, `"\ud800\ud83d\ude00"`,
		`{"\u0000":1}`, `"\n\"\u00e9"`, `1`, `"\ud800\u0000"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !json.Valid([]byte(s)) || !utf8.ValidString(s) {
			return
		}
		got := storable([]byte(s))
		if !json.Valid(got) || len(got) != len(s) {
			t.Fatalf("%q became %q", s, got)
		}
		if !bytes.Equal(storable(bytes.Clone(got)), got) {
			t.Errorf("%q is not stable", got)
		}
		var a, b any
		if err := json.Unmarshal([]byte(s), &a); err != nil {
			return // a number out of range
		}
		if err := json.Unmarshal(got, &b); err != nil {
			t.Fatal(err)
		}
		x, y := text(a), text(b)
		if bytes.ContainsRune([]byte(y), 0) {
			t.Errorf("%q still holds NUL", got)
		}
		if want := string(bytes.ReplaceAll([]byte(x), []byte{0}, []byte("\ufffd"))); want != y {
			t.Errorf("%q became %q", want, y)
		}
	})
}

// text returns a JSON value if it is a string.
func text(v any) string {
	s, _ := v.(string)
	return s
}
