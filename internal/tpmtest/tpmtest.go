// Package tpmtest runs a private TPM 2.0 (swtpm) on a unix socket, one for each test that wants one. It is imported by tests only.
//
// The TPM has an endorsement key with a certificate, from an authority of its own, as a TPM from a factory has. It owns the folder
// with the TPM's state, and knows nothing of who talks to it.
package tpmtest

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/sealpost/sealpost/agent/tpm"
	"github.com/sealpost/sealpost/internal/child"
)

// TPM is a simulated TPM that runs.
type TPM struct {
	Socket string // its commands, raw
	Roots  string // file with the certificates of who vouches for the endorsement key, PEM

	dir string
}

const patience = 30 * time.Second

// Agent is the TPM as the agent uses it, without a PIN.
func (v *TPM) Agent() *tpm.TPM { return tpm.New(tpm.Config{Address: "unix:" + v.Socket}) }

// New makes a TPM and starts it. It ends with the test.
func New(t testing.TB) *TPM {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a TPM")
	}
	dir, err := child.TempDir("sp-tpm-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	v := &TPM{Socket: filepath.Join(dir, "tpm"), Roots: filepath.Join(dir, "roots.pem"), dir: dir}
	if err := v.manufacture(); err != nil {
		t.Fatal(err)
	}
	p, err := v.start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(syscall.SIGTERM) })
	return v
}

// manufacture makes the TPM's state, with an endorsement key and its certificate.
func (v *TPM) manufacture() error {
	ca := filepath.Join(v.dir, "ca")
	files := map[string]string{
		"setup.conf": fmt.Sprintf("create_certs_tool = swtpm_localca\ncreate_certs_tool_config = %[1]s/localca.conf\n"+
			"create_certs_tool_options = %[1]s/localca.options\nactive_pcr_banks = sha256\n", v.dir),
		"localca.conf":    fmt.Sprintf("statedir = %[1]s\nsigningkey = %[1]s/signkey.pem\nissuercert = %[1]s/issuercert.pem\ncertserial = %[1]s/serial\n", ca),
		"localca.options": "--platform-manufacturer Example\n--platform-version 1\n--platform-model Sample\n",
	}
	for name, text := range files {
		path := filepath.Join(v.dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	for _, dir := range []string{"ca", "state"} {
		if err := child.MakeDir(filepath.Join(v.dir, dir)); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := v.run(ctx, "swtpm_setup", "--tpm2", "--tpmstate", v.state(), "--create-ek-cert", "--lock-nvram", "--config", filepath.Join(v.dir, "setup.conf")); err != nil {
		return err
	}
	var roots []byte
	for _, name := range []string{"issuercert.pem", "swtpm-localca-rootca-cert.pem"} {
		text, err := os.ReadFile(filepath.Join(ca, name))
		if err != nil {
			return err
		}
		roots = append(roots, text...)
	}
	return os.WriteFile(v.Roots, roots, 0o644)
}

func (v *TPM) state() string { return filepath.Join(v.dir, "state") }

func (v *TPM) run(ctx context.Context, name string, args ...string) error {
	path, err := child.FindProgram(name)
	if err != nil {
		return err
	}
	return child.Run(ctx, child.Config{Path: path, Args: args, Dir: v.dir, Env: v.env()})
}

func (v *TPM) env() []string {
	return []string{"PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin", "HOME=" + v.dir, "XDG_CONFIG_HOME=" + v.dir, "TMPDIR=" + v.dir}
}

func (v *TPM) start() (*child.Process, error) {
	path, err := child.FindProgram("swtpm")
	if err != nil {
		return nil, err
	}
	out, err := os.Create(filepath.Join(v.dir, "out"))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p, err := child.Start(child.Config{Path: path, Dir: v.dir, Env: v.env(), Log: out, Args: []string{"socket", "--tpm2",
		"--tpmstate", "dir=" + v.state(), "--server", "type=unixio,path=" + v.Socket, "--ctrl", "type=unixio,path=" + v.Socket + ".ctrl",
		"--flags", "not-need-init,startup-clear"}})
	if err != nil {
		return nil, err
	}
	end := time.Now().Add(patience)
	for {
		c, err := net.Dial("unix", v.Socket)
		if err == nil {
			return p, c.Close()
		}
		select {
		case <-p.Done():
			said, _ := os.ReadFile(out.Name()) // what there is of it
			return nil, fmt.Errorf("swtpm ended\n%s", said)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(end) {
			p.Stop(syscall.SIGTERM)
			return nil, fmt.Errorf("swtpm does not answer: %w", err)
		}
	}
}
