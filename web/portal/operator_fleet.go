package portal

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/fleet"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
)

// manyFail is how many machines must fail for one reason before operators are told, and which part of all.
const (
	manyFail     = 3
	manyFailPart = 0.05
)

// findFleet says what people's machines have in common that somebody should look at.
func (p *Portal) findFleet(ctx context.Context, v *visit) (out []finding, _ error) {
	if p.Fleet == nil {
		return v.unknown("fleet-unknown"), nil
	}
	s, err := p.Fleet.Summary(ctx, v.Caller.Actor)
	if err != nil {
		return nil, err
	}
	say := v.language.say
	if s.Machines == 0 {
		return v.unknown("fleet-none"), nil
	}
	for _, f := range s.Failures {
		if f.Value != "" && f.Machines >= manyFail && float64(f.Machines) >= manyFailPart*float64(s.Machines) {
			out = append(out, finding{Pill: "warn", What: say("stand.fleet-many", f.Machines, f.Value), Do: say("stand.fleet-many-do")})
		}
	}
	if s.Ending+s.Ended > 0 {
		out = append(out, finding{Pill: "warn", What: say("stand.fleet-ending", s.Ending, s.Ended), Do: say("stand.fleet-ending-do")})
	}
	if s.Silent >= manyFail && 2*s.Silent > s.Machines {
		out = append(out, finding{Pill: "warn", What: say("stand.fleet-silent", s.Silent, s.Machines, s.SilentDays), Do: say("stand.fleet-silent-do")})
	}
	if len(out) == 0 {
		out = append(out, finding{Pill: "good", What: say("stand.fleet-good", s.Machines, s.Failing, s.Silent)})
	}
	return out, nil
}

// fleetShare is one row of what machines have in common.
type fleetShare struct {
	Name     string
	To       string // the list of those alone
	Machines int64
	All      int64
}

// fleetPages are everybody's machines, for one of those roles that see them. None of them changes anything there.
type fleetPages struct {
	*Portal
	role audit.Role
	path string // of the list
	name string // of the area, in the record
	tabs func(path string) []areaTab
}

func (p *Portal) fleetAreas() []fleetPages {
	return []fleetPages{{p, audit.Operator, "/operator/fleet", "operator", p.operatorTabs}, {p, audit.Auditor, "/auditor/fleet", "auditor", p.auditorTabs}}
}

// fleetPage is all machines, as those see them who see everybody's.
type fleetPage struct {
	Tabs   []areaTab
	Groups []fleetShares // while nothing narrows the list
	searched
}

// fleetShares are machines by one thing that they have in common.
type fleetShares struct {
	Title string
	Rows  []fleetShare
}

// fleet shows people's machines: how many stand how, and each.
func (p fleetPages) fleet(w http.ResponseWriter, r *http.Request, v *visit) error {
	if p.Fleet == nil {
		return ErrNoPage.Withf("%s", v.language.say("stand.fleet-unknown"))
	}
	l := p.fleetList()
	which, failed, err := p.whichMachines(r.Context(), l.ask(r.URL.Query()))
	if err != nil {
		return err
	}
	l.Page = func(ctx context.Context, a asked) ([][]cell, string, error) { return p.machineRows(ctx, v, which, a) }
	found, done, err := p.search(w, r, v, l, failed)
	if done || err != nil {
		return err
	}
	page := fleetPage{Tabs: p.tabs(r.URL.Path), searched: found}
	if len(page.Table.Rows) > 0 && !page.Table.Narrowed && page.Table.First == "" {
		sum, err := p.Fleet.Summary(r.Context(), v.Caller.Actor)
		if err != nil {
			return err
		}
		page.Groups = v.language.shares(sum, p.path)
	}
	return p.show(w, r, v, found.status, "operator-fleet", "fleet.title", page)
}

