package portal

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/web/allowance"
)

//go:embed templates/*.html
var templateFiles embed.FS

// look is how all pages look in one language.
type look struct{ pages map[string]*template.Template }

// newLook reads the templates. Each page's file defines "main"; layout.html has what is around it, and parts.html what
// several pages have.
func newLook(l language, a *assets) (*look, error) {
	layout, err := template.New("layout.html").Funcs(template.FuncMap{
		"t": l.say, "date": l.date, "iso": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"exact": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
		"apart": apart, "pill": statePill, "asset": a.url, "integrity": a.integrity, "icon": a.icon,
	}).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, err
	}
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, err
	}
	out := &look{map[string]*template.Template{}}
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(file, "templates/"), ".html")
		if name == "layout" || name == "parts" {
			continue
		}
		t, err := layout.Clone()
		if err != nil {
			return nil, err
		}
		if out.pages[name], err = t.ParseFS(templateFiles, file); err != nil {
			return nil, err
		}
	}
	return out, nil
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
	t := p.looks[v.language].pages[name]
	if t == nil {
		return fmt.Errorf("portal: there is no template %s", name)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, a); err != nil { // before anything is sent
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", string(v.language))
	h.Set("Vary", "Accept-Language, Cookie")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(out.Len()))
	w.WriteHeader(status)
	_, err := w.Write(out.Bytes())
	if err != nil {
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
	if said := "fault." + strings.TrimPrefix(p.Type, api.ProblemType); texts[said].EN != "" {
		return l.say(said)
	}
	return p.Detail
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
