package ca_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/pkitest"
)

const partitionCRL = pkitest.Base + "/issuing-{n}.crl"

// configured returns an authority like the first, on its database, with another configuration.
func configured(t *testing.T, r *room, change func(*ca.Config)) *ca.Authority {
	t.Helper()
	c := r.Config()
	c.DB, c.Jobs, c.Now = pgtest.Open(t, r.d), r.Jobs, func() time.Time { return r.now }
	change(&c)
	a, err := ca.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func issue(t *testing.T, a *ca.Authority, q ca.Request) ca.Certificate {
	t.Helper()
	prepared, err := a.Prepare(t.Context(), by, q)
	if err != nil {
		t.Fatal(err)
	}
	list, err := a.Sign(t.Context(), by, prepared)
	if err != nil {
		t.Fatal(err)
	}
	return list[0]
}

// pointsOf returns the addresses of each DistributionPoint of a certificate.
func pointsOf(t *testing.T, der []byte) (out [][]string) {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.String() == "2.5.29.31" })
	if i < 0 {
		return nil
	}
	zero := cryptobyte_asn1.Tag(0).ContextSpecific().Constructed()
	in := cryptobyte.String(c.Extensions[i].Value)
	var list, point, name, full cryptobyte.String
	if !in.ReadASN1(&list, cryptobyte_asn1.SEQUENCE) || !in.Empty() {
		t.Fatalf("%x", c.Extensions[i].Value)
	}
	for !list.Empty() {
		if !list.ReadASN1(&point, cryptobyte_asn1.SEQUENCE) || !point.ReadASN1(&name, zero) || !point.Empty() || !name.ReadASN1(&full, zero) || !name.Empty() {
			t.Fatalf("%x", c.Extensions[i].Value)
		}
		var urls []string
		for !full.Empty() {
			var u cryptobyte.String
			if !full.ReadASN1(&u, cryptobyte_asn1.Tag(6).ContextSpecific()) {
				t.Fatalf("%x", c.Extensions[i].Value)
			}
			urls = append(urls, string(u))
		}
		out = append(out, urls)
	}
	return out
}

// A certificate names the list of its partition first and the whole one in a further point; the partition is stored before
// it is signed, and comes back with its revocation.
func TestPartitions(t *testing.T) {
	const n = 4
	r := setup(t)
	before := r.IssuePair(t, pkitest.NewPerson("before")).Signing
	a := configured(t, r, func(c *ca.Config) { c.Issuers[0].Partitions, c.Issuers[0].PartitionCRL = n, partitionCRL })
	whole := a.Issuers()[0].CRL()
	want := map[ca.Serial]int{before.Serial: 0}
	seen := map[int]bool{}
	for range 40 {
		c := issue(t, a, pkitest.NewPerson("alice").Request(ca.SMIMESigning, pkitest.NewKey(t, ca.P256).Public()))
		points := pointsOf(t, c.DER)
		if len(points) != 2 || len(points[0]) != 1 || !slices.Equal(points[1], whole) {
			t.Fatalf("points %q", points)
		}
		number, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(points[0][0], pkitest.Base+"/issuing-"), ".crl"))
		if err != nil || number < 1 || number > n || a.Issuers()[0].PartitionCRL(number) != points[0][0] {
			t.Fatalf("%s: %v", points[0][0], err)
		}
		want[c.Serial], seen[number] = number, true
	}
	if len(seen) != n {
		t.Errorf("of %d partitions, 40 certificates are in %v", n, seen)
	}
	for serial := range want {
		if err := a.Revoke(t.Context(), by, ca.Revocation{Issuer: pkitest.IssuerID, Serial: serial, Reason: ca.Superseded}); err != nil {
			t.Fatal(err)
		}
	}
	changes(t, a, func(c ca.Change) {
		if c.Partition != want[c.Serial] || c.Profile != ca.SMIMESigning {
			t.Errorf("%s is in partition %d of profile %q, want %d", c.Serial, c.Partition, c.Profile, want[c.Serial])
		}
		delete(want, c.Serial)
	})
	if len(want) != 0 {
		t.Errorf("%d are missing", len(want))
	}

	// Fewer partitions: the same request still yields what was prepared, and the lists that there were go on.
	q := pkitest.NewPerson("bob").Request(ca.SMIMESigning, pkitest.NewKey(t, ca.P256).Public())
	first := issue(t, a, q)
	fewer := configured(t, r, func(c *ca.Config) { c.Issuers[0].Partitions, c.Issuers[0].PartitionCRL = 1, partitionCRL })
	if again := issue(t, fewer, q); !bytes.Equal(first.DER, again.DER) {
		t.Error("another configuration changed what was prepared")
	}
	for _, a := range []*ca.Authority{r.Authority, a, fewer} {
		if got, err := a.Partitions(t.Context(), pkitest.IssuerID); err != nil || got != n {
			t.Errorf("%d partitions, %v", got, err)
		}
	}
}

