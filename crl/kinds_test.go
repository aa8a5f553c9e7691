package crl_test

import (
	"bytes"
	"compress/gzip"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/crl"
	"github.com/sealpost/sealpost/crl/list"
	"github.com/sealpost/sealpost/internal/pkitest"
)

// deltaAddress is where the delta of a partition would be.
func deltaAddress(issuer string, partition int) []string {
	return []string{pkitest.Base + "/crl/" + crl.Kind{Partition: partition, Delta: true}.FileName(issuer)}
}

// withDeltas is a publisher that makes deltas.
func (b *bundle) withDeltas(t *testing.T) *bundle {
	t.Helper()
	c := b.Publisher.Config
	c.Schedule = crl.Schedule{Period: 12 * time.Hour, Lifetime: 72 * time.Hour, DeltaPeriod: time.Hour, DeltaLifetime: 4 * time.Hour}
	c.Deltas = deltaAddress
	p, err := crl.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return &bundle{b.House, p}
}

func (b *bundle) find(t *testing.T, k crl.Kind) *crl.List {
	t.Helper()
	l, err := b.Find(t.Context(), pkitest.IssuerID, k)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// reasons returns the reasons of a list's entries by their serials.
func reasons(t testing.TB, l *crl.List) map[ca.Serial]int {
	t.Helper()
	out := map[ca.Serial]int{}
	h, err := list.Read(l.Open(), func(e list.Entry) error {
		out[ca.Serial(e.Serial)] = int(e.Reason)
		return nil
	})
	if err != nil || h.Entries != len(out) {
		t.Fatalf("%d entries of %d serials: %v", h.Entries, len(out), err)
	}
	return out
}

func TestDeltaSaysWhatChangedSinceTheOldestValidList(t *testing.T) {
	b := setup(t).withDeltas(t)
	alice, bob, carol := b.PKI.IssuePair(t, pkitest.NewPerson("alice")), b.PKI.IssuePair(t, pkitest.NewPerson("bob")), b.PKI.IssuePair(t, pkitest.NewPerson("carol"))
	b.revoke(t, alice.Signing, ca.Superseded)
	b.revoke(t, carol.Signing, ca.CertificateHold)
	first := b.build(t, 2)
	if _, err := b.Find(t.Context(), pkitest.IssuerID, crl.Kind{Delta: true}); !errors.Is(err, crl.ErrNoList) {
		t.Errorf("a delta without a complete list before: %v", err)
	}
	b.Clock.Advance(time.Minute)
	b.revoke(t, bob.Signing, ca.KeyCompromise)
	second := b.build(t, 3)
	b.Clock.Advance(time.Minute)
	if err := b.PKI.Release(t.Context(), pkitest.Actor(), carol.Signing.Issuer, carol.Signing.Serial); err != nil {
		t.Fatal(err)
	}
	third := b.build(t, 4)
	delta := b.find(t, crl.Kind{Delta: true})
	if delta.Number != third.Number || delta.Base != first.Number || !delta.ThisUpdate.Equal(third.ThisUpdate) || delta.NextUpdate.Sub(delta.ThisUpdate) != 4*time.Hour {
		t.Errorf("delta %d of %d at %v; lists %d, %d, %d", delta.Number, delta.Base, delta.ThisUpdate, first.Number, second.Number, third.Number)
	}
	want := map[ca.Serial]int{bob.Signing.Serial: int(ca.KeyCompromise), carol.Signing.Serial: int(list.RemoveFromCRL)}
	if got := reasons(t, delta); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the delta says %v, want %v", got, want)
	}
	// Nothing happens: an hour later there is a new delta and no new list; half a day later both.
	b.Clock.Advance(time.Hour)
	if l := b.build(t, 0); l.Number != third.Number || b.find(t, crl.Kind{Delta: true}).Number != third.Number+1 {
		t.Errorf("after an hour: list %d, delta %d", l.Number, b.find(t, crl.Kind{Delta: true}).Number)
	}
	b.Clock.Advance(12 * time.Hour)
	if l := b.build(t, 0); l.Number != third.Number+2 || b.find(t, crl.Kind{Delta: true}).Number != third.Number+2 {
		t.Errorf("after half a day: list %d, delta %d", l.Number, b.find(t, crl.Kind{Delta: true}).Number)
	}
	// After the first list's end the second is the base; a delta does not grow for ever.
	b.Clock.Advance(60 * time.Hour)
	b.build(t, 0)
	if d := b.find(t, crl.Kind{Delta: true}); d.Base != third.Number+2 || d.Entries != 0 {
		t.Errorf("after three days: delta of %d with %d entries", d.Base, d.Entries)
	}
	head, err := list.Read(b.find(t, crl.Kind{}).Open(), nil)
	if err != nil || !bytes.Contains(head.Freshest, []byte(deltaAddress(pkitest.IssuerID, 0)[0])) {
		t.Errorf("freshestCRL: %q, %v", head.Freshest, err)
	}
}

