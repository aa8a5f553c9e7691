package web

import (
	"context"
	"net/http"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/audit/proof"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/web/signin"
)

func (s *Server) logOperations() {
	const about = "With `seen` come the proofs that the newest checkpoint continues those of these sizes. Verify everything: this is for people who do not trust the server."
	shown := []*fault.Error{audit.ErrEmpty, audit.ErrTampered}
	register(s, operation{id: "getAuditLog", method: http.MethodGet, path: "/log", tag: tagLog, who: known, summary: "The newest checkpoint of the audit log, and who countersigned",
		about: about, faults: shown, answer: exampleLog}, s.getAuditLog)
	register(s, operation{id: "getCaseLog", method: http.MethodGet, path: "/cases/{id}/log", tag: tagCases, who: known, summary: "That a case's opening is in the audit log",
		about:  about + " Officers' tools ask for it before they answer. A case of the last second may have no place in the log yet: ask again.",
		faults: append(shown, audit.ErrNotIndexed, archive.ErrUnknownCase, ErrNoArchive), answer: exampleCaseLog}, s.getCaseLog)
	register(s, operation{id: "countersignLog", method: http.MethodPost, path: "/log/countersignatures", tag: tagLog, who: known, summary: "Bring a checkpoint that an officer countersigned",
		about: "The officer's signature decides, whoever brings it. A checkpoint that is not of this log, although its key has signed it, is kept as evidence, shown to all officers, and answered with `audit-proof-false`.",
		body:  api.CountersignatureUpload{Checkpoint: exampleCountersigned.Checkpoint}, answer: exampleLog,
		faults: append(shown, proof.ErrMalformed, proof.ErrSignature, proof.ErrWitness, proof.ErrFalse, archive.ErrRosterPin, ErrNoArchive)}, s.countersignLog)
}

// Seen are sizes of the log that somebody has seen. (It is exported for huma.)
type Seen struct {
	Seen []int64 `query:"seen" maxItems:"100" doc:"Sizes of checkpoints that you have, with commas between."`
}

func (s *Server) getAuditLog(ctx context.Context, _ signin.Caller, in *Seen) (*answer[api.AuditLog], error) {
	v, err := s.Audit.View(ctx, audit.Leaf{}, in.Seen...)
	if err != nil {
		return nil, err
	}
	out, err := s.logOf(ctx, v)
	return &answer[api.AuditLog]{out}, err
}

type caseLogInput struct {
	CasePath
	Seen
}

func (s *Server) getCaseLog(ctx context.Context, by signin.Caller, in *caseLogInput) (*answer[api.CaseLog], error) {
	desk, err := s.desk()
	if err != nil {
		return nil, err
	}
	v, event, err := desk.InLog(ctx, by.Actor, in.ID, in.Seen.Seen...)
	if err != nil {
		return nil, err
	}
	out := &answer[api.CaseLog]{Body: api.CaseLog{Event: string(event)}}
	if out.Body.AuditLog, err = s.logOf(ctx, v); err != nil {
		return nil, err
	}
	if v.Inclusion != nil {
		text, err := v.Inclusion.MarshalText()
		if err != nil {
			return nil, err
		}
		out.Body.Inclusion = string(text)
	}
	return out, nil
}

type countersignInput struct{ Body api.CountersignatureUpload }

func (s *Server) countersignLog(ctx context.Context, by signin.Caller, in *countersignInput) (*answer[api.AuditLog], error) {
	desk, err := s.desk()
	if err != nil {
		return nil, err
	}
	if err := desk.Countersign(ctx, by.Actor, []byte(in.Body.Checkpoint)); err != nil {
		return nil, err
	}
	return s.getAuditLog(ctx, by, &Seen{})
}

func (s *Server) logOf(ctx context.Context, v audit.View) (api.AuditLog, error) {
	out := api.AuditLog{Key: s.Audit.VerifierKey(), Checkpoint: string(v.Checkpoint), Consistency: []string{}, Witnessed: []api.Countersignature{}}
	for _, p := range v.Consistency {
		text, err := p.MarshalText()
		if err != nil {
			return out, err
		}
		out.Consistency = append(out.Consistency, string(text))
	}
	names, err := s.witnesses(ctx)
	if err != nil {
		return out, err
	}
	for _, w := range v.Witnessed {
		out.Witnessed = append(out.Witnessed, api.Countersignature{Officer: names[w.Witness], Size: w.Size, Checkpoint: string(w.Note), Received: utc(w.Received)})
	}
	return out, nil
}

// witnesses returns the officers' names by those of their keys.
func (s *Server) witnesses(ctx context.Context) (map[string]string, error) {
	out := map[string]string{}
	if s.Archive == nil {
		return out, nil
	}
	list, err := s.Archive.Witnesses(ctx)
	for _, w := range list {
		out[w.Name()] = w.Who()
	}
	return out, err
}
