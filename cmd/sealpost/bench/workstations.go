package bench

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// patientRetries is how often a workstation asks again while the server is busy, in one run; the server says how long to wait.
const patientRetries = 8

// Workstations is what was measured when many of them do the same at the same moment. Agents and server share the machine's processors.
type Workstations struct {
	Number int    `json:"number"`
	Within int    `json:"answer_within_s"` // what the policy says of one request; a run has two
	Waves  []Wave `json:"waves"`
}

// Wave is one such moment.
type Wave struct {
	What    string         `json:"what"`
	Served  int            `json:"served"` // in their first run
	Failed  map[string]int `json:"failed"` // by code; they would have run again later
	Took    float64        `json:"took_s"` // until the last one had ended
	P50     float64        `json:"p50_s"`
	P99     float64        `json:"p99_s"`
	Longest float64        `json:"longest_s"`
	Before  float64        `json:"server_before_mib"`
	Peak    float64        `json:"server_peak_mib"`
}

func printWorkstations(out io.Writer, w *Workstations) {
	fmt.Fprintf(out, "\n%d workstations at once, requests answered within %d s\tserved\tfailed\tall done s\ts: p50\tp99\tlongest\tserver MiB before\tat most\t\n", w.Number, w.Within)
	for _, x := range w.Waves {
		failed := 0
		for _, n := range x.Failed {
			failed += n
		}
		fmt.Fprintf(out, "%s\t%d\t%d\t%.1f\t%.2f\t%.2f\t%.2f\t%.0f\t%.0f\t\n", x.What, x.Served, failed, x.Took, x.P50, x.P99, x.Longest, x.Before, x.Peak)
	}
}

// workstations are what the server sees of many agents. What an agent does beside that, such as making keys and files, is left out or done
// before: it would keep the processors from the server here, and does not on a thousand machines.
type workstations struct {
	bench  *bench
	target *target
	all    []*workstation
}

// workstation is one of them.
type workstation struct {
	who                 string
	certificate         *tls.Certificate // nil before the first enrolment
	signing, encryption *ecdsa.PrivateKey
}

// measureWorkstations has all of them enrol, look, and renew, each time at the same moment.
func (b *bench) measureWorkstations(ctx context.Context) error {
	t, _, err := b.serve(ctx, b.others["workstations"], "workstations.log", slices.Equal(b.Parts, []string{"workstations"}))
	if err != nil {
		return err
	}
	b.closers = append(b.closers, t.server.stop)
	w := &workstations{bench: b, target: t}
	for i := range b.Workstations {
		w.all = append(w.all, &workstation{who: login(i % b.People)})
	}
	told, err := t.policy(ctx, login(0))
	if err != nil {
		return err
	}
	out := &Workstations{Number: len(w.all), Within: told.AnswerWithin}
	for _, wave := range []struct {
		what string
		do   func(context.Context, *workstation) error
	}{{"enrol, by password", w.enrol}, {"look, by certificate", w.look}, {"renew, by certificate", w.enrol}, {"look again", w.look}} {
		one, err := w.wave(ctx, wave.what, wave.do)
		if err != nil {
			return err
		}
		b.say("%d workstations, %s: %d served, the slowest after %.1f s", out.Number, one.What, one.Served, one.Longest)
		out.Waves = append(out.Waves, *one)
	}
	b.report.Workstations = out
	return nil
}

// client makes a client with a connection of its own, as a run by a timer would.
func (w *workstations) client(s *workstation) (*client.Client, error) {
	cfg := client.Config{BaseURL: w.target.url, Roots: w.target.roots, Retries: patientRetries, Timeout: w.bench.patient, UserAgent: "sealpost-agent/bench (linux; " + s.who + ")"}
	if s.certificate != nil {
		cfg.ClientCertificate = s.certificate
	} else {
		cfg.Login, cfg.Password = s.who, slapdtest.Password(s.who)
	}
	return client.New(cfg)
}

// look asks what there should be.
func (w *workstations) look(ctx context.Context, s *workstation) error {
	c, err := w.client(s)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Policy(ctx)
	return err
}

// enrol gets a pair, by the certificate if there is one.
func (w *workstations) enrol(ctx context.Context, s *workstation) error {
	c, err := w.client(s)
	if err != nil {
		return err
	}
	defer c.Close()
	told, err := c.Policy(ctx)
	if err != nil {
		return err
	}
	p := &policy{Policy: told, login: s.who}
	if p.exchange, err = x509.ParseCertificate(told.Exchange.Certificate); err != nil {
		return err
	}
	body, err := pairRequest(p, s.signing, s.encryption)
	if err != nil {
		return err
	}
	status, err := c.Enrol(ctx, uuid.NewString(), body)
	for pause := time.Second; err == nil && status.State != api.StateIssued; pause *= 2 {
		if status.State != api.StateReceived && status.State != api.StateEndorsed {
			return fmt.Errorf("%s: the request is %s", s.who, status.State)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		status, err = c.Enrolment(ctx, status.ID)
	}
	if err != nil {
		return err
	}
	chain := [][]byte{status.Certificates[0].DER}
	s.certificate = &tls.Certificate{Certificate: append(chain, status.Certificates[0].Chain...), PrivateKey: s.signing}
	return nil
}

// prepare makes the keys for the next enrolment.
func (s *workstation) prepare() (err error) {
	if s.signing, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return err
	}
	s.encryption, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return err
}

func (w *workstations) wave(ctx context.Context, what string, do func(context.Context, *workstation) error) (*Wave, error) {
	if _, err := w.target.settle(ctx, w.bench.patient); err != nil {
		return nil, err
	}
	pid := w.target.server.cmd.Process.Pid
	out := &Wave{What: what, Failed: map[string]int{}}
	out.Before, _ = memoryOf(pid)
	peak := watchResident(pid)
	took, errs := make([]time.Duration, len(w.all)), make([]error, len(w.all))
	start, ready := make(chan struct{}), sync.WaitGroup{}
	var done sync.WaitGroup
	for i, s := range w.all {
		if err := s.prepare(); err != nil {
			return nil, err
		}
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-start
			begun := time.Now()
			errs[i] = do(ctx, s)
			took[i] = time.Since(begun)
		})
	}
	ready.Wait()
	begun := time.Now()
	close(start)
	done.Wait()
	out.Took, out.Peak = time.Since(begun).Seconds(), peak()
	var served []time.Duration
	for i, err := range errs {
		if err == nil {
			served = append(served, took[i])
			continue
		}
		code := "internal"
		if f := fault.Of(err); f != nil {
			code = f.Code
		}
		if out.Failed[code]++; out.Failed[code] == 1 {
			w.bench.say("one of them: %v", err)
		}
	}
	if len(served) == 0 {
		return nil, errors.Join(append([]error{fmt.Errorf("%s: nobody was served", what)}, errs[0])...)
	}
	slices.Sort(served)
	out.Served = len(served)
	out.P50, out.P99, out.Longest = quantile(served, 0.5).Seconds(), quantile(served, 0.99).Seconds(), served[len(served)-1].Seconds()
	return out, w.target.server.ended()
}
