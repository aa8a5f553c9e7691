package agent_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpost/sealpost/agent"
)

// run runs an independent program and returns what it wrote.
func run(t *testing.T, stdin string, name string, args ...string) string {
	t.Helper()
	out, err := runError(stdin, nil, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func runError(stdin string, env []string, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = append(append(os.Environ(), "LC_ALL=C.UTF-8"), env...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// OpenSSL reads the requests, finds their signature good, and the names where they belong.
func TestCSR(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, algorithm string
		person          agent.Person
		want            []string
		not             string
	}{
		{"usual", "P-256", agent.Person{Name: "Alice Example", Mailboxes: []string{"alice@example.test", "A.Example@EXAMPLE.test"}},
			[]string{"Subject: CN = Alice Example", "email:alice@example.test, email:A.Example@example.test", "prime256v1"}, "othername"},
		{"RSA", "RSA-3072", agent.Person{Name: "Bob", Mailboxes: []string{"bob@example.test"}},
			[]string{"Public-Key: (3072 bit)", "sha256WithRSAEncryption", "email:bob@example.test"}, "othername"},
		{"not ASCII", "P-384", agent.Person{Name: "Žofie Müller", Mailboxes: []string{"žofie@bücher.example", "zofie@bücher.example"}},
			[]string{"CN = Žofie Müller", "secp384r1", "ecdsa-with-SHA384", "othername: SmtpUTF8Mailbox:", ":žofie@xn--bcher-kva.example", "email:zofie@xn--bcher-kva.example"}, ""},
		{"long name", "P-256", agent.Person{Name: strings.Repeat("ä", 65), Mailboxes: []string{"long@example.test"}},
			[]string{"Subject: \n", "email:long@example.test"}, "ä"},
		{"nobody", "P-256", agent.Person{Name: "No Mail"}, []string{"CN = No Mail"}, "email"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			key, pkcs8, err := agent.MakeKey(tt.algorithm)
			if err != nil {
				t.Fatal(err)
			}
			der, err := agent.MakeCSR(key, tt.person)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			for name, data := range map[string][]byte{"csr.der": der, "key.der": pkcs8} {
				if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			out := run(t, "", "openssl", "req", "-inform", "DER", "-in", filepath.Join(dir, "csr.der"), "-verify", "-noout", "-text",
				"-nameopt", "oneline,utf8,-esc_msb")
			for _, want := range append(tt.want, "verify OK") {
				if !strings.Contains(out, want) {
					t.Errorf("openssl does not show %q:\n%s", want, out)
				}
			}
			if tt.not != "" && strings.Contains(out, tt.not) {
				t.Errorf("openssl shows %q:\n%s", tt.not, out)
			}
			ours := run(t, "", "openssl", "pkey", "-inform", "DER", "-in", filepath.Join(dir, "key.der"), "-pubout")
			if !strings.Contains(run(t, "", "openssl", "req", "-inform", "DER", "-in", filepath.Join(dir, "csr.der"), "-noout", "-pubkey"), ours) {
				t.Error("the request is for another key than the one that was encoded")
			}
		})
	}
}

func TestCSRRefuses(t *testing.T) {
	t.Parallel()
	key, _, err := agent.MakeKey("P-256")
	if err != nil {
		t.Fatal(err)
	}
	many := make([]string, 2000)
	for i := range many {
		many[i] = strings.Repeat("x", 1+i%60) + string(rune('a'+i%26)) + sprintf("%d", i) + "@example.test"
	}
	for name, mailboxes := range map[string][]string{
		"no @": {"alice"}, "no local part": {"@example.test"}, "no domain": {"alice@"}, "bad domain": {"alice@exa mple.test"}, "too many": many,
	} {
		if _, err := agent.MakeCSR(key, agent.Person{Name: "Alice", Mailboxes: mailboxes}); !errors.Is(err, agent.ErrConfig) {
			t.Errorf("%s: %v, want ErrConfig", name, err)
		}
	}
}

func TestChooseAlgorithm(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		accepted []string
		wanted   string
		want     string
	}{
		{[]string{"P-256", "RSA-3072"}, "", "P-256"},
		{[]string{"X25519", "RSA-3072"}, "", "RSA-3072"},
		{[]string{"P-256", "RSA-3072"}, "RSA-3072", "RSA-3072"},
		{[]string{"P-256"}, "RSA-3072", ""},
		{[]string{"ML-KEM-768"}, "ML-KEM-768", ""},
		{nil, "", ""},
	} {
		got, err := agent.ChooseAlgorithm(tt.accepted, tt.wanted)
		if got != tt.want || (err == nil) != (tt.want != "") || err != nil && !errors.Is(err, agent.ErrAlgorithm) {
			t.Errorf("ChooseAlgorithm(%v, %q) = %q, %v; want %q", tt.accepted, tt.wanted, got, err, tt.want)
		}
	}
}

// FuzzMailboxes: what is written into a subjectAltName is read back the same, by us and, where it is ASCII, by x509;
// and whatever is read, reading ends in addresses or a fault.
func FuzzMailboxes(f *testing.F) {
	f.Add("alice@example.test", []byte{0x30, 0})
	f.Add("žofie@bücher.example", []byte{0x30, 0x06, 0xa0, 0x04, 0x06, 0x02, 0x2a, 0x03})
	f.Add("0@\xe800", []byte("0"))
	f.Add("a@b", []byte{0x30, 0x80})
	f.Fuzz(func(t *testing.T, mailbox string, san []byte) {
		if _, err := agent.UTF8Mailboxes(san); err != nil && !errors.Is(err, agent.ErrAnswerMailboxes) {
			t.Errorf("error %v is no fault of ours", err)
		}
		normal, err := agent.NormalMailbox(mailbox)
		if err != nil {
			return
		}
		if again, err := agent.NormalMailbox(normal); err != nil || again != normal {
			t.Errorf("%q normal is %q, and that is %q, %v", mailbox, normal, again, err)
		}
		der, err := agent.AltNames([]string{normal})
		if err != nil {
			t.Fatal(err)
		}
		read, err := agent.UTF8Mailboxes(der)
		if err != nil {
			t.Fatal(err)
		}
		if ascii := !strings.ContainsFunc(normal, func(r rune) bool { return r >= 0x80 }); ascii != (len(read) == 0) {
			t.Errorf("%q is written as the wrong kind of name", normal)
		} else if !ascii && !cmp.Equal(read, []string{normal}) {
			t.Errorf("%q is read back as %q", normal, read)
		}
	})
}
