package portal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/audit"
	logproof "github.com/sealpost/sealpost/internal/audit/proof"
	"github.com/sealpost/sealpost/internal/fault"
)

// ErrWho says that nobody is known of whom somebody asked.
var ErrWho = fault.New(fault.NotFound, "search-nobody", "Nobody and nothing of that is known here. Give a mail address, a login, a person's id, a serial number, or a subject as the record writes it.")

// eventsPage is the list of what was done and refused.
type eventsPage struct {
	Tabs []areaTab
	searched
}

// events shows what was done and refused, the newest first.
func (p *Portal) events(w http.ResponseWriter, r *http.Request, v *visit) error {
	l, failed, err := p.eventList(r, v)
	if err != nil {
		return err
	}
	found, done, err := p.search(w, r, v, l, failed)
	if done || err != nil {
		return err
	}
	return p.show(w, r, v, found.status, "auditor-events", "events.title", eventsPage{p.auditorTabs(r.URL.Path), found})
}

// eventList is the list that an address asks for. failed says what of the question cannot be understood.
func (p *Portal) eventList(r *http.Request, v *visit) (l list, failed, err error) {
	kinds, err := p.Audit.Kinds(r.Context())
	if err != nil {
		return l, nil, err
	}
	options := []option{{"", "events.any"}}
	for _, k := range kinds {
		options = append(options, option{k, eventTitle(k)})
	}
	l = list{Name: "events", Filter: "events.about", Empty: "events.empty", Choices: []choice{{"kind", "events.kind", options}},
		Blanks: []blank{{"by", "events.by", "text"}, {"from", "events.from", "date"}, {"to", "events.to", "date"}},
		Columns: []column{{Key: "index", Title: "events.index"}, {Key: "at", Title: "events.at"}, {Key: "what", Title: "events.what"}, {Key: "about", Title: "events.about-whom"},
			{Key: "by", Title: "events.who"}, {Key: "kind", Title: "events.kind", Away: true}, {Key: "subject", Title: "events.subject", Away: true},
			{Key: "person", Title: "events.person", Away: true}, {Key: "actor", Title: "events.actor", Away: true}, {Key: "method", Title: "events.method", Away: true},
			{Key: "data", Title: "events.data", Away: true}}}
	a := l.ask(r.URL.Query())
	q, failed, err := p.eventQuery(r.Context(), v, a)
	l.Page = func(ctx context.Context, a asked) ([][]cell, string, error) { return p.eventRows(ctx, v, q, a) }
	return l, failed, err
}

// eventQuery is what is asked, in the record's words.
func (p *Portal) eventQuery(ctx context.Context, v *visit, a asked) (q audit.Query, failed, err error) {
	if p.Recovery != nil {
		if q.Hidden, err = p.Recovery.Hidden(ctx, v.Person.ID); err != nil {
			return q, nil, err
		}
	}
	q.Kind = a.Choices["kind"]
	if day, err := time.Parse(time.DateOnly, a.Blanks["from"]); err == nil {
		q.Since = day
	}
	if day, err := time.Parse(time.DateOnly, a.Blanks["to"]); err == nil {
		q.Until = day.AddDate(0, 0, 1)
	}
	if q.Person, q.Subject, err = p.whoOrWhat(ctx, a.Filter); err == nil {
		q.Actor, _, err = p.whoOrWhat(ctx, a.Blanks["by"])
		if err == nil && a.Blanks["by"] != "" && q.Actor == uuid.Nil {
			err = ErrWho
		}
	}
	if errors.Is(err, fault.NotFound) || errors.Is(err, fault.Malformed) {
		return q, ErrWho, nil
	}
	return q, nil, err
}

// whoOrWhat finds of whom or what somebody asks: a person, or a subject as events have it. Nothing asks for nothing.
func (p *Portal) whoOrWhat(ctx context.Context, text string) (person uuid.UUID, subject string, err error) {
	if text == "" {
		return uuid.Nil, "", nil
	}
	if id, err := uuid.Parse(text); err == nil {
		return id, "", nil
	}
	if strings.Contains(text, "@") {
		person, err = p.whose(ctx, text)
		return person, "", err
	}
	if serial, err := ca.ParseSerial(text); err == nil && len(text) >= 16 {
		found, err := p.Authority.Find(ctx, ca.Query{Serial: serial, Limit: 1})
		if err != nil || len(found) == 0 {
			return uuid.Nil, "", errors.Join(ErrWho, err)
		}
		return uuid.Nil, "certificate:" + found[0].Issuer + "/" + serial.String(), nil
	}
	if strings.Contains(text, ":") {
		return uuid.Nil, text, nil
	}
	who, err := p.Directory.ByLogin(ctx, text)
	return who.ID, "", err
}

// whose finds whose a mail address is or was.
func (p *Portal) whose(ctx context.Context, mailbox string) (uuid.UUID, error) {
	if p.Recovery != nil {
		return p.Recovery.Whose(ctx, mailbox)
	}
	who, err := p.Directory.ByMailbox(ctx, mailbox)
	if errors.Is(err, directory.ErrUnknownPerson) {
		return uuid.Nil, ErrWho
	}
	return who.ID, err
}

// eventRows reads one page of events, and records that it was read.
func (p *Portal) eventRows(ctx context.Context, v *visit, q audit.Query, a asked) (rows [][]cell, next string, err error) {
	q.Before, q.Limit = math.MaxInt64, a.Limit
	if before, err := strconv.ParseInt(a.After, 10, 64); err == nil && before > 0 {
		q.Before = before
	}
	found, err := p.Audit.Events(ctx, q)
	if err != nil {
		return nil, "", err
	}
	var people []uuid.UUID
	for _, e := range found {
		people = append(people, e.Person, e.By.Person)
	}
	if err := p.searched(ctx, v, "auditor-events", a.questions(), len(found), people...); err != nil {
		return nil, "", err
	}
	names := p.namesOf(ctx, people...)
	for _, e := range found {
		rows = append(rows, v.eventRow(e, names))
	}
	if len(found) == a.Limit {
		next = strconv.FormatInt(found[len(found)-1].ID, 10)
	}
	return rows, next, nil
}

