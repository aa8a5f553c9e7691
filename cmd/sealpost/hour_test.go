package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// firstDatabase is the first installation's database. Nothing is connected to it after the first hour, so that it can be
// copied.
const firstDatabase = "first"

// officers are the sample company's recovery officers.
var officers = []string{"olivia", "oscar", "otto"}

// firstHour is an operator's first hour, by the commands that people type, up to the point where the server can be
// started. It happens once; the other tests work on copies of what it yields.
func firstHour(t testing.TB) {
	t.Helper()
	shared.open(t)
	shared.hour.Do(func() {
		makeFirst(t)
		shared.made = true
	})
	if !shared.made {
		t.Fatal("there is no first installation: see the test that failed first")
	}
}

func makeFirst(t testing.TB) {
	t.Helper()
	i := &installation{dir: shared.path("first"), db: pgtest.Database{Cluster: shared.cluster, Name: firstDatabase}, slapd: slapdtest.New(t),
		api: freeAddress(t), public: freeAddress(t), portal: freeAddress(t)}
	pgtest.Database{Cluster: shared.cluster, Name: "postgres"}.Exec(t, "create database "+firstDatabase)
	said := e2etest.Good(t, e2etest.Command{Path: shared.path(program), Args: []string{"init", "--dir", i.dir, "--organisation", "Example", "--country", "DE",
		"--mail-domain", "example.test", "--public-url", "http://" + i.public}})
	for _, want := range []string{"TAKE BOTH AWAY", "OFFLINE", "sealpost migrate --config"} {
		if !strings.Contains(said, want) {
			t.Errorf("init does not say %q:\n%s", want, said)
		}
	}
	i.complete(t)
	if out := i.run(t, "check"); !strings.Contains(out, "No fault") {
		t.Errorf("check: %s", out)
	}
	for range 2 { // the second time does nothing
		i.run(t, "migrate")
	}
	e2etest.Bad(t, i.command("roster show"), "archive.roster_pins is empty")
	e2etest.Bad(t, i.command("serve"), "archives its key and there is no archive")
	must(t, os.Mkdir(shared.path("officers"), 0o700))
	roster := i.ceremony(t, shared.path("officers"))
	e2etest.Bad(t, i.command("roster add", roster), "roster_pins: [\"")
	i.edit(t, map[string]any{"archive.roster_pins": []string{strings.Repeat("0", 64)}})
	e2etest.Bad(t, i.command("roster add", roster), "pin")
	i.edit(t, map[string]any{"archive.roster_pins": []string{strings.Fields(openssl(t, "", "dgst", "-sha256", "-r", roster))[0]}})
	if out := i.run(t, "roster add", roster); !strings.Contains(out, "2 of 3 officers") {
		t.Errorf("roster add: %s", out)
	}
	if out := i.run(t, "roster show"); !strings.Contains(out, "Olivia Officer") || !strings.Contains(out, "threshold  2 of 3") {
		t.Errorf("roster show: %s", out)
	}
	i.run(t, "check --connect")
	i.quickKeys(t)
}

// quickKeys makes a copy of the first installation whose key files open with few iterations: other tests start servers often.
func (i *installation) quickKeys(t testing.TB) {
	t.Helper()
	must(t, os.CopyFS(shared.path("quick"), os.DirFS(i.dir)))
	for _, key := range []string{"issuing", "audit", "receipt"} {
		file := filepath.Join("pki", key+".key")
		openssl(t, shared.path("quick"), "pkcs8", "-topk8", "-v2", "aes-256-cbc", "-iter", "1000", "-in", i.path(file), "-passin", "file:"+i.path("passphrase"),
			"-out", file, "-passout", "file:passphrase") // of the same file it would read the second line
	}
}

// ceremony has the officers make their keys, get their certificates and make the archive's key together, each with their
// own tool in their own home below base. It returns the roster's file.
func (i *installation) ceremony(t testing.TB, base string) string {
	t.Helper()
	kra := func(login string, args ...string) string {
		home := filepath.Join(base, login)
		return e2etest.Good(t, e2etest.Command{Path: shared.path("sealpost-kra"), Env: []string{"SEALPOST_KRA_PASSPHRASE=five random words of " + login},
			Args: append([]string{"--home", home}, args...)})
	}
	var cards []string
	for _, login := range officers {
		kra(login, "keygen", login)
		card, csr := filepath.Join(base, login+".card"), filepath.Join(base, login)
		i.run(t, "roster certify", login, "--signing", filepath.Join(csr, "signing.csr"), "--decryption", filepath.Join(csr, "decryption.csr"), "--out", card)
		kra(login, "import", card, "--root", i.path("pki/root.pem"))
		kra(login, "log", "trust", strings.TrimSpace(i.run(t, "audit key")))
		cards = append(cards, card)
	}
	kra("bob", "keygen", "bob", "--recipient") // who receives in business and legal cases
	bob := filepath.Join(base, "bob.card")
	i.run(t, "roster certify", "bob", "--recipient", filepath.Join(base, "bob", "decryption.csr"), "--out", bob)
	kra("bob", "import", bob, "--root", i.path("pki/root.pem"))
	folder := filepath.Join(base, "ceremony")
	plan := kra("olivia", append([]string{"plan", folder, "--archive", "Example", "--threshold", "2", "--business-recipient", bob, "--legal-recipient", bob}, cards...)...)
	agreed := regexp.MustCompile(`[0-9a-f]{64}\s*\n\nThe plan is in`).FindString(plan)
	if agreed == "" {
		t.Fatalf("plan prints no hash:\n%s", plan)
	}
	for _, round := range []string{"commit", "reveal", "acknowledge"} {
		for _, login := range officers {
			kra(login, "ceremony", round, folder, "--agreed-hash", agreed[:64])
		}
	}
	kra("otto", "ceremony", "finish", folder)
	roster := filepath.Join(folder, "roster.bin")
	pin := strings.Fields(openssl(t, "", "dgst", "-sha256", "-r", roster))[0]
	for _, login := range append([]string{"bob"}, officers...) {
		kra(login, "verify-share", roster, "--pin", pin)
	}
	kept := i.path("roster.bin")
	must(t, os.Rename(roster, kept))
	return kept
}
