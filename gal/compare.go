package gal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/cms/bundle"
	"github.com/sealpost/sealpost/directory"
)

// profiles are the names of those whose certificates mail is encrypted to: of people, and of role mailboxes.
type profiles struct{ people, roles []string }

func (p profiles) all() []string { return slices.Concat(p.people, p.roles) }

func encryption(a *ca.Authority) (out profiles) {
	for _, name := range a.Profiles() {
		p, err := a.Profile(name)
		switch {
		case err != nil || !p.Encrypts() || !p.Mail():
		case p.Personal():
			out.people = append(out.people, name)
		default:
			out.roles = append(out.roles, name)
		}
	}
	return out
}

// wanted is what an entry should show.
type wanted struct {
	certificates [][]byte // the current ones; DER
	smime        [][]byte // what userSMIMECertificate should have; none unless the policy says so
	signed       bool     // the person signed it
	withdrawn    [][]byte // what they signed and should not be shown any more
}

func (w wanted) equal(o wanted) bool {
	return slices.EqualFunc(w.certificates, o.certificates, bytes.Equal) && slices.EqualFunc(w.smime, o.smime, bytes.Equal)
}

// desired returns what people's entries should show: the certificates that are Shown, as the policy says.
func (t *Target) desired(ctx context.Context, people []uuid.UUID) (map[uuid.UUID]wanted, error) {
	shown, err := t.p.shown(ctx, people, t.Policy.Overlap)
	if err != nil {
		return nil, err
	}
	kept, err := t.advertisements(ctx, shown)
	if err != nil {
		return nil, err
	}
	out := make(map[uuid.UUID]wanted, len(shown))
	for _, c := range shown {
		if out[c.Person], err = t.with(out[c.Person], c, kept); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// with is what an entry should show that shows a certificate too.
func (t *Target) with(w wanted, c ca.Certificate, kept map[[sha256.Size]byte]advertisement) (wanted, error) {
	w.certificates = append(w.certificates, c.DER)
	if t.Policy.SMIME != Equal {
		return w, nil
	}
	err := t.p.show(&w, c, kept)
	return w, err
}

// current returns the first certificate of each person, and the one after it while the overlap lasts.
func (p *Publisher) current(newest []ca.Certificate, overlap time.Duration) (out []ca.Certificate) {
	since := map[uuid.UUID]ca.Certificate{}
	for _, c := range newest {
		first, second := since[c.Person]
		if !second {
			since[c.Person] = c
		} else if !p.Now().Before(first.NotBefore.Add(overlap)) {
			continue
		}
		out = append(out, c)
	}
	return out
}

// bundle is a certificate with those above it, without the root, as userSMIMECertificate holds it.
func (p *Publisher) bundle(c ca.Certificate) ([]byte, error) {
	leaf, err := x509.ParseCertificate(c.DER)
	if err != nil {
		return nil, err
	}
	issuer, err := p.Authority.Issuer(c.Issuer)
	if err != nil {
		return nil, err
	}
	return bundle.Write(append([]*x509.Certificate{leaf}, below(issuer.Chain())...))
}

// Difference is what separates a person's entry from what it should show.
type Difference struct {
	Missing [][]byte // certificates (DER) that should be in userCertificate and are not
	Stale   [][]byte // certificates of ours that are there and should not be
	Foreign int      // values that are not ours, of both attributes
	// Undecodable are values that are no certificate, or none that can be read. They are never touched either.
	Undecodable int
	Held        int  // values of userCertificate
	Full        bool // the entry has no room for what is missing, which Missing then does not have
	Near        bool // the entry is nearly full, or more

	SMIMEMissing [][]byte // of userSMIMECertificate
	SMIMEStale   [][]byte
}

// Empty reports whether nothing is to be done.
func (d Difference) Empty() bool {
	return len(d.Missing)+len(d.Stale)+len(d.SMIMEMissing)+len(d.SMIMEStale) == 0
}

func (d Difference) changes() map[directory.Attribute]directory.Change {
	return map[directory.Attribute]directory.Change{
		directory.UserCertificate:      {Add: d.Missing, Remove: d.Stale},
		directory.UserSMIMECertificate: {Add: d.SMIMEMissing, Remove: d.SMIMEStale},
	}
}

func (t *Target) compare(want wanted, have directory.Values) Difference {
	var d Difference
	certificates := have[directory.UserCertificate]
	d.Held = len(certificates)
	d.Missing = lacking(certificates, want.certificates)
	for _, value := range certificates {
		if contains(want.certificates, value) {
			continue
		}
		c, err := x509.ParseCertificate(value)
		switch {
		case err != nil:
			d.Undecodable++
		case t.p.Authority.Signed(c):
			d.Stale = append(d.Stale, value)
		default:
			d.Foreign++
		}
	}
	after := d.Held - len(d.Stale) + len(d.Missing)
	d.Near = after >= t.Policy.near()
	if len(d.Missing) > 0 && after > t.Policy.MaxValues {
		d.Full, d.Missing = true, nil
	}
	if t.Policy.SMIME != Untouched {
		t.compareSMIME(&d, want, have[directory.UserSMIMECertificate])
	}
	return d
}

// compareSMIME is compare for userSMIMECertificate. A value is ours if every person's certificate in it is: one that holds
// another authority's too, as a mail program may have written it, stays. Where the attribute is kept equal, and its owner
// handed nothing in, a value that they signed, with the current certificate in it, is as good as ours, and better: it says what
// their program can do.
func (t *Target) compareSMIME(d *Difference, want wanted, have [][]byte) {
	missing := lacking(have, want.smime)
	for _, value := range have {
		if contains(want.smime, value) {
			continue
		}
		people, signed, err := leaves(value)
		switch {
		case err != nil || len(people) == 0:
			d.Undecodable++
		case slices.ContainsFunc(people, func(c *x509.Certificate) bool { return !t.p.Authority.Signed(c) }):
			d.Foreign++
		case signed && !want.signed && len(want.smime) == 1 && !contains(want.withdrawn, value) && slices.ContainsFunc(people, func(c *x509.Certificate) bool { return bytes.Equal(c.Raw, want.certificates[0]) }):
			missing = nil
		default:
			d.SMIMEStale = append(d.SMIMEStale, value)
		}
	}
	d.SMIMEMissing = missing
}

// leaves returns the certificates of a SignedData that are no authorities'.
func leaves(value []byte) (people []*x509.Certificate, signed bool, err error) {
	all, signed, err := cms.CertificatesIn(value)
	for _, c := range all {
		if !c.IsCA {
			people = append(people, c)
		}
	}
	return people, signed, err
}

func contains(list [][]byte, der []byte) bool {
	return slices.ContainsFunc(list, func(l []byte) bool { return bytes.Equal(l, der) })
}

// lacking returns what of wanted is not in have.
func lacking(have, wanted [][]byte) (out [][]byte) {
	for _, w := range wanted {
		if !contains(have, w) {
			out = append(out, w)
		}
	}
	return out
}

// names returns the serials of certificates, for the log.
func names(list [][]byte) []string {
	out := make([]string, len(list))
	for i, der := range list {
		if c, err := x509.ParseCertificate(der); err == nil {
			out[i] = fmt.Sprintf("%x", c.SerialNumber)
		}
	}
	return out
}

// digests returns the SHA-256 of values, for the log.
func digests(list [][]byte) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = fmt.Sprintf("%x", sha256.Sum256(v))
	}
	return out
}
