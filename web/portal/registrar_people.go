package portal

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/fleet"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/keyuse"
)

// registrarPeople is the page on which somebody is looked for.
type registrarPeople struct {
	Query  string
	Fault  string
	Asked  bool
	People []foundPerson
	More   bool
}

// foundPerson is somebody that the directory has found.
type foundPerson struct {
	directory.Person
	Stands cell
}

// peopleShown is how many people a search shows.
const peopleShown = 25

// people looks for people in the directory, when the address says for whom.
func (d registrars) people(w http.ResponseWriter, r *http.Request, v *visit) error {
	page := registrarPeople{Query: strings.ToValidUTF8(r.URL.Query().Get("q"), "")}
	page.Asked = strings.TrimSpace(page.Query) != ""
	status := http.StatusOK
	if page.Asked {
		found, more, err := d.Directory.Search(r.Context(), page.Query, peopleShown)
		if errors.Is(err, directory.ErrSearch) {
			var ok bool
			if page.Fault, status, ok = d.refusal(r, v, err); !ok {
				return err
			}
			status, page.Asked = again(status), false
		} else if err != nil {
			return err
		}
		var ids []uuid.UUID
		for _, p := range found {
			standing := directory.StandingActive
			if p.Disabled {
				standing = directory.StandingDisabled
			}
			page.People = append(page.People, foundPerson{p, standingPill(v.language, standing)})
			ids = append(ids, p.ID)
		}
		page.More = more
		if err := d.viewed(r.Context(), v, "registrar-people", ids...); err != nil {
			return err
		}
	}
	return d.show(w, r, v, status, "registrar-people", "registrar.people-title", page)
}

// registrarPerson is somebody, as registrars see them.
type registrarPerson struct {
	*subject
	Archived     int // keys; -1 where there is no archive
	Requests     [][]cell
	Tokens       []enroll.Minted
	Certificates *table
	Known        bool // what is known of computers is kept here
	Machines     []machineView
	Revocable    bool // there is something to revoke
}

// subject is whom a page is about.
type subject struct {
	ID        uuid.UUID
	Name      string
	Person    directory.Person // as the directory has them; zero if it has them no more
	Standing  directory.Standing
	Stands    cell
	Mailboxes []string
	Own       bool // it is the registrar
	Path      string
}

// subject finds whom a page is about. Somebody who is in the directory no more is still known by their certificates.
func (d registrars) subject(r *http.Request, v *visit) (*subject, error) {
	id, err := idIn(r, "person")
	if err != nil {
		return nil, err
	}
	s := &subject{ID: id, Own: id == v.Person.ID, Path: "/registrar/people/" + id.String(), Standing: directory.StandingActive}
	s.Person, err = d.Directory.Person(r.Context(), id)
	switch {
	case errors.Is(err, directory.ErrUnknownPerson):
		s.Standing = directory.StandingGone
	case errors.Is(err, fault.Unavailable):
		s.Standing = "away"
	case err != nil:
		return nil, err
	case s.Person.Disabled:
		s.Standing = directory.StandingDisabled
	}
	s.Name, s.Mailboxes = s.Person.Name, s.Person.Mailboxes
	if err != nil {
		if err := d.remembered(r.Context(), v, s); err != nil {
			return nil, err
		}
	}
	s.Stands = standingPill(v.language, s.Standing)
	return s, d.viewed(r.Context(), v, "registrar-person", id)
}

// remembered names somebody by what they had or asked for. Whom nothing tells of, nobody knows.
func (d registrars) remembered(ctx context.Context, v *visit, s *subject) error {
	asked, err := d.Registry.ListOf(ctx, v.Caller.Actor, s.ID, 1)
	if err != nil {
		return err
	}
	if len(asked) > 0 {
		s.Name, s.Mailboxes = asked[0].Subject.CommonName, asked[0].Subject.Mailboxes
		return nil
	}
	found, err := d.Authority.Find(ctx, ca.Query{Person: &s.ID, Limit: 1})
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return directory.ErrUnknownPerson
	}
	s.Mailboxes = found[0].Mailboxes
	s.Name = called(v.language, directory.Look{Name: first(s.Mailboxes)}, s.ID)
	return nil
}

// personRows is how many requests and tokens a person's page shows.
const personRows = 10

