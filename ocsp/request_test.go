package ocsp_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"net/url"
	"strings"
	"testing"

	xocsp "golang.org/x/crypto/ocsp"

	"github.com/sealpost/sealpost/ocsp"
)

// authority is enough of an issuer to be asked about.
func authority() *x509.Certificate {
	return &x509.Certificate{RawSubject: []byte("\x30\x00"), RawSubjectPublicKeyInfo: []byte("\x30\x0d\x30\x07\x06\x05\x2b\x81\x04\x00\x22\x03\x02\x00\x04")}
}

// requests are samples, with what is to become of them: whether they can be read, and how many certificates they ask for.
func requests(t testing.TB) map[string]struct {
	der []byte
	ids int // 0: cannot be read
} {
	t.Helper()
	one := idOf(t, crypto.SHA1, authority(), big.NewInt(0x1234567890))
	two := idOf(t, crypto.SHA256, authority(), big.NewInt(0x0f))
	plain := query{ids: []id{one}}
	with := func(change func(*query)) []byte {
		q := plain
		change(&q)
		return q.der(t)
	}
	extension := func(n int, critical bool) pkix.Extension {
		return pkix.Extension{Id: oid(n), Critical: critical, Value: []byte{0x30, 0x00}}
	}
	signature := marshal(t, struct {
		Algorithm pkix.AlgorithmIdentifier
		Bits      asn1.BitString
		Chain     []asn1.RawValue `asn1:"explicit,tag:0,optional"`
	}{one.Hash, asn1.BitString{Bytes: []byte{1}, BitLength: 8}, []asn1.RawValue{{FullBytes: []byte{0x30, 0x00}}}})
	base := plain.der(t)
	long := bytes.Clone(base) // one length in more octets than it needs
	long = append([]byte{0x30, 0x81}, long[1:]...)
	negative := one
	negative.Serial = big.NewInt(-5)
	many := make([]pkix.Extension, 17)
	for n := range many {
		many[n] = pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3, n}, Value: []byte{}}
	}
	return map[string]struct {
		der []byte
		ids int
	}{
		"plain":                        {base, 1},
		"two":                          {query{ids: []id{one, two}}.der(t), 2},
		"negative serial":              {query{ids: []id{negative}}.der(t), 1},
		"version 1 written out":        {with(func(q *query) { q.version = []byte{2, 1, 0} }), 1},
		"version 2":                    {with(func(q *query) { q.version = []byte{2, 1, 1} }), 0},
		"version that is no number":    {with(func(q *query) { q.version = []byte{4, 1, 0} }), 0},
		"requestor":                    {with(func(q *query) { q.requestor = []byte{0x82, 1, 'x'} }), 1},
		"requestor: a directory name":  {with(func(q *query) { q.requestor = []byte{0xa4, 2, 0x30, 0} }), 1},
		"requestor: two names":         {with(func(q *query) { q.requestor = []byte{0x82, 1, 'x', 0x82, 1, 'y'} }), 0},
		"signed":                       {with(func(q *query) { q.signature = signature }), 1},
		"signed by something else":     {with(func(q *query) { q.signature = []byte{0x30, 0x00} }), 0},
		"signed twice":                 {with(func(q *query) { q.signature = append(bytes.Clone(signature), signature...) }), 0},
		"nonce":                        {with(func(q *query) { q.extensions = []pkix.Extension{nonce(t, make([]byte, 32))} }), 1},
		"critical nonce":               {with(func(q *query) { e := nonce(t, []byte{1}); e.Critical = true; q.extensions = []pkix.Extension{e} }), 1},
		"response types":               {with(func(q *query) { q.extensions = []pkix.Extension{extension(4, true)} }), 1},
		"preferred algorithms":         {with(func(q *query) { q.extensions = []pkix.Extension{extension(8, true)} }), 1},
		"unknown extension":            {with(func(q *query) { q.extensions = []pkix.Extension{extension(99, false)} }), 1},
		"unknown critical extension":   {with(func(q *query) { q.extensions = []pkix.Extension{extension(99, true)} }), 0},
		"too many extensions":          {with(func(q *query) { q.extensions = many }), 0},
		"no extension in extensions":   {with(func(q *query) { q.extensions = []pkix.Extension{} }), 0},
		"service locator":              {with(func(q *query) { q.single = []pkix.Extension{extension(7, true)} }), 1},
		"unknown single extension":     {with(func(q *query) { q.single = []pkix.Extension{extension(99, false)} }), 1},
		"unknown critical single one":  {with(func(q *query) { q.single = []pkix.Extension{extension(99, true)} }), 0},
		"nothing asked":                {with(func(q *query) { q.list = []byte{0x30, 0x00} }), 0},
		"no list":                      {with(func(q *query) { q.list = []byte{0x31, 0x00} }), 0},
		"an empty question":            {with(func(q *query) { q.list = []byte{0x30, 0x02, 0x30, 0x00} }), 0},
		"trailing bytes":               {append(bytes.Clone(base), 0), 0},
		"cut short":                    {base[:len(base)-1], 0},
		"a length in too many octets":  {long, 0},
		"nothing":                      {nil, 0},
		"garbage":                      {[]byte("garbage"), 0},
		"an empty sequence":            {[]byte{0x30, 0x00}, 0},
		"two empty sequences":          {[]byte{0x30, 0x02, 0x30, 0x00}, 0},
		"too large":                    {make([]byte, ocsp.MaxRequest+1), 0},
		"a serial of no octets":        {bytes.Replace(base, []byte{2, 5, 0x12, 0x34, 0x56, 0x78, 0x90}, []byte{2, 0, 0x04, 0x03, 1, 2, 3}, 1), 0},
		"a serial with a leading zero": {bytes.Replace(base, []byte{2, 5, 0x12, 0x34, 0x56, 0x78, 0x90}, []byte{2, 5, 0x00, 0x34, 0x56, 0x78, 0x90}, 1), 0},
		"no hash algorithm":            {bytes.Replace(base, []byte{6, 5, 0x2b, 0x0e, 3, 2, 0x1a}, []byte{4, 5, 0x2b, 0x0e, 3, 2, 0x1a}, 1), 0},
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for what, c := range requests(t) {
		ids, _, _, err := ocsp.Parse(c.der)
		if (err == nil) != (c.ids > 0) || ids != c.ids {
			t.Errorf("%s: %d certificates, %v", what, ids, err)
		}
		checkAgainstOracle(t, c.der)
	}
}

