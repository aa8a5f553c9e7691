package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/pg"
	"github.com/sealpost/sealpost/web/allowance"
	"github.com/sealpost/sealpost/web/signin"
)

// refused answers a request with err and returns the answer.
func refused(t testing.TB, err error) (*httptest.ResponseRecorder, api.Problem, *call) {
	t.Helper()
	c := &call{id: uuid.New()}
	r := httptest.NewRequestWithContext(context.WithValue(t.Context(), callKey{}, c), "GET", "/", nil)
	w := httptest.NewRecorder()
	refuse(w, r, err)
	var p api.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("%v in %q", err, w.Body)
	}
	return w, p, c
}

func TestFaultsBecomeProblems(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		status int
		code   string
		header string // one that must be there
	}{
		{enroll.ErrPair, 400, "wrong-certificate-requests", ""},
		{fmt.Errorf("signing request: %w", ca.ErrCSRMalformed.Because(errors.New("secret"))), 400, "csr-malformed", ""},
		{directory.ErrCredentials, 401, "wrong-credentials", "Www-Authenticate"},
		{enroll.ErrToken, 401, "enrolment-token", "Www-Authenticate"},
		{signin.ErrMissing, 401, "credentials-missing", "Www-Authenticate"},
		{signin.ErrCertificate, 401, "client-certificate", "Www-Authenticate"},
		{directory.ErrDisabled, 403, "person-disabled", ""},
		{enroll.ErrOwnRequest, 403, "own-request", ""},
		{enroll.ErrUnknownRequest, 404, "unknown-enrolment-request", ""},
		{ErrMethod, 405, "method-not-allowed", ""},
		{ErrBodyTimeout, 408, "request-timeout", ""},
		{enroll.ErrIdempotency, 409, "idempotency-key-reused", ""},
		{ErrBodyTooBig, 413, "request-too-large", ""},
		{ErrMediaType, 415, "media-type", ""},
		{allowance.Later{Fault: signin.ErrFailures, After: 90 * time.Second}, 429, "too-many-failures", "Retry-After"},
		{pg.ErrUnavailable.Because(errors.New("secret")), 503, "database-unavailable", "Retry-After"},
		{context.DeadlineExceeded, 503, "timeout", "Retry-After"},
		{errors.Join(enroll.ErrOwnRequest, errors.New("secret")), 403, "own-request", ""},
	} {
		w, p, _ := refused(t, c.err)
		if w.Code != c.status || p.Status != c.status || p.Type != api.ProblemType+c.code || p.Detail == "" {
			t.Errorf("%v: status %d, %+v", c.err, w.Code, p)
		}
		if c.header != "" && w.Header().Get(c.header) == "" {
			t.Errorf("%v: no %s", c.err, c.header)
		}
		if strings.Contains(w.Body.String(), "secret") {
			t.Errorf("the cause is shown: %s", w.Body)
		}
	}
	if w, _, _ := refused(t, allowance.Later{Fault: signin.ErrFailures, After: 1500 * time.Millisecond}); w.Header().Get("Retry-After") != "2" {
		t.Errorf("Retry-After %q, want 2", w.Header().Get("Retry-After"))
	}
}

// Of an error that is no fault nothing is shown, and all is logged.
func TestUnknownErrorsShowNothing(t *testing.T) {
	t.Parallel()
	for _, err := range []error{errors.New("secret"), fmt.Errorf("read: %w", http.ErrBodyNotAllowed), &fault.Error{Code: "x", Detail: "secret"}} {
		w, p, c := refused(t, err)
		if w.Code != 500 || p.Type != api.ProblemType+"internal-error" || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%v: status %d, %s", err, w.Code, w.Body)
		}
		if c.err != err || c.code != "internal-error" {
			t.Errorf("%v: the log would say %q, %v", err, c.code, c.err)
		}
	}
}

func FuzzProblem(f *testing.F) {
	f.Add("denied", "own-request", "A request must be endorsed by somebody else.", "cause")
	f.Add("", "", "", "")
	f.Add("conflict", "\"\n\x00", "\xff<script>\u2028", "x")
	f.Fuzz(func(t *testing.T, kind, code, detail, cause string) {
		err := &fault.Error{Kind: fault.Kind(kind), Code: code, Detail: detail, Err: errors.New("CAUSE" + cause)}
		w, p, _ := refused(t, err)
		if w.Code < 400 || w.Code > 599 || p.Status != w.Code || w.Header().Get("Content-Type") != mediaProblem {
			t.Errorf("status %d, %+v", w.Code, p)
		}
		if strings.Contains(w.Body.String(), "CAUSE") && !strings.Contains(code+detail, "CAUSE") {
			t.Errorf("the cause is shown: %s", w.Body)
		}
		if kind == "" && detail != "" && p.Detail == detail && detail != errInternal.Detail {
			t.Errorf("the detail of an internal error is shown: %s", w.Body)
		}
	})
}

func FuzzPreferred(f *testing.F) {
	f.Add("application/pkix-cert")
	f.Add("text/html;q=0.9, application/x-pem-file;q=0.8, */*")
	f.Fuzz(func(t *testing.T, accept string) {
		if got := preferred(accept, mediaJSON, mediaCertificate, mediaPEM); got != mediaJSON && got != mediaCertificate && got != mediaPEM {
			t.Errorf("%q yields %q", accept, got)
		}
	})
}

func TestPreferred(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]string{"": mediaJSON, "*/*": mediaJSON, "text/html": mediaJSON, "application/pkix-cert": mediaCertificate,
		"application/x-pem-file; charset=us-ascii": mediaPEM, "application/pkix-cert;q=0, application/x-pem-file": mediaPEM,
		"application/pkix-cert, application/problem+json": mediaCertificate, "application/json, application/pkix-cert": mediaJSON} {
		if got := preferred(accept, mediaJSON, mediaCertificate, mediaPEM); got != want {
			t.Errorf("Accept: %s yields %s, want %s", accept, got, want)
		}
	}
}

func TestUnchanged(t *testing.T) {
	t.Parallel()
	tag := etag([]byte("x"))
	for header, want := range map[string]bool{"": false, tag: true, `"a", ` + tag: true, "W/" + tag: true, "*": true, `"a"`: false, strings.Trim(tag, `"`): false} {
		if got := unchanged(header, tag); got != want {
			t.Errorf("If-None-Match: %s: %v, want %v", header, got, want)
		}
	}
}
