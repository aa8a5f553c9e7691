package client

import (
	"context"
	"strconv"
	"strings"

	"github.com/sealpost/sealpost/api"
)

// AuditLog asks for the newest checkpoint of the audit log. Nothing of it is verified.
func (c *Client) AuditLog(ctx context.Context, seen []int64) (api.AuditLog, error) {
	k := get("log")
	k.query = query("seen", sizes(seen))
	return do[api.AuditLog](ctx, c, k)
}

// CountersignLog brings a checkpoint that an officer countersigned. It is repeated when no answer comes.
func (c *Client) CountersignLog(ctx context.Context, checkpoint []byte) (api.AuditLog, error) {
	k := post(api.CountersignatureUpload{Checkpoint: string(checkpoint)}, "log", "countersignatures")
	k.repeatable = true
	return do[api.AuditLog](ctx, c, k)
}

func sizes(seen []int64) string {
	var list []string
	for _, n := range seen {
		list = append(list, strconv.FormatInt(n, 10))
	}
	return strings.Join(list, ",")
}
