package ca

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/keyuse"
	"github.com/sealpost/sealpost/internal/pg"
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
	Partition  int
}

const preparedColumns = `issuer, serial, state, request, profile, person, spki_sha256, mailboxes, not_before, not_after, input, digest, tbs, prepared_at, partition`

func (r preparedRow) prepared() Prepared {
	return Prepared{r.Issuer, Serial(r.Serial), r.Request, r.Profile, r.Person, keyuse.Hash(r.SPKI), r.PreparedAt.UTC(), &r}
}

// addIssuer makes an issuer known, or checks that it is the one that is known.
func addIssuer(ctx context.Context, tx pgx.Tx, at time.Time, i *Issuer) error {
	_, err := tx.Exec(ctx, `insert into ca.issuer as i (id, certificate, added_at, partitions) values ($1, $2, $3, $4)
		on conflict (id) do update set partitions = excluded.partitions where i.partitions < excluded.partitions`, i.id, i.cert.Raw, at, i.config.Partitions)
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

// preparedTwice is the constraint that is violated where the same request has a serial of the same profile already.
const preparedTwice = "prepared_request"

// row returns what is stored of a draft.
func (d *draft) row(at time.Time) preparedRow {
	key := keyuse.HashOf(d.key.spki)
	return preparedRow{Issuer: d.profile.issuer.id, Serial: []byte(d.serial), State: statePrepared, Request: d.ID, Profile: d.profile.name,
		Person: d.Person, SPKI: key[:], Mailboxes: d.mailboxKeys(), NotBefore: d.notBefore, NotAfter: d.notAfter, Input: d.asked.digest[:],
		Digest: d.digest, TBS: d.tbs, PreparedAt: at, Partition: d.partition}
}

// queuePrepared stores a draft. The batch refuses a key that was certified for another use, or is known to be
// compromised.
func queuePrepared(b *pgx.Batch, d *draft, r preparedRow) {
	if d.profile.use == keyuse.Agent || d.profile.use == keyuse.Service {
		pg.Require(b, ErrKeyReused, `
			select require.that(not exists (select from ca.prepared
				where spki_sha256 = $1 and use in ('agent', 'service') and key_usage <> $2 and state <> 'abandoned' and use = $3))`,
			r.SPKI, d.profile.keyUsage, d.profile.use)
	}
	pg.Require(b, ErrKeyCompromised, `
		select require.that(not exists (select from ca.certificate c join ca.revocation r using (issuer, serial)
			where c.spki_sha256 = $1 and r.reason = 1))`, r.SPKI)
	b.Queue(`
		insert into ca.prepared (issuer, serial, state, request, profile, person, use, spki_sha256, key_usage, mailboxes,
			not_before, not_after, input, digest, tbs, prepared_at, partition)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`,
		r.Issuer, r.Serial, r.State, r.Request, r.Profile, r.Person, d.profile.use, r.SPKI, d.profile.keyUsage, r.Mailboxes,
		r.NotBefore, r.NotAfter, r.Input, r.Digest, r.TBS, r.PreparedAt, r.Partition)
}

// preparedBefore returns what was prepared for the same request and profile before, if it asked for the same, and whether
// there is such. It returns ErrStale when that can no longer be signed.
func preparedBefore(ctx context.Context, tx pgx.Tx, now time.Time, d *draft) (p Prepared, found bool, err error) {
	rows, err := tx.Query(ctx, `select `+preparedColumns+` from ca.prepared where request = $1 and profile = $2 and state <> 'abandoned'`,
		d.ID, d.profile.name)
	if err != nil {
		return p, false, err
	}
	r, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[preparedRow])
	if errors.Is(err, pgx.ErrNoRows) {
		return p, false, nil
	}
	if err != nil {
		return p, false, fmt.Errorf("read prepared certificate: %w", err)
	}
	if !bytes.Equal(r.Input, d.asked.digest[:]) {
		return p, true, ErrRequestChanged
	}
	if r.State == statePrepared && now.Sub(r.PreparedAt) > prepareLasts {
		return p, true, ErrStale
	}
	return r.prepared(), true, nil
}

// queueRead reads the rows of the given serials. It is one statement for each: a join with a list would let the planner
// read the whole table.
func queueRead(b *pgx.Batch, list []Prepared, rows map[string]preparedRow) {
	for _, p := range list {
		b.Queue(`select `+preparedColumns+` from ca.prepared where issuer = $1 and serial = $2`, p.Issuer, []byte(p.Serial)).Query(func(found pgx.Rows) error {
			list, err := pgx.CollectRows(found, pgx.RowToStructByName[preparedRow])
			for _, one := range list {
				rows[subjectOf(one.Issuer, Serial(one.Serial))] = one
			}
			return err
		})
	}
}

// queueCertificate moves a prepared row to issued and stores what was signed of it, with its number. It refuses with
// errSettled when the row is not as it was when it was signed: others have settled it, or changed its bytes.
func queueCertificate(b *pgx.Batch, at time.Time, c *Certificate, row preparedRow) {
	pg.Require(b, errSettled, `
		with settled as (
			update ca.prepared set state = 'issued', settled_at = $3
			where issuer = $1 and serial = $2 and state = 'prepared' and digest = $5 and tbs = $6
			returning issuer, serial, request, profile, person, spki_sha256, mailboxes, not_before, not_after),
		added as (
			insert into ca.certificate (issuer, serial, request, profile, person, spki_sha256, mailboxes, not_before, not_after, issued_at, der)
			select issuer, serial, request, profile, person, spki_sha256, mailboxes, not_before, not_after, $3, $4 from settled
			returning number)
		select require.that(count(*) = 1), max(number) from added`,
		c.Issuer, []byte(c.Serial), at, c.DER, row.Digest, row.TBS).Into(&c.Number)
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
	out, err := collectCertificates(rows)
	if err != nil {
		return nil, fmt.Errorf("read certificates: %w", err)
	}
	return out, nil
}

func collectCertificates(rows pgx.Rows) ([]Certificate, error) {
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[certificateRow])
	if err != nil {
		return nil, err
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
