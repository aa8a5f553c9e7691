package web

import (
	"context"
	"log/slog"
	"math"

	"github.com/prometheus/client_golang/prometheus"
)

// Table is numbers of things of which there are several, and not always the same: distribution points, lists. Another room
// knows them; they are read together whenever monitoring asks.
type Table struct {
	Labels  []string // names of what tells the rows from each other
	Columns []Column
	Read    func(context.Context) ([]Row, error)
}

// Column is one of a table's numbers.
type Column struct {
	Name string // as Prometheus has it
	Help string // one sentence
}

// Row is one thing's numbers, in the order of the columns. NaN leaves one out.
type Row struct {
	Labels  []string
	Numbers []float64
}

// table is a Table as a collector.
type table struct {
	Table
	about []*prometheus.Desc
	log   *slog.Logger
}

func newTable(t Table, log *slog.Logger) *table {
	out := &table{Table: t, log: log}
	for _, c := range t.Columns {
		out.about = append(out.about, prometheus.NewDesc(c.Name, c.Help, t.Labels, nil))
	}
	return out
}

// Describe says which numbers there are.
func (t *table) Describe(out chan<- *prometheus.Desc) {
	for _, a := range t.about {
		out <- a
	}
}

// Collect reads them.
func (t *table) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), gaugeTimeout)
	defer cancel()
	rows, err := t.Read(ctx)
	if err != nil {
		t.log.Warn("numbers for monitoring cannot be read", "first", t.Columns[0].Name, "error", err)
		return
	}
	for _, r := range rows {
		for n, v := range r.Numbers {
			if !math.IsNaN(v) {
				out <- prometheus.MustNewConstMetric(t.about[n], prometheus.GaugeValue, v, r.Labels...)
			}
		}
	}
}
