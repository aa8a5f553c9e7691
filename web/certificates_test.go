package web_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/housetest"
)

// names returns the persons and uses of a list, sorted.
func names(list api.Page[api.Certificate], people map[string]string) []string {
	out := []string{}
	for _, c := range list.Items {
		if c.Use == "agent" { // the officers' of every House
			continue
		}
		out = append(out, people[c.Person.String()]+" "+c.Use)
	}
	slices.Sort(out)
	return out
}

// People see their own certificates and what they need to write to others; they cannot find out who there is.
func TestWhoSeesWhichCertificates(t *testing.T) {
	r := setup(t)
	people := map[string]string{}
	enrolled := map[string]api.EnrolmentStatus{}
	for _, login := range []string{"alice", "bob", "carol"} {
		s, _ := r.enrol(t, login, housetest.Pair)
		enrolled[login], people[s.Person.String()] = s, login
	}
	bobs, carols := enrolled["bob"], enrolled["carol"]
	if got := r.ask(t, person("carol"), "POST", path(carols.Certificates[1])+"/revoke", api.RevocationRequest{Reason: "superseded"}); got.status != 200 {
		t.Fatalf("%s", got.body)
	}
	everything := []string{"alice encryption", "alice signing", "bob encryption", "bob signing", "carol encryption", "carol signing"}
	for _, c := range []struct {
		login, query string
		want         []string // nil: refused
	}{
		{"alice", "", []string{"alice encryption", "alice signing"}},
		{"alice", "?mailbox=bob@example.test", []string{"bob encryption"}},
		{"alice", "?mailbox=ROBERT.brown@EXAMPLE.test", []string{"bob encryption"}},
		{"alice", "?mailbox=bob", []string{}},
		{"alice", "?mailbox=%25", []string{}},
		{"alice", "?mailbox=alice@example.test", []string{"alice encryption", "alice signing"}},
		{"alice", "?mailbox=carol@example.test", []string{}},
		{"alice", "?person=" + bobs.Person.String(), nil},
		{"alice", "?mailbox=bob@example.test&person=" + bobs.Person.String(), nil},
		{"alice", "?mailbox=bob@example.test&person=" + enrolled["alice"].Person.String(), []string{}},
		{"carol", "", []string{"carol encryption", "carol signing"}},
		{"carol", "?state=revoked", []string{"carol encryption"}},
		{"carol", "?state=good", []string{"carol signing"}},
		{"carol", "?state=expired", []string{}},
		{"olivia", "", []string{}},
		{"olivia", "?person=" + bobs.Person.String(), nil},
		{"rita", "?person=" + bobs.Person.String(), []string{"bob encryption", "bob signing"}},
		{"rita", "?mailbox=bob@example.test", []string{"bob encryption", "bob signing"}},
		{"auditor", "?mailbox=carol@example.test&state=revoked", []string{"carol encryption"}},
	} {
		got := r.ask(t, person(c.login), "GET", "/certificates"+c.query, nil)
		if c.want == nil {
			if got.status != 403 || got.code(t) != "not-yours" {
				t.Errorf("%s %s: status %d, %s", c.login, c.query, got.status, got.body)
			}
			continue
		}
		if diff := cmp.Diff(c.want, names(read[api.Page[api.Certificate]](t, got), people)); diff != "" {
			t.Errorf("%s %s: %s", c.login, c.query, diff)
		}
	}
	for login, want := range map[string]int{"alice": 404, "bob": 200, "rita": 200, "auditor": 200, "operator": 200, "olivia": 404} {
		if got := r.ask(t, person(login), "GET", path(bobs.Certificates[0]), nil); got.status != want {
			t.Errorf("%s gets bob's signature certificate: status %d, want %d", login, got.status, want)
		}
	}
	if got := r.ask(t, person("alice"), "GET", path(bobs.Certificates[1]), nil); got.status != 200 {
		t.Errorf("alice gets bob's encryption certificate: status %d", got.status)
	}
	r.pages(t, people, everything)
}

