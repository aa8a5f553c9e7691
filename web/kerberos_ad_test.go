package web_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/sambatest"
	"github.com/sealpost/sealpost/web"
	"github.com/sealpost/sealpost/web/signin"
)

// People and computers of an Active Directory with tickets of its own controller come in as who the directory says they are.
func TestKerberosOfActiveDirectory(t *testing.T) {
	t.Parallel()
	u, h := sambatest.New(t), housetest.New(t)
	people, err := directory.New(directory.Config{Name: u.Name, Dialect: "ad", URLs: []string{u.TLSURL()}, Trust: u.Trust,
		Lookup: directory.Account{DN: u.Lookup.DN, PasswordFile: u.Lookup.PasswordFile}, LookupPassword: u.Lookup.Password,
		People: directory.People{Base: u.People}, Connections: 4, ConnectTimeout: 5 * time.Minute, Timeout: 5 * time.Minute, DB: h.DB, Now: h.Clock.Now})
	must(t, err)
	t.Cleanup(people.Close)
	rooms := h.Config
	rooms.Directory = people
	registry, err := enroll.New(rooms)
	must(t, err)

	alice, bob := u.User(t, "alice"), u.User(t, "bob")
	u.Modify(t, "dn: "+bob+"\nchangetype: modify\nreplace: userPrincipalName\nuserPrincipalName: robert.brown@example.test\n")
	u.User(t, "service", "servicePrincipalName: "+ownName, "msDS-SupportedEncryptionTypes: 24")
	laptop, nobodys := u.Computer(t, "laptop7", "managedBy: "+alice), u.Computer(t, "laptop8")
	foreign := u.Computer(t, "laptop9", "managedBy: "+u.Group(t, "staff", alice))
	keytab := u.Keytab(t, ownName)
	content, err := os.ReadFile(keytab)
	must(t, err)
	byName, byPrincipal := "(sAMAccountName={name})", "" // the latter is userPrincipalName
	server := func(filter string, machines directory.Machines) *rig {
		return start(t, h, func(c *web.Config) {
			c.Directory, c.Registry, c.Dialect, c.Keytab = people, registry, "ad", content
			c.Kerberos = signin.KerberosPolicy{Keytab: keytab, Principals: []string{ownName + "@" + sambatest.Realm}, Machines: machines,
				Realms: []signin.KerberosRealm{{Realm: sambatest.Realm, Filter: filter}}}
		})
	}
	named, called := server(byName, directory.Machines{Base: u.Base}), server(byPrincipal, directory.Machines{})
	tickets := map[string]string{"alice": u.Kinit(t, u.Login("alice")), "ALICE": u.Kinit(t, strings.ToUpper(u.Login("alice"))), "bob": u.Kinit(t, u.Login("bob")),
		"lookup": u.KinitWith(t, u.Lookup.Name, u.Keytab(t, u.Lookup.Name))}
	for _, computer := range []string{laptop, nobodys, foreign} {
		tickets[computer] = u.KinitWith(t, computer, u.Keytab(t, computer))
	}
	for _, c := range []struct {
		what         string
		at           *rig
		cache        string
		status, says string
	}{
		{"a person, by the account's name", named, "alice", "200", `"name":"alice"`},
		{"the same in other letters", named, "ALICE", "200", `"name":"alice"`},
		{"somebody whose userPrincipalName is another, by the account's name", named, "bob", "200", `"name":"bob"`},
		{"an account that is not among people", named, "lookup", "403", "kerberos-not-in-directory"},
		{"a computer, as the person who manages it", named, laptop, "200", `"name":"alice"`},
		{"a computer that nobody manages", named, nobodys, "403", "kerberos-machine-owner"},
		{"a computer that a group manages", named, foreign, "403", "kerberos-machine-owner"},
		{"a person, by userPrincipalName", called, "alice", "200", `"name":"alice"`},
		{"somebody whose userPrincipalName is another", called, "bob", "403", "kerberos-not-in-directory"},
		{"a computer where none come in", called, laptop, "403", "kerberos-no-person"},
	} {
		if status, said := c.at.negotiateIn(t, u.Env(tickets[c.cache])); status != c.status || !strings.Contains(strings.ReplaceAll(said, `": "`, `":"`), c.says) {
			t.Errorf("%s: status %s\n%s", c.what, status, said)
		}
	}
	// The controller says of a ticket whether it was got with the person's own key.
	for _, c := range []struct{ what, cache, code string }{
		{"a ticket by a new login", u.Kinit(t, u.Login("alice")), "proof-needed"},
		{"a ticket by her password", u.KinitTo(t, u.Login("alice"), ownName), "unknown-certificate"},
	} {
		if _, said := named.negotiateAt(t, u.Env(c.cache), "/certificates/issuing/00ff/revoke", "--json", `{"reason":"superseded"}`); !strings.Contains(said, c.code) {
			t.Errorf("%s: %s", c.what, said)
		}
	}
	// Where nobody has said that the server's account can do AES, tickets to it are RC4, and not taken.
	u.Modify(t, "dn: CN=service,"+u.People+"\nchangetype: modify\ndelete: msDS-SupportedEncryptionTypes\n")
	if status, said := named.negotiateIn(t, u.Env(u.Kinit(t, u.Login("alice")))); status != "401" || !strings.Contains(said, "encrypted with an old method") {
		t.Errorf("RC4: status %s\n%s", status, said)
	}
}
