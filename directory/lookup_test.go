package directory_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/pg"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

func TestPeople(t *testing.T) {
	t.Parallel()
	b := setup(t)
	subscriber := []audit.Role{audit.Subscriber}
	for _, want := range []directory.Person{
		{Login: "alice", Name: "Alice Anders", GivenName: "Alice", Surname: "Anders", Employee: "1001",
			Mailboxes: []string{"alice@example.test"}, Roles: subscriber},
		{Login: "bob", Name: "Bob Brown", GivenName: "Bob", Surname: "Brown", Employee: "1002",
			Mailboxes: []string{"bob@example.test", "robert.brown@example.test"}, Roles: subscriber},
		{Login: "carol", Name: "Carol Müller-Żak", GivenName: "Carol", Surname: "Müller-Żak", Employee: "1003",
			Mailboxes: []string{"carol@example.test"}, Roles: subscriber},
		{Login: "dave", Name: "Dave Dunn", GivenName: "Dave", Surname: "Dunn", Employee: "1004",
			Mailboxes: []string{"dave@example.test"}, Disabled: true},
		{Login: "rita", Name: "Rita Registrar", GivenName: "Rita", Surname: "Registrar", Employee: "1101",
			Mailboxes: []string{"rita@example.test"}, Roles: append(subscriber, audit.Registrar)},
		{Login: "olivia", Name: "Olivia Officer", GivenName: "Olivia", Surname: "Officer", Employee: "1201",
			Mailboxes: []string{"olivia@example.test"}, Roles: append(subscriber, audit.RecoveryAgent)},
	} {
		want.DN = slapdtest.PersonDN(want.Login)
		got := b.login(t, want.Login)
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(directory.Person{}, "ID")); diff != "" {
			t.Error(diff)
		}
		byID, err := b.Person(t.Context(), got.ID)
		if diff := cmp.Diff(got, byID); diff != "" || err != nil {
			t.Errorf("by id: %v %s", err, diff)
		}
		for _, m := range got.Mailboxes {
			byMailbox, err := b.ByMailbox(t.Context(), strings.ToUpper(m))
			if diff := cmp.Diff(got, byMailbox); diff != "" || err != nil {
				t.Errorf("by mailbox %s: %v %s", m, err, diff)
			}
		}
	}
	// An independent program agrees on whom the id stands for.
	ldif := b.ldap.Search(t, b.ldap.Lookup, "-b", slapdtest.PersonDN("alice"), "-s", "base", "entryUUID")
	_, entry, _ := strings.Cut(strings.TrimSpace(ldif), "entryUUID: ")
	if n := b.db.Count(t, `select count(*) from directory.person where id = $1 and source_id = $2 and target = 'company' and login = 'alice'`,
		b.login(t, "alice").ID, entry); n != 1 {
		t.Errorf("the id of alice does not stand for %s", entry)
	}
	if n := b.db.Count(t, `select count(*) from audit.event where kind = 'person.recorded' and person = $1 and body like $2`,
		b.login(t, "alice").ID, `%"entry":"`+entry+`"%`); n != 1 {
		t.Errorf("%d events for alice", n)
	}
}

