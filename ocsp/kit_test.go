package ocsp_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"
	xocsp "golang.org/x/crypto/ocsp"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/pg"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/ocsp"
)

func TestMain(m *testing.M) {
	ocsp.ShareSlowKeys()
	pgtest.Main(m)
}

// rig is a responder on an authority of its own.
type rig struct {
	*pkitest.PKI
	*ocsp.Responder
	database pgtest.Database
	db       *pg.DB
	offset   *atomic.Int64 // of the clock
	server   *httptest.Server
}

func setup(t testing.TB, change ...func(*ocsp.Config)) *rig {
	t.Helper()
	r := &rig{database: pgtest.NewDatabase(t), offset: new(atomic.Int64)}
	r.db = pgtest.Open(t, r.database)
	queue, err := jobs.New(jobs.Config{DB: r.db})
	if err != nil {
		t.Fatal(err)
	}
	r.PKI = &pkitest.PKI{Hierarchy: pkitest.NewHierarchy(t, time.Now().Add(-72*time.Hour)), Jobs: queue} // clocks go back
	r.serve(t, change...)
	return r
}

func (r *rig) now() time.Time { return time.Now().Add(time.Duration(r.offset.Load())) }

// jump changes the clock.
func (r *rig) jump(d time.Duration) { r.offset.Add(int64(d)) }

// serve makes authority and responder, where the certificates will say that it is.
func (r *rig) serve(t testing.TB, change ...func(*ocsp.Config)) {
	t.Helper()
	// As the public listener does: paths as they are.
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		req.SetPathValue("request", strings.TrimPrefix(req.URL.EscapedPath(), "/"))
		r.ServeHTTP(w, req)
	}))
	t.Cleanup(r.server.Close)
	config := r.Hierarchy.Config()
	config.DB, config.Jobs, config.Now, config.Issuers[0].OCSP = r.db, r.Jobs, r.now, r.server.URL+"/"
	var err error
	if r.Authority, err = ca.New(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	c := ocsp.Config{Authority: r.Authority, Now: r.now}
	for _, f := range change {
		f(&c)
	}
	if r.Responder, err = ocsp.New(c); err != nil {
		t.Fatal(err)
	}
}

// another is a second server on the same database: a pool, an authority and a responder of its own.
func (r *rig) another(t testing.TB) *rig {
	t.Helper()
	o := &rig{database: r.database, db: pgtest.Open(t, r.database), offset: new(atomic.Int64),
		PKI: &pkitest.PKI{Hierarchy: r.Hierarchy, Jobs: r.Jobs}}
	o.serve(t)
	return o
}

// run lets the responder run until the test ends, and returns when it follows.
func (r *rig) run(t testing.TB) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { r.Run(ctx); close(done) }()
	t.Cleanup(func() { stop(); <-done })
	for r.Stats().Seen[pkitest.IssuerID].IsZero() || !r.HasPlain() || !r.Warmed() {
		time.Sleep(time.Millisecond)
	}
}

func (r *rig) revoke(t testing.TB, c ca.Certificate, reason ca.Reason) {
	t.Helper()
	if err := r.Revoke(t.Context(), pkitest.Actor(), ca.Revocation{Issuer: c.Issuer, Serial: c.Serial, Reason: reason}); err != nil {
		t.Fatal(err)
	}
}

// issue issues somebody a signing certificate.
func (r *rig) issue(t testing.TB, who string) ca.Certificate {
	t.Helper()
	return r.Issue(t, pkitest.NewPerson(who).Request(ca.SMIMESigning, pkitest.NewKey(t, ca.P256).Public()))[0]
}

func (r *rig) id(t testing.TB, c ca.Certificate) id {
	return idOf(t, crypto.SHA1, r.Issuing, c.Serial.Big())
}

// respond asks, without HTTP, and wants a signed answer.
func (r *rig) respond(t testing.TB, q query) *xocsp.Response {
	t.Helper()
	a, err := r.Respond(t.Context(), q.der(t))
	if err != nil {
		t.Fatal(err)
	}
	return r.read(t, a.DER())
}

func (r *rig) read(t testing.TB, der []byte) *xocsp.Response {
	t.Helper()
	resp, err := xocsp.ParseResponse(der, r.Issuing)
	if err != nil {
		t.Fatalf("%v: %x", err, der)
	}
	return resp
}

// status asks about one certificate as most do.
func (r *rig) status(t testing.TB, c ca.Certificate) int {
	t.Helper()
	return r.respond(t, query{ids: []id{r.id(t, c)}}).Status
}

