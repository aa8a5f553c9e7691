package demo

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/cmd/sealpost/setup"
	"github.com/sealpost/sealpost/internal/child"
	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/pg"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// database is the demo's database.
const database = "sealpost"

// crlEntry is the directory entry that holds the CRL.
const crlEntry = "cn=Example Secure Mail CA," + slapdtest.PKI

// startDatabase starts PostgreSQL on a Unix socket.
func (d *Demo) startDatabase(ctx context.Context) (string, error) {
	log, err := os.Create(d.path("postgresql.log"))
	if err != nil {
		return "", err
	}
	d.cluster, err = pgtest.StartCluster(ctx, pgtest.ClusterConfig{Data: d.path("postgresql"), Sockets: filepath.Join(d.sockets, "pg"), Durable: true, Log: log})
	if err != nil {
		return "", err
	}
	d.closers = append(d.closers, d.cluster.Stop)
	if _, err := d.psql(ctx, "postgres", "create database "+database); err != nil {
		return "", err
	}
	version, err := d.psql(ctx, database, "show server_version")
	return "psql: PostgreSQL " + version + " answers on a Unix socket", err
}

// psql runs SQL as the database's owner and returns what it yields, unaligned.
func (d *Demo) psql(ctx context.Context, db, sql string) (string, error) {
	out, err := d.program(ctx, "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", d.cluster.URL(db), "-c", sql)
	return strings.TrimSpace(out), err
}

// startDirectory starts OpenLDAP with the sample company.
func (d *Demo) startDirectory(ctx context.Context) (string, error) {
	log, err := os.Create(d.path("slapd.log"))
	if err != nil {
		return "", err
	}
	d.slapd, err = slapdtest.Start(ctx, slapdtest.Config{Dir: d.path("directory"), Sockets: filepath.Join(d.sockets, "ldap"), Durable: true, Log: log, More: d.people, Extra: d.limits})
	if err != nil {
		return "", err
	}
	d.closers = append(d.closers, d.slapd.Stop)
	out, err := d.ldapsearch(ctx, slapdtest.People, "(objectClass=inetOrgPerson)", "uid")
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("ldapsearch over TLS: %d people", strings.Count(out, "\nuid: ")), nil
}

// ldapsearch searches as the lookup account, over TLS.
func (d *Demo) ldapsearch(ctx context.Context, base, filter string, attributes ...string) (string, error) {
	a := d.slapd.Lookup
	args := append([]string{"-LLL", "-o", "ldif-wrap=no", "-H", d.slapd.TLSURL(), "-x", "-D", a.DN, "-y", a.PasswordFile, "-b", base, filter}, attributes...)
	return d.programWith(ctx, []string{"LDAPTLS_CACERT=" + d.slapd.TrustFile, "LDAPTLS_REQCERT=demand"}, nil, "ldapsearch", args...)
}

// ldapmodify changes the directory as its administrator, over TLS.
func (d *Demo) ldapmodify(ctx context.Context, ldif string) (string, error) {
	a := d.slapd.Admin
	return d.programWith(ctx, []string{"LDAPTLS_CACERT=" + d.slapd.TrustFile, "LDAPTLS_REQCERT=demand"}, []byte(ldif), "ldapmodify", "-H", d.slapd.TLSURL(), "-x",
		"-D", a.DN, "-y", a.PasswordFile)
}

// writing is LDIF that puts certificates into a person's entry, or leaves nothing else there (how: add, replace).
func writing(login, how string, certificates ...[]byte) string {
	var b strings.Builder
	fmt.Fprintf(&b, "dn: %s\nchangetype: modify\n%s: %s\n", slapdtest.PersonDN(login), how, certificateAttribute)
	for _, c := range certificates {
		fmt.Fprintf(&b, "%s:: %s\n", certificateAttribute, base64.StdEncoding.EncodeToString(c))
	}
	b.WriteString("\n")
	return b.String()
}

