package bench

import (
	"crypto"
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

	"golang.org/x/sys/unix"

	"github.com/sealpost/sealpost/archive/record"
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
	encryption, err := b.encryptionKey(key)
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
	x, err := newSample(encryption)
	if err != nil {
		return nil, err
	}
	open, err := openPart(x.pkcs8)
	if err != nil {
		return nil, err
	}
	out := []part{open,
		{"seal it to the officers, prove and open it once more", 1, func() error { _, err := record.Seal(x.archiveKey, x.wrapping.Public(), x.header, x.pkcs8); return err }},
		{"open the outer layer once more", 1, func() error { _, err := x.sealed.UnwrapOuter(x.wrapping); return err }}}
	if k, ok := encryption.(*rsa.PrivateKey); ok {
		out = append(out, part{"try the archived key", 1, tryKey(k)})
	}
	return out, nil
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
func tryKey(k *rsa.PrivateKey) func() error {
	return func() error {
		c, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, &k.PublicKey, make([]byte, 32), nil)
		if err != nil {
			return err
		}
		_, err = rsa.DecryptOAEP(sha256.New(), nil, k, c, nil)
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
		receiptPart(receipts)}, nil
}

func receiptPart(key *ecdsa.PrivateKey) part {
	return part{"sign the receipt", 1, func() error { _, err := ecdsa.SignASN1(rand.Reader, key, make([]byte, 32)); return err }}
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
