package web

import (
	"context"
	"encoding/hex"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/keyuse"
	"github.com/sealpost/sealpost/recovery"
	"github.com/sealpost/sealpost/web/signin"
)

// ErrNoArchive is returned where this installation archives no keys.
var ErrNoArchive = fault.New(fault.NotFound, "no-archive", "This installation archives no keys, so there is nothing to recover.")

func (s *Server) caseOperations() {
	op := func(o operation, faults ...*fault.Error) operation {
		o.tag, o.who = tagCases, known
		o.faults = append(faults, ErrNoArchive, archive.ErrRosterPin, archive.ErrNoRoster)
		return o
	}
	see := []*fault.Error{archive.ErrUnknownCase}
	change := append(see, archive.ErrCaseState)

	register(s, op(operation{id: "draftCase", method: http.MethodPost, path: "/cases/drafts", large: true, summary: "What a recovery case would have to name",
		about: "Your program makes the case of the answer, in the archive's own encoding, and you sign it. Nothing is kept. There is one draft " +
			"for each of the archive's keys: usually one.",
		body: api.CaseQuery{Kind: "restore"}, answer: exampleDrafts},
		archive.ErrCaseRefused, archive.ErrNothingToAsk, record.ErrCase, audit.ErrRoleRequired, recovery.ErrSubject, directory.ErrUnknownPerson,
		directory.ErrSeveral, directory.ErrUnavailable), s.draftCase)

	register(s, op(operation{id: "openCase", method: http.MethodPost, proof: true, path: "/cases", status: http.StatusCreated, large: true, summary: "Open a recovery case",
		about: "The case is signed by you and frozen. The officers of the roster are asked, and its subjects told. Sending it again changes nothing.",
		body:  api.CaseOpening{Case: exampleDER}, answer: exampleCase},
		archive.ErrCaseRefused, archive.ErrNothingToAsk, archive.ErrCaseState, record.ErrFormat, record.ErrCase, record.ErrConsent, record.ErrSignature, recovery.ErrCertificate,
		audit.ErrRoleRequired, directory.ErrUnknownPerson, directory.ErrDisabled, directory.ErrUnavailable), s.openCase)

	register(s, op(operation{id: "listCases", method: http.MethodGet, path: "/cases", summary: "Recovery cases, the newest first",
		about:  "Those that concern you: you asked, your keys are asked for, you receive, or you are an officer of the roster. Auditors see all. A legal case whose subjects are not to know yet is not shown to them.",
		answer: api.Page[api.Case]{Items: []api.Case{exampleListedCase}}}, archive.ErrUnknownCase), s.listCases)

	register(s, op(operation{id: "getCase", method: http.MethodGet, path: "/cases/{id}", summary: "One recovery case, whole", answer: exampleCase}, see...), s.getCase)
	register(s, op(operation{id: "getCaseCapsules", method: http.MethodGet, path: "/cases/{id}/capsules", summary: "The public parts of a case's records, in its order",
		about: "What officers decrypt their part of. They tell nothing about the keys.", answer: api.Blobs{Items: [][]byte{exampleDER}}}, see...), s.getCaseCapsules)

	register(s, op(operation{id: "answerCase", method: http.MethodPost, proof: true, path: "/cases/{id}/answers", large: true, summary: "Bring an officer's answer",
		about: "The officer's signature decides, whoever brings it. Answers are taken until the deadline, also after the release: then they may take the place of one that the recipient disputes.",
		body:  api.CaseAnswerUpload{Answer: exampleDER}, answer: exampleCase},
		append(change, archive.ErrAnswered, record.ErrFormat, record.ErrApproval, record.ErrCase, recovery.ErrCertificate)...), s.answerCase)
	register(s, op(operation{id: "cancelCase", method: http.MethodPost, path: "/cases/{id}/cancel", summary: "Take a case back",
		about: "Its requester may, until something was collected.", body: api.CaseCancellation{Reason: "I found the laptop."}, answer: exampleCase},
		append(change, archive.ErrNotRequester)...), s.cancelCase)
	register(s, op(operation{id: "closeCase", method: http.MethodPost, path: "/cases/{id}/close", summary: "Say that everything was received",
		about: "What the officers sealed is deleted; nothing can be collected any more.", answer: exampleCase},
		append(change, archive.ErrNotRequester)...), s.closeCase)
	register(s, op(operation{id: "disputeCase", method: http.MethodPost, path: "/cases/{id}/disputes", summary: "Say that what an officer sealed is wrong",
		body: api.CaseDispute{Dispute: exampleDER}, answer: exampleCase},
		append(change, archive.ErrNotRecipient, record.ErrFormat, record.ErrDispute, record.ErrCase, recovery.ErrCertificate)...), s.disputeCase)

	register(s, op(operation{id: "collectCase", method: http.MethodPost, proof: true, path: "/cases/{id}/deliveries/{delivery}/collect", summary: "Release a delivery to its recipient",
		about: "Only its recipient may, once enough officers have approved. The release is in the audit log before anything is given out. It may be repeated when a download broke off, of which those concerned are told once a day. " +
			"An approval of an officer whose certificate was revoked since counts no more.",
		answer: exampleCase}, append(change, archive.ErrNotRecipient)...), s.collectCase)
	register(s, op(operation{id: "getCaseRecords", method: http.MethodGet, path: "/cases/{id}/deliveries/{delivery}/records", summary: "The records of a delivery that was collected",
		about: "Without the server's layer; the officers' layer is opened by what they sealed to the recipient.", answer: api.Blobs{Items: [][]byte{exampleDER}}},
		append(change, archive.ErrNotRecipient, record.ErrWrappingKey)...), s.getCaseRecords)
	register(s, op(operation{id: "getCaseSealed", method: http.MethodGet, path: "/cases/{id}/deliveries/{delivery}/sealed", summary: "What the officers sealed to the recipient",
		answer: api.CaseSealed{Items: []api.SealedApproval{{Approval: exampleDER, Partials: exampleDER}}}}, append(change, archive.ErrNotRecipient)...), s.getCaseSealed)
}

