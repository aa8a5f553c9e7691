package server

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/cmd/sealpost/config"
	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/crl/fetch"
	"github.com/sealpost/sealpost/crl/point"
)

// NewCRL makes the publisher of lists, with all distribution points. It makes no list yet.
func (s *Base) NewCRL() (*crl.Publisher, error) {
	o := s.Config.CRL
	c := crl.Config{DB: s.DB, Authority: s.Authority, Jobs: s.Jobs, Now: s.now, Log: s.Log, Open: fetch.New(fetch.Config{}).Open,
		Schedule: o.Schedule(), Others: s.othersLists()}
	if o.DeltaPeriod > 0 {
		c.Deltas = func(issuer string, partition int) []string {
			return s.addresses(issuer, crl.Kind{Partition: partition, Delta: true})
		}
	}
	if o.Microsoft {
		c.Locations = func(issuer string) []string {
			return slices.DeleteFunc(s.addresses(issuer, crl.Kind{}), func(u string) bool { return !strings.HasPrefix(u, "ldap:") })
		}
	}
	c.Points = append(c.Points, crl.Point{Name: "http", Address: s.publicAddress})
	for _, i := range s.Config.Issuers {
		if i.LDAP.DN == "" {
			continue
		}
		place, err := point.NewLDAP(point.LDAPConfig{DN: i.LDAP.DN, Lists: i.LDAP.Lists, Directory: s.Directory})
		if err != nil {
			return nil, fmt.Errorf("issuer %s: ldap: %w", i.ID, err)
		}
		c.Points = append(c.Points, crl.Point{Name: "ldap-" + i.ID, Issuers: []string{i.ID}, Place: place, Address: s.ldapAddress})
	}
	for n, p := range o.Points {
		place, err := s.place(p)
		if err != nil {
			return nil, fmt.Errorf("crl.points[%d] (%s): %w", n, p.Name, err)
		}
		c.Points = append(c.Points, crl.Point{Name: p.Name, Issuers: p.Issuers, Place: place,
			Address: func(_ *ca.Issuer, file string) string { return p.Address(file) }})
	}
	return crl.New(c)
}

// othersLists are the revocation lists among the publications: those of the authorities above.
func (s *Base) othersLists() (out []crl.Other) {
	var above []*x509.Certificate
	for _, i := range s.Authority.Issuers() {
		above = append(above, i.Chain()...)
	}
	for _, p := range s.Config.Publications {
		if p.Type == "application/pkix-crl" {
			file := s.Config.Path(p.File)
			out = append(out, crl.Other{File: path.Base(p.Path), Issuers: above, Read: func() ([]byte, error) { return os.ReadFile(file) }})
		}
	}
	return out
}

// addresses returns where one of an issuer's lists is found by HTTP and LDAP.
func (s *Base) addresses(issuer string, k crl.Kind) []string {
	out := []string{s.Config.CRLURL(issuer, k)}
	for _, i := range s.Config.Issuers {
		if u := s.Config.LDAPURL(i, k); i.ID == issuer && u != "" {
			out = append(out, u)
		}
	}
	return out
}

// publicAddress returns where this server itself shows a file.
func (s *Base) publicAddress(i *ca.Issuer, file string) string {
	if issuer, k, ok := crl.ParseFileName(file); ok {
		return s.Config.CRLURL(issuer, k)
	}
	if strings.HasSuffix(file, ".p7c") {
		return s.Config.BundleURL(i.ID())
	}
	return s.Config.CAURL(i.ID())
}

// ldapAddress returns where outsiders find a list in the directory; "" for certificates, of which an entry holds several, and where
// only members of a Windows domain find a server.
func (s *Base) ldapAddress(i *ca.Issuer, file string) string {
	issuer, k, ok := crl.ParseFileName(file)
	for _, c := range s.Config.Issuers {
		if ok && c.ID == issuer && c.LDAP.ForEverybody() {
			return s.Config.LDAPURL(c, k)
		}
	}
	return ""
}

// place makes a distribution point of its configuration.
func (s *Base) place(p config.Point) (point.Point, error) {
	switch {
	case p.Folder != nil:
		c := *p.Folder
		c.Path, c.Now = s.Config.Path(c.Path), s.now
		return point.NewFolder(c)
	case p.FTP != nil:
		c := *p.FTP
		c.Now = s.now
		if err := s.secrets(c.PasswordFile, &c.Password, c.TrustFile, &c.Trust); err != nil {
			return nil, err
		}
		return point.NewFTP(c)
	case p.S3 != nil:
		c := *p.S3
		c.Now = s.now
		if err := s.secrets(c.SecretKeyFile, &c.SecretKey, c.TrustFile, &c.Trust); err != nil {
			return nil, err
		}
		return point.NewS3(c)
	}
	return nil, errors.New("needs folder, ftp or s3")
}

// secrets reads what a point's configuration names as files.
func (s *Base) secrets(secretFile string, secret *string, trustFile string, trust **x509.CertPool) error {
	var err error
	if secretFile != "" {
		if *secret, err = s.Config.Secret(secretFile); err != nil {
			return err
		}
	}
	if trustFile != "" {
		b, err := os.ReadFile(s.Config.Path(trustFile))
		if err != nil {
			return err
		}
		*trust = x509.NewCertPool()
		if !(*trust).AppendCertsFromPEM(b) {
			return fmt.Errorf("%s has no certificate in PEM", trustFile)
		}
	}
	return nil
}
