package directory_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/sambatest"
)

// forest is what tests of Active Directory start from: a directory before a unit of a real domain and a real database.
type forest struct {
	*directory.Directory
	*sambatest.Unit
	config directory.Config
	log    *buffer
}

// inForest makes units of the test's own, and a directory whose configuration change has changed.
func inForest(t testing.TB, change ...func(*directory.Config)) *forest {
	t.Helper()
	return inUnit(t, sambatest.New(t), change...)
}

// inUnit is inForest for units that the test has.
func inUnit(t testing.TB, u *sambatest.Unit, change ...func(*directory.Config)) *forest {
	t.Helper()
	f := &forest{Unit: u, log: new(buffer)}
	f.config = directory.Config{
		Name: u.Name, Dialect: "ad", URLs: []string{u.TLSURL()}, Trust: u.Trust,
		Lookup: directory.Account{DN: u.Lookup.DN, PasswordFile: u.Lookup.PasswordFile}, LookupPassword: u.Lookup.Password,
		Publisher: directory.Account{DN: u.Publisher.DN, PasswordFile: u.Publisher.PasswordFile}, PublisherPassword: u.Publisher.Password,
		People:      directory.People{Base: u.People},
		Connections: 4, ConnectTimeout: 5 * time.Minute, Timeout: 5 * time.Minute, // one server for all tests, on a busy machine
		DB: pgtest.New(t), Log: slog.New(slog.NewTextHandler(f.log, nil)),
	}
	for _, c := range change {
		c(&f.config)
	}
	d, err := directory.New(f.config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	f.Directory = d
	return f
}

func (f *forest) login(t testing.TB, name string) directory.Person {
	t.Helper()
	p, err := f.ByLogin(t.Context(), f.Login(name))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return p
}

// windowsTime is a moment as Windows writes it.
func windowsTime(at time.Time) string { return fmt.Sprint((at.Unix() + 11644473600) * 10_000_000) }

func TestADPeople(t *testing.T) {
	t.Parallel()
	u := sambatest.New(t)
	alice := u.User(t, "alice", "givenName: Alice", "sn: Anders", "employeeID: 1001", "proxyAddresses: SMTP:alice@example.test",
		"proxyAddresses: smtp:a.anders@example.test", "proxyAddresses: x400:c=DE;o=Example")
	rita := u.User(t, "rita")
	u.User(t, "dave")
	u.Modify(t, "dn: CN=dave,"+u.People+"\nchangetype: modify\nreplace: userAccountControl\nuserAccountControl: 514\n")
	u.User(t, "erin", "accountExpires: "+windowsTime(time.Now().Add(-time.Hour)))
	u.User(t, "finn", "accountExpires: "+windowsTime(time.Now().Add(48*time.Hour)))
	u.Contact(t, "partner")
	u.Modify(t, "dn: CN=machine,"+u.People+"\nobjectClass: computer\nsAMAccountName: "+u.Login("m")+"$\nuserAccountControl: 4096\nmail: machine@example.test\n")
	// rita is a registrar through a group in a group in a group, alice an operator.
	registrars := u.Group(t, "registrars", u.Group(t, "middle", u.Group(t, "inner", rita)))
	operators := u.Group(t, "operators", alice)
	f := inUnit(t, u, func(c *directory.Config) {
		c.Roles = []directory.RoleRule{{Role: audit.Registrar, Group: registrars}, {Role: audit.Operator, Group: operators}}
	})
	is(t, "check", f.Check(t.Context()), nil)
	subscriber := []audit.Role{audit.Subscriber}
	for _, want := range []directory.Person{
		{Login: "alice", Name: "alice", GivenName: "Alice", Surname: "Anders", Employee: "1001",
			Mailboxes: []string{"alice@example.test", "a.anders@example.test"}, Roles: append(subscriber, audit.Operator)},
		{Login: "rita", Name: "rita", Mailboxes: []string{"rita@example.test"}, Roles: append(subscriber, audit.Registrar)},
		{Login: "dave", Name: "dave", Mailboxes: []string{"dave@example.test"}, Disabled: true},
		{Login: "erin", Name: "erin", Mailboxes: []string{"erin@example.test"}, Disabled: true},
		{Login: "finn", Name: "finn", Mailboxes: []string{"finn@example.test"}, Roles: subscriber},
	} {
		want.DN = "CN=" + want.Login + "," + u.People
		got := f.login(t, want.Login)
		want.Login = u.Login(want.Login)
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(directory.Person{}, "ID")); diff != "" {
			t.Error(diff)
		}
		for what, again := range map[string]func() (directory.Person, error){
			"id":              func() (directory.Person, error) { return f.Person(t.Context(), got.ID) },
			"principal name":  func() (directory.Person, error) { return f.ByLogin(t.Context(), want.Login+"@ad.test") },
			"primary mailbox": func() (directory.Person, error) { return f.ByMailbox(t.Context(), strings.ToUpper(got.Mailboxes[0])) },
			"last mailbox":    func() (directory.Person, error) { return f.ByMailbox(t.Context(), got.Mailboxes[len(got.Mailboxes)-1]) },
		} {
			p, err := again()
			if diff := cmp.Diff(got, p); diff != "" || err != nil {
				t.Errorf("%s by %s: %v %s", want.Login, what, err, diff)
			}
		}
	}
	for _, mailbox := range []string{"partner@example.test", "machine@example.test"} {
		_, err := f.ByMailbox(t.Context(), mailbox)
		is(t, mailbox, err, directory.ErrUnknownPerson)
	}
}

