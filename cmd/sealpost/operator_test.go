package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

func TestFirstHour(t *testing.T) {
	t.Parallel()
	firstHour(t)
	dir := shared.path("first")
	openssl(t, dir, "crl", "-inform", "DER", "-in", "pki/root.crl", "-out", "root-crl.pem", "-CAfile", "pki/root.pem")
	openssl(t, dir, "verify", "-x509_strict", "-crl_check", "-CAfile", "pki/root.pem", "-CRLfile", "root-crl.pem", "pki/issuing.pem")
	for _, key := range []string{"root", "issuing", "audit", "receipt"} {
		if text := read(t, filepath.Join(dir, "pki", key+".key")); !strings.Contains(text, "BEGIN ENCRYPTED PRIVATE KEY") {
			t.Errorf("%s.key is not encrypted:\n%s", key, text)
		}
	}
	openssl(t, dir, "pkey", "-in", "pki/issuing.key", "-passin", "file:passphrase", "-noout")
	openssl(t, dir, "pkey", "-in", "pki/root.key", "-passin", "file:pki/root.passphrase", "-noout")
	e2etest.ToolRefuses(t, "", dir, "openssl", "pkey", "-in", "pki/root.key", "-passin", "file:passphrase", "-noout")
	must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if secret := strings.Contains(path, "pass") || strings.HasSuffix(path, ".key") || strings.Contains(path, "backup") || strings.HasSuffix(path, ".yaml"); secret && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %04o", path, info.Mode().Perm())
		}
		return err
	}))
}

// init never replaces anything, and says what is missing.
func TestInitRefuses(t *testing.T) {
	t.Parallel()
	shared.open(t)
	dir := filepath.Join(t.TempDir(), "x")
	run := func(args ...string) e2etest.Command {
		return e2etest.Command{Path: shared.path(program), Args: append([]string{"init", "--dir", dir}, args...)}
	}
	whole := []string{"--organisation", "Example", "--mail-domain", "example.test", "--public-url", "http://pki.example.test"}
	e2etest.Bad(t, run(), "organisation", "public-url", "mail-domain")
	for says, flags := range map[string][]string{"RSA-4096": {"--algorithm", "RSA-1024"}, "http://": {"--public-url", "https://pki.example.test"},
		"two capital letters": {"--country", "Germany"}} {
		e2etest.Bad(t, run(append(whole, flags...)...), says)
		if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
			t.Errorf("%v: a refused init left %v", flags, entries)
		}
	}
	e2etest.Good(t, run(whole...))
	for _, kept := range []string{"pki/root.key", "passphrase", "server.yaml"} {
		before := read(t, filepath.Join(dir, kept))
		e2etest.Bad(t, run(whole...), "never replaces")
		if read(t, filepath.Join(dir, kept)) != before {
			t.Errorf("a second init replaced %s", kept)
		}
		must(t, os.RemoveAll(filepath.Join(dir, strings.Split(kept, "/")[0]))) // the next one still stands
	}
}

