package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/archive/threshold"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/delivery"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/keys"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// Keys are recovered in two cases, from the request to the end: for a department, online, and for a person with a new
// laptop, one officer of which has no network. Then everything that was there is searched for the keys, the data keys
// under which they were kept, and the passwords of the files in which they were delivered: the server's memory (of the
// erasing build), log and folder, a dump of the database, the temporary files of every program, the officers' homes and
// the case's folder on a stick, the requester's folder, what the programs said. They are where delivery was told to put
// them, and nowhere else.
func TestRecoveredKeysAreLeftNowhere(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	r := s.serve()
	alice := r.as(t, "alice")
	p, err := alice.Policy(t.Context())
	must(t, err)
	for name, algorithm := range map[string]ca.KeyAlgorithm{"P-256": ca.P256, "RSA": ca.RSA3072} {
		made := r.make(t, p, "alice", keyPair{pkitest.NewKey(t, ca.P256), pkitest.NewKey(t, algorithm)})
		s.l.key(t, signingKey, "Alice's signing key beside "+name, made.keys.signing)
		s.l.key(t, encryptionKey, "Alice's key, "+name, made.keys.encryption)
		status, err := alice.Enrol(t.Context(), made.name, made.request)
		if err != nil || status.State != api.StateIssued {
			t.Fatalf("%+v, %v", status, err)
		}
	}
	alice.Close()
	s.stop(r)
	r = s.serve()                  // its memory is that of a server which knew nothing of the keys before the cases
	s.fetch(t, "/crl/issuing.crl") // of which only a debug log tells
	got, laptop := s.business(r), s.restore(r)

	control := secret{word, "the passphrase, which a server keeps"}
	s.l[control] = [][]byte{[]byte(strings.TrimSpace(read(t, s.path("passphrase"))))}
	r.Signal(syscall.SIGUSR2)
	r.Await(t, collected)
	found := s.l.inMemory(t, r.PID())
	if found[control] == 0 {
		t.Errorf("the scan does not find %s: it sees nothing", control.name)
	}
	for what, n := range found {
		if what.kind != word {
			t.Errorf("the server's memory has %s, %d times", what.name, n)
		}
	}
	delete(s.l, control) // its file is in the server's folder
	s.stop(r)

	dump := e2etest.Good(t, e2etest.Command{Path: "pg_dump", Args: []string{"-d", s.db.AdminURL()}})
	for text, words := range map[string][]string{s.log.String(): {`"level":"DEBUG"`, `/deliveries/0/`, `/close"`},
		dump: {"archive.case-released", "archive.case-closed"}, s.said.String(): {"2 keys of 1 people were opened", "3 keys were restored"}} {
		for _, w := range words {
			if !strings.Contains(text, w) {
				t.Errorf("this is not what the test looks through: there is no %q in it", w)
			}
		}
	}
	s.l.notIn(t, "the log", s.log.String())
	s.l.notIn(t, "the dump", dump)
	s.l.notIn(t, "what programs said", s.said.String())
	for _, folder := range []string{s.dir, s.homes, s.stick, s.rita} {
		s.l.notInFolder(t, folder)
	}
	s.l.notUnder(t, s.tmp, nil) // in which there need not be anything
	// The same search finds what is where it belongs.
	kinds := map[kind]bool{}
	s.l.notUnder(t, filepath.Dir(got), func(path string, what secret) bool {
		kinds[what.kind] = true
		return strings.HasPrefix(path, filepath.Base(got)+"/") && what.kind == delivered
	})
	s.l.notUnder(t, laptop, func(path string, what secret) bool {
		kinds[what.kind] = true
		return (strings.HasPrefix(path, "out/") || strings.HasPrefix(path, "state/")) && (what.kind == delivered || what.kind == encryptionKey)
	})
	if !kinds[delivered] || !kinds[encryptionKey] {
		t.Errorf("where keys were delivered there are only kinds %v", slices.Collect(maps.Keys(kinds)))
	}
}

