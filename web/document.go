package web

import (
	"bytes"
	"encoding/json"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
)

//go:generate go test -run ^TestDocumentIsCommitted$ -count=1 . -update

// Tags group the operations in the document.
const (
	tagEnrol        = "Enrolment"
	tagDecide       = "Decisions"
	tagCertificates = "Certificates"
	tagIssuers      = "Issuers"
	tagReceipts     = "Receipts"
	tagCases        = "Recovery"
	tagLog          = "Audit log"
	tagCeremonies   = "Ceremonies"
	tagImports      = "Imports"
	tagMachines     = "Machines"
	tagSystem       = "System"
)

// The ways to say who is asking, by their names in the document.
const (
	schemeCertificate = "clientCertificate"
	schemeToken       = "enrolmentToken"
	schemePassword    = "password"
	schemeKerberos    = "kerberos"
	schemeOpenID      = "idToken"
)

const about = `Certificates for secure mail (S/MIME): enrolment, renewal, revocation, and the archive's receipts.

**Who is asking.** A client certificate (the one that mail is signed with) is tried first, then the Authorization header:
an enrolment token as Bearer, the directory's login and password as Basic, or, where the installation takes them, a Kerberos
ticket as Negotiate (RFC 4559), which shows nothing anew where that is asked for, or an ID token of its identity provider as
Bearer. ` + "`GET /signin`" + ` says which ways there are. Each operation says which of them it takes.

**Errors** are problem documents (RFC 9457). Their ` + "`type`" + ` is ` + "`" + api.ProblemType + "`" + ` and a code that is stable; each operation lists its
codes. ` + "`detail`" + ` says what happened and what to do, for people. ` + "`instance`" + ` names the request in the server's log, as the
header Request-Id of every answer does. After 429 and 503 wait as Retry-After says.

**Lists** come in pages: give ` + "`next`" + ` of one as ` + "`after`" + ` of the next.

**Values.** Binary values are DER, as standard base64. Times are RFC 3339 in UTC. Unknown members and parameters are
refused, but for members of a machine's report, which are left out. A request's body has at most 256 KiB, and one that brings a recovery case, an answer to one or a parcel 8 MiB.`

// openAPI is the document without its operations.
func openAPI() *huma.OpenAPI {
	schemas := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	schemas.RegisterTypeAlias(reflect.TypeFor[uuid.UUID](), reflect.TypeFor[uuidText]())
	return &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{Title: "Sealpost", Version: "1", Description: about,
			License: &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}},
		Tags: []*huma.Tag{
			{Name: tagEnrol, Description: "From the policy to both certificates of a pair."},
			{Name: tagDecide, Description: "What registrars do."},
			{Name: tagCertificates, Description: "Finding certificates, and revoking them."},
			{Name: tagIssuers, Description: "Public: the chain, and what is revoked."},
			{Name: tagReceipts, Description: "What the archive keeps, and the proof of it."},
			{Name: tagCases, Description: "Asking for archived keys, and getting them when the officers agree."},
			{Name: tagLog, Description: "What shows that the record of everything is whole, and which officers have seen how much of it."},
			{Name: tagCeremonies, Description: "How officers who are not in one room make the archive's key, or pass it on."},
			{Name: tagImports, Description: "Keys that were kept elsewhere, with other authorities' certificates."},
			{Name: tagParcels, Description: "What one of a person's devices leaves for another, sealed."},
			{Name: tagMachines, Description: "Where the agent is at work, and how it fares there."},
			{Name: tagSystem, Description: "For those who run it."},
		},
		Components: &huma.Components{
			Schemas: schemas,
			SecuritySchemes: map[string]*huma.SecurityScheme{
				schemeCertificate: {Type: "mutualTLS", Description: "A signature or authentication certificate of this installation, valid and not revoked. An encryption certificate is not accepted: its key is archived."},
				schemeToken:       {Type: "http", Scheme: "bearer", Description: "An enrolment token from a registrar. It serves one enrolment, and to ask what became of it."},
				schemePassword:    {Type: "http", Scheme: "basic", Description: "Login and password of the company's directory."},
				schemeKerberos:    {Type: "http", Scheme: "negotiate", Description: "A person's Kerberos ticket to this server, in one SPNEGO token per request, where the installation takes them. Where the client asks for it, the answer proves the server's own key."},
				schemeOpenID:      {Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "An ID token that the organisation's identity provider made for its agents a few minutes ago (`GET /signin` names provider and client), where the installation takes them. It gives the rights of a subscriber, unless the installation says otherwise."},
			},
		},
	}
}

// uuidText is a UUID as the document describes it.
type uuidText string

// Schema is asked for by huma.
func (uuidText) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "uuid"}
}

