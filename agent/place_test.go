package agent_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/agent/pin"
	"github.com/sealpost/sealpost/agent/tpm"
	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/tpmtest"
	"github.com/sealpost/sealpost/pkcs12"
)

// withTPM is a workstation that has a TPM, and a server that wants the signing key in it.
func withTPM(t *testing.T) *workstation {
	t.Helper()
	w := newWorkstation(t)
	w.places = []agent.Place{tpm.New(tpm.Config{Address: "unix:" + tpmtest.New(t).Socket})}
	w.plans[0].Signing.Places = []string{api.PlaceTPM, api.PlaceToken}
	return w
}

// A signing key in the TPM signs the request, the directory's value, and the TLS connection of the next renewal; its bytes are
// nowhere.
func TestSigningKeyInTPM(t *testing.T) {
	t.Parallel()
	w := withTPM(t)
	w.wants = true
	id, err := w.enrol(t, agent.EnrolOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if id.Signing().Key.Place() != api.PlaceTPM || id.Encryption().Key.Place() != api.PlaceSoftware {
		t.Fatalf("keys in %q and %q", id.Signing().Key.Place(), id.Encryption().Key.Place())
	}
	if _, err := id.Signing().Key.PKCS8(); !errors.Is(err, agent.ErrKeyElsewhere) {
		t.Errorf("bytes of the key: %v", err)
	}
	if len(w.advertised) != 1 {
		t.Errorf("%d values for the directory", len(w.advertised))
	}
	before := id.Signing()
	r, err := w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{Force: true})
	if err != nil || !r.Renewed {
		t.Fatalf("%+v, %v", r, err)
	}
	if !slices.Contains(w.seen, "POST enrolments certificate") {
		t.Errorf("the server saw %v", w.seen)
	}
	if r.Identity.Signing().Key.Place() != api.PlaceTPM || r.Identity.Signing().Serial == before.Serial || !r.Identity.Pairs[1].Signing.Key.IsZero() {
		t.Errorf("after the renewal: %+v", r.Identity.Pairs)
	}
	onlyCertificate(t, r.Identity)
	if _, err := w.agent(t, byCertificate).Certificates(t.Context(), ""); err != nil {
		t.Error(err)
	}
}

// onlyCertificate demands of identity.p12 that it holds the signing certificate and not its key, and of every file that it does not
// hold a private key beside those for encryption.
func onlyCertificate(t *testing.T, id *agent.Identity) {
	t.Helper()
	password, err := id.GeneratedPassword()
	if err != nil {
		t.Fatal(err)
	}
	entries, certificates, err := pkcs12.Decode([]byte(readFile(t, filepath.Join(id.Folder, agent.P12File))), password)
	if err != nil {
		t.Fatal(err)
	}
	signing, err := id.Signing().Leaf()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Certificate != nil && e.Certificate.Equal(signing) {
			t.Error("identity.p12 has the signing key")
		}
	}
	if !slices.ContainsFunc(certificates, signing.Equal) {
		t.Error("identity.p12 lacks the signing certificate")
	}
	if !bytes.Equal(id.Signing().Certificate, signing.Raw) {
		t.Error("another certificate")
	}
}

// Wherever the agent is stopped, the next run comes to the same end with one key, or begins with a new one.
func TestCrashWithTPM(t *testing.T) {
	t.Parallel()
	w := withTPM(t)
	crash := errors.New("crash")
	for _, step := range append([]string{"made"}, agent.Steps...) {
		w.dir = filepath.Join(t.TempDir(), step)
		w.requests = map[string]*served{}
		a := w.agent(t, asAlice)
		a.SetAfter(func(s string) error {
			if s == step {
				return crash
			}
			return nil
		})
		if _, err := a.Enrol(t.Context(), agent.EnrolOptions{}); !errors.Is(err, crash) {
			t.Fatalf("%s: %v", step, err)
		}
		id, err := w.enrol(t, agent.EnrolOptions{})
		if err != nil && !errors.Is(err, agent.ErrEnrolled) {
			t.Fatalf("%s: %v", step, err)
		}
		if len(w.requests) != 1 || len(id.Pairs) != 1 || id.Signing().Key.Place() != api.PlaceTPM {
			t.Errorf("%s: %d requests, %+v", step, len(w.requests), id.Pairs)
		}
	}
}

