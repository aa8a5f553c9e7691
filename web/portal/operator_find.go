package portal

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/gal"
	"github.com/sealpost/sealpost/internal/fault"
)

const oneDay = 24 * time.Hour

// unknown is a finding of what nobody knows here.
func (v *visit) unknown(key string) []finding {
	return []finding{{Pill: "off", What: v.language.say("stand." + key), Do: v.language.say("stand." + key + "-do")}}
}

func (p *Portal) findParts(ctx context.Context, v *visit) (out []finding, _ error) {
	if p.Standing.Health == nil {
		return v.unknown("parts-unknown"), nil
	}
	h := p.Standing.Health(ctx)
	var well []string
	for name, says := range h.Parts {
		if says == "ok" {
			well = append(well, name)
			continue
		}
		out = append(out, finding{Pill: "bad", What: v.language.say("stand.part-bad", name), Detail: says, Do: v.language.say("stand.part-do")})
	}
	if len(well) > 0 {
		slices.Sort(well)
		out = append(out, finding{Pill: "good", What: v.language.say("stand.part-good", strings.Join(well, ", "))})
	}
	return out, nil
}

// ends is how something stands that has an end.
func (v *visit) ends(p *Portal, what string, end time.Time, warn, bad time.Duration, do, runbook string) finding {
	l, left := v.language, end.Sub(p.Now())
	f := finding{Pill: "good", What: l.say("stand.ends", what, l.date(end.UTC()))}
	switch {
	case left < 0:
		f.Pill, f.What, f.Since = "bad", l.say("stand.ended", what), end
	case left < bad:
		f.Pill = "bad"
	case left < warn:
		f.Pill = "warn"
	}
	if f.Pill != "good" {
		f.Do, f.Runbook = l.say(do), runbook
	}
	return f
}

// findKeys tells of the certificates that the installation itself works with.
func (p *Portal) findKeys(ctx context.Context, v *visit) (out []finding, err error) {
	say := v.language.say
	for _, i := range p.Authority.Issuers() {
		out = append(out, v.ends(p, say("stand.issuer", i.ID()), i.Certificate().NotAfter, 365*oneDay, 90*oneDay, "stand.issuer-do", "key-replacement.md"))
		if !i.CanSign() {
			out = append(out, finding{Pill: "warn", What: say("stand.issuer-keyless", i.ID()), Do: say("stand.issuer-keyless-do")})
		}
	}
	if p.Standing.Serving != nil {
		c, err := p.Standing.Serving()
		if err != nil {
			return out, err
		}
		if c != nil {
			out = append(out, v.ends(p, say("stand.serving"), c.NotAfter, 14*oneDay, 3*oneDay, "stand.serving-do", ""))
		}
	}
	if p.Archive == nil {
		return out, nil
	}
	found, err := p.Authority.Find(ctx, ca.Query{Person: &uuid.Nil, Profile: ca.ArchiveExchange, State: ca.Good, Limit: 1})
	if err != nil {
		return out, err
	}
	if len(found) > 0 {
		out = append(out, v.ends(p, say("stand.exchange"), found[0].NotAfter, 2*oneDay, oneDay, "stand.exchange-do", ""))
	} else {
		out = append(out, finding{Pill: "bad", What: say("stand.no-exchange"), Do: say("stand.exchange-do")})
	}
	roster, err := p.Archive.Roster(ctx)
	if err != nil {
		return out, err
	}
	for _, a := range roster.Plan.Agents {
		end := a.Signing.NotAfter
		if a.Decryption.NotAfter.Before(end) {
			end = a.Decryption.NotAfter
		}
		out = append(out, v.ends(p, say("stand.officer", a.Name), end, 60*oneDay, 14*oneDay, "stand.officer-do", "replace-an-officer.md"))
	}
	return out, nil
}

func (p *Portal) findLists(ctx context.Context, v *visit) (out []finding, err error) {
	if p.Lists == nil {
		return v.unknown("lists-unknown"), nil
	}
	st, err := p.Lists.Status(ctx, v.Caller.Actor)
	if err != nil {
		return nil, err
	}
	say := v.language.say
	for _, l := range st.Lists {
		f := finding{Pill: "good", What: say("stand.list", l.File, say("stand.point."+string(l.State))), Detail: l.Failure}
		if !l.NextUpdate.IsZero() {
			f.What = say("stand.list-until", l.File, say("stand.point."+string(l.State)), l.NextUpdate.UTC().Format("2006-01-02 15:04 UTC"))
		}
		if l.Urgent {
			f.Pill = "bad"
		} else if l.State != crl.OK {
			f.Pill = "warn"
		}
		if f.Pill != "good" {
			f.Do, f.Runbook = say("stand.list-do"), "crl-stale.md"
		}
		out = append(out, f)
	}
	for _, s := range st.Points {
		f := finding{Pill: "good", What: say("stand.at-point", s.File, s.Point, say("stand.point."+string(s.State))), Detail: s.Failure}
		if s.FailedAt != nil {
			f.Since = *s.FailedAt
		}
		if s.Urgent {
			f.Pill = "bad"
		} else if s.State != crl.OK {
			f.Pill = "warn"
		}
		if f.Pill != "good" {
			f.Do, f.Runbook = say("stand.point-do"), "crl-stale.md"
		}
		out = append(out, f)
	}
	return out, nil
}

