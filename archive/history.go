package archive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/keyuse"
)

// ErrHistoryPlace is returned for what is no place in a history.
var ErrHistoryPlace = fault.New(fault.Malformed, "history-place", "This is not the next value of a page.")

// maxHistory is how many entries History returns at most: a case's statement may have megabytes.
const maxHistory = 100

// HistoryPlace is where an entry stands in a history. The zero value is before the newest.
type HistoryPlace struct {
	at   time.Time
	kind int
	ref  string // of the entry among those of its kind
}

// What an entry is about. Of entries of one moment the higher stands first: it came later.
const (
	historyKey = iota
	historyCertificate
	historyCase
)

// String returns what ParseHistoryPlace reads.
func (p HistoryPlace) String() string {
	if p.at.IsZero() {
		return ""
	}
	return fmt.Sprintf("%d.%d.%s", p.at.UnixMicro(), p.kind, p.ref)
}

// ParseHistoryPlace reads what String returned; the empty text is the zero value.
func ParseHistoryPlace(text string) (HistoryPlace, error) {
	if text == "" {
		return HistoryPlace{}, nil
	}
	at, rest, _ := strings.Cut(text, ".")
	kind, ref, _ := strings.Cut(rest, ".")
	micro, err := strconv.ParseInt(at, 10, 64)
	if err != nil || micro < 0 || micro > 1<<53 || len(kind) != 1 || kind[0] < '0' || kind[0] > '0'+historyCase || ref == "" {
		return HistoryPlace{}, ErrHistoryPlace
	}
	if strings.Trim(ref, "0123456789abcdef-") != "" {
		return HistoryPlace{}, ErrHistoryPlace
	}
	return HistoryPlace{time.UnixMicro(micro).UTC(), int(kind[0] - '0'), ref}, nil
}

// HistoryEntry is one thing that touched a person's keys: a Key, a Certificate or a Case.
type HistoryEntry struct {
	Place       HistoryPlace
	At          time.Time // of the deposit, the import, the case's opening
	Key         *HistoryKey
	Certificate *Foreign
	Case        *HistoryCase
}

// HistoryKey is a key of the person's that is in the archive.
type HistoryKey struct {
	*Receipt              // its KeyID is the archive key that the record lies under now
	Held      bool        // its certificate is not issued yet
	Imported  bool        // it came from elsewhere
	Algorithm string      // as in record.Header
	Mail      string      // the person's address when it was archived
	SealedTo  record.Hash // the archive key that the receipt names: another than KeyID if the record was moved
}

// HistoryCase is a case that asked for keys of the person's.
type HistoryCase struct {
	*Case
	Needed   int               // approvals; 0 if the roster is not known any more
	Officers map[uint16]string // the names of those who were asked, by number; nil likewise
	Delivery int               // the one that has the person's keys
	Records  int               // how many of the person's keys it asks for
	Keys     []keyuse.Hash     // which, as far as they can still be told: a key that was moved twice since is left out
}

// History returns what touched a person's keys, the newest first: what comes after a place, at most limit entries and never
// more than a hundred. It is for the person, and for auditors. A case whose subjects are not to know yet is left out for
// every reader who is one of them.
func (c *Cases) History(ctx context.Context, by audit.Actor, person uuid.UUID, after HistoryPlace, limit int) ([]HistoryEntry, error) {
	if person != by.Person {
		if err := by.Require(audit.Auditor); err != nil {
			return nil, err
		}
	}
	now := c.Now()
	var out []HistoryEntry
	err := c.Archive.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		places, err := selectHistory(ctx, tx, person, by.Person, by.Has(audit.Auditor), now, after, min(max(limit, 1), maxHistory))
		if err != nil || len(places) == 0 {
			return err
		}
		names, err := selectNames(ctx, tx, person)
		if err != nil {
			return err
		}
		out = make([]HistoryEntry, len(places))
		for i, p := range places {
			if out[i], err = c.historyEntry(ctx, tx, person, p, names); err != nil {
				return fmt.Errorf("history of %s at %s: %w", person, p, err)
			}
		}
		return nil
	})
	return out, err
}

func (c *Cases) historyEntry(ctx context.Context, tx pgx.Tx, person uuid.UUID, p HistoryPlace, names map[record.Hash]keyuse.Hash) (HistoryEntry, error) {
	out := HistoryEntry{Place: p, At: p.at}
	var err error
	switch p.kind {
	case historyKey:
		out.Key, err = selectHistoryKey(ctx, tx, p.ref)
	case historyCertificate:
		var number int64
		if number, err = strconv.ParseInt(p.ref, 10, 64); err != nil {
			return out, err
		}
		var found []Foreign
		if found, err = selectForeign(ctx, tx, `number = $1`, number); err == nil && len(found) == 1 {
			out.Certificate = &found[0]
		}
	default:
		out.Case, err = historyCaseOf(ctx, tx, person, p.ref, names)
	}
	return out, err
}

func historyCaseOf(ctx context.Context, tx pgx.Tx, person uuid.UUID, ref string, names map[record.Hash]keyuse.Hash) (*HistoryCase, error) {
	id, err := uuid.Parse(ref)
	if err != nil {
		return nil, err
	}
	k, err := selectCase(ctx, tx, id, false)
	if err != nil {
		return nil, err
	}
	out := &HistoryCase{Case: k}
	for i, d := range k.Deliveries {
		n := slices.IndexFunc(d.Subjects, func(s record.Subject) bool { return s.Person == person })
		if n < 0 {
			continue
		}
		out.Delivery, out.Records = i, len(d.Subjects[n].Records)
		for _, h := range d.Subjects[n].Records {
			if key, ok := names[h]; ok {
				out.Keys = append(out.Keys, key)
			}
		}
	}
	if out.Records == 0 {
		return nil, fmt.Errorf("case %s names no key of the person", id)
	}
	return out, out.nameOfficers(ctx, tx)
}

// nameOfficers reads who was asked from the roster that the requester signed. It need not be pinned any more: here it tells
// names of the past, and opens nothing.
func (k *HistoryCase) nameOfficers(ctx context.Context, tx pgx.Tx) error {
	file, err := selectRoster(ctx, tx, k.Roster)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	r, err := record.ParseRoster(file)
	if err != nil {
		return err
	}
	if r.Hash() != k.Roster {
		return ErrRosterPin
	}
	k.Needed, k.Officers = int(r.Plan.Threshold), map[uint16]string{}
	for _, a := range r.Plan.Agents {
		k.Officers[a.ID] = a.Name
	}
	return nil
}
