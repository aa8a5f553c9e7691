package crl

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sealpost/sealpost/crl/list"
)

// compressible bounds the lists that are compressed for those who ask, in bytes: both forms are kept in memory.
const compressible = 8 << 20

// served is a list as the server gives it out.
type served struct {
	list     *List
	segments []*list.Segment
	etag     string
	checked  time.Time // when the database last said that it is the newest; under the shelf's lock
	zipped   func() []byte
}

func newServed(l *List, segments []*list.Segment, checked time.Time) *served {
	return &served{list: l, segments: segments, etag: hex.EncodeToString(l.SHA256[:16]), checked: checked, zipped: sync.OnceValue(func() []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = io.Copy(z, l.Open()) // into memory
		_ = z.Close()
		return b.Bytes()
	})}
}

// Serve answers a request (GET or HEAD, with conditions and ranges) for an issuer's newest list of a kind, in DER. Caches may
// keep it for an hour, or half of what is left until nextUpdate if that is less. It returns an error when there is none to
// serve, and has then written nothing.
func (p *Publisher) Serve(w http.ResponseWriter, r *http.Request, issuer string, k Kind) error {
	s, err := p.shelf.get(r.Context(), issuer, k)
	if err != nil {
		return err
	}
	left := s.list.NextUpdate.Sub(p.Now())
	h := w.Header()
	h.Set("Content-Type", "application/pkix-crl") // RFC 2585
	h.Set("Cache-Control", fmt.Sprintf("public, max-age=%d, must-revalidate", int(max(0, min(time.Hour, left/2)).Seconds())))
	h.Set("Expires", s.list.NextUpdate.Format(http.TimeFormat))
	h.Set("Vary", "Accept-Encoding")
	h.Set("ETag", `"`+s.etag+`"`)
	var content io.ReadSeeker = s.list.Open()
	if s.list.Size <= compressible && wantsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		h.Set("ETag", `"`+s.etag+`-gzip"`)
		content = bytes.NewReader(s.zipped())
	}
	http.ServeContent(w, r, "", s.list.ThisUpdate, content)
	return nil
}

// wantsGzip reports whether the client takes gzip (RFC 9110, section 12.5.3). One that asks for a part of the list gets it of
// the list itself.
func wantsGzip(r *http.Request) bool {
	if r.Header.Get("Range") != "" {
		return false
	}
	for _, one := range strings.Split(r.Header.Get("Accept-Encoding"), ",") {
		coding, weight, _ := strings.Cut(strings.ReplaceAll(one, " ", ""), ";")
		if strings.EqualFold(coding, "gzip") && weight != "q=0" {
			return true
		}
	}
	return false
}
