// Package kdctest runs a private Kerberos KDC (MIT's) on a free loopback port, one for each test that wants one. It is imported by
// tests only.
//
// The KDC is an unprivileged child of this process. It owns the realm, its principals and their keytabs, and the tickets that
// kinit gets for tests. It knows nothing of who takes the tickets.
package kdctest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/child"
)

// Realm is a realm, in a new folder with a running KDC.
type Realm struct {
	Name string // EXAMPLE.TEST
	Conf string // KRB5_CONFIG for programs

	t       testing.TB
	dir     string
	address string
	kdc     *child.Process // nil while it is stopped
}

// Option changes how a realm is made.
type Option struct {
	RC4   bool   // tickets may be encrypted with RC4, as old installations have it
	Trust *Realm // principals of this realm get tickets here
}

const (
	patience = 30 * time.Second
	trustKey = "the-key-that-two-realms-share"
)

// New makes a realm and starts its KDC, which ends with the test.
func New(t testing.TB, name string, options ...Option) *Realm {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a KDC")
	}
	dir, err := child.TempDir("sp-kdc-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	var o Option
	for _, o = range options {
	}
	for range 3 { // another process may take the port
		r := &Realm{Name: name, Conf: filepath.Join(dir, "krb5.conf"), t: t, dir: dir}
		if err = r.start(o); err == nil {
			return r
		}
	}
	t.Fatal(err)
	return nil
}

func (r *Realm) start(o Option) error {
	ports, err := child.FreePorts(1)
	if err != nil {
		return err
	}
	address := fmt.Sprintf("127.0.0.1:%d", ports[0])
	if err := r.configure(o, address); err != nil {
		return err
	}
	if err := r.run("kdb5_util", "create", "-s", "-r", r.Name, "-P", "master-sample"); err != nil && !strings.Contains(err.Error(), "File exists") {
		return err
	}
	r.address = address
	r.t.Cleanup(func() { r.Stop() })
	return r.serve(0)
}

// serve starts the KDC, with a clock that is off by that much.
func (r *Realm) serve(off time.Duration) error {
	program, err := child.FindProgram("krb5kdc")
	if err != nil {
		return err
	}
	env := r.env()
	if off != 0 {
		preload, err := exec.CommandContext(r.t.Context(), "faketime", "-f", "+0", "sh", "-c", "printf %s $LD_PRELOAD").Output()
		if err != nil {
			return fmt.Errorf("faketime: %w", err)
		}
		env = append(env, "LD_PRELOAD="+string(preload), fmt.Sprintf("FAKETIME=%+d", int(off.Seconds())))
	}
	log, err := os.Create(filepath.Join(r.dir, "out"))
	if err != nil {
		return err
	}
	defer log.Close()
	p, err := child.Start(child.Config{Path: program, Args: []string{"-n", "-r", r.Name}, Dir: r.dir, Env: env, Log: log})
	if err != nil {
		return err
	}
	return r.await(p, r.address)
}

// Stop ends the KDC: whoever asks it from now on gets no answer.
func (r *Realm) Stop() {
	if r.kdc != nil {
		r.kdc.Stop(syscall.SIGTERM)
		r.kdc = nil
	}
}

// Restart starts the KDC anew, with a clock that is off by that much.
func (r *Realm) Restart(t testing.TB, off time.Duration) {
	t.Helper()
	r.Stop()
	if err := r.serve(off); err != nil {
		t.Fatal(err)
	}
}

// configure writes what the KDC and programs read.
func (r *Realm) configure(o Option, address string) error {
	types, weak := "aes256-cts-hmac-sha1-96 aes128-cts-hmac-sha1-96 aes256-cts-hmac-sha384-192 aes128-cts-hmac-sha256-128", "false"
	if o.RC4 {
		types, weak = types+" arcfour-hmac", "true"
	}
	realms := fmt.Sprintf("%s = {\n  kdc = %s\n }\n", r.Name, address)
	if o.Trust != nil {
		conf, err := os.ReadFile(o.Trust.Conf)
		if err != nil {
			return err
		}
		_, other, _ := strings.Cut(string(conf), "[realms]\n")
		other, _, _ = strings.Cut(other, "[domain_realm]")
		realms += other
	}
	conf := fmt.Sprintf(`[libdefaults]
 default_realm = %[1]s
 dns_lookup_kdc = false
 dns_lookup_realm = false
 dns_canonicalize_hostname = false
 rdns = false
 udp_preference_limit = 1
 allow_weak_crypto = %[4]s
 permitted_enctypes = %[3]s
 default_tkt_enctypes = %[3]s
 default_tgs_enctypes = %[3]s
[realms]
 %[2]s
[domain_realm]
 localhost = %[1]s
`, r.Name, realms, types, weak)
	kdc := fmt.Sprintf(`[kdcdefaults]
 kdc_listen = ""
 kdc_tcp_listen = %[2]s
[realms]
 %[1]s = {
  database_name = %[3]s/principal
  key_stash_file = %[3]s/stash
  acl_file = %[3]s/acl
  supported_enctypes = aes256-cts:normal aes128-cts:normal%[4]s
  master_key_type = aes256-cts
  max_life = 30d
 }
[logging]
 kdc = FILE:%[3]s/kdc.log
`, r.Name, address, r.dir, map[bool]string{true: " arcfour-hmac:normal"}[o.RC4])
	for name, text := range map[string]string{"krb5.conf": conf, "kdc.conf": kdc} {
		if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// await waits until the KDC answers.
func (r *Realm) await(p *child.Process, address string) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
			r.kdc = p
			return nil
		}
		select {
		case <-p.Done():
			said, _ := os.ReadFile(filepath.Join(r.dir, "kdc.log")) // for the message alone
			return fmt.Errorf("krb5kdc ended: %s", said)
		default:
		}
		if time.Now().After(deadline) {
			p.Stop(syscall.SIGKILL)
			return fmt.Errorf("krb5kdc does not answer: %w", err)
		}
	}
}

