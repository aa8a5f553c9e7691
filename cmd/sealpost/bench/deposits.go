package bench

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/cmd/sealpost/server"
	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/internal/audit"
)

// depositClock adds up the CPU time of this process between the steps of enrolments that a deposit lies between: when the
// request has been written down, and when its key is in the archive. Enrolments must come one after the other.
type depositClock struct {
	begun, used time.Duration
	deposits    int
}

func (c *depositClock) after(step string) {
	switch step {
	case "received":
		c.begun = cpuTime(unix.RUSAGE_SELF)
	case "deposited":
		c.used += cpuTime(unix.RUSAGE_SELF) - c.begun
		c.deposits++
	}
}

// measureDeposits lets the server's rooms, in this process, take enrolments, and measures the part that is the deposit:
// opening the client's message and comparing what it is bound to, all checks of the key, sealing, storing, the receipt. It
// counts what the whole process uses meanwhile: this thread, the database's driver, collecting garbage.
func (b *bench) measureDeposits(ctx context.Context, s *server.Server, clock *depositClock) error {
	defer server.Headroom()()
	kinds := map[string]*depositRounds{}
	for _, key := range b.Keys {
		size, err := b.recordSize(key)
		if err != nil {
			return err
		}
		kinds[key] = &depositRounds{size: size}
		if _, _, err := b.depositRound(ctx, s, clock, key, min(b.Deposits, 50)); err != nil { // the driver learns its statements
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	stop, err := b.profileHere()
	if err != nil {
		return err
	}
	defer stop()
	for round := range b.Rounds {
		for _, key := range b.Keys {
			took, sum, err := b.depositRound(ctx, s, clock, key, b.Deposits)
			if err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
			kinds[key].add(took, sum)
			b.say("round %d of %d, %d deposits, %s: %.2f ms of one core each, their cryptography %.2f ms", round+1, b.Rounds, b.Deposits, key, took, sum)
		}
	}
	for _, key := range b.Keys {
		k := kinds[key]
		b.report.Archive.Deposits = append(b.report.Archive.Deposits, Deposits{Key: key, Each: b.Deposits, MS: spread(k.took), Cryptography: spread(k.sum),
			Ratio: median(k.ratio), PerSecond: 1000 / median(k.took), Record: k.size})
	}
	return nil
}

// profileHere writes a profile of this process, where no server has one written of it.
func (b *bench) profileHere() (stop func(), err error) {
	if b.Profile == "" || b.measures("enrolments") {
		return func() {}, nil
	}
	f, err := os.Create(b.Profile)
	if err != nil {
		return nil, err
	}
	return func() { pprof.StopCPUProfile(); _ = f.Close() }, pprof.StartCPUProfile(f)
}

type depositRounds struct {
	took, sum, ratio []float64
	size             RecordSize
}

func (r *depositRounds) add(took, sum float64) {
	r.took, r.sum, r.ratio = append(r.took, took), append(r.sum, sum), append(r.ratio, took/sum)
}

// depositRound returns the CPU time, in ms, of one deposit, and the sum of its cryptography measured right after it.
func (b *bench) depositRound(ctx context.Context, s *server.Server, clock *depositClock, key string, n int) (took, sum float64, err error) {
	type one struct {
		by audit.Actor
		enroll.Submission
	}
	var list []one
	for i := range n {
		by, p, err := offered(ctx, s, login(i%min(b.People, window)))
		if err != nil {
			return 0, 0, err
		}
		submission, err := b.submission(p, key)
		if err != nil {
			return 0, 0, err
		}
		list = append(list, one{by, submission})
	}
	runtime.GC()
	clock.used, clock.deposits = 0, 0
	for _, x := range list {
		r, err := s.Enroll.Submit(ctx, x.by, x.Submission)
		if err != nil {
			return 0, 0, err
		}
		if r.Receipt == nil {
			return 0, 0, fmt.Errorf("no receipt: %+v", r)
		}
	}
	if clock.deposits != n {
		return 0, 0, fmt.Errorf("%d deposits of %d", clock.deposits, n)
	}
	sum, err = b.depositCryptography(key)
	return ms(clock.used) / float64(n), sum, err
}

// offered asks the server for the policy, as the person does who enrols.
func offered(ctx context.Context, s *server.Server, who string) (audit.Actor, *policy, error) {
	person, err := s.Directory.ByLogin(ctx, who)
	if err != nil {
		return audit.Actor{}, nil, err
	}
	by := person.Actor(audit.MethodPassword, audit.StrengthPassword)
	told, err := s.Enroll.Policy(ctx, by, uuid.Nil)
	if err != nil {
		return by, nil, err
	}
	return by, &policy{login: who, exchange: told.Exchange, Policy: api.Policy{
		Person: api.Person{ID: person.ID, Name: person.Name, Mailboxes: person.Mailboxes}, Exchange: &api.Exchange{Nonce: told.Nonce}}}, nil
}

func (b *bench) submission(p *policy, key string) (enroll.Submission, error) {
	r, err := (&target{rsa: b.rsa}).enrolment(p, key)
	if err != nil {
		return enroll.Submission{}, err
	}
	var q api.EnrolmentRequest
	err = json.Unmarshal(r.body, &q)
	return enroll.Submission{Idempotency: uuid.NewString(), Enrolment: q.Enrolment, SigningCSR: q.SigningCSR, EncryptionCSR: q.EncryptionCSR, EscrowedKey: q.EscrowedKey}, err
}

// depositCryptography returns the CPU time, in ms, of what a deposit cannot do without.
func (b *bench) depositCryptography(key string) (sum float64, err error) {
	k, err := b.encryptionKey(key)
	if err != nil {
		return 0, err
	}
	parts, err := depositParts(k)
	if err != nil {
		return 0, err
	}
	receipts, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return 0, err
	}
	for _, p := range append(parts, receiptPart(receipts)) {
		took, err := timePart(p, b.partTime())
		if err != nil {
			return 0, fmt.Errorf("%s: %w", p.name, err)
		}
		sum += float64(took.Nanoseconds()) / 1e6 * float64(p.times)
	}
	return sum, nil
}

// encryptionKey makes a key of a kind.
func (b *bench) encryptionKey(kind string) (crypto.Signer, error) {
	if kind == "P-256" {
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	return b.rsa.next()
}

// recordSize returns how many bytes a record has, and its parts.
func (b *bench) recordSize(key string) (RecordSize, error) {
	k, err := b.encryptionKey(key)
	if err != nil {
		return RecordSize{}, err
	}
	x, err := newSample(k)
	if err != nil {
		return RecordSize{}, err
	}
	inner, err := x.sealed.UnwrapOuter(x.wrapping)
	if err != nil {
		return RecordSize{}, err
	}
	return RecordSize{Key: len(x.pkcs8), Capsule: len(x.sealed.Capsule.Bytes()), Inner: len(inner.Bytes()), Outer: len(x.sealed.Bytes())}, nil
}
