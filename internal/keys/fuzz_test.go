package keys_test

import (
	"encoding/pem"
	"errors"
	"testing"

	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/keys"
)

// weak is an encrypted key with one iteration, so that fuzzing is quick (openssl pkcs8 -topk8 -v2 aes-256-cbc -iter 1).
const weak = `-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHrMFYGCSqGSIb3DQEFDTBJMCgGCSqGSIb3DQEFDDAbBAincOSMXPAH9QIBATAM
BggqhkiG9w0CCQUAMB0GCWCGSAFlAwQBKgQQV0GXVrGX2ZHF9g22RmvMCQSBkPp2
rTuuazOOuYcuKguv01L4vE4DEk0unleNPV9GQwi13w0U7fhXdUpHiaiHpXijdMJv
7/qBRMjICBt9a3l7Hueu2SsqonEHY2h/HeiucQLWi8ilqgic2M3NTnhzQ+cpXERK
RJj+KMzsrUeNv1Zd1w/O6NBpv4X6OcGwb6A/Utlj5ugcrC01PaWV9QHHUmx8dQ==
-----END ENCRYPTED PRIVATE KEY-----
`

func FuzzParse(f *testing.F) {
	block, _ := pem.Decode([]byte(weak))
	f.Add(block.Bytes)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, der []byte) {
		if keys.CheckPBES2(der, 1<<30) == nil && keys.CheckPBES2(der, 1000) != nil {
			t.Skip("well formed, and slow to open")
		}
		text := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der})
		if _, err := keys.Parse("k", text, keys.Unlock("x")); err != nil {
			var e *fault.Error
			if !errors.As(err, &e) {
				t.Errorf("not a fault: %v", err)
			}
		}
	})
}

func TestParseWeak(t *testing.T) {
	t.Parallel()
	if _, err := keys.Parse("k", []byte(weak), keys.Unlock("x")); err != nil {
		t.Error(err)
	}
}
