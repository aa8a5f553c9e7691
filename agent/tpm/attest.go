package tpm

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/fault"
)

// ErrNoEndorsement is returned where a TPM has no certificate of its maker's, and so nothing that it says can be believed.
var ErrNoEndorsement = fault.New(fault.Unavailable, "tpm-no-endorsement", "This TPM has no certificate of its maker, so it cannot prove that a key is in it. "+
	"Simulated TPMs, and some old ones, have none: ask your administrator for another place for your key.")

// endorsements are the usual kinds of endorsement key, and where their certificates lie (TCG EK Credential Profile, section 2.2.1.4).
var endorsements = []struct {
	index    tpm2.TPMHandle
	template tpm2.TPMTPublic
}{
	{0x01C00002, tpm2.RSAEKTemplate},
	{0x01C0000A, tpm2.ECCEKTemplate},
}

// attestationKey is a key that signs nothing but what the TPM itself says. It is made anew from the endorsement seed each time and
// always the same.
var attestationKey = tpm2.TPMTPublic{Type: tpm2.TPMAlgECC, NameAlg: tpm2.TPMAlgSHA256,
	ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, NoDA: true, Restricted: true, SignEncrypt: true},
	Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{CurveID: tpm2.TPMECCNistP256,
		Scheme: tpm2.TPMTECCScheme{Scheme: tpm2.TPMAlgECDSA, Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256})}}),
}

// Attest has the TPM prove to the server that a key was made in it and cannot leave: it opens the server's challenge, which only it
// can, and certifies the key.
func (p *TPM) Attest(_ string, blob []byte, challenge func(api.AttestationRequest) (api.AttestationChallenge, error)) (*api.SigningAttestation, error) {
	opened, err := p.Open("", blob)
	if err != nil {
		return nil, err
	}
	k, ok := opened.(*key)
	if !ok {
		return nil, ErrKey
	}
	spki, err := x509.MarshalPKIXPublicKey(k.public)
	if err != nil {
		return nil, ErrKey.Because(err)
	}
	q, ek, err := p.endorsement()
	if err != nil {
		return nil, err
	}
	c, err := challenge(q) // the TPM is closed while the server thinks
	if err != nil {
		return nil, err
	}
	out := &api.SigningAttestation{Kind: api.AttestationTPM, Certificates: q.Endorsement, Key: q.Key, Challenge: c.Challenge, Public: k.object.Public}
	err = p.use(func(t transport.TPM) error {
		aik, err := primary(t, tpm2.TPMRHEndorsement, attestationKey)
		if err != nil {
			return err
		}
		defer aik.flush(t)
		secret, err := aik.activate(t, ek, c)
		if err != nil {
			return err
		}
		return k.within(t, func(in loaded, auth tpm2.Session) error {
			said, err := tpm2.Certify{
				ObjectHandle:   tpm2.AuthHandle{Handle: in.handle, Name: in.name, Auth: auth},
				SignHandle:     tpm2.AuthHandle{Handle: aik.handle, Name: aik.name, Auth: tpm2.PasswordAuth(nil)},
				QualifyingData: tpm2.TPM2BData{Buffer: api.AttestationBinding(secret, spki)},
				InScheme:       tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull},
			}.Execute(t)
			if err != nil {
				return fmt.Errorf("certify key: %w", err)
			}
			out.Info, out.Signature = said.CertifyInfo.Bytes(), tpm2.Marshal(said.Signature)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// endorsement returns what the TPM shows of itself, and the template of its endorsement key.
func (p *TPM) endorsement() (q api.AttestationRequest, ek tpm2.TPMTPublic, err error) {
	err = p.use(func(t transport.TPM) error {
		for _, e := range endorsements {
			der, err := readNV(t, e.index)
			if err != nil {
				return err
			}
			if der == nil {
				continue
			}
			aik, err := primary(t, tpm2.TPMRHEndorsement, attestationKey)
			if err != nil {
				return err
			}
			aik.flush(t)
			q, ek = api.AttestationRequest{Endorsement: [][]byte{der}, Key: tpm2.Marshal(aik.public)}, e.template
			return nil
		}
		return ErrNoEndorsement
	})
	return q, ek, err
}

// readNV returns the certificate at an index of the TPM's memory; nil where there is none.
func readNV(t transport.TPM, index tpm2.TPMHandle) ([]byte, error) {
	about, err := tpm2.NVReadPublic{NVIndex: index}.Execute(t)
	if errors.Is(err, tpm2.TPMRCHandle) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for endorsement: %w", err)
	}
	public, err := about.NVPublic.Contents()
	if err != nil {
		return nil, fmt.Errorf("look for endorsement: %w", err)
	}
	var data []byte
	for len(data) < int(public.DataSize) {
		const chunk = 512 // every TPM can give as much at once
		got, err := tpm2.NVRead{
			AuthHandle: tpm2.AuthHandle{Handle: index, Name: about.NVName, Auth: tpm2.PasswordAuth(nil)},
			NVIndex:    tpm2.NamedHandle{Handle: index, Name: about.NVName},
			Size:       min(chunk, public.DataSize-uint16(len(data))), Offset: uint16(len(data)),
		}.Execute(t)
		if err != nil {
			return nil, fmt.Errorf("read endorsement: %w", err)
		}
		if len(got.Data.Buffer) == 0 {
			break
		}
		data = append(data, got.Data.Buffer...)
	}
	var certificate asn1.RawValue
	if _, err := asn1.Unmarshal(data, &certificate); err != nil { // the rest of the place may be anything
		return nil, ErrNoEndorsement.Because(err)
	}
	return certificate.FullBytes, nil
}

// activate opens the challenge with the endorsement key, which the TPM does only for a key that it holds.
func (l loaded) activate(t transport.TPM, template tpm2.TPMTPublic, c api.AttestationChallenge) ([]byte, error) {
	ek, err := primary(t, tpm2.TPMRHEndorsement, template)
	if err != nil {
		return nil, err
	}
	defer ek.flush(t)
	policy := tpm2.Policy(tpm2.TPMAlgSHA256, 16, func(t transport.TPM, session tpm2.TPMISHPolicy, nonce tpm2.TPM2BNonce) error {
		_, err := tpm2.PolicySecret{AuthHandle: tpm2.TPMRHEndorsement, PolicySession: session, NonceTPM: nonce}.Execute(t)
		return err
	})
	opened, err := tpm2.ActivateCredential{
		ActivateHandle: tpm2.AuthHandle{Handle: l.handle, Name: l.name, Auth: tpm2.PasswordAuth(nil)},
		KeyHandle:      tpm2.AuthHandle{Handle: ek.handle, Name: ek.name, Auth: policy},
		CredentialBlob: tpm2.TPM2BIDObject{Buffer: c.Credential},
		Secret:         tpm2.TPM2BEncryptedSecret{Buffer: c.Secret},
	}.Execute(t)
	if err != nil {
		return nil, fmt.Errorf("open the server's challenge: %w", err)
	}
	return opened.CertInfo.Buffer, nil
}
