package web_test

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/pkitest"
)

func TestPairOverREST(t *testing.T) {
	r := setup(t)
	alice := r.Actor(t, "alice")
	policy := read[api.Policy](t, r.ask(t, person("alice"), "GET", "/policy", nil))
	if policy.Person.ID != alice.Person || len(policy.Enrolments) != 3 || !policy.Enrolments[0].Encryption.Escrowed ||
		policy.Enrolments[0].Signing.Escrowed || policy.Enrolments[2].Encryption != nil || !policy.Enrolments[1].Endorsed || policy.Exchange.Nonce == "" {
		t.Errorf("policy: %+v", policy)
	}
	s, keys := r.Submission(t, alice, housetest.Pair)
	who := person("alice").named("laptop-0001")
	first := r.ask(t, who, "POST", "/enrolments", wire(s))
	status := read[api.EnrolmentStatus](t, first)
	if first.status != 201 || first.header.Get("Location") != api.Base+"/enrolments/"+status.ID.String() || status.State != api.StateIssued ||
		len(status.Certificates) != 2 || status.PersonName != "Alice Anders" || status.Receipt == nil {
		t.Fatalf("status %d, %+v", first.status, status)
	}
	for i, want := range []struct {
		use string
		key crypto.Signer
	}{{"signing", keys.Signing}, {"encryption", keys.Encryption}} {
		c := status.Certificates[i]
		leaf, err := x509.ParseCertificate(c.DER)
		must(t, err)
		if c.Use != want.use || c.Status != "good" || *c.Person != alice.Person || !cmp.Equal(leaf.PublicKey, want.key.Public()) ||
			c.Serial != fmt.Sprintf("%x", leaf.SerialNumber) || len(c.Chain) != 2 || string(c.Chain[1]) != string(r.PKI.Root.Raw) || !c.NotAfter.Equal(leaf.NotAfter) {
			t.Errorf("certificate %d: %+v", i, c)
		}
	}
	// A repetition, and asking again, yield the same.
	for what, got := range map[string]reply{"repeated": r.ask(t, who, "POST", "/enrolments", wire(s)),
		"asked by its person":   r.ask(t, person("alice"), "GET", "/enrolments/"+status.ID.String(), nil),
		"asked by a registrar":  r.ask(t, person("rita"), "GET", "/enrolments/"+status.ID.String(), nil),
		"asked by an auditor":   r.ask(t, person("auditor"), "GET", "/enrolments/"+status.ID.String(), nil),
		"asked by its location": r.ask(t, person("alice"), "GET", r.API+first.header.Get("Location"), nil)} {
		if diff := cmp.Diff(status, read[api.EnrolmentStatus](t, got)); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	if got := r.ask(t, person("bob"), "GET", "/enrolments/"+status.ID.String(), nil); got.status != 404 || got.code(t) != "unknown-enrolment-request" {
		t.Errorf("somebody else asks: status %d", got.status)
	}
	signed, err := record.ParseReceipt(status.Receipt.Signed)
	must(t, err)
	signer, err := x509.ParsePKIXPublicKey(status.Receipt.Signer)
	must(t, err)
	if err := signed.Verify(signer); err != nil || signed.SPKI.String() != status.Certificates[1].SPKISHA256 || !status.Receipt.Time.Equal(signed.Time) {
		t.Errorf("receipt: %v, %+v", err, status.Receipt)
	}
	r.Settled(t)
}

// Everything that can be wrong with an enrolment, in one table: each has a problem that names it, and afterwards nothing
// is half done.
func TestEnrolRefuses(t *testing.T) {
	r := setup(t)
	alice, bob := r.Actor(t, "alice"), r.Actor(t, "bob")
	first, firstKeys := r.Submission(t, alice, housetest.Pair)
	read[api.EnrolmentStatus](t, r.ask(t, person("alice").named("first-0001"), "POST", "/enrolments", wire(first)))
	spent := read[api.Token](t, r.ask(t, person("rita"), "POST", "/tokens", api.TokenRequest{Mailbox: "alice@example.test", Hours: 1})).Token
	once, _ := r.Submission(t, alice, housetest.Pair)
	read[api.EnrolmentStatus](t, r.ask(t, token(spent).named("first-0002"), "POST", "/enrolments", wire(once)))

	fresh := func() enroll.Submission { s, _ := r.Submission(t, alice, housetest.Pair); return s }
	with := func(change func(*enroll.Submission)) api.EnrolmentRequest { s := fresh(); change(&s); return wire(s) }
	key := func() crypto.Signer { return pkitest.NewKey(t, ca.P256) }
	keyed := func(signing, encryption crypto.Signer) api.EnrolmentRequest {
		return wire(r.SubmissionWith(t, alice, housetest.Pair, housetest.Keys{Signing: signing, Encryption: encryption}))
	}
	one := key()
	csr := func(k crypto.Signer, mailboxes ...string) []byte { return pkitest.CSR(t, k, "Alice", mailboxes...) }
	self := person("alice")
	text := func(old, new string) string {
		b, err := json.Marshal(wire(fresh()))
		must(t, err)
		out := strings.Replace(string(b), old, new, 1)
		if out == string(b) {
			t.Fatalf("%s is not in %s", old, b)
		}
		return out
	}
	for _, c := range []struct {
		what   string
		who    as
		body   any
		status int
		code   string
		says   string // in the detail
	}{
		{"an unknown enrolment", self, with(func(s *enroll.Submission) { s.Enrolment = "x" }), 400, "unknown-enrolment", ""},
		{"no idempotency key", person("bob").named(""), with(func(*enroll.Submission) {}), 400, "idempotency-key", ""},
		{"a short idempotency key", person("bob").named("1234567"), with(func(*enroll.Submission) {}), 400, "idempotency-key", ""},
		{"a long idempotency key", person("bob").named(strings.Repeat("x", 129)), with(func(*enroll.Submission) {}), 400, "idempotency-key", ""},
		{"the same idempotency key with another body", self.named("first-0001"), with(func(*enroll.Submission) {}), 409, "idempotency-key-reused", ""},
		{"a replayed token", token(spent), with(func(*enroll.Submission) {}), 401, "enrolment-token", ""},
		{"one certificate request of two", self, with(func(s *enroll.Submission) { s.SigningCSR = nil }), 400, "wrong-certificate-requests", ""},
		{"no escrowed key", self, with(func(s *enroll.Submission) { s.EscrowedKey = nil }), 400, "escrowed-key-missing", ""},
		{"an escrowed key that nobody asked for", self, api.EnrolmentRequest{Enrolment: housetest.Single, SigningCSR: csr(key()), EscrowedKey: []byte("x")}, 400, "escrowed-key-not-taken", ""},
		{"no CSR", self, with(func(s *enroll.Submission) { s.SigningCSR = []byte("x") }), 400, "csr-malformed", ""},
		{"an unsigned CSR", self, with(func(s *enroll.Submission) { s.SigningCSR[len(s.SigningCSR)-3] ^= 1 }), 400, "csr-signature", ""},
		{"an oversized CSR", self, with(func(s *enroll.Submission) { s.EncryptionCSR = make([]byte, api.MaxCSR+1) }), 400, "csr-too-large", ""},
		{"a weak key", self, with(func(s *enroll.Submission) { s.SigningCSR = csr(pkitest.RSAKey(t, ca.RSA2048, 0)) }), 403, "key-not-allowed", ""},
		{"an address that is not this person's", self, with(func(s *enroll.Submission) { s.SigningCSR = csr(key(), "bob@example.test") }), 403, "address-not-yours", "bob@example.test"},
		{"a message that nobody encrypted", self, with(func(s *enroll.Submission) { s.EscrowedKey = []byte("x") }), 400, "escrowed-key-refused", ""},
		{"a message bound to other requests", self, with(func(s *enroll.Submission) { s.EscrowedKey = fresh().EscrowedKey }), 400, "escrowed-key-refused", ""},
		{"a message of somebody else", self, with(func(s *enroll.Submission) { s.EscrowedKey = r.Escrow(t, bob, *s, key()) }), 400, "escrowed-key-refused", ""},
		{"an encryption key that does not match", self, with(func(s *enroll.Submission) { s.EscrowedKey = r.Escrow(t, alice, *s, key()) }), 400, "archived-key-mismatch", ""},
		{"an encryption key that arrives twice", self, keyed(key(), firstKeys.Encryption), 409, "key-already-archived", ""},
		{"a signing key offered for archiving", self, keyed(key(), firstKeys.Signing), 409, "key-in-use", ""},
		{"an archived key for signing", self, keyed(firstKeys.Encryption, key()), 409, "key-in-use", ""},
		{"one key for both", self, keyed(one, one), 409, "key-in-use", ""},
		{"somebody else's key", person("bob"), wire(r.SubmissionWith(t, bob, housetest.Pair, housetest.Keys{Signing: key(), Encryption: firstKeys.Encryption})), 409, "key-in-use", ""},

		{"no body", self, nil, 400, "request-invalid", "required"},
		{"no JSON", self, "{", 400, "request-invalid", "JSON"},
		{"an array", self, "[]", 400, "request-invalid", "JSON object"},
		{"two values", self, text("}", "} {}"), 400, "request-invalid", ""},
		{"a member that nobody knows", self, text("{", `{"sining_csr": "",`), 400, "request-invalid", "body.sining_csr"},
		{"a member of another type", self, text(`"enrolment":"smime"`, `"enrolment":7`), 400, "request-invalid", "body.enrolment"},
		{"a number for bytes", self, text(`"signing_csr":"`, `"signing_csr":7,"x":"`), 400, "request-invalid", "body.signing_csr"},
		{"no base64", self, text(`"escrowed_key":"`, `"escrowed_key":"~`), 400, "request-invalid", "body.escrowed_key"},
		{"base64 for URLs", self, text(`"encryption_csr":"`, `"encryption_csr":"_-`), 400, "request-invalid", "body.encryption_csr"},
		{"a body of 10 MB", self, `{"enrolment":"` + strings.Repeat("x", 10<<20) + `"}`, 413, "request-too-large", ""},
		{"a body that is a little too large", self, `{"enrolment":"` + strings.Repeat("x", api.MaxBody) + `"}`, 413, "request-too-large", ""},
	} {
		if c.who.header == nil {
			c.who = c.who.named(uuid.NewString())
		}
		r.refuses(t, c.what, c.who, c.body, c.status, c.code, c.says)
	}
	form := self.named("some-name")
	form.header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.refuses(t, "a form", form, wire(fresh()), 415, "media-type", "")
	form.header["Content-Type"] = []string{""}
	r.refuses(t, "a body without a type", form, wire(fresh()), 415, "media-type", "")
	foreign := self.named("some-name")
	foreign.header.Set("Origin", "https://evil.example")
	r.refuses(t, "a page of another site", foreign, wire(fresh()), 403, "cross-origin", "")
	r.Settled(t)
}

// refuses sends an enrolment that must be refused and then looks into the database: nothing may have become of it.
func (r *rig) refuses(t *testing.T, what string, who as, body any, status int, code, says string) {
	t.Helper()
	count := func(sql string) int64 { return r.Database.Count(t, sql) }
	const issued, good = `select count(*) from ca.certificate`, `select count(*) from enroll.request where state = 'issued'`
	const kept = `select count(*) from archive.record`
	certificates, requests, records := count(issued), count(good), count(kept)
	begun := time.Now()
	got := r.ask(t, who, "POST", "/enrolments", body)
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("%s: the answer took %v", what, took)
	}
	if got.status != status || got.code(t) != code || !strings.Contains(string(got.body), says) {
		t.Errorf("%s: status %d, %s, want %d %s %q", what, got.status, got.body, status, code, says)
	}
	for what2, n := range map[string]int64{
		"certificates":                          count(issued) - certificates,
		"issued requests":                       count(good) - requests,
		"records":                               count(kept) - records,
		"requests in the middle":                count(`select count(*) from enroll.request where state not in ('issued', 'failed')`),
		"serials that are neither good nor bad": count(`select count(*) from ca.prepared where state = 'prepared'`),
		"held records":                          count(`select count(*) from archive.record where state = 'held'`),
	} {
		if n != 0 {
			t.Errorf("%s: %d %s", what, n, what2)
		}
	}
}

