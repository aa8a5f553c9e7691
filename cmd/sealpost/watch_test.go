package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// Two servers on one database, and sweeps far between: who is disabled is on the list, an address that moves takes the
// certificates that name it out of the directory and its new owner's new ones bring it back, somebody new is in the log, each
// once; also what happened while no server ran, and while the directory was away.
func TestDirectoryIsWatched(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	metrics := freeAddress(t)
	i.edit(t, map[string]any{"directory.watch": "1s", "leavers.every": "100h"})
	first := i.serve(t)
	second := i.sibling(t).serve(t)
	first.enrol(t, "alice")
	bob, _ := second.enrol(t, "bob")
	first.enrol(t, "carol")
	for _, login := range []string{"alice", "bob", "carol"} {
		i.awaitShown(t, login, true)
	}
	i.slapd.Modify(t, "dn: "+slapdtest.PersonDN("alice")+"\nchangetype: modify\nadd: employeeType\nemployeeType: disabled\n")
	i.awaitList(t, "Alice Anders disabled noticed")
	i.slapd.Modify(t, "dn: "+slapdtest.PersonDN("alice")+"\nchangetype: modify\ndelete: employeeType\n")
	i.awaitList(t)

	const address = "robert.brown@example.test"
	mail := func(login string, addresses ...string) {
		i.slapd.Modify(t, "dn: "+slapdtest.PersonDN(login)+"\nchangetype: modify\nreplace: mail\nmail: "+strings.Join(addresses, "\nmail: ")+"\n")
	}
	mail("bob", "bob@example.test")
	mail("carol", "carol@example.test", address)
	i.awaitList(t, "Bob Brown moved noticed")
	i.awaitShown(t, "bob", false)
	i.awaitShown(t, "carol", true)
	again, _ := second.enrol(t, "bob")
	i.awaitShown(t, "bob", true)
	if got := again.Certificates[1].Mailboxes; !slices.Equal(got, []string{"bob@example.test"}) {
		t.Errorf("Bob's new certificates: %v", got)
	}
	hers, _ := first.enrol(t, "carol")
	if got := hers.Certificates[1].Mailboxes; !slices.Contains(got, address) {
		t.Errorf("Carol's new certificates: %v", got)
	}
	i.run(t, "leavers revoke "+bob.Person.String(), "--note", "The address is Carol's now.")
	for _, c := range bob.Certificates {
		if n := i.db.Count(t, `select count(*) from ca.revocation where encode(serial, 'hex') = $1 and reason = 3`, c.Serial); n != 1 {
			t.Errorf("%s: %d revocations", c.Serial, n)
		}
	}
	for _, c := range again.Certificates {
		if n := i.db.Count(t, `select count(*) from ca.revocation where encode(serial, 'hex') = $1`, c.Serial); n != 0 {
			t.Errorf("%s, which names what is Bob's, is revoked", c.Serial)
		}
	}

	// While the directory is away, and while no server runs.
	i.slapd.Kill()
	e2etest.Eventually(t, func() error {
		if n := i.db.Count(t, `select count(*) from directory.watch where failing_since is not null`); n != 1 {
			return fmt.Errorf("nobody has noticed that the directory is away")
		}
		return nil
	})
	must(t, i.slapd.Restart(t.Context()))
	first.awaitHealth(t)
	first.stop(t)
	second.stop(t)
	i.slapd.Modify(t, "dn: "+slapdtest.PersonDN("carol")+"\nchangetype: modrdn\nnewrdn: uid=carol\ndeleteoldrdn: 1\nnewsuperior: ou=services,"+slapdtest.Base+"\n")
	i.slapd.Modify(t, "dn: "+slapdtest.PersonDN("nora")+"\nobjectClass: inetOrgPerson\nuid: nora\ncn: Nora New\nsn: New\nmail: nora@example.test\n")
	i.edit(t, map[string]any{"listen.metrics": metrics})
	i.serve(t)
	i.awaitList(t, "Carol Müller-Żak gone noticed")
	i.awaitCount(t, 1, `select count(*) from audit.event where kind = 'person.joined' and body::jsonb #>> '{data,login}' = 'nora'`)
	for kind, want := range map[string]int64{"leaver.noticed": 3, "leaver.returned": 1, "leaver.settled": 1, "person.joined": 1} {
		i.awaitCount(t, want, `select count(*) from audit.event where kind = $1`, kind)
	}
	said := string(fetch(t, "http://"+metrics+"/metrics"))
	for _, name := range []string{"sealpost_directory_watched_timestamp_seconds", "sealpost_directory_watch_failing_since_timestamp_seconds 0", "sealpost_directory_changes_pending 0"} {
		if !strings.Contains(said, name) {
			t.Errorf("metrics do not say %s", name)
		}
	}
}

// awaitList waits until exactly these are on the list, as "name standing state".
func (i *installation) awaitList(t *testing.T, want ...string) {
	t.Helper()
	e2etest.Eventually(t, func() error {
		got := i.psql(t, `select name || ' ' || standing || ' ' || state from enroll.leaver order by name`)
		for n := range got {
			got[n] = strings.ReplaceAll(got[n], "_", " ")
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("on the list: %q, want %q", got, want)
		}
		return nil
	})
}

// awaitShown waits until somebody's entry has a certificate, or none.
func (i *installation) awaitShown(t *testing.T, login string, want bool) {
	t.Helper()
	e2etest.Eventually(t, func() error {
		entry := i.slapd.Search(t, i.slapd.Lookup, "-b", slapdtest.PersonDN(login), "-s", "base", "userCertificate")
		if got := strings.Contains(entry, "userCertificate"); got != want {
			return fmt.Errorf("%s: shown %v, want %v", login, got, want)
		}
		return nil
	})
}

func (i *installation) awaitCount(t *testing.T, want int64, sql string, args ...any) {
	t.Helper()
	e2etest.Eventually(t, func() error {
		if n := i.db.Count(t, sql, args...); n != want {
			return fmt.Errorf("%s %v: %d, want %d", sql, args, n, want)
		}
		return nil
	})
}
