package ocsp_test

import (
	"bytes"
	"crypto/x509/pkix"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sealpost/sealpost/ocsp/load"
)

// BenchmarkRespond is what an answer costs without HTTP: from memory, and signed for one client.
func BenchmarkRespond(b *testing.B) {
	r := setup(b)
	r.run(b)
	alice := r.issue(b, "alice")
	for name, q := range map[string]query{"kept": {ids: []id{r.id(b, alice)}}, "nonce": {ids: []id{r.id(b, alice)}, extensions: []pkix.Extension{nonce(b, make([]byte, 32))}}} {
		der := q.der(b)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Respond(b.Context(), der); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("read and signed", func(b *testing.B) {
		der := query{ids: []id{r.id(b, alice)}}.der(b)
		for b.Loop() {
			r.Forget()
			if _, err := r.Respond(b.Context(), der); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkOverHTTP compares the responder with a handler that writes the same bytes, headers too, in turns, each for a fifth of a second:
// the medians, and the median of the ratios. The aim is 0.9.
func BenchmarkOverHTTP(b *testing.B) {
	r := setup(b)
	r.run(b)
	var requests [][]byte
	for i := range 50 {
		requests = append(requests, query{ids: []id{r.id(b, r.issue(b, fmt.Sprint("person", i)))}}.der(b))
	}
	a, err := r.Respond(b.Context(), requests[0])
	if err != nil {
		b.Fatal(err)
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		req.SetPathValue("request", strings.TrimPrefix(req.RequestURI, "/"))
		r.ServeHTTP(w, req)
	})
	responder := httptest.NewServer(handler)
	defer responder.Close()
	header := map[bool]http.Header{false: r.http(b, "GET", getPath(requests[0]), nil).Header, true: r.http(b, "POST", "/", bytes.NewReader(requests[0])).Header}
	for _, post := range []bool{false, true} {
		delete(header[post], "Date") // net/http's own
		fixed := httptest.NewServer(load.Fixed(a.DER(), header[post]))
		defer fixed.Close()
		for _, clients := range []int{1, 8, 32} {
			b.Run(fmt.Sprintf("%s/%d", map[bool]string{false: "GET", true: "POST"}[post], clients), func(b *testing.B) {
				var rates, floors, ratios, work []float64
				measure := func(url string) (perSecond, cpu float64) {
					before := cpuTime(b)
					got, err := load.Run(b.Context(), load.Config{URL: url, Requests: requests, Post: post, Clients: clients, Last: 200 * time.Millisecond})
					if err != nil {
						b.Fatal(err)
					}
					return got.PerSecond(), float64(cpuTime(b)-before) / float64(got.Answers)
				}
				for range max(b.N, 5) {
					floor, least := measure(fixed.URL + "/")
					rate, cpu := measure(responder.URL + "/")
					floors, rates, ratios, work = append(floors, floor), append(rates, rate), append(ratios, rate/floor), append(work, least/cpu)
				}
				b.ReportMetric(median(rates), "answers/s")
				b.ReportMetric(median(floors), "floor/s")
				b.ReportMetric(median(ratios), "ratio")
				b.ReportMetric(median(work), "CPU-ratio")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// cpuTime is what the process has used, clients included: on a machine that is busy with other things it says more than time.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}
