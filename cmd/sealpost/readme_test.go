package main

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

var (
	fencedBlock = regexp.MustCompile("(?ms)^```(console|yaml)\n(.*?)^```$")
	promptLine  = regexp.MustCompile(`^([a-z]+)[$#] (.+)$`)
)

// reader follows the README: what it has read so far, on machines of its own.
type reader struct {
	*installation
	t      *testing.T
	base   string            // everybody's machines
	places *strings.Replacer // of the README, by those here
	server *running
	ran    int
	says   map[string]string // what a command must have said, by its beginning
}

// TestReadme does what the README's first hour says, word for word: real commands in a shell, a real PostgreSQL and a
// real slapd. Its names and places become those of this machine, /etc/sealpost among them, and nothing else.
func TestReadme(t *testing.T) {
	t.Parallel()
	r := newReader(t)
	text := read(t, filepath.FromSlash("../../README.md"))
	for _, block := range fencedBlock.FindAllStringSubmatch(text, -1) {
		content := r.places.Replace(block[2])
		if block[1] == "yaml" {
			r.configure(content)
			continue
		}
		for line := range strings.Lines(content) {
			m := promptLine.FindStringSubmatch(strings.TrimSpace(line))
			if m == nil {
				t.Fatalf("not a command: %s", line)
			}
			r.follow(m[1], m[2])
		}
	}
	for begin, words := range r.says {
		t.Errorf("the README has no command %q, which would have said %q", begin, words)
	}
	if r.ran < 15 {
		t.Errorf("the README has only %d commands", r.ran)
	}
	r.server.stop(t)
}

func newReader(t *testing.T) *reader {
	t.Helper()
	shared.open(t)
	base := t.TempDir()
	i := &installation{dir: filepath.Join(base, "ca", "etc"), db: pgtest.Database{Cluster: shared.cluster, Name: "sealpost"}, slapd: slapdtest.New(t),
		api: freeAddress(t), public: freeAddress(t)}
	r := &reader{installation: i, t: t, base: base, says: map[string]string{
		"sealpost check --connect": "No fault was found.",
		"sealpost migrate":         "The database is up to date.",
		"sealpost roster show":     "threshold  2 of 3",
		"openssl verify":           "mail/signing.pem: OK",
		"openssl crl":              "verify OK",
		"openssl ocsp":             "mail/signing.pem: good",
		"sealpost crl status":      "issuing: number 1",
		"sealpost gal diff":        "0 missing, 0 stale",
		"sealpost audit verify":    "agrees with every checkpoint",
	}}
	for _, dir := range []string{"ca/etc", "database", "alice", "bin", "stick-1", "stick-2"} {
		must(t, os.MkdirAll(filepath.Join(base, filepath.FromSlash(dir)), 0o700))
	}
	// The configuration's usual place is /etc/sealpost; here it is told each time.
	script := "#!/bin/sh\n[ \"$1\" = init ] && exec " + shared.path(program) + " \"$@\"\nexec " + shared.path(program) + " \"$@\" --config " + i.path("server.yaml") + "\n"
	write(t, filepath.Join(base, "bin", program), script)
	must(t, os.Chmod(filepath.Join(base, "bin", program), 0o700))
	must(t, os.Symlink(shared.path("sealpost-agent"), filepath.Join(base, "bin", "sealpost-agent")))
	r.places = strings.NewReplacer(
		"/etc/sealpost", i.dir, "/media/", base+"/", "/run/postgresql", r.sockets(),
		"http://pki.example.com", "http://"+i.public, "127.0.0.1:8080", i.public,
		"https://ca.example.com:8443", i.url(), "0.0.0.0:8443", i.api, "127.0.0.1:8443", i.api, "ca.example.com", "localhost",
		"ldaps://ldap.example.com", i.slapd.TLSURL(), "dc=example,dc=com", slapdtest.Base, "example.com", "example.test")
	return r
}

// sockets returns the folder of PostgreSQL's socket.
func (r *reader) sockets() string {
	u, err := url.Parse(r.db.URL())
	must(r.t, err)
	return u.Query().Get("host")
}

// follow types one command.
func (r *reader) follow(who, command string) {
	r.t.Helper()
	r.ran++
	switch {
	case command == "sealpost serve":
		r.server = r.serve(r.t)
		return
	case strings.HasPrefix(command, "sha256sum "): // the officers have met
		r.ceremony(r.t)
	case strings.HasPrefix(command, "sealpost-agent enroll"):
		write(r.t, filepath.Join(r.base, "alice", "root.pem"), read(r.t, r.path("pki/root.pem")))
	case strings.HasPrefix(command, "sealpost gal diff"), strings.HasPrefix(command, "sealpost audit verify"):
		r.settle(command)
	}
	out := e2etest.Good(r.t, r.shell(who, command))
	for begin, words := range r.says {
		if strings.HasPrefix(command, begin) {
			if !strings.Contains(out, words) {
				r.t.Errorf("%s$ %s does not say %q:\n%s", who, command, words, out)
			}
			delete(r.says, begin)
		}
	}
	if strings.HasPrefix(command, "sealpost init") {
		r.afterInit()
	}
}

// shell is a command line as somebody types it on their machine.
func (r *reader) shell(who, command string) e2etest.Command {
	dir := filepath.Join(r.base, who)
	return e2etest.Command{Path: "sh", Args: []string{"-c", "exec 2>&1; " + command}, Dir: dir, Env: []string{"HOME=" + dir,
		"PATH=" + filepath.Join(r.base, "bin") + ":" + os.Getenv("PATH"), "SEALPOST_PASSWORD=" + slapdtest.Password(who), "PGHOST=" + r.sockets(), "PGUSER=postgres"}}
}

// settle waits for work that the server does a moment later, so that one look by a person is enough.
func (r *reader) settle(command string) {
	r.t.Helper()
	said := r.says[strings.Join(words(command)[:3], " ")]
	e2etest.Eventually(r.t, func() error {
		c := r.shell("ca", command)
		cmd := exec.CommandContext(r.t.Context(), c.Path, c.Args...)
		cmd.Dir, cmd.Env = c.Dir, append(os.Environ(), c.Env...)
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), said) {
			return fmt.Errorf("%s: %v\n%s", command, err, out)
		}
		return nil
	})
}

// afterInit is the operator at the new configuration: the places it names are this machine's, the directory's accounts
// have passwords, and the sample company's ways of the directory's owner.
func (r *reader) afterInit() {
	r.t.Helper()
	write(r.t, r.path("server.yaml"), r.places.Replace(read(r.t, r.path("server.yaml"))))
	write(r.t, r.path("ldap-lookup.password"), r.slapd.Lookup.Password)
	write(r.t, r.path("ldap-publisher.password"), r.slapd.Publisher.Password)
	write(r.t, r.path("company-ca.pem"), read(r.t, r.slapd.TrustFile))
}

// configure puts a piece of YAML into the configuration.
func (r *reader) configure(piece string) {
	r.t.Helper()
	if strings.Contains(piece, "the 64 digits") {
		sum := openssl(r.t, "", "dgst", "-sha256", "-r", r.path("roster.bin"))
		piece = strings.ReplaceAll(piece, "the 64 digits", strings.Fields(sum)[0])
	}
	var tree map[string]any
	must(r.t, yaml.Unmarshal([]byte(piece), &tree))
	r.edit(r.t, leaves(tree, ""))
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
