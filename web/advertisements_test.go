package web_test

import (
	"crypto"
	"crypto/x509"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/gal"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/web"
)

// advertisement is what a person's program signs after a pair was issued.
func (r *rig) advertisement(t *testing.T, key crypto.Signer, st api.EnrolmentStatus) api.Advertisement {
	t.Helper()
	signing, err := x509.ParseCertificate(st.Certificates[0].DER)
	must(t, err)
	encryption, err := x509.ParseCertificate(st.Certificates[1].DER)
	must(t, err)
	value, err := cms.Advertise(key, signing, cms.AdvertiseOptions{Encryption: encryption, Chain: r.PKI.Chain(), SigningTime: r.Clock.Now()})
	must(t, err)
	return api.Advertisement{Value: value}
}

func (r *rig) advertise(t *testing.T, who as, want ...api.CertificateName) {
	t.Helper()
	if got := read[api.Policy](t, r.ask(t, who, http.MethodGet, "/policy", nil)).Advertise; !slices.Equal(got, want) {
		t.Errorf("the policy wants values for %v, not %v", got, want)
	}
}

// Each way to show who one is at an enrolment does for handing in, and nobody hands in what another signed.
func TestAdvertiseOverREST(t *testing.T) {
	r := setup(t, func(c *web.Config) {
		p, err := gal.New(gal.Config{DB: c.Registry.DB, Authority: c.Authority, Directory: c.Directory, Audit: c.Audit, Policy: gal.Policy{SMIME: gal.Equal}, Now: c.Now})
		must(t, err)
		c.GAL = p
	})
	secret := read[api.Token](t, r.ask(t, person("rita"), "POST", "/tokens", api.TokenRequest{Mailbox: "alice@example.test", Hours: 1})).Token
	s, keys := r.Submission(t, r.Actor(t, "alice"), housetest.Pair)
	st := read[api.EnrolmentStatus](t, r.ask(t, token(secret).named("first-0001"), "POST", "/enrolments", wire(s)))
	encryption := api.CertificateName{Issuer: st.Certificates[1].Issuer, Serial: st.Certificates[1].Serial}
	mine := with(keys.Signing, st.Certificates[0].DER)
	value := r.advertisement(t, keys.Signing, st)
	for path, c := range map[string]struct {
		who    as
		body   any
		status int
		code   string
	}{
		"bob":          {person("bob"), value, 403, "advertisement-refused"},
		"nobody":       {as{}, value, 401, "credentials-missing"},
		"not CMS":      {person("alice"), api.Advertisement{Value: []byte{1}}, 400, "cms-malformed"},
		"huge":         {person("alice"), api.Advertisement{Value: make([]byte, 33<<10)}, 400, "cms-too-large"},
		"very huge":    {person("alice"), api.Advertisement{Value: make([]byte, 1<<20)}, 413, "request-too-large"},
		"no value":     {person("alice"), "{}", 400, "request-invalid"},
		"another form": {person("alice"), `{"value":"AA==","more":1}`, 400, "request-invalid"},
	} {
		if got := r.ask(t, c.who, "POST", "/advertisements", c.body); got.status != c.status || got.code(t) != c.code {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	r.advertise(t, mine, encryption)
	r.advertise(t, token(secret), encryption)
	r.advertise(t, person("bob"))
	for name, who := range map[string]as{"token": token(secret), "certificate": mine, "password": person("alice")} {
		got := read[api.Advertised](t, r.ask(t, who, "POST", "/advertisements", value))
		if got.Encryption != encryption || got.Signing.Serial != st.Certificates[0].Serial || len(got.SHA256) != 64 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	r.advertise(t, mine)
	if n := r.Database.Count(t, `select count(*) from audit.event where kind = 'gal.advertised'`); n != 1 {
		t.Errorf("%d events", n)
	}
	r.Clock.Advance(time.Minute)
	if got := r.ask(t, mine, "POST", "/certificates/"+encryption.Issuer+"/"+st.Certificates[0].Serial+"/revoke", api.RevocationRequest{Reason: "superseded"}); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	r.advertise(t, person("alice"), encryption)
	if got := r.ask(t, person("alice"), "POST", "/advertisements", value); got.status != 403 || !strings.Contains(string(got.body), "revoked") {
		t.Errorf("signed with a revoked certificate: %d %s", got.status, got.body)
	}
}

// Where the policy is another, or there is no directory, nothing is wanted or taken.
func TestAdvertiseUnwanted(t *testing.T) {
	r := setup(t)
	for _, r := range []*rig{r, setupIn(t, r, func(c *web.Config) { c.GAL = nil })} {
		st, keys := r.enrol(t, "alice", housetest.Pair)
		r.advertise(t, person("alice"))
		if got := r.ask(t, person("alice"), "POST", "/advertisements", r.advertisement(t, keys.Signing, st)); got.status != 409 || got.code(t) != "advertisement-not-wanted" {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
}