func (p *Portal) findOCSP(_ context.Context, v *visit) (out []finding, _ error) {
	if p.Standing.OCSP == nil {
		return v.unknown("ocsp-unknown"), nil
	}
	say, st := v.language.say, p.Standing.OCSP()
	for issuer, seen := range st.Seen {
		switch {
		case seen.IsZero():
			out = append(out, finding{Pill: "off", What: say("stand.ocsp-idle", issuer), Do: say("stand.ocsp-idle-do")})
		case p.Now().Sub(seen) > 10*time.Minute:
			out = append(out, finding{Pill: "bad", What: say("stand.ocsp-behind", issuer), Since: seen, Do: say("stand.ocsp-do")})
		default:
			out = append(out, finding{Pill: "good", What: say("stand.ocsp-good", issuer)})
		}
		if end := st.Ends[issuer]; !end.IsZero() {
			out = append(out, v.ends(p, say("stand.ocsp-certificate", issuer), end, 2*oneDay, oneDay, "stand.ocsp-do", ""))
		}
	}
	slices.SortFunc(out, func(a, b finding) int { return strings.Compare(a.What, b.What) })
	return out, nil
}

func (p *Portal) findDirectory(ctx context.Context, v *visit) ([]finding, error) {
	w, err := p.Directory.Watched(ctx)
	if err != nil {
		return nil, err
	}
	say := v.language.say
	switch {
	case w.Failing != nil:
		return []finding{{Pill: "bad", What: say("stand.watch-bad"), Detail: w.Failure, Since: *w.Failing, Do: say("stand.watch-do"), Runbook: "person-leaves.md"}}, nil
	case w.At == nil:
		return v.unknown("watch-unknown"), nil
	case p.Now().Sub(*w.At) > time.Hour:
		return []finding{{Pill: "warn", What: say("stand.watch-old"), Since: *w.At, Do: say("stand.watch-do"), Runbook: "person-leaves.md"}}, nil
	}
	return []finding{{Pill: "good", What: say("stand.watch-good", w.Pending)}}, nil
}

func (p *Portal) findGAL(ctx context.Context, v *visit) (out []finding, _ error) {
	if p.GAL == nil {
		return v.unknown("gal-unknown"), nil
	}
	say := v.language.say
	for _, t := range p.GAL.Targets() {
		st, err := t.Status(ctx, v.Caller.Actor)
		if err != nil {
			return out, err
		}
		drift := 0
		for _, n := range st.Drift {
			drift += n
		}
		switch {
		case st.Number == 0:
			out = append(out, finding{Pill: "off", What: say("stand.gal-never", t.Name()), Do: say("stand.gal-never-do")})
		case st.Stopped == gal.StoppedLimit:
			out = append(out, finding{Pill: "bad", What: say("stand.gal-stopped", t.Name()), Since: st.Begun, Do: say("stand.gal-stopped-do")})
		case st.Failure != "":
			out = append(out, finding{Pill: "bad", What: say("stand.gal-stuck", t.Name()), Detail: st.Failure, Since: st.Begun, Do: say("stand.gal-stuck-do")})
		case drift > 0 || st.Waiting > 0:
			out = append(out, finding{Pill: "warn", What: say("stand.gal-drift", t.Name(), drift, st.Waiting), Since: st.Begun, Do: say("stand.gal-drift-do")})
		default:
			out = append(out, finding{Pill: "good", What: say("stand.gal-good", t.Name(), st.People)})
		}
	}
	return out, nil
}

func (p *Portal) findQueues(ctx context.Context, v *visit) (out []finding, _ error) {
	if p.Standing.Queues == nil {
		return v.unknown("queues-unknown"), nil
	}
	all, err := p.Standing.Queues(ctx)
	if err != nil {
		return nil, err
	}
	say := v.language.say
	waiting := 0
	for _, b := range all {
		waiting += b.Waiting
		if old := p.Now().Sub(b.Oldest) > 15*time.Minute; b.Failing > 0 || old {
			out = append(out, finding{Pill: "warn", What: say("stand.queue", b.Kind, b.Waiting, b.Failing), Since: b.Oldest, Do: say("stand.queue-do")})
		}
	}
	if len(out) == 0 {
		out = append(out, finding{Pill: "good", What: say("stand.queues-good", waiting)})
	}
	return out, nil
}

