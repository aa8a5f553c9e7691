package foreign

import (
	"bytes"
	"crypto/x509"
	"slices"

	"github.com/sealpost/sealpost/api"
)

// pool are certificates that lie about, to be found for keys that come without, and for chains.
type pool struct {
	byKey  map[string][]*x509.Certificate // SubjectPublicKeyInfo; no authorities'
	issuer map[string][]*x509.Certificate // by subject
}

func newPool() *pool {
	return &pool{map[string][]*x509.Certificate{}, map[string][]*x509.Certificate{}}
}

func (p *pool) add(certs ...*x509.Certificate) {
	for _, c := range certs {
		into, key := p.byKey, string(c.RawSubjectPublicKeyInfo)
		if isAuthority(c) {
			into, key = p.issuer, string(c.RawSubject)
		}
		if !slices.ContainsFunc(into[key], c.Equal) {
			into[key] = append(into[key], c)
		}
	}
}

// isAuthority reports whether a certificate is an issuer's. Roots of X.509 version 1 do not say so.
func isAuthority(c *x509.Certificate) bool {
	return c.IsCA || c.Version < 3 && bytes.Equal(c.RawSubject, c.RawIssuer)
}

// chain returns the certificates above a certificate, as far as they are here, first of all among its own file's.
func (p *pool) chain(leaf *x509.Certificate, own []*x509.Certificate) [][]byte {
	near := newPool()
	near.add(own...)
	var out [][]byte
	for at := leaf; !bytes.Equal(at.RawIssuer, at.RawSubject) && len(out) < api.MaxForeignChain; {
		next := issuerOf(at, near.issuer[string(at.RawIssuer)])
		if next == nil {
			next = issuerOf(at, p.issuer[string(at.RawIssuer)])
		}
		if next == nil || len(next.Raw) > api.MaxForeignCertificate || slices.ContainsFunc(out, func(o []byte) bool { return bytes.Equal(o, next.Raw) }) {
			break
		}
		out = append(out, next.Raw)
		at = next
	}
	return out
}

// issuerOf returns the candidate whose key signed the certificate. Where that cannot be verified any more (SHA-1, MD5), the
// key's identifier decides.
func issuerOf(c *x509.Certificate, candidates []*x509.Certificate) *x509.Certificate {
	for _, x := range candidates {
		if c.CheckSignatureFrom(x) == nil {
			return x
		}
	}
	for _, x := range candidates {
		_, insecure := c.CheckSignatureFrom(x).(x509.InsecureAlgorithmError)
		if insecure && (len(c.AuthorityKeyId) == 0 || len(x.SubjectKeyId) == 0 || bytes.Equal(c.AuthorityKeyId, x.SubjectKeyId)) {
			return x
		}
	}
	return nil
}
