package kra

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/internal/keys"
)

// MinPassphrase is the shortest passphrase that KeyGen and DealerKey take, in bytes. It protects the keys when the
// machine or a backup of it is stolen.
const MinPassphrase = 12

// pair is an officer's two keys. They come from internal/keys by address: a key on a token is another address.
type pair struct {
	signing    crypto.Signer // nil in a recipient's home
	decryption crypto.Signer // also a cms.Decrypter
}

// recipient is the decryption key with one of its certificates.
func (p *pair) recipient(c *x509.Certificate) cms.Recipient {
	return cms.Recipient{Certificate: c, Key: p.decryption}
}

// Requests are an officer's certificate requests (PKCS #10, PEM), for the authority's operator. The names in them are a
// hint for people: what is certified comes from the directory.
type Requests struct {
	Signing, Decryption []byte
}

// KeyGen makes the officer's two keys (P-256; one signs, the other opens) and writes the requests for their certificates
// into the home beside them. Keys that are there are never replaced; a KeyGen that was interrupted is completed. The
// officer is unlocked afterwards. The caller clears the passphrase.
func (o *Officer) KeyGen(ctx context.Context, name string, passphrase keys.Unlock) (*Requests, error) {
	if err := checkPassphrase(passphrase); err != nil {
		return nil, err
	}
	return o.keyGen(ctx, name, passphrase, func() error { return nil })
}

// KeyGenOnToken is KeyGen with keys that never leave a PKCS #11 token: token is its address without a key's
// ("pkcs11:module-path=/usr/lib/opensc-pkcs11.so;token=Olga"). The home keeps where they are; what unlocks them is the PIN.
func (o *Officer) KeyGenOnToken(ctx context.Context, name, token string, pin keys.Unlock) (*Requests, error) {
	if !keys.OnToken(token) || strings.Contains(token, ";id=") || strings.Contains(token, ";object=") {
		return nil, keys.ErrURI.Withf("Give the token's address: pkcs11:module-path=…;token=… (or serial=…), without id and object.")
	}
	return o.keyGen(ctx, name, pin, func() error {
		// Where they shall be is written down first: a KeyGen that was interrupted finds its own keys, and nobody else's.
		if at, err := o.home.read(tokenFile, maxCard); err != nil || at != nil {
			return err
		}
		var id [8]byte
		if _, err := rand.Read(id[:]); err != nil {
			return err
		}
		at := fmt.Sprintf("%[1]s;id=%[2]x01;object=sealpost-kra-signing-%[2]x\n%[1]s;id=%[2]x02;object=sealpost-kra-decryption-%[2]x\n", token, id)
		return o.home.write(tokenFile, []byte(at))
	})
}

func (o *Officer) keyGen(ctx context.Context, name string, u keys.Unlock, place func() error) (*Requests, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if err := o.home.make(); err != nil {
		return nil, err
	}
	var out *Requests
	err := o.home.locked(func() (err error) {
		if err := o.noKeysYet(); err != nil {
			return err
		}
		if err := place(); err != nil {
			return err
		}
		if o.keys, err = o.makeKeys(ctx, u); err != nil {
			return err
		}
		out, err = o.writeRequests(name)
		return err
	})
	return out, err
}

// places returns where the two keys are: files of the home, or addresses on a token.
func (o *Officer) places() (signing, decryption string, err error) {
	at, err := o.home.read(tokenFile, maxCard)
	if err != nil || at == nil {
		return o.home.path(signingKey), o.home.path(decryptionKey), err
	}
	lines := strings.Split(strings.TrimSpace(string(at)), "\n")
	if len(lines) != 2 {
		return "", "", ErrState.Withf("%s is not as this program wrote it.", o.home.path(tokenFile))
	}
	return lines[0], lines[1], nil
}

// OnToken reports whether the keys of this home are on a token, which a PIN unlocks.
func (o *Officer) OnToken() (bool, error) {
	_, at, err := o.places()
	return err == nil && keys.OnToken(at), err
}

func checkName(name string) error {
	if name == "" || name != record.Line(name, record.MaxName) {
		return ErrCard.Withf("The name %q is empty, too long, or has characters that could mislead.", name)
	}
	return nil
}

