package gal

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
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
func (p *Publisher) Sweep(ctx context.Context, by audit.Actor, how Sweeping) error {
	if how.Now && by.Method != audit.MethodSystem && !by.Has(audit.Operator) {
		_, err := p.Audit.Record(ctx, by, audit.Event{Kind: "gal.sweep-refused", Data: map[string]any{"code": ErrNotYours.Code}})
		return errors.Join(ErrNotYours, err)
	}
	s, err := p.begin(ctx, by, how)
	if err != nil {
		return err
	}
	for number := s.Number; s.Phase != Done && s.Number == number; {
		started := time.Now()
		n := 0
		var next Status
		switch s.Phase {
		case People:
			next, n, err = p.comparePeople(ctx, s)
		case Entries:
			next, err = p.scanEntries(ctx, s, how.Progress)
		default:
			next, err = p.repairSome(ctx, s)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			p.noteFailure(ctx, s, err)
			return err
		}
		s = next
		p.After("gal." + string(s.Phase))
		if how.Progress != nil && s.Number == number {
			how.Progress(s)
		}
		if err := p.rest(ctx, started, n); err != nil {
			return err
		}
	}
	return nil
}

// rest waits until as much time has passed as the policy wants n entries to take.
func (p *Publisher) rest(ctx context.Context, started time.Time, n int) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Duration(n)*time.Second/time.Duration(p.Policy.Rate) - time.Since(started)):
		return ctx.Err()
	}
}

// begin returns the sweep that is under way, begun anew if one is due or wanted.
func (p *Publisher) begin(ctx context.Context, by audit.Actor, how Sweeping) (s Status, err error) {
	now := p.now()
	err = p.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		s, err = lockSweep(ctx, tx, p.Directory.Name)
		since := now.Sub(s.Begun)
		if err != nil || !how.Now && (s.Phase != Done || 0 <= since && since < p.Policy.Every) {
			return err
		}
		repair := how.Repair
		if !how.Now {
			repair = !p.Policy.ReportOnly
		}
		s = Status{Target: s.Target, Number: s.Number + 1, Begun: now, Phase: People, Repair: repair, Beyond: how.Now && how.Beyond}
		if err := updateSweep(ctx, tx, s); err != nil {
			return err
		}
		return p.append(ctx, tx, now, by, "gal.sweep-begun", s)
	})
	return s, err
}

func (p *Publisher) append(ctx context.Context, tx pgx.Tx, now time.Time, by audit.Actor, kind string, s Status) error {
	data := map[string]any{"directory": s.Target, "sweep": s.Number, "repair": s.Repair, "beyond_limit": s.Beyond}
	if kind == "gal.sweep-ended" {
		data["people"], data["repaired"], data["stopped"] = s.People, s.Changed, s.Stopped
	}
	_, err := audit.Append(ctx, tx, now, by, audit.Event{Kind: kind, Subject: "directory:" + s.Target, Data: data})
	return err
}

// now returns the time as the database keeps it.
func (p *Publisher) now() time.Time { return p.Now().UTC().Truncate(time.Microsecond) }

