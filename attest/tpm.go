package attest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"slices"
	"time"

	"github.com/google/go-tpm/tpm2"
)

// oidEK is the extended key usage of an endorsement key's certificate (TCG EK Credential Profile, section 3.2.16).
var oidEK = asn1.ObjectIdentifier{2, 23, 133, 8, 1}

// Device is a TPM whose endorsement was checked, with the attestation key that is said to be in it.
type Device struct {
	ek    *x509.Certificate
	maker string
	aik   *tpm2.TPMTPublic
	name  []byte // of the AIK
}

// Statement is what a TPM says about a key: TPM2_Certify by the AIK.
type Statement struct {
	Key       []byte // TPMT_PUBLIC of the key
	Info      []byte // TPMS_ATTEST
	Signature []byte // TPMT_SIGNATURE by the AIK
}

// NewDevice checks that a TPM is endorsed (the EK's certificate first, then those above it) and that the AIK (TPMT_PUBLIC) is one that
// can only make true statements, if it is in that TPM. That it is, is for the challenge to show.
func NewDevice(ek [][]byte, aik []byte, trusted *x509.CertPool, now time.Time) (*Device, error) {
	leaf, way, err := chain(ek, trusted, now)
	if err != nil {
		return nil, err
	}
	if leaf.IsCA || !slices.ContainsFunc(leaf.UnknownExtKeyUsage, oidEK.Equal) {
		return nil, ErrEndorsed.Withf("The certificate is not that of a TPM's endorsement key.")
	}
	public, err := readPublic(aik)
	if err != nil {
		return nil, err
	}
	a := public.ObjectAttributes
	if !a.Restricted || !a.SignEncrypt || a.Decrypt || !a.FixedTPM || !a.FixedParent || !a.SensitiveDataOrigin {
		return nil, ErrAttestKey
	}
	name, err := tpm2.ObjectName(public)
	if err != nil {
		return nil, ErrStatement.Because(err)
	}
	return &Device{ek: leaf, maker: way[len(way)-1].Subject.String(), aik: public, name: name.Buffer}, nil
}

// Identity names the TPM and its AIK, for who makes the secret of a challenge.
func (d *Device) Identity() []byte { return append(hash(d.ek.Raw), hash(d.name)...) }

// Challenge encrypts a secret of at most 32 bytes so that only the endorsed TPM opens it, and only if the AIK is in it
// (TPM2_MakeCredential): credential is the content of a TPM2B_ID_OBJECT, encrypted that of a TPM2B_ENCRYPTED_SECRET.
func (d *Device) Challenge(secret []byte) (credential, encrypted []byte, err error) {
	var ek tpm2.TPMTPublic
	switch k := d.ek.PublicKey.(type) {
	case *rsa.PublicKey:
		if k.Size() != 256 || k.E != 65537 {
			return nil, nil, ErrEndorsed.Withf("The endorsement key of the TPM is not of a usual kind.")
		}
		ek = tpm2.RSAEKTemplate
		ek.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: k.N.FillBytes(make([]byte, k.Size()))})
	case *ecdsa.PublicKey:
		if k.Params().BitSize != 256 {
			return nil, nil, ErrEndorsed.Withf("The endorsement key of the TPM is not of a usual kind.")
		}
		ek = tpm2.ECCEKTemplate
		point, err := k.Bytes()
		if err != nil {
			return nil, nil, ErrEndorsed.Because(err)
		}
		ek.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{X: tpm2.TPM2BECCParameter{Buffer: point[1:33]}, Y: tpm2.TPM2BECCParameter{Buffer: point[33:]}})
	default:
		return nil, nil, ErrEndorsed.Withf("The endorsement key of the TPM is not of a usual kind.")
	}
	to, err := tpm2.ImportEncapsulationKey(&ek)
	if err != nil {
		return nil, nil, ErrEndorsed.Because(err)
	}
	return tpm2.CreateCredential(rand.Reader, to, d.name, secret)
}

