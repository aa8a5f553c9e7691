package web_test

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/web"
)

// get asks the public listener.
func (r *rig) get(t testing.TB, method, path string, header ...string) reply {
	t.Helper()
	a := as{header: http.Header{}}
	for i := 0; i+1 < len(header); i += 2 {
		a.header.Set(header[i], header[i+1])
	}
	return r.ask(t, a, method, r.Public+path, nil)
}

// What certificates name is there, for whoever asks, in the form that relying parties expect.
func TestPublicAddresses(t *testing.T) {
	r := setup(t)
	_, err := r.Lists.Build(t.Context(), "issuing", 0)
	must(t, err)
	for _, c := range []struct{ path, media string }{{"/crl/issuing.crl", "application/pkix-crl"}, {"/ca/issuing.cer", "application/pkix-cert"}, {"/crl/root.crl", "application/pkix-crl"}} {
		got := r.get(t, "GET", c.path)
		tag := got.header.Get("ETag")
		if got.status != 200 || got.header.Get("Content-Type") != c.media || tag == "" || !strings.HasPrefix(got.header.Get("Cache-Control"), "public, max-age=") || len(got.body) == 0 {
			t.Errorf("%s: status %d, %v", c.path, got.status, got.header)
		}
		if c.path == "/crl/root.crl" {
			continue // made anew for each request here
		}
		if again := r.get(t, "GET", c.path, "If-None-Match", tag); again.status != 304 || len(again.body) != 0 || again.header.Get("ETag") != tag {
			t.Errorf("%s, not modified: status %d, %v", c.path, again.status, again.header)
		}
		if other := r.get(t, "GET", c.path, "If-None-Match", `"other"`); other.status != 200 || !bytes.Equal(other.body, got.body) {
			t.Errorf("%s, modified: status %d", c.path, other.status)
		}
		if head := r.get(t, "HEAD", c.path); head.status != 200 || len(head.body) != 0 || head.header.Get("Content-Length") != got.header.Get("Content-Length") || head.header.Get("ETag") != tag {
			t.Errorf("%s, HEAD: status %d, %v", c.path, head.status, head.header)
		}
		if post := r.get(t, "POST", c.path); post.status != 405 || post.header.Get("Allow") != "GET, HEAD" || post.code(t) != "method-not-allowed" {
			t.Errorf("%s, POST: status %d, %v", c.path, post.status, post.header)
		}
	}
	if got := r.get(t, "GET", "/ca/issuing.cer"); !bytes.Equal(got.body, r.PKI.Issuing.Raw) {
		t.Error("/ca/issuing.cer is another certificate")
	}
	if got := r.get(t, "GET", "/health"); got.status != 200 || string(got.body) != "{\"ok\":true}\n" {
		t.Errorf("/health: status %d, %s", got.status, got.body)
	}
	for _, path := range []string{"/", "/crl", "/crl/", "/crl/nobody.crl", "/crl/issuing", "/crl/issuing.crl/", "/crl/../ca/issuing.cer", "//crl/issuing.crl", "/ca/issuing.crl", "/ocsp", "/ocsp/nobody",
		"/api/v1/health", "/api/v1/policy", "/metrics", "/debug/pprof/"} {
		if got := r.get(t, "GET", path); got.status != 404 {
			t.Errorf("%s: status %d, %s", path, got.status, got.body)
		}
	}
}

func TestListThatIsNotThere(t *testing.T) {
	r := setup(t)
	if got := r.get(t, "GET", "/crl/issuing.crl"); got.status != 404 || got.code(t) != "no-crl" {
		t.Errorf("status %d, %s", got.status, got.body)
	}
	none := setupIn(t, r, func(c *web.Config) { c.CRL, c.OCSP = nil, nil })
	if got := none.get(t, "GET", "/crl/issuing.crl"); got.status != 404 || got.code(t) != "no-revocation-list" {
		t.Errorf("status %d, %s", got.status, got.body)
	}
	if got := none.get(t, "GET", "/ocsp/issuing/"); got.status != 404 {
		t.Errorf("status %d, %s", got.status, got.body)
	}
}

