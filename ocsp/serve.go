package ocsp

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/crypto/ocsp"
)

// ServeHTTP answers POST (the request is the body) and GET (the request is the path value "request": base64, with
// percent signs where clients put them), RFC 6960, A.1, with the caching headers of RFC 9919. OCSP's own errors are
// answers too: their HTTP status is 200.
func (r *Responder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	der, err := read(req)
	var answer *Answer
	if err != nil {
		answer = &Answer{DER: ocsp.MalformedRequestErrorResponse}
	} else {
		answer, err = r.Respond(req.Context(), der)
	}
	if err != nil {
		r.Log.Info("OCSP request without an answer", "error", err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/ocsp-response")
	h.Set("Content-Length", fmt.Sprint(len(answer.DER)))
	if answer.ETag == "" || req.Method == http.MethodPost {
		h.Set("Cache-Control", "no-store")
	} else {
		h.Set("ETag", `"`+answer.ETag+`"`)
		h.Set("Last-Modified", answer.ThisUpdate.Format(http.TimeFormat))
		h.Set("Expires", answer.NextUpdate.Format(http.TimeFormat))
		h.Set("Cache-Control", fmt.Sprintf("max-age=%d, public, no-transform, must-revalidate", int(cacheFor.Seconds())))
	}
	_, _ = w.Write(answer.DER) // the client is gone: nothing to do
}

func read(req *http.Request) ([]byte, error) {
	if req.Method == http.MethodPost {
		der, err := io.ReadAll(io.LimitReader(req.Body, maxRequest+1))
		if err == nil && len(der) > maxRequest {
			err = errors.New("the request is too large")
		}
		return der, err
	}
	text, err := url.PathUnescape(req.PathValue("request"))
	if err != nil {
		return nil, err
	}
	// A client that did not escape its base64 may find the plus signs turned into blanks on the way.
	text = strings.TrimRight(strings.ReplaceAll(text, " ", "+"), "=")
	if len(text) > base64.RawStdEncoding.EncodedLen(maxRequest) {
		return nil, errors.New("the request is too large")
	}
	return base64.RawStdEncoding.DecodeString(text)
}
