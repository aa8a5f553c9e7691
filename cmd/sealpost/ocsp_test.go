package main

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/e2etest"
)

// A server follows what is revoked, has both certificates of its OCSP responder, and tells monitoring what it answered.
func TestOCSPIsRunning(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	metrics, public := freeAddress(t), freeAddress(t)
	i.edit(t, map[string]any{"listen.metrics": metrics, "listen.public": public, "ocsp.max_age": "1m", "ocsp.keep": 100})
	r := i.serve(t)
	resp, err := http.Post("http://"+public+"/ocsp/issuing", "application/ocsp-request", bytes.NewReader([]byte("garbage")))
	must(t, err)
	must(t, resp.Body.Close())
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/ocsp-response" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	if n := gauge(t, metrics, `sealpost_ocsp_answers_total{result="malformed"}`); n != 1 {
		t.Errorf("%v malformed requests counted", n)
	}
	e2etest.Eventually(t, func() error {
		begun := time.Now().Add(-10 * time.Second)
		if seen := gauge(t, metrics, `sealpost_ocsp_revocations_seen_timestamp_seconds{issuer="issuing"}`); seen < float64(begun.Unix()) {
			return fmt.Errorf("revocations were seen at %v", seen)
		}
		return nil
	})
	if end := gauge(t, metrics, `sealpost_ocsp_certificate_end_timestamp_seconds{issuer="issuing"}`); end < float64(time.Now().Add(20*24*time.Hour).Unix()) {
		t.Errorf("the responder's certificate ends at %v", end)
	}
	r.stop(t)
}
