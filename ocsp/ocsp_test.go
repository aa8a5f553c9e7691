package ocsp_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
	"testing"
	"time"

	xocsp "golang.org/x/crypto/ocsp"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/ocsp"
)

// Of each state that a serial can be in, the answer is the same from memory, signed for one client, and without Run.
func TestStatuses(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]bool{"with Run": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := setup(t)
			if run {
				r.run(t)
			}
			good, held, released, compromised, unsaid := r.issue(t, "good"), r.issue(t, "held"), r.issue(t, "released"), r.issue(t, "compromised"), r.issue(t, "unsaid")
			r.revoke(t, held, ca.CertificateHold)
			r.revoke(t, released, ca.CertificateHold)
			if err := r.Release(t.Context(), pkitest.Actor(), released.Issuer, released.Serial); err != nil {
				t.Fatal(err)
			}
			invalid := time.Now().Add(-48 * time.Hour).UTC().Truncate(time.Second)
			if err := r.Revoke(t.Context(), pkitest.Actor(), ca.Revocation{Issuer: compromised.Issuer, Serial: compromised.Serial, Reason: ca.KeyCompromise, Invalid: invalid}); err != nil {
				t.Fatal(err)
			}
			r.revoke(t, unsaid, ca.Unspecified)
			prepared := r.prepare(t, "prepared")
			abandoned := r.prepare(t, "abandoned")
			if _, err := r.Abandon(t.Context(), pkitest.Actor(), abandoned.Request); err != nil {
				t.Fatal(err)
			}
			for _, c := range []struct {
				what   string
				serial *big.Int
				status int
				reason int
			}{
				{"good", good.Serial.Big(), xocsp.Good, 0},
				{"on hold", held.Serial.Big(), xocsp.Revoked, 6},
				{"released", released.Serial.Big(), xocsp.Good, 0},
				{"compromised", compromised.Serial.Big(), xocsp.Revoked, 1},
				{"for no reason", unsaid.Serial.Big(), xocsp.Revoked, 0},
				{"prepared, not signed", prepared.Serial.Big(), xocsp.Unknown, 0},
				{"never to be signed", abandoned.Serial.Big(), xocsp.Revoked, 0},
				{"never issued", big.NewInt(4711), xocsp.Unknown, 0},
				{"no serial: 0", big.NewInt(0), xocsp.Unknown, 0},
				{"no serial: -1", big.NewInt(-1), xocsp.Unknown, 0},
				{"no serial: 21 octets", new(big.Int).Lsh(big.NewInt(1), 160), xocsp.Unknown, 0},
			} {
				for _, q := range []query{
					{ids: []id{idOf(t, crypto.SHA1, r.Issuing, c.serial)}},
					{ids: []id{idOf(t, crypto.SHA1, r.Issuing, c.serial)}}, // from memory
					{ids: []id{idOf(t, crypto.SHA256, r.Issuing, c.serial)}},
					{ids: []id{idOf(t, crypto.SHA1, r.Issuing, c.serial)}, extensions: []pkix.Extension{nonce(t, []byte("nonce"))}},
				} {
					resp := r.respond(t, q)
					if resp.Status != c.status || resp.RevocationReason != c.reason || resp.SerialNumber.Cmp(c.serial) != 0 {
						t.Errorf("%s: status %d, reason %d, serial %x", c.what, resp.Status, resp.RevocationReason, resp.SerialNumber)
					}
				}
			}
			a, _ := r.Respond(t.Context(), query{ids: []id{r.id(t, compromised)}}.der(t))
			var at, cutoff time.Time
			single := readBasic(t, a.DER()).TBS.Responses[0].Extensions
			if _, err := asn1.UnmarshalWithParams(find(single, asn1.ObjectIdentifier{2, 5, 29, 24}), &at, "generalized"); err != nil || !at.Equal(invalid) {
				t.Errorf("invalidity date %s, want %s (%v)", at, invalid, err)
			}
			if _, err := asn1.UnmarshalWithParams(find(single, oid(6)), &cutoff, "generalized"); err != nil || !cutoff.Equal(r.Issuing.NotBefore) {
				t.Errorf("archive cutoff %s, want %s (%v)", cutoff, r.Issuing.NotBefore, err)
			}
		})
	}
}

// prepare writes down what is to be signed, and no more.
func (r *rig) prepare(t testing.TB, who string) ca.Prepared {
	t.Helper()
	p, err := r.Prepare(t.Context(), pkitest.Actor(), pkitest.NewPerson(who).Request(ca.SMIMESigning, pkitest.NewKey(t, ca.P256).Public()))
	if err != nil {
		t.Fatal(err)
	}
	return p[0]
}

