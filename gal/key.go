package gal

import (
	"context"
	"crypto/sha1"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/ca"
)

// A SearchKey is what stands for a certificate in a question to an HTTP certificate store (RFC 4387 §2.1): a SHA-1 hash. It
// finds, and protects nothing.
type SearchKey [sha1.Size]byte

// SearchKeys are the keys of one certificate.
type SearchKeys struct {
	Certificate SearchKey // certHash
	Serial      SearchKey // iAndSHash: of issuer and serial number
	KeyID       SearchKey // sKIDHash: of the subject key identifier
}

// SearchKeysOf returns the keys of a certificate.
func SearchKeysOf(c *x509.Certificate) (SearchKeys, error) {
	id, err := asn1.Marshal(struct {
		Issuer asn1.RawValue
		Serial *big.Int
	}{asn1.RawValue{FullBytes: c.RawIssuer}, c.SerialNumber})
	return SearchKeys{sha1.Sum(c.Raw), sha1.Sum(id), sha1.Sum(c.SubjectKeyId)}, err
}

// has reports whether one of the keys is k.
func (s SearchKeys) has(k SearchKey) bool { return k == s.Certificate || k == s.Serial || k == s.KeyID }

// FindKey returns the certificates that a search key stands for, of those that are shown. None is no error. It finds nothing
// unless Config.Searchable.
func (p *Publisher) FindKey(ctx context.Context, k SearchKey) ([]ca.Certificate, error) {
	person := uuid.Nil // nobody: so that there is something to ask in any case
	err := p.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, `select person from gal.search_key where key = $1`, k[:]).Scan(&person)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	shown, err := p.Shown(ctx, []uuid.UUID{person})
	if err != nil {
		return nil, err
	}
	var out []ca.Certificate
	for _, c := range shown {
		keys, err := keysOf(c.DER)
		if err != nil {
			return nil, err
		}
		if keys.has(k) {
			out = append(out, c)
		}
	}
	return out, nil
}

func keysOf(der []byte) (SearchKeys, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return SearchKeys{}, err
	}
	return SearchKeysOf(cert)
}

// remember keeps the search keys of what people's entries show. That it failed is only logged: the next sweep makes up
// for it.
func (p *Publisher) remember(ctx context.Context, desired map[uuid.UUID]wanted) {
	if !p.Searchable || len(desired) == 0 {
		return
	}
	var keys [][]byte
	var people []uuid.UUID
	for person, w := range desired {
		for _, der := range w.certificates {
			k, err := keysOf(der)
			if err != nil {
				p.Log.Warn("certificate cannot be read", "person", person, "error", err)
				continue
			}
			keys = append(keys, slices.Clone(k.Certificate[:]), slices.Clone(k.Serial[:]), slices.Clone(k.KeyID[:]))
			people = append(people, person, person, person)
		}
	}
	err := p.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `insert into gal.search_key (key, person) select * from unnest($1::bytea[], $2::uuid[]) as k (key, person) order by key on conflict do nothing`, keys, people)
		return err
	})
	if err != nil {
		p.Log.Warn("search keys not kept; the next sweep will", "error", err)
	}
}
