package web_test

import (
	"strings"
	"testing"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/audit/proof"
	"github.com/sealpost/sealpost/internal/housetest"
)

// requested has somebody ask for their keys on a new device.
func (r *rig) requested(t testing.TB, login string) *record.SignedCase {
	t.Helper()
	status, keys := r.enrol(t, login, housetest.Pair)
	drafts := read[api.CaseDrafts](t, r.ask(t, person(login), "POST", "/cases/drafts", api.CaseQuery{Kind: "restore"}))
	s := r.signed(t, login, "restore", drafts.Drafts[0], device(t).Certificate, status, keys)
	read[api.Case](t, r.ask(t, person(login), "POST", "/cases", api.CaseOpening{Case: s.Bytes()}))
	return s
}

// sequence gives every event its place in the log.
func (r *rig) sequence(t testing.TB) {
	t.Helper()
	_, err := r.Audit.Sequence(t.Context())
	must(t, err)
}

// An officer can check over the wire, with nothing but the log's key, that a case's opening is in the audit log, and that
// the log continues what they saw; what they countersign is shown to everybody.
func TestCaseInTheLog(t *testing.T) {
	r := setup(t)
	first := r.requested(t, "alice")
	path := "/cases/" + first.ID.String() + "/log"
	if code := r.ask(t, person("olivia"), "GET", path, nil).code(t); code != "audit-event-not-indexed" && code != "audit-log-empty" {
		t.Errorf("before the sequencer has passed: %s", code)
	}
	r.sequence(t)
	if code := r.ask(t, person("bob"), "GET", path, nil).code(t); code != "unknown-case" {
		t.Errorf("somebody else sees it: %s", code)
	}
	known, err := proof.Verifiers(r.Audit.VerifierKey())
	must(t, err)
	l := read[api.CaseLog](t, r.ask(t, person("olivia"), "GET", path, nil))
	e, err := proof.ParseEvent([]byte(l.Event))
	if err != nil || e.Kind != "archive.case-requested" || e.Text("case") != first.Hash().String() || l.Key != r.Audit.VerifierKey() {
		t.Errorf("%+v, %v", l, err)
	}
	var in proof.Inclusion
	must(t, in.UnmarshalText([]byte(l.Inclusion)))
	seen, err := in.Check(proof.LeafHash([]byte(l.Event)), known)
	if err != nil || string(in.Checkpoint) != l.Checkpoint {
		t.Errorf("%+v, %v", in, err)
	}

	signed, err := proof.Countersign([]byte(l.Checkpoint), known, r.Roster.Agents[0].Signer)
	must(t, err)
	up := api.CountersignatureUpload{Checkpoint: string(signed)}
	for range 2 {
		shown := read[api.AuditLog](t, r.ask(t, person("olivia"), "POST", "/log/countersignatures", up))
		if len(shown.Witnessed) != 1 || shown.Witnessed[0].Officer != r.Roster.Agents[0].Name || shown.Witnessed[0].Checkpoint != up.Checkpoint || shown.Witnessed[0].Size != seen.Size {
			t.Errorf("%+v", shown)
		}
	}
	r.requested(t, "bob")
	r.sequence(t)
	later := read[api.AuditLog](t, r.ask(t, person("bob"), "GET", "/log?seen=1,2", nil))
	if len(later.Consistency) != 3 {
		t.Fatalf("%+v", later)
	}
	var grown proof.Consistency
	must(t, grown.UnmarshalText([]byte(later.Consistency[2])))
	if now, err := grown.Check(seen, known); err != nil || now.Size <= seen.Size {
		t.Errorf("%+v, %v", now, err)
	}

	for what, c := range map[string]struct{ checkpoint, code string }{
		"garbage":      {"x", "audit-proof-malformed"},
		"an empty one": {"", "audit-proof-malformed"},
		"nobody's":     {later.Checkpoint, "audit-countersignature"},
		"altered":      {strings.Replace(up.Checkpoint, "\n"+l.Checkpoint[strings.Index(l.Checkpoint, "\n")+1:][:1], "\n9", 1), "audit-checkpoint-signature"},
	} {
		if code := r.ask(t, person("olivia"), "POST", "/log/countersignatures", api.CountersignatureUpload{Checkpoint: c.checkpoint}).code(t); code != c.code {
			t.Errorf("%s: %s", what, code)
		}
	}
	if code := r.ask(t, person("olivia"), "GET", "/log?seen=x", nil).code(t); !strings.Contains(code, "request") {
		t.Errorf("a size that is none: %s", code)
	}
	if code := r.ask(t, as{}, "GET", "/log", nil).code(t); code != "credentials-missing" {
		t.Errorf("nobody asks: %s", code)
	}
}

// A case without an event, and one whose event was altered, are shown as what they are: there is no proof.
func TestCaseThatIsNotInTheLog(t *testing.T) {
	r := setup(t)
	gone, altered := r.requested(t, "alice"), r.requested(t, "bob")
	r.sequence(t)
	r.Database.Exec(t, `delete from audit.event where kind = 'archive.case-requested' and subject = $1`, "case:"+gone.ID.String())
	r.Database.Exec(t, `update audit.event set body = replace(body, $2, $3) where kind = 'archive.case-requested' and subject = $1`,
		"case:"+altered.ID.String(), altered.Hash().String(), gone.Hash().String())
	l := read[api.CaseLog](t, r.ask(t, person("olivia"), "GET", "/cases/"+gone.ID.String()+"/log", nil))
	if l.Event != "" || l.Inclusion != "" || l.Checkpoint == "" {
		t.Errorf("%+v", l)
	}
	l = read[api.CaseLog](t, r.ask(t, person("olivia"), "GET", "/cases/"+altered.ID.String()+"/log", nil))
	if !strings.Contains(l.Event, gone.Hash().String()) || l.Inclusion != "" || l.Checkpoint == "" {
		t.Errorf("%+v", l)
	}
}
