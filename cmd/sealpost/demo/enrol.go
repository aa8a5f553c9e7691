package demo

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/cmd/sealpost/server"
	"github.com/sealpost/sealpost/cmd/sealpost/setup"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/internal/audit/proof"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// patience is how long a step waits for what happens a moment later: jobs and the audit log's sequencer.
const patience = 30 * time.Second

// roots returns the trust anchor that the demo's clients have.
func (d *Demo) roots() ([]*x509.Certificate, *x509.CertPool, error) {
	list, err := server.ReadCertificates(d.path(setup.RootCertificate))
	if err != nil {
		return nil, nil, err
	}
	pool := x509.NewCertPool()
	for _, c := range list {
		pool.AddCert(c)
	}
	return list, pool, nil
}

func (d *Demo) clientConfig(login string) (client.Config, []*x509.Certificate, error) {
	anchors, pool, err := d.roots()
	return client.Config{BaseURL: "https://localhost:" + port(d.config.Listen.API), Roots: pool, Login: login, Password: slapdtest.Password(login)}, anchors, err
}

func (d *Demo) client(login string) (*client.Client, error) {
	c, _, err := d.clientConfig(login)
	if err != nil {
		return nil, err
	}
	return client.New(c)
}

// enrolStep enrols a person with the agent, as on their own workstation, and lets openssl judge both certificates.
func (d *Demo) enrolStep(login string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		if err := d.enrol(ctx, login); err != nil {
			return "", err
		}
		for kind, purpose := range map[string]string{"signing": "smimesign", "encryption": "smimeencrypt"} {
			_, err := d.program(ctx, "openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", setup.RootCertificate, "-untrusted", setup.IssuingCertificate,
				d.path("people", login, kind+".pem"))
			if err != nil {
				return "", err
			}
		}
		return "openssl verify -x509_strict: people/" + login + "/signing.pem and encryption.pem are good, each for its purpose", nil
	}
}

func (d *Demo) enrol(ctx context.Context, login string) error {
	c, anchors, err := d.clientConfig(login)
	if err != nil {
		return err
	}
	// The agent's own folder holds private keys: it goes with the demo.
	a, err := agent.New(agent.Config{Dir: d.sockets + "/agents/" + login, Server: c, Anchors: anchors})
	if err != nil {
		return err
	}
	_, err = a.Enrol(ctx, agent.EnrolOptions{Folder: d.path("people", login), Patience: patience})
	return err
}

// receipts fetches alice's receipt and proves it against the log.
func (d *Demo) receipts(ctx context.Context) (string, error) {
	c, err := d.client("alice")
	if err != nil {
		return "", err
	}
	defer c.Close()
	page, err := c.Receipts(ctx, "")
	if err != nil {
		return "", err
	}
	if len(page.Items) != 1 {
		return "", fmt.Errorf("alice has %d receipts", len(page.Items))
	}
	r := page.Items[0]
	p, err := d.proof(ctx, c, r)
	if err != nil {
		return "", err
	}
	kept, err := d.psql(ctx, database, `select count(*) from archive.record where state = 'kept'`)
	if err != nil {
		return "", err
	}
	if kept != "2" {
		return "", fmt.Errorf("the archive keeps %s keys", kept)
	}
	pub, err := d.program(ctx, "openssl", "x509", "-in", "people/alice/encryption.pem", "-noout", "-pubkey")
	if err != nil {
		return "", err
	}
	spki, err := d.programWith(ctx, nil, []byte(pub), "openssl", "pkey", "-pubin", "-outform", "DER")
	if err != nil {
		return "", err
	}
	sum, err := d.programWith(ctx, nil, []byte(spki), "openssl", "dgst", "-sha256", "-hex")
	if err != nil {
		return "", err
	}
	if !strings.Contains(sum, r.SPKISHA256) {
		return "", fmt.Errorf("the receipt names another key: %s", r.SPKISHA256)
	}
	return fmt.Sprintf("psql: 2 records kept; openssl dgst: receipt %s is for alice's key; its deposit is event %d of %d in the signed log", r.ID, p.Index, p.Size), nil
}

