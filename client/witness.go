package client

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealpost/sealpost/internal/fault"
)

// witness is a signer that remembers why it did not sign: crypto/tls tells it as text alone, and a key in a token or TPM
// has faults that a person can do something about. It also has the limits of calls stand still while it signs.
type witness struct {
	crypto.Signer
	failed atomic.Pointer[fault.Error]

	mu     sync.Mutex
	busy   int                 // signatures that are being made
	limits map[*limit]struct{} // that stand still meanwhile
}

// limit ends something after a time in which nobody signs.
type limit struct {
	timer *time.Timer
	since time.Time
	left  time.Duration
}

// within returns a context that ends after d, not counted while a signature is made: a person may have to touch a token or type a PIN
// for it, and that is not the network's slowness.
func (w *witness) within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if w == nil {
		return context.WithTimeout(ctx, d)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	l := &limit{left: d, since: time.Now(), timer: time.AfterFunc(d, func() { cancel(context.DeadlineExceeded) })}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limits[l] = struct{}{}
	if w.busy > 0 {
		l.pause()
	}
	return ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.limits, l)
		l.timer.Stop()
		cancel(context.Canceled)
	}
}

func (l *limit) pause() {
	if l.timer.Stop() {
		l.left -= time.Since(l.since)
	}
}

func (l *limit) resume() {
	l.since = time.Now()
	l.timer.Reset(max(l.left, 0)) // what had ended ends once more
}

// signing notes that a signature is begun (1) or done (-1).
func (w *witness) signing(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.busy
	w.busy += n
	for l := range w.limits {
		switch {
		case before == 0:
			l.pause()
		case w.busy == 0:
			l.resume()
		}
	}
}

// Sign signs, as crypto.Signer says.
func (w *witness) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	w.signing(1)
	defer w.signing(-1)
	signature, err := w.Signer.Sign(rand, digest, opts)
	w.failed.Store(fault.Of(err))
	return signature, err
}

// waitsForPeople reports whether a key may be one that a person has to do something for: any that is not in memory.
func waitsForPeople(key crypto.PrivateKey) bool {
	switch key.(type) {
	case *ecdsa.PrivateKey, *rsa.PrivateKey, ed25519.PrivateKey:
		return false
	}
	return true
}

// witnessed returns a certificate whose key is watched, and who watches it; nil if there is none.
func witnessed(cert *tls.Certificate) (*tls.Certificate, *witness) {
	if cert == nil {
		return nil, nil
	}
	signer, ok := cert.PrivateKey.(crypto.Signer)
	if !ok {
		return cert, nil
	}
	watched, w := *cert, &witness{Signer: signer, limits: map[*limit]struct{}{}}
	watched.PrivateKey = w
	return &watched, w
}
