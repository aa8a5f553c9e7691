package web_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/iana/nametype"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"

	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/kdctest"
	"github.com/sealpost/sealpost/internal/spnego"
	"github.com/sealpost/sealpost/web"
	"github.com/sealpost/sealpost/web/allowance"
	"github.com/sealpost/sealpost/web/signin"
)

const (
	realmName = "EXAMPLE.TEST"
	ownName   = "HTTP/127.0.0.1"
)

// withTickets has a server take tickets of a realm. change may add to it.
func withTickets(t testing.TB, keytabFile string, change ...func(*signin.KerberosPolicy)) func(*web.Config) {
	t.Helper()
	content, err := os.ReadFile(keytabFile)
	must(t, err)
	return func(c *web.Config) {
		c.Keytab = content
		c.Kerberos = signin.KerberosPolicy{Keytab: keytabFile, Principals: []string{ownName + "@" + realmName},
			Realms: []signin.KerberosRealm{{Realm: realmName, Filter: "(uid={name})"}}}
		for _, f := range change {
			f(&c.Kerberos)
		}
	}
}

// negotiate asks for the policy with curl and a ticket cache.
func (r *rig) negotiate(t testing.TB, realm *kdctest.Realm, cache string, more ...string) (status, said string) {
	t.Helper()
	return r.negotiateIn(t, realm.Env(cache), more...)
}

// negotiateIn is negotiate in an environment that names realm and cache.
func (r *rig) negotiateIn(t testing.TB, env []string, more ...string) (status, said string) {
	t.Helper()
	return r.negotiateAt(t, env, "/policy", more...)
}

// negotiateAt is negotiateIn for any operation.
func (r *rig) negotiateAt(t testing.TB, env []string, path string, more ...string) (status, said string) {
	t.Helper()
	args := append([]string{"--silent", "--show-error", "--include", "--negotiate", "--user", ":", "--cacert", r.CAFile, "--max-time", "20", "--write-out", "\n%{http_code}"}, more...)
	cmd := exec.CommandContext(t.Context(), "curl", append(args, r.API+"/api/v1"+path)...)
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("curl: %v\n%s", err, out)
	}
	i := bytes.LastIndexByte(out, '\n')
	return string(out[i+1:]), string(out[:i])
}