// pages reads everything, one certificate at a time: a component's certificates have no person.
func (r *rig) pages(t *testing.T, people map[string]string, want []string) {
	t.Helper()
	var all api.Page[api.Certificate]
	next := ""
	for range 20 {
		p := read[api.Page[api.Certificate]](t, r.ask(t, person("operator"), "GET", "/certificates?limit=1&after="+next, nil))
		for _, c := range p.Items {
			if c.Person != nil {
				all.Items = append(all.Items, c)
			}
		}
		if next = p.Next; next == "" {
			break
		}
	}
	if diff := cmp.Diff(want, names(all, people)); diff != "" {
		t.Errorf("all pages: %s", diff)
	}
}

func path(c api.Certificate) string { return "/certificates/" + c.Issuer + "/" + c.Serial }

func TestCertificateInEveryForm(t *testing.T) {
	r := setup(t)
	status, _ := r.enrol(t, "alice", housetest.Pair)
	c := status.Certificates[0]
	accept := func(media string) as {
		a := person("alice")
		a.header = http.Header{"Accept": {media}}
		return a
	}
	got := r.ask(t, person("alice"), "GET", path(c), nil)
	if diff := cmp.Diff(c, read[api.Certificate](t, got)); diff != "" || got.header.Get("Content-Type") != "application/json" || got.header.Get("Vary") != "Accept" {
		t.Errorf("JSON: %v %s", got.header, diff)
	}
	der := r.ask(t, accept("application/pkix-cert, application/problem+json"), "GET", path(c), nil)
	if !bytes.Equal(der.body, c.DER) || der.header.Get("Content-Type") != "application/pkix-cert" {
		t.Errorf("DER: %v", der.header)
	}
	p := r.ask(t, accept("application/x-pem-file"), "GET", path(c), nil)
	block, rest := pem.Decode(p.body)
	if block == nil || len(rest) != 0 || !bytes.Equal(block.Bytes, c.DER) || p.header.Get("Content-Type") != "application/x-pem-file" {
		t.Errorf("PEM: %v\n%s", p.header, p.body)
	}
	head := r.ask(t, accept("application/pkix-cert"), "HEAD", path(c), nil)
	if head.status != 200 || len(head.body) != 0 || head.header.Get("Content-Type") != "application/pkix-cert" {
		t.Errorf("HEAD: status %d, %v, %d bytes", head.status, head.header, len(head.body))
	}
	for name, want := range map[string]int{strings.ToUpper(c.Serial): 200, "00" + c.Serial: 200, "1" + c.Serial: 404, "xyz": 404, "-1": 404, strings.Repeat("f", 65): 400} {
		if got := r.ask(t, person("alice"), "GET", "/certificates/"+c.Issuer+"/"+name, nil); got.status != want {
			t.Errorf("serial %s: status %d, want %d", name, got.status, want)
		}
	}
	if got := r.ask(t, person("alice"), "GET", "/certificates/other/"+c.Serial, nil); got.status != 404 || got.code(t) != "unknown-certificate" {
		t.Errorf("another issuer: status %d", got.status)
	}
}

