package portal

import (
	"context"
	"encoding/base64"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/enroll"
)

// registrarToken is the page on which a token is made, and then the one on which it is seen.
type registrarToken struct {
	*subject
	Form     uuid.UUID // names the wish, so that the form sent twice makes one token
	Days     int
	Use      enroll.TokenUse
	Lives    []int
	Tell     bool
	Mails    bool // the person can be told
	Refused  string
	Fault    string
	Token    *enroll.Token // made right now
	File     template.URL  // with it alone, for --token-file
	Commands []string
	Known    bool // the commands name the server
}

// lives are for how many days a token may wait.
var lives = []int{1, 3, 7, 30}

func (d registrars) tokenForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	s, err := d.subject(r, v)
	if err != nil {
		return err
	}
	return d.showTokenForm(w, r, v, registrarToken{subject: s, Form: uuid.New(), Days: 3, Use: enroll.Handed}, nil)
}

func (d registrars) showTokenForm(w http.ResponseWriter, r *http.Request, v *visit, page registrarToken, failed error) error {
	page.Lives, page.Mails = lives, d.Standing.Mails
	switch {
	case page.Own:
		page.Refused = "registrar.token-own"
	case page.Standing != directory.StandingActive:
		page.Refused = "registrar.token-inactive"
	case len(page.Mailboxes) == 0:
		page.Refused = "registrar.token-no-mail"
	}
	status := http.StatusOK
	if failed != nil {
		said, code, ok := d.refusal(r, v, failed)
		if !ok {
			return failed
		}
		page.Fault, status = said, again(code)
	}
	return d.show(w, r, v, status, "registrar-token", "registrar.token-title", page)
}

// makeToken makes a token and shows it, this once: it is the answer to the form, and the form makes no second one.
func (d registrars) makeToken(w http.ResponseWriter, r *http.Request, v *visit) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	s, err := d.subject(r, v)
	if err != nil {
		return err
	}
	page := registrarToken{subject: s, Use: enroll.Handed}
	if form.Get("use") == string(enroll.Behalf) {
		page.Use = enroll.Behalf
	}
	page.Tell = form.Get("tell") == "1" && d.Standing.Mails
	if page.Form, err = uuid.Parse(form.Get("form")); err != nil || page.Form == uuid.Nil {
		return ErrForm
	}
	if page.Days, err = strconv.Atoi(form.Get("days")); err != nil {
		return ErrForm
	}
	page.Token, err = d.Registry.MintTokenFor(r.Context(), v.Caller.Actor,
		enroll.TokenOrder{Person: s.ID, Life: time.Duration(page.Days) * 24 * time.Hour, Use: page.Use, Form: page.Form, Tell: page.Tell})
	if err != nil {
		page.Form = uuid.New()
		return d.showTokenForm(w, r, v, page, err)
	}
	page.File = template.URL("data:text/plain;base64," + base64.StdEncoding.EncodeToString([]byte(page.Token.Secret+"\n")))
	page.Commands, page.Known = d.agentCommands(page.Token)
	return d.show(w, r, v, http.StatusOK, "registrar-made", "registrar.made-title", page)
}

// agentCommands are what to type where the certificates are to be, and whether they name the server.
func (d registrars) agentCommands(t *enroll.Token) ([]string, bool) {
	server := d.Certificates // the same listener
	if server == "" {
		server = "https://SERVER:PORT"
	}
	command := "sealpost-agent enroll --server " + server + " --roots root.pem --token-file token.txt"
	if t.Use == enroll.Behalf { // beside whatever the registrar has of their own
		folder := "enrol-" + strconv.FormatInt(t.Number, 10)
		command = "sealpost-agent enroll --state " + folder + "/state --out " + folder + "/files --server " + server + " --roots root.pem --token-file token.txt"
	}
	return []string{command}, d.Certificates != ""
}

// tokenPills are the kinds of pill for how tokens stand.
var tokenPills = map[enroll.TokenState]string{enroll.TokenOpen: "warn", enroll.TokenUsed: "good", enroll.TokenWithdrawn: "off", enroll.TokenEnded: "off"}

// tokens lists tokens: those that can still be used, unless others are asked for.
func (d registrars) tokens(w http.ResponseWriter, r *http.Request, v *visit) error {
	l := d.tokenTable(v, enroll.WhichTokens{})
	which, failed, err := d.whichTokens(r.Context(), l.ask(r.URL.Query()))
	if err != nil {
		return err
	}
	l.Page = d.tokenTable(v, which).Page
	found, done, err := d.search(w, r, v, l, failed)
	if done || err != nil {
		return err
	}
	return d.show(w, r, v, found.status, "registrar-tokens", "registrar.tokens-title", found)
}

// whichTokens is what is asked for. failed says what of it cannot be understood.
func (d registrars) whichTokens(ctx context.Context, a asked) (w enroll.WhichTokens, failed, err error) {
	if a.Filter == "" {
		return w, nil, nil
	}
	if n, err := strconv.ParseInt(a.Filter, 10, 64); err == nil && n > 0 {
		w.Number = n
		return w, nil, nil
	}
	w.Person, failed, err = d.personMeant(ctx, a.Filter)
	return w, failed, err
}

