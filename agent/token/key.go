//go:build cgo

package token

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"

	"github.com/miekg/pkcs11"
)

// kind is a kind of key that tokens may make.
type kind struct {
	name      string // as in api.KeyPlan
	mechanism uint   // that makes it
	bits      uint
	public    []*pkcs11.Attribute
	private   []*pkcs11.Attribute // what it is not for
}

var (
	oidP256 = []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07} // DER
	oidP384 = []byte{0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22}
)

func kinds() []kind {
	ec := func(name string, bits uint, oid []byte) kind {
		return kind{name, pkcs11.CKM_EC_KEY_PAIR_GEN, bits, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_EC),
			pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, oid)}, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_DERIVE, false)}}
	}
	rsa := func(bits uint) kind {
		return kind{fmt.Sprintf("RSA-%d", bits), pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, bits, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_RSA),
			pkcs11.NewAttribute(pkcs11.CKA_MODULUS_BITS, bits), pkcs11.NewAttribute(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1})},
			[]*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_DECRYPT, false), pkcs11.NewAttribute(pkcs11.CKA_UNWRAP, false)}}
	}
	return []kind{ec("P-256", 256, oidP256), ec("P-384", 384, oidP384), rsa(3072), rsa(4096)}
}

// Algorithms asks the token which of the kinds of key that are used here it can make.
func (p *Token) Algorithms() (able []string, err error) {
	err = p.use("", false, 0, func(c *connection) error {
		for _, k := range kinds() {
			info, err := c.GetMechanismInfo(c.slot, []*pkcs11.Mechanism{pkcs11.NewMechanism(k.mechanism, nil)})
			if errors.Is(err, pkcs11.Error(pkcs11.CKR_MECHANISM_INVALID)) {
				continue
			}
			if err != nil {
				return err
			}
			if info.MinKeySize <= k.bits && k.bits <= info.MaxKeySize {
				able = append(able, k.name)
			}
		}
		return nil
	})
	return able, err
}

// Make makes a key on the token. note is called with the address of the very token.
func (p *Token) Make(algorithm, name string, least int, note func([]byte) error) (object []byte, signer crypto.Signer, err error) {
	id, err := keyID(name)
	if err != nil {
		return nil, nil, err
	}
	var chosen *kind
	for _, k := range kinds() {
		if k.name == algorithm {
			chosen = &k
		}
	}
	if chosen == nil {
		return nil, nil, ErrToken.Withf("No %s key can be made on a token by this agent.", algorithm)
	}
	err = p.use("", true, least, func(c *connection) error {
		object = []byte(c.at.String())
		if err := note(object); err != nil {
			return err
		}
		if err := c.generate(*chosen, id); err != nil {
			return errors.Join(err, c.remove(id))
		}
		signer, err = p.signer(c, id)
		return err
	})
	return object, signer, err
}

// generate makes a key that the token must never give out, and holds the token to that.
func (c *connection) generate(k kind, id []byte) error {
	label := fmt.Sprintf("Sealpost signing %x", id[:min(4, len(id))])
	both := []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_ID, id), pkcs11.NewAttribute(pkcs11.CKA_LABEL, label)}
	public := append(append([]*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_VERIFY, true)}, both...), k.public...)
	private := append(append([]*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true), pkcs11.NewAttribute(pkcs11.CKA_SIGN, true),
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true), pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false)}, both...), k.private...)
	_, made, err := c.GenerateKeyPair(c.session, []*pkcs11.Mechanism{pkcs11.NewMechanism(k.mechanism, nil)}, public, private)
	if err != nil {
		return fmt.Errorf("make key: %w", err)
	}
	for _, a := range []struct {
		attribute uint
		want      byte
	}{{pkcs11.CKA_SENSITIVE, 1}, {pkcs11.CKA_EXTRACTABLE, 0}, {pkcs11.CKA_NEVER_EXTRACTABLE, 1}, {pkcs11.CKA_LOCAL, 1}} {
		got, err := c.GetAttributeValue(c.session, made, []*pkcs11.Attribute{pkcs11.NewAttribute(a.attribute, nil)})
		if err != nil {
			return fmt.Errorf("read what the token says of the key: %w", err)
		}
		if len(got) != 1 || !bytes.Equal(got[0].Value, []byte{a.want}) {
			return ErrToken.Withf("The token made a key that could be taken out of it. It is not one for signing keys; the key was removed.")
		}
	}
	return nil
}

// Open returns a key to use.
func (p *Token) Open(name string, object []byte) (signer crypto.Signer, err error) {
	id, err := keyID(name)
	if err != nil {
		return nil, err
	}
	err = p.use(string(object), true, 0, func(c *connection) error {
		signer, err = p.signer(c, id)
		return err
	})
	return signer, err
}

// Remove destroys the key, its public half and the certificate beside them.
func (p *Token) Remove(name string, object []byte) error {
	id, err := keyID(name)
	if err != nil {
		return err
	}
	return p.use(string(object), true, 0, func(c *connection) error { return c.remove(id) })
}

func (c *connection) remove(id []byte) error {
	for _, class := range []uint{pkcs11.CKO_CERTIFICATE, pkcs11.CKO_PUBLIC_KEY, pkcs11.CKO_PRIVATE_KEY} {
		found, err := c.objects(class, id)
		if err != nil {
			return err
		}
		for _, o := range found {
			if err := c.DestroyObject(c.session, o); err != nil {
				return fmt.Errorf("remove from the token: %w", err)
			}
		}
	}
	return nil
}

