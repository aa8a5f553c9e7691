package web_test

import (
	"crypto/tls"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/slapdtest"
	"github.com/sealpost/sealpost/web"
	"github.com/sealpost/sealpost/web/allowance"
)

// Who fails in somebody's name keeps that person out from nowhere else, and no header makes a request come from elsewhere: neither
// to go on guessing nor to keep others out.
func TestNobodyLocksSomebodyElseOut(t *testing.T) {
	r := setup(t, func(c *web.Config) { c.Limits.Failures.Login = allowance.Allowance{Burst: 3, Every: time.Hour} })
	elsewhere := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: r.Roots},
		DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).DialContext}}
	defer elsewhere.CloseIdleConnections()
	says := func(a as, from string) as {
		a.header = http.Header{"X-Forwarded-For": {from}, "X-Real-Ip": {from}, "Forwarded": {"for=" + from}, "True-Client-Ip": {from}}
		return a
	}
	wrong := as{login: "alice", password: "wrong-one"}
	for _, from := range []string{"127.0.0.2", "203.0.113.1", "203.0.113.2"} {
		if got := r.ask(t, says(wrong, from), "GET", "/policy", nil); got.status != 401 {
			t.Errorf("a guess: %d", got.status)
		}
	}
	if got := r.ask(t, says(wrong, "203.0.113.3"), "GET", "/policy", nil); got.status != 429 || got.code(t) != "too-many-failures" {
		t.Errorf("a guess with a header of another address: %d %s", got.status, got.body)
	}
	for what, who := range map[string]as{"her": person("alice"), "her, by what a header says from where the guesses come": says(person("alice"), "127.0.0.1")} {
		if got := r.askWith(t, elsewhere, who, "GET", "/policy", nil); got.status != 200 {
			t.Errorf("%s, from elsewhere: %d %s", what, got.status, got.body)
		}
	}
	if got := r.ask(t, person("bob"), "GET", "/policy", nil); got.status != 200 {
		t.Errorf("somebody else, from the same place: %d", got.status)
	}
}

// Whoever has a stolen token cannot try others from the same address for long, and a guess hurts nobody's own token.
func TestGuessedTokens(t *testing.T) {
	r := setup(t, func(c *web.Config) { c.Limits.Failures.Address = allowance.Allowance{Burst: 4, Every: time.Hour} })
	made := read[api.Token](t, r.ask(t, person("rita"), "POST", "/tokens", api.TokenRequest{Mailbox: "alice@example.test", Hours: 1}))
	for _, guess := range []string{"a", "b", "c", "d"} {
		if got := r.ask(t, token(guess+made.Token[1:len(made.Token)-1]+guess), "GET", "/policy", nil); got.status != 401 {
			t.Errorf("a guess: %d", got.status)
		}
	}
	if got := r.ask(t, token("e"+made.Token[1:]), "GET", "/policy", nil); got.status != 429 {
		t.Errorf("one more: %d", got.status)
	}
	r.Clock.Advance(61 * time.Minute) // the allowance has grown by one, and the token has ended
	if got := r.ask(t, token(made.Token), "GET", "/policy", nil); got.status != 401 || got.code(t) != "enrolment-token" {
		t.Errorf("a token that has ended: %d %s", got.status, got.body)
	}
}

// A certificate is its person's, whatever they are called and wherever their entry is now; that one certificate of a person who has but
// one serves too.
func TestCertificateOfRenamedPerson(t *testing.T) {
	r := setup(t)
	issued, keys := r.enrol(t, "alice", housetest.Pair)
	single, singleKeys := r.enrol(t, "bob", housetest.Single)
	r.Slapd.Modify(t, "dn: "+slapdtest.PersonDN("alice")+"\nchangetype: modrdn\nnewrdn: uid=alice.berg\ndeleteoldrdn: 1\n")
	r.Slapd.Modify(t, "dn: "+slapdtest.PersonDN("alice.berg")+"\nchangetype: modify\nreplace: displayName\ndisplayName: Alice Berg\n-\nreplace: mail\nmail: alice.berg@example.test\n")
	r.Clock.Advance(time.Hour)
	if got := r.ask(t, with(keys.Signing, issued.Certificates[0].DER), "GET", "/policy", nil); policyName(got) != "Alice Berg" {
		t.Errorf("renamed: %d %s", got.status, got.body)
	}
	if got := r.ask(t, with(singleKeys.Signing, single.Certificates[0].DER), "GET", "/policy", nil); policyName(got) != "Bob Brown" {
		t.Errorf("a single certificate: %d %s", got.status, got.body)
	}
}
