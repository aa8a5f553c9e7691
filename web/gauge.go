package web

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Gauge is a number that is read whenever monitoring asks, and that some other room knows.
type Gauge struct {
	Name   string            // as Prometheus has it: sealpost_archive_drill_due_timestamp_seconds
	Help   string            // one sentence
	Labels map[string]string // nil: none. Gauges of one name have the same labels, with other values
	Counts bool              // it only rises: a counter, as Prometheus calls it
	Read   func(context.Context) (float64, error)
}

// gaugeTimeout is how long reading one number may take.
const gaugeTimeout = 3 * time.Second

// gauge is a Gauge as a collector. A number that cannot be read is left out: the others are told all the same.
type gauge struct {
	Gauge
	about *prometheus.Desc
	log   *slog.Logger
}

func newGauge(g Gauge, log *slog.Logger) *gauge {
	return &gauge{g, prometheus.NewDesc(g.Name, g.Help, nil, g.Labels), log}
}

// Describe says which number it is.
func (g *gauge) Describe(out chan<- *prometheus.Desc) { out <- g.about }

// Collect reads the number.
func (g *gauge) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), gaugeTimeout)
	defer cancel()
	v, err := g.Read(ctx)
	if err != nil {
		g.log.Warn("a number for monitoring cannot be read", "metric", g.Name, "error", err)
		return
	}
	kind := prometheus.GaugeValue
	if g.Counts {
		kind = prometheus.CounterValue
	}
	out <- prometheus.MustNewConstMetric(g.about, kind, v)
}