// A serial whose signing comes after it was asked for is not remembered as unknown.
func TestUnknownIsNotKept(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.run(t)
	p := r.prepare(t, "alice")
	q := query{ids: []id{idOf(t, crypto.SHA1, r.Issuing, p.Serial.Big())}}
	if a, err := r.Respond(t.Context(), q.der(t)); err != nil || a.Caches || r.read(t, a.DER()).Status != xocsp.Unknown {
		t.Fatal(err, a.Caches)
	}
	if _, err := r.Sign(t.Context(), pkitest.Actor(), []ca.Prepared{p}); err != nil {
		t.Fatal(err)
	}
	if got := r.respond(t, q).Status; got != xocsp.Good {
		t.Errorf("status %d after signing", got)
	}
}

// What is not ours is refused, and never answered with the status of something else.
func TestRefusals(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.run(t)
	alice := r.issue(t, "alice")
	mine, other := r.id(t, alice), idOf(t, crypto.SHA1, pkitest.NewHierarchy(t, time.Now()).Issuing, alice.Serial.Big())
	root := idOf(t, crypto.SHA1, r.Root, r.Issuing.SerialNumber)
	key, name := mine, mine
	key.Key, name.Name = other.Key, root.Name
	md5 := mine
	md5.Hash.Algorithm = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 5}
	parameters := mine
	parameters.Hash.Parameters = asn1.RawValue{FullBytes: []byte{0x04, 0x00}}
	for what, ids := range map[string][]id{
		"another authority's":       {other},
		"the root's":                {root},
		"our name with another key": {key},
		"our key with another name": {name},
		"hashed with SHA-384":       {idOf(t, crypto.SHA384, r.Issuing, alice.Serial.Big())},
		"hashed with MD5":           {md5},
		"a hash with parameters":    {parameters},
		"ours and another's":        {mine, other},
		"another's and ours":        {other, mine},
		"too many":                  slices.Repeat([]id{mine}, ocsp.MaxIDs+1),
	} {
		a, err := r.Respond(t.Context(), query{ids: ids}.der(t))
		if err != nil || !bytes.Equal(a.DER(), xocsp.UnauthorizedErrorResponse) || a.Caches {
			t.Errorf("%s: %x, %v", what, a.DER(), err)
		}
	}
	if n := r.Stats().Results[ocsp.Unauthorized]; n != 10 {
		t.Errorf("%d counted", n)
	}
}

// An issuer whose key is not at hand cannot certify a responder.
func TestIssuerWithoutKey(t *testing.T) {
	t.Parallel()
	r := setup(t)
	alice := r.issue(t, "alice")
	second := pkitest.NewHierarchy(t, time.Now())
	c := second.Config()
	c.Issuers[0].ID = "second"
	old := r.IssuerConfig()
	old.Signer = nil
	c.Issuers = append(c.Issuers, old)
	c.DB, c.Jobs = r.db, r.Jobs
	a, err := ca.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	responder, err := ocsp.New(ocsp.Config{Authority: a})
	if err != nil {
		t.Fatal(err)
	}
	if err := responder.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if a, err := responder.Respond(t.Context(), query{ids: []id{r.id(t, alice)}}.der(t)); err != nil || !bytes.Equal(a.DER(), xocsp.UnauthorizedErrorResponse) {
		t.Errorf("%x, %v", a.DER(), err)
	}
}

// One request for several certificates has one answer for all, in the order of the questions.
func TestSeveralInOneRequest(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.run(t)
	alice, bob := r.issue(t, "alice"), r.issue(t, "bob")
	r.revoke(t, bob, ca.Superseded)
	ids := []id{r.id(t, alice), idOf(t, crypto.SHA256, r.Issuing, bob.Serial.Big()), idOf(t, crypto.SHA1, r.Issuing, big.NewInt(7)), r.id(t, alice)}
	a, err := r.Respond(t.Context(), query{ids: ids}.der(t))
	if err != nil || a.Caches {
		t.Fatal(err, a.Caches)
	}
	b := readBasic(t, a.DER())
	if len(b.TBS.Responses) != len(ids) {
		t.Fatalf("%d answers", len(b.TBS.Responses))
	}
	for n, tag := range []int{0, 1, 2, 0} {
		got := b.TBS.Responses[n]
		if got.Status.Tag != tag || !bytes.Equal(marshal(t, got.ID), marshal(t, ids[n])) {
			t.Errorf("answer %d: tag %d, %x", n, got.Status.Tag, marshal(t, got.ID))
		}
	}
	if s := r.Stats().Results; s[ocsp.Good] != 2 || s[ocsp.Revoked] != 1 || s[ocsp.Unknown] != 1 {
		t.Errorf("counted %v", s)
	}
}

