package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/e2etest"
)

// An operator orders an algorithm away at the command line: the agent renews with another kind of key as soon as it asks, and says why. Then nothing
// is due any more.
func TestAgentRenewsWhenOrdered(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	r := i.serve(t)
	d := r.desk(t, "alice")
	e2etest.Good(t, d.enroll())
	ordered := func() (n int) {
		t.Helper()
		for _, c := range d.list() {
			leaf, err := x509.ParseCertificate(c.DER)
			must(t, err)
			if k, is := leaf.PublicKey.(*ecdsa.PublicKey); is && k.Curve == elliptic.P256() {
				n++
			}
		}
		return n
	}
	if n := ordered(); n != 1 {
		t.Fatalf("%d certificates with a P-256 key at first", n)
	}
	if out := i.run(t, "renewals list"); !strings.Contains(out, "There is no such order.") {
		t.Errorf("no order yet: %s", out)
	}
	var o, shown api.RenewalOrder
	must(t, json.Unmarshal([]byte(i.run(t, "renewals add --algorithm P-256 --hours 0 --json", "--reason", "P-256 was broken today.")), &o))
	if o.Algorithm != "P-256" || o.Number == 0 || o.Hours != 0 {
		t.Errorf("made: %+v", o)
	}
	alice := r.as(t, "alice")
	e2etest.Eventually(t, func() error { // the running server looks every few seconds
		p, err := alice.Policy(t.Context())
		if err == nil && slices.Contains(p.Enrolments[0].Signing.Algorithms, "P-256") {
			err = errors.New("the policy still offers P-256")
		}
		return err
	})
	kept, err := filepath.Glob(d.file("state", "*", "policy.json"))
	must(t, err)
	for _, file := range kept { // as if half an hour had gone by
		must(t, os.Remove(file))
	}
	before := len(d.list())
	c := e2etest.Run(t, d.byCertificate("renew"))
	if c.Code != 0 || !strings.Contains(c.Stdout+c.Stderr, "P-256 was broken today.") {
		t.Errorf("renew: %+v", c)
	}
	if all, n := len(d.list()), ordered(); all != before+2 || n != 1 {
		t.Errorf("%d certificates, %d with a P-256 key", all, n)
	}
	must(t, json.Unmarshal([]byte(i.run(t, "renewals show --json", "1")), &shown))
	if shown.Progress == nil || *shown.Progress != (api.RenewalProgress{Replaced: 1, Whole: true}) {
		t.Errorf("progress: %+v", shown.Progress)
	}
	d.does("renew")
	if all := len(d.list()); all != before+2 {
		t.Errorf("%d certificates after another run", all)
	}
	if out := i.run(t, "renewals list"); !strings.Contains(out, "algorithm P-256") || !strings.Contains(out, "open") {
		t.Errorf("list: %s", out)
	}
	if out := i.run(t, "renewals withdraw 1"); !strings.Contains(out, "withdrawn") {
		t.Errorf("withdrawn: %s", out)
	}
	if out := i.run(t, "renewals list --open"); !strings.Contains(out, "There is no such order.") {
		t.Errorf("open ones: %s", out)
	}
	oneLine(t, "withdrawn twice", e2etest.Bad(t, i.command("renewals withdraw 1"), "renewal-order-withdrawn"))
	oneLine(t, "no criterion", e2etest.Bad(t, i.command("renewals add --reason x"), "renewal-order"))
	oneLine(t, "no number", e2etest.Bad(t, i.command("renewals show x"), "unknown-renewal-order"))
}
