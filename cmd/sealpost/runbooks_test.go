package main

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// newRunbook returns somebody who is about to follow a runbook, at an installation whose server runs.
func newRunbook(t *testing.T, places ...string) *follower {
	t.Helper()
	f := newFollower(t, newInstallation(t), t.TempDir(), places...)
	f.server = f.serve(t)
	return f
}

// bringRoot brings the root's files together on the offline machine.
func (f *follower) bringRoot() {
	f.t.Helper()
	for _, name := range []string{"root.pem", "root.key", "root.passphrase", "root.crl"} {
		f.carry(f.path("pki/"+name), "root/"+name)
	}
}

func TestCRLRunbook(t *testing.T) {
	t.Parallel()
	f := newRunbook(t)
	f.bringRoot()
	f.says["sealpost crl status"] = "ldap"
	f.says["sealpost crl verify http"] = "good until"
	f.says["sealpost crl publish --issuer"] = "issuing: number 4712,"
	f.says["sealpost root crl"] = "number 2, 0 revoked"
	f.before["sealpost crl verify /"] = func() { f.carry(f.at("root/root-next.crl"), "stick/root-next.crl") }
	f.document("docs/runbooks/crl-stale.md", "", "")
	write(t, f.at("published.crl"), string(f.fetch(t, "/crl/root.crl")))
	if out := openssl(t, f.base, "crl", "-inform", "DER", "-in", "published.crl", "-CAfile", f.path("pki/root.pem"), "-noout", "-crlnumber"); !strings.Contains(out, "verify OK") || !strings.Contains(out, "=0x02") {
		t.Errorf("the root's list as published: %s", out)
	}
	f.done(15)
}

func TestAuditRunbook(t *testing.T) {
	t.Parallel()
	f := newRunbook(t)
	f.server.enrol(t, "alice")
	e2etest.Eventually(t, func() error {
		if n := f.db.Count(t, `select count(*) from audit.pending`); n != 0 {
			return fmt.Errorf("%d events wait", n)
		}
		return nil
	})
	f.carry(f.path("audit-checkpoints"), "stick/checkpoints-kept-elsewhere")
	e2etest.Good(t, f.server.officer(t, "oscar", "log check --countersign"))
	f.carry(filepath.Join(f.home(t, "oscar"), "log.txt"), "stick/oscar-log.txt")
	f.db.Exec(t, `update audit.event set body = replace(body, 'issued', 'Issued') where kind = 'enrolment.issued'`)
	for _, command := range []string{"sealpost audit verify", "sealpost audit verify --kept " + f.at("stick/checkpoints"), "sealpost audit verify --kept " + f.at("stick/oscar")} {
		f.refuses[command] = "NOT WHOLE: altered"
	}
	f.document("docs/runbooks/audit-log-does-not-verify.md", "", "")
	if out := read(t, f.at("stick/report.json")); !strings.Contains(out, `"What": "altered"`) {
		t.Errorf("report.json: %s", out)
	}
	f.done(6)
}

// A restore that loses nothing, and one that loses what happened since the backup.
func TestBackupRunbook(t *testing.T) {
	t.Parallel()
	const page, loss = "docs/runbooks/backup-and-restore.md", "If something was lost"
	t.Run("nothing is lost", func(t *testing.T) {
		t.Parallel()
		f := newRunbook(t)
		f.server.enrol(t, "alice")
		f.before["pg_dumpall"] = func() { f.server.stop(t) }
		f.before["psql"] = f.destroy
		f.after["tar --extract"] = f.bringCheckpoints
		f.says["sealpost wrapping check"] = "records  1"
		f.says["sealpost audit verify"] = "agrees with every checkpoint"
		f.document(page, "", loss)
		f.server = f.serve(t)
		f.server.enrol(t, "bob")
		f.done(11)
	})
	t.Run("a pair is lost", func(t *testing.T) {
		t.Parallel()
		f := newRunbook(t)
		f.server.enrol(t, "alice")
		f.before["psql"] = func() {
			f.server.enrol(t, "bob")
			f.published("bob")
			f.server.stop(t)
			f.destroy()
		}
		f.after["tar --extract"] = f.bringCheckpoints
		f.refuses["sealpost audit verify"] = "NOT WHOLE: truncated"
		f.document(page, "", loss)
		f.says["sealpost audit verify"] = "agrees with every checkpoint"
		f.says["sealpost gal diff"] = "0 missing, 1 stale"
		f.document(page, loss, "")
		f.server.enrol(t, "bob")
		f.done(15)
	})
}

// destroy is the disk's end: what is left is the backup, and the checkpoints kept elsewhere.
func (f *follower) destroy() {
	f.t.Helper()
	f.carry(f.path("audit-checkpoints"), "checkpoints")
	must(f.t, os.RemoveAll(f.dir))
	must(f.t, os.Mkdir(f.dir, 0o700))
	pgtest.Database{Cluster: shared.cluster, Name: "postgres"}.Exec(f.t, "drop database "+f.db.Name)
}

func (f *follower) bringCheckpoints() {
	f.t.Helper()
	write(f.t, f.path("audit-checkpoints"), read(f.t, f.at("checkpoints")))
}

