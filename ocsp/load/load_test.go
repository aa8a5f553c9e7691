package load_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/sealpost/sealpost/ocsp/load"
)

func TestRun(t *testing.T) {
	t.Parallel()
	var seen []string
	fixed := load.Fixed([]byte("answer"), http.Header{"Etag": {"x"}})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(seen) < 2 {
			seen = append(seen, r.Method+" "+r.URL.EscapedPath())
		}
		fixed.ServeHTTP(w, r)
	}))
	defer s.Close()
	c := load.Config{URL: s.URL + "/ocsp/x", Requests: [][]byte{{0xff, 0xff, 0xff}}, Clients: 1, Last: 50 * time.Millisecond, Want: []byte("answer")}
	r, err := load.Run(t.Context(), c)
	if err != nil || r.Answers == 0 || r.PerSecond() <= 0 || r.P99 < r.P50 || r.Took < c.Last {
		t.Errorf("%+v, %v", r, err)
	}
	if seen[0] != "GET /ocsp/x/%2F%2F%2F%2F" {
		t.Errorf("asked %q", seen)
	}
	c.Post = true
	if _, err := load.Run(t.Context(), c); err != nil {
		t.Error(err)
	}
	c.Want = []byte("another")
	if _, err := load.Run(t.Context(), c); err == nil {
		t.Error("a wrong answer was counted")
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	teapot := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	defer teapot.Close()
	chunked := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() }))
	defer chunked.Close()
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer hanging.Close()
	request := [][]byte{{1}}
	for what, c := range map[string]load.Config{
		"no URL": {Requests: request}, "https": {URL: "https://127.0.0.1/", Requests: request}, "nothing to ask": {URL: teapot.URL},
		"nobody there": {URL: "http://127.0.0.1:1/", Requests: request}, "another status": {URL: teapot.URL, Requests: request},
		"no length": {URL: chunked.URL, Requests: request}, "a server that hangs": {URL: hanging.URL, Requests: request},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		c.Last = time.Second
		if _, err := load.Run(ctx, c); err == nil {
			t.Errorf("%s: no error", what)
		}
		cancel()
	}
}