// stage is an installation on which cases are played, with everything that any of its people could leave something in.
type stage struct {
	*installation
	t                       *testing.T
	erasing                 string // the program
	tmp, homes, stick, rita string
	log, said               strings.Builder
	l                       ledger
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{installation: newInstallation(t), t: t, erasing: erasingProgram(t), tmp: t.TempDir(), homes: filepath.Join(t.TempDir(), "officers"), l: ledger{}}
	s.edit(t, map[string]any{"log.level": "debug",
		"directory.roles.4": map[string]any{"role": "recovery-requester", "group": slapdtest.GroupDN("recovery-requesters")}})
	for _, login := range append([]string{"bob"}, officers...) {
		copyHome(t, filepath.Join(s.homes, login), filepath.Join(shared.path("officers"), login))
		s.l.word("the passphrase of "+login, "five random words of "+login)
	}
	for _, login := range append([]string{"alice", "rita", "bob"}, officers...) {
		s.l.word("the password of "+login, slapdtest.Password(login))
	}
	return s
}

// copyHome copies an officer's home as it is: for their eyes only.
func copyHome(t testing.TB, to, from string) {
	t.Helper()
	must(t, os.CopyFS(to, os.DirFS(from)))
	must(t, filepath.WalkDir(to, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return os.Chmod(path, 0o600)
	}))
}

func (s *stage) serve() *running {
	s.t.Helper()
	c := s.command("serve")
	c.Path, c.Env = s.erasing, []string{collectVariable + "=1", "TMPDIR=" + s.tmp}
	r := &running{e2etest.Start(s.t, c), s.installation}
	r.Await(s.t, `"msg":"serving"`)
	r.awaitHealth(s.t)
	return r
}

func (s *stage) stop(r *running) {
	s.t.Helper()
	r.stop(s.t)
	s.log.WriteString(r.Stderr() + r.Stdout())
}

// does runs a program of somebody's, which must end with a code.
func (s *stage) does(c e2etest.Command, code int) string {
	s.t.Helper()
	c.Env = append(c.Env, "TMPDIR="+s.tmp)
	said := e2etest.Run(s.t, c)
	s.said.WriteString(said.Stdout + said.Stderr)
	if said.Code != code {
		s.t.Fatalf("%s: exit code %d\n%s%s", c, said.Code, said.Stdout, said.Stderr)
	}
	return said.Stdout
}

// officer is an officer or recipient with their copy of the home.
func (s *stage) officer(r *running, login, line string, args ...string) string {
	s.t.Helper()
	c := r.officer(s.t, login, line, args...)
	c.Args[1] = filepath.Join(s.homes, login)
	return s.does(c, 0)
}

// business is a case by which bob gets alice's keys. It returns the folder to which they were delivered.
func (s *stage) business(r *running) string {
	s.t.Helper()
	rita := r.desk(s.t, "rita")
	s.rita = rita.home
	s.does(rita.enroll(), 0)
	var opened []struct{ ID string }
	must(s.t, json.Unmarshal([]byte(s.does(rita.byCertificate("case open --kind business --yes --json", "--person", "alice@example.test", "--recipient",
		record.Fingerprint(certificateIn(s.t, filepath.Join(shared.path("officers"), "bob.card"))).String(), "--reason", "Alice has left; her customers' mail must be answered."), 0)), &opened))
	id := opened[0].ID
	s.officer(r, "oscar", "approve", id, "--yes")
	s.officer(r, "olivia", "approve", id, "--yes")
	s.knowDataKeys(r, uuid.MustParse(id))
	got := filepath.Join(s.t.TempDir(), "got")
	s.officer(r, "bob", "open", id, "--out", got)
	s.knowDelivery("bob", got)
	s.closed(id)
	return got
}

// restore is a case by which alice gets her keys onto a new laptop. It returns her home there.
func (s *stage) restore(r *running) string {
	s.t.Helper()
	laptop := r.desk(s.t, "alice")
	s.does(laptop.enroll("--again"), 0)
	const waits = 3
	s.does(laptop.byCertificate("restore", "--reason", "My laptop was left in a train."), waits)
	var status struct {
		Words []string
		Cases []struct{ ID string }
	}
	must(s.t, json.Unmarshal([]byte(s.does(laptop.byCertificate("restore status --json"), 0)), &status))
	id, heard := status.Cases[0].ID, strings.Join(status.Words[:5], " ")
	s.knowDataKeys(r, uuid.MustParse(id))
	s.officer(r, "olivia", "approve", id, "--fingerprint", heard)
	// Otto has no network: the case comes to him on a stick, and his answer goes back on it.
	s.stick = s.t.TempDir()
	folder := (&restore{t: s.t, i: s.installation, home: s.stick}).folder(r, uuid.MustParse(id))
	s.officer(r, "otto", "approve", folder, "--fingerprint", heard)
	answers, err := delivery.Open(folder).Answers()
	must(s.t, err)
	raw, err := answers[0].Encode()
	must(s.t, err)
	c := r.as(s.t, "alice")
	defer c.Close()
	_, err = c.AnswerCase(s.t.Context(), uuid.MustParse(id), raw)
	must(s.t, err)
	s.does(laptop.byCertificate("restore"), 0)
	s.knowDelivery("alice", laptop.file("out"))
	s.closed(id)
	return laptop.home
}