// A CertID is answered bit by bit as it was asked, also where there are two right ways to write it.
func TestCertIDIsRepeated(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.run(t)
	alice := r.issue(t, "alice")
	for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
		for _, parameters := range []asn1.RawValue{asn1.NullRawValue, {}} {
			want := idOf(t, h, r.Issuing, alice.Serial.Big())
			want.Hash.Parameters = parameters
			for range 2 {
				a, err := r.Respond(t.Context(), query{ids: []id{want}}.der(t))
				if err != nil {
					t.Fatal(err)
				}
				if got := readBasic(t, a.DER()).TBS.Responses[0].ID; !bytes.Equal(marshal(t, got), marshal(t, want)) {
					t.Errorf("asked %x, answered %x", marshal(t, want), marshal(t, got))
				}
			}
		}
	}
}

func TestNonce(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.run(t)
	alice := r.issue(t, "alice")
	for _, n := range []int{1, 16, 32, 128} {
		value := bytes.Repeat([]byte{0xa5}, n)
		a, err := r.Respond(t.Context(), query{ids: []id{r.id(t, alice)}, extensions: []pkix.Extension{nonce(t, value)}}.der(t))
		if err != nil || a.Caches {
			t.Fatal(err, a.Caches)
		}
		b := readBasic(t, a.DER())
		if got := find(b.TBS.Extensions, oid(2)); !bytes.Equal(got, marshal(t, value)) {
			t.Errorf("nonce of %d octets: %x", n, got)
		}
		if b.TBS.Responder.Tag != 1 || !b.Algorithm.Algorithm.Equal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}) {
			t.Errorf("responder %x, algorithm %s: not what every client can read", b.TBS.Responder.FullBytes, b.Algorithm.Algorithm)
		}
		r.read(t, a.DER())
	}
	for what, e := range map[string][]pkix.Extension{
		"0 octets":        {nonce(t, []byte{})},
		"129 octets":      {nonce(t, make([]byte, 129))},
		"two":             {nonce(t, []byte{1}), nonce(t, []byte{1})},
		"no OCTET STRING": {{Id: oid(2), Value: []byte{1, 2, 3}}},
		"nothing":         {{Id: oid(2), Value: []byte{}}},
	} {
		if a, err := r.Respond(t.Context(), query{ids: []id{r.id(t, alice)}, extensions: e}.der(t)); err == nil || !bytes.Equal(a.DER(), xocsp.MalformedRequestErrorResponse) {
			t.Errorf("%s: %x, %v", what, a.DER(), err)
		}
	}
}

// Signatures of the plain method are slow. When they are all in use, and before there is a key for them, the light one signs.
func TestNonceWhenBusy(t *testing.T) {
	t.Parallel()
	r := setup(t)
	alice := r.issue(t, "alice")
	q := query{ids: []id{r.id(t, alice)}, extensions: []pkix.Extension{nonce(t, []byte{1})}}
	check := func(what string, tag int) {
		t.Helper()
		a, err := r.Respond(t.Context(), q.der(t))
		if err != nil {
			t.Fatal(err)
		}
		if b := readBasic(t, a.DER()); b.TBS.Responder.Tag != tag || find(b.TBS.Extensions, oid(2)) == nil {
			t.Errorf("%s: responder %x", what, b.TBS.Responder.FullBytes)
		}
		r.read(t, a.DER())
	}
	check("not yet there", 2)
	r.run(t)
	check("there", 1)
	free := r.TakePlain()
	check("busy", 2)
	free()
	check("free", 1)
}

// What the responder's certificates and names are (RFC 6960 §4.2.2.2, RFC 9919), and that they are renewed in time.
func TestResponderCertificate(t *testing.T) {
	t.Parallel()
	r := setup(t)
	alice := r.issue(t, "alice")
	ask := func() *x509.Certificate {
		t.Helper()
		a, err := r.Respond(t.Context(), query{ids: []id{r.id(t, alice)}}.der(t))
		if err != nil {
			t.Fatal(err)
		}
		b, resp := readBasic(t, a.DER()), r.read(t, a.DER())
		var hash []byte
		if _, err := asn1.Unmarshal(b.TBS.Responder.Bytes, &hash); err != nil || b.TBS.Responder.Tag != 2 || !bytes.Equal(hash, idOf(t, crypto.SHA1, resp.Certificate, big.NewInt(1)).Key) {
			t.Errorf("responder %x is not byKey (%v)", b.TBS.Responder.FullBytes, err)
		}
		if len(b.Certificates) != 1 {
			t.Errorf("%d certificates", len(b.Certificates))
		}
		return resp.Certificate
	}
	c := ask()
	if !slices.ContainsFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oid(5)) && !e.Critical }) ||
		len(c.ExtKeyUsage) != 1 || c.ExtKeyUsage[0] != x509.ExtKeyUsageOCSPSigning || len(c.OCSPServer) != 0 || len(c.CRLDistributionPoints) != 0 {
		t.Errorf("usages %v, OCSP %v, CRL %v, extensions %v", c.ExtKeyUsage, c.OCSPServer, c.CRLDistributionPoints, c.Extensions)
	}
	if !ask().Equal(c) {
		t.Error("another certificate for the next answer")
	}
	half := c.NotAfter.Sub(c.NotBefore)/2 + time.Minute
	r.jump(half)
	second := ask()
	if second.Equal(c) {
		t.Error("the certificate was not renewed at half of its time")
	}
	r.jump(-half - time.Hour) // before the second begins
	if third := ask(); third.Equal(second) || third.NotBefore.After(r.now()) {
		t.Errorf("the clock went back, and the certificate begins at %s", third.NotBefore)
	}
}

