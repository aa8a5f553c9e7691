package agent

import (
	"bytes"
	"crypto"
	"crypto/subtle"
	"crypto/x509"
	"encoding/json"
	"fmt"
)

// Key is one private key of an identity or a request: the key itself, in the clear or under a passphrase, or where it was made and
// stays. The zero value is no key at all. In the agent's files it is PKCS#8, as text, or an object that says where it is.
type Key struct {
	pkcs8 Secret
	there *elsewhere
	ring  *keyring // who opens what is elsewhere
}

// elsewhere says where a key is that is not in the agent's files.
type elsewhere struct {
	Place  string `json:"place"`            // api.KeyPlan's name of it
	Name   string `json:"name,omitempty"`   // which the agent gave it
	Object []byte `json:"object,omitempty"` // what the place needs to use it: nothing that anybody else could
	Public []byte `json:"public"`           // SubjectPublicKeyInfo

	// Sealed is the key itself, under the person's passphrase (see passphrase). Then it is in software, and nothing else is said.
	Sealed []byte `json:"sealed,omitempty"`
}

// ErrKeyElsewhere is returned where a key's bytes are wanted that are not here.
var ErrKeyElsewhere = ErrState.Withf("A key is wanted that is in a token or a TPM, which it does not leave.")

func softwareKey(pkcs8 []byte) Key { return Key{pkcs8: pkcs8} }

// IsZero reports whether there is no key.
func (k Key) IsZero() bool { return len(k.pkcs8) == 0 && k.there == nil }

// Place returns the name of the place where the key is, as in api.KeyPlan; "" where there is none.
func (k Key) Place() string {
	switch {
	case k.there != nil:
		return k.there.Place
	case k.IsZero():
		return ""
	}
	return PlaceSoftware
}

// Signer returns the key to sign with.
func (k Key) Signer() (crypto.Signer, error) {
	if k.there != nil && k.there.Sealed == nil {
		return k.ring.open(k.there)
	}
	pkcs8, err := k.PKCS8()
	if err != nil {
		return nil, err
	}
	return parseKey(pkcs8)
}

// Equal reports whether both are the same key in the same place, or none.
func (k Key) Equal(other Key) bool {
	if k.there == nil || other.there == nil {
		return k.there == other.there && subtle.ConstantTimeCompare(k.pkcs8, other.pkcs8) == 1
	}
	return k.there.Place == other.there.Place && bytes.Equal(k.there.Sealed, other.there.Sealed) && k.there.Name == other.there.Name && bytes.Equal(k.there.Public, other.there.Public)
}

// PKCS8 returns the key's bytes. It returns ErrKeyElsewhere for one that is in a token or TPM.
func (k Key) PKCS8() (Secret, error) {
	switch {
	case k.there == nil:
		return k.pkcs8, nil
	case k.there.Sealed == nil:
		return nil, ErrKeyElsewhere
	case k.ring == nil:
		return nil, ErrPassphraseMissing
	}
	return k.ring.pass.open(k.there.Sealed, k.there.Public)
}

// public returns the SubjectPublicKeyInfo. Nothing is opened for it.
func (k Key) public() ([]byte, error) {
	if k.there != nil {
		return k.there.Public, nil
	}
	return publicBytes(k.pkcs8)
}

// forget makes k no key, and the bytes unreadable.
func (k *Key) forget() {
	clear(k.pkcs8)
	*k = Key{}
}

func (k Key) check() error {
	if k.there == nil {
		_, err := parseKey(k.pkcs8)
		return err
	}
	if _, err := x509.ParsePKIXPublicKey(k.there.Public); err != nil || k.there.Place == "" || (k.there.Name == "") == (k.there.Sealed == nil) {
		return ErrState.Withf("The agent's folder does not say right where a key is.").Because(err)
	}
	return nil
}

// MarshalJSON is how the key is kept.
func (k Key) MarshalJSON() ([]byte, error) {
	if k.there != nil {
		return json.Marshal(k.there)
	}
	return json.Marshal([]byte(k.pkcs8))
}

// UnmarshalJSON reads it back.
func (k *Key) UnmarshalJSON(data []byte) error {
	*k = Key{}
	if !bytes.HasPrefix(data, []byte("{")) {
		return json.Unmarshal(data, (*[]byte)(&k.pkcs8))
	}
	k.there = &elsewhere{}
	return decodeState(data, k.there)
}

// Format writes a placeholder, whatever the verb, as Secret does.
func (k Key) Format(s fmt.State, _ rune) {
	text := "(secret)"
	if k.there != nil {
		text = "(in " + k.there.Place + ")"
	}
	_, _ = s.Write([]byte(text)) // nowhere to report to
}
