package contact

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
)

const (
	entryTimeout = 10 * time.Second // of changing one entry
	claim        = 5 * time.Minute  // how long nobody else looks at a contact's entry
	lookAgain    = 10 * time.Minute // where there is no one entry, or no room
	retryAfter   = time.Minute      // where the directory failed
	lookLonger   = 30 * 24 * time.Hour
	rounds       = 5 // how often an entry is looked at again that changed meanwhile
)

var attributes = []directory.Attribute{directory.UserCertificate}

// place is what became of an address in the directory.
type place struct {
	shown Shown
	dn    string
}

// showNow looks at a contact's entry, and returns the contact as it is then. That the directory fails is no error: it is tried
// again.
func (d *Desk) showNow(ctx context.Context, c *Contact) (*Contact, error) {
	if c.due != nil && d.On() {
		if err := d.look(ctx, c); err != nil {
			d.Log.Warn("a contact's entry could not be looked at", "contact", c.ID, "error", err)
		}
	}
	var out *Contact
	err := d.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		out, err = selectContact(ctx, tx, c.ID, "")
		return err
	})
	return out, err
}

// look makes the entries of a contact's address show what they should, and writes down what it found. Its error is the
// directory's.
func (d *Desk) look(ctx context.Context, c *Contact) error {
	if err := d.endIfOver(ctx, c); err != nil {
		return err
	}
	p, failed := d.settle(ctx, c.key)
	now := d.now()
	next := now.Add(d.Every)
	c.Shown, c.DN, c.Failure, c.LookedAt = p.shown, p.dn, "", &now
	switch {
	case failed != nil:
		c.Shown, c.DN, c.Failure, next = Failed, "", fault.Shown(failed), now.Add(retryAfter)
	case c.State != Current && c.Shown != TooLarge: // of such an entry it is not known what it holds
		c.Shown, c.DN = Gone, ""
	case c.Shown != InEntry:
		next = now.Add(lookAgain)
	}
	due := &next
	switch {
	case c.State == Current && c.Certificate.NotAfter.Before(next):
		end := c.Certificate.NotAfter.Add(time.Second)
		due = &end
	case c.State != Current && failed == nil && now.Sub(*c.EndedAt) > lookLonger:
		due = nil
	}
	err := d.DB.InTx(ctx, role, func(tx pgx.Tx) error { return updateShown(ctx, tx, c, due) })
	return errors.Join(failed, err)
}

// endIfOver ends a contact whose certificate has expired, or is revoked by now.
func (d *Desk) endIfOver(ctx context.Context, c *Contact) error {
	now := d.now()
	var to State
	switch {
	case c.State != Current:
		return nil
	case now.After(c.Certificate.NotAfter):
		to = Expired
	case now.Sub(c.AskedAt) >= d.Every:
		if err := d.ask(ctx, c); errors.Is(err, ErrRevoked) {
			to = Revoked
		} else if err := d.DB.InTx(ctx, role, func(tx pgx.Tx) error { return updateAsked(ctx, tx, c) }); err != nil {
			return err
		}
	}
	if to == "" {
		return nil
	}
	return d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		have, err := lockContact(ctx, tx, c.ID)
		if err != nil {
			return err
		}
		if have.State == Current {
			by := audit.System("gal")
			if err := d.end(ctx, tx, have, to, by, ""); err != nil {
				return err
			}
			if err := d.record(ctx, tx, by, have, "gal.contact-ended", map[string]any{"mailbox": c.Mailbox, "sha256": c.Fingerprint(), "why": to}); err != nil {
				return err
			}
		}
		*c = *have
		return nil
	})
}

// settle makes all entries to which an address leads, or led, show what they should: until what they should show is the same
// afterwards as before.
func (d *Desk) settle(ctx context.Context, key string) (p place, err error) {
	for range rounds {
		again := false
		if p, again, err = d.settleOnce(ctx, key); err != nil || !again {
			return p, err
		}
	}
	return p, directory.ErrUnavailable.Withf("The entry in the directory is being changed by others. Try again later.")
}

func (d *Desk) settleOnce(ctx context.Context, key string) (p place, again bool, err error) {
	held, err := d.Directory.HoldingsAt(ctx, d.Find, []string{key}, attributes...)
	if err != nil {
		return p, false, err
	}
	h := held[key]
	var entries []string
	var own []*Contact
	err = d.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		if own, err = selectCurrent(ctx, tx, []string{key}); err == nil {
			entries, err = selectEntries(ctx, tx, key)
		}
		return err
	})
	if err != nil {
		return p, false, err
	}
	one := h.Entries == 1
	if one && !slices.Contains(entries, h.Entry) {
		entries = append(entries, h.Entry)
	}
	switch {
	case h.Entries > 1:
		p.shown = Several
	case h.DN == "":
		p.shown = NoEntry
	}
	found, err := d.Directory.EntriesOf(ctx, d.Find, entries, attributes...)
	if err != nil {
		return p, false, err
	}
	for _, entry := range entries {
		if found[entry].DN == "" { // deleted
			continue
		}
		var add *x509.Certificate
		if one && entry == h.Entry && len(own) > 0 {
			add = own[0].Certificate
		}
		got, changed, err := d.revise(ctx, key, found[entry], add)
		if err != nil {
			return p, false, err
		}
		switch {
		case got == TooLarge: // also one that the address does not lead to any more: it is not known what it holds
			p.shown = TooLarge
		case one && entry == h.Entry && p.shown != TooLarge:
			p = place{got, h.DN}
		}
		again = again || changed
	}
	if p.shown == "" { // deleted meanwhile
		p.shown = NoEntry
	}
	return p, again, nil
}