func TestUnknown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.login(t, "alice")
	_, err := b.Person(t.Context(), uuid.New())
	is(t, "id", err, directory.ErrUnknownPerson)
	_, err = b.Person(t.Context(), uuid.Nil)
	is(t, "no id", err, directory.ErrUnknownPerson)
	for _, login := range []string{"mallory", "", "*", "al*", "alice)(uid=*", "*)(uid=*))(|(uid=*", `alice\2a`, "alice\x00", "\xff",
		"lookup", "people", "recovery-agents", strings.Repeat("x", 10_000)} {
		_, err := b.ByLogin(t.Context(), login)
		is(t, "login "+login, err, directory.ErrUnknownPerson)
	}
	for _, mailbox := range []string{"mallory@example.test", "alice@example.com", "", "*", "*@example.test", "al*@example.test",
		"alice@example.test)(uid=*", "x@y.test)(|(mail=alice@example.test", "alice", "alice@", "@example.test", "alice@*", "alice@example.test\x00",
		`\61lice@example.test`, strings.Repeat("x", 1<<20) + "@example.test", "x@" + strings.Repeat("x.", 1<<19) + "test"} {
		_, err := b.ByMailbox(t.Context(), mailbox)
		is(t, "mailbox "+mailbox[:min(len(mailbox), 60)], err, directory.ErrUnknownPerson)
	}
	// Ids of one directory mean nobody in another.
	other := with(t, b.ldap, func(c *directory.Config) { c.Name, c.DB = "other", b.config.DB })
	_, err = other.Person(t.Context(), b.login(t, "alice").ID)
	is(t, "another directory's id", err, directory.ErrUnknownPerson)
	if other.login(t, "alice").ID == b.login(t, "alice").ID {
		t.Error("one id in two directories")
	}
}

func TestSeveral(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, cn := range []string{"One", "Two", "Three"} {
		b.ldap.Modify(t, "dn: cn="+cn+","+slapdtest.People+"\nobjectClass: inetOrgPerson\ncn: "+cn+"\nsn: x\nuid: alice\nmail: bob@example.test\n")
		_, err := b.ByLogin(t.Context(), "alice")
		is(t, "login", err, directory.ErrSeveral)
		_, err = b.ByMailbox(t.Context(), "bob@example.test")
		is(t, "mailbox", err, directory.ErrSeveral)
	}
	if _, err := b.ByMailbox(t.Context(), "alice@example.test"); err != nil {
		t.Errorf("her mailbox is still hers alone: %v", err)
	}
}

// Who is renamed or moved stays the same person; who gets a former login is another.
func TestRenameAndRebirth(t *testing.T) {
	t.Parallel()
	b := setup(t)
	bob := b.login(t, "bob")
	b.ldap.Modify(t, "dn: "+slapdtest.PersonDN("bob")+"\nchangetype: modrdn\nnewrdn: uid=robert\ndeleteoldrdn: 1\n")
	robert := b.login(t, "robert")
	if robert.ID != bob.ID || robert.DN != slapdtest.PersonDN("robert") {
		t.Errorf("bob %s became %s %s", bob.ID, robert.ID, robert.DN)
	}
	_, err := b.ByLogin(t.Context(), "bob")
	is(t, "former login", err, directory.ErrUnknownPerson)
	if p, err := b.Person(t.Context(), bob.ID); err != nil || p.Login != "robert" {
		t.Errorf("by id: %v %v", p.Login, err)
	}

	b.ldap.Modify(t, "dn: "+slapdtest.PersonDN("robert")+"\nchangetype: delete\n")
	_, err = b.Person(t.Context(), bob.ID)
	is(t, "gone", err, directory.ErrUnknownPerson)
	b.ldap.Modify(t, "dn: "+slapdtest.PersonDN("robert")+"\nobjectClass: inetOrgPerson\ncn: Robert\nsn: R\nuid: robert\n")
	if reborn := b.login(t, "robert"); reborn.ID == bob.ID {
		t.Error("another entry got the id of the former one")
	}
}

// Many servers that see a new person at the same moment give one id.
func TestOneIDInARace(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ids := make([]uuid.UUID, 16)
	var wg sync.WaitGroup
	for i := range ids {
		d, err := directory.New(b.config)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		wg.Go(func() {
			p, err := d.ByLogin(t.Context(), "carol")
			if err != nil {
				t.Error(err)
			}
			ids[i] = p.ID
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] || id == uuid.Nil {
			t.Errorf("ids differ: %v", ids)
		}
	}
	if n := b.db.Count(t, `select count(*) from audit.event where kind = 'person.recorded'`); n != 1 {
		t.Errorf("%d events", n)
	}
}

func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.config.DB.Close()
	_, err := b.Authenticate(t.Context(), "alice", "alice-sample")
	if err == nil {
		t.Error("a person without an id")
	}
}

