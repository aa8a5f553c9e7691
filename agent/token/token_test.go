//go:build cgo

package token_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/sealpost/sealpost/agent/pin"
	"github.com/sealpost/sealpost/agent/token"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/tokentest"
)

func given(text string) pin.Source {
	return pin.Source{Given: true, Read: func(string) (string, error) { return text, nil }}
}

func typed(text string) pin.Source {
	return pin.Source{Read: func(string) (string, error) { return text, nil }}
}

// place is a new process, as far as the token sees.
func place(t *testing.T, address string, s pin.Source) *token.Token {
	t.Helper()
	p := token.New(token.Config{Address: address, PIN: s})
	t.Cleanup(func() { _ = p.Close() }) // the next one may have ended the library
	return p
}

func name(i int) string { return fmt.Sprintf("%032x", i) }

func nothing([]byte) error { return nil }

// Every kind that the token says it can make is made so that it cannot leave, signs, is found again, and is removed whole.
func TestKinds(t *testing.T) {
	v := tokentest.New(t)
	p := place(t, v.Module, given(v.PIN))
	able, err := p.Algorithms()
	if err != nil || len(able) != 4 {
		t.Fatalf("%v, %v", able, err)
	}
	digest := sha256.Sum256([]byte("message"))
	objects := map[string][]byte{}
	for i, algorithm := range able {
		noted := 0
		object, made, err := p.Make(algorithm, name(i+1), 6, func([]byte) error { noted++; return nil })
		if err != nil || noted != 1 {
			t.Fatalf("%s: noted %d times, %v", algorithm, noted, err)
		}
		objects[name(i+1)] = object
		opened, err := p.Open(name(i+1), object)
		if err != nil {
			t.Fatalf("%s: %v", algorithm, err)
		}
		for _, opts := range []crypto.SignerOpts{crypto.SHA256, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}} {
			signature, err := opened.Sign(rand.Reader, digest[:], opts)
			if err != nil || !verifies(made.Public(), digest[:], signature, opts) {
				t.Errorf("%s: %v", algorithm, err)
			}
		}
	}
	for _, o := range v.Objects() {
		if strings.HasPrefix(o, "Private Key") && (!strings.Contains(o, "sensitive, always sensitive, never extractable, local") || strings.Contains(o, "RSA") && strings.Contains(o, "decrypt")) {
			t.Errorf("pkcs11-tool says of a key:\n%s", o)
		}
	}
	for n, object := range objects {
		for range 2 { // that it is not there is no fault
			if err := p.Remove(n, object); err != nil {
				t.Error(err)
			}
		}
		if _, err := p.Open(n, object); !errors.Is(err, token.ErrKey) {
			t.Errorf("removed: %v", err)
		}
	}
	if left := v.Objects(); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func verifies(public crypto.PublicKey, digest, signature []byte, opts crypto.SignerOpts) bool {
	if ec, ok := public.(*ecdsa.PublicKey); ok {
		return ecdsa.VerifyASN1(ec, digest, signature)
	}
	if pss, ok := opts.(*rsa.PSSOptions); ok {
		return rsa.VerifyPSS(public.(*rsa.PublicKey), crypto.SHA256, digest, signature, pss) == nil
	}
	return rsa.VerifyPKCS1v15(public.(*rsa.PublicKey), crypto.SHA256, digest, signature) == nil
}

// If what will be left cannot be written down, nothing is made.
func TestNothingWithoutANote(t *testing.T) {
	v := tokentest.New(t)
	full := errors.New("disk full")
	_, _, err := place(t, v.Module, given(v.PIN)).Make("P-256", name(1), 0, func([]byte) error { return full })
	if !errors.Is(err, full) || len(v.Objects()) != 0 {
		t.Errorf("%v, %v", err, v.Objects())
	}
}

