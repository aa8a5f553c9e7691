package client_test

import (
	"net/http"
	"strings"
	"testing"
	"unicode"

	"github.com/sealpost/sealpost/client"
)

// FuzzProblem: whatever a server sends, the fault has a kind, a code that can be typed, and a detail of one printable
// line.
func FuzzProblem(f *testing.F) {
	f.Add(403, "application/problem+json", "5", []byte(`{"type":"urn:sealpost:problem:not-yours","status":403,"detail":"No."}`))
	f.Add(503, "application/problem+json; charset=utf-8", "Mon, 23 Nov 2026 08:00:00 GMT", []byte(`{"title":"Away"}`))
	f.Add(500, "text/html", "", []byte("<html>"))
	f.Add(400, "application/problem+json", "99999999999999999999", []byte(`{"type":"urn:sealpost:problem:\u001b[2J","detail":"\u0000\u202e\ud800"}`))
	f.Add(-1, "application/problem+json", "-1", []byte(`[]`))
	f.Fuzz(func(t *testing.T, status int, contentType, retryAfter string, body []byte) {
		got := client.ProblemFault(status, http.Header{"Content-Type": {contentType}, "Retry-After": {retryAfter}}, body)
		if got.Kind == "" || got.Code == "" || got.Detail == "" || got.Err == nil {
			t.Fatalf("incomplete fault %+v", got)
		}
		if strings.ContainsFunc(got.Code, func(r rune) bool { return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') }) {
			t.Errorf("code %q", got.Code)
		}
		if strings.ContainsFunc(got.Error(), func(r rune) bool { return !unicode.IsPrint(r) }) || len(got.Detail) > 4*600 {
			t.Errorf("text %q", got.Error())
		}
	})
}
