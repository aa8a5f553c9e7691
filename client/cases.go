package client

import (
	"context"
	"iter"
	"strconv"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
)

// DraftCase asks what recovery cases would have to name.
func (c *Client) DraftCase(ctx context.Context, q api.CaseQuery) (api.CaseDrafts, error) {
	k := post(q, "cases", "drafts")
	k.large, k.repeatable, k.limit = true, true, maxDrafts
	return do[api.CaseDrafts](ctx, c, k)
}

// OpenCase opens a recovery case. It is repeated when no answer comes, which is safe because the case has an id.
func (c *Client) OpenCase(ctx context.Context, o api.CaseOpening) (api.Case, error) {
	return changeCase(ctx, c, o, "cases")
}

// CaseQuery chooses recovery cases.
type CaseQuery struct {
	State api.CaseState // empty means any
	After string
}

// Cases returns one page of the recovery cases that the caller may see.
func (c *Client) Cases(ctx context.Context, q CaseQuery) (api.Page[api.Case], error) {
	k := get("cases")
	k.query = query("state", string(q.State), "after", q.After)
	return do[api.Page[api.Case]](ctx, c, k)
}

// AllCases returns the recovery cases of every page. It ends at the first error, which it yields.
func (c *Client) AllCases(ctx context.Context, q CaseQuery) iter.Seq2[api.Case, error] {
	return all(q.After, func(after string) (api.Page[api.Case], error) {
		q.After = after
		return c.Cases(ctx, q)
	})
}

// Case returns one recovery case, whole. Nothing of it is verified.
func (c *Client) Case(ctx context.Context, id uuid.UUID) (api.Case, error) {
	k := get("cases", id.String())
	k.limit = maxDrafts
	return do[api.Case](ctx, c, k)
}

// CaseCapsules returns the capsules of a case in its order, those from a position on. It ends at the first error, which
// it yields.
func (c *Client) CaseCapsules(ctx context.Context, id uuid.UUID, from int) iter.Seq2[[]byte, error] {
	return c.blobs(ctx, from, "cases", id.String(), "capsules")
}

// CaseRecords returns the records of a delivery that was collected, those from a position on. It ends at the first
// error, which it yields.
func (c *Client) CaseRecords(ctx context.Context, id uuid.UUID, delivery, from int) iter.Seq2[[]byte, error] {
	return c.blobs(ctx, from, "cases", id.String(), "deliveries", strconv.Itoa(delivery), "records")
}

// blobs returns every item of a list that goes by positions.
func (c *Client) blobs(ctx context.Context, from int, path ...string) iter.Seq2[[]byte, error] {
	after := ""
	if from > 0 {
		after = strconv.Itoa(from)
	}
	return all(after, func(after string) (api.Page[[]byte], error) {
		k := get(path...)
		k.query = query("after", after, "limit", "500")
		b, err := do[api.Blobs](ctx, c, k)
		return api.Page[[]byte](b), err
	})
}

// AnswerCase brings an officer's answer. It is repeated when no answer comes: the same one counts once.
func (c *Client) AnswerCase(ctx context.Context, id uuid.UUID, answer []byte) (api.Case, error) {
	return changeCase(ctx, c, api.CaseAnswerUpload{Answer: answer}, "cases", id.String(), "answers")
}

// CaseLog asks to be shown that a case's opening is in the audit log, and how that continues what was seen of it at these
// sizes. Nothing of it is verified.
func (c *Client) CaseLog(ctx context.Context, id uuid.UUID, seen []int64) (api.CaseLog, error) {
	k := get("cases", id.String(), "log")
	k.query = query("seen", sizes(seen))
	return do[api.CaseLog](ctx, c, k)
}

// CancelCase takes a case back.
func (c *Client) CancelCase(ctx context.Context, id uuid.UUID, reason string) (api.Case, error) {
	return changeCase(ctx, c, api.CaseCancellation{Reason: reason}, "cases", id.String(), "cancel")
}

// CloseCase says that everything was received.
func (c *Client) CloseCase(ctx context.Context, id uuid.UUID) (api.Case, error) {
	return changeCase(ctx, c, nil, "cases", id.String(), "close")
}

// DisputeCase says that what an officer sealed is wrong.
func (c *Client) DisputeCase(ctx context.Context, id uuid.UUID, dispute []byte) (api.Case, error) {
	return changeCase(ctx, c, api.CaseDispute{Dispute: dispute}, "cases", id.String(), "disputes")
}

// CollectCase releases a delivery to the caller.
func (c *Client) CollectCase(ctx context.Context, id uuid.UUID, delivery int) (api.Case, error) {
	return changeCase(ctx, c, nil, "cases", id.String(), "deliveries", strconv.Itoa(delivery), "collect")
}

// CaseSealed returns what the officers sealed to the recipient of a delivery that was collected.
func (c *Client) CaseSealed(ctx context.Context, id uuid.UUID, delivery int) (api.CaseSealed, error) {
	k := get("cases", id.String(), "deliveries", strconv.Itoa(delivery), "sealed")
	k.limit = maxSealed
	return do[api.CaseSealed](ctx, c, k)
}

// changeCase performs a call that changes a case. They may all be repeated.
func changeCase(ctx context.Context, c *Client, body any, path ...string) (api.Case, error) {
	k := post(body, path...)
	k.large, k.repeatable, k.limit = true, true, maxDrafts
	return do[api.Case](ctx, c, k)
}
