package web_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/fleet"
	"github.com/sealpost/sealpost/gal"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/slapdtest"
	"github.com/sealpost/sealpost/ocsp"
	"github.com/sealpost/sealpost/web"
)

// rig is a server on real rooms, that listens on real ports.
type rig struct {
	*housetest.House
	Server *web.Server
	API    string // https://127.0.0.1:port
	Public string // http://127.0.0.1:port
	Meters string
	Roots  *x509.CertPool
	CAFile string // the same in PEM
	Log    *buffer
	Lists  *crl.Publisher
	OCSP   *ocsp.Responder
	Fleet  *fleet.Fleet
}

// buffer is what was logged.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func setup(t testing.TB, change ...func(*web.Config)) *rig {
	t.Helper()
	if p, ok := t.(*testing.T); ok {
		p.Parallel()
	}
	return start(t, housetest.New(t), change...)
}

// setupIn starts another server on the rooms of the first.
func setupIn(t testing.TB, r *rig, change ...func(*web.Config)) *rig {
	t.Helper()
	return start(t, r.House, change...)
}

func start(t testing.TB, h *housetest.House, change ...func(*web.Config)) *rig {
	t.Helper()
	r := &rig{House: h, Log: new(buffer)}
	var err error
	r.Lists, err = crl.New(crl.Config{DB: r.DB, Authority: r.PKI.Authority, Jobs: r.PKI.Jobs, Schedule: crl.Schedule{Period: time.Hour, Lifetime: 24 * time.Hour}, Now: r.Clock.Now})
	must(t, err)
	r.OCSP, err = ocsp.New(ocsp.Config{Authority: r.PKI.Authority, Now: r.Clock.Now})
	must(t, err)
	directory, err := gal.New(gal.Config{DB: r.DB, Authority: r.PKI.Authority, Directory: r.Directory, Audit: r.Audit, Searchable: true, Now: r.Clock.Now})
	must(t, err)
	r.Fleet, err = fleet.New(fleet.Config{DB: r.DB, Audit: r.Audit, Now: r.Clock.Now})
	must(t, err)
	c := web.Config{GAL: directory, Fleet: r.Fleet, Registry: r.Enroll, Authority: r.PKI.Authority, Archive: r.Archive, Recovery: r.Recovery, Board: archive.NewBoard(archive.BoardConfig{DB: r.DB, Now: r.Clock.Now}), Directory: r.Directory, Audit: r.Audit, CRL: r.Lists, OCSP: r.OCSP,
		Publications: []web.Publication{{Path: "/crl/root.crl", MediaType: "application/pkix-crl", Read: func() ([]byte, error) { return r.PKI.RootCRL(t, r.Clock.Now()), nil }}},
		Parts:        []web.Part{{Name: "database", Check: r.DB.Ping}, {Name: "directory", Check: r.Directory.Ping}},
		Now:          r.Clock.Now, Log: slog.New(slog.NewJSONHandler(r.Log, &slog.HandlerOptions{Level: slog.LevelDebug})), Version: "test"}
	r.serverCertificate(t, &c)
	for _, f := range change {
		f(&c)
	}
	r.Server, err = web.New(c)
	must(t, err)
	r.serve(t)
	return r
}

// serverCertificate makes a certificate for 127.0.0.1 that clients trust.
func (r *rig) serverCertificate(t testing.TB, c *web.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "127.0.0.1"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	leaf, err := x509.ParseCertificate(der)
	must(t, err)
	r.Roots = x509.NewCertPool()
	r.Roots.AddCert(leaf)
	r.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(r.CAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	c.Certificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
	}
}

func (r *rig) serve(t testing.TB) {
	t.Helper()
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		return l
	}
	l := web.Listeners{API: listen(), Public: listen(), Metrics: listen()}
	r.API, r.Public, r.Meters = "https://"+l.API.Addr().String(), "http://"+l.Public.Addr().String(), "http://"+l.Metrics.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Server.Run(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

// as is how a request says who is asking.
type as struct {
	login, password string
	token           string
	certificate     *tls.Certificate
	header          http.Header
}

func person(login string) as { return as{login: login, password: slapdtest.Password(login)} }
func token(t string) as      { return as{token: t} }

// with is a client certificate.
func with(key crypto.PrivateKey, der ...[]byte) as {
	return as{certificate: &tls.Certificate{Certificate: der, PrivateKey: key}}
}

// reply is an answer, read whole.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// ask sends a request and reads the answer. A body that is not a []byte or a string is sent as JSON.
func (r *rig) ask(t testing.TB, who as, method, path string, body any) reply {
	t.Helper()
	client := r.client(who)
	defer client.CloseIdleConnections()
	return r.askWith(t, client, who, method, path, body)
}

func (r *rig) client(who as) *http.Client {
	c := &tls.Config{RootCAs: r.Roots}
	if who.certificate != nil {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return who.certificate, nil }
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: c, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 64, DisableCompression: true}, Timeout: 30 * time.Second}
}