// People with tickets of a real KDC come in, and computers, strangers, those who left and other realms' people do not: judged by
// curl and MIT's own libraries, which check our answer too.
func TestKerberos(t *testing.T) {
	other := kdctest.New(t, "OTHER.TEST")
	realm := kdctest.New(t, realmName, kdctest.Option{Trust: other})
	realm.Add(t, "alice", "dave", "nobody", "alice/admin", "ALICE", "*")
	other.Add(t, "mallory", "bob")
	other.Believe(t, realm)
	r := setup(t, withTickets(t, realm.Keytab(t, ownName, "")))
	machine := realm.Keytab(t, "host/ws1.example.test", "")
	account := realm.Keytab(t, "WS1$", "")
	for _, c := range []struct{ what, cache, status, says string }{
		{"a person", realm.Kinit(t, "alice"), "200", "Alice Anders"},
		{"the same in other letters", realm.Kinit(t, "ALICE"), "200", "Alice Anders"},
		{"somebody who left", realm.Kinit(t, "dave"), "403", "person-disabled"},
		{"a stranger", realm.Kinit(t, "nobody"), "403", "kerberos-not-in-directory"},
		{"a name that is a filter", realm.Kinit(t, "*"), "403", "kerberos-not-in-directory"},
		{"a person's other name", realm.Kinit(t, "alice/admin"), "403", "kerberos-no-person"},
		{"a computer", realm.KinitWith(t, "host/ws1.example.test", machine), "403", "kerberos-no-person"},
		{"a computer's account", realm.KinitWith(t, "WS1$", account), "403", "kerberos-no-person"},
		{"another realm", realm.Kinit(t, "mallory@OTHER.TEST"), "403", "kerberos-realm"},
		{"another realm's person of a name that is ours", realm.Kinit(t, "bob@OTHER.TEST"), "403", "kerberos-realm"},
		{"no ticket", t.TempDir() + "/none", "401", "credentials-missing"},
	} {
		if status, said := r.negotiate(t, realm, c.cache); status != c.status || !strings.Contains(said, c.says) {
			t.Errorf("%s: status %s\n%s", c.what, status, said)
		}
	}
	for _, kinds := range []string{"aes256-cts-hmac-sha384-192:normal", "aes128-cts-hmac-sha256-128:normal", "aes128-cts-hmac-sha1-96:normal"} {
		other := setupIn(t, r, withTickets(t, realm.Keytab(t, ownName, kinds)))
		if status, said := other.negotiate(t, realm, realm.Kinit(t, "alice")); status != "200" {
			t.Errorf("%s: status %s\n%s", kinds, status, said)
		}
	}
	r = setupIn(t, r, withTickets(t, realm.Keytab(t, ownName, "")))
	r.Clock.Advance(24 * time.Hour)
	if status, said := r.negotiate(t, realm, realm.Kinit(t, "alice")); status != "401" || !strings.Contains(said, "kerberos-clock") {
		t.Errorf("a day apart: status %s\n%s", status, said)
	}
	// An operation that a token serves for, by a ticket, and the record of who it was.
	r.Clock.Advance(-24 * time.Hour)
	if got := r.ask(t, as{}, "GET", "/policy", nil); got.status != 401 || got.header.Values("WWW-Authenticate")[0] != "Negotiate" {
		t.Errorf("%d %q", got.status, got.header.Values("WWW-Authenticate"))
	}
	if got := r.ask(t, as{header: http.Header{"Sec-Fetch-Dest": {"empty"}}}, "GET", "/policy", nil); strings.Contains(strings.Join(got.header.Values("WWW-Authenticate"), ""), "Negotiate") {
		t.Error("a script in a page is offered what would have the browser ask")
	}
}

// forge makes tickets with the service's own key, as no KDC would.
type forge struct {
	keys *keytab.Keytab
	name string // the client
	realm,
	ofRealm string // the ticket's
	service    string
	kind       int32
	from, till time.Duration
	flags      []int
	at         time.Duration // the authenticator's
	as         string        // the authenticator's client, if it is another
	asRealm    string
	binding    spnego.Binding
}

func (f forge) token(t testing.TB, now time.Time) string {
	t.Helper()
	bits := types.NewKrbFlags()
	for _, flag := range f.flags {
		types.SetFlag(&bits, flag)
	}
	name := types.NewPrincipalName(nametype.KRB_NT_PRINCIPAL, f.name)
	ticket, key, err := messages.NewTicket(name, f.realm, types.NewPrincipalName(nametype.KRB_NT_SRV_INST, f.service), f.ofRealm, bits, f.keys, f.kind, 1,
		now.Add(f.from).UTC(), now.Add(f.from).UTC(), now.Add(f.till).UTC(), now.Add(f.till).UTC())
	must(t, err)
	offer := spnego.Ticket{Ticket: ticket, Key: key, Name: name, Realm: f.realm}
	if f.as != "" {
		offer.Name = types.NewPrincipalName(nametype.KRB_NT_PRINCIPAL, f.as)
	}
	if f.asRealm != "" {
		offer.Realm = f.asRealm
	}
	sent, err := offer.Offer(now.Add(f.at), f.binding)
	must(t, err)
	return sent.Token
}

