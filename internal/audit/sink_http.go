package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// HTTPSink posts checkpoints, as text/plain, to an address that answers 2xx when it has stored them. The address must
// not hold a password: it is shown to operators.
type HTTPSink struct {
	URL    string
	Client *http.Client // nil means one that follows no redirect
}

// String names the address, without its query.
func (s HTTPSink) String() string {
	u, err := url.Parse(s.URL)
	if err != nil {
		return "address that cannot be parsed"
	}
	return "address " + (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// Keep posts a checkpoint.
func (s HTTPSink) Keep(ctx context.Context, checkpoint []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, bytes.NewReader(checkpoint))
	if err != nil {
		return fmt.Errorf("%s: bad address", s)
	}
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	client := s.Client
	if client == nil {
		client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	resp, err := client.Do(req)
	var ue *url.Error
	if errors.As(err, &ue) {
		err = fmt.Errorf("%s: %w", s, ue.Err) // the address itself may have a token in its query
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("%s answers %s", s, resp.Status)
	}
	return err
}
