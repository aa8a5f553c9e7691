package pkcs12

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Encode writes a file with all entries, in their order, and the certificates of
// chain, of which those that are already there are left out. It is DER. Every key
// must be that of its certificate. An entry, passphrase or profile that does not
// fit is ErrEntry.
func Encode(entries []Entry, chain []*x509.Certificate, passphrase string, p Profile) ([]byte, error) {
	params, ok := p.parameters()
	if !ok {
		return nil, ErrEntry.Withf("There is no profile %d.", int(p))
	}
	if err := checkPassphrase(passphrase, p); err != nil {
		return nil, err
	}
	if err := checkEntries(entries, chain, p); err != nil {
		return nil, err
	}
	e := newEncrypter(params, passphrase)
	defer e.keys.clear()
	safe, err := e.buildSafe(entries, chain)
	if err != nil {
		return nil, err
	}
	return e.buildPFX(safe)
}

// buildSafe returns the AuthenticatedSafe (RFC 7292 §4.1): certificates first, then
// keys, as everybody writes them.
func (e *encrypter) buildSafe(entries []Entry, chain []*x509.Certificate) ([]byte, error) {
	certs, err := e.buildCertificates(entries, chain)
	if err != nil {
		return nil, fmt.Errorf("encode certificates: %w", err)
	}
	keys, err := e.buildKeys(entries)
	if err != nil {
		return nil, fmt.Errorf("encode keys: %w", err)
	}
	return buildSequence(append(certs, keys...))
}

// buildPFX returns the whole file with its MAC.
func (e *encrypter) buildPFX(safe []byte) ([]byte, error) {
	mac, err := e.buildMAC(safe)
	if err != nil {
		return nil, fmt.Errorf("encode MAC: %w", err)
	}
	return build(func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(3)
			addContentInfo(b, oidData, func(b *cryptobyte.Builder) { b.AddASN1OctetString(safe) })
			b.AddBytes(mac)
		})
	})
}

func checkEntries(entries []Entry, chain []*x509.Certificate, p Profile) error {
	if len(entries) == 0 {
		return ErrEntry.Withf("A file needs at least one key.")
	}
	if p == Compatibility && len(entries) != 1 {
		return ErrEntry.Withf("The compatibility profile takes one key to a file, not %d.", len(entries))
	}
	seen := make(map[string]bool)
	for i, entry := range entries {
		if entry.Key == nil || entry.Certificate == nil {
			return ErrEntry.Withf("Entry %d has no key or no certificate.", i+1)
		}
		if !utf8.ValidString(entry.Name) {
			return ErrEntry.Withf("The name of entry %d is not text.", i+1)
		}
		own, err1 := publicKeyOf(entry.Key)
		certified, err2 := certifiedKey(entry.Certificate)
		if err1 != nil || err2 != nil || own != certified {
			return ErrEntry.Withf("The key of entry %d is not that of its certificate.", i+1)
		}
		if seen[string(entry.Certificate.Raw)] {
			return ErrEntry.Withf("Entry %d has the certificate of an earlier one.", i+1)
		}
		seen[string(entry.Certificate.Raw)] = true
	}
	if slices.Contains(chain, nil) {
		return ErrEntry.Withf("The chain has a certificate that is nil.")
	}
	return nil
}

// publicKeyOf returns the public half of a private key as SubjectPublicKeyInfo.
func publicKeyOf(key crypto.PrivateKey) (string, error) {
	k, ok := key.(interface{ Public() crypto.PublicKey })
	if !ok {
		return "", fmt.Errorf("a %T has no public key", key)
	}
	spki, err := x509.MarshalPKIXPublicKey(k.Public())
	return string(spki), err
}

// certifiedKey returns the public key of a certificate as SubjectPublicKeyInfo, in
// the one encoding that publicKeyOf gives. crypto/x509 leaves X25519 keys out when
// it parses a certificate, but can read them.
func certifiedKey(cert *x509.Certificate) (string, error) {
	pub := cert.PublicKey
	if pub == nil {
		var err error
		if pub, err = x509.ParsePKIXPublicKey(cert.RawSubjectPublicKeyInfo); err != nil {
			return "", err
		}
	}
	spki, err := x509.MarshalPKIXPublicKey(pub)
	return string(spki), err
}

// buildKeys returns the ContentInfo with all shrouded key bags. Names and key ids
// stay readable, as in everybody's files.
func (e *encrypter) buildKeys(entries []Entry) ([]byte, error) {
	var bags bytes.Buffer
	for _, entry := range entries {
		bag, err := e.buildKey(entry)
		if err != nil {
			return nil, err
		}
		bags.Write(bag)
	}
	safeContents, err := buildSequence(bags.Bytes())
	if err != nil {
		return nil, err
	}
	return build(func(b *cryptobyte.Builder) {
		addContentInfo(b, oidData, func(b *cryptobyte.Builder) { b.AddASN1OctetString(safeContents) })
	})
}

