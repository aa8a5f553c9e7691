package agent

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/client"
)

// Certificates returns the certificates that the server knows of the person whose identity is here.
func (a *Agent) Certificates(ctx context.Context, mailbox string) ([]api.Certificate, error) {
	id, err := a.forMailbox(mailbox)
	if err != nil {
		return nil, err
	}
	c, err := a.dial(id)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var out []api.Certificate
	for cert, err := range c.AllCertificates(ctx, client.CertificateQuery{Person: id.Person.ID}) {
		if err != nil {
			return nil, err
		}
		out = append(out, cert)
	}
	return out, nil
}

// Revoke revokes certificates of the identity here, one after the other, and returns those that are revoked, also when
// the next one could not be. The current signing certificate comes last: it may be what shows who asks.
func (a *Agent) Revoke(ctx context.Context, mailbox string, certs []api.Certificate, req api.RevocationRequest) ([]api.Certificate, error) {
	id, err := a.forMailbox(mailbox)
	if err != nil {
		return nil, err
	}
	c, err := a.dial(id)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	certs = slices.Clone(certs)
	slices.SortStableFunc(certs, func(x, y api.Certificate) int { return id.rank(x) - id.rank(y) })
	var out []api.Certificate
	for _, cert := range certs {
		revoked, err := c.Revoke(ctx, cert.Issuer, cert.Serial, req)
		if err != nil {
			return out, err
		}
		out = append(out, revoked)
	}
	return out, nil
}

// rank is 1 for the current signing certificate and 0 for others.
func (id *Identity) rank(cert api.Certificate) int {
	if s := id.Signing(); s != nil && s.Issuer == cert.Issuer && s.Serial == cert.Serial {
		return 1
	}
	return 0
}

// Holds reports whether the identity has the certificate, and whether it has its key still.
func (id *Identity) Holds(issuer, serial string) (certificate, key bool) {
	for _, h := range id.held() {
		if h.Issuer == issuer && h.Serial == serial {
			return true, !h.Key.IsZero()
		}
	}
	return false, false
}

// policyOf asks for the policy and holds that the server knows the identity's person by the credentials used.
func (a *Agent) policyOf(ctx context.Context, c *client.Client, id *Identity) (api.Policy, error) {
	policy, err := a.policy(ctx, c, id.Person.ID)
	if errors.Is(err, ErrAnswerPerson) {
		return policy, ErrAnswerPerson.Withf("The server takes these credentials for somebody else's than %s's.", id.Person.Name)
	}
	return policy, err
}

// KeyHistory returns what touched the person's archived keys, the newest first: those of who asks, or, for auditors, of
// somebody else, by an address, now or formerly, or an id.
func (a *Agent) KeyHistory(ctx context.Context, mailbox, of string) ([]api.HistoryEntry, error) {
	var q client.HistoryQuery
	if person, err := uuid.Parse(of); err == nil {
		q.Person = person
	} else if q.Mailbox = of; of != "" && !strings.Contains(of, "@") {
		return nil, ErrConfig.Withf("%q is neither a mail address nor a person's id.", of)
	}
	c, err := a.connect(mailbox)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	out := []api.HistoryEntry{}
	for e, err := range c.AllHistory(ctx, q) {
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}
