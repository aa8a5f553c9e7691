package server

import (
	"context"

	"github.com/sealpost/sealpost/gal"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/web"
)

// galGauges are what monitoring is told of the directory's entries.
func (s *Server) galGauges() []web.Gauge {
	var out []web.Gauge
	for _, kind := range gal.Kinds() {
		out = append(out, web.Gauge{Name: "sealpost_gal_drift", Help: "Entries of the directory that were not as they should be when they were last looked at, by kind.",
			Labels: map[string]string{"kind": string(kind)}, Read: func(ctx context.Context) (float64, error) {
				n, err := s.GAL.Count(ctx, kind)
				return float64(n), err
			}})
	}
	status := func(name, help string, of func(gal.Status) float64) web.Gauge {
		return web.Gauge{Name: name, Help: help, Read: func(ctx context.Context) (float64, error) {
			st, err := s.GAL.Status(ctx, audit.Actor{Roles: []audit.Role{audit.Operator}, Name: "monitoring", Method: audit.MethodSystem})
			return of(st), err
		}}
	}
	return append(out,
		status("sealpost_gal_sweep_begun_timestamp_seconds", "When the newest sweep through the directory began; 0: never.", func(st gal.Status) float64 {
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
