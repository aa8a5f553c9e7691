package server

import (
	"context"
	"fmt"

	"github.com/sealpost/sealpost/gal"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/web"
)

// openGAL opens the further directories, and the publisher for all.
func (s *Server) openGAL(ctx context.Context) (err error) {
	c := gal.Config{DB: s.DB, Authority: s.Authority, Directory: s.Directory, Audit: s.Audit, Policy: s.Config.GAL.Policy,
		Searchable: !s.Config.Finding.Store.Closed(), Left: s.Leavers.Left, Lost: s.Leavers.Lost, Now: s.now, Log: s.Log}
	for i, t := range s.Config.GAL.Targets {
		d, err := s.directory(ctx, t.Directory())
		if err != nil {
			return fmt.Errorf("targets[%d]: %w", i, err)
		}
		s.further = append(s.further, d)
		further := gal.TargetConfig{Directory: d, Policy: t.Policy}
		if further.Find, further.Domains, err = t.Finder(); err != nil {
			return fmt.Errorf("targets[%d].%w", i, err)
		}
		c.Further = append(c.Further, further)
	}
	s.GAL, err = gal.New(c)
	return err
}

// galGauges are what monitoring is told of the directories' entries.
func (s *Server) galGauges() []web.Gauge {
	var out []web.Gauge
	for _, t := range s.GAL.Targets() {
		out = append(out, targetGauges(t)...)
	}
	return out
}

func targetGauges(t *gal.Target) []web.Gauge {
	var out []web.Gauge
	for _, kind := range gal.Kinds() {
		out = append(out, web.Gauge{Name: "sealpost_gal_drift", Help: "Entries of a directory that were not as they should be when they were last looked at, by kind.",
			Labels: map[string]string{"directory": t.Name(), "kind": string(kind)}, Read: func(ctx context.Context) (float64, error) {
				n, err := t.Count(ctx, kind)
				return float64(n), err
			}})
	}
	status := func(name, help string, of func(gal.Status) float64) web.Gauge {
		return web.Gauge{Name: name, Help: help, Labels: map[string]string{"directory": t.Name()}, Read: func(ctx context.Context) (float64, error) {
			st, err := t.Status(ctx, audit.Actor{Roles: []audit.Role{audit.Operator}, Name: "monitoring", Method: audit.MethodSystem})
			return of(st), err
		}}
	}
	return append(out,
		status("sealpost_gal_waiting", "People whose entries in a directory could not be brought up to date so far; that is tried again.", func(st gal.Status) float64 { return float64(st.Waiting) }),
		status("sealpost_gal_sweep_begun_timestamp_seconds", "When the newest sweep through a directory began; 0: never.", func(st gal.Status) float64 {
			if st.Number == 0 {
				return 0
			}
			return float64(st.Begun.Unix())
		}),
		status("sealpost_gal_sweep_stuck", "1 if the sweep under way does not go on, or repaired nothing because that would have been too much.", func(st gal.Status) float64 {
			if st.Failure != "" && st.Ended == nil || st.Stopped == gal.StoppedLimit {
				return 1
			}
			return 0
		}))
}
