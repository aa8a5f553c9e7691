package web_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/internal/housetest"
)

// device is a key that somebody made on a new computer, to receive their old ones.
func device(t testing.TB) cms.Recipient {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "New laptop"}, KeyUsage: x509.KeyUsageKeyAgreement,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 1, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	c, err := x509.ParseCertificate(der)
	must(t, err)
	return cms.Recipient{Certificate: c, Key: key}
}

// signed makes the case of a draft as the requester's program does.
func (r *rig) signed(t testing.TB, login, kind string, draft api.CaseDraft, recipient *x509.Certificate, status api.EnrolmentStatus, keys housetest.Keys) *record.SignedCase {
	t.Helper()
	roster, err := record.ParseRoster(draft.Roster)
	must(t, err)
	own, err := x509.ParseCertificate(status.Certificates[0].DER)
	must(t, err)
	who := r.Actor(t, login)
	now := r.Clock.Now().UTC().Truncate(time.Second)
	c := record.Case{ID: uuid.New(), Roster: roster.Hash(), KeyID: roster.KeyID(), Epoch: roster.Epoch(), Reason: "My laptop was left in a train.",
		Requester: record.Requester{Person: who.Person, Name: who.Name, Certificate: own}, Opened: now, Deadline: now.Add(48 * time.Hour),
		Deliveries: []record.Delivery{{Recipient: recipient}}}
	for _, k := range []record.CaseKind{record.CaseRestore, record.CaseBusiness, record.CaseLegal} {
		if k.String() == kind {
			c.Kind = k
		}
	}
	for _, s := range draft.Subjects {
		subject := record.Subject{Person: s.Person}
		for _, x := range s.Records {
			h, err := record.ParseHash(x.Record)
			must(t, err)
			subject.Records = append(subject.Records, h)
		}
		c.Deliveries[0].Subjects = append(c.Deliveries[0].Subjects, subject)
	}
	s, err := c.Sign(keys.Signing)
	must(t, err)
	return s
}

// capsules fetches a case's capsules, two at a time.
func (r *rig) capsules(t testing.TB, who as, id uuid.UUID) (out []*record.Capsule) {
	t.Helper()
	for after := ""; ; {
		page := read[api.Blobs](t, r.ask(t, who, "GET", fmt.Sprintf("/cases/%s/capsules?limit=2&after=%s", id, after), nil))
		for _, b := range page.Items {
			c, err := record.ParseCapsule(b)
			must(t, err)
			out = append(out, c)
		}
		if after = page.Next; after == "" {
			return out
		}
	}
}

// answered approves a case as an officer does, over the wire.
func (r *rig) answered(t testing.TB, login string, agent uint16, id uuid.UUID) reply {
	t.Helper()
	c := read[api.Case](t, r.ask(t, person(login), "GET", "/cases/"+id.String(), nil))
	s, err := record.ParseCase(c.Signed)
	must(t, err)
	raw, err := r.Roster.Approve(t, s, r.capsules(t, person(login), id), agent, r.Clock.Now()).Encode()
	must(t, err)
	return r.ask(t, person(login), "POST", "/cases/"+id.String()+"/answers", api.CaseAnswerUpload{Answer: raw})
}

// opened collects a case and opens it, as its recipient does. It returns the keys by the hash of their public half.
func (r *rig) opened(t testing.TB, login string, id uuid.UUID, key cms.Recipient) map[string][]byte {
	t.Helper()
	c := read[api.Case](t, r.ask(t, person(login), "POST", "/cases/"+id.String()+"/deliveries/0/collect", nil))
	s, err := record.ParseCase(c.Signed)
	must(t, err)
	b, err := record.NewBundle(r.Roster.Roster, s, 0, r.capsules(t, person(login), id), nil)
	must(t, err)
	opener := record.NewOpener(b)
	sealed := read[api.CaseSealed](t, r.ask(t, person(login), "GET", "/cases/"+id.String()+"/deliveries/0/sealed", nil))
	for _, x := range sealed.Items {
		a, err := record.ParseApproval(x.Approval)
		must(t, err)
		must(t, opener.Add(a, x.Partials, key))
	}
	out := map[string][]byte{}
	for after := ""; ; {
		page := read[api.Blobs](t, r.ask(t, person(login), "GET", fmt.Sprintf("/cases/%s/deliveries/0/records?limit=2&after=%s", id, after), nil))
		for _, b := range page.Items {
			inner, err := record.ParseInnerRecord(b)
			must(t, err)
			out[inner.Capsule.Header.SPKI.String()], err = opener.Open(inner)
			must(t, err)
		}
		if after = page.Next; after == "" {
			return out
		}
	}
}

