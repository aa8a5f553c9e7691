package ocsp_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	xocsp "golang.org/x/crypto/ocsp"

	"crypto/x509/pkix"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/ocsp"
)

// reply is an answer over HTTP.
type reply struct {
	*http.Response
	body []byte
}

// http sends a request as it is: Go's own client would clean the path.
func (r *rig) http(t testing.TB, method, path string, body io.Reader, header ...string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.server.URL, body)
	if err != nil {
		t.Fatal(err)
	}
	req.URL.Opaque = "//" + req.URL.Host + path
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp, b}
}

func getPath(der []byte) string { return "/" + url.QueryEscape(base64.StdEncoding.EncodeToString(der)) }

func TestGetAndPostAnswerTheSame(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.run(t)
	der := query{ids: []id{r.id(t, r.issue(t, "alice"))}}.der(t)
	post := r.http(t, "POST", "/", bytes.NewReader(der), "Content-Type", "application/ocsp-request")
	if post.StatusCode != 200 || post.Header.Get("Content-Type") != "application/ocsp-response" || post.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("POST: %d %v", post.StatusCode, post.Header)
	}
	if r.read(t, post.body).Status != xocsp.Good {
		t.Error("not good")
	}
	if chunked := r.http(t, "POST", "/", io.MultiReader(bytes.NewReader(der))); !bytes.Equal(chunked.body, post.body) {
		t.Error("POST without a length: another answer")
	}
	for what, s := range spellings(der) {
		got := r.http(t, "GET", "/"+s, nil)
		if got.StatusCode != 200 || !bytes.Equal(got.body, post.body) {
			t.Errorf("GET, %s: %d, %v, %x", what, got.StatusCode, got.Header, got.body)
		}
	}
}

// The headers of RFC 9919, and what they let caches do.
func TestHeaders(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.run(t)
	alice := r.issue(t, "alice")
	path := getPath(query{ids: []id{r.id(t, alice)}}.der(t))
	got := r.http(t, "GET", path, nil)
	resp := r.read(t, got.body)
	sum := sha256.Sum256(got.body)
	tag := `"` + hex.EncodeToString(sum[:]) + `"`
	for name, want := range map[string]string{
		"Content-Type":   "application/ocsp-response",
		"ETag":           tag,
		"Last-Modified":  resp.ThisUpdate.Format(http.TimeFormat),
		"Expires":        resp.NextUpdate.Format(http.TimeFormat),
		"Cache-Control":  "max-age=600, public, no-transform, must-revalidate",
		"Content-Length": "",
	} {
		if v := got.Header.Get(name); v != want && want != "" || v == "" {
			t.Errorf("%s: %q, want %q", name, v, want)
		}
	}
	if got.Header.Get("Date") == "" {
		t.Error("no Date")
	}
	head := r.http(t, "HEAD", path, nil)
	if head.StatusCode != 200 || len(head.body) != 0 || head.Header.Get("ETag") != tag || head.ContentLength != int64(len(got.body)) {
		t.Errorf("HEAD: %d %v %d", head.StatusCode, head.Header, len(head.body))
	}
	for match, status := range map[string]int{tag: 304, "W/" + tag: 304, `"x", ` + tag: 304, "*": 304, `"x"`: 200, "x": 200} {
		again := r.http(t, "GET", path, nil, "If-None-Match", match)
		if again.StatusCode != status || (status == 304 && (len(again.body) != 0 || again.Header.Get("ETag") != tag || again.Header.Get("Expires") == "" || again.Header.Get("Cache-Control") == "")) {
			t.Errorf("If-None-Match %s: %d %v", match, again.StatusCode, again.Header)
		}
	}
	// A certificate can be revoked in the second in which its last answer was signed.
	r.revoke(t, alice, ca.KeyCompromise)
	r.Follow(t.Context())
	since := r.http(t, "GET", path, nil, "If-Modified-Since", got.Header.Get("Last-Modified"), "If-None-Match", tag)
	if since.StatusCode != 200 || r.read(t, since.body).Status != xocsp.Revoked {
		t.Errorf("after the revocation: %d %v", since.StatusCode, since.Header)
	}
}

