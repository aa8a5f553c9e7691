package agent

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/internal/fault"
)

// askEvery is how often the server is asked whether the directory should show something signed; less than the day between two
// runs, which need not come at the very same time.
const askEvery = 20 * time.Hour

// Advertised says when the server was asked what the directory should show, and had all that it wanted.
type Advertised struct {
	Certificates string    `json:"certificates"` // SHA-256 over the identity's current ones, hexadecimal
	At           time.Time `json:"at"`
}

// advertise has the directory show which certificate to encrypt to, signed with the person's own key, where the server wants
// that. The certificates are there by then, and that this fails is no reason to fail what made them: the next run tries again. It
// reports whether the server said that the person has another name or other addresses than the certificates were made for.
func (a *Agent) advertise(ctx context.Context, id *Identity) (changed bool) {
	now := a.cfg.Now()
	want := Advertised{keysHash(id.currentHalves()), now.UTC()}
	fresh := id.Advertised == nil || id.Advertised.Certificates != want.Certificates
	if !fresh && !now.Before(id.Advertised.At) && now.Before(id.Advertised.At.Add(askEvery)) {
		return false
	}
	changed, err := a.tryAdvertise(ctx, id, want, fresh)
	if err != nil {
		a.cfg.Log.Warn("directory entry not signed", "error", err)
		if fresh || !errors.Is(err, fault.Unavailable) { // to be away for a day is nothing
			a.cfg.Progress("directory", "note: your entry in the directory does not show what you sign, for now; the next run tries again: "+detail(err))
		}
	}
	return changed
}

// outdated reports whether a person has another name, or other addresses, than when they last enrolled.
func (p Person) outdated(now api.Person) bool {
	if len(p.Mailboxes) == 0 || now.Restricted != "" {
		return false
	}
	lacks := func(some, m []string) bool {
		return slices.ContainsFunc(some, func(s string) bool {
			return !slices.ContainsFunc(m, func(t string) bool { return strings.EqualFold(s, t) })
		})
	}
	return p.Name != now.Name || lacks(p.Mailboxes, now.Mailboxes) || lacks(now.Mailboxes, p.Mailboxes)
}

func (a *Agent) tryAdvertise(ctx context.Context, id *Identity, want Advertised, fresh bool) (changed bool, err error) {
	c, err := a.dialAfterwards(id)
	if err != nil {
		return false, err
	}
	defer c.Close()
	kept, err := a.keptPolicy(id.Person.ID)
	if err != nil {
		return false, err
	}
	var policy api.Policy
	if kept.fresh(a.cfg.Now()) && !fresh {
		policy = kept.policy
	} else if policy, err = a.ask(ctx, c, id.Person.ID, false); err != nil {
		return false, err
	}
	changed = id.Person.outdated(policy.Person)
	return changed, a.advertiseAll(ctx, c, id, policy, want)
}

// advertiseAll signs what the server wants, and notes that it has all of it.
func (a *Agent) advertiseAll(ctx context.Context, c *client.Client, id *Identity, policy api.Policy, want Advertised) error {
	for _, name := range policy.Advertise {
		signing, encryption := id.advertiser(name)
		if signing == nil { // another device has it
			continue
		}
		value, err := signing.advertise(encryption, a.cfg.Now())
		if err != nil {
			return err
		}
		if _, err := c.Advertise(ctx, api.Advertisement{Value: value}); err != nil {
			return err
		}
		a.cfg.Progress("directory", "your entry in the directory says which certificate to encrypt to, signed by you")
		if err := a.after("advertise"); err != nil {
			return err
		}
	}
	id.Advertised = &want
	return a.saveIdentity(a.folder(id.Person.ID), id)
}

// dialAfterwards is dial for when there are certificates: a token, which works for one enrolment, is not used any more.
func (a *Agent) dialAfterwards(id *Identity) (*client.Client, error) {
	if a.cfg.Server.Token == "" || id.Signing() == nil {
		return a.dial(id)
	}
	cfg := a.cfg.Server
	cert, err := id.clientCertificate(a.cfg.Now())
	if err != nil {
		return nil, err
	}
	cfg.Token, cfg.ClientCertificate, cfg.Heard = "", cert, a.clock.heard
	a.clock.forget()
	if cfg.Machine, err = a.Machine(); err != nil {
		return nil, err
	}
	return client.New(cfg)
}

// currentHalves returns the certificates of the newest pair of each enrolment.
func (id *Identity) currentHalves() (out []*Held) {
	for _, name := range id.enrolments() {
		out = append(out, id.current(name).halves()...)
	}
	return out
}

// advertiser returns the certificate of that name, and the one to sign with for it: the other half of its pair, or else the
// identity's newest, or else itself. Nil: it is not here, or there is no key to sign with.
func (id *Identity) advertiser(name api.CertificateName) (signing, encryption *Held) {
	for i := range id.Pairs {
		for _, h := range id.Pairs[i].halves() {
			if h.Issuer != name.Issuer || h.Serial != name.Serial {
				continue
			}
			for _, s := range []*Held{id.Pairs[i].Signing, id.Signing(), h} {
				if s != nil && !s.Key.IsZero() {
					return s, h
				}
			}
		}
	}
	return nil, nil
}

// advertise signs that one should encrypt to a certificate.
func (h *Held) advertise(encryption *Held, at time.Time) ([]byte, error) {
	key, err := h.Key.Signer()
	if err != nil {
		return nil, err
	}
	var leaves, chain []*x509.Certificate
	for _, held := range []*Held{h, encryption} {
		leaf, err := held.Leaf()
		if err != nil {
			return nil, err
		}
		issuers, err := parseChain(held.Chain)
		if err != nil {
			return nil, ErrState.Withf("A chain in the agent's folder cannot be read.").Because(err)
		}
		leaves, chain = append(leaves, leaf), append(chain, issuers...)
	}
	return cms.Advertise(key, leaves[0], cms.AdvertiseOptions{Encryption: leaves[1], Chain: chain, SigningTime: at})
}
