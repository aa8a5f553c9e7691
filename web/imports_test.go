package web_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// foreignAuthority is another organisation's, or our own of former years.
type foreignAuthority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newForeignAuthority(t testing.TB) foreignAuthority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Old Authority"}, NotBefore: time.Now().AddDate(-9, 0, 0),
		NotAfter: time.Now().AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	return foreignAuthority{key, certificate(t, template, template, key.Public(), key)}
}

func certificate(t testing.TB, template, parent *x509.Certificate, public crypto.PublicKey, signer crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	must(t, err)
	c, err := x509.ParseCertificate(der)
	must(t, err)
	return c
}

// issue certifies a key as encryption certificates are, until last year.
func (a foreignAuthority) issue(t testing.TB, key crypto.Signer, name string, mailbox string, change ...func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<60))
	must(t, err)
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().AddDate(-3, 0, 0), NotAfter: time.Now().AddDate(-1, 0, 0),
		KeyUsage: x509.KeyUsageKeyAgreement, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}}
	if _, ok := key.(*rsa.PrivateKey); ok {
		template.KeyUsage = x509.KeyUsageKeyEncipherment
	}
	if mailbox != "" {
		template.EmailAddresses = []string{mailbox}
	}
	for _, f := range change {
		f(template)
	}
	return certificate(t, template, a.cert, key.Public(), a.key)
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

// draft asks about one certificate.
func (r *rig) draft(t testing.TB, login string, s api.ImportSubject) (api.ImportDraft, *api.Exchange) {
	t.Helper()
	d := read[api.ImportDrafts](t, r.ask(t, person(login), "POST", "/imports/drafts", api.ImportQuery{Items: []api.ImportSubject{s}}))
	return d.Items[0], d.Exchange
}

// sealedImport makes the message with a key.
func sealedImport(t testing.TB, key crypto.PrivateKey, x *api.Exchange, identifier string) []byte {
	t.Helper()
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	return sealedPKCS8(t, pkcs8, x, identifier)
}

func sealedPKCS8(t testing.TB, pkcs8 []byte, x *api.Exchange, identifier string) []byte {
	t.Helper()
	content, err := cms.EncKeyWithID{PrivateKey: pkcs8, Identifier: identifier}.Marshal()
	must(t, err)
	exchange, err := x509.ParseCertificate(x.Certificate)
	must(t, err)
	message, err := cms.Seal(content, []*x509.Certificate{exchange}, cms.SealOptions{ContentType: cms.OIDEncKeyWithID})
	must(t, err)
	return message
}

// importOf makes the request with everything in order.
func (r *rig) importOf(t testing.TB, login string, s api.ImportSubject, key crypto.PrivateKey) api.ImportRequest {
	t.Helper()
	d, x := r.draft(t, login, s)
	if d.State != api.ImportReady && d.State != api.ImportArchived {
		t.Fatalf("draft: %+v", d)
	}
	return api.ImportRequest{ImportSubject: s, Key: sealedImport(t, key, x, api.ImportIdentifier(d.Person, s.Certificate, x.Nonce))}
}

