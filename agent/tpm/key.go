package tpm

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"
	"slices"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// kind is a kind of key that may be made, with its template.
type kind struct {
	name     string // as in api.KeyPlan
	template tpm2.TPMTPublic
}

var kinds = []kind{
	{"P-256", ecTemplate(tpm2.TPMECCNistP256)},
	{"P-384", ecTemplate(tpm2.TPMECCNistP384)},
	{"RSA-3072", rsaTemplate(3072)},
	{"RSA-4096", rsaTemplate(4096)},
}

func kindOf(name string) (kind, error) {
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
	if i < 0 {
		return kind{}, ErrTPM.Withf("No %s key can be made in a TPM by this agent.", name)
	}
	return kinds[i], nil
}

// signingKey are the attributes of a key that signs anything, was made in the TPM and never leaves it or its parent.
var signingKey = tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, SignEncrypt: true}

func ecTemplate(curve tpm2.TPMECCCurve) tpm2.TPMTPublic {
	return tpm2.TPMTPublic{Type: tpm2.TPMAlgECC, NameAlg: tpm2.TPMAlgSHA256, ObjectAttributes: signingKey,
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{CurveID: curve})}
}

func rsaTemplate(bits tpm2.TPMKeyBits) tpm2.TPMTPublic {
	return tpm2.TPMTPublic{Type: tpm2.TPMAlgRSA, NameAlg: tpm2.TPMAlgSHA256, ObjectAttributes: signingKey,
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgRSA, &tpm2.TPMSRSAParms{KeyBits: bits})}
}

// authValue is a PIN as the TPM takes it: no longer than the name's hash, and hashed so that any PIN fits.
func authValue(pin string) []byte {
	sum := sha256.Sum256([]byte("sealpost tpm pin\x00" + pin))
	return sum[:]
}

// loaded is an object in one of the TPM's few slots, until it is flushed.
type loaded struct {
	handle tpm2.TPMHandle
	name   tpm2.TPM2BName
	public tpm2.TPMTPublic
}

// flush frees the slot. A resource manager does it too; a simulator has none.
func (l loaded) flush(t transport.TPM) { _, _ = tpm2.FlushContext{FlushHandle: l.handle}.Execute(t) } // the next call would say so

// storage makes the storage primary: always the same key, for it comes from the TPM's seed and the template.
func storage(t transport.TPM) (loaded, error) {
	return primary(t, tpm2.TPMRHOwner, tpm2.ECCSRKTemplate)
}

func primary(t transport.TPM, hierarchy tpm2.TPMHandle, template tpm2.TPMTPublic) (loaded, error) {
	made, err := tpm2.CreatePrimary{PrimaryHandle: hierarchy, InPublic: tpm2.New2B(template)}.Execute(t)
	if err != nil {
		return loaded{}, fmt.Errorf("make primary key: %w", err)
	}
	public, err := made.OutPublic.Contents()
	if err != nil {
		return loaded{}, fmt.Errorf("read primary key: %w", err)
	}
	return loaded{made.ObjectHandle, made.Name, *public}, nil
}

// secret is a session in which what goes to the TPM is encrypted to the storage primary: nobody reads a PIN on the wires
// between processor and TPM.
func (l loaded) secret(auth []byte) tpm2.Session {
	return tpm2.HMAC(tpm2.TPMAlgSHA256, 16, tpm2.Auth(auth), tpm2.Salted(l.handle, l.public), tpm2.AESEncryption(128, tpm2.EncryptIn))
}

// create makes a child.
func (l loaded) create(t transport.TPM, template tpm2.TPMTPublic, auth []byte) (public, private []byte, err error) {
	made, err := tpm2.Create{
		ParentHandle: tpm2.AuthHandle{Handle: l.handle, Name: l.name, Auth: l.secret(nil)},
		InSensitive:  tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{UserAuth: tpm2.TPM2BAuth{Buffer: auth}}},
		InPublic:     tpm2.New2B(template),
	}.Execute(t)
	if err != nil {
		return nil, nil, fmt.Errorf("make key: %w", err)
	}
	return made.OutPublic.Bytes(), made.OutPrivate.Buffer, nil
}

// load puts a child into a slot.
func (l loaded) load(t transport.TPM, o object, area tpm2.TPMTPublic) (loaded, error) {
	in, err := tpm2.Load{
		ParentHandle: tpm2.AuthHandle{Handle: l.handle, Name: l.name, Auth: tpm2.PasswordAuth(nil)},
		InPrivate:    tpm2.TPM2BPrivate{Buffer: o.Private},
		InPublic:     tpm2.New2B(area),
	}.Execute(t)
	if err != nil {
		return loaded{}, fmt.Errorf("load key: %w", err)
	}
	return loaded{in.ObjectHandle, in.Name, area}, nil
}

// key is a key in the TPM, as crypto.Signer.
type key struct {
	tpm    *TPM
	object object
	area   tpm2.TPMTPublic
	public crypto.PublicKey
}

