package web

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/gal"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/web/allowance"
	"github.com/sealpost/sealpost/web/signin"
)

// Faults of finding a certificate by its mail address.
var (
	ErrNotFound = fault.New(fault.NotFound, "no-certificate-found", "Nothing is found, or nothing that may be shown.")
	ErrLookups  = fault.New(fault.Unavailable, "too-many-lookups", "There were too many lookups from your network. Wait before the next one.")
)

// Finding says which certificates the public listener shows to people who do not say who they are. The zero Finding shows
// nobody's: only authorities' own certificates and lists.
type Finding struct {
	Store gal.Audience // by the HTTP certificate store (RFC 4387)
	VCard gal.Audience // as vCards
	// Lookups bounds how often one network may ask; zero means 60 at once, and one more per 2s.
	Lookups allowance.Allowance
}

// lookups counts what networks ask. Its memory is bounded as that of attempts is.
type lookups struct{ *allowance.Counter[network] }

// network is an IPv4 address, or the /64 of an IPv6 one, as allowance.Network has it; or a person.
type network any

func newLookups(a allowance.Allowance, now func() time.Time) lookups {
	return lookups{allowance.NewCounter[network](a.Or(allowance.Allowance{Burst: 60, Every: 2 * time.Second}), now)}
}

// take counts a lookup, or refuses it. What is refused does not count.
func (l lookups) take(n network) error {
	if wait := l.Take(n); wait > 0 {
		return allowance.Later{Fault: ErrLookups, After: wait}
	}
	return nil
}

// blankTime is how long it takes at least to answer that nothing is found, so that the time does not tell why.
const blankTime = 50 * time.Millisecond

// find returns the certificates that are shown of a mail address.
func (p public) find(ctx context.Context, r *http.Request, a gal.Audience, mailbox string) ([]ca.Certificate, error) {
	return p.look(ctx, r, a, func() ([]ca.Certificate, error) {
		m, err := ca.ParseMailbox(mailbox)
		if err != nil {
			return nil, err
		}
		found, err := p.GAL.Find(ctx, m.String()) // also when it is not shown: for the time
		if !a.Shows(m) {
			found = nil
		}
		return found, err
	})
}

// findKey returns the certificates that are shown with a search key: those with an address that is shown.
func (p public) findKey(ctx context.Context, r *http.Request, a gal.Audience, k gal.SearchKey) ([]ca.Certificate, error) {
	return p.look(ctx, r, a, func() ([]ca.Certificate, error) {
		found, err := p.GAL.FindKey(ctx, k)
		return slices.DeleteFunc(found, func(c ca.Certificate) bool {
			return !slices.ContainsFunc(c.Mailboxes, func(s string) bool {
				m, err := ca.ParseMailbox(s)
				return err == nil && a.Shows(m)
			})
		}), err
	})
}