// checkAgainstOracle compares what is read of a request with what x/crypto/ocsp reads of it. That one is less strict in some
// places and cannot read names of requestors; where both read it, they must read the same.
func checkAgainstOracle(t testing.TB, der []byte) {
	t.Helper()
	ids, serial, nonce, err := ocsp.Parse(der)
	if err != nil {
		return
	}
	if ids == 0 || len(serial) == 0 || len(nonce) > 128 || (nonce != nil && len(nonce) == 0) {
		t.Errorf("read %d certificates, serial %x, nonce %x from %x", ids, serial, nonce, der)
	}
	want, err := xocsp.ParseRequest(der)
	if err != nil {
		return
	}
	got := new(big.Int)
	if _, err := asn1.Unmarshal(append([]byte{0x02, byte(len(serial))}, serial...), &got); len(serial) < 0x80 && (err != nil || got.Cmp(want.SerialNumber) != 0) {
		t.Errorf("read serial %x, want %x (%v)", serial, want.SerialNumber, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range requests(f) {
		f.Add(c.der)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		before := bytes.Clone(der)
		checkAgainstOracle(t, der)
		// What is read from one request cannot be read from it with something behind.
		if _, _, _, err := ocsp.Parse(der); err != nil {
			return
		}
		if _, _, _, err := ocsp.Parse(append(bytes.Clone(der), 0)); err == nil {
			t.Errorf("trailing bytes were read: %x", der)
		}
		if !bytes.Equal(der, before) {
			t.Error("the request was changed")
		}
	})
}

// x/crypto/ocsp accepts what we accept, of requests as RFC 9919 has them, and the other way round.
func FuzzPlainRequest(f *testing.F) {
	f.Add([]byte{0x12, 0x34}, true)
	f.Add([]byte{0x80}, false)
	f.Fuzz(func(t *testing.T, serial []byte, short bool) {
		if len(serial) == 0 || len(serial) > 100 {
			return
		}
		h := crypto.SHA256
		if short {
			h = crypto.SHA1
		}
		der := query{ids: []id{idOf(t, h, authority(), new(big.Int).SetBytes(serial))}}.der(t)
		if _, err := xocsp.ParseRequest(der); err != nil {
			t.Fatal(err)
		}
		if ids, _, _, err := ocsp.Parse(der); err != nil || ids != 1 {
			t.Errorf("%x: %v", der, err)
		}
	})
}

// spellings are ways in which clients write the same GET.
func spellings(der []byte) map[string]string {
	text := base64.StdEncoding.EncodeToString(der)
	return map[string]string{
		"as it is":             text,
		"path escaped":         url.PathEscape(text),
		"query escaped":        url.QueryEscape(text),
		"all escaped":          escapeAll(text),
		"slashes escaped":      strings.ReplaceAll(text, "/", "%2f"),
		"plus signs as blanks": strings.ReplaceAll(text, "+", "%20"),
		"without padding":      strings.TrimRight(text, "="),
		"a slash in front":     "/" + text,
		"two slashes in front": "//" + url.QueryEscape(text),
		"with line ends":       strings.ReplaceAll(text[:20]+"\n"+text[20:], "\n", "%0A"),
	}
}

func escapeAll(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		b.WriteString("%" + strings.ToUpper(string("0123456789abcdef"[c>>4])+string("0123456789abcdef"[c&15])))
	}
	return b.String()
}

