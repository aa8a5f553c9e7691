package web_test

import (
	"github.com/sealpost/sealpost/crl"

	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/child"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/slapdtest"
	"github.com/sealpost/sealpost/web"
)

func TestAddressesThatAreNone(t *testing.T) {
	r := setup(t)
	for _, c := range []struct {
		method, path string
		status       int
		code         string
		allow        string
	}{
		{"GET", "/nothing", 404, "unknown-operation", ""},
		{"GET", "/policy/", 404, "unknown-operation", ""},
		{"GET", "//policy", 404, "unknown-operation", ""},
		{"GET", "/certificates/issuing", 404, "unknown-operation", ""},
		{"GET", "/../../etc/passwd", 404, "unknown-operation", ""},
		{"DELETE", "/policy", 405, "method-not-allowed", "GET, HEAD"},
		{"PUT", "/enrolments", 405, "method-not-allowed", "GET, HEAD, POST"},
		{"GET", "/attestations", 405, "method-not-allowed", "POST"},
		{"TRACE", "/policy", 405, "method-not-allowed", "GET, HEAD"},
		{"HACK", "/policy", 405, "method-not-allowed", "GET, HEAD"},
	} {
		got := r.ask(t, person("alice"), c.method, c.path, nil)
		if got.status != c.status || got.code(t) != c.code || got.header.Get("Allow") != c.allow {
			t.Errorf("%s %s: status %d, Allow %q, %s", c.method, c.path, got.status, got.header.Get("Allow"), got.body)
		}
	}
	for _, path := range []string{"/policy", "/health", "/issuers", "/openapi.json"} {
		get, head := r.ask(t, person("alice"), "GET", path, nil), r.ask(t, person("alice"), "HEAD", path, nil)
		if get.status != 200 || head.status != 200 || len(head.body) != 0 || head.header.Get("Content-Type") != get.header.Get("Content-Type") {
			t.Errorf("HEAD %s: status %d, %v", path, head.status, head.header)
		}
	}
}

func TestEveryAnswerHasItsHeaders(t *testing.T) {
	r := setup(t)
	for _, path := range []string{"/health", "/policy", "/nothing"} {
		h := r.ask(t, as{}, "GET", path, nil).header
		for name, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Server": "", "Access-Control-Allow-Origin": ""} {
			if h.Get(name) != want {
				t.Errorf("%s: %s: %q, want %q", path, name, h.Get(name), want)
			}
		}
		if _, err := uuid.Parse(h.Get("Request-Id")); err != nil {
			t.Errorf("%s: Request-Id %q", path, h.Get("Request-Id"))
		}
	}
}

func TestHealth(t *testing.T) {
	broken := errors.New("secret")
	r := setup(t, func(c *web.Config) {
		c.Parts = append(c.Parts, web.Part{Name: "crl", Check: func(context.Context) error { return broken }},
			web.Part{Name: "archive", Check: func(context.Context) error {
				return fault.New(fault.Unavailable, "x", "The roster is not there.").Because(broken)
			}})
	})
	got := r.ask(t, as{}, "GET", "/health", nil)
	var h api.Health
	decode(t, got.body, &h)
	if got.status != 503 || h.OK || h.Parts["database"] != "ok" || h.Parts["directory"] != "ok" || h.Parts["crl"] == "ok" || h.Parts["archive"] != "The roster is not there." || h.Server != "test" {
		t.Errorf("status %d, %s", got.status, got.body)
	}
	if strings.Contains(string(got.body), "secret") || !strings.Contains(r.Log.String(), "secret") {
		t.Error("the cause belongs into the log alone")
	}
	if got := r.get(t, "GET", "/health"); got.status != 503 || string(got.body) != "{\"ok\":false}\n" {
		t.Errorf("public: status %d, %s", got.status, got.body)
	}
}

// raw speaks HTTP/1.1 over TLS as no client library would.
func (r *rig) raw(t *testing.T) *tls.Conn {
	t.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(r.API, "https://"), &tls.Config{RootCAs: r.Roots})
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	must(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	return conn
}

func answerOf(t *testing.T, conn net.Conn) reply {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	return reply{resp.StatusCode, resp.Header, body}
}

const submitHead = "POST " + api.Base + "/enrolments HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nIdempotency-Key: 12345678\r\n" +
	"Authorization: Basic YWxpY2U6YWxpY2Utc2FtcGxl\r\n" // alice:alice-sample

