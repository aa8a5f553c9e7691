package portal

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"
	"time"
)

// Every field has words, also those of certificates that are not ours; what has none is counted.
func TestExplain(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(0x4711), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<31, 0), IsCA: true, BasicConstraintsValid: true,
		Subject:  pkix.Name{CommonName: `<b>"Root"</b>`, Organization: []string{"Example Ltd"}, Country: []string{"DE"}},
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection, x509.ExtKeyUsageTimeStamping},
		UnknownExtKeyUsage: []asn1.ObjectIdentifier{{1, 3, 6, 1, 4, 1, 32473, 2, 1}}, EmailAddresses: []string{"root@example.test"}, DNSNames: []string{"ca.example.test"},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Value: []byte{5, 0}}, {Id: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 15}, Value: []byte{0x30, 0x05, 0x30, 0x80}}}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range languages {
		rows := l.explain(c)
		var all strings.Builder
		for _, r := range rows {
			if r.What == "" || r.Why == "" || strings.HasPrefix(r.What, "explain.") || strings.HasPrefix(r.Why, "explain.") || len(r.Values) == 0 && r.At.IsZero() {
				t.Errorf("%s: %+v", l, r)
			}
			all.WriteString(r.What + ": " + strings.Join(r.Values, "; ") + "\n")
		}
		for _, want := range []string{`<b>"Root"</b>`, "Example Ltd", "root@example.test", "ca.example.test", "4711", "1.2.3.4 (2)", "P-256", "1.3.6.1.5.5.7.3.8", l.say("key-use.certify"), l.say("purpose.mail"), l.say("purpose.agent-signing"), l.say("explain.authority")} {
			if !strings.Contains(all.String(), want) {
				t.Errorf("%s: nothing says %q:\n%s", l, want, all.String())
			}
		}
	}
}

func FuzzExplain(f *testing.F) {
	f.Add([]byte{0x30, 0x0d, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a})
	f.Add([]byte{0x30, 0x80})
	f.Fuzz(func(t *testing.T, der []byte) {
		for _, name := range capabilities(der) {
			if name == "" {
				t.Error("a cipher without a name")
			}
		}
	})
}
