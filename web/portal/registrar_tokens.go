package portal

import (
	"context"
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
	Refused  string
	Fault    string
	Token    *enroll.Token // made right now
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
	page.Lives = lives
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
	if page.Form, err = uuid.Parse(form.Get("form")); err != nil || page.Form == uuid.Nil {
		return ErrForm
	}
	if page.Days, err = strconv.Atoi(form.Get("days")); err != nil {
		return ErrForm
	}
	page.Token, err = d.Registry.MintTokenFor(r.Context(), v.Caller.Actor,
		enroll.TokenOrder{Person: s.ID, Life: time.Duration(page.Days) * 24 * time.Hour, Use: page.Use, Form: page.Form})
	if err != nil {
		page.Form = uuid.New()
		return d.showTokenForm(w, r, v, page, err)
	}
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

// tokens lists those that can still be used.
func (d registrars) tokens(w http.ResponseWriter, r *http.Request, v *visit) error {
	l := list{Name: "tokens", Empty: "registrar.tokens-empty",
		Columns: []column{{Key: "token", Title: "registrar.token"}, {Key: "person", Title: "registrar.for"}, {Key: "use", Title: "registrar.token-use"}, {Key: "made", Title: "registrar.made"}, {Key: "made_by", Title: "registrar.made-by"}, {Key: "ends", Title: "registrar.ends"}},
		Page: func(ctx context.Context, a asked) ([][]cell, string, error) {
			found, next, err := d.Registry.Tokens(ctx, v.Caller.Actor, enroll.WhichTokens{After: a.After, Limit: a.Limit})
			if err != nil {
				return nil, "", err
			}
			var people, holders []uuid.UUID
			for _, t := range found {
				people, holders = append(people, t.Person, t.MadeBy), append(holders, t.Person)
			}
			looks, err := d.looked(ctx, people)
			if err != nil {
				return nil, "", err
			}
			rows := make([][]cell, len(found))
			for i, t := range found {
				number := strconv.FormatInt(t.Number, 10)
				rows[i] = []cell{{Text: v.language.say("registrar.number", number), To: "/registrar/tokens/" + number},
					{Text: called(v.language, looks[t.Person], t.Person), To: "/registrar/people/" + t.Person.String()}, {Text: v.language.say("registrar-word.token-" + string(t.Use))},
					{At: t.MadeAt}, {Text: called(v.language, looks[t.MadeBy], t.MadeBy)}, {At: t.Ends, Note: v.language.say("registrar.left", v.language.spell(t.Ends.Sub(d.Now())))}}
			}
			return rows, next, d.viewed(ctx, v, "registrar-tokens", holders...)
		}}
	if done, err := d.export(w, r, l); done {
		return err
	}
	t, err := d.table(r, l)
	if err != nil {
		return err
	}
	return d.show(w, r, v, http.StatusOK, "registrar-tokens", "registrar.tokens-title", t)
}

// registrarMinted is one token that can still be used.
type registrarMinted struct {
	enroll.Minted
	Name, Maker string
	Fault       string
}

func (d registrars) token(w http.ResponseWriter, r *http.Request, v *visit) error {
	number, err := tokenIn(r)
	if err != nil {
		return err
	}
	found, _, err := d.Registry.Tokens(r.Context(), v.Caller.Actor, enroll.WhichTokens{Number: number, Limit: 1})
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return enroll.ErrUnknownToken
	}
	t := found[0]
	looks, err := d.looked(r.Context(), []uuid.UUID{t.Person, t.MadeBy})
	if err != nil {
		return err
	}
	if err := d.viewed(r.Context(), v, "registrar-token", t.Person); err != nil {
		return err
	}
	return d.show(w, r, v, http.StatusOK, "registrar-minted", "registrar.token",
		registrarMinted{Minted: t, Name: called(v.language, looks[t.Person], t.Person), Maker: called(v.language, looks[t.MadeBy], t.MadeBy)})
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
