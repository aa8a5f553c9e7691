package gal_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/gal"
	"github.com/sealpost/sealpost/internal/child"
	"github.com/sealpost/sealpost/internal/pkitest"
)

var everybody = gal.Audience{Show: gal.ShowEverybody}

func TestSMIMEAOwner(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		// The name of RFC 7929's example, which is made in the same way.
		"hugh@example.com":         "c93f1e400f26708f98cb19d936620da35eec8f72e57f9eec01c1afd6._smimecert.example.com",
		"hugh@B\u00dcCHER.example": "c93f1e400f26708f98cb19d936620da35eec8f72e57f9eec01c1afd6._smimecert.xn--bcher-kva.example",
	} {
		m, err := ca.ParseMailbox(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := gal.SMIMEAOwner(m); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
	for _, local := range []string{"o'brien+tag/a&b", "grün", "Upper.Case"} {
		cmd := exec.CommandContext(t.Context(), "openssl", "dgst", "-sha256")
		cmd.Stdin = strings.NewReader(local)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		_, sum, _ := strings.Cut(strings.TrimSpace(string(out)), "= ")
		if got := gal.SMIMEAOwner(ca.Mailbox{Local: local, Domain: "example.test"}); got != sum[:56]+"._smimecert.example.test" {
			t.Errorf("%s: %s, openssl says %s", local, got, sum)
		}
	}
}

// nameServer starts BIND with a zone that includes a file, and returns how to ask it.
func nameServer(t *testing.T, zone, included string) (ask func(owner string) []string) {
	t.Helper()
	dir, err := child.TempDir("named")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // a folder for temporary files
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := write("zone", fmt.Sprintf("$TTL 3600\n@ IN SOA ns hostmaster 1 3600 600 604800 300\n@ IN NS ns\nns IN A 127.0.0.1\n$INCLUDE %s\n", write("smimea", included)))
	if out, err := exec.CommandContext(t.Context(), program(t, "named-checkzone"), "-i", "none", zone, file).CombinedOutput(); err != nil || !strings.Contains(string(out), "OK") {
		t.Fatalf("named-checkzone: %v: %s", err, out)
	}
	ports, err := child.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	conf := write("named.conf", fmt.Sprintf(`options { directory %q; listen-on port %d { 127.0.0.1; }; listen-on-v6 { none; }; pid-file none; lock-file none;
	session-keyfile none; managed-keys-directory %q; recursion no; notify no; dnssec-validation no; };
controls { };
zone %q { type primary; file %q; };
`, dir, ports[0], dir, zone, file))
	log := new(bytes.Buffer)
	server, err := child.Start(child.Config{Path: program(t, "named"), Args: []string{"-g", "-n", "1", "-c", conf}, Dir: dir, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Stop(syscall.SIGTERM) })
	dig := func(ctx context.Context, owner, kind string) (string, error) {
		out, err := exec.CommandContext(ctx, program(t, "dig"), "@127.0.0.1", "-p", fmt.Sprint(ports[0]), "+tcp", "+short", "+tries=1", "+time=2", owner, kind).CombinedOutput()
		return string(out), err
	}
	for range 100 {
		if out, err := dig(t.Context(), zone, "SOA"); err == nil && strings.Contains(out, "hostmaster") {
			return func(owner string) []string {
				t.Helper()
				out, err := dig(t.Context(), owner, "SMIMEA")
				if err != nil {
					t.Fatalf("dig: %v: %s", err, out)
				}
				var list []string
				for line := range strings.Lines(out) {
					list = append(list, strings.TrimSpace(line))
				}
				return list
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	server.Stop(syscall.SIGTERM)
	t.Fatalf("named does not answer: %s", log)
	return nil
}

func program(t *testing.T, name string) string {
	t.Helper()
	path, err := child.FindProgram(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// A name server takes what is written, and tells who asks exactly the certificates that are shown.
func TestZoneServedByBIND(t *testing.T) {
	b := setup(t)
	alice := b.enrol(t).Certificates[1].DER
	odd := b.certify(t, ca.SMIMEEncryption, uuid.New(), "Odd.One+x@example.test", "grün@example.test").DER
	revoked := b.certify(t, ca.SMIMEEncryption, uuid.New(), "revoked@example.test")
	if err := b.PKI.Revoke(t.Context(), pkitest.Actor(), ca.Revocation{Issuer: revoked.Issuer, Serial: revoked.Serial, Reason: ca.Superseded}); err != nil {
		t.Fatal(err)
	}
	records, err := b.SMIMEA(t.Context(), "example.test", everybody)
	if err != nil {
		t.Fatal(err)
	}
	var zone bytes.Buffer
	if err := gal.WriteZone(&zone, records, time.Hour); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(zone.String(), "alice") {
		t.Error("the zone file has addresses")
	}
	ask := nameServer(t, "example.test", zone.String())
	owner := func(local string) string { return gal.SMIMEAOwner(ca.Mailbox{Local: local, Domain: "example.test"}) }
	for local, want := range map[string][]byte{"alice": alice, "Odd.One+x": odd, "odd.one+x": odd, "grün": odd, "odd": nil, "revoked": nil, "nobody": nil} {
		got := ask(owner(local))
		switch {
		case want == nil && len(got) == 0:
		case want != nil && len(got) == 1 && strings.ReplaceAll(strings.ToLower(got[0]), " ", "") == "300"+hex.EncodeToString(want):
		default:
			t.Errorf("%s: %q", local, got)
		}
	}
}

// What the domain name system shows is what its Audience allows, as JSON with the addresses.
func TestRecords(t *testing.T) {
	b := setup(t)
	b.certify(t, ca.SMIMEEncryption, uuid.New(), "a@example.test", "b@example.test")
	b.certify(t, ca.SMIMEEncryption, uuid.New(), "a@example.test")
	for _, c := range []struct {
		zone string
		a    gal.Audience
		want int
	}{
		{"example.test", everybody, 3},
		{"sub.example.test", everybody, 0},
		{"example.test", gal.Audience{}, 0},
		{"example.test", gal.Audience{Show: gal.ShowDomains, Domains: []string{"sub.example.test"}}, 0},
		{"example.test", gal.Audience{Show: gal.ShowDomains, Domains: []string{"Example.test"}}, 3},
		{"test", everybody, 0},
	} {
		got, err := b.SMIMEA(t.Context(), c.zone, c.a)
		if err != nil || got == nil || len(got) != c.want {
			t.Errorf("%s, %+v: %d records, %v", c.zone, c.a, len(got), err)
		}
		if _, err := json.Marshal(got); err != nil {
			t.Error(err)
		}
	}
}
