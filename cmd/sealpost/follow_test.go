package main

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

var (
	fencedBlock = regexp.MustCompile("(?ms)^```(console|yaml)\n(.*?)^```$")
	promptLine  = regexp.MustCompile(`^([a-z]+)[$#] (.+)$`)
)

// follower does what a document says, word for word: real commands in a shell, a real PostgreSQL and a real slapd. The
// document's names and places become those of this machine, /etc/sealpost among them, and nothing else is changed.
type follower struct {
	*installation
	t       *testing.T
	base    string // everybody's machines, a folder each, and the sticks they carry about
	places  *strings.Replacer
	server  *running
	ran     int
	says    map[string]string // what a command must say, by its beginning; each must come
	refuses map[string]string // what a command must say and fail, likewise
	before  map[string]func() // what people do before a command, likewise
	after   map[string]func()
}

// newFollower makes the machines. The pairs of places come before those that every document has.
func newFollower(t *testing.T, i *installation, base string, places ...string) *follower {
	t.Helper()
	f := &follower{installation: i, t: t, base: base, says: map[string]string{}, refuses: map[string]string{}, before: map[string]func(){}, after: map[string]func(){}}
	for _, dir := range []string{"bin", "stick", "stick-1", "stick-2", "backups"} {
		must(t, os.MkdirAll(f.at(dir), 0o700))
	}
	must(t, os.MkdirAll(i.dir, 0o700))
	// The configuration's usual place is /etc/sealpost; here it is told each time to whoever reads it.
	ours := shared.path(program)
	write(t, f.at("bin/sealpost"), "#!/bin/sh\ncase \"$1 $2\" in init*|root*|'crl show'|'crl verify'|'crl watch') exec "+ours+" \"$@\" ;; esac\nexec "+ours+" \"$@\" --config "+i.path("server.yaml")+"\n")
	must(t, os.Chmod(f.at("bin/sealpost"), 0o700))
	must(t, os.Symlink(shared.path("sealpost-agent"), f.at("bin/sealpost-agent")))
	f.places = strings.NewReplacer(append(places,
		"/etc/sealpost", i.dir, "/media/", base+"/", "/var/backups", f.at("backups"), "/run/postgresql", f.sockets(),
		"createdb sealpost", "createdb "+i.db.Name, "sealpost.dump sealpost", "sealpost.dump "+i.db.Name, "evidence.dump sealpost", "evidence.dump "+i.db.Name,
		"--dbname=sealpost", "--dbname="+i.db.Name,
		"http://pki.example.com", "http://"+i.public, "127.0.0.1:8080", i.public,
		"https://ca.example.com:8443", i.url(), "0.0.0.0:8443", i.api, "127.0.0.1:8443", i.api, "https://ca.example.com:8444", "https://"+i.portal, "0.0.0.0:8444", i.portal, "127.0.0.1:8444", i.portal, "ca.example.com", "localhost",
		"ldaps://ldap.example.com", i.slapd.TLSURL(), "dc=example,dc=com", slapdtest.Base, "example.com", "example.test")...)
	return f
}

// at returns the path of a file on one of the machines.
func (f *follower) at(name string) string { return filepath.Join(f.base, filepath.FromSlash(name)) }

// sockets returns the folder of PostgreSQL's socket.
func (f *follower) sockets() string {
	f.t.Helper()
	u, err := url.Parse(f.db.URL())
	must(f.t, err)
	return u.Query().Get("host")
}

// document follows a document from the root of the repository, or the part of it between two headings ("" is its
// beginning, its end).
func (f *follower) document(name, from, to string) {
	f.t.Helper()
	text := read(f.t, filepath.Join("..", "..", filepath.FromSlash(name)))
	if _, rest, found := strings.Cut(text, "\n## "+from+"\n"); from != "" && found {
		text = rest
	}
	if to != "" {
		text, _, _ = strings.Cut(text, "\n## "+to+"\n")
	}
	text = strings.ReplaceAll(text, "\n   ", "\n") // of lists
	for _, block := range fencedBlock.FindAllStringSubmatch(text, -1) {
		content := f.places.Replace(block[2])
		if block[1] == "yaml" {
			f.configure(content)
			continue
		}
		for line := range strings.Lines(content) {
			m := promptLine.FindStringSubmatch(strings.TrimSpace(line))
			if m == nil {
				f.t.Fatalf("not a command: %s", line)
			}
			f.follow(m[1], m[2])
		}
	}
}

