package audit

import (
	"context"

	"github.com/google/uuid"
)

// ownKinds are the kinds of events that people may read about themselves: what became of their certificates and requests.
// Recovery cases are not among them: archive.History knows which of those their subjects may be told of.
var ownKinds = []string{
	"certificate.issued", "certificate.revoked", "certificate.held", "certificate.released",
	"enrolment.submitted", "enrolment.endorsed", "enrolment.rejected", "enrolment.failed", "enrolment.token", "enrolment.token-spent", "enrolment.token-withdrawn",
}

// Own returns what the log has about the actor's own certificates and requests, the newest first: events whose ID is less than
// before (all, if that is 0), at most limit.
func (l *Log) Own(ctx context.Context, by Actor, before int64, limit int) ([]Entry, error) {
	if by.Person == uuid.Nil {
		return nil, nil
	}
	if before <= 0 {
		before = 1<<63 - 1
	}
	return l.Events(ctx, Query{Person: by.Person, Kinds: ownKinds, Before: before, Limit: limit})
}
