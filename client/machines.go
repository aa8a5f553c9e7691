package client

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
)

// MachineQuery chooses machines: without Person and All the caller's own. Empty fields do not narrow.
type MachineQuery struct {
	Person      uuid.UUID
	All         bool // everybody's
	SilentSince time.Time
	EndsBefore  time.Time
	System      string
	Version     string
	Failure     string // code of what goes wrong now
	Failing     bool
	After       string
}

// Machines returns one page of machines.
func (c *Client) Machines(ctx context.Context, q MachineQuery) (api.Page[api.Machine], error) {
	k := get("machines")
	k.query = query("person", idText(q.Person), "all", yes(q.All), "silent_since", timeText(q.SilentSince), "ends_before", timeText(q.EndsBefore),
		"system", q.System, "version", q.Version, "failure", q.Failure, "failing", yes(q.Failing), "after", q.After)
	return do[api.Page[api.Machine]](ctx, c, k)
}

// MachineSummary counts machines.
func (c *Client) MachineSummary(ctx context.Context) (api.MachineSummary, error) {
	return do[api.MachineSummary](ctx, c, get("machines", "summary"))
}

// Machine returns one machine: the caller's own where the person is the nil id.
func (c *Client) Machine(ctx context.Context, person, id uuid.UUID) (api.Machine, error) {
	k := get("machines", id.String())
	k.query = query("person", idText(person))
	return do[api.Machine](ctx, c, k)
}

// ReportMachine says how things stand on a machine of the caller's.
func (c *Client) ReportMachine(ctx context.Context, id uuid.UUID, r api.MachineReport) (api.Machine, error) {
	return do[api.Machine](ctx, c, call{method: http.MethodPut, path: []string{"machines", id.String()}, body: r, repeatable: true})
}

// ForgetMachine forgets one machine: the caller's own where the person is the nil id.
func (c *Client) ForgetMachine(ctx context.Context, person, id uuid.UUID) (api.Machine, error) {
	return do[api.Machine](ctx, c, call{method: http.MethodDelete, path: []string{"machines", id.String()}, query: query("person", idText(person))})
}

func idText(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return id.String()
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func yes(b bool) string {
	if b {
		return "true"
	}
	return ""
}
