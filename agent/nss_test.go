package agent_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/agent/store"
)

// Each way in which a database does not take the keys has a code of its own; the others are filled all the same.
func TestNSSRefuses(t *testing.T) {
	t.Parallel()
	w, id := realWorkstation(t, agent.EnrolOptions{})
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write(t, at("right"), []byte("sesame\n"))
	write(t, at("wrong"), []byte("open\n"))
	write(t, at("file"), nil)
	for _, name := range []string{"locked", "old", "garbage", "good"} {
		must(t, os.Mkdir(at(name), 0o700))
	}
	run(t, "", "certutil", "-N", "-d", "sql:"+at("locked"), "-f", at("right"))
	write(t, at("old/cert8.db"), []byte("\x00\x06\x15\x61"))
	write(t, at("garbage/cert9.db"), []byte("hello"))
	write(t, at("garbage/key4.db"), []byte("hello"))
	for _, tt := range []struct {
		nss  store.NSS
		code string
	}{
		{store.NSS{Dir: at("locked")}, "nss-password"},
		{store.NSS{Dir: at("locked"), PasswordFile: at("wrong")}, "nss-password"},
		{store.NSS{Dir: at("old")}, "nss-old"},
		{store.NSS{Dir: at("garbage")}, "nss-damaged"},
		{store.NSS{Dir: at("file")}, "key-store"},
		{store.NSS{Dir: at("file/x")}, "key-store"},
	} {
		stores := agent.Stores{NSS: agent.Databases{tt.nss, {Dir: at("good")}}}
		got, err := w.agent(t, asAlice).Fill(t.Context(), agent.FillOptions{Stores: stores, Only: true})
		if err == nil || len(got) != 2 || got[0].Code != tt.code || got[0].Err == nil || got[1].Err != nil || got[1].Code != "" {
			t.Errorf("%+v: %+v, %v; want code %s", tt.nss, got, err, tt.code)
		}
	}
	if left, err := os.ReadDir(at("old")); err != nil || len(left) != 1 {
		t.Errorf("beside the old database there is now %v, %v", left, err)
	}
	if keys := run(t, "", "certutil", "-K", "-d", "sql:"+at("good")); strings.Count(keys, "\n<") != 2 {
		t.Errorf("the good database has:\n%s", keys)
	}
	if _, err := os.Stat(filepath.Join(id.Folder, agent.P12File)); err != nil {
		t.Error(err)
	}
}

// python runs a script of Python's, which says "ready" and then ends once its input does.
func python(t *testing.T, script string, args ...string) (end func()) {
	t.Helper()
	cmd := exec.Command("/usr/bin/python3", append([]string{"-I", "-c", script}, args...)...)
	cmd.Stderr = t.Output()
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	ended := false
	end = func() {
		if !ended {
			ended = true
			_ = in.Close()
			if err := cmd.Wait(); err != nil {
				t.Errorf("python: %v", err)
			}
		}
	}
	t.Cleanup(end)
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("python says %q, %v", line, err)
	}
	return end
}

// holdDatabase is another program that writes to a database, for so many seconds or until its input ends.
const holdDatabase = `
import sqlite3, sys, select
held = [sqlite3.connect(sys.argv[1] + "/" + name, isolation_level=None) for name in ("cert9.db", "key4.db")]
for one in held: one.execute("begin immediate")
print("ready", flush=True)
select.select([sys.stdin], [], [], float(sys.argv[2]))
`

