package portal

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/web/allowance"
)

//go:embed templates/*.html
var templateFiles embed.FS

// look is how all pages look in one language: one set of templates, because a set for each page would hold the shared ones
// as often. A page's "main" and "head" have its name and a slash before theirs.
type look struct{ all *template.Template }

// newLook reads the templates. Each page's file defines "main", and "head" if it needs more there; layout.html has what is
// around them, and parts.html what several pages have.
func newLook(l language, a *assets) (*look, error) {
	words := template.FuncMap{
		"t": l.say, "date": l.date, "iso": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"exact": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
		"apart": apart, "pill": statePill, "asset": a.url, "integrity": a.integrity, "icon": a.icon,
	}
	all, err := template.New("layout.html").Funcs(words).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, err
	}
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(file, "templates/"), ".html")
		if name == "layout" || name == "parts" {
			continue
		}
		page, err := template.New(name).Funcs(words).ParseFS(templateFiles, file)
		if err != nil {
			return nil, err
		}
		for _, t := range page.Templates() {
			as := t.Name()
			switch as {
			case name, path.Base(file): // what is around the definitions
				continue
			case "main", "head":
				as = name + "/" + as
			}
			if all.Lookup(as) != nil {
				return nil, fmt.Errorf("portal: %s defines %s, which is there already", file, as)
			}
			if _, err := all.AddParseTree(as, t.Tree); err != nil {
				return nil, err
			}
		}
	}
	return &look{all}, nil
}

// page makes a page: its own parts first, which the layout then has in it.
func (k *look) page(name string, a around) ([]byte, error) {
	made := func(part string) (template.HTML, error) {
		var out strings.Builder
		err := k.all.ExecuteTemplate(&out, name+"/"+part, a)
		return template.HTML(out.String()), err // a template escaped what it was given
	}
	var err error
	if a.Main, err = made("main"); err != nil {
		return nil, err
	}
	if k.all.Lookup(name+"/head") != nil {
		if a.Head, err = made("head"); err != nil {
			return nil, err
		}
	}
	var out bytes.Buffer
	err = k.all.Execute(&out, a)
	return out.Bytes(), err
}

// around is what the layout shows around a page.
type around struct {
	Language     language
	Languages    []language
	Title        string
	Organisation string
	Name         string // of who is signed in
	Areas        []area // that are theirs
	Path         string // of this page, to come back to
	At           string // this page's, without what is asked of it
	Done         string // what was just done
	Body         any
	Head, Main   template.HTML // what the page's own templates made of it
}

// area is a part of the portal for those who have a role.
type area struct {
	Name, Path, Icon string
	Here             bool
}

// areas are those that somebody may go to.
func (v *visit) areas(path string) (out []area) {
	for _, a := range []struct {
		area
		roles []audit.Role
	}{
		{area{Name: "registrar", Path: "/registrar", Icon: "users"}, []audit.Role{audit.Registrar}},
		{area{Name: "officer", Path: "/officer", Icon: "key-round"}, []audit.Role{audit.RecoveryAgent, audit.RecoveryRequester}},
		{area{Name: "operator", Path: "/operator", Icon: "activity"}, []audit.Role{audit.Operator}},
		{area{Name: "auditor", Path: "/auditor", Icon: "scroll-text"}, []audit.Role{audit.Auditor}},
	} {
		if v.has(a.roles...) {
			a.Here = path == a.Path || strings.HasPrefix(path, a.Path+"/")
			out = append(out, a.area)
		}
	}
	return out
}

// show answers with a page.
func (p *Portal) show(w http.ResponseWriter, r *http.Request, v *visit, status int, name, title string, body any) error {
	a := around{Language: v.language, Languages: languages, Title: v.language.say(title), Organisation: p.Organisation, Path: backTo(r), At: r.URL.Path, Body: body}
	if v.signedIn {
		a.Name, a.Areas, a.Done = v.Person.Name, v.areas(r.URL.Path), justDone(w, r, v.language)
	}
	out, err := p.looks[v.language].page(name, a) // before anything is sent
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", string(v.language))
	h.Set("Vary", "Accept-Language, Cookie")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(out)))
	w.WriteHeader(status)
	if _, err := w.Write(out); err != nil {
		p.Log.DebugContext(r.Context(), "page was not read to its end", "error", err)
	}
	return nil
}

// failure is what the page of an error shows.
type failure struct {
	Happened string // what happened
	Request  string // the request's id
	Retry    bool   // it may be otherwise in a moment
}

// happened is what a problem says, in our readers' words where there are some.
func (l language) happened(p api.Problem) string {
	code := strings.TrimPrefix(p.Type, api.ProblemType)
	if texts["fault."+code].EN == "" {
		return p.Detail
	}
	said := l.say("fault." + code)
	if exact(code) {
		said += " (" + p.Detail + ")"
	}
	return said
}

// fail answers with an error as a page.
func (p *Portal) fail(w http.ResponseWriter, r *http.Request, v *visit, err error) {
	problem := p.Problem(r.Context(), err)
	if l := (allowance.Later{}); errors.As(err, &l) {
		w.Header().Set("Retry-After", l.RetryAfter())
	}
	f := failure{Happened: v.language.happened(problem), Request: strings.TrimPrefix(problem.Instance, "urn:uuid:"), Retry: problem.Status >= 500 || problem.Status == http.StatusTooManyRequests}
	title := "error.title"
	if problem.Status == http.StatusNotFound {
		title = "error.not-found"
	}
	if err := p.show(w, r, v, problem.Status, "error", title, f); err != nil {
		p.Log.ErrorContext(r.Context(), "the page of an error could not be made", "error", err)
		http.Error(w, problem.Detail, problem.Status)
	}
}
