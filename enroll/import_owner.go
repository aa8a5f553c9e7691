package enroll

import (
	"context"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"slices"
	"strings"
	"unicode"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/audit"
)

// maxForeignMailboxes is how many addresses of a foreign certificate are looked at.
const maxForeignMailboxes = 16

// departedSpace is the name space of the ids of people who left before Sealpost came: made of their address, so that all
// keys of one person come together, whoever imports them and by whichever server.
var departedSpace = uuid.MustParse("b1c2a5de-4a3f-5c57-8f0b-2f1f3e1d9a60")

// ownerOf decides whose a foreign key is: never who imports it, unless the directory says so; the person whom the
// registrar names, or else the one to whom the certificate's address belongs, if the name in it is theirs.
func (r *Registry) ownerOf(ctx context.Context, by audit.Actor, c *x509.Certificate, f Foreign) (Owner, error) {
	mailboxes := mailboxesOf(c)
	if f.Person != uuid.Nil {
		return r.namedOwner(ctx, by, c, f, mailboxes)
	}
	if len(mailboxes) == 0 {
		return Owner{}, ErrForeignOwner.Withf("The certificate has no mail address that can be read. Name the person by id.")
	}
	have, err := r.havingNow(ctx, mailboxes)
	switch {
	case err != nil:
		return Owner{}, err
	case len(have) > 1:
		return Owner{}, ErrForeignOwner.Withf("The certificate's addresses belong to several people: %s. Name the one you mean by id.", idsOf(have))
	case len(have) == 1 && f.Departed:
		return Owner{}, ErrForeignOwner.Withf("%s has the address %s now. If the key is not theirs, name the person by id.", have[0].Name, mailboxes[0])
	case len(have) == 1 && nameDiffers(c, have[0]):
		return Owner{}, ErrForeignName.Withf("The certificate names %q, and %s has the address %s now (%s). Name the person by id.",
			c.Subject.CommonName, have[0].Name, mailboxes[0], have[0].ID)
	case len(have) == 1:
		return ownerFrom(have[0], mailboxes), nil
	}
	return r.formerOwner(ctx, by, c, f, mailboxes)
}

// namedOwner is whom the registrar names. One whom the directory does not know must be said to have left, so that a
// misspelt id is not taken for somebody.
func (r *Registry) namedOwner(ctx context.Context, by audit.Actor, c *x509.Certificate, f Foreign, mailboxes []string) (Owner, error) {
	if f.Person == by.Person {
		return Owner{}, ErrOwnImport
	}
	p, err := r.Directory.Person(ctx, f.Person)
	switch {
	case err == nil && f.Departed:
		return Owner{}, ErrForeignOwner.Withf("%s is in the directory.", p.Name)
	case err == nil:
		return ownerFrom(p, mailboxes), nil
	case !errors.Is(err, directory.ErrUnknownPerson):
		return Owner{}, err
	case !f.Departed:
		return Owner{}, ErrForeignOwner.Withf("Nobody in the directory has the id %s. If the person left, say so.", f.Person)
	}
	return departed(f.Person, c, mailboxes)
}

// formerOwner is for an address that nobody has now: the person who had it before, as certificates of ours or earlier
// imports tell; or, if the registrar says that the person left, an id made of the address.
func (r *Registry) formerOwner(ctx context.Context, by audit.Actor, c *x509.Certificate, f Foreign, mailboxes []string) (Owner, error) {
	former, err := r.havingHad(ctx, mailboxes)
	if err != nil {
		return Owner{}, err
	}
	if len(former) > 1 {
		return Owner{}, ErrForeignOwner.Withf("Several people had these addresses. Name the one you mean by id: %s.", former)
	}
	if len(former) == 0 {
		if !f.Departed {
			return Owner{}, ErrForeignOwner.Withf("Nobody in the directory has the address %s. Name the person by id, or say that they left.", mailboxes[0])
		}
		return departed(uuid.NewSHA1(departedSpace, []byte(strings.ToLower(mailboxes[0]))), c, mailboxes)
	}
	p, err := r.Directory.Person(ctx, former[0])
	switch {
	case err == nil && (f.Departed || nameDiffers(c, p)):
		return Owner{}, ErrForeignName.Withf("%s (%s) had the address %s before and is in the directory. Name the person by id.", p.Name, p.ID, mailboxes[0])
	case err == nil && p.ID == by.Person:
		return Owner{}, ErrOwnImport
	case err == nil:
		return ownerFrom(p, mailboxes), nil
	case !errors.Is(err, directory.ErrUnknownPerson):
		return Owner{}, err
	case !f.Departed:
		return Owner{}, ErrForeignOwner.Withf("Nobody in the directory has the address %s now. If the person left, say so.", mailboxes[0])
	}
	return departed(former[0], c, mailboxes)
}