// tokenTable is a table of tokens.
func (d registrars) tokenTable(v *visit, w enroll.WhichTokens) list {
	states := []option{{"", "registrar.token-state.open"}, {"used", "registrar.token-state.used"}, {"withdrawn", "registrar.token-state.withdrawn"}, {"ended", "registrar.token-state.ended"}, {"any", "registrar.tokens-any"}}
	return list{Name: "tokens", Empty: "registrar.tokens-empty", Filter: "registrar.tokens-filter", Choices: []choice{{"state", "registrar.state", states}},
		Columns: []column{{Key: "token", Title: "registrar.token"}, {Key: "state", Title: "registrar.state"}, {Key: "person", Title: "registrar.for"}, {Key: "use", Title: "registrar.token-use"}, {Key: "made", Title: "registrar.made"},
			{Key: "made_by", Title: "registrar.made-by"}, {Key: "list", Title: "registrar.list"}, {Key: "ends", Title: "registrar.ends"}, {Key: "used", Title: "registrar.token-used", Away: true}, {Key: "withdrawn", Title: "registrar.token-withdrawn", Away: true}},
		Page: func(ctx context.Context, a asked) ([][]cell, string, error) {
			w.State, w.After, w.Limit = enroll.TokenState(a.Choices["state"]), a.After, a.Limit
			if w.List != 0 && w.State == "" {
				w.State = enroll.TokenAny
			}
			found, next, err := d.Registry.Tokens(ctx, v.Caller.Actor, w)
			if err != nil {
				return nil, "", err
			}
			rows, err := d.tokenRows(ctx, v, found)
			return rows, next, err
		}}
}

// tokenRows shows tokens, after it was recorded whose they are.
func (d registrars) tokenRows(ctx context.Context, v *visit, found []enroll.Minted) ([][]cell, error) {
	var people, holders []uuid.UUID
	for _, t := range found {
		people, holders = append(people, t.Person, t.MadeBy), append(holders, t.Person)
	}
	looks, err := d.looked(ctx, people)
	if err != nil {
		return nil, err
	}
	rows := make([][]cell, len(found))
	for i, t := range found {
		number, now, say := strconv.FormatInt(t.Number, 10), d.Now(), v.language.say
		state := t.State(now)
		row := []cell{{Text: say("registrar.number", number), To: "/registrar/tokens/" + number}, {Text: say("registrar.token-state." + string(state)), Pill: tokenPills[state]},
			{Text: called(v.language, looks[t.Person], t.Person), To: "/registrar/people/" + t.Person.String()}, {Text: say("registrar-word.token-" + string(t.Use))},
			{At: t.MadeAt}, {Text: called(v.language, looks[t.MadeBy], t.MadeBy)}, {}, {At: t.Ends}, {}, {}}
		if t.List != nil {
			row[6] = cell{Text: say("registrar.list-number", strconv.FormatInt(*t.List, 10)), To: "/registrar/tokens/lists/" + strconv.FormatInt(*t.List, 10)}
		}
		if state == enroll.TokenOpen {
			row[7].Note = say("registrar.left", v.language.spell(t.Ends.Sub(now)))
		}
		if t.SpentAt != nil {
			row[8].At = *t.SpentAt
			row[1].Note = v.language.date(*t.SpentAt)
		}
		if t.WithdrawnAt != nil {
			row[9].At = *t.WithdrawnAt
		}
		rows[i] = row
	}
	return rows, d.viewed(ctx, v, "registrar-tokens", holders...)
}

// registrarMinted is one token.
type registrarMinted struct {
	enroll.Minted
	Name, Maker, Withdrew string
	ListNumber            string // "" if it was made alone
	Stands                cell
	Open                  bool
}

func (d registrars) token(w http.ResponseWriter, r *http.Request, v *visit) error {
	number, err := tokenIn(r)
	if err != nil {
		return err
	}
	found, _, err := d.Registry.Tokens(r.Context(), v.Caller.Actor, enroll.WhichTokens{Number: number, State: enroll.TokenAny, Limit: 1})
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return enroll.ErrUnknownToken
	}
	t := found[0]
	people := []uuid.UUID{t.Person, t.MadeBy}
	if t.WithdrawnBy != nil {
		people = append(people, *t.WithdrawnBy)
	}
	looks, err := d.looked(r.Context(), people)
	if err != nil {
		return err
	}
	if err := d.viewed(r.Context(), v, "registrar-token", t.Person); err != nil {
		return err
	}
	state := t.State(d.Now())
	page := registrarMinted{Minted: t, Name: called(v.language, looks[t.Person], t.Person), Maker: called(v.language, looks[t.MadeBy], t.MadeBy),
		Stands: cell{Text: v.language.say("registrar.token-state." + string(state)), Pill: tokenPills[state]}, Open: state == enroll.TokenOpen}
	if t.List != nil {
		page.ListNumber = strconv.FormatInt(*t.List, 10)
	}
	if t.WithdrawnBy != nil {
		page.Withdrew = called(v.language, looks[*t.WithdrawnBy], *t.WithdrawnBy)
	}
	return d.show(w, r, v, http.StatusOK, "registrar-minted", "registrar.token", page)
}

func tokenIn(r *http.Request) (int64, error) {
	s := chi.URLParam(r, "token")
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 || strings.HasPrefix(s, "+") {
		return 0, ErrNoPage
	}
	return n, nil
}

func (d registrars) withdrawToken(w http.ResponseWriter, r *http.Request, v *visit) error {
	number, err := tokenIn(r)
	if err != nil {
		return err
	}
	if _, err := d.Registry.WithdrawToken(r.Context(), v.Caller.Actor, number); err != nil {
		return err
	}
	return d.done(w, r, "/registrar/tokens", "registrar-withdrawn")
}
