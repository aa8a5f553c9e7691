package pkcs12

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Decode reads a file that is protected by a passphrase: PBES2 with AES-CBC, or
// 3DES, and a MAC. It returns an entry for each key, in the order of the file, with
// the certificate that certifies it, and all other certificates as the chain. A
// wrong passphrase is ErrPassphrase; faults of the file are ErrMalformed,
// ErrTooLarge or ErrUnsupported.
func Decode(p12 []byte, passphrase string) ([]Entry, []*x509.Certificate, error) {
	return decode(p12, newDeriver(passphrase))
}

// DecodeForeign is Decode for files that other programs wrote, maybe long ago: it also reads BER and RC2, which Sealpost
// and today's programs do not write.
func DecodeForeign(p12 []byte, passphrase string) ([]Entry, []*x509.Certificate, error) {
	keys := newDeriver(passphrase)
	keys.foreign = true
	return decode(p12, keys)
}

func decode(p12 []byte, keys *deriver) ([]Entry, []*x509.Certificate, error) {
	if len(p12) > MaxSize {
		return nil, nil, ErrTooLarge.Withf("The file has %d bytes; at most %d are accepted.", len(p12), MaxSize)
	}
	p12, err := keys.der(p12)
	if err != nil {
		return nil, nil, err
	}
	safe, macData, err := parsePFX(p12)
	if err != nil {
		return nil, nil, err
	}
	defer keys.clear()
	if err := keys.checkMAC(macData, safe); err != nil {
		return nil, nil, err
	}
	var c contents
	if err := c.readSafe(safe, keys); err != nil {
		return nil, nil, err
	}
	entries, chain := c.match()
	return entries, chain, nil
}

// parsePFX takes the outermost structure apart (RFC 7292 §4).
func parsePFX(p12 []byte) (safe []byte, macData cryptobyte.String, err error) {
	input := cryptobyte.String(p12)
	if len(p12) > 1 && p12[1] == 0x80 {
		return nil, nil, ErrUnsupported.Withf("The file is BER with indefinite lengths; only DER is accepted.")
	}
	var pfx, octets cryptobyte.String
	var version int
	if !input.ReadASN1(&pfx, cbasn1.SEQUENCE) || !input.Empty() || !pfx.ReadASN1Integer(&version) || version != 3 {
		return nil, nil, ErrMalformed
	}
	typ, content, ok := readContentInfo(&pfx)
	if !ok {
		return nil, nil, ErrMalformed
	}
	if !typ.Equal(oidData) {
		return nil, nil, ErrUnsupported.Withf("The file is not protected by a passphrase.")
	}
	if !content.ReadASN1(&octets, cbasn1.OCTET_STRING) || !content.Empty() {
		return nil, nil, ErrMalformed
	}
	if pfx.Empty() {
		return nil, nil, ErrUnsupported.Withf("The file has no MAC, so that alterations would go unnoticed.")
	}
	if !pfx.ReadASN1(&macData, cbasn1.SEQUENCE) || !pfx.Empty() {
		return nil, nil, ErrMalformed
	}
	return octets, macData, nil
}

// contents are the bags of a file.
type contents struct {
	keys  []foundKey
	certs []foundCert
}

type foundKey struct {
	key    crypto.PrivateKey
	public string // SubjectPublicKeyInfo
	attributes
}

type foundCert struct {
	cert *x509.Certificate
	used bool
	attributes
}

