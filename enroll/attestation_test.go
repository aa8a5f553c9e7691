package enroll_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/attest"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/tpmtest"
)

// attested is a house in which a signing key has to be proven to be in a TPM of one maker, and such a TPM.
type attested struct {
	*housetest.House
	t   *testing.T
	tpm prover
}

// prover is a TPM as the agent uses it.
type prover interface {
	Make(algorithm, name string, least int, note func([]byte) error) ([]byte, crypto.Signer, error)
	Attest(name string, object []byte, challenge func(api.AttestationRequest) (api.AttestationChallenge, error)) (*api.SigningAttestation, error)
}

func newAttested(t *testing.T) attested {
	t.Helper()
	a := attested{House: setup(t), t: t}
	device := tpmtest.New(t)
	a.tpm = device.Agent()
	a.Config.Plans = []enroll.Plan{{Name: "hard", Signing: ca.SMIMESingle, Protection: enroll.Protection{Places: []string{api.PlaceTPM}, Attested: true}}}
	a.Config.Attestation.TPM = x509.NewCertPool()
	roots, err := os.ReadFile(device.Roots)
	if err != nil || !a.Config.Attestation.TPM.AppendCertsFromPEM(roots) {
		t.Fatal(err)
	}
	if a.Enroll, err = enroll.New(a.Config); err != nil {
		t.Fatal(err)
	}
	return a
}

