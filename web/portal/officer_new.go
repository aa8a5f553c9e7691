package portal

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/recovery"
)

// errCaseForm is what is wrong with the form of a new case.
var errCaseForm = fault.New(fault.Malformed, "case-form", "Something in the form is missing or cannot be read.")

// newCasePage is the form in which somebody asks for other people's keys, and what would be asked for.
type newCasePage struct {
	Page string
	Tabs []tab

	Kind, People, From, To, Recipient, Reason, Reference, Days string // as typed
	Recipients                                                 []newRecipient
	Failed                                                     string

	Drafts   []newDraft
	Chosen   newRecipient
	Deadline time.Time
	Command  string
	Words    map[string]string
	Query    newQuery // the question to the REST interface to which the server answered with what the page shows
	Wish     string   // for the script: what is signed, as JSON
}

type newRecipient struct{ Name, Fingerprint, For string }

// newDraft is one case that would be opened: there is one for each of the archive's keys.
type newDraft struct {
	Roster string // hash
	People []letterPerson
	Keys   int
	Oldest time.Time
	Newest time.Time
}

// newQuery is api.CaseQuery as the script sends it.
type newQuery struct {
	Mailboxes []string `json:"mailboxes,omitempty"`
	People    []string `json:"people,omitempty"`
	From      string   `json:"from,omitempty"`
	To        string   `json:"to,omitempty"`
}

// newWish is what the script signs: exactly what the page shows.
type newWish struct {
	Kind      string   `json:"kind"`
	Query     newQuery `json:"query"`
	Drafts    []string `json:"drafts"` // by their digests
	Recipient string   `json:"recipient"`
	Reason    string   `json:"reason"`
	Reference string   `json:"reference"`
	Days      int      `json:"days"`
}

// draftDigest names what a draft names, as the script does (app/asking.ts).
func draftDigest(d archive.Draft) string {
	lines := []string{d.Roster.Hash().String()}
	for _, s := range d.Subjects {
		lines = append(lines, s.Person.String())
		from := len(lines)
		for _, k := range s.Records {
			lines = append(lines, k.Hash().String())
		}
		slices.Sort(lines[from:])
	}
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:])
}

func (p *Portal) newCasePage(r *http.Request, v *visit) (*newCasePage, error) {
	if _, err := p.desk(); err != nil {
		return nil, err
	}
	roster, err := p.Archive.Roster(r.Context())
	if err != nil {
		return nil, err
	}
	page := &newCasePage{Page: "new", Tabs: v.officerTabs(), Kind: "business", Days: "7", Words: v.language.words("officer")}
	for _, c := range roster.Plan.Recipients {
		var uses []string
		if c.Uses&record.UseBusiness != 0 {
			uses = append(uses, v.language.say("officer.kind.business"))
		}
		if c.Uses&record.UseLegal != 0 {
			uses = append(uses, v.language.say("officer.kind.legal"))
		}
		page.Recipients = append(page.Recipients, newRecipient{c.Name, record.Fingerprint(c.Certificate).String(), strings.Join(uses, ", ")})
	}
	return page, nil
}

// newCaseForm shows the form.
func (p *Portal) newCaseForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	page, err := p.newCasePage(r, v)
	if err != nil {
		return err
	}
	return p.show(w, r, v, http.StatusOK, "officer-new", "officer.new", page)
}

// newCase shows what a case would name, and how it is signed. It opens nothing: that takes the signature of who asks.
func (p *Portal) newCase(w http.ResponseWriter, r *http.Request, v *visit) error {
	page, err := p.newCasePage(r, v)
	if err != nil {
		return err
	}
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	page.read(form)
	if err := p.draft(r, v, page); err != nil {
		said, status, ok := p.refusal(r, v, err)
		if !ok {
			return err
		}
		if page.Failed = said; status < 400 || status >= 500 {
			return err
		}
		return p.show(w, r, v, http.StatusUnprocessableEntity, "officer-new", "officer.new", page)
	}
	return p.show(w, r, v, http.StatusOK, "officer-new", "officer.new", page)
}

func (c *newCasePage) read(form url.Values) {
	for name, to := range map[string]*string{"kind": &c.Kind, "people": &c.People, "from": &c.From, "to": &c.To, "recipient": &c.Recipient, "reason": &c.Reason,
		"reference": &c.Reference, "days": &c.Days} {
		*to = strings.TrimSpace(strings.ReplaceAll(form.Get(name), "\r\n", "\n"))
	}
}

