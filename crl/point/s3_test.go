package point_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealpost/sealpost/crl/list"
	"github.com/sealpost/sealpost/crl/point"
	"github.com/sealpost/sealpost/internal/nettest"
	"github.com/sealpost/sealpost/internal/s3test"
)

func newS3(t testing.TB, s *s3test.Server, change ...func(*point.S3Config)) *point.S3 {
	t.Helper()
	c := s3Config(s)
	for _, f := range change {
		f(&c)
	}
	p, err := point.NewS3(c)
	must(t, err)
	return p
}

func TestS3Config(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		change func(*point.S3Config)
		word   string
	}{
		"no endpoint":   {func(c *point.S3Config) { c.Endpoint = "" }, "endpoint:"},
		"a path":        {func(c *point.S3Config) { c.Endpoint = "https://s3.example.com/bucket" }, "endpoint:"},
		"another way":   {func(c *point.S3Config) { c.Endpoint = "ftp://s3.example.com" }, "endpoint:"},
		"a login":       {func(c *point.S3Config) { c.Endpoint = "https://a:b@s3.example.com" }, "endpoint:"},
		"no bucket":     {func(c *point.S3Config) { c.Bucket = "" }, "bucket:"},
		"bucket's name": {func(c *point.S3Config) { c.Bucket = "My/Bucket" }, "bucket:"},
		"prefix":        {func(c *point.S3Config) { c.Prefix = "/crl?" }, "prefix:"},
		"no key":        {func(c *point.S3Config) { c.SecretKey = "" }, "access_key:"},
		"max age":       {func(c *point.S3Config) { c.MaxAge = -1 }, "max_age"},
	} {
		config := point.S3Config{Endpoint: "https://s3.example.com", Bucket: "crl", AccessKey: "a", SecretKey: "secret-of-the-test"}
		c.change(&config)
		if _, err := point.NewS3(config); err == nil || !strings.Contains(err.Error(), c.word) || strings.Contains(err.Error(), "secret-of-the-test") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Caches and browsers are told what it is and how long it holds.
func TestS3Headers(t *testing.T) {
	t.Parallel()
	s := s3test.New(t, s3test.Config{})
	ca := newIssuer(t, "Issuing")
	address, seen := watched(t, s, nil)
	now := time.Now()
	p := newS3(t, s, func(c *point.S3Config) { c.Endpoint, c.Now = address, func() time.Time { return now } })
	ending := ca.full(t, 2)
	for f, want := range map[*point.File][2]string{
		new(ca.full(t, 1)):      {"application/pkix-crl", "public, max-age=600"},
		new(packed(t, ca.cert)): {"application/pkcs7-mime; smime-type=certs-only", "public, max-age=600"},
		new(file("issuing.cer", point.Certificate, ca.cert.Raw)): {"application/pkix-cert", "public, max-age=600"},
	} {
		must(t, p.Put(t.Context(), *f))
		put := seen.Load()
		if put.Header.Get("Content-Type") != want[0] || put.Header.Get("Cache-Control") != want[1] || put.Header.Get("If-None-Match") != "*" {
			t.Errorf("%s: %v", f.Name, put.Header)
		}
	}
	now = ending.Head.NextUpdate.Add(-time.Minute)
	late := newS3(t, s, func(c *point.S3Config) { c.Now = func() time.Time { return time.Now() } })
	must(t, late.Put(t.Context(), ending))
	get, err := http.NewRequest(http.MethodGet, s.URL()+"/"+s3test.Bucket+"/issuing.crl", nil)
	must(t, err)
	response, err := http.DefaultClient.Do(get)
	must(t, err)
	defer response.Body.Close()
	if response.StatusCode != http.StatusForbidden {
		t.Errorf("the test's bucket is open to the world: %s", response.Status)
	}
}

// watched is a proxy before the store that remembers the last PUT. spoil may answer in its place.
func watched(t testing.TB, s *s3test.Server, spoil func(http.ResponseWriter, *http.Request) bool) (string, *atomic.Pointer[http.Request]) {
	t.Helper()
	target, err := url.Parse(s.URL())
	must(t, err)
	seen := new(atomic.Pointer[http.Request])
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // it is signed
	}, ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			seen.Store(r.Clone(context.Background()))
		}
		if spoil == nil || !spoil(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(front.Close)
	return front.URL, seen
}