// A registrar brings a key; its owner sees it, and every repetition, by any server, is the same deposit.
func TestImport(t *testing.T) {
	r := setup(t)
	second := setupIn(t, r)
	old := newForeignAuthority(t)
	key := newKey(t)
	c := old.issue(t, key, "Anders, Alice", "alice@example.test")
	alice := r.Actor(t, "alice")

	d, _ := r.draft(t, "rita", api.ImportSubject{Certificate: c.Raw})
	want := api.ImportDraft{State: api.ImportReady, Person: alice.Person, Name: "Alice Anders", Mail: "alice@example.test"}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Fatal(diff)
	}
	req := r.importOf(t, "rita", api.ImportSubject{Certificate: c.Raw}, key)
	req.Chain = [][]byte{old.cert.Raw}
	first := read[api.Imported](t, r.ask(t, person("rita"), "POST", "/imports", req))
	if first.State != api.ImportedNow || first.Person != alice.Person || first.Name != "Alice Anders" {
		t.Errorf("%+v", first)
	}
	for _, server := range []*rig{r, second} {
		again := read[api.Imported](t, server.ask(t, person("rita"), "POST", "/imports", req))
		if again.State != api.ImportedBefore || again.Receipt.ID != first.Receipt.ID {
			t.Errorf("again: %+v", again)
		}
	}
	if d, _ := r.draft(t, "rita", api.ImportSubject{Certificate: c.Raw}); d.State != api.ImportArchived || d.Person != alice.Person {
		t.Errorf("draft afterwards: %+v", d)
	}
	// The same key with another certificate, as after a renewal.
	renewed := old.issue(t, key, "Alice Anders", "alice@example.test")
	added := read[api.Imported](t, r.ask(t, person("rita"), "POST", "/imports", r.importOf(t, "rita", api.ImportSubject{Certificate: renewed.Raw}, key)))
	if added.State != api.ImportedCertificate || added.Receipt.ID != first.Receipt.ID {
		t.Errorf("another certificate: %+v", added)
	}

	list := read[api.Page[api.ForeignCertificate]](t, r.ask(t, person("alice"), "GET", "/imports", nil))
	if len(list.Items) != 2 || !bytes.Equal(list.Items[0].DER, c.Raw) || !bytes.Equal(list.Items[0].Chain[0], old.cert.Raw) || !bytes.Equal(list.Items[1].DER, renewed.Raw) {
		t.Errorf("%+v", list)
	}
	if got := read[api.Page[api.ForeignCertificate]](t, r.ask(t, person("rita"), "GET", "/imports?limit=1&person="+alice.Person.String(), nil)); len(got.Items) != 1 || got.Next == "" {
		t.Errorf("registrar's page: %+v", got)
	}
	if code := r.ask(t, person("bob"), "GET", "/imports?person="+alice.Person.String(), nil).code(t); code != "not-yours" {
		t.Errorf("bob asks for alice's: %s", code)
	}
	receipts := read[api.Page[api.Receipt]](t, r.ask(t, person("alice"), "GET", "/receipts", nil))
	if len(receipts.Items) != 1 || receipts.Items[0].ID != first.Receipt.ID {
		t.Errorf("alice's receipts: %+v", receipts)
	}
	for sql, n := range map[string]int64{
		`select count(*) from archive.record where state = 'kept'`:                                               1,
		`select count(*) from archive.record`:                                                                    1,
		`select count(*) from audit.event where kind = 'archive.deposited'`:                                      1,
		`select count(*) from audit.event where kind = 'archive.imported'`:                                       2,
		`select count(*) from keyuse.key_use k join archive.record using (spki_sha256) where use = 'encryption'`: 1,
	} {
		if got := r.Database.Count(t, sql); got != n {
			t.Errorf("%s: %d, want %d", sql, got, n)
		}
	}
	r.Settled(t)
}

