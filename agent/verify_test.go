package agent_test

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
)

// answer is a good answer to a request, to be spoiled.
type answer struct {
	t      *testing.T
	server *server
	begun  agent.Begun
	status api.EnrolmentStatus

	signing, encryption crypto.Signer
}

func newAnswer(t *testing.T) *answer {
	t.Helper()
	s := newServer(t, func() time.Time { return start })
	a := &answer{t: t, server: s}
	var keys [2][]byte
	for i, key := range []*crypto.Signer{&a.signing, &a.encryption} {
		var err error
		if *key, keys[i], err = agent.MakeKey("P-256"); err != nil {
			t.Fatal(err)
		}
	}
	a.begun = agent.NewBegun(agent.Person{ID: s.person.ID, Name: s.person.Name, Mailboxes: s.person.Mailboxes}, keys[0], keys[1], true)
	a.status = api.EnrolmentStatus{ID: uuid.New(), Person: s.person.ID, Mailboxes: s.person.Mailboxes, State: api.StateIssued}
	a.status.Certificates = []api.Certificate{
		s.certify("signing", a.signing.Public(), x509.KeyUsageDigitalSignature),
		s.certify("encryption", a.encryption.Public(), x509.KeyUsageKeyAgreement),
	}
	a.status.Receipt = s.receipt(spki(t, a.encryption.Public()))
	return a
}

