package delivery

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"slices"

	"github.com/sealpost/sealpost/archive/record"
)

// Certificates are those that are known of the keys of a case, and of their issuers. The zero value knows none.
type Certificates struct {
	byKey  map[record.Hash][]*x509.Certificate // of the SubjectPublicKeyInfo
	byName map[string][]*x509.Certificate      // issuers, by their subject
}

// NewCertificates puts certificates in order.
func NewCertificates(certs []*x509.Certificate) Certificates {
	c := Certificates{map[record.Hash][]*x509.Certificate{}, map[string][]*x509.Certificate{}}
	for _, x := range certs {
		if x.IsCA {
			c.byName[string(x.RawSubject)] = append(c.byName[string(x.RawSubject)], x)
			continue
		}
		h := record.Hash(sha256.Sum256(x.RawSubjectPublicKeyInfo))
		c.byKey[h] = append(c.byKey[h], x)
	}
	return c
}

// of returns the certificates of a key, the newest first.
func (c Certificates) of(spki record.Hash) []*x509.Certificate {
	out := slices.Clone(c.byKey[spki])
	slices.SortFunc(out, func(a, b *x509.Certificate) int {
		return cmp.Or(b.NotBefore.Compare(a.NotBefore), bytes.Compare(a.Raw, b.Raw))
	})
	return slices.CompactFunc(out, (*x509.Certificate).Equal)
}

// chain returns the issuers of a certificate, as far up as they are known.
func (c Certificates) chain(leaf *x509.Certificate) []*x509.Certificate {
	var out []*x509.Certificate
	for at := leaf; !bytes.Equal(at.RawIssuer, at.RawSubject) && len(out) < 8; {
		candidates := c.byName[string(at.RawIssuer)]
		i := slices.IndexFunc(candidates, func(x *x509.Certificate) bool { return at.CheckSignatureFrom(x) == nil })
		if i < 0 || slices.ContainsFunc(out, candidates[i].Equal) {
			break
		}
		at = candidates[i]
		out = append(out, at)
	}
	return out
}
