package portal

import (
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/fleet"
)

// routeDevices has the pages of the machines on which the agent keeps people's certificates.
func (p *Portal) routeDevices() {
	for _, a := range p.fleetAreas() {
		p.router.Get(a.path, p.only(a.name+"-fleet", a.fleet, a.role))
		p.router.Get(a.path+"/{person}/{machine}", p.only(a.name+"-machine", a.fleetMachine, a.role))
	}
	if p.Fleet == nil {
		return
	}
	p.router.Get("/devices", p.known("devices", p.devices))
	p.router.Get("/devices/{machine}", p.known("device", p.device))
	p.router.Post("/devices/{machine}/forget", p.known("device-forget", p.forgetDevice))
}

// machineView is one machine as pages show it. What it says of itself are a stranger's words.
type machineView struct {
	Own          bool
	ID           uuid.UUID
	Name, Person string
	Path         string // of its page
	Back         above
	Pill, State  string
	About        string // what the state means
	FirstAt      time.Time
	LastAt       time.Time
	Report       *api.MachineReport
	System       string
	Schedule     string
	RenewAt      time.Time
	EndsAt       time.Time
	Held         []heldRow
	OldKeys      string
	Asks         bool // it has asked for older keys, and the officers have not answered
	Stores       []storeRow
	Failures     []failureRow
	Ended        []failureRow // that are over
}

type heldRow struct {
	What, Place, Path string
	Until             time.Time
	Current           bool
}

type storeRow struct {
	Name, Pill, State string
	What              string // what goes wrong, in our words
	At                time.Time
}

type failureRow struct {
	api.MachineFailure
	What  string // in our words; "" if there are none for the code
	Ended time.Time
}

func (p *Portal) machineView(v *visit, m *fleet.Machine) machineView {
	say, s := v.language.say, p.Fleet.Standing(m)
	out := machineView{Own: m.Person == v.Person.ID, ID: m.ID, Name: v.language.machineName(m), Person: m.PersonName, Path: "/devices/" + m.ID.String(), Back: above{"/devices", "devices.title"}, Pill: machinePills[s],
		State: say("fleet.stands." + string(s)), About: say("fleet.means." + string(s)), FirstAt: m.FirstAt, LastAt: m.LastAt, System: systemName(m.System), Report: m.Report}
	if m.EndsAt != nil {
		out.EndsAt = *m.EndsAt
	}
	r := m.Report
	if r == nil {
		return out
	}
	out.Schedule = v.language.known("fleet.schedule.", r.Schedule)
	if r.RenewAt != nil {
		out.RenewAt = *r.RenewAt
	}
	switch {
	case r.OldKeys.Wanted:
		out.OldKeys, out.Asks = say("fleet.old-wanted", r.OldKeys.Here), true
	default:
		out.OldKeys = say("fleet.old-here", r.OldKeys.Here)
	}
	for _, c := range r.Certificates {
		out.Held = append(out.Held, heldRow{What: v.language.known("fleet.use.", c.Use), Place: v.language.known("fleet.place.", c.Place), Until: c.NotAfter, Current: c.Current,
			Path: "/certificates/" + url.PathEscape(c.Issuer) + "/" + c.Serial})
	}
	for _, x := range r.Stores {
		row := storeRow{Name: v.language.known("fleet.store.", x.Kind), Pill: "good", State: say("fleet.filled")}
		if x.Name != "" {
			row.Name += " (" + x.Name + ")"
		}
		if x.Again {
			row.Pill, row.State, row.What = "warn", say("fleet.again"), say("fleet.again-means")
		}
		if x.Code != "" {
			row.Pill, row.State, row.What = "warn", x.Code, v.language.wentWrong(x.Code)
		}
		if x.At != nil {
			row.At = *x.At
		}
		out.Stores = append(out.Stores, row)
	}
	for _, f := range r.Failures {
		row := failureRow{MachineFailure: f, What: v.language.wentWrong(f.Code)}
		if f.EndedAt != nil {
			row.Ended = *f.EndedAt
			out.Ended = append(out.Ended, row)
			continue
		}
		out.Failures = append(out.Failures, row)
	}
	return out
}

// wentWrong is a code that an agent reports in our readers' words; "" if there are none.
func (l language) wentWrong(code string) string {
	if key := "fleet.code." + code; texts[key].EN != "" {
		return l.say(key)
	}
	return ""
}

// known is a word of programs in our readers' words, or itself.
func (l language) known(prefix, word string) string {
	if key := prefix + word; texts[key].EN != "" {
		return l.say(key)
	}
	return word
}

// devices shows somebody the machines on which the agent keeps their certificates.
func (p *Portal) devices(w http.ResponseWriter, r *http.Request, v *visit) error {
	found, err := p.Fleet.List(r.Context(), v.Caller.Actor, fleet.Which{Person: v.Person.ID, Quietest: true, Reverse: true, Limit: 100})
	if err != nil {
		return err
	}
	list := make([]machineView, len(found))
	for i, m := range found {
		list[i] = p.machineView(v, m)
	}
	return p.show(w, r, v, http.StatusOK, "devices", "devices.title", list)
}

// device shows somebody one of their machines.
func (p *Portal) device(w http.ResponseWriter, r *http.Request, v *visit) error {
	m, err := p.machineOf(r, v, v.Person.ID)
	if err != nil {
		return err
	}
	return p.show(w, r, v, http.StatusOK, "device", "fleet.machine", p.machineView(v, m))
}

// forgetDevice forgets one of somebody's machines.
func (p *Portal) forgetDevice(w http.ResponseWriter, r *http.Request, v *visit) error {
	id, err := idIn(r, "machine")
	if err != nil {
		return err
	}
	if _, err := p.Fleet.Forget(r.Context(), v.Caller.Actor, v.Person.ID, id); err != nil {
		return err
	}
	return p.done(w, r, "/devices", "device-forgotten")
}