// done fails the test unless the document had so many commands, and all those that were expected.
func (f *follower) done(commands int) {
	f.t.Helper()
	if f.ran < commands {
		f.t.Errorf("only %d commands were followed", f.ran)
	}
	for _, expected := range []map[string]string{f.says, f.refuses} {
		for begin, words := range expected {
			f.t.Errorf("the document has no command %q, which would have said %q", begin, words)
		}
	}
	if f.server != nil && !f.server.Ended() {
		f.server.stop(f.t)
	}
}

// take returns and removes the entry whose key a command begins with.
func take[V any](entries map[string]V, command string) (v V) {
	for begin := range entries {
		if strings.HasPrefix(command, begin) {
			v = entries[begin]
			delete(entries, begin)
			return v
		}
	}
	return v
}

// follow types one command. What a command is to say may come true a moment later: the server works in the background.
func (f *follower) follow(who, command string) {
	f.t.Helper()
	f.ran++
	if do := take(f.before, command); do != nil {
		do()
	}
	if command == "sealpost serve" {
		if f.server != nil && !f.server.Ended() {
			f.server.stop(f.t)
		}
		f.server = f.serve(f.t)
		return
	}
	refused, said := take(f.refuses, command), ""
	if refused == "" {
		said = take(f.says, command)
	}
	c := f.shell(who, command)
	switch {
	case refused != "":
		if r := e2etest.Run(f.t, c); r.Code != 1 || !strings.Contains(r.Stdout, refused) {
			f.t.Errorf("%s$ %s: exit code %d, want 1 and %q\n%s", who, command, r.Code, refused, r.Stdout)
		}
	case said != "":
		e2etest.Eventually(f.t, func() error {
			if r := e2etest.Run(f.t, c); r.Code != 0 || !strings.Contains(r.Stdout, said) {
				return fmt.Errorf("%s$ %s: exit code %d, want %q\n%s", who, command, r.Code, said, r.Stdout)
			}
			return nil
		})
	default:
		e2etest.Good(f.t, c)
	}
	if do := take(f.after, command); do != nil {
		do()
	}
}

// shell is a command line as somebody types it on their machine.
func (f *follower) shell(who, command string) e2etest.Command {
	f.t.Helper()
	dir := f.at(who)
	must(f.t, os.MkdirAll(dir, 0o700))
	return e2etest.Command{Path: "sh", Args: []string{"-c", "exec 2>&1; " + command}, Dir: dir, Env: []string{"HOME=" + dir,
		"PATH=" + f.at("bin") + ":" + os.Getenv("PATH"), "SEALPOST_PASSWORD=" + slapdtest.Password(who), "PGHOST=" + f.sockets(), "PGUSER=postgres"}}
}

// carry copies files: from anywhere to a machine's folder, under another name if the target has one.
func (f *follower) carry(from, to string) {
	f.t.Helper()
	must(f.t, os.MkdirAll(filepath.Dir(f.at(to)), 0o700))
	write(f.t, f.at(to), read(f.t, from))
}

// configure puts a piece of YAML into the configuration.
func (f *follower) configure(piece string) {
	f.t.Helper()
	if strings.Contains(piece, "the 64 digits") {
		sum := openssl(f.t, "", "dgst", "-sha256", "-r", f.path("roster.bin"))
		piece = strings.ReplaceAll(piece, "the 64 digits", strings.Fields(sum)[0])
	}
	var tree map[string]any
	must(f.t, yaml.Unmarshal([]byte(piece), &tree))
	f.edit(f.t, leaves(tree, ""))
}

// leaves returns the values of a tree by their paths.
func leaves(tree map[string]any, path string) map[string]any {
	out := map[string]any{}
	for key, v := range tree {
		if inner, ok := v.(map[string]any); ok {
			for p, v := range leaves(inner, path+key+".") {
				out[p] = v
			}
			continue
		}
		out[path+key] = v
	}
	return out
}
