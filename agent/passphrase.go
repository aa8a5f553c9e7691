package agent

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/fault"
)

// Faults of the passphrase that private keys are kept under where the server's policy demands one.
var (
	ErrPassphraseDemanded = fault.New(fault.Malformed, "passphrase-demanded", "The server wants your private keys to be protected by a passphrase of your own. Give it with --p12-password-file.")
	ErrPassphraseMissing  = fault.New(fault.Malformed, "passphrase-missing", "The passphrase of your keys is needed. Give it in a file with --passphrase-file, or in SEALPOST_PASSPHRASE.")
	ErrPassphraseWrong    = fault.New(fault.Denied, "passphrase-wrong", "This is not the passphrase that your keys are kept under. Nothing was changed.")
)

// A key under the passphrase: the salt of PBKDF2-HMAC-SHA-256, the nonce of AES-256-GCM, then PKCS#8 encrypted with the key's
// SubjectPublicKeyInfo as additional data.
const (
	saltSize       = 16
	nonceSize      = 12
	passIterations = 600_000
)

// passphrase is what keys are sealed under, as far as this process knows it. It is derived once for each salt; keys that are sealed
// share one.
type passphrase struct {
	ask     func() (string, error) // nil: nobody can be asked
	text    string
	derived map[[saltSize]byte]cipher.AEAD
	salt    [saltSize]byte // of keys that are sealed now
}

// know notes a passphrase that was given.
func (p *passphrase) know(text string) {
	if text != "" && text != p.text {
		p.text, p.derived = text, nil
	}
}

func (p *passphrase) get() (string, error) {
	if p.text == "" && p.ask != nil {
		text, err := p.ask()
		if err != nil {
			return "", err
		}
		p.know(text)
	}
	if p.text == "" {
		return "", ErrPassphraseMissing
	}
	return p.text, nil
}

func (p *passphrase) cipher(salt [saltSize]byte) (cipher.AEAD, error) {
	if c, ok := p.derived[salt]; ok {
		return c, nil
	}
	text, err := p.get()
	if err != nil {
		return nil, err
	}
	key, err := pbkdf2.Key(sha256.New, text, salt[:], passIterations, 32)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	c, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	if p.derived == nil {
		p.derived = map[[saltSize]byte]cipher.AEAD{}
	}
	p.derived[salt] = c
	return c, nil
}

func (p *passphrase) seal(pkcs8, public []byte) ([]byte, error) {
	if p.salt == [saltSize]byte{} {
		_, _ = rand.Read(p.salt[:]) // never fails
	}
	c, err := p.cipher(p.salt)
	if err != nil {
		return nil, err
	}
	sealed := make([]byte, saltSize+nonceSize)
	copy(sealed, p.salt[:])
	_, _ = rand.Read(sealed[saltSize:]) // never fails
	return c.Seal(sealed, sealed[saltSize:], pkcs8, public), nil
}

func (p *passphrase) open(sealed, public []byte) (Secret, error) {
	if len(sealed) <= saltSize+nonceSize {
		return nil, ErrState.Withf("A private key in the agent's folder cannot be read.")
	}
	c, err := p.cipher([saltSize]byte(sealed))
	if err != nil {
		return nil, err
	}
	pkcs8, err := c.Open(nil, sealed[saltSize:saltSize+nonceSize], sealed[saltSize+nonceSize:], public)
	if err != nil {
		return nil, ErrPassphraseWrong
	}
	return pkcs8, nil
}

// seal puts a key that is here in the clear under the passphrase. Others stay as they are.
func (k *Key) seal(ring *keyring) error {
	if k.IsZero() || k.there != nil {
		return nil
	}
	public, err := k.public()
	if err != nil {
		return err
	}
	sealed, err := ring.pass.seal(k.pkcs8, public)
	if err != nil {
		return err
	}
	*k = Key{there: &elsewhere{Place: PlaceSoftware, Sealed: sealed, Public: public}, ring: ring}
	return nil
}

// takes notes the password of identity.p12 that was given, which is what keys are kept under, too, where that is demanded. It
// returns ErrPassword where one is missing, and ErrPassphraseWrong where it does not open the keys that are here.
func (a *Agent) takes(id *Identity, password string) error {
	a.ring.pass.know(password)
	if id == nil {
		return nil
	}
	if err := id.needs(password); err != nil {
		return err
	}
	for _, h := range id.held() {
		if h.Key.there != nil && h.Key.there.Sealed != nil {
			_, err := h.Key.PKCS8()
			return err
		}
	}
	return nil
}

// longEnough holds a passphrase to the server's policy; 0 demands none.
func longEnough(text string, least int) error {
	switch n := utf8.RuneCountInString(text); {
	case least == 0 || n >= least:
		return nil
	case n == 0:
		return ErrPassphraseDemanded.Withf("The server wants your private keys to be protected by a passphrase of your own, of at least %d characters. Give it with --p12-password-file.", least)
	default:
		return ErrPassphraseDemanded.Withf("The server wants a passphrase of at least %d characters; this one has %d. If your keys are under it already, change it: sealpost-agent passphrase", least, n)
	}
}
