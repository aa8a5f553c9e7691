package archive

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"
	"testing"
)

func pkcs8(t testing.TB, key any) []byte {
	t.Helper()
	b, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func spki(t testing.TB, public crypto.PublicKey) []byte {
	t.Helper()
	b, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func newRSA(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestCheckKeyTakesGoodKeys(t *testing.T) {
	rsaKey := newRSA(t, 3072)
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	x, _ := ecdh.X25519().GenerateKey(rand.Reader)
	for _, c := range []struct {
		name   string
		key    any
		public crypto.PublicKey
	}{
		{"rsa-3072", rsaKey, rsaKey.Public()}, {"ec-p256", p256, p256.Public()}, {"ec-p384", p384, p384.Public()}, {"x25519", x, x.Public()},
	} {
		in := pkcs8(t, c.key)
		out, algorithm, err := checkKey(in, spki(t, c.public))
		if err != nil || algorithm != c.name || !bytes.Equal(out, in) {
			t.Errorf("%s: %s, %v", c.name, algorithm, err)
		}
	}
}

func TestCheckKeyDropsWhatIsNoKey(t *testing.T) {
	k := newRSA(t, 2048)
	out, _, err := checkKey(append(pkcs8(t, k), "and more"...), spki(t, k.Public()))
	if err != nil || !bytes.Equal(out, pkcs8(t, k)) {
		t.Errorf("trailing bytes: %v", err)
	}
}

func TestCheckKeyRefuses(t *testing.T) {
	good := newRSA(t, 2048)
	other := newRSA(t, 2048)
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	ecOther, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	small := rsaFromPrimes(t, prime(t, 512), prime(t, 512), 65537)
	for _, c := range []struct {
		what  string
		pkcs8 []byte
		spki  []byte
		want  error
	}{
		{"nothing", nil, spki(t, good.Public()), ErrKeyFormat},
		{"garbage", []byte("not a key"), spki(t, good.Public()), ErrKeyFormat},
		{"too long", make([]byte, maxPKCS8+1), spki(t, good.Public()), ErrKeyFormat},
		{"a key that only signs", pkcs8(t, ed), spki(t, ed.Public()), ErrKeyFormat},
		{"another RSA key", pkcs8(t, other), spki(t, good.Public()), ErrKeyMismatch},
		{"another EC key", pkcs8(t, ecOther), spki(t, ec.Public()), ErrKeyMismatch},
		{"small RSA", small, nil, ErrKeyWeak},
		{"exponent 3", rsaFromPrimes(t, primeFor(t, 1024, 3), primeFor(t, 1024, 3), 3), nil, ErrKeyWeak},
		{"close primes", closePrimes(t), nil, ErrKeyFormat}, // the standard library's parser finds them first
	} {
		if _, _, err := checkKey(c.pkcs8, c.spki); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.what, err, c.want)
		}
	}
}

// A key whose p is the product of two primes has numbers that agree with one another, and decrypts nothing.
func TestCheckKeyRefusesCompositePrime(t *testing.T) {
	for range 3 {
		p := new(big.Int).Mul(prime(t, 513), prime(t, 513))
		key := rsaFromPrimes(t, p, prime(t, 1024), 65537)
		_, _, err := checkKey(key, nil)
		if !errors.Is(err, ErrKeyDoesNotWork) && !errors.Is(err, ErrKeyFormat) {
			t.Errorf("composite p: %v", err)
		}
	}
}

func prime(t testing.TB, bits int) *big.Int {
	t.Helper()
	p, err := rand.Prime(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// primeFor returns a prime p with gcd(p-1, e) = 1.
func primeFor(t testing.TB, bits int, e int64) *big.Int {
	for {
		p := prime(t, bits)
		if new(big.Int).Mod(new(big.Int).Sub(p, big.NewInt(1)), big.NewInt(e)).Sign() != 0 {
			return p
		}
	}
}

func closePrimes(t testing.TB) []byte {
	p := primeFor(t, 1024, 65537)
	q := new(big.Int).Add(p, big.NewInt(2))
	for !q.ProbablyPrime(20) {
		q.Add(q, big.NewInt(2))
	}
	return rsaFromPrimes(t, p, q, 65537)
}

// rsaFromPrimes encodes a key (RFC 8017, A.1.2, in PKCS#8) without any check.
func rsaFromPrimes(t testing.TB, p, q *big.Int, e int64) []byte {
	t.Helper()
	one := big.NewInt(1)
	p1, q1 := new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)
	E := big.NewInt(e)
	d := new(big.Int).ModInverse(E, new(big.Int).Mul(p1, q1))
	if d == nil {
		t.Fatal("the exponent has no inverse")
	}
	inner, err := asn1.Marshal(struct {
		Version                     int
		N, E, D, P, Q, Dp, Dq, Qinv *big.Int
	}{0, new(big.Int).Mul(p, q), E, d, p, q, new(big.Int).Mod(d, p1), new(big.Int).Mod(d, q1), new(big.Int).ModInverse(q, p)})
	if err != nil {
		t.Fatal(err)
	}
	type algorithm struct {
		OID  asn1.ObjectIdentifier
		Null asn1.RawValue
	}
	out, err := asn1.Marshal(struct {
		Version   int
		Algorithm algorithm
		Key       []byte
	}{0, algorithm{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, asn1.NullRawValue}, inner})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func FuzzCheckKey(f *testing.F) {
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	f.Add(pkcs8(f, ec))
	f.Add([]byte{0x30, 0x80})
	public := spki(f, ec.Public())
	f.Fuzz(func(t *testing.T, der []byte) {
		out, _, err := checkKey(der, public)
		if err == nil && !bytes.Equal(out, pkcs8(t, ec)) {
			t.Error("another encoding of the key came out")
		}
	})
}
