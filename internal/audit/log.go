package audit

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealpost/sealpost/internal/audit/proof"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/pg"
)

// The rooms' roles that this package uses: one reads everything and records refusals, the other sees only hashes.
const (
	roleAudit     pg.Role = "audit"
	roleSequencer pg.Role = "sequencer"
)

// DefaultInterval is the time between two passes of the sequencer unless configured otherwise.
const DefaultInterval = 500 * time.Millisecond

// Faults that this package returns.
var (
	ErrEmpty      = fault.New(fault.NotFound, "audit-log-empty", "The audit log has no checkpoint yet.")
	ErrUnknown    = fault.New(fault.NotFound, "audit-event-unknown", "The audit log has no such event.")
	ErrNotIndexed = fault.New(fault.Unavailable, "audit-event-not-indexed",
		"The event has been recorded but has no place in the audit log yet. Try again in a second.")
	ErrTampered = fault.New(fault.Conflict, "audit-log-tampered",
		"The stored audit log does not agree with its signed checkpoints. Run: sealpost audit verify")
)

// Config says where the log lies, who signs it, and who else keeps its checkpoints.
type Config struct {
	DB *pg.DB
	// Name is the log's name in its checkpoints: one word that nobody else uses, such as pki.example.test/audit. It and
	// the key make the log's identity, and stay.
	Name string
	// Signer is the log's Ed25519 key. Without one this process reads and records, and leaves sequencing to others.
	Signer crypto.Signer
	// Known are further verifier keys (see proof.VerifierKey) of the log: those it had before Signer, or where there is no
	// Signer, the present one.
	Known    []string
	Sinks    []Sink
	Interval time.Duration    // between passes; 0 means DefaultInterval
	Now      func() time.Time // nil means time.Now
	Log      *slog.Logger     // nil discards
}

// Log is the audit log. It is safe for concurrent use.
type Log struct {
	db       *pg.DB
	name     string
	signer   *proof.Signer // nil if this process does not sequence
	known    note.Verifiers
	keepers  []*keeper
	interval time.Duration
	now      func() time.Time
	log      *slog.Logger

	sequencing sync.Mutex // held during a pass
	seen       *edge      // the newest tree that this process signed or followed; nil at first

	mu   sync.Mutex
	last passes
}

// passes is how the sequencer has fared.
type passes struct {
	failures int
	err      error
	at       time.Time
	size     int64 // of the newest tree
}