func TestBodiesThatComeOddly(t *testing.T) {
	r := setup(t, func(c *web.Config) { c.Limits.Header, c.Limits.Body = time.Second, time.Second })
	chunk := "1000\r\n" + strings.Repeat("x", 0x1000) + "\r\n"
	for _, c := range []struct {
		what, send string
		status     int
		code       string
	}{
		{"10 MB announced", submitHead + "Content-Length: 10485760\r\n\r\n", 413, "request-too-large"},
		{"too much in chunks", submitHead + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat(chunk, 65), 413, "request-too-large"},
		{"nothing after the head", submitHead + "Content-Length: 1000\r\n\r\n", 408, "request-timeout"},
		{"half a body", submitHead + "Content-Length: 1000\r\n\r\n{", 408, "request-timeout"},
		{"chunks that are none", submitHead + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "request-incomplete"},
		{"nobody, with a body that does not come", strings.Replace(submitHead, "Authorization", "Nothing", 1) + "Content-Length: 1000\r\n\r\n", 401, "credentials-missing"},
	} {
		conn := r.raw(t)
		begun := time.Now()
		// The server may hang up before it has read everything.
		_, _ = io.WriteString(conn, c.send)
		got := answerOf(t, conn)
		if got.status != c.status || got.code(t) != c.code || time.Since(begun) > 5*time.Second {
			t.Errorf("%s: status %d after %v, %s", c.what, got.status, time.Since(begun), got.body)
		}
	}
	if n := r.Database.Count(t, `select count(*) from enroll.request`); n != 0 {
		t.Errorf("%d requests are stored", n)
	}
}

func TestHeadsThatAreTooMuch(t *testing.T) {
	r := setup(t, func(c *web.Config) { c.Limits.Header = 500 * time.Millisecond })
	conn := r.raw(t)
	_, _ = io.WriteString(conn, "GET /api/v1/health HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 64<<10)+"\r\n\r\n")
	if got := answerOf(t, conn); got.status != 431 {
		t.Errorf("a large head: status %d", got.status)
	}
	slow := r.raw(t)
	_, _ = io.WriteString(slow, "GET /api/v1/health HTTP/1.1\r\nHost: x\r\n")
	begun := time.Now()
	if _, err := io.ReadAll(slow); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) || time.Since(begun) > 5*time.Second {
		t.Errorf("half a head: %v after %v", err, time.Since(begun))
	}
	old, err := tls.Dial("tcp", strings.TrimPrefix(r.API, "https://"), &tls.Config{RootCAs: r.Roots, MaxVersion: tls.VersionTLS11})
	if err == nil {
		old.Close()
		t.Error("TLS 1.1 is accepted")
	}
}

// A handler that panics, or waits for ever, is one request's trouble.
func TestHandlerThatPanics(t *testing.T) {
	r := setup(t)
	web.Break(r.Server, "boom", "GET", "/boom")
	got := r.ask(t, as{}, "GET", r.API+"/boom", nil)
	if got.status != 500 || got.code(t) != "internal-error" || strings.Contains(string(got.body), "nil map") {
		t.Errorf("status %d, %s", got.status, got.body)
	}
	if log := r.Log.String(); !strings.Contains(log, "nil map") || !strings.Contains(log, got.header.Get("Request-Id")) {
		t.Errorf("the log does not say why: %s", log)
	}
	if got := r.ask(t, as{}, "GET", "/health", nil); got.status != 200 {
		t.Errorf("afterwards: status %d", got.status)
	}
}

func TestWorkThatTakesTooLong(t *testing.T) {
	entered := make(chan struct{}, 1)
	r := setup(t, func(c *web.Config) {
		c.Limits.Call, c.Limits.AtOnce = 3*time.Second, 1
		c.CRL = waiting{entered: entered}
	})
	ended := make(chan reply, 1)
	go func() { ended <- r.ask(t, as{}, "GET", "/issuers/issuing/crl", nil) }()
	<-entered
	busy := r.ask(t, as{}, "GET", "/health", nil)
	if busy.status != 503 || busy.code(t) != "server-busy" {
		t.Errorf("while another works: status %d, %s", busy.status, busy.body)
	}
	if got := <-ended; got.status != 503 || got.code(t) != "timeout" {
		t.Errorf("status %d, %s", got.status, got.body)
	}
	if got := r.ask(t, as{}, "GET", "/health", nil); got.status != 200 {
		t.Errorf("afterwards: status %d", got.status)
	}
}

// waiting says that it was entered, and waits for something that is away.
type waiting struct {
	web.Lists
	entered chan<- struct{}
}

func (w waiting) Serve(_ http.ResponseWriter, r *http.Request, _ string, _ crl.Kind) error {
	w.entered <- struct{}{}
	<-r.Context().Done()
	return fmt.Errorf("read list: %w", r.Context().Err())
}

