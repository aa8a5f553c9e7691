// Package session keeps people signed in to the portal: a secret in a cookie, and what it stands for in the database.
//
// It owns when a session ends: when its person says so, when it was idle for too long, and in any case after a day's work. It
// does not know how people sign in (package signin), nor who they are: what the directory says of them is read at each
// request, so that somebody who left is out at once.
package session

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/pg"
)

// ErrEnded says that a session is over, or never was: the two look the same from outside.
var ErrEnded = fault.New(fault.Denied, "session-ended", "Your session has ended. Sign in again; nothing was lost.")

// Policy says how long people stay signed in.
type Policy struct {
	// Idle is after how long without a request a session ends; 0 means 30m.
	Idle time.Duration `yaml:"idle"`
	// Longest is after how long it ends in any case; 0 means 10h.
	Longest time.Duration `yaml:"longest"`
	// Fresh is for how long after somebody showed who they are they may do what needs that anew, such as asking for
	// archived keys; 0 means 10m.
	Fresh time.Duration `yaml:"fresh"`
}

// Validate returns every fault of the policy, each with its path, joined.
func (p Policy) Validate() error {
	var errs []error
	for _, d := range []struct {
		path  string
		value time.Duration
	}{{"idle", p.Idle}, {"longest", p.Longest}, {"fresh", p.Fresh}} {
		if d.value < 0 {
			errs = append(errs, fmt.Errorf("%s: is negative", d.path))
		}
	}
	if p = p.orDefaults(); p.Idle > p.Longest {
		errs = append(errs, errors.New("idle: must not be longer than longest"))
	}
	return errors.Join(errs...)
}

func (p Policy) orDefaults() Policy {
	for _, d := range []struct {
		value     *time.Duration
		otherwise time.Duration
	}{{&p.Idle, 30 * time.Minute}, {&p.Longest, 10 * time.Hour}, {&p.Fresh, 10 * time.Minute}} {
		if *d.value == 0 {
			*d.value = d.otherwise
		}
	}
	return p
}

// Config is what Sessions are made of. Every field without "nil" in its comment is required.
type Config struct {
	DB     *pg.DB
	Policy Policy
	Now    func() time.Time // nil means time.Now
}

// Sessions are everybody's. It is safe for concurrent use, and any number of servers share them.
type Sessions struct {
	db     *pg.DB
	policy Policy
	now    func() time.Time
}