func (o *Officer) noKeysYet() error {
	done, err := o.home.read(decryptionCSR, maxCard) // the last to be written
	if err != nil {
		return err
	}
	if done != nil {
		return ErrKeysExist.Withf("There are keys in %s already. They were not touched. For other keys choose another home.", o.home.dir)
	}
	return nil
}

func checkPassphrase(u keys.Unlock) error {
	if len(u) < MinPassphrase {
		return ErrPassphrase.Withf("The passphrase is too short: use at least %d characters, better five or more random words.", MinPassphrase)
	}
	return nil
}

func (o *Officer) makeKeys(ctx context.Context, u keys.Unlock) (*pair, error) {
	at, decryptionAt, err := o.places()
	if err != nil {
		return nil, err
	}
	signing, err := createOrOpen(ctx, at, u)
	if err != nil {
		return nil, err
	}
	decryption, err := keys.CreateDecryption(ctx, decryptionAt, u)
	if errors.Is(err, keys.ErrExists) {
		decryption, err = keys.OpenDecryption(ctx, decryptionAt, u)
	}
	if err != nil {
		return nil, err
	}
	return &pair{signing, decryption}, nil
}

func createOrOpen(ctx context.Context, at string, u keys.Unlock) (crypto.Signer, error) {
	key, err := keys.Create(ctx, at, keys.P256, u)
	if errors.Is(err, keys.ErrExists) {
		return keys.Open(ctx, at, u)
	}
	return key, err
}

func (o *Officer) writeRequests(name string) (*Requests, error) {
	signing, err := request(o.keys.signing, name)
	if err != nil {
		return nil, err
	}
	decryption, err := request(o.keys.decryption, name)
	if err != nil {
		return nil, err
	}
	if err := o.home.write(signingCSR, signing); err != nil {
		return nil, err
	}
	if err := o.home.write(decryptionCSR, decryption); err != nil {
		return nil, err
	}
	return &Requests{signing, decryption}, nil
}

func request(key crypto.Signer, name string) ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, key)
	if err != nil {
		return nil, fmt.Errorf("create certificate request: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}

// Unlock opens the keys of the home: an officer's two, or a recipient's one. The caller clears the passphrase or PIN.
func (o *Officer) Unlock(ctx context.Context, passphrase keys.Unlock) error {
	at, decryptionAt, err := o.places()
	if err != nil {
		return err
	}
	signing, err := keys.Open(ctx, at, passphrase)
	missing := errors.Is(err, keys.ErrMissing)
	if err != nil && !missing {
		return err
	}
	decryption, err := keys.OpenDecryption(ctx, decryptionAt, passphrase)
	if errors.Is(err, keys.ErrMissing) && missing {
		return ErrNoKeys.Withf("There are no keys in %s. Begin with: sealpost-kra keygen", o.home.dir).Because(err)
	}
	if err != nil {
		return err
	}
	o.keys = &pair{signing, decryption}
	return nil
}

// Import takes the card with which the authority's operator answers: both certificates must be for the keys of this
// home, issued for a recovery agent, and chain to one of roots, which the officer got by another way than the card. Card
// and roots are kept in the home. A newer card for the same keys replaces an older one.
func (o *Officer) Import(card *AgentCard, roots []*x509.Certificate) error {
	if o.keys == nil {
		return ErrLocked
	}
	if o.keys.signing == nil {
		return ErrOtherKeys.Withf("In %s there is the key of a recipient. An officer's card belongs into another home.", o.home.dir)
	}
	if !same(card.Signing.PublicKey, o.keys.signing.Public()) || !same(card.Decryption.PublicKey, o.keys.decryption.Public()) {
		return ErrOtherKeys.Withf("The certificates of %s on this card are not for the keys in %s.", card.Name, o.home.dir)
	}
	t := trust{roots: roots, between: card.Chain, now: o.now()}
	if err := t.agent(card.Name, card.Signing, card.Decryption); err != nil {
		return err
	}
	text, err := card.Encode()
	if err != nil {
		return err
	}
	return o.home.locked(func() error {
		if err := o.home.write(rootsFile, encodeCertificates(roots)); err != nil {
			return err
		}
		return o.home.write(cardFile, text)
	})
}

// same compares public keys.
func same(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}