// Certify writes the certificate of a key beside it, in place of one that is there.
func (p *Token) Certify(name string, object []byte, cert *x509.Certificate) error {
	id, err := keyID(name)
	if err != nil {
		return err
	}
	serial, err := asn1.Marshal(cert.SerialNumber)
	if err != nil {
		return fmt.Errorf("encode serial number: %w", err)
	}
	return p.use(string(object), true, 0, func(c *connection) error {
		there, err := c.objects(pkcs11.CKO_CERTIFICATE, id)
		if err != nil {
			return err
		}
		for _, o := range there {
			value, err := c.GetAttributeValue(c.session, o, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_VALUE, nil)})
			if err == nil && len(value) == 1 && bytes.Equal(value[0].Value, cert.Raw) {
				return nil
			}
			if err := c.DestroyObject(c.session, o); err != nil {
				return fmt.Errorf("remove another certificate: %w", err)
			}
		}
		label := cert.Subject.CommonName
		if label == "" {
			label = "Sealpost signing"
		}
		_, err = c.CreateObject(c.session, []*pkcs11.Attribute{
			pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_CERTIFICATE), pkcs11.NewAttribute(pkcs11.CKA_CERTIFICATE_TYPE, pkcs11.CKC_X_509),
			pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, false),
			pkcs11.NewAttribute(pkcs11.CKA_ID, id), pkcs11.NewAttribute(pkcs11.CKA_LABEL, label),
			pkcs11.NewAttribute(pkcs11.CKA_SUBJECT, cert.RawSubject), pkcs11.NewAttribute(pkcs11.CKA_ISSUER, cert.RawIssuer),
			pkcs11.NewAttribute(pkcs11.CKA_SERIAL_NUMBER, serial), pkcs11.NewAttribute(pkcs11.CKA_VALUE, cert.Raw),
		})
		if err != nil {
			return fmt.Errorf("write certificate: %w", err)
		}
		return nil
	})
}

// objects returns the handles of the objects of a class under an id.
func (c *connection) objects(class uint, id []byte) ([]pkcs11.ObjectHandle, error) {
	err := c.FindObjectsInit(c.session, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, class), pkcs11.NewAttribute(pkcs11.CKA_ID, id)})
	if err != nil {
		return nil, fmt.Errorf("look for a key: %w", err)
	}
	found, _, err := c.FindObjects(c.session, 8)
	if err := errors.Join(err, c.FindObjectsFinal(c.session)); err != nil {
		return nil, fmt.Errorf("look for a key: %w", err)
	}
	return found, nil
}

func (c *connection) one(class uint, id []byte) (pkcs11.ObjectHandle, error) {
	found, err := c.objects(class, id)
	if err == nil && len(found) != 1 {
		err = ErrKey
	}
	if err != nil {
		return 0, err
	}
	return found[0], nil
}

// key is a key on the token, as crypto.Signer.
type key struct {
	token  *Token
	where  string
	id     []byte
	public crypto.PublicKey
}

func (p *Token) signer(c *connection, id []byte) (*key, error) {
	if _, err := c.one(pkcs11.CKO_PRIVATE_KEY, id); err != nil {
		return nil, err
	}
	handle, err := c.one(pkcs11.CKO_PUBLIC_KEY, id)
	if err != nil {
		return nil, err
	}
	public, err := c.publicKey(handle)
	if err != nil {
		return nil, err
	}
	return &key{p, c.at.String(), id, public}, nil
}

func (c *connection) publicKey(handle pkcs11.ObjectHandle) (crypto.PublicKey, error) {
	read := func(types ...uint) ([][]byte, error) {
		var template []*pkcs11.Attribute
		for _, t := range types {
			template = append(template, pkcs11.NewAttribute(t, nil))
		}
		got, err := c.GetAttributeValue(c.session, handle, template)
		if err != nil || len(got) != len(types) {
			return nil, fmt.Errorf("read public key: %w", err)
		}
		var out [][]byte
		for _, a := range got {
			out = append(out, a.Value)
		}
		return out, nil
	}
	if ec, err := read(pkcs11.CKA_EC_PARAMS, pkcs11.CKA_EC_POINT); err == nil && len(ec[0]) > 0 {
		curve := elliptic.P256()
		if bytes.Equal(ec[0], oidP384) {
			curve = elliptic.P384()
		}
		var point []byte
		if _, err := asn1.Unmarshal(ec[1], &point); err != nil {
			point = ec[1] // some tokens leave the OCTET STRING out
		}
		public, err := ecdsa.ParseUncompressedPublicKey(curve, point)
		if err != nil {
			return nil, ErrKey.Because(err)
		}
		return public, nil
	}
	n, err := read(pkcs11.CKA_MODULUS, pkcs11.CKA_PUBLIC_EXPONENT)
	if err != nil {
		return nil, err
	}
	e := new(big.Int).SetBytes(n[1])
	if !e.IsInt64() || e.Int64() > 1<<31-1 {
		return nil, ErrKey.Withf("The key on the token has a strange exponent.")
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n[0]), E: int(e.Int64())}, nil
}

// Public returns an *ecdsa.PublicKey or *rsa.PublicKey.
func (k *key) Public() crypto.PublicKey { return k.public }

// Sign signs a digest, as crypto.Signer says.
func (k *key) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) (signature []byte, err error) {
	mechanism, input, err := k.mechanism(digest, opts)
	if err != nil {
		return nil, err
	}
	err = k.token.use(k.where, true, 0, func(c *connection) error {
		handle, err := c.one(pkcs11.CKO_PRIVATE_KEY, k.id)
		if err != nil {
			return err
		}
		if err := c.SignInit(c.session, []*pkcs11.Mechanism{mechanism}, handle); err != nil {
			return fmt.Errorf("sign: %w", err)
		}
		if signature, err = c.Sign(c.session, input); err != nil {
			return fmt.Errorf("sign: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if _, ok := k.public.(*ecdsa.PublicKey); !ok {
		return signature, nil
	}
	half := len(signature) / 2
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:])})
}