// proof waits for the proof that a receipt's deposit is in the log, and checks it.
func (d *Demo) proof(ctx context.Context, c *client.Client, r api.Receipt) (api.ReceiptProof, error) {
	var p api.ReceiptProof
	err := eventually(ctx, func(ctx context.Context) (err error) {
		p, err = c.ReceiptProof(ctx, r.ID)
		return err
	})
	if err != nil {
		return p, err
	}
	return p, checkProof(p, d.server.Audit.VerifierKey())
}

// eventually repeats what fails because it takes a moment.
func eventually(ctx context.Context, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := try(ctx)
		if err == nil || errors.Is(err, fault.Denied) || errors.Is(err, fault.Malformed) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// published waits until the directory shows exactly the encryption certificates.
func (d *Demo) published(ctx context.Context) (string, error) {
	for _, login := range []string{"alice", "bob"} {
		want, err := server.ReadCertificates(d.path("people", login, "encryption.pem"))
		if err != nil {
			return "", err
		}
		err = eventually(ctx, func(ctx context.Context) error {
			shown, err := d.shown(ctx, login)
			if err == nil && (len(shown) != 1 || !bytes.Equal(shown[0], want[0].Raw)) {
				err = fmt.Errorf("the directory shows %d certificates of %s", len(shown), login)
			}
			return err
		})
		if err != nil {
			return "", err
		}
	}
	return "ldapsearch: userCertificate of alice and bob holds the encryption certificate and nothing else", nil
}

// signingKeyRefused sends bob's signing key to be archived: the client itself would never.
func (d *Demo) signingKeyRefused(ctx context.Context) (string, error) {
	err := d.offerSigningKey(ctx, "bob")
	if err == nil {
		return "", errors.New("the server took it")
	}
	f := fault.Of(err)
	if f == nil || f.Code != "key-in-use" {
		return "", err
	}
	kept, err := d.psql(ctx, database, `select count(*) from archive.record`)
	if err != nil || kept != "2" {
		return "", fmt.Errorf("the archive holds %s records, %w", kept, err)
	}
	return "the server answers " + f.Code + "; psql: the archive holds no more than before", nil
}

// offerSigningKey asks for a pair whose "encryption" key is the person's certified signing key.
func (d *Demo) offerSigningKey(ctx context.Context, login string) error {
	c, err := d.client(login)
	if err != nil {
		return err
	}
	defer c.Close()
	policy, err := c.Policy(ctx)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(d.secret(login, "signing"))
	if err != nil {
		return err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return errors.New("openssl wrote no key")
	}
	offered, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return err
	}
	fresh, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	request := api.EnrolmentRequest{Enrolment: "smime"}
	if request.SigningCSR, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, fresh); err != nil {
		return err
	}
	if request.EncryptionCSR, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, offered); err != nil {
		return err
	}
	exchange, err := x509.ParseCertificate(policy.Exchange.Certificate)
	if err != nil {
		return err
	}
	content, err := cms.EncKeyWithID{PrivateKey: block.Bytes, Identifier: api.EscrowIdentifier(policy.Person.ID, request.SigningCSR, request.EncryptionCSR, policy.Exchange.Nonce)}.Marshal()
	if err != nil {
		return err
	}
	defer clear(content)
	if request.EscrowedKey, err = cms.Seal(content, []*x509.Certificate{exchange}, cms.SealOptions{ContentType: cms.OIDEncKeyWithID}); err != nil {
		return err
	}
	_, err = c.Enrol(ctx, uuid.NewString(), request)
	return err
}

// checkProof checks that a deposit is in the log that the key signs.
func checkProof(p api.ReceiptProof, verifierKey string) error {
	known, err := proof.Verifiers(verifierKey)
	if err != nil {
		return err
	}
	in := proof.Inclusion{Index: p.Index, Checkpoint: []byte(p.Checkpoint)}
	for _, h := range p.Hashes {
		if len(h) != sha256.Size {
			return errors.New("the proof holds something that is no hash")
		}
		in.Hashes = append(in.Hashes, [sha256.Size]byte(h))
	}
	if len(p.LeafHash) != sha256.Size {
		return errors.New("the proof is for something that is no hash")
	}
	_, err = in.Check([sha256.Size]byte(p.LeafHash), known)
	return err
}
