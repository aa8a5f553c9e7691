package bench

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"runtime"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/cmd/sealpost/config"
	"github.com/sealpost/sealpost/cmd/sealpost/server"
	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/crl/list"
)

// lists measures the revocation lists of one issuer of its own.
type lists struct {
	*bench
	server    *server.Server
	db        *pgx.Conn
	issuer    *ca.Issuer
	publisher *crl.Publisher
	ahead     time.Duration // of the clock
	revoked   int
}

// measureLists makes the next revocation list after one more revocation, of issuers with many.
func (b *bench) measureLists(ctx context.Context) error {
	if len(b.Entries) == 0 {
		return nil
	}
	l, err := b.openLists(ctx)
	if err != nil {
		return err
	}
	defer l.server.Close()
	for _, n := range b.Entries {
		one, err := l.measure(ctx, n)
		if err != nil {
			return fmt.Errorf("%d entries: %w", n, err)
		}
		b.report.Lists = append(b.report.Lists, *one)
	}
	return nil
}

func (b *bench) openLists(ctx context.Context) (*lists, error) {
	conf, err := config.Load(b.others["lists"].Config)
	if err != nil {
		return nil, err
	}
	if err := conf.Validate(); err != nil {
		return nil, err
	}
	l := &lists{bench: b}
	if l.db, err = b.connect(ctx, b.others["lists"].DatabaseURL); err != nil {
		return nil, err
	}
	if l.server, err = server.Open(ctx, conf, slog.New(slog.DiscardHandler), server.Hooks{}); err != nil {
		return nil, err
	}
	l.issuer = l.server.Authority.Issuers()[0]
	return l, nil
}

// open gives the lists a publisher that has nothing in memory, with or without deltas.
func (l *lists) open(deltas bool) (err error) {
	c := crl.Config{DB: l.server.DB, Authority: l.server.Authority, Jobs: l.server.Jobs, Now: func() time.Time { return time.Now().Add(l.ahead) },
		Schedule: crl.Schedule{Period: 1000 * time.Hour, Lifetime: 3000 * time.Hour}}
	if deltas {
		c.Schedule.DeltaPeriod, c.Schedule.DeltaLifetime = time.Hour, 4*time.Hour
		c.Deltas = func(string, int) []string { return []string{"http://pki.example.com/crl/delta.crl"} }
	}
	l.publisher, err = crl.New(c)
	return err
}

func (l *lists) measure(ctx context.Context, n int) (*Lists, error) {
	if err := l.fill(ctx, n); err != nil {
		return nil, err
	}
	out := &Lists{}
	if err := l.open(false); err != nil {
		return nil, err
	}
	before := heap()
	begun := time.Now()
	first, err := l.publisher.Build(ctx, l.issuer.ID(), int64(l.revoked))
	if err != nil {
		return nil, err
	}
	out.First = time.Since(begun).Seconds()
	out.Kept = heap() - before
	out.Entries, out.Size = first.Entries, first.Size
	next, ours, standard, signing, allocated, err := l.rounds(ctx, first)
	if err != nil {
		return nil, err
	}
	out.Next, out.Standard, out.Signing, out.AllocatedMiB = spread(ours), spread(standard), spread(signing), allocated
	out.Ratio = median(ratio(standard, ours))
	if out.Delta, out.DeltaEntries, err = l.deltas(ctx); err != nil {
		return nil, err
	}
	l.say("list of %d entries, %d bytes: %.1f ms after one more revocation, standard library %.0f ms, signing as many bytes %.1f ms; delta of %d %.1f ms", next.Entries, next.Size,
		out.Next.Median, out.Standard.Median, out.Signing.Median, out.DeltaEntries, out.Delta.Median)
	return out, nil
}

// rounds measures, in turns, the next list, what the standard library takes for the same entries, and a signature over as
// many bytes. All in milliseconds.
func (l *lists) rounds(ctx context.Context, first *crl.List) (last *crl.List, ours, standard, signing []float64, allocated float64, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, nil, nil, 0, err
	}
	entries, err := standardEntries(first)
	if err != nil {
		return nil, nil, nil, nil, 0, err
	}
	buffer := first.Bytes()
	issuer := &x509.Certificate{RawSubject: l.issuer.Certificate().RawSubject, SubjectKeyId: l.issuer.Certificate().SubjectKeyId, KeyUsage: x509.KeyUsageCRLSign}
	for range l.Rounds {
		if err := l.fill(ctx, l.revoked+1); err != nil {
			return nil, nil, nil, nil, 0, err
		}
		var made *crl.List
		m, err := timeAllocated(func() (err error) {
			made, err = l.publisher.Build(ctx, l.issuer.ID(), int64(l.revoked))
			return err
		})
		if err != nil {
			return nil, nil, nil, nil, 0, err
		}
		ours, allocated, last = append(ours, m.ms), max(allocated, m.mib), made
		m, err = timeAllocated(func() error {
			_, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: made.ThisUpdate, NextUpdate: made.NextUpdate,
				RevokedCertificateEntries: entries}, issuer, key)
			return err
		})
		if err != nil {
			return nil, nil, nil, nil, 0, err
		}
		standard = append(standard, m.ms)
		m, err = timeAllocated(func() error {
			digest := sha256.Sum256(buffer)
			_, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
			return err
		})
		if err != nil {
			return nil, nil, nil, nil, 0, err
		}
		signing = append(signing, m.ms)
	}
	return last, ours, standard, signing, allocated, nil
}

// deltaEntries is how many revocations a measured delta holds at least: many days of a large company.
const deltaEntries = 1000