// Where membership is read from people's entries, nested groups do not count.
func TestADMemberOf(t *testing.T) {
	t.Parallel()
	u := sambatest.New(t)
	rita := u.User(t, "rita")
	registrars := u.Group(t, "registrars", u.Group(t, "inner", rita))
	operators := u.Group(t, "operators", rita)
	f := inUnit(t, u, func(c *directory.Config) {
		c.Membership = "memberOf"
		c.Roles = []directory.RoleRule{{Role: audit.Registrar, Group: registrars}, {Role: audit.Operator, Group: strings.ToLower(operators)}}
	})
	if got := f.login(t, "rita").Roles; !slices.Equal(got, []audit.Role{audit.Subscriber, audit.Operator}) {
		t.Errorf("roles %v", got)
	}
}

// The group that is somebody's primary one has no member: it gives no role, however membership is read.
func TestADPrimaryGroup(t *testing.T) {
	t.Parallel()
	u := sambatest.New(t)
	u.User(t, "alice")
	for _, membership := range []string{"search", "memberOf"} {
		f := inUnit(t, u, func(c *directory.Config) {
			c.Membership = membership
			c.Roles = []directory.RoleRule{{Role: audit.Registrar, Group: "CN=Domain Users,CN=Users," + sambatest.Base}}
		})
		if got := f.login(t, "alice").Roles; !slices.Equal(got, []audit.Role{audit.Subscriber}) {
			t.Errorf("%s: roles %v", membership, got)
		}
	}
}

// Who looks in the whole domain is referred to the forest's other parts, and need not go there.
func TestADWholeDomain(t *testing.T) {
	t.Parallel()
	f := inForest(t, func(c *directory.Config) { c.People.Base = sambatest.Base })
	f.User(t, "alice")
	alice := f.login(t, "alice")
	got, err := f.Standings(t.Context(), []uuid.UUID{alice.ID})
	if err != nil || !slices.Equal(got, []directory.Standing{directory.StandingActive}) {
		t.Errorf("%v, %v", got, err)
	}
	is(t, "change", f.AddValues(t.Context(), alice.ID, directory.UserCertificate, [][]byte{{1}}), nil)
	if _, err := f.Authenticate(t.Context(), f.Login("alice"), sambatest.Password); err != nil {
		t.Error(err)
	}
}