// Odd entries: names that need escaping in filters and distinguished names, and values that are not what they should be.
func TestOddEntries(t *testing.T) {
	t.Parallel()
	b := setup(t)
	// cn=Ω (b*d) \,"+<>;=#\ : characters that filters or names escape.
	b.ldap.Modify(t, `dn: cn=\C3\93ra (b\2Ad) \5C\2C\22\2B\3C\3E\3B,ou=people,dc=example,dc=test
objectClass: inetOrgPerson
objectClass: extensibleObject
cn:: w5NyYSAoYipkKSBcLCIrPD47
sn: Odd
uid: (o*d)\
mail: Odd.One@Example.TEST
mail: not a mailbox
proxyAddresses: smtp:odd.one@example.test
proxyAddresses: SMTP:odd@bücher.example.test
proxyAddresses: smtp:grün@example.test
proxyAddresses: sip:odd@example.test
proxyAddresses: x500:/o=Example
userPassword: odd-sample

dn: cn=registrars,ou=groups,dc=example,dc=test
changetype: modify
add: member
member: cn=\C3\93ra (b\2Ad) \5C\2C\22\2B\3C\3E\3B,ou=people,dc=example,dc=test
`)
	odd, err := b.Authenticate(t.Context(), `(o*d)\`, "odd-sample")
	if err != nil {
		t.Fatal(err)
	}
	want := directory.Person{Login: `(o*d)\`, Name: `Óra (b*d) \,"+<>;`, Surname: "Odd",
		Mailboxes: []string{"Odd.One@example.test", "odd@xn--bcher-kva.example.test", "odd.one@example.test", "grün@example.test"},
		Roles:     []audit.Role{audit.Subscriber, audit.Registrar}}
	if diff := cmp.Diff(want, odd, cmpopts.IgnoreFields(directory.Person{}, "ID", "DN")); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(b.log.String(), "not a mailbox") {
		t.Error("the value that is no mailbox is not in the log")
	}
	// OpenLDAP cannot search for proxyAddresses, whose schema has no equality rule; for mail it can.
	if p, err := b.ByMailbox(t.Context(), "odd.one@EXAMPLE.test"); err != nil || p.ID != odd.ID {
		t.Errorf("by mailbox: %v", err)
	}
	is(t, "written", b.AddValues(t.Context(), odd.ID, directory.UserSMIMECertificate, [][]byte{[]byte("x")}), nil)
}

func TestMemberOf(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *directory.Config) { c.Membership = "memberOf" })
	b.ldap.Modify(t, `dn: uid=alice,ou=people,dc=example,dc=test
changetype: modify
add: objectClass
objectClass: extensibleObject
-
add: memberOf
memberOf: CN=Auditors, OU=Groups, DC=example, DC=test
memberOf: cn=registrars,ou=elsewhere,dc=example,dc=test
`)
	want := []audit.Role{audit.Subscriber, audit.Auditor}
	if diff := cmp.Diff(want, b.login(t, "alice").Roles); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want[:1], b.login(t, "rita").Roles); diff != "" {
		t.Errorf("by a group that her entry does not name: %s", diff)
	}
}

func TestRoleChanges(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *directory.Config) {
		c.Roles = append(c.Roles, directory.RoleRule{Role: audit.Auditor, Group: slapdtest.GroupDN("absent")},
			directory.RoleRule{Role: audit.Registrar, Group: slapdtest.GroupDN("operators")})
	})
	change := func(op string) {
		b.ldap.Modify(t, "dn: "+slapdtest.GroupDN("registrars")+"\nchangetype: modify\n"+op+": member\nmember: "+slapdtest.PersonDN("operator")+"\n")
	}
	change("add")
	if diff := cmp.Diff([]audit.Role{audit.Subscriber, audit.Registrar, audit.Operator}, b.login(t, "operator").Roles); diff != "" {
		t.Error(diff)
	}
	change("delete")
	if !b.login(t, "operator").Actor(audit.MethodPassword, 0).Has(audit.Registrar) {
		t.Error("a second group of the same role does not count")
	}
	if !strings.Contains(b.log.String(), "group is absent") {
		t.Error("the absent group is not in the log")
	}
}

