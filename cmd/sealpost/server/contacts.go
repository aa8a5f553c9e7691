package server

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/sealpost/sealpost/crl/fetch"
	"github.com/sealpost/sealpost/crl/list"
	"github.com/sealpost/sealpost/gal/contact"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/web"
)

// openContacts opens the contacts' desk, and the directory in which their entries are.
func (s *Server) openContacts(ctx context.Context) (err error) {
	g := s.Config.GAL
	c := contact.Config{DB: s.DB, Authority: s.Authority, People: s.Directory, Audit: s.Audit, Own: s.Config.OwnAddresses(),
		MaxValues: g.MaxValues, Every: g.Every, Revocation: lists{fetch.New(fetch.Config{Timeout: 30 * time.Second, MaxSize: 32 << 20}), s.now}.revoked, Now: s.now, Log: s.Log}
	if g.Contacts.Base != "" {
		if c.Find, err = g.Contacts.Finder(s.Config.Directory.Dialect); err != nil {
			return err
		}
		if c.Directory, err = s.directory(ctx, g.Contacts.Directory(s.Config.Directory)); err != nil {
			return err
		}
		s.further = append(s.further, c.Directory)
	}
	if g.Contacts.TrustFile != "" {
		if c.Anchors, err = ReadCertificates(s.Config.Path(g.Contacts.TrustFile)); err != nil {
			return err
		}
	}
	s.Contacts, err = contact.New(c)
	return err
}

// contactTables are what monitoring is told of contacts.
func (s *Server) contactTables() []web.Table {
	return []web.Table{
		{Labels: []string{"place"}, Read: s.contactPlaces, Columns: []web.Column{
			{Name: "sealpost_gal_contacts", Help: "Contacts (people outside whose certificate was verified), by what became of them in the directory."}}},
		{Read: s.contactsEnding, Columns: []web.Column{{Name: "sealpost_gal_contacts_ending", Help: "Contacts whose certificate ends within 30 days."}}},
	}
}

func (s *Server) contactPlaces(ctx context.Context) (out []web.Row, err error) {
	places, _, err := s.Contacts.Count(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range contact.Places() {
		if p != contact.Gone {
			out = append(out, web.Row{Labels: []string{string(p)}, Numbers: []float64{float64(places[p])}})
		}
	}
	return out, nil
}

func (s *Server) contactsEnding(ctx context.Context) ([]web.Row, error) {
	_, ending, err := s.Contacts.Count(ctx)
	return []web.Row{{Numbers: []float64{float64(ending)}}}, err
}

// lists asks the revocation lists that other authorities' certificates name.
type lists struct {
	fetch *fetch.Fetcher
	now   func() time.Time
}

// maxLists is how many of a certificate's lists are tried.
const maxLists = 4

// revoked tries the lists that a certificate names until one tells. Only a list that the certificate's issuer signed does, and that
// it is not revoked, only one that has not run out.
func (l lists) revoked(ctx context.Context, c *x509.Certificate, issuers []*x509.Certificate) (revoked bool, unknown string) {
	if len(issuers) == 0 {
		return false, "The issuer's certificate is not known, so its revocation lists prove nothing."
	}
	for _, address := range c.CRLDistributionPoints[:min(len(c.CRLDistributionPoints), maxLists)] {
		if revoked, unknown = l.ask(ctx, address, c, issuers[0]); revoked || unknown == "" {
			return revoked, unknown
		}
	}
	return false, unknown
}

func (l lists) ask(ctx context.Context, address string, c, issuer *x509.Certificate) (revoked bool, unknown string) {
	in, err := l.fetch.Open(ctx, address)
	if err != nil {
		return false, said(address, err)
	}
	defer func() { _ = in.Close() }() // it was read to its end, or failed
	serial := c.SerialNumber.Bytes()
	head, err := list.Read(in, func(e list.Entry) error {
		revoked = revoked || bytes.Equal(e.Serial, serial) && e.Reason != list.RemoveFromCRL
		return nil
	})
	if err == nil {
		err = head.Verify(issuer)
	}
	var scope list.Scope
	if err == nil && head.Scope != nil {
		scope, err = list.ParseScope(head.Scope)
	}
	now := l.now()
	switch {
	case err != nil:
		return false, said(address, err)
	case scope.OtherIssuers || scope.Authorities || scope.Attributes:
		return false, fmt.Sprintf("The revocation list at %s is about other certificates.", address)
	case revoked:
		return true, ""
	case head.Delta() || scope.SomeReasons:
		return false, fmt.Sprintf("The revocation list at %s does not say everything.", address)
	case head.ThisUpdate.After(now.Add(5*time.Minute)) || head.NextUpdate.Before(now):
		return false, fmt.Sprintf("The revocation list at %s is not of today: %s to %s.", address, head.ThisUpdate.Format(time.RFC3339), head.NextUpdate.Format(time.RFC3339))
	}
	return false, ""
}

// said is what may be shown of a list's failure.
func said(address string, err error) string {
	if f := fault.Of(err); f != nil {
		return fmt.Sprintf("%s: %s", address, f.Detail)
	}
	return address + ": it cannot be read."
}