// While another program writes, the agent waits for it, but not for ever; and nothing that was there is lost.
func TestNSSBusy(t *testing.T) {
	t.Parallel()
	for name, seconds := range map[string]float64{"for a while": 4, "all the time": 600} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nss := store.NSS{Dir: filepath.Join(t.TempDir(), "profile")}
			w, _ := realWorkstation(t, agent.EnrolOptions{})
			opt := agent.FillOptions{Stores: agent.Stores{NSS: agent.Databases{nss}}}
			_, err := w.agent(t, asAlice).Fill(t.Context(), opt)
			must(t, err)
			before := run(t, "", "certutil", "-K", "-d", "sql:"+nss.Dir)
			w.clock.at = time.Now().Add(time.Second)
			_, err = w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{Force: true})
			must(t, err)
			end := python(t, holdDatabase, nss.Dir, fmt.Sprint(seconds))
			got, err := w.agent(t, asAlice).Fill(t.Context(), opt)
			if busy := errors.Is(err, store.ErrNSSBusy) && got[0].Code == "nss-busy"; busy != (seconds > 100) || !busy && err != nil {
				t.Errorf("filled %+v, %v", got, err)
			}
			end()
			if seconds > 100 {
				if after := run(t, "", "certutil", "-K", "-d", "sql:"+nss.Dir); after != before {
					t.Errorf("keys before:\n%s\nand after:\n%s", before, after)
				}
				_, err := w.agent(t, asAlice).Fill(t.Context(), opt)
				must(t, err)
			}
			if keys := run(t, "", "certutil", "-K", "-d", "sql:"+nss.Dir); strings.Count(keys, "\n<") != 4 { // two pairs
				t.Errorf("keys:\n%s", keys)
			}
		})
	}
}

// While an import is under way, no file for it has the password of identity.p12: whoever is killed then leaves none.
func TestNoPasswordOnTheWay(t *testing.T) {
	profile, temp := filepath.Join(t.TempDir(), "profile"), t.TempDir()
	w, id := realWorkstation(t, agent.EnrolOptions{})
	opt := agent.FillOptions{Stores: agent.Stores{NSS: agent.Databases{{Dir: profile}}}}
	must(t, os.Mkdir(profile, 0o700))
	run(t, "", "certutil", "-N", "-d", "sql:"+profile, "--empty-password")
	password, err := id.GeneratedPassword()
	must(t, err)
	t.Setenv("TMPDIR", temp)
	end := python(t, holdDatabase, profile, "600")
	filled := make(chan error)
	go func() {
		_, err := w.agent(t, asAlice).Fill(t.Context(), opt)
		filled <- err
	}()
	looked := 0
	for waits := true; waits; {
		select {
		case err := <-filled:
			must(t, err)
			waits = false
		case <-time.After(5 * time.Millisecond):
			must(t, filepath.WalkDir(temp, func(path string, d os.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return nil // it has gone again
				}
				text, err := os.ReadFile(path)
				if err == nil {
					looked++
				}
				if strings.Contains(string(text), password) {
					t.Errorf("%s has the password", path)
				}
				return nil
			}))
			if looked == 100 {
				end()
			}
		}
	}
	if looked < 100 {
		t.Errorf("looked at %d files", looked)
	}
	if keys := run(t, "", "certutil", "-K", "-d", "sql:"+profile); strings.Count(keys, "\n<") != 2 {
		t.Errorf("keys:\n%s", keys)
	}
}

// What somebody trusts a root for beside mail stays so; what somebody has forbidden, too. Other people's certificates of the
// same name are in nobody's way.
func TestNSSLeavesWhatIsThere(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ before, after, note string }{
		{"CT,,C", "CT,C,C", ""}, {",,", ",C,", ""}, {"CT,C,", "CT,C,", ""}, {",p,", ",p,", "not to be trusted"},
	} {
		t.Run(tt.before, func(t *testing.T) {
			t.Parallel()
			nss := store.NSS{Dir: t.TempDir()}
			w, id := realWorkstation(t, agent.EnrolOptions{})
			run(t, "", "certutil", "-N", "-d", "sql:"+nss.Dir, "--empty-password")
			root := filepath.Join(t.TempDir(), "root.pem")
			write(t, root, pemOf(w.pki.root))
			run(t, "", "certutil", "-A", "-d", "sql:"+nss.Dir, "-n", "Our: root", "-t", tt.before, "-i", root)
			// Somebody's own certificate has the name that ours would have.
			run(t, "", "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", root+".key", "-out", root+".crt", "-days", "9", "-subj", "/CN=Somebody")
			run(t, "", "openssl", "pkcs12", "-export", "-in", root+".crt", "-inkey", root+".key", "-name", id.Person.Name+" (signing)", "-passout", "pass:x", "-out", root+".p12")
			run(t, "", "pk12util", "-d", "sql:"+nss.Dir, "-i", root+".p12", "-W", "x")
			for range 2 {
				got, err := w.agent(t, asAlice).Fill(t.Context(), agent.FillOptions{Stores: agent.Stores{NSS: agent.Databases{nss}}})
				must(t, err)
				if notes := strings.Join(got[0].Notes, "\n"); (tt.note == "") != (notes == "") || !strings.Contains(notes, tt.note) {
					t.Errorf("notes %q", notes)
				}
			}
			list := run(t, "", "certutil", "-L", "-d", "sql:"+nss.Dir)
			if !strings.Contains(list, " "+tt.after+" ") && !strings.Contains(list+"\n", " "+tt.after+"\n") {
				t.Errorf("want trust %q:\n%s", tt.after, list)
			}
			if keys := run(t, "", "certutil", "-K", "-d", "sql:"+nss.Dir); strings.Count(keys, "\n<") != 3 {
				t.Errorf("keys:\n%s", keys)
			}
		})
	}
}

