package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
)

// SignIn asks which ways there are to say who is asking.
func (c *Client) SignIn(ctx context.Context) (api.SignIn, error) {
	return do[api.SignIn](ctx, c, get("signin"))
}

// Policy asks what the person who asks may enrol for, and how. A token is not used up by it.
func (c *Client) Policy(ctx context.Context) (api.Policy, error) {
	return do[api.Policy](ctx, c, get("policy"))
}

// SignedPolicy is a policy with the server's signature, not verified.
type SignedPolicy struct {
	Signed    string // api.PolicyMedia
	ETag      string
	Unchanged bool // it says what the one says whose ETag was given; Signed is empty
}

// SignedPolicy asks for the policy with the server's signature. has is the ETag of the one that the caller has, or empty.
func (c *Client) SignedPolicy(ctx context.Context, has string) (SignedPolicy, error) {
	var out SignedPolicy
	k := get("policy")
	k.accept, k.limit, k.also = api.PolicyMedia, maxPolicy, []int{http.StatusNotModified}
	if has != "" {
		k.header = http.Header{"If-None-Match": {has}}
	}
	k.heard = func(r *http.Response) {
		out.ETag, out.Unchanged = r.Header.Get("ETag"), r.StatusCode == http.StatusNotModified
	}
	signed, err := c.send(ctx, k)
	if err == nil && out.Unchanged && has == "" {
		return out, ErrAnswer.Withf("The server says that nothing has changed, and was not asked that.")
	}
	out.Signed = string(signed)
	return out, err
}

// Enrol submits a request under the caller's own name for it (see api.IdempotencyHeader). It is repeated when no answer
// comes, which is safe because of that name.
func (c *Client) Enrol(ctx context.Context, name string, req api.EnrolmentRequest) (api.EnrolmentStatus, error) {
	k := post(req, "enrolments")
	k.header = http.Header{api.IdempotencyHeader: {name}}
	k.repeatable = true
	return do[api.EnrolmentStatus](ctx, c, k)
}

// ChallengeAttestation has the server ask a TPM whether it is one. It needs no name: nothing is kept of it.
func (c *Client) ChallengeAttestation(ctx context.Context, req api.AttestationRequest) (api.AttestationChallenge, error) {
	k := post(req, "attestations")
	k.repeatable = true
	return do[api.AttestationChallenge](ctx, c, k)
}

// Enrolment asks where a request stands.
func (c *Client) Enrolment(ctx context.Context, id uuid.UUID) (api.EnrolmentStatus, error) {
	return do[api.EnrolmentStatus](ctx, c, get("enrolments", id.String()))
}

// EnrolmentQuery chooses requests.
type EnrolmentQuery struct {
	State api.EnrolmentState // empty means any
	After string             // api.Page.Next of the page before; empty means the first
}

// Enrolments returns one page of the requests that the caller may see.
func (c *Client) Enrolments(ctx context.Context, q EnrolmentQuery) (api.Page[api.EnrolmentStatus], error) {
	k := get("enrolments")
	k.query = query("state", string(q.State), "after", q.After)
	return do[api.Page[api.EnrolmentStatus]](ctx, c, k)
}

// Endorse is a registrar's yes.
func (c *Client) Endorse(ctx context.Context, id uuid.UUID, d api.Decision) (api.EnrolmentStatus, error) {
	return do[api.EnrolmentStatus](ctx, c, post(d, "enrolments", id.String(), "endorse"))
}

// Reject is a registrar's no. It needs a reason.
func (c *Client) Reject(ctx context.Context, id uuid.UUID, d api.Decision) (api.EnrolmentStatus, error) {
	return do[api.EnrolmentStatus](ctx, c, post(d, "enrolments", id.String(), "reject"))
}

// CertificateQuery chooses certificates. Empty fields do not narrow.
type CertificateQuery struct {
	Mailbox string
	Person  uuid.UUID
	State   string // good, revoked or expired
	After   string
}