// A root that is not ours, kept with openssl, certifies the issuing authority; only its right answer is taken.
func TestOutsideRoot(t *testing.T) {
	t.Parallel()
	shared.open(t)
	dir := filepath.Join(t.TempDir(), "ca")
	root := t.TempDir()
	e2etest.Good(t, e2etest.Command{Path: shared.path(program), Args: []string{"init", "--dir", dir, "--organisation", "Example", "--mail-domain", "example.test",
		"--public-url", "http://pki.example.test", "--outside-root", "--algorithm", "RSA-3072"}})
	if _, err := os.Stat(filepath.Join(dir, "pki", "root.key")); err == nil {
		t.Error("there is a root key")
	}
	write(t, filepath.Join(root, "ca.cnf"), `
[req]
distinguished_name = dn
prompt = no
x509_extensions = root
[dn]
O = Old House
CN = Old House Root
[root]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[issuing]
basicConstraints = critical, CA:true, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
certificatePolicies = 2.5.29.32.0
crlDistributionPoints = URI:http://old.example.test/root.crl
[leaf]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
`)
	for _, name := range []string{"root", "other"} {
		openssl(t, root, "req", "-x509", "-config", "ca.cnf", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-nodes", "-keyout", name+".key", "-out", name+".pem", "-days", "7300")
	}
	csr := filepath.Join(dir, "pki", "issuing.csr")
	openssl(t, root, "req", "-in", csr, "-verify", "-noout")
	openssl(t, root, "req", "-new", "-config", "ca.cnf", "-newkey", "rsa:3072", "-nodes", "-keyout", "stranger.key", "-out", "stranger.csr")
	sign := func(name, request, issuer, extensions string) {
		openssl(t, root, "x509", "-req", "-in", request, "-CA", issuer+".pem", "-CAkey", issuer+".key", "-set_serial", "0x7001020304050607", "-days", "3650", "-sha384",
			"-extfile", "ca.cnf", "-extensions", extensions, "-out", name+".leaf")
		write(t, filepath.Join(root, name+".chain"), read(t, filepath.Join(root, name+".leaf"))+read(t, filepath.Join(root, issuer+".pem")))
	}
	sign("good", csr, "root", "issuing")
	sign("leaf", csr, "root", "leaf")
	sign("stranger", "stranger.csr", "root", "issuing")
	write(t, filepath.Join(root, "wrong.chain"), read(t, filepath.Join(root, "good.leaf"))+read(t, filepath.Join(root, "other.pem")))
	write(t, filepath.Join(root, "alone.chain"), read(t, filepath.Join(root, "good.leaf")))
	write(t, filepath.Join(root, "garbage.chain"), "nothing")
	accept := func(name string) e2etest.Command {
		return e2etest.Command{Path: shared.path(program), Args: []string{"init", "accept", "--dir", dir, "--chain", filepath.Join(root, name)}}
	}
	for name, says := range map[string]string{"leaf.chain": "", "stranger.chain": "key", "wrong.chain": "", "alone.chain": "", "garbage.chain": "no certificate", "nothing.chain": "no such file"} {
		oneLine(t, name, e2etest.Bad(t, accept(name), says))
		if _, err := os.Stat(filepath.Join(dir, "pki", "issuing.pem")); err == nil {
			t.Fatalf("%s was taken", name)
		}
	}
	e2etest.Good(t, accept("good.chain"))
	openssl(t, dir, "verify", "-CAfile", "pki/root.pem", "pki/issuing.pem")
	e2etest.Bad(t, accept("good.chain"), "exists")
}

// check tells everything at once, each with its place, and needs nothing of what the file names.
func TestCheck(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.slapd.Kill()
	if out := i.run(t, "check"); !strings.Contains(out, "No fault") {
		t.Errorf("check: %s", out)
	}
	oneLine(t, "the directory is away", e2etest.Bad(t, i.command("check --connect"), "directory"))
	must(t, i.slapd.Restart(t.Context()))
	i.run(t, "check --connect")
	i.edit(t, map[string]any{"public_url": "https://x", "organisation.name": nil, "listen.api": "nowhere", "issuers.0.id": "Not Good", "archive.roster_pins": []string{"x"},
		"directory.urls": nil, "audit.files": nil, "crl.lifetime": "1h", "log.level": "loud"})
	e2etest.Bad(t, i.command("check"), "public_url:", "organisation.name:", "listen.api:", "issuers[0].id:", "archive.roster_pins[0]:", "directory.urls:", "audit:", "crl.lifetime:", "log.level:")
}

// Profiles are data: what is wrong in them is found before the server starts.
func TestCheckProfiles(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.edit(t, map[string]any{"profiles": []any{map[string]any{"name": "smime-signing", "use": "signing", "escrow": "required"}}})
	e2etest.Bad(t, i.command("check"), "profiles[0].escrow: only keys", "profiles[0].validity_days")
}

// Without its directory the server starts and serves what outsiders need; when the directory comes, people can enrol.
func TestDirectoryDownAtStart(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.slapd.Kill()
	r := i.launch(t)
	r.Await(t, `"msg":"serving"`)
	c := i.as(t, "alice")
	defer c.Close()
	h, err := c.Health(t.Context())
	if err != nil || h.OK || h.Parts["database"] != "ok" || h.Parts["directory"] == "ok" {
		t.Errorf("health: %+v, %v", h, err)
	}
	if _, err := c.Policy(t.Context()); codeOf(err) != "directory-unavailable" {
		t.Errorf("policy: %v", err)
	}
	i.fetch(t, "/crl/issuing.crl")
	i.fetch(t, "/crl/root.crl")
	must(t, i.slapd.Restart(t.Context()))
	r.awaitHealth(t)
	r.enrol(t, "alice")
	r.stop(t)
}

// An auditor measures the log by the checkpoints outside; a row that somebody altered is named.
func TestAuditVerify(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	r := i.serve(t)
	r.enrol(t, "alice")
	e2etest.Eventually(t, func() error {
		if n := i.db.Count(t, `select count(*) from audit.pending`); n != 0 {
			return fmt.Errorf("%d events wait", n)
		}
		return nil
	})
	if out := i.run(t, "audit verify"); !strings.Contains(out, "every one is in the signed tree") {
		t.Errorf("audit verify: %s", out)
	}
	e2etest.Eventually(t, func() error { // the server goes on writing
		var good audit.Report
		must(t, json.Unmarshal([]byte(i.run(t, "audit verify --json")), &good))
		if n := i.db.Count(t, `select count(*) from audit.event`); good.Finding != nil || good.Events != n || good.Outside == 0 {
			return fmt.Errorf("%+v, and there are %d events", good, n)
		}
		return nil
	})
	r.stop(t)
	kept := filepath.Join(t.TempDir(), "kept")
	write(t, kept, read(t, i.path("audit-checkpoints")))
	i.run(t, "audit verify --kept", kept)

	event := i.db.Count(t, `select min(id) from audit.event where kind = 'certificate.issued'`)
	i.db.Exec(t, `update audit.event set body = replace(body, 'certificate.issued', 'certificate.issueD') where id = $1`, event)
	found := e2etest.Run(t, i.command("audit verify"))
	if want := fmt.Sprintf("event %d (certificate.issued", event); found.Code != 1 || !strings.Contains(found.Stdout, "NOT WHOLE") || !strings.Contains(found.Stdout, want) ||
		!strings.Contains(found.Stderr, "not whole") {
		t.Errorf("a row was altered: %+v", found)
	}
	var bad audit.Report
	asJSON := e2etest.Run(t, i.command("audit verify --json"))
	must(t, json.Unmarshal([]byte(asJSON.Stdout), &bad))
	if asJSON.Code != 1 || bad.Finding == nil || bad.Finding.Event != event || bad.Finding.What != audit.Altered {
		t.Errorf("%+v: %+v", asJSON, bad.Finding)
	}
	i.db.Exec(t, `update audit.event set body = replace(body, 'certificate.issueD', 'certificate.issued') where id = $1`, event)
	i.run(t, "audit verify")
	// The end of the log is cut off, and everything that would show it in the database: what was kept outside tells.
	i.db.Exec(t, `delete from audit.checkpoint where size = (select max(size) from audit.checkpoint)`)
	e2etest.Bad(t, i.command("audit verify --kept", filepath.Join(t.TempDir(), "none")), "none")
	i.db.Exec(t, `with last as (select max(size) as size from audit.checkpoint), gone as (delete from audit.leaf using last where idx >= size returning event)
		delete from audit.event where id in (select event from gone)`)
	if cut := e2etest.Run(t, i.command("audit verify --kept", kept)); cut.Code != 1 || !strings.Contains(cut.Stdout, "NOT WHOLE") {
		t.Errorf("the log was cut off: %+v", cut)
	}
}

// crl publish makes a list although none is due; the running server brings it everywhere, and crl status tells.
func TestPublishCRL(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.serve(t)
	number := func(der []byte) string {
		file := filepath.Join(t.TempDir(), "crl")
		write(t, file, string(der))
		return openssl(t, i.dir, "crl", "-inform", "DER", "-in", file, "-noout", "-crlnumber", "-CAfile", "pki/issuing.pem")
	}
	first := number(i.fetch(t, "/crl/issuing.crl"))
	var made int
	if out := i.run(t, "crl publish"); !strings.HasPrefix(out, "issuing: number ") {
		t.Errorf("crl publish: %s", out)
	} else if _, err := fmt.Sscanf(out, "issuing: number %d,", &made); err != nil || made < 2 {
		t.Errorf("crl publish: %s", out)
	}
	if !strings.Contains(first, "crlNumber=") || !strings.Contains(first, "verify OK") {
		t.Errorf("the list before: %s", first)
	}
	var second []byte
	e2etest.Eventually(t, func() error {
		second = i.fetch(t, "/crl/issuing.crl")
		if n := number(second); !strings.Contains(n, fmt.Sprintf("crlNumber=0x%02X", made)) {
			return fmt.Errorf("served: %s", n)
		}
		return nil
	})
	e2etest.Eventually(t, func() error {
		if out := i.run(t, "crl status"); !strings.Contains(strings.Join(strings.Fields(out), " "), fmt.Sprintf("ldap-issuing issuing.crl %d %d ", made, made)) {
			return fmt.Errorf("crl status:\n%s", out)
		}
		return nil
	})
	var status api.CRLStatus
	must(t, json.Unmarshal([]byte(i.run(t, "crl status --json")), &status))
	if len(status.Lists) != 3 || len(status.Points) != 8 || status.Points[0].Issuer != "issuing" || status.Urgent {
		t.Errorf("%+v", status)
	}
	shown := i.slapd.Search(t, slapdtest.Account{}, "-b", "cn=Example CA,"+slapdtest.PKI, "-t", "-T", t.TempDir(), "certificateRevocationList;binary")
	_, file, _ := strings.Cut(shown, "certificateRevocationList;binary:< file://")
	file, _, _ = strings.Cut(file, "\n")
	if file == "" || !bytes.Equal([]byte(read(t, file)), second) {
		t.Errorf("the directory shows another list: %s", shown)
	}
}

// idle waits until the server has nothing left to do about the directory.
func (i *installation) idle(t *testing.T) {
	t.Helper()
	e2etest.Eventually(t, func() error {
		if left := i.psql(t, `select 'due ' || id from publication.due union all select 'sweep ' || number from gal.sweep where number = 0 or ended_at is null
			union all select 'no sweep' where not exists (select from gal.sweep)`); len(left) > 0 {
			return fmt.Errorf("the server is still at it: %v", left)
		}
		return nil
	})
}

// gal diff tells how an entry differs, and gal publish repairs it, without touching what is not ours.
func TestPublishGAL(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	r := i.serve(t)
	r.enrol(t, "alice")
	says := func(want, line string) func() error {
		return func() error {
			if out := i.run(t, line, "alice"); !strings.Contains(out, want) {
				return fmt.Errorf("%s: %s, want %s", line, out, want)
			}
			return nil
		}
	}
	i.idle(t) // otherwise the server is faster than the commands
	must(t, says("Alice Anders: 0 missing, 0 stale, 0 of others", "gal diff")())
	foreign := filepath.Join(t.TempDir(), "foreign.der")
	openssl(t, "", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "/dev/null", "-subj", "/CN=Other", "-outform", "DER", "-out", foreign)
	i.slapd.Modify(t, "dn: "+slapdtest.PersonDN("alice")+"\nchangetype: modify\nreplace: userCertificate;binary\nuserCertificate;binary:< file://"+foreign+"\n")
	must(t, says("1 missing, 0 stale, 1 of others", "gal diff")())
	must(t, says("1 added, 0 removed, 1 of others left alone", "gal publish")())
	must(t, says("0 missing, 0 stale, 1 of others", "gal diff")())
	oneLine(t, "nobody", e2etest.Bad(t, i.command("gal diff", "nobody"), "no such person"))
	oneLine(t, "neither", e2etest.Bad(t, i.command("gal repair"), "--all"))

	// Everybody: first as a report, then repaired; the server's metrics tell too.
	i.slapd.Modify(t, "dn: "+slapdtest.PersonDN("alice")+"\nchangetype: modify\nreplace: userCertificate;binary\nuserCertificate;binary:< file://"+foreign+"\n")
	for _, line := range [][]string{{"gal diff", "--all"}, {"gal repair", "--all", "--dry-run"}} {
		if out := i.run(t, line[0], line[1:]...); !strings.Contains(out, "missing") || !strings.Contains(out, slapdtest.PersonDN("alice")) || !strings.Contains(out, "0 entries repaired") {
			t.Errorf("%s: %s", line, out)
		}
	}
	var st api.GALStatus
	must(t, json.Unmarshal([]byte(i.run(t, "gal status", "--json")), &st))
	if st.Drift["missing"] != 1 || st.Phase != "done" {
		t.Errorf("%+v", st)
	}
	if out := i.run(t, "gal repair", "--all"); !strings.Contains(out, "1 entries repaired") {
		t.Errorf("repair: %s", out)
	}
	must(t, says("0 missing, 0 stale, 1 of others", "gal diff")())
	if out := i.run(t, "gal status"); strings.Contains(out, "missing") || !strings.Contains(out, "1 people compared, 1 entries repaired, 1 values of others") {
		t.Errorf("status: %s", out)
	}
	for line := range strings.Lines(i.run(t, "gal diff", "--all", "--json")) {
		if !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %s", line)
		}
	}
}
