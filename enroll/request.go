package enroll

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/attest"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/audit"
)

// State is where a request stands.
type State string

// The states; see the package's comment for the transitions.
const (
	Received  State = "received"
	Submitted State = "submitted"
	Endorsed  State = "endorsed"
	Issued    State = "issued"
	Rejected  State = "rejected"
	Failed    State = "failed"
)

// Subject is who will be certified, as the directory had them when the request was received or endorsed.
type Subject struct {
	CommonName string   `json:"common_name"`
	GivenName  string   `json:"given_name,omitempty"`
	Surname    string   `json:"surname,omitempty"`
	Employee   string   `json:"employee,omitempty"`
	Mailboxes  []string `json:"mailboxes"`
}

func subjectOf(p directory.Person) Subject {
	return Subject{CommonName: p.Name, GivenName: p.GivenName, Surname: p.Surname, Employee: p.Employee, Mailboxes: p.Mailboxes}
}

// Request is an enrolment request.
type Request struct {
	ID             uuid.UUID
	Person         uuid.UUID
	Enrolment      string
	State          State
	Subject        Subject
	SigningSPKI    []byte // SubjectPublicKeyInfo, DER; nil where the plan has none
	EncryptionSPKI []byte
	By             audit.Actor // who asked
	Agent          string      // with which program, as it calls itself; "" if it did not say, or is not known any more
	Reason         string      // why rejected or failed
	ReceivedAt     time.Time
	ChangedAt      time.Time
	Claimed        []Claim       // what its CSRs name; nil of requests from before that was kept
	DecidedBy      *audit.Actor  // who endorsed or rejected it; nil if nobody did, or it is not known
	Origin         *attest.Proof // what was proven of where the signing key was made; nil if nothing was asked for

	challenge []byte // which the proof of Origin answers; nil if none; only while it is received

	Certificates []ca.Certificate // once issued: signing, then encryption
	Receipt      *archive.Receipt // once deposited
}

// Get returns a request with what came of it. Its subscriber, registrars and auditors may see it; for anybody else
// there is no such request.
func (r *Registry) Get(ctx context.Context, by audit.Actor, id uuid.UUID) (*Request, error) {
	var req *Request
	err := r.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		req, err = selectRequest(ctx, tx, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	if by.Person != req.Person && !by.Has(audit.Registrar) && !by.Has(audit.Auditor) {
		return nil, ErrUnknownRequest
	}
	return req, r.complete(ctx, req)
}

// complete adds what other rooms know of a request.
func (r *Registry) complete(ctx context.Context, req *Request) error {
	if req.State == Issued {
		progress, err := r.Authority.ByRequest(ctx, req.ID)
		if err != nil {
			return err
		}
		req.Certificates = progress.Issued
	}
	if r.plans[req.Enrolment].escrowed() && req.State != Rejected && req.State != Failed {
		receipt, err := r.Archive.ByRequest(ctx, req.ID)
		if err != nil && !errors.Is(err, archive.ErrNothingHeld) { // not yet there
			return err
		}
		req.Receipt = receipt
	}
	return nil
}

// List returns requests for registrars, oldest first: those in one state, after the given id, at most limit. It does
// not add certificates and receipts.
func (r *Registry) List(ctx context.Context, by audit.Actor, state State, after uuid.UUID, limit int) ([]*Request, error) {
	if !by.Has(audit.Registrar) && !by.Has(audit.Auditor) {
		return nil, ErrNotAllowed.Withf("Only registrars and auditors may list requests.")
	}
	var out []*Request
	err := r.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		out, err = selectRequests(ctx, tx, state, after, min(max(limit, 1), 500))
		return err
	})
	return out, err
}

// ListOf returns a person's newest requests, the newest first, for those who may list them.
func (r *Registry) ListOf(ctx context.Context, by audit.Actor, person uuid.UUID, limit int) ([]*Request, error) {
	if !by.Has(audit.Registrar) && !by.Has(audit.Auditor) {
		return nil, ErrNotAllowed.Withf("Only registrars and auditors may list requests.")
	}
	var out []*Request
	err := r.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		out, err = selectRequestsOf(ctx, tx, person, min(max(limit, 1), 500))
		return err
	})
	return out, err
}

// record puts an event about a request into a batch.
func (r *Registry) record(b *pgx.Batch, by audit.Actor, req *Request, kind string, data any) error {
	_, err := audit.Queue(b, r.Now(), by, audit.Event{Kind: kind, Subject: "request:" + req.ID.String(), Person: req.Person, Data: data})
	return err
}

// move changes a request's state, with its event. It returns ErrState when the request is not in state from.
func (r *Registry) move(ctx context.Context, by audit.Actor, req *Request, from, to State, kind, reason string) error {
	return r.moveWith(ctx, &pgx.Batch{}, nil, by, req, from, to, kind, reason)
}

// moveWith is move with further statements, and with what then does after them unless it is nil, in one transaction.
func (r *Registry) moveWith(ctx context.Context, b *pgx.Batch, then func(pgx.Tx) error, by audit.Actor, req *Request, from, to State, kind, reason string) error {
	now := r.Now()
	var decided *audit.Actor
	if from == Submitted {
		decided = &by
	}
	queueState(b, req.ID, from, to, reason, decided, now)
	var data any
	if reason != "" {
		data = map[string]any{"reason": reason}
	}
	if err := r.record(b, by, req, kind, data); err != nil {
		return err
	}
	run := func() error { return r.DB.Batch(ctx, role, b) }
	if then != nil {
		run = func() error {
			return r.DB.InTx(ctx, role, func(tx pgx.Tx) error {
				if err := tx.SendBatch(ctx, b).Close(); err != nil {
					return err
				}
				return then(tx)
			})
		}
	}
	if err := run(); err != nil {
		return err
	}
	req.State, req.Reason, req.ChangedAt = to, reason, now
	if decided != nil {
		req.DecidedBy = decided
	}
	return nil
}
