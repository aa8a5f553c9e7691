// Package load measures how many OCSP questions per second a server answers over HTTP, for benchmarks. It owns a client that
// costs as little as a client can, so that what is measured is the server, and a handler to compare with, which writes an
// answer's bytes and does nothing else. It knows nothing of what answers mean.
package load

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Config says what is asked, of whom, and for how long.
type Config struct {
	URL      string   // of the responder: http://host:port/path
	Requests [][]byte // DER, at least one; asked in turns
	Post     bool     // POST instead of GET
	Clients  int      // connections, each with one question at a time; 0 means 8
	Last     time.Duration
	Want     []byte // what every answer must be; nil: any with the status 200
}

// Result is what came of it.
type Result struct {
	Answers int
	Took    time.Duration
	P50     time.Duration
	P99     time.Duration
}

// PerSecond returns the rate.
func (r Result) PerSecond() float64 { return float64(r.Answers) / r.Took.Seconds() }

// Fixed answers everything with the same OCSP response and the same headers, and does nothing else: what can be reached.
func Fixed(der []byte, header http.Header) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		maps.Copy(w.Header(), header)
		_, _ = w.Write(der) // the client is gone: nothing to do
	})
}

// Run asks until the time is over. The first answer that is wrong ends it.
func Run(ctx context.Context, c Config) (Result, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "http" || u.Host == "" || len(c.Requests) == 0 {
		return Result{}, errors.New("load: needs an http URL and at least one request")
	}
	if c.Clients <= 0 {
		c.Clients = 8
	}
	messages := make([][]byte, len(c.Requests))
	for n, der := range c.Requests {
		messages[n] = message(u, der, c.Post)
	}
	latencies := make([][]time.Duration, c.Clients)
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	begun := time.Now()
	for n := range c.Clients {
		g.Go(func() (err error) {
			latencies[n], err = ask(ctx, u.Host, messages, &next, begun.Add(c.Last), c.Want)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return Result{}, err
	}
	r := Result{Took: time.Since(begun)}
	all := slices.Concat(latencies...)
	slices.Sort(all)
	if r.Answers = len(all); r.Answers > 0 {
		r.P50, r.P99 = all[len(all)/2], all[len(all)*99/100]
	}
	return r, nil
}

// message is a question as it goes over the wire.
func message(u *url.URL, der []byte, post bool) []byte {
	path := u.EscapedPath()
	if post {
		head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/ocsp-request\r\nContent-Length: %d\r\n\r\n", path, u.Host, len(der))
		return append([]byte(head), der...)
	}
	text := url.QueryEscape(base64.StdEncoding.EncodeToString(der))
	return fmt.Appendf(nil, "GET %s/%s HTTP/1.1\r\nHost: %s\r\n\r\n", strings.TrimSuffix(path, "/"), text, u.Host)
}

// ask is one client.
func ask(ctx context.Context, host string, messages [][]byte, next *atomic.Int64, end time.Time, want []byte) ([]time.Duration, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	in := bufio.NewReaderSize(c, 16<<10)
	var took []time.Duration
	var body []byte
	for sent := time.Now(); sent.Before(end); {
		if _, err := c.Write(messages[int(next.Add(1))%len(messages)]); err != nil {
			return nil, err
		}
		if body, err = readAnswer(in, body[:0]); err != nil {
			return nil, err
		}
		if want != nil && !bytes.Equal(body, want) {
			return nil, fmt.Errorf("load: an answer of %d bytes, and not the one that was expected", len(body))
		}
		now := time.Now()
		took = append(took, now.Sub(sent))
		sent = now
	}
	return took, nil
}

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 1 << 20

// readAnswer reads an answer with the status 200 and a length.
func readAnswer(in *bufio.Reader, body []byte) ([]byte, error) {
	length := -1
	for first := true; ; first = false {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
			return nil, fmt.Errorf("load: %s", line)
		}
		if len(line) == 0 {
			break
		}
		if name, value, ok := bytes.Cut(line, []byte(": ")); ok && len(name) == len("Content-Length") && strings.EqualFold(string(name), "Content-Length") {
			if length, err = strconv.Atoi(string(value)); err != nil || length < 0 || length > maxAnswer {
				return nil, fmt.Errorf("load: an answer of %q bytes", value)
			}
		}
	}
	if length < 0 {
		return nil, errors.New("load: an answer without a length")
	}
	body = slices.Grow(body, length)[:length]
	_, err := io.ReadFull(in, body)
	return body, err
}