// Verify decides that the statement is by the AIK, is about the key in the certificate request (SubjectPublicKeyInfo), answers the
// question (binding: what the TPM was to put into it), and that the key was made in the TPM, signs, and never leaves.
func (d *Device) Verify(s Statement, binding, spki []byte) (*Proof, error) {
	key, err := readPublic(s.Key)
	if err != nil {
		return nil, err
	}
	if same, err := samePublic(key, spki); err != nil || !same {
		return nil, ErrOtherKey.Because(err)
	}
	if len(s.Info) > maxPart || len(s.Signature) > maxPart {
		return nil, ErrStatement.Withf("The statement about the key is too large.")
	}
	if err := d.signed(s.Info, s.Signature); err != nil {
		return nil, err
	}
	info, err := tpm2.Unmarshal[tpm2.TPMSAttest](s.Info)
	if err != nil || info.Magic != tpm2.TPMGeneratedValue || info.Type != tpm2.TPMSTAttestCertify {
		return nil, ErrStatement.Withf("The TPM's statement is not one about a key.").Because(err)
	}
	if subtle.ConstantTimeCompare(info.ExtraData.Buffer, binding) != 1 {
		return nil, ErrChallenge
	}
	about, err := info.Attested.Certify()
	if err != nil {
		return nil, ErrStatement.Because(err)
	}
	name, err := tpm2.ObjectName(key)
	if err != nil {
		return nil, ErrStatement.Because(err)
	}
	if !bytes.Equal(about.Name.Buffer, name.Buffer) {
		return nil, ErrOtherKey
	}
	a := key.ObjectAttributes
	if !a.FixedTPM || !a.FixedParent || !a.SensitiveDataOrigin {
		return nil, ErrCopyable
	}
	if !a.SignEncrypt || a.Decrypt {
		return nil, ErrNotSigning
	}
	return &Proof{Device: "tpm", Maker: d.maker, Serial: d.ek.SerialNumber.Text(16), Endorsement: hex.EncodeToString(hash(d.ek.Raw))}, nil
}

// readPublic reads a TPMT_PUBLIC with nothing after it, of a kind whose name is a SHA-256.
func readPublic(b []byte) (*tpm2.TPMTPublic, error) {
	if len(b) > maxPart {
		return nil, ErrStatement.Withf("A key of the TPM's is too large.")
	}
	public, err := tpm2.Unmarshal[tpm2.TPMTPublic](b)
	if err != nil || !bytes.Equal(tpm2.Marshal(public), b) {
		return nil, ErrStatement.Withf("A key of the TPM's cannot be read.").Because(err)
	}
	if public.NameAlg != tpm2.TPMAlgSHA256 || public.Type != tpm2.TPMAlgECC && public.Type != tpm2.TPMAlgRSA {
		return nil, ErrStatement.Withf("A key of the TPM's is of a kind that is not used.")
	}
	return public, nil
}

func publicKey(area *tpm2.TPMTPublic) (crypto.PublicKey, error) {
	public, err := tpm2.Pub(*area)
	if err != nil {
		return nil, err
	}
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		_, err = k.ECDH() // which looks whether the point is on the curve
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < 2048 || bits > 4096 || k.N.Bit(0) == 0 {
			return nil, ErrStatement.Withf("A key of the TPM's is of a size that is not used.")
		}
	}
	return public, err
}

func samePublic(area *tpm2.TPMTPublic, spki []byte) (bool, error) {
	public, err := publicKey(area)
	if err != nil {
		return false, err
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	return err == nil && bytes.Equal(der, spki), err
}

// signed checks the AIK's signature, with SHA-256.
func (d *Device) signed(info, signature []byte) error {
	s, err := tpm2.Unmarshal[tpm2.TPMTSignature](signature)
	if err != nil {
		return ErrStatement.Because(err)
	}
	public, err := publicKey(d.aik)
	if err != nil {
		return ErrAttestKey.Because(err)
	}
	digest := hash(info)
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		ec, err := s.Signature.ECDSA()
		if err != nil || s.SigAlg != tpm2.TPMAlgECDSA || ec.Hash != tpm2.TPMAlgSHA256 ||
			!ecdsa.Verify(k, digest, new(big.Int).SetBytes(ec.SignatureR.Buffer), new(big.Int).SetBytes(ec.SignatureS.Buffer)) {
			return ErrSignature.Because(err)
		}
	case *rsa.PublicKey:
		r, err := s.Signature.RSASSA()
		if err != nil || s.SigAlg != tpm2.TPMAlgRSASSA || r.Hash != tpm2.TPMAlgSHA256 {
			return ErrSignature.Because(err)
		}
		if err := rsa.VerifyPKCS1v15(k, crypto.SHA256, digest, r.Sig.Buffer); err != nil {
			return ErrSignature.Because(err)
		}
	default:
		return ErrAttestKey
	}
	return nil
}

func hash(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:]
}
