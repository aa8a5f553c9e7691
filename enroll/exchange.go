package enroll

import (
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/erase"
	"github.com/sealpost/sealpost/internal/pg"
)

// The exchange is how a private encryption key comes in: as CMS to the certificate of a short-lived P-256 key, bound to
// the person, the CSRs and a nonce. A new key is made when half of the present one's life is over; the old one still
// opens until its certificate ends, and is destroyed then.
const (
	// exchangeProfile is the authority's profile for exchange certificates.
	exchangeProfile = "archive-exchange"
	nonceLife       = time.Hour
)

// exchange keeps the opened keys in memory, newest first, and looks for others' when it must.
type exchange struct {
	registry *Registry
	mu       sync.Mutex
	keys     []exchangeKey
}

// exchangeKey is one opened key with its certificate.
type exchangeKey struct {
	id          uuid.UUID
	certificate *x509.Certificate
	key         *ecdh.PrivateKey
	nonceKey    []byte
	attestKey   []byte
}

// EnsureExchange makes a new exchange key when there is none or the newest has lived half its life, and destroys those
// whose certificate has ended. It is called at start and as a periodic job; servers take turns.
func (r *Registry) EnsureExchange(ctx context.Context) error {
	now := r.Now()
	id, sealed, err := r.chooseExchange(ctx, now)
	if err != nil || id == uuid.Nil {
		return err
	}
	pkcs8, err := r.UnsealKey(sealed)
	if err != nil {
		return fmt.Errorf("exchange key %s: %w", id, err)
	}
	defer clear(pkcs8)
	key, err := parseECDH(pkcs8)
	if err != nil {
		return fmt.Errorf("exchange key %s: %w", id, err)
	}
	certificate, err := r.issueExchange(ctx, id, key.PublicKey())
	if err != nil {
		return err
	}
	return r.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `update enroll.exchange set certificate = $2, ends = $3 where id = $1 and certificate is null`,
			id, certificate.DER, certificate.NotAfter)
		return err
	})
}

// chooseExchange returns a key that has no certificate yet, made now if one is due; the nil id means that none is.
func (r *Registry) chooseExchange(ctx context.Context, now time.Time) (id uuid.UUID, sealed []byte, err error) {
	err = r.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		if err := pg.Lock(ctx, tx, "enroll-exchange"); err != nil {
			return err
		}
		// Destroyed: the certificate's end is the last moment at which the key may have been used.
		if _, err := tx.Exec(ctx, `update enroll.exchange set sealed_key = null where ends < $1 and sealed_key is not null`, now); err != nil {
			return err
		}
		// Begun and never certified: prepared certificates are only resumed for so long.
		if _, err := tx.Exec(ctx, `delete from enroll.exchange where certificate is null and made_at < $1`, now.Add(-patience)); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, `select id, sealed_key from enroll.exchange where certificate is null order by made_at limit 1`).Scan(&id, &sealed)
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		var fresh bool
		err = tx.QueryRow(ctx, `select exists (select from enroll.exchange where sealed_key is not null
			and made_at + (ends - made_at) / 2 > $1)`, now).Scan(&fresh)
		if err != nil || fresh {
			return err
		}
		if sealed, err = r.newSealedKey(); err != nil {
			return err
		}
		id = uuid.New()
		_, err = tx.Exec(ctx, `insert into enroll.exchange (id, sealed_key, made_at) values ($1, $2, $3)`, id, sealed, now)
		return err
	})
	return id, sealed, err
}

func (r *Registry) newSealedKey() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	defer clear(pkcs8)
	return r.SealKey(pkcs8)
}