// TestImportRefuses is everything that must not come in, and what is said of it.
func TestImportRefuses(t *testing.T) {
	r := setup(t)
	old := newForeignAuthority(t)
	key, other := newKey(t), newKey(t)
	alice, bob := r.Actor(t, "alice").Person, r.Actor(t, "bob").Person
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, err)
	ku := func(u x509.KeyUsage) func(*x509.Certificate) { return func(c *x509.Certificate) { c.KeyUsage = u } }
	subject := func(c *x509.Certificate) api.ImportSubject { return api.ImportSubject{Certificate: c.Raw} }
	good := old.issue(t, key, "Alice Anders", "alice@example.test")
	as := func(s api.ImportSubject, p uuid.UUID, departed bool) api.ImportSubject {
		s.Person, s.Departed = &p, departed
		return s
	}
	_, keys := r.enrol(t, "alice", housetest.Pair)
	signer := old.issue(t, keys.Signing, "Alice Anders", "alice@example.test")
	enrolled := old.issue(t, keys.Encryption, "Bob Brown", "bob@example.test")
	rita := r.Actor(t, "rita").Person
	r.addRegistrar(t, "olivia")

	_, x := r.draft(t, "rita", subject(good))
	seal := func(s api.ImportSubject, who uuid.UUID, k crypto.PrivateKey) []byte {
		return sealedImport(t, k, x, api.ImportIdentifier(who, s.Certificate, x.Nonce))
	}
	for name, tt := range map[string]struct {
		who     string
		subject api.ImportSubject
		key     []byte
		status  int
		code    string
	}{
		"no registrar":                   {"alice", subject(good), seal(subject(good), alice, key), 403, "role-required"},
		"a signing certificate":          {"rita", subject(old.issue(t, key, "Alice Anders", "alice@example.test", ku(x509.KeyUsageDigitalSignature))), nil, 403, "import-signing-key"},
		"a certificate for both":         {"rita", subject(old.issue(t, key, "Alice Anders", "alice@example.test", ku(x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment))), nil, 403, "import-signing-key"},
		"non-repudiation too":            {"rita", subject(old.issue(t, key, "Alice Anders", "alice@example.test", ku(x509.KeyUsageContentCommitment|x509.KeyUsageKeyEncipherment))), nil, 403, "import-signing-key"},
		"no key usage":                   {"rita", subject(old.issue(t, key, "Alice Anders", "alice@example.test", ku(0))), nil, 403, "import-signing-key"},
		"for servers":                    {"rita", subject(old.issue(t, key, "Alice Anders", "alice@example.test", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })), nil, 403, "import-signing-key"},
		"an authority":                   {"rita", subject(old.cert), nil, 403, "import-signing-key"},
		"our signing key":                {"rita", subject(signer), seal(subject(signer), alice, keys.Signing), 409, "key-in-use"},
		"alice's key, named bob's":       {"rita", subject(enrolled), seal(subject(enrolled), bob, keys.Encryption), 409, "key-in-use"},
		"garbage for a certificate":      {"rita", api.ImportSubject{Certificate: []byte("garbage")}, nil, 400, "import-certificate"},
		"a huge certificate":             {"rita", api.ImportSubject{Certificate: make([]byte, api.MaxForeignCertificate+1)}, nil, 400, "import-certificate"},
		"no address":                     {"rita", subject(old.issue(t, key, "Alice Anders", "")), nil, 409, "import-person"},
		"nobody's address":               {"rita", subject(old.issue(t, key, "Zoe Zimmer", "zoe@example.test")), nil, 409, "import-person"},
		"addresses of two":               {"rita", subject(old.issue(t, key, "Alice Anders", "alice@example.test", func(c *x509.Certificate) { c.EmailAddresses = append(c.EmailAddresses, "bob@example.test") })), nil, 409, "import-person"},
		"another name":                   {"rita", subject(old.issue(t, key, "Alicia Adams", "alice@example.test")), nil, 409, "import-name"},
		"named: oneself":                 {"rita", as(subject(good), rita, false), seal(subject(good), rita, key), 403, "import-own"},
		"named: unknown":                 {"rita", as(subject(good), uuid.New(), false), nil, 409, "import-person"},
		"departed, and there":            {"rita", api.ImportSubject{Certificate: good.Raw, Departed: true}, nil, 409, "import-person"},
		"named, departed, and there":     {"rita", as(subject(good), bob, true), nil, 409, "import-person"},
		"sealed for another person":      {"rita", subject(good), seal(subject(good), bob, key), 400, "escrowed-key-refused"},
		"replayed for another":           {"rita", as(subject(good), bob, false), seal(subject(good), alice, key), 400, "escrowed-key-refused"},
		"sealed for another certificate": {"rita", subject(good), seal(subject(signer), alice, key), 400, "escrowed-key-refused"},
		"sealed as for an enrolment":     {"rita", subject(good), sealedImport(t, key, x, api.EscrowIdentifier(alice, nil, good.Raw, x.Nonce)), 400, "escrowed-key-refused"},
		"another's nonce":                {"olivia", subject(good), seal(subject(good), alice, key), 400, "escrowed-key-refused"},
		"no message":                     {"rita", subject(good), []byte("garbage"), 400, "escrowed-key-refused"},
		"another key":                    {"rita", subject(good), seal(subject(good), alice, other), 400, "archived-key-mismatch"},
		"no key inside":                  {"rita", subject(good), sealedPKCS8(t, []byte{0x30, 0x0c, 2, 1, 0, 0x30, 5, 6, 3, 0x2a, 3, 4, 4, 0}, x, api.ImportIdentifier(alice, good.Raw, x.Nonce)), 400, "archived-key-format"},
		"a weak key":                     {"rita", subject(old.issue(t, weak, "Alice Anders", "alice@example.test")), nil, 400, "archived-key-weak"},
	} {
		if tt.code == "archived-key-weak" {
			tt.key = seal(tt.subject, alice, weak)
		}
		got := r.ask(t, person(tt.who), "POST", "/imports", api.ImportRequest{ImportSubject: tt.subject, Key: tt.key})
		if code := got.code(t); got.status != tt.status || code != tt.code {
			t.Errorf("%s: %d %s, want %d %s\n%s", name, got.status, code, tt.status, tt.code, got.body)
		}
	}
	req := r.importOf(t, "rita", subject(good), key)
	for name, chain := range map[string][][]byte{"garbage": {[]byte("x")}, "no authority": {good.Raw}, "twice": {old.cert.Raw, old.cert.Raw}, "too long": slices.Repeat([][]byte{old.cert.Raw}, 9)} {
		req.Chain = chain
		if code := r.ask(t, person("rita"), "POST", "/imports", req).code(t); code != "import-certificate" {
			t.Errorf("chain with %s: %s", name, code)
		}
	}
	if got := r.ask(t, person("rita"), "POST", "/imports", bytes.Repeat([]byte("x"), 10<<20)); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("10 MB: %d", got.status)
	}
	if n := r.Database.Count(t, `select count(*) from archive.record`); n != 1 {
		t.Errorf("%d records, want alice's own", n)
	}
	if n := r.Database.Count(t, `select count(*) from archive.foreign_certificate`); n != 0 {
		t.Errorf("%d foreign certificates", n)
	}
	if n := r.Database.Count(t, `select count(*) from audit.event where kind = 'import.refused'`); n < 25 {
		t.Errorf("%d refusals in the log", n)
	}
	r.Settled(t)
}

