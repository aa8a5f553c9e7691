package client_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/internal/fault"
)

// dial starts a TLS server with the handler and a client for it, which change may alter.
func dial(t *testing.T, h http.HandlerFunc, change func(*client.Config)) *client.Client {
	t.Helper()
	srv := httptest.NewTLSServer(h)
	t.Cleanup(srv.Close)
	cfg := client.Config{BaseURL: srv.URL, Roots: x509.NewCertPool(), Backoff: time.Millisecond}
	cfg.Roots.AddCert(srv.Certificate())
	if change != nil {
		change(&cfg)
	}
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that hung up is what some tests are about
}

func problem(w http.ResponseWriter, p api.Problem) {
	w.Header().Set("Content-Type", "application/problem+json; charset=utf-8")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // as above
}

func TestOperationsAskForTheRightThing(t *testing.T) {
	t.Parallel()
	id := uuid.MustParse("6f1d7c1e-3f0c-4e0e-9d55-0d9a3c3f2a10")
	ctx := t.Context()
	const base = "/api/v1"
	for name, tt := range map[string]struct {
		do   func(*client.Client) error
		want string // method and request URI
		body string
	}{
		"policy": {func(c *client.Client) error { _, err := c.Policy(ctx); return err }, "GET " + base + "/policy", ""},
		"enrol": {func(c *client.Client) error {
			_, err := c.Enrol(ctx, "name-0001", api.EnrolmentRequest{Enrolment: "smime", SigningCSR: []byte{1}})
			return err
		}, "POST " + base + "/enrolments", `{"enrolment":"smime","signing_csr":"AQ=="}`},
		"enrolment": {func(c *client.Client) error { _, err := c.Enrolment(ctx, id); return err }, "GET " + base + "/enrolments/" + id.String(), ""},
		"enrolments": {func(c *client.Client) error {
			_, err := c.Enrolments(ctx, client.EnrolmentQuery{State: api.StateSubmitted, After: "a b"})
			return err
		}, "GET " + base + "/enrolments?after=a+b&state=submitted", ""},
		"endorse": {func(c *client.Client) error { _, err := c.Endorse(ctx, id, api.Decision{}); return err }, "POST " + base + "/enrolments/" + id.String() + "/endorse", `{}`},
		"reject":  {func(c *client.Client) error { _, err := c.Reject(ctx, id, api.Decision{Reason: "left"}); return err }, "POST " + base + "/enrolments/" + id.String() + "/reject", `{"reason":"left"}`},
		"token": {func(c *client.Client) error {
			_, err := c.MakeToken(ctx, api.TokenRequest{Mailbox: "alice@example.test", Hours: 2})
			return err
		}, "POST " + base + "/tokens", `{"mailbox":"alice@example.test","hours":2}`},
		"certificates": {func(c *client.Client) error {
			_, err := c.Certificates(ctx, client.CertificateQuery{Mailbox: "a&b@example.test", Person: id, State: "good"})
			return err
		}, "GET " + base + "/certificates?mailbox=a%26b%40example.test&person=" + id.String() + "&state=good", ""},
		"certificate": {func(c *client.Client) error { _, err := c.Certificate(ctx, "../x/y?z", "0a"); return err }, "GET " + base + "/certificates/..%2Fx%2Fy%3Fz/0a", ""},
		"revoke": {func(c *client.Client) error {
			_, err := c.Revoke(ctx, "mail", "0a", api.RevocationRequest{Reason: "superseded"})
			return err
		}, "POST " + base + "/certificates/mail/0a/revoke", `{"reason":"superseded"}`},
		"revoke all": {func(c *client.Client) error {
			_, err := c.RevokeAll(ctx, api.RevocationsRequest{Person: &id, RevocationRequest: api.RevocationRequest{Reason: "superseded", Note: "x"}})
			return err
		}, "POST " + base + "/revocations", `{"person":"` + id.String() + `","reason":"superseded","note":"x"}`},
		"leavers": {func(c *client.Client) error {
			_, err := c.Leavers(ctx, client.LeaverQuery{State: api.LeaverWaiting, After: "7"})
			return err
		}, "GET " + base + "/leavers?after=7&state=waiting", ""},
		"gal": {func(c *client.Client) error { _, err := c.GAL(ctx, "partners"); return err }, "GET " + base + "/gal?directory=partners", ""},
		"drift": {func(c *client.Client) error {
			_, err := c.Drift(ctx, client.DriftQuery{Kind: "stale", After: "7"})
			return err
		}, "GET " + base + "/gal/drift?after=7&kind=stale", ""},
		"contacts": {func(c *client.Client) error {
			_, err := c.Contacts(ctx, client.ContactQuery{Mailbox: "erin@partner.test", Former: true, After: "7"})
			return err
		}, "GET " + base + "/contacts?after=7&former=true&mailbox=erin%40partner.test", ""},
		"contact": {func(c *client.Client) error {
			_, err := c.Contact(ctx, id)
			return err
		}, "GET " + base + "/contacts/" + id.String(), ""},
		"add contact": {func(c *client.Client) error {
			_, err := c.AddContact(ctx, api.ContactRequest{Mailbox: "erin@partner.test", Certificate: []byte{1}, Note: "seen"})
			return err
		}, "POST " + base + "/contacts", `{"mailbox":"erin@partner.test","certificate":"AQ==","note":"seen"}`},
		"remove contact": {func(c *client.Client) error {
			_, err := c.RemoveContact(ctx, id, api.ContactRemoval{Reason: "left"})
			return err
		}, "POST " + base + "/contacts/" + id.String() + "/remove", `{"reason":"left"}`},
		"revoke leaver": {func(c *client.Client) error {
			_, err := c.RevokeLeaver(ctx, id, api.LeaverDecision{Reason: "left"})
			return err
		}, "POST " + base + "/leavers/" + id.String() + "/revoke", `{"reason":"left"}`},
		"keep leaver": {func(c *client.Client) error {
			_, err := c.KeepLeaver(ctx, id, api.LeaverDecision{Reason: "on leave"})
			return err
		}, "POST " + base + "/leavers/" + id.String() + "/keep", `{"reason":"on leave"}`},
		"issuers":  {func(c *client.Client) error { _, err := c.Issuers(ctx); return err }, "GET " + base + "/issuers", ""},
		"issuer":   {func(c *client.Client) error { _, err := c.Issuer(ctx, "mail"); return err }, "GET " + base + "/issuers/mail", ""},
		"receipts": {func(c *client.Client) error { _, err := c.Receipts(ctx, "x"); return err }, "GET " + base + "/receipts?after=x", ""},
		"receipt":  {func(c *client.Client) error { _, err := c.Receipt(ctx, id); return err }, "GET " + base + "/receipts/" + id.String(), ""},
		"proof":    {func(c *client.Client) error { _, err := c.ReceiptProof(ctx, id); return err }, "GET " + base + "/receipts/" + id.String() + "/proof", ""},
		"health":   {func(c *client.Client) error { _, err := c.Health(ctx); return err }, "GET " + base + "/health", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got, body, agent string
			c := dial(t, func(w http.ResponseWriter, r *http.Request) {
				data, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				got, body, agent = r.Method+" "+r.RequestURI, string(data), r.UserAgent()
				answer(w, http.StatusOK, struct{}{})
			}, func(cfg *client.Config) { cfg.UserAgent = "sealpost-agent/1" })
			if err := tt.do(c); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{tt.want, tt.body, "sealpost-agent/1"}, []string{got, body, agent}); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnswersAreDecoded(t *testing.T) {
	t.Parallel()
	want := api.EnrolmentStatus{
		ID: uuid.New(), Enrolment: "smime", State: api.StateIssued, SubmittedAt: time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC),
		Certificates: []api.Certificate{{Issuer: "mail", Serial: "0a", DER: []byte{0x30, 0}, Chain: [][]byte{{1}, {2}}}},
	}
	c := dial(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/issuers/mail/crl" && r.URL.Query().Get("partition") == "3" && r.URL.Query().Get("delta") == "true" {
			w.Header().Set("Content-Type", "application/pkix-crl")
			_, _ = w.Write([]byte{0x30, 0x03, 0x02, 0x01, 0x00})
			return
		}
		answer(w, http.StatusAccepted, want)
	}, nil)
	got, err := c.Enrol(t.Context(), "name-0001", api.EnrolmentRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	crl, err := c.CRL(t.Context(), "mail", client.CRLQuery{Partition: 3, Delta: true})
	if err != nil || len(crl) != 5 {
		t.Errorf("CRL = %x, %v", crl, err)
	}
}