func (r *Registry) issueExchange(ctx context.Context, id uuid.UUID, public *ecdh.PublicKey) (*ca.Certificate, error) {
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	by := audit.System("exchange")
	prepared, err := r.Authority.Prepare(ctx, by, ca.Request{ID: id, Profile: exchangeProfile, PublicKey: spki,
		Subject: ca.Subject{CommonName: "Archive exchange " + r.Now().UTC().Format(time.DateOnly)}})
	if err != nil {
		return nil, fmt.Errorf("exchange certificate: %w", err)
	}
	certificates, err := r.Authority.Sign(ctx, by, prepared)
	if err != nil {
		return nil, fmt.Errorf("exchange certificate: %w", err)
	}
	return &certificates[0], nil
}

// current returns the opened keys, newest first. One made by another server is found when the newest known here is
// due.
func (x *exchange) current(ctx context.Context) ([]exchangeKey, error) {
	now := x.registry.Now()
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.keys) > 0 {
		newest := x.keys[0].certificate
		if now.Before(newest.NotBefore.Add(newest.NotAfter.Sub(newest.NotBefore) / 2)) {
			return x.alive(now), nil
		}
	}
	if err := x.load(ctx, now); err != nil {
		return nil, err
	}
	if keys := x.alive(now); len(keys) > 0 {
		return keys, nil
	}
	return nil, ErrEscrowRefused.Withf("The archive has no valid exchange certificate at the moment. Try again later.")
}

func (x *exchange) alive(now time.Time) []exchangeKey {
	var out []exchangeKey
	for _, k := range x.keys {
		if now.Before(k.certificate.NotAfter) {
			out = append(out, k)
		}
	}
	return out
}

// load opens the keys in the database that are not open yet.
func (x *exchange) load(ctx context.Context, now time.Time) error {
	type row struct {
		ID          uuid.UUID
		SealedKey   []byte
		Certificate []byte
	}
	var rows []row
	err := x.registry.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		found, err := tx.Query(ctx, `select id, sealed_key, certificate from enroll.exchange
			where sealed_key is not null and certificate is not null and ends > $1 order by ends desc`, now)
		if err != nil {
			return err
		}
		rows, err = pgx.CollectRows(found, pgx.RowToStructByPos[row])
		return err
	})
	if err != nil {
		return err
	}
	known := map[uuid.UUID]exchangeKey{}
	for _, k := range x.keys {
		known[k.id] = k
	}
	keys := make([]exchangeKey, 0, len(rows))
	for _, w := range rows {
		k, ok := known[w.ID]
		if !ok {
			if k, err = x.unseal(w.ID, w.SealedKey, w.Certificate); err != nil {
				return fmt.Errorf("exchange key %s: %w", w.ID, err)
			}
		}
		keys = append(keys, k)
	}
	x.keys = keys
	return nil
}

func (x *exchange) unseal(id uuid.UUID, sealed, der []byte) (k exchangeKey, err error) {
	pkcs8, err := x.registry.UnsealKey(sealed)
	if err != nil {
		return k, err
	}
	defer clear(pkcs8)
	k.id = id
	if k.key, err = parseECDH(pkcs8); err != nil {
		return k, err
	}
	if k.certificate, err = x509.ParseCertificate(der); err != nil {
		return k, err
	}
	if k.attestKey, err = hkdf.Key(sha256.New, k.key.Bytes(), nil, "sealpost attestation v1", sha256.Size); err != nil {
		return k, err
	}
	if k.nonceKey, err = hkdf.Key(sha256.New, k.key.Bytes(), nil, "sealpost exchange nonce v1", sha256.Size); err != nil {
		return k, err
	}
	public, ok := k.certificate.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return k, errors.New("the certificate's key is not an EC key")
	}
	certified, err := public.ECDH()
	if err != nil {
		return k, err
	}
	if !certified.Equal(k.key.PublicKey()) {
		return k, errors.New("the certificate is another key's")
	}
	return k, nil
}

func parseECDH(pkcs8 []byte) (*ecdh.PrivateKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("an EC key is needed, not %T", parsed)
	}
	return key.ECDH()
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
			!k.bound(content.Identifier, b, x.registry.Now()) {
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