func TestEndorsementOverREST(t *testing.T) {
	r := setup(t)
	submit := func() api.EnrolmentStatus {
		status, _ := r.enrol(t, "alice", housetest.Endorsed)
		if status.State != api.StateSubmitted || len(status.Certificates) != 0 || status.Receipt == nil {
			t.Fatalf("%+v", status)
		}
		return status
	}
	good, bad := submit(), submit()
	for _, c := range []struct {
		what, login, path string
		body              any
		status            int
		code              string
	}{
		{"its subscriber endorses", "alice", good.ID.String() + "/endorse", api.Decision{}, 403, "enrolment-not-allowed"},
		{"an auditor rejects", "auditor", good.ID.String() + "/reject", api.Decision{Reason: "x"}, 403, "enrolment-not-allowed"},
		{"a request that is none", "rita", uuid.NewString() + "/endorse", api.Decision{}, 404, "unknown-enrolment-request"},
		{"no id", "rita", "17/endorse", api.Decision{}, 400, "request-invalid"},
		{"a rejection without a reason", "rita", bad.ID.String() + "/reject", api.Decision{}, 400, "reason-missing"},
		{"a rejection without a body", "rita", bad.ID.String() + "/reject", nil, 400, "reason-missing"},
		{"a rejection with a book", "rita", bad.ID.String() + "/reject", api.Decision{Reason: strings.Repeat("x", 501)}, 400, "request-invalid"},
		{"endorsed", "rita", good.ID.String() + "/endorse", nil, 200, ""},
		{"endorsed twice", "rita", good.ID.String() + "/endorse", api.Decision{}, 409, "enrolment-state"},
		{"rejected", "rita", bad.ID.String() + "/reject", api.Decision{Reason: "Not yet employed."}, 200, ""},
		{"endorsed after that", "rita", bad.ID.String() + "/endorse", api.Decision{}, 409, "enrolment-state"},
	} {
		got := r.ask(t, person(c.login), "POST", "/enrolments/"+c.path, c.body)
		if got.status != c.status || c.code != "" && got.code(t) != c.code {
			t.Errorf("%s: status %d, %s", c.what, got.status, got.body)
		}
	}
	if s := read[api.EnrolmentStatus](t, r.ask(t, person("alice"), "GET", "/enrolments/"+good.ID.String(), nil)); s.State != api.StateIssued || len(s.Certificates) != 2 {
		t.Errorf("endorsed: %+v", s)
	}
	if s := read[api.EnrolmentStatus](t, r.ask(t, person("alice"), "GET", "/enrolments/"+bad.ID.String(), nil)); s.State != api.StateRejected || s.Reason != "Not yet employed." {
		t.Errorf("rejected: %+v", s)
	}
	r.Settled(t)
}

