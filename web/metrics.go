package web

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sealpost/sealpost/internal/audit"
)

// metrics are the server's own; other rooms register theirs at the same registry.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	logins   *prometheus.CounterVec
	failures *prometheus.CounterVec
}

func newMetrics(registry *prometheus.Registry) (*metrics, error) {
	if registry == nil {
		registry = prometheus.NewRegistry()
	}
	m := &metrics{
		registry: registry,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sealpost_http_requests_total",
			Help: "Requests answered, by operation and HTTP status."}, []string{"operation", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "sealpost_http_request_seconds",
			Help: "How long answering took.", Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 30}},
			[]string{"operation"}),
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sealpost_authentications_total",
			Help: "Requests whose sender showed who they are, by method."}, []string{"method"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sealpost_authentication_failures_total",
			Help: "Requests whose sender did not, by the code of the answer."}, []string{"code"}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.logins, m.failures,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// observe counts an answer. Requests that are no operation's share one name, so that nobody can make up names.
func (m *metrics) observe(operation string, status int, took time.Duration) {
	if operation == "" {
		operation = "none"
	}
	m.requests.WithLabelValues(operation, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(operation).Observe(took.Seconds())
}

// observer counts as observe does, for one operation and status that are known beforehand.
func (m *metrics) observer(operation string, status int) func(took time.Duration) {
	requests, seconds := m.requests.WithLabelValues(operation, strconv.Itoa(status)), m.seconds.WithLabelValues(operation)
	return func(took time.Duration) {
		requests.Inc()
		seconds.Observe(took.Seconds())
	}
}

func (m *metrics) authenticated(by audit.Method) { m.logins.WithLabelValues(string(by)).Inc() }

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}
