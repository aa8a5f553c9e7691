package portal

import (
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"errors"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/internal/fault"
)

// ErrTokenList says why a list of people cannot be read at all. What is wrong with a line is said of it alone.
var ErrTokenList = fault.New(fault.Malformed, "token-list-unreadable", "The list cannot be read: it has one mail address on each line, or is a CSV file with a column mailbox, of at most 1000 people.")

// maxTokenList bounds what a form with a list may send.
const maxTokenList = 256 << 10

// listed is one person of a list, as it was written.
type listed struct {
	Line    int
	Mailbox string
}

// readList reads a list of people: one address on each line, or a table of which one column is called mailbox (or mail, e-mail, email).
func readList(text string) ([]listed, error) {
	text = strings.TrimPrefix(text, "\ufeff")
	if !utf8.ValidString(text) {
		return nil, ErrTokenList
	}
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	first, _, _ := strings.Cut(strings.TrimLeft(text, "\n"), "\n")
	for _, separator := range []rune{',', ';', '\t'} {
		head := strings.Split(first, string(separator))
		column := slices.IndexFunc(head, func(h string) bool {
			return slices.Contains([]string{"mailbox", "mail", "e-mail", "email"}, strings.ToLower(strings.Trim(strings.TrimSpace(h), `"`)))
		})
		if column >= 0 {
			return readTable(text, separator, column)
		}
	}
	var out []listed
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(strings.TrimRight(strings.TrimSpace(line), ",;"))
		if line == "" {
			continue
		}
		if out = append(out, listed{i + 1, line}); len(out) > enroll.MaxTokens {
			return nil, ErrTokenList
		}
	}
	if len(out) == 0 {
		return nil, ErrTokenList
	}
	return out, nil
}

func readTable(text string, separator rune, column int) (out []listed, err error) {
	r := csv.NewReader(strings.NewReader(text))
	r.Comma, r.FieldsPerRecord, r.TrimLeadingSpace = separator, -1, true
	if _, err := r.Read(); err != nil {
		return nil, ErrTokenList.Because(err)
	}
	for {
		row, err := r.Read()
		switch {
		case errors.Is(err, io.EOF) && len(out) > 0:
			return out, nil
		case err != nil:
			return nil, ErrTokenList.Because(err)
		}
		line, _ := r.FieldPos(0)
		one := listed{Line: line}
		if column < len(row) {
			one.Mailbox = strings.TrimSpace(row[column])
		}
		if out = append(out, one); len(out) > enroll.MaxTokens {
			return nil, ErrTokenList
		}
	}
}

// tokenLists is the page on which tokens are made for many people: the list is read and shown first, and nothing made before that.
type tokenLists struct {
	Form   uuid.UUID // names the wish, so that the form sent twice makes no second tokens
	List   string
	Days   int
	Tell   bool
	Mails  bool // people can be told
	Lives  []int
	Fault  string
	Read   bool // the list was read
	Wrong  []listLine
	Good   []listLine
	Wanted string // the addresses of who gets one
}

// listLine is what would become, or became, of one line.
type listLine struct {
	listed
	Person uuid.UUID
	Name   string
	What   string // that is wrong
	Number int64
	Secret string
}

// sized reads a form that is larger than others before the pages' own limit meets it.
func sized(do page) page {
	return func(w http.ResponseWriter, r *http.Request, v *visit) error {
		r.Body = http.MaxBytesReader(w, r.Body, maxTokenList+maxForm)
		if err := r.ParseMultipartForm(maxTokenList + maxForm); err != nil && !errors.Is(err, http.ErrNotMultipart) {
			return ErrTokenList.Because(err)
		}
		return do(w, r, v)
	}
}

func (d registrars) listForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	return d.showLists(w, r, v, tokenLists{Form: uuid.New(), Days: 7}, nil)
}

func (d registrars) showLists(w http.ResponseWriter, r *http.Request, v *visit, page tokenLists, failed error) error {
	page.Lives, page.Mails = lives, d.Standing.Mails
	status := http.StatusOK
	if failed != nil {
		said, code, ok := d.refusal(r, v, failed)
		if !ok {
			return failed
		}
		page.Fault, status = said, again(code)
	} else if page.Read && len(page.Good) == 0 {
		status = http.StatusUnprocessableEntity
	}
	return d.show(w, r, v, status, "registrar-lists", "registrar.lists-title", page)
}

