package portal

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/audit"
)

// rosterPage is who can open the archive, and how it stands with them.
type rosterPage struct {
	Page string
	Tabs []tab

	Plan        *record.Plan
	Pin, Words  string
	KeyID       string
	Officers    []rosterPerson
	Recipients  []rosterPerson
	Drills      archive.Drills
	DrillState  string // good, warn, bad
	DrillNew    string // a command
	Ceremonies  []ceremony
	NoBoard     bool
	May         bool // the reader may see ceremonies
	PlanCommand string
	SyncCommand string
}

// rosterPerson is an officer or recipient of the roster.
type rosterPerson struct {
	Number uint16
	Name   string
	Signs  certified // an officer's
	Opens  certified
	For    []string // a recipient's kinds of case
	You    bool
}

// certified is how a certificate stands.
type certified struct {
	Until time.Time
	State string // good, ending, ended, revoked, unknown
	Pill  string
}

// ceremony is one that is going on.
type ceremony struct {
	archive.Ceremony
	Round     string
	Missing   []string // names
	Words     string
	Reshare   bool
	Quiet     bool // nothing was said for long
	Threshold int
}

// roster shows who can open the archive.
func (p *Portal) roster(w http.ResponseWriter, r *http.Request, v *visit) error {
	if _, err := p.desk(); err != nil {
		return err
	}
	page := rosterPage{Page: "roster", Tabs: v.officerTabs(), NoBoard: p.Board == nil, May: v.has(ceremonyRoles...),
		PlanCommand: "sealpost-kra plan FOLDER CARD… --archive " + shell(p.Organisation) + " --threshold 2",
		SyncCommand: "sealpost-kra ceremony sync FOLDER " + command(p.online(r, v)...)}
	found, err := p.Archive.Roster(r.Context())
	switch {
	case errors.Is(err, archive.ErrNoRoster): // the first ceremony is still to come
	case err != nil:
		return err
	default:
		if err := p.describeRoster(r.Context(), v, found, &page); err != nil {
			return err
		}
	}
	if p.Board != nil && page.May {
		if page.Ceremonies, err = p.ceremonies(r.Context(), v); err != nil {
			return err
		}
	}
	return p.show(w, r, v, http.StatusOK, "officer-roster", "officer.roster", page)
}

func (p *Portal) describeRoster(ctx context.Context, v *visit, found *record.Roster, page *rosterPage) error {
	page.Plan, page.Pin, page.Words, page.KeyID = found.Plan, found.Hash().String(), strings.Join(found.Hash().Words(), " "), found.KeyID().String()
	for _, a := range found.Plan.Agents {
		o := rosterPerson{Number: a.ID, Name: a.Name, You: a.Person == v.Person.ID}
		var err error
		if o.Signs, err = p.certified(ctx, a.Signing); err != nil {
			return err
		}
		if o.Opens, err = p.certified(ctx, a.Decryption); err != nil {
			return err
		}
		page.Officers = append(page.Officers, o)
	}
	for _, c := range found.Plan.Recipients {
		o := rosterPerson{Name: c.Name, You: c.Person == v.Person.ID}
		for _, use := range []struct {
			bit  record.Uses
			kind string
		}{{record.UseBusiness, "business"}, {record.UseLegal, "legal"}} {
			if c.Uses&use.bit != 0 {
				o.For = append(o.For, use.kind)
			}
		}
		var err error
		if o.Opens, err = p.certified(ctx, c.Certificate); err != nil {
			return err
		}
		page.Recipients = append(page.Recipients, o)
	}
	var err error
	if page.Drills, err = p.Archive.Drills(ctx); err != nil {
		return err
	}
	page.DrillState = "good"
	switch {
	case page.Drills.Overdue:
		page.DrillState = "bad"
	case page.Drills.Last.IsZero() || page.Drills.Due.Sub(p.Now()) < soon:
		page.DrillState = "warn"
	}
	page.DrillNew = "sealpost-kra drill new FOLDER ROSTER"
	return nil
}

// certified says how a certificate of the roster stands.
func (p *Portal) certified(ctx context.Context, leaf *x509.Certificate) (certified, error) {
	out := certified{Until: leaf.NotAfter, State: "unknown", Pill: "bad"}
	known, err := p.Authority.Known(ctx, leaf)
	if errors.Is(err, ca.ErrNotFound) {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	out.State = p.stateOf(known)
	out.Pill = map[string]string{"good": "good", "ending": "warn"}[out.State]
	if out.Pill == "" {
		out.Pill = "bad"
	}
	return out, nil
}

// ceremonyRoles may see ceremonies.
var ceremonyRoles = []audit.Role{audit.RecoveryAgent, audit.Operator, audit.Auditor}

// rounds are the names of what a ceremony waits for.
var rounds = map[record.Round]string{record.RoundCommit: "commit", record.RoundReveal: "reveal", record.RoundAcknowledge: "acknowledge", record.RoundDone: "done"}

// ceremonies are those of the last month, newest first.
func (p *Portal) ceremonies(ctx context.Context, v *visit) (out []ceremony, err error) {
	found, err := p.Board.Ceremonies(ctx, v.Caller.Actor)
	if err != nil {
		return nil, err
	}
	for _, c := range found {
		x := ceremony{Ceremony: *c, Round: rounds[c.Round], Words: strings.Join(c.Plan.Hash().Words(), " "), Reshare: c.Plan.IsReshare(), Threshold: int(c.Plan.Threshold),
			Quiet: c.Round != record.RoundDone && p.Now().Sub(c.Changed) > 7*24*time.Hour}
		for _, id := range c.Missing {
			name := nameOf(c, id)
			if id == 0 {
				name = v.language.say("officer.machine")
			}
			x.Missing = append(x.Missing, name)
		}
		out = append(out, x)
	}
	return out, nil
}

// nameOf is who has a number in a ceremony: in a reshare's first rounds an officer of the roster before.
func nameOf(c *archive.Ceremony, id uint16) string {
	if c.Previous != nil && c.Round != record.RoundAcknowledge && slices.Contains(c.Plan.Dealers, id) {
		if a, ok := c.Previous.Plan.Agent(id); ok {
			return a.Name
		}
	}
	a, _ := c.Plan.Agent(id)
	return a.Name
}
