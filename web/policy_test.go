package web_test

import (
	"crypto/x509"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/jws"
)

// The policy is the same signed or not, and is not sent twice to who has it. A new nonce alone makes it no other.
func TestSignedPolicy(t *testing.T) {
	r := setup(t)
	machine := uuid.New()
	ask := func(header ...string) reply {
		t.Helper()
		who := person("alice")
		who.header = http.Header{api.MachineHeader: {machine.String()}}
		for i := 0; i < len(header); i += 2 {
			who.header.Set(header[i], header[i+1])
		}
		return r.ask(t, who, http.MethodGet, "/policy", nil)
	}
	var plain, signed api.Policy
	got := ask()
	must(t, json.Unmarshal(got.body, &plain))
	tag := got.header.Get("ETag")
	if got.status != 200 || tag == "" || got.header.Get("Vary") == "" || plain.Machine == nil || *plain.Machine != machine {
		t.Fatalf("%d %v %+v", got.status, got.header, plain)
	}
	if ask("If-None-Match", tag).status != 304 {
		t.Error("sent again to who has it")
	}
	got = ask("Accept", api.PolicyMedia)
	if got.status != 200 || got.header.Get("Content-Type") != api.PolicyMedia || got.header.Get("ETag") == tag {
		t.Fatalf("signed: %d %v", got.status, got.header)
	}
	roots := x509.NewCertPool()
	roots.AddCert(r.PKI.Root)
	opened, err := jws.Open(string(got.body), api.PolicyType, roots, func(payload []byte) (time.Time, error) {
		err := json.Unmarshal(payload, &signed)
		return signed.IssuedAt, err
	})
	must(t, err)
	if c := opened.Signer; len(c.UnknownExtKeyUsage) != 1 || !c.UnknownExtKeyUsage[0].Equal(api.OIDPolicy) || c.KeyUsage != x509.KeyUsageDigitalSignature || signed.Ends.After(c.NotAfter) {
		t.Errorf("signed by %v for %v, with %v", c.UnknownExtKeyUsage, c.KeyUsage, signed.Ends)
	}
	for _, p := range []*api.Policy{&plain, &signed} {
		p.IssuedAt, p.Ends, p.Exchange.Nonce, p.Exchange.NonceEnds = time.Time{}, time.Time{}, "", time.Time{}
	}
	if diff := cmp.Diff(plain, signed); diff != "" {
		t.Error(diff)
	}
	tag = got.header.Get("ETag")
	r.Clock.Advance(20 * time.Minute)
	if got = ask("Accept", api.PolicyMedia, "If-None-Match", tag); got.status != 304 || len(got.body) != 0 || got.header.Get("ETag") != tag {
		t.Errorf("unchanged: %d %q", got.status, got.body)
	}
	r.enrol(t, "alice", housetest.Pair) // now something is to be renewed one day
	if got = ask("Accept", api.PolicyMedia, "If-None-Match", tag); got.status != 200 {
		t.Errorf("changed: %d", got.status)
	}
	machine = uuid.New()
	if again := ask("Accept", api.PolicyMedia, "If-None-Match", got.header.Get("ETag")); again.status != 200 {
		t.Errorf("another machine's: %d", again.status)
	}
	who := person("alice")
	who.header = http.Header{api.MachineHeader: {"laptop"}}
	if got := read[api.Policy](t, r.ask(t, who, http.MethodGet, "/policy", nil)); got.Machine != nil {
		t.Errorf("a machine of that name: %v", got.Machine)
	}
}