// draft asks the desk what the case would name.
func (p *Portal) draft(r *http.Request, v *visit, page *newCasePage) error {
	say := func(key string) error { return errCaseForm.Withf("%s", v.language.say(key)) }
	q, days, err := page.query(say)
	if err != nil {
		return err
	}
	for _, c := range page.Recipients {
		if c.Fingerprint == page.Recipient {
			page.Chosen = c
		}
	}
	if page.Chosen.Name == "" {
		return say("officer.new-recipient-missing")
	}
	drafts, err := p.Recovery.Ask(r.Context(), v.Caller.Actor, q)
	if err != nil {
		return err
	}
	wish := newWish{Kind: page.Kind, Query: page.Query, Recipient: page.Recipient, Reason: page.Reason, Reference: page.Reference, Days: days}
	var seen []uuid.UUID
	for _, d := range drafts {
		wish.Drafts = append(wish.Drafts, draftDigest(d))
		shown := newDraft{Roster: d.Roster.Hash().String()}
		for _, s := range d.Subjects {
			shown.add(s)
			seen = append(seen, s.Person)
		}
		page.Drafts = append(page.Drafts, shown)
	}
	page.Deadline = p.Now().Add(time.Duration(days) * 24 * time.Hour)
	page.Command = page.command()
	b, err := json.Marshal(wish)
	if err != nil {
		return err
	}
	page.Wish = string(b)
	return p.viewed(r.Context(), v, "new-case", seen...)
}

func (d *newDraft) add(s archive.DraftSubject) {
	h := s.Records[len(s.Records)-1].Header
	d.People = append(d.People, letterPerson{h.Name, h.Mail, len(s.Records), s.Person})
	d.Keys += len(s.Records)
	if first := s.Records[0].Header.Time; d.Oldest.IsZero() || first.Before(d.Oldest) {
		d.Oldest = first
	}
	if h.Time.After(d.Newest) {
		d.Newest = h.Time
	}
}

// query reads what was typed.
func (c *newCasePage) query(say func(string) error) (q recovery.Query, days int, err error) {
	switch c.Kind {
	case "business":
		q.Kind = record.CaseBusiness
	case "legal":
		q.Kind = record.CaseLegal
	default:
		return q, 0, say("officer.new-kind-missing")
	}
	for _, who := range strings.FieldsFunc(c.People, func(r rune) bool { return r == '\n' || r == ',' || r == ';' || r == ' ' }) {
		if id, err := uuid.Parse(who); err == nil {
			q.People, c.Query.People = append(q.People, id), append(c.Query.People, id.String())
		} else if strings.Contains(who, "@") {
			q.Mailboxes = append(q.Mailboxes, who)
		} else {
			return q, 0, say("officer.new-people-wrong")
		}
	}
	c.Query.Mailboxes = q.Mailboxes
	if len(q.People)+len(q.Mailboxes) == 0 {
		return q, 0, say("officer.new-people-missing")
	}
	if q.From, err = day(c.From); err != nil {
		return q, 0, say("officer.new-day-wrong")
	}
	if q.To, err = day(c.To); err != nil {
		return q, 0, say("officer.new-day-wrong")
	}
	if !q.To.IsZero() {
		q.To = q.To.Add(24*time.Hour - time.Second)
		c.Query.To = q.To.Format(time.RFC3339)
		if q.To.Before(q.From) {
			return q, 0, say("officer.new-days-order")
		}
	}
	if !q.From.IsZero() {
		c.Query.From = q.From.Format(time.RFC3339)
	}
	if days, err = strconv.Atoi(c.Days); err != nil || days < 1 || days > 365 {
		return q, 0, say("officer.new-deadline-wrong")
	}
	switch {
	case c.Reason == "" || len(c.Reason) > record.MaxReason:
		return q, 0, say("officer.new-reason-missing")
	case len(c.Reference) > record.MaxReference:
		return q, 0, say("officer.new-reference-long")
	}
	return q, days, nil
}

func day(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	return time.ParseInLocation(time.DateOnly, s, time.UTC)
}

// command is the agent's that asks for the same.
func (c *newCasePage) command() string {
	words := []string{"sealpost-agent", "case", "open", "--kind", c.Kind}
	for _, who := range append(append([]string{}, c.Query.Mailboxes...), c.Query.People...) {
		words = append(words, "--person", who)
	}
	for _, o := range []struct{ name, value string }{{"--from", c.From}, {"--to", c.To}, {"--recipient", c.Recipient}, {"--reason", c.Reason}, {"--reference", c.Reference}} {
		if o.value != "" {
			words = append(words, o.name, o.value)
		}
	}
	return command(append(words, "--days", c.Days)...)
}
