package point

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"io"

	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/cms/bundle"
	"github.com/sealpost/sealpost/crl/list"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/fault"
)

// LDAPConfig says which entries of the directory hold an issuer's certificates and lists.
type LDAPConfig struct {
	// DN is the entry of the authority, for its certificates, and for its lists unless Lists names another entry.
	DN string `yaml:"dn"`
	// Lists is the entry of class cRLDistributionPoint for the lists: in Active Directory in the container CDP, while DN lies in AIA.
	// Lists of a partition have entries of their own beside it, with the partition's number behind the name.
	Lists string `yaml:"lists"`

	Directory *directory.Directory `yaml:"-"`
}

// LDAP is an authority's entries in a directory. Each attribute shows one list, of either kind, and the certificates of all
// generations; names of files do not matter here. What is written names what it replaces, so that an older list never comes
// over a newer one without any lock.
type LDAP struct {
	config LDAPConfig
}

// NewLDAP checks c. It does not connect.
func NewLDAP(c LDAPConfig) (*LDAP, error) {
	if c.Directory == nil {
		return nil, errors.New("directory: is missing")
	}
	for _, dn := range []string{c.DN, c.Lists} {
		if dn == "" && c.DN != "" {
			continue
		}
		if _, err := directory.PartitionDN(dn, "0"); err != nil {
			return nil, err
		}
	}
	return &LDAP{c}, nil
}

// Entry returns the name of the entry that holds f, for the addresses that certificates carry.
func (p *LDAP) Entry(f File) (string, error) {
	dn, kind := p.config.DN, f.Kind
	if f.isList() && p.config.Lists != "" {
		dn = p.config.Lists
	}
	if f.Partition == "" || kind != Full && kind != Delta {
		return dn, nil
	}
	return directory.PartitionDN(dn, f.Partition)
}

func (p *LDAP) kind(f File) directory.EntryKind {
	if f.isList() && (f.Partition != "" || p.config.Lists != "") {
		return directory.PointEntry
	}
	return directory.AuthorityEntry
}

// Put implements Point. Certificates, also those of a bundle, are added to the ones that are there.
func (p *LDAP) Put(ctx context.Context, f File) error {
	if err := f.check(); err != nil {
		return err
	}
	dn, err := p.Entry(f)
	if err != nil {
		return err
	}
	content, err := f.bytes(directory.MaxList)
	if err != nil {
		return err
	}
	publication := directory.Publication{Kind: p.kind(f), Judge: func(old []byte) error { return f.judge(bytes.NewReader(old)) }}
	switch f.Kind {
	case Full:
		publication.CRL = content
	case Delta:
		publication.Delta = content
	case Certificate:
		publication.Certificates = [][]byte{content}
	case Bundle:
		certs, err := cms.ParseCertsOnly(content)
		if err != nil {
			return ErrFile.Withf("%s is no bundle of certificates.", f.Name).Because(err)
		}
		for _, c := range certs {
			publication.Certificates = append(publication.Certificates, c.Raw)
		}
	}
	return entered(p.config.Directory.Publish(ctx, dn, publication))
}

// entered gives faults of the directory the names of this package.
func entered(err error) error {
	f := fault.Of(err)
	switch {
	case f == nil:
		return err
	case errors.Is(err, directory.ErrForeignCRL):
		return list.ErrForeign.Withf("%s", f.Detail).Because(err)
	case errors.Is(err, directory.ErrNewerCRL):
		return list.ErrNewer.Withf("%s", f.Detail).Because(err)
	case errors.Is(err, directory.ErrUnavailable):
		return ErrUnreachable.Withf("%s", f.Detail).Because(err)
	case errors.Is(err, directory.ErrRefused), errors.Is(err, directory.ErrReadOnly), errors.Is(err, directory.ErrUnknownEntry),
		errors.Is(err, directory.ErrEntryName), errors.Is(err, directory.ErrValue):
		return ErrRefused.Withf("%s", f.Detail).Because(err)
	}
	return err
}

// Get implements Point. Of a bundle it shows those certificates that the entry holds.
func (p *LDAP) Get(ctx context.Context, f File) (io.ReadCloser, error) {
	dn, err := p.Entry(f)
	if err != nil {
		return nil, err
	}
	entry, err := p.config.Directory.Authority(ctx, dn)
	if errors.Is(err, directory.ErrUnknownEntry) {
		return nil, ErrAbsent.Withf("%s", fault.Of(err).Detail).Because(err)
	}
	if err != nil {
		return nil, entered(err)
	}
	var content []byte
	switch f.Kind {
	case Full:
		content, err = only(entry.CRLs)
	case Delta:
		content, err = only(entry.Deltas)
	case Certificate:
		content = f.among(entry.Certificates)
	case Bundle:
		content, err = f.bundleOf(entry.Certificates)
	}
	if err != nil {
		return nil, err
	}
	if content == nil {
		return nil, ErrAbsent.Withf("The entry %s does not hold %s.", dn, f.Name)
	}
	return io.NopCloser(bytes.NewReader(content)), nil
}

func only(lists [][]byte) ([]byte, error) {
	switch len(lists) {
	case 0:
		return nil, nil
	case 1:
		return lists[0], nil
	}
	return nil, list.ErrForeign.Withf("The entry holds %d revocation lists.", len(lists))
}

// among returns the certificate if it is among those.
func (f File) among(have [][]byte) []byte {
	for _, c := range have {
		if sha256.Sum256(c) == f.SHA256 {
			return c
		}
	}
	return nil
}

// bundleOf packs those of the bundle's certificates that are there, in its order.
func (f File) bundleOf(have [][]byte) ([]byte, error) {
	content, err := f.bytes(directory.MaxList)
	if err != nil {
		return nil, err
	}
	certs, err := cms.ParseCertsOnly(content)
	if err != nil {
		return nil, ErrFile.Withf("%s is no bundle of certificates.", f.Name).Because(err)
	}
	var there []*x509.Certificate
	for _, c := range certs {
		for _, h := range have {
			if bytes.Equal(c.Raw, h) {
				there = append(there, c)
				break
			}
		}
	}
	switch len(there) {
	case 0:
		return nil, nil
	case len(certs):
		return content, nil
	}
	return bundle.Write(there)
}