// wish reads the form of a list, but for the list.
func wish(form url.Values) (page tokenLists, err error) {
	if page.Form, err = uuid.Parse(form.Get("form")); err != nil || page.Form == uuid.Nil {
		return page, ErrForm
	}
	if page.Days, err = strconv.Atoi(form.Get("days")); err != nil || page.Days <= 0 || page.Days > 3660 {
		return page, ErrForm
	}
	page.Tell, page.List = form.Get("tell") == "1", form.Get("list")
	return page, nil
}

// previewList shows what would be made of a list, each wrong line by its number, and makes nothing.
func (d registrars) previewList(w http.ResponseWriter, r *http.Request, v *visit) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	page, err := wish(form)
	if err != nil {
		return err
	}
	uploaded, err := uploadedList(r)
	if err == nil && uploaded != "" {
		if strings.TrimSpace(page.List) != "" {
			err = ErrTokenList
		}
		page.List = uploaded
	}
	var people []listed
	if err == nil {
		people, err = readList(page.List)
	}
	if err != nil {
		page.List = strings.ToValidUTF8(page.List, "?")
		return d.showLists(w, r, v, page, err)
	}
	b := enroll.TokenBatch{Life: time.Duration(page.Days) * oneDay}
	for _, p := range people {
		b.Mailboxes = append(b.Mailboxes, p.Mailbox)
	}
	plan, err := d.Registry.PlanTokens(r.Context(), v.Caller.Actor, b)
	if err != nil {
		return d.showLists(w, r, v, page, err)
	}
	var seen []uuid.UUID
	var wanted []string
	for i, m := range plan {
		line := d.listLine(r, v, people[i], m)
		if m.Token == nil {
			page.Wrong = append(page.Wrong, line)
			continue
		}
		page.Good, seen, wanted = append(page.Good, line), append(seen, line.Person), append(wanted, line.Mailbox)
	}
	page.Read, page.Wanted = true, strings.Join(wanted, "\n")
	if err := d.viewed(r.Context(), v, "registrar-token-list", seen...); err != nil {
		return err
	}
	return d.showLists(w, r, v, page, nil)
}

// uploadedList is the file that a form brought; "" if it brought none.
func uploadedList(r *http.Request) (string, error) {
	if r.MultipartForm == nil || len(r.MultipartForm.File["file"]) == 0 {
		return "", nil
	}
	f, err := r.MultipartForm.File["file"][0].Open()
	if err != nil {
		return "", ErrTokenList.Because(err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxTokenList+1))
	if err != nil || len(content) > maxTokenList {
		return "", ErrTokenList.Because(err)
	}
	return string(content), nil
}

// listLine is one line in the readers' words.
func (d registrars) listLine(r *http.Request, v *visit, p listed, m enroll.MadeToken) listLine {
	out := listLine{listed: p, Number: m.Number}
	if runes := []rune(out.Mailbox); len(runes) > 120 {
		out.Mailbox = string(runes[:119]) + "…"
	}
	if m.Token != nil {
		out.Person, out.Name, out.Secret, out.Mailbox = m.Token.Person.ID, m.Token.Person.Name, m.Token.Secret, p.Mailbox
		return out
	}
	code := ""
	if f := fault.Of(m.Fault); f != nil {
		code = f.Code
	}
	switch key := "registrar.line." + code; {
	case p.Mailbox == "":
		out.What = v.language.say("registrar.line.empty")
	case code == enroll.ErrTokenMade.Code && m.Number == 0:
		out.What = v.language.say("registrar.line.twice")
	case texts[key].EN != "":
		out.What = v.language.say(key)
	default:
		out.What, _, _ = d.refusal(r, v, m.Fault)
	}
	return out
}

// tokensMade are tokens that were made right now, with what they are taken along in.
type tokensMade struct {
	Number    int64 // the list's
	Made      []listLine
	Wrong     []listLine
	Ends      time.Time
	Tell      bool
	CSV, JSON template.URL // the files themselves: nothing of them is kept
	Command   string
	Known     bool // the command names the server
}

