package enroll

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/audit"
)

// Origin is how a request came.
type Origin struct {
	By    audit.Actor // who asked, and how they showed who they are
	Agent string      // as in Request
	At    time.Time   // when it was received
}

// Origins returns how requests of a person came, by their ids. The person may see it, registrars and auditors; there is
// nothing for others, nor of requests of anybody else.
func (r *Registry) Origins(ctx context.Context, by audit.Actor, person uuid.UUID, requests []uuid.UUID) (map[uuid.UUID]Origin, error) {
	out := make(map[uuid.UUID]Origin, len(requests))
	if len(requests) == 0 || by.Person != person && !by.Has(audit.Registrar) && !by.Has(audit.Auditor) {
		return out, nil
	}
	err := r.DB.InTx(ctx, role, func(tx pgx.Tx) error { return selectOrigins(ctx, tx, person, requests, out) })
	if err != nil {
		return nil, fmt.Errorf("read how requests came: %w", err)
	}
	return out, nil
}

// maxAgent is how many bytes of a program's name are kept.
const maxAgent = 256

// clipAgent makes of a program's name what can be kept and shown.
func clipAgent(agent string) string {
	agent = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, agent)
	return agent[:min(len(agent), maxAgent)]
}