func TestForgedTickets(t *testing.T) {
	keys := keytab.New()
	for _, kind := range []int32{etypeID.AES256_CTS_HMAC_SHA1_96, etypeID.AES128_CTS_HMAC_SHA1_96, etypeID.RC4_HMAC} {
		must(t, keys.AddEntry(ownName, realmName, "service-sample", time.Now(), 1, kind))
		must(t, keys.AddEntry("HTTP/other.example.test", realmName, "other-sample", time.Now(), 1, kind))
		must(t, keys.AddEntry(ownName, "OTHER.TEST", "service-sample", time.Now(), 1, kind))
	}
	own := keytab.New()
	own.Entries = append(own.Entries, keys.Entries...)
	file := t.TempDir() + "/keytab"
	content, err := own.Marshal()
	must(t, err)
	must(t, os.WriteFile(file, content, 0o600))
	r := setup(t, withTickets(t, file))
	strict := setupIn(t, r, withTickets(t, file, func(p *signin.KerberosPolicy) { p.ChannelBindings = "required" }))
	lax := setupIn(t, r, withTickets(t, file, func(p *signin.KerberosPolicy) { p.ChannelBindings = "ignored" }))
	good := forge{keys: keys, name: "alice", realm: realmName, ofRealm: realmName, service: ownName, kind: etypeID.AES256_CTS_HMAC_SHA1_96, from: -time.Hour, till: time.Hour}
	with := func(change func(*forge)) forge { f := good; change(&f); return f }
	ask := func(r *rig, f forge) reply {
		return r.ask(t, as{header: http.Header{"Authorization": {"Negotiate " + f.token(t, r.Clock.Now())}}}, "GET", "/policy", nil)
	}
	wrong := spnego.Binding{1, 2, 3}
	right := spnego.BindingOf(r.certificate(t))
	for _, c := range []struct {
		what string
		with forge
		code string
	}{
		{"a good one", good, ""},
		{"with AES-128", with(func(f *forge) { f.kind = etypeID.AES128_CTS_HMAC_SHA1_96 }), ""},
		{"tied to the connection", with(func(f *forge) { f.binding = right }), ""},
		{"by a clock that is a little ahead", with(func(f *forge) { f.at = 4 * time.Minute }), ""},
		{"tied to another connection", with(func(f *forge) { f.binding = wrong }), "kerberos-ticket"},
		{"RC4", with(func(f *forge) { f.kind = etypeID.RC4_HMAC }), "kerberos-ticket"},
		{"ended", with(func(f *forge) { f.till = -6 * time.Minute }), "kerberos-ticket-expired"},
		{"of tomorrow", with(func(f *forge) { f.from, f.till = 6*time.Minute, time.Hour }), "kerberos-clock"},
		{"by a clock that is ahead", with(func(f *forge) { f.at = 6 * time.Minute }), "kerberos-clock"},
		{"by a clock that is a day behind", with(func(f *forge) { f.at, f.from = -24*time.Hour, -48*time.Hour }), "kerberos-clock"},
		{"not valid yet", with(func(f *forge) { f.flags = []int{7} }), "kerberos-ticket"},
		{"of nobody", with(func(f *forge) { f.flags = []int{16} }), "kerberos-no-person"},
		{"to another service of ours", with(func(f *forge) { f.service = "HTTP/other.example.test" }), "kerberos-ticket"},
		{"to a service of our name in another realm", with(func(f *forge) { f.ofRealm = "OTHER.TEST" }), "kerberos-ticket"},
		{"another's authenticator", with(func(f *forge) { f.as = "bob" }), "kerberos-ticket"},
		{"an authenticator of another realm", with(func(f *forge) { f.asRealm = "OTHER.TEST" }), "kerberos-ticket"},
		{"another realm without a checked path", with(func(f *forge) { f.realm = "OTHER.TEST" }), "kerberos-realm"},
		{"another realm with a checked path", with(func(f *forge) { f.realm, f.flags = "OTHER.TEST", []int{12} }), "kerberos-realm"},
		{"a filter for a name", with(func(f *forge) { f.name = "*)(uid=alice" }), "kerberos-not-in-directory"},
		{"a name with a space", with(func(f *forge) { f.name = "alice " }), "kerberos-not-in-directory"},
		{"a name with another realm in it", with(func(f *forge) { f.name = "alice@x" }), "kerberos-not-in-directory"},
		{"a name that servers take for alice's", with(func(f *forge) { f.name = "ａlice" }), "kerberos-not-in-directory"},
		{"no name", with(func(f *forge) { f.name = "" }), "kerberos-not-in-directory"},
	} {
		got := ask(r, c.with)
		if c.code == "" {
			if policyName(got) != "Alice Anders" || !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Negotiate ") {
				t.Errorf("%s: status %d, %s", c.what, got.status, got.body)
			}
		} else if code := got.code(t); code != c.code {
			t.Errorf("%s: status %d, %s, want %s", c.what, got.status, got.body, c.code)
		}
	}
	if got := ask(strict, good); got.code(t) != "kerberos-ticket" || !strings.Contains(string(got.body), "channel bindings") {
		t.Errorf("required, and not sent: %s", got.body)
	}
	if got := ask(strict, with(func(f *forge) { f.binding = spnego.BindingOf(strict.certificate(t)) })); got.status != 200 {
		t.Errorf("required, and sent: %s", got.body)
	}
	if got := ask(lax, with(func(f *forge) { f.binding = wrong })); got.status != 200 {
		t.Errorf("ignored: %s", got.body)
	}
}