// makeList makes the tokens and shows them, this once: it is the answer to the form, and the form makes no second ones.
func (d registrars) makeList(w http.ResponseWriter, r *http.Request, v *visit) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	page, err := wish(form)
	if err != nil {
		return err
	}
	people, err := readList(page.List)
	if err != nil {
		return d.showLists(w, r, v, page, err)
	}
	b := enroll.TokenBatch{Life: time.Duration(page.Days) * oneDay, Name: "portal " + page.Form.String(), Tell: page.Tell && d.Standing.Mails}
	for _, p := range people {
		b.Mailboxes = append(b.Mailboxes, p.Mailbox)
	}
	made, err := d.Registry.MintTokens(r.Context(), v.Caller.Actor, b)
	if err != nil {
		return d.showLists(w, r, v, page, err)
	}
	out := tokensMade{Tell: b.Tell}
	for i, m := range made {
		line := d.listLine(r, v, people[i], m)
		if m.Token == nil {
			out.Wrong = append(out.Wrong, line)
			continue
		}
		if out.Number == 0 {
			out.Number, out.Ends = m.Number, m.Token.Ends
		}
		out.Made = append(out.Made, line)
	}
	if len(out.Made) == 0 {
		page.Form, page.Read, page.Wrong = uuid.New(), true, out.Wrong
		return d.showLists(w, r, v, page, enroll.ErrTokenMade)
	}
	if err := out.files(); err != nil {
		return err
	}
	server := d.Certificates // the same listener
	out.Known = server != ""
	if server == "" {
		server = "https://SERVER:PORT"
	}
	out.Command = "sealpost-agent install --all-users --server " + server + " --roots root.pem --token-file token.txt"
	return d.show(w, r, v, http.StatusOK, "registrar-list-made", "registrar.list-made-title", out)
}

// files makes what is taken along, for programs that manage computers.
func (m *tokensMade) files() error {
	columns := []column{{Key: "mailbox"}, {Key: "token"}, {Key: "number"}, {Key: "ends"}}
	rows := make([][]cell, len(m.Made))
	for i, l := range m.Made {
		rows[i] = []cell{{Text: l.Mailbox}, {Text: l.Secret}, {Text: strconv.FormatInt(l.Number, 10)}, {At: m.Ends}}
	}
	asFile := func(media string, content []byte) template.URL {
		return template.URL("data:" + media + ";base64," + base64.StdEncoding.EncodeToString(content)) // it is of our own making, and markup in none of its letters
	}
	inCSV, err := asCSV(columns, rows)
	if err != nil {
		return err
	}
	inJSON, err := asJSON(columns, rows)
	if err != nil {
		return err
	}
	m.CSV, m.JSON = asFile("text/csv", inCSV), asFile("application/json", bytes.TrimSpace(inJSON))
	return nil
}

// tokenList is a list of tokens that were made together.
type tokenList struct {
	*enroll.TokenList
	Maker string
	Shown searched
}

func listIn(r *http.Request) (int64, error) {
	n, err := strconv.ParseInt(chi.URLParam(r, "list"), 10, 64)
	if err != nil || n <= 0 {
		return 0, ErrNoPage
	}
	return n, nil
}

func (d registrars) list(w http.ResponseWriter, r *http.Request, v *visit) error {
	number, err := listIn(r)
	if err != nil {
		return err
	}
	stands, err := d.Registry.TokenList(r.Context(), v.Caller.Actor, number)
	if err != nil {
		return err
	}
	page := tokenList{TokenList: stands}
	looks, err := d.looked(r.Context(), []uuid.UUID{stands.MadeBy})
	if err != nil {
		return err
	}
	page.Maker = called(v.language, looks[stands.MadeBy], stands.MadeBy)
	var done bool
	l := d.tokenTable(v, enroll.WhichTokens{List: number})
	l.Choices[0].Options = slices.Clone(l.Choices[0].Options)
	l.Choices[0].Options[0], l.Choices[0].Options[4] = option{"", "registrar.tokens-any"}, option{"open", "registrar.token-state.open"}
	l.Filter = ""
	if page.Shown, done, err = d.search(w, r, v, l, nil); done || err != nil {
		return err
	}
	return d.show(w, r, v, page.Shown.status, "registrar-list", "registrar.list-title", page)
}

func (d registrars) withdrawList(w http.ResponseWriter, r *http.Request, v *visit) error {
	number, err := listIn(r)
	if err != nil {
		return err
	}
	n, err := d.Registry.WithdrawTokens(r.Context(), v.Caller.Actor, number)
	if err != nil {
		return err
	}
	said := "registrar-list-withdrawn"
	if n == 0 {
		said = "registrar-nothing"
	}
	return d.done(w, r, "/registrar/tokens/lists/"+strconv.FormatInt(number, 10), said)
}