// Killed in the middle of an import, at whatever moment, the next filling completes it.
func TestNSSKilled(t *testing.T) {
	t.Parallel()
	nss := store.NSS{Dir: filepath.Join(t.TempDir(), "profile")}
	w, id := realWorkstation(t, agent.EnrolOptions{})
	must(t, os.Mkdir(nss.Dir, 0o700))
	run(t, "", "certutil", "-N", "-d", "sql:"+nss.Dir, "--empty-password")
	password, err := id.GeneratedPassword()
	must(t, err)
	for i := range 12 {
		cmd := exec.Command("pk12util", "-d", "sql:"+nss.Dir, "-i", filepath.Join(id.Folder, agent.P12File), "-W", password)
		cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
		must(t, cmd.Start())
		time.Sleep(time.Duration(i*3) * time.Millisecond)
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	}
	_, err = w.agent(t, asAlice).Fill(t.Context(), agent.FillOptions{Stores: agent.Stores{NSS: agent.Databases{nss}}})
	must(t, err)
	if keys := run(t, "", "certutil", "-K", "-d", "sql:"+nss.Dir); strings.Count(keys, "\n<") != 2 || strings.Contains(keys, "orphan") {
		t.Errorf("keys:\n%s", keys)
	}
	const check = `import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute("pragma integrity_check").fetchall())`
	if out := run(t, "", "/usr/bin/python3", "-I", "-c", check, filepath.Join(nss.Dir, "key4.db")); strings.TrimSpace(out) != "[('ok',)]" {
		t.Errorf("key4.db: %s", out)
	}
}

// What older agents wrote names one database; an unknown member is refused as before.
func TestStoresOfOlderAgents(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	id, err := w.enrol(t, agent.EnrolOptions{Stores: agent.Stores{NSS: agent.Databases{{Dir: "/a"}, {Dir: "/b", PasswordFile: "/c"}}, GPGSM: &store.GPGSM{}}})
	must(t, err)
	path := filepath.Join(w.dir, id.Person.ID.String(), "identity.json")
	text := readFile(t, path)
	begin, end := strings.Index(text, `"nss": [`), strings.Index(text, `"gpgsm"`)
	for _, tt := range []struct {
		nss  string
		want agent.Databases
	}{
		{"[{\"dir\": \"/x\"}]", agent.Databases{{Dir: "/x"}}},
		{"{\"dir\": \"/x\", \"password_file\": \"/y\"}", agent.Databases{{Dir: "/x", PasswordFile: "/y"}}},
		{"{\"dir\": \"/x\", \"strange\": 1}", nil},
		{"[{\"dir\": \"/x\", \"strange\": 1}]", nil},
	} {
		got, err := agent.DecodeIdentity([]byte(text[:begin] + `"nss": ` + tt.nss + "," + text[end:]))
		if tt.want == nil {
			if !errors.Is(err, agent.ErrState) {
				t.Errorf("%s: %v", tt.nss, err)
			}
			continue
		}
		if err != nil || cmp.Diff(tt.want, got.Stores.NSS) != "" || got.Stores.GPGSM == nil {
			t.Errorf("%s: %+v, %v", tt.nss, got, err)
		}
	}
}
