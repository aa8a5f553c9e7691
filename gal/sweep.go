package gal

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
)

const (
	pageSize     = directory.MaxStandings // people who are compared at once
	sweepTimeout = 2 * time.Minute        // of one job; the next goes on
	lookEvery    = time.Minute            // whether a sweep is due, or was interrupted
	alwaysRepair = 10                     // entries that may lose values in one sweep, whatever part of all they are
)

// Phase is how far a sweep has come.
type Phase string

// The phases, in this order.
const (
	People  Phase = "people"  // everybody who ever had a certificate is compared, in the order of their ids
	Entries Phase = "entries" // entries that hold certificates and are nobody's of them are looked at
	Repair  Phase = "repair"  // what was found is put right
	Done    Phase = "done"
)

// Why a sweep repaired nothing, or did not see everything.
const (
	StoppedLimit = "limit" // too many entries would lose values
	StoppedScan  = "scan"  // the directory does not list all its entries
)

// Sweeping says how a sweep is begun.
type Sweeping struct {
	// Now begins one at once; without it one is begun when the policy's time has come, and one that was interrupted goes on.
	Now bool
	// Repair has what is found put right, and Beyond however much it is. Both count with Now only.
	Repair, Beyond bool
	// Progress is called after each page, if it is not nil.
	Progress func(Status)
}

// Sweep holds the directory against what it should show: everybody who ever had a certificate to encrypt to, then every
// entry that holds one. What it finds is written down before anything is repaired. It keeps how far it came after each page:
// after an error or a crash the next Sweep goes on from there, and two at once share the work. When the directory does not
// answer it ends, and nothing is lost but time.
func (t *Target) Sweep(ctx context.Context, by audit.Actor, how Sweeping) error {
	if how.Now && by.Method != audit.MethodSystem && !by.Has(audit.Operator) {
		_, err := t.p.Audit.Record(ctx, by, audit.Event{Kind: "gal.sweep-refused", Data: map[string]any{"code": ErrNotYours.Code}})
		return errors.Join(ErrNotYours, err)
	}
	s, err := t.begin(ctx, by, how)
	if err != nil {
		return err
	}
	for number := s.Number; s.Phase != Done && s.Number == number; {
		started := time.Now()
		n := 0
		var next Status
		switch s.Phase {
		case People:
			next, n, err = t.comparePeople(ctx, s)
		case Entries:
			next, err = t.scanEntries(ctx, s, how.Progress)
		default:
			next, err = t.repairSome(ctx, s)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			t.noteFailure(ctx, s, err)
			return err
		}
		s = next
		t.p.After("gal." + string(s.Phase))
		if how.Progress != nil && s.Number == number {
			how.Progress(s)
		}
		if err := t.rest(ctx, started, n); err != nil {
			return err
		}
	}
	return nil
}

// rest waits until as much time has passed as the policy wants n entries to take.
func (t *Target) rest(ctx context.Context, started time.Time, n int) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Duration(n)*time.Second/time.Duration(t.Policy.Rate) - time.Since(started)):
		return ctx.Err()
	}
}

// begin returns the sweep that is under way, begun anew if one is due or wanted.
func (t *Target) begin(ctx context.Context, by audit.Actor, how Sweeping) (s Status, err error) {
	now := t.p.now()
	err = t.p.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		s, err = lockSweep(ctx, tx, t.Directory.Name)
		since := now.Sub(s.Begun)
		if err != nil || !how.Now && (s.Phase != Done || 0 <= since && since < t.Policy.Every) {
			return err
		}
		repair := how.Repair
		if !how.Now {
			repair = !t.Policy.ReportOnly
		}
		s = Status{Target: s.Target, Number: s.Number + 1, Begun: now, Phase: People, Repair: repair, Beyond: how.Now && how.Beyond}
		if err := updateSweep(ctx, tx, s); err != nil {
			return err
		}
		return t.append(ctx, tx, now, by, "gal.sweep-begun", s)
	})
	return s, err
}

