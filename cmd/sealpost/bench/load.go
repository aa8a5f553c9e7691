package bench

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/sealpost/sealpost/api"
)

// Where requests are posted to.
const (
	floorPath = "/"
	enrolPath = api.Base + "/enrolments"
)

// target is a server under load, with the clients that it has.
type target struct {
	url     string
	path    string // of what is posted
	by      string
	roots   *x509.CertPool
	db      *pgx.Conn // its database, as the owner
	server  *process
	clients []*http.Client // one connection each, kept open from one measurement to the next
	others  *http.Client   // for what is not measured
	rsa     *rsaKeys
	people  []int // whose enrolments it gets
	next    int   // of people
}

// newClient returns a client of at most n connections. They speak HTTP/1.1: a client of its own gains nothing by HTTP/2.
func newClient(roots *x509.CertPool, n int) *http.Client {
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		MaxConnsPerHost: n, MaxIdleConnsPerHost: n, DisableCompression: true}}
}

// measured is one measurement.
type measured struct {
	clients   int
	answers   int
	took      time.Duration
	latencies []time.Duration
	work      cost          // until the last answer
	after     cost          // from there until all that follows from the requests was done
	settling  time.Duration // how long that took
}

// cost is CPU time.
type cost struct{ server, postgres, directory, load time.Duration }

func (c cost) minus(d cost) cost {
	return cost{c.server - d.server, c.postgres - d.postgres, c.directory - d.directory, c.load - d.load}
}

func (c cost) plus(d cost) cost {
	return cost{c.server + d.server, c.postgres + d.postgres, c.directory + d.directory, c.load + d.load}
}

func (m measured) perSecond() float64 { return float64(m.answers) / m.took.Seconds() }

// fire lets n clients send the requests, each the next when it has its answer, until the time is over or no request is
// left.
func (s *target) fire(ctx context.Context, n int, requests []request, last time.Duration) (measured, error) {
	for len(s.clients) < n {
		s.clients = append(s.clients, newClient(s.roots, 1))
	}
	if err := s.connect(ctx, n); err != nil {
		return measured{}, err
	}
	var next atomic.Int64
	latencies := make([][]time.Duration, n)
	begun := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for c := range n {
		g.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				sent := time.Now()
				if i >= len(requests) || sent.Sub(begun) >= last {
					return nil
				}
				answer, err := s.post(ctx, s.clients[c], requests[i])
				if err != nil {
					return err
				}
				latencies[c] = append(latencies[c], time.Since(sent))
				if err := s.check(answer, i == 0); err != nil {
					return err
				}
			}
		})
	}
	err := g.Wait()
	m := measured{clients: n, took: time.Since(begun), latencies: slices.Concat(latencies...)}
	m.answers = len(m.latencies)
	return m, err
}

// connect opens every client's connection.
func (s *target) connect(ctx context.Context, n int) error {
	var g errgroup.Group
	for _, c := range s.clients[:n] {
		g.Go(func() error {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+api.Base+"/health", nil)
			if err != nil {
				return err
			}
			resp, err := c.Do(r)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			_, err = io.Copy(io.Discard, resp.Body)
			return err
		})
	}
	return g.Wait()
}

func (s *target) post(ctx context.Context, c *http.Client, q request) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+s.path, bytes.NewReader(q.body))
	if err != nil {
		return nil, err
	}
	r.Header = q.header
	resp, err := c.Do(r)
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", err, s.server.ended())
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusCreated {
		err = fmt.Errorf("POST %s: %s: %s", s.path, resp.Status, b)
	}
	return b, err
}

// check looks at every answer, and closely at some.
func (s *target) check(answer []byte, closely bool) error {
	if s.path == floorPath {
		if !closely {
			return nil
		}
		_, err := x509.ParseCertificate(answer)
		return err
	}
	if !bytes.Contains(answer, []byte(`"state":"issued"`)) {
		return fmt.Errorf("not issued: %s", answer)
	}
	if !closely {
		return nil
	}
	var e api.EnrolmentStatus
	if err := json.Unmarshal(answer, &e); err != nil {
		return err
	}
	if len(e.Certificates) != 2 || e.Receipt == nil {
		return fmt.Errorf("not a pair with a receipt: %s", answer)
	}
	for _, c := range e.Certificates {
		if _, err := x509.ParseCertificate(c.DER); err != nil {
			return err
		}
	}
	return nil
}

// settle waits until everything that follows from the answers is done: certificates published in the directory, events
// in their place in the audit log.
func (s *target) settle(ctx context.Context, patient time.Duration) (time.Duration, error) {
	begun := time.Now()
	for {
		var left int
		err := s.db.QueryRow(ctx, `select (select count(*) from publication.due)
			+ (select count(*) from audit.pending)`).Scan(&left)
		if err != nil {
			return 0, err
		}
		if left == 0 {
			return time.Since(begun), nil
		}
		if time.Since(begun) > patient {
			return 0, fmt.Errorf("%d publications and events are still waiting after %s", left, patient)
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
