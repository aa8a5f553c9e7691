package web

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/web/signin"
)

// free lets everybody in: what is measured is the way to an operation, not who goes it.
type free struct{}

func (free) Authenticate(context.Context, *http.Request) (signin.Caller, error) {
	return signin.Caller{Actor: audit.Actor{Person: uuid.New(), Method: audit.MethodPassword}}, nil
}

// The cost of everything between net/http and a room, with bodies as large as those of a pair with an RSA key, against a
// handler that only decodes and encodes.
func BenchmarkWayToARoom(b *testing.B) {
	body, out := sampleBodies(b)
	do := func(context.Context, signin.Caller, *enrolInput) (*enrolAnswer, error) {
		return &enrolAnswer{Location: "x", Body: out}, nil
	}
	for name, lenient := range map[string]bool{"lenient": true, "validated": false} {
		b.Run(name, func(b *testing.B) {
			m, err := newMetrics(nil)
			if err != nil {
				b.Fatal(err)
			}
			s := &Server{Config: Config{Limits: Limits{}.orDefaults(), Now: time.Now, Log: slog.New(slog.NewJSONHandler(io.Discard, nil))}, metrics: m,
				authenticators: []signin.Authenticator{free{}}, failures: &failureCount{metrics: m}}
			if err := s.route(); err != nil {
				b.Fatal(err)
			}
			register(s, operation{id: "bench", method: http.MethodPost, path: "/bench", who: known, lenient: lenient, status: 201, answer: out}, do)
			run(b, s.API(), body)
		})
	}
	b.Run("floor", func(b *testing.B) {
		run(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			read, err := io.ReadAll(r.Body)
			if err != nil {
				b.Error(err)
			}
			var in api.EnrolmentRequest
			if err := json.Unmarshal(read, &in); err != nil {
				b.Error(err)
			}
			if err := json.NewEncoder(w).Encode(out); err != nil {
				b.Error(err)
			}
		}), body)
	})
}

func run(b *testing.B, h http.Handler, body []byte) {
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest("POST", api.Base+"/bench", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set(api.IdempotencyHeader, "0123456789abcdef")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code/100 != 2 {
			b.Fatal(w.Code, w.Body)
		}
	}
}

func sampleBodies(b *testing.B) ([]byte, api.EnrolmentStatus) {
	random := func(n int) []byte {
		out := make([]byte, n)
		_, _ = rand.Read(out) // never fails
		return out
	}
	body, err := json.Marshal(api.EnrolmentRequest{Enrolment: "smime", SigningCSR: random(300), EncryptionCSR: random(900), EscrowedKey: random(2300)})
	if err != nil {
		b.Fatal(err)
	}
	out := exampleIssued
	c := exampleCertificate
	c.DER, c.Chain = random(1200), [][]byte{random(700), random(500)}
	out.Certificates = []api.Certificate{c, c}
	return body, out
}
