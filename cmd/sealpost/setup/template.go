package setup

import (
	"bytes"
	_ "embed"
	"net"
	"text/template"

	"github.com/sealpost/sealpost/ca"
)

// Template is what goes into a new configuration file. Fields left empty become examples to complete.
type Template struct {
	Organisation ca.Organisation
	PublicURL    string
	MailDomains  []string
	Host         string // of the API

	DatabaseURL, AdminURL string
	Public, API, Metrics  string // addresses to listen on
	Portal, PortalURL     string // the same for people's browsers, and how they reach it
	PortalRequests        int    // how many pages one person may ask for at once; 0 leaves that to the server

	LDAPURL, LDAPTrust                 string // of the directory
	LookupDN, LookupPasswordFile       string
	PublisherDN, PublisherPasswordFile string
	PeopleBase, GroupsBase             string
	CRLHost, CRLEntry, AuthoritiesBase string // where the CRL's directory entry is, for relying parties
	Decoy                              string
	RosterPin                          string
	AuditOrigin                        string
	CRLPeriod, CRLLifetime, LogLevel   string
	Points                             []Point
}

// Point is a further place for revocation lists: a folder, or an FTP server with TLS.
type Point struct {
	Name, URL    string // URL: what relying parties know it by; may be empty
	Folder       string
	FTP, Trust   string // server and port; file of certificates that its own must come from
	Login        string
	PasswordFile string
}

//go:embed server.yaml.tmpl
var text string

var configuration = template.Must(template.New("server.yaml").Parse(text))

// Write writes the file, which must not be there yet.
func (t Template) Write(path string) error {
	b, err := t.Render()
	if err != nil {
		return err
	}
	return writeNew(path, b, 0o600)
}

// Render returns the file.
func (t Template) Render() ([]byte, error) {
	t.defaults()
	var b bytes.Buffer
	err := configuration.Execute(&b, t)
	return b.Bytes(), err
}

func (t *Template) defaults() {
	for _, d := range []struct {
		field *string
		value string
	}{
		{&t.Host, "localhost"}, {&t.DatabaseURL, "postgres:///sealpost?host=/run/postgresql&user=sealpost_server"},
		{&t.AdminURL, "postgres:///sealpost?host=/run/postgresql&user=postgres"}, {&t.Public, "127.0.0.1:8080"}, {&t.API, "127.0.0.1:8443"},
		{&t.LDAPURL, "ldaps://ldap.example.com"}, {&t.LookupDN, "cn=sealpost-lookup,ou=services,dc=example,dc=com"},
		{&t.LookupPasswordFile, "ldap-lookup.password"}, {&t.PublisherDN, "cn=sealpost-publisher,ou=services,dc=example,dc=com"},
		{&t.PublisherPasswordFile, "ldap-publisher.password"}, {&t.PeopleBase, "ou=people,dc=example,dc=com"}, {&t.GroupsBase, "ou=groups,dc=example,dc=com"},
		{&t.AuditOrigin, t.Host + "/sealpost"}, {&t.CRLPeriod, "12h"}, {&t.CRLLifetime, "72h"}, {&t.LogLevel, "info"},
	} {
		if *d.field == "" {
			*d.field = d.value
		}
	}
	if t.Portal == "" {
		t.Portal = "127.0.0.1:8444"
	}
	if _, port, err := net.SplitHostPort(t.Portal); t.PortalURL == "" && err == nil {
		t.PortalURL = "https://" + net.JoinHostPort(t.Host, port)
	}
}