func (s *stage) closed(id string) {
	s.t.Helper()
	if n := s.db.Count(s.t, `select count(*) from archive.recovery_case where id = $1 and state = 'closed'`, id); n != 1 {
		s.t.Errorf("the case %s is not closed", id)
	}
}

// knowDelivery takes the password of what was delivered, and the file that it opens, into the ledger.
func (s *stage) knowDelivery(who, folder string) {
	s.t.Helper()
	passwords, err := filepath.Glob(filepath.Join(folder, "*.password"))
	must(s.t, err)
	files, err := filepath.Glob(filepath.Join(folder, "*.p12"))
	must(s.t, err)
	if len(passwords) != 1 || len(files) != 1 {
		s.t.Fatalf("%v, %v", passwords, files)
	}
	s.l.bytes(delivered, "the password of what was delivered to "+who, bytes.TrimSpace([]byte(read(s.t, passwords[0]))))
	whole := []byte(read(s.t, files[0]))
	s.l.bytes(delivered, "what was delivered to "+who, whole[len(whole)/2:][:48])
}

// knowDataKeys opens the data keys of a case with the shares of two officers, as nobody ever does, and takes them into the
// ledger, with the keys that they are wrapped in.
func (s *stage) knowDataKeys(r *running, id uuid.UUID) {
	s.t.Helper()
	roster, err := record.ParseRoster([]byte(read(s.t, s.path("roster.bin"))))
	must(s.t, err)
	quorum, err := threshold.NewQuorum(2, []uint16{1, 2})
	must(s.t, err)
	var shares []threshold.Share
	for n := range 2 {
		home := filepath.Join(s.homes, officers[n])
		key, err := keys.OpenDecryption(s.t.Context(), "file:"+filepath.Join(home, "decryption.key"), keys.Unlock("five random words of "+officers[n]))
		must(s.t, err)
		share, err := roster.OpenShare(uint16(n+1), cms.Recipient{Certificate: roster.Plan.Agents[n].Decryption, Key: key})
		must(s.t, err)
		shares = append(shares, share)
	}
	c := r.as(s.t, "alice")
	defer c.Close()
	for raw, err := range c.CaseCapsules(s.t.Context(), id, 0) {
		must(s.t, err)
		capsule, err := record.ParseCapsule(raw)
		must(s.t, err)
		var ds []threshold.Point
		for _, share := range shares {
			d, err := threshold.Decrypt(share, []threshold.Point{capsule.R})
			must(s.t, err)
			ds = append(ds, d[0])
		}
		z, err := quorum.Combine(ds)
		must(s.t, err)
		header := raw[4:][:int(raw[2])<<8|int(raw[3])] // docs/archive-format.md
		wrapping, err := threshold.DeriveKey(z, capsule.R, roster.Key(), header)
		must(s.t, err)
		block, err := aes.NewCipher(wrapping)
		must(s.t, err)
		gcm, err := cipher.NewGCM(block)
		must(s.t, err)
		opened, err := gcm.Open(nil, make([]byte, gcm.NonceSize()), capsule.Wrapped[:], append(bytes.Clone(header), capsule.InnerHash[:]...))
		must(s.t, err)
		name := "of " + capsule.Header.SPKI.String()[:8]
		s.l.bytes(dataKey, "the data key "+name, opened)
		s.l.bytes(dataKey, "what wraps the data key "+name, wrapping)
		s.l.bytes(dataKey, "the officers' secret point "+name, z.Bytes())
	}
}

// certificateIn returns the first certificate in a file.
func certificateIn(t testing.TB, path string) *x509.Certificate {
	t.Helper()
	for rest := []byte(read(t, path)); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			t.Fatalf("there is no certificate in %s", path)
		}
		if block.Type == "CERTIFICATE" {
			c, err := x509.ParseCertificate(block.Bytes)
			must(t, err)
			return c
		}
	}
}