// createAuthority makes keys, certificates and configuration, as `sealpost init` does.
func (d *Demo) createAuthority(ctx context.Context) (string, error) {
	public, err := child.FreeAddress()
	if err != nil {
		return "", err
	}
	api, err := child.FreeAddress()
	if err != nil {
		return "", err
	}
	portal, err := child.FreeAddress()
	if err != nil {
		return "", err
	}
	organisation := ca.Organisation{Name: "Example", Country: "DE"}
	url := "http://" + public
	if err := setup.Init(ctx, setup.Options{Dir: d.dir, Organisation: organisation, PublicURL: url, Algorithm: d.algorithm}); err != nil {
		return "", err
	}
	t := setup.Template{Organisation: organisation, PublicURL: url, MailDomains: []string{"example.test"}, Public: public, API: api, Portal: portal,
		DatabaseURL: d.cluster.URLAs(pg.DefaultRolePrefix+string(pg.LoginRole), database), AdminURL: d.cluster.URL(database),
		LDAPURL: d.slapd.TLSURL(), LDAPTrust: d.slapd.TrustFile, LookupDN: d.slapd.Lookup.DN, LookupPasswordFile: d.slapd.Lookup.PasswordFile,
		PublisherDN: d.slapd.Publisher.DN, PublisherPasswordFile: d.slapd.Publisher.PasswordFile, PeopleBase: slapdtest.People, GroupsBase: slapdtest.Groups,
		CRLHost: strings.TrimSuffix(d.slapd.StartTLSURL(), "/"), CRLEntry: crlEntry, AuthoritiesBase: slapdtest.PKI, Decoy: slapdtest.Decoy}
	if t.Points, err = d.furtherPoints(); err != nil {
		return "", err
	}
	if err := t.Write(d.path("server.yaml")); err != nil {
		return "", err
	}
	d.template = t
	crl, err := d.program(ctx, "openssl", "crl", "-inform", "DER", "-in", setup.RootCRL)
	if err != nil {
		return "", err
	}
	if err := d.write([]byte(crl), "pki", "root-crl.pem"); err != nil {
		return "", err
	}
	_, err = d.program(ctx, "openssl", "verify", "-x509_strict", "-crl_check", "-CAfile", setup.RootCertificate, "-CRLfile", "pki/root-crl.pem", setup.IssuingCertificate)
	return "openssl verify -x509_strict -crl_check: the issuing certificate is good under root and root's CRL", err
}

func port(address string) string {
	_, p, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return p
}

// migrate makes the tables.
func (d *Demo) migrate(ctx context.Context) (string, error) {
	m := pg.MigrateConfig{URL: d.cluster.URL(database)}
	if err := pg.Migrate(ctx, m); err != nil {
		return "", err
	}
	if err := jobs.Migrate(ctx, m); err != nil {
		return "", err
	}
	tables, err := d.psql(ctx, database, `select count(*) from pg_tables where schemaname not in ('pg_catalog', 'information_schema')`)
	if err != nil {
		return "", err
	}
	// The login role owns nothing and, without taking a room's role, reads nothing.
	out, err := d.program(ctx, "psql", "-X", "-A", "-t", d.cluster.URLAs("sealpost_server", database), "-c", "select count(*) from archive.record")
	if err == nil || !strings.Contains(out, "permission denied") {
		return "", fmt.Errorf("the login role reads the archive: %s", out)
	}
	return "psql: " + tables + " tables; the login role may read none of them by itself", nil
}

// serve starts the server and asks it over HTTPS how it is.
func (d *Demo) serve(ctx context.Context) (string, error) {
	start := time.Now()
	if err := d.startServer(ctx); err != nil {
		return "", err
	}
	took := time.Since(start)
	health, err := d.curl(ctx, "", "/api/v1/health")
	if err != nil {
		return "", err
	}
	if !strings.Contains(health, `"ok":true`) {
		return "", fmt.Errorf("health: %s", health)
	}
	return fmt.Sprintf("curl over HTTPS: %s (started in %d ms)", clip(health), took.Milliseconds()), nil
}

// curl asks the API, as a person if login is not empty.
func (d *Demo) curl(ctx context.Context, login, path string) (string, error) {
	args := []string{"-sS", "--fail-with-body", "--max-time", "20", "--cacert", setup.RootCertificate, "https://localhost:" + port(d.config.Listen.API) + path}
	if login == "" {
		return d.program(ctx, "curl", args...)
	}
	// The password goes in by standard input: arguments are seen by everybody on the machine.
	credentials := []byte("user = \"" + login + ":" + slapdtest.Password(login) + "\"\n")
	return d.programWith(ctx, nil, credentials, "curl", append([]string{"-K", "-"}, args...)...)
}

// logger logs to a file in the demo's folder.
func (d *Demo) logger(name string) (*slog.Logger, error) {
	f, err := os.Create(d.path(name))
	if err != nil {
		return nil, err
	}
	d.closers = append(d.closers, func() { _ = f.Close() })
	return slog.New(slog.NewJSONHandler(io.Writer(f), nil)), nil
}
