package web

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/gal/contact"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/web/signin"
)

func (s *Server) contactOperations() {
	register(s, operation{id: "listContacts", method: http.MethodGet, path: "/contacts", tag: tagDecide, who: known,
		summary: "Certificates of people outside that the directory shows",
		about:   "In the order in which they were added. For registrars, operators and auditors.",
		faults:  []*fault.Error{contact.ErrNotAllowed}, answer: api.Page[api.Contact]{Items: []api.Contact{exampleContact}}}, s.listContacts)
	register(s, operation{id: "getContact", method: http.MethodGet, path: "/contacts/{contact}", tag: tagDecide, who: known,
		summary: "One of them", about: "For registrars, operators and auditors.",
		faults: []*fault.Error{contact.ErrNotAllowed, contact.ErrUnknown}, answer: exampleContact}, s.getContact)
	register(s, operation{id: "addContact", method: http.MethodPost, path: "/contacts", tag: tagDecide, who: known,
		summary: "Show the certificate of somebody outside",
		about: "For registrars, who have verified that it is theirs. An older certificate of the address is replaced; the same one again changes nothing. " +
			"It is shown in the directory's entry of the address, until it expires, is revoked by its issuer, or is removed.",
		faults: []*fault.Error{contact.ErrNotAllowed, contact.ErrOff, contact.ErrNote, contact.ErrMailbox, contact.ErrOwnAddress, contact.ErrCertificate,
			contact.ErrSeveral, contact.ErrOurs, contact.ErrAddress, contact.ErrUse, contact.ErrWeak, contact.ErrTime, contact.ErrTrust, contact.ErrRevoked, contact.ErrOlder,
			directory.ErrUnavailable, directory.ErrRefused},
		body:   api.ContactRequest{Mailbox: exampleContact.Mailbox, Certificate: exampleDER, Note: exampleContact.Note},
		answer: exampleContact}, s.addContact)
	register(s, operation{id: "removeContact", method: http.MethodPost, path: "/contacts/{contact}/remove", tag: tagDecide, who: known,
		summary: "Show it no more", about: "For registrars. Doing it again changes nothing.",
		faults: []*fault.Error{contact.ErrNotAllowed, contact.ErrUnknown, contact.ErrState, contact.ErrNote},
		body:   api.ContactRemoval{Reason: "Has left the partner."}, answer: exampleRemoved()}, s.removeContact)
}

// exampleRemoved is the example after a removal.
func exampleRemoved() api.Contact {
	c, at := exampleContact, exampleTime.AddDate(0, 1, 0)
	c.State, c.Shown, c.DN, c.EndedAt, c.EndedBy, c.Reason, c.LookedAt = string(contact.Removed), string(contact.Gone), "", &at, "Rita Rust", "Has left the partner.", &at
	return c
}

type contactsInput struct {
	Mailbox string `query:"mailbox" maxLength:"254" doc:"Empty means any."`
	Former  bool   `query:"former" doc:"Those too that are not current."`
	Page
}

func (s *Server) listContacts(ctx context.Context, by signin.Caller, in *contactsInput) (*answer[api.Page[api.Contact]], error) {
	after, err := in.number()
	if err != nil {
		return nil, err
	}
	if s.Contacts == nil {
		return &answer[api.Page[api.Contact]]{Body: api.Page[api.Contact]{Items: []api.Contact{}}}, nil
	}
	found, err := s.Contacts.List(ctx, by.Actor, contact.Which{Mailbox: in.Mailbox, Former: in.Former, After: after, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	now := s.Now()
	return pageOf(found, in.Limit, func(c *contact.Contact) api.Contact { return ContactOf(c, now) },
		func(c *contact.Contact) string { return strconv.FormatInt(c.Number, 10) }), nil
}

type contactInput struct {
	Contact uuid.UUID `path:"contact" doc:"The contact's id."`
}

func (s *Server) getContact(ctx context.Context, by signin.Caller, in *contactInput) (*answer[api.Contact], error) {
	if s.Contacts == nil {
		return nil, contact.ErrUnknown
	}
	return s.contact(s.Contacts.Get(ctx, by.Actor, in.Contact))
}

func (s *Server) contact(c *contact.Contact, err error) (*answer[api.Contact], error) {
	if err != nil {
		return nil, err
	}
	return &answer[api.Contact]{ContactOf(c, s.Now())}, nil
}

func (s *Server) addContact(ctx context.Context, by signin.Caller, in *struct{ Body api.ContactRequest }) (*answer[api.Contact], error) {
	if s.Contacts == nil {
		return nil, contact.ErrOff
	}
	given := contact.Submission{Mailbox: in.Body.Mailbox, Certificate: in.Body.Certificate, Note: in.Body.Note}
	if in.Body.CheckOnly {
		return s.contact(s.Contacts.Check(ctx, by.Actor, given))
	}
	return s.contact(s.Contacts.Add(ctx, by.Actor, given))
}

type contactRemovalInput struct {
	Contact uuid.UUID `path:"contact" doc:"The contact's id."`
	Body    api.ContactRemoval
}

func (s *Server) removeContact(ctx context.Context, by signin.Caller, in *contactRemovalInput) (*answer[api.Contact], error) {
	if s.Contacts == nil {
		return nil, contact.ErrUnknown
	}
	return s.contact(s.Contacts.Remove(ctx, by.Actor, in.Contact, in.Body.Reason))
}

// ContactOf is a contact as the interface shows it.
func ContactOf(c *contact.Contact, now time.Time) api.Contact {
	out := api.Contact{ID: c.ID, Mailbox: c.Mailbox, State: string(c.State), Subject: c.Certificate.Subject.String(), Issuer: c.Certificate.Issuer.String(),
		SHA256: c.Fingerprint(), NotBefore: utc(c.Certificate.NotBefore), NotAfter: utc(c.Certificate.NotAfter), DER: c.Certificate.Raw, Chain: derOf(c.Chain),
		Trust: string(c.Trust), Note: c.Note, Revocation: c.Revocation, AskedAt: utc(c.AskedAt), AddedBy: c.AddedBy.Name, EndedAt: c.EndedAt, Reason: c.Reason,
		Shown: string(c.Shown), DN: c.DN, Failure: c.Failure, LookedAt: c.LookedAt, EndsSoon: c.Ends(now, contact.Soon)}
	if !c.AddedAt.IsZero() {
		at := utc(c.AddedAt)
		out.AddedAt = &at
	}
	if c.EndedBy != nil {
		out.EndedBy = c.EndedBy.Name
	}
	return out
}
