package portal

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/internal/audit"
)

// past is one thing that touched somebody's certificates or keys.
type past struct {
	At   time.Time
	What string
	Who  string // who did it; "" for nobody in particular
	Why  string // what is said about it
	Path string // where more is to be read
	Sign string // good, warn, bad or off
}

// maxPast is how many entries are read of each source at once: a recovery case may have megabytes.
const maxPast = 100

// history shows everything that touched somebody's certificates and keys.
func (p *Portal) history(w http.ResponseWriter, r *http.Request, v *visit) error {
	l := list{Name: "history", Empty: "history.empty",
		Columns: []column{{Key: "when", Title: "history.when"}, {Key: "what", Title: "history.what"}, {Key: "who", Title: "history.who"}, {Key: "why", Title: "history.why"}},
		Page: func(ctx context.Context, a asked) ([][]cell, string, error) {
			found, next, err := p.past(ctx, v, a.After, a.Limit)
			rows := make([][]cell, len(found))
			for i, f := range found {
				rows[i] = []cell{{At: f.At, Pill: f.Sign}, {Text: f.What, To: f.Path}, {Text: f.Who}, {Text: f.Why}}
			}
			return rows, next, err
		}}
	if answered, err := p.export(w, r, l); answered {
		return err
	}
	t, err := p.table(r, l)
	if err != nil {
		return err
	}
	return p.show(w, r, v, http.StatusOK, "history", "history.title", t)
}

// past reads what happened from two places, the newest first: the audit log, for certificates and requests, and the archive, for
// keys and the cases that asked for them. Where a page begins is a place in each: "ID~PLACE".
func (p *Portal) past(ctx context.Context, v *visit, after string, limit int) (out []past, next string, err error) {
	before, place := pastPlace(after)
	limit = min(limit, maxPast)
	events, err := p.Audit.Own(ctx, v.Caller.Actor, before, limit)
	if err != nil {
		return nil, "", err
	}
	var touched []archive.HistoryEntry
	if p.Recovery != nil {
		if touched, err = p.Recovery.History(ctx, v.Caller.Actor, v.Person.ID, place, limit); err != nil {
			return nil, "", err
		}
	}
	moreEvents, moreTouched := len(events) == limit, len(touched) == limit
	for len(out) < limit {
		if len(events) == 0 && moreEvents || len(touched) == 0 && moreTouched { // what comes next there is not known
			break
		}
		switch {
		case len(events) == 0 && len(touched) == 0:
			return out, "", nil
		case len(touched) == 0 || len(events) > 0 && !events[0].At.Before(touched[0].At):
			out, before, events = append(out, p.pastEvent(v, events[0])), events[0].ID, events[1:]
		default:
			out, place, touched = append(out, v.language.pastTouch(v, touched[0])), touched[0].Place, touched[1:]
		}
	}
	if len(events) == 0 && len(touched) == 0 && !moreEvents && !moreTouched {
		return out, "", nil
	}
	return out, strconv.FormatInt(before, 10) + "~" + place.String(), nil
}

// pastPlace reads where a page begins; what is no place is the beginning.
func pastPlace(after string) (before int64, place archive.HistoryPlace) {
	id, rest, _ := strings.Cut(after, "~")
	place, err := archive.ParseHistoryPlace(rest)
	if err != nil {
		return 0, archive.HistoryPlace{}
	}
	return numberOf(id), place
}

// pastEvent puts an event of the audit log into words.
func (p *Portal) pastEvent(v *visit, e audit.Entry) past {
	var data struct{ Profile, Reason string }
	_ = json.Unmarshal(e.Data, &data) // what is not there is not said
	out := past{At: e.At, Who: v.who(e.By), Sign: "off"}
	kind, what, _ := strings.Cut(e.Kind, ".")
	if kind == "certificate" {
		out.What = v.language.say("past."+what, v.language.say("card."+p.useOf(data.Profile)))
		out.Sign = map[string]string{"issued": "good", "revoked": "bad", "held": "warn", "released": "good"}[what]
		if data.Reason != "" && what == "revoked" {
			out.Why = v.language.reason(data.Reason)
		}
		if name, ok := strings.CutPrefix(e.Subject, "certificate:"); ok {
			if issuer, serial, err := parseName(name); err == nil {
				out.Path = certificatePath(issuer, serial)
			}
		}
		return out
	}
	out.What = v.language.say("past." + what)
	if what == "rejected" || what == "failed" {
		out.Why, out.Sign = data.Reason, "bad"
	}
	return out
}

// who says who did something.
func (v *visit) who(by audit.Actor) string {
	switch {
	case by.Method == audit.MethodToken: // it may be whom a registrar had make the keys
		return v.language.say("past.holder")
	case by.Person == v.Person.ID && by.Person != uuid.Nil:
		return v.language.say("past.you")
	case by.Method == audit.MethodSystem || by.Method == audit.MethodLocal || by.Name == "":
		return v.language.say("past.system")
	}
	return by.Name
}

// pastTouch puts what the archive knows into words.
func (l language) pastTouch(v *visit, e archive.HistoryEntry) past {
	out := past{At: e.At, Sign: "off"}
	switch {
	case e.Key != nil && e.Key.Imported:
		out.What, out.Why = l.say("past.key-imported"), l.say("past.key-of", apart(e.Key.Mail))
	case e.Key != nil:
		out.What, out.Why, out.Sign = l.say("past.key"), l.say("past.key-of", apart(e.Key.Mail)), "good"
	case e.Certificate != nil:
		out.What, out.Why = l.say("past.foreign"), strings.Join(e.Certificate.Mailboxes, ", ")
	case e.Case != nil:
		return l.pastCase(v, e)
	}
	return out
}

// pastCase tells of a case that asked for somebody's archived keys: who, why, and what came of it.
func (l language) pastCase(v *visit, e archive.HistoryEntry) past {
	k := e.Case
	out := past{At: e.At, Who: k.Requester.Name, Sign: "warn", What: l.say("past.case", k.Records)}
	if k.Requester.Person == v.Person.ID {
		out.What, out.Who, out.Sign = l.say("past.case-own", k.Records), l.say("past.you"), "off"
	}
	said := []string{}
	if k.Reason != "" {
		said = append(said, l.say("past.case-reason", apart(strings.TrimSuffix(k.Reason, "."))))
	}
	for _, a := range k.Answers {
		name := k.Officers[a.Agent]
		if name == "" {
			name = l.say("past.officer", a.Agent)
		}
		said = append(said, l.say("past.decision-"+a.Decision.String(), apart(name)))
	}
	if at := k.Collected[k.Delivery]; !at.IsZero() {
		said = append(said, l.say("past.collected"))
	}
	out.Why = strings.Join(append(said, l.say("past.state-"+string(k.State))), " ")
	return out
}
