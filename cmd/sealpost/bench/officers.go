package bench

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/cmd/sealpost/server"
	"github.com/sealpost/sealpost/cmd/sealpost/setup"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/audittest"
	"github.com/sealpost/sealpost/internal/keys"
	"github.com/sealpost/sealpost/kra"
)

// Who does what in the case, by their logins in the sample company's directory.
var (
	officersBefore = []string{"olivia", "oscar", "otto"}
	officersAfter  = []string{"olivia", "oscar", "otto", "alice", "bob"}
)

const (
	thresholdBefore = 2
	thresholdAfter  = 3
	recipientLogin  = "carol"
	requesterLogin  = "rita"
)

// office is an archive's officers, the recipient of a case, and who asks, each with a home of their own. Its roster is
// not the server's: no recipient stands in that.
type office struct {
	dir       string
	server    *server.Server
	roots     []*x509.Certificate
	officers  map[string]*kra.Officer
	cards     map[string]*kra.AgentCard
	roster    *record.Roster
	requester record.Requester
	signer    crypto.Signer // the requester's
	chain     []*x509.Certificate
	log       *audittest.Log // that the case is in
}

// newOffice makes everybody's keys and certificates and holds the ceremony.
func (b *bench) newOffice(ctx context.Context, s *server.Server) (*office, error) {
	o := &office{dir: filepath.Join(b.Dir, "case"), server: s, officers: map[string]*kra.Officer{}, cards: map[string]*kra.AgentCard{}}
	if err := os.MkdirAll(filepath.Join(o.dir, "homes"), 0o755); err != nil {
		return nil, err
	}
	var err error
	if o.roots, err = server.ReadCertificates(filepath.Join(b.Dir, setup.RootCertificate)); err != nil {
		return nil, err
	}
	if o.log, err = audittest.New(); err != nil {
		return nil, err
	}
	for _, login := range officersAfter {
		if err := o.appoint(ctx, login); err != nil {
			return nil, fmt.Errorf("officer %s: %w", login, err)
		}
	}
	recipient, err := o.receive(ctx)
	if err != nil {
		return nil, fmt.Errorf("recipient: %w", err)
	}
	if err := o.certifyRequester(ctx); err != nil {
		return nil, fmt.Errorf("requester: %w", err)
	}
	folder := filepath.Join(o.dir, "ceremony")
	plan, err := kra.WritePlan(folder, kra.PlanConfig{Archive: "Bench", Threshold: thresholdBefore, Agents: o.cardsOf(officersBefore),
		Business: []*kra.RecipientCard{recipient}, Roots: o.roots})
	if err != nil {
		return nil, err
	}
	var three []*kra.Officer
	for _, login := range officersBefore {
		three = append(three, o.officers[login])
	}
	o.roster, err = kra.Perform(ctx, folder, kra.Agreement{Hash: plan.Hash()}, three...)
	if err != nil {
		return nil, err
	}
	_, err = o.officers[recipientLogin].VerifyShare(o.roster, o.roster.Hash())
	return o, err
}

func (o *office) home(login string) string { return filepath.Join(o.dir, "homes", login) }

func (o *office) passphraseFile(login string) string { return o.home(login) + ".passphrase" }

// open makes a home whose passphrase lies beside it.
func (o *office) open(login string) (*kra.Officer, keys.Unlock, error) {
	passphrase := setup.NewPassphrase()
	if err := os.WriteFile(o.passphraseFile(login), append(passphrase, '\n'), 0o600); err != nil {
		return nil, nil, err
	}
	var err error
	o.officers[login], err = kra.Open(kra.Config{Home: o.home(login)})
	return o.officers[login], passphrase, err
}

// appoint makes an officer.
func (o *office) appoint(ctx context.Context, login string) error {
	officer, passphrase, err := o.open(login)
	if err != nil {
		return err
	}
	requests, err := officer.KeyGen(ctx, login, passphrase)
	if err != nil {
		return err
	}
	signing, _ := pem.Decode(requests.Signing)
	decryption, _ := pem.Decode(requests.Decryption)
	if signing == nil || decryption == nil {
		return errors.New("the requests are not PEM")
	}
	if o.cards[login], err = o.server.CertifyAgent(ctx, operator(), login, signing.Bytes, decryption.Bytes); err != nil {
		return err
	}
	if err := officer.Import(o.cards[login], o.roots); err != nil {
		return err
	}
	return officer.TrustLog(o.log.Key)
}

// receive makes the recipient.
func (o *office) receive(ctx context.Context) (*kra.RecipientCard, error) {
	officer, passphrase, err := o.open(recipientLogin)
	if err != nil {
		return nil, err
	}
	requests, err := officer.RecipientKeyGen(ctx, recipientLogin, passphrase)
	if err != nil {
		return nil, err
	}
	request, _ := pem.Decode(requests.Decryption)
	if request == nil {
		return nil, errors.New("the request is not PEM")
	}
	card, err := o.server.CertifyRecipient(ctx, operator(), recipientLogin, request.Bytes)
	if err != nil {
		return nil, err
	}
	return card, officer.ImportRecipient(card, o.roots)
}

// certifyRequester gives who asks a certificate to sign with.
func (o *office) certifyRequester(ctx context.Context) error {
	person, err := o.server.Directory.ByLogin(ctx, requesterLogin)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	cert, err := o.certify(ctx, person, key)
	if err != nil {
		return err
	}
	o.signer, o.requester = key, record.Requester{Person: person.ID, Name: cert.Subject.CommonName, Certificate: cert}
	return nil
}

func (o *office) certify(ctx context.Context, person directory.Person, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	a := o.server.Authority
	prepared, err := a.Prepare(ctx, operator(), ca.Request{ID: uuid.New(), Profile: ca.SMIMESigning, Person: person.ID, PublicKey: spki, Mailboxes: person.Mailboxes,
		Subject: ca.Subject{CommonName: person.Name, GivenName: person.GivenName, Surname: person.Surname, SerialNumber: person.Employee}})
	if err != nil {
		return nil, err
	}
	issued, err := a.Sign(ctx, operator(), prepared)
	if err != nil {
		return nil, err
	}
	issuer, err := a.Issuer(issued[0].Issuer)
	if err != nil {
		return nil, err
	}
	o.chain = issuer.Chain()
	return x509.ParseCertificate(issued[0].DER)
}

func (o *office) cardsOf(logins []string) (out []*kra.AgentCard) {
	for _, login := range logins {
		out = append(out, o.cards[login])
	}
	return out
}

// operator is who is at the server's command line.
func operator() audit.Actor {
	return audit.Actor{Name: "bench", Roles: []audit.Role{audit.Operator}, Method: audit.MethodLocal}
}
