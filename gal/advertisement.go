package gal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/ca"
)

// Unadvertised returns the certificates with which a person is written to for which there is no value that their program signed,
// or none that is still right, and the policy is to show one.
func (p *Publisher) Unadvertised(ctx context.Context, person uuid.UUID) ([]ca.Certificate, error) {
	if !p.advertises() {
		return nil, nil
	}
	shown, err := p.Shown(ctx, []uuid.UUID{person})
	if err != nil {
		return nil, err
	}
	kept, err := p.advertisements(ctx, shown)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(shown, func(c ca.Certificate) bool { return kept[sha256.Sum256(c.DER)].good }), nil
}

// advertisement is a value as the comparison needs it.
type advertisement struct {
	signer int64
	value  []byte
	good   bool // the signer's certificate is valid and not revoked
}

// advertises reports whether any directory's policy is to show values that people signed.
func (p *Publisher) advertises() bool {
	return slices.ContainsFunc(p.Targets(), func(t *Target) bool { return t.Policy.SMIME == Equal })
}

// advertisements is Publisher.advertisements; none if the policy is not to show them.
func (t *Target) advertisements(ctx context.Context, shown []ca.Certificate) (map[[sha256.Size]byte]advertisement, error) {
	if t.Policy.SMIME != Equal {
		return nil, nil
	}
	return t.p.advertisements(ctx, shown)
}

// advertisements returns the values that people signed for any of these certificates, by the hash of that.
func (p *Publisher) advertisements(ctx context.Context, shown []ca.Certificate) (map[[sha256.Size]byte]advertisement, error) {
	if len(shown) == 0 {
		return nil, nil
	}
	var out map[[sha256.Size]byte]advertisement
	err := p.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		out, err = selectAdvertisements(ctx, tx, shown)
		return err
	})
	if err != nil {
		return nil, err
	}
	var signers []int64
	for _, a := range out {
		signers = append(signers, a.signer)
	}
	good, err := p.Authority.Good(ctx, signers)
	for hash, a := range out {
		a.good = good[a.signer]
		out[hash] = a
	}
	return out, err
}

// show adds what userSMIMECertificate should have for a certificate: the value that its owner signed, or else the bundle.
func (p *Publisher) show(w *wanted, c ca.Certificate, kept map[[sha256.Size]byte]advertisement) error {
	a, ok := kept[sha256.Sum256(c.DER)]
	if ok && a.good {
		w.smime, w.signed = append(w.smime, a.value), true
		return nil
	}
	if ok {
		w.withdrawn = append(w.withdrawn, a.value)
	}
	value, err := p.bundle(c)
	if err != nil {
		return fmt.Errorf("bundle of %s: %w", c.Serial, err)
	}
	w.smime = append(w.smime, value)
	return nil
}

// upsertAdvertisement keeps a value, and returns whether it was not there.
func upsertAdvertisement(ctx context.Context, tx pgx.Tx, person uuid.UUID, a Advertised, now time.Time) (changed bool, err error) {
	hash := sha256.Sum256(a.Encryption.DER)
	tag, err := tx.Exec(ctx, `insert into gal.advertisement as old (certificate, person, signer, value, signed_at, kept_at) values ($1, $2, $3, $4, $5, $6)
		on conflict (certificate) do update set signer = $3, value = $4, signed_at = $5, kept_at = $6 where old.value <> $4`,
		hash[:], person, a.Signer.Number, a.value, a.SignedAt, now)
	return tag.RowsAffected() > 0, err
}

// queueWithoutAdvertisements removes a person's values that are for none of the certificates that are shown.
func queueWithoutAdvertisements(b *pgx.Batch, person uuid.UUID, shown []ca.Certificate) {
	b.Queue(`delete from gal.advertisement where person = $1 and certificate <> all($2)`, person, hashesOf(shown))
}

func hashesOf(list []ca.Certificate) [][]byte {
	out := make([][]byte, len(list))
	for i, c := range list {
		hash := sha256.Sum256(c.DER)
		out[i] = hash[:]
	}
	return out
}

func selectAdvertisements(ctx context.Context, tx pgx.Tx, shown []ca.Certificate) (map[[sha256.Size]byte]advertisement, error) {
	rows, err := tx.Query(ctx, `select certificate, signer, value from gal.advertisement where certificate = any($1)`, hashesOf(shown))
	if err != nil {
		return nil, err
	}
	out := map[[sha256.Size]byte]advertisement{}
	var certificate, value []byte
	var a advertisement
	_, err = pgx.ForEachRow(rows, []any{&certificate, &a.signer, &value}, func() error {
		a.value = bytes.Clone(value)
		out[[sha256.Size]byte(certificate)] = a
		return nil
	})
	return out, err
}
