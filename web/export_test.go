package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"

	"github.com/sealpost/sealpost/api"
)

// RecordFailures does what the server does each minute.
func RecordFailures(ctx context.Context, s *Server) error { return s.recordFailures(ctx) }

// Routes returns every route of the API, as "GET /path".
func Routes(s *Server) (out []string) {
	_ = chi.Walk(s.router, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		out = append(out, method+" "+route)
		return nil
	})
	slices.Sort(out)
	return out
}

// TakeTurn takes one of Limits.Turns, as a request does.
func TakeTurn(ctx context.Context, s *Server) (end func(), err error) { return s.turn(ctx) }

// nothing returns a map that nothing can be put into.
func nothing() map[string]int { return nil }

// Break makes the next requests to an operation panic.
func Break(s *Server, operation, method, path string) {
	s.router.MethodFunc(method, path, func(http.ResponseWriter, *http.Request) {
		nothing()[operation] = 1
	})
}

// CheckAnswer compares an answer with what the document says about it: the status, the media type, the code of a
// problem, and the schema of a body.
func (s *Server) CheckAnswer(method, path string, status int, media string, body []byte) error {
	op := s.documented(method, path)
	if op == nil || status == http.StatusNotModified {
		return nil
	}
	response := op.Responses[strconv.Itoa(status)]
	if response == nil {
		return fmt.Errorf("%s: the status %d is not in the document", op.OperationID, status)
	}
	content := response.Content[media]
	switch {
	case content == nil && method == http.MethodHead && len(body) == 0:
		return nil
	case content == nil:
		return fmt.Errorf("%s: with status %d, the media type %q is not in the document", op.OperationID, status, media)
	case media == mediaProblem:
		var p api.Problem
		if err := json.Unmarshal(body, &p); err != nil {
			return err
		}
		if code := strings.TrimPrefix(p.Type, api.ProblemType); !strings.Contains(response.Description, "`"+code+"`") {
			return fmt.Errorf("%s: with status %d, the code %s is not in the document", op.OperationID, status, code)
		}
	case media != mediaJSON || method == http.MethodHead:
		return nil
	}
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return err
	}
	found := &huma.ValidateResult{}
	huma.Validate(s.api.OpenAPI().Components.Schemas, content.Schema, huma.NewPathBuffer(nil, 0), huma.ModeReadFromServer, value, found)
	if len(found.Errors) > 0 {
		return fmt.Errorf("%s: %v", op.OperationID, found.Errors)
	}
	return nil
}

// documented returns the operation that a request is for, nil if there is none.
func (s *Server) documented(method, path string) *huma.Operation {
	paths := s.api.OpenAPI().Paths
	item := paths[path] // which comes before patterns
	for pattern, i := range paths {
		if item == nil && fits(strings.Split(pattern, "/"), strings.Split(path, "/")) {
			item = i
		}
	}
	if item == nil {
		return nil
	}
	return map[string]*huma.Operation{http.MethodGet: item.Get, http.MethodHead: item.Get, http.MethodPost: item.Post, http.MethodPut: item.Put, http.MethodDelete: item.Delete}[method]
}

func fits(pattern, path []string) bool {
	return slices.EqualFunc(pattern, path, func(p, s string) bool { return p == s || strings.HasPrefix(p, "{") && s != "" })
}