func (t *Target) append(ctx context.Context, tx pgx.Tx, now time.Time, by audit.Actor, kind string, s Status) error {
	data := map[string]any{"directory": s.Target, "sweep": s.Number, "repair": s.Repair, "beyond_limit": s.Beyond}
	if kind == "gal.sweep-ended" {
		data["people"], data["repaired"], data["stopped"] = s.People, s.Changed, s.Stopped
	}
	_, err := audit.Append(ctx, tx, now, by, audit.Event{Kind: kind, Subject: "directory:" + s.Target, Data: data})
	return err
}

// advance writes a page's findings and where the sweep is then, unless another was faster: then it returns where that is.
func (t *Target) advance(ctx context.Context, was Status, findings []Finding, clean []string, change func(*Status)) (s Status, err error) {
	now := t.p.now()
	err = t.p.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		if s, err = lockSweep(ctx, tx, was.Target); err != nil || !s.at(was) {
			return err
		}
		change(&s)
		s.Failure = ""
		if s.Phase == Done {
			s.Ended = &now
			if err := t.append(ctx, tx, now, audit.System("gal"), "gal.sweep-ended", s); err != nil {
				return err
			}
		}
		if err := writeFindings(ctx, tx, s, now, findings, clean); err != nil {
			return err
		}
		return updateSweep(ctx, tx, s)
	})
	return s, err
}

// comparePeople compares the next people. n is how many they are.
func (t *Target) comparePeople(ctx context.Context, s Status) (next Status, n int, err error) {
	people, err := t.p.Authority.Holders(ctx, t.p.profiles.all(), s.cursor, pageSize)
	if err != nil {
		return s, 0, err
	}
	if len(people) == 0 {
		next, err = t.advance(ctx, s, nil, nil, func(s *Status) { s.Phase = Entries })
		return next, 0, err
	}
	c, err := t.entries.compare(ctx, people)
	if err != nil {
		return s, 0, err
	}
	next, err = t.advance(ctx, s, c.findings, c.clean, func(s *Status) {
		s.cursor, s.People, s.Foreign = people[len(people)-1], s.People+c.people, s.Foreign+c.foreign
	})
	return next, len(people), err
}

// finding is what there is to say of a person's entry.
func (t *Target) finding(h directory.Holding, want wanted, key string) Finding {
	f := Finding{Person: h.Person, DN: h.DN, entry: key}
	say := func(is bool, k Kind) {
		if is {
			f.Kinds = append(f.Kinds, k)
		}
	}
	switch {
	case h.Entries > 1:
		say(true, Several)
		return f
	case h.DN == "":
		say(len(want.certificates) > 0, NoEntry)
		return f
	case h.TooLarge:
		say(true, TooLarge)
		return f
	}
	d := t.compare(want, h.Values)
	f.Missing, f.Stale = len(d.Missing)+len(d.SMIMEMissing), len(d.Stale)+len(d.SMIMEStale)
	f.Foreign, f.Undecodable, f.Held = d.Foreign, d.Undecodable, d.Held
	say(f.Missing > 0, Missing)
	say(f.Stale > 0, Stale)
	say(d.Undecodable > 0, Undecodable)
	say(d.Full, Full)
	say(d.Near && !d.Full, NearlyFull)
	return f
}

// scanEntries looks at entries that hold certificates and are none of the people who have any: such a certificate of ours
// was copied there. It also finds mail addresses that two of these entries have: a mail program takes either's certificate.
// What was gone through before an interruption is only passed over.
func (t *Target) scanEntries(ctx context.Context, s Status, progress func(Status)) (Status, error) {
	seen, number := 0, s.Number
	addresses := map[string]string{} // the entry that has it
	err := t.entries.scan(ctx, func(page []directory.Listed) error {
		started := time.Now()
		findings := t.entries.doubles(page, addresses)
		seen += len(page)
		if seen <= s.Entries {
			return nil
		}
		strange, err := t.entries.strangers(ctx, page)
		if err != nil {
			return err
		}
		at := seen
		if s, err = t.advance(ctx, s, append(findings, strange...), nil, func(s *Status) { s.Entries = at }); err != nil {
			return err
		}
		if s.Number != number || s.Phase != Entries {
			return errOvertaken
		}
		if progress != nil {
			progress(s)
		}
		return t.rest(ctx, started, len(page))
	})
	stopped := ""
	switch {
	case errors.Is(err, errOvertaken):
		return s, nil
	case errors.Is(err, directory.ErrScan):
		t.p.Log.Warn("entries of people without certificates were not all looked at", "error", err)
		stopped = StoppedScan
	case err != nil:
		return s, err
	}
	return t.endOfReport(ctx, s, stopped)
}