func TestAllFollowsPages(t *testing.T) {
	t.Parallel()
	c := dial(t, func(w http.ResponseWriter, r *http.Request) {
		pages := map[string]api.Page[api.Certificate]{
			"":   {Items: []api.Certificate{{Serial: "01"}, {Serial: "02"}}, Next: "p2"},
			"p2": {Items: []api.Certificate{{Serial: "03"}}},
		}
		if r.URL.Query().Get("state") == "revoked" { // a list that bites its tail
			answer(w, http.StatusOK, api.Page[api.Certificate]{Next: "again"})
			return
		}
		answer(w, http.StatusOK, pages[r.URL.Query().Get("after")])
	}, nil)
	var serials []string
	for cert, err := range c.AllCertificates(t.Context(), client.CertificateQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		serials = append(serials, cert.Serial)
	}
	if diff := cmp.Diff([]string{"01", "02", "03"}, serials); diff != "" {
		t.Errorf("serials (-want +got):\n%s", diff)
	}
	var last error
	for _, last = range c.AllCertificates(t.Context(), client.CertificateQuery{State: "revoked"}) {
	}
	if !errors.Is(last, client.ErrAnswer) {
		t.Errorf("endless list: %v, want ErrAnswer", last)
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	leaf := clientCertificate(t)
	for name, tt := range map[string]struct {
		change func(*client.Config)
		want   string
	}{
		"none":        {func(*client.Config) {}, "  0"},
		"password":    {func(c *client.Config) { c.Login, c.Password = "alice", "s:e cret" }, "alice s:e cret 0"},
		"token":       {func(c *client.Config) { c.Token = "abc.DEF-1" }, "Bearer abc.DEF-1  0"},
		"certificate": {func(c *client.Config) { c.ClientCertificate = leaf }, "  1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got string
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				login, password, ok := r.BasicAuth()
				if !ok {
					login = r.Header.Get("Authorization")
				}
				got = login + " " + password + " " + string(rune('0'+len(r.TLS.PeerCertificates)))
				answer(w, http.StatusOK, struct{}{})
			}))
			// A server that names issuers of which the client's is none: the certificate is sent all the same.
			srv.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, ClientCAs: x509.NewCertPool()}
			srv.TLS.ClientCAs.AddCert(otherIssuer(t))
			srv.StartTLS()
			t.Cleanup(srv.Close)
			cfg := client.Config{BaseURL: srv.URL + "/api/v1/", Roots: x509.NewCertPool()}
			cfg.Roots.AddCert(srv.Certificate())
			tt.change(&cfg)
			c, err := client.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.Close)
			if _, err := c.Policy(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Errorf("server saw %q, want %q", got, tt.want)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]client.Config{
		"no address":        {},
		"plain HTTP":        {BaseURL: "http://ca.example.test"},
		"password in URL":   {BaseURL: "https://alice:pw@ca.example.test"},
		"query":             {BaseURL: "https://ca.example.test/?a=b"},
		"no host":           {BaseURL: "https:///x"},
		"not a URL":         {BaseURL: "https://[::1"},
		"two ways":          {BaseURL: "https://ca.example.test", Login: "alice", Password: "x", Token: "y"},
		"login alone":       {BaseURL: "https://ca.example.test", Login: "alice"},
		"password alone":    {BaseURL: "https://ca.example.test", Password: "x"},
		"colon in login":    {BaseURL: "https://ca.example.test", Login: "a:b", Password: "x"},
		"token over lines":  {BaseURL: "https://ca.example.test", Token: "a\nb"},
		"empty certificate": {BaseURL: "https://ca.example.test", ClientCertificate: &tls.Certificate{}},
	} {
		if _, err := client.New(cfg); !errors.Is(err, client.ErrConfig) {
			t.Errorf("%s: %v, want ErrConfig", name, err)
		}
	}
}

