package agent_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/internal/rostertest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// between puts somebody between a machine and the server, who changes answers to paths that end so.
func (m *machine) between(suffix string, change func(body []byte) []byte) *agent.Agent {
	m.t.Helper()
	target, err := url.Parse(m.url)
	must(m.t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: m.tls}}
	proxy.ModifyResponse = func(r *http.Response) error {
		if !strings.HasSuffix(r.Request.URL.Path, suffix) || r.StatusCode/100 != 2 {
			return nil
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		body = change(body)
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		r.Header.Set("Content-Length", strconv.Itoa(len(body)))
		return nil
	}
	s := httptest.NewTLSServer(proxy)
	m.t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	a, err := agent.New(agent.Config{Dir: m.dir, Anchors: []*x509.Certificate{m.PKI.Root}, Poll: m.poll, Now: m.Clock.Now,
		Server: client.Config{BaseURL: s.URL, Roots: roots, Retries: -1, Login: m.login, Password: slapdtest.Password(m.login)}})
	must(m.t, err)
	return a
}

// changed decodes an answer, changes it and encodes it again.
func changed[T any](t *testing.T, change func(*T)) func([]byte) []byte {
	return func(body []byte) []byte {
		var v T
		if err := json.Unmarshal(body, &v); err != nil {
			t.Error(err)
		}
		change(&v)
		out, err := json.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		return out
	}
}