// advance writes a page's findings and where the sweep is then, unless another was faster: then it returns where that is.
func (p *Publisher) advance(ctx context.Context, was Status, findings []Finding, clean []string, change func(*Status)) (s Status, err error) {
	now := p.now()
	err = p.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		if s, err = lockSweep(ctx, tx, was.Target); err != nil || !s.at(was) {
			return err
		}
		change(&s)
		s.Failure = ""
		if s.Phase == Done {
			s.Ended = &now
			if err := p.append(ctx, tx, now, audit.System("gal"), "gal.sweep-ended", s); err != nil {
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
func (p *Publisher) comparePeople(ctx context.Context, s Status) (next Status, n int, err error) {
	people, err := p.Authority.Holders(ctx, p.profiles.all(), s.cursor, pageSize)
	if err != nil {
		return s, 0, err
	}
	if len(people) == 0 {
		next, err = p.advance(ctx, s, nil, nil, func(s *Status) { s.Phase = Entries })
		return next, 0, err
	}
	held, err := p.Directory.Holdings(ctx, people, p.attributes()...)
	if err != nil {
		return s, 0, err
	}
	// Read after the directory: what is published meanwhile must not look stale.
	desired, err := p.desired(ctx, people)
	if err != nil {
		return s, 0, err
	}
	p.remember(ctx, desired)
	var findings []Finding
	var clean []string
	foreign := 0
	for _, h := range held {
		f := p.finding(h, desired[h.Person])
		foreign += f.Foreign
		if len(f.Kinds) > 0 {
			findings = append(findings, f)
		} else {
			clean = append(clean, f.entry)
		}
	}
	next, err = p.advance(ctx, s, findings, clean, func(s *Status) {
		s.cursor, s.People, s.Foreign = people[len(people)-1], s.People+len(people), s.Foreign+foreign
	})
	return next, len(people), err
}

// finding is what there is to say of a person's entry.
func (p *Publisher) finding(h directory.Holding, want wanted) Finding {
	f := Finding{Person: h.Person, DN: h.DN, entry: h.Person.String()}
	say := func(is bool, k Kind) {
		if is {
			f.Kinds = append(f.Kinds, k)
		}
	}
	switch {
	case h.DN == "":
		say(len(want.certificates) > 0, NoEntry)
		return f
	case h.Entries > 1:
		say(true, Several)
		return f
	case h.TooLarge:
		say(true, TooLarge)
		return f
	}
	d := p.compare(want, h.Values)
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
func (p *Publisher) scanEntries(ctx context.Context, s Status, progress func(Status)) (Status, error) {
	seen, number := 0, s.Number
	addresses := map[string]string{} // the entry that has it
	err := p.Directory.Scan(ctx, p.attributes(), func(page []directory.Listed) error {
		started := time.Now()
		findings, err := p.doubles(page, addresses)
		if err != nil {
			return err
		}
		seen += len(page)
		if seen <= s.Entries {
			return nil
		}
		strange, err := p.strangers(ctx, page)
		if err != nil {
			return err
		}
		at := seen
		if s, err = p.advance(ctx, s, append(findings, strange...), nil, func(s *Status) { s.Entries = at }); err != nil {
			return err
		}
		if s.Number != number || s.Phase != Entries {
			return errOvertaken
		}
		if progress != nil {
			progress(s)
		}
		return p.rest(ctx, started, len(page))
	})
	stopped := ""
	switch {
	case errors.Is(err, errOvertaken):
		return s, nil
	case errors.Is(err, directory.ErrScan):
		p.Log.Warn("entries of people without certificates were not all looked at", "error", err)
		stopped = StoppedScan
	case err != nil:
		return s, err
	}
	return p.endOfReport(ctx, s, stopped)
}

// errOvertaken says that another has taken the sweep further.
var errOvertaken = errors.New("another server has gone on with the sweep")

// strangers returns findings of entries with certificates of ours that are nobody's who ever had one.
func (p *Publisher) strangers(ctx context.Context, page []directory.Listed) ([]Finding, error) {
	entries := make([]string, len(page))
	for i, e := range page {
		entries[i] = e.Entry
	}
	known, err := p.Directory.Known(ctx, entries)
	if err != nil {
		return nil, err
	}
	people := make([]uuid.UUID, 0, len(known))
	for _, id := range known {
		people = append(people, id)
	}
	holders, err := p.Authority.AmongHolders(ctx, p.profiles.all(), people)
	if err != nil {
		return nil, err
	}
	compared := make(map[uuid.UUID]bool, len(holders))
	for _, id := range holders {
		compared[id] = true
	}
	var strange []string
	for _, e := range entries {
		if id, ok := known[e]; !ok || !compared[id] {
			strange = append(strange, e)
		}
	}
	var out []Finding
	for len(strange) > 0 {
		n := min(len(strange), pageSize)
		held, err := p.Directory.HoldingsOf(ctx, strange[:n], p.attributes()...)
		if err != nil {
			return nil, err
		}
		for s, h := range held {
			h.Person = known[s]
			if f := p.finding(h, wanted{}); f.Stale > 0 {
				f.entry, f.Kinds = entryKey(s), []Kind{Stale} // the rest is not ours to say
				out = append(out, f)
			}
		}
		strange = strange[n:]
	}
	return out, nil
}

// doubles returns findings of entries that share a mail address with one before.
func (p *Publisher) doubles(page []directory.Listed, addresses map[string]string) (out []Finding, err error) {
	for _, e := range page {
		for _, m := range e.Mailboxes {
			key := foldMailbox(m)
			if first, ok := addresses[key]; ok && first != e.Entry {
				out = append(out, Finding{DN: e.DN, Kinds: []Kind{Several}, entry: doubleKey(e.Entry)})
				break
			}
			addresses[key] = e.Entry
		}
	}
	return out, nil
}

// endOfReport ends the comparison: what it did not find again is no longer so. Then the repair begins, unless it is not
// wanted, or would take out more than may be taken without an operator's word.
func (p *Publisher) endOfReport(ctx context.Context, s Status, stopped string) (next Status, err error) {
	var losing int
	err = p.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		if err := deleteUnseen(ctx, tx, s); err != nil {
			return err
		}
		losing, err = countKind(ctx, tx, s.Target, Stale)
		return err
	})
	if err != nil {
		return s, err
	}
	return p.advance(ctx, s, nil, nil, func(s *Status) {
		s.Phase, s.Stopped = Repair, stopped
		if s.Repair && !s.Beyond && losing > max(alwaysRepair, int(p.Policy.Limit*float64(s.People))) {
			p.Log.Error("so many entries of the directory would lose certificates that an operator must say so", "entries", losing, "people", s.People)
			s.Phase, s.Stopped = Done, StoppedLimit
		}
		if !s.Repair {
			s.Phase = Done
		}
	})
}

// repairSome puts the next entries right.
func (p *Publisher) repairSome(ctx context.Context, s Status) (Status, error) {
	var list []Finding
	err := p.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		list, err = selectRepairable(ctx, tx, s.Target, s.repaired, pageSize)
		return err
	})
	if err != nil {
		return s, err
	}
	if len(list) == 0 {
		return p.advance(ctx, s, nil, nil, func(s *Status) { s.Phase = Done })
	}
	errs := make([]error, len(list))
	people := make([]uuid.UUID, len(list))
	for i, f := range list {
		if people[i], errs[i] = p.owner(ctx, f); errs[i] != nil && errors.Is(errs[i], fault.Unavailable) {
			return s, errs[i]
		}
	}
	_, failed := p.publish(ctx, people)
	changed, refused := 0, error(nil)
	for i, err := range failed {
		if errs[i] == nil {
			errs[i] = err
		}
		if errs[i] == nil {
			changed++
		} else if errors.Is(errs[i], fault.Unavailable) || fault.Of(errs[i]) == nil {
			refused = errs[i]
		}
	}
	if changed == 0 && refused != nil { // the directory is away, or takes nothing: it is tried again from here
		return s, refused
	}
	findings, clean := afterRepair(list, errs)
	return p.advance(ctx, s, findings, clean, func(s *Status) { s.repaired, s.Changed = list[len(list)-1].Number, s.Changed+changed })
}

