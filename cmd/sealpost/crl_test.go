package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/mailtest"
)

// ends expects an exit code and words on standard output or standard error.
func ends(t *testing.T, c e2etest.Command, code int, words ...string) string {
	t.Helper()
	r := e2etest.Run(t, c)
	for _, w := range words {
		if !strings.Contains(r.Stdout+r.Stderr, w) {
			t.Errorf("%s does not say %q:\n%s%s", c, w, r.Stdout, r.Stderr)
		}
	}
	if r.Code != code {
		t.Errorf("%s ends with exit code %d, want %d:\n%s%s", c, r.Code, code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// Lists are shown, verified and watched wherever they are, without a configuration.
func TestAnyListAtTheCommandLine(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	r := i.serve(t)
	status, _ := r.enrol(t, "alice")
	serial := status.Certificates[0].Serial
	i.run(t, "revoke", serial, "--reason", "keyCompromise", "--note", "lost", "--yes")
	file, url := i.path("issuing.crl"), "http://"+i.public+"/crl/issuing.crl"
	bare := func(stdin string, args ...string) e2etest.Command { // no configuration is near
		return e2etest.Command{Path: shared.path(program), Args: append([]string{"crl"}, args...), Dir: t.TempDir(), Stdin: stdin}
	}
	e2etest.Eventually(t, func() error {
		write(t, file, string(i.fetch(t, "/crl/issuing.crl")))
		if got := e2etest.Run(t, bare("", "show", file, "--serial", serial)); got.Code != 0 || !strings.HasPrefix(got.Stdout, serial) || !strings.Contains(got.Stdout, "keyCompromise") {
			return fmt.Errorf("%+v", got)
		}
		return nil
	})
	pemFile := i.path("issuing.crl.pem")
	openssl(t, i.dir, "crl", "-inform", "DER", "-in", "issuing.crl", "-out", "issuing.crl.pem")
	for _, c := range []e2etest.Command{bare("", "show", file), bare("", "show", url), bare("", "show", pemFile), bare(read(t, file), "show", "-"), bare(read(t, pemFile), "show", "-")} {
		ends(t, c, 0, "Example Secure Mail CA", "complete", "entries      1", "all certificates of the issuer", ".delta.crl")
	}
	lines := strings.Split(strings.TrimSpace(ends(t, bare("", "show", file, "--entries", "--json"), 0)), "\n")
	var entry shownEntry
	var list shownList
	must(t, json.Unmarshal([]byte(lines[0]), &entry))
	must(t, json.Unmarshal([]byte(lines[len(lines)-1]), &list))
	if entry.Serial != serial || entry.Reason != "keyCompromise" || list.Entries != 1 || list.Kind != "complete" || list.NextUpdate == nil {
		t.Errorf("%+v, %+v", entry, list)
	}
	upper := strings.ToUpper(serial)
	ends(t, bare("", "show", file, "--serial", "00:"+upper[:2]+":"+upper[2:]), 0, serial)
	ends(t, bare("", "show", file, "--serial", "1234"), 1, "does not have the serial number 1234")
	ends(t, bare("", "show", file, "--serial", "xyz"), 1, "hexadecimal")
	ends(t, bare("", "show", i.path("none")), 2, "none")
	ends(t, bare("no list", "show", "-"), 2, "not a revocation list")
	ends(t, bare(read(t, file)[:300], "show", "-"), 2, "cut off")

	issuing, root := i.path("pki/issuing.pem"), i.path("pki/root.pem")
	ends(t, bare("", "verify", url, "--issuer-cert", issuing), 0, "good until", "1 entries")
	ends(t, bare("", "verify", "http://"+i.public+"/crl/root.crl", "--issuer-cert", root), 0, "good until")
	foreign, foreignCert := foreignList(t, time.Hour)
	ends(t, bare("", "verify", file, "--issuer-cert", foreignCert), 1, "another authority")
	ends(t, bare(string(foreign), "verify", "-", "--issuer-cert", foreignCert), 0)
	old, oldCert := foreignList(t, -time.Hour)
	ends(t, bare(string(old), "verify", "-", "--issuer-cert", oldCert), 1, "has run out")
	tampered := []byte(read(t, file))
	tampered[len(tampered)-3] ^= 1
	ends(t, bare(string(tampered), "verify", "-", "--issuer-cert", issuing), 1, "not signed by its issuer")
	ends(t, bare("", "verify", "http://"+i.public+"/crl/nobody.crl", "--issuer-cert", issuing), 2, "nothing at this address")
	ends(t, bare("", "verify", file, "--issuer-cert", i.path("none")), 2, "none")
	ends(t, bare("", "verify", file), 1, "issuer-cert")

	ends(t, bare("", "watch", url, "--once", "--issuer-cert", issuing), 0, "ok", url)
	ends(t, bare("", "watch", url, "http://"+i.public+"/crl/root.crl", "--once", "--issuer-cert", root), 1, "unknown", "another authority", "1 of 2")
	ends(t, bare("", "watch", url, "--once", "--margin", "9000h"), 1, "running-out")
	var seen encodedSighting
	must(t, json.Unmarshal([]byte(ends(t, bare("", "watch", url, "--once", "--json"), 0)), &seen))
	if seen.Address != url || seen.State != "ok" || seen.List == nil || seen.List.Entries != 1 {
		t.Errorf("%+v", seen)
	}
	ends(t, bare("", "watch", url, "--every", "1ms"), 1, "--every")
	watching := e2etest.Start(t, bare("", "watch", url, "--every", "1s", "--issuer-cert", issuing))
	e2etest.Eventually(t, func() error {
		if n := strings.Count(watching.Stdout(), url); n < 2 {
			return fmt.Errorf("%d looks", n)
		}
		return nil
	})
	r.stop(t)
	e2etest.Eventually(t, func() error {
		if !strings.Contains(watching.Stdout(), "does not answer") {
			return fmt.Errorf("%s", watching.Stdout())
		}
		return nil
	})
	watching.Signal(syscall.SIGINT)
	if code := watching.Wait(t); code != 0 {
		t.Errorf("interrupted: exit code %d", code)
	}
}

// foreignList makes a list of another authority that is good for so long, and a file with its certificate.
func foreignList(t *testing.T, left time.Duration) (der []byte, certificate string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Foreign"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageCRLSign, IsCA: true, BasicConstraintsValid: true, SubjectKeyId: []byte{1, 2, 3}}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	c, err := x509.ParseCertificate(raw)
	must(t, err)
	der, err = x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-48 * time.Hour), NextUpdate: time.Now().Add(left)}, c, key)
	must(t, err)
	certificate = filepath.Join(t.TempDir(), "foreign.pem")
	write(t, certificate, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})))
	return der, certificate
}

