package portal_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/archive/threshold"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/gpgtest"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/rostertest"
	"github.com/sealpost/sealpost/pkcs12"
)

// owned is a pair that somebody got earlier.
type owned struct {
	housetest.Keys
	signing, encryption *x509.Certificate
}

// had gives somebody pairs, one after the other, with encryption keys of these kinds.
func (s *site) had(t *testing.T, login string, kinds ...ca.KeyAlgorithm) (out []owned) {
	t.Helper()
	by := s.Actor(t, login)
	for _, kind := range kinds {
		o := owned{Keys: housetest.Keys{Signing: pkitest.NewKey(t, ca.P256), Encryption: pkitest.NewKey(t, kind)}}
		_, err := s.Enroll.Submit(t.Context(), by, s.SubmissionWith(t, by, housetest.Pair, o.Keys))
		must(t, err)
		found, err := s.PKI.Authority.Find(t.Context(), ca.Query{Person: &by.Person, Limit: 100})
		must(t, err)
		for _, c := range found {
			leaf, err := x509.ParseCertificate(c.DER)
			must(t, err)
			switch {
			case o.Signing.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(leaf.PublicKey):
				o.signing = leaf
			case o.Encryption.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(leaf.PublicKey):
				o.encryption = leaf
			}
		}
		if o.signing == nil || o.encryption == nil {
			t.Fatalf("%s has no certificates", login)
		}
		out = append(out, o)
	}
	return out
}

// file writes a pair as the file that somebody has of it.
func (o owned) file(t *testing.T, passphrase string) string {
	t.Helper()
	p12, err := pkcs12.Encode([]pkcs12.Entry{{Key: o.Encryption, Certificate: o.encryption, Name: "read"}, {Key: o.Signing, Certificate: o.signing, Name: "sign"}}, nil, passphrase, pkcs12.Modern)
	must(t, err)
	path := filepath.Join(t.TempDir(), "mine.p12")
	must(t, os.WriteFile(path, p12, 0o600))
	return path
}

// asked returns the case that somebody opened.
func (s *site) asked(t *testing.T, login string) *archive.Case {
	t.Helper()
	by := s.Actor(t, login)
	found, err := s.Recovery.List(t.Context(), by, "", uuid.Nil, 10)
	must(t, err)
	found = slices.DeleteFunc(found, func(l archive.Listed) bool { return l.State == archive.CaseCancelled || l.State == archive.CaseDenied })
	if len(found) != 1 {
		t.Fatalf("%d cases are open", len(found))
	}
	k, err := s.Recovery.Get(t.Context(), by, found[0].ID)
	must(t, err)
	return k
}

// shareOf is an officer's own share, and who they are.
func (s *site) shareOf(t *testing.T, login string) (rostertest.Agent, threshold.Share) {
	t.Helper()
	a := s.Roster.Agents[slices.Index([]string{"olivia", "oscar", "otto"}, login)]
	share, err := s.Roster.OpenShare(a.ID, a.Key)
	must(t, err)
	return a, share
}

// officerAgrees has an officer approve a case; with another share than theirs it is garbage.
func (s *site) officerAgrees(t *testing.T, login string, id uuid.UUID, garbage bool) {
	t.Helper()
	by := s.Actor(t, login)
	a, share := s.shareOf(t, login)
	if garbage {
		share.Scalar = threshold.RandomScalar()
	}
	k, err := s.Recovery.Get(t.Context(), by, id)
	must(t, err)
	raw, err := s.Recovery.Capsules(t.Context(), by, id, 0, 1000)
	must(t, err)
	var capsules []*record.Capsule
	for _, b := range raw {
		c, err := record.ParseCapsule(b)
		must(t, err)
		capsules = append(capsules, c)
	}
	bundle, err := record.NewBundle(s.Roster.Roster, k.SignedCase, 0, capsules, nil)
	must(t, err)
	answer, err := record.Approving{Bundles: []*record.Bundle{bundle}, Share: share, Signer: a.Signer, Time: s.Clock.Now(), Comment: "Spoke with them."}.Approve()
	must(t, err)
	encoded, err := answer.Encode()
	must(t, err)
	_, err = s.Recovery.Answer(t.Context(), by, id, encoded)
	must(t, err)
}

