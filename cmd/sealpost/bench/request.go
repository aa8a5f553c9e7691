package bench

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// request is a prepared POST.
type request struct {
	header http.Header
	body   []byte
}

// window is how many people enrol in one measurement, in turn.
const window = 128

// enrolments prepares n enrolments at a server. Their people have just asked the server for the policy, as real clients
// do, so that it remembers them for the few seconds that it may.
func (s *target) enrolments(ctx context.Context, n int, key string) ([]request, error) {
	policies, err := s.policies(ctx, min(n, window))
	if err != nil {
		return nil, err
	}
	tokens, err := s.tokens(ctx, n, policies)
	if err != nil {
		return nil, err
	}
	out := make([]request, n)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range out {
		g.Go(func() (err error) {
			out[i], err = s.enrolment(policies[i%len(policies)], key)
			if err == nil && s.by == ByToken {
				out[i].header.Set("Authorization", "Bearer "+tokens[i])
			}
			return err
		})
		if ctx.Err() != nil {
			break
		}
	}
	return out, g.Wait()
}

// policy is what a person was told.
type policy struct {
	api.Policy
	login    string
	exchange *x509.Certificate
}

// policies lets the next people log in and ask for their policy.
func (s *target) policies(ctx context.Context, n int) ([]*policy, error) {
	out := make([]*policy, n)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i := range out {
		who := login(s.people[s.next%len(s.people)])
		s.next++
		g.Go(func() (err error) {
			out[i], err = s.policy(ctx, who)
			return err
		})
	}
	return out, g.Wait()
}

func (s *target) policy(ctx context.Context, who string) (*policy, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+api.Base+"/policy", nil)
	if err != nil {
		return nil, err
	}
	r.SetBasicAuth(who, slapdtest.Password(who))
	resp, err := s.others.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("policy of %s: %s: %s", who, resp.Status, b)
	}
	p := &policy{login: who}
	if err := json.Unmarshal(b, &p.Policy); err != nil {
		return nil, err
	}
	p.exchange, err = x509.ParseCertificate(p.Exchange.Certificate)
	return p, err
}

// tokens puts a token for each enrolment into the database, as a registrar would have the server do.
func (s *target) tokens(ctx context.Context, n int, policies []*policy) ([]string, error) {
	if s.by != ByToken {
		return nil, nil
	}
	now := time.Now()
	tokens, rows := make([]string, n), make([][]any, n)
	for i := range tokens {
		secret := make([]byte, 20)
		_, _ = rand.Read(secret) // never fails
		tokens[i] = strings.ToLower(base32.StdEncoding.EncodeToString(secret))
		sum := sha256.Sum256([]byte(tokens[i]))
		rows[i] = []any{sum[:], policies[i%len(policies)].Person.ID, uuid.Nil, now, now.Add(time.Hour)}
	}
	_, err := s.db.CopyFrom(ctx, pgx.Identifier{"enroll", "token"}, []string{"sha256", "person", "made_by", "made_at", "ends"}, pgx.CopyFromRows(rows))
	return tokens, err
}

// enrolment makes a person's keys and requests.
func (s *target) enrolment(p *policy, key string) (request, error) {
	signing, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return request{}, err
	}
	var encryption crypto.Signer
	if key == "P-256" {
		encryption, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	} else {
		encryption, err = s.rsa.next()
	}
	if err != nil {
		return request{}, err
	}
	body, err := pairRequest(p, signing, encryption)
	if err != nil {
		return request{}, err
	}
	r := request{header: http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}, api.IdempotencyHeader: {uuid.NewString()}}}
	if s.by == ByPassword {
		with := http.Request{Header: r.header}
		with.SetBasicAuth(p.login, slapdtest.Password(p.login))
	}
	r.body, err = json.Marshal(body)
	return r, err
}

// pairRequest asks for a person's pair with these keys.
func pairRequest(p *policy, signing, encryption crypto.Signer) (api.EnrolmentRequest, error) {
	body := api.EnrolmentRequest{Enrolment: "smime"}
	var err error
	if body.SigningCSR, err = csr(p, signing); err != nil {
		return body, err
	}
	if body.EncryptionCSR, err = csr(p, encryption); err != nil {
		return body, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(encryption)
	if err != nil {
		return body, err
	}
	body.EscrowedKey, err = message(p, body, pkcs8)
	return body, err
}

// message is the encryption key for the archive, bound to person, requests and nonce.
func message(p *policy, body api.EnrolmentRequest, pkcs8 []byte) ([]byte, error) {
	content, err := cms.EncKeyWithID{PrivateKey: pkcs8, Identifier: api.EscrowIdentifier(p.Person.ID, body.SigningCSR, body.EncryptionCSR, p.Exchange.Nonce)}.Marshal()
	if err != nil {
		return nil, err
	}
	return cms.Seal(content, []*x509.Certificate{p.exchange}, cms.SealOptions{ContentType: cms.OIDEncKeyWithID})
}

func csr(p *policy, key crypto.Signer) ([]byte, error) {
	return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: p.Person.Name}, EmailAddresses: p.Person.Mailboxes}, key)
}

// certificateRequests prepares requests for the floor, which takes the same ones again and again.
func certificateRequests(n int) ([]request, error) {
	out := make([]request, n)
	for i := range out {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		p := &policy{}
		p.Person = api.Person{Name: "Alice Anders", Mailboxes: []string{"alice@example.test"}}
		if out[i].body, err = csr(p, key); err != nil {
			return nil, err
		}
		out[i].header = http.Header{"Content-Type": {"application/pkcs10"}}
	}
	return out, nil
}
