package directory_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	// Two entries with one login, each with a password of its own.
	b.ldap.Modify(t, `dn: cn=Twin,ou=people,dc=example,dc=test
objectClass: inetOrgPerson
cn: Twin
sn: Twin
uid: bob
userPassword: twin-sample

dn: cn=Nopass,ou=people,dc=example,dc=test
objectClass: inetOrgPerson
cn: Nopass
sn: Nopass
uid: nopass
`)
	for _, c := range []struct {
		what, login, password string
		want                  error
	}{
		{"right", "alice", "alice-sample", nil},
		{"in capitals", "ALICE", "alice-sample", nil},
		{"another's password", "alice", "rita-sample", directory.ErrCredentials},
		{"password in capitals", "alice", "ALICE-SAMPLE", directory.ErrCredentials},
		{"password with a space", "alice", "alice-sample ", directory.ErrCredentials},
		{"password with NUL", "alice", "alice-sample\x00", directory.ErrCredentials},
		{"empty password", "alice", "", directory.ErrCredentials},
		{"NUL as password", "alice", "\x00", directory.ErrCredentials},
		{"endless password", "alice", strings.Repeat("a", 1<<20), directory.ErrCredentials},
		{"unknown login", "mallory", "alice-sample", directory.ErrCredentials},
		{"unknown login, empty password", "mallory", "", directory.ErrCredentials},
		{"empty login", "", "alice-sample", directory.ErrCredentials},
		{"ambiguous login", "bob", "bob-sample", directory.ErrCredentials},
		{"ambiguous login, other entry", "bob", "twin-sample", directory.ErrCredentials},
		{"entry without a password", "nopass", "x", directory.ErrCredentials},
		{"disabled", "dave", "dave-sample", directory.ErrDisabled},
		{"disabled, wrong password", "dave", "x", directory.ErrCredentials},
		{"mailbox as login", "alice@example.test", "alice-sample", directory.ErrCredentials},
		{"wildcard", "*", "alice-sample", directory.ErrCredentials},
		{"prefix", "alic*", "alice-sample", directory.ErrCredentials},
		{"filter", "alice)(uid=*", "alice-sample", directory.ErrCredentials},
		{"filter, closed", "x)(|(uid=alice", "alice-sample", directory.ErrCredentials},
		{"filter, all", "*)(objectClass=*))(|(uid=*", "alice-sample", directory.ErrCredentials},
		{"escaped", `\61lice`, "alice-sample", directory.ErrCredentials},
		{"name of an entry", slapdtest.PersonDN("alice"), "alice-sample", directory.ErrCredentials},
		{"login with NUL", "alice\x00", "alice-sample", directory.ErrCredentials},
		{"login with spaces", " alice ", "alice-sample", directory.ErrCredentials},
		{"login not UTF-8", "alice\xff", "alice-sample", directory.ErrCredentials},
		{"endless login", strings.Repeat("a", 1<<20), "alice-sample", directory.ErrCredentials},
		{"service account", "lookup", b.ldap.Lookup.Password, directory.ErrCredentials},
	} {
		p, err := b.Authenticate(t.Context(), c.login, c.password)
		is(t, c.what, err, c.want)
		if err == nil && p.Login != "alice" {
			t.Errorf("%s: is %s", c.what, p.Login)
		}
		if f := fault.Of(err); err != nil && c.want == directory.ErrCredentials && f.Detail != directory.ErrCredentials.Detail {
			t.Errorf("%s: its detail differs: %s", c.what, f.Detail)
		}
		if err != nil && !cmp.Equal(p, directory.Person{}) {
			t.Errorf("%s: a person comes with the fault: %+v", c.what, p)
		}
	}
	if log := b.log.String(); strings.Contains(log, "-sample") {
		t.Errorf("a password is in the log:\n%s", log)
	}
}

// An unknown login costs the directory the same operations as a wrong password, and an empty password none.
func TestSameWorkForUnknownLogins(t *testing.T) {
	t.Parallel()
	log := new(buffer)
	b := with(t, slapdtest.NewWith(t, slapdtest.Config{Stats: true, Log: log}))
	b.login(t, "alice") // connects
	work := func(login, password string) (operations []string) {
		log.settle() // what came before is written too
		before := len(log.String())
		_, err := b.Authenticate(t.Context(), login, password)
		is(t, login, err, directory.ErrCredentials)
		log.settle()
		for line := range strings.Lines(log.String()[before:]) {
			for _, op := range []string{" SRCH base=", " BIND dn=\"uid=", " BIND dn=\"cn=decoy", "RESULT tag=97 err=49"} {
				if strings.Contains(line, op) && !strings.Contains(line, "(uid=bob)") && !strings.Contains(line, "(member=uid=bob") {
					operations = append(operations, strings.NewReplacer("cn=decoy", "uid=").Replace(op))
				}
			}
		}
		return operations
	}
	wrong, unknown := work("alice", "wrong"), work("mallory", "wrong")
	if diff := cmp.Diff(wrong, unknown); diff != "" || len(wrong) != 3 {
		t.Errorf("operations for a wrong password and an unknown login:\n%v\n%v", wrong, unknown)
	}
	if none := work("alice", ""); len(none) != 0 {
		t.Errorf("an empty password was taken to the directory: %v", none)
	}
}

// Without a decoy the name tried is one that cannot exist, below the people.
func TestNoDecoy(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *directory.Config) { c.Decoy = "" })
	_, err := b.Authenticate(t.Context(), "mallory", "x")
	is(t, "unknown", err, directory.ErrCredentials)
}

func TestDecoyWithKnownPassword(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *directory.Config) { c.Decoy = slapdtest.PersonDN("carol") })
	_, err := b.Authenticate(t.Context(), "mallory", "carol-sample")
	is(t, "the decoy's password", err, directory.ErrCredentials)
	if !strings.Contains(b.log.String(), "decoy's password was guessed") {
		t.Error("nobody is told")
	}
}

func TestActor(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, err := b.Authenticate(t.Context(), "rita", "rita-sample")
	if err != nil {
		t.Fatal(err)
	}
	want := audit.Actor{Person: p.ID, Name: "Rita Registrar", Roles: []audit.Role{audit.Subscriber, audit.Registrar},
		Method: audit.MethodPassword, Strength: audit.StrengthPassword}
	got := p.Actor(audit.MethodPassword, audit.StrengthPassword)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	got.Roles[0] = "changed"
	if p.Roles[0] != audit.Subscriber {
		t.Error("an actor shares its roles with the person")
	}
}
