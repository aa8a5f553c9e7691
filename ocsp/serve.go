package ocsp

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// Values of headers, made once.
var (
	mediaType = []string{"application/ocsp-response"}
	noStore   = []string{"no-store"}
)

// ServeHTTP answers POST (the request is the body) and GET or HEAD (the request is the path value "request": base64, with
// percent signs where clients put them), RFC 6960 A.1, with the caching headers of RFC 9919. OCSP's own errors are answers
// too: their HTTP status is 200.
//
// If-Modified-Since is not heeded: a certificate can be revoked in the second in which an answer was signed.
func (r *Responder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	h := w.Header()
	if req.Method != http.MethodPost && req.Method != http.MethodGet && req.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD, POST")
		http.Error(w, "This address takes GET, HEAD, POST.", http.StatusMethodNotAllowed)
		return
	}
	a, err := r.respondTo(req)
	if err != nil {
		r.Log.Debug("OCSP request without an answer", "error", err)
	}
	h["Content-Type"] = mediaType
	if !a.Caches || req.Method == http.MethodPost {
		h["Cache-Control"] = noStore
	} else {
		h["Etag"], h["Last-Modified"], h["Expires"] = a.etag, a.modified, a.until
		h["Cache-Control"] = a.maxAge
		if left := a.ends - r.Now().Unix(); left < int64(r.MaxAge.Seconds()) {
			h["Cache-Control"] = []string{cacheControl(max(left, 0))}
		}
		if tags := req.Header["If-None-Match"]; tags != nil && names(tags, a.etag[0]) {
			delete(h, "Content-Type")
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	h["Content-Length"] = []string{strconv.Itoa(len(a.head) + len(a.tail))}
	if _, err := w.Write(a.head); err == nil && len(a.tail) > 0 {
		_, _ = w.Write(a.tail) // the client is gone: nothing to do
	}
}

// names reports whether If-None-Match names a tag (RFC 9110 §13.1.2), weakly compared.
func names(list []string, tag string) bool {
	for _, line := range list {
		for one := range strings.SplitSeq(line, ",") {
			one = strings.TrimSpace(one)
			if one == "*" || strings.TrimPrefix(one, "W/") == tag {
				return true
			}
		}
	}
	return false
}

// What is wrong with a request before it is read as such; for the log.
var (
	errTooLarge = errors.New("the request is too large")
	errEscape   = errors.New("a percent sign without two digits behind it")
)

func (r *Responder) respondTo(req *http.Request) (*Answer, error) {
	read := readPath
	if req.Method == http.MethodPost {
		read = readBody
	}
	der, err := read(req)
	if err != nil {
		r.counts.add(malformed)
		return malformed, err
	}
	return r.Respond(req.Context(), der)
}

// readBody returns the request of a POST.
func readBody(req *http.Request) ([]byte, error) {
	if n := req.ContentLength; n >= 0 {
		if n > maxRequest {
			return nil, errTooLarge
		}
		der := make([]byte, n)
		_, err := io.ReadFull(req.Body, der)
		return der, err
	}
	der, err := io.ReadAll(io.LimitReader(req.Body, maxRequest+1))
	if err == nil && len(der) > maxRequest {
		err = errTooLarge
	}
	return der, err
}

// readPath returns the request of a GET or HEAD.
func readPath(req *http.Request) ([]byte, error) { return decodePath(req.PathValue("request")) }

// decodePath reads the base64 at the end of a GET's path, in the spellings that clients have for it: with slashes, plus
// signs and equals signs escaped or not, with blanks where a plus sign was taken for one, with further slashes in front
// (a request begins with M), without padding.
func decodePath(text string) ([]byte, error) {
	if len(text) > 3*base64.StdEncoding.EncodedLen(maxRequest) {
		return nil, errTooLarge
	}
	var room [512]byte // enough for most; on the stack
	plain := room[:0]
	for n := 0; n < len(text); n++ {
		c := text[n]
		switch {
		case c == '/' && len(plain) == 0:
			continue
		case c == ' ':
			c = '+'
		case c == '%':
			high, low := hexDigit(text, n+1), hexDigit(text, n+2)
			if high < 0 || low < 0 {
				return nil, errEscape
			}
			if c = byte(high<<4 | low); c == ' ' {
				c = '+'
			}
			n += 2
		}
		plain = append(plain, c)
	}
	plain = bytes.TrimRight(plain, "=")
	if base64.RawStdEncoding.DecodedLen(len(plain)) > maxRequest {
		return nil, errTooLarge
	}
	return base64.RawStdEncoding.AppendDecode(nil, plain)
}

// hexDigit returns the value of a digit of s, or -1.
func hexDigit(s string, n int) int {
	if n >= len(s) {
		return -1
	}
	switch c := s[n]; {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	default:
		return -1
	}
}
