package web

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/web/signin"
)

var (
	exampleTokens = api.Tokens{Items: []api.TokenMade{{Mailbox: "alice@example.test", Token: exampleToken.Token, Number: 4711, Person: exampleWho},
		{Mailbox: "nobody@example.test", Code: directory.ErrUnknownPerson.Code, Detail: directory.ErrUnknownPerson.Detail}}, Ends: exampleToken.Ends}
	exampleMinted = api.MintedToken{Number: 4711, Person: exampleWho, MadeBy: exampleID, MadeAt: exampleTime, Use: "handed", Ends: exampleToken.Ends}
)

func (s *Server) tokenOperations() {
	making := []*fault.Error{enroll.ErrNotAllowed, enroll.ErrIdempotencyKey, directory.ErrUnavailable}
	register(s, operation{id: "makeToken", method: http.MethodPost, proof: true, path: "/tokens", tag: tagDecide, who: known, status: http.StatusCreated,
		summary: "Make an enrolment token", about: "For registrars. The token stands for the person's login at one enrolment. It is shown this once: " +
			"hand it over on a way that you trust. With an Idempotency-Key, a repeated request makes no second one, and is told so.",
		faults: append(making, enroll.ErrOwnRequest, enroll.ErrTokenMade, directory.ErrUnknownPerson, directory.ErrSeveral),
		body:   api.TokenRequest{Mailbox: "alice@example.test", Hours: 72}, answer: exampleToken}, s.makeToken)
	register(s, operation{id: "makeTokens", method: http.MethodPost, proof: true, path: "/tokens/batch", tag: tagDecide, who: known, status: http.StatusCreated,
		summary: "Make enrolment tokens for up to a thousand people", about: "For registrars. All are made at once, or none when the directory or the database is away; the answer says what became of " +
			"each line. Whoever is not found, or disabled, or the registrar themselves, gets none. The tokens are shown this once. When no answer comes, repeat the request with the same " +
			"Idempotency-Key: nobody gets a second token, and lines whose token was made have the code `token-made` with its number, by which it can be withdrawn.",
		faults: append(making, enroll.ErrTokenCount), body: api.TokensRequest{Mailboxes: []string{"alice@example.test", "nobody@example.test"}, Hours: 72}, answer: exampleTokens}, s.makeTokens)
	register(s, operation{id: "listTokens", method: http.MethodGet, path: "/tokens", tag: tagDecide, who: known,
		summary: "Enrolment tokens that can still be used, those that end first before others", about: "For registrars and auditors. The tokens themselves are not in it.",
		faults: []*fault.Error{enroll.ErrNotAllowed}, answer: api.Page[api.MintedToken]{Items: []api.MintedToken{exampleMinted}}}, s.listTokens)
	register(s, operation{id: "getToken", method: http.MethodGet, path: "/tokens/{token}", tag: tagDecide, who: known,
		summary: "One enrolment token that can still be used", about: "For registrars and auditors, by its number.",
		faults: []*fault.Error{enroll.ErrNotAllowed, enroll.ErrUnknownToken}, answer: exampleMinted}, s.getToken)
	register(s, operation{id: "withdrawToken", method: http.MethodDelete, path: "/tokens/{token}", tag: tagDecide, who: known,
		summary: "Make an enrolment token of no use", about: "For registrars, whoever made it.",
		faults: []*fault.Error{enroll.ErrNotAllowed, enroll.ErrUnknownToken}, answer: exampleMinted}, s.withdrawToken)
}

// Idempotency is a caller's own name for what they ask for. (It is exported for huma, which does not look into other embedded structs.)
type Idempotency struct {
	Key string `header:"Idempotency-Key" minLength:"8" maxLength:"128" doc:"Your own name for the request, another one for each. With it, a repeated request does nothing twice."`
}

type tokenInput struct {
	Idempotency
	Body api.TokenRequest
}

func (s *Server) makeToken(ctx context.Context, by signin.Caller, in *tokenInput) (*answer[api.Token], error) {
	t, err := s.Registry.MintToken(ctx, by.Actor, in.Body.Mailbox, in.Key, enroll.TokenOrder{Life: time.Duration(in.Body.Hours) * time.Hour, Use: enroll.TokenUse(in.Body.Use), Tell: in.Body.Tell})
	if err != nil {
		return nil, err
	}
	return &answer[api.Token]{api.Token{Token: t.Secret, Number: t.Number, Person: t.Person.ID, Ends: utc(t.Ends)}}, nil
}

type tokensInput struct {
	Idempotency
	Body api.TokensRequest
}

func (s *Server) makeTokens(ctx context.Context, by signin.Caller, in *tokensInput) (*answer[api.Tokens], error) {
	life := time.Duration(in.Body.Hours) * time.Hour
	made, err := s.Registry.MintTokens(ctx, by.Actor, enroll.TokenBatch{Mailboxes: in.Body.Mailboxes, Life: life, Use: enroll.TokenUse(in.Body.Use), Name: in.Key, Tell: in.Body.Tell})
	if err != nil {
		return nil, err
	}
	out := &answer[api.Tokens]{Body: api.Tokens{Items: make([]api.TokenMade, len(made)), Ends: utc(s.Now().Add(life))}}
	for i, m := range made {
		item := api.TokenMade{Mailbox: m.Mailbox, Number: m.Number}
		if m.Token != nil {
			item.Token, item.Person = m.Token.Secret, m.Token.Person.ID
		}
		if f := fault.Of(m.Fault); f != nil {
			item.Code, item.Detail = f.Code, f.Detail
		}
		out.Body.Items[i] = item
	}
	return out, nil
}

type mintedInput struct {
	Person uuid.UUID `query:"person" doc:"For whom; without it everybody's."`
	Page
}

func (s *Server) listTokens(ctx context.Context, by signin.Caller, in *mintedInput) (*answer[api.Page[api.MintedToken]], error) {
	found, next, err := s.Registry.Tokens(ctx, by.Actor, enroll.WhichTokens{Person: in.Person, After: in.After, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	out := &answer[api.Page[api.MintedToken]]{Body: api.Page[api.MintedToken]{Items: make([]api.MintedToken, len(found)), Next: next}}
	for i, t := range found {
		out.Body.Items[i] = mintedOf(t)
	}
	return out, nil
}

// TokenPath names a token. (It is exported for huma, which does not look into other embedded structs.)
type TokenPath struct {
	Number int64 `path:"token" minimum:"1" doc:"The token's number." example:"4711"`
}

func (s *Server) getToken(ctx context.Context, by signin.Caller, in *TokenPath) (*answer[api.MintedToken], error) {
	found, _, err := s.Registry.Tokens(ctx, by.Actor, enroll.WhichTokens{Number: in.Number, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, enroll.ErrUnknownToken
	}
	return &answer[api.MintedToken]{mintedOf(found[0])}, nil
}

func (s *Server) withdrawToken(ctx context.Context, by signin.Caller, in *TokenPath) (*answer[api.MintedToken], error) {
	t, err := s.Registry.WithdrawToken(ctx, by.Actor, in.Number)
	if err != nil {
		return nil, err
	}
	return &answer[api.MintedToken]{mintedOf(*t)}, nil
}

func mintedOf(t enroll.Minted) api.MintedToken {
	return api.MintedToken{Number: t.Number, Person: t.Person, MadeBy: t.MadeBy, MadeAt: utc(t.MadeAt), Use: string(t.Use), Ends: utc(t.Ends)}
}
