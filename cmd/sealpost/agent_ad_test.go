package main

import (
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/sambatest"
)

// In a company with Active Directory (Samba's controller), the agent gets its tickets there, by a person's login and by a computer's keys, and the
// server finds who that is in the same directory. What the controller refuses is said.
func TestAgentInActiveDirectory(t *testing.T) {
	t.Parallel()
	u := sambatest.New(t)
	alice, rita := u.User(t, "alice", "givenName: Alice", "sn: Anders"), u.User(t, "rita")
	bob := u.User(t, "bob")
	u.User(t, "carol")
	u.User(t, "service", "servicePrincipalName: HTTP/localhost", "msDS-SupportedEncryptionTypes: 24")
	laptop := u.Computer(t, "laptop7", "managedBy: "+alice)
	groups := map[string]string{}
	for _, name := range []string{"registrars", "recovery-agents", "operators", "auditors"} {
		groups[name] = u.Group(t, name, rita)
	}
	i := newInstallation(t)
	i.edit(t, map[string]any{"directory.name": u.Name, "directory.dialect": "ad", "directory.urls": []string{u.TLSURL()}, "directory.trust_file": u.TrustFile,
		"directory.lookup.dn": u.Lookup.DN, "directory.lookup.password_file": u.Lookup.PasswordFile, "directory.publisher.dn": u.Publisher.DN,
		"directory.publisher.password_file": u.Publisher.PasswordFile, "directory.people": map[string]any{"base": u.People}, "directory.decoy": nil, "directory.disabled": nil,
		"directory.holder_class": nil, "directory.attribute_names": nil, "directory.authorities": nil, "directory.connect_timeout": "5m", "directory.timeout": "5m", "issuers.0.ldap": nil,
		"kerberos": map[string]any{"keytab": u.Keytab(t, "HTTP/localhost"), "principals": []string{"HTTP/localhost@" + sambatest.Realm}, "channel_bindings": "required",
			"realms": []any{map[string]any{"realm": sambatest.Realm, "filter": "(sAMAccountName={name})"}}, "machines": map[string]any{"base": u.Base}}})
	for n, role := range []string{"registrars", "recovery-agents", "operators", "auditors"} {
		i.edit(t, map[string]any{"directory.roles." + string(rune('0'+n)) + ".group": groups[role]})
	}
	i.run(t, "check")
	r := i.serve(t)
	by := func(d *desk, cache, line string, args ...string) e2etest.Command {
		c := d.agent(d.home, d.login, line, append(args, "--server", d.url(), "--roots", d.path("pki/root.pem"), "--kerberos")...)
		c.Env = []string{"HOME=" + d.home, "SEALPOST_PASSWORD=", "KRB5_CONFIG=" + u.Krb5Conf, "KRB5CCNAME=" + cache}
		return c
	}
	with := func(d *desk, principal string) e2etest.Command {
		return by(d, d.file("none"), "enroll", "--keytab", u.Keytab(t, principal), "--principal", principal+"@"+sambatest.Realm, "--out", d.file("out"))
	}
	has := func(login string, certificates int64) {
		t.Helper()
		if n := r.db.Count(t, `select count(*) from ca.certificate join ca.prepared p using (issuer, serial) where p.profile like 'smime-%' and p.person in
			(select id from directory.person where login = '`+u.Login(login)+`')`); n != certificates {
			t.Errorf("%s has %d certificates, want %d", login, n, certificates)
		}
	}

	d := r.desk(t, "alice")
	if out := e2etest.Good(t, by(d, u.Kinit(t, u.Login("alice")), "enroll", "--out", d.file("out"))); !strings.Contains(out, "alice <alice@example.test>") {
		t.Errorf("enroll says: %s", out)
	}
	has("alice", 2)
	d.verifies()
	d.does("renew --force")
	has("alice", 4)

	// Her computer, before she has logged in to it; afterwards nobody need think of it.
	d = r.desk(t, "alice")
	if out := e2etest.Good(t, with(d, laptop)); !strings.Contains(out, "alice <alice@example.test>") {
		t.Errorf("enroll by the computer's keys says: %s", out)
	}
	has("alice", 6)
	d.verifies()
	d.revokeCurrent()
	run := d.byCertificate("run --force")
	run.Env = append(run.Env, "KRB5_CONFIG="+u.Krb5Conf)
	e2etest.Good(t, run)
	has("alice", 8)

	// A registrar, by the password that the controller checks.
	ritas := r.desk(t, "rita")
	password, ticket := ritas.file("password"), u.Kinit(t, u.Login("rita"))
	write(t, password, sambatest.Password+"\n")
	const make = "token make --for bob@example.test"
	e2etest.Bad(t, by(ritas, ticket, make), "(proof-needed)")
	e2etest.Good(t, by(ritas, ticket, make, "--password-file", password))
	write(t, password, "a-wrong-one\n")
	e2etest.Bad(t, by(ritas, ticket, make, "--password-file", password, "--name", "again"), "(kerberos-password)")

	// Accounts that are disabled, or whose password has to be another one first.
	bobs := u.Kinit(t, u.Login("bob"))
	const disabled = "514"
	u.Modify(t, "dn: "+bob+"\nchangetype: modify\nreplace: userAccountControl\nuserAccountControl: "+disabled+"\n")
	d = r.desk(t, "bob")
	fails(t, by(d, bobs, "enroll"), "kerberos-account-disabled")
	fails(t, with(d, u.Login("bob")), "kerberos-account-disabled")
	u.Modify(t, "dn: CN=carol,"+u.People+"\nchangetype: modify\nreplace: userAccountControl\nuserAccountControl: 512\n-\nreplace: pwdLastSet\npwdLastSet: 0\n")
	fails(t, with(r.desk(t, "carol"), u.Login("carol")), "kerberos-password-expired")
	has("bob", 0)
	has("carol", 0)
}
