package web_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/api"
)

func kept(content string) api.ParcelContent { return api.ParcelContent{Content: []byte(content)} }

// A person's parcels are theirs alone, are replaced only by whoever knows what was there, and end in time.
func TestParcels(t *testing.T) {
	r := setup(t)
	alice, bob := person("alice"), person("bob")
	first := read[api.Parcel](t, r.ask(t, alice, "POST", "/parcels/history-1", kept("sealed")))
	if first.Size != 6 || first.EndsAt != nil || first.Content != nil || len(first.SHA256) != 64 {
		t.Errorf("%+v", first)
	}
	if again := read[api.Parcel](t, r.ask(t, alice, "POST", "/parcels/history-1", kept("sealed"))); again.SHA256 != first.SHA256 || !again.KeptAt.Equal(first.KeptAt) {
		t.Errorf("kept again: %+v", again)
	}
	if code := r.ask(t, alice, "POST", "/parcels/history-1", kept("other")).code(t); code != "parcel-taken" {
		t.Errorf("another in its place: %s", code)
	}
	second := kept("other")
	second.Replaces = first.SHA256
	read[api.Parcel](t, r.ask(t, alice, "POST", "/parcels/history-1", second))
	if got := read[api.Parcel](t, r.ask(t, alice, "GET", "/parcels/history-1", nil)); string(got.Content) != "other" {
		t.Errorf("%+v", got)
	}
	for name, got := range map[string]reply{
		"read":   r.ask(t, bob, "GET", "/parcels/history-1", nil),
		"remove": r.ask(t, bob, "POST", "/parcels/history-1/remove", nil),
	} {
		if code := got.code(t); code != "unknown-parcel" || got.status != http.StatusNotFound {
			t.Errorf("bob may %s alice's: %s", name, code)
		}
	}
	read[api.Parcel](t, r.ask(t, bob, "POST", "/parcels/history-1", kept("bob's")))
	if list := read[api.Page[api.Parcel]](t, r.ask(t, bob, "GET", "/parcels", nil)); len(list.Items) != 1 || list.Items[0].Size != 5 || list.Items[0].Content != nil {
		t.Errorf("bob sees %+v", list)
	}
	short := kept("soon gone")
	short.Minutes = 30
	if p := read[api.Parcel](t, r.ask(t, alice, "POST", "/parcels/transfer-1", short)); p.EndsAt == nil || p.EndsAt.Sub(p.KeptAt) != 30*time.Minute {
		t.Errorf("%+v", p)
	}
	r.Clock.Advance(31 * time.Minute)
	if code := r.ask(t, alice, "GET", "/parcels/transfer-1", nil).code(t); code != "unknown-parcel" {
		t.Errorf("after its end: %s", code)
	}
	read[api.Parcel](t, r.ask(t, alice, "POST", "/parcels/transfer-1", kept("x")))
	if n := r.Database.Count(t, `select count(*) from archive.parcel`); n != 3 {
		t.Errorf("%d parcels are kept", n)
	}
	read[api.Parcel](t, r.ask(t, alice, "POST", "/parcels/history-1/remove", nil))
	for kind, want := range map[string]int64{"archive.parcel-kept": 5, "archive.parcel-fetched": 1, "archive.parcel-removed": 1} {
		if n := r.Database.Count(t, `select count(*) from audit.event where kind = $1`, kind); n != want {
			t.Errorf("%d events %s, want %d", n, kind, want)
		}
	}
}

func TestParcelsThatAreRefused(t *testing.T) {
	r := setup(t)
	alice := person("alice")
	missing := kept("x")
	missing.Replaces = strings.Repeat("1", 64)
	for name, tt := range map[string]struct {
		who    as
		path   string
		body   any
		status int
		code   string
	}{
		"nobody":               {as{}, "/parcels/x", kept("x"), 401, "credentials-missing"},
		"no name":              {alice, "/parcels/X", kept("x"), 400, "request-invalid"},
		"empty":                {alice, "/parcels/x", kept(""), 400, "request-invalid"},
		"too large":            {alice, "/parcels/x", api.ParcelContent{Content: bytes.Repeat([]byte("x"), api.MaxParcel+1)}, 400, "parcel-refused"},
		"far too large":        {alice, "/parcels/x", bytes.Repeat([]byte("x"), api.MaxCaseBody+1), 413, "request-too-large"},
		"for too long":         {alice, "/parcels/x", api.ParcelContent{Content: []byte("x"), Minutes: 1441}, 400, "request-invalid"},
		"replaces no hash":     {alice, "/parcels/x", api.ParcelContent{Content: []byte("x"), Replaces: "x"}, 400, "request-invalid"},
		"replaces nothing":     {alice, "/parcels/x", missing, 409, "parcel-taken"},
		"removes nothing":      {alice, "/parcels/x/remove", nil, 404, "unknown-parcel"},
		"something unforeseen": {alice, "/parcels/x", `{"content": "eA==", "person": "bob"}`, 400, "request-invalid"},
	} {
		got := r.ask(t, tt.who, "POST", tt.path, tt.body)
		if code := got.code(t); got.status != tt.status || code != tt.code {
			t.Errorf("%s: %d %s, want %d %s\n%s", name, got.status, code, tt.status, tt.code, got.body)
		}
	}
	for i := range 32 {
		read[api.Parcel](t, r.ask(t, alice, "POST", fmt.Sprintf("/parcels/p%d", i), kept("x")))
	}
	if code := r.ask(t, alice, "POST", "/parcels/p32", kept("x")).code(t); code != "parcels-full" {
		t.Errorf("one too many: %s", code)
	}
	large := bytes.Repeat([]byte("x"), api.MaxParcel)
	bob := person("bob")
	for i := range 4 {
		read[api.Parcel](t, r.ask(t, bob, "POST", fmt.Sprintf("/parcels/p%d", i), api.ParcelContent{Content: large}))
	}
	if code := r.ask(t, bob, "POST", "/parcels/p4", kept("x")).code(t); code != "parcels-full" {
		t.Errorf("too much together: %s", code)
	}
}