// desk returns where recovery is asked for, or ErrNoArchive.
func (s *Server) desk() (*recovery.Desk, error) {
	if s.Recovery == nil {
		return nil, ErrNoArchive
	}
	return s.Recovery, nil
}

func (s *Server) draftCase(ctx context.Context, by signin.Caller, in *struct{ Body api.CaseQuery }) (*answer[api.CaseDrafts], error) {
	desk, err := s.desk()
	if err != nil {
		return nil, err
	}
	q := recovery.Query{Kind: kindOf(in.Body.Kind), Mailboxes: in.Body.Mailboxes, People: in.Body.People}
	for _, k := range in.Body.Keys {
		b, err := hex.DecodeString(k)
		if err != nil || len(b) != len(keyuse.Hash{}) {
			return nil, ErrRequest.Withf("body.keys: %q is not the SHA-256 of a key.", clip(k))
		}
		q.Keys = append(q.Keys, keyuse.Hash(b))
	}
	if in.Body.From != nil {
		q.From = *in.Body.From
	}
	if in.Body.To != nil {
		q.To = *in.Body.To
	}
	drafts, err := desk.Ask(ctx, by.Actor, q)
	if err != nil {
		return nil, err
	}
	out := &answer[api.CaseDrafts]{}
	for _, d := range drafts {
		out.Body.Drafts = append(out.Body.Drafts, s.draftOf(d))
	}
	return out, nil
}

func kindOf(name string) record.CaseKind {
	for _, k := range []record.CaseKind{record.CaseRestore, record.CaseBusiness, record.CaseLegal} {
		if k.String() == name {
			return k
		}
	}
	return 0
}

func (s *Server) draftOf(d archive.Draft) api.CaseDraft {
	out := api.CaseDraft{Roster: d.Roster.Bytes(), Intermediates: s.intermediates()}
	for _, p := range d.Subjects {
		subject := api.CaseSubject{Person: p.Person}
		for _, k := range p.Records {
			h := k.Header
			subject.Records = append(subject.Records, api.CaseRecord{Record: k.Hash().String(), SPKISHA256: h.SPKI.String(), Algorithm: h.Algorithm,
				Name: h.Name, Mail: h.Mail, Time: utc(h.Time)})
		}
		out.Subjects = append(out.Subjects, subject)
	}
	return out
}

// intermediates are the issuing certificates of this installation, without roots.
func (s *Server) intermediates() [][]byte {
	var out [][]byte
	for _, i := range s.Authority.Issuers() {
		chain := i.Chain()
		for _, c := range chain[:max(len(chain)-1, 0)] {
			out = append(out, c.Raw)
		}
	}
	return out
}

func (s *Server) openCase(ctx context.Context, by signin.Caller, in *struct{ Body api.CaseOpening }) (*answer[api.Case], error) {
	return s.whole(ctx, func(d *recovery.Desk) (*archive.Case, error) {
		return d.Open(ctx, by.Actor, in.Body.Case, in.Body.Consent)
	})
}

type casesInput struct {
	State string `query:"state" enum:"requested,approved,released,closed,denied,cancelled,expired" doc:"Empty means any."`
	Page
}

