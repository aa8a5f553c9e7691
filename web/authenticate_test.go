package web_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/slapdtest"
	"github.com/sealpost/sealpost/web"
	"github.com/sealpost/sealpost/web/allowance"
)

// Everything that can say who is asking, against an operation that tokens may use and one that they may not.
func TestWhoIsAsking(t *testing.T) {
	r := setup(t)
	issued, keys := r.enrol(t, "alice", housetest.Pair)
	signing, encryption := issued.Certificates[0].DER, issued.Certificates[1].DER
	_, otherKeys := r.enrol(t, "bob", housetest.Pair)
	mint := func(mailbox string) string {
		return read[api.Token](t, r.ask(t, person("rita"), "POST", "/tokens", api.TokenRequest{Mailbox: mailbox, Hours: 1})).Token
	}
	carol := mint("carol@example.test")
	daves := mint("dave@example.test")
	good := with(keys.Signing, signing)
	mixed := func(a, b as) as { a.login, a.password, a.token = b.login, b.password, b.token; return a }
	raw := func(authorization string) as { return as{header: http.Header{"Authorization": {authorization}}} }
	for _, c := range []struct {
		what   string
		who    as
		policy string // code, or the person's name
		list   string
	}{
		{"nobody", as{}, "credentials-missing", "credentials-missing"},
		{"a password", person("bob"), "Bob Brown", ""},
		{"a password after another spelling of the login", as{login: "BOB", password: slapdtest.Password("bob")}, "Bob Brown", ""},
		{"a wrong password", as{login: "bob", password: "x"}, "wrong-credentials", "wrong-credentials"},
		{"an unknown login", as{login: "nobody", password: "x"}, "wrong-credentials", "wrong-credentials"},
		{"an empty password", as{login: "bob"}, "wrong-credentials", "wrong-credentials"},
		{"a login that is a filter", as{login: "*)(uid=bob", password: slapdtest.Password("bob")}, "wrong-credentials", "wrong-credentials"},
		{"somebody who left", person("dave"), "person-disabled", "person-disabled"},
		{"a token", token(carol), "Carol Müller-Żak", "enrolment-token-scope"},
		{"a token in other letters", raw("bearer " + carol), "Carol Müller-Żak", "enrolment-token-scope"},
		{"a guessed token", token(strings.Repeat("a", 32)), "enrolment-token", "enrolment-token"},
		{"an empty token", raw("Bearer "), "credentials-missing", "credentials-missing"},
		{"a token of somebody who left", token(daves), "person-disabled", "person-disabled"},
		{"a scheme that is not taken", raw("Negotiate abc"), "credentials-missing", "credentials-missing"},
		{"a password that is no base64", raw("Basic ~~~"), "credentials-missing", "credentials-missing"},
		{"a signature certificate", good, "Alice Anders", ""},
		{"a signature certificate and its chain", with(keys.Signing, signing, r.PKI.Issuing.Raw), "Alice Anders", ""},
		{"a certificate and a wrong password", mixed(good, as{login: "bob", password: "x"}), "Alice Anders", ""},
		{"an encryption certificate", with(keys.Encryption, encryption), "client-certificate", "client-certificate"},
		{"an encryption certificate and a password", mixed(with(keys.Encryption, encryption), person("bob")), "Bob Brown", ""},
		{"an encryption certificate and a wrong password", mixed(with(keys.Encryption, encryption), as{login: "bob", password: "x"}), "wrong-credentials", "wrong-credentials"},
		{"a self-made certificate", with(otherKeys.Signing, selfSigned(t, otherKeys.Signing.(*ecdsa.PrivateKey), signing)), "client-certificate", "client-certificate"},
		{"the issuer's own certificate", with(r.PKI.IssuingKey, r.PKI.Issuing.Raw), "client-certificate", "client-certificate"},
	} {
		got := r.ask(t, c.who, "GET", "/policy", nil)
		if name := policyName(got); name != c.policy && (got.status < 400 || got.code(t) != c.policy) {
			t.Errorf("%s: policy: status %d, %s, want %s", c.what, got.status, got.body, c.policy)
		}
		list := r.ask(t, c.who, "GET", "/certificates", nil)
		if c.list == "" && list.status != 200 || c.list != "" && (list.status < 400 || list.code(t) != c.list) {
			t.Errorf("%s: certificates: status %d, %s, want %q", c.what, list.status, list.body, c.list)
		}
	}
	r.certificateEnds(t, good, issued)
}

