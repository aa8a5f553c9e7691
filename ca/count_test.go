package ca_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/pkitest"
)

func TestCount(t *testing.T) {
	r := setup(t)
	start := r.now.UTC().Truncate(time.Hour)
	alice := pkitest.NewPerson("alice")
	first := r.IssuePair(t, alice)
	r.now = r.now.Add(24 * time.Hour)
	r.IssuePair(t, pkitest.NewPerson("bob"))
	second := r.IssuePair(t, alice)
	revoke := func(c ca.Certificate, why ca.Reason) {
		t.Helper()
		if err := r.Revoke(t.Context(), by, ca.Revocation{Issuer: c.Issuer, Serial: c.Serial, Reason: why}); err != nil {
			t.Fatal(err)
		}
	}
	revoke(first.Signing, ca.Superseded)
	revoke(second.Signing, ca.CertificateHold)
	revoke(second.Encryption, ca.CertificateHold)
	if err := r.Release(t.Context(), by, second.Signing.Issuer, second.Signing.Serial); err != nil {
		t.Fatal(err)
	}
	days := func(from time.Time, n int) (out []time.Time) {
		for i := range n + 1 {
			out = append(out, from.AddDate(0, 0, i))
		}
		return out
	}
	for name, c := range map[string]struct {
		what ca.Counted
		cuts []time.Time
		want []int64
	}{
		"issued":         {ca.CountIssued, days(start, 3), []int64{2, 4, 0}},
		"before":         {ca.CountIssued, days(start.AddDate(0, 0, -2), 2), []int64{0, 0}},
		"revoked":        {ca.CountRevoked, days(start, 2), []int64{0, 3}},
		"ending":         {ca.CountEnding, []time.Time{start, first.Signing.NotAfter, first.Signing.NotAfter.Add(time.Second), start.AddDate(3, 0, 0)}, []int64{0, 1, 3}},
		"nothing at all": {ca.CountEnding, days(start, 2), []int64{0, 0}},
	} {
		got, err := r.Count(t.Context(), c.what, c.cuts)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v; want %v", name, got, err, c.want)
		}
	}
	for _, bad := range [][]time.Time{nil, days(start, 0), {start, start.Add(-1)}, days(start, 400)} {
		if _, err := r.Count(t.Context(), ca.CountIssued, bad); err == nil {
			t.Errorf("%d cuts are counted", len(bad))
		}
	}
}

// With many certificates, counting those of some weeks reads an index's part and no table.
func TestCountReadsLittle(t *testing.T) {
	r := setup(t)
	conn, err := pgx.Connect(t.Context(), r.d.AdminURL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), `
		insert into ca.prepared (issuer, serial, state, request, profile, person, use, spki_sha256, key_usage, mailboxes, not_before, not_after, input, digest, tbs, prepared_at, settled_at)
			select 'issuing', '\x11'::bytea || int8send(n), 'issued', gen_random_uuid(), 'p' || n, gen_random_uuid(), 'signing', sha256(int8send(n)), 0, '{}',
				at, at + interval '2 years', sha256('x'), sha256('x'), 'x', at, at
			from (select n, now() - n * interval '1 hour' as at from generate_series(1, 20000) n) x;
		insert into ca.certificate (issuer, serial, request, profile, person, spki_sha256, mailboxes, not_before, not_after, issued_at, der)
			select issuer, serial, request, profile, person, spki_sha256, '{}', not_before, not_after, prepared_at, 'x' from ca.prepared where profile like 'p%' order by prepared_at;
		insert into ca.revocation (issuer, change, serial, standing, reason, revoked_at, not_after, profile)
			select issuer, 1000 + row_number() over (), serial, 'revoked', 4, prepared_at, not_after, profile from ca.prepared where profile like 'p%' limit 10000;
		analyze ca.certificate; analyze ca.revocation`)
	if err != nil {
		t.Fatal(err)
	}
	cuts := []time.Time{time.Now().AddDate(0, 0, -14), time.Now().AddDate(0, 0, -7), time.Now()}
	for n, sql := range ca.Counting() {
		if n > 1 { // those that end
			cuts = []time.Time{time.Now(), time.Now().AddDate(0, 0, 7), time.Now().AddDate(0, 0, 14)}
		}
		rows, err := conn.Query(t.Context(), `explain (costs off) `+sql, cuts, cuts[0], cuts[len(cuts)-1])
		if err != nil {
			t.Fatal(err)
		}
		plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		if text := strings.Join(plan, "\n"); strings.Contains(text, "Seq Scan") || !strings.Contains(text, "Index") {
			t.Errorf("%s\n%s", sql, text)
		}
	}
}