func (s *site) officerRefuses(t *testing.T, login string, id uuid.UUID, comment string) {
	t.Helper()
	by := s.Actor(t, login)
	a, _ := s.shareOf(t, login)
	k, err := s.Recovery.Get(t.Context(), by, id)
	must(t, err)
	no, err := record.NewDenial(s.Roster.Roster, k.SignedCase, a.ID, a.Signer, s.Clock.Now(), comment)
	must(t, err)
	encoded, err := (&record.Answer{Approval: no}).Encode()
	must(t, err)
	_, err = s.Recovery.Answer(t.Context(), by, id, encoded)
	must(t, err)
}

// askOfficers fills in the page's form with a file.
func askOfficers(t *testing.T, ctx context.Context, file, secret string) {
	t.Helper()
	visible(t, ctx, "#ask:enabled")
	must(t, chromedp.Run(ctx, chromedp.SetUploadFiles("#file", []string{file}), chromedp.SetValue("#file-passphrase", secret), chromedp.Click("#ask")))
}

// restores returns how many restores the browser keeps.
func restores(t *testing.T, ctx context.Context) (n int) {
	t.Helper()
	must(t, chromedp.Run(ctx, chromedp.Evaluate(`new Promise((ok, no) => { const r = indexedDB.open("sealpost-restore", 1); r.onerror = no;
		r.onupgradeneeded = () => r.result.createObjectStore("restores", { keyPath: "person" });
		r.onsuccess = () => { const c = r.result.transaction("restores").objectStore("restores").count(); c.onsuccess = () => { r.result.close(); ok(c.result); }; }; })`, &n,
		chromedp.EvalAsValue, awaitPromise)))
	return n
}

// says waits until an element says something.
func says(t *testing.T, ctx context.Context, selector, want string) {
	t.Helper()
	e2etest.Eventually(t, func() error {
		var got string
		if err := chromedp.Run(ctx, chromedp.Evaluate(fmt.Sprintf(`(e => e?.checkVisibility() ? e.innerText : "nothing")(document.querySelector(%q))`, selector), &got)); err != nil {
			return err
		}
		if !strings.Contains(got, want) {
			return fmt.Errorf("%s says %q, not %q", selector, got, want)
		}
		return nil
	})
}

// opensOldMail holds that Go, openssl and NSS read a file of recovered keys, that all are in it, the newest first, and that every mail opens.
func (s *site) opensOldMail(t *testing.T, dir string, file []byte, pairs []owned) {
	t.Helper()
	entries, chain, err := pkcs12.Decode(file, passphrase)
	must(t, err)
	if len(entries) != len(pairs) || !slices.ContainsFunc(chain, s.PKI.Root.Equal) {
		t.Fatalf("%d keys and %d issuers in the file", len(entries), len(chain))
	}
	if entries[0].Name != "Alice Anders (encryption)" || !strings.HasPrefix(entries[1].Name, "Alice Anders (old encryption, from 20") {
		t.Errorf("the keys are named %q, %q", entries[0].Name, entries[1].Name)
	}
	for _, p := range pairs {
		if !slices.ContainsFunc(entries, func(e pkcs12.Entry) bool {
			return e.Certificate.Equal(p.encryption) && p.Encryption.(interface{ Equal(crypto.PrivateKey) bool }).Equal(e.Key)
		}) {
			t.Errorf("a key of kind %T is missing", p.Encryption)
		}
	}
	must(t, os.WriteFile(filepath.Join(dir, "older.p12"), file, 0o600))
	e2etest.Tool(t, dir, "openssl", "pkcs12", "-in", "older.p12", "-passin", "pass:"+passphrase, "-nodes", "-out", "all.pem")
	all, err := os.ReadFile(filepath.Join(dir, "all.pem"))
	must(t, err)
	keys := regexp.MustCompile(`(?s)-----BEGIN PRIVATE KEY-----.*?-----END PRIVATE KEY-----\n`).FindAll(all, -1)
	for i, p := range pairs {
		at := slices.IndexFunc(keys, func(text []byte) bool {
			block, _ := pem.Decode(text)
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			return err == nil && p.Encryption.(interface{ Equal(crypto.PrivateKey) bool }).Equal(key)
		})
		if at < 0 {
			t.Fatalf("openssl finds no key for mail %d among %d", i, len(keys))
		}
		must(t, os.WriteFile(filepath.Join(dir, "key.pem"), keys[at], 0o600))
		if got := e2etest.Tool(t, dir, "openssl", "cms", "-decrypt", "-inform", "PEM", "-in", fmt.Sprintf("mail%d", i), "-recip", fmt.Sprintf("cert%d.pem", i), "-inkey", "key.pem"); !strings.Contains(got, fmt.Sprintf("mail %d", i)) {
			t.Errorf("mail %d is %q", i, got)
		}
	}
	must(t, os.Mkdir(filepath.Join(dir, "db"), 0o700))
	e2etest.Tool(t, dir, "certutil", "-N", "-d", "sql:db", "--empty-password")
	e2etest.Tool(t, dir, "pk12util", "-i", "older.p12", "-d", "sql:db", "-W", passphrase)
	if listed := e2etest.Tool(t, dir, "certutil", "-K", "-d", "sql:db"); strings.Count(listed, "\n<") != len(pairs) {
		t.Errorf("NSS has these keys:\n%s", listed)
	}
}

