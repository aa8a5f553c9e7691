package store

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // the name that gpgsm gives a root
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/sealpost/sealpost/internal/disk"
)

// GPGSM is the key ring of gpgsm, which KMail, Claws Mail, mutt and others use.
type GPGSM struct {
	Home string `json:"home,omitempty"` // GNUPGHOME; empty means the person's usual one
	// TrustRoots enters the roots into trustlist.txt, as ones that may lack what RFC 5280 asks of a root ("relax"). Without
	// it gpgsm asks the person, or refuses where it cannot ask.
	TrustRoots bool `json:"trust_roots,omitempty"`
}

// maxTrustlist bounds trustlist.txt, in bytes.
const maxTrustlist = 1 << 20

// Name returns the kind of store and its folder.
func (g GPGSM) Name() (kind, place string) { return "gpgsm", g.Home }

// Install imports the certificates and keys. gpg-agent protects each key with the password of the file that it came in.
// Importing again changes nothing.
func (g GPGSM) Install(ctx context.Context, d Keys) (out Outcome, err error) {
	version, err := g.version(ctx)
	if err != nil {
		return out, err
	}
	if _, err := g.gpgsm("", "--import", d.Chain).run(ctx); err != nil {
		return out, storeFault(err, "gpgsm did not take the issuers' certificates.")
	}
	if g.TrustRoots {
		if err := g.trust(ctx, d.Roots); err != nil {
			return out, err
		}
	}
	for i, cert := range d.Certificates {
		// Before 2.4 it stops in the middle of an import of an EC key, with a segmentation fault.
		if _, ok := cert.PublicKey.(*rsa.PublicKey); !ok && version.before(2, 4) {
			out.Notes = append(out.Notes, fmt.Sprintf("gpgsm %s takes RSA keys only; it has the certificate %x but not its key. "+
				"Use gpgsm 2.4, or enrol with RSA keys.", version, cert.SerialNumber))
			if err := g.importCertificate(ctx, cert); err != nil {
				return out, err
			}
			continue
		}
		if err := g.importKey(ctx, d.Single[i], d.Password); err != nil {
			return out, err
		}
	}
	return out, nil
}

func (g GPGSM) env() []string {
	if g.Home == "" {
		return nil
	}
	return []string{"GNUPGHOME=" + g.Home}
}

// gpgsm returns a run of gpgsm that asks nobody anything and looks nothing up.
func (g GPGSM) gpgsm(input string, args ...string) program {
	args = append([]string{"--batch", "--yes", "--no-tty", "--disable-dirmngr"}, args...)
	return program{name: "gpgsm", packag: "gpgsm", args: args, env: g.env(), input: input}
}

func (g GPGSM) importCertificate(ctx context.Context, cert *x509.Certificate) error {
	_, err := g.gpgsm(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})), "--import").run(ctx)
	return storeFault(err, "gpgsm did not take the certificate %x.", cert.SerialNumber)
}

// importResult finds the numbers of private keys read, imported and unchanged: the 10th to 12th of IMPORT_RES.
var importResult = regexp.MustCompile(`(?m)^\[GNUPG:\] IMPORT_RES(?: \d+){9} (\d+) (\d+) (\d+)`)

func (g GPGSM) importKey(ctx context.Context, file, password string) error {
	out, err := g.gpgsm(password+"\n", "--status-fd", "1", "--pinentry-mode", "loopback", "--passphrase-fd", "0", "--import", file).run(ctx)
	const why = "gpgsm did not take the key in %s. Its password must be plain ASCII, and gpg-agent must allow loopback pinentry."
	if err != nil {
		return storeFault(err, why, file)
	}
	if m := importResult.FindStringSubmatch(out); m == nil || m[2] == "0" && m[3] == "0" {
		return ErrStore.Withf(why, file).Because(errors.New(out))
	}
	return nil
}

// trust enters the roots into trustlist.txt, each once, and has gpg-agent read it again.
func (g GPGSM) trust(ctx context.Context, roots []*x509.Certificate) error {
	out, err := program{name: "gpgconf", packag: "gpgconf", args: []string{"--list-dirs", "homedir"}, env: g.env()}.run(ctx)
	if err != nil {
		return storeFault(err, "gpgconf does not say where gpgsm keeps its files.")
	}
	home, err := url.PathUnescape(out)
	if err != nil {
		return ErrStore.Because(err)
	}
	path := filepath.Join(home, "trustlist.txt")
	list, err := disk.Read(path, maxTrustlist)
	if err != nil {
		return ErrStore.Withf("%s cannot be read.", path).Because(err)
	}
	changed := list
	for _, root := range roots {
		if name := colons(root.Raw); !bytes.Contains(bytes.ToUpper(changed), []byte(name)) {
			changed = fmt.Appendf(endLine(changed), "# %s\n%s S relax\n", strings.ReplaceAll(plainName(root), "\n", " "), name)
		}
	}
	if len(changed) == len(list) {
		return nil
	}
	if err := disk.Write(path, changed, 0o600); err != nil {
		return err
	}
	_, err = program{name: "gpgconf", packag: "gpgconf", args: []string{"--reload", "gpg-agent"}, env: g.env()}.run(ctx)
	return storeFault(err, "gpg-agent did not read trustlist.txt again. Log out and in.")
}

func endLine(text []byte) []byte {
	if len(text) > 0 && text[len(text)-1] != '\n' {
		return append(text[:len(text):len(text)], '\n')
	}
	return text[:len(text):len(text)]
}

// colons returns the SHA-1 fingerprint as trustlist.txt has it.
func colons(der []byte) string {
	sum := sha1.Sum(der) //nolint:gosec // as above
	parts := make([]string, len(sum))
	for i, b := range sum {
		parts[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(parts, ":")
}

// gnupgVersion is major, minor and the rest.
type gnupgVersion struct {
	major, minor int
	text         string
}

func (v gnupgVersion) String() string { return v.text }

func (v gnupgVersion) before(major, minor int) bool {
	return v.major < major || v.major == major && v.minor < minor
}

var versionLine = regexp.MustCompile(`^gpgsm \(GnuPG[^)]*\) ((\d{1,4})\.(\d{1,4})\S*)`)

func (g GPGSM) version(ctx context.Context) (v gnupgVersion, err error) {
	out, err := program{name: "gpgsm", packag: "gpgsm", args: []string{"--version"}, env: g.env()}.run(ctx)
	if err != nil {
		return v, storeFault(err, "gpgsm does not run.")
	}
	m := versionLine.FindStringSubmatch(out)
	if m == nil {
		return v, ErrStore.Withf("gpgsm does not say its version.").Because(errors.New(out))
	}
	v.text = m[1]
	v.major, err = strconv.Atoi(m[2])
	if err != nil {
		return v, ErrStore.Because(err)
	}
	v.minor, err = strconv.Atoi(m[3])
	if err != nil {
		return v, ErrStore.Because(err)
	}
	return v, nil
}
