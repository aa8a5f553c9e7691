package crl

import (
	"context"

	"github.com/sealpost/sealpost/internal/jobs"
)

// Deliver is what the job does.
func (p *Publisher) Deliver(ctx context.Context, j jobs.DeliverCRL) error { return p.deliver(ctx, j) }

// Watch is what the job does.
func (p *Publisher) Watch(ctx context.Context, point string) error { return p.watch(ctx, point) }