// What needs that somebody shows anew who they are wants a ticket that was got a moment ago with their own key: a new one that another
// ticket got is not enough, and neither is one of which that was long ago.
func TestTicketsThatShowAnew(t *testing.T) {
	keys := keytab.New()
	must(t, keys.AddEntry(ownName, realmName, "service-sample", time.Now(), 1, etypeID.AES256_CTS_HMAC_SHA1_96))
	file := t.TempDir() + "/keytab"
	content, err := keys.Marshal()
	must(t, err)
	must(t, os.WriteFile(file, content, 0o600))
	r := setup(t, withTickets(t, file))
	const initial, preauthenticated = 9, 10
	for _, c := range []struct {
		what  string
		ago   time.Duration
		flags []int
		code  string
	}{
		{"by the login's ticket, just now", time.Second, []int{preauthenticated}, "proof-needed"},
		{"by the person's key, ten minutes ago", 10 * time.Minute, []int{initial, preauthenticated}, "proof-needed"},
		{"by the person's key, six minutes ago", 6 * time.Minute, []int{initial}, "proof-needed"},
		{"by the person's key, just now", time.Second, []int{initial}, ""},
		{"by the person's key, by a clock that is a little ahead", -2 * time.Minute, []int{initial, preauthenticated}, ""},
	} {
		f := forge{keys: keys, name: "rita", realm: realmName, ofRealm: realmName, service: ownName, kind: etypeID.AES256_CTS_HMAC_SHA1_96, from: -c.ago, till: 8 * time.Hour, flags: c.flags}
		got := r.ask(t, as{header: http.Header{"Authorization": {"Negotiate " + f.token(t, r.Clock.Now())}}}, "POST", "/tokens", map[string]any{"mailbox": "bob@example.test", "hours": 1})
		if c.code == "" && got.status != http.StatusCreated || c.code != "" && got.code(t) != c.code {
			t.Errorf("%s: status %d, %s, want %s", c.what, got.status, got.body, c.code)
		}
	}
	if n := r.Database.Count(t, `select count(*) from audit.event where body like '%"method":"`+string(audit.MethodKerberos)+`"%'`); n == 0 {
		t.Error("the record does not say how she showed who she is")
	}
}

// certificate is what the server shows in TLS.
func (r *rig) certificate(t testing.TB) *x509.Certificate {
	t.Helper()
	content, err := os.ReadFile(r.CAFile)
	must(t, err)
	block, _ := pem.Decode(content)
	c, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	return c
}