// deltas measures a delta that is made alone, because its hour has come.
func (l *lists) deltas(ctx context.Context) (s Spread, entries int, err error) {
	l.ahead += 4000 * time.Hour // lists from before have ended: they are no base any more
	if err := l.open(true); err != nil {
		return s, 0, err
	}
	if _, err := l.publisher.Build(ctx, l.issuer.ID(), 0); err != nil {
		return s, 0, err
	}
	if err := l.fill(ctx, l.revoked+deltaEntries); err != nil {
		return s, 0, err
	}
	var took []float64
	for range l.Rounds {
		l.ahead += 2 * time.Hour
		m, err := timeAllocated(func() error {
			_, err := l.publisher.Build(ctx, l.issuer.ID(), 0)
			return err
		})
		if err != nil {
			return s, 0, err
		}
		took = append(took, m.ms)
	}
	made, err := l.publisher.Find(ctx, l.issuer.ID(), crl.Kind{Delta: true})
	if err != nil {
		return s, 0, err
	}
	return spread(took), made.Entries, nil
}

// standardEntries are a list's entries as the standard library has them.
func standardEntries(l *crl.List) (out []x509.RevocationListEntry, err error) {
	_, err = list.Read(l.Open(), func(e list.Entry) error {
		out = append(out, x509.RevocationListEntry{SerialNumber: new(big.Int).SetBytes(e.Serial), RevocationTime: e.At, ReasonCode: int(e.Reason)})
		return nil
	})
	return out, err
}

// fill writes revocations until there are n, as those of years would be: of certificates that nobody needs any more.
func (l *lists) fill(ctx context.Context, n int) error {
	more := n - l.revoked
	if more <= 0 {
		return nil
	}
	_, err := l.db.Exec(ctx, fmt.Sprintf(`
		with counted as (update ca.issuer set changes = changes + %[1]d where id = '%[2]s' returning changes),
		prepared as (
			insert into ca.prepared (issuer, serial, state, request, profile, person, use, spki_sha256, key_usage, mailboxes, not_before, not_after, input, digest, tbs, prepared_at, settled_at, partition)
			select '%[2]s', set_byte(decode(md5('%[3]d' || n), 'hex'), 0, 64), 'abandoned', gen_random_uuid(), 'smime-signing', gen_random_uuid(), 'sign', '\x%064[4]d', 0, '{}', now(), now() + interval '2 years',
				'\x%064[4]d', '\x%064[4]d', '', now(), now(), 0
			from generate_series(1, %[1]d) n returning serial)
		insert into ca.revocation (issuer, change, serial, standing, reason, revoked_at, not_after, profile, partition)
		select '%[2]s', changes - %[1]d + row_number() over (), serial, 'revoked', 4, now() - interval '1 day', now() + interval '2 years', 'smime-signing', 0
		from counted, prepared`, more, l.issuer.ID(), l.revoked, 0))
	if err != nil {
		return fmt.Errorf("revocations: %w", err)
	}
	if more > deltaEntries {
		if _, err := l.db.Exec(ctx, "vacuum analyze ca.revocation, ca.prepared"); err != nil {
			return err
		}
	}
	return l.db.QueryRow(ctx, `select changes from ca.issuer where id = $1`, l.issuer.ID()).Scan(&l.revoked)
}

// measuredWork is the time and the memory that something took.
type measuredWork struct{ ms, mib float64 }

func timeAllocated(do func() error) (m measuredWork, err error) {
	runtime.GC() // what was left by what came before
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begun := time.Now()
	err = do()
	m.ms = float64(time.Since(begun).Microseconds()) / 1000
	runtime.ReadMemStats(&after)
	m.mib = float64(after.TotalAlloc-before.TotalAlloc) / (1 << 20)
	return m, err
}

// heap returns how much memory is in use, in MiB.
func heap() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}

func ratio(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for n := range a {
		out[n] = a[n] / b[n]
	}
	return out
}

// Lists is what was measured of the lists of an issuer with so many revocations.
type Lists struct {
	Entries      int     `json:"entries"`
	Size         int64   `json:"bytes"`
	First        float64 `json:"first_seconds"` // the first list of a server that has nothing in memory, from the revocations' rows
	Kept         float64 `json:"kept_mib"`      // memory that the server keeps for the next
	Next         Spread  `json:"next_ms"`       // after one more revocation: made, linted, signed, read back, stored
	AllocatedMiB float64 `json:"next_allocated_mib"`
	Standard     Spread  `json:"standard_library_ms"` // x509.CreateRevocationList of the same entries
	Signing      Spread  `json:"signing_ms"`          // hashing and signing as many bytes
	Ratio        float64 `json:"times_as_fast_as_the_standard_library"`
	Delta        Spread  `json:"delta_ms"`
	DeltaEntries int     `json:"delta_entries"`
}

func printLists(out io.Writer, all []Lists) {
	fmt.Fprintln(out, "\nentries\tbytes\tfirst list, s\tkept, MiB\tafter one more, ms: least\tmedian\tallocated, MiB\tstandard library, ms\ttimes as fast\tsigning as many bytes, ms\tdelta, ms\tof entries\t")
	for _, l := range all {
		fmt.Fprintf(out, "%d\t%d\t%.2f\t%.1f\t%.1f\t%.1f\t%.1f\t%.0f\t%.0f\t%.2f\t%.1f\t%d\t\n", l.Entries, l.Size, l.First, l.Kept, l.Next.Min, l.Next.Median, l.AllocatedMiB,
			l.Standard.Median, l.Ratio, l.Signing.Median, l.Delta.Median, l.DeltaEntries)
	}
}