// key makes one in the TPM.
func (a attested) key() ([]byte, crypto.Signer) {
	a.t.Helper()
	blob, key, err := a.tpm.Make("P-256", "a", 0, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	return blob, key
}

// proves has the TPM answer a challenge that the person got.
func (a attested) proves(by audit.Actor, blob []byte) (*api.SigningAttestation, error) {
	return a.tpm.Attest("a", blob, func(q api.AttestationRequest) (api.AttestationChallenge, error) {
		c, err := a.Enroll.Challenge(a.t.Context(), by, q)
		if err != nil {
			return api.AttestationChallenge{}, err
		}
		return *c, nil
	})
}

func (a attested) submission(by audit.Actor, key crypto.Signer, said *api.SigningAttestation) enroll.Submission {
	return enroll.Submission{Idempotency: uuid.NewString(), Enrolment: "hard", SigningCSR: pkitest.CSR(a.t, key, by.Name), Attestation: said}
}

// What a TPM proves of a key is checked, kept with the request, and in the audit log.
func TestAttestedByTPM(t *testing.T) {
	a := newAttested(t)
	alice := a.Actor(t, "alice")
	blob, key := a.key()
	said, err := a.proves(alice, blob)
	if err != nil {
		t.Fatal(err)
	}
	s := a.submission(alice, key, said)
	req, err := a.Enroll.Submit(t.Context(), alice, s)
	if err != nil || req.State != enroll.Issued {
		t.Fatal(err)
	}
	again, err := a.Enroll.Submit(t.Context(), alice, s) // the answer was lost
	if err != nil || again.ID != req.ID {
		t.Errorf("repeated: %v", err)
	}
	got, err := a.Enroll.Get(t.Context(), alice, req.ID)
	if err != nil || got.Origin == nil || got.Origin.Device != "tpm" || !strings.Contains(got.Origin.Maker, "swtpm") || len(got.Origin.Endorsement) != 64 {
		t.Fatalf("%+v, %v", got.Origin, err)
	}
	if n := a.Database.Count(t, `select count(*) from audit.event where kind = 'enrolment.received' and body like $1`, "%"+got.Origin.Endorsement+"%"); n != 1 {
		t.Errorf("%d events say where the key was made", n)
	}
}

func TestAttestationRefused(t *testing.T) {
	a := newAttested(t)
	alice, bob := a.Actor(t, "alice"), a.Actor(t, "bob")
	blob, key := a.key()
	said, err := a.proves(alice, blob)
	if err != nil {
		t.Fatal(err)
	}
	_, otherKey := a.key()
	changed := func(change func(*api.SigningAttestation)) *api.SigningAttestation {
		var copied api.SigningAttestation
		text, err := json.Marshal(said)
		if err == nil {
			err = json.Unmarshal(text, &copied)
		}
		if err != nil {
			t.Fatal(err)
		}
		change(&copied)
		return &copied
	}
	for name, c := range map[string]struct {
		by   audit.Actor
		key  crypto.Signer
		said *api.SigningAttestation
		want error
	}{
		"nothing":                 {alice, key, nil, enroll.ErrAttestationMissing},
		"a key in software":       {alice, pkitest.NewKey(t, ca.P256), said, attest.ErrOtherKey},
		"another key of that TPM": {alice, otherKey, said, attest.ErrOtherKey},
		"somebody else's":         {bob, key, said, attest.ErrChallenge},
		"an altered challenge":    {alice, key, changed(func(s *api.SigningAttestation) { s.Challenge[10] ^= 1 }), attest.ErrChallenge},
		"a challenge made longer": {alice, key, changed(func(s *api.SigningAttestation) { s.Challenge[3] ^= 1 }), attest.ErrChallenge},
		"no challenge":            {alice, key, changed(func(s *api.SigningAttestation) { s.Challenge = nil }), attest.ErrChallenge},
		"an altered statement":    {alice, key, changed(func(s *api.SigningAttestation) { s.Info[30] ^= 1 }), attest.ErrSignature},
		"a YubiKey's":             {alice, key, changed(func(s *api.SigningAttestation) { s.Kind = api.AttestationPIV }), enroll.ErrAttestationKind},
		"no kind":                 {alice, key, changed(func(s *api.SigningAttestation) { s.Kind = "" }), enroll.ErrAttestationKind},
		"a key that signs anything in the AIK's place": {alice, key, changed(func(s *api.SigningAttestation) { s.Key = s.Public }), attest.ErrAttestKey},
		"oversized": {alice, key, changed(func(s *api.SigningAttestation) { s.Info = make([]byte, 1<<16) }), attest.ErrStatement},
	} {
		if _, err := a.Enroll.Submit(t.Context(), c.by, a.submission(c.by, c.key, c.said)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := a.Enroll.Submit(t.Context(), alice, a.submission(alice, key, said)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Enroll.Submit(t.Context(), alice, a.submission(alice, key, said)); !errors.Is(err, attest.ErrChallenge) {
		t.Errorf("the statement once more: %v", err)
	}
	fresh, freshKey := a.key()
	late, err := a.proves(alice, fresh)
	if err != nil {
		t.Fatal(err)
	}
	a.Clock.Advance(time.Hour + time.Second)
	if _, err := a.Enroll.Submit(t.Context(), alice, a.submission(alice, freshKey, late)); !errors.Is(err, attest.ErrChallenge) {
		t.Errorf("too late: %v", err)
	}
	if n := a.Database.Count(t, `select count(*) from enroll.request where state = 'issued'`); n != 1 {
		t.Errorf("%d requests were issued", n)
	}
}

// A TPM of a maker that is not trusted gets no challenge; and one TPM cannot open what is meant for another, though its attestation key is
// as good.
func TestAnotherTPM(t *testing.T) {
	a := newAttested(t)
	alice := a.Actor(t, "alice")
	stranger := a
	stranger.tpm = tpmtest.New(t).Agent()
	blob, _ := stranger.key()
	if _, err := stranger.proves(alice, blob); !errors.Is(err, attest.ErrEndorsed) {
		t.Errorf("unendorsed: %v", err)
	}
	mine, _ := a.key()
	var endorsement [][]byte
	if _, err := a.tpm.Attest("a", mine, func(q api.AttestationRequest) (api.AttestationChallenge, error) {
		endorsement = q.Endorsement
		return api.AttestationChallenge{}, errors.New("seen")
	}); err == nil {
		t.Fatal("no fault")
	}
	_, err := stranger.tpm.Attest("a", blob, func(q api.AttestationRequest) (api.AttestationChallenge, error) {
		c, err := a.Enroll.Challenge(t.Context(), alice, api.AttestationRequest{Endorsement: endorsement, Key: q.Key})
		if err != nil {
			t.Fatal(err)
		}
		return *c, nil
	})
	if f := fault.Of(err); f == nil || f.Code != "tpm" && f.Code != "tpm-key" {
		t.Errorf("a challenge for another TPM was opened: %v", err)
	}
}

// Where no plan wants it, there is no challenge, and a plan cannot want what cannot be checked.
func TestAttestationConfigured(t *testing.T) {
	h := setup(t)
	if _, err := h.Enroll.Challenge(t.Context(), h.Actor(t, "alice"), api.AttestationRequest{}); !errors.Is(err, enroll.ErrAttestationUnasked) {
		t.Errorf("unasked: %v", err)
	}
	c := h.Config
	c.Plans = []enroll.Plan{{Name: "hard", Signing: ca.SMIMESingle, Protection: enroll.Protection{Places: []string{api.PlaceTPM, api.PlaceToken}, Attested: true}}}
	_, err := enroll.New(c)
	if err == nil || !strings.Contains(err.Error(), "tpm_roots") || !strings.Contains(err.Error(), "yubikey_roots") {
		t.Errorf("nobody is trusted: %v", err)
	}
}

// yubiKey makes a root and a chain as a YubiKey does, after Yubico's public description: none was at hand. policy is when it wants PIN and touch.
func yubiKey(t *testing.T, key crypto.PublicKey, policy ...byte) (root *x509.Certificate, chain [][]byte) {
	t.Helper()
	signer, now := pkitest.NewKey(t, ca.P256), time.Now()
	sign := func(name string, parent *x509.Certificate, public crypto.PublicKey, extensions ...pkix.Extension) *x509.Certificate {
		t.Helper()
		c := &x509.Certificate{SerialNumber: big.NewInt(int64(len(name))), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
			IsCA: extensions == nil, BasicConstraintsValid: true, ExtraExtensions: extensions}
		if parent == nil {
			parent = c
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, public, signer)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	arc := func(last int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 3, last} }
	root = sign("Yubico PIV Root CA", nil, signer.Public())
	f9 := sign("Yubico PIV Attestation", root, signer.Public())
	leaf := sign("YubiKey PIV Attestation 9c", f9, key, pkix.Extension{Id: arc(3), Value: []byte{5, 7, 1}}, pkix.Extension{Id: arc(8), Value: policy})
	return root, [][]byte{leaf.Raw, f9.Raw}
}

func TestAttestedByYubiKey(t *testing.T) {
	h := setup(t)
	alice, key := h.Actor(t, "alice"), pkitest.NewKey(t, ca.P256)
	root, chain := yubiKey(t, key.Public(), 2, 3)
	c := h.Config
	c.Attestation.YubiKey = x509.NewCertPool()
	c.Attestation.YubiKey.AddCert(root)
	c.Plans = []enroll.Plan{{Name: "hard", Signing: ca.SMIMESingle, Protection: enroll.Protection{Places: []string{api.PlaceToken}, Attested: true, PIN: 6}}}
	registry, err := enroll.New(c)
	if err != nil {
		t.Fatal(err)
	}
	submit := func(key crypto.Signer, kind api.AttestationKind, chain [][]byte) (*enroll.Request, error) {
		return registry.Submit(t.Context(), alice, enroll.Submission{Idempotency: uuid.NewString(), Enrolment: "hard", SigningCSR: pkitest.CSR(t, key, alice.Name),
			Attestation: &api.SigningAttestation{Kind: kind, Certificates: chain}})
	}
	if _, err := submit(pkitest.NewKey(t, ca.P256), api.AttestationPIV, chain); !errors.Is(err, attest.ErrOtherKey) {
		t.Errorf("another key: %v", err)
	}
	if _, err := submit(key, api.AttestationTPM, chain); !errors.Is(err, enroll.ErrAttestationKind) {
		t.Errorf("as a TPM: %v", err)
	}
	_, foreign := yubiKey(t, key.Public(), 2, 1)
	if _, err := submit(key, api.AttestationPIV, foreign); !errors.Is(err, attest.ErrEndorsed) {
		t.Errorf("of another maker: %v", err)
	}
	req, err := submit(key, api.AttestationPIV, chain)
	if err != nil {
		t.Fatal(err)
	}
	if o := req.Origin; o == nil || o.Device != "piv" || o.Firmware != "5.7.1" || o.Slot != "9c" || o.PIN != "once" || o.Touch != "cached" {
		t.Errorf("origin %+v", o)
	}
	loose := pkitest.NewKey(t, ca.P256)
	looseRoot, without := yubiKey(t, loose.Public(), 1, 1)
	c.Attestation.YubiKey.AddCert(looseRoot)
	if _, err := submit(loose, api.AttestationPIV, without); !errors.Is(err, attest.ErrPolicy) {
		t.Errorf("a key that wants no PIN: %v", err)
	}
}
