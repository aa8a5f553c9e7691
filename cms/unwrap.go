package cms

import (
	"crypto"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
)

// unwrapper checks everything about an entry that can be checked without the
// private key, and returns the rest as a function. Errors are about structure
// and algorithms, which anybody can see in the message.
func (info *recipientInfo) unwrapper(r Recipient, keySize int, opt OpenOptions) (unwrapFunc, error) {
	if pub, ok := r.Certificate.PublicKey.(*rsa.PublicKey); ok {
		if info.agreement {
			return noContentKey, nil
		}
		return info.rsaUnwrapper(r.Key.(crypto.Decrypter), pub, keySize, opt)
	}
	if !info.agreement {
		return noContentKey, nil
	}
	key, _ := ecdhKey(r.Key)
	pub, _ := ecdhPublic(certifiedKey(r.Certificate))
	return info.ecdhUnwrapper(key, pub.Curve())
}

// rsaUnwrapper is for key transport (RFC 3560, and RFC 3370 §4.2.1 if allowed).
func (info *recipientInfo) rsaUnwrapper(key crypto.Decrypter, pub *rsa.PublicKey, keySize int, opt OpenOptions) (unwrapFunc, error) {
	var padding crypto.DecrypterOpts
	silent := false // a failure must not be seen, not even as an error
	switch {
	case info.algorithm.oid.Equal(oidRSAOAEP):
		hash, mgf, err := parseOAEP(info.algorithm)
		if err != nil {
			return nil, err
		}
		oaep := &rsa.OAEPOptions{Hash: hash}
		if mgf != hash { // some tokens know no separate MGFHash
			oaep.MGFHash = mgf
		}
		padding = oaep
	case info.algorithm.oid.Equal(oidRSA) && info.algorithm.plain():
		if !opt.AllowPKCS1v15 {
			return nil, ErrUnsupported.Withf("The content key is encrypted with RSA PKCS #1 v1.5; RSA-OAEP is required.")
		}
		//lint:ignore SA1019 what Windows and mail programs send; only on request, and with a session key length failures stay hidden
		padding = &rsa.PKCS1v15DecryptOptions{SessionKeyLen: keySize}
		silent = true
	default:
		return nil, ErrUnsupported.Withf("The content key is encrypted with %v, which is not accepted.", info.algorithm.oid)
	}
	return func() ([]byte, bool) {
		if len(info.encryptedKey) != pub.Size() {
			return nil, false
		}
		contentKey, err := key.Decrypt(rand.Reader, info.encryptedKey, padding)
		ok := err == nil && len(contentKey) == keySize
		if silent && !ok {
			clear(contentKey)
			contentKey = make([]byte, keySize)
			rand.Read(contentKey)
			ok = true
		}
		return contentKey, ok
	}, nil
}

// ecdhUnwrapper is for key agreement with an ephemeral key (RFC 5753 §3.1, RFC 8418).
func (info *recipientInfo) ecdhUnwrapper(key ECDHKey, curve ecdh.Curve) (unwrapFunc, error) {
	s, ok := schemeByOID(info.algorithm.oid)
	if !ok {
		return nil, ErrUnsupported.Withf("The content key is encrypted with %v, which is not accepted.", info.algorithm.oid)
	}
	keyInfo := info.algorithm.params
	params := keyInfo
	var wrap algorithm
	if !readAlgorithm(&params, &wrap) || !params.Empty() {
		return nil, ErrMalformed
	}
	kekSize := wrapKeySize(wrap)
	if kekSize == 0 {
		return nil, ErrUnsupported.Withf("The content key is wrapped with %v, which is not accepted.", wrap.oid)
	}
	point, err := info.ephemeralPoint(curve)
	if err != nil {
		return nil, err
	}
	return func() ([]byte, bool) {
		ephemeral, err := curve.NewPublicKey(point)
		if err != nil {
			return nil, false
		}
		secret, err := key.ECDH(ephemeral)
		if err != nil {
			return nil, false
		}
		defer clear(secret)
		kek, err := s.kek(secret, keyInfo, info.ukm, kekSize)
		if err != nil {
			return nil, false
		}
		defer clear(kek)
		return unwrapKey(kek, info.encryptedKey)
	}, nil
}

func wrapKeySize(wrap algorithm) int {
	switch {
	case !wrap.plain():
		return 0
	case wrap.oid.Equal(oidAES256Wrp):
		return 32
	case wrap.oid.Equal(oidAES192Wrp):
		return 24
	case wrap.oid.Equal(oidAES128Wrp):
		return 16
	}
	return 0
}

// ephemeralPoint reads originatorKey: the sender's public key, whose algorithm
// must be that of the recipient's curve. RFC 5753 §3.1.1 lets the parameters be
// absent, NULL, or the curve's name.
func (info *recipientInfo) ephemeralPoint(curve ecdh.Curve) ([]byte, error) {
	originator := info.originator
	var body cryptobyte.String
	if !originator.PeekASN1Tag(context(1)) {
		return nil, ErrUnsupported.Withf("The sender used a certified key for key agreement; an ephemeral one is required.")
	}
	if !originator.ReadASN1(&body, context(1)) || !originator.Empty() {
		return nil, ErrMalformed
	}
	var alg algorithm
	var point []byte
	if !readAlgorithm(&body, &alg) || !body.ReadASN1BitStringAsBytes(&point) || !body.Empty() {
		return nil, ErrMalformed
	}
	if !fitsCurve(alg, curve) {
		return nil, ErrUnsupported.Withf("The sender's key is not on the recipient's curve.")
	}
	// X25519 ignores the top bit; insisting on zero leaves one encoding per key.
	if curve == ecdh.X25519() && len(point) == 32 && point[31]&0x80 != 0 {
		return nil, ErrMalformed
	}
	return point, nil
}

func fitsCurve(alg algorithm, curve ecdh.Curve) bool {
	if curve == ecdh.X25519() {
		return alg.oid.Equal(oidX25519) && len(alg.params) == 0
	}
	if !alg.oid.Equal(oidECPublic) {
		return false
	}
	if alg.plain() {
		return true
	}
	var name asn1.ObjectIdentifier
	params := alg.params
	return params.ReadASN1ObjectIdentifier(&name) && params.Empty() && name.Equal(curveOID(curve))
}

func curveOID(curve ecdh.Curve) asn1.ObjectIdentifier {
	switch curve {
	case ecdh.P256():
		return oidP256
	case ecdh.P384():
		return oidP384
	case ecdh.P521():
		return oidP521
	}
	return nil
}