// A token serves once, also when it comes many times at once, and until its time is over.
func TestReplayedToken(t *testing.T) {
	keys := keytab.New()
	must(t, keys.AddEntry(ownName, realmName, "service-sample", time.Now(), 1, etypeID.AES256_CTS_HMAC_SHA1_96))
	content, err := keys.Marshal()
	must(t, err)
	file := t.TempDir() + "/keytab"
	must(t, os.WriteFile(file, content, 0o600))
	r := setup(t, withTickets(t, file), patient)
	f := forge{keys: keys, name: "alice", realm: realmName, ofRealm: realmName, service: ownName, kind: etypeID.AES256_CTS_HMAC_SHA1_96, from: -time.Hour, till: 24 * time.Hour, at: 4 * time.Minute}
	token := f.token(t, r.Clock.Now())
	who := as{header: http.Header{"Authorization": {"Negotiate " + token}}}
	var mu sync.Mutex
	statuses := map[int]int{}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			got := r.ask(t, who, "GET", "/policy", nil)
			mu.Lock()
			defer mu.Unlock()
			statuses[got.status]++
		})
	}
	all.Wait()
	if statuses[200] != 1 || statuses[401] != 7 {
		t.Errorf("%v", statuses)
	}
	for _, later := range []time.Duration{time.Minute, 7 * time.Minute, time.Hour} { // its clock is four minutes ahead: it lives for nine
		r.Clock.Advance(later)
		want := "kerberos-replay"
		if later == time.Hour {
			want = "kerberos-clock"
		}
		if got := r.ask(t, who, "GET", "/policy", nil); got.code(t) != want {
			t.Errorf("after %s more: %s", later, got.body)
		}
	}
}

// patient has a server take many failures.
func patient(c *web.Config) {
	many := allowance.Allowance{Burst: 10_000, Every: time.Millisecond}
	c.Limits.Failures = signin.Failures{Login: many, Address: many, Server: many}
}

// What is no token gets an answer, whatever it is.
func TestBrokenTokens(t *testing.T) {
	keys := keytab.New()
	must(t, keys.AddEntry(ownName, realmName, "service-sample", time.Now(), 1, etypeID.AES256_CTS_HMAC_SHA1_96))
	content, err := keys.Marshal()
	must(t, err)
	file := t.TempDir() + "/keytab"
	must(t, os.WriteFile(file, content, 0o600))
	r := setup(t, withTickets(t, file), patient)
	f := forge{keys: keys, name: "alice", realm: realmName, ofRealm: realmName, service: ownName, kind: etypeID.AES256_CTS_HMAC_SHA1_96, from: -time.Hour, till: time.Hour}
	ask := func(authorization string) reply {
		return r.ask(t, as{header: http.Header{"Authorization": {authorization}}}, "GET", "/policy", nil)
	}
	ntlm := base64.StdEncoding.EncodeToString([]byte("NTLMSSP\x00\x01\x00\x00\x00"))
	for authorization, code := range map[string]string{
		"Negotiate": "credentials-missing", "Negotiate ": "credentials-missing", "Negotiate ~~~": "kerberos-ticket", "negotiate AAAA": "kerberos-ticket",
		"Negotiate " + ntlm: "kerberos-ntlm", "Negotiate " + strings.Repeat("A", 20_000): "kerberos-ticket",
	} {
		if got := ask(authorization); got.status != 401 || got.code(t) != code {
			t.Errorf("%.40s: status %d, %s", authorization, got.status, got.body)
		}
	}
	files := newFiles(t)
	if status, body := r.curl(t, "--http1.1", "--header", "@"+files.write("header", []byte("Authorization: Negotiate "+strings.Repeat("A", 64<<10))), r.API+"/api/v1/policy"); status != "431" {
		t.Errorf("a header that is too large: status %s, %s", status, body)
	}
	raw, err := base64.StdEncoding.DecodeString(f.token(t, time.Now()))
	must(t, err)
	for i := 0; i < len(raw); i += 7 { // one byte is another
		broken := bytes.Clone(raw)
		broken[i] ^= 0x55
		if got := ask("Negotiate " + base64.StdEncoding.EncodeToString(broken)); got.status != 401 && got.status != 200 || got.status == 200 && policyName(got) != "Alice Anders" {
			t.Errorf("byte %d: status %d, %s", i, got.status, got.body)
		}
		if got := ask("Negotiate " + base64.StdEncoding.EncodeToString(raw[:i])); got.status != 401 {
			t.Errorf("the first %d bytes: status %d, %s", i, got.status, got.body)
		}
	}
}
