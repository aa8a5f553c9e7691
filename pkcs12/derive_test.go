package pkcs12

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"math"
	"testing"
)

// TestDeriveRFC7292 has the vectors that circulate with the algorithm: of the
// passphrases "smeg" and "queeg".
func TestDeriveRFC7292(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		purpose          byte
		passphrase, salt string
		iterations       int
		want             string
	}{
		{purposeKey, "smeg", "0A58CF64530D823F", 1, "8AAAE6297B6CB04642AB5B077851284EB7128F1A2A7FBCA3"},
		{purposeIV, "smeg", "0A58CF64530D823F", 1, "79993DFE048D3B76"},
		{purposeMAC, "smeg", "3D83C0E4546AC140", 1, "8D967D88F6CAA9D714800AB3D48051D63F73A312"},
		{purposeKey, "queeg", "05DEC959ACFF72F7", 1000, "ED2034E36328830FF09DF1E1A07DD357185DAC0D4F9EB3D4"},
		{purposeIV, "queeg", "05DEC959ACFF72F7", 1000, "11DEDAD7758D4860"},
		{purposeMAC, "queeg", "263216FCC2FAB31C", 1000, "5EC4C7A80DF652294C3925B6489A7AB857C83476"},
	} {
		salt, want := must(hex.DecodeString(v.salt)), must(hex.DecodeString(v.want))
		got := deriveRFC7292(sha1.New(), v.purpose, macPassphrase(v.passphrase), salt, v.iterations, len(want))
		if !bytes.Equal(got, want) {
			t.Errorf("%s %d: got %X", v.passphrase, v.purpose, got)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestOneDerivation holds what the package promises: one key for all bags of a
// modern file, and a fresh IV for each; in a compatibility file nothing shared.
func TestOneDerivation(t *testing.T) {
	t.Parallel()
	modern, _ := ModernGenerated.parameters()
	e := newEncrypter(modern, "secret")
	ivs := make(map[string]bool)
	for range 100 {
		enc := must(e.next())
		ivs[string(enc.iv)] = true
	}
	if len(e.keys.done) != 1 || len(ivs) != 100 || len(e.salt) != 16 {
		t.Errorf("%d derivations and %d IVs for 100 bags, salt of %d bytes", len(e.keys.done), len(ivs), len(e.salt))
	}
	if spent := MaxIterations - e.keys.budget; spent != 10_000 {
		t.Errorf("%d iterations", spent)
	}
	compatible, _ := Compatibility.parameters()
	compatible.iterations = 10
	e = newEncrypter(compatible, "secret")
	a, b := must(e.next()), must(e.next())
	if bytes.Equal(a.iv, b.iv) || len(e.keys.done) != 4 {
		t.Error("two bags share what they must not share")
	}
}

// TestDeriverForgets holds that derived keys do not stay.
func TestDeriverForgets(t *testing.T) {
	t.Parallel()
	d := newDeriver("secret")
	key := must(d.rfc7292(crypto.SHA256, purposeKey, []byte("salt"), 1, aes.BlockSize))
	d.clear()
	if !bytes.Equal(key, make([]byte, aes.BlockSize)) || len(d.done) != 0 {
		t.Error("the key is still there")
	}
}

// TestBudget holds that all derivations of a file together stay within the limit,
// and that one that was done costs nothing.
func TestBudget(t *testing.T) {
	t.Parallel()
	d := newDeriver("secret")
	free := func() ([]byte, error) { return []byte{1}, nil }
	for _, step := range []struct {
		name               string
		iterations, blocks int
		ok                 bool
	}{
		{"a", MaxIterations / 2, 1, true},
		{"a", MaxIterations / 2, 1, true},
		{"b", MaxIterations/2 + 1, 1, false},
		{"c", MaxIterations / 4, 2, true},
		{"d", 1, 1, false},
		{"e", 0, 1, false},
		{"f", -1, 1, false},
		{"g", math.MaxInt, 3, false},
	} {
		if _, err := d.once(step.name, step.iterations, step.blocks, free); (err == nil) != step.ok {
			t.Errorf("%s: %v", step.name, err)
		}
	}
}

// gpgsm reads no file whose key derivation has a block with a leading zero byte, so none is written.
func TestSaltsThatGPGSMReads(t *testing.T) {
	const passphrase, iterations = "abcdefghijkl", 1
	unreadable := 0
	for n := range 5000 {
		salt := binary.BigEndian.AppendUint64(nil, uint64(n))
		if !readByGPGSM(passphrase, salt, iterations) {
			unreadable++
		}
	}
	if unreadable < 10 || unreadable > 100 { // about 2 in 256 are
		t.Errorf("%d of 5000 salts are not read", unreadable)
	}
}