func TestPIN(t *testing.T) {
	v := tokentest.New(t)
	if _, _, err := place(t, v.Module, given(v.PIN)).Make("P-256", name(1), 8, nothing); !errors.Is(err, pin.ErrShort) {
		t.Errorf("short: %v", err)
	}
	if _, _, err := place(t, v.Module, pin.Source{}).Make("P-256", name(1), 0, nothing); !errors.Is(err, pin.ErrMissing) {
		t.Errorf("none: %v", err)
	}
	first := token.New(token.Config{Address: v.Module, PIN: given("654321")})
	for range 4 { // of which the token hears one
		if _, _, err := first.Make("P-256", name(1), 0, nothing); !errors.Is(err, pin.ErrWrong) {
			t.Errorf("wrong: %v", err)
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	next := token.New(token.Config{Address: v.Module, PIN: given("654321")})
	if _, _, err := next.Make("P-256", name(1), 0, nothing); !errors.Is(err, pin.ErrHeld) {
		t.Errorf("the next run with the same file: %v", err)
	}
	if err := next.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := place(t, v.Module, typed(v.PIN)).Make("P-256", name(1), 0, nothing); err != nil {
		t.Errorf("typed: %v", err)
	}
}

func TestWhichToken(t *testing.T) {
	v := tokentest.New(t)
	v.Add("other")
	for what, c := range map[string]struct {
		address string
		want    error
	}{
		"none named of two":    {v.Module, token.ErrSeveral},
		"no such label":        {"pkcs11:module-path=" + v.Module + ";token=third", token.ErrAbsent},
		"no such library":      {"/nowhere/lib.so", token.ErrAbsent},
		"a relative path":      {"libsofthsm2.so", token.ErrAddress},
		"a PIN in the address": {"pkcs11:module-path=" + v.Module + ";pin-value=123456", token.ErrAddress},
		"another attribute":    {"pkcs11:module-path=" + v.Module + ";slot-id=1", token.ErrAddress},
		"nothing":              {"", token.ErrAbsent},
		"bad escape":           {"pkcs11:module-path=%zz", token.ErrAddress},
	} {
		if _, err := place(t, c.address, given(v.PIN)).Algorithms(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	p := place(t, "pkcs11:module-path="+v.Module+";token=other", given(v.PIN))
	object, _, err := p.Make("P-256", name(1), 0, nothing)
	if err != nil || !strings.Contains(string(object), ";serial=") {
		t.Fatalf("%s, %v", object, err)
	}
	if n := v.Count("Private Key"); n != 0 {
		t.Errorf("%d keys on the other token", n)
	}
	if _, err := place(t, v.Module, given(v.PIN)).Open(name(1), object); err != nil {
		t.Errorf("the key knows its token: %v", err)
	}
}

// A token that is taken out between two uses is a fault that says so, and works when it is back.
func TestUnplugged(t *testing.T) {
	v := tokentest.New(t)
	first := token.New(token.Config{Address: v.Module, PIN: given(v.PIN)})
	object, _, err := first.Make("P-256", name(1), 0, nothing)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	plug := v.Unplug()
	second := token.New(token.Config{Address: v.Module, PIN: given(v.PIN)})
	if _, err := second.Open(name(1), object); !errors.Is(err, token.ErrAbsent) {
		t.Errorf("unplugged: %v", err)
	}
	if err := second.Remove(name(1), object); !errors.Is(err, token.ErrAbsent) {
		t.Errorf("removing from a token that is not there: %v", err)
	}
	_ = second.Close() // nothing was open
	plug()
	if _, err := place(t, v.Module, given(v.PIN)).Open(name(1), object); err != nil {
		t.Errorf("back: %v", err)
	}
}

// What tokens say in codes that no token here can be brought to say: the mapping alone.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for code, want := range map[uint]*fault.Error{
		pkcs11.CKR_PIN_INCORRECT: pin.ErrWrong, pkcs11.CKR_PIN_INVALID: pin.ErrWrong, pkcs11.CKR_PIN_LEN_RANGE: pin.ErrWrong, pkcs11.CKR_PIN_LOCKED: pin.ErrLocked,
		pkcs11.CKR_DEVICE_MEMORY: token.ErrFull, pkcs11.CKR_TOKEN_NOT_PRESENT: token.ErrAbsent, pkcs11.CKR_DEVICE_REMOVED: token.ErrAbsent,
		pkcs11.CKR_SESSION_HANDLE_INVALID: token.ErrAbsent, pkcs11.CKR_GENERAL_ERROR: token.ErrToken,
	} {
		refusal := fmt.Errorf("make key: %w", pkcs11.Error(code))
		got := token.Explain(refusal)
		if f := fault.Of(got); f == nil || f.Code != want.Code || f.Detail == "" || !errors.Is(got, refusal) && !errors.Is(want, pin.ErrWrong) {
			t.Errorf("%#x: %v, want %s", code, got, want.Code)
		}
	}
}
