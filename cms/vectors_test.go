package cms

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"testing"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestKeyWrap has the vectors of RFC 3394 §4.1, §4.3 and §4.6.
func TestKeyWrap(t *testing.T) {
	t.Parallel()
	for _, v := range []struct{ kek, key, wrapped string }{
		{"000102030405060708090A0B0C0D0E0F", "00112233445566778899AABBCCDDEEFF",
			"1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5"},
		{"000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F", "00112233445566778899AABBCCDDEEFF",
			"64E8C3F9CE0F5BA263E9777905818A2A93C8191E7D6E8AE7"},
		{"000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F", "00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F",
			"28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21"},
	} {
		kek, key, want := unhex(t, v.kek), unhex(t, v.key), unhex(t, v.wrapped)
		got, err := wrapKey(kek, key)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("wrapKey: %X, %v", got, err)
		}
		if got, ok := unwrapKey(kek, want); !ok || !bytes.Equal(got, key) {
			t.Errorf("unwrapKey: %X, %v", got, ok)
		}
		for i := range want {
			bad := bytes.Clone(want)
			bad[i] ^= 1
			if _, ok := unwrapKey(kek, bad); ok {
				t.Errorf("unwrapKey accepts an altered byte %d", i)
			}
		}
		for _, n := range []int{0, 8, 16, len(want) - 1} {
			if _, ok := unwrapKey(kek, want[:n]); ok {
				t.Errorf("unwrapKey accepts %d bytes", n)
			}
		}
	}
}

// TestX963KDF has vectors of the NIST CAVP (ANS X9.63-2001, SHA-256).
func TestX963KDF(t *testing.T) {
	t.Parallel()
	for _, v := range []struct{ secret, info, want string }{
		{"96c05619d56c328ab95fe84b18264b08725b85e33fd34f08", "", "443024c3dae66b95e6f5670601558f71"},
		{"22518b10e70f2a3f243810ae3254139efbee04aa57c7af7d", "75eef81aa3041e33b80971203d2c0c52",
			"c498af77161cc59f2962b9a713e2b215152d139766ce34a776df11866a69bf2e52a13d9c7c6fc878c50c5ea0bc7b00e0da2447cfd874f6cf92f30d0097111485500c90c3af8b487872d04685d14c8d1dc8d7fa08beb0ce0ababc11f0bd496269142d43525a78e5bc79a17f59676a5706dc54d54d4d1f0bd7e386128ec26afc21"},
	} {
		want := unhex(t, v.want)
		if got := x963KDF(crypto.SHA256, unhex(t, v.secret), unhex(t, v.info), len(want)); !bytes.Equal(got, want) {
			t.Errorf("got %x", got)
		}
	}
}

// TestPaddingSize tries every last byte against every number of equal bytes.
func TestPaddingSize(t *testing.T) {
	t.Parallel()
	for last := range 256 {
		for equal := 1; equal <= 16; equal++ {
			block := bytes.Repeat([]byte{byte(last) ^ 0xff}, 16)
			for i := range equal {
				block[15-i] = byte(last)
			}
			n, ok := paddingSize(block, 16)
			want := last >= 1 && last <= 16 && equal >= last
			if ok != want || ok && n != last {
				t.Errorf("last byte %d, %d equal: %d, %v", last, equal, n, ok)
			}
		}
	}
}