func TestProblemsBecomeFaults(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 2000)
	for name, tt := range map[string]struct {
		send   http.HandlerFunc
		kind   fault.Kind
		code   string
		detail string
	}{
		"malformed": {func(w http.ResponseWriter, _ *http.Request) {
			problem(w, api.Problem{Type: api.ProblemType + "csr-weak", Status: 422, Title: "Malformed", Detail: "The key has 1024 bits.", Instance: "urn:uuid:1"})
		}, fault.Malformed, "csr-weak", "The key has 1024 bits."},
		"denied":    {status(401), fault.Denied, "some-code", "Because."},
		"forbidden": {status(403), fault.Denied, "some-code", "Because."},
		"missing":   {status(404), fault.NotFound, "some-code", "Because."},
		"conflict":  {status(409), fault.Conflict, "some-code", "Because."},
		"too large": {status(413), fault.Malformed, "some-code", "Because."},
		"internal":  {status(500), fault.Unavailable, "some-code", "Because."},
		"foreign type": {func(w http.ResponseWriter, _ *http.Request) {
			problem(w, api.Problem{Type: "about:blank", Status: 400, Title: "Bad Request"})
		}, fault.Malformed, "http-400", "Bad Request"},
		"code with escapes": {func(w http.ResponseWriter, _ *http.Request) {
			problem(w, api.Problem{Type: api.ProblemType + "\x1b[2J", Status: 400, Detail: "a\x1b[31mb\nc\u202ed"})
		}, fault.Malformed, "http-400", "a[31mb cd"},
		"long detail": {func(w http.ResponseWriter, _ *http.Request) {
			problem(w, api.Problem{Type: api.ProblemType + "long", Status: 400, Detail: long})
		}, fault.Malformed, "long", long[:500] + "…"},
		"proxy's page": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(403)
			_, _ = io.WriteString(w, "<html>blocked</html>")
		}, fault.Denied, "http-403", "The server answered 403 Forbidden."},
		"not JSON": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(404)
			_, _ = io.WriteString(w, "{")
		}, fault.NotFound, "http-404", "The server answered 404 Not Found."},
		"endless": {func(w http.ResponseWriter, _ *http.Request) {
			problem(w, api.Problem{Type: api.ProblemType + "endless", Status: 400, Detail: strings.Repeat("x", client.MaxProblem)})
		}, fault.Malformed, "http-400", "The server answered 400 Bad Request."},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.example.test/", http.StatusTemporaryRedirect)
		}, fault.Denied, "redirected", "*"},
		"HTML with 200":        {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>Hello") }, fault.Unavailable, "server-answer", "*"},
		"JSON of another kind": {func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, "hello") }, fault.Unavailable, "server-answer", "*"},
		"too much": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.Copy(w, io.LimitReader(zeroes{}, client.MaxAnswer+2))
		}, fault.Unavailable, "server-answer", "*"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls := atomic.Int32{}
			c := dial(t, func(w http.ResponseWriter, r *http.Request) { calls.Add(1); tt.send(w, r) }, nil)
			_, err := c.Policy(t.Context())
			f := fault.Of(err)
			if f == nil {
				t.Fatalf("error %v is no fault", err)
			}
			if f.Kind != tt.kind || f.Code != tt.code || tt.detail != "*" && f.Detail != tt.detail {
				t.Errorf("fault = %s %s %q, want %s %s %q", f.Kind, f.Code, f.Detail, tt.kind, tt.code, tt.detail)
			}
			if n := calls.Load(); n != 1 {
				t.Errorf("asked %d times, want once", n)
			}
		})
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		problem(w, api.Problem{Type: api.ProblemType + "some-code", Status: code, Detail: "Because."})
	}
}

