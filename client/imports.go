package client

import (
	"context"
	"iter"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
)

// DraftImports asks what would become of keys that were kept elsewhere, at most api.MaxImportDrafts at once, and how they
// are sent.
func (c *Client) DraftImports(ctx context.Context, q api.ImportQuery) (api.ImportDrafts, error) {
	k := post(q, "imports", "drafts")
	k.large, k.repeatable = true, true
	return do[api.ImportDrafts](ctx, c, k)
}

// ImportKey brings a key that was kept elsewhere into the archive. It is repeated when no answer comes: the same key
// counts once.
func (c *Client) ImportKey(ctx context.Context, req api.ImportRequest) (api.Imported, error) {
	k := post(req, "imports")
	k.repeatable = true
	return do[api.Imported](ctx, c, k)
}

// Imports returns the certificates of other authorities whose keys were imported for a person; for the zero UUID one's own.
// It ends at the first error, which it yields.
func (c *Client) Imports(ctx context.Context, person uuid.UUID) iter.Seq2[api.ForeignCertificate, error] {
	who := ""
	if person != uuid.Nil {
		who = person.String()
	}
	return all("", func(after string) (api.Page[api.ForeignCertificate], error) {
		k := get("imports")
		k.query = query("person", who, "after", after)
		return do[api.Page[api.ForeignCertificate]](ctx, c, k)
	})
}

// CaseCertificates returns the certificates of a case's keys, in its order. It ends at the first error, which it yields.
func (c *Client) CaseCertificates(ctx context.Context, id uuid.UUID) iter.Seq2[api.CaseKeyCertificates, error] {
	return all("", func(after string) (api.Page[api.CaseKeyCertificates], error) {
		k := get("cases", id.String(), "certificates")
		k.query = query("after", after)
		p, err := do[api.CaseCertificates](ctx, c, k)
		return api.Page[api.CaseKeyCertificates](p), err
	})
}
