package agent_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/internal/jws"
)

// server is the other end of the wire, as far as an agent sees it. It stands for no room of ours: it is here to say what
// the real server never says (lies), to lose answers, and to stand in another year.
type server struct {
	*httptest.Server
	t    *testing.T
	pki  pki
	name string // of the issuer

	mu       sync.Mutex
	now      func() time.Time
	person   api.Person
	plans    []api.Enrolment
	restrict string
	states   []api.EnrolmentState       // that a new request goes through, one for each answer; the last stays
	lie      func(*api.EnrolmentStatus) // changes an answer that says "issued"
	exchange func(*api.Exchange)        // changes a policy
	lose     int                        // answers to POST that are lost after the work was done
	away     bool                       // everything is 503
	requests map[string]*served         // by idempotency key
	spent    map[string]string          // token to idempotency key
	seen     []string                   // "POST certificate" and the like
	revoked  []string

	fleet   bool       // reports are taken
	reports []reported // that came

	wants      bool     // what the directory should show, signed
	advertised [][]byte // and what came
	unwelcome  bool     // it is refused

	off    time.Duration                                    // of the clock that Date shows
	mute   bool                                             // policies say nothing of certificates
	shift  func(*api.Due)                                   // changes what they say
	change func(*api.Policy)                                // changes a policy before it is signed
	signed func(p api.Policy, machine string) (jose string) // signs it in place of the server
	tag    string                                           // ETag of policies
	both   bool                                             // the certificate to sign with is to encrypt to, too
}

// reported is what a machine said.
type reported struct {
	machine string
	mailbox string // of the certificate that showed who asked; empty: none did
	api.MachineReport
}

func (s *server) report(w http.ResponseWriter, r *http.Request, machine string) {
	if !s.fleet {
		refuse(w, 404, "no-fleet", "This server keeps nothing about machines.")
		return
	}
	got := reported{machine: machine}
	if len(r.TLS.PeerCertificates) > 0 {
		got.mailbox = r.TLS.PeerCertificates[0].EmailAddresses[0]
	}
	if err := json.NewDecoder(r.Body).Decode(&got.MachineReport); err != nil || r.Header.Get(api.MachineHeader) != machine {
		s.t.Errorf("report: %v, header %q", err, r.Header.Get(api.MachineHeader))
	}
	s.reports = append(s.reports, got)
	reply(w, api.Machine{})
}

type served struct {
	status api.EnrolmentStatus
	body   [32]byte
	states []api.EnrolmentState
}

const (
	login    = "alice"
	password = "correct horse"
)

func newServer(t *testing.T, now func() time.Time) *server {
	t.Helper()
	s := &server{t: t, pki: newPKI(t), name: "mail", now: now, requests: map[string]*served{}, spent: map[string]string{},
		person: api.Person{ID: uuid.New(), Name: "Alice Example", GivenName: "Alice", Surname: "Example",
			Mailboxes: []string{"alice@example.test", "a.example@example.test"}},
		plans:  []api.Enrolment{dualPlan("P-256")},
		states: []api.EnrolmentState{api.StateIssued},
	}
	s.Server = httptest.NewUnstartedServer(s)
	s.Server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	s.Server.StartTLS()
	t.Cleanup(s.Server.Close)
	return s
}

// dualPlan is the usual pair. Tests that need no RSA key use P-256 for encryption too, which is quicker to make.
func dualPlan(encryption string) api.Enrolment {
	return api.Enrolment{Name: "smime", Title: "Secure mail",
		Signing:    &api.KeyPlan{Profile: "smime-signing", Algorithms: []string{"P-256", "RSA-3072"}, ValidityDays: 730},
		Encryption: &api.KeyPlan{Profile: "smime-encryption", Algorithms: []string{encryption}, Escrowed: true, ValidityDays: 730},
	}
}