// addRegistrar makes somebody a registrar.
func (r *rig) addRegistrar(t testing.TB, login string) {
	t.Helper()
	r.Slapd.Modify(t, "dn: "+slapdtest.GroupDN("registrars")+"\nchangetype: modify\nadd: member\nmember: "+slapdtest.PersonDN(login)+"\n")
}

// People who are in no directory: the same person for all keys of one address, found again by it in a case.
func TestImportOfDeparted(t *testing.T) {
	r := setup(t)
	old := newForeignAuthority(t)
	var zoe uuid.UUID
	for i := range 2 {
		key := newKey(t)
		c := old.issue(t, key, "Zoe Zimmer", "Zoe@example.test", func(c *x509.Certificate) { c.NotBefore = time.Now().AddDate(-3-i, 0, 0) })
		s := api.ImportSubject{Certificate: c.Raw, Departed: true}
		got := read[api.Imported](t, r.ask(t, person("rita"), "POST", "/imports", r.importOf(t, "rita", s, key)))
		if i > 0 && got.Person != zoe || got.Name != "Zoe Zimmer" || got.Mail != "Zoe@example.test" {
			t.Errorf("%+v, and before %s", got, zoe)
		}
		zoe = got.Person
	}
	drafts := read[api.CaseDrafts](t, r.ask(t, person("rita"), "POST", "/cases/drafts", api.CaseQuery{Kind: "business", Mailboxes: []string{"zoe@EXAMPLE.test"}}))
	if len(drafts.Drafts) != 1 || len(drafts.Drafts[0].Subjects) != 1 || drafts.Drafts[0].Subjects[0].Person != zoe || len(drafts.Drafts[0].Subjects[0].Records) != 2 {
		t.Fatalf("%+v", drafts)
	}
	if got := drafts.Drafts[0].Subjects[0].Records[0]; got.Name != "Zoe Zimmer" {
		t.Errorf("officers would read %q", got.Name)
	}
	to := time.Now().AddDate(-3, -6, 0) // when only the older one was valid
	drafts = read[api.CaseDrafts](t, r.ask(t, person("rita"), "POST", "/cases/drafts", api.CaseQuery{Kind: "business", People: []uuid.UUID{zoe}, To: &to}))
	if len(drafts.Drafts[0].Subjects[0].Records) != 1 {
		t.Errorf("valid before %s: %+v", to, drafts)
	}
	// Another Zoe, of the same address in other years, has an id of her own, and one who is there is named by hers.
	key, another := newKey(t), uuid.New()
	c := old.issue(t, key, "Zoe Zander", "zoe@example.test")
	got := read[api.Imported](t, r.ask(t, person("rita"), "POST", "/imports", r.importOf(t, "rita", api.ImportSubject{Certificate: c.Raw, Person: &another, Departed: true}, key)))
	if got.Person != another {
		t.Errorf("%+v", got)
	}
	if d, _ := r.draft(t, "rita", api.ImportSubject{Certificate: old.issue(t, newKey(t), "Zoe", "zoe@example.test").Raw, Departed: true}); d.State != api.ImportRefused || d.Code != "import-person" {
		t.Errorf("an address that two had: %+v", d)
	}
	bob := r.Actor(t, "bob").Person
	married := old.issue(t, newKey(t), "Bob Barnes", "barnes@example.test")
	if d, _ := r.draft(t, "rita", api.ImportSubject{Certificate: married.Raw, Person: &bob}); d.State != api.ImportReady || d.Person != bob {
		t.Errorf("a former name: %+v", d)
	}
}