func TestS3IsAway(t *testing.T) {
	t.Parallel()
	s := s3test.New(t, s3test.Config{TLS: true})
	one := newIssuer(t, "Issuing").full(t, 1)
	for what, c := range map[string]struct {
		change func(*point.S3Config)
		err    error
		word   string
	}{
		"nobody there":   {func(c *point.S3Config) { c.Endpoint = "https://" + nobody(t) }, point.ErrUnreachable, "does not answer"},
		"silence":        {func(c *point.S3Config) { c.Endpoint, c.Timeout = "https://"+nettest.Silent(t), 200*time.Millisecond }, point.ErrUnreachable, "does not answer"},
		"silence, plain": {func(c *point.S3Config) { c.Endpoint, c.Timeout = "http://"+nettest.Silent(t), 200*time.Millisecond }, point.ErrUnreachable, "does not answer"},
		"wrong secret":   {func(c *point.S3Config) { c.SecretKey = "wrong" }, point.ErrRefused, "check the key"},
		"wrong key":      {func(c *point.S3Config) { c.AccessKey = "wrong" }, point.ErrRefused, "XAdminUserNotFound"},
		"no bucket":      {func(c *point.S3Config) { c.Bucket = "none" }, point.ErrRefused, "has no such bucket"},
		"another region": {func(c *point.S3Config) { c.Region = "eu-central-1" }, point.ErrRefused, ""},
		"clock":          {func(c *point.S3Config) { c.Now = func() time.Time { return time.Now().Add(-24 * time.Hour) } }, point.ErrRefused, "RequestTimeTooSkewed"},
		"a CA of others": {func(c *point.S3Config) { c.Trust = s3test.New(t, s3test.Config{TLS: true}).Trust }, point.ErrUnreachable, "not one to trust"},
	} {
		start := time.Now()
		err := newS3(t, s, c.change).Put(t.Context(), one)
		is(t, what, err, c.err)
		if err == nil || !strings.Contains(err.Error(), c.word) || strings.Contains(err.Error(), s.SecretKey) {
			t.Errorf("%s: %v", what, err)
		}
		if took := time.Since(start); took > 4*time.Second {
			t.Errorf("%s: took %s", what, took)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if err := newS3(t, s, func(c *point.S3Config) { c.Endpoint = "http://" + nettest.Silent(t) }).Put(ctx, one); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestS3BreaksOff(t *testing.T) {
	t.Parallel()
	ca := newIssuer(t, "Issuing")
	for what, strike := range map[string]func(*s3test.Server){"killed": (*s3test.Server).Kill, "frozen": (*s3test.Server).Freeze} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := s3test.New(t, s3test.Config{})
			p := newS3(t, s, func(c *point.S3Config) { c.Timeout = time.Second })
			old, next := ca.full(t, 1), ca.large(t, 2, 32<<20)
			must(t, p.Put(t.Context(), old))
			struck := make(chan struct{})
			is(t, what, p.Put(t.Context(), duringSending(next, 8<<20, func() { strike(s); close(struck) })), point.ErrUnreachable)
			<-struck
			s.Thaw()
			if what == "killed" {
				s.Restart(t)
			}
			shows(t, p, old)
			must(t, p.Put(t.Context(), next))
			shows(t, p, next)
		})
	}
}

// The answer is cut off while what is there is read: that must not pass for a list that is cut off.
func TestS3BreaksOffWhileReading(t *testing.T) {
	t.Parallel()
	s := s3test.New(t, s3test.Config{})
	ca := newIssuer(t, "Issuing")
	newer := ca.large(t, 2, 1<<20)
	must(t, newS3(t, s).Put(t.Context(), newer))
	address, _ := watched(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet {
			return false
		}
		w.Header().Set("Etag", `"x"`)
		w.Header().Set("Content-Length", "1000000")
		_, _ = io.CopyN(w, newer.Open(), 1000)
		return true
	})
	p := newS3(t, s, func(c *point.S3Config) { c.Endpoint = address })
	is(t, "cut off", p.Put(t.Context(), ca.full(t, 1)), point.ErrUnreachable)
	shows(t, newS3(t, s), newer)
}

