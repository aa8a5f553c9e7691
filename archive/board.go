package archive

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/pg"
)

// Faults of the notice board.
var (
	ErrUnknownCeremony = fault.New(fault.NotFound, "unknown-ceremony", "There is no ceremony with this plan.")
	ErrCeremonies      = fault.New(fault.Conflict, "ceremonies-under-way", "Too many ceremonies are under way. Finish one, or wait until it is forgotten.")
	ErrBoard           = fault.New(fault.Denied, "ceremony-role", "Ceremonies are for recovery agents, operators and auditors.")
)

// Limits of the board. A ceremony that nothing was sent to for boardKeeps does not count any more.
const (
	maxCeremonies    = 20
	maxIntermediates = 20
	boardKeeps       = 30 * 24 * time.Hour
)

// BoardConfig is what a Board is made of.
type BoardConfig struct {
	DB  *pg.DB
	Now func() time.Time // nil means time.Now
	Log *slog.Logger     // nil discards
}

// Board is a notice board for ceremonies: agents who are not in one room send their messages to it, and read everybody
// else's there, instead of carrying a folder around. It needs no archive: the first ceremony makes one.
//
// It checks what everybody can check, so that a wrong message does not disturb the others. It is not to be trusted with
// more: that it shows everybody the same, the agents' tools make sure, by comparing the plan by voice and signing one
// transcript. It is safe for concurrent use, by any number of servers.
type Board struct{ BoardConfig }

// NewBoard returns a board.
func NewBoard(c BoardConfig) *Board {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Board{c}
}

// Ceremony is one ceremony as the board shows it.
type Ceremony struct {
	Plan          *record.Plan
	Previous      *record.Roster // in a reshare, the roster that is passed on
	Intermediates [][]byte       // issuing certificates, DER
	Messages      [][]byte       // in an order in which record.Ceremony takes them
	Round         record.Round   // what it waits for
	Missing       []uint16       // and from whom
	Opened        time.Time
	Changed       time.Time
}

// OpenCeremony puts a plan on the board. Doing it again changes nothing.
func (b *Board) OpenCeremony(ctx context.Context, by audit.Actor, plan []byte, intermediates [][]byte) (*Ceremony, error) {
	if !by.Has(audit.RecoveryAgent) {
		if err := by.Require(audit.Operator); err != nil {
			return nil, err
		}
	}
	p, err := record.ParsePlan(plan)
	if err != nil {
		return nil, err
	}
	if len(intermediates) > maxIntermediates {
		return nil, record.ErrFormat.Withf("More than %d issuing certificates come with the plan.", maxIntermediates)
	}
	for _, der := range intermediates {
		if _, err := x509.ParseCertificate(der); err != nil {
			return nil, record.ErrFormat.Withf("One of the issuing certificates is none.").Because(err)
		}
	}
	now := b.Now()
	return b.within(ctx, p.Hash(), func(tx pgx.Tx) error {
		found, err := selectCeremony(ctx, tx, p.Hash(), false)
		if found != nil || !errors.Is(err, ErrUnknownCeremony) {
			return err
		}
		if _, err := b.view(ctx, tx, &storedCeremony{plan: plan}); err != nil {
			return err
		}
		if err := insertCeremony(ctx, tx, p, intermediates, by.Person, now, now.Add(-boardKeeps)); err != nil {
			return err
		}
		_, err = audit.Append(ctx, tx, now, by, audit.Event{Kind: "archive.ceremony-opened", Subject: "ceremony:" + p.Hash().String(),
			Data: map[string]any{"archive": p.Archive, "epoch": p.Epoch, "threshold": p.Threshold, "agents": len(p.Agents)}})
		return err
	})
}

// Send puts a message on the board, whoever brings it: its signature says whose it is. Sending it again changes nothing.
// It returns record.ErrCeremony, record.ErrDealer and record.ErrAgent for one that does not fit.
func (b *Board) Send(ctx context.Context, by audit.Actor, plan record.Hash, message []byte) (*Ceremony, error) {
	if err := mayRead(by); err != nil {
		return nil, err
	}
	now := b.Now()
	return b.within(ctx, plan, func(tx pgx.Tx) error {
		s, err := selectCeremony(ctx, tx, plan, true)
		if err != nil {
			return err
		}
		c, err := b.view(ctx, tx, s)
		if err != nil {
			return err
		}
		if err := c.Add(message); err != nil {
			return err
		}
		if slices.ContainsFunc(s.messages, func(m []byte) bool { return bytes.Equal(m, message) }) {
			return nil
		}
		if err := insertMessage(ctx, tx, plan, len(s.messages), message, now); err != nil {
			return err
		}
		round, missing := c.Missing()
		_, err = audit.Append(ctx, tx, now, by, audit.Event{Kind: "archive.ceremony-message", Subject: "ceremony:" + plan.String(),
			Data: map[string]any{"round": int(round), "missing": len(missing)}})
		return err
	})
}

// Ceremony returns one ceremony.
func (b *Board) Ceremony(ctx context.Context, by audit.Actor, plan record.Hash) (*Ceremony, error) {
	if err := mayRead(by); err != nil {
		return nil, err
	}
	return b.within(ctx, plan, func(pgx.Tx) error { return nil })
}