// revise makes one entry show what it should: add, if that is not nil, beside what others hold; nothing that we put there
// and that is no current contact's of its addresses. changed says that it must be looked at again.
func (d *Desk) revise(ctx context.Context, key string, h directory.Holding, add *x509.Certificate) (shown Shown, changed bool, err error) {
	if h.TooLarge {
		return TooLarge, false, nil
	}
	w, err := d.prepare(ctx, key, h, add)
	if err != nil {
		return "", false, err
	}
	shown = InEntry
	if w.compare(h.Values[directory.UserCertificate]); w.full {
		shown = Full
	}
	if len(w.fresh)+len(w.stale) == 0 {
		return shown, false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, entryTimeout)
	defer cancel()
	moved := false
	err = d.Directory.ReviseEntry(ctx, d.Find, h.Entry, attributes, func(have directory.Holding) map[directory.Attribute]directory.Change {
		if moved = !slices.Equal(have.Mailboxes, h.Mailboxes); moved {
			return nil
		}
		w.compare(have.Values[directory.UserCertificate])
		return map[directory.Attribute]directory.Change{directory.UserCertificate: {Add: w.fresh, Remove: w.stale}}
	})
	switch {
	case errors.Is(err, directory.ErrUnknownPerson): // deleted meanwhile
		return "", true, nil
	case err != nil || moved:
		return "", true, err
	}
	d.After("contact.written")
	return shown, true, d.recordEntry(ctx, key, h.DN, w)
}

// work is what is to be done to an entry.
type work struct {
	add  []byte // nil: nothing
	keep [][]byte
	put  map[[sha256.Size]byte]bool // by us, into this entry
	max  int

	fresh, stale [][]byte
	full         bool
}

// prepare reads what an entry should show, and writes down what will be put into it.
func (d *Desk) prepare(ctx context.Context, key string, h directory.Holding, add *x509.Certificate) (*work, error) {
	w := &work{max: d.MaxValues}
	err := d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		list, err := selectCurrent(ctx, tx, h.Mailboxes)
		if err != nil {
			return err
		}
		for _, c := range list {
			w.keep = append(w.keep, c.Certificate.Raw)
		}
		if add != nil && contains(w.keep, add.Raw) {
			w.add = add.Raw
			if !contains(h.Values[directory.UserCertificate], add.Raw) {
				if err := insertValue(ctx, tx, d.now(), h.Entry, key, add.Raw); err != nil {
					return err
				}
			}
		}
		w.put, err = selectValues(ctx, tx, h.Entry)
		return err
	})
	if err == nil {
		d.After("contact.prepared")
	}
	return w, err
}

// compare holds an entry's values against what it should show.
func (w *work) compare(have [][]byte) {
	w.fresh, w.stale, w.full = nil, nil, false
	for _, v := range have {
		if w.put[sha256.Sum256(v)] && !contains(w.keep, v) {
			w.stale = append(w.stale, v)
		}
	}
	if w.add == nil || contains(have, w.add) || !w.put[sha256.Sum256(w.add)] { // what was not written down is not put there
		return
	}
	if w.full = len(have)-len(w.stale)+1 > w.max; !w.full {
		w.fresh = [][]byte{w.add}
	}
}

func contains(list [][]byte, der []byte) bool {
	return slices.ContainsFunc(list, func(l []byte) bool { return bytes.Equal(l, der) })
}

// recordEntry records what was changed in an entry.
func (d *Desk) recordEntry(ctx context.Context, key, dn string, w *work) error {
	if len(w.fresh)+len(w.stale) == 0 {
		return nil
	}
	// Not cut off with the work: the directory has changed, and the log must say so.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), entryTimeout)
	defer cancel()
	_, err := d.Audit.Record(ctx, audit.System("gal"), audit.Event{Kind: "gal.contact-published", Subject: "entry:" + dn,
		Data: map[string]any{"directory": d.Directory.Name, "mailbox": key, "added": digests(w.fresh), "removed": digests(w.stale)}})
	return err
}

func digests(list [][]byte) []string {
	out := make([]string, len(list))
	for i, v := range list {
		sum := sha256.Sum256(v)
		out[i] = hex.EncodeToString(sum[:])
	}
	return out
}
