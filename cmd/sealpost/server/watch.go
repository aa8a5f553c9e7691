package server

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/notice"
	"github.com/sealpost/sealpost/web"
)

const (
	// watchListsEvery is how often operators may hear of something new about lists.
	watchListsEvery = time.Minute
	// settleTime is how long a server must run until what was last seen before its start counts: every point is looked at in it.
	settleTime = 15 * time.Minute
)

// Areas of matters that operators are told of.
const (
	areaLists = "crl"
	areaDrill = "drill"
)

// watchLists has operators told of lists and distribution points that need them. It is a periodic job.
func (s *Server) watchLists(ctx context.Context, _ jobs.WatchLists) error {
	st, err := s.CRL.Status(ctx, monitoring())
	if err != nil {
		return err
	}
	unseen := func(p crl.Standing) bool { return p.Urgent && (p.LookedAt == nil || p.LookedAt.Before(s.started)) }
	if st.At.Sub(s.started) < settleTime && slices.ContainsFunc(st.Points, unseen) {
		return nil // this server, or all, were stopped, and nobody has looked since
	}
	return s.Notice.Attend(ctx, areaLists, matters(st))
}

// matters returns what operators must hear of. What runs out at a point because there is no newer list anywhere is told of as
// such, once.
func matters(st *crl.Status) (out []notice.Matter) {
	by := map[string]*notice.Matter{}
	add := func(key string, point, others bool, state crl.State, f notice.FileAt) {
		if by[key] == nil {
			by[key] = &notice.Matter{Key: key, About: &notice.Files{Point: point, Others: others}}
		}
		m := by[key]
		about := m.About.(*notice.Files)
		about.Files = append(about.Files, f)
		if grade := grades[state]; grade >= m.Grade {
			m.Grade, about.Worst = grade, string(state)
		}
	}
	for _, l := range st.Lists {
		if l.Urgent {
			key := "the revocation lists of " + l.Issuer
			if l.Issuer == "" {
				key = "the revocation list " + l.File
			}
			add(key, false, l.Issuer == "", l.State, notice.FileAt{File: l.File, Newest: l.Number, Until: l.NextUpdate, Failure: l.Failure})
		}
	}
	for _, p := range st.Points {
		if !p.Urgent || p.FailedAt == nil && p.Number == p.Newest && p.State != crl.Unknown {
			continue
		}
		f := notice.FileAt{File: p.File, Address: p.Address, Number: p.Number, Newest: p.Newest, Failure: p.Failure}
		if p.NextUpdate != nil {
			f.Until = *p.NextUpdate
		}
		if p.FailedAt != nil {
			f.Since = *p.FailedAt
		}
		add("the distribution point "+p.Point, true, false, p.State, f)
	}
	for _, m := range by {
		out = append(out, *m)
	}
	return out
}

// grades says how bad it is: what has not run out, and is urgent all the same, fails.
var grades = map[crl.State]int{crl.RunningOut: 2, crl.RunOut: 3}

// monitoring is who asks how things stand for metrics and mails.
func monitoring() audit.Actor { return audit.System("monitoring") }

// listTables are what monitoring is told of revocation lists and distribution points.
func (s *Server) listTables() []web.Table {
	return []web.Table{
		{Labels: []string{"issuer", "file"}, Read: s.listNumbers, Columns: []web.Column{
			{Name: "sealpost_crl_number", Help: "Number of the newest revocation list of a kind."},
			{Name: "sealpost_crl_seconds_left", Help: "Seconds until its nextUpdate; negative afterwards."},
			{Name: "sealpost_crl_entries", Help: "Certificates on it."},
			{Name: "sealpost_crl_size_bytes", Help: "Its size."},
			{Name: "sealpost_crl_urgent", Help: "1 if it is running out, has run out or is not there, else 0."}}},
		{Labels: []string{"issuer", "point", "file"}, Read: s.pointNumbers, Columns: []web.Column{
			{Name: "sealpost_crl_point_number", Help: "Number of the revocation list that was last seen at a distribution point."},
			{Name: "sealpost_crl_point_seconds_left", Help: "Seconds until the nextUpdate of that list; negative afterwards."},
			{Name: "sealpost_crl_point_failing_since_timestamp_seconds", Help: "Since when a file at a distribution point is not as it should be, Unix time; 0 if it is."},
			{Name: "sealpost_crl_point_last_good_timestamp_seconds", Help: "When it was last seen to be as it should, Unix time; 0 if never."},
			{Name: "sealpost_crl_point_urgent", Help: "1 if it is running out, has run out or has failed for longer than crl.patience, else 0."}}},
	}
}

func (s *Server) listNumbers(ctx context.Context) (out []web.Row, err error) {
	st, err := s.CRL.Status(ctx, monitoring())
	if err != nil {
		return nil, err
	}
	for _, l := range st.Lists {
		numbers := []float64{float64(l.Number), math.NaN(), float64(l.Entries), float64(l.Size), flag(l.Urgent)}
		if !l.NextUpdate.IsZero() {
			numbers[1] = l.NextUpdate.Sub(st.At).Seconds()
		}
		out = append(out, web.Row{Labels: []string{l.Issuer, l.File}, Numbers: numbers})
	}
	return out, nil
}

func (s *Server) pointNumbers(ctx context.Context) (out []web.Row, err error) {
	st, err := s.CRL.Status(ctx, monitoring())
	if err != nil {
		return nil, err
	}
	for _, p := range st.Points {
		numbers := []float64{math.NaN(), math.NaN(), maybeUnix(p.FailedAt), maybeUnix(p.SeenAt), flag(p.Urgent)}
		if p.Newest > 0 {
			numbers[0] = float64(p.Number)
		}
		if p.NextUpdate != nil {
			numbers[1] = p.NextUpdate.Sub(st.At).Seconds()
		}
		out = append(out, web.Row{Labels: []string{p.Issuer, p.Point, p.File}, Numbers: numbers})
	}
	return out, nil
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func maybeUnix(t *time.Time) float64 {
	if t == nil {
		return 0
	}
	return unix(*t)
}