func TestWhoRevokes(t *testing.T) {
	r := setup(t)
	status, keys := r.enrol(t, "bob", housetest.Pair)
	signing, encryption := path(status.Certificates[0])+"/revoke", path(status.Certificates[1])+"/revoke"
	for _, c := range []struct {
		what   string
		who    as
		path   string
		reason string
		status int
		code   string
	}{
		{"nobody", as{}, signing, "keyCompromise", 401, "credentials-missing"},
		{"who cannot see it", person("alice"), signing, "keyCompromise", 404, "unknown-certificate"},
		{"who can see it", person("alice"), encryption, "keyCompromise", 403, "revocation-not-allowed"},
		{"an auditor", person("auditor"), signing, "keyCompromise", 403, "revocation-not-allowed"},
		{"a hold by its person", person("bob"), signing, "certificateHold", 403, "revocation-not-allowed"},
		{"a hold by an operator", person("operator"), signing, "certificateHold", 403, "revocation-not-allowed"},
		{"a reason that is none", person("bob"), signing, "bored", 400, "request-invalid"},
		{"a reason that nobody gives", person("bob"), signing, "cACompromise", 400, "request-invalid"},
		{"a release without a hold", person("rita"), signing, "removeFromCRL", 409, "not-on-hold"},
		{"a hold", person("rita"), signing, "certificateHold", 200, ""},
		{"a release by its person", person("bob"), signing, "removeFromCRL", 403, "revocation-not-allowed"},
		{"a release", person("rita"), signing, "removeFromCRL", 200, ""},
		{"its person, by the certificate itself", with(keys.Signing, status.Certificates[0].DER), signing, "superseded", 200, ""},
		{"twice", person("bob"), signing, "superseded", 409, "already-revoked"},
		{"worse", person("bob"), signing, "keyCompromise", 200, ""},
		{"an operator", person("operator"), encryption, "affiliationChanged", 200, ""},
		{"an unknown one", person("operator"), "/certificates/issuing/4f1d0c2b3a495867/revoke", "superseded", 404, "unknown-certificate"},
	} {
		got := r.ask(t, c.who, "POST", c.path, api.RevocationRequest{Reason: c.reason})
		if got.status != c.status || c.code != "" && got.code(t) != c.code {
			t.Errorf("%s: status %d, %s", c.what, got.status, got.body)
		}
	}
	if n := r.Database.Count(t, `select count(*) from audit.event where kind = 'certificate.revocation-refused'`); n != 5 {
		t.Errorf("%d refusals are recorded, want 5", n)
	}
	later := time.Now().Add(time.Hour)
	if got := r.ask(t, person("rita"), "POST", encryption, api.RevocationRequest{Reason: "keyCompromise", InvalidFrom: &later}); got.status != 400 || got.code(t) != "revocation-reason" {
		t.Errorf("invalid from a time to come: status %d, %s", got.status, got.body)
	}
	c := read[api.Certificate](t, r.ask(t, person("bob"), "GET", path(status.Certificates[0]), nil))
	if c.Status != "revoked" || c.Reason != "keyCompromise" || c.RevokedAt == nil || time.Since(*c.RevokedAt) > time.Minute {
		t.Errorf("%+v", c)
	}
	r.revokedOnList(t, status)
}

// revokedOnList has openssl read the list that the API serves, and refuse the certificates that are on it.
func (r *rig) revokedOnList(t *testing.T, status api.EnrolmentStatus) {
	t.Helper()
	_, err := r.Lists.Build(t.Context(), status.Certificates[0].Issuer, 2)
	must(t, err)
	list := r.ask(t, as{}, "GET", "/issuers/issuing/crl", nil)
	if list.status != 200 || list.header.Get("Content-Type") != "application/pkix-crl" || list.header.Get("ETag") == "" || !strings.HasPrefix(list.header.Get("Cache-Control"), "public") {
		t.Fatalf("list: status %d, %v, %s", list.status, list.header, list.body)
	}
	dir := newFiles(t)
	roots := dir.write("roots.pem", pemOf(r.PKI.Root.Raw, r.PKI.Issuing.Raw))
	crl := dir.write("list.crl", list.body)
	if out := run(t, "openssl", "crl", "-inform", "DER", "-in", crl, "-CAfile", roots, "-noout", "-text"); !strings.Contains(out, "verify OK") || !strings.Contains(strings.ToLower(out), status.Certificates[0].Serial) {
		t.Errorf("openssl crl: %s", out)
	}
	dir.write("list.pem", []byte(run(t, "openssl", "crl", "-inform", "DER", "-in", crl)))
	for i, c := range status.Certificates {
		leaf := dir.write("leaf.pem", pemOf(c.DER))
		out, err := tryRun(t, "openssl", "verify", "-crl_check", "-CAfile", roots, "-CRLfile", dir.path("list.pem"), leaf)
		if err == nil || !strings.Contains(out, "certificate revoked") {
			t.Errorf("certificate %d: openssl verify: %v, %s", i, err, out)
		}
	}
}

