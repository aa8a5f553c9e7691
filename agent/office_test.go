package agent_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/archive/threshold"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/slapdtest"
	"github.com/sealpost/sealpost/web"
)

// office is the real server on the real rooms, with officers, and machines of its people.
type office struct {
	*housetest.House
	t   *testing.T
	url string
	tls *x509.CertPool
}

func newOffice(t *testing.T) *office {
	t.Helper()
	t.Parallel()
	o := &office{House: housetest.New(t), t: t, tls: x509.NewCertPool()}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "127.0.0.1"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().AddDate(20, 0, 0), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	leaf, err := x509.ParseCertificate(der)
	must(t, err)
	o.tls.AddCert(leaf)
	certificate := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	server, err := web.New(web.Config{Registry: o.Enroll, Authority: o.PKI.Authority, Archive: o.Archive, Recovery: o.Recovery, Directory: o.Directory,
		Audit: o.Audit, Version: "test", Now: o.Clock.Now, Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate, nil }})
	must(t, err)
	var l web.Listeners
	for _, listener := range []*net.Listener{&l.API, &l.Public, &l.Metrics} {
		*listener, err = net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
	}
	o.url = "https://" + l.API.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("server: %v", err)
		}
	})
	return o
}

// machine is a person's computer.
type machine struct {
	*office
	login string
	dir   string
	poll  time.Duration
}

func (o *office) machine(login string) *machine {
	return &machine{o, login, filepath.Join(o.t.TempDir(), "state"), 5 * time.Millisecond}
}

// agent starts an agent there, which shows its certificate, or else logs in.
func (m *machine) agent(byLogin bool) *agent.Agent {
	m.t.Helper()
	cfg := agent.Config{Dir: m.dir, Server: client.Config{BaseURL: m.url, Roots: m.tls, Backoff: time.Millisecond, Retries: 1},
		Anchors: []*x509.Certificate{m.PKI.Root}, Poll: m.poll, Now: m.Clock.Now}
	if byLogin {
		cfg.Server.Login, cfg.Server.Password = m.login, slapdtest.Password(m.login)
	}
	a, err := agent.New(cfg)
	must(m.t, err)
	return a
}

// enrolled gets a pair. Several in a row make a history.
func (m *machine) enrolled(times int, kind string) *agent.Identity {
	m.t.Helper()
	var id *agent.Identity
	var err error
	for range times {
		id, err = m.agent(true).Enrol(m.t.Context(), agent.EnrolOptions{Enrolment: housetest.Pair, Again: true, Patience: time.Minute,
			Prefer: agent.Prefer{Encryption: kind}})
		must(m.t, err)
	}
	return id
}

// officer is the number of an officer in the roster.
var officer = map[string]uint16{"olivia": 1, "oscar": 2, "otto": 3}

// approve has officers approve a case, each with their own share.
func (o *office) approve(id uuid.UUID, logins ...string) {
	o.t.Helper()
	for _, login := range logins {
		a := o.Roster.Agents[officer[login]-1]
		share, err := o.Roster.OpenShare(a.ID, a.Key)
		must(o.t, err)
		o.approveWith(login, id, share)
	}
}

// garbage has an officer approve a case with a share that is not theirs.
func (o *office) garbage(login string, id uuid.UUID) {
	o.t.Helper()
	o.approveWith(login, id, threshold.Share{Agent: officer[login], Scalar: threshold.RandomScalar()})
}

func (o *office) approveWith(login string, id uuid.UUID, share threshold.Share) {
	o.t.Helper()
	by := o.Actor(o.t, login)
	k, err := o.Recovery.Get(o.t.Context(), by, id)
	must(o.t, err)
	raw, err := o.Recovery.Capsules(o.t.Context(), by, id, 0, 1000)
	must(o.t, err)
	var capsules []*record.Capsule
	for _, b := range raw {
		c, err := record.ParseCapsule(b)
		must(o.t, err)
		capsules = append(capsules, c)
	}
	bundle, err := record.NewBundle(o.Roster.Roster, k.SignedCase, 0, capsules, nil)
	must(o.t, err)
	answer, err := record.Approving{Bundles: []*record.Bundle{bundle}, Share: share, Signer: o.Roster.Agents[officer[login]-1].Signer, Time: o.Clock.Now()}.Approve()
	must(o.t, err)
	encoded, err := answer.Encode()
	must(o.t, err)
	_, err = o.Recovery.Answer(o.t.Context(), by, id, encoded)
	must(o.t, err)
}

func (o *office) deny(login string, id uuid.UUID, comment string) {
	o.t.Helper()
	by := o.Actor(o.t, login)
	k, err := o.Recovery.Get(o.t.Context(), by, id)
	must(o.t, err)
	no, err := record.NewDenial(o.Roster.Roster, k.SignedCase, officer[login], o.Roster.Agents[officer[login]-1].Signer, o.Clock.Now(), comment)
	must(o.t, err)
	encoded, err := (&record.Answer{Approval: no}).Encode()
	must(o.t, err)
	_, err = o.Recovery.Answer(o.t.Context(), by, id, encoded)
	must(o.t, err)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// events returns how many events of a kind are in the audit log.
func (o *office) events(kind string) int64 {
	return o.Database.Count(o.t, `select count(*) from audit.event where kind = '`+strings.ReplaceAll(kind, "'", "")+`'`)
}