// Certificates returns one page of certificates.
func (c *Client) Certificates(ctx context.Context, q CertificateQuery) (api.Page[api.Certificate], error) {
	person := ""
	if q.Person != uuid.Nil {
		person = q.Person.String()
	}
	k := get("certificates")
	k.query = query("mailbox", q.Mailbox, "person", person, "state", q.State, "after", q.After)
	return do[api.Page[api.Certificate]](ctx, c, k)
}

// Recipients returns the current encryption certificates of one exact mail address, each with its chain: what is needed to
// send it encrypted mail. Nobody's is a fault of the kind NotFound.
func (c *Client) Recipients(ctx context.Context, mailbox string) (api.Page[api.Certificate], error) {
	k := get("recipients")
	k.query = query("mailbox", mailbox)
	return do[api.Page[api.Certificate]](ctx, c, k)
}

// Certificate returns one certificate with its chain. The serial is lower-case hexadecimal.
func (c *Client) Certificate(ctx context.Context, issuer, serial string) (api.Certificate, error) {
	return do[api.Certificate](ctx, c, get("certificates", issuer, serial))
}

// Revoke revokes a certificate, or releases it from hold.
func (c *Client) Revoke(ctx context.Context, issuer, serial string, req api.RevocationRequest) (api.Certificate, error) {
	return do[api.Certificate](ctx, c, post(req, "certificates", issuer, serial, "revoke"))
}

// RevokeAll revokes all certificates of a person, or with a key. It may be called again after it failed half way.
func (c *Client) RevokeAll(ctx context.Context, req api.RevocationsRequest) (api.Revocations, error) {
	return do[api.Revocations](ctx, c, post(req, "revocations"))
}

// LeaverQuery chooses people who left.
type LeaverQuery struct {
	State api.LeaverState // empty means any
	After string
}

// Leavers returns one page of the people with certificates whom the directory shows as disabled or no longer.
func (c *Client) Leavers(ctx context.Context, q LeaverQuery) (api.Page[api.Leaver], error) {
	k := get("leavers")
	k.query = query("state", string(q.State), "after", q.After)
	return do[api.Page[api.Leaver]](ctx, c, k)
}

// ContactQuery chooses people outside whose certificates the directory shows.
type ContactQuery struct {
	Mailbox string // empty means any
	Former  bool   // those too that are not current
	After   string
}

// Contacts returns one page of them.
func (c *Client) Contacts(ctx context.Context, q ContactQuery) (api.Page[api.Contact], error) {
	k := get("contacts")
	former := ""
	if q.Former {
		former = "true"
	}
	k.query = query("mailbox", q.Mailbox, "former", former, "after", q.After)
	return do[api.Page[api.Contact]](ctx, c, k)
}

// Contact returns one.
func (c *Client) Contact(ctx context.Context, id uuid.UUID) (api.Contact, error) {
	return do[api.Contact](ctx, c, get("contacts", id.String()))
}

// AddContact has the directory show the certificate of somebody outside.
func (c *Client) AddContact(ctx context.Context, r api.ContactRequest) (api.Contact, error) {
	return do[api.Contact](ctx, c, post(r, "contacts"))
}

// RemoveContact has it shown no more.
func (c *Client) RemoveContact(ctx context.Context, id uuid.UUID, r api.ContactRemoval) (api.Contact, error) {
	return do[api.Contact](ctx, c, post(r, "contacts", id.String(), "remove"))
}

// GAL returns the newest sweep through a directory; "" is the one that people are looked up in.
func (c *Client) GAL(ctx context.Context, directory string) (api.GALStatus, error) {
	k := get("gal")
	k.query = query("directory", directory)
	return do[api.GALStatus](ctx, c, k)
}

// DriftQuery chooses entries of the directory that are not as they should be.
type DriftQuery struct {
	Directory string // empty means the one that people are looked up in
	Kind      string // empty means any
	After     string
}

// Drift returns one page of them.
func (c *Client) Drift(ctx context.Context, q DriftQuery) (api.Page[api.Drift], error) {
	k := get("gal", "drift")
	k.query = query("directory", q.Directory, "kind", q.Kind, "after", q.After)
	return do[api.Page[api.Drift]](ctx, c, k)
}

