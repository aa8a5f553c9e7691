package bench

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sealpost/sealpost/internal/slapdtest"
)

// pages are those of the portal that are measured, by who looks at them: first the sign-in page, which asks the database for
// nothing and is what the others are compared with.
var pages = []struct {
	who   string // a login of the sample company; "" for nobody, "…" for one of the many people
	paths []string
}{
	{"", []string{"/signin"}},
	{"…", []string{"/", "/certificates", "/history", "/lost?why=lost", "/enrol", "/restore", "/guides", "/sessions"}},
	{"rita", []string{"/registrar", "/registrar/people?q=p000", "/registrar/tokens"}},
	{"olivia", []string{"/officer", "/officer/roster"}},
	{"operator", []string{"/operator", "/operator/profiles"}},
	{"auditor", []string{"/auditor", "/auditor/events", "/auditor/events?kind=certificate.issued", "/auditor/certificates", "/auditor/recovery"}},
}

// pageClients is how many people look at pages at the same time, in the second half of each round.
const pageClients = 8

// Pages is what was measured of the portal.
type Pages struct {
	Pairs     int    `json:"pairs"`      // in the database
	FirstLoad int    `json:"first_load"` // bytes over the wire of the sign-in page with all that it loads
	Each      []Page `json:"each"`
}

// Page is one of them.
type Page struct {
	Path    string  `json:"path"`
	Size    int     `json:"size"` // bytes over the wire
	P50     float64 `json:"p50_ms"`
	P99     float64 `json:"p99_ms"`
	Busy50  float64 `json:"busy_p50_ms"` // with pageClients
	Busy99  float64 `json:"busy_p99_ms"`
	Answers int     `json:"answers"`
}

func printPages(out io.Writer, p *Pages) {
	fmt.Fprintf(out, "\npages, %d pairs stored\tbytes\tms: p50\tp99\twith %d readers: p50\tp99\t\n", p.Pairs, pageClients)
	for _, e := range p.Each {
		fmt.Fprintf(out, "%s\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t\n", e.Path, e.Size, e.P50, e.P99, e.Busy50, e.Busy99)
	}
	fmt.Fprintf(out, "the sign-in page with all it loads: %d bytes\t\n", p.FirstLoad)
}

// measurePages fills a database and looks at the portal's pages, one reader first, then several.
func (b *bench) measurePages(ctx context.Context) error {
	on := b.others["pages"]
	t, _, err := b.serve(ctx, on, "pages.log", slices.Equal(b.Parts, []string{"pages"}))
	if err != nil {
		return err
	}
	b.closers = append(b.closers, t.server.stop)
	t.people = numbers(0, b.People)
	out := &Pages{}
	if out.Pairs, err = b.fill(ctx, t, max(b.Stored, 1)); err != nil {
		return err
	}
	for _, p := range pages {
		who := p.who
		if who == "…" {
			who = login(0)
		}
		reader, err := b.signIn(ctx, on.Portal, who)
		if err != nil {
			return err
		}
		for _, path := range p.paths {
			one, err := b.measurePage(ctx, reader, on.Portal, path)
			if err != nil {
				return err
			}
			b.say("page %s: %.1f ms, with %d readers %.1f ms", path, one.P50, pageClients, one.Busy50)
			out.Each = append(out.Each, *one)
		}
	}
	if out.FirstLoad, err = b.firstLoad(ctx, on.Portal); err != nil {
		return err
	}
	b.report.Pages = out
	return nil
}

// signIn returns a browser of somebody's, as far as pages need one.
func (b *bench) signIn(ctx context.Context, portal, who string) (*http.Client, error) {
	c := newClient(b.roots, pageClients)
	c.Transport.(*http.Transport).DisableCompression = true // what comes is counted as it comes
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	c.Jar = jar
	if who == "" {
		return c, nil
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, portal+"/signin", strings.NewReader(url.Values{"login": {who}, "password": {slapdtest.Password(who)}, "to": {"/sessions"}}.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := c.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK || resp.Request.URL.Path != "/sessions" {
		return nil, fmt.Errorf("%s cannot sign in: %s at %s", who, resp.Status, resp.Request.URL.Path)
	}
	return c, nil
}

func (b *bench) measurePage(ctx context.Context, c *http.Client, portal, path string) (*Page, error) {
	out := &Page{Path: path}
	last := time.Duration(b.Seconds * float64(time.Second))
	var alone, busy []time.Duration
	for range b.Rounds {
		for _, n := range []int{1, pageClients} {
			took := make([][]time.Duration, n)
			g, ctx := errgroup.WithContext(ctx)
			begun := time.Now()
			for i := range n {
				g.Go(func() error {
					for first := true; first || time.Since(begun) < last; first = false {
						sent := time.Now()
						body, err := get(ctx, c, portal+path)
						if err != nil {
							return err
						}
						took[i] = append(took[i], time.Since(sent))
						if i == 0 {
							out.Size = len(body)
						}
					}
					return nil
				})
			}
			if err := g.Wait(); err != nil {
				return nil, err
			}
			if n == 1 {
				alone = append(alone, took[0]...)
			} else {
				busy = append(busy, slices.Concat(took...)...)
			}
		}
	}
	slices.Sort(alone)
	slices.Sort(busy)
	out.Answers = len(alone) + len(busy)
	out.P50, out.P99 = ms(quantile(alone, 0.5)), ms(quantile(alone, 0.99))
	out.Busy50, out.Busy99 = ms(quantile(busy, 0.5)), ms(quantile(busy, 0.99))
	return out, nil
}

// get returns what comes over the wire for a page that is there.
func get(ctx context.Context, c *http.Client, address string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept-Encoding", "gzip")
	resp, err := c.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || resp.Request.URL.RequestURI() != r.URL.RequestURI()) {
		err = fmt.Errorf("%s: %s at %s", address, resp.Status, resp.Request.URL.RequestURI())
	}
	return body, err
}

// unpack reads what was sent with gzip.
func unpack(packed []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(z, 1<<20))
}

// What a page loads, and which fonts its style sheet names that English and German need.
var (
	loads = regexp.MustCompile(`(?:href|src)="(/assets/[^"]+)" integrity`)
	fonts = regexp.MustCompile(`url\("(/assets/[^"]+latin-wght[^"]+)"\)`)
)

// firstLoad is what the first page weighs for somebody who has nothing of it yet.
func (b *bench) firstLoad(ctx context.Context, portal string) (int, error) {
	c := newClient(b.roots, 1)
	page, err := get(ctx, c, portal+"/signin")
	if err != nil {
		return 0, err
	}
	weight := len(page)
	parts := loads.FindAllStringSubmatch(string(page), -1)
	if len(parts) < 2 {
		return 0, errors.New("the sign-in page loads neither style sheet nor script")
	}
	for _, part := range parts {
		packed, err := get(ctx, c, portal+part[1])
		if err != nil {
			return 0, err
		}
		weight += len(packed)
		if !strings.HasSuffix(part[1], ".css") {
			continue
		}
		sheet, err := unpack(packed)
		if err != nil {
			return 0, err
		}
		for _, font := range fonts.FindAllStringSubmatch(string(sheet), -1) {
			content, err := get(ctx, c, portal+font[1])
			if err != nil {
				return 0, err
			}
			weight += len(content)
		}
	}
	return weight, nil
}
