package audit

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Sink keeps signed checkpoints where the keeper of the database cannot change them.
type Sink interface {
	// Keep stores a checkpoint, and returns when it is as safe as it will be. It may be given one twice.
	Keep(ctx context.Context, checkpoint []byte) error
	// String names the sink for operators, without secrets.
	String() string
}

// SinkStatus is how a sink fares.
type SinkStatus struct {
	Sink     string
	Kept     int64     // size of the newest checkpoint that it keeps; 0 since the start of this process
	KeptAt   time.Time // when it took that
	Waiting  int64     // size of a newer one that it has not taken yet; 0 if there is none
	Failures int       // attempts that failed, since the last that did not
	Err      error     // why the last attempt failed; nil if it did not
}

const (
	keepTimeout  = 10 * time.Second // of one attempt
	lastTimeout  = 3 * time.Second  // of the attempt at the end of the process
	firstBackoff = time.Second
	lastBackoff  = time.Minute
)

// keeper brings checkpoints to a sink, one at a time and only ever the newest, so that a sink which is slow or away never
// holds up the log and finds what counts when it is back.
type keeper struct {
	sink Sink
	now  func() time.Time
	log  *slog.Logger
	wake chan struct{}

	mu    sync.Mutex
	state SinkStatus
	msg   []byte // the checkpoint of size state.Waiting
}

func newKeeper(s Sink, now func() time.Time, log *slog.Logger) *keeper {
	return &keeper{sink: s, now: now, log: log.With("sink", s.String()), wake: make(chan struct{}, 1),
		state: SinkStatus{Sink: s.String()}}
}

func (k *keeper) status() SinkStatus {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.state
}

// offer makes a checkpoint the next to be kept, unless it is not newer than what is kept or waits.
func (k *keeper) offer(size int64, msg []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if size <= k.state.Kept || size <= k.state.Waiting {
		return
	}
	k.state.Waiting, k.msg = size, msg
	select {
	case k.wake <- struct{}{}:
	default: // it is awake already
	}
}

func (k *keeper) run(ctx context.Context) {
	backoff := firstBackoff
	for {
		var retry <-chan time.Time
		if err := k.keep(ctx, keepTimeout); err != nil {
			retry = time.After(backoff)
			backoff = min(2*backoff, lastBackoff)
		} else {
			backoff = firstBackoff
		}
		wake := k.wake
		if retry != nil {
			wake = nil // a newer checkpoint does not make a sink that is away come back
		}
		select {
		case <-wake:
		case <-retry:
		case <-ctx.Done():
			_ = k.keep(context.WithoutCancel(ctx), lastTimeout) // logged, and tried again after the next start
			return
		}
	}
}

// keep brings what waits, if anything does.
func (k *keeper) keep(ctx context.Context, timeout time.Duration) error {
	k.mu.Lock()
	size, msg := k.state.Waiting, k.msg
	k.mu.Unlock()
	if size == 0 || ctx.Err() != nil {
		return nil
	}
	attempt, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := k.sink.Keep(attempt, msg)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		k.state.Failures++
		k.state.Err = err
		k.log.Error("audit checkpoint is not kept outside", "size", size, "failures", k.state.Failures, "error", err)
		return err
	}
	k.state.Failures, k.state.Err = 0, nil
	k.state.Kept, k.state.KeptAt = size, k.now()
	if k.state.Waiting == size {
		k.state.Waiting, k.msg = 0, nil
	}
	return nil
}