// Everybody may fetch what belongs to the issuers.
func TestIssuers(t *testing.T) {
	r := setup(t)
	list := read[api.Page[api.Issuer]](t, r.ask(t, as{}, "GET", "/issuers", nil))
	one := read[api.Issuer](t, r.ask(t, as{}, "GET", "/issuers/issuing", nil))
	if len(list.Items) != 1 || !cmp.Equal(list.Items[0], one) || !bytes.Equal(one.Certificate, r.PKI.Issuing.Raw) || len(one.Chain) != 1 || !bytes.Equal(one.Chain[0], r.PKI.Root.Raw) {
		t.Errorf("%+v", list)
	}
	for path, code := range map[string]string{"/issuers/nobody": "unknown-issuer", "/issuers/nobody/crl": "unknown-issuer", "/issuers/issuing/crl": "no-crl", "/issuers/issuing/cer": "unknown-operation"} {
		if got := r.ask(t, as{}, "GET", path, nil); got.status != 404 || got.code(t) != code {
			t.Errorf("%s: status %d, %s", path, got.status, got.body)
		}
	}
}

func TestReceipts(t *testing.T) {
	r := setup(t)
	var want []api.Receipt
	for range 2 {
		s, _ := r.enrol(t, "alice", housetest.Pair)
		want = append(want, *s.Receipt)
	}
	p := read[api.Page[api.Receipt]](t, r.ask(t, person("alice"), "GET", "/receipts?limit=1", nil))
	q := read[api.Page[api.Receipt]](t, r.ask(t, person("alice"), "GET", "/receipts?after="+p.Next, nil))
	if diff := cmp.Diff(want, append(p.Items, q.Items...)); diff != "" {
		t.Error(diff)
	}
	if p := read[api.Page[api.Receipt]](t, r.ask(t, person("bob"), "GET", "/receipts", nil)); len(p.Items) != 0 {
		t.Errorf("bob has %d", len(p.Items))
	}
	at := "/receipts/" + want[0].ID.String()
	if got := r.ask(t, person("alice"), "GET", at+"/proof", nil); got.status != 503 || got.code(t) != "audit-event-not-indexed" {
		t.Errorf("the proof, too early: status %d, %s", got.status, got.body)
	}
	_, err := r.Audit.Sequence(t.Context())
	must(t, err)
	for login, status := range map[string]int{"alice": 200, "auditor": 200, "bob": 404, "rita": 404} {
		for _, path := range []string{at, at + "/proof"} {
			if got := r.ask(t, person(login), "GET", path, nil); got.status != status {
				t.Errorf("%s: %s: status %d, want %d", login, path, got.status, status)
			}
		}
	}
	r.proves(t, want[0], read[api.ReceiptProof](t, r.ask(t, person("alice"), "GET", at+"/proof", nil)))
}

func TestDERIsTheCertificateThatOpensslReads(t *testing.T) {
	r := setup(t)
	status, _ := r.enrol(t, "carol", housetest.Pair)
	dir := newFiles(t)
	for _, c := range status.Certificates {
		out := run(t, "openssl", "x509", "-inform", "DER", "-in", dir.write("c.der", c.DER), "-noout", "-subject", "-email", "-serial", "-nameopt", "utf8")
		if !strings.Contains(out, "Carol Müller-Żak") || !strings.Contains(out, "carol@example.test") || !strings.Contains(strings.ToLower(out), c.Serial) {
			t.Errorf("%s", out)
		}
		if _, err := x509.ParseCertificate(c.DER); err != nil {
			t.Error(err)
		}
	}
}
