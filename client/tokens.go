package client

import (
	"context"
	"iter"
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
)

// MakeToken makes an enrolment token for somebody. The token is a secret and shown this once.
func (c *Client) MakeToken(ctx context.Context, req api.TokenRequest) (api.Token, error) {
	return do[api.Token](ctx, c, post(req, "tokens"))
}

// MakeTokens makes tokens for many people under the caller's own name for it (see api.IdempotencyHeader). It is repeated when no answer
// comes; what was made by an answer that was lost then has the code token-made and is not shown.
func (c *Client) MakeTokens(ctx context.Context, name string, req api.TokensRequest) (api.Tokens, error) {
	k := post(req, "tokens", "batch")
	k.header = http.Header{api.IdempotencyHeader: {name}}
	k.repeatable = true
	return do[api.Tokens](ctx, c, k)
}

// Tokens returns one page of the tokens that can still be used, of a person's or of all.
func (c *Client) Tokens(ctx context.Context, person uuid.UUID, after string) (api.Page[api.MintedToken], error) {
	k := get("tokens")
	k.query = query("person", idText(person), "after", after)
	return do[api.Page[api.MintedToken]](ctx, c, k)
}

// Token returns one token that can still be used.
func (c *Client) Token(ctx context.Context, number int64) (api.MintedToken, error) {
	return do[api.MintedToken](ctx, c, get("tokens", strconv.FormatInt(number, 10)))
}

// WithdrawToken makes a token of no use.
func (c *Client) WithdrawToken(ctx context.Context, number int64) (api.MintedToken, error) {
	return do[api.MintedToken](ctx, c, call{method: http.MethodDelete, path: []string{"tokens", strconv.FormatInt(number, 10)}})
}

// AllTokens returns the tokens of every page. It ends at the first error, which it yields.
func (c *Client) AllTokens(ctx context.Context) iter.Seq2[api.MintedToken, error] {
	return all("", func(after string) (api.Page[api.MintedToken], error) { return c.Tokens(ctx, uuid.Nil, after) })
}
