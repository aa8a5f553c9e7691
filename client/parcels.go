package client

import (
	"context"

	"github.com/sealpost/sealpost/api"
)

// maxParcelAnswer is more than a parcel in JSON.
const maxParcelAnswer = 8 << 20

// Parcels lists the caller's parcels, without what is in them.
func (c *Client) Parcels(ctx context.Context) (api.Page[api.Parcel], error) {
	return do[api.Page[api.Parcel]](ctx, c, get("parcels"))
}

// Parcel returns one of the caller's parcels, whole.
func (c *Client) Parcel(ctx context.Context, name string) (api.Parcel, error) {
	k := get("parcels", name)
	k.limit = maxParcelAnswer
	return do[api.Parcel](ctx, c, k)
}

// KeepParcel keeps a parcel. It is repeated when no answer comes: the same one is kept once.
func (c *Client) KeepParcel(ctx context.Context, name string, p api.ParcelContent) (api.Parcel, error) {
	k := post(p, "parcels", name)
	k.large, k.repeatable = true, true
	return do[api.Parcel](ctx, c, k)
}

// RemoveParcel removes one of the caller's parcels.
func (c *Client) RemoveParcel(ctx context.Context, name string) (api.Parcel, error) {
	return do[api.Parcel](ctx, c, post(nil, "parcels", name, "remove"))
}
