package crl

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// freshFor is how long a server may serve a list without asking whether another server has made a newer one.
const freshFor = time.Second

// newest keeps each issuer's newest list in memory.
type newest struct {
	publisher *Publisher
	mu        sync.Mutex
	lists     map[string]cached
}

type cached struct {
	list    *List
	etag    string
	checked time.Time
}

// get returns the issuer's newest list. While the database is away it goes on serving the one it has, as long as that is
// current: a relying party needs a list more than it needs the very newest.
func (n *newest) get(ctx context.Context, issuer string) (cached, error) {
	now := n.publisher.Now()
	n.mu.Lock()
	c, ok := n.lists[issuer]
	n.mu.Unlock()
	if ok && now.Sub(c.checked) < freshFor {
		return c, nil
	}
	fresh, err := n.read(ctx, issuer, c)
	if err != nil {
		if ok && now.Before(c.list.NextUpdate) {
			return c, nil
		}
		return cached{}, err
	}
	fresh.checked = now
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lists[issuer] = fresh
	return fresh, nil
}

// keep takes a list that was just made or read, unless there is a newer one: a server has it at hand from its start on,
// also when the database goes away before anybody has asked.
func (n *newest) keep(l *List) {
	now := n.publisher.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	if have, ok := n.lists[l.Issuer]; !ok || have.list.Number < l.Number {
		n.lists[l.Issuer] = newCached(l, now)
	}
}

func newCached(l *List, checked time.Time) cached {
	sum := sha256.Sum256(l.DER)
	return cached{list: l, etag: `"` + hex.EncodeToString(sum[:16]) + `"`, checked: checked}
}

func (n *newest) read(ctx context.Context, issuer string, have cached) (cached, error) {
	var out cached
	err := n.publisher.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		number, err := selectNumber(ctx, tx, issuer)
		if err != nil {
			return err
		}
		if have.list != nil && have.list.Number == number {
			out = have
			return nil
		}
		list, err := selectNewest(ctx, tx, issuer)
		if err == nil {
			out = newCached(list, time.Time{}) // get knows when
		}
		return err
	})
	return out, err
}

// Serve answers a request (GET or HEAD) for an issuer's newest list, in DER. Caches may keep it for an hour, or half of
// what is left until nextUpdate if that is less. It returns an error when there is none to serve, and has then written
// nothing.
func (p *Publisher) Serve(w http.ResponseWriter, r *http.Request, issuer string) error {
	c, err := p.newest.get(r.Context(), issuer)
	if err != nil {
		return err
	}
	left := c.list.NextUpdate.Sub(p.Now())
	h := w.Header()
	h.Set("Content-Type", "application/pkix-crl") // RFC 2585
	h.Set("ETag", c.etag)
	h.Set("Cache-Control", fmt.Sprintf("public, max-age=%d, must-revalidate", int(max(0, min(time.Hour, left/2)).Seconds())))
	h.Set("Expires", c.list.NextUpdate.UTC().Format(http.TimeFormat))
	http.ServeContent(w, r, "", c.list.ThisUpdate, bytes.NewReader(c.list.DER))
	return nil
}
