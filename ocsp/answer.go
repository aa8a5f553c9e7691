package ocsp

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/sealpost/sealpost/ca"
)

// Answer is an OCSPResponse with what caches need to know. It does not change.
type Answer struct {
	ThisUpdate time.Time // zero for an error
	NextUpdate time.Time
	Caches     bool // caches may keep it: it answers everybody who asks the same

	results []Result
	head    []byte // DER, up to the responder's certificate
	tail    []byte // the responder's certificate, which all its answers share

	known, renewAt, ends int64 // Unix seconds: when it was true; when memory signs it anew, and gives it out no more

	etag, modified, until []string // header values
	maxAge                []string
}

// DER returns the response's bytes.
func (a *Answer) DER() []byte {
	return append(append(make([]byte, 0, len(a.head)+len(a.tail)), a.head...), a.tail...)
}

// problem makes an error response (RFC 6960 §4.2.1): a status and nothing else.
func problem(r Result, status byte) *Answer {
	return &Answer{results: []Result{r}, head: []byte{0x30, 0x03, 0x0a, 0x01, status}}
}

// The error responses.
var (
	malformed     = problem(Malformed, 1)
	internalError = problem(InternalError, 2)
	tryLater      = problem(TryLater, 3)
	unauthorized  = problem(Unauthorized, 6)
)

// told is what is said of one certificate.
type told struct {
	certID
	ca.Status
}

// Object identifiers in DER.
var (
	oidBasic         = append([]byte{0x06, 0x09}, oidOCSP+string(rune(idBasic))...)
	oidNonce         = append([]byte{0x06, 0x09}, oidOCSP+string(rune(idNonce))...)
	oidArchiveCutoff = append([]byte{0x06, 0x09}, oidOCSP+"\x06"...)
	oidInvalidity    = []byte{0x06, 0x03, 0x55, 0x1d, 0x18}
)

// answer signs what is told, or returns an error response with an error for the log. known is when it was true, by the responder's clock; nonce may be nil.
func (r *Responder) answer(i *issuer, d *delegate, list []told, nonce []byte, known time.Time) (*Answer, error) {
	now := r.Now().UTC().Truncate(time.Second)
	known = known.UTC().Truncate(time.Second)
	if known.After(now) { // the clock went back
		known = now
	}
	a := &Answer{ThisUpdate: known.Add(-backdated), NextUpdate: earliest(known.Add(r.Validity), d.certificate.NotAfter, i.Certificate().NotAfter), tail: d.tail}
	if !a.NextUpdate.After(now.Add(leastLeft)) {
		return tryLater, fmt.Errorf("what is known of %s is of %s: too old to be told", i.ID(), known.Format(time.RFC3339))
	}
	var tbs cryptobyte.Builder
	a.responseData(&tbs, i, d, list, nonce, now)
	data, err := tbs.Bytes()
	if err != nil {
		return internalError, err
	}
	digest := sha256.Sum256(data)
	signature, err := d.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return internalError, err
	}
	r.counts.signed.Add(1)
	a.head = envelope(data, d.algorithm, signature, len(d.tail))
	for _, t := range list {
		a.results = append(a.results, resultOf(t.State))
	}
	// An unknown serial may be issued in a moment, and a nonce is one client's own.
	if a.Caches = nonce == nil && len(list) == 1 && list[0].State != ca.Unknown; a.Caches {
		a.cache(r, known)
	}
	return a, nil
}

// cache works out what caches are told, and until when memory keeps the answer.
func (a *Answer) cache(r *Responder, known time.Time) {
	sum := sha256.New()
	sum.Write(a.head)
	sum.Write(a.tail)
	a.etag = []string{`"` + hex.EncodeToString(sum.Sum(nil)) + `"`}
	a.modified = []string{a.ThisUpdate.Format(http.TimeFormat)}
	a.until = []string{a.NextUpdate.Format(http.TimeFormat)}
	a.maxAge = r.maxAge
	a.known, a.ends = known.Unix(), a.NextUpdate.Add(-leastLeft).Unix()
	a.renewAt = min(known.Add(r.renewAfter()).Unix(), a.ends)
}

// responseData writes the ResponseData (RFC 6960 §4.2.1).
func (a *Answer) responseData(b *cryptobyte.Builder, i *issuer, d *delegate, list []told, nonce []byte, producedAt time.Time) {
	sequence(b, func(b *cryptobyte.Builder) {
		responderID(b, d)
		b.AddASN1GeneralizedTime(producedAt)
		sequence(b, func(b *cryptobyte.Builder) {
			for _, t := range list {
				a.single(b, i, t)
			}
		})
		if nonce == nil {
			return
		}
		extensions(b, func(b *cryptobyte.Builder) {
			extension(b, oidNonce, func(b *cryptobyte.Builder) { b.AddASN1OctetString(nonce) })
		})
	})
}