func spki(t *testing.T, public crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// reissue replaces one of the certificates by another for the same key.
func (a *answer) reissue(i int, change func(*template)) {
	usage := x509.KeyUsageDigitalSignature
	public := a.signing.Public()
	if i == 1 {
		usage, public = x509.KeyUsageKeyAgreement, a.encryption.Public()
	}
	c := template{name: a.server.person.Name, mailboxes: a.server.person.Mailboxes, now: start, usage: usage}
	change(&c)
	a.status.Certificates[i] = a.server.wire(a.status.Certificates[i].Use, a.server.pki.issue(a.t, c, public))
}

func (a *answer) verify() (*agent.Pair, error) {
	anchors := x509.NewCertPool()
	anchors.AddCert(a.server.pki.root)
	return a.begun.Verify(a.status, anchors, start)
}

func TestGoodAnswer(t *testing.T) {
	t.Parallel()
	a := newAnswer(t)
	a.status.Certificates[0], a.status.Certificates[1] = a.status.Certificates[1], a.status.Certificates[0] // the order does not matter
	pair, err := a.verify()
	if err != nil {
		t.Fatal(err)
	}
	if !cmp.Equal(pair.Signing.Certificate, a.status.Certificates[1].DER) || !cmp.Equal(pair.Encryption.Certificate, a.status.Certificates[0].DER) {
		t.Error("the certificates are in the wrong places")
	}
	if diff := cmp.Diff(a.server.pki.chain(), pair.Signing.Chain); diff != "" {
		t.Errorf("chain (-want +got):\n%s", diff)
	}
}

// The directory changed while a registrar thought: what was certified is what the server says, and partly ours.
func TestAnswerAfterTheDirectoryChanged(t *testing.T) {
	t.Parallel()
	a := newAnswer(t)
	now := []string{"alice.new@example.test", "alice@example.test"}
	a.status.Mailboxes = now
	for i := range 2 {
		a.reissue(i, func(c *template) { c.mailboxes = now })
	}
	if _, err := a.verify(); err != nil {
		t.Error(err)
	}
}

// The archive's receipt key changed between deposit and issue: the server does not name the old one any more.
func TestAnswerAfterTheReceiptKeyChanged(t *testing.T) {
	t.Parallel()
	a := newAnswer(t)
	a.status.Receipt.Signer = nil
	pair, err := a.verify()
	if err != nil || len(pair.Receipt.Signed) == 0 {
		t.Errorf("pair %+v, %v", pair, err)
	}
}

func TestBadAnswers(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		spoil func(*answer)
		want  error
	}{
		"another person":     {func(a *answer) { a.status.Person = uuid.New() }, agent.ErrAnswerPerson},
		"nothing":            {func(a *answer) { a.status.Certificates = nil }, agent.ErrAnswerIncomplete},
		"one missing":        {func(a *answer) { a.status.Certificates = a.status.Certificates[:1] }, agent.ErrAnswerIncomplete},
		"one twice":          {func(a *answer) { a.status.Certificates[1] = a.status.Certificates[0] }, agent.ErrAnswerKey},
		"garbage":            {func(a *answer) { a.status.Certificates[0].DER = []byte("garbage") }, agent.ErrAnswerIncomplete},
		"trailing garbage":   {func(a *answer) { a.status.Certificates[0].DER = append(a.status.Certificates[0].DER, 0) }, agent.ErrAnswerIncomplete},
		"other serial":       {func(a *answer) { a.status.Certificates[0].Serial = "0a" }, agent.ErrAnswerIncomplete},
		"serial in capitals": {func(a *answer) { a.status.Certificates[1].Serial = "AB" }, agent.ErrAnswerIncomplete},
		"another key": {func(a *answer) {
			a.status.Certificates[1] = a.server.certify("encryption", ecKey(a.t).Public(), x509.KeyUsageKeyAgreement)
		}, agent.ErrAnswerKey},
		"keys swapped": {func(a *answer) {
			a.status.Certificates[0] = a.server.certify("signing", a.encryption.Public(), x509.KeyUsageDigitalSignature)
			a.status.Certificates[1] = a.server.certify("encryption", a.signing.Public(), x509.KeyUsageKeyAgreement)
		}, agent.ErrAnswerUsage},
		"foreign root":     {func(a *answer) { a.server.pki = newPKI(a.t); a.reissue(0, func(*template) {}) }, agent.ErrAnswerTrust},
		"no chain":         {func(a *answer) { a.status.Certificates[0].Chain = nil }, agent.ErrAnswerTrust},
		"garbage in chain": {func(a *answer) { a.status.Certificates[0].Chain = [][]byte{{1}} }, agent.ErrAnswerTrust},
		"endless chain": {func(a *answer) {
			a.status.Certificates[0].Chain = make([][]byte, 100)
		}, agent.ErrAnswerTrust},
		"ended":       {func(a *answer) { a.reissue(0, func(c *template) { c.now = start.AddDate(-4, 0, 0) }) }, agent.ErrAnswerTrust},
		"not yet":     {func(a *answer) { a.reissue(1, func(c *template) { c.now = start.AddDate(1, 0, 0) }) }, agent.ErrAnswerTrust},
		"for servers": {func(a *answer) { a.reissue(0, serverAuth) }, agent.ErrAnswerTrust},
		"for anything": {func(a *answer) {
			a.reissue(0, func(c *template) {
				c.change = func(x *x509.Certificate) { x.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }
			})
		}, agent.ErrAnswerUsage},
		"no key usage":            {func(a *answer) { a.reissue(0, func(c *template) { c.usage = 0 }) }, agent.ErrAnswerUsage},
		"key usage not critical":  {func(a *answer) { a.reissue(0, usageNotCritical) }, agent.ErrAnswerUsage},
		"signing may encipher":    {func(a *answer) { a.reissue(0, func(c *template) { c.usage |= x509.KeyUsageKeyAgreement }) }, agent.ErrAnswerUsage},
		"encryption may sign":     {func(a *answer) { a.reissue(1, func(c *template) { c.usage |= x509.KeyUsageDigitalSignature }) }, agent.ErrAnswerUsage},
		"encryption may commit":   {func(a *answer) { a.reissue(1, func(c *template) { c.usage |= x509.KeyUsageContentCommitment }) }, agent.ErrAnswerUsage},
		"encryption for RSA keys": {func(a *answer) { a.reissue(1, func(c *template) { c.usage = x509.KeyUsageKeyEncipherment }) }, agent.ErrAnswerUsage},
		"signing may certify":     {func(a *answer) { a.reissue(0, func(c *template) { c.usage |= x509.KeyUsageCertSign }) }, agent.ErrAnswerUsage},
		"an authority": {func(a *answer) {
			a.reissue(0, func(c *template) {
				c.usage |= x509.KeyUsageCertSign
				c.change = func(x *x509.Certificate) { x.IsCA = true }
			})
		}, agent.ErrAnswerUsage},
		"no address":      {func(a *answer) { a.reissue(0, func(c *template) { c.mailboxes = nil }) }, agent.ErrAnswerMailboxes},
		"address missing": {func(a *answer) { a.reissue(1, func(c *template) { c.mailboxes = c.mailboxes[:1] }) }, agent.ErrAnswerMailboxes},
		"address too many": {func(a *answer) {
			a.reissue(1, func(c *template) { c.mailboxes = append(c.mailboxes, "x@example.test") })
		}, agent.ErrAnswerMailboxes},
		"somebody else's": {func(a *answer) { a.status.Mailboxes = []string{"bob@example.test"}; a.reissue(0, bobs) }, agent.ErrAnswerMailboxes},
		"address in capitals": {func(a *answer) {
			a.reissue(0, func(c *template) { c.mailboxes = []string{"ALICE@example.test", "a.example@example.test"} })
		}, agent.ErrAnswerMailboxes},
		"no receipt":            {func(a *answer) { a.status.Receipt = nil }, agent.ErrAnswerReceipt},
		"receipt of garbage":    {func(a *answer) { a.status.Receipt.Signed = []byte("x") }, agent.ErrAnswerReceipt},
		"receipt for signing":   {func(a *answer) { a.status.Receipt = a.server.receipt(spki(a.t, a.signing.Public())) }, agent.ErrAnswerReceipt},
		"receipt altered":       {func(a *answer) { s := a.status.Receipt.Signed; s[len(s)-1] ^= 1 }, agent.ErrAnswerReceipt},
		"receipt says other":    {func(a *answer) { a.status.Receipt.KeyID = record.Hash{9}.String() }, agent.ErrAnswerReceipt},
		"receipt at other time": {func(a *answer) { a.status.Receipt.Time = start.Add(time.Hour) }, agent.ErrAnswerReceipt},
		"receipt key garbage":   {func(a *answer) { a.status.Receipt.Signer = []byte("x") }, agent.ErrAnswerReceipt},
		"receipt by another":    {func(a *answer) { a.status.Receipt.Signer = spki(a.t, ecKey(a.t).Public()) }, agent.ErrAnswerReceipt},
		"receipt hash other": {func(a *answer) {
			sum := record.Hash(sha256.Sum256([]byte("x")))
			a.status.Receipt.SPKISHA256 = sum.String()
		}, agent.ErrAnswerReceipt},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAnswer(t)
			tt.spoil(a)
			if _, err := a.verify(); !errors.Is(err, tt.want) {
				t.Errorf("error = %v, want %v", err, tt.want)
			}
		})
	}
}