// TestOpenSSLUsesTheDelta: with the old complete list alone a certificate is good, with the delta it is revoked.
func TestOpenSSLUsesTheDelta(t *testing.T) {
	b := setup(t).withDeltas(t)
	alice, bob := b.PKI.IssuePair(t, pkitest.NewPerson("alice")), b.PKI.IssuePair(t, pkitest.NewPerson("bob"))
	b.build(t, 0)
	b.Clock.Advance(time.Second)
	old, err := b.Renew(t.Context(), pkitest.IssuerID) // one that names the delta
	if err != nil {
		t.Fatal(err)
	}
	b.Clock.Advance(time.Second)
	b.revoke(t, alice.Signing, ca.KeyCompromise)
	b.build(t, 1)
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		cmd := exec.CommandContext(t.Context(), "openssl", kind, "-inform", "DER", "-out", path)
		cmd.Stdin = bytes.NewReader(der)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return path
	}
	lists := write("old.pem", "crl", old.Bytes())
	delta, err := os.ReadFile(write("delta.pem", "crl", b.find(t, crl.Kind{Delta: true}).Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		delta bool
		leaf  ca.Certificate
		want  string
	}{"alice by the old list": {false, alice.Signing, "OK"}, "alice with the delta": {true, alice.Signing, "certificate revoked"}, "bob with the delta": {true, bob.Signing, "OK"}} {
		args := []string{"verify", "-attime", fmt.Sprint(b.Clock.Now().Unix()), "-crl_check", "-CAfile", write("root.pem", "x509", b.PKI.Root.Raw), "-untrusted", write("issuing.pem", "x509", b.PKI.Issuing.Raw), "-CRLfile", lists}
		if c.delta {
			both, err := os.ReadFile(lists)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "both.pem")
			if err := os.WriteFile(path, append(both, delta...), 0o600); err != nil {
				t.Fatal(err)
			}
			args = append(args[:len(args)-1], path, "-extended_crl", "-use_deltas")
		}
		out, _ := exec.CommandContext(t.Context(), "openssl", append(args, write("leaf.pem", "x509", c.leaf.DER))...).CombinedOutput()
		if !strings.Contains(string(out), c.want) {
			t.Errorf("%s: openssl says %s", name, out)
		}
	}
}

func TestExpiredEntriesLeaveUnlessTheProfileKeepsThem(t *testing.T) {
	b := setup(t)
	alice := b.PKI.IssuePair(t, pkitest.NewPerson("alice"))
	b.revoke(t, alice.Signing, ca.Superseded)
	b.revoke(t, alice.Encryption, ca.Superseded)
	if l := b.build(t, 2); l.Entries != 2 {
		t.Fatalf("%d entries", l.Entries)
	}
	b.Clock.Advance(time.Until(alice.Encryption.NotAfter) + time.Until(time.Now()) + 31*24*time.Hour)
	l, err := b.Renew(t.Context(), pkitest.IssuerID)
	if err != nil {
		t.Fatal(err)
	}
	got := reasons(t, l)
	if _, signing := got[alice.Signing.Serial]; len(got) != 1 || !signing {
		t.Errorf("a month after their end: %v", got)
	}
}