// Person may answer from memory for a while; nothing else does.
func TestCache(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	now := time.Now()
	advance := func(d time.Duration) { mu.Lock(); now = now.Add(d); mu.Unlock() }
	b := setup(t, func(c *directory.Config) {
		c.Cache = 30 * time.Second
		c.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	})
	id := b.login(t, "alice").ID
	title := func() string {
		p, err := b.Person(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		name := p.Name
		p.Mailboxes[0], p.Roles[0] = "changed", "changed"
		return name
	}
	rename := func(cn string) {
		b.ldap.Modify(t, "dn: "+slapdtest.PersonDN("alice")+"\nchangetype: modify\nreplace: cn\ncn: "+cn+"\n")
	}
	rename("Second")
	if n := title(); n != "Alice Anders" {
		t.Errorf("from memory: %s", n)
	}
	if p, _ := b.Person(t.Context(), id); p.Mailboxes[0] != "alice@example.test" || p.Roles[0] != audit.Subscriber {
		t.Errorf("a caller changed what is remembered: %+v", p)
	}
	advance(31 * time.Second)
	if n := title(); n != "Second" {
		t.Errorf("after 31 s: %s", n)
	}
	rename("Third")
	if _, err := b.Authenticate(t.Context(), "alice", "alice-sample"); err != nil {
		t.Fatal(err)
	}
	if n := title(); n != "Third" {
		t.Errorf("after a sign-in, which always asks: %s", n)
	}
	rename("Fourth")
	advance(-time.Hour)
	if n := title(); n != "Fourth" {
		t.Errorf("after the clock was set back: %s", n)
	}
	b.ldap.Modify(t, "dn: "+slapdtest.PersonDN("alice")+"\nchangetype: delete\n")
	_, err := b.Authenticate(t.Context(), "alice", "alice-sample")
	is(t, "deleted, remembered", err, directory.ErrCredentials)

	off := setup(t)
	id = off.login(t, "bob").ID
	off.ldap.Modify(t, "dn: "+slapdtest.PersonDN("bob")+"\nchangetype: modify\nreplace: employeeType\nemployeeType: DISABLED\n")
	if p, err := off.Person(t.Context(), id); err != nil || !p.Disabled || p.Roles != nil {
		t.Errorf("without memory: %+v %v", p, err)
	}
}

// The lookup account must see the id; an entry without it is nobody.
func TestHiddenID(t *testing.T) {
	t.Parallel()
	s := slapdtest.New(t)
	b := with(t, s, func(c *directory.Config) {
		c.Lookup.DN, c.LookupPassword = s.Publisher.DN, s.Publisher.Password // may search for people, not read their ids
	})
	_, err := b.ByLogin(t.Context(), "alice")
	is(t, "hidden id", err, directory.ErrRefused)
	if err == nil || !strings.Contains(err.Error(), "entryUUID") {
		t.Errorf("the attribute is not named: %v", err)
	}
}

// The room's database role can add persons and nothing more.
func TestPersonsAreForEver(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.login(t, "alice")
	for _, sql := range []string{"delete from directory.person", "update directory.person set source_id = 'x'", "truncate directory.person"} {
		for _, role := range []pg.Role{"directory", "enroll", "web"} {
			if err := exec(t, b.config.DB, role, sql); err == nil {
				t.Errorf("role %s may run: %s", role, sql)
			}
		}
	}
	if err := exec(t, b.config.DB, "enroll", "select from directory.person"); err == nil {
		t.Error("another room reads persons")
	}
	if err := exec(t, pgtest.Open(t, b.db), "directory", "select from directory.person"); err != nil {
		t.Error(err)
	}
}
