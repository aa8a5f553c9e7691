package slapdtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha1" // what slapd's {SSHA} is made of; the passwords are random or samples
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"text/template"

	"github.com/sealpost/sealpost/internal/child"
)

// slapd.conf, with the rights that an operator should give: the lookup account reads, the publisher writes nothing but
// certificates and revocation lists, people may only prove their passwords, and the world reads the address book and the
// issuers' entries. Rules are tried in order; the first that matches counts.
var conf = template.Must(template.New("slapd.conf").Parse(`
{{- range .Schemas}}include "{{.}}"
{{end -}}
{{with .Modules}}modulepath "{{.}}"
moduleload back_mdb.so
{{end -}}
pidfile "{{.Dir}}/slapd.pid"
argsfile "{{.Dir}}/slapd.args"
sizelimit 500
localSSF 256
{{if .TLS}}TLSCACertificateFile "{{.Dir}}/tls/ca.pem"
TLSCertificateFile "{{.Dir}}/tls/server.pem"
TLSCertificateKeyFile "{{.Dir}}/tls/server.key"
TLSProtocolMin 3.3
# No password travels in the clear.
security simple_bind=128
{{end}}
access to dn.base="" by * read
access to dn.base="cn=subschema" by * read

database mdb
suffix "{{.Base}}"
rootdn "{{.Admin.DN}}"
rootpw {{.AdminHash}}
directory "{{.Dir}}/data"
maxsize 4294967296
{{if not .Durable}}dbnosync
{{end -}}
index objectClass,uid,mail,member,entryUUID eq
{{.First}}
access to attrs=userPassword by anonymous auth by * none
access to dn.subtree="{{.PKI}}" by dn.exact="{{.Publisher.DN}}" write by * read
access to dn.subtree="{{.Contacts}}" attrs=userCertificate
	by dn.exact="{{.Publisher.DN}}" write by * read
access to dn.subtree="{{.Contacts}}" attrs=entry,objectClass,cn,sn,givenName,displayName,mail by * read
access to dn.subtree="{{.People}}" attrs=userCertificate,userSMIMECertificate
	by dn.exact="{{.Publisher.DN}}" write by * read
# To change an entry only if it is as it was read.
access to dn.subtree="{{.People}}" attrs=entryCSN by dn.exact="{{.Publisher.DN}}" read by dn.exact="{{.Lookup.DN}}" read
# So that an entry of any class can hold certificates.
access to dn.subtree="{{.People}}" attrs=objectClass val="pkiUser"
	by dn.exact="{{.Publisher.DN}}" write by * read
access to dn.subtree="{{.People}}" attrs=entry,objectClass,cn,sn,givenName,displayName,mail,title by * read
access to * by dn.exact="{{.Lookup.DN}}" read by users search by * search
{{.Extra}}
`))

// services are the accounts that Sealpost uses, and the decoy, whose password nobody knows.
var services = template.Must(template.New("services").Parse(`
{{range .}}
dn: {{.DN}}
objectClass: applicationProcess
objectClass: simpleSecurityObject
userPassword: {{.Hash}}
{{end}}`))

// prepare writes the server's configuration and, into a new folder, its data.
func (s *Server) prepare(ctx context.Context) error {
	var err error
	if s.Admin, err = s.account("cn=admin,"+Base, "admin"); err != nil {
		return err
	}
	if s.Lookup, err = s.account("cn=lookup,ou=services,"+Base, "lookup"); err != nil {
		return err
	}
	if s.Publisher, err = s.account("cn=publisher,ou=services,"+Base, "publisher"); err != nil {
		return err
	}
	if err := s.prepareTLS(); err != nil {
		return err
	}
	if err := s.writeConf(); err != nil {
		return err
	}
	// Data is complete when this file is there.
	done := s.path("loaded")
	if _, err := os.Stat(done); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := s.load(ctx); err != nil {
		return err
	}
	return os.WriteFile(done, nil, 0o600)
}

func (s *Server) writeConf() error {
	schemas, modules, err := installed()
	if err != nil {
		return err
	}
	var b bytes.Buffer
	err = conf.Execute(&b, map[string]any{
		"Schemas": schemas, "Modules": modules, "Dir": s.conf.Dir, "TLS": !s.conf.NoTLS, "Durable": s.conf.Durable,
		"Base": Base, "People": People, "Contacts": Contacts, "PKI": PKI, "First": s.conf.First, "Extra": s.conf.Extra,
		"Admin": s.Admin, "AdminHash": hash(s.Admin.Password), "Lookup": s.Lookup, "Publisher": s.Publisher,
	})
	if err != nil {
		return err
	}
	return s.write("slapd.conf", b.Bytes())
}

// load fills an empty database.
func (s *Server) load(ctx context.Context) error {
	slapadd, err := child.FindProgram("slapadd")
	if err != nil {
		return err
	}
	type entry struct{ DN, Hash string }
	var b bytes.Buffer
	b.WriteString(Company)
	err = services.Execute(&b, []entry{
		{s.Lookup.DN, hash(s.Lookup.Password)}, {s.Publisher.DN, hash(s.Publisher.Password)}, {Decoy, hash(newPassword())}})
	if err != nil {
		return err
	}
	b.WriteString("\n" + s.conf.More)
	if err := s.write("company.ldif", b.Bytes()); err != nil {
		return err
	}
	for _, f := range []string{"data.mdb", "lock.mdb"} { // of a load that was cut off
		if err := os.Remove(filepath.Join(s.conf.Dir, "data", f)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return child.Run(ctx, child.Config{Path: slapadd, Dir: s.conf.Dir,
		Args: []string{"-q", "-f", s.path("slapd.conf"), "-l", s.path("company.ldif")}})
}

// installed returns the schema files to include and the folder of modules ("" where the database is built in).
func installed() (schemas []string, modules string, err error) {
	for _, dir := range []string{"/etc/ldap/schema", "/etc/openldap/schema"} {
		if _, err := os.Stat(filepath.Join(dir, "core.schema")); err != nil {
			continue
		}
		// msuser has the attributes of Active Directory, and needs nis before it.
		for _, name := range []string{"core", "cosine", "inetorgperson", "nis", "msuser"} {
			schemas = append(schemas, filepath.Join(dir, name+".schema"))
		}
		break
	}
	if schemas == nil {
		return nil, "", errors.New("slapd's schemas (core.schema) are in neither /etc/ldap/schema nor /etc/openldap/schema")
	}
	for _, dir := range []string{"/usr/lib/ldap", "/usr/lib64/openldap", "/usr/lib/openldap"} {
		if _, err := os.Stat(filepath.Join(dir, "back_mdb.so")); err == nil {
			return schemas, dir, nil
		}
	}
	return schemas, "", nil
}

func newPassword() string { return rand.Text() }

// hash returns a password in the form {SSHA}: SHA-1 of password and salt, then the salt.
func hash(password string) string {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	sum := sha1.Sum(append([]byte(password), salt...))
	return fmt.Sprintf("{SSHA}%s", base64.StdEncoding.EncodeToString(append(sum[:], salt...)))
}