// Many at once, through two servers, is once.
func TestImportRace(t *testing.T) {
	r := setup(t)
	second := setupIn(t, r)
	old := newForeignAuthority(t)
	key := newKey(t)
	s := api.ImportSubject{Certificate: old.issue(t, key, "Alice Anders", "alice@example.test").Raw}
	req := r.importOf(t, "rita", s, key)
	var wg sync.WaitGroup
	var mu sync.Mutex
	states := map[string]int{}
	for i := range 8 {
		wg.Go(func() {
			server := []*rig{r, second}[i%2]
			got := read[api.Imported](t, server.ask(t, person("rita"), "POST", "/imports", req))
			mu.Lock()
			defer mu.Unlock()
			states[got.State]++
		})
	}
	wg.Wait()
	if states[api.ImportedNow] != 1 || states[api.ImportedBefore] != 7 {
		t.Errorf("%v", states)
	}
	if n := r.Database.Count(t, `select count(*) from audit.event where kind in ('archive.deposited', 'archive.imported')`); n != 2 {
		t.Errorf("%d events, want one of each kind", n)
	}
}

// What was imported is given back by two of three officers, with its foreign certificate and chain.
func TestImportedKeyIsRestored(t *testing.T) {
	r := setup(t)
	old := newForeignAuthority(t)
	key := newKey(t)
	c := old.issue(t, key, "Alice Anders", "alice@example.test")
	req := r.importOf(t, "rita", api.ImportSubject{Certificate: c.Raw}, key)
	req.Chain = [][]byte{old.cert.Raw}
	imported := read[api.Imported](t, r.ask(t, person("rita"), "POST", "/imports", req))
	status, keys := r.enrol(t, "alice", housetest.Pair)
	drafts := read[api.CaseDrafts](t, r.ask(t, person("alice"), "POST", "/cases/drafts", api.CaseQuery{Kind: "restore"}))
	recipient := device(t)
	s := r.signed(t, "alice", "restore", drafts.Drafts[0], recipient.Certificate, status, keys)
	read[api.Case](t, r.ask(t, person("alice"), "POST", "/cases", api.CaseOpening{Case: s.Bytes()}))
	read[api.Case](t, r.answered(t, "olivia", 1, s.ID))
	read[api.Case](t, r.answered(t, "oscar", 2, s.ID))
	opened := r.opened(t, "alice", s.ID, recipient)
	got, err := x509.ParsePKCS8PrivateKey(opened[imported.SPKISHA256])
	if err != nil || !key.Equal(got) {
		t.Errorf("the imported key did not come back: %v", err)
	}
	found := map[string]api.CaseKeyCertificates{}
	for after := ""; ; {
		page := read[api.CaseCertificates](t, r.ask(t, person("alice"), "GET", fmt.Sprintf("/cases/%s/certificates?limit=1&after=%s", s.ID, after), nil))
		for _, k := range page.Items {
			found[k.SPKISHA256] = k
		}
		if after = page.Next; after == "" {
			break
		}
	}
	want := api.CaseKeyCertificates{SPKISHA256: imported.SPKISHA256, Certificates: [][]byte{c.Raw}, Issuers: [][]byte{old.cert.Raw}}
	if diff := cmp.Diff(want, found[imported.SPKISHA256]); diff != "" {
		t.Error(diff)
	}
	own := found[status.Certificates[1].SPKISHA256]
	if len(own.Certificates) != 1 || !bytes.Equal(own.Certificates[0], status.Certificates[1].DER) || len(own.Issuers) == 0 {
		t.Errorf("our own: %+v", own)
	}
	if code := r.ask(t, person("carol"), "GET", "/cases/"+s.ID.String()+"/certificates", nil).code(t); code != "unknown-case" {
		t.Errorf("somebody else asks: %s", code)
	}
}
