package web

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"slices"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/gal"
)

// The attributes by which authorities' certificates and lists are found (RFC 4387 §2.2). People are found by their mail
// address, and by what only who has their certificate or a message to them knows. By the others, whoever knows how people
// and issuers are called could ask for everybody.
var (
	authorityAttributes = []string{"certHash", "iHash", "iAndSHash", "name", "sHash", "sKIDHash"}
	personAttributes    = []string{"certHash", "iAndSHash", "sKIDHash"}
	listAttributes      = []string{"iHash", "sKIDHash"}
)

// serveStore answers /certs/search, the HTTP certificate store: one certificate as it is, several as multipart/mixed.
func (p public) serveStore(w http.ResponseWriter, r *http.Request) {
	if !reads(w, r) {
		return
	}
	q, err := parseLookup(r.URL.RawQuery)
	var found [][]byte
	if err == nil {
		found, err = p.search(r, q)
	}
	if err != nil {
		refuse(w, r, err)
		return
	}
	out, err := store(found)
	if err != nil {
		refuse(w, r, err)
		return
	}
	serveFixed(w, r, out)
}

// search returns the certificates (DER) that a question is about.
func (p public) search(r *http.Request, q lookup) ([][]byte, error) {
	if q.is("email", "uri") {
		found, err := p.find(r.Context(), r, p.Finding.Store, q.mailbox())
		return ders(found), err
	}
	if !q.is(authorityAttributes...) {
		return nil, ErrLookup.Withf("The attributes are email, uri, certHash, iHash, iAndSHash, name, sHash and sKIDHash.")
	}
	if err := q.check(); err != nil {
		return nil, err
	}
	var out [][]byte
	for _, i := range p.Authority.Issuers() {
		for _, c := range i.Chain() {
			if q.fits(c) && !slices.ContainsFunc(out, func(have []byte) bool { return bytes.Equal(have, c.Raw) }) {
				out = append(out, c.Raw)
			}
		}
	}
	switch {
	case len(out) > 0:
		return out, nil
	case !q.is(personAttributes...):
		return nil, ErrNotFound
	}
	found, err := p.findKey(r.Context(), r, p.Finding.Store, q.key())
	return ders(found), err
}

func ders(found []ca.Certificate) (out [][]byte) {
	for _, c := range found {
		out = append(out, c.DER)
	}
	return out
}

// key returns the value as a search key, after check.
func (l lookup) key() (k gal.SearchKey) {
	if b, err := base64.RawStdEncoding.DecodeString(l.value); err == nil {
		copy(k[:], b)
	}
	return k
}

// hashLength is how long the base64 of a SHA-1 hash is without padding (RFC 4387 §2.1).
const hashLength = 27

// check refuses a hash that is none.
func (l lookup) check() error {
	if l.attribute == "name" {
		return nil
	}
	if _, err := base64.RawStdEncoding.Strict().DecodeString(l.value); err != nil || len(l.value) != hashLength {
		return ErrLookup.Withf("The value of %s is a SHA-1 hash in base64, of %d letters, without padding.", l.attribute, hashLength)
	}
	return nil
}

// fits reports whether an authority's certificate is asked for.
func (l lookup) fits(c *x509.Certificate) bool {
	if l.attribute == "name" {
		return l.value == c.Subject.CommonName
	}
	keys, err := gal.SearchKeysOf(c)
	if err != nil {
		return false
	}
	switch k := l.key(); l.attribute {
	case "certHash":
		return k == keys.Certificate
	case "iHash":
		return k == sha1.Sum(c.RawIssuer)
	case "iAndSHash":
		return k == keys.Serial
	case "sHash":
		return k == sha1.Sum(c.RawSubject)
	case "sKIDHash":
		return k == keys.KeyID
	}
	return false
}

// store returns an answer with certificates. The boundary comes from them, so that the same answer has the same bytes.
func store(found [][]byte) (fixed, error) {
	if len(found) == 1 {
		return fixed{media: mediaCertificate, cache: shownCache, content: found[0]}, nil
	}
	var out bytes.Buffer
	sum := sha256.Sum256(bytes.Join(found, nil))
	w := multipart.NewWriter(&out)
	if err := w.SetBoundary(hex.EncodeToString(sum[:])); err != nil {
		return fixed{}, err
	}
	for _, der := range found {
		part, err := w.CreatePart(textproto.MIMEHeader{"Content-Type": {mediaCertificate}, "Content-Transfer-Encoding": {"binary"}})
		if err != nil {
			return fixed{}, err
		}
		if _, err := part.Write(der); err != nil {
			return fixed{}, err
		}
	}
	if err := w.Close(); err != nil {
		return fixed{}, err
	}
	return fixed{media: "multipart/mixed; boundary=" + w.Boundary(), cache: shownCache, content: out.Bytes()}, nil
}

// serveListStore answers /crls/search: the complete list of the issuer whose name or key is asked for.
func (p public) serveListStore(w http.ResponseWriter, r *http.Request) {
	if !reads(w, r) {
		return
	}
	q, err := parseLookup(r.URL.RawQuery)
	var i *ca.Issuer
	switch {
	case err != nil:
	case !q.is(listAttributes...):
		err = ErrLookup.Withf("The attributes are iHash and sKIDHash.")
	case p.CRL == nil:
		err = ErrNoCRL
	default:
		if err = q.check(); err == nil {
			i, err = p.issuerAsked(q)
		}
	}
	if err == nil {
		err = p.CRL.Serve(w, r, i.ID(), crl.Kind{})
	}
	if err != nil {
		refuse(w, r, err)
	}
}

// issuerAsked returns the issuer that a question about lists names. Of several with one name, it is the first.
func (p public) issuerAsked(q lookup) (*ca.Issuer, error) {
	if q.attribute == "iHash" { // of the list's issuer is sHash of its certificate
		q.attribute = "sHash"
	}
	for _, i := range p.Authority.Issuers() {
		if q.fits(i.Certificate()) {
			return i, nil
		}
	}
	return nil, ErrNotFound
}