// New returns the sessions of a database.
func New(c Config) (*Sessions, error) {
	if c.DB == nil {
		return nil, errors.New("session: Config needs DB")
	}
	if err := c.Policy.Validate(); err != nil {
		return nil, err
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Sessions{c.DB, c.Policy.orDefaults(), c.Now}, nil
}

// Session is one sign-in of a person.
type Session struct {
	ID       uuid.UUID
	Person   uuid.UUID
	Method   audit.Method // how they showed who they are, last
	Strength audit.Strength
	Roles    []audit.Role // from the identity provider
	Began    time.Time
	Seen     time.Time // to about a minute
	Proven   time.Time // when they last showed who they are
	Ends     time.Time // whatever happens
	Agent    string    // their browser, as it calls itself; at most maxAgent bytes
}

// Cookie is the name of the secret's cookie. It is bound to this host, and to HTTPS, by its name alone (RFC 6265bis, 4.1.3.2).
const Cookie = "__Host-sealpost"

const (
	maxAgent  = 256
	seenEvery = time.Minute // how exactly Seen is kept: not each request writes
)

// Begin signs somebody in who has just shown who they are, and returns the cookie's secret: nobody can find it out again.
// The actor's roles are kept only as far as the directory does not give them: those are what the identity provider says.
func (s *Sessions) Begin(ctx context.Context, by audit.Actor, roles []audit.Role, agent string) (secret string, out Session, err error) {
	now := s.now().UTC().Truncate(time.Microsecond)
	secret = newSecret()
	out = Session{ID: uuid.New(), Person: by.Person, Method: by.Method, Strength: by.Strength, Roles: roles, Began: now, Seen: now, Proven: now,
		Ends: now.Add(s.policy.Longest), Agent: clip(agent)}
	err = s.db.InTx(ctx, role, func(tx pgx.Tx) error {
		if err := deleteEnded(ctx, tx, now, now.Add(-s.policy.Idle)); err != nil {
			return err
		}
		if err := insert(ctx, tx, hash(secret), out); err != nil {
			return err
		}
		return s.append(ctx, tx, now, by, "session.begun", out)
	})
	return secret, out, err
}

// Resume returns the session of a secret, or ErrEnded.
func (s *Sessions) Resume(ctx context.Context, secret string) (out Session, err error) {
	now := s.now().UTC().Truncate(time.Microsecond)
	err = s.db.InTx(ctx, role, func(tx pgx.Tx) error {
		if out, err = s.live(ctx, tx, secret, "", now); err != nil {
			return err
		}
		if now.Sub(out.Seen) < seenEvery {
			return nil
		}
		out.Seen = now
		return touch(ctx, tx, out.ID, now)
	})
	return out, err
}

// live returns the session of a secret that has not ended.
func (s *Sessions) live(ctx context.Context, tx pgx.Tx, secret, lock string, now time.Time) (Session, error) {
	out, err := bySecret(ctx, tx, hash(secret), lock)
	if errors.Is(err, pgx.ErrNoRows) {
		return Session{}, ErrEnded
	}
	if err != nil {
		return Session{}, err
	}
	if !now.Before(out.Ends) || now.Sub(out.Seen) >= s.policy.Idle {
		return Session{}, ErrEnded
	}
	return out, nil
}

// Prove notes that the person of a session has shown anew who they are. The secret changes: one that somebody learnt before
// is worth nothing after. Somebody else's proof is ErrEnded.
func (s *Sessions) Prove(ctx context.Context, secret string, by audit.Actor) (renewed string, out Session, err error) {
	now := s.now().UTC().Truncate(time.Microsecond)
	renewed = newSecret()
	err = s.db.InTx(ctx, role, func(tx pgx.Tx) error {
		if out, err = s.live(ctx, tx, secret, forUpdate, now); err != nil {
			return err
		}
		if out.Person != by.Person {
			return ErrEnded
		}
		out.Method, out.Strength, out.Seen, out.Proven = by.Method, by.Strength, now, now
		if err := updateProof(ctx, tx, hash(renewed), out); err != nil {
			return err
		}
		return s.append(ctx, tx, now, by, "session.proven", out)
	})
	return renewed, out, err
}

// Fresh reports whether the person showed who they are lately enough for what needs that anew. A Kerberos ticket never does: it
// shows that they did so at their computer's login, which may be hours ago.
func (s *Sessions) Fresh(out Session) bool {
	return out.Method != audit.MethodKerberos && s.now().Sub(out.Proven) < s.policy.Fresh
}

// End ends the session of a secret. One that has ended is no error.
func (s *Sessions) End(ctx context.Context, by audit.Actor, secret string) error {
	return s.end(ctx, by, func(tx pgx.Tx) ([]Session, error) { return deleteBySecret(ctx, tx, hash(secret)) })
}

// EndOthers ends a person's sessions beside one; uuid.Nil: all. Somebody may do that to their own alone.
func (s *Sessions) EndOthers(ctx context.Context, by audit.Actor, except uuid.UUID) error {
	return s.end(ctx, by, func(tx pgx.Tx) ([]Session, error) { return deleteOthers(ctx, tx, by.Person, except) })
}

func (s *Sessions) end(ctx context.Context, by audit.Actor, remove func(pgx.Tx) ([]Session, error)) error {
	now := s.now().UTC().Truncate(time.Microsecond)
	return s.db.InTx(ctx, role, func(tx pgx.Tx) error {
		ended, err := remove(tx)
		if err != nil {
			return err
		}
		for _, e := range ended {
			if err := s.append(ctx, tx, now, by, "session.ended", e); err != nil {
				return err
			}
		}
		return nil
	})
}

// Of returns a person's sessions that have not ended, the newest first.
func (s *Sessions) Of(ctx context.Context, person uuid.UUID) (out []Session, err error) {
	now := s.now().UTC()
	err = s.db.InTx(ctx, role, func(tx pgx.Tx) error {
		out, err = byPerson(ctx, tx, person, now, now.Add(-s.policy.Idle))
		return err
	})
	return out, err
}

func (s *Sessions) append(ctx context.Context, tx pgx.Tx, now time.Time, by audit.Actor, kind string, of Session) error {
	_, err := audit.Append(ctx, tx, now, by, audit.Event{Kind: kind, Subject: "session:" + of.ID.String(), Person: of.Person,
		Data: map[string]any{"method": of.Method, "agent": of.Agent}})
	return err
}

// newSecret returns 256 random bits, as a cookie can hold them.
func newSecret() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// hash is what the database has of a secret: with 256 random bits it needs neither salt nor time.
func hash(secret string) []byte {
	h := sha256.Sum256([]byte(secret))
	return h[:]
}

// clip makes of a browser's name what can be kept and shown.
func clip(agent string) string {
	agent = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, agent)
	return agent[:min(len(agent), maxAgent)]
}
