package bench

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"runtime"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/archive/threshold"
	"github.com/sealpost/sealpost/cms"
)

// part is a piece of cryptography that one enrolment cannot do without.
type part struct {
	name  string
	times int
	do    func() error
}

// cryptography returns the parts of one enrolment with that kind of encryption key, none of which has anything to do with
// databases, directories, encodings or lint.
func (b *bench) cryptography(key string) ([]part, error) {
	signing, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	var encryption crypto.Signer
	if key == "P-256" {
		encryption, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	} else {
		encryption, err = b.rsa.next()
	}
	if err != nil {
		return nil, err
	}
	requests, err := requestParts(signing, encryption)
	if err != nil {
		return nil, err
	}
	deposit, err := depositParts(encryption)
	if err != nil {
		return nil, err
	}
	sign, err := b.signParts(signing)
	if err != nil {
		return nil, err
	}
	return append(append(requests, deposit...), sign...), nil
}

func requestParts(signing, encryption crypto.Signer) ([]part, error) {
	var out []part
	for _, k := range []struct {
		name string
		key  crypto.Signer
	}{{"verify the signing key's request", signing}, {"verify the encryption key's request", encryption}} {
		der, err := csr(&policy{login: "alice"}, k.key)
		if err != nil {
			return nil, err
		}
		out = append(out, part{k.name, 1, func() error {
			r, err := x509.ParseCertificateRequest(der)
			if err != nil {
				return err
			}
			return r.CheckSignature()
		}})
	}
	return out, nil
}

func depositParts(encryption crypto.Signer) ([]part, error) {
	pkcs8, err := x509.MarshalPKCS8PrivateKey(encryption)
	if err != nil {
		return nil, err
	}
	open, err := openPart(pkcs8)
	if err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(encryption.Public())
	if err != nil {
		return nil, err
	}
	wrapping, err := record.GenerateWrappingKey()
	if err != nil {
		return nil, err
	}
	archiveKey, err := threshold.RandomScalar().Point()
	if err != nil {
		return nil, err
	}
	header := record.Header{Purpose: record.PurposeKey, SPKI: sha256.Sum256(spki), Algorithm: "ec-p256", Person: uuid.New(),
		Name: "Alice Anders", Mail: "alice@example.test", Time: time.Now().UTC().Truncate(time.Second)}
	sealed, err := record.Seal(archiveKey, wrapping.Public(), header, pkcs8)
	if err != nil {
		return nil, err
	}
	return []part{open, {"try the archived key", 1, tryKey(encryption)},
		{"seal it to the officers, prove and open it once more", 1, func() error { _, err := record.Seal(archiveKey, wrapping.Public(), header, pkcs8); return err }},
		{"open the outer layer once more", 1, func() error { _, err := sealed.UnwrapOuter(wrapping); return err }}}, nil
}

// openPart opens the message in which the key comes.
func openPart(pkcs8 []byte) (part, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return part{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Exchange"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageKeyAgreement, SubjectKeyId: []byte{1, 2, 3, 4}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return part{}, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return part{}, err
	}
	message, err := cms.Seal(pkcs8, []*x509.Certificate{cert}, cms.SealOptions{ContentType: cms.OIDEncKeyWithID})
	if err != nil {
		return part{}, err
	}
	agree, err := key.ECDH()
	return part{"open the message with the key", 1, func() error {
		_, err := cms.Open(message, cms.Recipient{Certificate: cert, Key: agree}, cms.OpenOptions{})
		return err
	}}, err
}

// tryKey does with a private key what the archive does to see that it works.
func tryKey(key crypto.Signer) func() error {
	if k, ok := key.(*rsa.PrivateKey); ok {
		return func() error {
			c, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, &k.PublicKey, make([]byte, 32), nil)
			if err != nil {
				return err
			}
			_, err = rsa.DecryptOAEP(sha256.New(), nil, k, c, nil)
			return err
		}
	}
	return func() error {
		ours, err := key.(*ecdsa.PrivateKey).ECDH()
		if err != nil {
			return err
		}
		theirs, err := ecdh.P256().GenerateKey(rand.Reader)
		if err != nil {
			return err
		}
		if _, err := ours.ECDH(theirs.PublicKey()); err != nil {
			return err
		}
		_, err = theirs.ECDH(ours.PublicKey())
		return err
	}
}

// signParts signs the certificates and the archive's receipt.
func (b *bench) signParts(receipts *ecdsa.PrivateKey) ([]part, error) {
	curve, digest := elliptic.P256(), sha256.New().Sum(nil)
	if b.Issuer == "P-384" {
		curve, digest = elliptic.P384(), sha512.New384().Sum(nil)
	}
	issuer, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		return nil, err
	}
	return []part{
		{"sign a certificate", 2, func() error { _, err := ecdsa.SignASN1(rand.Reader, issuer, digest); return err }},
		{"sign the receipt", 1, func() error { _, err := ecdsa.SignASN1(rand.Reader, receipts, digest[:32]); return err }}}, nil
}

// timePart returns the CPU time of one run of a part: of this thread, so that neighbours on the machine do not count.
func timePart(p part, atLeast time.Duration) (time.Duration, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := p.do(); err != nil {
		return 0, err
	}
	begun, n := cpuTime(unix.RUSAGE_THREAD), 0
	for {
		for range 8 {
			if err := p.do(); err != nil {
				return 0, err
			}
		}
		n += 8
		if used := cpuTime(unix.RUSAGE_THREAD) - begun; used >= atLeast {
			return used / time.Duration(n), nil
		}
	}
}
