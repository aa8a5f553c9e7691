package client

import (
	"context"
	"iter"

	"github.com/sealpost/sealpost/api"
)

// AllCertificates returns the certificates of every page. It ends at the first error, which it yields.
func (c *Client) AllCertificates(ctx context.Context, q CertificateQuery) iter.Seq2[api.Certificate, error] {
	return all(q.After, func(after string) (api.Page[api.Certificate], error) {
		q.After = after
		return c.Certificates(ctx, q)
	})
}

// AllEnrolments returns the requests of every page. It ends at the first error, which it yields.
func (c *Client) AllEnrolments(ctx context.Context, q EnrolmentQuery) iter.Seq2[api.EnrolmentStatus, error] {
	return all(q.After, func(after string) (api.Page[api.EnrolmentStatus], error) {
		q.After = after
		return c.Enrolments(ctx, q)
	})
}

// AllReceipts returns the receipts of every page. It ends at the first error, which it yields.
func (c *Client) AllReceipts(ctx context.Context) iter.Seq2[api.Receipt, error] {
	return all("", func(after string) (api.Page[api.Receipt], error) { return c.Receipts(ctx, after) })
}

// AllHistory returns the entries of every page. It ends at the first error, which it yields.
func (c *Client) AllHistory(ctx context.Context, q HistoryQuery) iter.Seq2[api.HistoryEntry, error] {
	return all(q.After, func(after string) (api.Page[api.HistoryEntry], error) {
		q.After = after
		return c.History(ctx, q)
	})
}

func all[T any](after string, page func(after string) (api.Page[T], error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		seen := map[string]bool{}
		for {
			p, err := page(after)
			if err != nil {
				yield(none, err)
				return
			}
			for _, item := range p.Items {
				if !yield(item, nil) {
					return
				}
			}
			if p.Next == "" {
				return
			}
			if seen[p.Next] {
				yield(none, ErrAnswer.Withf("The server's list has no end: page %q came twice.", plain(p.Next)))
				return
			}
			seen[p.Next] = true
			after = p.Next
		}
	}
}
