package enroll

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/audit"
)

// Endorse is a registrar's yes to a submitted request; the certificates are issued at once. The names come from the
// directory as it is now. The registrar must be somebody other than the subscriber.
func (r *Registry) Endorse(ctx context.Context, by audit.Actor, id uuid.UUID) (*Request, error) {
	req, err := r.deciding(ctx, by, id)
	if err != nil {
		return nil, err
	}
	if req.State == Endorsed { // a repetition, or a crash before
		return r.issue(ctx, by, req)
	}
	person, err := r.person(ctx, req.Person)
	if err != nil {
		return nil, err
	}
	req.Subject = subjectOf(person)
	b := &pgx.Batch{}
	queueSubject(b, req.ID, req.Subject)
	if err := r.moveWith(ctx, b, nil, by, req, Submitted, Endorsed, "enrolment.endorsed", ""); err != nil {
		return nil, err
	}
	r.After("endorsed")
	return r.issue(ctx, by, req)
}

// Reject is a registrar's no. The held key is removed; reason goes to the person.
func (r *Registry) Reject(ctx context.Context, by audit.Actor, id uuid.UUID, reason string) (*Request, error) {
	if reason = strings.TrimSpace(reason); reason == "" {
		return nil, ErrReasonMissing
	}
	if !utf8.ValidString(reason) || utf8.RuneCountInString(reason) > maxReason || strings.ContainsFunc(reason, unseen) {
		return nil, ErrReasonMissing.Withf("A reason has at most %d characters, without control characters.", maxReason)
	}
	req, err := r.deciding(ctx, by, id)
	if err != nil {
		return nil, err
	}
	if err := r.move(ctx, by, req, Submitted, Rejected, "enrolment.rejected", reason); err != nil {
		return nil, err
	}
	if r.Archive != nil {
		if err := r.Archive.Remove(ctx, by, req.ID); err != nil {
			return nil, err
		}
	}
	return req, nil
}

// maxReason bounds the reason of a rejection, in characters.
const maxReason = 1000

// unseen reports whether r is a control character that no line of text has.
func unseen(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' }

// deciding returns the request if by may decide on it; a refusal is recorded.
func (r *Registry) deciding(ctx context.Context, by audit.Actor, id uuid.UUID) (*Request, error) {
	if !by.Has(audit.Registrar) {
		return nil, r.refusedDecision(ctx, by, id, ErrNotAllowed.Withf("Only a registrar may decide on requests."))
	}
	req, err := r.Get(ctx, by, id)
	if err != nil {
		return nil, err
	}
	if req.Person == by.Person {
		return nil, r.refusedDecision(ctx, by, id, ErrOwnRequest)
	}
	if token, err := r.spentOn(ctx, id); err != nil {
		return nil, err
	} else if token != nil && token.MadeBy == by.Person {
		return nil, r.refusedDecision(ctx, by, id, ErrOwnToken)
	}
	return req, nil
}