// Between our reading and our writing somebody else writes: a newer list stays, and an older one is judged anew.
func TestS3Crossed(t *testing.T) {
	t.Parallel()
	s := s3test.New(t, s3test.Config{})
	ca := newIssuer(t, "Issuing")
	direct := newS3(t, s)
	for what, c := range map[string]struct {
		there, meanwhile int64
		err              error
	}{
		"a newer one, in an empty place": {0, 9, list.ErrNewer},
		"an older one":                   {1, 2, nil},
		"a newer one":                    {1, 9, list.ErrNewer},
	} {
		t.Run(what, func(t *testing.T) {
			f := ca.full(t, 5)
			f.Name = strings.ReplaceAll(strings.ReplaceAll(what, " ", "-"), ",", "") + ".crl"
			named := func(number int64) point.File {
				g := ca.full(t, number)
				g.Name = f.Name
				return g
			}
			if c.there > 0 {
				must(t, direct.Put(t.Context(), named(c.there)))
			}
			meanwhile := named(c.meanwhile)
			crossed := false
			address, _ := watched(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPut && !crossed {
					crossed = true
					must(t, direct.Put(t.Context(), meanwhile))
				}
				return false
			})
			p := newS3(t, s, func(p *point.S3Config) { p.Endpoint = address })
			is(t, what, p.Put(t.Context(), f), c.err)
			if c.err != nil {
				f = meanwhile
			}
			shows(t, direct, f)
		})
	}
}

// What the store says of itself in errors is told in words.
func TestS3Answers(t *testing.T) {
	t.Parallel()
	s := s3test.New(t, s3test.Config{})
	ca := newIssuer(t, "Issuing")
	for what, c := range map[string]struct {
		method string
		status int
		body   string
		err    error
		word   string
	}{
		"no conditions":            {http.MethodPut, 501, "<Error><Code>NotImplemented</Code></Error>", point.ErrRefused, "conditional writes"},
		"full":                     {http.MethodPut, 507, "", point.ErrFull, "no room left"},
		"a quota":                  {http.MethodPut, 403, "<Error><Code>AccessDenied</Code><Message>No.</Message></Error>", point.ErrRefused, "AccessDenied"},
		"always crossed":           {http.MethodPut, 412, "", point.ErrUnreachable, "changed by others"},
		"busy":                     {http.MethodPut, 503, "<Error><Code>SlowDown</Code></Error>", point.ErrUnreachable, "SlowDown"},
		"elsewhere":                {http.MethodGet, 301, "<Error><Code>PermanentRedirect</Code></Error>", point.ErrRefused, "PermanentRedirect"},
		"no word":                  {http.MethodGet, 400, strings.Repeat("x", 1<<20), point.ErrRefused, "no reason"},
		"not a code":               {http.MethodGet, 400, "<Error><Code>\u202eevil</Code></Error>", point.ErrRefused, "no reason"},
		"no version":               {http.MethodGet, 200, "x", point.ErrRefused, "ETag"},
		"a page that is not there": {http.MethodGet, 404, "<html>", point.ErrRefused, "status 404"},
		"a proxy's own words":      {http.MethodGet, 407, "<html>", point.ErrRefused, "status 407"},
	} {
		address, _ := watched(t, s, func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != c.method {
				return false
			}
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
			return true
		})
		err := newS3(t, s, func(p *point.S3Config) { p.Endpoint = address }).Put(t.Context(), ca.full(t, 1))
		is(t, what, err, c.err)
		if d := detail(err); !strings.Contains(d, c.word) || strings.ContainsAny(d, "\x1b\u202e") {
			t.Errorf("%s: %q", what, d)
		}
	}
}

func TestS3DiskFull(t *testing.T) {
	t.Parallel()
	s := s3test.New(t, s3test.Config{MaxFile: 1 << 20})
	ca := newIssuer(t, "Issuing")
	p := newS3(t, s)
	old := ca.full(t, 1)
	must(t, p.Put(t.Context(), old))
	err := p.Put(t.Context(), ca.large(t, 2, 4<<20))
	if !errors.Is(err, point.ErrUnreachable) && !errors.Is(err, point.ErrFull) && !errors.Is(err, point.ErrRefused) {
		t.Errorf("full: %v", err)
	}
	t.Log(err)
	shows(t, p, old)
	b, err := os.ReadFile(filepath.Join(s.Folder, "issuing.crl"))
	if err != nil || int64(len(b)) != old.Size {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}
