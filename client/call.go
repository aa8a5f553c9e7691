package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
)

const (
	typeJSON    = "application/json"
	typeProblem = "application/problem+json"
	typeCRL     = "application/pkix-crl"
)

// call is one operation.
type call struct {
	method     string
	path       []string // segments under api.Base, not yet escaped
	query      url.Values
	header     http.Header
	body       any    // sent as JSON; nil for none
	large      bool   // the body may have api.MaxCaseBody bytes
	repeatable bool   // may be sent again without doing its work twice
	accept     string // media type of the answer; empty means JSON
	limit      int64  // of the answer in bytes; zero means maxAnswer
	also       []int  // statuses that carry an answer beside 2xx
	heard      func(*http.Response)
}

func get(path ...string) call { return call{method: http.MethodGet, path: path, repeatable: true} }

func post(body any, path ...string) call {
	return call{method: http.MethodPost, path: path, body: body}
}

// do performs a call that answers JSON.
func do[T any](ctx context.Context, c *Client, k call) (T, error) {
	var answer T
	data, err := c.send(ctx, k)
	if err != nil {
		return answer, err
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		var none T
		return none, ErrAnswer.Because(fmt.Errorf("%s %s: %w", k.method, k.name(), err))
	}
	return answer, nil
}

// send performs a call, repeatedly where that is safe, and returns the body of the answer.
func (c *Client) send(ctx context.Context, k call) ([]byte, error) {
	var body []byte
	if k.body != nil {
		var err error
		if body, err = json.Marshal(k.body); err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		most := api.MaxBody
		if k.large {
			most = api.MaxCaseBody
		}
		if len(body) > most {
			return nil, ErrRequestTooLarge.Withf("The request has %d bytes; the server reads %d at most.", len(body), most)
		}
	}
	proven := false
	for attempt := 0; ; attempt++ {
		data, err := c.attempt(ctx, k, body)
		if err == nil {
			return data, nil
		}
		if !proven {
			var failed error
			if proven, failed = c.proves(ctx, err); failed != nil {
				return nil, failed
			} else if proven {
				continue
			}
		}
		pause, again := c.pause(k, attempt, err)
		if !again {
			return nil, err
		}
		c.cfg.Log.InfoContext(ctx, "try again", "call", k.method+" "+k.name(), "after", pause, "because", err)
		if stopped := wait(ctx, pause); stopped != nil {
			return nil, fmt.Errorf("%s %s: %w", k.method, k.name(), stopped)
		}
	}
}

// attempt performs a call once.
func (c *Client) attempt(ctx context.Context, k call, body []byte) ([]byte, error) {
	tryCtx, cancel := c.signs.within(ctx, c.cfg.Timeout)
	defer cancel()
	req, err := c.request(tryCtx, k, body)
	if err != nil {
		return nil, err
	}
	check, err := c.show(tryCtx, req)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.transportFault(ctx, err)
	}
	defer resp.Body.Close()
	c.hear(resp)
	if err := check(resp); err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 && !slices.Contains(k.also, resp.StatusCode) {
		return nil, c.refusal(resp)
	}
	if k.heard != nil {
		k.heard(resp)
	}
	if resp.StatusCode == http.StatusNotModified {
		return nil, nil
	}
	limit := k.limit
	if limit == 0 {
		limit = maxAnswer
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, c.transportFault(ctx, err)
	}
	if int64(len(data)) > limit {
		return nil, ErrAnswer.Withf("The server's answer is larger than %d bytes.", limit)
	}
	if got, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || got != k.mediaType() {
		if slices.Contains(k.also, resp.StatusCode) {
			return nil, problemFault(resp.StatusCode, resp.Header, data)
		}
		return nil, ErrAnswer.Withf("The server answered something other than %s. Is the address that of a Sealpost server?", k.mediaType())
	}
	return data, nil
}

// hear tells of the server's time.
func (c *Client) hear(r *http.Response) {
	if c.cfg.Heard == nil {
		return
	}
	if at, err := http.ParseTime(r.Header.Get("Date")); err == nil {
		c.cfg.Heard(at)
	}
}

func (c *Client) request(ctx context.Context, k call, body []byte) (*http.Request, error) {
	path, err := escaped(k.path)
	if err != nil {
		return nil, err
	}
	target := c.base.JoinPath(append([]string{api.Base}, path...)...)
	target.RawQuery = k.query.Encode()
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, k.method, target.String(), reader)
	if err != nil {
		return nil, ErrConfig.Because(err)
	}
	for name, values := range k.header {
		req.Header[name] = values
	}
	req.Header.Set("Accept", k.mediaType()+", "+typeProblem)
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	if c.cfg.Machine != uuid.Nil {
		req.Header.Set(api.MachineHeader, c.cfg.Machine.String())
	}
	if body != nil {
		req.Header.Set("Content-Type", typeJSON)
	}
	switch {
	case c.cfg.Token != "":
		req.Header.Set("Authorization", "Bearer "+c.cfg.Token)
	case c.cfg.IDToken != "":
		req.Header.Set("Authorization", "Bearer "+c.cfg.IDToken)
	case c.cfg.Login != "":
		req.SetBasicAuth(c.cfg.Login, c.cfg.Password)
	}
	return req, nil
}

func (k call) mediaType() string {
	if k.accept == "" {
		return typeJSON
	}
	return k.accept
}

// name of the operation, for errors and the log. It leaves out the query, which may name people.
func (k call) name() string { return api.Base + "/" + strings.Join(k.path, "/") }

// escaped keeps a name from the outside within its own segment of the path.
func escaped(path []string) ([]string, error) {
	out := make([]string, len(path))
	for i, segment := range path {
		if segment == "" || segment == "." || segment == ".." {
			return nil, ErrName.Withf("%q cannot be the name of anything.", segment)
		}
		out[i] = url.PathEscape(segment)
	}
	return out, nil
}

// pause says how long to wait before the next attempt, or that there is none.
func (c *Client) pause(k call, attempt int, err error) (time.Duration, bool) {
	asked, passing := passing(err)
	if !k.repeatable || !passing || attempt >= c.cfg.Retries || asked > maxWait {
		return 0, false
	}
	d := min(c.cfg.Backoff<<min(attempt, 20), maxWait)
	d = d/2 + rand.N(d/2+1) // jitter, so that many clients do not come back at once
	return max(d, asked), true
}
