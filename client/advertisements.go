package client

import (
	"context"

	"github.com/sealpost/sealpost/api"
)

// Advertise hands in what the caller's directory entry says about them. Repeating it changes nothing.
func (c *Client) Advertise(ctx context.Context, a api.Advertisement) (api.Advertised, error) {
	k := post(a, "advertisements")
	k.repeatable = true
	return do[api.Advertised](ctx, c, k)
}
