package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/tpmtest"
)

// Where the server wants it proven, the agent makes the signing key in the machine's TPM, proves it, and renews with it; another
// machine's TPM, or none, is not good enough. The PIN is as long as the server says.
func TestAgentProvesWhereItsKeyIs(t *testing.T) {
	t.Parallel()
	endorsed, other := tpmtest.New(t), tpmtest.New(t)
	i := newInstallation(t)
	i.edit(t, map[string]any{"enrolment": map[string]any{"issuer": "issuing", "attestation": map[string]any{"tpm_roots": endorsed.Roots},
		"plans": []any{map[string]any{"name": "smime", "title": "Secure mail", "signing": "smime-signing", "encryption": "smime-encryption",
			"protection": map[string]any{"places": []string{"tpm"}, "attested": true, "pin": 6}}}}})
	r := i.serve(t)
	d := r.desk(t, "alice")
	pin, short := d.file("pin"), d.file("short")
	write(t, pin, "271828\n")
	write(t, short, "2718\n")
	fails(t, d.enroll("--tpm", d.file("none")), "key-place")
	fails(t, d.enroll("--tpm", "unix:"+endorsed.Socket, "--signing-place", "software"), "key-place")
	fails(t, d.enroll("--tpm", "unix:"+endorsed.Socket, "--pin-file", short), "pin-too-short")
	fails(t, d.enroll("--tpm", "unix:"+other.Socket, "--pin-file", pin), "attestation-not-endorsed")
	e2etest.Good(t, d.enroll("--tpm", "unix:"+endorsed.Socket, "--pin-file", pin, "--anew"))
	d.tool("openssl", "verify", "-x509_strict", "-CAfile", d.path("pki/root.pem"), "-untrusted", "chain.pem", "-purpose", "smimesign", "signing.pem")
	d.does("renew --force")
	var status struct {
		Identities []struct {
			Pairs []struct {
				Request string
				Signing struct{ Place string }
			}
		}
	}
	must(t, json.Unmarshal([]byte(d.does("status --json")), &status))
	pairs := status.Identities[0].Pairs
	if len(pairs) != 2 || pairs[0].Signing.Place != api.PlaceTPM {
		t.Fatalf("status says %+v", status)
	}
	c := r.as(t, "alice")
	defer c.Close()
	enrolment, err := c.Enrolment(t.Context(), uuid.MustParse(pairs[0].Request))
	must(t, err)
	if o := enrolment.KeyOrigin; o == nil || o.Device != "tpm" || !strings.Contains(o.Maker, "swtpm") {
		t.Errorf("the server says of the key: %+v", o)
	}
	next := d.file("next")
	write(t, next, "314159\n")
	fails(t, d.byCertificate("pin", "--new-pin-file", short), "pin-too-short")
	d.does("pin", "--new-pin-file", next)
	must(t, os.Rename(next, pin))
	d.does("list")
}
