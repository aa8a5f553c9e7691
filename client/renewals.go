package client

import (
	"context"
	"net/http"
	"strconv"

	"github.com/sealpost/sealpost/api"
)

// OrderRenewal has certificates renewed before their time.
func (c *Client) OrderRenewal(ctx context.Context, req api.RenewalRequest) (api.RenewalOrder, error) {
	return do[api.RenewalOrder](ctx, c, post(req, "renewals"))
}

// Renewals returns one page of orders to renew, the newest first: all, or those that were not withdrawn.
func (c *Client) Renewals(ctx context.Context, open bool, after string) (api.Page[api.RenewalOrder], error) {
	k := get("renewals")
	k.query = query("open", yes(open), "after", after)
	return do[api.Page[api.RenewalOrder]](ctx, c, k)
}

// Renewal returns one order to renew, and how far it has come.
func (c *Client) Renewal(ctx context.Context, number int64) (api.RenewalOrder, error) {
	return do[api.RenewalOrder](ctx, c, get("renewals", strconv.FormatInt(number, 10)))
}

// WithdrawRenewal ends an order to renew.
func (c *Client) WithdrawRenewal(ctx context.Context, number int64) (api.RenewalOrder, error) {
	return do[api.RenewalOrder](ctx, c, call{method: http.MethodDelete, path: []string{"renewals", strconv.FormatInt(number, 10)}})
}