func TestRefusalNamesTheRequest(t *testing.T) {
	t.Parallel()
	c := dial(t, func(w http.ResponseWriter, _ *http.Request) {
		problem(w, api.Problem{Type: api.ProblemType + "x", Status: 500, Instance: "urn:uuid:7"})
	}, nil)
	_, err := c.Policy(t.Context())
	var r *client.Refusal
	if !errors.As(err, &r) || r.Instance != "urn:uuid:7" || r.Status != 500 {
		t.Errorf("cause = %+v of %v", r, err)
	}
}

func TestPatience(t *testing.T) {
	t.Parallel()
	busy := func(code int, after string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if after != "" {
				w.Header().Set("Retry-After", after)
			}
			problem(w, api.Problem{Type: api.ProblemType + "busy", Status: code})
		}
	}
	hangUp := func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }
	policy := func(c *client.Client) error { _, err := c.Policy(t.Context()); return err }
	enrol := func(c *client.Client) error {
		_, err := c.Enrol(t.Context(), "name-0001", api.EnrolmentRequest{})
		return err
	}
	revoke := func(c *client.Client) error {
		_, err := c.Revoke(t.Context(), "mail", "0a", api.RevocationRequest{})
		return err
	}
	for name, tt := range map[string]struct {
		fails int // how often the server fails before it answers
		fail  http.HandlerFunc
		do    func(*client.Client) error
		calls int32
		good  bool
	}{
		"away, then back":          {2, busy(503, ""), policy, 3, true},
		"gateway, then back":       {1, busy(502, "0"), policy, 2, true},
		"too many, then good":      {1, busy(429, "0"), enrol, 2, true},
		"connection lost":          {2, hangUp, enrol, 3, true},
		"always away":              {99, busy(503, ""), policy, 5, false},
		"revocation is asked once": {1, busy(503, ""), revoke, 1, false},
		"revocation lost":          {1, hangUp, revoke, 1, false},
		"asks for too long":        {1, busy(503, "3600"), policy, 1, false},
		"internal error":           {1, busy(500, ""), policy, 1, false},
		"asks for a date":          {1, busy(503, time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)), policy, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			c := dial(t, func(w http.ResponseWriter, r *http.Request) {
				if int(calls.Add(1)) <= tt.fails {
					tt.fail(w, r)
					return
				}
				answer(w, http.StatusOK, struct{}{})
			}, nil)
			err := tt.do(c)
			if (err == nil) != tt.good || calls.Load() != tt.calls {
				t.Errorf("%d calls, error %v; want %d calls, good %v", calls.Load(), err, tt.calls, tt.good)
			}
			if !tt.good && !errors.Is(err, fault.Unavailable) {
				t.Errorf("error %v is not Unavailable", err)
			}
		})
	}
}

