package jobs

import "context"

// Release does once what a queue does each second.
func Release(ctx context.Context, q *Queue) error { return q.release(ctx) }
