package cms

import (
	"crypto"
	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var errRSAHash = ErrUnsupported.Withf("RSA-OAEP and RSASSA-PSS are accepted with SHA-256, SHA-384 or SHA-512 only.")

// hashByOID knows the digests that are accepted; SHA-1 and MD5 are not.
func hashByOID(oid asn1.ObjectIdentifier) (crypto.Hash, bool) {
	switch {
	case oid.Equal(oidSHA256):
		return crypto.SHA256, true
	case oid.Equal(oidSHA384):
		return crypto.SHA384, true
	case oid.Equal(oidSHA512):
		return crypto.SHA512, true
	}
	return 0, false
}

// readHashAndMGF reads the two fields with which the parameters of both RSAES-OAEP
// and RSASSA-PSS begin (RFC 4055 §3.1, §4.1). Their default is SHA-1, so both must
// be present.
func readHashAndMGF(s *cryptobyte.String) (hash, mgf crypto.Hash, err error) {
	var field, inner cryptobyte.String
	var hashAlg, mgfAlg, mgfHash algorithm
	if !s.ReadASN1(&field, context(0)) || !s.ReadASN1(&inner, context(1)) {
		return 0, 0, errRSAHash
	}
	if !readAlgorithm(&field, &hashAlg) || !field.Empty() || !readAlgorithm(&inner, &mgfAlg) || !inner.Empty() {
		return 0, 0, ErrMalformed
	}
	params := mgfAlg.params
	if !readAlgorithm(&params, &mgfHash) || !params.Empty() {
		return 0, 0, ErrMalformed
	}
	hash, ok1 := hashByOID(hashAlg.oid)
	mgf, ok2 := hashByOID(mgfHash.oid)
	if !ok1 || !ok2 || !hashAlg.plain() || !mgfHash.plain() || !mgfAlg.oid.Equal(oidMGF1) {
		return 0, 0, errRSAHash
	}
	return hash, mgf, nil
}

// parseOAEP reads the parameters of RSAES-OAEP. The label has to be empty.
func parseOAEP(a algorithm) (hash, mgf crypto.Hash, err error) {
	params := a.params
	var body cryptobyte.String
	if !params.ReadASN1(&body, cbasn1.SEQUENCE) || !params.Empty() {
		return 0, 0, ErrMalformed
	}
	hash, mgf, err = readHashAndMGF(&body)
	if err != nil {
		return 0, 0, err
	}
	if body.Empty() {
		return hash, mgf, nil
	}
	var field cryptobyte.String
	var source algorithm
	if !body.ReadASN1(&field, context(2)) || !body.Empty() || !readAlgorithm(&field, &source) || !field.Empty() {
		return 0, 0, ErrMalformed
	}
	label := source.params
	var octets cryptobyte.String
	if !source.oid.Equal(oidPSource) || !label.ReadASN1(&octets, cbasn1.OCTET_STRING) || len(octets) != 0 || !label.Empty() {
		return 0, 0, ErrUnsupported.Withf("RSA-OAEP is accepted without a label only.")
	}
	return hash, mgf, nil
}

// parsePSS reads the parameters of RSASSA-PSS: the hash, which the mask
// generation has to share, and the length of the salt.
func parsePSS(a algorithm) (hash crypto.Hash, saltLen int, err error) {
	params := a.params
	var body cryptobyte.String
	if !params.ReadASN1(&body, cbasn1.SEQUENCE) || !params.Empty() {
		return 0, 0, ErrMalformed
	}
	hash, mgf, err := readHashAndMGF(&body)
	if err != nil {
		return 0, 0, err
	}
	if mgf != hash {
		return 0, 0, ErrUnsupported.Withf("RSASSA-PSS is accepted with one hash throughout only.")
	}
	var field cryptobyte.String
	saltLen = 20 // the default of RFC 4055
	if body.PeekASN1Tag(context(2)) {
		if !body.ReadASN1(&field, context(2)) || !field.ReadASN1Integer(&saltLen) || !field.Empty() {
			return 0, 0, ErrMalformed
		}
	}
	if saltLen < 0 || saltLen > 512 || !body.Empty() {
		return 0, 0, ErrUnsupported.Withf("The parameters of RSASSA-PSS are not accepted.")
	}
	return hash, saltLen, nil
}

// addOAEP writes RSAES-OAEP with SHA-256 for hash and mask. The NULLs are what
// RFC 4055 §2.1 asks of writers.
func addOAEP(b *cryptobyte.Builder) {
	sha256 := func(b *cryptobyte.Builder) { addAlgorithm(b, oidSHA256, addNull) }
	addAlgorithm(b, oidRSAOAEP, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(context(0), sha256)
			b.AddASN1(context(1), func(b *cryptobyte.Builder) { addAlgorithm(b, oidMGF1, sha256) })
		})
	})
}