func TestRetryAfterIsObeyed(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	c := dial(t, func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) == 1 {
			w.Header().Set("Retry-After", "1")
			problem(w, api.Problem{Status: 429})
			return
		}
		answer(w, 200, struct{}{})
	}, nil)
	begin := time.Now()
	if _, err := c.Policy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < time.Second {
		t.Errorf("came back after %v, asked to wait a second", took)
	}
}

func TestCallerGivesUp(t *testing.T) {
	t.Parallel()
	c := dial(t, status(503), func(cfg *client.Config) { cfg.Backoff = time.Hour })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := c.Policy(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error = %v, want the caller's deadline", err)
	}
}

func TestSlowServerIsUnreachable(t *testing.T) {
	t.Parallel()
	c := dial(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, func(cfg *client.Config) {
		cfg.Timeout, cfg.Retries = 50*time.Millisecond, -1
	})
	if _, err := c.Policy(t.Context()); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("error = %v, want ErrUnreachable", err)
	}
}

// slowSigner is a key in something that somebody has to touch first.
type slowSigner struct {
	crypto.Signer
	after time.Duration
}

func (s slowSigner) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	time.Sleep(s.after)
	return s.Signer.Sign(random, digest, opts)
}

// A person who has to touch a token or type a PIN has longer than the network: neither the limit of a call nor that of its handshake runs
// while the certificate's key signs, and both run otherwise.
func TestSignerTakesItsTime(t *testing.T) {
	t.Parallel()
	const touch, limit = 11 * time.Second, 5 * time.Second
	slow := *clientCertificate(t)
	slow.PrivateKey = slowSigner{slow.PrivateKey.(crypto.Signer), touch}
	hang := make(chan struct{})
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) != 1 {
			t.Error("no certificate came")
		}
		if strings.HasSuffix(r.URL.Path, "/policy") {
			answer(w, http.StatusOK, struct{}{})
			return
		}
		<-hang
	}))
	srv.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	t.Cleanup(func() { close(hang) })
	cfg := client.Config{BaseURL: srv.URL, Roots: x509.NewCertPool(), ClientCertificate: &slow, Timeout: limit, Retries: -1}
	cfg.Roots.AddCert(srv.Certificate())
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Policy(t.Context()); err != nil {
		t.Errorf("with a key that signs after %v: %v", touch, err)
	}
	if _, err := c.Health(t.Context()); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("a server that does not answer: %v, want ErrUnreachable", err)
	}
}

