package web

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/recovery"
	"github.com/sealpost/sealpost/web/signin"
)

func (s *Server) historyOperations() {
	register(s, operation{id: "listHistory", method: http.MethodGet, path: "/history", tag: tagReceipts, who: known,
		summary: "Everything that touched your archived keys, the newest first",
		about: "Each key that the archive keeps for you, each certificate of another authority that was imported with one, and each recovery case " +
			"that asked for one: by whom, why, what the officers said, and whether it was fetched. With `person` or `mailbox`, somebody " +
			"else's, for auditors. A legal case whose subjects are not to know yet is not shown to them. A page has at most 100 items.",
		faults: []*fault.Error{ErrNoArchive, audit.ErrRoleRequired, archive.ErrHistoryPlace, recovery.ErrSubject, directory.ErrSeveral, directory.ErrUnavailable},
		answer: api.Page[api.HistoryEntry]{Items: []api.HistoryEntry{{Time: exampleTime, Case: &exampleHistoryCase}, {Time: exampleTime, Key: &exampleHistoryKey}}}}, s.listHistory)
}

type historyInput struct {
	Person  uuid.UUID `query:"person" doc:"The person's id."`
	Mailbox string    `query:"mailbox" maxLength:"320" doc:"One exact address of the person's, in any case, now or formerly." example:"bob@example.test"`
	Page
}

func (s *Server) listHistory(ctx context.Context, by signin.Caller, in *historyInput) (*answer[api.Page[api.HistoryEntry]], error) {
	after, err := archive.ParseHistoryPlace(in.After)
	if err != nil {
		return nil, err
	}
	desk, err := s.desk()
	if err != nil {
		return nil, err
	}
	person, err := whose(ctx, desk, by.Actor, in)
	if err != nil {
		return nil, err
	}
	limit := min(in.Limit, 100)
	found, err := desk.History(ctx, by.Actor, person, after, limit)
	if err != nil {
		return nil, err
	}
	return pageOf(found, limit, historyOf, func(e archive.HistoryEntry) string { return e.Place.String() }), nil
}

// whose finds the person of a request. Only auditors may ask who somebody is.
func whose(ctx context.Context, desk *recovery.Desk, by audit.Actor, in *historyInput) (uuid.UUID, error) {
	switch {
	case in.Person == uuid.Nil && in.Mailbox == "":
		return by.Person, nil
	case in.Mailbox == "":
		return in.Person, nil
	case in.Person != uuid.Nil:
		return uuid.Nil, ErrRequest.Withf("query.mailbox: give a person or a mailbox, not both.")
	}
	if err := by.Require(audit.Auditor); err != nil {
		return uuid.Nil, err
	}
	return desk.Whose(ctx, in.Mailbox)
}

func historyOf(e archive.HistoryEntry) api.HistoryEntry {
	out := api.HistoryEntry{Time: utc(e.At)}
	switch {
	case e.Key != nil:
		out.Key = historyKeyOf(e.Key)
	case e.Certificate != nil:
		sum := sha256.Sum256(e.Certificate.Certificate)
		out.Certificate = &api.HistoryCertificate{SPKISHA256: hex.EncodeToString(e.Certificate.Key[:]), SHA256: hex.EncodeToString(sum[:]), Mailboxes: e.Certificate.Mailboxes}
	case e.Case != nil:
		out.Case = historyCaseOf(e.Case)
	}
	return out
}

func historyKeyOf(k *archive.HistoryKey) *api.HistoryKey {
	out := &api.HistoryKey{SPKISHA256: hex.EncodeToString(k.Receipt.Key[:]), Algorithm: k.Algorithm, Mail: k.Mail, State: "kept", Imported: k.Imported,
		Receipt: k.ID, KeyID: k.KeyID.String()}
	if k.Held {
		out.State = "held"
	}
	if k.SealedTo != k.KeyID {
		out.MovedFrom = k.SealedTo.String()
	}
	return out
}

func historyCaseOf(k *archive.HistoryCase) *api.HistoryCase {
	to := k.Deliveries[k.Delivery].Recipient
	out := &api.HistoryCase{ID: k.ID, Kind: k.Kind.String(), State: api.CaseState(k.State), StateReason: k.StateReason, Requester: k.Requester.Name, Reason: k.Reason,
		Reference: k.Reference, Recipient: record.Line(to.Subject.CommonName, record.MaxName), Fingerprint: record.Fingerprint(to).String(), Deadline: utc(k.Deadline),
		Changed: utc(k.Changed), Needed: k.Needed, Records: k.Records, Answers: make([]api.HistoryAnswer, len(k.Answers)), Keys: make([]string, len(k.Keys))}
	if at := k.Collected[k.Delivery]; !at.IsZero() {
		at = utc(at)
		out.Collected = &at
	}
	if !k.SilentUntil.IsZero() {
		at := utc(k.SilentUntil)
		out.SilentUntil = &at
	}
	for i, a := range k.Answers {
		out.Answers[i] = api.HistoryAnswer{Agent: int(a.Agent), Name: k.Officers[a.Agent], Decision: a.Decision.String(), Comment: a.Comment, Received: utc(a.Received), Disputed: a.Disputed}
	}
	for i, key := range k.Keys {
		out.Keys[i] = hex.EncodeToString(key[:])
	}
	return out
}

var (
	exampleHistoryKey  = api.HistoryKey{SPKISHA256: exampleHash, Algorithm: "rsa-3072", Mail: "alice@example.test", State: "kept", Receipt: exampleID, KeyID: exampleHash}
	exampleHistoryCase = api.HistoryCase{ID: exampleID, Kind: "business", State: api.CaseReleased, Requester: "Rita Registrar", Reason: "Alice is ill; her customers wait.",
		Recipient: "Bob Berger", Fingerprint: exampleHash, Deadline: exampleTime.Add(72 * time.Hour), Changed: exampleTime, Collected: &exampleTime, Needed: 2,
		Answers: []api.HistoryAnswer{{Agent: 1, Name: "Olivia Officer", Decision: "approve", Received: exampleTime}, {Agent: 3, Name: "Otto Officer", Decision: "approve", Received: exampleTime}},
		Records: 1, Keys: []string{exampleHash}}
)