func (p *Portal) fleetList() list {
	return list{Name: "machines", Filter: "fleet.filter", Empty: "fleet.empty",
		Choices: []choice{{"state", "fleet.state", []option{{"", "fleet.any"}, {"failing", "fleet.stands.failing"}, {"silent", "fleet.stands.silent"}, {"ending", "fleet.ends-soon"}}},
			{"system", "fleet.system", []option{{"", "fleet.any"}, {"linux", "fleet.linux"}, {"windows", "fleet.windows"}, {"darwin", "fleet.darwin"}}}},
		Blanks: []blank{{"failure", "fleet.failure", "text"}, {"version", "fleet.version", "text"}},
		Columns: []column{{Key: "state", Title: "fleet.state"}, {Key: "machine", Title: "fleet.machine"}, {Key: "person", Title: "fleet.person"}, {Key: "heard", Title: "fleet.heard", Sort: true},
			{Key: "version", Title: "fleet.version"}, {Key: "ends", Title: "fleet.ends"}, {Key: "system", Title: "fleet.system", Away: true}, {Key: "failure", Title: "fleet.failure", Away: true},
			{Key: "id", Title: "fleet.id", Away: true}, {Key: "first", Title: "fleet.first", Away: true}, {Key: "reported", Title: "fleet.reported", Away: true}}}
}

// shares puts a summary into rows.
func (l language) shares(s *api.MachineSummary, at string) []fleetShares {
	path := at + "?"
	out := []fleetShares{{Title: "fleet.stand", Rows: []fleetShare{{l.say("fleet.all"), at, s.Machines, s.Machines}, {l.say("fleet.stands.failing"), path + "state=failing", s.Failing, s.Machines},
		{l.say("fleet.stands.ending"), path + "state=ending", s.Ending, s.Machines}, {l.say("fleet.stands.ended"), "", s.Ended, s.Machines},
		{l.say("fleet.stands.silent"), path + "state=silent", s.Silent, s.Machines}, {l.say("fleet.stands.heard"), "", s.Unreported, s.Machines}}}}
	for _, of := range []struct {
		title, key string
		list       []api.MachineCount
		most       int
	}{{"fleet.by-failure", "failure", s.Failures, 10}, {"fleet.by-version", "version", s.Versions, 6}, {"fleet.by-system", "", s.Systems, 6}} {
		group, rest := fleetShares{Title: of.title}, int64(0)
		for i, c := range of.list {
			if c.Value == "" || i >= of.most {
				rest += c.Machines
				continue
			}
			row := fleetShare{Name: c.Value, Machines: c.Machines, All: s.Machines}
			if of.key == "" {
				row.Name = systemName(c.Value)
			} else {
				row.To = (list{}).address(at, asked{Blanks: map[string]string{of.key: c.Value}})
			}
			group.Rows = append(group.Rows, row)
		}
		if rest > 0 {
			group.Rows = append(group.Rows, fleetShare{Name: l.say("fleet.others"), Machines: rest, All: s.Machines})
		}
		if len(group.Rows) > 0 {
			out = append(out, group)
		}
	}
	return out
}

// whichMachines is what is asked for. failed says what of it cannot be understood.
func (p *Portal) whichMachines(ctx context.Context, a asked) (w fleet.Which, failed, err error) {
	w = fleet.Which{System: a.Choices["system"], Failure: a.Blanks["failure"], Version: a.Blanks["version"], Quietest: a.Sort == "heard", Reverse: a.Descending}
	now := p.Now()
	switch a.Choices["state"] {
	case "failing":
		w.Failing = true
	case "silent":
		w.SilentSince = now.Add(-p.Fleet.Policy.Silent)
	case "ending":
		w.EndsBefore = now.Add(14 * oneDay)
	}
	if a.Filter == "" {
		return w, nil, nil
	}
	w.Person, failed, err = p.personMeant(ctx, a.Filter)
	return w, failed, err
}

// personMeant is whom somebody means by an id, a login or an address. failed says that it is nobody.
func (p *Portal) personMeant(ctx context.Context, asked string) (person uuid.UUID, failed, err error) {
	if person, err = uuid.Parse(asked); err == nil {
		return person, nil, nil
	}
	find := p.Directory.ByLogin
	if strings.Contains(asked, "@") {
		find = p.Directory.ByMailbox
	}
	who, err := find(ctx, asked)
	if errors.Is(err, fault.NotFound) || errors.Is(err, fault.Malformed) {
		return uuid.Nil, ErrWho, nil
	}
	return who.ID, nil, err
}

