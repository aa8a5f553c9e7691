package portal_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/web"
)

// The page is for people who showed lately who they are, and says where there is no archive.
func TestRestorePage(t *testing.T) {
	s := setup(t)
	b := s.browser(t)
	b.get("/restore").is(t, "a stranger", 200, "/signin?to=%2Frestore")
	b.signIn("bob")
	b.get("/restore").is(t, "bob", 200, "/restore", "Read older mail on this device", `id="start-form"`, `src="/assets/app/restore-`)
	b.header.Set("Accept-Language", "de")
	b.get("/restore").is(t, "bob in German", 200, "/restore", "Ältere E-Mail auf diesem Gerät lesen", "hat zugestimmt")
	s.Clock.Advance(11 * time.Minute)
	b.get("/restore").is(t, "later", 200, "/prove?to=%2Frestore")
}

func TestRestoreWithoutAnArchive(t *testing.T) {
	s := setup(t, func(_ *site, c *web.Config) { c.Archive, c.Recovery = nil, nil })
	b := s.browser(t)
	b.signIn("bob")
	got := b.get("/restore")
	got.is(t, "bob", 200, "/restore", "there is nothing to restore here")
	if strings.Contains(got.body, "start-form") {
		t.Error("there is a form all the same")
	}
}
