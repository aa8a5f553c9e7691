package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/sealpost/sealpost/cmd/sealpost/setup"
	"github.com/sealpost/sealpost/internal/child"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// installation is a server's folder, with a database and a directory.
type installation struct {
	dir    string // server.yaml and what it names
	config string // another name of server.yaml; a server's that shares the folder
	db     pgtest.Database
	slapd  *slapdtest.Server
	api    string // address, host:port
	public string
	portal string
	homes  string // of its officers, as they are needed
	moving *sync.Mutex
	trusts []string // more files with certificates that its clients trust, beside the root's
}

// databases numbers the databases of the cluster.
var databases atomic.Int64

// newInstallation returns a copy of the first installation, with a database and a directory of its own. The officers'
// roster is in it.
func newInstallation(t testing.TB) *installation {
	t.Helper()
	firstHour(t)
	name := fmt.Sprintf("copy_%d", databases.Add(1))
	admin := pgtest.Database{Cluster: shared.cluster, Name: "postgres"}
	admin.Exec(t, "create database "+name+" template "+firstDatabase+" strategy file_copy")
	return newInstallationOn(t, pgtest.Database{Cluster: shared.cluster, Name: name})
}

// newInstallationOn returns a copy of the first installation's folder on a database that the test has.
func newInstallationOn(t testing.TB, db pgtest.Database) *installation {
	t.Helper()
	firstHour(t)
	i := &installation{dir: filepath.Join(t.TempDir(), "ca"), db: db, slapd: slapdtest.New(t), api: freeAddress(t), public: freeAddress(t), portal: freeAddress(t), homes: t.TempDir(), moving: new(sync.Mutex)}
	must(t, os.CopyFS(i.dir, os.DirFS(shared.path("quick"))))
	for _, secret := range []string{setup.PassphraseFile, "server.yaml", "pki/*.key", "pki/*.passphrase", "pki/*.backup"} { // CopyFS opens them to all
		files, err := filepath.Glob(i.path(secret))
		must(t, err)
		for _, f := range files {
			must(t, os.Chmod(f, 0o600))
		}
	}
	i.complete(t)
	return i
}

// complete fills in what `sealpost init` cannot know, as an operator does.
func (i *installation) complete(t testing.TB) {
	t.Helper()
	i.edit(t, map[string]any{
		"database.url":                      i.db.URL(),
		"database.admin_url":                i.db.AdminURL(),
		"public_url":                        "http://" + i.public,
		"listen.public":                     i.public,
		"listen.api":                        i.api,
		"listen.portal":                     i.portal,
		"directory.urls":                    []string{i.slapd.TLSURL()},
		"directory.trust_file":              i.slapd.TrustFile,
		"directory.lookup.dn":               i.slapd.Lookup.DN,
		"directory.lookup.password_file":    i.slapd.Lookup.PasswordFile,
		"directory.publisher.dn":            i.slapd.Publisher.DN,
		"directory.publisher.password_file": i.slapd.Publisher.PasswordFile,
		"directory.people.base":             slapdtest.People,
		"directory.decoy":                   slapdtest.Decoy,
		"directory.disabled":                []any{map[string]any{"attribute": "employeeType", "value": "disabled"}},
		"directory.authorities":             map[string]any{"base": slapdtest.PKI, "create": true},
		"issuers.0.ldap":                    map[string]any{"url": strings.TrimSuffix(i.slapd.StartTLSURL(), "/"), "dn": "cn=Example CA," + slapdtest.PKI},
		"enrolment.plans.1":                 map[string]any{"name": "smime-endorsed", "title": "Endorsed", "signing": "smime-signing", "encryption": "smime-encryption", "endorsement": true},
	})
	for n, role := range []string{"registrars", "recovery-agents", "operators", "auditors"} {
		i.edit(t, map[string]any{fmt.Sprintf("directory.roles.%d.group", n): slapdtest.GroupDN(role)})
	}
}

func (i *installation) path(name string) string {
	return filepath.Join(i.dir, filepath.FromSlash(name))
}

// edit changes values of server.yaml, each by its path.
func (i *installation) edit(t testing.TB, changes map[string]any) {
	t.Helper()
	var root any
	file := i.path(cmp.Or(i.config, "server.yaml"))
	must(t, yaml.Unmarshal([]byte(read(t, file)), &root))
	for path, v := range changes {
		root = put(root, strings.Split(path, "."), v)
	}
	b, err := yaml.Marshal(root)
	must(t, err)
	write(t, file, string(b))
}

// put returns the tree with the value at a path; nil removes what is there.
func put(at any, path []string, v any) any {
	if len(path) == 0 {
		return v
	}
	if n, err := strconv.Atoi(path[0]); err == nil {
		list, _ := at.([]any)
		for len(list) <= n {
			list = append(list, nil)
		}
		list[n] = put(list[n], path[1:], v)
		return list
	}
	m, ok := at.(map[string]any)
	if !ok {
		m = map[string]any{}
	}
	if m[path[0]] = put(m[path[0]], path[1:], v); m[path[0]] == nil {
		delete(m, path[0])
	}
	return m
}

// command is a run of sealpost on this installation.
func (i *installation) command(line string, args ...string) e2etest.Command {
	all := append(words(line), args...)
	return e2etest.Command{Path: shared.path(program), Args: append(all, "--config", i.path(cmp.Or(i.config, "server.yaml"))), Dir: i.dir}
}

// run runs sealpost, which must succeed.
func (i *installation) run(t testing.TB, line string, args ...string) string {
	t.Helper()
	return e2etest.Good(t, i.command(line, args...))
}

func freeAddress(t testing.TB) string {
	t.Helper()
	address, err := child.FreeAddress()
	must(t, err)
	return address
}