func (s *server) config() client.Config {
	roots := x509.NewCertPool()
	roots.AddCert(s.Server.Certificate())
	return client.Config{BaseURL: s.URL, Roots: roots, Backoff: time.Millisecond, Retries: 1}
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Date", s.date().UTC().Format(http.TimeFormat))
	path := strings.TrimPrefix(r.URL.Path, api.Base)
	who := s.who(r)
	s.seen = append(s.seen, r.Method+" "+strings.Split(path, "/")[1]+" "+who)
	switch {
	case s.away:
		refuse(w, 503, "away", "Away.")
	case who == "" && path != "/health":
		refuse(w, 401, "credentials", "The login or password is wrong.")
	case who == "certificate" && s.shownRevoked(r):
		refuse(w, 401, "client-certificate-revoked", "The client certificate was revoked.")
	case path == "/policy":
		s.tell(w, r)
	case path == "/enrolments" && r.Method == http.MethodPost:
		s.enrol(w, r)
	case strings.HasPrefix(path, "/enrolments/"):
		s.enrolment(w, strings.TrimPrefix(path, "/enrolments/"))
	case path == "/advertisements":
		s.advertise(w, r)
	case path == "/certificates":
		s.certificates(w)
	case strings.HasPrefix(path, "/machines/") && r.Method == http.MethodPut:
		s.report(w, r, strings.TrimPrefix(path, "/machines/"))
	case strings.HasSuffix(path, "/revoke"):
		s.revoke(w, path)
	default:
		refuse(w, 404, "no-such-page", "There is nothing here.")
	}
}

func (s *server) who(r *http.Request) string {
	if l, p, ok := r.BasicAuth(); ok {
		if l == login && p == password {
			return "password"
		}
		return ""
	}
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		name, spent := s.spent[token]
		if !spent || r.URL.Path != api.Base+"/policy" && (r.Header.Get(api.IdempotencyHeader) == name || r.Method == http.MethodGet) {
			return "token"
		}
		return ""
	}
	if len(r.TLS.PeerCertificates) > 0 {
		for _, req := range s.requests {
			for _, c := range req.status.Certificates {
				if bytes.Equal(c.DER, r.TLS.PeerCertificates[0].Raw) && c.Use != "encryption" {
					return "certificate"
				}
			}
		}
	}
	return ""
}

func (s *server) policy() api.Policy {
	p := api.Policy{Person: s.person, Enrolments: s.plans, RenewAfter: 0.75, IssuedAt: s.now().UTC().Truncate(time.Second)}
	p.Ends = p.IssuedAt.Add(8 * 24 * time.Hour)
	if !s.mute {
		p.Renewal.Certificates = s.due()
	}
	p.Person.Restricted = s.restrict
	cert := s.pki.issue(s.t, template{name: "Exchange", now: s.now(), usage: x509.KeyUsageKeyAgreement, extended: api.OIDExchange}, s.pki.exchange.Public())
	p.Exchange = &api.Exchange{Certificate: cert, Chain: s.pki.chain(), Nonce: "nonce." + s.now().UTC().Format("20060102T150405"), NonceEnds: s.now().Add(time.Hour)}
	if s.exchange != nil {
		s.exchange(p.Exchange)
	}
	if s.wants {
		p.Advertise = s.unadvertised()
	}
	return p
}

func (s *server) shownRevoked(r *http.Request) bool {
	for _, req := range s.requests {
		for _, c := range req.status.Certificates {
			if bytes.Equal(c.DER, r.TLS.PeerCertificates[0].Raw) {
				return c.Status == "revoked"
			}
		}
	}
	return false
}

func (s *server) date() time.Time { return s.now().Add(s.off) }

// due says that everything is to be renewed after three quarters of its life, as agents do that were told nothing.
func (s *server) due() []api.Due {
	out := []api.Due{}
	for _, req := range s.requests {
		for _, c := range req.status.Certificates {
			life := c.NotAfter.Sub(c.NotBefore)
			d := api.Due{CertificateName: api.CertificateName{Issuer: c.Issuer, Serial: c.Serial}, Why: "age", Status: c.Status,
				RenewAt: c.NotBefore.Add(life / 4 * 3), LateAt: c.NotBefore.Add(life / 10 * 9)}
			if c.Status == "revoked" {
				d.Why, d.RenewAt = "revoked", s.now()
			}
			if s.shift != nil {
				s.shift(&d)
			}
			out = append(out, d)
		}
	}
	return out
}

