package ca

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sealpost/sealpost/internal/keyuse"
)

// States of a prepared serial.
const (
	statePrepared  = "prepared"
	stateIssued    = "issued"
	stateAbandoned = "abandoned"
)

// preparedRow is a row of ca.prepared.
type preparedRow struct {
	Issuer     string
	Serial     []byte
	State      string
	Request    uuid.UUID
	Profile    string
	Person     uuid.UUID
	SPKI       []byte `db:"spki_sha256"`
	Mailboxes  []string
	NotBefore  time.Time
	NotAfter   time.Time
	Input      []byte
	Digest     []byte
	TBS        []byte `db:"tbs"`
	PreparedAt time.Time
}

const preparedColumns = `issuer, serial, state, request, profile, person, spki_sha256, mailboxes, not_before, not_after, input, digest, tbs, prepared_at`

func (r preparedRow) prepared() Prepared {
	return Prepared{r.Issuer, Serial(r.Serial), r.Request, r.Profile, r.Person, keyuse.Hash(r.SPKI), r.PreparedAt.UTC()}
}

// addIssuer makes an issuer known, or checks that it is the one that is known.
func addIssuer(ctx context.Context, tx pgx.Tx, at time.Time, i *Issuer) error {
	_, err := tx.Exec(ctx, `insert into ca.issuer (id, certificate, added_at) values ($1, $2, $3) on conflict (id) do nothing`,
		i.id, i.cert.Raw, at)
	if err != nil {
		return fmt.Errorf("add issuer %s: %w", i.id, err)
	}
	var known []byte
	if err := tx.QueryRow(ctx, `select certificate from ca.issuer where id = $1`, i.id).Scan(&known); err != nil {
		return fmt.Errorf("read issuer %s: %w", i.id, err)
	}
	if !bytes.Equal(known, i.cert.Raw) {
		return ErrIssuerChanged.Withf("The database knows another certificate for the issuer %s. Give a new issuing certificate a new issuer id.", i.id)
	}
	return nil
}

// queuePrepared stores drafts and tells of each whether it is new. The batch's Close refuses keys that were certified
// for another use, or are known to be compromised.
func queuePrepared(b *pgx.Batch, at time.Time, drafts []*draft, isNew []bool) {
	for n, d := range drafts {
		key := keyuse.HashOf(d.key.spki)
		b.Queue(`
			select exists (select from ca.prepared where spki_sha256 = $1 and use in ('agent', 'service') and key_usage <> $2
					and state <> 'abandoned' and use = $3),
				exists (select from ca.certificate c join ca.revocation r using (issuer, serial) where c.spki_sha256 = $1 and r.reason = 1)`,
			key[:], d.profile.keyUsage, d.profile.use).QueryRow(func(row pgx.Row) error {
			var reused, compromised bool
			if err := row.Scan(&reused, &compromised); err != nil {
				return fmt.Errorf("store prepared certificate: %w", err)
			}
			switch {
			case reused:
				return ErrKeyReused
			case compromised:
				return ErrKeyCompromised
			}
			return nil
		})
		b.Queue(`
			insert into ca.prepared (issuer, serial, state, request, profile, person, use, spki_sha256, key_usage, mailboxes,
				not_before, not_after, input, digest, tbs, prepared_at)
			values ($1, $2, 'prepared', $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
			on conflict (request, profile) where state <> 'abandoned' do nothing`,
			d.profile.issuer.id, []byte(d.serial), d.ID, d.profile.name, d.Person, d.profile.use, key[:], d.profile.keyUsage,
			d.mailboxKeys(), d.notBefore, d.notAfter, d.asked.digest[:], d.digest, d.tbs, at).Exec(func(tag pgconn.CommandTag) error {
			isNew[n] = tag.RowsAffected() == 1
			return nil
		})
	}
}

// preparedBefore returns what was prepared for the same request and profile before, if it asked for the same. It
// returns ErrStale when that can no longer be signed.
func preparedBefore(ctx context.Context, tx pgx.Tx, now time.Time, d *draft) (Prepared, error) {
	rows, err := tx.Query(ctx, `select `+preparedColumns+` from ca.prepared where request = $1 and profile = $2 and state <> 'abandoned'`,
		d.ID, d.profile.name)
	if err != nil {
		return Prepared{}, err
	}
	r, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[preparedRow])
	if err != nil {
		return Prepared{}, fmt.Errorf("read prepared certificate: %w", err)
	}
	if !bytes.Equal(r.Input, d.asked.digest[:]) {
		return Prepared{}, ErrRequestChanged
	}
	if r.State == statePrepared && now.Sub(r.PreparedAt) > prepareLasts {
		return Prepared{}, ErrStale
	}
	return r.prepared(), nil
}