// New returns a log. It touches the database only when asked to.
func New(c Config) (*Log, error) {
	l := &Log{db: c.DB, name: c.Name, interval: c.Interval, now: c.Now, log: c.Log}
	if l.interval <= 0 {
		l.interval = DefaultInterval
	}
	if l.now == nil {
		l.now = time.Now
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if err := proof.CheckName(c.Name); err != nil {
		return nil, err
	}
	keys := c.Known
	if c.Signer != nil {
		s, err := proof.NewSigner(c.Name, c.Signer)
		if err != nil {
			return nil, err
		}
		l.signer = s
		keys = append([]string{s.VerifierKey()}, keys...)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("audit log %s: neither a key to sign nor one to verify", c.Name)
	}
	known, err := proof.Verifiers(keys...)
	if err != nil {
		return nil, err
	}
	l.known = known
	for _, s := range c.Sinks {
		l.keepers = append(l.keepers, newKeeper(s, l.now, l.log))
	}
	return l, nil
}

// VerifierKey returns the public key that verifies the log's checkpoints (see proof.VerifierKey), or "" without a signer.
func (l *Log) VerifierKey() string {
	if l.signer == nil {
		return ""
	}
	return l.signer.VerifierKey()
}

// Record appends events in a transaction of their own: refusals, and whatever else changes nothing.
func (l *Log) Record(ctx context.Context, by Actor, events ...Event) ([]Leaf, error) {
	b := &pgx.Batch{}
	leaves, err := Queue(b, l.now(), by, events...)
	if err != nil || len(events) == 0 {
		return nil, err
	}
	if err := l.db.Batch(ctx, roleAudit, b); err != nil {
		return nil, err
	}
	return leaves, nil
}

// Latest returns the newest signed checkpoint, or ErrEmpty.
func (l *Log) Latest(ctx context.Context) ([]byte, error) {
	var msg []byte
	err := l.db.Snapshot(ctx, roleAudit, func(tx pgx.Tx) (err error) {
		_, msg, err = selectLatest(ctx, tx)
		return err
	})
	return msg, err
}

// Limits of a page of events.
const (
	DefaultLimit = 100
	MaxLimit     = 1000
)

// Query says which events to read. Zero members do not restrict.
type Query struct {
	Subject string
	Person  uuid.UUID // whom the event is about
	Kind    string
	Kinds   []string  // any of these
	Actor   uuid.UUID // who did it
	Since   time.Time // only events of this time or later
	Until   time.Time // only events before this time
	Hidden  []Hidden  // events that are left out, as if they were not there
	After   int64     // only events whose ID is greater, oldest first; for the next page, the last one's ID
	Before  int64     // if not 0, only events whose ID is less, newest first (math.MaxInt64 begins at the end)
	Limit   int       // 0 means DefaultLimit; at most MaxLimit
}

// Hidden are events of which somebody may know nothing: those of a kind (any, if it is empty) whose body has a text.
type Hidden struct{ Kind, Text string }

// maxSkew is by how much the order of events' times may differ from the order of their ids: servers' clocks, and how long a
// transaction takes. A search by time finds no event that is further off.
const maxSkew = time.Hour

// Events returns a page of events in the order of their IDs. Whether somebody may read them is the caller's to decide.
func (l *Log) Events(ctx context.Context, q Query) ([]Entry, error) {
	if q.Limit <= 0 {
		q.Limit = DefaultLimit
	}
	q.Limit = min(q.Limit, MaxLimit)
	var entries []Entry
	err := l.db.Snapshot(ctx, roleAudit, func(tx pgx.Tx) (err error) {
		entries, err = selectEvents(ctx, tx, q)
		return err
	})
	return entries, err
}

// Event returns the event at an index of the log, or ErrUnknown: also for one that is hidden. Whether somebody may read it is
// the caller's to decide.
func (l *Log) Event(ctx context.Context, index int64, hidden ...Hidden) (Entry, error) {
	var out []Entry
	err := l.db.Snapshot(ctx, roleAudit, func(tx pgx.Tx) (err error) {
		out, err = selectAt(ctx, tx, index, hidden)
		return err
	})
	if err == nil && len(out) == 0 {
		err = ErrUnknown
	}
	if err != nil {
		return Entry{}, err
	}
	return out[0], nil
}

// Kinds returns the kinds of events that there are, in the order of the alphabet. It looks at one row of each.
func (l *Log) Kinds(ctx context.Context) (out []string, err error) {
	err = l.db.Snapshot(ctx, roleAudit, func(tx pgx.Tx) error {
		out, err = selectKinds(ctx, tx)
		return err
	})
	return out, err
}

// openLatest returns the newest checkpoint and its tree, after checking that the log has signed it.
func (l *Log) openLatest(ctx context.Context, tx pgx.Tx) (tlog.Tree, []byte, error) {
	size, msg, err := selectLatest(ctx, tx)
	if err != nil {
		return tlog.Tree{}, nil, err
	}
	tree, err := l.open(size, msg)
	return tree, msg, err
}

func (l *Log) open(size int64, msg []byte) (tlog.Tree, error) {
	c, err := proof.Open(msg, l.known)
	if err != nil {
		return tlog.Tree{}, ErrTampered.Because(fmt.Errorf("checkpoint %d: %w", size, err))
	}
	if c.Size != size || c.Origin != l.name {
		return tlog.Tree{}, ErrTampered.Because(fmt.Errorf("checkpoint %d is that of size %d of %s", size, c.Size, c.Origin))
	}
	return tlog.Tree{N: c.Size, Hash: c.Root}, nil
}

// Status is how the log fares in this process, and how many events wait.
type Status struct {
	Size     int64     // events in the newest checkpoint that this process has seen
	Pending  int64     // events without an index
	Oldest   time.Time // of these; zero if there are none
	Failures int       // passes of the sequencer that failed, since the last that did not
	Err      error     // why the last pass failed; nil if it did not
	PassedAt time.Time // when the last pass succeeded
	Sinks    []SinkStatus
}

// Status reports how the log fares. It fails only if the database cannot be asked.
func (l *Log) Status(ctx context.Context) (Status, error) {
	s := l.status()
	err := l.db.Snapshot(ctx, roleAudit, func(tx pgx.Tx) (err error) {
		s.Pending, s.Oldest, err = selectBacklog(ctx, tx)
		if err != nil {
			return err
		}
		size, _, err := selectLatest(ctx, tx)
		s.Size = max(s.Size, size)
		if errors.Is(err, ErrEmpty) {
			return nil
		}
		return err
	})
	return s, err
}

func (l *Log) status() Status {
	l.mu.Lock()
	s := Status{Size: l.last.size, Failures: l.last.failures, Err: l.last.err, PassedAt: l.last.at}
	l.mu.Unlock()
	for _, k := range l.keepers {
		s.Sinks = append(s.Sinks, k.status())
	}
	return s
}
