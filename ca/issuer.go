package ca

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// IssuerConfig describes an issuer: a key, its certificate, and where the world finds what it publishes.
type IssuerConfig struct {
	// ID names the issuer for ever; a new certificate or key is a new issuer.
	ID string `yaml:"id"`
	// CRL are the addresses of its revocation list, in the order in which they stand in certificates: http first, then
	// others. An ldap address needs a distinguished name, one attribute, and a filter in parentheses.
	CRL []string `yaml:"crl"`
	// Partitions is how many parts the revocation list is also published in, each for the certificates that name it; 0
	// means none. A certificate's part is chosen at random and never changes; the whole list has all of them. More parts
	// may be configured at any time; fewer too, and lists of all there were go on.
	Partitions int `yaml:"partitions"`
	// PartitionCRL is the http address of a part's list, with {n} in the place of its number, from 1.
	PartitionCRL string `yaml:"partition_crl"`
	// OCSP is the http address of the OCSP responder.
	OCSP string `yaml:"ocsp"`
	// CAIssuers is the http address of the issuer's own certificate in DER.
	CAIssuers string `yaml:"ca_issuers"`

	// Chain is the issuer's certificate and those above it, the root last.
	Chain []*x509.Certificate `yaml:"-"`
	// Signer is the issuer's key. Nil means that it only answers for what it once issued.
	Signer crypto.Signer `yaml:"-"`
}

// Issuer signs certificates and revocation lists. It does not change and is safe for concurrent use if its key is.
type Issuer struct {
	id        string
	config    IssuerConfig
	cert      *x509.Certificate
	chain     []*x509.Certificate
	signer    crypto.Signer
	algorithm signatureAlgorithm

	authorityKeyID []byte   // extensions of every certificate, in DER
	crlPoints      [][]byte // by partition
	authorityInfo  []byte
}

// signatureAlgorithm is how an issuer signs.
type signatureAlgorithm struct {
	x509 x509.SignatureAlgorithm
	hash crypto.Hash
	der  []byte // AlgorithmIdentifier
}

// ID returns the issuer's name.
func (i *Issuer) ID() string { return i.id }

// Certificate returns the issuer's certificate. It must not be changed.
func (i *Issuer) Certificate() *x509.Certificate { return i.cert }

// Chain returns the issuer's certificate and those above it, the root last. They must not be changed.
func (i *Issuer) Chain() []*x509.Certificate { return slices.Clone(i.chain) }

// CRL returns the addresses of the revocation list that the issuer's certificates name.
func (i *Issuer) CRL() []string { return slices.Clone(i.config.CRL) }

// Partitions returns how many partitions new certificates are spread over; 0 if none.
func (i *Issuer) Partitions() int { return i.config.Partitions }

// PartitionCRL returns the address of the list of a partition, from 1, as certificates name it.
func (i *Issuer) PartitionCRL(partition int) string {
	return strings.Replace(i.config.PartitionCRL, partitionPlace, strconv.Itoa(partition), 1)
}

// crlOf returns every address that a certificate of the partition names: the partition's own, then those of the whole list.
func (i *Issuer) crlOf(partition int) []string {
	if partition == 0 {
		return i.config.CRL
	}
	return append([]string{i.PartitionCRL(partition)}, i.config.CRL...)
}

// partitionOf chooses a certificate's partition: at random, as its serial is.
func (i *Issuer) partitionOf(serial Serial) int {
	if i.config.Partitions == 0 {
		return 0
	}
	n := new(big.Int).Mod(serial.Big(), big.NewInt(int64(i.config.Partitions)))
	return int(n.Int64()) + 1
}

// OCSP returns the address of the OCSP responder that the issuer's certificates name, or "".
func (i *Issuer) OCSP() string { return i.config.OCSP }

// CAIssuers returns the address of the issuer's certificate that its certificates name, or "".
func (i *Issuer) CAIssuers() string { return i.config.CAIssuers }

// CanSign reports whether the issuer's key is at hand.
func (i *Issuer) CanSign() bool { return i.signer != nil }

// SignatureAlgorithm returns how the issuer signs, and the same as AlgorithmIdentifier in DER.
func (i *Issuer) SignatureAlgorithm() (x509.SignatureAlgorithm, []byte) {
	return i.algorithm.x509, bytes.Clone(i.algorithm.der)
}