// What fails for long, or runs out, ends crl status with exit code 1; metrics and REST say the same.
func TestStatusIsForMonitoring(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	metrics, share := freeAddress(t), filepath.Join(t.TempDir(), "share")
	must(t, os.Mkdir(share, 0o755))
	i.edit(t, map[string]any{"listen.metrics": metrics, "crl.points": []any{map[string]any{"name": "share", "folder": map[string]any{"path": share}}}})
	r := i.serve(t)
	e2etest.Eventually(t, func() error {
		got := e2etest.Run(t, i.command("crl status"))
		if got.Code != 0 || strings.Count(got.Stdout, " ok ") < 15 {
			return fmt.Errorf("%+v", got)
		}
		return nil
	})
	said := string(fetch(t, "http://"+metrics+"/metrics"))
	for _, want := range []string{`sealpost_crl_number{file="issuing.crl",issuer="issuing"} `, `sealpost_crl_seconds_left{file="issuing.crl",issuer="issuing"} 2`,
		`sealpost_crl_seconds_left{file="root.crl",issuer=""}`, `sealpost_crl_size_bytes{file="issuing.crl",issuer="issuing"}`, `sealpost_crl_entries{`,
		`sealpost_crl_point_seconds_left{file="issuing.crl",issuer="issuing",point="share"} 2`, `sealpost_crl_point_urgent{file="issuing.cer",issuer="issuing",point="http"} 0`,
		`sealpost_crl_point_failing_since_timestamp_seconds{file="issuing.crl",issuer="issuing",point="ldap-issuing"} 0`,
		`sealpost_crl_point_last_good_timestamp_seconds{file="issuing.p7c",issuer="issuing",point="share"} 1.`} {
		if !strings.Contains(said, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	c := i.as(t, "operator")
	defer c.Close()
	st, err := c.CRLStatus(t.Context())
	if err != nil || st.Urgent || len(st.Points) < 9 {
		t.Errorf("%+v, %v", st, err)
	}
	r.stop(t)
	made := i.db.Count(t, `select max(number) from crl.list`)
	i.db.Exec(t, `update crl.point set shown = false, failed_at = now() - interval '1 hour', failure = 'The share is full.' where point = 'share'`)
	ends(t, i.command("crl status"), 1, "unknown !", "The share is full.", "crl-stale.md")
	var status api.CRLStatus
	must(t, json.Unmarshal([]byte(ends(t, i.command("crl status --json"), 1)), &status))
	if !status.Urgent || status.Points[len(status.Points)-1].Failure != "The share is full." {
		t.Errorf("%+v", status)
	}
	i.db.Exec(t, `update crl.point set shown = true, failed_at = null, failure = null, next_update = now() + interval '29 hours' where point = 'share' and file = 'issuing.crl'`)
	ends(t, i.command("crl status"), 1, "running-out !")
	i.db.Exec(t, `update crl.list set next_update = now() - interval '2 hours'`)
	ends(t, i.command("crl status"), 1, "run-out !", "over for 2h0m")
	if n := i.db.Count(t, `select max(number) from crl.list`); n != made {
		t.Errorf("crl status has made list %d", n)
	}
}

// Numbers go on behind the one that is given, for the issuer that is meant.
func TestPublishBehindANumber(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.serve(t)
	if out := i.run(t, "crl publish --after 4711"); !strings.HasPrefix(out, "issuing: number 4712,") {
		t.Errorf("%s", out)
	}
	ends(t, i.command("crl publish --after 4711"), 1, "already")
	ends(t, i.command("crl publish --issuer nobody"), 1, "nobody")
	if out := i.run(t, "crl publish --issuer issuing"); !strings.HasPrefix(out, "issuing: number 4713,") {
		t.Errorf("%s", out)
	}
}

// Operators hear by mail of a list that runs out, though another authority makes it, and of an overdue drill; once.
func TestOperatorsHearByMail(t *testing.T) {
	t.Parallel()
	i, s := newInstallation(t), mailtest.New(t, mail.StartTLS)
	i.mailsWith(t, s)
	i.edit(t, map[string]any{"mail.operators": []string{"olaf@example.test", "petra@example.test"}})
	r := i.launch(t, clockVariable+"=8400h") // a fortnight before the end of the root's yearly list
	mails := s.Wait(t, 4)
	subjects := map[string]int{}
	for _, m := range mails {
		subjects[m.To[0]+" "+m.Header("Subject")]++
	}
	for _, to := range []string{"olaf@example.test", "petra@example.test"} {
		for _, subject := range []string{"Running out: the revocation list root.crl", "Overdue: the recovery officers' drill"} {
			if subjects[to+" "+subject] != 1 {
				t.Errorf("%s was not told %q: %v", to, subject, subjects)
			}
		}
	}
	r.stop(t)
	r = i.launch(t, clockVariable+"=8401h")
	r.Await(t, `"msg":"serving"`)
	e2etest.Eventually(t, func() error {
		if n := i.db.Count(t, `select count(*) from river.river_job where kind = 'crl.watch-lists' and state = 'completed'`); n < 2 {
			return fmt.Errorf("%d looks", n)
		}
		return nil
	})
	if n := len(s.Mails(t)); n != 4 {
		t.Errorf("%d mails after a second start", n)
	}
	r.stop(t)
}
