package web

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/web/signin"
)

// ErrNotYours refuses to show what is somebody else's.
var ErrNotYours = fault.New(fault.Denied, "not-yours",
	"You can see your own certificates, and others' current encryption certificates when you give their address as mailbox.")

func (s *Server) certificateOperations() {
	register(s, operation{id: "listCertificates", method: http.MethodGet, path: "/certificates", tag: tagCertificates, who: known,
		summary: "Certificates, the newest first",
		about: "Your own, when you say nothing else. With `mailbox`, what is needed to send that address encrypted mail: its current " +
			"encryption certificates. Registrars, auditors and operators see all. Chains are left out here. A page may have fewer items " +
			"than its limit, or none, and still have a next one.",
		faults: []*fault.Error{ErrNotYours}, answer: api.Page[api.Certificate]{Items: []api.Certificate{exampleCertificate}}}, s.listCertificates)

	register(s, operation{id: "getCertificate", method: http.MethodGet, path: "/certificates/{issuer}/{serial}", tag: tagCertificates, who: known,
		summary: "One certificate",
		about:   "As JSON with its chain and state; as the certificate alone, with `Accept: application/pkix-cert` in DER, or with `application/x-pem-file` in PEM.",
		faults:  []*fault.Error{ca.ErrNotFound}, answer: exampleCertificate, media: []string{mediaCertificate, mediaPEM}}, s.getCertificate)

	register(s, operation{id: "revoke", method: http.MethodPost, proof: true, path: "/certificates/{issuer}/{serial}/revoke", tag: tagCertificates, who: known,
		summary: "Revoke a certificate, or hold or release it",
		about: "People revoke their own certificates; registrars and operators any. Only registrars put certificates on hold " +
			"(`certificateHold`) and release them (`removeFromCRL`). A new revocation list follows within seconds. A revocation is for ever.",
		faults: []*fault.Error{ca.ErrNotFound, ca.ErrReason, ca.ErrNote, ca.ErrRevoked, ca.ErrNotHeld, ca.ErrNotIssued, ErrRevocation},
		body:   api.RevocationRequest{Reason: "keyCompromise"}, answer: exampleCertificate}, s.revoke)

	register(s, operation{id: "revokeAll", method: http.MethodPost, proof: true, path: "/revocations", tag: tagCertificates, who: known,
		summary: "Revoke, hold or release all certificates of a person, or with a key",
		about: "As `revoke` does it to one, by the same people. What is revoked already is left as it is, unless for a compromised key; so is what " +
			"has ended. The answer has those that were changed, none if there was nothing to do; repeat the request if it fails half way.",
		faults: []*fault.Error{ca.ErrNotFound, ca.ErrReason, ca.ErrNote, ErrRevocation},
		body:   api.RevocationsRequest{SPKISHA256: exampleHash, RevocationRequest: api.RevocationRequest{Reason: "keyCompromise", Note: "Laptop stolen, ticket 4711."}},
		answer: api.Revocations{Certificates: []api.Certificate{exampleRevoked}}}, s.revokeAll)
}

type certificatesInput struct {
	Mailbox string    `query:"mailbox" maxLength:"320" doc:"One exact address, in any case." example:"bob@example.test"`
	Person  uuid.UUID `query:"person" doc:"The person's id."`
	State   string    `query:"state" enum:"good,revoked,expired" doc:"Empty means any."`
	Page
}

func (s *Server) listCertificates(ctx context.Context, by signin.Caller, in *certificatesInput) (*answer[api.Page[api.Certificate]], error) {
	before, err := in.number()
	if err != nil {
		return nil, err
	}
	q := ca.Query{Mailbox: in.Mailbox, Before: before, Limit: in.Limit}
	if in.Person != uuid.Nil {
		q.Person = &in.Person
	}
	if err := narrow(&q, by.Actor); err != nil {
		return nil, err
	}
	found, err := s.Authority.Find(ctx, q)
	if err != nil {
		return nil, err
	}
	left, err := s.left(ctx, by.Actor, found)
	if err != nil {
		return nil, err
	}
	out := &answer[api.Page[api.Certificate]]{Body: api.Page[api.Certificate]{Items: []api.Certificate{}}}
	for _, c := range found {
		if s.mayRead(by.Actor, c) && !left[c.Person] && (in.State == "" || in.State == s.statusOf(c)) {
			out.Body.Items = append(out.Body.Items, s.certificateOf(c))
		}
	}
	if len(found) == in.Limit {
		out.Body.Next = strconv.FormatInt(found[len(found)-1].Number, 10)
	}
	return out, nil
}

