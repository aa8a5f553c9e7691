package web

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/attest"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/keyuse"
	"github.com/sealpost/sealpost/web/signin"
)

func (s *Server) enrolmentOperations() {
	register(s, operation{id: "getPolicy", method: http.MethodGet, path: "/policy", tag: tagEnrol, who: enrolling, turns: true,
		summary: "What you should have, and how to ask for it",
		about: "Begin here. The answer names the certificates that you may ask for, the keys they take, and the exchange certificate " +
			"to which the private encryption key is sent, and says when what you have is to be renewed. Fetch it anew for every enrolment: the nonce in it is for you alone and ends. " +
			"An enrolment token is not used up by this.\n\nWith `Accept: application/jose` it comes signed (RFC 7515, compact, ES256): `x5c` has the " +
			"server's policy certificate and those above it up to the root, `typ` is `" + api.PolicyType + "`. Programs that act on it without " +
			"anybody watching should ask for that, follow it until it ends, and take no older one after it.",
		faults: []*fault.Error{directory.ErrUnknownPerson, directory.ErrUnavailable, enroll.ErrPolicyUnsigned}, media: []string{api.PolicyMedia}, cached: true, answer: examplePolicy}, s.getPolicy)

	register(s, operation{id: "enrol", method: http.MethodPost, path: "/enrolments", tag: tagEnrol, who: enrolling, lenient: true, turns: true,
		status: http.StatusCreated, summary: "Ask for certificates",
		about: "All certificates of the enrolment are issued, or none. Names and addresses in them come from the directory; what the " +
			"certificate requests say is only compared. With the state `submitted` a registrar has to agree first: ask for the enrolment " +
			"again later.\n\nTo renew, send this with the certificate that is being renewed as the client certificate, and with new keys.\n\n" +
			"The Idempotency-Key is your own name for the request. When no answer comes, repeat it with the same key and certificate " +
			"requests: work that was begun is continued, and what was issued is returned.",
		faults: []*fault.Error{enroll.ErrUnknownEnrolment, enroll.ErrPair, enroll.ErrAddress, enroll.ErrNoMailbox, enroll.ErrOrderedAway, enroll.ErrEscrowMissing,
			enroll.ErrEscrowUnasked, enroll.ErrEscrowRefused, enroll.ErrAttestationMissing, enroll.ErrAttestationKind, attest.ErrStatement,
			attest.ErrEndorsed, attest.ErrAttestKey, attest.ErrSignature, attest.ErrChallenge, attest.ErrOtherKey, attest.ErrCopyable, attest.ErrNotSigning, attest.ErrPolicy, enroll.ErrIdempotency, enroll.ErrIdempotencyKey, enroll.ErrState, enroll.ErrToken,
			ca.ErrCSRTooLarge, ca.ErrCSRMalformed, ca.ErrCSRAlgorithm, ca.ErrCSRSignature, ca.ErrKeyAlgorithm, ca.ErrKeyEncoding, ca.ErrKeySize,
			ca.ErrKeyExponent, ca.ErrKeyWeak, ca.ErrKeyCompromised, ca.ErrKeyNotAllowed, ca.ErrKeyReused, ca.ErrNameNotAllowed, ca.ErrSubject,
			ca.ErrMailbox, ca.ErrLint, ca.ErrIssuerEnd, ca.ErrNoSigner, archive.ErrKeyFormat, archive.ErrKeyMismatch, archive.ErrKeyWeak,
			archive.ErrKeyDoesNotWork, archive.ErrArchivedTwice, archive.ErrNoRoster, archive.ErrRosterPin, keyuse.ErrInUse,
			directory.ErrUnknownPerson, directory.ErrUnavailable},
		body: exampleEnrolment, answer: exampleIssued}, s.enrol)

	register(s, operation{id: "challengeAttestation", method: http.MethodPost, path: "/attestations", tag: tagEnrol, who: enrolling,
		summary: "Have a TPM show that it is one",
		about: "Where the plan says `attested`, a TPM proves in two steps where the signing key was made. This is the first: the TPM's endorsement and the key with which it will make " +
			"the statement go in, and what only that TPM opens comes back. The second is `signing_attestation` of the enrolment. Nothing is kept, and an enrolment token is not used up.",
		faults: []*fault.Error{enroll.ErrAttestationUnasked, attest.ErrStatement, attest.ErrEndorsed, attest.ErrAttestKey},
		body:   exampleAttestation, answer: exampleChallenge}, s.challengeAttestation)

	register(s, operation{id: "getEnrolment", method: http.MethodGet, path: "/enrolments/{id}", tag: tagEnrol, who: enrolling,
		summary: "Where a request stands", about: "Its person, registrars and auditors may ask. For anybody else there is no such request.",
		faults: []*fault.Error{enroll.ErrUnknownRequest}, answer: exampleIssued}, s.getEnrolment)

	register(s, operation{id: "listEnrolments", method: http.MethodGet, path: "/enrolments", tag: tagDecide, who: known,
		summary: "Requests in one state, oldest first", about: "For registrars and auditors. Certificates and receipts are left out here.",
		faults: []*fault.Error{enroll.ErrNotAllowed}, answer: api.Page[api.EnrolmentStatus]{Items: []api.EnrolmentStatus{exampleSubmitted}}},
		s.listEnrolments)

	decided := []*fault.Error{enroll.ErrNotAllowed, enroll.ErrUnknownRequest, enroll.ErrOwnRequest, enroll.ErrOwnToken, enroll.ErrState}
	register(s, operation{id: "endorse", method: http.MethodPost, path: "/enrolments/{id}/endorse", tag: tagDecide, who: known,
		summary: "Agree to a request", about: "For registrars, and neither for their own requests nor for those made with a token of theirs. The certificates are issued at once.",
		faults: decided, body: api.Decision{}, answer: exampleIssued}, s.endorse)
	register(s, operation{id: "reject", method: http.MethodPost, path: "/enrolments/{id}/reject", tag: tagDecide, who: known,
		summary: "Refuse a request", about: "For registrars, and neither for their own requests nor for those made with a token of theirs. A key that came with the request is removed from the archive.",
		faults: append(decided, enroll.ErrReasonMissing), body: api.Decision{Reason: "Please ask for role-mailbox instead."}, answer: exampleRejected}, s.reject)
}