// CheckSigner lets the key sign a random value and verifies the signature with the issuer's certificate, so that a lost
// token or a wrong key is noticed before it is needed.
func (i *Issuer) CheckSigner(ctx context.Context) error {
	if i.signer == nil {
		return ErrNoSigner.Withf("The key of the issuer %s is not at hand.", i.id)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	// The bytes cannot be a certificate or a list: both are a SEQUENCE.
	message := make([]byte, 64)
	if _, err := rand.Read(message[1:]); err != nil {
		return fmt.Errorf("check signer: %w", err)
	}
	h := i.algorithm.hash.New()
	h.Write(message)
	sig, err := i.signer.Sign(rand.Reader, h.Sum(nil), i.algorithm.hash)
	if err != nil {
		return ErrNoSigner.Withf("The key of the issuer %s does not sign.", i.id).Because(err)
	}
	if err := i.cert.CheckSignature(i.algorithm.x509, message, sig); err != nil {
		return ErrNoSigner.Withf("The key of the issuer %s is not the one its certificate names.", i.id).Because(err)
	}
	return nil
}

// SignCRL signs a TBSCertList in DER (RFC 5280 §5.1.2), which may come in pieces, and returns the signature. It refuses anything
// else: the version must be 2, and algorithm and issuer must be this issuer's, all in the first piece. What the list says is
// the caller's to answer for.
func (i *Issuer) SignCRL(tbs ...[]byte) ([]byte, error) {
	if i.signer == nil {
		return nil, ErrNoSigner.Withf("The key of the issuer %s is not at hand.", i.id)
	}
	if !i.beginsCRL(tbs) {
		return nil, fmt.Errorf("sign CRL of %s: these bytes are not a TBSCertList of this issuer", i.id)
	}
	h := i.algorithm.hash.New()
	for _, piece := range tbs {
		h.Write(piece)
	}
	digest := h.Sum(nil)
	sig, err := i.signer.Sign(rand.Reader, digest, i.algorithm.hash)
	if err != nil {
		return nil, ErrNoSigner.Withf("The key of the issuer %s does not sign.", i.id).Because(err)
	}
	if !i.algorithm.verify(i.cert.PublicKey, digest, sig) {
		return nil, fmt.Errorf("sign CRL of %s: the signature does not verify", i.id)
	}
	return sig, nil
}

// beginsCRL reports whether the pieces are as long as a TBSCertList of this issuer says in its first fields.
func (i *Issuer) beginsCRL(tbs [][]byte) bool {
	if len(tbs) == 0 {
		return false
	}
	size := 0
	for _, piece := range tbs {
		size += len(piece)
	}
	in := cryptobyte.String(tbs[0])
	content, ok := sequenceStart(&in)
	var algorithm, issuer cryptobyte.String
	var version int
	return ok && len(tbs[0])-len(in)+content == size && in.ReadASN1Integer(&version) && version == 1 &&
		in.ReadASN1Element(&algorithm, cryptobyte_asn1.SEQUENCE) && bytes.Equal(algorithm, i.algorithm.der) &&
		in.ReadASN1Element(&issuer, cryptobyte_asn1.SEQUENCE) && bytes.Equal(issuer, i.cert.RawSubject)
}

// sequenceStart reads a SEQUENCE's identifier and length and returns the length.
func sequenceStart(in *cryptobyte.String) (length int, ok bool) {
	var tag, first uint8
	if !in.ReadUint8(&tag) || tag != uint8(cryptobyte_asn1.SEQUENCE) || !in.ReadUint8(&first) {
		return 0, false
	}
	if first < 0x80 {
		return int(first), true
	}
	if first < 0x81 || first > 0x85 {
		return 0, false
	}
	for range first - 0x80 {
		var b uint8
		if !in.ReadUint8(&b) {
			return 0, false
		}
		length = length<<8 | int(b)
	}
	return length, true
}

// signedDER puts to-be-signed bytes, algorithm and signature together: the outer SEQUENCE of certificates and lists.
func signedDER(tbs, algorithm, signature []byte) ([]byte, error) {
	b := cryptobyte.NewBuilder(make([]byte, 0, len(tbs)+len(signature)+64))
	sequence(b, func(b *cryptobyte.Builder) {
		b.AddBytes(tbs)
		b.AddBytes(algorithm)
		b.AddASN1BitString(signature)
	})
	return b.Bytes()
}

// verify reports whether a signature over a digest is the key's.
func (a signatureAlgorithm) verify(key crypto.PublicKey, digest, sig []byte) bool {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(k, digest, sig)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(k, a.hash, digest, sig) == nil
	default:
		return false
	}
}

