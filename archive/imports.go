package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/keyuse"
	"github.com/sealpost/sealpost/internal/pg"
)

// Import is a private encryption key that was kept elsewhere, on its way into the archive, with the certificate that
// another authority issued for it. The archive keeps certificates for who gets the key back, and does not read them.
type Import struct {
	Deposit                    // its Request is ignored: one key is one request
	Certificate []byte         // DER
	Chain       [][]byte       // above it, DER
	Mailboxes   []string       // of the certificate, lower case: by these the person is found who is in no directory
	Data        map[string]any // for the audit event: what the certificate says, and who said whose it is
}

// Imported is what became of an import.
type Imported struct {
	*Receipt
	New   bool // the key was not archived before
	Added bool // the certificate was not known before
}

// Foreign is the certificate of an imported key.
type Foreign struct {
	Number      int64 // in the order of import
	Key         keyuse.Hash
	Person      uuid.UUID
	Mailboxes   []string
	Certificate []byte
	Chain       [][]byte
	At          time.Time
}

// importSpace is the name space of the requests that imports are: made of the key, so that whoever imports it again, by
// whichever server, makes the same request.
var importSpace = uuid.MustParse("8f3f6f0c-6f5e-5d0b-9a4e-6d0d2f4c7a51")

func importRequest(key keyuse.Hash) uuid.UUID { return uuid.NewSHA1(importSpace, key[:]) }

// Import checks the key as Deposit does and keeps it at once, together with its certificate. A key of the same person that
// is kept already is not sealed again; its certificate is added if it is another one.
//
// It returns what Deposit returns; ErrArchivedTwice only for a key whose enrolment has not ended. After any fault nothing
// is kept.
func (a *Archive) Import(ctx context.Context, by audit.Actor, i Import) (*Imported, error) {
	roster, err := a.roster.active(ctx)
	if err != nil {
		return nil, err
	}
	spki := keyuse.HashOf(i.PublicKey)
	now := a.Now()
	sealed, err := a.seal(roster, i.Deposit, spki, now) // also for a key that is known: who has a certificate need not have the key
	if err != nil {
		return nil, err
	}
	i.Request = importRequest(spki)
	var out *Imported
	err = a.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		if out, err = a.importAgain(ctx, tx, by, i, spki, now); !errors.Is(err, ErrUnknownReceipt) {
			return err
		}
		out, err = a.importNew(ctx, tx, by, i, spki, sealed, now)
		return err
	})
	if errors.Is(err, errRepeated) || pg.Violates(err, "record_spki_sha256_key") { // somebody else was faster
		err = a.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
			out, err = a.importAgain(ctx, tx, by, i, spki, now)
			return err
		})
	}
	return out, err
}

func (a *Archive) importNew(ctx context.Context, tx pgx.Tx, by audit.Actor, i Import, spki keyuse.Hash, sealed *record.Record, now time.Time) (*Imported, error) {
	receipt, err := a.keep(ctx, tx, by, i.Deposit, spki, sealed, now)
	if err != nil {
		return nil, err
	}
	if err := updateKept(ctx, tx, receipt.ID); err != nil {
		return nil, err
	}
	added, err := a.addForeign(ctx, tx, by, i, spki, now)
	return &Imported{Receipt: receipt, New: true, Added: added}, err
}

// importAgain is for a key that is in the archive; for another it returns ErrUnknownReceipt.
func (a *Archive) importAgain(ctx context.Context, tx pgx.Tx, by audit.Actor, i Import, spki keyuse.Hash, now time.Time) (*Imported, error) {
	receipt, err := selectReceipt(ctx, tx, `spki_sha256 = $1`, spki[:])
	if err != nil {
		return nil, err
	}
	if receipt.Person != i.Person {
		return nil, keyuse.ErrInUse
	}
	held, err := selectHeld(ctx, tx, receipt.ID)
	if err != nil {
		return nil, err
	}
	if held {
		return nil, ErrArchivedTwice.Withf("This key belongs to an enrolment that has not ended. Import it again when it has.")
	}
	added, err := a.addForeign(ctx, tx, by, i, spki, now)
	return &Imported{Receipt: receipt, Added: added}, err
}

// addForeign keeps a certificate, with its event, unless it is kept already.
func (a *Archive) addForeign(ctx context.Context, tx pgx.Tx, by audit.Actor, i Import, spki keyuse.Hash, now time.Time) (added bool, err error) {
	sum := sha256.Sum256(i.Certificate)
	if added, err = insertForeign(ctx, tx, i, spki, sum[:], by.Person, now); err != nil || !added {
		return added, err
	}
	data := map[string]any{"certificate": hex.EncodeToString(sum[:])}
	maps.Copy(data, i.Data)
	_, err = audit.Append(ctx, tx, now, by, audit.Event{Kind: "archive.imported", Subject: "key:" + record.Hash(spki).String(), Person: i.Person, Data: data})
	return true, err
}

// Owner returns whose a key is that is kept, and whether the certificate (DER) was imported with it; ErrUnknownReceipt
// for one that is not kept. It is for components of the server, which decide who may know.
func (a *Archive) Owner(ctx context.Context, key keyuse.Hash, certificate []byte) (person uuid.UUID, imported bool, err error) {
	sum := sha256.Sum256(certificate)
	err = a.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		person, imported, err = selectOwner(ctx, tx, key, sum[:])
		return err
	})
	return person, imported, err
}

// PeopleWith returns the people for whom certificates with a mail address, in any case, were imported, at most ten.
func (a *Archive) PeopleWith(ctx context.Context, mailbox string) ([]uuid.UUID, error) {
	var out []uuid.UUID
	err := a.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		out, err = selectPeopleWith(ctx, tx, mailbox)
		return err
	})
	return out, err
}

// ForeignOf returns the certificates that were imported with a person's keys: those after a number, at most limit. It is for
// components of the server, which decide who may know.
func (a *Archive) ForeignOf(ctx context.Context, person uuid.UUID, after int64, limit int) ([]Foreign, error) {
	var out []Foreign
	err := a.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		out, err = selectForeign(ctx, tx, `person = $1 and number > $2 order by number limit $3`, person, after, min(max(limit, 1), 1000))
		return err
	})
	return out, err
}

// ForeignByKey returns the certificates that were imported with keys. It is for components of the server, which decide who
// may know.
func (a *Archive) ForeignByKey(ctx context.Context, keys []keyuse.Hash) (map[keyuse.Hash][]Foreign, error) {
	names := make([][]byte, len(keys))
	for i, k := range keys {
		names[i] = k[:]
	}
	out := map[keyuse.Hash][]Foreign{}
	return out, a.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		found, err := selectForeign(ctx, tx, `spki_sha256 = any($1) order by number`, names)
		for _, f := range found {
			out[f.Key] = append(out[f.Key], f)
		}
		return err
	})
}