// A server that stops finishes what it is doing.
func TestStopFinishesRequests(t *testing.T) {
	h := housetest.New(t)
	entered, leave := make(chan struct{}), make(chan struct{})
	r := &rig{House: h}
	c := web.Config{Registry: h.Enroll, Authority: h.PKI.Authority, Directory: h.Directory, Audit: h.Audit, CRL: slow{entered: entered, leave: leave}}
	r.serverCertificate(t, &c)
	var err error
	r.Server, err = web.New(c)
	must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	r.API = "https://" + l.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- r.Server.Run(ctx, web.Listeners{API: l}) }()
	got := make(chan reply)
	go func() { got <- r.ask(t, as{}, "GET", "/issuers/issuing/crl", nil) }()
	<-entered
	cancel()
	select {
	case err := <-ended:
		t.Fatalf("it ended in the middle of a request: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	close(leave)
	if a := <-got; a.status != 200 || string(a.body) != "list" {
		t.Errorf("status %d, %s", a.status, a.body)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("it still listens")
	}
}

type slow struct {
	web.Lists
	entered, leave chan struct{}
}

func (s slow) Serve(w http.ResponseWriter, _ *http.Request, _ string, _ crl.Kind) error {
	close(s.entered)
	<-s.leave
	w.Header().Set("Content-Type", "application/pkix-crl")
	_, err := io.WriteString(w, "list")
	return err
}

func TestRunSaysWhyItCannot(t *testing.T) {
	h := housetest.New(t)
	c := web.Config{Registry: h.Enroll, Authority: h.PKI.Authority, Directory: h.Directory, Audit: h.Audit, Log: slog.New(slog.DiscardHandler)}
	if _, err := web.New(c); err == nil {
		t.Error("a server without a certificate")
	}
	(&rig{}).serverCertificate(t, &c)
	s, err := web.New(c)
	must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, l.Close())
	if err := s.Run(t.Context(), web.Listeners{API: l}); err == nil {
		t.Error("it runs on a listener that is closed")
	}
}

// The directory goes away and comes back; nothing is half done in between, and what needs no directory works.
func TestDirectoryAway(t *testing.T) {
	r := setup(t)
	issued, _ := r.enrol(t, "bob", housetest.Pair)
	s, _ := r.Submission(t, r.Actor(t, "alice"), housetest.Pair)
	who := person("alice").named("laptop-0001")
	r.Slapd.Kill()
	for range 20 { // an outage is nobody's failure to log in
		if got := r.ask(t, who, "POST", "/enrolments", wire(s)); got.status != 503 || got.code(t) != "directory-unavailable" {
			t.Fatalf("away: status %d, %s", got.status, got.body)
		}
	}
	if got := r.ask(t, as{}, "GET", "/issuers", nil); got.status != 200 {
		t.Errorf("what is public: status %d", got.status)
	}
	if got := r.ask(t, as{}, "GET", "/health", nil); got.status != 503 {
		t.Errorf("health: status %d", got.status)
	}
	if n := r.Database.Count(t, `select count(*) from enroll.request where person <> $1`, issued.Person); n != 0 {
		t.Errorf("%d requests are stored", n)
	}
	must(t, r.Slapd.Restart(t.Context()))
	if got := r.ask(t, who, "POST", "/enrolments", wire(s)); got.status != 201 {
		t.Errorf("back: status %d, %s", got.status, got.body)
	}
	r.Settled(t)
}

// The same for the database, which dies without warning.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	dir, err := child.TempDir("sp-web-")
	must(t, err)
	removed(t, dir)
	cfg := pgtest.ClusterConfig{Data: dir + "/data", Sockets: dir + "/s", Durable: true}
	cluster, err := pgtest.StartCluster(t.Context(), cfg)
	must(t, err)
	t.Cleanup(func() { cluster.Stop() })
	must(t, pgtest.Migrate(t.Context(), cluster.URL("postgres")))
	r := start(t, housetest.On(t, pgtest.Database{Cluster: cluster, Name: "postgres"}, slapdtest.New(t)))
	s, _ := r.Submission(t, r.Actor(t, "alice"), housetest.Pair)
	who := person("alice").named("laptop-0001")
	cluster.Kill(syscall.SIGQUIT)
	for method, path := range map[string]string{"POST": "/enrolments", "GET": "/certificates"} {
		if got := r.ask(t, who, method, path, wire(s)); got.status != 503 || got.code(t) != "database-unavailable" {
			t.Errorf("away: %s: status %d, %s", method, got.status, got.body)
		}
	}
	cluster, err = pgtest.StartCluster(t.Context(), cfg)
	must(t, err)
	var got reply
	for begun := time.Now(); time.Since(begun) < 20*time.Second; time.Sleep(50 * time.Millisecond) {
		if got = r.ask(t, who, "POST", "/enrolments", wire(s)); got.status != 503 {
			break
		}
	}
	if got.status != 201 {
		t.Errorf("back: status %d, %s", got.status, got.body)
	}
	r.Settled(t)
}
