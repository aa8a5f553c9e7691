package web

import (
	"context"
	"fmt"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/pg"
	"github.com/sealpost/sealpost/web/signin"
)

// operation describes one operation of the interface, for the router and for the document.
type operation struct {
	id      string // stable: clients are generated from it
	method  string
	path    string // below api.Base
	tag     string
	summary string
	about   string // more, in Markdown
	who     access
	status  int            // of success; 0 means 200
	faults  []*fault.Error // what it may be refused for, beside what any operation may be
	body    any            // an example of the request's body
	answer  any            // an example of the answer's
	// lenient leaves the checks of parameters and members to the room, whose faults are more exact. The types are still
	// checked. It also saves decoding the body twice, which counts where bodies are large.
	lenient bool
	proof   bool     // who is signed in must have shown lately who they are
	turns   bool     // many ask at the same moment: see Limits.Turns
	large   bool     // the body may have api.MaxCaseBody bytes
	media   []string // of the answer, if it is not JSON alone
	cached  bool     // clients that have the answer are told so
}

// answer is an answer that is nothing but a body.
type answer[T any] struct{ Body T }

// pageOf is a page of a list: what was found, as it is shown, and where the next page begins if this one is full.
func pageOf[T, A any](found []T, limit int, show func(T) A, place func(T) string) *answer[api.Page[A]] {
	out := &answer[api.Page[A]]{Body: api.Page[A]{Items: make([]A, len(found))}}
	for i, f := range found {
		out.Body.Items[i] = show(f)
	}
	if len(found) > 0 && len(found) == limit {
		out.Body.Next = place(found[len(found)-1])
	}
	return out
}

const metadataBody = "body"

// register makes an operation of a handler: the route, its entry in the document, who may come in, and what becomes of
// errors.
func register[I, O any](s *Server, o operation, do func(context.Context, signin.Caller, *I) (*O, error)) {
	op := huma.Operation{OperationID: o.id, Method: o.method, Path: api.Base + o.path, Summary: o.summary, Description: o.about,
		Tags: []string{o.tag}, DefaultStatus: o.status, MaxBodyBytes: o.maxBody() + 1, BodyReadTimeout: s.Limits.Body,
		SkipValidateBody: o.lenient, SkipValidateParams: o.lenient, Security: o.who.security(),
		Metadata: make(map[string]any), Middlewares: huma.Middlewares{s.door(o)}}
	if _, ok := reflect.TypeFor[I]().FieldByName("Body"); ok {
		op.RequestBody = &huma.RequestBody{Content: map[string]*huma.MediaType{mediaJSON: {Example: o.body}}}
	}
	op.Responses = o.responses(s.api.OpenAPI().Components.Schemas)
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*O, error) {
		if o.turns {
			end, err := s.turn(ctx)
			if err != nil {
				return nil, problemOf(ctx, err)
			}
			defer end()
		}
		out, err := do(ctx, callOf(ctx).caller, in)
		if err != nil {
			return nil, problemOf(ctx, err)
		}
		return out, nil
	})
	if op.RequestBody != nil {
		op.Metadata[metadataBody] = membersOf(s.api.OpenAPI().Components.Schemas, op.RequestBody.Content[mediaJSON].Schema)
	}
}

const mediaJSON = "application/json"

// membersOf returns the schemas of an object's members, by their names in lower case, as encoding/json takes them.
func membersOf(r huma.Registry, s *huma.Schema) map[string]*huma.Schema {
	if s.Ref != "" {
		s = r.SchemaFromRef(s.Ref)
	}
	out := make(map[string]*huma.Schema, len(s.Properties))
	for name, member := range s.Properties {
		out[strings.ToLower(name)] = member
	}
	return out
}

// door is what a request passes before its operation: it finds out who is asking before anything of the body is read.
func (s *Server) door(o operation) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		r, w := humachi.Unwrap(ctx)
		c := callOf(r.Context())
		c.operation = o.id
		if r.ContentLength > o.maxBody() {
			refuseUnread(w, r, ErrBodyTooBig)
			return
		}
		caller, err := s.admit(r.Context(), r, o.who)
		if err != nil {
			s.failures.count(err, s.Now())
			refuse(w, r, err)
			return
		}
		c.caller = caller
		s.heard(r, caller)
		if caller.Answer != "" {
			w.Header().Set("WWW-Authenticate", caller.Answer)
		}
		if o.proof && caller.Stale {
			refuse(w, r, signin.ErrProof)
			return
		}
		if o.writes() && !isJSON(r) {
			refuse(w, r, ErrMediaType)
			return
		}
		next(ctx)
	}
}

