package archive

import (
	"context"
	"crypto/sha256"
	"regexp"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/pg"
)

// Faults about parcels.
var (
	ErrUnknownParcel = fault.New(fault.NotFound, "unknown-parcel", "There is no such parcel of yours.")
	ErrParcel        = fault.New(fault.Malformed, "parcel-refused", "This cannot be kept as a parcel.")
	ErrParcelTaken   = fault.New(fault.Conflict, "parcel-taken", "There is another parcel with this name.")
	ErrParcelsFull   = fault.New(fault.Conflict, "parcels-full", "There is no room for more parcels of yours. Remove some first.")
)

// Limits of what is kept of one person.
const (
	MaxParcel     = 4 << 20 // bytes of one parcel; the table has the same
	MaxParcels    = 32
	MaxParcelsAll = 16 << 20 // bytes of all together
	// MaxParcelTime is the longest that a parcel with an end is kept.
	MaxParcelTime = 24 * time.Hour
)

var parcelName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,127}$`)

// Parcel is something opaque that one device of a person leaves for another. What is in it was sealed before it came; the
// archive neither can nor does look into it.
type Parcel struct {
	Name    string
	Size    int
	Hash    record.Hash // SHA-256 of the content
	KeptAt  time.Time
	EndsAt  time.Time // zero: it stays
	Content []byte    // nil in lists
}

// KeepParcel keeps a parcel for the person who brings it, under a name of theirs. Keeping the same again changes nothing; to
// take another's place it must name that one's hash. With a duration it is gone after that time.
//
// It returns ErrParcel, ErrParcelTaken and ErrParcelsFull.
func (a *Archive) KeepParcel(ctx context.Context, by audit.Actor, name string, content []byte, replaces record.Hash, lasts time.Duration) (*Parcel, error) {
	now := a.Now().UTC()
	p := &Parcel{Name: name, Size: len(content), Hash: record.Hash(sha256.Sum256(content)), KeptAt: now, Content: content}
	switch {
	case by.Person == uuid.Nil:
		return nil, ErrParcel.Withf("A parcel is kept for a person.")
	case !parcelName.MatchString(name):
		return nil, ErrParcel.Withf("A parcel's name has up to 128 lower-case letters, digits and hyphens.")
	case len(content) == 0 || len(content) > MaxParcel:
		return nil, ErrParcel.Withf("A parcel has 1 to %d bytes; this has %d.", MaxParcel, len(content))
	case lasts < 0 || lasts > MaxParcelTime:
		return nil, ErrParcel.Withf("A parcel with an end is kept for %d hours at most.", int(MaxParcelTime.Hours()))
	case lasts > 0:
		p.EndsAt = now.Add(lasts)
	}
	err := a.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		if err := pg.Lock(ctx, tx, "archive.parcel "+by.Person.String()); err != nil {
			return err
		}
		if _, err := deleteEndedParcels(ctx, tx, now); err != nil {
			return err
		}
		there, err := selectParcels(ctx, tx, by.Person, now)
		if err != nil {
			return err
		}
		old, err := roomFor(there, p, replaces)
		if err != nil {
			return err
		}
		if old != nil && old.Hash == p.Hash {
			*p = *old
			return nil
		}
		if err := upsertParcel(ctx, tx, by.Person, p); err != nil {
			return err
		}
		return parcelEvent(ctx, tx, now, by, "archive.parcel-kept", p)
	})
	if err != nil {
		return nil, err
	}
	p.Content = nil
	return p, nil
}

// roomFor holds that a parcel may be kept beside the others, and returns the one whose place it takes.
func roomFor(there []*Parcel, p *Parcel, replaces record.Hash) (old *Parcel, err error) {
	count, size := 1, p.Size
	for _, x := range there {
		if x.Name == p.Name {
			old = x
			continue
		}
		count, size = count+1, size+x.Size
	}
	switch {
	case old != nil && old.Hash == p.Hash:
		return old, nil
	case old != nil && old.Hash != replaces:
		return nil, ErrParcelTaken.Withf("There is another parcel with the name %s. To replace it, name the SHA-256 that it has now.", p.Name)
	case old == nil && !replaces.IsZero():
		return nil, ErrParcelTaken.Withf("There is no parcel with the name %s that this could replace.", p.Name)
	case count > MaxParcels || size > MaxParcelsAll:
		return nil, ErrParcelsFull.Withf("There is room for %d parcels of one person with %d bytes together. Remove some first.", MaxParcels, MaxParcelsAll)
	}
	return old, nil
}

// Parcels lists a person's own parcels by name, without what is in them.
func (a *Archive) Parcels(ctx context.Context, by audit.Actor) ([]*Parcel, error) {
	var out []*Parcel
	now := a.Now()
	err := a.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		out, err = selectParcels(ctx, tx, by.Person, now)
		return err
	})
	return out, err
}

// Parcel returns one of a person's own parcels, whole. That it was fetched is an event.
func (a *Archive) Parcel(ctx context.Context, by audit.Actor, name string) (*Parcel, error) {
	var out *Parcel
	now := a.Now()
	err := a.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		if out, err = selectParcel(ctx, tx, by.Person, name, now); err != nil {
			return err
		}
		return parcelEvent(ctx, tx, now, by, "archive.parcel-fetched", out)
	})
	return out, err
}

// RemoveParcel removes one of a person's own parcels, and returns what it was.
func (a *Archive) RemoveParcel(ctx context.Context, by audit.Actor, name string) (*Parcel, error) {
	var out *Parcel
	now := a.Now()
	err := a.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		if out, err = selectParcel(ctx, tx, by.Person, name, now); err != nil {
			return err
		}
		out.Content = nil
		if err := deleteParcel(ctx, tx, by.Person, name); err != nil {
			return err
		}
		return parcelEvent(ctx, tx, now, by, "archive.parcel-removed", out)
	})
	return out, err
}

// EndParcels removes everybody's parcels whose time is over. It is a periodic job and may run on several servers at once.
func (a *Archive) EndParcels(ctx context.Context) error {
	now := a.Now()
	for more := true; more; {
		err := a.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
			more, err = deleteEndedParcels(ctx, tx, now)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func parcelEvent(ctx context.Context, tx pgx.Tx, now time.Time, by audit.Actor, kind string, p *Parcel) error {
	_, err := audit.Append(ctx, tx, now, by, audit.Event{Kind: kind, Subject: "person:" + by.Person.String(), Person: by.Person,
		Data: map[string]any{"name": p.Name, "size": p.Size, "sha256": p.Hash.String()}})
	return err
}