// errOvertaken says that another has taken the sweep further.
var errOvertaken = errors.New("another server has gone on with the sweep")

// endOfReport ends the comparison: what it did not find again is no longer so. Then the repair begins, unless it is not
// wanted, or would take out more than may be taken without an operator's word.
func (t *Target) endOfReport(ctx context.Context, s Status, stopped string) (next Status, err error) {
	var losing int
	err = t.p.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		if err := deleteUnseen(ctx, tx, s); err != nil {
			return err
		}
		losing, err = countKind(ctx, tx, s.Target, Stale)
		return err
	})
	if err != nil {
		return s, err
	}
	return t.advance(ctx, s, nil, nil, func(s *Status) {
		s.Phase, s.Stopped = Repair, stopped
		if s.Repair && !s.Beyond && losing > max(alwaysRepair, int(t.Policy.Limit*float64(s.People))) {
			t.p.Log.Error("so many entries of the directory would lose certificates that an operator must say so", "entries", losing, "people", s.People)
			s.Phase, s.Stopped = Done, StoppedLimit
		}
		if !s.Repair {
			s.Phase = Done
		}
	})
}

// repairSome puts the next entries right.
func (t *Target) repairSome(ctx context.Context, s Status) (Status, error) {
	var list []Finding
	err := t.p.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		list, err = selectRepairable(ctx, tx, s.Target, s.repaired, pageSize)
		return err
	})
	if err != nil {
		return s, err
	}
	if len(list) == 0 {
		return t.advance(ctx, s, nil, nil, func(s *Status) { s.Phase = Done })
	}
	failed, err := t.entries.mend(ctx, list)
	if err != nil {
		return s, err
	}
	changed, refused := 0, error(nil)
	for _, err := range failed {
		if err == nil {
			changed++
		} else if errors.Is(err, fault.Unavailable) || fault.Of(err) == nil {
			refused = err
		}
	}
	if changed == 0 && refused != nil { // the directory is away, or takes nothing: it is tried again from here
		return s, refused
	}
	findings, clean := afterRepair(list, failed)
	return t.advance(ctx, s, findings, clean, func(s *Status) { s.repaired, s.Changed = list[len(list)-1].Number, s.Changed+changed })
}

// afterRepair returns what there still is to say of entries whose repair was tried.
func afterRepair(list []Finding, errs []error) (findings []Finding, clean []string) {
	for i, f := range list {
		switch {
		case errors.Is(errs[i], directory.ErrUnknownPerson): // gone meanwhile
			f.Kinds, f.Missing, f.Stale = []Kind{NoEntry}, 0, 0
		case errs[i] != nil:
			f.Failure = fault.Shown(errs[i])
		default:
			f.Kinds, f.Missing, f.Stale, f.Failure = without(f.Kinds, Missing, Stale), 0, 0, ""
		}
		if len(f.Kinds) > 0 {
			findings = append(findings, f)
		} else {
			clean = append(clean, f.entry)
		}
	}
	return findings, clean
}

// noteFailure keeps why a sweep does not go on. The next attempt takes it off again.
func (t *Target) noteFailure(ctx context.Context, s Status, failure error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishTimeout)
	defer cancel()
	err := t.p.DB.InTx(ctx, role, func(tx pgx.Tx) error { return updateFailure(ctx, tx, s, fault.Shown(failure)) })
	if err != nil {
		t.p.Log.Error("why the sweep stopped is not written down", "error", err)
	}
}