// OCSP by openssl, over POST, and over GET with the request as it comes: escaped, and with slashes in it.
func TestOCSPOverTheListener(t *testing.T) {
	r := setup(t)
	status, _ := r.enrol(t, "alice", housetest.Pair)
	dir := newFiles(t)
	issuer, roots, leaf := dir.write("issuer.pem", pemOf(r.PKI.Issuing.Raw)), dir.write("roots.pem", pemOf(r.PKI.Root.Raw, r.PKI.Issuing.Raw)), dir.write("leaf.pem", pemOf(status.Certificates[0].DER))
	out := run(t, "openssl", "ocsp", "-issuer", issuer, "-cert", leaf, "-CAfile", roots, "-url", r.Public+"/ocsp/issuing", "-no_nonce", "-reqout", dir.path("request.der"))
	if !strings.Contains(out, "Response verify OK") || !strings.Contains(out, ": good") {
		t.Errorf("%s", out)
	}
	if got := r.ask(t, person("alice"), "POST", path(status.Certificates[0])+"/revoke", api.RevocationRequest{Reason: "keyCompromise"}); got.status != 200 {
		t.Fatalf("%s", got.body)
	}
	out = run(t, "openssl", "ocsp", "-issuer", issuer, "-cert", leaf, "-CAfile", roots, "-url", r.Public+"/ocsp/issuing/")
	if !strings.Contains(out, "Response verify OK") || !strings.Contains(out, "keyCompromise") {
		t.Errorf("%s", out)
	}
	request := base64.StdEncoding.EncodeToString(dir.read("request.der"))
	for _, spelling := range []string{request, url.PathEscape(request), url.QueryEscape(request), strings.ReplaceAll(request, "/", "%2f"), strings.TrimRight(request, "=")} {
		got := r.get(t, "GET", "/ocsp/issuing/"+spelling)
		if got.status != 200 || got.header.Get("Content-Type") != "application/ocsp-response" || !strings.HasPrefix(got.header.Get("Cache-Control"), "max-age=") {
			t.Errorf("GET %s: status %d, %v", spelling, got.status, got.header)
			continue
		}
		if out := run(t, "openssl", "ocsp", "-issuer", issuer, "-cert", leaf, "-CAfile", roots, "-respin", dir.write("answer.der", got.body)); !strings.Contains(out, "revoked") {
			t.Errorf("GET %s: %s", spelling, out)
		}
	}
	if got := string(r.ask(t, as{}, "GET", r.Meters+"/metrics", nil).body); !strings.Contains(got, `sealpost_http_requests_total{operation="public-ocsp",status="200"} 7`) {
		t.Errorf("not counted:\n%s", got)
	}
	if got := r.get(t, "PUT", "/ocsp/issuing"); got.status != 405 {
		t.Errorf("PUT: status %d", got.status)
	}
}

// Base64 has slashes in it, even two in a row; a router that cleans paths would lose one.
func TestSlashesInARequestStay(t *testing.T) {
	r := setup(t)
	seen := make(chan string, 1)
	echo := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		seen <- req.PathValue("issuer") + " " + req.PathValue("request")
	})
	other := setupIn(t, r, func(c *web.Config) { c.OCSP = echo })
	for _, request := range []string{"a//b/../c+d==", "//", "%2F%2f+%2B", "", "a/./b"} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", other.Public, nil)
		must(t, err)
		req.URL.Opaque = "//" + req.URL.Host + "/ocsp/issuing/" + request
		resp, err := http.DefaultClient.Do(req)
		must(t, err)
		must(t, resp.Body.Close())
		if got := <-seen; got != "issuing "+request {
			t.Errorf("%q arrives as %q", request, got)
		}
	}
}
