package portal

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
)

// reportStates are the states of a case, in the order in which it goes through them.
var reportStates = []archive.CaseState{archive.CaseRequested, archive.CaseApproved, archive.CaseReleased, archive.CaseClosed, archive.CaseDenied,
	archive.CaseCancelled, archive.CaseExpired}

// reportPills are how a case's state looks.
var reportPills = map[archive.CaseState]string{archive.CaseRequested: "warn", archive.CaseApproved: "warn", archive.CaseReleased: "good", archive.CaseClosed: "good",
	archive.CaseDenied: "bad", archive.CaseCancelled: "off", archive.CaseExpired: "off"}

// reportPage is what became of the recovery of keys in a time.
type reportPage struct {
	Tabs     []areaTab
	From, To string // dates; empty: it is not limited there
	Cases    int
	Keys     int
	Sums     []archive.ReportSum
	Table    *table
	Made     time.Time
	By       string
}

// recoveryReport shows who asked for whose keys, why, who agreed, and what became of it.
func (p *Portal) recoveryReport(w http.ResponseWriter, r *http.Request, v *visit) error {
	if p.Recovery == nil {
		return errNoArchive
	}
	l := p.reportList(v)
	if done, err := p.export(w, r, l); done || err != nil {
		return err
	}
	t, err := p.table(r, l)
	if err != nil {
		return err
	}
	page := reportPage{Tabs: p.auditorTabs(r.URL.Path), From: t.Asked.Blanks["from"], To: t.Asked.Blanks["to"], Table: t, Made: p.Now(), By: v.Person.Name}
	if page.Sums, err = p.Recovery.ReportSums(r.Context(), v.Caller.Actor, spanOf(t.Asked)); err != nil {
		return err
	}
	for _, s := range page.Sums {
		page.Cases, page.Keys = page.Cases+s.Cases, page.Keys+s.Keys
	}
	return p.show(w, r, v, http.StatusOK, "auditor-report", "report.title", page)
}

// spanOf is the time and state that are asked for.
func spanOf(a asked) (out archive.Span) {
	if day, err := time.Parse(time.DateOnly, a.Blanks["from"]); err == nil {
		out.From = day
	}
	if day, err := time.Parse(time.DateOnly, a.Blanks["to"]); err == nil {
		out.To = day.AddDate(0, 0, 1)
	}
	out.State = archive.CaseState(a.Choices["state"])
	return out
}

func (p *Portal) reportList(v *visit) list {
	states := []option{{"", "report.any"}}
	for _, s := range reportStates {
		states = append(states, option{string(s), "casestate." + string(s)})
	}
	l := list{Name: "recovery", Empty: "report.empty", Choices: []choice{{"state", "report.state", states}},
		Blanks: []blank{{"from", "events.from", "date"}, {"to", "events.to", "date"}},
		Columns: []column{{Key: "opened", Title: "report.opened"}, {Key: "state", Title: "report.state"}, {Key: "requester", Title: "report.requester"},
			{Key: "subjects", Title: "report.subjects"}, {Key: "officers", Title: "report.officers"}, {Key: "collected", Title: "report.collected"},
			{Key: "told", Title: "report.told"}, {Key: "kind", Title: "report.kind", Away: true}, {Key: "reason", Title: "report.reason", Away: true},
			{Key: "reference", Title: "report.reference", Away: true}, {Key: "keys", Title: "report.keys", Away: true}, {Key: "deadline", Title: "report.deadline", Away: true},
			{Key: "ended", Title: "report.ended", Away: true}, {Key: "case", Title: "report.case", Away: true}}}
	l.Page = func(ctx context.Context, a asked) ([][]cell, string, error) { return p.reportRows(ctx, v, a) }
	return l
}