// --- requests, written by hand: x/crypto/ocsp writes only the plainest --------------------------------------------------

// id is a CertID.
type id struct {
	Hash      pkix.AlgorithmIdentifier
	Name, Key []byte
	Serial    *big.Int
}

var hashes = map[crypto.Hash]asn1.ObjectIdentifier{crypto.SHA1: {1, 3, 14, 3, 2, 26}, crypto.SHA256: {2, 16, 840, 1, 101, 3, 4, 2, 1},
	crypto.SHA384: {2, 16, 840, 1, 101, 3, 4, 2, 2}}

func idOf(t testing.TB, h crypto.Hash, issuer *x509.Certificate, serial *big.Int) id {
	t.Helper()
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(issuer.RawSubjectPublicKeyInfo, &spki); err != nil {
		t.Fatal(err)
	}
	name, key := h.New(), h.New()
	name.Write(issuer.RawSubject)
	key.Write(spki.Key.Bytes)
	return id{pkix.AlgorithmIdentifier{Algorithm: hashes[h], Parameters: asn1.NullRawValue}, name.Sum(nil), key.Sum(nil), serial}
}

// query is a request; what is left zero is not in it.
type query struct {
	ids        []id
	single     []pkix.Extension // of each
	extensions []pkix.Extension
	version    []byte // DER
	requestor  []byte // DER
	signature  []byte // DER
	list       []byte // instead of ids
}

func (q query) der(t testing.TB) []byte {
	t.Helper()
	var b cryptobyte.Builder
	explicit := func(b *cryptobyte.Builder, n uint8, der []byte) {
		if der != nil {
			b.AddASN1(cryptobyte_asn1.Tag(n).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddBytes(der) })
		}
	}
	b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			explicit(b, 0, q.version)
			explicit(b, 1, q.requestor)
			if q.list != nil {
				b.AddBytes(q.list)
			} else {
				b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
					for _, one := range q.ids {
						b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
							b.AddBytes(marshal(t, one))
							explicit(b, 0, marshalExtensions(t, q.single))
						})
					}
				})
			}
			explicit(b, 2, marshalExtensions(t, q.extensions))
		})
		explicit(b, 0, q.signature)
	})
	der, err := b.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	der, err := asn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func marshalExtensions(t testing.TB, list []pkix.Extension) []byte {
	if list == nil {
		return nil
	}
	return marshal(t, list)
}

// oid is an identifier below id-pkix-ocsp.
func oid(n int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, n} }

func nonce(t testing.TB, value []byte) pkix.Extension {
	return pkix.Extension{Id: oid(2), Value: marshal(t, value)}
}

// --- responses -----------------------------------------------------------------------------------------------------------

// basic is a BasicOCSPResponse with what x/crypto/ocsp does not tell.
type basic struct {
	TBS struct {
		Raw        asn1.RawContent
		Responder  asn1.RawValue
		ProducedAt time.Time `asn1:"generalized"`
		Responses  []struct {
			ID         id
			Status     asn1.RawValue
			ThisUpdate time.Time        `asn1:"generalized"`
			NextUpdate time.Time        `asn1:"generalized,explicit,tag:0"`
			Extensions []pkix.Extension `asn1:"explicit,tag:1,optional"`
		}
		Extensions []pkix.Extension `asn1:"explicit,tag:1,optional"`
	}
	Algorithm    pkix.AlgorithmIdentifier
	Signature    asn1.BitString
	Certificates []asn1.RawValue `asn1:"explicit,tag:0"`
}

func readBasic(t testing.TB, der []byte) basic {
	t.Helper()
	var outer struct {
		Status asn1.Enumerated
		Bytes  struct {
			Type asn1.ObjectIdentifier
			DER  []byte
		} `asn1:"explicit,tag:0"`
	}
	var b basic
	rest, err := asn1.Unmarshal(der, &outer)
	if err != nil || len(rest) > 0 || outer.Status != 0 || !outer.Bytes.Type.Equal(oid(1)) {
		t.Fatalf("no successful response: %v, %x", err, der)
	}
	if rest, err = asn1.Unmarshal(outer.Bytes.DER, &b); err != nil || len(rest) > 0 {
		t.Fatalf("no basic response: %v, %x", err, outer.Bytes.DER)
	}
	return b
}

func find(list []pkix.Extension, o asn1.ObjectIdentifier) []byte {
	for _, e := range list {
		if e.Id.Equal(o) {
			return e.Value
		}
	}
	return nil
}

// --- files ---------------------------------------------------------------------------------------------------------------

func write(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// exec changes the database as its owner.
func (r *rig) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), r.database.AdminURL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}