func TestKeyPlace(t *testing.T) {
	t.Parallel()
	device := tpm.New(tpm.Config{Address: "unix:" + tpmtest.New(t).Socket})
	absent := tpm.New(tpm.Config{Address: filepath.Join(t.TempDir(), "none")})
	for name, c := range map[string]struct {
		server  []string
		kinds   []string
		machine []agent.Place
		prefer  agent.Prefer
		want    string // "" is a fault
	}{
		"the server does not care":         {nil, nil, []agent.Place{device}, agent.Prefer{}, api.PlaceSoftware},
		"the person does":                  {nil, nil, []agent.Place{device}, agent.Prefer{Place: api.PlaceTPM}, api.PlaceTPM},
		"the first that is here":           {[]string{api.PlaceToken, api.PlaceTPM, api.PlaceSoftware}, nil, []agent.Place{device}, agent.Prefer{}, api.PlaceTPM},
		"one that does not answer":         {[]string{api.PlaceTPM, api.PlaceSoftware}, nil, []agent.Place{absent}, agent.Prefer{}, api.PlaceSoftware},
		"none":                             {[]string{api.PlaceTPM, api.PlaceToken}, nil, []agent.Place{absent}, agent.Prefer{}, ""},
		"the person wants another":         {[]string{api.PlaceTPM}, nil, []agent.Place{device}, agent.Prefer{Place: api.PlaceSoftware}, ""},
		"no such kind there":               {[]string{api.PlaceTPM}, []string{"RSA-4096"}, []agent.Place{device}, agent.Prefer{}, ""},
		"no such kind there, but here":     {[]string{api.PlaceTPM, api.PlaceSoftware}, []string{"RSA-4096"}, []agent.Place{device}, agent.Prefer{}, api.PlaceSoftware},
		"a place of which nobody heard":    {[]string{"cloud"}, nil, []agent.Place{device}, agent.Prefer{}, ""},
		"the kind that the person prefers": {[]string{api.PlaceTPM}, []string{"P-256", "P-384"}, []agent.Place{device}, agent.Prefer{Signing: "P-384"}, api.PlaceTPM},
	} {
		w := newWorkstation(t)
		w.places, w.plans[0].Signing.Places = c.machine, c.server
		if c.kinds != nil {
			w.plans[0].Signing.Algorithms = c.kinds
		}
		id, err := w.enrol(t, agent.EnrolOptions{Prefer: c.prefer})
		if c.want == "" {
			if f := fault.Of(err); !errors.Is(err, agent.ErrKeyPlace) || !strings.Contains(f.Detail, strings.Join(c.server, ", or ")) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || id.Signing().Key.Place() != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// When the server does not take a kind of key any more, the next one is made of another kind in the same TPM. When the TPM can make none that
// is left, the fault says so, and the key that works stays.
func TestKindOfTPMKeyOrderedAway(t *testing.T) {
	t.Parallel()
	w := withTPM(t)
	w.plans[0].Signing.Algorithms = []string{"P-256", "P-384", "RSA-4096"}
	ordered := false
	w.shift = func(d *api.Due) {
		if ordered {
			d.RenewAt, d.Why, d.Say = w.clock.now(), "ordered", "Your certificate is replaced before its time: P-256 was broken."
		}
	}
	id, err := w.enrol(t, agent.EnrolOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, curve, err := signingCurve(id); err != nil || curve != elliptic.P256() {
		t.Fatalf("%v, %v", curve, err)
	}
	ordered, w.plans[0].Signing.Algorithms = true, []string{"P-384", "RSA-4096"}
	w.clock.at = w.clock.at.Add(time.Hour) // for longer than a policy is kept
	r, err := w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{})
	if err != nil || !r.Renewed {
		t.Fatalf("%+v, %v", r, err)
	}
	works, curve, err := signingCurve(r.Identity)
	if err != nil || curve != elliptic.P384() || r.Identity.Signing().Key.Place() != api.PlaceTPM {
		t.Errorf("after the order: %v, %v", curve, err)
	}
	w.plans[0].Signing.Algorithms = []string{"RSA-4096"}
	w.clock.at = w.clock.at.Add(time.Hour)
	_, err = w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{})
	if f := fault.Of(err); !errors.Is(err, agent.ErrKeyPlace) || !strings.Contains(f.Detail, "the server takes RSA-4096") {
		t.Errorf("no kind left: %v", err)
	}
	ids, err := w.agent(t, byCertificate).Identities()
	if err != nil || len(ids) != 1 {
		t.Fatal(ids, err)
	}
	if still, _, err := signingCurve(ids[0]); err != nil || !still.Equal(works) {
		t.Errorf("the key that works: %v", err)
	}
}

// signingCurve has the identity's current signing key sign, and returns its public half.
func signingCurve(id *agent.Identity) (*ecdsa.PublicKey, elliptic.Curve, error) {
	key, err := id.Signing().Key.Signer()
	if err != nil {
		return nil, nil, err
	}
	public := key.Public().(*ecdsa.PublicKey)
	digest := sha256.Sum256([]byte("message"))
	signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err == nil && !ecdsa.VerifyASN1(public, digest[:], signature) {
		err = errors.New("the signature is wrong")
	}
	return public, public.Curve, err
}

// A signing key whose TPM is gone, or that another agent without one finds, is a fault that says what to do; nothing is lost.
func TestTPMGone(t *testing.T) {
	t.Parallel()
	w := withTPM(t)
	if _, err := w.enrol(t, agent.EnrolOptions{}); err != nil {
		t.Fatal(err)
	}
	here := w.places
	for name, places := range map[string][]agent.Place{"no TPM": {tpm.New(tpm.Config{Address: filepath.Join(t.TempDir(), "none")})}, "told of none": nil} {
		w.places = places
		_, err := w.agent(t, byCertificate).Renew(context.Background(), agent.RenewOptions{Force: true})
		if f := fault.Of(err); f == nil || f.Code != tpm.ErrAbsent.Code && f.Code != agent.ErrKeyPlace.Code {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.places = here
	if r, err := w.agent(t, byCertificate).Renew(context.Background(), agent.RenewOptions{Force: true}); err != nil || !r.Renewed {
		t.Errorf("when it is back: %v", err)
	}
}

// The PIN of a key in a TPM is changed with the key staying the same; the old one is wrong from then on, and one that is too short or a wrong old one changes nothing.
func TestPINChanged(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	device := tpmtest.New(t)
	w.plans[0].Signing.Places, w.plans[0].Signing.PIN = []string{api.PlaceTPM}, 6
	with := func(text string) *agent.Agent { // each is a process of its own
		w.places = []agent.Place{tpm.New(tpm.Config{Address: "unix:" + device.Socket, PIN: pin.Source{Read: func(string) (string, error) { return text, nil }}})}
		return w.agent(t, byCertificate)
	}
	with("123456")
	id, err := w.enrol(t, agent.EnrolOptions{})
	must(t, err)
	change := func(old, next string) error {
		least := 0
		_, err := with(old).ChangePIN(agent.ChangeOptions{New: func(n int) (string, error) { least = n; return next, nil }})
		if least != 6 {
			t.Errorf("%q to %q: at least %d characters are wanted", old, next, least)
		}
		return err
	}
	uses := func(text string) error {
		_, err := with(text).Certificates(t.Context(), "")
		return err
	}
	if err := change("123456", "12345"); !errors.Is(err, pin.ErrShort) {
		t.Errorf("too short: %v", err)
	}
	if err := change("654321", "246810"); !errors.Is(err, pin.ErrWrong) {
		t.Errorf("a wrong old one: %v", err)
	}
	must(t, uses("123456"))
	must(t, change("123456", "246810"))
	must(t, uses("246810"))
	if err := uses("123456"); !errors.Is(err, pin.ErrWrong) {
		t.Errorf("the old one: %v", err)
	}
	r, err := with("246810").Renew(t.Context(), agent.RenewOptions{})
	if err != nil || r.Renewed || r.Identity.Signing().Serial != id.Signing().Serial {
		t.Errorf("another certificate: %+v, %v", r, err)
	}

	soft := newWorkstation(t)
	if _, err := soft.enrol(t, agent.EnrolOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := soft.agent(t, byCertificate).ChangePIN(agent.ChangeOptions{}); !errors.Is(err, agent.ErrKeyPlace) {
		t.Errorf("keys in files: %v", err)
	}
	bare := withTPM(t)
	if _, err := bare.enrol(t, agent.EnrolOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := bare.agent(t, byCertificate).ChangePIN(agent.ChangeOptions{}); !errors.Is(err, tpm.ErrTPM) {
		t.Errorf("a key without a PIN: %v", err)
	}
}
