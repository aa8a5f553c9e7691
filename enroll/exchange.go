package enroll

import (
	"context"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/internal/erase"
)

// The exchange is how a private encryption key comes in: as CMS to the certificate of one of the server's keys, bound to
// the person, the CSRs and a nonce.
var toExchange = serves{name: "exchange", profile: ca.ArchiveExchange, title: "Archive exchange",
	none: ErrEscrowRefused.Withf("The archive has no valid exchange certificate at the moment. Try again later.")}

const nonceLife = time.Hour

type exchange struct{ keys *serverKeys }

// exchangeKey is one opened key with its certificate.
type exchangeKey struct {
	certificate *x509.Certificate
	key         *ecdh.PrivateKey
	nonceKey    []byte
	attestKey   []byte
}

// current returns the opened keys, newest first.
func (x *exchange) current(ctx context.Context) ([]exchangeKey, error) {
	keys, err := x.keys.current(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]exchangeKey, len(keys))
	for i, k := range keys {
		out[i].certificate = k.certificate
		if out[i].key, err = k.key.ECDH(); err != nil {
			return nil, err
		}
		if out[i].attestKey, err = hkdf.Key(sha256.New, out[i].key.Bytes(), nil, "sealpost attestation v1", sha256.Size); err != nil {
			return nil, err
		}
		if out[i].nonceKey, err = hkdf.Key(sha256.New, out[i].key.Bytes(), nil, "sealpost exchange nonce v1", sha256.Size); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// binding is a message that brings a private key, and all that it must be bound to.
type binding struct {
	message    []byte                                          // CMS
	asker      uuid.UUID                                       // to whom the nonce was given
	nonceOf    func(identifier string) (nonce string, ok bool) // of an identifier of the right form
	identifier func(nonce string) string                       // that the message must have
}

// escrow is what the key of an enrolment is bound to.
func (s Submission) escrow(person uuid.UUID) binding {
	return binding{s.EscrowedKey, person, api.EscrowNonce, func(nonce string) string {
		return api.EscrowIdentifier(person, s.SigningCSR, s.EncryptionCSR, nonce)
	}}
}

// open returns the private key (PKCS#8) that a CMS message holds, after comparing everything it is bound to. Every
// failure is the one ErrEscrowRefused: telling a wrong padding from a wrong name would help whoever guesses.
func (x *exchange) open(ctx context.Context, b binding) ([]byte, error) {
	keys, err := x.current(ctx)
	if err != nil {
		return nil, err
	}
	var key []byte
	erase.After(func() { key = x.openWith(keys, b) })
	if key == nil {
		return nil, ErrEscrowRefused
	}
	return key, nil
}

// openWith returns the private key, or nil whatever is wrong. It is a part of the message's plaintext; the caller erases it.
func (x *exchange) openWith(keys []exchangeKey, b binding) []byte {
	for _, k := range keys {
		opened, err := cms.Open(b.message, cms.Recipient{Certificate: k.certificate, Key: k.key}, cms.OpenOptions{MaxSize: api.MaxBody})
		if err != nil {
			continue
		}
		content, err := cms.ParseEncKeyWithID(opened.Content)
		if err != nil || !opened.Authenticated || !opened.ContentType.Equal(cms.OIDEncKeyWithID) ||
			!k.bound(content.Identifier, b, x.keys.registry.Now()) {
			clear(opened.Content)
			return nil
		}
		return content.PrivateKey
	}
	return nil
}

// bound reports whether the identifier inside the message is the one that it must have, with a nonce that we gave to who
// asks, for this key, and that has not ended.
func (k exchangeKey) bound(identifier string, b binding, now time.Time) bool {
	nonce, ok := b.nonceOf(identifier)
	if !ok {
		return false
	}
	return subtle.ConstantTimeCompare([]byte(identifier), []byte(b.identifier(nonce))) == 1 && k.checkNonce(nonce, b.asker, now)
}

// newNonce returns a nonce that is valid for this person, with this key, until it ends. It needs no storage: it is the
// end and a MAC over both.
func (k exchangeKey) newNonce(person uuid.UUID, ends time.Time) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(ends.Unix()))
	return base64.RawURLEncoding.EncodeToString(append(b, k.nonceMAC(person, b)...))
}

func (k exchangeKey) checkNonce(nonce string, person uuid.UUID, now time.Time) bool {
	b, err := base64.RawURLEncoding.DecodeString(nonce)
	if err != nil || len(b) != 8+sha256.Size {
		return false
	}
	ends := time.Unix(int64(binary.BigEndian.Uint64(b)), 0)
	return hmac.Equal(b[8:], k.nonceMAC(person, b[:8])) && now.Before(ends)
}

func (k exchangeKey) nonceMAC(person uuid.UUID, ends []byte) []byte {
	m := hmac.New(sha256.New, k.nonceKey)
	m.Write(person[:])
	m.Write(ends)
	return m.Sum(nil)
}
