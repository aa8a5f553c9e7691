package client

import (
	"context"

	"github.com/sealpost/sealpost/api"
)

// OpenCeremony begins a ceremony by way of the server. Doing it again changes nothing.
func (c *Client) OpenCeremony(ctx context.Context, p api.CeremonyPlan) (api.Ceremony, error) {
	k := post(p, "ceremonies")
	k.large, k.repeatable, k.limit = true, true, maxCeremony
	return do[api.Ceremony](ctx, c, k)
}

// Ceremonies returns the ceremonies of the last month, the newest first.
func (c *Client) Ceremonies(ctx context.Context) (api.Page[api.Ceremony], error) {
	return do[api.Page[api.Ceremony]](ctx, c, get("ceremonies"))
}

// Ceremony returns a ceremony with all messages so far, by the plan's hash (lower-case hexadecimal). Nothing of it is
// verified.
func (c *Client) Ceremony(ctx context.Context, hash string) (api.Ceremony, error) {
	k := get("ceremonies", hash)
	k.limit = maxCeremony
	return do[api.Ceremony](ctx, c, k)
}

// SendCeremonyMessage says something to all in a ceremony. Doing it again changes nothing.
func (c *Client) SendCeremonyMessage(ctx context.Context, hash string, message []byte) (api.Ceremony, error) {
	k := post(api.CeremonyMessage{Message: message}, "ceremonies", hash, "messages")
	k.large, k.repeatable, k.limit = true, true, maxCeremony
	return do[api.Ceremony](ctx, c, k)
}