// tell answers with a signed policy.
func (s *server) tell(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Accept") != api.PolicyMedia+", application/problem+json" {
		reply(w, api.Policy{Person: s.person}) // not signed: good to see who one is, and for nothing else
		return
	}
	w.Header().Set("ETag", s.tag)
	if s.tag != "" && r.Header.Get("If-None-Match") == s.tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	p := s.policy()
	if machine, err := uuid.Parse(r.Header.Get(api.MachineHeader)); err == nil {
		p.Machine = &machine
	}
	if s.change != nil {
		s.change(&p)
	}
	sign := s.signed
	if sign == nil {
		sign = func(p api.Policy, _ string) string { return s.pki.signPolicy(s.t, p, template{}) }
	}
	w.Header().Set("Content-Type", api.PolicyMedia)
	_, _ = w.Write([]byte(sign(p, r.Header.Get(api.MachineHeader)))) // an agent that is gone
}

// signPolicy signs a policy with a new policy key.
func (p *pki) signPolicy(t *testing.T, told api.Policy, c template) string {
	payload, err := json.Marshal(told)
	if err != nil {
		t.Error(err)
	}
	return p.signAsPolicy(t, payload, told.IssuedAt, c)
}

func (p *pki) signAsPolicy(t *testing.T, payload []byte, at time.Time, c template) string {
	key := ecKey(t)
	if c.name == "" {
		c.name = "Policy"
	}
	if len(c.extended) == 0 {
		c.extended = api.OIDPolicy
	}
	if c.now.IsZero() {
		c.now = at
	}
	if c.usage == 0 {
		c.usage = x509.KeyUsageDigitalSignature
	}
	leaf, err := x509.ParseCertificate(p.issue(t, c, key.Public()))
	if err != nil {
		t.Error(err)
		return ""
	}
	signed, err := jws.Sign(key, []*x509.Certificate{leaf, p.issuing, p.root}, api.PolicyType, payload)
	if err != nil {
		t.Error(err)
	}
	return signed
}

// unadvertised names the certificates of all requests for which nothing signed has come.
func (s *server) unadvertised() (out []api.CertificateName) {
	for _, req := range s.requests {
		for _, c := range req.status.Certificates {
			if c.Use != "signing" && !slices.ContainsFunc(s.advertised, func(value []byte) bool {
				a, err := cms.ReadAdvertisement(value)
				return err == nil && bytes.Equal(a.Encryption.Raw, c.DER)
			}) {
				out = append(out, api.CertificateName{Issuer: c.Issuer, Serial: c.Serial})
			}
		}
	}
	return append(out, api.CertificateName{Issuer: s.name, Serial: "4711"}) // of another device
}

func (s *server) advertise(w http.ResponseWriter, r *http.Request) {
	var req api.Advertisement
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil || s.unwelcome {
		refuse(w, 403, "advertisement-refused", "Not so.")
		return
	}
	if _, err := cms.ReadAdvertisement(req.Value); err != nil {
		s.t.Error(err)
	}
	s.advertised = append(s.advertised, req.Value)
	reply(w, api.Advertised{})
}

func (s *server) enrol(w http.ResponseWriter, r *http.Request) {
	var req api.EnrolmentRequest
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		refuse(w, 400, "malformed", err.Error())
		return
	}
	name := r.Header.Get(api.IdempotencyHeader)
	body := sha256.Sum256(fmt.Appendf(nil, "%s %x %x", req.Enrolment, req.SigningCSR, req.EncryptionCSR))
	known, ok := s.requests[name]
	switch {
	case ok && known.body != body:
		refuse(w, 409, "idempotency-key-reused", "Another request has this name.")
		return
	case !ok:
		st, err := s.issue(req)
		if err != nil {
			refuse(w, 422, "refused", err.Error())
			return
		}
		known = &served{status: st, body: body, states: s.states}
		s.requests[name] = known
	}
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		s.spent[token] = name
	}
	if s.lose > 0 {
		s.lose--
		panic(http.ErrAbortHandler)
	}
	reply(w, s.next(known))
}

func (s *server) enrolment(w http.ResponseWriter, id string) {
	for _, req := range s.requests {
		if req.status.ID.String() == id {
			reply(w, s.next(req))
			return
		}
	}
	refuse(w, 404, "unknown-enrolment-request", "There is no such request.")
}