func (s *Server) listCases(ctx context.Context, by signin.Caller, in *casesInput) (*answer[api.Page[api.Case]], error) {
	after, err := in.id()
	if err != nil {
		return nil, err
	}
	desk, err := s.desk()
	if err != nil {
		return nil, err
	}
	limit := min(in.Limit, 200)
	found, err := desk.List(ctx, by.Actor, archive.CaseState(in.State), after, limit)
	if err != nil {
		return nil, err
	}
	return pageOf(found, limit, listedCase, func(k archive.Listed) string { return k.ID.String() }), nil
}

// CasePath names a case. (It is exported for huma, which does not look into other embedded structs.)
type CasePath struct {
	ID uuid.UUID `path:"id" doc:"The case's id."`
}

func (s *Server) getCase(ctx context.Context, by signin.Caller, in *CasePath) (*answer[api.Case], error) {
	return s.whole(ctx, func(d *recovery.Desk) (*archive.Case, error) { return d.Get(ctx, by.Actor, in.ID) })
}

// whole does something about a case and answers with all of it.
func (s *Server) whole(ctx context.Context, do func(*recovery.Desk) (*archive.Case, error)) (*answer[api.Case], error) {
	desk, err := s.desk()
	if err != nil {
		return nil, err
	}
	k, err := do(desk)
	if err != nil {
		return nil, err
	}
	out := caseOf(k)
	out.Signed, out.Intermediates = k.Bytes(), s.intermediates()
	for _, a := range k.Answers {
		out.Answers = append(out.Answers, api.CaseAnswer{Agent: int(a.Agent), Decision: a.Decision.String(), Comment: a.Comment, Received: utc(a.Received),
			Disputed: a.Disputed, Signed: a.Bytes()})
	}
	if roster, err := desk.RosterOf(ctx, k); err == nil { // else it is pinned no more, and the case has lapsed
		out.Roster = roster.Bytes()
	}
	return &answer[api.Case]{out}, nil
}

func caseOf(k *archive.Case) api.Case {
	out := api.Case{ID: k.ID, Kind: k.Kind.String(), State: api.CaseState(k.State), StateReason: k.StateReason, Requester: k.Requester.Name, Reason: k.Reason,
		Reference: k.Reference, Opened: utc(k.Opened), Deadline: utc(k.Deadline), Changed: utc(k.Changed)}
	if !k.SilentUntil.IsZero() {
		at := utc(k.SilentUntil)
		out.SilentUntil = &at
	}
	for i, d := range k.Deliveries {
		delivery := api.CaseDelivery{Recipient: record.Fingerprint(d.Recipient).String()}
		for _, p := range d.Subjects {
			delivery.Records += len(p.Records)
		}
		if i < len(k.Collected) && !k.Collected[i].IsZero() {
			at := utc(k.Collected[i])
			delivery.Collected = &at
		}
		out.Subjects += len(d.Subjects)
		out.Records += delivery.Records
		out.Deliveries = append(out.Deliveries, delivery)
	}
	return out
}

// listedCase is caseOf for a case in a list.
func listedCase(k archive.Listed) api.Case {
	out := api.Case{ID: k.ID, Kind: k.Kind, State: api.CaseState(k.State), StateReason: k.StateReason, Requester: k.Requester, Reason: k.Reason,
		Reference: k.Reference, Opened: utc(k.Opened), Deadline: utc(k.Deadline), Changed: utc(k.Changed)}
	if !k.SilentUntil.IsZero() {
		at := utc(k.SilentUntil)
		out.SilentUntil = &at
	}
	for _, d := range k.Deliveries {
		delivery := api.CaseDelivery{Recipient: d.Recipient.String(), Records: d.Records}
		if !d.Collected.IsZero() {
			at := utc(d.Collected)
			delivery.Collected = &at
		}
		out.Subjects += d.Subjects
		out.Records += d.Records
		out.Deliveries = append(out.Deliveries, delivery)
	}
	return out
}

type capsulesInput struct {
	CasePath
	Page
}

func (s *Server) getCaseCapsules(ctx context.Context, by signin.Caller, in *capsulesInput) (*answer[api.Blobs], error) {
	return s.blobs(in.Page, func(d *recovery.Desk, from int) ([][]byte, error) {
		return d.Capsules(ctx, by.Actor, in.ID, from, in.Limit)
	})
}

