package main

import (
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/archive/threshold"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/delivery"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/audittest"
	"github.com/sealpost/sealpost/internal/keys"
	"github.com/sealpost/sealpost/internal/pg"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/kra"
)

// officerNames are the people of the runbooks, by login.
var officerNames = map[string]string{"olga": "Olga Berg", "otto": "Otto Lang", "odile": "Odile Roth", "oskar": "Oskar Hahn"}

// groups are prompts for several people.
var groups = map[string][]string{"each": {"olga", "otto", "odile"}, "trusted": {"olga", "odile", "oskar"}}

var (
	fenced   = regexp.MustCompile("(?ms)^```console\n(.*?)^```$")
	prompted = regexp.MustCompile(`^([a-z]+)[$#] (.+)$`)
)

// room is where runbooks are followed: everybody has a machine (a home folder), and all share the stick.
type room struct {
	*authority
	dir      string
	ran      int
	db       *pg.DB // of the archive
	wrapping *record.WrappingKey
	rosters  []*record.Roster // of the archive, the active one first
	log      *audittest.Log
}

func newRoom(t *testing.T) *room {
	t.Helper()
	r := &room{authority: newAuthority(t), dir: t.TempDir()}
	must(t, link(filepath.Join(r.dir, "bin")))
	var err error
	r.log, err = audittest.New()
	must(t, err)
	must(t, os.Mkdir(filepath.Join(r.dir, "stick"), 0o755))
	for _, who := range []string{"olga", "otto", "odile", "oskar", "machine", "auditor"} {
		must(t, os.Mkdir(filepath.Join(r.dir, who), 0o700))
		must(t, os.WriteFile(filepath.Join(r.dir, who, "root.pem"), pkitest.PEM(r.Root.Raw), 0o644))
		must(t, os.WriteFile(filepath.Join(r.dir, who, "audit.key"), []byte(r.log.Key+"\n"), 0o644))
	}
	return r
}

// obey does every command of a runbook, word for word, at terminals. Only the server's commands are done here, by the
// rooms that they call.
func (r *room) obey(runbook string, least int) {
	r.t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "runbooks", runbook))
	must(r.t, err)
	r.ran = 0
	for _, block := range fenced.FindAllStringSubmatch(string(text), -1) {
		for line := range strings.Lines(block[1]) {
			m := prompted.FindStringSubmatch(strings.TrimSpace(line))
			if m == nil {
				r.t.Fatalf("not a command: %s", line)
			}
			command := strings.ReplaceAll(m[2], "/media/stick", filepath.Join(r.dir, "stick"))
			r.follow(m[1], strings.ReplaceAll(command, "/media/", r.dir+"/medium-"))
		}
	}
	if r.ran < least {
		r.t.Errorf("%s has only %d commands", runbook, r.ran)
	}
}

// TestRunbook does what docs/runbooks/ceremony.md says.
func TestRunbook(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.obey("ceremony.md", 30)
	for _, folder := range []string{"ceremony", "dealt"} {
		r.opens(r.roster(folder), "olga", "otto", "odile")
	}
}

func (r *room) roster(folder string) *record.Roster {
	r.t.Helper()
	roster, err := kra.ReadRoster(filepath.Join(r.dir, "stick", folder, kra.RosterFile))
	must(r.t, err)
	return roster
}

// settle is what ceremony.md leaves: three officers, their cards on the stick, and a roster in its folder ceremony.
func (r *room) settle(change ...func(*kra.PlanConfig)) *record.Roster {
	r.t.Helper()
	var officers []*kra.Officer
	conf := kra.PlanConfig{Archive: "Example GmbH", Threshold: 2, Roots: []*x509.Certificate{r.Root}}
	for _, who := range groups["each"] {
		home := r.home(who)
		o, err := kra.Open(kra.Config{Home: home})
		must(r.t, err)
		_, err = o.KeyGen(r.t.Context(), officerNames[who], keys.Unlock("the five words of "+who))
		must(r.t, err)
		path := filepath.Join(r.dir, "stick", who+".card")
		must(r.t, r.certify(officerNames[who], filepath.Join(home, "signing.csr"), filepath.Join(home, "decryption.csr"), path, ca.AgentSigning, ca.AgentDecryption))
		card, err := kra.ReadAgentCard(path)
		must(r.t, err)
		must(r.t, o.Import(card, conf.Roots))
		must(r.t, o.TrustLog(r.log.Key))
		officers, conf.Agents = append(officers, o), append(conf.Agents, card)
	}
	for _, f := range change {
		f(&conf)
	}
	dir := filepath.Join(r.dir, "stick", "ceremony")
	plan, err := kra.WritePlan(dir, conf)
	must(r.t, err)
	roster, err := kra.Perform(r.t.Context(), dir, kra.Agreement{Hash: plan.Hash()}, officers...)
	must(r.t, err)
	must(r.t, r.addRoster(filepath.Join(dir, kra.RosterFile)))
	return roster
}

func (r *room) home(who string) string {
	return filepath.Join(r.dir, who, ".local", "share", "sealpost-kra")
}

func TestDrillRunbook(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.settle()
	r.obey("drill.md", 7)
	if when, err := r.archive().LastDrill(t.Context()); err != nil || when.IsZero() {
		t.Errorf("the server knows of no drill: %v", err)
	}
}

