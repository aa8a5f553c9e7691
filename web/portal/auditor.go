package portal

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/internal/audit"
	logproof "github.com/sealpost/sealpost/internal/audit/proof"
	"github.com/sealpost/sealpost/internal/fault"
)

// routeAuditor has the pages of the record: of everything that was done and refused. They change nothing but it.
func (p *Portal) routeAuditor() {
	p.router.Get("/auditor", p.only("auditor", p.record, audit.Auditor))
	p.router.Get("/auditor/events", p.only("auditor-events", p.events, audit.Auditor))
	p.router.Get("/auditor/events/{index}", p.only("auditor-event", p.event, audit.Auditor))
	p.router.Get("/auditor/events/{index}/event.json", p.only("auditor-event", p.eventBody, audit.Auditor))
	p.router.Get("/auditor/events/{index}/event.tlog-proof", p.only("auditor-event", p.eventProof, audit.Auditor))
	p.router.Get("/auditor/checkpoint.txt", p.only("auditor-checkpoint", p.checkpoint, audit.Auditor))
	p.router.Get("/auditor/recovery", p.only("auditor-recovery", p.recoveryReport, audit.Auditor))
	p.router.Get("/auditor/certificates", p.only("auditor-certificates", p.auditorCertificates, audit.Auditor))
}

// areaTab is one of an area's pages, for the links at its head.
type areaTab struct {
	Title, Path string // a text's key
	Here        bool
}

func tabs(path string, all ...areaTab) []areaTab {
	for i := range all {
		all[i].Here = all[i].Path == path
	}
	return all
}

func (p *Portal) auditorTabs(path string) []areaTab {
	all := []areaTab{{Title: "auditor.title", Path: "/auditor"}, {Title: "events.title", Path: "/auditor/events"},
		{Title: "report.title", Path: "/auditor/recovery"}, {Title: "holdings.title", Path: "/auditor/certificates"}}
	if p.Fleet != nil {
		all = append(all, areaTab{Title: "fleet.title", Path: "/auditor/fleet"})
	}
	return tabs(path, all...)
}

// searched records what somebody looked for, and whose personal data they are about to see. An answer that cannot be recorded
// is not shown.
func (p *Portal) searched(ctx context.Context, v *visit, page string, asked map[string]string, rows int, of ...uuid.UUID) error {
	const most = 500 // a page of an export
	of = v.others(of)
	data := map[string]any{"asked": asked, "rows": rows, "people": of[:min(len(of), most)]}
	if len(of) > most {
		data["further"] = len(of) - most
	}
	_, err := p.Audit.Record(ctx, v.Caller.Actor, audit.Event{Kind: "portal.viewed", Subject: "page:" + page, Data: data})
	return err
}

// questions are what somebody asked of a list, as it is recorded.
func (a asked) questions() map[string]string {
	out := map[string]string{}
	put := func(key, value string) {
		if value != "" {
			out[key] = value
		}
	}
	put("q", a.Filter)
	put("after", a.After)
	for k, v := range a.Choices {
		put(k, v)
	}
	for k, v := range a.Blanks {
		put(k, v)
	}
	return out
}

// namesOf returns what people are called, as far as the directory tells: a page is shown without it too.
func (p *Portal) namesOf(ctx context.Context, of ...uuid.UUID) map[uuid.UUID]string {
	const most = 100 // in one search
	of = slices.DeleteFunc(slices.Clone(of), func(id uuid.UUID) bool { return id == uuid.Nil })
	slices.SortFunc(of, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	of = slices.Compact(of)
	out := map[uuid.UUID]string{}
	for part := range slices.Chunk(of, most) {
		looks, err := p.Directory.Looks(ctx, part)
		if err != nil {
			p.Log.WarnContext(ctx, "people are shown without their names", "error", err)
			return out
		}
		for _, l := range looks {
			if l.Name != "" {
				out[l.Person] = l.Name
			}
		}
	}
	return out
}

// recordPage is how the record stands.
type recordPage struct {
	Tabs       []areaTab
	Size       int64
	Signed     bool // there is a checkpoint
	Checkpoint string
	Key        string
	Status     audit.Status
	Sinks      []sink
	Officers   []officerSeen
}

type sink struct {
	audit.SinkStatus
	Pill, State string
	Failure     string
}

// officerSeen is up to where an officer has countersigned the record.
type officerSeen struct {
	Name string
	Size int64
	At   time.Time
}

// record shows how the record stands: what is signed, and who keeps it beside the database.
func (p *Portal) record(w http.ResponseWriter, r *http.Request, v *visit) error {
	page := recordPage{Tabs: p.auditorTabs(r.URL.Path), Key: p.Audit.VerifierKey()}
	var err error
	if page.Status, err = p.Audit.Status(r.Context()); err != nil {
		return err
	}
	view, err := p.Audit.View(r.Context(), audit.Leaf{})
	if err != nil && !errors.Is(err, audit.ErrEmpty) {
		return err
	}
	if page.Signed = err == nil; page.Signed {
		if page.Size, err = p.sizeOf(view.Checkpoint); err != nil {
			return err
		}
		page.Checkpoint = string(view.Checkpoint)
	}
	names := map[string]string{}
	if p.Archive != nil {
		list, err := p.Archive.Witnesses(r.Context())
		if err != nil {
			p.Log.WarnContext(r.Context(), "officers are shown without their names", "error", err)
		}
		for _, w := range list {
			names[w.Name()] = w.Who()
		}
	}
	for _, c := range view.Witnessed {
		name := names[c.Witness]
		if name == "" {
			name = c.Witness
		}
		page.Officers = append(page.Officers, officerSeen{name, c.Size, c.Received})
	}
	for _, s := range page.Status.Sinks {
		page.Sinks = append(page.Sinks, sinkOf(s))
	}
	return p.show(w, r, v, http.StatusOK, "auditor", "auditor.title", page)
}

func sinkOf(s audit.SinkStatus) sink {
	out := sink{SinkStatus: s, Pill: "good", State: "sink.good"}
	switch {
	case s.Err != nil:
		out.Pill, out.State, out.Failure = "bad", "sink.bad", fault.Shown(s.Err)
	case s.Kept == 0:
		out.Pill, out.State = "off", "sink.off"
	}
	return out
}

// sizeOf returns how many events a checkpoint of ours stands for.
func (p *Portal) sizeOf(checkpoint []byte) (int64, error) {
	known, err := logproof.Verifiers(p.Audit.VerifierKey())
	if err != nil {
		return 0, err
	}
	c, err := logproof.Open(checkpoint, known)
	return c.Size, err
}

// checkpoint sends the newest checkpoint as a file that is kept elsewhere (sealpost audit verify --kept).
func (p *Portal) checkpoint(w http.ResponseWriter, r *http.Request, _ *visit) error {
	msg, err := p.Audit.Latest(r.Context())
	if err != nil {
		return err
	}
	return sendFile(w, "checkpoint.txt", "text/plain; charset=utf-8", logproof.KeptBlock(msg, false))
}

// sendFile answers with a file to keep.
func sendFile(w http.ResponseWriter, name, kind string, content []byte) error {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write(content) // a browser that went away needs no answer
	return nil
}