// blobs answers one page of a list that goes by positions.
func (s *Server) blobs(p Page, read func(d *recovery.Desk, from int) ([][]byte, error)) (*answer[api.Blobs], error) {
	from, err := p.position()
	if err != nil {
		return nil, err
	}
	desk, err := s.desk()
	if err != nil {
		return nil, err
	}
	found, err := read(desk, from)
	if err != nil {
		return nil, err
	}
	out := &answer[api.Blobs]{Body: api.Blobs{Items: found}}
	if found == nil {
		out.Body.Items = [][]byte{}
	}
	if len(found) == p.Limit {
		out.Body.Next = strconv.Itoa(from + len(found))
	}
	return out, nil
}

type answerInput struct {
	CasePath
	Body api.CaseAnswerUpload
}

func (s *Server) answerCase(ctx context.Context, by signin.Caller, in *answerInput) (*answer[api.Case], error) {
	return s.whole(ctx, func(d *recovery.Desk) (*archive.Case, error) { return d.Answer(ctx, by.Actor, in.ID, in.Body.Answer) })
}

type cancelInput struct {
	CasePath
	Body api.CaseCancellation
}

func (s *Server) cancelCase(ctx context.Context, by signin.Caller, in *cancelInput) (*answer[api.Case], error) {
	return s.whole(ctx, func(d *recovery.Desk) (*archive.Case, error) {
		return d.Cancel(ctx, by.Actor, in.ID, record.Line(in.Body.Reason, 500))
	})
}

func (s *Server) closeCase(ctx context.Context, by signin.Caller, in *CasePath) (*answer[api.Case], error) {
	return s.whole(ctx, func(d *recovery.Desk) (*archive.Case, error) { return d.Close(ctx, by.Actor, in.ID) })
}

type disputeInput struct {
	CasePath
	Body api.CaseDispute
}

func (s *Server) disputeCase(ctx context.Context, by signin.Caller, in *disputeInput) (*answer[api.Case], error) {
	return s.whole(ctx, func(d *recovery.Desk) (*archive.Case, error) { return d.Dispute(ctx, by.Actor, in.ID, in.Body.Dispute) })
}

// DeliveryPath names a delivery of a case. (It is exported for huma.)
type DeliveryPath struct {
	CasePath
	Delivery int `path:"delivery" minimum:"0" maximum:"999" doc:"The delivery's place in the case, from 0."`
}

func (s *Server) collectCase(ctx context.Context, by signin.Caller, in *DeliveryPath) (*answer[api.Case], error) {
	return s.whole(ctx, func(d *recovery.Desk) (*archive.Case, error) { return d.Collect(ctx, by.Actor, in.ID, in.Delivery) })
}

type recordsInput struct {
	DeliveryPath
	Page
}

func (s *Server) getCaseRecords(ctx context.Context, by signin.Caller, in *recordsInput) (*answer[api.Blobs], error) {
	return s.blobs(in.Page, func(d *recovery.Desk, from int) ([][]byte, error) {
		return d.Records(ctx, by.Actor, in.ID, in.Delivery, from, in.Limit)
	})
}

func (s *Server) getCaseSealed(ctx context.Context, by signin.Caller, in *DeliveryPath) (*answer[api.CaseSealed], error) {
	desk, err := s.desk()
	if err != nil {
		return nil, err
	}
	found, err := desk.Sealed(ctx, by.Actor, in.ID, in.Delivery)
	out := &answer[api.CaseSealed]{Body: api.CaseSealed{Items: make([]api.SealedApproval, len(found))}}
	for i, f := range found {
		out.Body.Items[i] = api.SealedApproval{Approval: f.Approval, Partials: f.Partials}
	}
	return out, err
}

var (
	exampleListedCase = api.Case{ID: exampleID, Kind: "restore", State: api.CaseRequested, Requester: "Alice Anders", Reason: "My laptop was left in a train.",
		Subjects: 1, Records: 3, Opened: exampleTime, Deadline: exampleTime.Add(72 * time.Hour), Changed: exampleTime,
		Deliveries: []api.CaseDelivery{{Recipient: exampleHash, Records: 3}}}
	exampleCase   = wholeExample()
	exampleDrafts = api.CaseDrafts{Drafts: []api.CaseDraft{{Roster: exampleDER, Intermediates: [][]byte{exampleDER}, Subjects: []api.CaseSubject{{Person: exampleWho,
		Records: []api.CaseRecord{{Record: exampleHash, SPKISHA256: exampleHash, Algorithm: "rsa-3072", Name: "Alice Anders", Mail: "alice@example.test", Time: exampleTime}}}}}}}
)

func wholeExample() api.Case {
	c := exampleListedCase
	c.Signed, c.Roster, c.Intermediates = exampleDER, exampleDER, [][]byte{exampleDER}
	c.Answers = []api.CaseAnswer{{Agent: 1, Decision: "approve", Received: exampleTime, Signed: exampleDER}}
	return c
}
