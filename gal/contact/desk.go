package contact

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
)

// Submission is a certificate that a registrar hands in.
type Submission struct {
	Mailbox     string // whose it is
	Certificate []byte // as Read takes it, with the chain if there is one
	Note        string // how it was verified, such as "fingerprint compared by telephone"
}

// changes reports whether somebody may change the list: a registrar, or whoever has the server's own files.
func changes(by audit.Actor) bool {
	return by.Has(audit.Registrar) || by.Method == audit.MethodLocal && by.Has(audit.Operator)
}

func sees(by audit.Actor) bool {
	return changes(by) || by.Has(audit.Operator) || by.Has(audit.Auditor)
}

// Check returns the contact that Add would make, and changes nothing.
func (d *Desk) Check(ctx context.Context, by audit.Actor, s Submission) (*Contact, error) {
	if !changes(by) {
		return nil, ErrNotAllowed
	}
	if !d.On() {
		return nil, ErrOff
	}
	return d.judge(ctx, s, d.now())
}

// Add puts a certificate onto the list, in the place of an older one of the address, and into the directory. What becomes of
// it there is in the answer; if the directory is away, it is tried again until it is back. The same certificate again changes
// nothing.
func (d *Desk) Add(ctx context.Context, by audit.Actor, s Submission) (*Contact, error) {
	c, err := d.Check(ctx, by, s)
	if err != nil {
		return nil, d.refused(ctx, by, s.Mailbox, err)
	}
	now := d.now()
	c.ID, c.AddedAt, c.AddedBy, c.due = uuid.New(), now, by, &now
	err = d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		before, err := lockCurrent(ctx, tx, c.key)
		switch {
		case err != nil && !errors.Is(err, ErrUnknown):
			return err
		case err == nil && before.Certificate.Equal(c.Certificate):
			c = before
			return nil
		case err == nil && c.Certificate.NotBefore.Before(before.Certificate.NotBefore):
			return ErrOlder
		}
		data := map[string]any{"mailbox": c.Mailbox, "sha256": c.Fingerprint(), "subject": c.Certificate.Subject.String(), "issuer": c.Certificate.Issuer.String(),
			"trust": c.Trust, "revocation": c.Revocation, "note": c.Note}
		if before != nil {
			data["replaces"] = before.Fingerprint()
			if err := d.end(ctx, tx, before, Replaced, by, c.Note); err != nil {
				return err
			}
		}
		if err := insertContact(ctx, tx, c); err != nil {
			return err
		}
		return d.record(ctx, tx, by, c, "gal.contact-added", data)
	})
	if err != nil {
		return nil, d.refused(ctx, by, s.Mailbox, err)
	}
	d.After("contact.added")
	return d.showNow(ctx, c)
}

// Remove takes a certificate off the list and out of the directory.
func (d *Desk) Remove(ctx context.Context, by audit.Actor, id uuid.UUID, reason string) (*Contact, error) {
	if !changes(by) {
		return nil, d.refused(ctx, by, id.String(), ErrNotAllowed)
	}
	reason, err := oneLine(reason)
	if err != nil {
		return nil, err
	}
	var c *Contact
	err = d.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		if c, err = lockContact(ctx, tx, id); err != nil || c.State == Removed {
			return err
		}
		if c.State != Current {
			return ErrState
		}
		if err := d.end(ctx, tx, c, Removed, by, reason); err != nil {
			return err
		}
		return d.record(ctx, tx, by, c, "gal.contact-removed", map[string]any{"mailbox": c.Mailbox, "sha256": c.Fingerprint(), "reason": reason})
	})
	if err != nil {
		return nil, err
	}
	d.After("contact.removed")
	return d.showNow(ctx, c)
}

// end has a contact be current no more. Its entry is looked at next.
func (d *Desk) end(ctx context.Context, tx pgx.Tx, c *Contact, to State, by audit.Actor, reason string) error {
	now := d.now()
	c.State, c.EndedAt, c.EndedBy, c.Reason, c.Shown, c.due = to, &now, &by, reason, Waiting, &now
	return updateEnd(ctx, tx, c)
}

// Which chooses contacts.
type Which struct {
	Mailbox string // "": of any address
	Former  bool   // those too that are not current
	After   int64
	Limit   int
}

// List returns contacts in the order in which they were added. Registrars, operators and auditors may see them.
func (d *Desk) List(ctx context.Context, by audit.Actor, w Which) (out []*Contact, err error) {
	if !sees(by) {
		return nil, ErrNotAllowed
	}
	w.Limit = min(max(w.Limit, 1), 500)
	err = d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		out, err = selectContacts(ctx, tx, w)
		return err
	})
	return out, err
}

// Get returns one.
func (d *Desk) Get(ctx context.Context, by audit.Actor, id uuid.UUID) (c *Contact, err error) {
	if !sees(by) {
		return nil, ErrNotAllowed
	}
	err = d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		c, err = selectContact(ctx, tx, id, "")
		return err
	})
	return c, err
}

// Count returns how many current contacts there are of each place, and how many of them end within Soon.
func (d *Desk) Count(ctx context.Context) (places map[Shown]int, ending int, err error) {
	err = d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		places, ending, err = countContacts(ctx, tx, d.now().Add(Soon))
		return err
	})
	return places, ending, err
}

func (d *Desk) record(ctx context.Context, tx pgx.Tx, by audit.Actor, c *Contact, kind string, data map[string]any) error {
	_, err := audit.Append(ctx, tx, d.now(), by, audit.Event{Kind: kind, Subject: "contact:" + c.ID.String(), Data: data})
	return err
}

// refused records that something was refused, and returns why.
func (d *Desk) refused(ctx context.Context, by audit.Actor, what string, why error) error {
	f := fault.Of(why)
	if f == nil || errors.Is(why, fault.Unavailable) {
		return why
	}
	const most = 100
	_, err := d.Audit.Record(ctx, by, audit.Event{Kind: "gal.contact-refused", Data: map[string]any{"contact": what[:min(len(what), most)], "code": f.Code}})
	return errors.Join(why, err)
}