// next is the answer about a request, and the step to its next state.
func (s *server) next(req *served) api.EnrolmentStatus {
	st := req.status
	st.State = req.states[0]
	if len(req.states) > 1 {
		req.states = req.states[1:]
	}
	if st.State != api.StateIssued {
		st.Certificates, st.Receipt = nil, nil
		if st.State == api.StateRejected || st.State == api.StateFailed {
			st.Reason = "because"
		}
		return st
	}
	if s.lie != nil {
		copied := st
		copied.Certificates = append([]api.Certificate(nil), st.Certificates...)
		if st.Receipt != nil {
			r := *st.Receipt
			copied.Receipt = &r
		}
		st = copied
		s.lie(&st)
	}
	return st
}

// issue certifies the keys of a request.
func (s *server) issue(req api.EnrolmentRequest) (st api.EnrolmentStatus, err error) {
	st = api.EnrolmentStatus{ID: uuid.New(), Enrolment: req.Enrolment, Person: s.person.ID, PersonName: s.person.Name,
		Mailboxes: s.person.Mailboxes, SubmittedAt: s.now()}
	if len(req.SigningCSR) > 0 {
		csr, err := parseCSR(req.SigningCSR)
		if err != nil {
			return st, err
		}
		use, usage := "signing", x509.KeyUsageDigitalSignature
		if s.both {
			use, usage = "single", usage|x509.KeyUsageKeyAgreement
		}
		st.Certificates = append(st.Certificates, s.certify(use, csr.PublicKey, usage))
	}
	if len(req.EncryptionCSR) == 0 {
		return st, nil
	}
	csr, err := parseCSR(req.EncryptionCSR)
	if err != nil {
		return st, err
	}
	if err := s.open(req, csr); err != nil {
		return st, err
	}
	st.Certificates = append(st.Certificates, s.certify("encryption", csr.PublicKey, encipherUsage(csr.PublicKey)))
	st.Receipt = s.receipt(csr.RawSubjectPublicKeyInfo)
	return st, nil
}

func parseCSR(der []byte) (*x509.CertificateRequest, error) {
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, err
	}
	return csr, csr.CheckSignature()
}

// open holds that the archive could keep the key of this request.
func (s *server) open(req api.EnrolmentRequest, csr *x509.CertificateRequest) error {
	der := s.pki.lastExchange
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	key, err := s.pki.exchange.ECDH()
	if err != nil {
		return err
	}
	opened, err := cms.Open(req.EscrowedKey, cms.Recipient{Certificate: cert, Key: key}, cms.OpenOptions{})
	if err != nil {
		return err
	}
	content, err := cms.ParseEncKeyWithID(opened.Content)
	if err != nil {
		return err
	}
	nonce, ok := api.EscrowNonce(content.Identifier)
	if !ok || content.Identifier != api.EscrowIdentifier(s.person.ID, req.SigningCSR, req.EncryptionCSR, nonce) {
		return fmt.Errorf("identifier %q", content.Identifier)
	}
	if made, err := time.Parse("20060102T150405", strings.TrimPrefix(nonce, "nonce.")); err != nil || s.now().After(made.Add(time.Hour)) {
		return fmt.Errorf("nonce %q is too old", nonce)
	}
	private, err := x509.ParsePKCS8PrivateKey(content.PrivateKey)
	if err != nil {
		return err
	}
	spki, err := x509.MarshalPKIXPublicKey(private.(crypto.Signer).Public())
	if err != nil || !bytes.Equal(spki, csr.RawSubjectPublicKeyInfo) {
		return fmt.Errorf("the key is another one")
	}
	return nil
}

func (s *server) certify(use string, public crypto.PublicKey, usage x509.KeyUsage) api.Certificate {
	return s.wire(use, s.pki.issue(s.t, template{name: s.person.Name, mailboxes: s.person.Mailboxes, now: s.now(), usage: usage}, public))
}

func (s *server) wire(use string, der []byte) api.Certificate {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		s.t.Error(err)
		return api.Certificate{}
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return api.Certificate{Issuer: s.name, Serial: fmt.Sprintf("%x", cert.SerialNumber), Use: use, Status: "good",
		NotBefore: cert.NotBefore, NotAfter: cert.NotAfter, SPKISHA256: hex.EncodeToString(sum[:]), DER: der, Chain: s.pki.chain(),
		Mailboxes: s.person.Mailboxes}
}