// reportRows reads one page of cases, and records that it was read.
func (p *Portal) reportRows(ctx context.Context, v *visit, a asked) (rows [][]cell, next string, err error) {
	after, err := uuid.Parse(a.After)
	if err != nil {
		after = uuid.Nil
	}
	limit := min(a.Limit, 200)
	found, err := p.Recovery.Report(ctx, v.Caller.Actor, spanOf(a), after, limit)
	if err != nil {
		return nil, "", err
	}
	var people, ids []uuid.UUID
	for _, k := range found {
		ids = append(ids, k.ID)
		for _, s := range k.Subjects {
			people = append(people, s.Person)
		}
	}
	if err := p.searched(ctx, v, "auditor-recovery", a.questions(), len(found), people...); err != nil {
		return nil, "", err
	}
	told := map[uuid.UUID]time.Time{}
	if p.Standing.Told != nil {
		if told, err = p.Standing.Told(ctx, ids); err != nil {
			return nil, "", err
		}
	}
	for _, k := range found {
		rows = append(rows, v.reportRow(k, told[k.ID]))
	}
	if len(found) == limit {
		next = found[len(found)-1].ID.String()
	}
	return rows, next, nil
}

func (v *visit) reportRow(k archive.Reported, told time.Time) []cell {
	say := v.language.say
	keys := 0
	var collected time.Time
	for _, d := range k.Deliveries {
		if keys += d.Records; d.Collected.After(collected) {
			collected = d.Collected
		}
	}
	var whose, said []string
	for _, s := range k.Subjects {
		whose = append(whose, nameAndMail(s))
	}
	if k.Further > 0 {
		whose = append(whose, say("report.further", k.Further))
	}
	for _, a := range k.Answers {
		what := "answer." + a.Decision
		if a.Disputed {
			what = "answer.disputed"
		}
		said = append(said, say(what, a.Officer, a.Received.UTC().Format("2006-01-02 15:04 UTC"))+comment(a.Comment))
	}
	if len(said) == 0 {
		said = []string{say("report.nobody")}
	}
	why := k.Reason
	if k.Reference != "" {
		why += " (" + k.Reference + ")"
	}
	ended := cell{}
	if k.State == archive.CaseDenied || k.State == archive.CaseCancelled || k.State == archive.CaseExpired || k.State == archive.CaseClosed {
		ended.At, ended.Fine = k.Changed, true
	}
	return []cell{{At: k.Opened, Fine: true}, {Text: say("casestate." + string(k.State)), Pill: reportPills[k.State], Note: say("casekind." + k.Kind)}, {Text: k.Requester, Note: why},
		{Text: strings.Join(whose, ", "), Note: say("report.keys-of", keys)}, {Text: strings.Join(said, "; ")}, v.moment(collected, "report.not-collected"),
		v.toldOf(k, told), {Text: k.Kind}, {Text: k.Reason}, {Text: k.Reference}, {Text: strconv.Itoa(keys)}, {At: k.Deadline}, ended, {Text: k.ID.String()}}
}

// toldOf says when those whose keys are asked for were told.
func (v *visit) toldOf(k archive.Reported, told time.Time) cell {
	if !told.IsZero() {
		return cell{At: told, Fine: true}
	}
	if !k.SilentUntil.IsZero() {
		return cell{Text: v.language.say("report.silent", v.language.date(k.SilentUntil.UTC()))}
	}
	return cell{Text: v.language.say("report.not-told")}
}

// moment is a time, or words if there is none.
func (v *visit) moment(at time.Time, none string) cell {
	if at.IsZero() {
		return cell{Text: v.language.say(none)}
	}
	return cell{At: at, Fine: true}
}

func nameAndMail(s archive.ReportedSubject) string {
	switch {
	case s.Name == "":
		return s.Person.String()
	case s.Mail == "":
		return s.Name
	}
	return fmt.Sprintf("%s <%s>", s.Name, s.Mail)
}

func comment(text string) string {
	if text = record.Line(text, 200); text == "" {
		return ""
	}
	return " – " + text
}