// look looks for people's certificates. That nobody is meant, that they have no certificate, and that it is not shown are
// one answer, after the same time.
func (p public) look(ctx context.Context, r *http.Request, a gal.Audience, find func() ([]ca.Certificate, error)) ([]ca.Certificate, error) {
	if p.GAL == nil || a.Closed() {
		return nil, ErrNotFound
	}
	if err := p.lookups.take(allowance.Network(r.RemoteAddr)); err != nil {
		return nil, err
	}
	blank := time.NewTimer(blankTime)
	defer blank.Stop()
	found, err := find()
	if err != nil || len(found) > 0 {
		return found, err
	}
	select {
	case <-blank.C:
		return nil, ErrNotFound
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// shownCache lets what was found be kept for a short time: a revoked certificate must not be used for much longer.
const shownCache = "public, max-age=300"

const mediaVCard = "text/vcard"

// serveVCard answers /vcard?email=….
func (p public) serveVCard(w http.ResponseWriter, r *http.Request) {
	if !reads(w, r) {
		return
	}
	q, err := parseLookup(r.URL.RawQuery)
	if err == nil && !q.is("email", "uri") {
		err = ErrLookup.Withf("Ask with email=ADDRESS.")
	}
	var found []ca.Certificate
	if err == nil {
		found, err = p.find(r.Context(), r, p.Finding.VCard, q.mailbox())
	}
	var content []byte
	if err == nil {
		content, err = gal.VCards(q.mailbox(), found)
	}
	if err != nil {
		refuse(w, r, err)
		return
	}
	serveFixed(w, r, fixed{media: mediaVCard + "; charset=utf-8", cache: shownCache, content: content})
}

// ErrLookup refuses a question that cannot be understood.
var ErrLookup = fault.New(fault.Malformed, "lookup-invalid", "The question is not one that this address answers.")

// lookup is one attribute and its value, as RFC 4387 §2 has them.
type lookup struct{ attribute, value string }

// maxLookup bounds a query, in bytes: an address of 254 bytes, each with a percent sign.
const maxLookup = 1024

// parseLookup reads a query of exactly one attribute. A plus sign stands for a space in names alone: base64 and mail
// addresses have plus signs, and no spaces.
func parseLookup(query string) (lookup, error) {
	attribute, value, ok := strings.Cut(query, "=")
	if len(query) > maxLookup || !ok || strings.ContainsAny(value, "&;") {
		return lookup{}, ErrLookup.Withf("Ask with one attribute and its value: email=ADDRESS.")
	}
	if attribute == "name" {
		value = strings.ReplaceAll(value, "+", " ")
	}
	value, err := url.PathUnescape(value)
	if err != nil || value == "" {
		return lookup{}, ErrLookup.Withf("The value of the attribute is empty, or its percent signs are not followed by digits.")
	}
	return lookup{attribute, value}, nil
}

func (l lookup) is(attributes ...string) bool {
	for _, a := range attributes {
		if l.attribute == a {
			return true
		}
	}
	return false
}

// mailbox returns the value as a mail address: with uri, the scheme may be there or not.
func (l lookup) mailbox() string {
	if len(l.value) > 7 && strings.EqualFold(l.value[:7], "mailto:") {
		return l.value[7:]
	}
	return l.value
}

func (s *Server) findingOperations() {
	register(s, operation{id: "listRecipientCertificates", method: http.MethodGet, path: "/recipients", tag: tagCertificates, who: known,
		summary: "What is needed to send an address encrypted mail",
		about: "The current encryption certificates of one exact address, as the directory shows them: valid, not revoked, and not those of people who have left. " +
			"As JSON; as a vCard, with `Accept: text/vcard`; or with `application/x-pem-file` in PEM. An address that nobody has and one without a " +
			"certificate get the same answer.",
		faults: []*fault.Error{ErrNotFound, ErrLookups, ca.ErrMailbox}, answer: api.Page[api.Certificate]{Items: []api.Certificate{exampleCertificate}},
		media: []string{mediaVCard, mediaPEM}}, s.listRecipientCertificates)
}

type recipientInput struct {
	Mailbox string `query:"mailbox" required:"true" maxLength:"320" doc:"One exact address, in any case." example:"bob@example.test"`
	Accept  string `header:"Accept" doc:"application/json, text/vcard or application/x-pem-file."`
}

func (s *Server) listRecipientCertificates(ctx context.Context, by signin.Caller, in *recipientInput) (*certificateAnswer, error) {
	if s.GAL == nil {
		return nil, ErrNotFound
	}
	if err := s.lookups.take(by.Actor.Person); err != nil {
		return nil, err
	}
	found, err := s.GAL.Find(ctx, in.Mailbox)
	if err == nil && len(found) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	out := &certificateAnswer{ContentType: preferred(in.Accept, mediaJSON, mediaVCard, mediaPEM), Vary: "Accept"}
	switch out.ContentType {
	case mediaVCard:
		out.Body, err = gal.VCards(in.Mailbox, found)
	case mediaPEM:
		for _, c := range found {
			out.Body = append(out.Body, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.DER})...)
		}
	default:
		page := api.Page[api.Certificate]{Items: []api.Certificate{}}
		for _, c := range found {
			one := s.certificateOf(c)
			one.Chain = s.chainOf(c.Issuer)
			page.Items = append(page.Items, one)
		}
		out.Body, err = json.Marshal(page)
	}
	return out, err
}