// A responder's certificate names no list, and so has no partition.
func TestResponderHasNoPartition(t *testing.T) {
	r := setup(t)
	a := configured(t, r, func(c *ca.Config) { c.Issuers[0].Partitions, c.Issuers[0].PartitionCRL = 2, partitionCRL })
	q := pkitest.NewPerson("responder").Request(ca.OCSPSigning, pkitest.NewKey(t, ca.P256).Public())
	q.Mailboxes = nil
	c := issue(t, a, q)
	if points := pointsOf(t, c.DER); points != nil {
		t.Errorf("points %q", points)
	}
	if n := r.d.Count(t, `select partition from ca.prepared where request = $1`, q.ID); n != 0 {
		t.Errorf("partition %d", n)
	}
}

// Of whom signs, what was revoked stays on lists for ever; of whom reads alone it leaves, unless the profile says
// otherwise. What is no longer configured stays.
func TestKeepExpired(t *testing.T) {
	r := setup(t)
	p := r.IssuePair(t, pkitest.NewPerson("alice"))
	for _, c := range []ca.Certificate{p.Signing, p.Encryption} {
		if err := r.Revoke(t.Context(), by, ca.Revocation{Issuer: c.Issuer, Serial: c.Serial, Reason: ca.AffiliationChanged}); err != nil {
			t.Fatal(err)
		}
	}
	no, yes := false, true
	for name, c := range map[string]struct {
		profiles            func() []ca.ProfileConfig
		signing, encryption bool
	}{
		"default": {ca.DefaultProfiles, true, false},
		"turned round": {func() []ca.ProfileConfig {
			list := ca.DefaultProfiles()
			list[0].KeepExpired, list[1].KeepExpired = &no, &yes
			return list
		}, false, true},
		"gone": {func() []ca.ProfileConfig { return ca.DefaultProfiles()[2:] }, true, true},
	} {
		a := configured(t, r, func(conf *ca.Config) { conf.Profiles = c.profiles() })
		changes(t, a, func(got ca.Change) {
			want := map[string]bool{ca.SMIMESigning: c.signing, ca.SMIMEEncryption: c.encryption}[got.Profile]
			if got.KeepExpired != want {
				t.Errorf("%s: %s: kept %v", name, got.Profile, got.KeepExpired)
			}
		})
	}
}

// A burst of revocations asks for lists that wait for each other; a compromised key waits for nobody.
func TestDebounce(t *testing.T) {
	r := setup(t)
	a := configured(t, r, func(c *ca.Config) { c.Debounce = time.Hour })
	jobs := func() (waiting, ready int64) {
		const count = `select count(*) from river.river_job where kind = 'crl.build' and `
		return r.d.Count(t, count+`state = 'scheduled' and scheduled_at between now() + interval '50 minutes' and now() + interval '1 hour'`),
			r.d.Count(t, count+`state = 'available' and scheduled_at <= now()`)
	}
	p := r.IssuePair(t, pkitest.NewPerson("alice"))
	hold := ca.Revocation{Issuer: pkitest.IssuerID, Serial: p.Signing.Serial, Reason: ca.CertificateHold}
	for range 10 {
		if err := a.Revoke(t.Context(), by, hold); err != nil {
			t.Fatal(err)
		}
		if err := a.Release(t.Context(), by, hold.Issuer, hold.Serial); err != nil {
			t.Fatal(err)
		}
	}
	if waiting, ready := jobs(); waiting != 20 || ready != 0 {
		t.Errorf("burst: %d jobs wait, %d are ready", waiting, ready)
	}
	hold.Reason = ca.KeyCompromise
	if err := a.Revoke(t.Context(), by, hold); err != nil {
		t.Fatal(err)
	}
	if waiting, ready := jobs(); waiting != 20 || ready != 1 {
		t.Errorf("compromised: %d jobs wait, %d are ready", waiting, ready)
	}
}

func changes(t *testing.T, a *ca.Authority, do func(ca.Change)) {
	t.Helper()
	for c, err := range a.Revoked(t.Context(), pkitest.IssuerID, 0) {
		if err != nil {
			t.Fatal(err)
		}
		do(c)
	}
}
