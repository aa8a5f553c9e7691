package web_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/keytab"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/kdctest"
	"github.com/sealpost/sealpost/internal/slapdtest"
	"github.com/sealpost/sealpost/web"
	"github.com/sealpost/sealpost/web/allowance"
	"github.com/sealpost/sealpost/web/signin"
)

const machinesBase = "ou=machines," + slapdtest.Base

// addMachines enters computers, by name, with the entries that own them.
func (r *rig) addMachines(t testing.TB, owners map[string][]string) {
	t.Helper()
	r.Slapd.Modify(t, "dn: "+machinesBase+"\nchangetype: add\nobjectClass: organizationalUnit\nou: machines\n")
	n := 0
	for name, dns := range owners {
		n++
		entry := fmt.Sprintf("dn: cn=m%d,%s\nchangetype: add\nobjectClass: device\ncn: m%d\ncn: %s\n", n, machinesBase, n, name)
		for _, dn := range dns {
			entry += "owner: " + dn + "\n"
		}
		r.Slapd.Modify(t, entry)
	}
}

func machines(p *signin.KerberosPolicy) {
	p.Machines = directory.Machines{Base: machinesBase, Filter: "(cn={name})"}
}

// Computers with tickets of a real KDC come in as the person whose computer the directory says it is, to enrol for them and for
// nothing else.
func TestMachineTickets(t *testing.T) {
	realm := kdctest.New(t, realmName)
	r := setup(t, withTickets(t, realm.Keytab(t, ownName, ""), machines))
	alice, bob := slapdtest.PersonDN("alice"), slapdtest.PersonDN("bob")
	r.addMachines(t, map[string][]string{"host/ws1.example.test": {alice}, "WS1$": {alice}, "host/none.example.test": nil, "host/two.example.test": {alice, bob},
		"host/left.example.test": {slapdtest.PersonDN("dave")}, "host/gone.example.test": {slapdtest.PersonDN("nobody")},
		"host/service.example.test": {slapdtest.Decoy}, "RITA$": {slapdtest.PersonDN("rita")}})
	for _, c := range []struct{ principal, status, says string }{
		{"host/ws1.example.test", "200", "Alice Anders"},
		{"WS1$", "200", "Alice Anders"},
		{"RITA$", "200", "Rita Registrar"},
		{"host/unknown.example.test", "403", "kerberos-machine"},
		{"WS2$", "403", "kerberos-machine"},
		{"host/none.example.test", "403", "kerberos-machine-owner"},
		{"host/two.example.test", "403", "kerberos-machine-owner"},
		{"host/gone.example.test", "403", "kerberos-machine-owner"},
		{"host/service.example.test", "403", "kerberos-machine-owner"},
		{"host/left.example.test", "403", "person-disabled"},
		{"nfs/ws1.example.test", "403", "kerberos-no-person"},
	} {
		cache := realm.KinitWith(t, c.principal, realm.Keytab(t, c.principal, ""))
		if status, said := r.negotiate(t, realm, cache); status != c.status || !strings.Contains(said, c.says) {
			t.Errorf("%s: status %s\n%s", c.principal, status, said)
		}
	}
	// Without machines in the configuration they are nobody, and neither is another realm's.
	none := setupIn(t, r, withTickets(t, realm.Keytab(t, ownName, "")))
	cache := realm.KinitWith(t, "WS1$", realm.Keytab(t, "WS1$", ""))
	if status, said := none.negotiate(t, realm, cache); status != "403" || !strings.Contains(said, "kerberos-no-person") {
		t.Errorf("not configured: status %s\n%s", status, said)
	}
}

// What a computer may do, and what the record says of it. The tickets are made with the service's own key.
func TestWhatMachinesMay(t *testing.T) {
	keys := keytab.New()
	must(t, keys.AddEntry(ownName, realmName, "service-sample", time.Now(), 1, etypeID.AES256_CTS_HMAC_SHA1_96))
	content, err := keys.Marshal()
	must(t, err)
	file := t.TempDir() + "/keytab"
	must(t, os.WriteFile(file, content, 0o600))
	r := setup(t, withTickets(t, file, machines), func(c *web.Config) { c.Limits.Failures.Login = allowance.Allowance{Burst: 2, Every: time.Hour} })
	r.addMachines(t, map[string][]string{"RITA$": {slapdtest.PersonDN("rita")}})
	ticket := func(name string) as {
		f := forge{keys: keys, name: name, realm: realmName, ofRealm: realmName, service: ownName, kind: etypeID.AES256_CTS_HMAC_SHA1_96, from: -time.Hour, till: time.Hour}
		return as{header: http.Header{"Authorization": {"Negotiate " + f.token(t, r.Clock.Now())}}}
	}
	s, _ := r.Submission(t, r.Actor(t, "rita"), housetest.Pair)
	with := ticket("RITA$")
	with.header[api.IdempotencyHeader] = []string{uuid.NewString()}
	status := read[api.EnrolmentStatus](t, r.ask(t, with, "POST", "/enrolments", wire(s)))
	if got := r.ask(t, ticket("RITA$"), "GET", "/enrolments/"+status.ID.String(), nil); got.status != 200 {
		t.Errorf("what became of it: %d %s", got.status, got.body)
	}
	for _, path := range []string{"/certificates", "/enrolments", "/receipts", "/history"} {
		if got := r.ask(t, ticket("RITA$"), "GET", path, nil); got.status != 403 || got.code(t) != "kerberos-machine-scope" {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	if got := r.ask(t, ticket("RITA$"), "POST", "/tokens", api.TokenRequest{Mailbox: "alice@example.test", Hours: 1}); got.code(t) != "kerberos-machine-scope" {
		t.Errorf("a token: %d %s", got.status, got.body)
	}
	if n := r.Database.Count(t, `select count(*) from audit.event where body like '%(RITA$@EXAMPLE.TEST)%' and body like '%kerberos%'`); n == 0 {
		t.Error("the record does not say which computer it was")
	}
	// A computer's refusals are not its person's failures.
	for range 5 {
		if got := r.ask(t, ticket("UNKNOWN$"), "GET", "/policy", nil); got.code(t) != "kerberos-machine" {
			t.Errorf("a computer that nobody knows: %d %s", got.status, got.body)
		}
	}
	if got := r.ask(t, ticket("RITA$"), "GET", "/policy", nil); got.status != 200 {
		t.Errorf("the computer afterwards: %d %s", got.status, got.body)
	}
	if got := r.ask(t, person("rita"), "GET", "/policy", nil); got.status != 200 {
		t.Errorf("its person afterwards: %d %s", got.status, got.body)
	}
}

func TestMachinesAreChecked(t *testing.T) {
	t.Parallel()
	good := directory.Machines{Base: machinesBase, Filter: "(cn={name})"}
	must(t, good.Validate("rfc4523"))
	must(t, directory.Machines{Base: machinesBase}.Validate("ad"))
	must(t, directory.Machines{}.Validate("rfc4523"))
	for want, m := range map[string]directory.Machines{
		"base: is missing":   {Filter: "(cn={name})"},
		"base: \"x\" is no":  {Base: "x", Filter: "(cn={name})"},
		"filter: is missing": {Base: machinesBase},
		"filter: needs":      {Base: machinesBase, Filter: "(cn=*)"},
		"owner: \"a b\"":     {Base: machinesBase, Filter: "(cn={name})", Owner: "a b"},
	} {
		if err := m.Validate("rfc4523"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
