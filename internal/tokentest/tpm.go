package tokentest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sealpost/sealpost/internal/child"
	"github.com/sealpost/sealpost/internal/tpmtest"
)

// NewInTPM makes a token whose keys are in a TPM (tpm2-pkcs11, on a simulated one), which locks its PIN after some wrong ones as a card does. It
// is found as New's is.
func NewInTPM(t *testing.T) *Token {
	t.Helper()
	chip := tpmtest.New(t)
	module, err := child.FindProgram("libtpm2_pkcs11.so", "/usr/lib*/pkcs11", "/usr/lib/*/pkcs11")
	if err != nil {
		t.Fatal(err)
	}
	v := &Token{Module: module, Label: "sample", PIN: "123456", t: t, dir: filepath.Join(t.TempDir(), "store")}
	if err := os.Mkdir(v.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TPM2_PKCS11_TCTI", "swtpm:path="+chip.Socket)
	t.Setenv("TPM2_PKCS11_STORE", v.dir)
	t.Setenv("TPM2_PKCS11_LOG_LEVEL", "0")
	for _, args := range [][]string{
		{"--slot-index", "0", "--init-token", "--label", v.Label, "--so-pin", "87654321"},
		{"--token-label", v.Label, "--init-pin", "--login", "--login-type", "so", "--so-pin", "87654321", "--new-pin", v.PIN},
	} {
		if out, err := exec.Command("pkcs11-tool", append([]string{"--module", module}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("pkcs11-tool: %v\n%s", err, out)
		}
	}
	return v
}

// Unlock is what the owner of the TPM does after too many wrong PINs. What the library left in the TPM's few slots goes, too: a real one has
// a resource manager for that.
func (v *Token) Unlock() {
	v.t.Helper()
	for _, c := range [][]string{{"tpm2_dictionarylockout", "--clear-lockout"}, {"tpm2_flushcontext", "--transient-object"}} {
		cmd := exec.Command(c[0], c[1:]...)
		cmd.Env = append(os.Environ(), "TPM2TOOLS_TCTI="+os.Getenv("TPM2_PKCS11_TCTI"))
		if out, err := cmd.CombinedOutput(); err != nil {
			v.t.Fatalf("%s: %v\n%s", c[0], err, out)
		}
	}
}
