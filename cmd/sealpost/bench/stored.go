package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// originals is how many pairs are enrolled in earnest, to be copied.
const originals = 50

// measureStored fills a second server's database, and measures it and the first one in turns.
func (b *bench) measureStored(ctx context.Context) error {
	if b.Stored == 0 {
		return nil
	}
	stored, err := b.fill(ctx, b.second, b.Stored)
	if err != nil {
		return err
	}
	n, key := slices.Max(b.Clients), b.Keys[0]
	var full, empty []measured
	for round := range b.Rounds {
		m, err := b.measurePairs(ctx, b.second, n, key, b.Seconds)
		if err != nil {
			return err
		}
		full = append(full, m)
		if m, err = b.measurePairs(ctx, b.first, n, key, b.Seconds); err != nil {
			return err
		}
		empty = append(empty, m)
		b.say("round %d of %d, %d clients, %s: %d pairs stored %.0f/s, began empty %.0f/s", round+1, b.Rounds, n, key, stored,
			full[round].perSecond(), empty[round].perSecond())
	}
	s := &Stored{Pairs: stored, Full: rate(key, full), Empty: rate(key, empty), Ratio: ratios(full, empty)}
	s.Memory.Now, s.Memory.Peak = memoryOf(b.second.server.cmd.Process.Pid)
	b.report.Stored = s
	return nil
}

// fill enrols some pairs and copies their rows until there are enough, each copy under names and keys of its own. The
// audit log's sequencer gives the copied events their places, as it would have done.
func (b *bench) fill(ctx context.Context, t *target, pairs int) (stored int, err error) {
	requests, err := t.enrolments(ctx, min(originals, pairs), b.Keys[0])
	if err != nil {
		return 0, err
	}
	if _, err := t.fire(ctx, min(8, len(requests)), requests, b.patient); err != nil {
		return 0, err
	}
	if _, err := t.settle(ctx, b.patient); err != nil {
		return 0, err
	}
	if _, err := t.db.Exec(ctx, original); err != nil {
		return 0, err
	}
	copies := (pairs - 1) / len(requests)
	const step = 100
	begun := time.Now()
	for from := 1; from <= copies; from += step {
		to := min(from+step-1, copies)
		if err := t.copyRows(ctx, from, to); err != nil {
			return 0, fmt.Errorf("copy rows: %w", err)
		}
		b.say("stored %d of %d pairs", (to+1)*len(requests), pairs)
	}
	if _, err := t.db.Exec(ctx, "vacuum analyze"); err != nil {
		return 0, err
	}
	if _, err := t.settle(ctx, 10*b.patient); err != nil {
		return 0, err
	}
	if _, err := t.db.Exec(ctx, "checkpoint"); err != nil { // its writes belong to the filling
		return 0, err
	}
	b.say("stored in %.0f s", time.Since(begun).Seconds())
	err = t.db.QueryRow(ctx, "select count(*) from archive.record").Scan(&stored)
	return stored, err
}

func (t *target) copyRows(ctx context.Context, from, to int) error {
	return pgx.BeginFunc(ctx, t.db, func(tx pgx.Tx) error {
		for _, sql := range copies {
			if _, err := tx.Exec(ctx, sql, from, to); err != nil {
				return fmt.Errorf("%w in %s", err, sql)
			}
		}
		return nil
	})
}

// original remembers what is copied.
const original = `
	create temporary table original_request as select * from enroll.request;
	create temporary table original_prepared as select * from ca.prepared where person <> '00000000-0000-0000-0000-000000000000';
	create temporary table original_certificate as select c.* from ca.certificate c join original_request r on c.request = r.id;
	create temporary table original_record as select * from archive.record;
	create temporary table original_use as select * from keyuse.key_use where person <> '00000000-0000-0000-0000-000000000000';
	create temporary table original_token as select t.* from enroll.token t join original_request r on t.request = r.id;
	create temporary table original_person as select p.* from directory.person p where id in (select person from original_request);
	create temporary table original_event as select * from audit.event where person in (select person from original_request)`

// copies are the copies number $1 to $2. What must be unique is hashed together with the number.
var copies = []string{`
	insert into directory.person (id, target, source_id, login, name, first_seen)
	select md5(id::text || k)::uuid, target, md5(source_id || k)::uuid::text, login || '-' || k, name, first_seen
	from original_person, generate_series($1::int, $2::int) k`, `
	insert into keyuse.key_use (spki_sha256, use, person, claimed_at)
	select sha256(spki_sha256 || int4send(k)), use, md5(person::text || k)::uuid, claimed_at
	from original_use, generate_series($1::int, $2::int) k`, `
	insert into enroll.request (id, person, idempotency, body_sha256, enrolment, state, subject, signing_spki, encryption_spki, by, reason, received_at, changed_at)
	select md5(id::text || k)::uuid, md5(person::text || k)::uuid, idempotency, body_sha256, enrolment, state, subject, signing_spki, encryption_spki, by, reason, received_at, changed_at
	from original_request, generate_series($1::int, $2::int) k`, `
	insert into enroll.token (sha256, person, made_by, made_at, ends, request)
	select sha256(sha256 || int4send(k)), md5(person::text || k)::uuid, made_by, made_at, ends, md5(request::text || k)::uuid
	from original_token, generate_series($1::int, $2::int) k`, `
	insert into ca.prepared (issuer, serial, state, request, profile, person, use, spki_sha256, key_usage, mailboxes, not_before, not_after, input, digest, tbs, prepared_at, settled_at, partition)
	select issuer, set_byte(substr(sha256(serial || int4send(k)), 1, length(serial)), 0, 1 + k % 127), state, md5(request::text || k)::uuid, profile, md5(person::text || k)::uuid,
		use, sha256(spki_sha256 || int4send(k)), key_usage, array[k || '-' || mailboxes[1]], not_before, not_after, input, digest, tbs, prepared_at, settled_at, partition
	from original_prepared, generate_series($1::int, $2::int) k`, `
	insert into ca.certificate (issuer, serial, request, profile, person, spki_sha256, mailboxes, not_before, not_after, issued_at, der)
	select issuer, set_byte(substr(sha256(serial || int4send(k)), 1, length(serial)), 0, 1 + k % 127), md5(request::text || k)::uuid, profile, md5(person::text || k)::uuid,
		sha256(spki_sha256 || int4send(k)), array[k || '-' || mailboxes[1]], not_before, not_after, issued_at, der
	from original_certificate, generate_series($1::int, $2::int) k`, `
	insert into archive.record (id, request, person, spki_sha256, key_id, wrapping_id, state, sealed, receipt, leaf_hash, event, deposited_at)
	select md5(id::text || k)::uuid, md5(request::text || k)::uuid, md5(person::text || k)::uuid, sha256(spki_sha256 || int4send(k)), key_id, wrapping_id, state, sealed, receipt,
		leaf_hash, event, deposited_at
	from original_record, generate_series($1::int, $2::int) k`, `
	with fresh as materialized (
		select nextval('audit.event_id') as id, left(body, 16) || left(md5(body || k), 22) || substr(body, 39) as body, at, kind, subject || k as subject,
			md5(person::text || k)::uuid as person, actor
		from original_event, generate_series($1::int, $2::int) k),
	event as (
		insert into audit.event (id, body, at, kind, subject, person, actor) select id, body, at, kind, subject, person, actor from fresh)
	insert into audit.pending (event, hash) select id, sha256('\x00'::bytea || convert_to(body, 'UTF8')) from fresh`}