// readSafe reads an AuthenticatedSafe (RFC 7292 §4.1).
func (c *contents) readSafe(der []byte, keys *deriver) error {
	der, err := keys.der(der)
	if err != nil {
		return err
	}
	input := cryptobyte.String(der)
	var safe cryptobyte.String
	if !input.ReadASN1(&safe, cbasn1.SEQUENCE) || !input.Empty() {
		return ErrMalformed
	}
	for !safe.Empty() {
		typ, content, ok := readContentInfo(&safe)
		if !ok {
			return ErrMalformed
		}
		var err error
		switch {
		case typ.Equal(oidData):
			var octets cryptobyte.String
			if !content.ReadASN1(&octets, cbasn1.OCTET_STRING) || !content.Empty() {
				return ErrMalformed
			}
			err = c.readBags(octets, keys)
		case typ.Equal(oidEncryptedData):
			err = c.readEncrypted(content, keys)
		default:
			err = ErrUnsupported.Withf("The file has a part of type %v, which is not accepted.", typ)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readEncrypted reads EncryptedData (RFC 5652 §8) with bags inside.
func (c *contents) readEncrypted(content cryptobyte.String, keys *deriver) error {
	var data, info cryptobyte.String
	var version int
	var typ asn1.ObjectIdentifier
	var alg algorithm
	if !content.ReadASN1(&data, cbasn1.SEQUENCE) || !content.Empty() ||
		!data.ReadASN1Integer(&version) || !data.ReadASN1(&info, cbasn1.SEQUENCE) ||
		!info.ReadASN1ObjectIdentifier(&typ) || !typ.Equal(oidData) || !readAlgorithm(&info, &alg) {
		return ErrMalformed
	}
	ciphertext, ok := keys.implicit(&info)
	if !ok || !info.Empty() {
		return ErrMalformed
	}
	plain, err := keys.decrypt(alg, ciphertext)
	if err != nil {
		return err
	}
	defer clear(plain) // a key may lie inside without further encryption
	return c.readBags(plain, keys)
}

// readBags reads SafeContents (RFC 7292 §4.2).
func (c *contents) readBags(der []byte, keys *deriver) error {
	converted, err := keys.der(der)
	if err != nil {
		return err
	}
	if keys.foreign {
		defer clear(converted) // a copy, in which a key may lie
	}
	input := cryptobyte.String(converted)
	var bags cryptobyte.String
	if !input.ReadASN1(&bags, cbasn1.SEQUENCE) || !input.Empty() {
		return ErrMalformed
	}
	for !bags.Empty() {
		var bag, value cryptobyte.String
		var typ asn1.ObjectIdentifier
		if !bags.ReadASN1(&bag, cbasn1.SEQUENCE) || !bag.ReadASN1ObjectIdentifier(&typ) || !bag.ReadASN1(&value, context(0)) {
			return ErrMalformed
		}
		attrs, ok := readAttributes(bag)
		if !ok {
			return ErrMalformed
		}
		if err := c.readBag(typ, value, attrs, keys); err != nil {
			return err
		}
	}
	return nil
}

func (c *contents) readBag(typ asn1.ObjectIdentifier, value cryptobyte.String, attrs attributes, keys *deriver) error {
	switch {
	case typ.Equal(oidShroudedBag):
		var info, ciphertext cryptobyte.String
		var alg algorithm
		if !value.ReadASN1(&info, cbasn1.SEQUENCE) || !value.Empty() ||
			!readAlgorithm(&info, &alg) || !info.ReadASN1(&ciphertext, cbasn1.OCTET_STRING) || !info.Empty() {
			return ErrMalformed
		}
		pkcs8, err := keys.decrypt(alg, ciphertext)
		if err != nil {
			return err
		}
		return c.addKey(pkcs8, attrs)
	case typ.Equal(oidKeyBag):
		return c.addKey(bytes.Clone(value), attrs)
	case typ.Equal(oidCertBag):
		return c.addCertificate(value, attrs)
	case typ.Equal(oidCRLBag), typ.Equal(oidSecretBag):
		return nil // of no use to us, and no loss
	}
	return ErrUnsupported.Withf("The file has a bag of type %v, which is not accepted.", typ)
}

// addKey parses a key and clears its encoding.
func (c *contents) addKey(pkcs8 []byte, attrs attributes) error {
	defer clear(pkcs8)
	if len(pkcs8) > maxKeySize {
		return ErrTooLarge.Withf("A key in the file has %d bytes; at most %d are accepted.", len(pkcs8), maxKeySize)
	}
	key, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return ErrUnsupported.Withf("The file has a private key that cannot be read.") // the cause may quote the key
	}
	public, err := publicKeyOf(key)
	if err != nil {
		return ErrUnsupported.Withf("The file has a private key of a kind that is not accepted.")
	}
	c.keys = append(c.keys, foundKey{key, public, attrs})
	return nil
}

func (c *contents) addCertificate(value cryptobyte.String, attrs attributes) error {
	var bag, content, der cryptobyte.String
	var typ asn1.ObjectIdentifier
	if !value.ReadASN1(&bag, cbasn1.SEQUENCE) || !value.Empty() || !bag.ReadASN1ObjectIdentifier(&typ) ||
		!bag.ReadASN1(&content, context(0)) || !bag.Empty() {
		return ErrMalformed
	}
	if !typ.Equal(oidX509Cert) {
		return ErrUnsupported.Withf("The file has a certificate of type %v, which is not accepted.", typ)
	}
	if !content.ReadASN1(&der, cbasn1.OCTET_STRING) || !content.Empty() {
		return ErrMalformed
	}
	cert, err := x509.ParseCertificate(bytes.Clone(der))
	if err != nil {
		return ErrMalformed.Withf("The file has a certificate that cannot be read.").Because(err)
	}
	c.certs = append(c.certs, foundCert{cert: cert, attributes: attrs})
	return nil
}

// readAttributes reads the optional attributes of a bag; those that say nothing to
// us are skipped.
func readAttributes(bag cryptobyte.String) (attributes, bool) {
	var a attributes
	if bag.Empty() {
		return a, true
	}
	var set cryptobyte.String
	if !bag.ReadASN1(&set, cbasn1.SET) || !bag.Empty() {
		return a, false
	}
	for !set.Empty() {
		var attr, values, value cryptobyte.String
		var typ asn1.ObjectIdentifier
		if !set.ReadASN1(&attr, cbasn1.SEQUENCE) || !attr.ReadASN1ObjectIdentifier(&typ) ||
			!attr.ReadASN1(&values, cbasn1.SET) || !attr.Empty() {
			return a, false
		}
		ok := true
		switch {
		case typ.Equal(oidFriendlyName):
			if ok = values.ReadASN1(&value, bmpTag); ok {
				a.name, ok = parseBMPString(value)
			}
		case typ.Equal(oidLocalKeyID):
			ok = values.ReadASN1(&value, cbasn1.OCTET_STRING)
			a.keyID = bytes.Clone(value)
		}
		if !ok {
			return a, false
		}
	}
	return a, true
}

// match gives every key its certificate: one with the same public key, and among
// several, as after a renewal, the one with the same localKeyID. What is left over
// is the chain.
func (c *contents) match() ([]Entry, []*x509.Certificate) {
	byKey := make(map[string][]*foundCert)
	for i := range c.certs {
		spki, err := certifiedKey(c.certs[i].cert)
		if err != nil {
			continue // a certificate for a kind of key that cannot be in the file either
		}
		byKey[spki] = append(byKey[spki], &c.certs[i])
	}
	var entries []Entry
	for _, k := range c.keys {
		entry := Entry{Key: k.key, Name: k.name}
		if found := pick(byKey[k.public], k.keyID); found != nil {
			found.used = true
			entry.Certificate = found.cert
			if entry.Name == "" {
				entry.Name = found.name
			}
		}
		entries = append(entries, entry)
	}
	var chain []*x509.Certificate
	for _, f := range c.certs {
		if !f.used {
			chain = append(chain, f.cert)
		}
	}
	return entries, chain
}

func pick(candidates []*foundCert, keyID []byte) *foundCert {
	var first *foundCert
	for _, f := range candidates {
		if f.used {
			continue
		}
		if len(keyID) > 0 && bytes.Equal(f.keyID, keyID) {
			return f
		}
		if first == nil {
			first = f
		}
	}
	return first
}
