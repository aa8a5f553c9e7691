package audit_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/child"
	"github.com/sealpost/sealpost/internal/pg"
	"github.com/sealpost/sealpost/internal/pgtest"
)

// durable returns a pool on a cluster of the benchmark's own that waits for its disk, as production does.
func durable(b *testing.B) *pg.DB {
	b.Helper()
	dir, err := child.TempDir("sp-pgb-")
	if err != nil {
		b.Fatal(err)
	}
	c, err := pgtest.StartCluster(b.Context(), pgtest.ClusterConfig{Data: filepath.Join(dir, "data"), Sockets: filepath.Join(dir, "s"), Durable: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		c.Stop()
		if err := os.RemoveAll(dir); err != nil {
			b.Error(err)
		}
	})
	if err := pgtest.Migrate(b.Context(), c.URL("postgres")); err != nil {
		b.Fatal(err)
	}
	return pgtest.Open(b, pgtest.Database{Cluster: c, Name: "postgres"})
}

// BenchmarkAppend is a transaction of one event, by eight clients at once.
func BenchmarkAppend(b *testing.B) {
	db := durable(b)
	e := events(1)
	b.SetParallelism(4)
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			err := db.InTx(b.Context(), "ca", func(tx pgx.Tx) error {
				_, err := audit.Append(b.Context(), tx, noon, registrar, e...)
				return err
			})
			if err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkAppendOf100 is a transaction of a hundred events: what the log itself costs, without the commit.
func BenchmarkAppendOf100(b *testing.B) {
	db := durable(b)
	es := events(100)
	for b.Loop() {
		add(b, db, "ca", registrar, es...)
	}
	b.ReportMetric(100*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkSequence gives indexes to events that wait.
func BenchmarkSequence(b *testing.B) {
	db := durable(b)
	l := newLog(b, db)
	es := events(8192)
	for b.Loop() {
		b.StopTimer()
		add(b, db, "ca", registrar, es...)
		b.StartTimer()
		sequence(b, l, len(es))
	}
	b.ReportMetric(8192*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkVerify reads and checks a log of 100,000 events.
func BenchmarkVerify(b *testing.B) {
	db := durable(b)
	l := newLog(b, db)
	const n = 100_000
	for range n / 5000 {
		add(b, db, "ca", registrar, events(5000)...)
		sequence(b, l, 5000)
	}
	for b.Loop() {
		clean(b, db, audit.VerifyConfig{Verifiers: known(b)}, n)
	}
	b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkInclusion proves events of a log of 100,000.
func BenchmarkInclusion(b *testing.B) {
	db := durable(b)
	l := newLog(b, db)
	var leaves []audit.Leaf
	for range 20 {
		leaves = append(leaves, add(b, db, "ca", registrar, events(5000)...)...)
		sequence(b, l, 5000)
	}
	i := 0
	for b.Loop() {
		if _, err := l.Inclusion(b.Context(), leaves[i*7919%len(leaves)]); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