// left returns the people whose certificates are not shown to who would write to them, because they have left.
func (s *Server) left(ctx context.Context, by audit.Actor, found []ca.Certificate) (map[uuid.UUID]bool, error) {
	if s.Leavers == nil || readsAll(by) {
		return nil, nil
	}
	var people []uuid.UUID
	for _, c := range found {
		if c.Person != by.Person {
			people = append(people, c.Person)
		}
	}
	return s.Leavers.Left(ctx, people)
}

// narrow keeps those who are not to see everything to themselves, or to one address.
func narrow(q *ca.Query, by audit.Actor) error {
	if readsAll(by) || q.Mailbox != "" && q.Person == nil {
		return nil
	}
	if q.Person == nil {
		q.Person = &by.Person
	}
	if *q.Person != by.Person {
		return ErrNotYours
	}
	return nil
}

// readsAll reports whether somebody sees everybody's certificates.
func readsAll(by audit.Actor) bool {
	return by.Has(audit.Registrar) || by.Has(audit.Auditor) || by.Has(audit.Operator)
}

// mayRead reports whether somebody may see a certificate: their own, or another's to send mail to.
func (s *Server) mayRead(by audit.Actor, c ca.Certificate) bool {
	if c.Person == by.Person || readsAll(by) {
		return true
	}
	p, err := s.Authority.Profile(c.Profile)
	return err == nil && p.Encrypts() && p.Mail() && s.statusOf(c) == certificateGood
}

// CertificatePath names a certificate. (It is exported for huma, which does not look into other embedded structs.)
type CertificatePath struct {
	Issuer string `path:"issuer" maxLength:"64" doc:"The issuer's id." example:"issuing"`
	Serial string `path:"serial" maxLength:"64" doc:"The serial number in hexadecimal." example:"4f1d0c2b3a495867768594a3b2c1d0ef"`
}

type getCertificateInput struct {
	CertificatePath
	Accept string `header:"Accept" doc:"application/json, application/pkix-cert or application/x-pem-file."`
}

type certificateAnswer struct {
	ContentType string `header:"Content-Type"`
	Vary        string `header:"Vary"`
	Body        []byte
}

func (s *Server) getCertificate(ctx context.Context, by signin.Caller, in *getCertificateInput) (*certificateAnswer, error) {
	c, err := s.find(ctx, by.Actor, in.CertificatePath)
	if err != nil {
		return nil, err
	}
	out := &certificateAnswer{ContentType: preferred(in.Accept, mediaJSON, mediaCertificate, mediaPEM), Vary: "Accept"}
	switch out.ContentType {
	case mediaCertificate:
		out.Body = c.DER
	case mediaPEM:
		out.Body = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.DER})
	default:
		w := s.certificateOf(c)
		w.Chain = s.chainOf(c.Issuer)
		out.Body, err = json.Marshal(w)
	}
	return out, err
}

const (
	mediaCertificate = "application/pkix-cert"
	mediaPEM         = "application/x-pem-file"
)

// preferred returns the first of the media types that the header names without refusing it, and the first offered when it
// names none of them. Weights are not compared: who wants bytes says so alone.
func preferred(accept string, offered ...string) string {
	for part := range strings.SplitSeq(accept, ",") {
		media, params, err := mime.ParseMediaType(part)
		if err != nil || params["q"] == "0" {
			continue
		}
		for _, o := range offered {
			if media == o {
				return o
			}
		}
	}
	return offered[0]
}

// find returns a certificate that somebody may see; for others there is none.
func (s *Server) find(ctx context.Context, by audit.Actor, in CertificatePath) (ca.Certificate, error) {
	serial, err := ca.ParseSerial(in.Serial)
	if err != nil {
		return ca.Certificate{}, err
	}
	c, err := s.Authority.Certificate(ctx, in.Issuer, serial)
	if err == nil && !s.mayRead(by, c) {
		return ca.Certificate{}, ca.ErrNotFound
	}
	return c, err
}