// writes reports whether an operation may change something, and takes a body.
func (o operation) writes() bool { return o.method != http.MethodGet }

// maxBody is how many bytes a request's body may have.
func (o operation) maxBody() int64 {
	if o.large {
		return api.MaxCaseBody
	}
	return api.MaxBody
}

// isJSON reports whether a request's body says that it is JSON. One that says nothing is not: browsers let other sites'
// pages send such bodies without asking first. Only an absent body needs no name.
func isJSON(r *http.Request) bool {
	if r.ContentLength == 0 {
		return true
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && media == mediaJSON
}

// security is what the document says about who may use an operation.
func (a access) security() []map[string][]string {
	switch a {
	case known:
		return []map[string][]string{{schemeCertificate: {}}, {schemeKerberos: {}}, {schemeOpenID: {}}, {schemePassword: {}}}
	case enrolling:
		return []map[string][]string{{schemeCertificate: {}}, {schemeToken: {}}, {schemeKerberos: {}}, {schemeOpenID: {}}, {schemePassword: {}}}
	}
	return []map[string][]string{} // none is needed
}

// faults returns what the way to an operation may be refused for.
func (a access) faults() []*fault.Error {
	if a == anybody {
		return nil
	}
	out := []*fault.Error{signin.ErrMissing, signin.ErrCertificate, signin.ErrRevoked, signin.ErrHeld, directory.ErrCredentials, directory.ErrDisabled, directory.ErrUnavailable, enroll.ErrToken, signin.ErrFailures,
		signin.ErrTicket, signin.ErrTicketEnded, signin.ErrClock, signin.ErrReplay, signin.ErrNTLM, signin.ErrRealm, signin.ErrNoPerson, signin.ErrPrincipal, signin.ErrReplayFull, signin.ErrMachine, signin.ErrMachineOwner, directory.ErrMachineDisabled,
		signin.ErrIDToken, signin.ErrIDTokenEnded, signin.ErrNoDevices, signin.ErrUnverified, signin.ErrNobodyOfOurs, signin.ErrOpenID, signin.ErrProvider}
	if a != enrolling {
		out = append(out, ErrTokenScope, signin.ErrMachineScope)
	}
	return out
}

// responses documents every answer: the one that was asked for, and the faults by status.
func (o operation) responses(r huma.Registry) map[string]*huma.Response {
	status := o.status
	if status == 0 {
		status = http.StatusOK
	}
	good := &huma.Response{Description: http.StatusText(status)}
	if o.answer != nil || o.media != nil {
		good.Content = make(map[string]*huma.MediaType)
	}
	if o.answer != nil {
		good.Content[mediaJSON] = &huma.MediaType{Schema: r.Schema(reflect.TypeOf(o.answer), true, ""), Example: o.answer}
	}
	for _, media := range o.media {
		good.Content[media] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}
	}
	out := map[string]*huma.Response{strconv.Itoa(status): good}
	if o.cached {
		out[strconv.Itoa(http.StatusNotModified)] = &huma.Response{Description: "The client has it already."}
	}
	for code, about := range o.refusals() {
		out[strconv.Itoa(code)] = &huma.Response{Description: about, Content: map[string]*huma.MediaType{
			mediaProblem: {Schema: r.Schema(reflect.TypeFor[api.Problem](), true, "")}}}
	}
	return out
}

// refusals says for each status which codes it may come with.
func (o operation) refusals() map[int]string {
	list := slices.Concat(o.faults, o.who.faults(), []*fault.Error{ErrRequest, ErrTimeout, ErrBusy, pg.ErrUnavailable, errInternal})
	if o.proof {
		list = append(list, signin.ErrProof)
	}
	if o.writes() {
		list = append(list, ErrBodyTooBig, ErrMediaType, ErrBroken, ErrBodyTimeout, ErrCrossOrigin)
	}
	slices.SortFunc(list, func(a, b *fault.Error) int { return strings.Compare(a.Code, b.Code) })
	out := make(map[int]string)
	for _, f := range slices.CompactFunc(list, func(a, b *fault.Error) bool { return a.Code == b.Code }) {
		status := statusOf(f)
		if out[status] == "" {
			out[status] = http.StatusText(status) + ". The problem's type ends in one of:\n"
		}
		out[status] += fmt.Sprintf("\n* `%s`: %s", f.Code, f.Detail)
	}
	return out
}
