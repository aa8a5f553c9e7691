package enroll

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/pg"
)

// The server has short-lived P-256 keys of its own, certified by its own authority: one to receive private keys, one to
// sign policies. All servers share them, by way of the database. A new one is made when half of the present one's life is
// over; the old one still serves what was begun with it until its certificate ends, and is destroyed then.

// serves is what a key of the server's serves.
type serves struct {
	name    string       // in the database
	profile string       // the authority's
	title   string       // in the certificate's common name
	none    *fault.Error // what to say when there is none
}

// serverKeys keeps the opened keys of one kind in memory, newest first, and looks for others' when it must.
type serverKeys struct {
	registry *Registry
	serves
	mu   sync.Mutex
	keys []serverKey
}

// serverKey is one opened key with its certificate.
type serverKey struct {
	id          uuid.UUID
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// EnsureKeys makes new keys of the server's where there is none or the newest has lived half its life, and destroys those
// whose certificate has ended. It is called at start and as a periodic job; servers take turns.
func (r *Registry) EnsureKeys(ctx context.Context) error {
	err := r.signer.ensure(ctx)
	if r.Archive != nil {
		err = errors.Join(err, r.exchange.keys.ensure(ctx))
	}
	return err
}

func (k *serverKeys) ensure(ctx context.Context) error {
	id, sealed, err := k.choose(ctx, k.registry.Now())
	if err != nil || id == uuid.Nil {
		return err
	}
	pkcs8, err := k.registry.UnsealKey(sealed)
	if err != nil {
		return k.faultOf(id, err)
	}
	defer clear(pkcs8)
	key, err := parseEC(pkcs8)
	if err != nil {
		return k.faultOf(id, err)
	}
	certificate, err := k.issue(ctx, id, key)
	if err != nil {
		return err
	}
	return k.registry.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `update enroll.server_key set certificate = $2, ends = $3 where id = $1 and certificate is null`,
			id, certificate.DER, certificate.NotAfter)
		return err
	})
}

func (k *serverKeys) faultOf(id uuid.UUID, err error) error {
	return fmt.Errorf("%s key %s: %w", k.name, id, err)
}

// choose returns a key that has no certificate yet, made now if one is due; the nil id means that none is.
func (k *serverKeys) choose(ctx context.Context, now time.Time) (id uuid.UUID, sealed []byte, err error) {
	err = k.registry.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		if err := pg.Lock(ctx, tx, "enroll-"+k.name); err != nil {
			return err
		}
		// Destroyed: the certificate's end is the last moment at which the key may have been used.
		if _, err := tx.Exec(ctx, `update enroll.server_key set sealed_key = null where serves = $2 and ends < $1 and sealed_key is not null`, now, k.name); err != nil {
			return err
		}
		// Begun and never certified: prepared certificates are only resumed for so long.
		if _, err := tx.Exec(ctx, `delete from enroll.server_key where serves = $2 and certificate is null and made_at < $1`, now.Add(-patience), k.name); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, `select id, sealed_key from enroll.server_key where serves = $1 and certificate is null order by made_at limit 1`, k.name).Scan(&id, &sealed)
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		var fresh bool
		err = tx.QueryRow(ctx, `select exists (select from enroll.server_key where serves = $2 and sealed_key is not null
			and made_at + (ends - made_at) / 2 > $1)`, now, k.name).Scan(&fresh)
		if err != nil || fresh {
			return err
		}
		if sealed, err = k.registry.newSealedKey(); err != nil {
			return err
		}
		id = uuid.New()
		_, err = tx.Exec(ctx, `insert into enroll.server_key (id, serves, sealed_key, made_at) values ($1, $2, $3, $4)`, id, k.name, sealed, now)
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

