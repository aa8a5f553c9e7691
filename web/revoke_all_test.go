package web_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/housetest"
)

// All certificates of a person, or with a key, are revoked by whoever may revoke each of them.
func TestWhoRevokesAll(t *testing.T) {
	r := setup(t)
	carols, keys := r.enrol(t, "carol", housetest.Pair)
	second, _ := r.enrol(t, "carol", housetest.Pair)
	alices, _ := r.enrol(t, "alice", housetest.Pair)
	carol, key := &carols.Person, carols.Certificates[0].SPKISHA256
	nobody, none := uuid.New(), strings.Repeat("0", 64)
	ask := func(who as, in api.RevocationsRequest) reply {
		return r.ask(t, who, http.MethodPost, "/revocations", in)
	}
	reason := func(s string) api.RevocationRequest { return api.RevocationRequest{Reason: s} }
	refused := []struct {
		what   string
		who    as
		in     api.RevocationsRequest
		status int
		code   string
	}{
		{"nobody", as{}, api.RevocationsRequest{Person: carol, RevocationRequest: reason("superseded")}, 401, "credentials-missing"},
		{"another person", person("alice"), api.RevocationsRequest{Person: carol, RevocationRequest: reason("superseded")}, 403, "revocation-not-allowed"},
		{"another's key", person("alice"), api.RevocationsRequest{SPKISHA256: key, RevocationRequest: reason("keyCompromise")}, 403, "revocation-not-allowed"},
		{"a key that is nobody's", person("alice"), api.RevocationsRequest{SPKISHA256: none, RevocationRequest: reason("keyCompromise")}, 403, "revocation-not-allowed"},
		{"an auditor", person("auditor"), api.RevocationsRequest{Person: carol, RevocationRequest: reason("superseded")}, 403, "revocation-not-allowed"},
		{"a hold by its person", person("carol"), api.RevocationsRequest{Person: carol, RevocationRequest: reason("certificateHold")}, 403, "revocation-not-allowed"},
		{"a release by an operator", person("operator"), api.RevocationsRequest{Person: carol, RevocationRequest: reason("removeFromCRL")}, 403, "revocation-not-allowed"},
		{"both", person("rita"), api.RevocationsRequest{Person: carol, SPKISHA256: key, RevocationRequest: reason("superseded")}, 400, "request-invalid"},
		{"neither", person("rita"), api.RevocationsRequest{RevocationRequest: reason("superseded")}, 400, "request-invalid"},
		{"no person", person("rita"), api.RevocationsRequest{Person: &uuid.Nil, RevocationRequest: reason("superseded")}, 400, "request-invalid"},
		{"no key", person("rita"), api.RevocationsRequest{SPKISHA256: "abc", RevocationRequest: reason("superseded")}, 400, "request-invalid"},
		{"a reason that is none", person("rita"), api.RevocationsRequest{Person: carol, RevocationRequest: reason("bored")}, 400, "request-invalid"},
		{"a note of two lines", person("rita"), api.RevocationsRequest{Person: carol, RevocationRequest: api.RevocationRequest{Reason: "superseded", Note: "a\nb"}}, 400, "revocation-note"},
		{"a long note", person("rita"), api.RevocationsRequest{Person: carol, RevocationRequest: api.RevocationRequest{Reason: "superseded", Note: strings.Repeat("x", 501)}}, 400, "request-invalid"},
		{"an unknown person", person("rita"), api.RevocationsRequest{Person: &nobody, RevocationRequest: reason("superseded")}, 404, "unknown-certificate"},
		{"an unknown key", person("operator"), api.RevocationsRequest{SPKISHA256: none, RevocationRequest: reason("keyCompromise")}, 404, "unknown-certificate"},
	}
	for _, c := range refused {
		if got := ask(c.who, c.in); got.status != c.status || got.code(t) != c.code {
			t.Errorf("%s: status %d, %s", c.what, got.status, got.body)
		}
	}
	if n := r.Database.Count(t, `select count(*) from ca.revocation`); n != 0 {
		t.Errorf("%d are revoked", n)
	}
	if n := r.Database.Count(t, `select count(*) from audit.event where kind = 'certificate.revocation-refused'`); n != 6 {
		t.Errorf("%d refusals are recorded, want 6", n)
	}
	count := func(what string, who as, in api.RevocationsRequest, want int) {
		t.Helper()
		if got := read[api.Revocations](t, ask(who, in)); len(got.Certificates) != want {
			t.Errorf("%s: %d, want %d", what, len(got.Certificates), want)
		}
	}
	count("hold", person("rita"), api.RevocationsRequest{Person: carol, RevocationRequest: reason("certificateHold")}, 4)
	signing := with(keys.Signing, carols.Certificates[0].DER)
	if got := r.ask(t, signing, http.MethodPost, path(second.Certificates[0])+"/revoke", reason("superseded")); got.status != 401 || got.code(t) != "client-certificate-held" {
		t.Errorf("with a certificate that is on hold: status %d, %s", got.status, got.body)
	}
	count("release", person("rita"), api.RevocationsRequest{Person: carol, RevocationRequest: reason("removeFromCRL")}, 4)
	since := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	count("key", signing, api.RevocationsRequest{SPKISHA256: strings.ToUpper(key), RevocationRequest: api.RevocationRequest{Reason: "superseded"}}, 1)
	for _, body := range []any{reason("keyCompromise"), reason("superseded")} {
		if got := r.ask(t, signing, http.MethodPost, path(second.Certificates[0])+"/revoke", body); got.status != 401 || got.code(t) != "client-certificate-revoked" {
			t.Errorf("with a revoked certificate: status %d, %s", got.status, got.body)
		}
	}
	count("key, compromised", person("operator"), api.RevocationsRequest{SPKISHA256: key, RevocationRequest: api.RevocationRequest{Reason: "keyCompromise", InvalidFrom: &since, Note: "found on a USB stick"}}, 1)
	count("the rest", person("carol"), api.RevocationsRequest{Person: carol, RevocationRequest: reason("affiliationChanged")}, 3)
	count("nothing is left", person("carol"), api.RevocationsRequest{Person: carol, RevocationRequest: reason("affiliationChanged")}, 0)
	told := r.Database.Count(t, `select count(*) from audit.event where kind = 'certificate.revoked' and body::jsonb #>> '{data,note}' = 'found on a USB stick'
		and body::jsonb #>> '{data,reason}' = 'keyCompromise' and body::jsonb #>> '{data,invalid}' is not null and body::jsonb #>> '{actor,roles}' like '%operator%'`)
	if told != 1 {
		t.Errorf("%d events tell who revoked the key and why", told)
	}
	if c := read[api.Certificate](t, r.ask(t, person("alice"), http.MethodGet, path(alices.Certificates[0]), nil)); c.Status != "good" {
		t.Errorf("somebody else's: %+v", c)
	}
}
