package portal

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
)

// registrars has the pages of those who decide on requests and look after people's certificates.
type registrars struct{ *Portal }

// routeRegistrar has the pages of requests, people, leavers and tokens.
func (p *Portal) routeRegistrar() {
	d := registrars{p}
	get := func(path, name string, do page) { p.router.Get(path, p.only(name, do, audit.Registrar)) }
	post := func(path, name string, do page) { p.router.Post(path, p.only(name, do, audit.Registrar)) }
	get("/registrar", "registrar-queue", d.queue)
	get("/registrar/requests/{request}", "registrar-request", d.request)
	post("/registrar/requests/{request}/endorse", "registrar-endorse", d.endorse)
	post("/registrar/requests/{request}/reject", "registrar-reject", d.reject)
	get("/registrar/people", "registrar-people", d.people)
	get("/registrar/people/{person}", "registrar-person", d.person)
	get("/registrar/people/{person}/computers/{machine}", "registrar-machine", d.machine)
	get("/registrar/people/{person}/revoke", "registrar-revoke-form", d.revokeForm)
	post("/registrar/people/{person}/revoke", "registrar-revoke", p.fresh(d.revoke))
	post("/registrar/people/{person}/release", "registrar-release", p.fresh(d.release))
	get("/registrar/people/{person}/token", "registrar-token-form", d.tokenForm)
	post("/registrar/people/{person}/token", "registrar-make-token", p.fresh(d.makeToken))
	get("/registrar/leavers", "registrar-leavers", d.leavers)
	get("/registrar/leavers/{person}", "registrar-leaver", d.leaver)
	post("/registrar/leavers/{person}/revoke", "registrar-revoke-leaver", p.fresh(d.revokeLeaver))
	post("/registrar/leavers/{person}/keep", "registrar-keep-leaver", d.keepLeaver)
	get("/registrar/tokens", "registrar-tokens", d.tokens)
	get("/registrar/tokens/new", "registrar-token-list-form", d.listForm)
	post("/registrar/tokens/preview", "registrar-token-list-preview", sized(d.previewList))
	post("/registrar/tokens/make", "registrar-make-tokens", sized(p.fresh(d.makeList)))
	get("/registrar/tokens/lists/{list}", "registrar-token-list", d.list)
	post("/registrar/tokens/lists/{list}/withdraw", "registrar-withdraw-tokens", d.withdrawList)
	get("/registrar/tokens/{token}", "registrar-token", d.token)
	post("/registrar/tokens/{token}/withdraw", "registrar-withdraw-token", d.withdrawToken)
}

// idIn is the id in a page's address. One that is none is an address without a page.
func idIn(r *http.Request, name string) (uuid.UUID, error) {
	id, err := uuid.Parse(chi.URLParam(r, name))
	if err != nil || id == uuid.Nil {
		return uuid.Nil, ErrNoPage
	}
	return id, nil
}

// again is the status of a page that is shown again because of what a form brought.
func again(status int) int {
	if status == http.StatusBadRequest {
		return http.StatusUnprocessableEntity
	}
	return status
}

// spell says a length of time as people do, in one unit.
func (l language) spell(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Hour:
		return l.say("registrar.time-now")
	case d < 2*time.Hour:
		return l.say("registrar.time-hour")
	case d < day:
		return l.say("registrar.time-hours", int(d/time.Hour))
	case d < 2*day:
		return l.say("registrar.time-day")
	default:
		return l.say("registrar.time-days", int(d/day))
	}
}

// looked is how people stand and what they are called, by their ids. Of a directory that does not answer nothing is known.
func (d registrars) looked(ctx context.Context, people []uuid.UUID) (map[uuid.UUID]directory.Look, error) {
	out := map[uuid.UUID]directory.Look{}
	for len(people) > 0 {
		n := min(len(people), directory.MaxStandings)
		looks, err := d.Directory.Looks(ctx, people[:n])
		if errors.Is(err, fault.Unavailable) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		for _, l := range looks {
			out[l.Person] = l
		}
		people = people[n:]
	}
	return out, nil
}

// called is somebody's name, or what there is in place of one.
func called(l language, look directory.Look, id uuid.UUID) string {
	if look.Name != "" {
		return look.Name
	}
	return l.say("registrar.nameless", id.String()[:8])
}

// standingPill is how somebody stands in the directory.
func standingPill(l language, s directory.Standing) cell {
	pill := map[directory.Standing]string{directory.StandingActive: "good", directory.StandingDisabled: "warn", directory.StandingGone: "warn", "moved": "warn"}[s]
	if pill == "" {
		pill = "off"
	}
	return cell{Text: l.say("registrar-word.standing-" + string(s)), Pill: pill}
}

// oneLine makes one line of what people typed into several.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// refusal is Portal's, in words for who acts on others.
func (d registrars) refusal(r *http.Request, v *visit, err error) (said string, status int, ok bool) {
	if said, status, ok = d.Portal.refusal(r, v, err); ok {
		if key := "registrar-fault." + fault.Of(err).Code; texts[key].EN != "" {
			said = v.language.say(key)
		}
	}
	return said, status, ok
}