// RevokeLeaver is a registrar's word that somebody has left.
func (c *Client) RevokeLeaver(ctx context.Context, person uuid.UUID, d api.LeaverDecision) (api.Leaver, error) {
	return do[api.Leaver](ctx, c, post(d, "leavers", person.String(), "revoke"))
}

// KeepLeaver is a registrar's word that somebody's certificates stay.
func (c *Client) KeepLeaver(ctx context.Context, person uuid.UUID, d api.LeaverDecision) (api.Leaver, error) {
	return do[api.Leaver](ctx, c, post(d, "leavers", person.String(), "keep"))
}

// Issuers returns the installation's certificate authorities.
func (c *Client) Issuers(ctx context.Context) (api.Page[api.Issuer], error) {
	return do[api.Page[api.Issuer]](ctx, c, get("issuers"))
}

// Issuer returns one certificate authority.
func (c *Client) Issuer(ctx context.Context, id string) (api.Issuer, error) {
	return do[api.Issuer](ctx, c, get("issuers", id))
}

// CRLQuery chooses one of an issuer's revocation lists. The zero value is the complete list of all certificates.
type CRLQuery struct {
	Partition int  // 0: of all certificates
	Delta     bool // what has changed since a complete list
}

// CRL returns an issuer's revocation list, DER, not verified.
func (c *Client) CRL(ctx context.Context, issuer string, q CRLQuery) ([]byte, error) {
	k := get("issuers", issuer, "crl")
	var partition, delta string
	if q.Partition != 0 {
		partition = strconv.Itoa(q.Partition)
	}
	if q.Delta {
		delta = "true"
	}
	k.query = query("partition", partition, "delta", delta)
	k.accept, k.limit = typeCRL, maxCRL
	return c.send(ctx, k)
}

// CRLStatus returns how all revocation lists and distribution points stand, for operators and auditors.
func (c *Client) CRLStatus(ctx context.Context) (api.CRLStatus, error) {
	return do[api.CRLStatus](ctx, c, get("crl", "status"))
}

// Receipts returns one page of the archive's receipts for the caller's keys.
func (c *Client) Receipts(ctx context.Context, after string) (api.Page[api.Receipt], error) {
	k := get("receipts")
	k.query = query("after", after)
	return do[api.Page[api.Receipt]](ctx, c, k)
}

// Receipt returns one receipt, not verified.
func (c *Client) Receipt(ctx context.Context, id uuid.UUID) (api.Receipt, error) {
	return do[api.Receipt](ctx, c, get("receipts", id.String()))
}

// ReceiptProof returns the proof that a deposit is in the audit log, not verified.
func (c *Client) ReceiptProof(ctx context.Context, id uuid.UUID) (api.ReceiptProof, error) {
	return do[api.ReceiptProof](ctx, c, get("receipts", id.String(), "proof"))
}

// HistoryQuery chooses whose keys a history is about. Without person and mailbox it is the caller's own.
type HistoryQuery struct {
	Person  uuid.UUID
	Mailbox string // now or formerly
	After   string
}

// History returns one page of what touched somebody's archived keys, the newest first.
func (c *Client) History(ctx context.Context, q HistoryQuery) (api.Page[api.HistoryEntry], error) {
	person := ""
	if q.Person != uuid.Nil {
		person = q.Person.String()
	}
	k := get("history")
	k.query = query("mailbox", q.Mailbox, "person", person, "after", q.After)
	return do[api.Page[api.HistoryEntry]](ctx, c, k)
}

// Health asks how the server is. A server that is not well still answers: look at OK. It is asked once.
func (c *Client) Health(ctx context.Context) (api.Health, error) {
	k := get("health")
	k.repeatable = false
	k.also = []int{http.StatusServiceUnavailable}
	return do[api.Health](ctx, c, k)
}

// query builds a query string from names and values in turn, leaving out empty values.
func query(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	return v
}