// certificateEnds follows a certificate that was good to where it no longer is.
func (r *rig) certificateEnds(t *testing.T, good as, issued api.EnrolmentStatus) {
	t.Helper()
	check := func(what, code string) {
		t.Helper()
		if got := r.ask(t, good, "GET", "/policy", nil); got.status != 401 && got.status != 403 || got.code(t) != code {
			t.Errorf("%s: status %d, %s, want %s", what, got.status, got.body, code)
		}
	}
	alice := "dn: " + slapdtest.PersonDN("alice") + "\nchangetype: "
	r.Slapd.Modify(t, alice+"modify\nadd: employeeType\nemployeeType: disabled\n")
	check("of somebody who is disabled", "person-disabled")
	r.Slapd.Modify(t, alice+"modify\ndelete: employeeType\n")
	path := "/certificates/" + issued.Certificates[0].Issuer + "/" + issued.Certificates[0].Serial + "/revoke"
	for _, reason := range []string{"certificateHold", "removeFromCRL"} {
		if got := r.ask(t, person("rita"), "POST", path, api.RevocationRequest{Reason: reason}); got.status != 200 {
			t.Fatalf("%s: %s", reason, got.body)
		}
		if reason == "certificateHold" {
			check("on hold", "client-certificate-held")
		}
	}
	if got := r.ask(t, good, "GET", "/policy", nil); got.status != 200 {
		t.Errorf("after its release: status %d, %s", got.status, got.body)
	}
	if got := r.ask(t, good, "POST", path, api.RevocationRequest{Reason: "keyCompromise"}); got.status != 200 {
		t.Fatalf("revokes itself: %s", got.body)
	}
	check("revoked", "client-certificate-revoked")
	fresh, keys := r.enrol(t, "alice", housetest.Pair)
	good = with(keys.Signing, fresh.Certificates[0].DER)
	if got := r.ask(t, good, "GET", "/policy", nil); got.status != 200 {
		t.Errorf("a new one: status %d, %s", got.status, got.body)
	}
	r.Slapd.Modify(t, alice+"delete\n")
	check("of somebody who is gone", "client-certificate")
}

func policyName(r reply) string {
	var p api.Policy
	if r.status != 200 || json.Unmarshal(r.body, &p) != nil {
		return ""
	}
	return p.Person.Name
}

// selfSigned makes a certificate that says the same as another.
func selfSigned(t *testing.T, key *ecdsa.PrivateKey, like []byte) []byte {
	t.Helper()
	c, err := x509.ParseCertificate(like)
	must(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: c.SerialNumber, RawSubject: c.RawSubject, NotBefore: c.NotBefore,
		NotAfter: c.NotAfter, KeyUsage: c.KeyUsage, ExtKeyUsage: c.ExtKeyUsage, EmailAddresses: c.EmailAddresses},
		&x509.Certificate{SerialNumber: big.NewInt(1), RawSubject: c.RawIssuer}, key.Public(), key)
	must(t, err)
	return der
}

// A certificate that the issuer's key signed, but that we have no record of, is none.
func TestCertificateWithoutRecord(t *testing.T) {
	r := setup(t)
	issued, _ := r.enrol(t, "alice", housetest.Pair)
	like, err := x509.ParseCertificate(issued.Certificates[0].DER)
	must(t, err)
	key := pkitest.NewKey(t, ca.P256)
	for what, serial := range map[string]*big.Int{"an unknown serial": big.NewInt(0x7000000000000001), "a serial of ours": like.SerialNumber} {
		like.SerialNumber = serial
		der, err := x509.CreateCertificate(rand.Reader, like, r.PKI.Issuing, key.Public(), r.PKI.IssuingKey)
		must(t, err)
		if got := r.ask(t, with(key, der), "GET", "/policy", nil); got.status != 401 || got.code(t) != "client-certificate" {
			t.Errorf("%s: status %d, %s", what, got.status, got.body)
		}
	}
}

