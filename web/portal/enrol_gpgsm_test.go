package portal_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"

	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/gpgtest"
	"github.com/sealpost/sealpost/internal/pkitest"
)

// The files for GnuPG are what gpgsm 2.2 reads: mail is signed and decrypted with what is in them.
func TestFilesForGnuPGInTheBrowser(t *testing.T) {
	s := setup(t)
	ctx := s.chromium(t)
	s.comeIn(t, ctx, "alice", "/enrol")
	visible(t, ctx, "#get:enabled")
	must(t, chromedp.Run(ctx, chromedp.Click("#gnupg")))
	ask(t, ctx)
	visible(t, ctx, "#download")
	must(t, chromedp.Run(ctx, chromedp.Click("#old-make")))
	visible(t, ctx, "#old-files")
	must(t, chromedp.Run(ctx, pictures(t, "enrol-gnupg")))
	secret := text(t, ctx, "#old-passphrase")
	if len(secret) != 29 {
		t.Errorf("the passphrase is %q", secret)
	}
	g := gpgtest.New(t, s.PKI.Root)
	dir := t.TempDir()
	fetch := func(use string) string {
		must(t, chromedp.Run(ctx, cdpbrowser.SetDownloadBehavior(cdpbrowser.SetDownloadBehaviorBehaviorAllow).WithDownloadPath(dir), chromedp.Click("#old-"+use)))
		path := filepath.Join(dir, "alice@example.test."+use+".p12")
		e2etest.Eventually(t, func() error {
			if info, err := os.Stat(path); err != nil || info.Size() == 0 {
				return errors.Join(errors.New("the file is not there yet"), err)
			}
			return nil
		})
		return path
	}
	g.Write("secret", []byte(secret+"\n"))
	gpgsm := func(args ...string) string {
		return g.Run("sh", append([]string{"-c", `exec gpgsm --passphrase-fd 0 "$@" <"$0"`, g.Path("secret"),
			"--batch", "--yes", "--disable-crl-checks", "--disable-dirmngr", "--pinentry-mode", "loopback"}, args...)...)
	}
	for _, use := range []string{"signing", "encryption"} {
		file := fetch(use)
		info := e2etest.Tool(t, dir, "openssl", "pkcs12", "-legacy", "-in", file, "-passin", "pass:"+secret, "-info", "-nodes", "-out", use+".pem")
		for _, want := range []string{"MAC: sha1, Iteration 100000", "pbeWithSHA1And3-KeyTripleDES-CBC, Iteration 100000"} {
			if !strings.Contains(info, want) {
				t.Errorf("no %q in:\n%s", want, info)
			}
		}
		if said := gpgsm("--import", file); !strings.Contains(said, "secret keys imported: 1") {
			t.Errorf("gpgsm took the file for %s so:\n%s", use, said)
		}
	}
	must(t, os.WriteFile(filepath.Join(dir, "mail"), []byte("Hello Alice"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "root.pem"), pkitest.PEM(s.PKI.Root.Raw), 0o600))
	e2etest.Tool(t, dir, "openssl", "cms", "-encrypt", "-aes256", "-binary", "-in", "mail", "-outform", "DER", "-out", "secret.p7m", "encryption.pem")
	if said := gpgsm("--decrypt", filepath.Join(dir, "secret.p7m")); !strings.Contains(said, "Hello Alice") {
		t.Errorf("gpgsm decrypts to:\n%s", said)
	}
	gpgsm("--local-user", "alice@example.test", "--output", filepath.Join(dir, "signed.p7m"), "--sign", filepath.Join(dir, "mail"))
	e2etest.Tool(t, dir, "openssl", "cms", "-verify", "-inform", "DER", "-in", "signed.p7m", "-CAfile", "root.pem", "-purpose", "smimesign", "-out", "verified")
	must(t, chromedp.Run(ctx, chromedp.Click("#have")))
	visible(t, ctx, `[data-view="finished"] h1`)
}
