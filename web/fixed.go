package web

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
)

// fixed is content that is what it is until it is replaced by other content: it can be cached by its hash.
type fixed struct {
	media   string
	cache   string // Cache-Control
	content []byte
}

// etag returns the strong validator of the content (RFC 9110, 8.8.3).
func etag(content []byte) string {
	sum := sha256.Sum256(content)
	return `"` + hex.EncodeToString(sum[:16]) + `"`
}

// unchanged reports whether the client has the content already (RFC 9110, 13.1.2).
func unchanged(ifNoneMatch, tag string) bool {
	for part := range strings.SplitSeq(ifNoneMatch, ",") {
		if part = strings.TrimSpace(part); part == "*" || strings.TrimPrefix(part, "W/") == tag {
			return true
		}
	}
	return false
}

// serveFixed answers GET and HEAD.
func serveFixed(w http.ResponseWriter, r *http.Request, f fixed) {
	tag := etag(f.content)
	w.Header().Set("ETag", tag)
	w.Header().Set("Cache-Control", f.cache)
	if unchanged(r.Header.Get("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", f.media)
	w.Header().Set("Content-Length", strconv.Itoa(len(f.content)))
	if r.Method != http.MethodHead {
		// The connection's end is no news to anybody but its client.
		_, _ = w.Write(f.content)
	}
}
