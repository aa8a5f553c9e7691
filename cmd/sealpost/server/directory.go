package server

import (
	"context"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/web"
)

// directoryGauges are what monitoring is told of the directory's watching, and of people who left or lost an address.
func (s *Server) directoryGauges() []web.Gauge {
	watched := func(name, help string, of func(directory.Watched) float64) web.Gauge {
		return web.Gauge{Name: name, Help: help, Read: func(ctx context.Context) (float64, error) {
			w, err := s.Directory.Watched(ctx)
			return of(w), err
		}}
	}
	return []web.Gauge{
		{Name: "sealpost_leavers_waiting", Help: "People whom the directory shows as disabled, no longer, or without an address that their certificates name, about whom a registrar must decide.",
			Read: func(ctx context.Context) (float64, error) {
				n, err := s.Leavers.Waiting(ctx)
				return float64(n), err
			}},
		watched("sealpost_directory_watched_timestamp_seconds", "When it was last looked what has changed in the directory, and all of it dealt with, Unix time; 0 if never.",
			func(w directory.Watched) float64 { return maybeUnix(w.At) }),
		watched("sealpost_directory_watch_failing_since_timestamp_seconds", "Since when that fails, Unix time; 0 if it does not.",
			func(w directory.Watched) float64 { return maybeUnix(w.Failing) }),
		watched("sealpost_directory_watch_lost_timestamp_seconds", "When changes may last have been missed, so that everybody was looked at, Unix time; 0 if never.",
			func(w directory.Watched) float64 { return maybeUnix(w.Lost) }),
		watched("sealpost_directory_changes_pending", "Changes in the directory that were noticed and not dealt with yet.",
			func(w directory.Watched) float64 { return float64(w.Pending) }),
	}
}
