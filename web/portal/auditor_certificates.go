package portal

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/fault"
)

// auditorCertificates shows people's certificates, the newest first.
func (p *Portal) auditorCertificates(w http.ResponseWriter, r *http.Request, v *visit) error {
	l := list{Name: "certificates", Filter: "holdings.filter", Empty: "holdings.empty",
		Choices: []choice{{"state", "holdings.state", []option{{"", "holdings.any"}, {"good", "standing.good"}, {"revoked", "standing.revoked"}}}},
		Columns: []column{{Key: "person", Title: "holdings.person"}, {Key: "mailboxes", Title: "holdings.mailboxes"}, {Key: "profile", Title: "holdings.profile"},
			{Key: "issued", Title: "holdings.issued"}, {Key: "ends", Title: "holdings.ends"}, {Key: "state", Title: "holdings.state"}, {Key: "serial", Title: "holdings.serial"},
			{Key: "issuer", Title: "holdings.issuer", Away: true}, {Key: "id", Title: "events.person", Away: true}, {Key: "begins", Title: "holdings.begins", Away: true},
			{Key: "revoked", Title: "holdings.revoked", Away: true}, {Key: "reason", Title: "holdings.reason", Away: true}, {Key: "key", Title: "holdings.key", Away: true}}}
	q, failed, err := p.holdingsQuery(r.Context(), l.ask(r.URL.Query()))
	if err != nil {
		return err
	}
	l.Page = func(ctx context.Context, a asked) ([][]cell, string, error) { return p.holdings(ctx, v, q, a) }
	found, done, err := p.search(w, r, v, l, failed)
	if done || err != nil {
		return err
	}
	return p.show(w, r, v, found.status, "auditor-certificates", "holdings.title", eventsPage{p.auditorTabs(r.URL.Path), found})
}

// holdingsQuery is what is asked for. failed says what of it cannot be understood.
func (p *Portal) holdingsQuery(ctx context.Context, a asked) (q ca.Query, failed, err error) {
	switch a.Choices["state"] {
	case "good":
		q.State, q.ValidAt = ca.Good, p.Now()
	case "revoked":
		q.State = ca.Revoked
	}
	if a.Filter == "" {
		return q, nil, nil
	}
	if serial, err := ca.ParseSerial(a.Filter); err == nil && len(a.Filter) >= 8 {
		q.Serial = serial
		return q, nil, nil
	}
	if id, err := uuid.Parse(a.Filter); err == nil {
		q.Person = &id
		return q, nil, nil
	}
	if strings.Contains(a.Filter, "@") {
		q.Mailbox = a.Filter
		return q, nil, nil
	}
	who, err := p.Directory.ByLogin(ctx, a.Filter)
	if errors.Is(err, fault.NotFound) || errors.Is(err, fault.Malformed) {
		return q, ErrWho, nil
	}
	q.Person = &who.ID
	return q, nil, err
}

// Of certificates in a state, so many are looked at for a page at most, so many at a time.
const (
	lookedAtOnce = 5_000
	lookedAt     = 50_000
)

// holdings reads one page of certificates, and records that it was read.
func (p *Portal) holdings(ctx context.Context, v *visit, q ca.Query, a asked) (rows [][]cell, next string, err error) {
	q.Limit = a.Limit
	if before, err := strconv.ParseInt(a.After, 10, 64); err == nil && before > 0 {
		q.Before = before
	}
	found, last, err := p.findHoldings(ctx, q)
	if err != nil {
		return nil, "", err
	}
	var people []uuid.UUID
	for _, c := range found {
		people = append(people, c.Person)
	}
	if err := p.searched(ctx, v, "auditor-certificates", a.questions(), len(found), people...); err != nil {
		return nil, "", err
	}
	names := p.namesOf(ctx, people...)
	for _, c := range found {
		rows = append(rows, p.holding(v, c, names))
	}
	if last > 0 {
		next = strconv.FormatInt(last, 10)
	}
	return rows, next, nil
}

// findHoldings returns a page, and the number before which the next one is; 0 if there is none. Those of everybody in a state
// are found by looking at them, a part at a time.
func (p *Portal) findHoldings(ctx context.Context, q ca.Query) (found []ca.Certificate, last int64, err error) {
	if q.State == "" || q.Person != nil || q.Mailbox != "" || q.Serial != "" {
		found, err = p.Authority.Find(ctx, q)
		if len(found) == q.Limit {
			last = found[len(found)-1].Number
		}
		return found, last, err
	}
	before := q.Before
	if before == 0 {
		newest, err := p.Authority.Find(ctx, ca.Query{Limit: 1})
		if err != nil || len(newest) == 0 {
			return nil, 0, err
		}
		before = newest[0].Number + 1
	}
	limit := q.Limit
	for stop := max(before-lookedAt, 1); before > stop; {
		q.Before, q.From, q.Limit = before, max(before-lookedAtOnce, stop), limit-len(found)
		part, err := p.Authority.Find(ctx, q)
		if err != nil {
			return nil, 0, err
		}
		if found = append(found, part...); len(found) == limit {
			return found, found[limit-1].Number, nil
		}
		before = q.From
	}
	if before > 1 {
		last = before
	}
	return found, last, nil
}

func (p *Portal) holding(v *visit, c ca.Certificate, names map[uuid.UUID]string) []cell {
	say := v.language.say
	state := cell{Text: say("standing.good"), Pill: "good"}
	var revoked time.Time
	reason := ""
	switch now := p.Now(); {
	case c.Status.State != ca.Good:
		state, revoked, reason = cell{Text: say("standing.revoked"), Pill: "bad"}, c.Status.At, c.Status.Reason.String()
		if c.Status.Reason == ca.CertificateHold {
			state.Text = say("standing.held")
		}
	case now.After(c.NotAfter):
		state = cell{Text: say("standing.ended"), Pill: "off"}
	}
	who := nameOr(names, c.Person)
	if c.Person == uuid.Nil {
		who = say("holdings.system")
	}
	return []cell{{Text: who}, {Text: strings.Join(c.Mailboxes, " ")}, {Text: c.Profile}, {At: c.IssuedAt, Fine: true}, {At: c.NotAfter}, state, {Text: c.Serial.String(), Code: true},
		{Text: c.Issuer}, {Text: idOrNothing(c.Person)}, {At: c.NotBefore}, {At: revoked}, {Text: reason}, {Text: fmt.Sprintf("%x", c.Key[:])}}
}