// Public returns an *ecdsa.PublicKey or *rsa.PublicKey.
func (k *key) Public() crypto.PublicKey { return k.public }

// Sign signs a digest, as crypto.Signer says.
func (k *key) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) (signature []byte, err error) {
	scheme, err := k.scheme(opts)
	if err != nil {
		return nil, err
	}
	err = k.tpm.use(func(t transport.TPM) error {
		return k.within(t, func(in loaded, auth tpm2.Session) error {
			made, err := tpm2.Sign{
				KeyHandle:  tpm2.AuthHandle{Handle: in.handle, Name: in.name, Auth: auth},
				Digest:     tpm2.TPM2BDigest{Buffer: digest},
				InScheme:   scheme,
				Validation: tpm2.TPMTTKHashCheck{Tag: tpm2.TPMSTHashCheck, Hierarchy: tpm2.TPMRHNull},
			}.Execute(t)
			if err != nil {
				return fmt.Errorf("sign: %w", err)
			}
			signature, err = encode(made.Signature)
			return err
		})
	})
	return signature, err
}

// within loads the key for as long as f runs, which is given what authorizes its use.
func (k *key) within(t transport.TPM, f func(in loaded, auth tpm2.Session) error) error {
	return k.under(t, func(_, in loaded, auth tpm2.Session) error { return f(in, auth) })
}

// under is within, for what needs the key's parent, too.
func (k *key) under(t transport.TPM, f func(parent, in loaded, auth tpm2.Session) error) error {
	var auth []byte
	if k.object.PIN {
		doubted, err := wrongBefore(t)
		if err != nil {
			return err
		}
		text, err := k.tpm.pin.Get("PIN of the key in the TPM", 0, doubted)
		if err != nil {
			return err
		}
		auth = authValue(text)
		defer clear(auth)
	}
	parent, err := storage(t)
	if err != nil {
		return err
	}
	defer parent.flush(t)
	in, err := parent.load(t, k.object, k.area)
	if err != nil {
		return err
	}
	defer in.flush(t)
	return f(parent, in, parent.secret(auth))
}

// wrongBefore reports whether the TPM remembers that somebody gave it a wrong PIN.
func wrongBefore(t transport.TPM) (bool, error) {
	got, err := tpm2.GetCapability{Capability: tpm2.TPMCapTPMProperties, Property: uint32(tpm2.TPMPTLockoutCounter), PropertyCount: 1}.Execute(t)
	if err != nil {
		return false, fmt.Errorf("ask for wrong PINs: %w", err)
	}
	properties, err := got.CapabilityData.Data.TPMProperties()
	if err != nil {
		return false, fmt.Errorf("ask for wrong PINs: %w", err)
	}
	for _, p := range properties.TPMProperty {
		if p.Property == tpm2.TPMPTLockoutCounter {
			return p.Value > 0, nil
		}
	}
	return false, nil
}

var hashes = map[crypto.Hash]tpm2.TPMAlgID{crypto.SHA256: tpm2.TPMAlgSHA256, crypto.SHA384: tpm2.TPMAlgSHA384, crypto.SHA512: tpm2.TPMAlgSHA512}

func (k *key) scheme(opts crypto.SignerOpts) (s tpm2.TPMTSigScheme, err error) {
	hash, ok := hashes[opts.HashFunc()]
	if !ok {
		return s, ErrTPM.Withf("The TPM signs no %s digests.", opts.HashFunc())
	}
	s.Scheme = tpm2.TPMAlgECDSA
	if _, ok := k.public.(*rsa.PublicKey); ok {
		s.Scheme = tpm2.TPMAlgRSASSA
		if _, pss := opts.(*rsa.PSSOptions); pss {
			s.Scheme = tpm2.TPMAlgRSAPSS
		}
	}
	s.Details = tpm2.NewTPMUSigScheme(s.Scheme, &tpm2.TPMSSchemeHash{HashAlg: hash})
	return s, nil
}

// encode returns a signature as crypto.Signer's callers expect it.
func encode(s tpm2.TPMTSignature) ([]byte, error) {
	switch s.SigAlg {
	case tpm2.TPMAlgECDSA:
		ec, err := s.Signature.ECDSA()
		if err != nil {
			return nil, err
		}
		return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(ec.SignatureR.Buffer), new(big.Int).SetBytes(ec.SignatureS.Buffer)})
	case tpm2.TPMAlgRSASSA:
		r, err := s.Signature.RSASSA()
		if err != nil {
			return nil, err
		}
		return r.Sig.Buffer, nil
	case tpm2.TPMAlgRSAPSS:
		r, err := s.Signature.RSAPSS()
		if err != nil {
			return nil, err
		}
		return r.Sig.Buffer, nil
	}
	return nil, fmt.Errorf("signature of kind %v", s.SigAlg)
}
