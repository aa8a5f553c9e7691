package foreign

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"path"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/sealpost/sealpost/internal/ber"
	"github.com/sealpost/sealpost/pkcs12"
)

// found is a key that was read from a file.
type found struct {
	pkcs8        []byte              // erased when it has been sent
	public       []byte              // SubjectPublicKeyInfo
	certificates []*x509.Certificate // of this key, in its file
	near         []*x509.Certificate // others in its file
}

// content is a file after its outermost encoding was taken off.
type content struct {
	der  []byte
	kind kind
	cert *x509.Certificate
}

type kind int

const (
	unknown kind = iota
	isPKCS12
	isCMS
	isCertificate
	isBareKey
)

// detect tells by its content what a file is: names are no guide.
func detect(b []byte) content {
	b = unwrapText(b)
	if c, err := x509.ParseCertificate(b); err == nil {
		return content{der: b, kind: isCertificate, cert: c}
	}
	if len(b) == 0 || b[0] != 0x30 {
		return content{der: b}
	}
	der, err := ber.ToDER(b)
	if err != nil {
		return content{der: b}
	}
	var body cryptobyte.String
	var version int
	input := cryptobyte.String(der)
	switch {
	case isContentInfo(der):
		return content{der: der, kind: isCMS}
	case !input.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1Integer(&version):
		return content{der: der}
	case version == 3 && body.PeekASN1Tag(cbasn1.SEQUENCE):
		return content{der: b, kind: isPKCS12} // its MAC is over the bytes as they are
	case version <= 1:
		return content{der: der, kind: isBareKey}
	}
	return content{der: der}
}

// unwrapText takes PEM or base64 off: certutil writes blobs as either, PEM under the name CERTIFICATE.
func unwrapText(b []byte) []byte {
	if block, _ := pem.Decode(b); block != nil {
		return block.Bytes
	}
	compact := bytes.Map(func(r rune) rune {
		if r == ' ' || r == '\t' || r == '\r' || r == '\n' {
			return -1
		}
		return r
	}, bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")))
	if out, err := base64.StdEncoding.Strict().DecodeString(string(compact)); err == nil && len(out) > 0 {
		return out
	}
	return b
}

// certificateNames are how files are called in which certificates lie that may belong to keys in other files.
var certificateNames = []string{".cer", ".crt", ".pem", ".der", ".p7b", ".p7c"}

func mayBeCertificates(name string) bool {
	return slices.Contains(certificateNames, strings.ToLower(path.Ext(name)))
}

// certificatesIn returns the certificates in a file that has no keys, and whether it is one.
func certificatesIn(b []byte) (out []*x509.Certificate, ok bool) {
	for rest := b; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			out = nil
			break
		}
		out = append(out, c)
	}
	if len(out) > 0 {
		return out, true
	}
	switch c := detect(b); c.kind {
	case isCertificate:
		return []*x509.Certificate{c.cert}, true
	case isCMS:
		if blob, err := parseRecoveryBlob(c.der); err == nil && len(blob.envelope) == 0 && len(blob.certificates) > 0 {
			return blob.certificates, true
		}
	}
	return nil, false
}

// isNamedForKeys reports whether a file claims to be PKCS #12, so that one that is cut off is not passed over.
func isNamedForKeys(name string) bool {
	return slices.Contains([]string{".p12", ".pfx"}, strings.ToLower(path.Ext(name)))
}

// errNoFile is for files that are none of keys, and no fault.
var errNoFile = errors.New("nothing to import")

// keysIn returns the keys in a file. password is asked only for files that need one.
func (r *run) keysIn(b []byte, password func() (string, error)) ([]found, error) {
	if _, ok := certificatesIn(b); ok {
		return nil, errNoFile
	}
	switch c := detect(b); c.kind {
	case isPKCS12:
		p, err := password()
		if err != nil {
			return nil, err
		}
		return keysInPKCS12(c.der, p)
	case isCMS:
		return keysInBlob(c.der, r.opt)
	case isBareKey:
		return nil, ErrFormat.Withf("This is a private key without protection and without its certificate. Put both into a PKCS #12 file.")
	}
	return nil, errNoFile
}

func keysInPKCS12(b []byte, password string) ([]found, error) {
	entries, others, err := pkcs12.DecodeForeign(b, password)
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 {
		return nil, ErrNoKey
	}
	if len(entries) > MaxKeysPerFile {
		return nil, ErrTooLarge.Withf("There are more than %d keys in this file.", MaxKeysPerFile)
	}
	var out []found
	for _, e := range entries {
		pkcs8, err := x509.MarshalPKCS8PrivateKey(e.Key)
		holder, ok := e.Key.(interface{ Public() crypto.PublicKey })
		if err != nil || !ok {
			eraseAll(out)
			return nil, pkcs12.ErrUnsupported.Withf("The file has a private key of a kind that is not accepted.")
		}
		public, err := x509.MarshalPKIXPublicKey(holder.Public())
		if err != nil {
			eraseAll(out)
			return nil, pkcs12.ErrUnsupported.Withf("The file has a private key of a kind that is not accepted.")
		}
		f := found{pkcs8: pkcs8, public: public}
		if e.Certificate != nil {
			f.certificates = append(f.certificates, e.Certificate)
		}
		f.sort(others)
		out = append(out, f)
	}
	return out, nil
}

// sort puts a file's other certificates where they belong: a renewed certificate may be of the same key.
func (f *found) sort(others []*x509.Certificate) {
	for _, c := range others {
		if bytes.Equal(c.RawSubjectPublicKeyInfo, f.public) && !isAuthority(c) {
			if !slices.ContainsFunc(f.certificates, c.Equal) {
				f.certificates = append(f.certificates, c)
			}
			continue
		}
		f.near = append(f.near, c)
	}
}

func keysInBlob(der []byte, opt Options) ([]found, error) {
	blob, err := parseRecoveryBlob(der)
	if err != nil {
		return nil, err
	}
	if blob.envelope == nil {
		return nil, ErrNoKey.Withf("There is no archived key in this file.")
	}
	pkcs8, err := blob.open(opt.Agents)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		clear(pkcs8)
		return nil, ErrBlob
	}
	holder, ok := key.(interface{ Public() crypto.PublicKey })
	if !ok {
		clear(pkcs8)
		return nil, ErrBlob
	}
	f := found{pkcs8: pkcs8}
	if f.public, err = x509.MarshalPKIXPublicKey(holder.Public()); err != nil {
		clear(pkcs8)
		return nil, ErrBlob
	}
	f.sort(blob.certificates)
	return []found{f}, nil
}

func eraseAll(keys []found) {
	for _, k := range keys {
		clear(k.pkcs8)
	}
}