func TestUntrustedServer(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	c := dial(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) }, func(cfg *client.Config) {
		cfg.Roots = x509.NewCertPool()
		cfg.Login, cfg.Password = "alice", "secret"
	})
	_, err := c.Policy(t.Context())
	if !errors.Is(err, client.ErrNotTrusted) || calls.Load() != 0 {
		t.Errorf("error = %v after %d calls, want ErrNotTrusted and none", err, calls.Load())
	}
}

// By a clock that is far off the server's certificate is not valid: both times are said, and nothing is sent.
func TestServerCertificateTime(t *testing.T) {
	t.Parallel()
	const century = 100 * 365 * 24 * time.Hour
	for name, off := range map[string]time.Duration{"slow": -century, "fast": century} {
		now := time.Now().Add(off)
		var calls atomic.Int32
		var host string
		c := dial(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) }, func(cfg *client.Config) {
			cfg.Login, cfg.Password, cfg.Now = "alice", "secret", func() time.Time { return now }
			host = strings.TrimPrefix(cfg.BaseURL, "https://")
		})
		_, err := c.Policy(t.Context())
		if f := fault.Of(err); !errors.Is(err, client.ErrTLSTime) || !strings.Contains(f.Detail, now.UTC().Format("2006-01-02 15:04")) || !strings.Contains(f.Detail, host) || calls.Load() != 0 {
			t.Errorf("%s: %v after %d calls", name, err, calls.Load())
		}
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(status(200))
	srv.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	srv.Config.ErrorLog = nil
	srv.StartTLS()
	t.Cleanup(srv.Close)
	cfg := client.Config{BaseURL: srv.URL, Roots: x509.NewCertPool(), Retries: -1}
	cfg.Roots.AddCert(srv.Certificate())
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Policy(t.Context()); !errors.Is(err, client.ErrTLSRefused) {
		t.Errorf("TLS 1.1: %v, want ErrTLSRefused", err)
	}
}

func TestRequestsHaveALimit(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	c := dial(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) }, nil)
	_, err := c.Enrol(t.Context(), "name-0001", api.EnrolmentRequest{EscrowedKey: make([]byte, api.MaxBody)})
	if !errors.Is(err, client.ErrRequestTooLarge) || calls.Load() != 0 {
		t.Errorf("error = %v after %d calls, want ErrRequestTooLarge and none", err, calls.Load())
	}
}

func TestNamesStayInTheirPlace(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	c := dial(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) }, nil)
	for _, name := range []string{"", ".", ".."} {
		if _, err := c.Certificate(t.Context(), name, "0a"); !errors.Is(err, client.ErrName) {
			t.Errorf("issuer %q: %v, want ErrName", name, err)
		}
	}
	if calls.Load() != 0 {
		t.Error("the server was asked")
	}
}

func TestHealthOfASickServer(t *testing.T) {
	t.Parallel()
	want := api.Health{Parts: map[string]string{"database": "away"}}
	c := dial(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 503, want) }, nil)
	got, err := c.Health(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("health (-want +got):\n%s", diff)
	}
	c = dial(t, status(503), nil)
	if _, err := c.Health(t.Context()); !errors.Is(err, fault.Unavailable) || fault.Of(err).Code != "some-code" {
		t.Errorf("problem document: %v", err)
	}
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func clientCertificate(t *testing.T) *tls.Certificate {
	t.Helper()
	key, cert := selfSigned(t, "alice")
	return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

func otherIssuer(t *testing.T) *x509.Certificate {
	t.Helper()
	_, cert := selfSigned(t, "somebody else's CA")
	return cert
}

func selfSigned(t *testing.T, name string) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, cert
}
