package agent_test

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/fault"
)

// What a server, or somebody in its place, tells the agent to do is followed only if the authority signed it for this person and machine, and
// nothing is lost by refusing.
func TestForgedPolicies(t *testing.T) {
	t.Parallel()
	other := newPKI(t)
	for name, c := range map[string]struct {
		change func(*api.Policy)
		signed func(w *workstation) func(api.Policy, string) string
		want   error
	}{
		"another authority's": {nil, func(w *workstation) func(api.Policy, string) string {
			return func(p api.Policy, _ string) string { return other.signPolicy(t, p, template{}) }
		}, agent.ErrPolicyTrust},
		"signed by a person's certificate":   {nil, signedAs(template{extended: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 4}}), agent.ErrPolicyTrust},
		"signed by the exchange certificate": {nil, signedAs(template{extended: api.OIDExchange}), agent.ErrPolicyTrust},
		"with a usage beside":                {nil, signedAs(template{usage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyAgreement}), agent.ErrPolicyTrust},
		"signed by an authority":             {nil, signedAs(template{change: func(c *x509.Certificate) { c.IsCA = true }}), agent.ErrPolicyTrust},
		"signed when the certificate had ended": {nil, signedAs(template{change: func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = start.AddDate(0, -1, 0), start.AddDate(0, 0, -1)
		}}), agent.ErrPolicyTrust},
		"for longer than the certificate": {func(p *api.Policy) { p.Ends = p.IssuedAt.AddDate(0, 1, 0) }, nil, agent.ErrPolicyTrust},
		"changed afterwards": {nil, func(w *workstation) func(api.Policy, string) string {
			return func(p api.Policy, _ string) string {
				parts := strings.Split(w.pki.signPolicy(t, p, template{}), ".")
				p.Old.SigningKeys = "keep"
				payload, err := json.Marshal(p)
				must(t, err)
				return parts[0] + "." + base64.RawURLEncoding.EncodeToString(payload) + "." + parts[2]
			}
		}, agent.ErrPolicyTrust},
		"not signed, and says so": {nil, func(w *workstation) func(api.Policy, string) string {
			return func(p api.Policy, _ string) string {
				payload, err := json.Marshal(p)
				must(t, err)
				return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"`+api.PolicyType+`"}`)) + "." + base64.RawURLEncoding.EncodeToString(payload) + "."
			}
		}, agent.ErrPolicyTrust},
		"a MAC under the public key": {nil, macUnderKey(t), agent.ErrPolicyTrust},
		"not JSON": {nil, func(w *workstation) func(api.Policy, string) string {
			return func(api.Policy, string) string { return "a.b.c" }
		}, agent.ErrPolicyTrust},
		"another person's":              {func(p *api.Policy) { p.Person.ID = uuid.New() }, nil, agent.ErrAnswerPerson},
		"another machine's":             {func(p *api.Policy) { m := uuid.New(); p.Machine = &m }, nil, agent.ErrPolicyTrust},
		"no machine's":                  {func(p *api.Policy) { p.Machine = nil }, nil, agent.ErrPolicyTrust},
		"ended":                         {func(p *api.Policy) { p.IssuedAt, p.Ends = start.AddDate(0, 0, 30), start.AddDate(0, 0, 38) }, nil, agent.ErrPolicyEnded},
		"older than one that was known": {func(p *api.Policy) { p.IssuedAt = p.IssuedAt.Add(-time.Hour) }, nil, agent.ErrPolicyOlder},
		"of next week":                  {func(p *api.Policy) { p.IssuedAt, p.Ends = p.IssuedAt.AddDate(0, 0, 7), p.Ends.AddDate(0, 0, 7) }, nil, agent.ErrClock},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorkstation(t)
			id, err := w.enrol(t, agent.EnrolOptions{})
			must(t, err)
			w.clock.at = start.AddDate(0, 0, 600) // due
			if _, err := w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{}); err != nil {
				t.Fatal(err)
			}
			before, err := os.ReadFile(filepath.Join(w.dir, id.Person.ID.String(), "identity.json"))
			must(t, err)
			w.clock.at = w.clock.at.Add(40 * time.Minute)
			w.change = c.change
			if c.signed != nil {
				w.signed = c.signed(w)
			}
			for _, force := range []bool{false, true} {
				_, err := w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{Force: force})
				if !errors.Is(err, c.want) {
					t.Errorf("force %v: %v, want %v", force, err, c.want)
				}
			}
			after, err := os.ReadFile(filepath.Join(w.dir, id.Person.ID.String(), "identity.json"))
			if err != nil || string(after) != string(before) {
				t.Errorf("the identity changed: %v", err)
			}
			w.change, w.signed = nil, nil
			if r, err := w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{Force: true}); err != nil || !r.Renewed {
				t.Errorf("afterwards: %+v, %v", r, err)
			}
		})
	}
}

func signedAs(c template) func(*workstation) func(api.Policy, string) string {
	return func(w *workstation) func(api.Policy, string) string {
		return func(p api.Policy, _ string) string { return w.pki.signPolicy(w.t, p, c) }
	}
}

// macUnderKey makes a MAC with what everybody knows as its key, and calls the algorithm by its name.
func macUnderKey(t *testing.T) func(w *workstation) func(api.Policy, string) string {
	return func(w *workstation) func(api.Policy, string) string {
		return func(p api.Policy, _ string) string {
			payload, err := json.Marshal(p)
			must(t, err)
			key := ecKey(t)
			leaf := w.pki.issue(t, template{name: "Policy", now: p.IssuedAt, usage: x509.KeyUsageDigitalSignature, extended: api.OIDPolicy}, key.Public())
			public, err := x509.MarshalPKIXPublicKey(key.Public())
			must(t, err)
			signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: public}, (&jose.SignerOptions{}).WithType(api.PolicyType).
				WithHeader("x5c", []string{base64.StdEncoding.EncodeToString(leaf), base64.StdEncoding.EncodeToString(w.pki.issuing.Raw)}))
			must(t, err)
			signed, err := signer.Sign(payload)
			must(t, err)
			out, err := signed.CompactSerialize()
			must(t, err)
			return out
		}
	}
}

// What was said once is good until it ends, and is asked for with the validator of what is there.
func TestKeptPolicy(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	w.tag = `"one"`
	_, err := w.enrol(t, agent.EnrolOptions{})
	must(t, err)
	turn := start.AddDate(0, 0, 5)
	w.shift = func(d *api.Due) { d.RenewAt = turn }
	w.tag = `"two"`
	w.clock.at = start.Add(time.Hour)
	r, err := w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{})
	if err != nil || r.Renewed || !r.Due.Equal(turn) {
		t.Fatalf("%+v, %v; want to renew at %v", r, err, turn)
	}
	w.shift = func(d *api.Due) { t.Error("a policy was made for somebody who has it") }
	w.clock.at = start.Add(2 * time.Hour)
	if r, err = w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{}); err != nil || r.Renewed || !r.Due.Equal(turn) {
		t.Errorf("unchanged: %+v, %v", r, err)
	}
	w.shift = nil
	w.away = true
	w.clock.at = turn.Add(-time.Minute)
	if r, err = w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{}); err != nil || r.Renewed || !r.Due.Equal(turn) {
		t.Errorf("the server is away: %+v, %v", r, err)
	}
	w.clock.at = turn
	if _, err = w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{}); !errors.Is(err, fault.Unavailable) {
		t.Errorf("due while the server is away: %v", err)
	}
}

// A revoked certificate is no dead end where there is a login, and a clear word where there is none.
func TestRevokedIsRenewed(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	id, err := w.enrol(t, agent.EnrolOptions{})
	must(t, err)
	for _, req := range w.requests {
		for i := range req.status.Certificates {
			req.status.Certificates[i].Status = "revoked"
		}
	}
	w.clock.at = start.Add(time.Hour)
	if _, err := w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{}); !errors.Is(err, agent.ErrRevoked) || !strings.Contains(fault.Of(err).Detail, "enroll") {
		t.Errorf("without a login: %v", err)
	}
	r, err := w.agent(t, asAlice).Renew(t.Context(), agent.RenewOptions{})
	if err != nil || !r.Renewed || r.Identity.Signing().Serial == id.Signing().Serial {
		t.Errorf("with a login: %+v, %v", r, err)
	}
	if r.Identity.Pairs[1].Encryption.Key.IsZero() {
		t.Error("the old encryption key is gone")
	}
	if r, err = w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{}); err != nil || r.Renewed {
		t.Errorf("again: %+v, %v", r, err)
	}
}

// What is done with old signing keys and certificates is the server's to say.
func TestOldOnes(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{false, true} {
		w := newWorkstation(t)
		w.change = func(p *api.Policy) {
			p.Old = api.OldKeys{SigningKeys: "forget", EncryptionKeys: "keep", RevokeAfterDays: 10}
			if keep {
				p.Old.SigningKeys = "keep"
			}
		}
		id, err := w.enrol(t, agent.EnrolOptions{})
		must(t, err)
		old := id.Signing().Serial
		w.clock.at = start.AddDate(0, 0, 600)
		r, err := w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{})
		if err != nil || !r.Renewed {
			t.Fatalf("%+v, %v", r, err)
		}
		if got := !r.Identity.Pairs[1].Signing.Key.IsZero(); got != keep {
			t.Errorf("keep %v: the old signing key is kept: %v", keep, got)
		}
		if r.Identity.Pairs[1].Encryption.Key.IsZero() {
			t.Error("the old encryption key is gone")
		}
		w.clock.at = w.clock.at.AddDate(0, 0, 9)
		_, err = w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{})
		must(t, err)
		if len(w.revoked) != 0 {
			t.Errorf("revoked too early: %v", w.revoked)
		}
		w.clock.at = w.clock.at.AddDate(0, 0, 2)
		for range 2 {
			_, err = w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{})
			must(t, err)
		}
		if len(w.revoked) != 1 || w.revoked[0] != old {
			t.Errorf("revoked %v, want %s", w.revoked, old)
		}
	}
}

// By a wrong clock nothing is taken for ended, and nothing is asked for: the person is told of it.
func TestWrongClock(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		off  time.Duration // of the machine's clock
		want string
	}{
		"a day ahead": {day, "1 day ahead of"}, "a day behind": {-day, "1 day behind"},
		"a year ahead": {365 * day, "1 year ahead of"}, "a year behind": {-365 * day, "1 year behind"},
		"three years ahead": {3 * 365 * day, "3 years ahead of"}, // the certificate has ended by this clock
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorkstation(t)
			id, err := w.enrol(t, agent.EnrolOptions{})
			must(t, err)
			w.off, w.clock.at = -c.off, start.Add(c.off)
			for _, opt := range []agent.RenewOptions{{}, {Force: true}} {
				_, err := w.agent(t, byCertificate).Renew(t.Context(), opt)
				if !errors.Is(err, agent.ErrClock) || !strings.Contains(fault.Of(err).Detail, c.want) {
					t.Errorf("renew: %v, want %q", err, c.want)
				}
			}
			if _, err := w.enrol(t, agent.EnrolOptions{Again: true}); !errors.Is(err, agent.ErrClock) {
				t.Errorf("enrol: %v", err)
			}
			w.off, w.clock.at = 0, start.Add(time.Hour)
			r, err := w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{})
			if err != nil || r.Renewed || r.Identity.Signing().Serial != id.Signing().Serial {
				t.Errorf("with the clock set right: %+v, %v", r, err)
			}
		})
	}
}

// FuzzReadPolicy reads what claims to be a signed policy.
func FuzzReadPolicy(f *testing.F) {
	f.Add("")
	f.Add("a.b.c")
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","typ":"`+api.PolicyType+`","x5c":["AAAA"]}`)) + ".e30.AAAA")
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"`+api.PolicyType+`","crit":["b64"],"b64":false}`)) + ".e30.")
	f.Fuzz(func(t *testing.T, signed string) {
		if _, err := agent.ReadPolicy(signed, x509.NewCertPool()); !errors.Is(err, agent.ErrPolicyTrust) {
			t.Errorf("%v", err)
		}
	})
}
