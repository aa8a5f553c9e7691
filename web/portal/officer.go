package portal

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/recovery"
)

// errNoArchive says that this installation has nothing of what the pages of this area are about.
var errNoArchive = fault.New(fault.NotFound, "no-archive", "This installation archives no keys, so there is nothing to recover.")

// routeOfficer has the pages of recovery cases and the roster.
func (p *Portal) routeOfficer() {
	officers := []audit.Role{audit.RecoveryAgent, audit.RecoveryRequester}
	p.router.Get("/officer", p.only("officer", p.cases, officers...))
	p.router.Get("/officer/roster", p.only("officer-roster", p.roster, officers...))
	p.router.Get("/officer/cases/new", p.only("officer-new", p.newCaseForm, audit.RecoveryRequester))
	p.router.Post("/officer/cases/new", p.only("officer-new", p.fresh(p.newCase), audit.RecoveryRequester))
	p.router.Get("/officer/cases/{id}", p.only("officer-case", p.caseLetter, officers...))
	p.router.Post("/officer/cases/{id}/cancel", p.only("officer-cancel", p.fresh(p.cancelCase), officers...))
}

// desk is where recovery is asked for.
func (p *Portal) desk() (*recovery.Desk, error) {
	if p.Recovery == nil || p.Archive == nil {
		return nil, errNoArchive
	}
	return p.Recovery, nil
}

// fewWaiting is how many cases that wait are shown before the table of all.
const fewWaiting = 12

// waitingCase is a case that waits for officers, as the first page shows it.
type waitingCase struct {
	archive.Waiting
	Keys   int
	Left   string // until the deadline, in words
	Urgent bool
	Yours  bool // the reader is asked, and has not answered
}

// cases shows the cases that somebody may see: those first that have the least time left.
func (p *Portal) cases(w http.ResponseWriter, r *http.Request, v *visit) error {
	desk, err := p.desk()
	if err != nil {
		return err
	}
	l := p.caseList(desk, v)
	if sent, err := p.export(w, r, l); sent || err != nil {
		return err
	}
	t, err := p.table(r, l)
	if err != nil {
		return err
	}
	found, err := desk.Waiting(r.Context(), v.Caller.Actor, fewWaiting)
	if err != nil {
		return err
	}
	var waiting []waitingCase
	for _, c := range found {
		x := waitingCase{Waiting: c, Yours: c.Agent != 0 && !c.Answered && c.Needed > 0}
		for _, d := range c.Deliveries {
			x.Keys += d.Records
		}
		x.Left, x.Urgent = p.left(v.language, c.Deadline)
		waiting = append(waiting, x)
	}
	return p.show(w, r, v, http.StatusOK, "officer-cases", "officer.cases", struct {
		Page    string
		Tabs    []tab
		Waiting []waitingCase
		Table   *table
	}{"cases", v.officerTabs(), waiting, t})
}

// tab is one of the pages of an area.
type tab struct{ Name, Path string }

func (v *visit) officerTabs() []tab {
	out := []tab{{"cases", "/officer"}, {"roster", "/officer/roster"}}
	if v.has(audit.RecoveryRequester) {
		out = append(out, tab{"new", "/officer/cases/new"})
	}
	return out
}

// left says how much time is left until a deadline, and whether that is little.
func (p *Portal) left(l language, deadline time.Time) (string, bool) {
	left := deadline.Sub(p.Now())
	switch {
	case left <= 0:
		return l.say("officer.over"), true
	case left < time.Hour:
		return l.say("officer.minutes-left", int(left/time.Minute)+1), true
	case left < 48*time.Hour:
		return l.say("officer.hours-left", int(left/time.Hour)), left < 24*time.Hour
	}
	return l.say("officer.days-left", int(left/(24*time.Hour))), false
}

var caseStates = []archive.CaseState{archive.CaseRequested, archive.CaseApproved, archive.CaseReleased, archive.CaseClosed, archive.CaseDenied, archive.CaseCancelled, archive.CaseExpired}

// pillOf is how a case's state looks.
func pillOf(s archive.CaseState) string {
	switch s {
	case archive.CaseRequested:
		return "warn"
	case archive.CaseApproved, archive.CaseReleased, archive.CaseClosed:
		return "good"
	case archive.CaseDenied:
		return "bad"
	}
	return "off"
}

// caseList is the table of all cases that somebody may see, newest first.
func (p *Portal) caseList(desk *recovery.Desk, v *visit) list {
	states := choice{Key: "state", Title: "officer.state", Options: []option{{"", "officer.state-any"}}}
	for _, s := range caseStates {
		states.Options = append(states.Options, option{string(s), "officer.state." + string(s)})
	}
	return list{Name: "cases", Empty: "officer.empty", Choices: []choice{states},
		Columns: []column{{Key: "opened", Title: "officer.opened"}, {Key: "asked-by", Title: "officer.requester"}, {Key: "kind", Title: "officer.kind"},
			{Key: "state", Title: "officer.state"}, {Key: "keys", Title: "officer.keys"}, {Key: "until", Title: "officer.deadline"}, {Key: "reference", Title: "officer.reference"}},
		Page: func(ctx context.Context, a asked) (rows [][]cell, next string, err error) {
			after := uuid.Nil
			if a.After != "" {
				if after, err = uuid.Parse(a.After); err != nil {
					return nil, "", ErrForm
				}
			}
			limit := min(a.Limit, 200)
			found, err := desk.List(ctx, v.Caller.Actor, archive.CaseState(a.Choices["state"]), after, limit)
			if err == nil && len(found) > 0 { // who asks, and why
				err = p.searched(ctx, v, "officer-cases", a.questions(), len(found))
			}
			if err != nil {
				return nil, "", err
			}
			for _, c := range found {
				keys := 0
				for _, d := range c.Deliveries {
					keys += d.Records
				}
				rows = append(rows, []cell{{At: c.Opened, To: "/officer/cases/" + c.ID.String()}, {Text: c.Requester}, {Text: v.language.say("officer.kind." + c.Kind)},
					{Text: v.language.say("officer.state." + string(c.State)), Pill: pillOf(c.State)}, {Text: fmt.Sprint(keys)}, {At: c.Deadline}, {Text: c.Reference}})
			}
			if len(found) == limit {
				next = found[limit-1].ID.String()
			}
			return rows, next, nil
		}}
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9@%+=:,./_-]+$`)

// shell writes a word of a command so that a shell takes it as it is.
func shell(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// command is one for a terminal, its words quoted where they must be.
func command(words ...string) string {
	for i, w := range words {
		words[i] = shell(w)
	}
	return strings.Join(words, " ")
}

// address is this server's for the tools.
func (p *Portal) address(r *http.Request) string {
	if p.Certificates != "" { // the API's own listener
		return p.Certificates
	}
	return "https://" + r.Host
}

// online are the options with which the tools reach this server as who is signed in.
func (p *Portal) online(r *http.Request, v *visit) []string {
	return []string{"--server", p.address(r), "--login", v.Person.Login}
}
