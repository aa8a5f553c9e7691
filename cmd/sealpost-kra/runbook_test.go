package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/archive/threshold"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/keys"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/kra"
)

// officerNames are the people of docs/runbooks/ceremony.md, by login.
var officerNames = map[string]string{"olga": "Olga Berg", "otto": "Otto Lang", "odile": "Odile Roth"}

var (
	fenced   = regexp.MustCompile("(?ms)^```console\n(.*?)^```$")
	prompted = regexp.MustCompile(`^([a-z]+)[$#] (.+)$`)
)

// room is where the runbook is followed: everybody has a machine (a home folder), and all share the stick.
type room struct {
	*authority
	dir string
	ran int
}

// TestRunbook does what docs/runbooks/ceremony.md says, command by command, at terminals. Only the server's commands are
// done here, by the rooms that they call.
func TestRunbook(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "runbooks", "ceremony.md"))
	must(t, err)
	r := &room{authority: newAuthority(t), dir: t.TempDir()}
	must(t, link(filepath.Join(r.dir, "bin")))
	must(t, os.Mkdir(filepath.Join(r.dir, "stick"), 0o755))
	for _, who := range []string{"olga", "otto", "odile", "machine"} {
		must(t, os.Mkdir(filepath.Join(r.dir, who), 0o700))
		must(t, os.WriteFile(filepath.Join(r.dir, who, "root.pem"), pkitest.PEM(r.Root.Raw), 0o644))
	}
	for _, block := range fenced.FindAllStringSubmatch(string(text), -1) {
		for line := range strings.Lines(block[1]) {
			m := prompted.FindStringSubmatch(strings.TrimSpace(line))
			if m == nil {
				t.Fatalf("not a command: %s", line)
			}
			r.follow(m[1], strings.ReplaceAll(m[2], "/media/stick", filepath.Join(r.dir, "stick")))
		}
	}
	if r.ran < 30 {
		t.Errorf("the runbook has only %d commands", r.ran)
	}
	for _, folder := range []string{"ceremony", "dealt"} {
		roster, err := kra.ReadRoster(filepath.Join(r.dir, "stick", folder, kra.RosterFile))
		must(t, err)
		r.opens(roster)
	}
}

func (r *room) follow(who, command string) {
	r.t.Helper()
	people := []string{who}
	if who == "each" {
		people = []string{"olga", "otto", "odile"}
	}
	for _, who := range people {
		r.ran++
		if words := strings.Fields(command); who == "server" && words[0] == "sealpost" {
			if err := r.server(words[1:]); err != nil {
				r.t.Fatalf("server# %s: %v", command, err)
			}
			continue
		}
		c := exec.CommandContext(r.t.Context(), "sh", "-c", command)
		c.Env = []string{"HOME=" + filepath.Join(r.dir, who), "PATH=" + filepath.Join(r.dir, "bin") + ":" + os.Getenv("PATH")}
		p := &typist{passphrases: []string{"the five words of " + who}, heard: func() record.Hash { return r.heard(command) }}
		if out, err := p.run(r.t, c); err != nil {
			r.t.Fatalf("%s$ %s: %v\n%s", who, command, err, out)
		} else if strings.Contains(out, "the five words") {
			r.t.Errorf("%s$ %s: the passphrase is shown", who, command)
		}
	}
}

// heard is what the others read aloud: the hash of what they see, which is the roster's once there is one.
func (r *room) heard(command string) record.Hash {
	words := strings.Fields(command)
	path := words[len(words)-1]
	if slices.Contains(words, "deal") {
		path = words[3]
	}
	if filepath.Base(path) != kra.RosterFile {
		plan, err := kra.ReadPlan(path)
		must(r.t, err)
		return plan.Hash()
	}
	sum, err := exec.CommandContext(r.t.Context(), "sha256sum", path).Output()
	must(r.t, err)
	h, err := record.ParseHash(string(sum[:64]))
	must(r.t, err)
	return h
}

// server does what the two commands of the server do.
func (r *room) server(args []string) error {
	switch strings.Join(args[:2], " ") {
	case "roster certify":
		f := flag.NewFlagSet("certify", flag.ContinueOnError)
		signing, decryption, out := f.String("signing", "", ""), f.String("decryption", "", ""), f.String("out", "", "")
		if err := f.Parse(args[3:]); err != nil {
			return err
		}
		return r.certify(officerNames[args[2]], *signing, *decryption, *out, ca.AgentSigning, ca.AgentDecryption)
	case "roster add":
		return r.addRoster(args[2])
	}
	return fmt.Errorf("the test does not know %q", args)
}

// addRoster lets the server's archive take the roster under its pin.
func (r *room) addRoster(path string) error {
	file, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	roster, err := record.ParseRoster(file)
	if err != nil {
		return err
	}
	wrapping, err := record.GenerateWrappingKey()
	if err != nil {
		return err
	}
	a, err := archive.New(archive.Config{DB: pgtest.New(r.t), Pins: []record.Hash{roster.Hash()}, Wrapping: []*record.WrappingKey{wrapping},
		Receipts: pkitest.NewKey(r.t, ca.P256)})
	if err != nil {
		return err
	}
	_, err = a.AddRoster(r.t.Context(), audit.System("test"), file)
	return errors.Join(err, a.CheckRoster(r.t.Context()))
}

// opens demands that a record sealed to the roster opens with two shares and not with one.
func (r *room) opens(roster *record.Roster) {
	r.t.Helper()
	wrapping, err := record.GenerateWrappingKey()
	must(r.t, err)
	rec, err := record.Seal(roster.Key(), wrapping.Public(), record.Header{Purpose: record.PurposeDrill, SPKI: [32]byte{1}, Algorithm: "ec-p256",
		Time: roster.Plan.Created}, []byte("a key"))
	must(r.t, err)
	in, err := rec.UnwrapOuter(wrapping)
	must(r.t, err)
	var ids []uint16
	var ds []threshold.Point
	for _, a := range roster.Plan.Agents[1:] {
		login, _, _ := strings.Cut(strings.ToLower(a.Name), " ")
		home := filepath.Join(r.dir, login, ".local", "share", "sealpost-kra")
		key, err := keys.Open(r.t.Context(), filepath.Join(home, "decryption.key"), keys.Unlock("the five words of "+login))
		must(r.t, err)
		share, err := roster.OpenShare(a.ID, cms.Recipient{Certificate: a.Decryption, Key: key})
		must(r.t, err)
		d, err := threshold.Decrypt(share, []threshold.Point{in.Capsule.R})
		must(r.t, err)
		ids, ds = append(ids, a.ID), append(ds, d[0])
	}
	for n, want := range map[int]error{1: record.ErrNotOpened, 2: nil} {
		q, err := threshold.NewQuorum(n, ids)
		must(r.t, err)
		z, err := q.Combine(ds[:n])
		must(r.t, err)
		if _, err := in.Open(z, roster.Key()); !errors.Is(err, want) {
			r.t.Errorf("%d shares: %v", n, err)
		}
	}
}