func (s *server) receipt(spki []byte) *api.Receipt {
	at := s.now().UTC().Truncate(time.Second)
	signed, err := record.Receipt{SPKI: sha256.Sum256(spki), Record: record.Hash{1}, KeyID: record.Hash{2}, Time: at, AuditLeaf: record.Hash{3}}.Sign(s.pki.receipts)
	if err != nil {
		s.t.Error(err)
		return nil
	}
	signer, err := x509.MarshalPKIXPublicKey(s.pki.receipts.Public())
	if err != nil {
		s.t.Error(err)
		return nil
	}
	return &api.Receipt{ID: uuid.New(), SPKISHA256: signed.SPKI.String(), KeyID: signed.KeyID.String(), Time: signed.Time,
		Signed: signed.Bytes(), Signer: signer}
}

func (s *server) certificates(w http.ResponseWriter) {
	var page api.Page[api.Certificate]
	for _, req := range s.requests {
		page.Items = append(page.Items, req.status.Certificates...)
	}
	reply(w, page)
}

func (s *server) revoke(w http.ResponseWriter, path string) {
	parts := strings.Split(path, "/")
	for _, req := range s.requests {
		for i := range req.status.Certificates {
			if c := &req.status.Certificates[i]; len(parts) == 5 && c.Issuer == parts[2] && c.Serial == parts[3] {
				c.Status = "revoked"
				s.revoked = append(s.revoked, c.Serial)
				reply(w, c)
				return
			}
		}
	}
	refuse(w, 404, "unknown-certificate", "There is no such certificate.")
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // an agent that is gone
}

func refuse(w http.ResponseWriter, status int, code, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(api.Problem{Type: api.ProblemType + code, Status: status, Detail: detail}) // as above
}

// pki is a root, an issuing authority, an exchange key and a receipt key.
type pki struct {
	root, issuing       *x509.Certificate
	rootKey, issuingKey *ecdsa.PrivateKey
	exchange, receipts  *ecdsa.PrivateKey

	lastExchange []byte
}

func newPKI(t *testing.T) pki {
	t.Helper()
	p := pki{rootKey: ecKey(t), issuingKey: ecKey(t), exchange: ecKey(t), receipts: ecKey(t)}
	years := func(name string, serial int64) *x509.Certificate {
		return &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name, Organization: []string{"Example"}},
			NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	}
	rootTemplate := years("Example Root", 1)
	p.root = sign(t, rootTemplate, rootTemplate, p.rootKey.Public(), p.rootKey)
	p.issuing = sign(t, years("Example Mail CA", 2), p.root, p.issuingKey.Public(), p.rootKey)
	return p
}

func (p *pki) chain() [][]byte { return [][]byte{p.issuing.Raw, p.root.Raw} }

// template is what a test wants in a certificate.
type template struct {
	name      string
	mailboxes []string
	now       time.Time
	usage     x509.KeyUsage
	extended  asn1.ObjectIdentifier // empty: mail
	change    func(*x509.Certificate)
}

func (p *pki) issue(t *testing.T, c template, public crypto.PublicKey) []byte {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		t.Error(err)
	}
	tmpl := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: c.name}, EmailAddresses: c.mailboxes,
		NotBefore: c.now.Add(-time.Minute), NotAfter: c.now.Add(730 * 24 * time.Hour), KeyUsage: c.usage,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}, BasicConstraintsValid: true}
	if len(c.extended) > 0 {
		tmpl.ExtKeyUsage, tmpl.UnknownExtKeyUsage = nil, []asn1.ObjectIdentifier{c.extended}
		tmpl.NotAfter = c.now.Add(14 * 24 * time.Hour)
	}
	if c.change != nil {
		c.change(tmpl)
	}
	der := sign(t, tmpl, p.issuing, public, p.issuingKey).Raw
	if c.extended.Equal(api.OIDExchange) {
		p.lastExchange = der
	}
	return der
}

func sign(t *testing.T, tmpl, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func encipherUsage(public crypto.PublicKey) x509.KeyUsage {
	if _, ok := public.(*rsa.PublicKey); ok {
		return x509.KeyUsageKeyEncipherment
	}
	return x509.KeyUsageKeyAgreement
}

func ecKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sprintf hides the verb from vet.
func sprintf(verb string, v any) string { return fmt.Sprintf(verb, v) }

func selfSigned(t testing.TB) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: start, NotAfter: start.AddDate(2, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
