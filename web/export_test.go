package web

import "context"

// RecordFailures does what the server does each minute.
func RecordFailures(ctx context.Context, s *Server) error { return s.recordFailures(ctx) }