func (p *Portal) findPeople(ctx context.Context, v *visit) ([]finding, error) {
	if p.Leavers == nil {
		return nil, nil
	}
	n, err := p.Leavers.Waiting(ctx)
	if err != nil {
		return nil, err
	}
	if n > 0 {
		return []finding{{Pill: "warn", What: v.language.say("stand.leavers", n), Do: v.language.say("stand.leavers-do"), Runbook: "person-leaves.md"}}, nil
	}
	return []finding{{Pill: "good", What: v.language.say("stand.leavers-none")}}, nil
}

func (p *Portal) findDrill(ctx context.Context, v *visit) ([]finding, error) {
	if p.Archive == nil {
		return nil, nil
	}
	say := v.language.say
	if err := p.Archive.CheckWrapping(ctx); err != nil {
		return []finding{{Pill: "bad", What: say("stand.wrapping"), Detail: fault.Shown(err), Do: say("stand.wrapping-do"), Runbook: "wrapping-key.md"}}, nil
	}
	d, err := p.Archive.Drills(ctx)
	if errors.Is(err, archive.ErrNoRoster) {
		return []finding{{Pill: "bad", What: say("stand.no-roster"), Do: say("stand.no-roster-do"), Runbook: "ceremony.md"}}, nil
	}
	if err != nil {
		return nil, err
	}
	due := v.language.date(d.Due.UTC())
	switch {
	case d.Overdue:
		return []finding{{Pill: "bad", What: say("stand.drill-overdue", due), Since: d.Due, Do: say("stand.drill-do"), Runbook: "drill.md"}}, nil
	case d.Last.IsZero():
		return []finding{{Pill: "warn", What: say("stand.drill-never", due), Do: say("stand.drill-do"), Runbook: "drill.md"}}, nil
	}
	return []finding{{Pill: "good", What: say("stand.drill-good", v.language.date(d.Last.UTC()), due)}}, nil
}

func (p *Portal) findAudit(ctx context.Context, v *visit) (out []finding, _ error) {
	st, err := p.Audit.Status(ctx)
	if err != nil {
		return nil, err
	}
	say := v.language.say
	const runbook = "audit-log-does-not-verify.md"
	switch {
	case st.Err != nil:
		out = append(out, finding{Pill: "bad", What: say("stand.audit-bad"), Detail: fault.Shown(st.Err), Since: st.PassedAt, Do: say("stand.audit-do"), Runbook: runbook})
	case st.Pending > 0 && p.Now().Sub(st.Oldest) > time.Minute:
		out = append(out, finding{Pill: "bad", What: say("stand.audit-behind", st.Pending), Since: st.Oldest, Do: say("stand.audit-do"), Runbook: runbook})
	default:
		out = append(out, finding{Pill: "good", What: say("stand.audit-good", st.Size)})
	}
	if len(st.Sinks) == 0 {
		out = append(out, finding{Pill: "warn", What: say("stand.audit-nowhere"), Do: say("auditor.no-sinks")})
	}
	for _, s := range st.Sinks {
		if s.Err != nil {
			out = append(out, finding{Pill: "bad", What: say("stand.sink-bad", s.Sink), Detail: fault.Shown(s.Err), Since: s.KeptAt, Do: say("stand.sink-do")})
		}
	}
	return out, nil
}

func (p *Portal) findBackup(ctx context.Context, v *visit) ([]finding, error) {
	const runbook = "backup-and-restore.md"
	say := v.language.say
	if p.Standing.Backup == nil {
		return []finding{{Pill: "off", What: say("stand.backup-unknown"), Do: say("stand.backup-do"), Runbook: runbook}}, nil
	}
	b, err := p.Standing.Backup(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case b.Failed.After(b.Archived):
		return []finding{{Pill: "bad", What: say("stand.backup-failed"), Since: b.Failed, Do: say("stand.backup-failed-do"), Runbook: runbook}}, nil
	case b.Archived.IsZero():
		return []finding{{Pill: "off", What: say("stand.backup-unknown"), Do: say("stand.backup-do"), Runbook: runbook}}, nil
	case p.Now().Sub(b.Archived) > oneDay:
		return []finding{{Pill: "warn", What: say("stand.backup-old"), Since: b.Archived, Do: say("stand.backup-do"), Runbook: runbook}}, nil
	}
	return []finding{{Pill: "good", What: say("stand.backup-good")}}, nil
}