func TestReplaceRunbook(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	before := r.settle()
	r.obey("replace-an-officer.md", 25)
	after := r.roster("reshare")
	if after.KeyID() != before.KeyID() || after.Epoch() != 2 {
		t.Errorf("the new roster is of another key")
	}
	r.opens(after, "olga", "otto", "oskar")
	if _, err := os.Stat(r.home("odile")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Odile still has her home: %v", err)
	}
}

func TestLostCardRunbook(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	before := r.settle()
	must(t, os.RemoveAll(r.home("odile")))
	r.obey("lost-card.md", 20)
	if after := r.roster("renewed"); after.KeyID() != before.KeyID() {
		t.Errorf("the new roster is of another key")
	}
}

func TestSuspectedOfficerRunbook(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	before := r.settle()
	for range 3 {
		r.deposit(pkitest.NewPerson("alice"))
	}
	r.obey("suspected-officer.md", 24)
	n := 0
	for c, err := range r.archive().CapsulesUnder(t.Context(), r.roster("newkey").KeyID()) {
		must(t, err)
		must(t, c.VerifyProof(r.roster("newkey").Key()))
		n++
	}
	if n != 3 {
		t.Errorf("%d records lie under the new key", n)
	}
	for range r.archive().CapsulesUnder(t.Context(), before.KeyID()) {
		t.Error("a record lies under the old key")
	}
}

// deposit archives a key of somebody.
func (r *room) deposit(who pkitest.Person) {
	r.t.Helper()
	key := pkitest.NewKey(r.t, ca.P256)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	must(r.t, err)
	_, err = r.archive().Deposit(r.t.Context(), audit.System("test"), archive.Deposit{Request: uuid.New(), Person: who.ID, Name: who.Name, Mail: who.Mailbox,
		PublicKey: pkitest.SPKI(key.Public()), Key: pkcs8})
	must(r.t, err)
}

func drillHeader(r *record.Roster) record.Header {
	return record.Header{Purpose: record.PurposeDrill, SPKI: [32]byte{1}, Algorithm: "ec-p256", Time: r.Plan.Created}
}

func (r *room) follow(who, command string) {
	r.t.Helper()
	people := []string{who}
	if group := groups[who]; group != nil {
		people = group
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
		if strings.Contains(command, "sealpost-kra rekey") {
			p.passphrases = []string{"the five words of olga", "the five words of odile"}
		}
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
	if at := slices.Index(words, "--home"); at > 0 {
		path = words[at-1]
	}
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

// server does what commands of the server do.
func (r *room) server(args []string) error {
	ctx := r.t.Context()
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
	case "archive drilled":
		a := r.archive()
		roster, err := a.Roster(ctx)
		if err != nil {
			return err
		}
		passed, err := kra.PassedDrill(args[2], roster)
		if err != nil {
			return err
		}
		c, err := delivery.Open(args[2]).Case()
		if err != nil {
			return err
		}
		return a.RecordDrill(ctx, audit.System("test"), roster.Hash(), c.Hash(), passed)
	case "archive export":
		if err := os.Mkdir(args[2], 0o755); err != nil {
			return err
		}
		for c, err := range r.archive().CapsulesUnder(ctx, r.rosters[len(r.rosters)-1].KeyID()) {
			if err == nil {
				err = delivery.AppendFrames(filepath.Join(args[2], kra.RekeyFrom), [][]byte{c.Bytes()}, 1<<12)
			}
			if err != nil {
				return err
			}
		}
		return nil
	case "archive adopt":
		made := delivery.FramesOf(filepath.Join(args[2], kra.RekeyTo), 1<<12, record.ParseCapsule)
		_, err := r.archive().Adopt(ctx, audit.System("test"), made, nil)
		return err
	}
	return fmt.Errorf("the test does not know %q", args)
}

// archive is the server's, with all rosters that were added, the last first.
func (r *room) archive() *archive.Archive {
	r.t.Helper()
	if r.db == nil {
		var err error
		r.db = pgtest.New(r.t)
		r.wrapping, err = record.GenerateWrappingKey()
		must(r.t, err)
	}
	var pins []record.Hash
	for _, roster := range r.rosters {
		pins = append(pins, roster.Hash())
	}
	a, err := archive.New(archive.Config{DB: r.db, Pins: pins, Wrapping: []*record.WrappingKey{r.wrapping}, Receipts: pkitest.NewKey(r.t, ca.P256)})
	must(r.t, err)
	return a
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
	r.rosters = append([]*record.Roster{roster}, r.rosters...)
	a := r.archive()
	_, err = a.AddRoster(r.t.Context(), audit.System("test"), file)
	return errors.Join(err, a.CheckRoster(r.t.Context()))
}

// opens demands that a record sealed to the roster opens with two shares and not with one.
func (r *room) opens(roster *record.Roster, who ...string) {
	r.t.Helper()
	wrapping, err := record.GenerateWrappingKey()
	must(r.t, err)
	rec, err := record.Seal(roster.Key(), wrapping.Public(), drillHeader(roster), []byte("a key"))
	must(r.t, err)
	in, err := rec.UnwrapOuter(wrapping)
	must(r.t, err)
	var ids []uint16
	var ds []threshold.Point
	for i, a := range roster.Plan.Agents[1:] {
		login := who[i+1]
		key, err := keys.Open(r.t.Context(), filepath.Join(r.home(login), "decryption.key"), keys.Unlock("the five words of "+login))
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