// algorithmFor returns how a key of an issuer signs: SHA-256, or for P-384 SHA-384 (S/MIME BR §7.1.3.2).
func algorithmFor(key crypto.PublicKey) (signatureAlgorithm, error) {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return signatureAlgorithm{x509.ECDSAWithSHA256, crypto.SHA256, []byte("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02")}, nil
		case elliptic.P384():
			return signatureAlgorithm{x509.ECDSAWithSHA384, crypto.SHA384, []byte("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03")}, nil
		}
	case *rsa.PublicKey:
		if k.N.BitLen() >= 3072 {
			return signatureAlgorithm{x509.SHA256WithRSA, crypto.SHA256,
				[]byte("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00")}, nil
		}
	}
	return signatureAlgorithm{}, errors.New("an issuer's key is P-256, P-384, or RSA of at least 3072 bits")
}

// check turns c into an Issuer, reporting everything that is wrong with it.
func (c IssuerConfig) check(path string, now time.Time) (*Issuer, error) {
	f := &findings{path: path}
	if !validName(c.ID) {
		f.add("id", "%q is not a name of a-z, 0-9 and hyphens", c.ID)
	}
	if len(c.CRL) == 0 {
		f.add("crl", "is empty: a certificate needs the address of a revocation list")
	}
	for n, u := range c.CRL {
		if err := crlURL(u, n == 0); err != nil {
			f.add(fmt.Sprintf("crl[%d]", n), "%v", err)
		}
	}
	f.partitions(c)
	for field, u := range map[string]string{"ocsp": c.OCSP, "ca_issuers": c.CAIssuers} {
		if u == "" {
			continue
		}
		if err := httpURL(u); err != nil {
			f.add(field, "%v", err)
		}
	}
	i := &Issuer{id: c.ID, config: c, chain: slices.Clone(c.Chain), signer: c.Signer}
	f.chain(i, now)
	if err := errors.Join(f.errs...); err != nil {
		return nil, err
	}
	return i, i.encode()
}

// maxPartitions bounds how many lists an issuer has to sign and to publish.
const maxPartitions = 1024

// partitionPlace stands in the addresses of partitions' lists where their numbers will.
const partitionPlace = "{n}"

func (f *findings) partitions(c IssuerConfig) {
	if c.Partitions < 0 || c.Partitions > maxPartitions {
		f.add("partitions", "%d is not between 0 and %d", c.Partitions, maxPartitions)
	}
	switch at := strings.Index(c.PartitionCRL, partitionPlace); {
	case c.Partitions <= 0:
	case strings.Count(c.PartitionCRL, partitionPlace) != 1 || at < strings.LastIndexByte(c.PartitionCRL, '/'):
		f.add("partition_crl", "%q does not have {n} once, in the file's name: each partition has a list of its own", c.PartitionCRL)
	default:
		if err := httpURL(strings.Replace(c.PartitionCRL, partitionPlace, "1", 1)); err != nil {
			f.add("partition_crl", "%v", err)
		}
		for n := range min(c.Partitions, maxPartitions) {
			if u := strings.Replace(c.PartitionCRL, partitionPlace, strconv.Itoa(n+1), 1); slices.Contains(c.CRL, u) {
				f.add("partition_crl", "%q is the address of the whole list too", u)
			}
		}
	}
}