type attestationInput struct{ Body api.AttestationRequest }

func (s *Server) challengeAttestation(ctx context.Context, by signin.Caller, in *attestationInput) (*answer[api.AttestationChallenge], error) {
	out, err := s.Registry.Challenge(ctx, by.Actor, in.Body)
	if err != nil {
		return nil, err
	}
	return &answer[api.AttestationChallenge]{*out}, nil
}

type enrolInput struct {
	Idempotency string `header:"Idempotency-Key" required:"true" minLength:"8" maxLength:"128" example:"laptop-7f3a-2026-03-04" doc:"Your own name for the request: 8 to 128 printable ASCII characters, another one for each request."`
	Agent       string `header:"User-Agent" doc:"The program that asks. Its person sees it beside the certificates, to tell devices apart." example:"sealpost-agent/1.0 (linux; laptop-7)"`
	Body        api.EnrolmentRequest
}

type enrolAnswer struct {
	Location string `header:"Location" doc:"Where the request can be asked for."`
	Body     api.EnrolmentStatus
}

func (s *Server) enrol(ctx context.Context, by signin.Caller, in *enrolInput) (*enrolAnswer, error) {
	req, err := s.Registry.Submit(ctx, by.Actor, enroll.Submission{Idempotency: in.Idempotency, Enrolment: in.Body.Enrolment,
		SigningCSR: in.Body.SigningCSR, EncryptionCSR: in.Body.EncryptionCSR, EscrowedKey: in.Body.EscrowedKey, Attestation: in.Body.SigningAttestation, Token: by.Token, Agent: in.Agent})
	if err != nil {
		return nil, err
	}
	status, err := s.enrolmentOf(req)
	return &enrolAnswer{Location: api.Base + "/enrolments/" + req.ID.String(), Body: status}, err
}

// EnrolmentPath names a request. (It is exported for huma, which does not look into other embedded structs.)
type EnrolmentPath struct {
	ID uuid.UUID `path:"id" doc:"The request's id." example:"0195f2c4-7c1e-7000-8000-5f3a9e1b2c4d"`
}

func (s *Server) getEnrolment(ctx context.Context, by signin.Caller, in *EnrolmentPath) (*answer[api.EnrolmentStatus], error) {
	req, err := s.Registry.Get(ctx, by.Actor, in.ID)
	return s.enrolmentAnswer(req, err)
}

type enrolmentsInput struct {
	State string `query:"state" enum:"received,submitted,endorsed,issued,rejected,failed" default:"submitted" doc:"Those that wait for a registrar, unless you say otherwise."`
	Page
}

func (s *Server) listEnrolments(ctx context.Context, by signin.Caller, in *enrolmentsInput) (*answer[api.Page[api.EnrolmentStatus]], error) {
	after, err := in.id()
	if err != nil {
		return nil, err
	}
	found, err := s.Registry.List(ctx, by.Actor, enroll.State(in.State), after, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &answer[api.Page[api.EnrolmentStatus]]{Body: api.Page[api.EnrolmentStatus]{Items: make([]api.EnrolmentStatus, len(found))}}
	for i, req := range found {
		if out.Body.Items[i], err = s.enrolmentOf(req); err != nil {
			return nil, err
		}
	}
	if len(found) == in.Limit {
		out.Body.Next = found[len(found)-1].ID.String()
	}
	return out, nil
}

type decisionInput struct {
	EnrolmentPath
	Body *api.Decision
}

func (s *Server) endorse(ctx context.Context, by signin.Caller, in *decisionInput) (*answer[api.EnrolmentStatus], error) {
	req, err := s.Registry.Endorse(ctx, by.Actor, in.ID)
	return s.enrolmentAnswer(req, err)
}

func (s *Server) reject(ctx context.Context, by signin.Caller, in *decisionInput) (*answer[api.EnrolmentStatus], error) {
	var reason string
	if in.Body != nil {
		reason = in.Body.Reason
	}
	req, err := s.Registry.Reject(ctx, by.Actor, in.ID, reason)
	return s.enrolmentAnswer(req, err)
}

func (s *Server) enrolmentAnswer(req *enroll.Request, err error) (*answer[api.EnrolmentStatus], error) {
	if err != nil {
		return nil, err
	}
	status, err := s.enrolmentOf(req)
	return &answer[api.EnrolmentStatus]{status}, err
}