func TestRegistrarsList(t *testing.T) {
	r := setup(t)
	var ids []uuid.UUID
	for range 3 {
		s, _ := r.enrol(t, "alice", housetest.Endorsed)
		ids = append(ids, s.ID)
	}
	var got []uuid.UUID
	path := "/enrolments?limit=2"
	for range 2 {
		p := read[api.Page[api.EnrolmentStatus]](t, r.ask(t, person("rita"), "GET", path, nil))
		for _, s := range p.Items {
			got = append(got, s.ID)
		}
		path = "/enrolments?limit=2&after=" + p.Next
	}
	if diff := cmp.Diff(ids, got); diff != "" {
		t.Error(diff)
	}
	if p := read[api.Page[api.EnrolmentStatus]](t, r.ask(t, person("auditor"), "GET", "/enrolments?state=issued", nil)); len(p.Items) != 0 || p.Next != "" {
		t.Errorf("issued: %+v", p)
	}
	for path, want := range map[string]string{"?state=odd": "query.state", "?limit=0": "query.limit", "?limit=501": "query.limit", "?limit=x": "query.limit",
		"?after=x": "query.after", "?sate=issued": "query.sate"} {
		if got := r.ask(t, person("rita"), "GET", "/enrolments"+path, nil); got.status != 400 || got.code(t) != "request-invalid" || !strings.Contains(string(got.body), want) {
			t.Errorf("%s: status %d, %s", path, got.status, got.body)
		}
	}
	if got := r.ask(t, person("alice"), "GET", "/enrolments", nil); got.status != 403 {
		t.Errorf("a subscriber lists: status %d", got.status)
	}
}

