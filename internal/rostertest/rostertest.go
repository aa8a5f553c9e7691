// Package rostertest makes rosters of recovery agents for tests: whole ceremonies in memory, with keys and certificates
// of their own. It is imported by tests only.
package rostertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/archive/threshold"
	"github.com/sealpost/sealpost/cms"
)

// Agent is a recovery agent with both private keys.
type Agent struct {
	record.Agent
	Signer *ecdsa.PrivateKey
	Key    cms.Recipient // opens what is sealed to the agent
}

// Roster is a roster with its agents.
type Roster struct {
	*record.Roster
	Agents []Agent
}

// New holds a ceremony of n agents, any t of whom can open.
func New(tb testing.TB, t, n int) Roster {
	tb.Helper()
	return held(tb, t, n, api.OIDAgentDecryption)
}

// NewWith is New with recipients of business and legal cases.
func NewWith(tb testing.TB, t, n int, recipients ...record.Recipient) Roster {
	tb.Helper()
	return held(tb, t, n, api.OIDAgentDecryption, recipients...)
}

// NewForeign is New with decryption certificates that were not issued for agents.
func NewForeign(tb testing.TB, t, n int) Roster {
	tb.Helper()
	return held(tb, t, n, api.OIDExchange)
}

func held(tb testing.TB, t, n int, decryption asn1.ObjectIdentifier, recipients ...record.Recipient) Roster {
	tb.Helper()
	var agents []Agent
	for i := range n {
		agents = append(agents, newAgent(tb, uint16(i+1), decryption))
	}
	return Hold(tb, t, agents, recipients...)
}

// Hold holds a ceremony of these agents.
func Hold(tb testing.TB, t int, agents []Agent, recipients ...record.Recipient) Roster {
	tb.Helper()
	out := Roster{Agents: agents}
	plan := record.Plan{Archive: "test", Created: time.Now().UTC().Truncate(time.Second), Epoch: 1, Origin: record.OriginAgents, Threshold: uint16(t),
		Recipients: recipients}
	rand.Read(plan.Session[:])
	for _, a := range agents {
		plan.Agents = append(plan.Agents, a.Agent)
		plan.Dealers = append(plan.Dealers, a.ID)
	}
	p, err := record.NewPlan(plan)
	if err != nil {
		tb.Fatal(err)
	}
	out.Roster = out.hold(tb, p)
	return out
}

// hold runs the three rounds, every agent with a view of their own.
func (r Roster) hold(tb testing.TB, plan *record.Plan) *record.Roster {
	tb.Helper()
	views := make([]*record.Ceremony, len(r.Agents))
	for i := range views {
		c, err := record.NewCeremony(plan, nil)
		if err != nil {
			tb.Fatal(err)
		}
		views[i] = c
	}
	rounds := []func(c *record.Ceremony, a Agent) ([]byte, error){
		func(c *record.Ceremony, a Agent) ([]byte, error) { return c.Commit(a.ID, threshold.Share{}, a.Signer) },
		func(c *record.Ceremony, a Agent) ([]byte, error) { return c.Reveal(a.Signer) },
		func(c *record.Ceremony, a Agent) ([]byte, error) { return c.Acknowledge(a.ID, a.Key, a.Signer) },
	}
	for _, round := range rounds {
		var messages [][]byte
		for i, a := range r.Agents {
			m, err := round(views[i], a)
			if err != nil {
				tb.Fatal(err)
			}
			messages = append(messages, m)
		}
		for _, v := range views {
			for _, m := range messages {
				if err := v.Add(m); err != nil {
					tb.Fatal(err)
				}
			}
		}
	}
	roster, err := views[0].Roster()
	if err != nil {
		tb.Fatal(err)
	}
	return roster
}

// Open opens a record with the shares of the given agents, as a quorum would.
func (r Roster) Open(tb testing.TB, inner *record.InnerRecord, agents ...uint16) ([]byte, error) {
	tb.Helper()
	var shares []threshold.Share
	for _, a := range r.Agents {
		for _, id := range agents {
			if a.ID == id {
				s, err := r.OpenShare(a.ID, a.Key)
				if err != nil {
					tb.Fatal(err)
				}
				shares = append(shares, s)
			}
		}
	}
	z, err := combine(int(r.Plan.Threshold), inner.Capsule, shares)
	if err != nil {
		return nil, err
	}
	return inner.Open(z, r.Key())
}

// Approve answers a case of one delivery as the agent with that id would.
func (r Roster) Approve(tb testing.TB, c *record.SignedCase, capsules []*record.Capsule, agent uint16, now time.Time) *record.Answer {
	tb.Helper()
	b, err := record.NewBundle(r.Roster, c, 0, capsules, nil)
	if err != nil {
		tb.Fatal(err)
	}
	a := r.Agents[agent-1]
	share, err := r.OpenShare(agent, a.Key)
	if err != nil {
		tb.Fatal(err)
	}
	answer, err := record.Approving{Bundles: []*record.Bundle{b}, Share: share, Signer: a.Signer, Time: now}.Approve()
	if err != nil {
		tb.Fatal(err)
	}
	return answer
}

// combine makes the shared point of a capsule from bare shares. Agents' tools never hold more than their own.
func combine(t int, c *record.Capsule, shares []threshold.Share) (threshold.Point, error) {
	var ids []uint16
	var ds []threshold.Point
	for _, s := range shares {
		d, err := threshold.Decrypt(s, []threshold.Point{c.R})
		if err != nil {
			return threshold.Point{}, err
		}
		ids, ds = append(ids, s.Agent), append(ds, d[0])
	}
	q, err := threshold.NewQuorum(t, ids)
	if err != nil {
		return threshold.Point{}, err
	}
	return q.Combine(ds)
}

func newAgent(tb testing.TB, id uint16, usage asn1.ObjectIdentifier) Agent {
	tb.Helper()
	a := Agent{Agent: record.Agent{ID: id, Person: uuid.New(), Name: fmt.Sprintf("Agent %d", id)}}
	a.Signer, a.Signing = Certify(tb, a.Name, x509.KeyUsageDigitalSignature, api.OIDAgentSigning)
	decryption, certificate := Certify(tb, a.Name, x509.KeyUsageKeyAgreement, usage)
	a.Decryption = certificate
	a.Key = cms.Recipient{Certificate: certificate, Key: decryption}
	return a
}

// Certify makes a P-256 key and a certificate for it, signed by itself.
func Certify(tb testing.TB, name string, usage x509.KeyUsage, eku asn1.ObjectIdentifier) (*ecdsa.PrivateKey, *x509.Certificate) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name}, KeyUsage: usage,
		UnknownExtKeyUsage: []asn1.ObjectIdentifier{eku}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return key, c
}
