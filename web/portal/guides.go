package portal

import (
	"net/http"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/sealpost/sealpost/internal/audit"
)

// routeGuides has the pages of how certificates get into mail programs. Guides hold nothing of anybody, so that they can be read
// on the telephone too on which nobody has signed in.
func (p *Portal) routeGuides() {
	p.router.Get("/guides", p.open("guides", p.guides))
	p.router.Get("/guides/{program}", p.open("guide", p.guide))
	p.router.Get(setUpPath, p.only("guides-administrators", p.setUp, audit.Operator))
	p.router.Get(setUpPath+"/{file}", p.only("guides-file", p.setUpFile, audit.Operator))
}

// program is a mail program that there is a guide for. Its name is part of its address; its texts are "guide." and its name.
type program struct {
	Name  string
	Icon  string
	steps []guideStep
	// systems on which it is offered first.
	systems []string
}

// guideStep is one step of a guide: what it is about ("guides.step."), and how it looks.
type guideStep struct {
	about   string
	picture picture
}

// systems, as browsers name them. The first that fits counts.
var systems = []struct{ system, sign string }{
	{"ios", "iPhone"}, {"ios", "iPad"}, {"android", "Android"}, {"windows", "Windows"}, {"mac", "Macintosh"}, {"linux", "Linux"}, {"linux", "X11"},
}

// systemOf is what somebody's browser says it runs on; "" if it does not.
func systemOf(r *http.Request) string {
	agent := r.UserAgent()
	for _, s := range systems {
		if strings.Contains(agent, s.sign) {
			return s.system
		}
	}
	return ""
}

// programsFor returns the programs of a system, the likeliest first, and all others.
func programsFor(system string) (own, others []program) {
	for _, p := range programs {
		if slices.Contains(p.systems, system) {
			own = append(own, p)
		} else {
			others = append(others, p)
		}
	}
	return own, others
}

func (p *Portal) guides(w http.ResponseWriter, r *http.Request, v *visit) error {
	system := systemOf(r)
	own, others := programsFor(system)
	return p.show(w, r, v, http.StatusOK, "guides", "guides.title", struct {
		System      string
		Own, Others []program
		Operator    bool
	}{system, own, others, v.has(audit.Operator)})
}

// shownStep is a step as its page has it.
type shownStep struct {
	Number  int
	Head    string // what it is about, as a key of texts
	Text    string // as a key
	Drawing drawing
}

func (p *Portal) guide(w http.ResponseWriter, r *http.Request, v *visit) error {
	name := chi.URLParam(r, "program")
	n := slices.IndexFunc(programs, func(p program) bool { return p.Name == name })
	if n < 0 {
		return ErrNoPage
	}
	of := programs[n]
	var steps []shownStep
	for n, s := range of.steps {
		steps = append(steps, shownStep{n + 1, "guides.step." + s.about, "guide." + name + "." + s.about, s.picture.draw(v.language.say)})
	}
	var others []program
	for _, o := range programs {
		if o.Name != name {
			others = append(others, o)
		}
	}
	return p.show(w, r, v, http.StatusOK, "guides-program", "guide."+name, struct {
		Program program
		Steps   []shownStep
		Others  []program
		Test    bool // there are test mails, to see whether it worked
	}{of, steps, others, p.leads("/test")})
}

// Troubles are what a guide has an answer to.
func (p program) Troubles() []string { return []string{"trouble-1", "trouble-2"} }
