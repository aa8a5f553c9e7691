package store

import (
	"context"
	"crypto/sha1" //nolint:gosec // the name that macOS gives a certificate
	"crypto/x509"
	"fmt"
	"runtime"
	"strings"
)

// Keychain is the person's keychain on macOS, which Apple Mail and Outlook use. It has never been run on macOS: what the agent
// would have the system's program "security" do is tested with a stand-in for that.
type Keychain struct {
	Path string `json:"path,omitempty"` // empty means the usual one, login
}

// security is macOS's program for keychains.
const security = "/usr/bin/security"

// keychainApps may use the keys without a question to the person. Others ask.
var keychainApps = []string{"/System/Applications/Mail.app", "/Applications/Microsoft Outlook.app", "/Applications/Thunderbird.app", "/usr/bin/security"}

// runSecurity runs the program with an input.
type runSecurity func(ctx context.Context, input string, args ...string) (string, error)

// Name returns the kind of store and its folder.
func (k Keychain) Name() (kind, place string) { return "keychain", k.Path }

// Install imports the keys that are not there yet.
func (k Keychain) Install(ctx context.Context, d Keys) (Outcome, error) {
	if runtime.GOOS != "darwin" {
		return Outcome{}, ErrNotHere.Withf("There is a Keychain on macOS alone.")
	}
	return k.fill(ctx, d, func(ctx context.Context, input string, args ...string) (string, error) {
		return program{name: security, packag: "macOS", args: args, input: input}.run(ctx)
	})
}

// fill brings in what is missing, and looks whether it is there then: in its interactive mode, which it needs to be told a password
// by its input, the program does not say by its exit code what failed.
func (k Keychain) fill(ctx context.Context, d Keys, run runSecurity) (out Outcome, err error) {
	have, err := k.identities(ctx, run)
	if err != nil {
		return out, err
	}
	for i, cert := range d.Certificates {
		if have[thumbprint(cert)] {
			continue
		}
		said, err := run(ctx, k.importing(d.Single[i], d.Password), "-i")
		if err != nil {
			return out, storeFault(err, "The Keychain did not take the keys.")
		}
		if have, err = k.identities(ctx, run); err != nil {
			return out, err
		}
		if !have[thumbprint(cert)] {
			return out, ErrStore.Withf("The Keychain did not take the key to the certificate %x. Is it locked? Log in at the machine itself and try again.", cert.SerialNumber).
				Because(fmt.Errorf("security said: %s", strings.ReplaceAll(said, d.Password, "…")))
		}
	}
	for _, root := range d.Roots {
		// It fails where the certificate is not trusted for mail.
		if _, err := run(ctx, "", "verify-cert", "-c", d.Chain, "-p", "smime", "-l", "-L"); err != nil {
			out.Notes = append(out.Notes, fmt.Sprintf("macOS does not trust the root %s for mail. Your administrator can have all machines trust it (a profile with the certificate); "+
				"for you alone, open the last certificate in %s in Keychain Access and trust it for S/MIME.", plainName(root), d.Chain))
			break // one question for all
		}
	}
	return out, nil
}

// identities returns the thumbprints of certificates that have a key in the keychain.
func (k Keychain) identities(ctx context.Context, run runSecurity) (map[string]bool, error) {
	args := []string{"find-identity"}
	if k.Path != "" {
		args = append(args, k.Path)
	}
	said, err := run(ctx, "", args...)
	if err != nil {
		return nil, storeFault(err, "The Keychain does not say what it has.")
	}
	out := map[string]bool{}
	for _, word := range strings.Fields(said) {
		if len(word) == 2*sha1.Size {
			out[strings.ToUpper(word)] = true
		}
	}
	return out, nil
}

func thumbprint(cert *x509.Certificate) string {
	return fmt.Sprintf("%X", sha1.Sum(cert.Raw)) //nolint:gosec // as above
}

// importing is the command that imports a file with one key.
func (k Keychain) importing(file, password string) string {
	words := []string{"import", file, "-f", "pkcs12", "-P", password}
	if k.Path != "" {
		words = append(words, "-k", k.Path)
	}
	for _, app := range keychainApps {
		words = append(words, "-T", app)
	}
	for i, word := range words {
		words[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
	}
	return strings.Join(words, " ") + "\n"
}
