package web

import (
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/web/signin"
)

// policyFresh is how long a policy may be kept without asking again; less than its nonce lives.
const policyFresh = 30 * time.Minute

type policyInput struct {
	Machine string `header:"Sealpost-Machine" doc:"Which of the person's machines asks: an id that the machine made up for itself." example:"3d9f2c1e-5a70-4c1b-9a55-0c8f6f0d2b11"`
	Accept  string `header:"Accept" doc:"application/jose: signed." example:"application/json"`
	Has     string `header:"If-None-Match" doc:"The ETag of the policy that the client has."`
}

// policyAnswer is a policy, signed or not, or that the client has it already.
type policyAnswer struct {
	Status      int
	ETag        string `header:"ETag" doc:"Changes when the policy says something else. A new nonce is nothing else."`
	Cache       string `header:"Cache-Control" doc:"How long it may be kept; the nonce lives longer."`
	Vary        string `header:"Vary"`
	ContentType string `header:"Content-Type"`
	Body        []byte
}

func (s *Server) getPolicy(ctx context.Context, by signin.Caller, in *policyInput) (*policyAnswer, error) {
	machine, err := uuid.Parse(in.Machine)
	if err != nil { // a machine that does not know what it is called is answered all the same
		machine = uuid.Nil
	}
	p, err := s.Registry.Policy(ctx, by.Actor, machine)
	if err != nil {
		return nil, err
	}
	told := policyOf(p)
	told.AnswerWithin = int(s.Limits.Call / time.Second)
	if told.Advertise, err = s.wanted(ctx, by); err != nil {
		return nil, err
	}
	out := &policyAnswer{Status: http.StatusOK, ContentType: mediaJSON, Vary: "Accept, Authorization, " + api.MachineHeader,
		Cache: "private, max-age=" + strconv.Itoa(int(policyFresh/time.Second))}
	if accepts(in.Accept, api.PolicyMedia) {
		out.ContentType = api.PolicyMedia
	}
	if out.ETag, err = policyTag(told, out.ContentType); err != nil {
		return nil, err
	}
	if in.Has != "" && unchanged(in.Has, out.ETag) {
		out.Status, out.ContentType = http.StatusNotModified, ""
		return out, nil
	}
	if out.Body, err = json.Marshal(told); err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	if out.ContentType == api.PolicyMedia {
		signed, err := s.Registry.SignPolicy(p, out.Body)
		if err != nil {
			return nil, err
		}
		out.Body = []byte(signed)
	}
	return out, nil
}

// policyTag is the validator of what a policy says. When it was said, and the nonce, are left out.
func policyTag(p api.Policy, media string) (string, error) {
	p.IssuedAt, p.Ends = time.Time{}, time.Time{}
	if p.Exchange != nil {
		x := *p.Exchange
		x.Nonce, x.NonceEnds = "", time.Time{}
		p.Exchange = &x
	}
	content, err := json.Marshal(p)
	return etag(append(content, media...)), err
}

// accepts reports whether a client names a media type. Those that take anything get the usual one.
func accepts(accept, media string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		if got, parameters, err := mime.ParseMediaType(part); err == nil && got == media && parameters["q"] != "0" {
			return true
		}
	}
	return false
}