func (f *findings) chain(i *Issuer, now time.Time) {
	if len(i.chain) == 0 {
		f.add("certificate", "is missing")
		return
	}
	i.cert = i.chain[0]
	var err error
	if i.algorithm, err = algorithmFor(i.cert.PublicKey); err != nil {
		f.add("certificate", "%v", err)
	}
	if !i.cert.IsCA || i.cert.KeyUsage&x509.KeyUsageCertSign == 0 || i.cert.KeyUsage&x509.KeyUsageCRLSign == 0 || len(i.cert.SubjectKeyId) == 0 {
		f.add("certificate", "is not that of an issuer: it needs cA, keyCertSign, cRLSign and a subject key identifier")
	}
	if now.After(i.cert.NotAfter) && i.signer != nil {
		f.add("certificate", "ended on %s", i.cert.NotAfter.Format(time.DateOnly))
	}
	for n := range len(i.chain) - 1 {
		if err := i.chain[n].CheckSignatureFrom(i.chain[n+1]); err != nil {
			f.add("chain", "certificate %d is not signed by the next: %v", n, err)
		}
	}
	if i.signer == nil {
		return
	}
	if k, ok := i.signer.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !k.Equal(i.cert.PublicKey) {
		f.add("key", "is not the one that the certificate names")
	}
}

func (i *Issuer) encode() (err error) {
	if i.authorityKeyID, err = authorityKeyID(i.cert.SubjectKeyId); err != nil {
		return err
	}
	i.crlPoints = make([][]byte, i.config.Partitions+1)
	for n := range i.crlPoints {
		lists := [][]string{i.config.CRL}
		if n > 0 {
			lists = [][]string{{i.PartitionCRL(n)}, i.config.CRL}
		}
		if i.crlPoints[n], err = crlPoints(lists...); err != nil {
			return err
		}
	}
	if i.config.OCSP != "" || i.config.CAIssuers != "" {
		i.authorityInfo, err = authorityInfo(i.config.CAIssuers, i.config.OCSP)
	}
	return err
}

func httpURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" || u.Host == "" || !printable(s) {
		return fmt.Errorf("%q is not an http address; https would need the very certificates that are checked here", s)
	}
	return nil
}

// crlURL checks what certificates will carry for years. An LDAP address has the form of RFC 4516, with its filter in
// parentheses: some clients leave it out otherwise.
func crlURL(s string, first bool) error {
	if first || strings.HasPrefix(s, "http:") {
		return httpURL(s)
	}
	u, err := url.Parse(s)
	if err != nil || !printable(s) {
		return fmt.Errorf("%q is not an address", s)
	}
	switch u.Scheme {
	case "ftp":
		if u.Host == "" {
			return fmt.Errorf("%q names no host", s)
		}
	case "ldap":
		parts := strings.Split(u.RawQuery, "?")
		if len(u.Path) < 2 || len(parts) != 3 || parts[0] == "" || strings.Contains(parts[0], ",") {
			return fmt.Errorf("%q is not of the form ldap://host/dn?attribute?base?(filter)", s)
		}
		if f := parts[2]; len(f) < 3 || f[0] != '(' || f[len(f)-1] != ')' {
			return fmt.Errorf("the filter of %q is not in parentheses", s)
		}
	default:
		return fmt.Errorf("%q is neither http, ldap nor ftp", s)
	}
	return nil
}

func printable(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

// fitsIssuer checks that clients which demand an extended key usage of the whole chain (Go, NSS, OpenSSL, Windows)
// accept the profile's: every issuer with such an extension must list it. OCSP signing is the exception: an issuer that
// listed it could answer for its own issuer (docs/decisions/0006-ca.md).
func (p *Profile) fitsIssuer(path string) error {
	var errs []error
	for _, u := range p.usages {
		if u.Equal(oidOCSPSigning) {
			continue
		}
		for _, c := range p.issuer.chain {
			if !allowsUsage(c, u) {
				errs = append(errs, ErrConfig.Withf("%s.extended_key_usage: the certificate %q above does not allow %s", path, c.Subject.CommonName, u))
			}
		}
	}
	return errors.Join(errs...)
}

func allowsUsage(c *x509.Certificate, oid asn1.ObjectIdentifier) bool {
	if len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 || containsOID(c.UnknownExtKeyUsage, oid) {
		return true
	}
	for _, e := range c.Extensions {
		if !e.Id.Equal(oidExtKeyUsage) {
			continue
		}
		var list []asn1.ObjectIdentifier
		if rest, err := asn1.Unmarshal(e.Value, &list); err != nil || len(rest) > 0 {
			return false
		}
		return containsOID(list, oid) || containsOID(list, oidAnyUsage)
	}
	return true
}
