package web_test

import (
	"net/http"
	"testing"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/gal"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/web"
)

// Operators and auditors see how the directory differs from what it should show; others do not.
func TestGAL(t *testing.T) {
	var p *gal.Publisher
	r := setup(t, func(c *web.Config) {
		var err error
		p, err = gal.New(gal.Config{DB: c.Registry.DB, Authority: c.Authority, Directory: c.Directory, Audit: c.Audit, Now: c.Now})
		must(t, err)
		c.GAL = p
	})
	alice, _ := r.enrol(t, "alice", housetest.Pair)
	must(t, p.Sweep(t.Context(), audit.System("gal"), gal.Sweeping{Now: true}))
	st := read[api.GALStatus](t, r.ask(t, person("operator"), http.MethodGet, "/gal", nil))
	if st.Number != 1 || st.Phase != "done" || st.EndedAt == nil || st.People != 1 || st.Drift["missing"] != 1 {
		t.Errorf("%+v", st)
	}
	list := read[api.Page[api.Drift]](t, r.ask(t, person("auditor"), http.MethodGet, "/gal/drift?kind=missing&limit=1", nil))
	if len(list.Items) != 1 || *list.Items[0].Person != alice.Person || list.Items[0].Missing != 1 || list.Items[0].DN == "" || list.Next == "" {
		t.Errorf("%+v", list)
	}
	if more := read[api.Page[api.Drift]](t, r.ask(t, person("auditor"), http.MethodGet, "/gal/drift?after="+list.Next, nil)); len(more.Items) != 0 {
		t.Errorf("%+v", more)
	}
	for path, status := range map[string]int{"/gal": 403, "/gal/drift": 403, "/gal/drift?kind=odd": 400, "/gal/drift?after=x": 400} {
		who := person("bob")
		if status == 400 {
			who = person("operator")
		}
		if got := r.ask(t, who, http.MethodGet, path, nil); got.status != status {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	if got := r.ask(t, as{}, http.MethodGet, "/gal", nil); got.status != 401 {
		t.Errorf("nobody: %d", got.status)
	}
}