func TestADAuthenticate(t *testing.T) {
	t.Parallel()
	f := inForest(t)
	f.User(t, "alice")
	f.User(t, "dave")
	f.Modify(t, "dn: CN=dave,"+f.People+"\nchangetype: modify\nreplace: userAccountControl\nuserAccountControl: 514\n")
	f.User(t, "erin", "accountExpires: "+windowsTime(time.Now().Add(-time.Hour)))
	f.User(t, "must")
	f.Modify(t, "dn: CN=must,"+f.People+"\nchangetype: modify\nreplace: userAccountControl\nuserAccountControl: 512\n-\nreplace: pwdLastSet\npwdLastSet: 0\n")
	alice := f.login(t, "alice")
	for _, login := range []string{f.Login("alice"), strings.ToUpper(f.Login("alice")), f.Login("alice") + "@ad.test", f.Login("alice") + "@AD.TEST"} {
		p, err := f.Authenticate(t.Context(), login, sambatest.Password)
		if err != nil || p.ID != alice.ID {
			t.Errorf("%s: %v, %v", login, p.ID, err)
		}
	}
	for what, c := range map[string]struct{ login, password string }{
		"wrong password":         {f.Login("alice"), "wrong"},
		"no password":            {f.Login("alice"), ""},
		"unknown":                {f.Login("mallory"), sambatest.Password},
		"disabled":               {f.Login("dave"), sambatest.Password},
		"expired":                {f.Login("erin"), sambatest.Password},
		"must change password":   {f.Login("must"), sambatest.Password},
		"down-level name":        {sambatest.Domain + `\` + f.Login("alice"), sambatest.Password}, // backslashes are for a later day
		"somebody not of people": {f.Unit.Lookup.Name, f.Unit.Lookup.Password},
		"a filter":               {"*", sambatest.Password},
		"another filter":         {f.Login("alice") + ")(objectClass=*", sambatest.Password},
		"a distinguished name":   {alice.DN, sambatest.Password},
	} {
		_, err := f.Authenticate(t.Context(), c.login, c.password)
		is(t, what, err, directory.ErrCredentials)
	}
}

func TestADStandings(t *testing.T) {
	t.Parallel()
	f := inForest(t)
	var ids []uuid.UUID
	for _, name := range []string{"alice", "bob", "carol", "dave"} {
		f.User(t, name)
		ids = append(ids, f.login(t, name).ID)
	}
	ids = append(ids, uuid.New())
	expect := func(what string, want ...directory.Standing) {
		t.Helper()
		got, err := f.Standings(t.Context(), ids)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v", what, got, err)
		}
	}
	const active, disabled, gone, unknown = directory.StandingActive, directory.StandingDisabled, directory.StandingGone, directory.StandingUnknown
	expect("at first", active, active, active, active, unknown)
	f.Tool(t, "user", "disable", f.Login("alice"))
	f.Modify(t, "dn: CN=bob,"+f.People+"\nchangetype: delete\n") // into the container of deleted objects
	f.Modify(t, "dn: OU=Elsewhere,"+f.People+"\nobjectClass: organizationalUnit\n")
	f.Modify(t, "dn: CN=carol,"+f.People+"\nchangetype: modrdn\nnewrdn: CN=caroline\ndeleteoldrdn: 1\nnewsuperior: OU=Elsewhere,"+f.People+"\n")
	f.Modify(t, "dn: CN=dave,"+f.People+"\nchangetype: modrdn\nnewrdn: CN=dave\ndeleteoldrdn: 1\nnewsuperior: "+f.Base+"\n") // away from people
	expect("after changes", disabled, gone, active, gone, unknown)
	f.Tool(t, "user", "enable", f.Login("alice"))
	expect("one came back", active, gone, active, gone, unknown)
	if p, err := f.Person(t.Context(), ids[2]); err != nil || !strings.HasPrefix(p.DN, "CN=caroline,OU=Elsewhere,") {
		t.Errorf("moved: %v, %v", p.DN, err)
	}
	// The same name again is somebody else.
	f.User(t, "bob")
	if f.login(t, "bob").ID == ids[1] {
		t.Error("another entry got the id of the deleted one")
	}
	expect("a namesake", active, gone, active, gone, unknown)
}

// An account that is not shown whether it is disabled is nobody's: who left would look as if they had not.
func TestADHiddenStanding(t *testing.T) {
	t.Parallel()
	f := inForest(t)
	f.User(t, "alice")
	f.User(t, "dave")
	id := f.login(t, "dave").ID
	f.Modify(t, "dn: CN=dave,"+f.People+"\nchangetype: modify\nreplace: userAccountControl\nuserAccountControl: 514\n")
	hidden := f.Account(t, "hidden")
	as := func(c *directory.Config) {
		c.Lookup, c.LookupPassword, c.DB = directory.Account{DN: hidden.DN, PasswordFile: hidden.PasswordFile}, hidden.Password, f.config.DB
	}
	seen := inUnit(t, f.Unit, as)
	if p := seen.login(t, "dave"); !p.Disabled {
		t.Error("dave is not disabled")
	}
	f.Allow(t, f.People, hidden, "(OD;CIIO;RP;bf967a68-0de6-11d0-a285-00aa003049e2;bf967aba-0de6-11d0-a285-00aa003049e2;%s)")
	for _, name := range []string{"alice", "dave"} {
		_, err := seen.ByLogin(t.Context(), f.Login(name))
		is(t, name, err, directory.ErrRefused)
	}
	_, err := seen.Authenticate(t.Context(), f.Login("dave"), sambatest.Password)
	is(t, "authenticate", err, directory.ErrRefused)
	_, err = seen.Standings(t.Context(), []uuid.UUID{id})
	is(t, "standings", err, directory.ErrRefused)
}
