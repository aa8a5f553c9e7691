package portal

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
)

// routeOperator has the pages of how the installation stands.
func (p *Portal) routeOperator() {
	p.router.Get("/operator", p.only("operator", p.standing, audit.Operator))
	p.router.Get("/operator/profiles", p.only("operator-profiles", p.profiles, audit.Operator))
	p.router.Get("/operator/profiles/{name}", p.only("operator-profile", p.profile, audit.Operator))
}

func (p *Portal) operatorTabs(path string) []areaTab {
	all := []areaTab{{Title: "stand.title", Path: "/operator"}, {Title: "fleet.title", Path: "/operator/fleet"}, {Title: "stand.profiles", Path: "/operator/profiles"}}
	if p.Fleet == nil {
		all = slices.Delete(all, 1, 2)
	}
	return tabs(path, all...)
}

// finding is how one thing stands.
type finding struct {
	Area    string // of what, after "stand.area."
	Pill    string // bad, warn, off (it is not known) or good
	What    string // in a sentence
	Detail  string // what a room says of it
	Since   time.Time
	Do      string // what to do
	Runbook string // the file's name, in docs/runbooks
}

// worse orders findings: what must be done first comes first.
func worse(a, b finding) int {
	order := map[string]int{"bad": 0, "warn": 1, "off": 2, "good": 3}
	return cmp.Compare(order[a.Pill], order[b.Pill])
}

// areaStands is what is fine, or not known, of one area.
type areaStands struct {
	Area, Pill string
	Found      []finding
}

// pointRow is how a file stands at a distribution point.
type pointRow struct {
	crl.Standing
	Pill, State string
	Left        int64 // minutes
	Life        int64 // minutes that the newest list has left
	Low         int64
}

type standingPage struct {
	Tabs      []areaTab
	Urgent    []finding
	Unknown   []finding
	Fine      []areaStands
	Points    []pointRow
	Charts    []chart
	Counted   time.Time
	Now       time.Time
	NoCharts  string
	AllIsFine bool
}

// standing is the one page of how everything stands, the worst first.
func (p *Portal) standing(w http.ResponseWriter, r *http.Request, v *visit) error {
	page := standingPage{Tabs: p.operatorTabs(r.URL.Path), Now: p.Now()}
	found := p.findings(r.Context(), v)
	slices.SortStableFunc(found, worse)
	fine := map[string]int{}
	for _, f := range found {
		switch f.Pill {
		case "bad", "warn":
			page.Urgent = append(page.Urgent, f)
		case "off":
			page.Unknown = append(page.Unknown, f)
		default:
			at, known := fine[f.Area]
			if !known {
				at = len(page.Fine)
				fine[f.Area] = at
				page.Fine = append(page.Fine, areaStands{Area: f.Area, Pill: f.Pill})
			}
			page.Fine[at].Found = append(page.Fine[at].Found, f)
		}
	}
	page.AllIsFine = len(page.Urgent) == 0
	page.Points = p.pointRows(r.Context(), v)
	var err error
	if page.Charts, page.Counted, err = p.charts(r.Context(), v.language); err != nil {
		p.Log.WarnContext(r.Context(), "there are no charts", "error", err)
		page.NoCharts = v.language.say("stand.no-charts")
	}
	return p.show(w, r, v, http.StatusOK, "operator", "stand.title", page)
}

// findings asks every room how it stands. One that cannot be asked is a finding of its own: the others are told all the same.
func (p *Portal) findings(ctx context.Context, v *visit) (out []finding) {
	for _, ask := range []struct {
		area string
		find func(context.Context, *visit) ([]finding, error)
	}{{"parts", p.findParts}, {"keys", p.findKeys}, {"lists", p.findLists}, {"ocsp", p.findOCSP}, {"directory", p.findDirectory}, {"gal", p.findGAL},
		{"queues", p.findQueues}, {"people", p.findPeople}, {"archive", p.findDrill}, {"audit", p.findAudit}, {"backup", p.findBackup}, {"fleet", p.findFleet}} {
		found, err := ask.find(ctx, v)
		if err != nil {
			p.Log.WarnContext(ctx, "it is not known how something stands", "area", ask.area, "error", err)
			found = append(found, finding{Pill: "bad", What: v.language.say("stand.unreadable"), Detail: fault.Shown(err), Do: v.language.say("stand.unreadable-do")})
		}
		for i := range found {
			found[i].Area = ask.area
		}
		out = append(out, found...)
	}
	return out
}

// pointRows are the distribution points, the worst first.
func (p *Portal) pointRows(ctx context.Context, v *visit) (out []pointRow) {
	if p.Lists == nil {
		return nil
	}
	st, err := p.Lists.Status(ctx, v.Caller.Actor)
	if err != nil {
		return nil // said among the findings
	}
	for _, s := range st.Points {
		row := pointRow{Standing: s, State: "stand.point." + string(s.State), Pill: "good"}
		switch {
		case s.Urgent:
			row.Pill = "bad"
		case s.State != crl.OK:
			row.Pill = "warn"
		}
		if s.NextUpdate != nil {
			row.Left = int64(s.NextUpdate.Sub(st.At) / time.Minute)
		}
		if s.Until != nil {
			row.Life = int64(s.Until.Sub(st.At) / time.Minute)
		}
		row.Life = max(row.Life, row.Left, 1)
		row.Low = row.Life / 4
		out = append(out, row)
	}
	order := map[string]int{"bad": 0, "warn": 1, "good": 2}
	slices.SortStableFunc(out, func(a, b pointRow) int {
		return cmp.Or(cmp.Compare(order[a.Pill], order[b.Pill]), cmp.Compare(a.Left, b.Left))
	})
	return out
}

// profileRow is a kind of certificate in a list.
type profileRow struct {
	Name, Issuer, Use string
	Days              int
	Archived          bool
}

// profiles lists the kinds of certificates.
func (p *Portal) profiles(w http.ResponseWriter, r *http.Request, v *visit) error {
	var rows []profileRow
	for _, name := range p.Authority.Profiles() {
		x, err := p.Authority.Profile(name)
		if err != nil {
			return err
		}
		rows = append(rows, profileRow{name, x.Issuer().ID(), string(x.Use()), int(x.Validity() / (24 * time.Hour)), x.EscrowRequired()})
	}
	return p.show(w, r, v, http.StatusOK, "operator-profiles", "stand.profiles", struct {
		Tabs []areaTab
		Rows []profileRow
	}{p.operatorTabs(r.URL.Path), rows})
}

// profilePage shows what a profile yields.
type profilePage struct {
	profileRow
	Keys      []ca.KeyAlgorithm
	Explained []explained
	Fault     string
}

// profile shows what a profile yields, field by field: a certificate that nobody has signed.
func (p *Portal) profile(w http.ResponseWriter, r *http.Request, v *visit) error {
	name := chi.URLParam(r, "name")
	x, err := p.Authority.Profile(name)
	if err != nil {
		return err
	}
	page := profilePage{profileRow: profileRow{name, x.Issuer().ID(), string(x.Use()), int(x.Validity() / (24 * time.Hour)), x.EscrowRequired()}, Keys: x.Keys()}
	der, err := p.Authority.Specimen(name)
	if err != nil {
		said, _, ok := p.refusal(r, v, err)
		if !ok {
			return err
		}
		page.Fault = said
	} else {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("specimen of %s: %w", name, err)
		}
		page.Explained = v.language.explain(c)
	}
	return p.show(w, r, v, http.StatusOK, "operator-profile", "stand.profiles", page)
}
