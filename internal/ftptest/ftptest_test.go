package ftptest_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sealpost/sealpost/internal/ftptest"
)

// curl runs the independent client.
func curl(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command("curl", append([]string{"-sS", "--max-time", "10"}, args...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

func TestDoors(t *testing.T) {
	t.Parallel()
	for _, security := range []ftptest.Security{ftptest.Plain, ftptest.Explicit, ftptest.Implicit} {
		t.Run(string("security "+security), func(t *testing.T) {
			t.Parallel()
			s := ftptest.New(t, ftptest.Config{Security: security})
			mine := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(mine, []byte("content"), 0o600); err != nil {
				t.Fatal(err)
			}
			scheme, with := "ftp://", []string{}
			switch security {
			case ftptest.Explicit:
				with = []string{"--ssl-reqd", "--cacert", s.TrustFile}
			case ftptest.Implicit:
				scheme, with = "ftps://", []string{"--cacert", s.TrustFile}
			}
			door := func(password string) string { return scheme + ftptest.Login + ":" + password + "@" + s.Address() + "/" }
			if out, err := curl(t, append(with, "-T", mine, door(s.Password)+"a.tmp", "-Q", "-RNFR a.tmp", "-Q", "-RNTO a.crl")...); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if out, err := curl(t, append(with, "-T", mine, door("wrong")+"b")...); err == nil {
				t.Errorf("let in with a wrong password: %s", out)
			}
			if security != ftptest.Plain {
				if out, err := curl(t, "ftp://"+ftptest.Login+":"+s.Password+"@"+s.Address()+"/a.crl"); err == nil {
					t.Errorf("let in without TLS: %s", out)
				}
			}
			if out, err := curl(t, s.URL()+"/a.crl"); err != nil || out != "content" {
				t.Errorf("the world reads %q, %v", out, err)
			}
			if out, err := curl(t, "-T", mine, s.URL()+"/c"); err == nil {
				t.Errorf("the world writes: %s", out)
			}
		})
	}
}

// Visitors do not see the rest of the machine, nor the server's own secrets.
func TestRestOfTheMachine(t *testing.T) {
	t.Parallel()
	s := ftptest.New(t, ftptest.Config{})
	for _, path := range []string{"//etc/hostname", "/../passwords", "/../publisher.password", "/../world.conf", "/../../../etc/hostname", "//etc/", "//home/", "//root/", "//usr/bin/env"} {
		for _, how := range []string{"nocwd", "singlecwd", "multicwd"} {
			if out, err := curl(t, "--path-as-is", "--ftp-method", how, s.URL()+path); err == nil && out != "" {
				t.Errorf("%s, %s: %.40q", path, how, out)
			}
		}
	}
}

// Nothing of the server is left when it has ended, in whichever way.
func TestEnds(t *testing.T) {
	t.Parallel()
	s := ftptest.New(t, ftptest.Config{})
	s.Freeze()
	if out, err := curl(t, "--max-time", "1", s.URL()+"/"); err == nil {
		t.Errorf("a frozen server answers: %s", out)
	}
	s.Thaw()
	if out, err := curl(t, s.URL()+"/"); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	s.Kill()
	if out, err := curl(t, s.URL()+"/"); err == nil {
		t.Errorf("a killed server answers: %s", out)
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out, err := curl(t, s.URL()+"/"); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	s.Freeze() // the end of the test must thaw it
}
