package cms_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/sealpost/sealpost/cms"
)

// These tests take messages apart that openssl's cms command does not read, with
// encoding/asn1 and openssl's single operations.

// encryptedContent is EncryptedContentInfo with AES-GCM.
type encryptedContent struct {
	Type      asn1.ObjectIdentifier
	Algorithm struct {
		OID    asn1.ObjectIdentifier
		Params struct {
			Nonce   []byte
			TagSize int
		}
	}
	Ciphertext []byte `asn1:"tag:0"`
}

// open decrypts the content as RFC 5084 says.
func (c encryptedContent) open(key, tag, aad []byte) ([]byte, error) {
	gcm := must(cipher.NewGCM(must(aes.NewCipher(key))))
	return gcm.Open(nil, c.Algorithm.Params.Nonce, append(c.Ciphertext, tag...), aad)
}

// TestAuthenticatedAttributes takes a message with another content type apart by
// other means: openssl 3.0 reads such messages only since 2026 (its issue 26101),
// so that it unwraps the key alone here and crypto/cipher checks the tag over the
// attributes as RFC 5083 §2.2 says.
func TestAuthenticatedAttributes(t *testing.T) {
	t.Parallel()
	p := thePKI()
	der := seal(t, plaintext, cms.SealOptions{ContentType: cms.OIDEncKeyWithID}, p.rsa)
	var info struct {
		Type    asn1.ObjectIdentifier
		Content struct {
			Version    int
			Recipients []struct {
				Version   int
				ID        asn1.RawValue
				Algorithm asn1.RawValue
				Key       []byte
			} `asn1:"set"`
			Encrypted  encryptedContent
			Attributes asn1.RawValue `asn1:"tag:1"`
			Tag        []byte
		} `asn1:"explicit,tag:0"`
	}
	if rest, err := asn1.Unmarshal(der, &info); err != nil || len(rest) > 0 {
		t.Fatal(err)
	}
	m := info.Content
	key := openssl(t, m.Recipients[0].Key, "pkeyutl", "-decrypt", "-inkey", p.rsa.keyFile,
		"-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256")
	got, err := m.Encrypted.open(key, m.Tag, append([]byte{0x31}, m.Attributes.FullBytes[1:]...))
	if err != nil || !bytes.Equal(got, plaintext) {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestX25519ByHand unwraps the content key of an X25519 recipient with openssl's
// single operations, because its cms command does not know the curve (RFC 8418).
func TestX25519ByHand(t *testing.T) {
	t.Parallel()
	p := thePKI()
	var info struct {
		Type    asn1.ObjectIdentifier
		Content struct {
			Version    int
			Recipients []struct {
				Version    int
				Originator struct {
					Key struct {
						Algorithm pkix.AlgorithmIdentifier
						PublicKey asn1.BitString
					} `asn1:"tag:1"`
				} `asn1:"tag:0"`
				Algorithm asn1.RawValue
				Keys      []struct {
					ID  asn1.RawValue
					Key []byte
				}
			} `asn1:"set"`
			Encrypted encryptedContent
			Tag       []byte
		} `asn1:"explicit,tag:0"`
	}
	der := seal(t, plaintext, cms.SealOptions{}, p.x25519)
	// The one recipient is under the implicit tag [1]; encoding/asn1 wants a SEQUENCE.
	der = bytes.Replace(der, []byte{0xa1, 0x81}, []byte{0x30, 0x81}, 1)
	if rest, err := asn1.Unmarshal(der, &info); err != nil || len(rest) > 0 {
		t.Fatal(err)
	}
	m, r := info.Content, info.Content.Recipients[0]
	spki := must(x509.MarshalPKIXPublicKey(must(ecdh.X25519().NewPublicKey(r.Originator.Key.PublicKey.Bytes))))
	peer := filepath.Join(t.TempDir(), "peer.der")
	if err := os.WriteFile(peer, spki, 0o600); err != nil {
		t.Fatal(err)
	}
	secret := openssl(t, nil, "pkeyutl", "-derive", "-inkey", p.x25519.keyFile, "-peerkey", peer, "-peerform", "DER")
	// ECC-CMS-SharedInfo: AES-256 key wrap without parameters, 256 bits.
	kek := openssl(t, nil, "kdf", "-binary", "-keylen", "32", "-kdfopt", "digest:SHA256", "-kdfopt", fmt.Sprintf("hexkey:%x", secret),
		"-kdfopt", "hexinfo:3015300b060960864801650304012da206040400000100", "HKDF")
	key := openssl(t, r.Keys[0].Key, "enc", "-d", "-id-aes256-wrap", "-K", fmt.Sprintf("%x", kek), "-iv", "A6A6A6A6A6A6A6A6")
	got, err := m.Encrypted.open(key, m.Tag, nil)
	if err != nil || !bytes.Equal(got, plaintext) {
		t.Errorf("got %q, %v", got, err)
	}
}
