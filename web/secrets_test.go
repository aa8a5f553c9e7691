package web_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/slapdtest"
	"github.com/sealpost/sealpost/web"
)

// Whatever is sent, and however it fails, nothing secret is in the log, in a problem document or in the audit log. Nor is
// what queries and bodies hold.
func TestSecretsAreWrittenNowhere(t *testing.T) {
	r := setup(t)
	secrets := map[string]string{"a password": slapdtest.Password("alice"), "a wrong password": "wr0ng-pa55word", "a guessed token": "guessed-t0ken-guessed-t0ken"}
	var answers strings.Builder
	ask := func(who as, method, path string, body any) reply {
		got := r.ask(t, who, method, path, body)
		answers.Write(got.body)
		return got
	}
	status, keys := r.enrol(t, "alice", housetest.Pair)
	made := read[api.Token](t, r.ask(t, person("rita"), "POST", "/tokens", api.TokenRequest{Mailbox: "bob@example.test", Hours: 1}))
	secrets["a token"] = made.Token
	s, _ := r.Submission(t, r.Actor(t, "bob"), housetest.Pair)
	ask(token(made.Token).named(uuid.NewString()), "POST", "/enrolments", wire(s))
	ask(token(made.Token).named(uuid.NewString()), "POST", "/enrolments", wire(s)) // spent
	for i, key := range []crypto.Signer{keys.Signing, keys.Encryption} {
		d, err := key.(*ecdsa.PrivateKey).Bytes()
		must(t, err)
		pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
		must(t, err)
		for form, text := range map[string]string{"hex": hex.EncodeToString(d), "base64": base64.StdEncoding.EncodeToString(d), "pkcs8": base64.StdEncoding.EncodeToString(pkcs8), "raw": string(d)} {
			secrets["private key "+string(rune('0'+i))+" as "+form] = text
		}
		// What a client sends by mistake, in the clear or in the wrong place.
		broken := wire(s)
		broken.EscrowedKey, broken.SigningCSR = pkcs8, pkcs8
		ask(person("alice").named(uuid.NewString()), "POST", "/enrolments", broken)
		text, err := json.Marshal(broken)
		must(t, err)
		for _, odd := range []string{string(text[:len(text)-1]), strings.Replace(string(text), `"escrowed_key":"`, `"escrowed_key":"~`, 1), strings.Replace(string(text), "escrowed_key", "private_key", 1)} {
			ask(person("alice").named(uuid.NewString()), "POST", "/enrolments", odd)
		}
		ask(person("rita"), "POST", "/tokens", map[string]any{"mailbox": "alice@example.test", "hours": secrets["private key "+string(rune('0'+i))+" as base64"]})
		ask(person("alice"), "POST", path(status.Certificates[0])+"/revoke", map[string]any{"reason": base64.StdEncoding.EncodeToString(pkcs8)})
		ask(person("alice"), "GET", "/certificates?state="+hex.EncodeToString(d), nil)
	}
	escrow := base64.StdEncoding.EncodeToString(s.EscrowedKey)
	secrets["a message with a key"] = escrow[len(escrow)/2 : len(escrow)/2+40]
	ask(as{login: "alice", password: secrets["a wrong password"]}, "GET", "/policy", nil)
	ask(token(secrets["a guessed token"]), "GET", "/policy", nil)
	ask(person("alice"), "GET", "/certificates?mailbox=quite.private@example.test", nil)
	secrets["a query"] = "quite.private"
	must(t, web.RecordFailures(t.Context(), r.Server))

	log := r.Log.String()
	if !strings.Contains(log, `"status":400`) || !strings.Contains(log, `"status":401`) || !strings.Contains(log, `"status":201`) {
		t.Fatalf("the log is not what this test looks through: %s", log)
	}
	for what, secret := range secrets {
		if strings.Contains(log, secret) {
			t.Errorf("the log has %s", what)
		}
		if strings.Contains(answers.String(), secret) {
			t.Errorf("an answer has %s", what)
		}
		if n := r.Database.Count(t, `select count(*) from audit.event where position($1::bytea in convert_to(body::text, 'UTF8')) > 0`, []byte(secret)); n != 0 {
			t.Errorf("the audit log has %s", what)
		}
	}
}
