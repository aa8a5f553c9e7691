package web

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/web/signin"
)

func (s *Server) receiptOperations() {
	register(s, operation{id: "listReceipts", method: http.MethodGet, path: "/receipts", tag: tagReceipts, who: known,
		summary: "The archive's receipts for your keys, the oldest first", answer: api.Page[api.Receipt]{Items: []api.Receipt{exampleReceipt}}}, s.listReceipts)
	register(s, operation{id: "getReceipt", method: http.MethodGet, path: "/receipts/{id}", tag: tagReceipts, who: known,
		summary: "One receipt", about: "The person whose key it is for may see it, and auditors.",
		faults: []*fault.Error{archive.ErrUnknownReceipt}, answer: exampleReceipt}, s.getReceipt)
	register(s, operation{id: "getReceiptProof", method: http.MethodGet, path: "/receipts/{id}/proof", tag: tagReceipts, who: known,
		summary: "The proof that a deposit is in the audit log",
		about: "The inclusion of the deposit's leaf, whose hash the receipt has signed, in the tree of a signed checkpoint (RFC 6962). " +
			"A deposit of the last second may have no place in the log yet: ask again.",
		faults: []*fault.Error{archive.ErrUnknownReceipt, audit.ErrNotIndexed, audit.ErrTampered}, answer: exampleProof}, s.getReceiptProof)
}

func (s *Server) listReceipts(ctx context.Context, by signin.Caller, in *Page) (*answer[api.Page[api.Receipt]], error) {
	after, err := in.id()
	if err != nil || s.Archive == nil {
		return &answer[api.Page[api.Receipt]]{Body: api.Page[api.Receipt]{Items: []api.Receipt{}}}, err
	}
	found, err := s.Archive.ReceiptsOf(ctx, by.Actor, after, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &answer[api.Page[api.Receipt]]{Body: api.Page[api.Receipt]{Items: make([]api.Receipt, len(found))}}
	for i, r := range found {
		w, err := s.receiptOf(r)
		if err != nil {
			return nil, err
		}
		out.Body.Items[i] = *w
	}
	if len(found) == in.Limit {
		out.Body.Next = found[len(found)-1].ID.String()
	}
	return out, nil
}

type receiptInput struct {
	ID uuid.UUID `path:"id" doc:"The receipt's id."`
}

func (s *Server) getReceipt(ctx context.Context, by signin.Caller, in *receiptInput) (*answer[api.Receipt], error) {
	r, err := s.receipt(ctx, by.Actor, in.ID)
	if err != nil {
		return nil, err
	}
	out, err := s.receiptOf(r)
	if err != nil {
		return nil, err
	}
	return &answer[api.Receipt]{*out}, nil
}

func (s *Server) getReceiptProof(ctx context.Context, by signin.Caller, in *receiptInput) (*answer[api.ReceiptProof], error) {
	r, err := s.receipt(ctx, by.Actor, in.ID)
	if err != nil {
		return nil, err
	}
	p, err := s.Audit.Inclusion(ctx, audit.Leaf{Event: r.Event, Hash: r.Leaf})
	if err != nil {
		return nil, err
	}
	out, err := proofOf(r.Leaf, p)
	return &answer[api.ReceiptProof]{out}, err
}

func (s *Server) receipt(ctx context.Context, by audit.Actor, id uuid.UUID) (*archive.Receipt, error) {
	if s.Archive == nil {
		return nil, archive.ErrUnknownReceipt
	}
	return s.Archive.Receipt(ctx, by, id)
}