func (d registrars) person(w http.ResponseWriter, r *http.Request, v *visit) error {
	s, err := d.subject(r, v)
	if err != nil {
		return err
	}
	page := registrarPerson{subject: s, Archived: -1}
	l := d.certificateList(v, s)
	if done, err := d.export(w, r, l); done {
		return err
	}
	if page.Certificates, err = d.table(r, l); err != nil {
		return err
	}
	open, err := d.revocable(r.Context(), s.ID, "")
	if err != nil {
		return err
	}
	page.Revocable = len(open) > 0
	if d.Archive != nil {
		if page.Archived, err = d.Archive.Count(r.Context(), s.ID); err != nil {
			return err
		}
	}
	asked, err := d.Registry.ListOf(r.Context(), v.Caller.Actor, s.ID, personRows)
	if err != nil {
		return err
	}
	for _, req := range asked {
		page.Requests = append(page.Requests, []cell{{At: req.ReceivedAt, To: "/registrar/requests/" + req.ID.String()}, {Text: d.planTitle(req.Enrolment)}, requestState(v.language, req.State)})
	}
	if page.Tokens, _, err = d.Registry.Tokens(r.Context(), v.Caller.Actor, enroll.WhichTokens{Person: s.ID, Limit: personRows}); err != nil {
		return err
	}
	if page.Known = d.Fleet != nil; page.Known {
		found, err := d.Fleet.List(r.Context(), v.Caller.Actor, fleet.Which{Person: s.ID, Quietest: true, Reverse: true, Limit: personRows})
		if err != nil {
			return err
		}
		for _, m := range found {
			view := d.machineView(v, m)
			view.Path = s.Path + "/computers/" + m.ID.String()
			page.Machines = append(page.Machines, view)
		}
	}
	return d.show(w, r, v, http.StatusOK, "registrar-person", "registrar.person-title", page)
}

// machine shows one of a person's computers, to help them. It changes nothing there.
func (d registrars) machine(w http.ResponseWriter, r *http.Request, v *visit) error {
	person, err := idIn(r, "person")
	if err != nil {
		return err
	}
	return d.othersMachine(w, r, v, "registrar-machine", above{"/registrar/people/" + person.String(), "registrar.back-to-person"})
}

// certificateList is a person's certificates, the newest first.
func (d registrars) certificateList(v *visit, s *subject) list {
	return list{Name: "certificates", Empty: "registrar.no-certificates",
		Columns: []column{{Key: "what", Title: "registrar.certificate"}, {Key: "state", Title: "registrar.state"}, {Key: "until", Title: "registrar.until"}, {Key: "serial", Title: "card.serial"}, {Key: "do", Title: "registrar.do"}},
		Page: func(ctx context.Context, a asked) (rows [][]cell, next string, err error) {
			before, _ := strconv.ParseInt(a.After, 10, 64) // what is none begins at the beginning
			found, err := d.Authority.Find(ctx, ca.Query{Person: &s.ID, Before: max(before, 0), Limit: a.Limit})
			for _, c := range found {
				act := cell{}
				if d.open(c) {
					act = cell{Text: v.language.say("registrar.revoke"), To: s.Path + "/revoke?certificate=" + url.QueryEscape(named(c))}
				}
				rows = append(rows, append(d.certificateCells(v.language, c), act))
			}
			if len(found) == a.Limit {
				next = strconv.FormatInt(found[len(found)-1].Number, 10)
			}
			return rows, next, err
		}}
}

// named is what a certificate is called in addresses and forms.
func named(c ca.Certificate) string { return c.Issuer + "/" + c.Serial.String() }

// certificateCells are a certificate in a table: what it is for, how it stands, until when, and its number.
func (d registrars) certificateCells(l language, c ca.Certificate) []cell {
	use := "other"
	if p, err := d.Authority.Profile(c.Profile); err == nil && p.Mail() {
		use = map[keyuse.Use]string{keyuse.Signing: "sign", keyuse.Encryption: "read", keyuse.Single: "both"}[p.Use()]
	}
	if use == "" {
		use = "other"
	}
	state := d.stateOf(c)
	pill := map[string]string{"good": "good", "ending": "warn", "held": "warn", "ended": "off", "revoked": "bad"}[state]
	stands := cell{Text: l.say("state." + state), Pill: pill}
	if state == "revoked" {
		stands.Note = l.say("registrar-word.reason-" + c.Status.Reason.String())
	}
	return []cell{{Text: l.say("registrar-word.use-" + use), Note: c.Profile}, stands, {At: c.NotAfter}, {Text: c.Serial.String(), Code: true}}
}