func ownerFrom(p directory.Person, mailboxes []string) Owner {
	o := Owner{Person: p.ID, Name: p.Name}
	switch {
	case len(p.Mailboxes) > 0:
		o.Mail = p.Mailboxes[0]
	case len(mailboxes) > 0:
		o.Mail = mailboxes[0]
	}
	return o
}

// departed is somebody of whom only the certificate tells.
func departed(id uuid.UUID, c *x509.Certificate, mailboxes []string) (Owner, error) {
	o := Owner{Person: id, Name: c.Subject.CommonName}
	if len(mailboxes) > 0 {
		o.Mail = mailboxes[0]
	}
	if o.Name == "" && o.Mail == "" {
		return o, ErrForeignOwner.Withf("The certificate names nobody. Recovery officers could not tell whose key it is.")
	}
	return o, nil
}

// havingNow returns who has the addresses in the directory.
func (r *Registry) havingNow(ctx context.Context, mailboxes []string) (out []directory.Person, err error) {
	for _, m := range mailboxes {
		p, err := r.Directory.ByMailbox(ctx, m)
		switch {
		case errors.Is(err, directory.ErrUnknownPerson):
		case err != nil:
			return nil, err
		case !slices.ContainsFunc(out, func(o directory.Person) bool { return o.ID == p.ID }):
			out = append(out, p)
		}
	}
	return out, nil
}

// havingHad returns who had the addresses, as far as certificates tell.
func (r *Registry) havingHad(ctx context.Context, mailboxes []string) (out []uuid.UUID, err error) {
	add := func(person uuid.UUID) {
		if person != uuid.Nil && !slices.Contains(out, person) {
			out = append(out, person)
		}
	}
	for _, m := range mailboxes {
		ours, err := r.Authority.Find(ctx, ca.Query{Mailbox: m})
		if err != nil {
			return nil, err
		}
		for _, c := range ours {
			add(c.Person)
		}
		imported, err := r.Archive.PeopleWith(ctx, m)
		if err != nil {
			return nil, err
		}
		for _, p := range imported {
			add(p)
		}
	}
	return out, nil
}

func idsOf(people []directory.Person) string {
	var out []string
	for _, p := range people {
		out = append(out, p.Name+" ("+p.ID.String()+")")
	}
	return strings.Join(out, ", ")
}

var oidEmailAddress = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1} // RFC 5280, 4.1.2.6

// mailboxesOf returns the addresses of a foreign certificate, from the alternative names and the subject's old
// emailAddress, as the directory writes them. What is no address is left out.
func mailboxesOf(c *x509.Certificate) []string {
	list := slices.Clone(c.EmailAddresses)
	for _, n := range c.Subject.Names {
		if s, ok := n.Value.(string); ok && n.Type.Equal(oidEmailAddress) {
			list = append(list, s)
		}
	}
	out := []string{}
	for _, s := range list {
		m, err := directory.ParseMailbox(s)
		if err != nil || len(out) == maxForeignMailboxes {
			continue
		}
		if !slices.ContainsFunc(out, func(o string) bool { return strings.EqualFold(o, m) }) {
			out = append(out, m)
		}
	}
	return out
}

// nameDiffers reports whether a certificate names somebody, and that is somebody else than the person: an address may have been
// given to another since. People are told by their surname, in any order of names. Certificates that name an address, or
// nobody, say nothing about it.
func nameDiffers(c *x509.Certificate, p directory.Person) bool {
	named := wordsOf(c.Subject.CommonName)
	for _, n := range c.Subject.Names {
		if s, ok := n.Value.(string); ok && n.Type.Equal(asn1.ObjectIdentifier{2, 5, 4, 4}) { // surname
			named = append(named, wordsOf(s)...)
		}
	}
	if len(named) == 0 || strings.Contains(c.Subject.CommonName, "@") {
		return false
	}
	surname := wordsOf(p.Surname)
	if len(surname) == 0 {
		if surname = wordsOf(p.Name); len(surname) > 0 {
			surname = surname[len(surname)-1:]
		}
	}
	return !slices.ContainsFunc(surname, func(w string) bool { return slices.Contains(named, w) })
}

func wordsOf(s string) []string {
	return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}