func TestExpiredCertificateSaysSo(t *testing.T) {
	r := setup(t)
	issued, keys := r.enrol(t, "alice", housetest.Pair)
	r.Clock.Advance(731 * 24 * time.Hour)
	got := r.ask(t, with(keys.Signing, issued.Certificates[0].DER), "GET", "/policy", nil)
	if got.status != 401 || got.code(t) != "client-certificate" || !strings.Contains(string(got.body), "ended on") {
		t.Errorf("status %d, %s", got.status, got.body)
	}
}

// A renewal is an enrolment with the certificate that is being renewed; what is issued has the same person.
func TestRenewal(t *testing.T) {
	r := setup(t)
	first, keys := r.enrol(t, "alice", housetest.Pair)
	s, newKeys := r.Submission(t, r.Actor(t, "alice"), housetest.Pair)
	who := with(keys.Signing, first.Certificates[0].DER).named(uuid.NewString())
	second := read[api.EnrolmentStatus](t, r.ask(t, who, "POST", "/enrolments", wire(s)))
	if second.State != api.StateIssued || second.Person != first.Person || bytes.Equal(second.Certificates[1].DER, first.Certificates[1].DER) {
		t.Errorf("%+v", second)
	}
	if got := r.ask(t, with(newKeys.Signing, second.Certificates[0].DER), "GET", "/policy", nil); got.status != 200 {
		t.Errorf("the new certificate: %s", got.body)
	}
	if n := r.Database.Count(t, `select count(*) from enroll.request where by->>'Method' = 'certificate'`); n != 1 {
		t.Errorf("%d requests by certificate", n)
	}
	r.Settled(t)
}

func TestTooManyFailures(t *testing.T) {
	r := setup(t, func(c *web.Config) { c.Limits.Failures.Login = allowance.Allowance{Burst: 3, Every: time.Hour} })
	wrong := as{login: "alice", password: "wrong-one"}
	for range 3 {
		if got := r.ask(t, wrong, "GET", "/policy", nil); got.status != 401 {
			t.Fatalf("status %d", got.status)
		}
	}
	for what, who := range map[string]as{"wrong again": wrong, "right at last": person("alice")} {
		if got := r.ask(t, who, "GET", "/policy", nil); got.status != 429 || got.code(t) != "too-many-failures" || got.header.Get("Retry-After") != "3600" {
			t.Errorf("%s: status %d, Retry-After %q", what, got.status, got.header.Get("Retry-After"))
		}
	}
	if got := r.ask(t, person("bob"), "GET", "/policy", nil); got.status != 200 {
		t.Errorf("another login: status %d", got.status)
	}
	for range 20 {
		if got := r.ask(t, as{}, "GET", "/issuers", nil); got.status != 200 {
			t.Errorf("what is public: status %d", got.status)
		}
	}
	r.Clock.Advance(time.Hour)
	if got := r.ask(t, person("alice"), "GET", "/policy", nil); got.status != 200 {
		t.Errorf("an hour later: status %d", got.status)
	}
}

// Anonymous failures are one event a minute, however many there are.
func TestFailuresAreSummedUp(t *testing.T) {
	r := setup(t)
	for range 3 {
		r.ask(t, as{login: "alice", password: "x"}, "GET", "/policy", nil)
	}
	r.ask(t, token("guessed-guessed-guessed"), "GET", "/policy", nil)
	r.ask(t, as{}, "GET", "/policy", nil) // only asked
	must(t, web.RecordFailures(t.Context(), r.Server))
	must(t, web.RecordFailures(t.Context(), r.Server))
	events, err := r.Audit.Events(t.Context(), audit.Query{Kind: "authentication.failures"})
	must(t, err)
	if len(events) != 1 {
		t.Fatalf("%d events", len(events))
	}
	var data struct{ Counts map[string]int }
	must(t, json.Unmarshal(events[0].Data, &data))
	if len(data.Counts) != 2 || data.Counts["wrong-credentials"] != 3 || data.Counts["enrolment-token"] != 1 {
		t.Errorf("%s", events[0].Data)
	}
	metrics := r.ask(t, as{}, "GET", r.Meters+"/metrics", nil)
	for _, want := range []string{`sealpost_authentication_failures_total{code="wrong-credentials"} 3`, `sealpost_http_requests_total{operation="getPolicy",status="401"} 5`,
		`sealpost_http_request_seconds_count{operation="getPolicy"} 5`, "go_goroutines"} {
		if !strings.Contains(string(metrics.body), want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}