// Ceremonies returns the ceremonies of the last month, the newest first.
func (b *Board) Ceremonies(ctx context.Context, by audit.Actor) ([]*Ceremony, error) {
	if err := mayRead(by); err != nil {
		return nil, err
	}
	var out []*Ceremony
	err := b.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		hashes, err := selectCeremonies(ctx, tx, b.Now().Add(-boardKeeps), 2*maxCeremonies)
		if err != nil {
			return err
		}
		for _, h := range hashes {
			c, err := b.read(ctx, tx, h)
			if err != nil {
				return err
			}
			out = append(out, c)
		}
		return nil
	})
	return out, err
}

func mayRead(by audit.Actor) error {
	for _, r := range []audit.Role{audit.RecoveryAgent, audit.Operator, audit.Auditor} {
		if by.Has(r) {
			return nil
		}
	}
	return ErrBoard
}

// within does something to a ceremony and returns it as it then is.
func (b *Board) within(ctx context.Context, plan record.Hash, do func(pgx.Tx) error) (*Ceremony, error) {
	var out *Ceremony
	err := b.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		if err := do(tx); err != nil {
			return err
		}
		out, err = b.read(ctx, tx, plan)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (b *Board) read(ctx context.Context, tx pgx.Tx, plan record.Hash) (*Ceremony, error) {
	s, err := selectCeremony(ctx, tx, plan, false)
	if err != nil {
		return nil, err
	}
	c, err := b.view(ctx, tx, s)
	if err != nil {
		return nil, err
	}
	out := &Ceremony{Plan: c.Plan(), Intermediates: s.intermediates, Messages: c.Messages(), Opened: s.opened, Changed: s.changed}
	out.Round, out.Missing = c.Missing()
	if c.Plan().IsReshare() {
		out.Previous, err = b.previous(ctx, tx, c.Plan())
	}
	return out, err
}

// view takes what is stored as any agent's tool would: the database is not believed.
func (b *Board) view(ctx context.Context, tx pgx.Tx, s *storedCeremony) (*record.Ceremony, error) {
	plan, err := record.ParsePlan(s.plan)
	if err != nil {
		return nil, err
	}
	var previous *record.Roster
	if plan.IsReshare() {
		if previous, err = b.previous(ctx, tx, plan); err != nil {
			return nil, err
		}
	}
	c, err := record.NewCeremony(plan, previous)
	if err != nil {
		return nil, err
	}
	for _, m := range s.messages {
		if err := c.Add(m); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// previous returns the roster that a reshare passes on. The plan names it by its hash.
func (b *Board) previous(ctx context.Context, tx pgx.Tx, plan *record.Plan) (*record.Roster, error) {
	file, err := selectRoster(ctx, tx, plan.Previous)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ErrNoRoster.Withf("The roster that the plan passes on is not in the database.")
	}
	if err != nil {
		return nil, err
	}
	r, err := record.ParseRoster(file)
	if err != nil {
		return nil, err
	}
	return r, r.Verify(record.VerifyOptions{Pins: []record.Hash{plan.Previous}, SingleAgentMayOpenAlone: r.Plan.SingleAgentMayOpenAlone})
}

// storedCeremony is a ceremony as the tables have it.
type storedCeremony struct {
	plan            []byte
	intermediates   [][]byte
	messages        [][]byte
	opened, changed time.Time
}

func insertCeremony(ctx context.Context, tx pgx.Tx, p *record.Plan, intermediates [][]byte, by uuid.UUID, now, since time.Time) error {
	var n int
	if err := tx.QueryRow(ctx, `select count(*) from archive.ceremony where changed_at > $1`, since).Scan(&n); err != nil {
		return err
	}
	if n >= maxCeremonies {
		return ErrCeremonies
	}
	if intermediates == nil {
		intermediates = [][]byte{}
	}
	hash := p.Hash()
	_, err := tx.Exec(ctx, `insert into archive.ceremony (plan_sha256, plan, intermediates, opened_by, opened_at, changed_at) values ($1, $2, $3, $4, $5, $5)`,
		hash[:], p.Bytes(), intermediates, by, now)
	return err
}

func selectCeremony(ctx context.Context, tx pgx.Tx, plan record.Hash, lock bool) (*storedCeremony, error) {
	query := `select plan, intermediates, opened_at, changed_at from archive.ceremony where plan_sha256 = $1`
	if lock {
		query += ` for update`
	}
	s := &storedCeremony{}
	err := tx.QueryRow(ctx, query, plan[:]).Scan(&s.plan, &s.intermediates, &s.opened, &s.changed)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ErrUnknownCeremony
	}
	if err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `select message from archive.ceremony_message where plan_sha256 = $1 order by number`, plan[:])
	if err != nil {
		return nil, err
	}
	s.messages, err = pgx.CollectRows(rows, pgx.RowTo[[]byte])
	return s, err
}

func selectCeremonies(ctx context.Context, tx pgx.Tx, since time.Time, limit int) ([]record.Hash, error) {
	rows, err := tx.Query(ctx, `select plan_sha256 from archive.ceremony where changed_at > $1 order by opened_at desc limit $2`, since, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (h record.Hash, err error) {
		var b []byte
		if err = row.Scan(&b); err == nil {
			h = record.Hash(b)
		}
		return h, err
	})
}

func insertMessage(ctx context.Context, tx pgx.Tx, plan record.Hash, number int, message []byte, now time.Time) error {
	b := &pgx.Batch{}
	b.Queue(`insert into archive.ceremony_message (plan_sha256, number, message, received_at) values ($1, $2, $3, $4)`, plan[:], number, message, now)
	b.Queue(`update archive.ceremony set changed_at = $2 where plan_sha256 = $1`, plan[:], now)
	return tx.SendBatch(ctx, b).Close()
}