func (r *Realm) env() []string {
	return []string{"KRB5_CONFIG=" + r.Conf, "KRB5_KDC_PROFILE=" + filepath.Join(r.dir, "kdc.conf")}
}

func (r *Realm) run(program string, args ...string) error {
	path, err := child.FindProgram(program)
	if err != nil {
		return err
	}
	return child.Run(r.t.Context(), child.Config{Path: path, Args: args, Dir: r.dir, Env: r.env()})
}

// admin runs a command of kadmin.local.
func (r *Realm) admin(t testing.TB, command string) {
	t.Helper()
	if err := r.run("kadmin.local", "-r", r.Name, "-q", command); err != nil {
		t.Fatalf("%s: %v", command, err)
	}
}

// Change changes a principal, as kadmin's modprinc has it: "-allow_tix" disables it, "-expire 2020-01-01" ends it, "-pwexpire 2020-01-01" its password.
func (r *Realm) Change(t testing.TB, name, how string) {
	t.Helper()
	r.admin(t, "modprinc "+how+" "+name)
}

// Password is that of a person's principal.
func Password(name string) string { return name + "-ticket-sample" }

// Add adds principals, with their Password.
func (r *Realm) Add(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		r.admin(t, "addprinc -pw "+Password(name)+" "+name)
	}
}

// Believe has a realm accept principals of this one: each KDC gets the key that they share.
func (r *Realm) Believe(t testing.TB, in *Realm) {
	t.Helper()
	for _, at := range []*Realm{r, in} {
		at.admin(t, "addprinc -pw "+trustKey+" krbtgt/"+in.Name+"@"+r.Name)
	}
}

// Keytab adds a service's principal with a chance key, and returns a file with that. Kinds are its encryption types; "" means
// those of the realm.
func (r *Realm) Keytab(t testing.TB, principal, kinds string) string {
	t.Helper()
	file := filepath.Join(r.dir, strings.NewReplacer("/", "_", "$", "_").Replace(principal)+".keytab")
	if kinds != "" {
		kinds = "-e " + kinds + " "
	}
	r.admin(t, "addprinc "+kinds+"-randkey "+principal) // which may be there already: ktadd makes a new key in any case
	r.admin(t, "ktadd "+kinds+"-k "+file+" "+principal)
	out := filepath.Join(t.TempDir(), "keytab")
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(out, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return out
}

// Kinit gets somebody's ticket with kinit, with more arguments, and returns the ticket cache's file.
func (r *Realm) Kinit(t testing.TB, name string, args ...string) string {
	t.Helper()
	cache := filepath.Join(t.TempDir(), "cache")
	cmd := exec.CommandContext(t.Context(), "kinit", append(args, name)...)
	cmd.Env = r.Env(cache)
	person, _, _ := strings.Cut(name, "@")
	cmd.Stdin = strings.NewReader(Password(person) + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("kinit %s: %v\n%s", name, err, out)
	}
	return cache
}

// KinitWith is Kinit with a keytab: of a machine's principal.
func (r *Realm) KinitWith(t testing.TB, name, keytab string) string {
	t.Helper()
	return r.Kinit(t, name, "-k", "-t", keytab)
}

// Env is the environment of a program that uses a ticket cache.
func (r *Realm) Env(cache string) []string {
	return append(os.Environ(), "KRB5_CONFIG="+r.Conf, "KRB5CCNAME=FILE:"+cache, "LC_ALL=C.UTF-8")
}

// Ticket gets a ticket to a service into a cache, with kvno.
func (r *Realm) Ticket(t testing.TB, cache, principal string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "kvno", principal)
	cmd.Env = r.Env(cache)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("kvno %s: %v\n%s", principal, err, bytes.TrimSpace(out))
	}
}
