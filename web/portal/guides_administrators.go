package portal

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/sealpost/sealpost/web/clients"
)

const setUpPath = "/guides/administrators"

// installation is what mail programs are told of this one.
func (p *Portal) installation() clients.Installation {
	var chains [][]*x509.Certificate
	for _, i := range p.Authority.Issuers() {
		chains = append(chains, i.Chain())
	}
	return clients.Installation{Organisation: p.Organisation, Policy: p.Mail, Certificates: clients.Chains(chains...)}
}

// handout is a file for administrators.
type handout struct {
	Name  string
	media string
	make  func() ([]byte, error)
}

// as makes a file of what cannot fail.
func as(b []byte) func() ([]byte, error) { return func() ([]byte, error) { return b, nil } }

// certificateFile is a certificate among the files: by its role, and its number if there are several.
func certificateFile(role string, n int) string {
	if n == 0 {
		return role + ".cer"
	}
	return role + "-" + strconv.Itoa(n+1) + ".cer"
}

// handouts are all files.
func handouts(i clients.Installation) (out []handout) {
	for n, c := range i.Roots() {
		out = append(out, handout{certificateFile("root", n), "application/pkix-cert", as(c.Raw)},
			handout{i.RootFile(n), "application/x-pem-file", as(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))})
	}
	for n, c := range i.Issuing() {
		out = append(out, handout{certificateFile("issuing", n), "application/pkix-cert", as(c.Raw)})
	}
	return append(out,
		handout{"sealpost-chain.pem", "application/x-pem-file", as(i.PEM())},
		handout{"sealpost-chain.p7b", "application/x-pkcs7-certificates", i.P7B},
		handout{"sealpost.sst", "application/vnd.ms-pki.certstore", as(i.SST())},
		handout{"sealpost.reg", "application/octet-stream", as(i.Registry())},
		handout{"sealpost.mobileconfig", "application/x-apple-aspen-config", i.Profile},
		handout{"policies.json", "application/json", i.ThunderbirdPolicies},
		handout{"mozilla.cfg", "text/plain; charset=us-ascii", i.ThunderbirdAutoconfig},
		handout{"sealpost.js", "text/plain; charset=us-ascii", as([]byte(clients.ThunderbirdLoader))})
}

// issuedUnder is a certificate as the page shows it.
type issuedUnder struct {
	*x509.Certificate
	Role, File, Fingerprint string
}

// setUp shows what an administrator sets mail programs up with.
func (p *Portal) setUp(w http.ResponseWriter, r *http.Request, v *visit) error {
	i := p.installation()
	var certificates []issuedUnder
	var commands, machine []string
	for _, of := range []struct {
		role, store, local string
		list               []*x509.Certificate
	}{{"root", "RootCA", "Root", i.Roots()}, {"issuing", "SubCA", "CA", i.Issuing()}} {
		for n, c := range of.list {
			file := certificateFile(of.role, n)
			certificates = append(certificates, issuedUnder{c, of.role, file, fmt.Sprintf("%X", sha256.Sum256(c.Raw))})
			commands = append(commands, "certutil -dspublish -f "+file+" "+of.store)
			machine = append(machine, "certutil -addstore "+of.local+" "+file)
		}
	}
	policies, err := i.ThunderbirdPolicies()
	if err != nil {
		return err
	}
	script, err := i.ThunderbirdAutoconfig()
	if err != nil {
		return err
	}
	var roots []string
	for n := range i.Roots() {
		roots = append(roots, i.RootFile(n))
	}
	return p.show(w, r, v, http.StatusOK, "guides-administrators", "setup.title", struct {
		At                       string
		Certificates             []issuedUnder
		Domain, Machine          string // commands
		Outlook                  []clients.Setting
		Roots                    []string // their files for Thunderbird
		Policies, Script, Loader string
		Account                  clients.Account
		AddressBook              clients.AddressBook
	}{setUpPath, certificates, strings.Join(commands, "\n"), strings.Join(machine, "\n"), i.Outlook(), roots, string(policies), string(script), clients.ThunderbirdLoader,
		p.Mail.Account.Complete(), p.Mail.AddressBook})
}

// setUpFile answers with one of the files.
func (p *Portal) setUpFile(w http.ResponseWriter, r *http.Request, _ *visit) error {
	list := handouts(p.installation())
	n := slices.IndexFunc(list, func(h handout) bool { return h.Name == chi.URLParam(r, "file") })
	if n < 0 {
		return ErrNoPage
	}
	content, err := list[n].make()
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", list[n].media)
	h.Set("Content-Disposition", `attachment; filename="`+list[n].Name+`"`)
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(content)))
	if _, err := w.Write(content); err != nil {
		p.Log.DebugContext(r.Context(), "file was not read to its end", "error", err)
	}
	return nil
}