// What only one client can use, and what is wrong, no cache keeps; and it is said in OCSP's own words.
func TestWhatCachesMustNotKeep(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.run(t)
	alice, prepared := r.issue(t, "alice"), r.prepare(t, "bob")
	unknown := r.id(t, alice)
	unknown.Serial = prepared.Serial.Big()
	foreign := r.id(t, alice)
	foreign.Key[0] ^= 1
	long := make([]byte, ocsp.MaxRequest)
	for what, c := range map[string]struct {
		method, path string
		body         []byte
		want         []byte
	}{
		"a nonce":          {"GET", getPath(query{ids: []id{r.id(t, alice)}, extensions: []pkix.Extension{nonce(t, []byte{1, 2})}}.der(t)), nil, nil},
		"two certificates": {"GET", getPath(query{ids: []id{r.id(t, alice), r.id(t, alice)}}.der(t)), nil, nil},
		"unknown":          {"GET", getPath(query{ids: []id{unknown}}.der(t)), nil, nil},
		"unauthorized":     {"GET", getPath(query{ids: []id{foreign}}.der(t)), nil, xocsp.UnauthorizedErrorResponse},
		"nothing":          {"GET", "/", nil, xocsp.MalformedRequestErrorResponse},
		"slashes":          {"GET", "////", nil, xocsp.MalformedRequestErrorResponse},
		"no base64":        {"GET", "/MEU*", nil, xocsp.MalformedRequestErrorResponse},
		"half an escape":   {"GET", "/MEUw%2", nil, nil},
		"too long":         {"GET", getPath(long), nil, xocsp.MalformedRequestErrorResponse},
		"an empty POST":    {"POST", "/", []byte{}, xocsp.MalformedRequestErrorResponse},
		"a long POST":      {"POST", "/", append(long, 0), xocsp.MalformedRequestErrorResponse},
		"garbage":          {"POST", "/", []byte("garbage"), xocsp.MalformedRequestErrorResponse},
	} {
		if what == "half an escape" {
			continue // net/http refuses it: see TestDecodePath
		}
		var body io.Reader
		if c.body != nil {
			body = bytes.NewReader(c.body)
		}
		got := r.http(t, c.method, c.path, body)
		if got.StatusCode != 200 || got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("ETag") != "" || got.Header.Get("Expires") != "" || (c.want != nil && !bytes.Equal(got.body, c.want)) {
			t.Errorf("%s: %d %v %x", what, got.StatusCode, got.Header, got.body)
		}
	}
	for _, method := range []string{"PUT", "DELETE", "OPTIONS", "PATCH"} {
		if got := r.http(t, method, "/", nil); got.StatusCode != 405 || got.Header.Get("Allow") != "GET, HEAD, POST" {
			t.Errorf("%s: %d %v", method, got.StatusCode, got.Header)
		}
	}
	chunked := r.http(t, "POST", "/", io.MultiReader(bytes.NewReader(append(long, 0))))
	if !bytes.Equal(chunked.body, xocsp.MalformedRequestErrorResponse) {
		t.Errorf("a long POST without a length: %x", chunked.body)
	}
}

// A body that ends before its announced length is no request.
func TestBodyCutShort(t *testing.T) {
	t.Parallel()
	r := setup(t)
	c, err := net.Dial("tcp", r.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n0"); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	answer, _ := io.ReadAll(c)
	if !strings.HasSuffix(string(answer), string(xocsp.MalformedRequestErrorResponse)) {
		t.Errorf("%q", answer)
	}
	if n := r.Stats().Results[ocsp.Malformed]; n != 1 {
		t.Errorf("%d counted", n)
	}
}

// Close to its end an answer is not to be kept for longer than it is good.
func TestMaxAgeEndsWithTheAnswer(t *testing.T) {
	t.Parallel()
	r := setup(t, func(c *ocsp.Config) { c.MaxAge = 4 * time.Hour })
	r.run(t)
	alice := r.issue(t, "alice")
	path := getPath(query{ids: []id{r.id(t, alice)}}.der(t))
	if got := r.http(t, "GET", path, nil).Header.Get("Cache-Control"); !strings.HasPrefix(got, "max-age=14400,") {
		t.Error(got)
	}
	r.db.Close() // nothing new is learned
	r.jump(8*time.Hour - 10*time.Minute)
	got := r.http(t, "GET", path, nil)
	if !strings.HasPrefix(got.Header.Get("Cache-Control"), "max-age=5") || r.read(t, got.body).Status != xocsp.Good {
		t.Errorf("%v %x", got.Header, got.body)
	}
}
