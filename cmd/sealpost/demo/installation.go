package demo

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/sealpost/sealpost/cmd/sealpost/setup"
	"github.com/sealpost/sealpost/internal/child"
	"github.com/sealpost/sealpost/internal/keys"
	"github.com/sealpost/sealpost/internal/pg"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// InstallConfig says what Install makes.
type InstallConfig struct {
	Dir       string         // everything lies here; new, empty, or a former demo's
	People    string         // LDIF of more people than the sample company's
	Algorithm keys.Algorithm // of the authorities' keys; empty for what `sealpost init` takes
}

// manyPeople lets the lookup account read them all at once.
const manyPeople = `limits users size=unlimited`

// Installation is a finished installation, with its servers running but for Sealpost's own: the tour's steps up to there.
// `sealpost bench` measures one.
type Installation struct {
	Dir       string
	Cluster   *pgtest.Cluster
	Directory *slapdtest.Server
	demo      *Demo
}

// Install makes an installation in a folder. Close stops its servers.
func Install(ctx context.Context, c InstallConfig) (_ *Installation, err error) {
	d := &Demo{Config: Config{Dir: c.Dir, Out: io.Discard}, people: c.People, algorithm: c.Algorithm}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	if d.dir, err = takeFolder(c.Dir); err != nil {
		return nil, err
	}
	if d.sockets, err = makeScratch(d.dir); err != nil {
		return nil, err
	}
	if c.People != "" {
		d.limits = manyPeople
	}
	d.closers = append(d.closers, func() { _ = os.RemoveAll(d.sockets) })
	for _, do := range []func(context.Context) (string, error){d.startDatabase, d.startDirectory, d.createAuthority, d.migrate, d.certifyOfficers, d.holdCeremony} {
		if _, err := do(ctx); err != nil {
			return nil, err
		}
	}
	return &Installation{Dir: d.dir, Cluster: d.cluster, Directory: d.slapd, demo: d}, nil
}

// Close stops the servers.
func (i *Installation) Close() { i.demo.close() }

// Server is how to run a Sealpost server on an installation.
type Server struct {
	Config      string // path of the configuration file
	API         string // https://localhost:PORT
	Portal      string // the same, for browsers
	DatabaseURL string // as the database's owner
}

// First is the installation's own server.
func (i *Installation) First() Server { return i.server(i.Dir, i.demo.template, database) }

func (i *Installation) server(dir string, t setup.Template, db string) Server {
	return Server{Config: filepath.Join(dir, setup.ConfigFile), API: "https://localhost:" + port(t.API), Portal: "https://localhost:" + port(t.Portal), DatabaseURL: i.Cluster.URL(db)}
}

// Another makes another server with the same keys on a copy of the database, which nobody may be using at that moment.
// Its configuration lies in a folder of that name.
func (i *Installation) Another(ctx context.Context, name string) (Server, error) {
	if _, err := i.demo.psql(ctx, "postgres", fmt.Sprintf("create database %s template %s", name, database)); err != nil {
		return Server{}, err
	}
	dir, t, err := i.demo.another(name, func(t *setup.Template) { t.PortalRequests = 1_000_000 }) // those who measure ask faster than people
	return i.server(dir, t, name), err
}

// another writes the configuration of a further server with the same keys, on the database of that name, into a folder of that name.
func (d *Demo) another(name string, change func(*setup.Template)) (dir string, t setup.Template, err error) {
	dir, t = filepath.Join(d.dir, name), d.template
	if err := os.Mkdir(dir, 0o755); err != nil {
		return dir, t, err
	}
	for _, shared := range []string{"pki", setup.PassphraseFile} {
		if err := os.Symlink(filepath.Join(d.dir, shared), filepath.Join(dir, shared)); err != nil {
			return dir, t, err
		}
	}
	for _, address := range []*string{&t.Public, &t.API, &t.Portal} {
		if *address, err = child.FreeAddress(); err != nil {
			return dir, t, err
		}
	}
	t.DatabaseURL = d.cluster.URLAs(pg.DefaultRolePrefix+string(pg.LoginRole), name)
	t.AdminURL = d.cluster.URL(name)
	t.CRLEntry = "cn=" + name + "," + slapdtest.PKI // one list a place
	change(&t)
	return dir, t, t.Write(filepath.Join(dir, setup.ConfigFile))
}
