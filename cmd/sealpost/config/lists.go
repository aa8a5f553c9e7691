package config

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/crl/point"
)

// CRL says how often revocation lists are made.
type CRL struct {
	Period   Duration `yaml:"period"`   // between lists when nothing is revoked; 0 means 12h
	Lifetime Duration `yaml:"lifetime"` // until nextUpdate; 0 means 72h

	// DeltaPeriod is the time between deltas, which say what has changed since a complete list, when nothing is revoked; 0
	// means that there are none. Absent means 1h.
	DeltaPeriod   Duration `yaml:"delta_period"`
	DeltaLifetime Duration `yaml:"delta_lifetime"` // of a delta, until nextUpdate; 0 means four periods

	// Margin is how much is left of a list when it counts as running out, anywhere: `sealpost crl status`, metrics and mail to
	// the operators then say so. It is shorter than lifetime less period; 0 means half of that.
	Margin      Duration `yaml:"margin"`
	DeltaMargin Duration `yaml:"delta_margin"` // of a delta, likewise

	// Patience is how long a distribution point may not show what it should until that is said in the same ways; 0 means 30m.
	Patience Duration `yaml:"patience"`

	// Microsoft adds to lists what Windows reads: when the next one comes out, and where the list is in the directory.
	Microsoft bool `yaml:"microsoft"`

	// Points are places where lists and the issuers' certificates are brought, beside this server's own HTTP and the issuers'
	// directory entries.
	Points []Point `yaml:"points"`

	// Debounce is how long a new list waits for further revocations; 0 means that it is made at once, as it is in any case
	// for a compromised key. Absent means 5s.
	Debounce Duration `yaml:"debounce"`
}

// Schedule returns when lists are made, and when one is running out.
func (c CRL) Schedule() crl.Schedule {
	return crl.Schedule{Period: time.Duration(c.Period), Lifetime: time.Duration(c.Lifetime), DeltaPeriod: time.Duration(c.DeltaPeriod),
		DeltaLifetime: time.Duration(c.DeltaLifetime), Margin: time.Duration(c.Margin), DeltaMargin: time.Duration(c.DeltaMargin), Patience: time.Duration(c.Patience)}
}

// Point is a distribution point: one of folder, ftp and s3.
type Point struct {
	Name    string   `yaml:"name"`    // in status and metrics: lower-case letters, digits, hyphens
	Issuers []string `yaml:"issuers"` // whose files it shows; empty means all

	Folder *point.FolderConfig `yaml:"folder"` // a folder, which a web server or a share shows to the world
	FTP    *point.FTPConfig    `yaml:"ftp"`
	S3     *point.S3Config     `yaml:"s3"`

	// URL is where relying parties find the files, without their names: "http://pki.example.com/crl". Lists are read back from
	// there. Empty means that the place itself is asked.
	URL string `yaml:"url"`

	// InCertificates adds the list's URL here to the certificates that are issued from now on.
	InCertificates bool `yaml:"in_certificates"`
}

// Shows reports whether the point shows an issuer's files.
func (p Point) Shows(issuer string) bool {
	return len(p.Issuers) == 0 || slices.Contains(p.Issuers, issuer)
}

// Address returns where relying parties find a file; "" if that is not known.
func (p Point) Address(file string) string {
	if p.URL == "" {
		return ""
	}
	return strings.TrimSuffix(p.URL, "/") + "/" + url.PathEscape(file)
}
