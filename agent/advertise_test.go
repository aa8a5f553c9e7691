package agent_test

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/cms"
)

// handedIn demands that so many values came, the last of them about an identity's certificates, and returns it.
func (w *workstation) handedIn(t *testing.T, n int, id *agent.Identity) *cms.Advertisement {
	t.Helper()
	if len(w.advertised) != n {
		t.Fatalf("%d values came, want %d; the server saw %v", len(w.advertised), n, w.seen)
	}
	a, err := cms.ReadAdvertisement(w.advertised[n-1])
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Signer.Raw, id.Signing().Certificate) || !bytes.Equal(a.Encryption.Raw, id.Encryption().Certificate) {
		t.Error("it is about other certificates")
	}
	return a
}

func (w *workstation) renew(t *testing.T) *agent.Renewal {
	t.Helper()
	r, err := w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What the directory shows is signed when there are new certificates, and once where the server has none.
func TestAdvertise(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	w.wants = true
	id, err := w.enrol(t, agent.EnrolOptions{})
	if err != nil {
		t.Fatal(err)
	}
	a := w.handedIn(t, 1, id)
	if !a.SigningTime.Equal(start) || len(a.Certificates) != 3 || !slices.ContainsFunc(a.Certificates, w.pki.issuing.Equal) ||
		!slices.EqualFunc(a.Capabilities, cms.DefaultCapabilities(), asn1.ObjectIdentifier.Equal) {
		t.Errorf("%+v", a)
	}
	asked := len(w.seen)
	w.renew(t)
	if len(w.seen) != asked {
		t.Errorf("asked again at once: %v", w.seen[asked:])
	}
	w.clock.at = start.Add(24 * time.Hour)
	w.renew(t)
	if got := w.seen[asked:]; !slices.Equal(got, []string{"GET policy certificate"}) {
		t.Errorf("a day later: %v", got)
	}
	w.advertised = nil // the server was restored from a backup
	w.clock.at = start.Add(48 * time.Hour)
	w.handedIn(t, 1, w.renew(t).Identity)
	w.clock.at = w.renew(t).Due.Add(time.Hour)
	r := w.renew(t)
	if w.handedIn(t, 2, r.Identity); !r.Renewed || bytes.Equal(r.Identity.Signing().Certificate, id.Signing().Certificate) {
		t.Errorf("%+v", r)
	}
}

// A token, which is spent by then, is not shown for it.
func TestAdvertiseByToken(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	w.wants = true
	id, err := w.agent(t, byToken).Enrol(t.Context(), agent.EnrolOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.handedIn(t, 1, id)
	if w.seen[len(w.seen)-1] != "POST advertisements certificate" {
		t.Errorf("the server saw %v", w.seen)
	}
}

// One certificate for both says so of itself.
func TestAdvertiseSingle(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	w.wants, w.both = true, true
	w.plans = []api.Enrolment{{Name: "single", Signing: &api.KeyPlan{Algorithms: []string{"P-256"}}}}
	if _, err := w.enrol(t, agent.EnrolOptions{}); err != nil {
		t.Fatal(err)
	}
	if len(w.advertised) != 1 {
		t.Fatalf("%d values came", len(w.advertised))
	}
	if a, err := cms.ReadAdvertisement(w.advertised[0]); err != nil || a.Signer != a.Encryption || len(a.Certificates) != 2 {
		t.Errorf("%+v, %v", a, err)
	}
}

// However it fails, the enrolment is good and the person told; the next run hands it in.
func TestAdvertiseFails(t *testing.T) {
	t.Parallel()
	crash := errors.New("crash")
	for name, c := range map[string]struct {
		before func(*workstation)
		step   string // after which the agent is killed
		after  func(*workstation)
	}{
		"refused":                {func(w *workstation) { w.unwelcome = true }, "", func(w *workstation) { w.unwelcome = false }},
		"killed at the end":      {func(*workstation) {}, "finish", func(*workstation) {}},
		"killed before the end":  {func(*workstation) {}, "keep", func(*workstation) {}},
		"killed after it was in": {func(*workstation) {}, "advertise", func(*workstation) {}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, again := range []string{"renew", "enroll"} {
				w := newWorkstation(t)
				w.wants = true
				c.before(w)
				var told []string
				a := w.agent(t, asAlice)
				a.Tell(func(step, text string) { told = append(told, step+": "+text) })
				a.SetAfter(func(step string) error {
					if step == c.step {
						return crash
					}
					return nil
				})
				if _, err := a.Enrol(t.Context(), agent.EnrolOptions{}); err != nil && !errors.Is(err, crash) {
					t.Fatal(err)
				}
				if c.step == "" && !strings.Contains(strings.Join(told, "\n"), "directory: note: ") {
					t.Errorf("the person was told %v", told)
				}
				c.after(w)
				w.clock.at = start.Add(time.Minute)
				if again == "renew" {
					w.handedIn(t, 1, w.renew(t).Identity)
					continue
				}
				id, err := w.enrol(t, agent.EnrolOptions{})
				if err != nil && !errors.Is(err, agent.ErrEnrolled) {
					t.Fatal(err)
				}
				w.handedIn(t, 1, id)
			}
		})
	}
}

// A server that is away for the daily question is no matter.
func TestAdvertiseAway(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	if _, err := w.enrol(t, agent.EnrolOptions{}); err != nil {
		t.Fatal(err)
	}
	w.away, w.wants, w.clock.at = true, true, start.Add(24*time.Hour)
	a := w.agent(t, func(c *client.Config) {})
	a.Tell(func(step, text string) { t.Errorf("told: %s %s", step, text) })
	if r, err := a.Renew(t.Context(), agent.RenewOptions{}); err != nil || r.Renewed {
		t.Errorf("%+v, %v", r, err)
	}
	w.away = false
	w.handedIn(t, 1, w.renew(t).Identity)
}
