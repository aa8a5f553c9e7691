package kra_test

import (
	"bytes"
	"crypto/x509"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/disk"
	"github.com/sealpost/sealpost/kra"
)

// sampleCard is a card whose certificates lead to nobody, with the text that goes with it.
func sampleCard(t testing.TB) (*kra.AgentCard, []byte) {
	t.Helper()
	var certs []*x509.Certificate
	for _, text := range []string{sampleSigning, sampleDecryption} {
		c, err := kra.ParseCertificates([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		certs = append(certs, c...)
	}
	card, err := kra.NewAgentCard(someone, certs[0], certs[1], nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := card.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return card, text
}

func TestCards(t *testing.T) {
	t.Parallel()
	card, text := sampleCard(t)
	got, err := kra.ParseAgentCard(text)
	must(t, err)
	if got.Person != someone || got.Name != "Olga Berg" || !got.Signing.Equal(card.Signing) || !got.Decryption.Equal(card.Decryption) {
		t.Errorf("got %+v", got)
	}
	crlf := "\r\n" + strings.ReplaceAll(string(text), "\n", "\r\n") + "\r\n"
	if _, err := kra.ParseAgentCard([]byte(crlf)); err != nil {
		t.Errorf("after a mail program: %v", err)
	}
	// openssl knows nothing of cards and sees the first certificate.
	path := filepath.Join(t.TempDir(), "olga.card")
	write(t, text, path)
	out, err := exec.Command("openssl", "x509", "-in", path, "-noout", "-fingerprint", "-sha256").Output()
	must(t, err)
	if hex := strings.ToLower(strings.ReplaceAll(string(out), ":", "")); !strings.Contains(hex, record.Fingerprint(card.Signing).String()) {
		t.Errorf("openssl sees %s", out)
	}
	for name, change := range map[string]struct {
		of   func(string) string
		want string
	}{
		"nothing":         {func(string) string { return "" }, "begins with"},
		"a recipient's":   {func(s string) string { return strings.ReplaceAll(s, "AGENT CARD", "RECIPIENT CARD") }, "begins with"},
		"another version": {func(s string) string { return strings.Replace(s, "Version: 1", "Version: 2", 1) }, "version"},
		"another person":  {func(s string) string { return strings.Replace(s, "Person: 7d", "Person: 7D", 1) }, "changed or damaged"},
		"nobody":          {func(s string) string { return strings.Replace(s, someone.String(), uuid.Nil.String(), 1) }, "whose it is"},
		"no person":       {func(s string) string { return strings.Replace(s, someone.String(), "olga", 1) }, "whose it is"},
		"one certificate": {func(s string) string { return s[:strings.LastIndex(s, "-----BEGIN")] }, "cut off"},
		"certificates swapped": {func(s string) string {
			return s[:strings.Index(s, "-----BEGIN CERT")] + sampleDecryption + sampleSigning
		}, "changed or damaged"},
		"one too many":            {func(s string) string { return s + sampleSigning }, "changed or damaged"},
		"words between":           {func(s string) string { return strings.Replace(s, "-----BEGIN CERT", "trust me\n-----BEGIN CERT", 1) }, "changed or damaged"},
		"another header":          {func(s string) string { return strings.Replace(s, "Person:", "Name: Otto\nPerson:", 1) }, "changed or damaged"},
		"a key among them":        {func(s string) string { return s + "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n" }, "private key"},
		"a broken certificate":    {func(s string) string { return s + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" }, "cannot be read"},
		"only the card, no certs": {func(s string) string { return s[:strings.Index(s, "-----BEGIN CERT")] }, "no certificate"},
		"far too large":           {func(s string) string { return s + strings.Repeat(" ", 1<<20) }, "larger"},
	} {
		_, err := kra.ParseAgentCard([]byte(change.of(string(text))))
		refused(t, name, err, kra.ErrCard, change.want)
	}
	_, err = kra.NewAgentCard(someone, card.Signing, card.Signing, nil)
	refused(t, "one key", err, kra.ErrCard, "same key")
	_, err = kra.NewAgentCard(someone, card.Signing, nil, nil)
	refused(t, "one certificate", err, kra.ErrCard, "two certificates")
	_, err = kra.NewAgentCard(someone, card.Signing, card.Decryption, slices.Repeat([]*x509.Certificate{card.Signing}, 9))
	refused(t, "a long chain", err, kra.ErrCard, "chain of 9")
	_, err = kra.ReadAgentCard(path + ".not")
	refused(t, "no file", err, disk.ErrDisk, "olga.card.not")
	write(t, text[1:], path)
	_, err = kra.ReadAgentCard(path)
	refused(t, "names the file", err, kra.ErrCard, path)
}

func TestRecipientCards(t *testing.T) {
	t.Parallel()
	agent, agentText := sampleCard(t)
	card, err := kra.NewRecipientCard(someone, agent.Decryption, nil)
	must(t, err)
	text, err := card.Encode()
	must(t, err)
	path := filepath.Join(t.TempDir(), "counsel.card")
	write(t, text, path)
	got, err := kra.ReadRecipientCard(path)
	if err != nil || got.Name != "Olga Berg" || !got.Certificate.Equal(agent.Decryption) {
		t.Errorf("got %+v, %v", got, err)
	}
	if v, err := kra.Read(path); err != nil {
		t.Error(err)
	} else if _, ok := v.(*kra.RecipientCard); !ok {
		t.Errorf("read as %T", v)
	}
	_, err = kra.ParseRecipientCard(agentText)
	refused(t, "an agent's", err, kra.ErrCard, "begins with")
	write(t, []byte("hello"), path)
	_, err = kra.Read(path)
	refused(t, "no card", err, kra.ErrFile, path)
}

func FuzzParseAgentCard(f *testing.F) {
	_, text := sampleCard(f)
	f.Add(text)
	f.Add([]byte("-----BEGIN SEALPOST AGENT CARD-----\nVersion: 1\n\n-----END SEALPOST AGENT CARD-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		card, err := kra.ParseAgentCard(text)
		if err != nil {
			return
		}
		again, err := card.Encode()
		if err != nil || !bytes.Equal(again, append(bytes.TrimSpace(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))), '\n')) {
			t.Errorf("a card of two forms: %v", err)
		}
	})
}

func TestWords(t *testing.T) {
	t.Parallel()
	// The published examples of proquints are IP addresses, of 32 bits.
	h := record.Hash{127, 0, 0, 1, 63, 84, 220, 193, 63, 118, 7, 35, 140, 98, 193, 141, 64, 255, 6, 200}
	want := "lusab babad gutih tugad gutuk bisog mudof sakat haguz biram babab babab babab babab babab babab"
	if got := strings.Join(h.Words(), " "); got != want {
		t.Errorf("got %s", got)
	}
}

// Two certificates that sign themselves.
const (
	sampleSigning = `-----BEGIN CERTIFICATE-----
MIIBfDCCASOgAwIBAgIUOKXnfKWtGkedirkL/yZugeF4NCkwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJT2xnYSBCZXJnMB4XDTI2MTEyMzA5NTE0MloXDTQ2MTExODA5
NTE0MlowFDESMBAGA1UEAwwJT2xnYSBCZXJnMFkwEwYHKoZIzj0CAQYIKoZIzj0D
AQcDQgAEivk0aTKb6kpEAk84eWARbf3ZFHRm05+b/aCTYQkuRr2x+XDQa1LZ2S0s
VEtkLTT3mJeJTddu84uhNZIM/BrcMaNTMFEwHQYDVR0OBBYEFEHiF/Jeac1vCARX
MW67s0nWd3BnMB8GA1UdIwQYMBaAFEHiF/Jeac1vCARXMW67s0nWd3BnMA8GA1Ud
EwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDRwAwRAIgLFGCLE7GvWkYOqTk8uRk5cFI
zOR/9HcIaMyziEc5o1ECIEICvVNdB4TgtAPkMdpMegrc+VaXwqwFCDsAzk9ZPUbO
-----END CERTIFICATE-----
`
	sampleDecryption = `-----BEGIN CERTIFICATE-----
MIIBfTCCASOgAwIBAgIUId/LvV41EDTAnxeLz+nwinXQxukwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJT2xnYSBCZXJnMB4XDTI2MTEyMzA5NTE0M1oXDTQ2MTExODA5
NTE0M1owFDESMBAGA1UEAwwJT2xnYSBCZXJnMFkwEwYHKoZIzj0CAQYIKoZIzj0D
AQcDQgAEsceODKgre1t0yWGwXYpPISwAT3PvZ5K6MjVEjvGVWxWWP5EH0O0OpBdD
BshFnCZDwVvfqVXilyLBy6Ll1r85gaNTMFEwHQYDVR0OBBYEFIB6odNiRWCQznEE
KHfyjB7WtBMEMB8GA1UdIwQYMBaAFIB6odNiRWCQznEEKHfyjB7WtBMEMA8GA1Ud
EwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIhAJKbPr0yS+Svr64G9gB05Weu
Ij9wWNYfndKpZIrnxr+VAiBTODxMcfweC5hMilxIlgmXHjcSuZgMlxl3Te0ekVdP
bg==
-----END CERTIFICATE-----
`
)
