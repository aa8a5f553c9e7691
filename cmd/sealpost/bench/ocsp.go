package bench

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	xocsp "golang.org/x/crypto/ocsp"

	"github.com/sealpost/sealpost/cmd/sealpost/config"
	"github.com/sealpost/sealpost/cmd/sealpost/server"
	"github.com/sealpost/sealpost/ocsp/load"
)

// measureOCSP asks the public listener about a certificate, and in turns a handler that writes the same answer with the same
// headers and does nothing else. Both are in this process, and so is what asks.
func (b *bench) measureOCSP(ctx context.Context) error {
	conf, err := config.Load(b.installation.First().Config)
	if err != nil {
		return err
	}
	if err := conf.Validate(); err != nil {
		return err
	}
	s, err := server.Open(ctx, conf, slog.New(slog.DiscardHandler), server.Hooks{})
	if err != nil {
		return err
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go s.OCSP.Run(ctx)
	question, err := b.question(ctx, s)
	if err != nil {
		return err
	}
	responder, err := serveHere(ctx, s.Web.Public())
	if err != nil {
		return err
	}
	defer responder.Close()
	path := "/ocsp/" + s.Authority.Issuers()[0].ID()
	der, header, err := oneAnswer(ctx, responder.url+path, question)
	if err != nil {
		return err
	}
	floor, err := serveHere(ctx, load.Fixed(der, header))
	if err != nil {
		return err
	}
	defer floor.Close()
	for _, post := range []bool{false, true} {
		o := OCSP{Method: map[bool]string{false: "GET", true: "POST"}[post], Clients: slices.Max(append([]int{8}, b.Clients...)), Size: len(der)}
		var ratios, ours, fixed []float64
		for range b.Rounds {
			asked := load.Config{Requests: [][]byte{question}, Post: post, Clients: o.Clients, Last: time.Duration(b.Seconds * float64(time.Second)), Want: der}
			asked.URL = floor.url + path
			f, err := load.Run(ctx, asked)
			if err != nil {
				return fmt.Errorf("floor: %w", err)
			}
			asked.URL, asked.Want = responder.url+path, nil // it may be signed anew meanwhile
			r, err := load.Run(ctx, asked)
			if err != nil {
				return err
			}
			ratios, ours, fixed = append(ratios, r.PerSecond()/f.PerSecond()), append(ours, r.PerSecond()), append(fixed, f.PerSecond())
			o.P50, o.P99 = ms(r.P50), ms(r.P99)
		}
		o.PerSecond, o.Floor, o.Ratio = median(ours), median(fixed), median(ratios)
		b.say("OCSP by %s, %d clients: %.0f/s, a handler that writes the same %.0f/s", o.Method, o.Clients, o.PerSecond, o.Floor)
		b.report.OCSP = append(b.report.OCSP, o)
	}
	return nil
}

// OCSP is what was measured of the responder.
type OCSP struct {
	Method    string  `json:"method"`
	Clients   int     `json:"clients"`
	Size      int     `json:"bytes"` // of an answer
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	Floor     float64 `json:"floor_per_second"`
	Ratio     float64 `json:"ratio_to_floor"`
}

func printOCSP(out io.Writer, all []OCSP) {
	fmt.Fprintln(out, "\nOCSP\tclients\tper second\tp50 ms\tp99 ms\twriting the same, per second\tof that\t")
	for _, o := range all {
		fmt.Fprintf(out, "%s\t%d\t%.0f\t%.2f\t%.2f\t%.0f\t%.3f\t\n", o.Method, o.Clients, o.PerSecond, o.P50, o.P99, o.Floor, o.Ratio)
	}
}

// question is about a certificate that was issued: what is not known is never kept.
func (b *bench) question(ctx context.Context, s *server.Server) ([]byte, error) {
	db, err := b.connect(ctx, b.installation.First().DatabaseURL)
	if err != nil {
		return nil, err
	}
	issuer := s.Authority.Issuers()[0]
	var serial []byte
	err = db.QueryRow(ctx, `select serial from ca.certificate where issuer = $1 order by number limit 1`, issuer.ID()).Scan(&serial)
	if err != nil {
		return nil, err
	}
	return xocsp.CreateRequest(&x509.Certificate{SerialNumber: new(big.Int).SetBytes(serial)}, issuer.Certificate(), &xocsp.RequestOptions{Hash: crypto.SHA256})
}

// servedHere is an HTTP server on loopback.
type servedHere struct {
	*http.Server
	url string
}

func serveHere(ctx context.Context, h http.Handler) (*servedHere, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &servedHere{&http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}, "http://" + l.Addr().String()}
	go func() { _ = s.Serve(l) }() // ends with Close
	return s, nil
}

// oneAnswer asks once and returns the answer and its headers.
func oneAnswer(ctx context.Context, address string, question []byte) ([]byte, http.Header, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/"+url.PathEscape(base64.StdEncoding.EncodeToString(question)), nil)
	if err != nil {
		return nil, nil, err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	der, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && (resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/ocsp-response")) {
		err = errors.New("the responder does not answer: " + resp.Status)
	}
	resp.Header.Del("Date")
	return der, resp.Header, err
}