func TestTokens(t *testing.T) {
	r := setup(t)
	for _, c := range []struct {
		what, login string
		body        any
		status      int
		code        string
	}{
		{"a subscriber", "bob", api.TokenRequest{Mailbox: "alice@example.test", Hours: 1}, 403, "enrolment-not-allowed"},
		{"for oneself", "rita", api.TokenRequest{Mailbox: "rita@example.test", Hours: 1}, 403, "own-request"},
		{"for nobody", "rita", api.TokenRequest{Mailbox: "nobody@example.test", Hours: 1}, 404, "unknown-person"},
		{"for ever", "rita", api.TokenRequest{Mailbox: "alice@example.test", Hours: 721}, 400, "request-invalid"},
		{"without an address", "rita", map[string]int{"hours": 1}, 400, "request-invalid"},
	} {
		if got := r.ask(t, person(c.login), "POST", "/tokens", c.body); got.status != c.status || got.code(t) != c.code {
			t.Errorf("%s: status %d, %s", c.what, got.status, got.body)
		}
	}
	got := r.ask(t, person("rita"), "POST", "/tokens", map[string]string{"mailbox": "Alice@example.test"})
	made := read[api.Token](t, got)
	if got.status != 201 || len(made.Token) < 32 || made.Person != r.Actor(t, "alice").Person || time.Until(made.Ends) < 71*time.Hour || time.Until(made.Ends) > 72*time.Hour {
		t.Errorf("status %d, %+v", got.status, made)
	}
	s, _ := r.Submission(t, r.Actor(t, "alice"), housetest.Pair)
	status := read[api.EnrolmentStatus](t, r.ask(t, token(made.Token).named(uuid.NewString()), "POST", "/enrolments", wire(s)))
	if got := r.ask(t, token(made.Token), "GET", "/enrolments/"+status.ID.String(), nil); got.status != http.StatusOK {
		t.Errorf("a spent token asks what became of its request: status %d", got.status)
	}
}
