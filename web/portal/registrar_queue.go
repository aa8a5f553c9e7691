package portal

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/enroll"
)

// queue shows the requests that wait for a registrar, those that wait longest first.
func (d registrars) queue(w http.ResponseWriter, r *http.Request, v *visit) error {
	l := list{Name: "requests", Empty: "registrar.queue-empty",
		Columns: []column{{Key: "person", Title: "registrar.who"}, {Key: "enrolment", Title: "registrar.plan"}, {Key: "received", Title: "registrar.asked"}, {Key: "asked_by", Title: "registrar.by"}},
		Page: func(ctx context.Context, a asked) ([][]cell, string, error) {
			after, _ := uuid.Parse(a.After) // what is none begins at the beginning
			found, err := d.Registry.List(ctx, v.Caller.Actor, enroll.Submitted, after, a.Limit)
			if err != nil {
				return nil, "", err
			}
			var people []uuid.UUID
			rows := make([][]cell, len(found))
			for i, req := range found {
				people = append(people, req.Person)
				rows[i] = []cell{{Text: req.Subject.CommonName, To: "/registrar/requests/" + req.ID.String(), Note: first(req.Subject.Mailboxes)}, {Text: d.planTitle(req.Enrolment)},
					{At: req.ReceivedAt, Note: v.language.say("registrar.waits", v.language.spell(d.Now().Sub(req.ReceivedAt)))}, {Text: v.language.say("registrar-word.method-" + string(req.By.Method)), Note: req.Agent}}
			}
			next := ""
			if len(found) == a.Limit {
				next = found[len(found)-1].ID.String()
			}
			return rows, next, d.viewed(ctx, v, "registrar-queue", people...)
		}}
	if done, err := d.export(w, r, l); done {
		return err
	}
	t, err := d.table(r, l)
	if err != nil {
		return err
	}
	return d.show(w, r, v, http.StatusOK, "registrar-queue", "registrar.queue-title", t)
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// planTitle is what an enrolment is called; one that is offered no longer is called by its name.
func (d registrars) planTitle(name string) string {
	for _, p := range d.Registry.Plans {
		if p.Name == name && p.Title != "" {
			return p.Title
		}
	}
	return name
}