// buildKey returns one PKCS8ShroudedKeyBag (RFC 7292 §4.2.2).
func (e *encrypter) buildKey(entry Entry) ([]byte, error) {
	pkcs8, err := x509.MarshalPKCS8PrivateKey(entry.Key)
	if err != nil {
		return nil, ErrEntry.Withf("A key is of a kind that cannot be written.").Because(err)
	}
	if len(pkcs8) > maxKeySize {
		clear(pkcs8)
		return nil, ErrEntry.Withf("A key is larger than what can be read again.")
	}
	enc, err := e.next()
	if err != nil {
		clear(pkcs8)
		return nil, err
	}
	ciphertext := enc.encrypt(pkcs8)
	return buildBag(oidShroudedBag, attributesOf(entry), func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			enc.algorithm(b)
			b.AddASN1OctetString(ciphertext)
		})
	})
}

// buildCertificates returns the ContentInfo with all certificate bags, encrypted
// together.
func (e *encrypter) buildCertificates(entries []Entry, chain []*x509.Certificate) ([]byte, error) {
	var bags bytes.Buffer
	seen := make(map[string]bool)
	for _, entry := range entries {
		seen[string(entry.Certificate.Raw)] = true
		bag, err := buildCertificate(entry.Certificate, attributesOf(entry))
		if err != nil {
			return nil, err
		}
		bags.Write(bag)
	}
	for _, cert := range chain {
		if seen[string(cert.Raw)] {
			continue
		}
		seen[string(cert.Raw)] = true
		bag, err := buildCertificate(cert, attributes{})
		if err != nil {
			return nil, err
		}
		bags.Write(bag)
	}
	safeContents, err := buildSequence(bags.Bytes())
	if err != nil {
		return nil, err
	}
	enc, err := e.next()
	if err != nil {
		return nil, err
	}
	ciphertext := enc.encrypt(safeContents)
	return build(func(b *cryptobyte.Builder) {
		addContentInfo(b, oidEncryptedData, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(0)
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // EncryptedContentInfo
					b.AddASN1ObjectIdentifier(oidData)
					enc.algorithm(b)
					b.AddASN1(cbasn1.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(ciphertext) })
				})
			})
		})
	})
}

// buildCertificate returns one CertBag (RFC 7292 §4.2.3).
func buildCertificate(cert *x509.Certificate, attrs attributes) ([]byte, error) {
	return buildBag(oidCertBag, attrs, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidX509Cert)
			b.AddASN1(context(0), func(b *cryptobyte.Builder) { b.AddASN1OctetString(cert.Raw) })
		})
	})
}

// attributes are what a bag says about itself.
type attributes struct {
	name  string
	keyID []byte
}

// attributesOf returns what ties a key to its certificate: a localKeyID that
// both bags carry, here a hash of the certificate, and their common name.
func attributesOf(entry Entry) attributes {
	sum := sha256.Sum256(entry.Certificate.Raw)
	return attributes{name: entry.Name, keyID: sum[:20]}
}

// buildBag returns a SafeBag (RFC 7292 §4.2).
func buildBag(oid asn1.ObjectIdentifier, attrs attributes, value func(*cryptobyte.Builder)) ([]byte, error) {
	return build(func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oid)
			b.AddASN1(context(0), value)
			attrs.add(b)
		})
	})
}

// add writes the attributes in the order that DER asks for, which is by their
// encoding: the shorter first.
func (a attributes) add(b *cryptobyte.Builder) {
	var encoded [][]byte
	addAttribute := func(oid asn1.ObjectIdentifier, tag cbasn1.Tag, value []byte) {
		attr, err := build(func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(oid)
				b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
					b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes(value) })
				})
			})
		})
		if err != nil {
			b.SetError(err)
			return
		}
		encoded = append(encoded, attr)
	}
	if a.name != "" {
		addAttribute(oidFriendlyName, bmpTag, bmpString(a.name))
	}
	if a.keyID != nil {
		addAttribute(oidLocalKeyID, cbasn1.OCTET_STRING, a.keyID)
	}
	if len(encoded) == 0 {
		return
	}
	slices.SortFunc(encoded, bytes.Compare)
	b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
		for _, attr := range encoded {
			b.AddBytes(attr)
		}
	})
}

// buildSequence wraps elements in a SEQUENCE.
func buildSequence(elements []byte) ([]byte, error) {
	return build(func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(elements) })
	})
}
