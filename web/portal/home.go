package portal

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
)

// card is what somebody sees of one of their two certificates.
type card struct {
	Name        string // "sign" or "read": which of the two
	State       string // "none", or as of kept
	Certificate *kept
}

// Missing reports whether there is no certificate that is good.
func (c card) Missing() bool { return c.State != "good" && c.State != "ending" }

// machine is where somebody asked for certificates that are valid.
type machine struct {
	Device device
	At     time.Time
	Kept   []kept
}

// way is something that one can do from a page.
type way struct{ Name, Path, Icon string }

// homePage is the first page of who is signed in.
type homePage struct {
	Name      string
	Mailboxes []string
	Person    uuid.UUID
	Cards     []card
	Next      string // what matters most now: "get", "renew" or "" for nothing
	Due       bool   // it could be renewed already
	Machines  []machine
	Ways      []way
	Past      []past
}

// home shows somebody's two certificates, as they stand, and what one can do.
func (p *Portal) home(w http.ResponseWriter, r *http.Request, v *visit) error {
	found, err := p.mine(r.Context(), v)
	if err != nil {
		return err
	}
	h := homePage{Name: v.Person.Name, Mailboxes: v.Person.Mailboxes, Person: v.Person.ID, Cards: cards(found), Machines: machines(found)}
	h.Next, h.Due = p.next(h.Cards)
	if h.Past, _, err = p.past(r.Context(), v, "", 4); err != nil {
		return err
	}
	for _, way := range []way{{"device", "/another-device", "monitor-smartphone"}, {"older", "/restore", "rotate-ccw"}, {"computers", "/devices", "laptop-minimal"}, {"lost", "/lost", "triangle-alert"},
		{"guides", "/guides", "book-open"}, {"test", "/test", "mail"}, {"all", "/certificates", "shield-check"}} {
		if (len(found) > 0 || way.Name == "older" || way.Name == "guides") && p.leads(way.Path) {
			h.Ways = append(h.Ways, way)
		}
	}
	return p.show(w, r, v, http.StatusOK, "home", "home.title", h)
}

// leads reports whether there is a page at a path: not every installation has all.
func (p *Portal) leads(path string) bool {
	return p.router.Match(chi.NewRouteContext(), http.MethodGet, path)
}

// mine are a person's newest certificates.
func (p *Portal) mine(ctx context.Context, v *visit) ([]kept, error) {
	found, err := p.Authority.Find(ctx, ca.Query{Person: &v.Person.ID, Limit: 200})
	if err != nil {
		return nil, err
	}
	return p.withOrigins(ctx, v, v.Person.ID, found)
}

func cards(found []kept) []card {
	return []card{cardOf("sign", found), cardOf("read", found)}
}

// cardOf is about the best certificate for a use: one that is good, or else the newest.
func cardOf(name string, found []kept) card {
	out := card{Name: name, State: "none"}
	for i, k := range found { // the newest first
		if k.Use == name || k.Use == "both" {
			if out.Certificate == nil || out.Missing() && k.Valid() {
				out.Certificate, out.State = &found[i], k.State
			}
		}
	}
	return out
}

// next says what somebody should do, and whether what they have can be renewed.
func (p *Portal) next(cards []card) (next string, due bool) {
	had := slices.ContainsFunc(cards, func(c card) bool { return c.Certificate != nil })
	for _, c := range cards {
		switch {
		case c.Missing() && (!had || c.State == "revoked" || c.State == "held" || c.State == "none"):
			return "get", false
		case c.Missing() || c.State == "ending":
			next = "renew"
		}
		due = due || !p.Now().Before(p.renewalOf(c.Certificate.Certificate))
	}
	return next, due
}

// signFirst orders what came of one request: to sign, then to read.
func signFirst(list []kept) {
	slices.SortStableFunc(list, func(a, b kept) int { return strings.Compare(b.Use, a.Use) })
}

// machines are where what is valid was asked for, the newest first.
func machines(found []kept) (out []machine) {
	var last uuid.UUID
	for _, k := range found {
		if !k.Valid() || !k.Mail() {
			continue
		}
		if len(out) == 0 || last != k.Request {
			out = append(out, machine{Device: k.Device, At: k.IssuedAt})
		}
		last = k.Request
		out[len(out)-1].Kept = append(out[len(out)-1].Kept, k)
	}
	for _, m := range out {
		signFirst(m.Kept)
	}
	return out
}