func (k *serverKeys) issue(ctx context.Context, id uuid.UUID, key *ecdsa.PrivateKey) (*ca.Certificate, error) {
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	by := audit.System(k.name)
	prepared, err := k.registry.Authority.Prepare(ctx, by, ca.Request{ID: id, Profile: k.profile, PublicKey: spki,
		Subject: ca.Subject{CommonName: k.title + " " + k.registry.Now().UTC().Format(time.DateOnly)}})
	if err != nil {
		return nil, fmt.Errorf("%s certificate: %w", k.name, err)
	}
	certificates, err := k.registry.Authority.Sign(ctx, by, prepared)
	if err != nil {
		return nil, fmt.Errorf("%s certificate: %w", k.name, err)
	}
	return &certificates[0], nil
}

// current returns the opened keys, newest first. One made by another server is found when the newest known here is
// due.
func (k *serverKeys) current(ctx context.Context) ([]serverKey, error) {
	now := k.registry.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.keys) > 0 {
		newest := k.keys[0].certificate
		if now.Before(newest.NotBefore.Add(newest.NotAfter.Sub(newest.NotBefore) / 2)) {
			return k.alive(now), nil
		}
	}
	if err := k.load(ctx, now); err != nil {
		return nil, err
	}
	if keys := k.alive(now); len(keys) > 0 {
		return keys, nil
	}
	return nil, k.none
}

func (k *serverKeys) alive(now time.Time) []serverKey {
	var out []serverKey
	for _, one := range k.keys {
		if now.Before(one.certificate.NotAfter) {
			out = append(out, one)
		}
	}
	return out
}

// load opens the keys in the database that are not open yet.
func (k *serverKeys) load(ctx context.Context, now time.Time) error {
	type row struct {
		ID          uuid.UUID
		SealedKey   []byte
		Certificate []byte
	}
	var rows []row
	err := k.registry.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		found, err := tx.Query(ctx, `select id, sealed_key, certificate from enroll.server_key
			where serves = $2 and sealed_key is not null and certificate is not null and ends > $1 order by ends desc`, now, k.name)
		if err != nil {
			return err
		}
		rows, err = pgx.CollectRows(found, pgx.RowToStructByPos[row])
		return err
	})
	if err != nil {
		return err
	}
	known := map[uuid.UUID]serverKey{}
	for _, one := range k.keys {
		known[one.id] = one
	}
	keys := make([]serverKey, 0, len(rows))
	for _, w := range rows {
		one, ok := known[w.ID]
		if !ok {
			if one, err = k.unseal(w.ID, w.SealedKey, w.Certificate); err != nil {
				return k.faultOf(w.ID, err)
			}
		}
		keys = append(keys, one)
	}
	k.keys = keys
	return nil
}

func (k *serverKeys) unseal(id uuid.UUID, sealed, der []byte) (one serverKey, err error) {
	pkcs8, err := k.registry.UnsealKey(sealed)
	if err != nil {
		return one, err
	}
	defer clear(pkcs8)
	one.id = id
	if one.key, err = parseEC(pkcs8); err != nil {
		return one, err
	}
	if one.certificate, err = x509.ParseCertificate(der); err != nil {
		return one, err
	}
	if !one.key.PublicKey.Equal(one.certificate.PublicKey) {
		return one, errors.New("the certificate is another key's")
	}
	return one, nil
}

func parseEC(pkcs8 []byte) (*ecdsa.PrivateKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("an EC key is needed, not %T", parsed)
	}
	return key, nil
}

// chainOf returns the certificates above one of the server's, up to the root. Its issuer is not always r.Issuer: that may have been
// another when the certificate was made.
func (k *serverKeys) chainOf(c *x509.Certificate) ([]*x509.Certificate, error) {
	for _, i := range k.registry.Authority.Issuers() {
		if bytes.Equal(i.Certificate().SubjectKeyId, c.AuthorityKeyId) {
			return i.Chain(), nil
		}
	}
	return nil, k.none.Withf("The %s certificate is of an issuer that is not configured any more. Ask the operator.", k.name)
}