// TestListsOfALargeIssuerShareSegments: what did not change is neither read nor written again, by this server and the next.
func TestListsOfALargeIssuerShareSegments(t *testing.T) {
	b := setup(t)
	alice := b.PKI.IssuePair(t, pkitest.NewPerson("alice"))
	b.revoke(t, alice.Signing, ca.Superseded)
	b.many(t, 5_000)
	first := b.build(t, 5_001)
	if first.Entries != 5_001 {
		t.Fatalf("%d entries", first.Entries)
	}
	b.revoke(t, alice.Encryption, ca.Superseded)
	second := b.build(t, 5_002)
	if n := b.Database.Count(t, `select count(*) from crl.segment`); n != 7 { // six, and the one that grew
		t.Errorf("%d segments", n)
	}
	other, err := crl.New(b.Publisher.Config)
	if err != nil {
		t.Fatal(err)
	}
	read, err := other.Newest(t.Context(), pkitest.IssuerID)
	if err != nil || !bytes.Equal(read.Bytes(), second.Bytes()) {
		t.Errorf("another server reads another list: %v", err)
	}
	third, err := other.Renew(t.Context(), pkitest.IssuerID)
	if err != nil || third.Entries != 5_002 || third.Number != second.Number+1 {
		t.Errorf("another server makes list %d with %d entries: %v", third.Number, third.Entries, err)
	}
	if mine, err := b.Newest(t.Context(), pkitest.IssuerID); err != nil || !bytes.Equal(mine.Bytes(), third.Bytes()) {
		t.Errorf("this server does not read it: %v", err)
	}
}

// many writes revocations as they would be after years: only their rows.
func (b *bundle) many(t *testing.T, n int) {
	t.Helper()
	b.Database.Exec(t, fmt.Sprintf(`
		with counted as (update ca.issuer set changes = changes + %[1]d where id = '%[2]s' returning changes),
		prepared as (insert into ca.prepared (issuer, serial, state, request, profile, person, use, spki_sha256, key_usage, mailboxes, not_before, not_after, input, digest, tbs, prepared_at, settled_at, partition)
			select issuer, set_byte(decode(md5(n::text), 'hex'), 0, 64), 'abandoned', gen_random_uuid(), profile, person, use, spki_sha256, key_usage, mailboxes, not_before, not_after, input, digest, tbs, prepared_at, prepared_at, 0
			from generate_series(1, %[1]d) n, (select * from ca.prepared where issuer = '%[2]s' order by serial limit 1) p returning serial)
		insert into ca.revocation (issuer, change, serial, standing, reason, revoked_at, not_after, profile, partition)
		select '%[2]s', changes - %[1]d + row_number() over (), serial, 'revoked', 4, now() - interval '1 day', now() + interval '2 years', 'smime-signing', 0 from counted, prepared`, n, pkitest.IssuerID))
}