// owner returns whose the entry of a finding is. Somebody who is new to us gets their id now.
func (p *Publisher) owner(ctx context.Context, f Finding) (uuid.UUID, error) {
	if f.Person != uuid.Nil {
		return f.Person, nil
	}
	person, err := p.Directory.ByEntry(ctx, entryOf(f.entry))
	return person.ID, err
}

// afterRepair returns what there still is to say of entries whose repair was tried.
func afterRepair(list []Finding, errs []error) (findings []Finding, clean []string) {
	for i, f := range list {
		switch {
		case errors.Is(errs[i], directory.ErrUnknownPerson): // gone meanwhile
			f.Kinds, f.Missing, f.Stale = []Kind{NoEntry}, 0, 0
		case errs[i] != nil:
			f.Failure = describe(errs[i])
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
func (p *Publisher) noteFailure(ctx context.Context, s Status, failure error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishTimeout)
	defer cancel()
	err := p.DB.InTx(ctx, role, func(tx pgx.Tx) error { return updateFailure(ctx, tx, s, describe(failure)) })
	if err != nil {
		p.Log.Error("why the sweep stopped is not written down", "error", err)
	}
}

// describe is what may be shown of an error.
func describe(err error) string {
	if f := fault.Of(err); f != nil {
		return f.Detail
	}
	return "An unexpected fault; the server's log has it."
}
