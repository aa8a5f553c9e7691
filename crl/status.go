package crl

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/crl/list"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
)

// Faults of asking how lists stand.
var (
	ErrNotAllowed = fault.New(fault.Denied, "crl-not-allowed", "How revocation lists stand is told to operators and auditors.")
	// ErrRunOut is a newest list whose time is over: relying parties refuse every certificate that it is about.
	ErrRunOut = fault.New(fault.Unavailable, "crl-run-out", "A revocation list has run out.")
)

// State is how a list stands, or a file at a distribution point.
type State string

// The states. A list is late or unknown only at a point.
const (
	OK         State = "ok"
	Late       State = "late"        // another than the newest is shown, as a rule an older one; it is still valid
	RunningOut State = "running-out" // less than the margin is left
	RunOut     State = "run-out"
	Unknown    State = "unknown" // the last look saw nothing of ours, or nobody has looked for longer than the patience
)

// Status is how all lists stand, and all files at all distribution points.
type Status struct {
	At     time.Time
	Lists  []Newest
	Points []Standing
}

// Urgent counts what somebody must do something about.
func (s *Status) Urgent() (lists, points int) {
	for _, l := range s.Lists {
		if l.Urgent {
			lists++
		}
	}
	for _, p := range s.Points {
		if p.Urgent {
			points++
		}
	}
	return lists, points
}

// Newest is the newest list of a kind, or one that is to be made.
type Newest struct {
	Issuer string // "" of lists that others make
	File   string
	Kind

	Number     int64 // 0: there is none
	Base       int64 // of a delta
	ThisUpdate time.Time
	NextUpdate time.Time
	Entries    int
	Size       int64

	State   State
	Urgent  bool   // it runs out, has run out, or is not there
	Failure string // why there is none
}

// Standing is how a file stands at a distribution point.
type Standing struct {
	Issuer  string
	Point   string
	File    string
	Address string // where it was looked for; "": the place itself was asked

	Newest     int64      // number of the newest list; 0: there is none, or the file is no list
	Until      *time.Time // nextUpdate of that
	Number     int64      // of the list that was last seen there
	NextUpdate *time.Time // of that

	SeenAt   *time.Time // when it was last seen to be as it should; nil: never
	LookedAt *time.Time // when it was last looked at; nil: never
	FailedAt *time.Time // since when it is not as it should be
	Failure  string     // why, for an operator to act on

	State  State
	Urgent bool // it runs out, has run out, or has not been as it should for longer than the patience

	shown bool // the last look saw a file of ours
}

// Other is a list that others make and this server shows, such as the root's.
type Other struct {
	File string                 // its name, as status shows it
	Read func() ([]byte, error) // DER
	// Issuers are who may have signed it. The signature of a list of none of them is not verified.
	Issuers []*x509.Certificate
}

// Status tells operators, auditors and the system's own components how everything stands: every list, and every file at
// every distribution point that should show it, also where it was never seen.
func (p *Publisher) Status(ctx context.Context, by audit.Actor) (*Status, error) {
	if !by.Has(audit.Operator) && !by.Has(audit.Auditor) && by.Method != audit.MethodSystem {
		return nil, ErrNotAllowed
	}
	s := &Status{At: p.Now()}
	known, err := p.known(ctx)
	if err != nil {
		return nil, err
	}
	for _, i := range p.Authority.Issuers() {
		lists, err := p.newest(ctx, i, s.At)
		if err != nil {
			return nil, err
		}
		s.Lists = append(s.Lists, lists...)
		for _, point := range p.Points {
			if point.shows(i.ID()) {
				s.Points = append(s.Points, p.standings(point, i, lists, known, s.At)...)
			}
		}
	}
	for _, o := range p.Others {
		s.Lists = append(s.Lists, o.newest(s.At))
	}
	slices.SortStableFunc(s.Points, func(a, b Standing) int { return cmp.Compare(a.Point, b.Point) })
	return s, nil
}

// Check returns ErrRunOut if the newest list of any kind has run out, and why there is none where one should be. It is asked
// by anybody, as part of the server's health.
func (p *Publisher) Check(ctx context.Context) error {
	now := p.Now()
	var out []string
	for _, i := range p.Authority.Issuers() {
		lists, err := p.newest(ctx, i, now)
		if err != nil {
			return err
		}
		for _, l := range lists {
			if l.Number == 0 && l.Urgent || l.State == RunOut {
				out = append(out, l.File)
			}
		}
	}
	for _, o := range p.Others {
		if l := o.newest(now); l.State == RunOut {
			out = append(out, l.File)
		}
	}
	if len(out) == 0 {
		return nil
	}
	const most = 5
	if more := len(out) - most; more > 0 {
		out = append(out[:most], fmt.Sprintf("%d more", more))
	}
	return ErrRunOut.Withf("Revocation lists have run out or are missing: %s.", strings.Join(out, ", "))
}

// known returns what was last seen at the points, by point and file.
func (p *Publisher) known(ctx context.Context) (map[[2]string]Standing, error) {
	out := map[[2]string]Standing{}
	err := p.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		rows, err := selectPoints(ctx, tx)
		for _, s := range rows {
			out[[2]string{s.Point, s.File}] = s
		}
		return err
	})
	return out, err
}

