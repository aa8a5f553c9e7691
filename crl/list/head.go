package list

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // of issuers with P-384 keys
	"crypto/x509"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Head is all of a list but its entries.
type Head struct {
	Issuer         []byte    // Name in DER
	AuthorityKeyID []byte    // keyIdentifier; nil: none
	Number         *big.Int  // cRLNumber; nil: none
	Base           *big.Int  // BaseCRLNumber of a delta; nil: a complete list
	ThisUpdate     time.Time // in UTC
	NextUpdate     time.Time // zero: none
	Scope          []byte    // issuingDistributionPoint's value in DER; nil: all certificates of the issuer
	Freshest       []byte    // freshestCRL's value in DER; nil: none
	Entries        int

	Size   int64             // bytes of the whole
	SHA256 [sha256.Size]byte // of the whole

	algorithm algorithm
	digest    []byte // of what is signed
	signature []byte
}

// algorithm is how a list is signed.
type algorithm struct {
	der  string // AlgorithmIdentifier
	hash crypto.Hash
	rsa  bool
}

// algorithms are those of our issuers and of most others: ECDSA and RSA (PKCS #1 v1.5) with SHA-2.
var algorithms = []algorithm{
	{"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02", crypto.SHA256, false},
	{"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03", crypto.SHA384, false},
	{"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x04", crypto.SHA512, false},
	{"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00", crypto.SHA256, true},
	{"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c\x05\x00", crypto.SHA384, true},
	{"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d\x05\x00", crypto.SHA512, true},
}

func algorithmOf(der []byte) (algorithm, bool) {
	for _, a := range algorithms {
		if a.der == string(der) {
			return a, true
		}
	}
	return algorithm{der: string(der)}, false
}

// Delta reports whether the list says only what has changed since another.
func (h *Head) Delta() bool { return h.Base != nil }

// Verify returns ErrSignature unless the issuer's certificate is the one that signed the list.
func (h *Head) Verify(issuer *x509.Certificate) error {
	if !bytes.Equal(h.Issuer, issuer.RawSubject) || h.AuthorityKeyID != nil && !bytes.Equal(h.AuthorityKeyID, issuer.SubjectKeyId) {
		return ErrSignature.Withf("The revocation list is of another authority.")
	}
	if h.digest == nil {
		return ErrSignature.Withf("The revocation list is signed with an algorithm that is not known here.")
	}
	switch key := issuer.PublicKey.(type) {
	case *ecdsa.PublicKey:
		if !h.algorithm.rsa && ecdsa.VerifyASN1(key, h.digest, h.signature) {
			return nil
		}
	case *rsa.PublicKey:
		if h.algorithm.rsa && rsa.VerifyPKCS1v15(key, h.algorithm.hash, h.digest, h.signature) == nil {
			return nil
		}
	}
	return ErrSignature
}

// Supersedes returns nil if the list may take the place of old: it is of the same issuer, key and scope and has a higher
// number. Otherwise ErrSame, ErrNewer or ErrForeign. Lists without numbers are compared by their time.
func (h *Head) Supersedes(old *Head) error {
	switch {
	case h.SHA256 == old.SHA256:
		return ErrSame
	case !bytes.Equal(h.Issuer, old.Issuer) || !bytes.Equal(h.AuthorityKeyID, old.AuthorityKeyID):
		return ErrForeign
	case !bytes.Equal(h.Scope, old.Scope) || h.Delta() != old.Delta():
		return ErrForeign.Withf("There is a revocation list for other certificates in this place. It was not touched.")
	case h.Number != nil && old.Number != nil && h.Number.Cmp(old.Number) <= 0,
		(h.Number == nil || old.Number == nil) && !h.ThisUpdate.After(old.ThisUpdate):
		return ErrNewer
	}
	return nil
}

// Extensions of lists, as they stand before their values.
var (
	oidAuthorityKeyID = []byte{tagOID, 3, 0x55, 0x1d, 35}
	oidNumber         = []byte{tagOID, 3, 0x55, 0x1d, 20}
	oidDelta          = []byte{tagOID, 3, 0x55, 0x1d, 27}
	oidScope          = []byte{tagOID, 3, 0x55, 0x1d, 28}
	oidFreshest       = []byte{tagOID, 3, 0x55, 0x1d, 46}
)

// extensions reads the list's extensions. A critical one that is not known makes the list unusable (RFC 5280, section 5.2).
func (h *Head) extensions(in cryptobyte.String) error {
	for !in.Empty() {
		x, err := readExtension(&in)
		if err != nil {
			return err
		}
		ok := true
		switch {
		case x.is(oidAuthorityKeyID):
			h.AuthorityKeyID, ok = keyIdentifier(x.value)
		case x.is(oidNumber):
			h.Number, ok = readNumber(x.value)
		case x.is(oidDelta):
			h.Base, ok = readNumber(x.value)
		case x.is(oidScope):
			h.Scope = bytes.Clone(x.value)
		case x.is(oidFreshest):
			h.Freshest = bytes.Clone(x.value)
		case x.critical:
			return ErrList.Withf("The revocation list has a critical extension that is not known here.")
		}
		if !ok {
			return ErrList.Withf("An extension of the revocation list cannot be read.")
		}
	}
	return nil
}

func readNumber(in cryptobyte.String) (*big.Int, bool) {
	n := new(big.Int)
	ok := in.ReadASN1Integer(n) && in.Empty() && n.Sign() >= 0 && n.BitLen() <= 8*maxSerial
	return n, ok
}

func keyIdentifier(in cryptobyte.String) ([]byte, bool) {
	var content, id cryptobyte.String
	var present bool
	if !in.ReadASN1(&content, cryptobyte_asn1.SEQUENCE) || !in.Empty() ||
		!content.ReadOptionalASN1(&id, &present, cryptobyte_asn1.Tag(0).ContextSpecific()) {
		return nil, false
	}
	if !present {
		return nil, true
	}
	return bytes.Clone(id), true
}

// readTime reads a UTCTime or a GeneralizedTime.
func readTime(in *cryptobyte.String) (t time.Time, err error) {
	if in.PeekASN1Tag(cryptobyte_asn1.UTCTime) {
		if in.ReadASN1UTCTime(&t) {
			return t.UTC(), nil
		}
	} else if in.ReadASN1GeneralizedTime(&t) {
		return t.UTC(), nil
	}
	return t, ErrList.Withf("A time in the revocation list cannot be read.")
}