// machineRows reads one page of machines, and records whose were seen.
func (p fleetPages) machineRows(ctx context.Context, v *visit, w fleet.Which, a asked) (rows [][]cell, next string, err error) {
	w.Limit, w.After = a.Limit, placeOf(a.After)
	found, err := p.Fleet.List(ctx, v.Caller.Actor, w)
	if err != nil {
		return nil, "", err
	}
	var people []uuid.UUID
	for _, m := range found {
		people = append(people, m.Person)
	}
	if err := p.searched(ctx, v, p.name+"-fleet", a.questions(), len(found), people...); err != nil {
		return nil, "", err
	}
	for _, m := range found {
		s := p.Fleet.Standing(m)
		row := []cell{{Text: v.language.say("fleet.stands." + string(s)), Pill: machinePills[s], Note: m.Failure},
			{Text: v.language.machineName(m), To: p.path + "/" + m.Person.String() + "/" + m.ID.String(), Note: systemName(m.System)}, {Text: m.PersonName}, {At: m.LastAt},
			{Text: m.Version}, {}, {Text: m.System}, {Text: m.Failure}, {Text: m.ID.String(), Code: true}, {At: m.FirstAt}, {}}
		if m.EndsAt != nil {
			row[5].At = *m.EndsAt
		}
		if m.ReportedAt != nil {
			row[10].At = *m.ReportedAt
		}
		rows = append(rows, row)
	}
	if len(found) == a.Limit {
		last := found[len(found)-1].Place()
		next = strconv.FormatInt(last.Number, 10) + "." + strconv.FormatInt(last.At.UnixMicro(), 10)
	}
	return rows, next, nil
}

// placeOf reads where a page of machines begins; what is no place is the beginning.
func placeOf(after string) fleet.Place {
	number, at, _ := strings.Cut(after, ".")
	n, err := strconv.ParseInt(number, 10, 64)
	micro, err2 := strconv.ParseInt(at, 10, 64)
	if err != nil || err2 != nil || n <= 0 || micro < 0 || micro > 1<<55 {
		return fleet.Place{}
	}
	return fleet.Place{Number: n, At: time.UnixMicro(micro).UTC()}
}

// fleetMachine shows one machine of somebody else's.
func (p fleetPages) fleetMachine(w http.ResponseWriter, r *http.Request, v *visit) error {
	return p.othersMachine(w, r, v, p.name+"-machine", above{p.path, "fleet.to-list"})
}

// above is the page from which one comes to another.
type above struct{ Path, Title string } // a text's key

// othersMachine shows one machine of somebody else's, whom the address names, after that was recorded.
func (p *Portal) othersMachine(w http.ResponseWriter, r *http.Request, v *visit, page string, back above) error {
	person, err := idIn(r, "person")
	if err != nil {
		return err
	}
	m, err := p.machineOf(r, v, person)
	if err != nil {
		return err
	}
	if err := p.viewed(r.Context(), v, page, person); err != nil {
		return err
	}
	view := p.machineView(v, m)
	view.Back, view.Own = back, false
	return p.show(w, r, v, http.StatusOK, "device", "fleet.machine", view)
}

// machineOf reads the machine that an address names.
func (p *Portal) machineOf(r *http.Request, v *visit, person uuid.UUID) (*fleet.Machine, error) {
	if p.Fleet == nil {
		return nil, ErrNoPage
	}
	id, err := idIn(r, "machine")
	if err != nil {
		return nil, err
	}
	return p.Fleet.Get(r.Context(), v.Caller.Actor, person, id)
}

// machinePills are the kinds of pill for how machines stand.
var machinePills = map[api.MachineStanding]string{api.MachineEnded: "bad", api.MachineEnding: "warn", api.MachineFailing: "warn", api.MachineSilent: "off", api.MachineHeard: "off", api.MachineWell: "good"}

// machineName is what a machine calls itself.
func (l language) machineName(m *fleet.Machine) string {
	if m.Report == nil {
		return l.say("fleet.nameless")
	}
	return cmp.Or(m.Report.Name, l.say("fleet.nameless"))
}

// systemName is a system as people know it.
func systemName(s string) string {
	return cmp.Or(map[string]string{"linux": "Linux", "windows": "Windows", "darwin": "macOS", "freebsd": "FreeBSD"}[s], s)
}