// A server that lies about what is to be signed gets no signature; one that lies about the case is not believed.
func TestRestoreFromALyingServer(t *testing.T) {
	o := newOffice(t)
	o.machine("alice").enrolled(2, "P-256")
	m := o.machine("alice")
	m.enrolled(1, "P-256")
	bob := o.Actor(t, "bob").Person
	foreign := rostertest.New(t, 2, 3)
	for name, tt := range map[string]struct {
		change func(*api.CaseDrafts)
		want   error
	}{
		"another person's keys": {func(d *api.CaseDrafts) { d.Drafts[0].Subjects[0].Person = bob }, agent.ErrDraft},
		"more people": {func(d *api.CaseDrafts) {
			d.Drafts[0].Subjects = append(d.Drafts[0].Subjects, api.CaseSubject{Person: bob})
		}, agent.ErrDraft},
		"nothing at all":        {func(d *api.CaseDrafts) { d.Drafts = nil }, agent.ErrDraft},
		"a record that is none": {func(d *api.CaseDrafts) { d.Drafts[0].Subjects[0].Records[0].SPKISHA256 = "x" }, agent.ErrDraft},
		"other officers":        {func(d *api.CaseDrafts) { d.Drafts[0].Roster = foreign.Bytes() }, agent.ErrOfficers},
		"officers altered":      {func(d *api.CaseDrafts) { d.Drafts[0].Roster[len(d.Drafts[0].Roster)-1] ^= 1 }, agent.ErrOfficers},
		"no issuers":            {func(d *api.CaseDrafts) { d.Drafts[0].Intermediates = nil }, agent.ErrOfficers},
	} {
		if _, err := m.between("/cases/drafts", changed(t, tt.change)).Restore(t.Context(), agent.RestoreOptions{}); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	if n := o.Database.Count(t, `select count(*) from archive.recovery_case`); n != 0 {
		t.Fatalf("%d cases were opened", n)
	}
	kase, _ := m.opened(agent.RestoreOptions{})
	swap := changed(t, func(c *api.Case) { c.Signed = append([]byte(nil), c.Signed[1:]...) })
	if _, err := m.between("/cases/"+kase.String(), swap).Restore(t.Context(), agent.RestoreOptions{}); !errors.Is(err, agent.ErrCaseAltered) {
		t.Errorf("another case in its place: %v", err)
	}
	o.approve(kase, "olivia", "oscar")
	twist := changed(t, func(b *api.Blobs) { slices.Reverse(b.Items) })
	if _, err := m.between("/records", twist).Restore(t.Context(), agent.RestoreOptions{}); err == nil || errors.Is(err, agent.ErrCaseWaiting) {
		t.Errorf("records in another order: %v", err)
	}
	// What was changed on the way is nobody's fault that could be proven; nobody is disputed, and nothing is lost.
	spoil := changed(t, func(c *api.CaseSealed) { c.Items[0].Partials[len(c.Items[0].Partials)-1] ^= 1 })
	if _, err := m.between("/sealed", spoil).Restore(t.Context(), agent.RestoreOptions{}); !errors.Is(err, agent.ErrCaseWaiting) {
		t.Errorf("partials changed on the way: %v", err)
	}
	if n := o.events("archive.case-disputed"); n != 0 {
		t.Errorf("%d officers were blamed", n)
	}
	// Certificates that cannot be had or believed do not lose the keys.
	r, err := m.between("/certificates", changed(t, func(p *api.Page[api.Certificate]) { p.Items = nil })).Restore(t.Context(), agent.RestoreOptions{})
	if err != nil || r.Loose == nil || r.Loose.Keys != 3 || r.Loose.Uncertified != 3 {
		t.Fatalf("without certificates: %+v, %v", r, err)
	}
	password := "file:" + r.Loose.Password
	if out := run(t, "", "openssl", "pkcs12", "-in", r.Loose.P12, "-passin", password, "-nodes", "-nocerts"); strings.Count(out, "BEGIN PRIVATE KEY") != 3 {
		t.Errorf("openssl reads %s", out)
	}
}

// A roster that this machine has not seen before is told of, once.
func TestRestoreTellsOfOtherOfficers(t *testing.T) {
	o := newOffice(t)
	o.machine("alice").enrolled(1, "P-256")
	m := o.machine("alice")
	m.enrolled(1, "P-256")
	m.opened(agent.RestoreOptions{})
	must(t, m.agent(false).CancelRestore(t.Context(), "", ""))
	path := filepath.Join(m.dir, o.Actor(t, "alice").Person.String(), "rosters.json")
	text := readFile(t, path)
	for name, tt := range map[string]struct{ from, to, want string }{
		"another roster": {o.Roster.Hash().String(), strings.Repeat("0", 64), "were NOT made"},
		"another key":    {o.Roster.KeyID().String(), strings.Repeat("0", 64), "never seen"},
	} {
		write(t, path, []byte(strings.ReplaceAll(text, tt.from, tt.to)))
		_, st := m.opened(agent.RestoreOptions{})
		if len(st.Warnings) != 1 || !strings.Contains(st.Warnings[0], strings.Replace(tt.want, "were NOT made", "NOT made", 1)) {
			t.Errorf("%s: %q", name, st.Warnings)
		}
		must(t, m.agent(false).CancelRestore(t.Context(), "", ""))
		if _, st := m.opened(agent.RestoreOptions{}); len(st.Warnings) != 0 {
			t.Errorf("%s: told again: %q", name, st.Warnings)
		}
		must(t, m.agent(false).CancelRestore(t.Context(), "", ""))
	}
	write(t, path, []byte("{"))
	if _, err := m.agent(false).Restore(t.Context(), agent.RestoreOptions{}); !errors.Is(err, agent.ErrState) {
		t.Errorf("a damaged file: %v", err)
	}
}

// What a person's folder says of a restore is believed only if it is whole.
func TestRestoreStateIsChecked(t *testing.T) {
	o := newOffice(t)
	o.machine("alice").enrolled(1, "P-256")
	m := o.machine("alice")
	m.enrolled(1, "P-256")
	m.opened(agent.RestoreOptions{})
	path := filepath.Join(m.dir, o.Actor(t, "alice").Person.String(), "restore.json")
	good := readFile(t, path)
	var v map[string]any
	must(t, json.Unmarshal([]byte(good), &v))
	for name, change := range map[string]func(map[string]any){
		"no key":         func(v map[string]any) { delete(v, "key") },
		"no cases":       func(v map[string]any) { v["cases"] = []any{} },
		"newer":          func(v map[string]any) { v["version"] = 2 },
		"more":           func(v map[string]any) { v["more"] = 1 },
		"nobody":         func(v map[string]any) { v["person"] = uuid.Nil },
		"no case":        func(v map[string]any) { v["cases"].([]any)[0].(map[string]any)["signed"] = "AAAA" },
		"no officers":    func(v map[string]any) { v["cases"].([]any)[0].(map[string]any)["roster"] = "AAAA" },
		"no certificate": func(v map[string]any) { v["recipient"] = "AAAA" },
	} {
		must(t, json.Unmarshal([]byte(good), &v))
		change(v)
		data, err := json.Marshal(v)
		must(t, err)
		write(t, path, data)
		if _, err := m.agent(false).Restore(t.Context(), agent.RestoreOptions{}); !errors.Is(err, agent.ErrState) {
			t.Errorf("%s: %v", name, err)
		}
		delete(v, "more")
	}
}