func TestTidyKeepsWhatIsAskedFor(t *testing.T) {
	b := setup(t).withDeltas(t)
	b.Register(b.PKI.Jobs)
	alice := b.PKI.IssuePair(t, pkitest.NewPerson("alice"))
	b.revoke(t, alice.Signing, ca.Superseded)
	for range 130 {
		b.Clock.Advance(time.Second)
		if _, err := b.Renew(t.Context(), pkitest.IssuerID); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Tidy(t.Context(), pkitest.IssuerID); err != nil {
		t.Fatal(err)
	}
	const whole, bases, deltas = `select count(*) from crl.list where not delta and length(tail) > 0`, `select count(*) from crl.list where not delta`, `select count(*) from crl.list where delta`
	if n := b.Database.Count(t, whole); n != 100 {
		t.Errorf("%d whole lists", n)
	}
	if n := b.Database.Count(t, bases); n != 130 { // any of them may be what a relying party has
		t.Errorf("%d lists", n)
	}
	if n := b.Database.Count(t, deltas); n != 100 {
		t.Errorf("%d deltas", n)
	}
	if d := b.find(t, crl.Kind{Delta: true}); d.Base != 1 {
		t.Errorf("a delta of %d", d.Base)
	}
	b.Clock.Advance(100 * time.Hour)
	if _, err := b.Renew(t.Context(), pkitest.IssuerID); err != nil {
		t.Fatal(err)
	}
	if err := b.Tidy(t.Context(), pkitest.IssuerID); err != nil {
		t.Fatal(err)
	}
	if n := b.Database.Count(t, bases); n != 100 {
		t.Errorf("%d lists after their end", n)
	}
	if n := b.Database.Count(t, `select count(*) from crl.segment`); n != 1 {
		t.Errorf("%d segments", n)
	}
}

func TestServeCompressedAndInParts(t *testing.T) {
	b := setup(t)
	alice := b.PKI.IssuePair(t, pkitest.NewPerson("alice"))
	b.revoke(t, alice.Signing, ca.Superseded)
	b.many(t, 2_000)
	l := b.build(t, 2_001)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := b.Serve(w, r, pkitest.IssuerID, crl.Kind{}); err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
		}
	}))
	t.Cleanup(server.Close)
	get := func(name, value string) (*http.Response, []byte) {
		t.Helper()
		req, _ := http.NewRequestWithContext(t.Context(), "GET", server.URL, nil)
		req.Header.Set("Accept-Encoding", "identity")
		req.Header.Set(name, value)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, body
	}
	whole, body := get("X", "")
	if !bytes.Equal(body, l.Bytes()) || whole.Header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("%d bytes, %v", len(body), whole.Header)
	}
	zipped, body := get("Accept-Encoding", "br, gzip;q=0.5")
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := io.ReadAll(z); err != nil || !bytes.Equal(plain, l.Bytes()) || zipped.Header.Get("ETag") == whole.Header.Get("ETag") || len(body) >= len(plain) {
		t.Errorf("%v: %d bytes for %d, ETag %s", err, len(body), len(plain), zipped.Header.Get("ETag"))
	}
	if _, body := get("Accept-Encoding", "gzip;q=0"); !bytes.Equal(body, l.Bytes()) {
		t.Error("gzip was not wanted")
	}
	if part, body := get("Range", "bytes=60000-60999"); part.StatusCode != http.StatusPartialContent || !bytes.Equal(body, l.Bytes()[60000:61000]) {
		t.Errorf("a part: %d, %d bytes", part.StatusCode, len(body))
	}
}

// TestPartitions: a certificate is on the whole list and on its partition's, and openssl takes either.
func TestPartitions(t *testing.T) {
	b := setup(t).withDeltas(t)
	c := b.PKI.Config()
	c.Issuers[0].Partitions, c.Issuers[0].PartitionCRL = 3, pkitest.Base+"/crl/"+pkitest.IssuerID+".{n}.crl"
	c.DB, c.Jobs, c.Now = b.DB, b.PKI.Jobs, b.Clock.Now
	authority, err := ca.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	b.PKI.Authority, b.Publisher.Authority = authority, authority
	first := b.build(t, 0)
	for n := range 3 {
		if l := b.find(t, crl.Kind{Partition: n + 1}); l.Number != first.Number || l.Entries != 0 {
			t.Errorf("partition %d: %+v", n+1, l)
		}
	}
	alice := b.PKI.IssuePair(t, pkitest.NewPerson("alice"))
	leaf, err := x509.ParseCertificate(alice.Signing.DER)
	if err != nil {
		t.Fatal(err)
	}
	var mine crl.Kind
	for n := range 3 {
		if k := (crl.Kind{Partition: n + 1}); strings.HasSuffix(leaf.CRLDistributionPoints[0], k.FileName(pkitest.IssuerID)) {
			mine = k
		}
	}
	b.Clock.Advance(time.Minute)
	b.revoke(t, alice.Signing, ca.KeyCompromise)
	whole := b.build(t, 1)
	for n := range 3 {
		l := b.find(t, crl.Kind{Partition: n + 1})
		if want := l.Kind == mine; (l.Number == whole.Number) != want || (l.Entries == 1) != want {
			t.Errorf("partition %d of the certificate's %d: %+v", n+1, mine.Partition, l)
		}
	}
	if d := b.find(t, crl.Kind{Partition: mine.Partition, Delta: true}); d.Entries != 1 || d.Base != first.Number {
		t.Errorf("delta %+v", d)
	}
	for name, l := range map[string]*crl.List{"whole": whole, "partition": b.find(t, mine)} {
		if out := b.openssl(t, l, alice.Signing.DER); !strings.Contains(out, "certificate revoked") {
			t.Errorf("openssl with the %s list: %s", name, out)
		}
	}
	other := crl.Kind{Partition: mine.Partition%3 + 1}
	if out := b.openssl(t, b.find(t, other), alice.Signing.DER); !strings.Contains(out, "scope") {
		t.Errorf("openssl with another partition's list: %s", out)
	}
}