func (s *Server) systemOperations() {
	register(s, operation{id: "getSignIn", method: http.MethodGet, path: "/signin", tag: tagSystem,
		summary: "Which ways there are to say who is asking", about: "For programs that have to choose one. It is open to everybody.", answer: exampleSignIn}, s.getSignIn)
	register(s, operation{id: "getHealth", method: http.MethodGet, path: "/health", tag: tagSystem,
		summary: "Whether the server can do its work", about: "The status is 200 when every part is well and 503 otherwise; the body is the same. It is at most a second old.",
		answer: exampleHealth}, s.getHealth)
	// What is wrong was what was asked for: no problem document, unless the server is too busy to look.
	responses := s.api.OpenAPI().Paths[api.Base+"/health"].Get.Responses
	responses["503"].Description = "A part is not well. " + responses["503"].Description
	responses["503"].Content[mediaJSON] = responses["200"].Content[mediaJSON]
}

func marshalDocument(d *huma.OpenAPI) ([]byte, error) {
	plain, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, plain, "", "  "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// Document returns the OpenAPI document, which does not depend on any configuration.
func Document() ([]byte, error) {
	s := &Server{}
	err := s.route()
	return s.document, err
}

// Examples, shortened where they are binary.
var (
	exampleDER  = []byte{0x30, 0x82, 0x02, 0x5a, 0x30, 0x82}
	exampleTime = time.Date(2026, 3, 4, 9, 30, 0, 0, time.UTC)
	exampleWho  = uuid.MustParse("5f0c2a9e-54f1-4c0a-9d2e-0f6b8d7c1a23")
	exampleID   = uuid.MustParse("0195f2c4-7c1e-7000-8000-5f3a9e1b2c4d")
	exampleHash = "8d969eef6ecad3c29a3a629280e686cf0c3f5d5a86aff3ca12020c923adc6c92"

	examplePolicy = api.Policy{IssuedAt: exampleTime, Ends: exampleTime.AddDate(0, 0, 8), Machine: &exampleID,
		Renewal: api.Renewal{From: 0.7, Until: 0.85, Certificates: []api.Due{{CertificateName: api.CertificateName{Issuer: "issuing", Serial: "4f1d0c2b3a495867768594a3b2c1d0ef"},
			RenewAt: exampleTime.AddDate(1, 6, 20), LateAt: exampleTime.AddDate(1, 8, 14), Why: "age", Status: "good"}}},
		Old:    api.OldKeys{SigningKeys: "forget", EncryptionKeys: "keep"},
		Person: api.Person{ID: exampleWho, Name: "Alice Anders", GivenName: "Alice", Surname: "Anders", Mailboxes: []string{"alice@example.test"}, Roles: []string{"subscriber"}},
		Enrolments: []api.Enrolment{{Name: "smime", Title: "Secure mail",
			Signing:    &api.KeyPlan{Profile: "smime-signing", Algorithms: []string{"P-256", "RSA-3072"}, ValidityDays: 730},
			Encryption: &api.KeyPlan{Profile: "smime-encryption", Algorithms: []string{"RSA-3072", "P-256"}, Escrowed: true, ValidityDays: 730}}},
		Exchange:   &api.Exchange{Certificate: exampleDER, Chain: [][]byte{exampleDER, exampleDER}, Nonce: "AAAAAGmoBgjX", NonceEnds: exampleTime.Add(time.Hour)},
		RenewAfter: 0.7,
	}
	exampleAttestation = api.AttestationRequest{Endorsement: [][]byte{exampleDER}, Key: exampleDER}
	exampleChallenge   = api.AttestationChallenge{Challenge: exampleDER, Credential: exampleDER, Secret: exampleDER, Seconds: 3600}
	exampleEnrolment   = api.EnrolmentRequest{Enrolment: "smime", SigningCSR: exampleDER, EncryptionCSR: exampleDER, EscrowedKey: exampleDER}
	exampleCertificate = api.Certificate{Issuer: "issuing", Serial: "4f1d0c2b3a495867768594a3b2c1d0ef", Profile: "smime-signing", Use: "signing",
		Person: &exampleWho, Mailboxes: []string{"alice@example.test"}, NotBefore: exampleTime, NotAfter: exampleTime.AddDate(2, 0, 0),
		SPKISHA256: exampleHash, Status: "good", DER: exampleDER, Chain: [][]byte{exampleDER, exampleDER}}
	exampleRevoked = func() api.Certificate {
		c := exampleCertificate
		c.Status, c.RevokedAt, c.Reason, c.Chain = certificateRevoked, &exampleTime, "keyCompromise", nil
		return c
	}()
	exampleLeaver = api.Leaver{Person: exampleWho, Name: "Alice Anders", Mailbox: "alice@example.test", Standing: "disabled", State: api.LeaverWaiting, Why: "policy",
		NoticedAt: exampleTime, ChangedAt: exampleTime.AddDate(0, 0, 1)}
	exampleContact = api.Contact{ID: exampleID, Mailbox: "erin@partner.test", State: "current", Subject: "CN=Erin Egan,O=Partner", Issuer: "CN=Partner CA", SHA256: exampleHash,
		NotBefore: exampleTime, NotAfter: exampleTime.AddDate(1, 0, 0), DER: exampleDER, Chain: [][]byte{exampleDER}, Trust: "registrar", Note: "Fingerprint compared by telephone.",
		Revocation: "good", AskedAt: exampleTime, AddedAt: &exampleTime, AddedBy: "Rita Rust", Shown: "shown", DN: "cn=erin,ou=contacts,dc=example,dc=com", LookedAt: &exampleTime}
	exampleGAL = api.GALStatus{Directory: "example", Directories: []string{"example", "partners"}, Number: 12, BegunAt: exampleTime, EndedAt: &exampleTime, Phase: "done", Repair: true, People: 4711, Entries: 4790,
		Repaired: 1, Foreign: 17, Drift: map[string]int{"nearly-full": 1}}
	exampleDrift     = api.Drift{Person: &exampleWho, DN: "uid=alice,ou=people,dc=example,dc=com", Kinds: []string{"nearly-full"}, Foreign: 12, Held: 13, SeenAt: exampleTime}
	exampleReceipt   = api.Receipt{ID: exampleID, SPKISHA256: exampleHash, KeyID: exampleHash, Time: exampleTime, Signed: exampleDER, Signer: exampleDER}
	exampleSubmitted = api.EnrolmentStatus{ID: exampleID, Enrolment: "smime", Person: exampleWho, PersonName: "Alice Anders",
		Mailboxes: []string{"alice@example.test"}, State: api.StateSubmitted, SubmittedAt: exampleTime}
	exampleIssued = api.EnrolmentStatus{ID: exampleID, Enrolment: "smime", Person: exampleWho, PersonName: "Alice Anders",
		Mailboxes: []string{"alice@example.test"}, State: api.StateIssued, SubmittedAt: exampleTime,
		Certificates: []api.Certificate{exampleCertificate}, Receipt: &exampleReceipt}
	exampleRejected = api.EnrolmentStatus{ID: exampleID, Enrolment: "smime", Person: exampleWho, PersonName: "Alice Anders",
		Mailboxes: []string{"alice@example.test"}, State: api.StateRejected, Reason: "Please ask for role-mailbox instead.", SubmittedAt: exampleTime}
	exampleToken  = api.Token{Token: "k5zq3n6w2yt7x4m5c3v8b2p6r9d1f0hj", Number: 4711, Person: exampleWho, Ends: exampleTime.AddDate(0, 0, 3)}
	exampleIssuer = api.Issuer{ID: "issuing", Certificate: exampleDER, Chain: [][]byte{exampleDER},
		CRLs: []string{"http://pki.example.test/crl/issuing.crl"}, OCSP: "http://pki.example.test/ocsp/issuing"}
	exampleCRLStatus = func() api.CRLStatus {
		until, left := exampleTime.Add(72*time.Hour), int64(72*60)
		return api.CRLStatus{At: exampleTime,
			Lists: []api.NewestCRL{{Issuer: "issuing", File: "issuing.crl", Number: 4711, ThisUpdate: &exampleTime, NextUpdate: &until, MinutesLeft: &left, Entries: 120,
				Size: 5041, State: api.CRLOK}},
			Points: []api.CRLStanding{{Point: "ftp", Issuer: "issuing", File: "issuing.crl", Address: "ftp://ftp.example.test/issuing.crl", Newest: 4711, Number: 4711,
				NextUpdate: &until, MinutesLeft: &left, NewestLeft: &left, SeenAt: &exampleTime, LookedAt: &exampleTime, State: api.CRLOK}}}
	}()
	exampleSignIn = api.SignIn{Password: true, Token: true, Certificate: true,
		Kerberos: &api.KerberosSignIn{Principals: []string{"HTTP/ca.example.test@EXAMPLE.TEST"}, Realms: []string{"EXAMPLE.TEST"}},
		OpenID:   &api.OpenIDSignIn{Issuer: "https://login.example.test", ClientID: "sealpost-agent", Scopes: []string{"openid", "email", "profile"}, Name: "Example login"}}
	exampleProof = api.ReceiptProof{LeafHash: exampleDER, Index: 4711, Size: 4713, Hashes: [][]byte{exampleDER, exampleDER},
		Checkpoint: "pki.example.test/audit\n4713\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n— pki.example.test/audit Az3grl…\n"}
	exampleCountersigned = api.Countersignature{Officer: "Olivia Officer", Size: 4711, Received: exampleTime,
		Checkpoint: "pki.example.test/audit\n4711\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n— pki.example.test/audit Az3grl…\n— officer/8d969e… 9qXcZ1…\n"}
	exampleLog = api.AuditLog{Key: "pki.example.test/audit+04de81b2+AaGN…", Checkpoint: exampleProof.Checkpoint,
		Consistency: []string{"old 4711\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n" + exampleProof.Checkpoint}, Witnessed: []api.Countersignature{exampleCountersigned}}
	exampleCaseLog = api.CaseLog{AuditLog: exampleLog, Event: `{"v":1,"nonce":"…","kind":"archive.case-requested","data":{"case":"8d96…"}}`,
		Inclusion: "c2sp.org/tlog-proof@v1\nindex 4712\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n" + exampleProof.Checkpoint}
	exampleHealth = api.Health{OK: true, Parts: map[string]string{"database": "ok", "directory": "ok", "archive": "ok", "audit": "ok", "crl": "ok"}, Server: "v1.0.0"}
)