func TestDecodePath(t *testing.T) {
	t.Parallel()
	// Serials whose base64 has slashes, two in a row, plus signs.
	for _, serial := range []string{"123456", "ffffffffffffffffffff", "fbefbefbefbefbefbefbef", "3fffffcfffffc3ffff"} {
		n, _ := new(big.Int).SetString(serial, 16)
		der := query{ids: []id{idOf(t, crypto.SHA1, authority(), n)}}.der(t)
		for what, s := range spellings(der) {
			if got, err := ocsp.DecodePath(s); err != nil || !bytes.Equal(got, der) {
				t.Errorf("%s: %s: %x, %v", what, s, got, err)
			}
		}
	}
	for what, s := range map[string]string{"half an escape": "MEUw%2", "no base64": "MEUw*", "too long": strings.Repeat("M", 4*ocsp.MaxRequest), "far too long": strings.Repeat("%4D", 4*ocsp.MaxRequest)} {
		if got, err := ocsp.DecodePath(s); err == nil {
			t.Errorf("%s: %x", what, got)
		}
	}
}

func FuzzDecodePath(f *testing.F) {
	for _, c := range requests(f) {
		if len(c.der) < 200 {
			f.Add(base64.StdEncoding.EncodeToString(c.der))
			f.Add(url.QueryEscape(base64.StdEncoding.EncodeToString(c.der)))
		}
	}
	f.Add("%%%")
	f.Fuzz(func(t *testing.T, s string) {
		der, err := ocsp.DecodePath(s)
		if err != nil {
			return
		}
		if len(der) > ocsp.MaxRequest {
			t.Errorf("%d bytes", len(der))
		}
		if again, err := ocsp.DecodePath(escapeAll(base64.StdEncoding.EncodeToString(der))); err != nil || !bytes.Equal(again, der) {
			t.Errorf("%x, escaped and read again, is %x (%v)", der, again, err)
		}
	})
}
