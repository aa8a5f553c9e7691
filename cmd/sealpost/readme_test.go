package main

import (
	"path/filepath"
	"testing"

	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// TestReadme is an operator's first hour as the README tells it, from `sealpost init` to the first certificate.
func TestReadme(t *testing.T) {
	t.Parallel()
	shared.open(t)
	base := t.TempDir()
	f := newFollower(t, &installation{dir: filepath.Join(base, "ca", "etc"), slapd: slapdtest.New(t), api: freeAddress(t), public: freeAddress(t), portal: freeAddress(t),
		db: pgtest.Database{Cluster: shared.cluster, Name: "sealpost"}}, base)
	f.says = map[string]string{
		"sealpost check --connect": "No fault was found.",
		"sealpost migrate":         "The database is up to date.",
		"sealpost roster show":     "threshold  2 of 3",
		"openssl verify":           "mail/signing.pem: OK",
		"openssl crl":              "verify OK",
		"openssl ocsp":             "mail/signing.pem: good",
		"sealpost crl status":      "issuing.crl",
		"sealpost gal diff":        "0 missing, 0 stale",
		"sealpost audit verify":    "agrees with every checkpoint",
	}
	f.after["sealpost init"] = func() { // the places that it names are this machine's, and the directory's accounts have passwords
		write(t, f.path("server.yaml"), f.places.Replace(read(t, f.path("server.yaml"))))
		write(t, f.path("ldap-lookup.password"), f.slapd.Lookup.Password)
		write(t, f.path("ldap-publisher.password"), f.slapd.Publisher.Password)
		write(t, f.path("company-ca.pem"), read(t, f.slapd.TrustFile))
	}
	f.before["sha256sum"] = func() { f.ceremony(t, t.TempDir()) } // the officers have met
	f.before["sealpost-agent enroll"] = func() { f.carry(f.path("pki/root.pem"), "alice/root.pem") }
	f.document("README.md", "", "")
	f.done(15)
}
