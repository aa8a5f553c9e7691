package web_test

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"io"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"slices"
	"syscall"
	"testing"
	"time"

	xocsp "golang.org/x/crypto/ocsp"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/ocsp/load"
	"github.com/sealpost/sealpost/web"
)

// BenchmarkOCSP compares OCSP over the public listener with a handler that writes the same bytes, headers too, in turns. On a
// machine that is busy with other things the ratio of CPU times says more than that of rates; both count the client.
func BenchmarkOCSP(b *testing.B) {
	r := start(b, housetest.New(b), func(c *web.Config) { c.Log = slog.New(slog.NewJSONHandler(io.Discard, nil)) })
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { r.OCSP.Run(ctx); close(done) }()
	defer func() { stop(); <-done }()
	list, err := r.PKI.Find(b.Context(), ca.Query{Limit: 1})
	must(b, err)
	leaf, err := x509.ParseCertificate(list[0].DER)
	must(b, err)
	question, err := xocsp.CreateRequest(leaf, r.PKI.Issuing, nil)
	must(b, err)
	const path = "/ocsp/issuing"
	got := r.get(b, "GET", path+"/"+url.QueryEscape(base64.StdEncoding.EncodeToString(question)))
	delete(got.header, "Date") // net/http's own
	fixed := httptest.NewServer(load.Fixed(got.body, got.header))
	defer fixed.Close()
	measure := func(u string) (perSecond, cpu float64) {
		var before, after syscall.Rusage
		must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &before))
		did, err := load.Run(b.Context(), load.Config{URL: u, Requests: [][]byte{question}, Last: 200 * time.Millisecond})
		must(b, err)
		must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &after))
		used := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
		return did.PerSecond(), float64(used) / float64(did.Answers)
	}
	var ratios, work []float64
	for range max(b.N, 5) {
		floor, least := measure(fixed.URL + path)
		rate, cpu := measure(r.Public + path)
		ratios, work = append(ratios, rate/floor), append(work, least/cpu)
	}
	slices.Sort(ratios)
	slices.Sort(work)
	b.ReportMetric(ratios[len(ratios)/2], "ratio")
	b.ReportMetric(work[len(work)/2], "CPU-ratio")
	b.ReportMetric(0, "ns/op")
}
