package recovery

import (
	"context"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/internal/audit"
)

// Hidden returns the events of the audit log that a reader must not see, whatever their roles: those of cases that ask for the
// reader's own keys while they are not to know, and, as long as there is such a case, that others looked at the reader.
func (d *Desk) Hidden(ctx context.Context, reader uuid.UUID) ([]audit.Hidden, error) {
	cases, err := d.SilentAbout(ctx, reader)
	if err != nil || len(cases) == 0 {
		return nil, err
	}
	const viewed = "portal.viewed"
	id := `"` + reader.String() + `"`
	out := []audit.Hidden{{Kind: viewed, Text: `"person":` + id + `,"actor":`}, {Kind: viewed, Text: "[" + id}, {Kind: viewed, Text: "," + id}}
	for _, c := range cases {
		out = append(out, audit.Hidden{Text: c.String()})
	}
	return out, nil
}