// An issuer that cannot certify is not asked for every answer: each attempt would leave a serial.
func TestResponderIsNotCertified(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.run(t)
	alice := r.issue(t, "alice")
	first := r.respond(t, query{ids: []id{r.id(t, alice)}}).Certificate
	r.exec(t, `alter table ca.prepared add constraint refused check (profile <> 'ocsp-signing') not valid`)
	r.jump(first.NotAfter.Sub(first.NotBefore)/2 + time.Hour)
	for range 3 {
		if got := r.respond(t, query{ids: []id{r.id(t, alice)}, extensions: []pkix.Extension{nonce(t, []byte{1})}}); got.Certificate.SerialNumber == nil {
			t.Fatal("no certificate")
		}
	}
	if !r.respond(t, query{ids: []id{r.id(t, alice)}}).Certificate.Equal(first) {
		t.Error("another certificate, though none was made")
	}
	r.Follow(t.Context())
	if err := r.Check(t.Context()); err != nil {
		t.Errorf("before it is overdue: %v", err)
	}
	r.jump(10 * 24 * time.Hour)
	r.Follow(t.Context())
	if err := r.Check(t.Context()); err == nil {
		t.Error("nothing is said of a certificate that is not renewed")
	}
	r.jump(10 * 24 * time.Hour) // beyond its end
	a, err := r.Respond(t.Context(), query{ids: []id{r.id(t, alice)}}.der(t))
	if err == nil || !bytes.Equal(a.DER(), xocsp.TryLaterErrorResponse) {
		t.Errorf("%x, %v", a.DER(), err)
	}
	r.exec(t, `alter table ca.prepared drop constraint refused`)
	if a, _ = r.Respond(t.Context(), query{ids: []id{r.id(t, alice)}}.der(t)); !bytes.Equal(a.DER(), xocsp.TryLaterErrorResponse) {
		t.Error("the issuer was asked again at once")
	}
	r.jump(2 * time.Minute)
	r.respond(t, query{ids: []id{r.id(t, alice)}})
}

// No answer outlives the issuer's own certificate.
func TestAnswersEndWithTheIssuer(t *testing.T) {
	t.Parallel()
	r := setup(t)
	alice := r.issue(t, "alice")
	r.jump(r.Issuing.NotAfter.Sub(r.now()) - time.Hour)
	if got := r.respond(t, query{ids: []id{r.id(t, alice)}}).NextUpdate; got.After(r.Issuing.NotAfter) {
		t.Errorf("nextUpdate %s, the issuer ends %s", got, r.Issuing.NotAfter)
	}
	r.jump(2 * time.Hour)
	if a, err := r.Respond(t.Context(), query{ids: []id{r.id(t, alice)}}.der(t)); err == nil || !bytes.Equal(a.DER(), xocsp.TryLaterErrorResponse) {
		t.Errorf("after the end: %x, %v", a.DER(), err)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	r := setup(t)
	for what, c := range map[string]ocsp.Config{
		"no authority":    {},
		"short validity":  {Authority: r.Authority, Validity: 7 * time.Hour},
		"long validity":   {Authority: r.Authority, Validity: 240 * time.Hour},
		"long max-age":    {Authority: r.Authority, MaxAge: 5 * time.Hour},
		"short max-age":   {Authority: r.Authority, MaxAge: time.Millisecond},
		"negative memory": {Authority: r.Authority, Keep: -1},
	} {
		if _, err := ocsp.New(c); err == nil {
			t.Errorf("%s was accepted", what)
		}
	}
	if _, err := ocsp.New(ocsp.Config{Authority: r.Authority, Validity: 239 * time.Hour, MaxAge: time.Hour, Keep: 1}); err != nil {
		t.Error(err)
	}
}