func TestMicrosoftsExtensions(t *testing.T) {
	b := setup(t)
	c := b.Publisher.Config
	c.Locations = func(issuer string) []string {
		return []string{"ldap:///CN=" + issuer + "?certificateRevocationList?base?(objectClass=cRLDistributionPoint)"}
	}
	p, err := crl.New(c)
	if err != nil {
		t.Fatal(err)
	}
	l, err := p.Build(t.Context(), pkitest.IssuerID, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "openssl", "crl", "-inform", "DER", "-noout", "-text")
	cmd.Stdin = l.Open()
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "1.3.6.1.4.1.311.21.4") || !strings.Contains(string(out), "ldap:///CN="+pkitest.IssuerID) {
		t.Errorf("%v: %s", err, out)
	}
}

func TestScheduleThatCannotHold(t *testing.T) {
	b := setup(t)
	for name, s := range map[string]crl.Schedule{"no period": {}, "lifetime not longer": {Period: time.Hour, Lifetime: time.Hour},
		"delta lifetime not longer": {Period: time.Hour, Lifetime: 9 * time.Hour, DeltaPeriod: time.Hour, DeltaLifetime: time.Hour},
		"delta beyond its base":     {Period: time.Hour, Lifetime: 3 * time.Hour, DeltaPeriod: time.Hour, DeltaLifetime: 4 * time.Hour}} {
		c := b.Publisher.Config
		c.Schedule = s
		if s.DeltaPeriod > 0 {
			c.Deltas = deltaAddress
		}
		if _, err := crl.New(c); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestFileNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]crl.Kind{"a-2.crl": {}, "a-2.delta.crl": {Delta: true}, "a-2.7.crl": {Partition: 7}, "a-2.7.delta.crl": {Partition: 7, Delta: true}} {
		issuer, k, ok := crl.ParseFileName(name)
		if !ok || issuer != "a-2" || k != want || k.FileName(issuer) != name {
			t.Errorf("%s: %q, %+v, %v", name, issuer, k, ok)
		}
	}
	for _, name := range []string{"", "a", "a.cer", "a.0.crl", "a.07.crl", "a.-1.crl", "a.x.crl", "a.1.2.crl", "a.delta.1.crl"} {
		if issuer, k, ok := crl.ParseFileName(name); ok {
			t.Errorf("%q: %q, %+v", name, issuer, k)
		}
	}
}

// TestOneServerAhead: another server's clock is ahead, and what it revoked lies in the future of this one.
func TestOneServerAhead(t *testing.T) {
	b := setup(t)
	alice := b.PKI.IssuePair(t, pkitest.NewPerson("alice"))
	b.Clock.Advance(time.Hour)
	b.revoke(t, alice.Signing, ca.KeyCompromise)
	b.Clock.Advance(-time.Hour)
	l := b.build(t, 1)
	if entries := parse(t, l).RevokedCertificateEntries; len(entries) != 1 || entries[0].RevocationTime.After(l.ThisUpdate) {
		t.Errorf("list of %v: %v", l.ThisUpdate, entries)
	}
}
