package web_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"math/big"
	"net/http"
	"testing"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/gal/contact"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/slapdtest"
	"github.com/sealpost/sealpost/web"
)

// somebodyElses returns the certificate of somebody outside, signed by itself.
func somebodyElses(t *testing.T, r *rig, mailbox string, serial int64) []byte {
	t.Helper()
	key := pkitest.RSAKey(t, ca.RSA3072, 5)
	now := r.Clock.Now()
	c := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "Erin Egan"}, NotBefore: now, NotAfter: now.AddDate(0, 0, 20), EmailAddresses: []string{mailbox},
		KeyUsage: x509.KeyUsageKeyEncipherment}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	must(t, err)
	return der
}

// Registrars add and remove contacts over the interface; operators and auditors see them; every refusal has its code.
func TestContacts(t *testing.T) {
	const erin = "erin@partner.test"
	t.Parallel()
	h := housetest.New(t)
	h.Slapd.Modify(t, fmt.Sprintf("dn: %[1]s\nobjectClass: organizationalUnit\nou: contacts\n\ndn: cn=erin,%[1]s\nobjectClass: inetOrgPerson\ncn: erin\nsn: Egan\nmail: %[2]s\n", slapdtest.Contacts, erin))
	r := start(t, h, func(c *web.Config) {
		there := housetest.DirectoryConfig(h.Slapd)
		there.DB, there.Now, there.People = h.DB, c.Now, directory.People{Base: slapdtest.Contacts}
		d, err := directory.New(there)
		must(t, err)
		t.Cleanup(d.Close)
		find, err := directory.NewFinder("")
		must(t, err)
		c.Contacts, err = contact.New(contact.Config{DB: h.DB, Authority: c.Authority, People: c.Directory, Directory: d, Find: find, Audit: c.Audit,
			Own: []string{"example.test"}, Now: c.Now})
		must(t, err)
	})
	body := api.ContactRequest{Mailbox: erin, Certificate: somebodyElses(t, r, erin, 1), Note: "Fingerprint compared by telephone."}
	asked := body
	asked.CheckOnly = true
	if c := read[api.Contact](t, r.ask(t, person("rita"), http.MethodPost, "/contacts", asked)); c.ID != uuid.Nil || c.SHA256 == "" || c.AddedAt != nil {
		t.Errorf("asked: %+v", c)
	}
	c := read[api.Contact](t, r.ask(t, person("rita"), http.MethodPost, "/contacts", body))
	if c.State != "current" || c.Mailbox != erin || c.Subject != "CN=Erin Egan" || c.Trust != "registrar" || c.Revocation != "none" || !c.EndsSoon || c.Shown != "shown" || c.DN != "cn=erin,"+slapdtest.Contacts || c.AddedBy != r.Actor(t, "rita").Name {
		t.Errorf("added: %+v", c)
	}
	if _, err := hex.DecodeString(c.SHA256); err != nil || len(c.SHA256) != 64 {
		t.Errorf("fingerprint %q", c.SHA256)
	}
	changed := func(change func(*api.ContactRequest)) api.ContactRequest {
		b := body
		change(&b)
		return b
	}
	at := "/contacts/" + c.ID.String()
	why := api.ContactRemoval{Reason: "Has left."}
	for _, x := range []struct {
		what   string
		who    as
		method string
		path   string
		body   any
		status int
		code   string
	}{
		{"nobody lists", as{}, http.MethodGet, "/contacts", nil, 401, "credentials-missing"},
		{"nobody adds", as{}, http.MethodPost, "/contacts", body, 401, "credentials-missing"},
		{"a subscriber lists", person("bob"), http.MethodGet, "/contacts", nil, 403, "contact-not-allowed"},
		{"a subscriber looks", person("bob"), http.MethodGet, at, nil, 403, "contact-not-allowed"},
		{"a subscriber adds", person("bob"), http.MethodPost, "/contacts", body, 403, "contact-not-allowed"},
		{"an operator adds", person("operator"), http.MethodPost, "/contacts", body, 403, "contact-not-allowed"},
		{"an auditor removes", person("auditor"), http.MethodPost, at + "/remove", why, 403, "contact-not-allowed"},
		{"no such one", person("auditor"), http.MethodGet, "/contacts/" + uuid.NewString(), nil, 404, "unknown-contact"},
		{"no note", person("rita"), http.MethodPost, "/contacts", changed(func(b *api.ContactRequest) { b.Note = "" }), 400, "request-invalid"},
		{"a note of blanks", person("rita"), http.MethodPost, "/contacts", changed(func(b *api.ContactRequest) { b.Note = "  " }), 400, "contact-note"},
		{"no address", person("rita"), http.MethodPost, "/contacts", changed(func(b *api.ContactRequest) { b.Mailbox = "erin" }), 400, "contact-mailbox"},
		{"another address", person("rita"), http.MethodPost, "/contacts", changed(func(b *api.ContactRequest) { b.Mailbox = "frank@partner.test" }), 400, "contact-certificate-address"},
		{"our own address", person("rita"), http.MethodPost, "/contacts", changed(func(b *api.ContactRequest) { b.Mailbox = "alice@example.test" }), 409, "contact-own-address"},
		{"garbage", person("rita"), http.MethodPost, "/contacts", changed(func(b *api.ContactRequest) { b.Certificate = []byte("x") }), 400, "contact-certificate-unreadable"},
		{"no reason", person("rita"), http.MethodPost, at + "/remove", api.ContactRemoval{}, 400, "request-invalid"},
	} {
		if got := r.ask(t, x.who, x.method, x.path, x.body); got.status != x.status || got.code(t) != x.code {
			t.Errorf("%s: status %d, %s", x.what, got.status, got.body)
		}
	}
	for _, login := range []string{"rita", "operator", "auditor"} {
		if list := read[api.Page[api.Contact]](t, r.ask(t, person(login), http.MethodGet, "/contacts?mailbox=ERIN@partner.test&limit=1", nil)); len(list.Items) != 1 || list.Items[0].ID != c.ID || list.Next == "" {
			t.Errorf("%s sees %+v", login, list)
		}
	}
	if gone := read[api.Contact](t, r.ask(t, person("rita"), http.MethodPost, at+"/remove", why)); gone.State != "removed" || gone.Reason != why.Reason || gone.EndedAt == nil {
		t.Errorf("removed: %+v", gone)
	}
	for query, want := range map[string]int{"": 0, "?former=true": 1} {
		if list := read[api.Page[api.Contact]](t, r.ask(t, person("rita"), http.MethodGet, "/contacts"+query, nil)); len(list.Items) != want {
			t.Errorf("%q: %d contacts", query, len(list.Items))
		}
	}
}

// A server without contacts says that there are none.
func TestNoContacts(t *testing.T) {
	r := setup(t)
	if got := read[api.Page[api.Contact]](t, r.ask(t, person("rita"), http.MethodGet, "/contacts", nil)); len(got.Items) != 0 {
		t.Errorf("%+v", got)
	}
	for path, code := range map[string]string{"/contacts": "contacts-off", fmt.Sprintf("/contacts/%s/remove", uuid.New()): "unknown-contact"} {
		body := any(api.ContactRequest{Mailbox: "erin@partner.test", Certificate: []byte{1}, Note: "x"})
		if path != "/contacts" {
			body = api.ContactRemoval{Reason: "x"}
		}
		if got := r.ask(t, person("rita"), http.MethodPost, path, body); got.code(t) != code {
			t.Errorf("%s: status %d, %s", path, got.status, got.body)
		}
	}
}