// A person who lost their laptop gets every key back by two of three officers, over the wire.
func TestRestoreOverTheWire(t *testing.T) {
	r := setup(t)
	want := map[string]bool{}
	var status api.EnrolmentStatus
	var keys housetest.Keys
	for range 3 {
		status, keys = r.enrol(t, "alice", housetest.Pair)
		want[status.Certificates[1].SPKISHA256] = true
	}
	r.enrol(t, "bob", housetest.Pair)
	drafts := read[api.CaseDrafts](t, r.ask(t, person("alice"), "POST", "/cases/drafts", api.CaseQuery{Kind: "restore"}))
	if len(drafts.Drafts) != 1 || len(drafts.Drafts[0].Subjects) != 1 || len(drafts.Drafts[0].Subjects[0].Records) != 3 {
		t.Fatalf("%+v", drafts)
	}
	key := device(t)
	s := r.signed(t, "alice", "restore", drafts.Drafts[0], key.Certificate, status, keys)
	opening := api.CaseOpening{Case: s.Bytes()}
	for range 2 { // sent again, it changes nothing
		c := read[api.Case](t, r.ask(t, person("alice"), "POST", "/cases", opening))
		if c.State != api.CaseRequested || c.Records != 3 || c.Requester != "Alice Anders" || !bytes.Equal(c.Signed, s.Bytes()) {
			t.Errorf("%+v", c)
		}
	}
	if code := r.ask(t, person("bob"), "GET", "/cases/"+s.ID.String(), nil).code(t); code != "unknown-case" {
		t.Errorf("somebody else sees the case: %s", code)
	}
	if c := read[api.Case](t, r.answered(t, "olivia", 1, s.ID)); c.State != api.CaseRequested {
		t.Errorf("after one approval the case is %s", c.State)
	}
	if code := r.ask(t, person("alice"), "POST", "/cases/"+s.ID.String()+"/deliveries/0/collect", nil).code(t); code != "case-state" {
		t.Errorf("collecting after one approval: %s", code)
	}
	if c := read[api.Case](t, r.answered(t, "otto", 3, s.ID)); c.State != api.CaseApproved || len(c.Answers) != 2 {
		t.Errorf("after two approvals the case is %+v", c)
	}
	got := r.opened(t, "alice", s.ID, key)
	for spki := range want {
		private, err := x509.ParsePKCS8PrivateKey(got[spki])
		if err != nil {
			t.Errorf("key %s: %v", spki, err)
			continue
		}
		public, err := x509.MarshalPKIXPublicKey(private.(*ecdsa.PrivateKey).Public())
		must(t, err)
		if h := record.Hash(sha256.Sum256(public)); h.String() != spki {
			t.Errorf("key %s came back as %s", spki, h)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d keys came back of %d", len(got), len(want))
	}
	c := read[api.Case](t, r.ask(t, person("alice"), "POST", "/cases/"+s.ID.String()+"/close", nil))
	if c.State != api.CaseClosed || c.Deliveries[0].Collected == nil {
		t.Errorf("%+v", c)
	}
	for login, sees := range map[string]int{"alice": 1, "olivia": 1, "auditor": 1, "bob": 0, "rita": 0} {
		if list := read[api.Page[api.Case]](t, r.ask(t, person(login), "GET", "/cases?state=closed", nil)); len(list.Items) != sees {
			t.Errorf("%s sees %d cases, want %d", login, len(list.Items), sees)
		}
	}
}

// Keys of somebody who is asked for by address and time go to the recipient whom the officers' roster names.
func TestBusinessCaseByAddressAndTime(t *testing.T) {
	r := setup(t)
	first, _ := r.enrol(t, "alice", housetest.Pair)
	r.Clock.Advance(60 * 24 * time.Hour)
	must(t, r.Enroll.EnsureKeys(t.Context()))
	second, _ := r.enrol(t, "alice", housetest.Pair)
	status, keys := r.enrol(t, "rita", housetest.Pair)
	before := first.Certificates[1].NotBefore.Add(24 * time.Hour)
	for name, tt := range map[string]struct {
		q    api.CaseQuery
		want []string
	}{
		"all":     {api.CaseQuery{}, []string{first.Certificates[1].SPKISHA256, second.Certificates[1].SPKISHA256}},
		"then":    {api.CaseQuery{To: &before}, []string{first.Certificates[1].SPKISHA256}},
		"one key": {api.CaseQuery{Keys: []string{second.Certificates[1].SPKISHA256}}, []string{second.Certificates[1].SPKISHA256}},
	} {
		tt.q.Kind, tt.q.Mailboxes = "business", []string{"Alice@example.test"}
		d := read[api.CaseDrafts](t, r.ask(t, person("rita"), "POST", "/cases/drafts", tt.q))
		var got []string
		for _, x := range d.Drafts[0].Subjects[0].Records {
			got = append(got, x.SPKISHA256)
		}
		if strings.Join(got, " ") != strings.Join(tt.want, " ") {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
	d := read[api.CaseDrafts](t, r.ask(t, person("rita"), "POST", "/cases/drafts", api.CaseQuery{Kind: "business", Mailboxes: []string{"alice@example.test"}}))
	s := r.signed(t, "rita", "business", d.Drafts[0], r.Recipient.Certificate, status, keys)
	read[api.Case](t, r.ask(t, person("rita"), "POST", "/cases", api.CaseOpening{Case: s.Bytes()}))
	r.answered(t, "olivia", 1, s.ID)
	r.answered(t, "oscar", 2, s.ID)
	if code := r.ask(t, person("rita"), "POST", "/cases/"+s.ID.String()+"/deliveries/0/collect", nil).code(t); code != "case-not-recipient" {
		t.Errorf("the requester collects: %s", code)
	}
	if got := r.opened(t, "bob", s.ID, r.Recipient); len(got) != 2 {
		t.Errorf("%d keys", len(got))
	}
}

func TestCasesThatTheWireRefuses(t *testing.T) {
	r := setup(t)
	status, keys := r.enrol(t, "alice", housetest.Pair)
	d := read[api.CaseDrafts](t, r.ask(t, person("alice"), "POST", "/cases/drafts", api.CaseQuery{Kind: "restore"}))
	s := r.signed(t, "alice", "restore", d.Drafts[0], device(t).Certificate, status, keys)
	nobody, longAgo := "00000000-0000-4000-8000-000000000000", r.Clock.Now().AddDate(-5, 0, 0)
	for name, tt := range map[string]struct {
		who          as
		method, path string
		body         any
		status       int
		code         string
	}{
		"not logged in":          {as{}, "GET", "/cases", nil, 401, "credentials-missing"},
		"another kind":           {person("alice"), "POST", "/cases/drafts", api.CaseQuery{Kind: "all"}, 400, "request-invalid"},
		"others' keys":           {person("alice"), "POST", "/cases/drafts", api.CaseQuery{Kind: "business", Mailboxes: []string{"bob@example.test"}}, 403, "role-required"},
		"restore others'":        {person("alice"), "POST", "/cases/drafts", api.CaseQuery{Kind: "restore", Mailboxes: []string{"bob@example.test"}}, 403, "case-refused"},
		"nobody's address":       {person("rita"), "POST", "/cases/drafts", api.CaseQuery{Kind: "business", Mailboxes: []string{"nobody@example.test"}}, 404, "case-subject"},
		"nothing there":          {person("bob"), "POST", "/cases/drafts", api.CaseQuery{Kind: "restore"}, 404, "case-empty"},
		"nothing of that time":   {person("rita"), "POST", "/cases/drafts", api.CaseQuery{Kind: "business", Mailboxes: []string{"alice@example.test"}, To: &longAgo}, 404, "case-empty"},
		"a key that is none":     {person("alice"), "POST", "/cases/drafts", api.CaseQuery{Kind: "restore", Keys: []string{"xyz"}}, 400, "request-invalid"},
		"somebody else sends it": {person("bob"), "POST", "/cases", api.CaseOpening{Case: s.Bytes()}, 403, "case-refused"},
		"no case":                {person("alice"), "POST", "/cases", api.CaseOpening{Case: []byte("x")}, 400, "archive-format"},
		"too large":              {person("alice"), "POST", "/cases", bytes.Repeat([]byte("x"), api.MaxCaseBody+1), 413, "request-too-large"},
		"too large elsewhere":    {person("alice"), "POST", "/cases/" + nobody + "/cancel", bytes.Repeat([]byte("x"), api.MaxBody+1), 413, "request-too-large"},
		"unknown case":           {person("alice"), "GET", "/cases/" + nobody, nil, 404, "unknown-case"},
		"unknown case's answer":  {person("olivia"), "POST", "/cases/" + nobody + "/answers", api.CaseAnswerUpload{Answer: []byte("x")}, 400, "archive-format"},
		"no page":                {person("alice"), "GET", "/cases/" + nobody + "/capsules?after=x", nil, 400, "request-invalid"},
		"no delivery":            {person("alice"), "POST", "/cases/" + nobody + "/deliveries/1000/collect", nil, 400, "request-invalid"},
	} {
		got := r.ask(t, tt.who, tt.method, tt.path, tt.body)
		if code := got.code(t); got.status != tt.status || code != tt.code {
			t.Errorf("%s: %d %s, want %d %s\n%s", name, got.status, code, tt.status, tt.code, got.body)
		}
	}
	if n := r.Database.Count(t, `select count(*) from archive.recovery_case`); n != 0 {
		t.Errorf("%d cases were opened", n)
	}
	// A certificate that was revoked opens no case.
	signing := status.Certificates[0]
	read[api.Certificate](t, r.ask(t, person("alice"), "POST", "/certificates/"+signing.Issuer+"/"+signing.Serial+"/revoke", api.RevocationRequest{Reason: "keyCompromise"}))
	if got := r.ask(t, person("alice"), "POST", "/cases", api.CaseOpening{Case: s.Bytes()}); got.status != http.StatusForbidden || got.code(t) != "case-certificate" {
		t.Errorf("with a revoked certificate: %d %s", got.status, got.body)
	}
}
