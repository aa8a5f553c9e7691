package main

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/cmd/sealpost/server"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// running is `sealpost serve` as a process.
type running struct {
	*e2etest.Process
	*installation
}

// launch starts the server and does not wait for it.
func (i *installation) launch(t testing.TB, env ...string) *running {
	t.Helper()
	c := i.command("serve")
	c.Env = env
	return &running{e2etest.Start(t, c), i}
}

// serve starts the server and waits until it is well. When the test ends it is asked to stop, and must.
func (i *installation) serve(t testing.TB, env ...string) *running {
	t.Helper()
	r := i.launch(t, env...)
	r.Await(t, `"msg":"serving"`)
	r.awaitHealth(t)
	t.Cleanup(func() {
		if !r.Ended() {
			r.stop(t)
		}
		if t.Failed() {
			t.Logf("the server's log:\n%s", r.Stderr())
		}
	})
	return r
}

// stop asks the server to stop and waits for its end.
func (r *running) stop(t testing.TB) {
	t.Helper()
	r.Signal(syscall.SIGTERM)
	if code := r.Wait(t); code != 0 {
		t.Errorf("the server ends with exit code %d\n%s", code, r.Stderr())
	}
}

// awaitHealth waits until the server says that all its parts are well.
func (r *running) awaitHealth(t testing.TB) {
	t.Helper()
	c := r.client(t, client.Config{})
	defer c.Close()
	e2etest.Eventually(t, func() error {
		h, err := c.Health(t.Context())
		if err == nil && !h.OK {
			err = fmt.Errorf("health: %v", h.Parts)
		}
		return err
	})
}

func (i *installation) url() string {
	_, port, _ := net.SplitHostPort(i.api)
	return "https://localhost:" + port
}

// client returns a client of the API that trusts the root and tries each call once.
func (i *installation) client(t testing.TB, c client.Config) *client.Client {
	t.Helper()
	c.BaseURL, c.Roots = i.url(), x509.NewCertPool()
	for _, file := range append([]string{"pki/root.pem"}, i.trusts...) {
		roots, err := server.ReadCertificates(i.path(file))
		must(t, err)
		c.Roots.AddCert(roots[0])
	}
	if c.Retries == 0 {
		c.Retries = -1
	}
	out, err := client.New(c)
	must(t, err)
	return out
}

// as returns the client of a person of the sample company, by password.
func (i *installation) as(t testing.TB, login string) *client.Client {
	t.Helper()
	return i.client(t, client.Config{Login: login, Password: slapdtest.Password(login)})
}

// keyPair is what a client makes for one enrolment.
type keyPair struct{ signing, encryption crypto.Signer }

func newKeys(t testing.TB) keyPair {
	t.Helper()
	return keyPair{pkitest.NewKey(t, ca.P256), pkitest.NewKey(t, ca.P256)}
}

// request makes the request for a pair, with everything in order.
func request(t testing.TB, p api.Policy, enrolment string, k keyPair) api.EnrolmentRequest {
	t.Helper()
	r := api.EnrolmentRequest{Enrolment: enrolment, SigningCSR: pkitest.CSR(t, k.signing, "x"), EncryptionCSR: pkitest.CSR(t, k.encryption, "x")}
	r.EscrowedKey = escrow(t, p, r, k.encryption)
	return r
}

// escrow encrypts a private key for the archive, bound to a request.
func escrow(t testing.TB, p api.Policy, r api.EnrolmentRequest, key crypto.PrivateKey) []byte {
	t.Helper()
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	exchange, err := x509.ParseCertificate(p.Exchange.Certificate)
	must(t, err)
	content, err := cms.EncKeyWithID{PrivateKey: pkcs8, Identifier: api.EscrowIdentifier(p.Person.ID, r.SigningCSR, r.EncryptionCSR, p.Exchange.Nonce)}.Marshal()
	must(t, err)
	der, err := cms.Seal(content, []*x509.Certificate{exchange}, cms.SealOptions{ContentType: cms.OIDEncKeyWithID})
	must(t, err)
	return der
}

// submission is a request that can be repeated.
type submission struct {
	login, name string
	keys        keyPair
	request     api.EnrolmentRequest
}

// prepare asks the server for the policy and makes a request for a pair.
func (r *running) prepare(t testing.TB, login, enrolment string) submission {
	t.Helper()
	c := r.as(t, login)
	defer c.Close()
	p, err := c.Policy(t.Context())
	must(t, err)
	k := newKeys(t)
	return newSubmission(login, k, request(t, p, enrolment, k))
}

func newSubmission(login string, k keyPair, r api.EnrolmentRequest) submission {
	return submission{login, uuid.NewString(), k, r}
}

// submit sends a request, once.
func (r *running) submit(t testing.TB, s submission) (api.EnrolmentStatus, error) {
	t.Helper()
	c := r.as(t, s.login)
	defer c.Close()
	return c.Enrol(t.Context(), s.name, s.request)
}

// enrol gets a pair for somebody.
func (r *running) enrol(t testing.TB, login string) (api.EnrolmentStatus, submission) {
	t.Helper()
	s := r.prepare(t, login, "smime")
	status, err := r.submit(t, s)
	must(t, err)
	if status.State != api.StateIssued || len(status.Certificates) != 2 {
		t.Fatalf("%s: %+v", login, status)
	}
	return status, s
}

// fetch gets something from the public listener.
func (i *installation) fetch(t testing.TB, path string) []byte {
	t.Helper()
	return fetch(t, "http://"+i.public+path)
}

func fetch(t testing.TB, url string) []byte {
	t.Helper()
	resp, err := (&http.Client{Timeout: 20 * time.Second}).Get(url)
	must(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(t, err)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d: %s", url, resp.StatusCode, b)
	}
	return b
}

// codeOf returns the code of a fault, "" for none.
func codeOf(err error) string {
	if f := fault.Of(err); f != nil {
		return f.Code
	}
	return ""
}

// agent is a run of sealpost-agent on somebody's workstation, whose folder is home.
func (i *installation) agent(home, login, line string, args ...string) e2etest.Command {
	return e2etest.Command{Path: shared.path("sealpost-agent"), Dir: home, Env: []string{"SEALPOST_PASSWORD=" + slapdtest.Password(login), "HOME=" + home},
		Args: append(append(words(line), args...), "--state", home+"/state")}
}

// enrolAgent is the first enrolment on a workstation.
func (i *installation) enrolAgent(home, login string, args ...string) e2etest.Command {
	return i.agent(home, login, "enroll", append([]string{"--server", i.url(), "--roots", i.path("pki/root.pem"), "--login", login}, args...)...)
}

// oneLine fails the test unless an error's first line is the command's name and a sentence with its code.
func oneLine(t testing.TB, what, said string) {
	t.Helper()
	first, _, _ := strings.Cut(said, "\n")
	if !strings.HasPrefix(first, "sealpost: ") || len(first) > 400 || strings.Contains(said, "goroutine ") {
		t.Errorf("%s: this is no error that a person can read:\n%s", what, said)
	}
}
