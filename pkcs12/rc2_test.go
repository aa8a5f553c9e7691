package pkcs12

import (
	"encoding/hex"
	"testing"
)

// The vectors of RFC 2268, 5, in which all bits of the key count.
func TestRC2(t *testing.T) {
	t.Parallel()
	for _, v := range []struct{ key, plain, cipher string }{
		{"ffffffffffffffff", "ffffffffffffffff", "278b27e42e2f0d49"},
		{"3000000000000000", "1000000000000001", "30649edf9be7d2c2"},
		{"88bca90e90875a7f0f79c384627bafb2", "0000000000000000", "2269552ab0f85ca6"},
	} {
		key, _ := hex.DecodeString(v.key)
		block, _ := hex.DecodeString(v.cipher)
		newRC2(key).Decrypt(block, block)
		if got := hex.EncodeToString(block); got != v.plain {
			t.Errorf("%s: %s decrypts to %s, want %s", v.key, v.cipher, got, v.plain)
		}
	}
}
