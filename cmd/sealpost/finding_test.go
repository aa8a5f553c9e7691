package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/gal"
	"github.com/sealpost/sealpost/internal/e2etest"
)

// The configuration decides what a running server shows, and the commands say and write the same.
func TestFindingCertificates(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.edit(t, map[string]any{"finding": map[string]any{"store": map[string]any{"show": "domains", "domains": []string{"example.test"}}, "burst": 2, "every": "1h"}})
	r := i.serve(t)
	r.enrol(t, "alice")
	page, err := i.as(t, "bob").Recipients(t.Context(), "alice@example.test")
	must(t, err)
	if len(page.Items) != 1 {
		t.Fatalf("%d certificates", len(page.Items))
	}
	alice := page.Items[0].DER
	if got := i.fetch(t, "/certs/search?email=alice@example.test"); !bytes.Equal(got, alice) {
		t.Error("the store shows another certificate")
	}
	if out := i.run(t, "find", "alice@example.test"); !strings.Contains(out, page.Items[0].Serial) || !strings.Contains(out, "certificate store yes, as vCard no, in the domain name system no") {
		t.Errorf("find: %s", out)
	}
	if out := i.run(t, "find --vcard", "alice@example.test"); !strings.HasPrefix(out, "BEGIN:VCARD\r\nVERSION:4.0\r\nFN:Alice Anders\r\n") {
		t.Errorf("find --vcard: %s", out)
	}
	text := filepath.Join(t.TempDir(), "alice.pem")
	write(t, text, i.run(t, "find --pem", "alice@example.test"))
	if out := openssl(t, "", "x509", "-in", text, "-noout", "-email"); strings.TrimSpace(out) != "alice@example.test" {
		t.Errorf("find --pem: %s", out)
	}
	oneLine(t, "nobody", e2etest.Bad(t, i.command("find", "nobody@example.test"), "there is no certificate to encrypt to"))
	oneLine(t, "not shown", e2etest.Bad(t, i.command("smimea zone", "example.test"), "finding.smimea in the configuration shows nobody"))

	i.edit(t, map[string]any{"finding": map[string]any{"smimea": map[string]any{"show": "everybody"}}})
	file := filepath.Join(t.TempDir(), "zone")
	i.run(t, "smimea zone --out", file, "Example.TEST")
	zone, err := os.ReadFile(file)
	must(t, err)
	var records []gal.Record
	must(t, json.Unmarshal([]byte(i.run(t, "smimea zone --json", "example.test")), &records))
	if len(records) != 1 || records[0].Mailbox != "alice@example.test" || !bytes.Equal(records[0].Certificate, alice) || !strings.HasPrefix(string(zone), records[0].Owner+". 3600 IN SMIMEA 3 0 0 (\n") {
		t.Errorf("%d records, %s", len(records), zone)
	}
	oneLine(t, "no domain", e2etest.Bad(t, i.command("smimea zone", "-"), "is no domain"))
	oneLine(t, "no time", e2etest.Bad(t, i.command("smimea zone --ttl 0s", "example.test"), "--ttl must lie"))
}
