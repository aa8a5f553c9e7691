package ber_test

import (
	"bytes"
	"encoding/asn1"
	"encoding/hex"
	"os/exec"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/ber"
)

func TestToDER(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ in, want string }{
		"DER stays":               {"3003020101", "3003020101"},
		"indefinite":              {"308002010100 00", "3003020101"},
		"nested indefinite":       {"3080a08002010100000000", "3005a003020101"},
		"octet string in pieces":  {"2480040101040202030000", "0403010203"},
		"pieces within pieces":    {"24802406040101040102040103 0000", "0403010203"},
		"empty octet string":      {"24800000", "0400"},
		"implicit pieces stay":    {"a0800401010401020000", "a006040101040102"},
		"lengths become shortest": {"3081050282000101", "3003020101"},
		"tag of two octets":       {"bf81018002010100 00", "bf810103020101"},
	} {
		got, err := ber.ToDER(octets(t, tt.in))
		if err != nil || hex.EncodeToString(got) != tt.want {
			t.Errorf("%s: %x, %v; want %s", name, got, err, tt.want)
		}
	}
}

func TestToDERRefuses(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"nothing": "", "a tag alone": "30", "no end": "3080020101", "half an element": "3003020201", "more behind": "300302010100",
		"an end alone": "0000", "an end with a long length": "008100", "indefinite primitive": "0480", "a length of seven octets": "3087ffffffffffffff", "pieces of another kind": "2403020101",
		"too deep": strings.Repeat("3080", 100) + strings.Repeat("0000", 100),
	} {
		if got, err := ber.ToDER(octets(t, in)); err == nil {
			t.Errorf("%s: %x", name, got)
		}
	}
	if _, err := ber.Join(octets(t, "0401")); err == nil {
		t.Error("half a piece was joined")
	}
	if _, err := ber.Join(octets(t, "020101")); err == nil {
		t.Error("a piece of another kind was joined")
	}
}

// OpenSSL reads the same from both.
func TestOpenSSLReadsTheSame(t *testing.T) {
	t.Parallel()
	in := octets(t, "30800609 2a864886f70d010701 a080 2480 0402 3000 0402 0500 0000 0000 0000")
	out, err := ber.ToDER(in)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("openssl", "asn1parse", "-inform", "DER")
	c.Stdin = bytes.NewReader(out)
	text, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(text), "pkcs7-data") || !strings.Contains(string(text), "30000500") || strings.Contains(string(text), "inf") {
		t.Errorf("%v\n%s", err, text)
	}
}

func FuzzToDER(f *testing.F) {
	for _, s := range []string{"308002010100 00", "2480040101040202030000", "a0800401010000", "bf810103020101", "008100"} {
		f.Add(octets(f, s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := ber.ToDER(in)
		if err != nil {
			return
		}
		again, err := ber.ToDER(out)
		if err != nil || !bytes.Equal(again, out) {
			t.Errorf("%x became %x and then %x, %v", in, out, again, err)
		}
		if len(out) > len(in) {
			t.Errorf("%d bytes became %d", len(in), len(out))
		}
		var raw asn1.RawValue
		if rest, err := asn1.Unmarshal(out, &raw); err == nil && len(rest) > 0 {
			t.Errorf("%x is more than one element", out)
		}
	})
}

func octets(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
