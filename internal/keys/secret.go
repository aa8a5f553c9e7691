package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/pem"
)

// Secrets that are no keys of ours to sign with, such as the seed of the archive's wrapping key or the exchange's private
// keys, are sealed under the same passphrase. Version 1: the salt of PBKDF2-HMAC-SHA-256 with 600,000 iterations (16
// bytes), the nonce of AES-256-GCM (12 bytes), the ciphertext with its tag; the label is the additional data, so that
// what was sealed as one thing does not open as another.
const (
	secretVersion    = 1
	secretSalt       = 16
	secretIterations = 600_000
	secretPEM        = "SEALPOST SEALED SECRET"
	maxSecret        = 64 << 10
)

// SealSecret encrypts secret under the passphrase. label says what it is; UnsealSecret must be given the same.
func SealSecret(secret []byte, label string, u Unlock) ([]byte, error) {
	if len(u) == 0 {
		return nil, ErrNoUnlock
	}
	head := make([]byte, 1+secretSalt+12)
	_, _ = rand.Read(head) // never fails
	head[0] = secretVersion
	aead, err := secretCipher(head[1:1+secretSalt], u)
	if err != nil {
		return nil, err
	}
	return aead.Seal(head, head[1+secretSalt:], secret, []byte(label)), nil
}

// UnsealSecret decrypts what SealSecret made. The caller clears it. It returns ErrPassphrase for another passphrase,
// another label and altered bytes alike.
func UnsealSecret(sealed []byte, label string, u Unlock) ([]byte, error) {
	if len(u) == 0 {
		return nil, ErrNoUnlock
	}
	const head = 1 + secretSalt + 12
	if len(sealed) < head || len(sealed) > maxSecret || sealed[0] != secretVersion {
		return nil, ErrNotKey.Withf("This is not a sealed secret, or of a version that this program does not know.")
	}
	aead, err := secretCipher(sealed[1:1+secretSalt], u)
	if err != nil {
		return nil, err
	}
	secret, err := aead.Open(nil, sealed[1+secretSalt:head], sealed[head:], []byte(label))
	if err != nil {
		return nil, ErrPassphrase
	}
	return secret, nil
}

func secretCipher(salt []byte, u Unlock) (cipher.AEAD, error) {
	key, err := pbkdf2.Key(sha256.New, string(u), salt, secretIterations, 32)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// WriteSecret seals secret into a new file (PEM, mode 0600). It never replaces one.
func WriteSecret(path string, secret []byte, label string, u Unlock) error {
	sealed, err := SealSecret(secret, label, u)
	if err != nil {
		return err
	}
	return writeNew(path, pem.EncodeToMemory(&pem.Block{Type: secretPEM, Headers: map[string]string{"Content": label}, Bytes: sealed}))
}

// ReadSecret opens a file that WriteSecret made. The caller clears the secret.
func ReadSecret(path, label string, u Unlock) ([]byte, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != secretPEM || len(rest) > 0 {
		return nil, ErrNotKey.Withf("The file %s does not hold a sealed secret.", path)
	}
	return UnsealSecret(block.Bytes, label, u)
}

// ReadKeytab reads a Kerberos keytab. A file that others may read is refused.
func ReadKeytab(path string) ([]byte, error) { return readFile(path) }

// ReadPassphrase reads a passphrase file: its first line. A file that others may read is refused.
func ReadPassphrase(path string) (Unlock, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	for i, b := range text {
		if b == '\n' || b == '\r' {
			clear(text[i:])
			text = text[:i]
			break
		}
	}
	if len(text) == 0 {
		return nil, ErrNoUnlock.Withf("The passphrase file %s is empty.", path)
	}
	return text, nil
}