// published waits until somebody's certificate is in the directory.
func (f *follower) published(login string) {
	f.t.Helper()
	e2etest.Eventually(f.t, func() error {
		if out := f.run(f.t, "gal diff", login); !strings.Contains(out, "0 missing") {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
}

func TestPersonLeavesRunbook(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	server := i.serve(t)
	pair, _ := server.enrol(t, "alice")
	f := newFollower(t, i, t.TempDir(), "PERSON", pair.Person.String())
	f.server = server
	f.published("alice")
	f.carry(f.path("pki/root.pem"), "rita/root.pem")
	write(t, f.at("rita/.netrc"), "machine localhost login rita password "+slapdtest.Password("rita")+"\n")
	i.slapd.Modify(t, "dn: "+slapdtest.PersonDN("alice")+"\nchangetype: modify\nadd: employeeType\nemployeeType: disabled\n")
	f.says["sealpost leavers sweep"] = pair.Person.String()
	f.says["sealpost gal diff"] = "0 missing, 0 stale"
	f.says["sealpost crl status"] = "issuing.crl"
	f.after[`curl -fsS --cacert root.pem --netrc https`] = func() {
		var list api.Page[api.Leaver]
		must(t, json.Unmarshal([]byte(read(t, f.at("rita/leavers.json"))), &list))
		if len(list.Items) != 1 || list.Items[0].Person != pair.Person || list.Items[0].State != api.LeaverNoticed {
			t.Errorf("who left: %+v", list.Items)
		}
	}
	f.before["sealpost gal diff"] = func() {
		e2etest.Eventually(t, func() error {
			if out := f.run(t, "gal diff", "alice"); !strings.Contains(out, "0 missing, 0 stale") {
				return fmt.Errorf("%s", out)
			}
			return nil
		})
	}
	f.document("docs/runbooks/person-leaves.md", "", "")
	for reason, want := range map[int]int64{3: 1, 1: 2} { // what she signs with as a leaver; then both
		if n := f.db.Count(t, `select count(*) from ca.revocation where reason = $1`, reason); n != want {
			t.Errorf("%d are revoked for reason %d, want %d", n, reason, want)
		}
	}
	f.done(6)
}

func TestKeyReplacementRunbook(t *testing.T) {
	t.Parallel()
	f := newRunbook(t)
	alice, _ := f.server.enrol(t, "alice")
	f.bringRoot()
	f.before["sealpost root certify"] = func() { f.carry(f.path("next/pki/issuing.csr"), "root/issuing.csr") }
	f.before["sealpost init accept"] = func() { f.carry(f.at("root/issuing-2.pem"), "stick/issuing-2.pem") }
	f.before["sealpost root crl"] = func() { f.carry(f.path("pki/issuing.pem"), "root/issuing-1.pem") }
	f.says["sealpost check --connect"] = "No fault was found."
	f.says["sealpost crl status"] = "issuing-2.crl"
	f.says["sealpost root crl"] = "number 2, 1 revoked"
	f.document("docs/runbooks/key-replacement.md", "", "")

	bob, _ := f.server.enrol(t, "bob")
	carol := t.TempDir() // her agent trusts the exchange certificate, which is the old authority's for some days yet
	e2etest.Good(t, f.enrolAgent(carol, "carol"))
	dir := f.at("root")
	openssl(t, dir, "crl", "-inform", "DER", "-in", "root-next.crl", "-out", "root-next.pem")
	write(t, f.at("root/bob.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: bob.Certificates[0].DER})))
	if out := openssl(t, dir, "x509", "-in", "bob.pem", "-noout", "-issuer"); !strings.Contains(out, "Secure Mail CA 2") {
		t.Errorf("bob's certificate: %s", out)
	}
	openssl(t, dir, "verify", "-CAfile", "root.pem", "-untrusted", "issuing-2.pem", "bob.pem")
	write(t, f.at("root/alice.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: alice.Certificates[0].DER})))
	for who, issuer := range map[string]string{"alice": "issuing-1", "bob": "issuing-2"} { // both authorities answer
		url := "http://" + f.public + "/ocsp/" + strings.TrimSuffix(issuer, "-1")
		if out := openssl(t, dir, "ocsp", "-url", url, "-issuer", issuer+".pem", "-cert", who+".pem", "-CAfile", "root.pem"); !strings.Contains(out, who+".pem: good") {
			t.Errorf("%s's certificate: %s", who, out)
		}
	}
	openssl(t, dir, "verify", "-CAfile", "root.pem", "-crl_check", "-CRLfile", "root-next.pem", "issuing-2.pem")
	e2etest.ToolRefuses(t, "revoked", dir, "openssl", "verify", "-CAfile", "root.pem", "-crl_check", "-CRLfile", "root-next.pem", "issuing-1.pem")
	f.done(10)
}

func TestWeakKeysRunbook(t *testing.T) {
	t.Parallel()
	f := newRunbook(t)
	f.carry(f.path("pki/root.pem"), "alice/root.pem")
	e2etest.Good(t, f.shell("alice", "sealpost-agent enroll --server "+f.url()+" --roots root.pem --login alice"))
	f.before["sealpost-agent renew"] = func() { // the running server looks every few seconds
		alice := f.server.as(t, "alice")
		e2etest.Eventually(t, func() error {
			p, err := alice.Policy(t.Context())
			if err == nil && slices.Contains(p.Enrolments[0].Signing.Algorithms, "P-256") {
				err = errors.New("the policy still offers P-256")
			}
			return err
		})
	}
	f.says["sealpost renewals show"] = "0 certificates wait to be replaced, 1 have been"
	f.says["sealpost renewals withdraw"] = "withdrawn"
	f.document("docs/runbooks/weak-keys.md", "", "")
	f.done(7)
}