func serverAuth(c *template) {
	c.change = func(x *x509.Certificate) { x.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }
}

func usageNotCritical(c *template) {
	c.usage = 0
	c.change = func(x *x509.Certificate) {
		x.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 15}, Value: []byte{3, 2, 7, 0x80}}}
	}
}

func bobs(c *template) { c.mailboxes = []string{"bob@example.test"} }

func TestBadExchangeCertificates(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		spoil func(*pki, *template)
		chain func(pki) [][]byte
		good  bool
	}{
		"good":             {good: true},
		"for RSA keys":     {spoil: func(_ *pki, c *template) { c.usage = x509.KeyUsageKeyEncipherment }, good: true},
		"foreign":          {spoil: func(p *pki, _ *template) { *p = newPKI(t) }},
		"no chain":         {chain: func(pki) [][]byte { return nil }},
		"garbage in chain": {chain: func(pki) [][]byte { return [][]byte{{1}} }},
		"for mail":         {spoil: func(_ *pki, c *template) { c.extended = nil }},
		"for agents":       {spoil: func(_ *pki, c *template) { c.extended = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 2, 2} }},
		"for mail too": {spoil: func(_ *pki, c *template) {
			c.change = func(x *x509.Certificate) { x.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection} }
		}},
		"for anything too": {spoil: func(_ *pki, c *template) {
			c.change = func(x *x509.Certificate) { x.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }
		}},
		"two usages": {spoil: func(_ *pki, c *template) {
			c.change = func(x *x509.Certificate) {
				x.UnknownExtKeyUsage = append(x.UnknownExtKeyUsage, asn1.ObjectIdentifier{1, 2, 3})
			}
		}},
		"may sign":      {spoil: func(_ *pki, c *template) { c.usage |= x509.KeyUsageDigitalSignature }},
		"no key usage":  {spoil: func(_ *pki, c *template) { c.usage = 0 }},
		"an authority":  {spoil: func(_ *pki, c *template) { c.change = func(x *x509.Certificate) { x.IsCA = true } }},
		"ended":         {spoil: func(_ *pki, c *template) { c.now = start.AddDate(0, -1, 0) }},
		"not yet valid": {spoil: func(_ *pki, c *template) { c.now = start.AddDate(0, 1, 0) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPKI(t)
			anchors := x509.NewCertPool()
			anchors.AddCert(p.root)
			chain := p.chain()
			c := template{name: "Exchange", now: start, usage: x509.KeyUsageKeyAgreement, extended: api.OIDExchange}
			if tt.spoil != nil {
				tt.spoil(&p, &c)
			}
			if tt.chain != nil {
				chain = tt.chain(p)
			}
			x := api.Exchange{Certificate: p.issue(t, c, p.exchange.Public()), Chain: chain}
			_, err := agent.CheckExchange(&x, anchors, start)
			if tt.good && err != nil || !tt.good && !errors.Is(err, agent.ErrExchange) {
				t.Errorf("error = %v, want good %v", err, tt.good)
			}
		})
	}
	if _, err := agent.CheckExchange(&api.Exchange{Certificate: []byte("x")}, x509.NewCertPool(), start); !errors.Is(err, agent.ErrExchange) {
		t.Errorf("garbage: %v, want ErrExchange", err)
	}
	if _, err := agent.CheckExchange(nil, x509.NewCertPool(), start); !errors.Is(err, agent.ErrExchange) {
		t.Errorf("none: %v, want ErrExchange", err)
	}
}