// lockPrepared returns the rows of the given serials by the audit log's name for them, and keeps others from settling
// them. The order of locking is fixed, so that two who sign the same pair do not wait for each other. It is one
// statement for each serial, in one round trip: a join with a list would let the planner read the whole table.
func lockPrepared(ctx context.Context, tx pgx.Tx, list []Prepared) (rows map[string]preparedRow, err error) {
	sorted := slices.SortedFunc(slices.Values(list), func(p, q Prepared) int {
		return cmp.Or(cmp.Compare(p.Issuer, q.Issuer), cmp.Compare(p.Serial, q.Serial))
	})
	b := &pgx.Batch{}
	for _, p := range sorted {
		b.Queue(`select `+preparedColumns+` from ca.prepared where issuer = $1 and serial = $2 for update`, p.Issuer, []byte(p.Serial))
	}
	r := tx.SendBatch(ctx, b)
	defer func() { err = errors.Join(err, r.Close()) }()
	rows = make(map[string]preparedRow, len(list))
	for range sorted {
		q, err := r.Query()
		if err != nil {
			return nil, fmt.Errorf("lock prepared certificates: %w", err)
		}
		found, err := pgx.CollectRows(q, pgx.RowToStructByName[preparedRow])
		if err != nil {
			return nil, fmt.Errorf("lock prepared certificates: %w", err)
		}
		for _, one := range found {
			rows[subjectOf(one.Issuer, Serial(one.Serial))] = one
		}
	}
	return rows, nil
}

// queueCertificates moves prepared rows to issued and stores what was signed. It sets the numbers.
func queueCertificates(b *pgx.Batch, at time.Time, list []Certificate) {
	for n, c := range list {
		b.Queue(`
			with settled as (
				update ca.prepared set state = 'issued', settled_at = $3 where issuer = $1 and serial = $2 and state = 'prepared'
				returning issuer, serial, request, profile, person, spki_sha256, mailboxes, not_before, not_after)
			insert into ca.certificate (issuer, serial, request, profile, person, spki_sha256, mailboxes, not_before, not_after, issued_at, der)
			select issuer, serial, request, profile, person, spki_sha256, mailboxes, not_before, not_after, $3, $4 from settled
			returning number`, c.Issuer, []byte(c.Serial), at, c.DER).QueryRow(func(row pgx.Row) error {
			if err := row.Scan(&list[n].Number); err != nil {
				return fmt.Errorf("store certificate %s: %w", c.Serial, err)
			}
			return nil
		})
	}
}

// certificateRow is a row of ca.certificate with the last change of its standing.
type certificateRow struct {
	Number      int64
	Issuer      string
	Serial      []byte
	Request     uuid.UUID
	Profile     string
	Person      uuid.UUID
	SPKI        []byte `db:"spki_sha256"`
	Mailboxes   []string
	NotBefore   time.Time
	NotAfter    time.Time
	IssuedAt    time.Time
	DER         []byte `db:"der"`
	Standing    *string
	Reason      *Reason
	RevokedAt   *time.Time
	InvalidFrom *time.Time `db:"invalidity_at"`
}

const selectCertificates = `
	select c.number, c.issuer, c.serial, c.request, c.profile, c.person, c.spki_sha256, c.mailboxes, c.not_before, c.not_after,
		c.issued_at, c.der, r.standing, r.reason, r.revoked_at, r.invalidity_at
	from ca.certificate c left join lateral (
		select standing, reason, revoked_at, invalidity_at from ca.revocation
		where issuer = c.issuer and serial = c.serial order by change desc limit 1) r on true `

func (r certificateRow) certificate() Certificate {
	return Certificate{r.Number, r.Issuer, Serial(r.Serial), r.Request, r.Profile, r.Person, keyuse.Hash(r.SPKI), r.Mailboxes,
		r.NotBefore.UTC(), r.NotAfter.UTC(), r.IssuedAt.UTC(), r.DER, statusOf(r.Standing, r.Reason, r.RevokedAt, r.InvalidFrom)}
}

func certificates(ctx context.Context, tx pgx.Tx, where string, args ...any) ([]Certificate, error) {
	rows, err := tx.Query(ctx, selectCertificates+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read certificates: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[certificateRow])
	if err != nil {
		return nil, fmt.Errorf("read certificates: %w", err)
	}
	out := make([]Certificate, len(found))
	for n, r := range found {
		out[n] = r.certificate()
	}
	return out, nil
}

func certificate(ctx context.Context, tx pgx.Tx, issuer string, serial Serial) (Certificate, error) {
	list, err := certificates(ctx, tx, `where c.issuer = $1 and c.serial = $2`, issuer, []byte(serial))
	if err != nil {
		return Certificate{}, err
	}
	if len(list) == 0 {
		return Certificate{}, ErrNotFound
	}
	return list[0], nil
}

// condition collects the conditions of a query and their arguments.
type condition struct {
	where []string
	args  []any
}

// add adds a condition in which $ stands for the argument.
func (c *condition) add(text string, arg any) {
	c.args = append(c.args, arg)
	c.where = append(c.where, strings.ReplaceAll(text, "$", "$"+strconv.Itoa(len(c.args))))
}

func (c *condition) String() string {
	if len(c.where) == 0 {
		return ""
	}
	return "where " + strings.Join(c.where, " and ")
}

func limitClause(n int) string { return " order by c.number desc limit $" + strconv.Itoa(n) }