// newest returns the newest of each kind of list that the issuer publishes, or should.
func (p *Publisher) newest(ctx context.Context, i *ca.Issuer, now time.Time) (out []Newest, err error) {
	kinds, rows, err := p.kinds(ctx, i)
	for _, k := range kinds {
		r, there := rows[k]
		n := Newest{Issuer: i.ID(), File: k.FileName(i.ID()), Kind: k, State: Unknown, Urgent: true, Failure: "There is none yet."}
		if there {
			n.Number, n.Base, n.ThisUpdate, n.NextUpdate, n.Entries, n.Size = r.Number, r.Base, r.ThisUpdate.UTC(), r.NextUpdate.UTC(), r.Entries, r.Size
			n.State, n.Failure = StateAt(n.NextUpdate, now, p.Schedule.margin(k)), ""
			n.Urgent = n.State != OK
		}
		out = append(out, n)
	}
	return out, err
}

// kinds returns which lists an issuer publishes, or should, with the newest of each that there is.
func (p *Publisher) kinds(ctx context.Context, i *ca.Issuer) (kinds []Kind, rows map[Kind]row, err error) {
	partitions, err := p.Authority.Partitions(ctx, i.ID())
	if err != nil {
		return nil, nil, err
	}
	err = p.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		rows, err = selectNewest(ctx, tx, i.ID())
		return err
	})
	for n := range partitions + 1 {
		for _, k := range []Kind{{Partition: n}, {Partition: n, Delta: true}} {
			_, there := rows[k]
			if k.Delta && p.Deltas == nil || !there && (k.Delta || !i.CanSign()) { // a delta needs a complete list before it
				continue
			}
			kinds = append(kinds, k)
		}
	}
	return kinds, rows, err
}

// newest reads the list.
func (o Other) newest(now time.Time) Newest {
	n := Newest{File: o.File, State: Unknown, Urgent: true}
	h, err := o.head()
	if err != nil {
		n.Failure = reason(err)
		return n
	}
	if h.Number != nil && h.Number.IsInt64() {
		n.Number = h.Number.Int64()
	}
	n.ThisUpdate, n.NextUpdate, n.Entries, n.Size = h.ThisUpdate, h.NextUpdate, h.Entries, h.Size
	n.State = StateAt(n.NextUpdate, now, OthersMargin(h))
	n.Urgent = n.State != OK
	return n
}

func (o Other) head() (*list.Head, error) {
	der, err := o.Read()
	if err != nil {
		return nil, ErrWrong.Withf("The file cannot be read.").Because(err)
	}
	h, err := list.Read(bytes.NewReader(der), nil)
	if err != nil {
		return nil, err
	}
	for _, i := range o.Issuers {
		if bytes.Equal(i.RawSubject, h.Issuer) && (h.AuthorityKeyID == nil || bytes.Equal(i.SubjectKeyId, h.AuthorityKeyID)) {
			return h, h.Verify(i)
		}
	}
	return h, nil
}

// OthersMargin is the margin of a list whose maker's schedule is not known: a twelfth of its lifetime, a month of a year.
func OthersMargin(h *list.Head) time.Duration { return h.NextUpdate.Sub(h.ThisUpdate) / 12 }

// StateAt returns OK, RunningOut or RunOut by how much is left until nextUpdate; Unknown of a list that has none.
func StateAt(nextUpdate, now time.Time, margin time.Duration) State {
	switch left := nextUpdate.Sub(now); {
	case nextUpdate.IsZero():
		return Unknown
	case left <= 0:
		return RunOut
	case left < margin:
		return RunningOut
	}
	return OK
}

// standings says how an issuer's files stand at a point.
func (p *Publisher) standings(point Point, i *ca.Issuer, lists []Newest, known map[[2]string]Standing, now time.Time) (out []Standing) {
	add := func(file string, l Newest) {
		s := known[[2]string{point.Name, file}]
		if s.Issuer != i.ID() { // of another issuer that had this name, or never seen
			s = Standing{}
		}
		s.Issuer, s.Point, s.File, s.Address = i.ID(), point.Name, file, point.address(i, file)
		if s.Newest = l.Number; l.Number > 0 {
			s.Until = &l.NextUpdate
		}
		p.judge(&s, l, now)
		out = append(out, s)
	}
	for _, l := range lists {
		add(l.File, l)
	}
	for _, file := range certificateFiles(i) {
		add(file, Newest{})
	}
	return out
}

// judge derives how a file stands from what was last seen of it.
func (p *Publisher) judge(s *Standing, l Newest, now time.Time) {
	s.State = OK
	if s.NextUpdate != nil {
		s.State = StateAt(*s.NextUpdate, now, p.Schedule.margin(l.Kind))
	}
	unseen := s.LookedAt == nil || now.Sub(*s.LookedAt) > p.Schedule.Patience
	switch {
	case s.State != OK:
	case unseen || !s.shown || l.File != "" && s.Number == 0:
		s.State = Unknown
	case s.FailedAt != nil || s.Number != s.Newest:
		s.State = Late
	}
	failing := s.FailedAt != nil && now.Sub(*s.FailedAt) > p.Schedule.Patience
	forgotten := s.LookedAt != nil && unseen || s.LookedAt == nil && l.Number > 0 && now.Sub(l.ThisUpdate) > p.Schedule.Patience
	s.Urgent = s.State == RunningOut || s.State == RunOut || failing || forgotten
	if s.Failure == "" && unseen {
		s.Failure = "Nobody has looked here yet. Is a server running?"
		if s.LookedAt != nil {
			s.Failure = fmt.Sprintf("Nobody has looked here since %s. Is a server running?", s.LookedAt.UTC().Format(time.DateTime))
		}
	}
}
