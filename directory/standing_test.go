package directory_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// Standings follows people out of the company and back, whatever is remembered of them.
func TestStandings(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *directory.Config) { c.Cache = 1 << 40 })
	var ids []uuid.UUID
	for _, login := range []string{"alice", "bob", "carol", "dave"} {
		ids = append(ids, b.login(t, login).ID)
	}
	ids = append(ids, uuid.New())
	expect := func(what string, want ...directory.Standing) {
		t.Helper()
		got, err := b.Standings(t.Context(), ids)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v", what, got, err)
		}
	}
	const active, disabled, gone, unknown = directory.StandingActive, directory.StandingDisabled, directory.StandingGone, directory.StandingUnknown
	expect("at first", active, active, active, disabled, unknown)
	b.ldap.Modify(t, "dn: "+slapdtest.PersonDN("alice")+"\nchangetype: modify\nadd: employeeType\nemployeeType: disabled\n")
	b.ldap.Modify(t, "dn: "+slapdtest.PersonDN("bob")+"\nchangetype: delete\n")
	b.ldap.Modify(t, "dn: "+slapdtest.PersonDN("carol")+"\nchangetype: modrdn\nnewrdn: uid=caroline\ndeleteoldrdn: 1\n")
	expect("after changes", disabled, gone, active, disabled, unknown)
	b.ldap.Modify(t, "dn: "+slapdtest.PersonDN("alice")+"\nchangetype: modify\ndelete: employeeType\n")
	expect("one came back", active, gone, active, disabled, unknown)
	// Another server, which remembers nothing.
	other, err := directory.New(b.config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	if got, err := other.Standings(t.Context(), ids); err != nil || !slices.Equal(got, []directory.Standing{active, gone, active, disabled, unknown}) {
		t.Errorf("another server: %v, %v", got, err)
	}
	if got, err := b.Standings(t.Context(), nil); err != nil || len(got) != 0 {
		t.Errorf("nobody: %v, %v", got, err)
	}
}

// A directory that does not answer, or does not answer whole, says nothing of anybody.
func TestStandingsAreCertain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ids := []uuid.UUID{b.login(t, "alice").ID, b.login(t, "bob").ID}
	for what, change := range map[string]func(*directory.Config){
		"a base that is not there": func(c *directory.Config) { c.People.Base = "ou=nowhere," + slapdtest.Base },
		"a wrong password":         func(c *directory.Config) { c.LookupPassword = "wrong" },
		"no server":                func(c *directory.Config) { c.URLs = []string{"ldaps://127.0.0.1:1"} },
	} {
		c := b.config
		change(&c)
		d, err := directory.New(c)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := d.Standings(t.Context(), ids); !errors.Is(err, fault.Unavailable) || got != nil {
			t.Errorf("%s: %v, %v", what, got, err)
		}
		d.Close()
	}
	b.ldap.Stop()
	if got, err := b.Standings(t.Context(), ids); !errors.Is(err, directory.ErrUnavailable) || got != nil {
		t.Errorf("stopped: %v, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Standings(ctx, ids); err == nil {
		t.Error("cancelled: no error")
	}
}

// A server that shows fewer entries than were asked for gets nobody revoked.
func TestStandingsWithinALimit(t *testing.T) {
	t.Parallel()
	b := with(t, slapdtest.NewWith(t, slapdtest.Config{Extra: "sizelimit 1"}))
	ids := []uuid.UUID{b.login(t, "alice").ID, b.login(t, "bob").ID}
	if got, err := b.Standings(t.Context(), ids); !errors.Is(err, directory.ErrRefused) || got != nil {
		t.Errorf("%v, %v", got, err)
	}
}