func responderID(b *cryptobyte.Builder, d *delegate) {
	if d.byName {
		b.AddASN1(tagged(1), func(b *cryptobyte.Builder) { b.AddBytes(d.certificate.RawSubject) })
		return
	}
	b.AddASN1(tagged(2), func(b *cryptobyte.Builder) { b.AddASN1OctetString(d.keyHash) })
}

func (a *Answer) single(b *cryptobyte.Builder, i *issuer, t told) {
	sequence(b, func(b *cryptobyte.Builder) {
		sequence(b, func(b *cryptobyte.Builder) {
			b.AddBytes(t.issuer)
			b.AddASN1(cryptobyte_asn1.INTEGER, func(b *cryptobyte.Builder) { b.AddBytes(t.serial) })
		})
		certStatus(b, t.Status)
		b.AddASN1GeneralizedTime(a.ThisUpdate)
		b.AddASN1(tagged(0), func(b *cryptobyte.Builder) { b.AddASN1GeneralizedTime(a.NextUpdate) })
		if t.State == ca.Unknown {
			return
		}
		extensions(b, func(b *cryptobyte.Builder) {
			// Nothing that the issuer ever revoked is forgotten, also after the certificate's end (RFC 6960 §4.4.4).
			extension(b, oidArchiveCutoff, func(b *cryptobyte.Builder) { b.AddASN1GeneralizedTime(i.Certificate().NotBefore.UTC()) })
			if t.State == ca.Revoked && !t.Invalid.IsZero() { // RFC 6960 §4.4.5
				extension(b, oidInvalidity, func(b *cryptobyte.Builder) { b.AddASN1GeneralizedTime(t.Invalid.UTC()) })
			}
		})
	})
}

// certStatus writes a CertStatus. As in a list, a reason that is not specified is left out (RFC 5280 §5.3.1).
func certStatus(b *cryptobyte.Builder, s ca.Status) {
	switch s.State {
	case ca.Good:
		b.AddASN1(cryptobyte_asn1.Tag(0).ContextSpecific(), func(*cryptobyte.Builder) {})
	case ca.Revoked:
		b.AddASN1(tagged(1), func(b *cryptobyte.Builder) {
			b.AddASN1GeneralizedTime(s.At.UTC())
			if s.Reason != ca.Unspecified {
				b.AddASN1(tagged(0), func(b *cryptobyte.Builder) { b.AddASN1Enum(int64(s.Reason)) })
			}
		})
	default:
		b.AddASN1(cryptobyte_asn1.Tag(2).ContextSpecific(), func(*cryptobyte.Builder) {})
	}
}

// envelope puts a successful OCSPResponse around signed data, and leaves out the certificates, its last bytes, of which it
// says how many there are.
func envelope(data, algorithm, signature []byte, certificates int) []byte {
	bits := element(0x03, append([]byte{0}, signature...), 0)
	basic := element(0x30, concat(data, algorithm, bits), certificates)
	octets := element(0x04, basic, certificates)
	bytes := element(0x30, concat(oidBasic, octets), certificates)
	return element(0x30, concat([]byte{0x0a, 0x01, 0x00}, element(0xa0, bytes, certificates)), certificates)
}

// element returns a DER element without the last bytes of its content.
func element(tag byte, content []byte, missing int) []byte {
	n := len(content) + missing
	out := make([]byte, 0, len(content)+4)
	switch {
	case n < 0x80:
		out = append(out, tag, byte(n))
	case n < 0x100:
		out = append(out, tag, 0x81, byte(n))
	default: // what is told is bounded by maxIDs and maxRequest: 64 KiB are never reached
		out = append(out, tag, 0x82, byte(n>>8), byte(n))
	}
	return append(out, content...)
}

func concat(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func sequence(b *cryptobyte.Builder, f cryptobyte.BuilderContinuation) {
	b.AddASN1(cryptobyte_asn1.SEQUENCE, f)
}

// extensions writes Extensions under the tag [1], which they have in all parts of a response.
func extensions(b *cryptobyte.Builder, f cryptobyte.BuilderContinuation) {
	b.AddASN1(tagged(1), func(b *cryptobyte.Builder) { sequence(b, f) })
}

func extension(b *cryptobyte.Builder, oid []byte, value cryptobyte.BuilderContinuation) {
	sequence(b, func(b *cryptobyte.Builder) {
		b.AddBytes(oid)
		b.AddASN1(cryptobyte_asn1.OCTET_STRING, value)
	})
}

func earliest(times ...time.Time) time.Time {
	first := times[0].UTC()
	for _, t := range times[1:] {
		if t.Before(first) {
			first = t.UTC()
		}
	}
	return first
}