func (v *visit) eventRow(e audit.Entry, names map[uuid.UUID]string) []cell {
	index := cell{Text: v.language.say("events.waits")}
	if e.Index >= 0 {
		index = cell{Text: strconv.FormatInt(e.Index, 10), To: fmt.Sprintf("/auditor/events/%d", e.Index)}
	}
	about := cell{Text: shortened(e.Subject)}
	if e.Person != uuid.Nil {
		about.Text = nameOr(names, e.Person)
	}
	return []cell{index, {At: e.At, Fine: true}, {Text: v.language.say(eventTitle(e.Kind))}, about,
		{Text: v.actor(e.By), Note: v.language.say("method." + string(e.By.Method))}, {Text: e.Kind}, {Text: e.Subject}, {Text: idOrNothing(e.Person)}, {Text: idOrNothing(e.By.Person)},
		{Text: string(e.By.Method)}, {Text: string(e.Data)}}
}

// shortened is the beginning of a subject: one event's page, and what is taken along, have all of it.
func shortened(subject string) string {
	const most = 40
	if runes := []rune(subject); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return subject
}

// actor is what the record calls who did something.
func (v *visit) actor(by audit.Actor) string {
	if by.Name != "" {
		return by.Name
	}
	return v.language.say("events.nobody")
}

func nameOr(names map[uuid.UUID]string, id uuid.UUID) string {
	if n := names[id]; n != "" {
		return n
	}
	return idOrNothing(id)
}

func idOrNothing(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return id.String()
}

// eventTitle is the key of the words for a kind of event; the kind itself, if there are none.
func eventTitle(kind string) string {
	if key := "event." + kind; texts[key].EN != "" {
		return key
	}
	return kind
}

// eventPage is one event with its proof.
type eventPage struct {
	audit.Entry
	What, Who, Method string
	Strength          string
	About             string
	Data, Raw, Proof  string
	Size              int64
	Key               string
	Path              string
	Earlier, Later    int64 // indexes; -1: none
}

// eventAt reads the event that an address names, and records that it is seen.
func (p *Portal) eventAt(r *http.Request, v *visit) (e audit.Entry, err error) {
	index, err := strconv.ParseInt(chi.URLParam(r, "index"), 10, 64)
	if err != nil || index < 0 {
		return e, audit.ErrUnknown
	}
	var hidden []audit.Hidden
	if p.Recovery != nil {
		if hidden, err = p.Recovery.Hidden(r.Context(), v.Person.ID); err != nil {
			return e, err
		}
	}
	if e, err = p.Audit.Event(r.Context(), index, hidden...); err != nil {
		return e, err
	}
	return e, p.searched(r.Context(), v, "auditor-event", map[string]string{"index": strconv.FormatInt(index, 10)}, 1, e.Person, e.By.Person)
}

// proofOf proves that an event is in the record.
func (p *Portal) proofOf(ctx context.Context, e audit.Entry) ([]byte, int64, error) {
	in, err := p.Audit.Inclusion(ctx, audit.Leaf{Event: e.ID, Hash: logproof.LeafHash(e.Body)})
	if err != nil {
		return nil, 0, err
	}
	size, err := p.sizeOf(in.Checkpoint)
	if err != nil {
		return nil, 0, err
	}
	text, err := in.MarshalText()
	return text, size, err
}

// event shows one event in words and as it was hashed, with its proof.
func (p *Portal) event(w http.ResponseWriter, r *http.Request, v *visit) error {
	e, err := p.eventAt(r, v)
	if err != nil {
		return err
	}
	page := eventPage{Entry: e, What: v.language.say(eventTitle(e.Kind)), Who: v.actor(e.By), Method: v.language.say("method." + string(e.By.Method)), Raw: string(e.Body),
		Key: p.Audit.VerifierKey(), Path: fmt.Sprintf("/auditor/events/%d", e.Index)}
	text, size, err := p.proofOf(r.Context(), e)
	if err != nil {
		return err
	}
	page.Proof, page.Size = string(text), size
	if e.Person != uuid.Nil {
		page.About = nameOr(p.namesOf(r.Context(), e.Person), e.Person)
	}
	if len(e.Data) > 0 {
		var out bytes.Buffer
		if err := json.Indent(&out, e.Data, "", "  "); err != nil {
			return err
		}
		page.Data = out.String()
	}
	if page.Earlier, page.Later = e.Index-1, e.Index+1; page.Later >= size {
		page.Later = -1
	}
	return p.show(w, r, v, http.StatusOK, "auditor-event", "event.title", page)
}

// eventBody sends the bytes that were hashed.
func (p *Portal) eventBody(w http.ResponseWriter, r *http.Request, v *visit) error {
	e, err := p.eventAt(r, v)
	if err != nil {
		return err
	}
	return sendFile(w, fmt.Sprintf("event-%d.json", e.Index), "application/json", e.Body)
}

// eventProof sends the proof as programs read it (c2sp.org/tlog-proof).
func (p *Portal) eventProof(w http.ResponseWriter, r *http.Request, v *visit) error {
	e, err := p.eventAt(r, v)
	if err != nil {
		return err
	}
	text, _, err := p.proofOf(r.Context(), e)
	if err != nil {
		return err
	}
	return sendFile(w, fmt.Sprintf("event-%d.tlog-proof", e.Index), "text/plain; charset=utf-8", text)
}