// keepsToItself holds that no private key and no passphrase is in what a browser sent, as it is or in base64.
func keepsToItself(t *testing.T, sent string, pairs []owned, secrets ...string) {
	t.Helper()
	for _, field := range regexp.MustCompile(`[A-Za-z0-9+/]{40,}=*`).FindAllString(sent, -1) {
		if b, err := base64.StdEncoding.DecodeString(field); err == nil {
			sent += string(b)
		}
	}
	if !strings.Contains(sent, string(pairs[2].signing.Raw)) {
		t.Error("the signing certificate was not sent, so this looks at the wrong place")
	}
	for _, p := range pairs {
		for _, key := range []crypto.Signer{p.Signing, p.Encryption} {
			var secret []byte
			var err error
			switch key := key.(type) {
			case *ecdsa.PrivateKey:
				secret, err = key.Bytes()
				must(t, err)
			case *rsa.PrivateKey:
				secret = key.Primes[0].Bytes()
			}
			if len(secret) < 32 || strings.Contains(sent, string(secret)) {
				t.Error("a private key was sent")
			}
		}
	}
	for _, secret := range secrets {
		if strings.Contains(sent, secret) {
			t.Error("a passphrase was sent")
		}
	}
}

// gnupgOpensOldMail holds that each key is in a file of its own, and that gpgsm 2.2 takes the one with RSA and decrypts with it the mail of the first pair.
func (s *site) gnupgOpensOldMail(t *testing.T, ctx context.Context, dir string, first owned) {
	t.Helper()
	visible(t, ctx, "#old-files")
	must(t, chromedp.Run(ctx, pictures(t, "restore-gnupg")))
	secret := text(t, ctx, "#old-passphrase")
	var names []string
	must(t, chromedp.Run(ctx, cdpbrowser.SetDownloadBehavior(cdpbrowser.SetDownloadBehaviorBehaviorAllow).WithDownloadPath(dir),
		chromedp.Evaluate(`[...document.querySelectorAll("#old-links a")].map(a => a.download)`, &names)))
	if len(names) != 3 {
		t.Fatalf("the files are %q", names)
	}
	g := gpgtest.New(t, s.PKI.Root)
	g.Write("secret", []byte(secret+"\n"))
	gpgsm := func(args ...string) string {
		return g.Run("sh", append([]string{"-c", `exec gpgsm --passphrase-fd 0 "$@" <"$0"`, g.Path("secret"),
			"--batch", "--yes", "--disable-crl-checks", "--disable-dirmngr", "--pinentry-mode", "loopback"}, args...)...)
	}
	found := false
	for i, name := range names {
		must(t, chromedp.Run(ctx, chromedp.Click(fmt.Sprintf("#old-links li:nth-child(%d) a", i+1))))
		path := filepath.Join(dir, name)
		var entries []pkcs12.Entry
		e2etest.Eventually(t, func() error {
			b, err := os.ReadFile(path)
			if err == nil {
				entries, _, err = pkcs12.Decode(b, secret)
			}
			return err
		})
		if len(entries) == 1 && entries[0].Certificate.Equal(first.encryption) {
			found = true
			gpgsm("--import", path)
		}
	}
	if got := gpgsm("--assume-armor", "--decrypt", filepath.Join(dir, "mail0")); !found || !strings.Contains(got, "mail 0") {
		t.Errorf("gpgsm decrypts to %q", got)
	}
}