func (r *rig) askWith(t testing.TB, client *http.Client, who as, method, path string, body any) reply {
	t.Helper()
	var content io.Reader
	switch b := body.(type) {
	case nil:
	case []byte:
		content = bytes.NewReader(b)
	case string:
		content = strings.NewReader(b)
	default:
		encoded, err := json.Marshal(b)
		must(t, err)
		content = bytes.NewReader(encoded)
	}
	if strings.HasPrefix(path, "/") {
		path = r.API + api.Base + path
	}
	req, err := http.NewRequestWithContext(t.Context(), method, path, content)
	must(t, err)
	if content != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, values := range who.header {
		req.Header[name] = values
	}
	switch {
	case who.token != "":
		req.Header.Set("Authorization", "Bearer "+who.token)
	case who.login != "":
		req.SetBasicAuth(who.login, who.password)
	}
	resp, err := client.Do(req)
	must(t, err)
	defer resp.Body.Close()
	read, err := io.ReadAll(resp.Body)
	must(t, err)
	if strings.HasPrefix(path, r.API) {
		if err := r.Server.CheckAnswer(method, req.URL.EscapedPath(), resp.StatusCode, resp.Header.Get("Content-Type"), read); err != nil {
			t.Errorf("%s %s: %v", method, path, err)
		}
	}
	return reply{resp.StatusCode, resp.Header, read}
}

// code returns the code of a problem document, after checking that it is one.
func (r reply) code(t testing.TB) string {
	t.Helper()
	var p api.Problem
	if err := json.Unmarshal(r.body, &p); err != nil {
		t.Errorf("status %d: no problem document: %v\n%s", r.status, err, r.body)
		return ""
	}
	code, ok := strings.CutPrefix(p.Type, api.ProblemType)
	if !ok || p.Status != r.status || p.Title == "" || p.Detail == "" || p.Instance != "urn:uuid:"+r.header.Get("Request-Id") ||
		r.header.Get("Content-Type") != "application/problem+json" || r.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("status %d: the problem document is not whole: %+v, header %v", r.status, p, r.header)
	}
	if (r.status == http.StatusServiceUnavailable || r.status == http.StatusTooManyRequests) && r.header.Get("Retry-After") == "" {
		t.Errorf("status %d without Retry-After", r.status)
	}
	if ways := r.header.Values("WWW-Authenticate"); r.status == http.StatusUnauthorized && len(ways) != 2 && !(len(ways) == 3 && ways[0] == "Negotiate") {
		t.Errorf("status 401 with WWW-Authenticate %q", ways)
	}
	return code
}

// read decodes an answer that must be good.
func read[T any](t testing.TB, r reply) T {
	t.Helper()
	var out T
	if r.status/100 != 2 {
		t.Fatalf("status %d: %s", r.status, r.body)
	}
	d := json.NewDecoder(bytes.NewReader(r.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&out); err != nil {
		t.Fatalf("%v in %s", err, r.body)
	}
	return out
}

// wire is a submission as a client sends it.
func wire(s enroll.Submission) api.EnrolmentRequest {
	return api.EnrolmentRequest{Enrolment: s.Enrolment, SigningCSR: s.SigningCSR, EncryptionCSR: s.EncryptionCSR, EscrowedKey: s.EscrowedKey}
}

// named adds an idempotency key.
func (a as) named(key string) as {
	a.header = http.Header{api.IdempotencyHeader: {key}}
	return a
}

// enrol makes a pair for a person of the sample company.
func (r *rig) enrol(t testing.TB, login, plan string) (api.EnrolmentStatus, housetest.Keys) {
	t.Helper()
	s, keys := r.Submission(t, r.Actor(t, login), plan)
	return read[api.EnrolmentStatus](t, r.ask(t, person(login).named(uuid.NewString()), "POST", "/enrolments", wire(s))), keys
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func decode(t testing.TB, body []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(body, v); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
}

// removed removes a folder when the test ends, after what was registered later.
func removed(t testing.TB, dir string) {
	t.Helper()
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
}
