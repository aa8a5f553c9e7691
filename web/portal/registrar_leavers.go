package portal

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/enroll/leaver"
	"github.com/sealpost/sealpost/internal/audit"
)

// leaverStates are those that the list can be narrowed down to; "" are all.
var leaverStates = []leaver.State{leaver.Waiting, leaver.Noticed, leaver.Leaving, leaver.Left, leaver.Kept}

// leavers lists people whom the directory shows as disabled, gone or without an address of theirs.
func (d registrars) leavers(w http.ResponseWriter, r *http.Request, v *visit) error {
	if d.Leavers == nil {
		return d.show(w, r, v, http.StatusOK, "registrar-leavers", "registrar.leavers-title", (*table)(nil))
	}
	options := []option{{"", "registrar.leavers-all"}}
	for _, s := range leaverStates {
		options = append(options, option{string(s), "registrar-word.leaver-" + string(s)})
	}
	l := list{Name: "leavers", Empty: "registrar.leavers-empty", Choices: []choice{{Key: "state", Title: "registrar.state", Options: options}},
		Columns: []column{{Key: "person", Title: "registrar.who"}, {Key: "standing", Title: "registrar.directory-says"}, {Key: "noticed", Title: "registrar.since"}, {Key: "state", Title: "registrar.state"}, {Key: "next", Title: "registrar.next"}},
		Page: func(ctx context.Context, a asked) ([][]cell, string, error) {
			after, _ := strconv.ParseInt(a.After, 10, 64) // what is none begins at the beginning
			var states []leaver.State
			if s := a.Choices["state"]; s != "" {
				states = []leaver.State{leaver.State(s)}
			}
			found, err := d.Leavers.List(ctx, v.Caller.Actor, states, after, a.Limit)
			if err != nil {
				return nil, "", err
			}
			var people []uuid.UUID
			rows := make([][]cell, len(found))
			for i, l := range found {
				people = append(people, l.Person)
				rows[i] = []cell{{Text: l.Name, To: "/registrar/leavers/" + l.Person.String(), Note: l.Mailbox}, standingPill(v.language, l.Standing), {At: l.Noticed}, leaverPill(v.language, l.State), {Text: d.leaverNext(v.language, l)}}
			}
			next := ""
			if len(found) == a.Limit {
				next = strconv.FormatInt(found[len(found)-1].Number, 10)
			}
			return rows, next, d.viewed(ctx, v, "registrar-leavers", people...)
		}}
	if done, err := d.export(w, r, l); done {
		return err
	}
	t, err := d.table(r, l)
	if err != nil {
		return err
	}
	return d.show(w, r, v, http.StatusOK, "registrar-leavers", "registrar.leavers-title", t)
}

func leaverPill(l language, s leaver.State) cell {
	return cell{Text: l.say("registrar-word.leaver-" + string(s)), Pill: map[leaver.State]string{leaver.Waiting: "warn", leaver.Noticed: "warn", leaver.Leaving: "bad", leaver.Left: "off", leaver.Kept: "good"}[s]}
}

// leaverNext says what happens to somebody if nobody does anything.
func (d registrars) leaverNext(l language, who *leaver.Leaver) string {
	action, at := d.Leavers.Next(who)
	switch {
	case who.State == leaver.Waiting && who.Why == leaver.WhyLimit:
		return l.say("registrar.next-limit")
	case who.State == leaver.Waiting:
		return l.say("registrar.next-waits")
	case who.State == leaver.Leaving:
		return l.say("registrar.next-leaving")
	case action == leaver.Revoke:
		return l.say("registrar.next-revoke", l.date(at))
	case action == leaver.Ask:
		return l.say("registrar.next-ask", l.date(at))
	default:
		return l.say("registrar.next-nothing")
	}
}

// registrarLeaver is somebody who seems to have left.
type registrarLeaver struct {
	*leaver.Leaver
	Standing, State cell
	Next            string
	Decided         bool // there is nothing left to decide
	Own             bool
	By              string
	When            time.Time
	Note            string // as it was typed
	Fault           string
}

func (d registrars) leaver(w http.ResponseWriter, r *http.Request, v *visit) error {
	return d.showLeaver(w, r, v, nil, "")
}

func (d registrars) showLeaver(w http.ResponseWriter, r *http.Request, v *visit, failed error, note string) error {
	id, err := idIn(r, "person")
	if err != nil {
		return err
	}
	if d.Leavers == nil {
		return leaver.ErrUnknown
	}
	status, said := http.StatusOK, ""
	if failed != nil {
		var ok bool
		if said, status, ok = d.refusal(r, v, failed); !ok {
			return failed
		}
	}
	l, err := d.Leavers.Get(r.Context(), v.Caller.Actor, id)
	if err != nil {
		if failed != nil { // off the list by now, which is what it says
			return failed
		}
		return err
	}
	if err := d.viewed(r.Context(), v, "registrar-leaver", id); err != nil {
		return err
	}
	page := registrarLeaver{Leaver: l, Standing: standingPill(v.language, l.Standing), State: leaverPill(v.language, l.State), Next: d.leaverNext(v.language, l),
		Decided: l.State == leaver.Left || l.State == leaver.Leaving, Own: id == v.Person.ID, When: l.Changed, Note: note, Fault: said}
	if l.By != nil {
		page.By = l.By.Name
	}
	return d.show(w, r, v, again(status), "registrar-leaver", "registrar.leaver-title", page)
}

func (d registrars) revokeLeaver(w http.ResponseWriter, r *http.Request, v *visit) error {
	return d.decideLeaver(w, r, v, "registrar-left", func(ctx context.Context, by audit.Actor, person uuid.UUID, note string) error {
		_, err := d.Leavers.Revoke(ctx, by, person, note)
		return err
	})
}

func (d registrars) keepLeaver(w http.ResponseWriter, r *http.Request, v *visit) error {
	return d.decideLeaver(w, r, v, "registrar-kept", func(ctx context.Context, by audit.Actor, person uuid.UUID, note string) error {
		_, err := d.Leavers.Keep(ctx, by, person, note)
		return err
	})
}

func (d registrars) decideLeaver(w http.ResponseWriter, r *http.Request, v *visit, done string, decide func(ctx context.Context, by audit.Actor, person uuid.UUID, note string) error) error {
	id, err := idIn(r, "person")
	if err != nil {
		return err
	}
	if d.Leavers == nil {
		return leaver.ErrUnknown
	}
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	if err := decide(r.Context(), v.Caller.Actor, id, oneLine(form.Get("note"))); err != nil {
		return d.showLeaver(w, r, v, err, form.Get("note"))
	}
	return d.done(w, r, "/registrar/leavers", done)
}
