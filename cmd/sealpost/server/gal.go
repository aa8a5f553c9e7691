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

// galTables are what monitoring is told of the directories' entries.
func (s *Server) galTables() []web.Table {
	return []web.Table{
		{Labels: []string{"directory", "kind"}, Read: s.galDrift, Columns: []web.Column{
			{Name: "sealpost_gal_drift", Help: "Entries of a directory that were not as they should be when they were last looked at, by kind."}}},
		{Labels: []string{"directory"}, Read: s.galSweeps, Columns: []web.Column{
			{Name: "sealpost_gal_waiting", Help: "People whose entries in a directory could not be brought up to date so far; that is tried again."},
			{Name: "sealpost_gal_sweep_begun_timestamp_seconds", Help: "When the newest sweep through a directory began; 0: never."},
			{Name: "sealpost_gal_sweep_stuck", Help: "1 if the sweep under way does not go on, or repaired nothing because that would have been too much."}}},
	}
}

func (s *Server) galDrift(ctx context.Context) (out []web.Row, err error) {
	for _, t := range s.GAL.Targets() {
		st, err := t.Status(ctx, galMonitoring())
		if err != nil {
			return nil, err
		}
		for _, kind := range gal.Kinds() {
			out = append(out, web.Row{Labels: []string{t.Name(), string(kind)}, Numbers: []float64{float64(st.Drift[kind])}})
		}
	}
	return out, nil
}

func (s *Server) galSweeps(ctx context.Context) (out []web.Row, err error) {
	for _, t := range s.GAL.Targets() {
		st, err := t.Status(ctx, galMonitoring())
		if err != nil {
			return nil, err
		}
		begun := 0.0
		if st.Number > 0 {
			begun = float64(st.Begun.Unix())
		}
		stuck := st.Failure != "" && st.Ended == nil || st.Stopped == gal.StoppedLimit
		out = append(out, web.Row{Labels: []string{t.Name()}, Numbers: []float64{float64(st.Waiting), begun, flag(stuck)}})
	}
	return out, nil
}

// galMonitoring is who asks how sweeps stand for metrics.
func galMonitoring() audit.Actor {
	return audit.Actor{Roles: []audit.Role{audit.Operator}, Name: "monitoring", Method: audit.MethodSystem}
}
