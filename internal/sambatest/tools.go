package sambatest

import (
	"context"
	"encoding/base64"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/child"
)

// Search runs ldapsearch over TLS as an account (the zero Account asks anonymously) and returns the LDIF that it prints,
// with unfolded lines and without references to other parts of the forest.
func (s *Server) Search(t testing.TB, as Account, args ...string) string {
	t.Helper()
	out, err := s.TrySearch(t.Context(), as, args...)
	if err != nil {
		t.Fatalf("ldapsearch %q: %v: %s", args, err, out)
	}
	return out
}

// TrySearch is Search for what may fail.
func (s *Server) TrySearch(ctx context.Context, as Account, args ...string) (string, error) {
	out, err := s.openLDAP(ctx, as, "", "ldapsearch", append([]string{"-LLL", "-o", "ldif-wrap=no"}, args...)...)
	var kept strings.Builder
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "# refldap") {
			kept.WriteString(line)
		}
	}
	return kept.String(), err
}

// Values returns the values of an attribute of an entry, as ldapsearch shows them to an account.
func (s *Server) Values(t testing.TB, as Account, dn, attribute string) [][]byte {
	t.Helper()
	var list [][]byte
	for line := range strings.Lines(s.Search(t, as, "-b", dn, "-s", "base", "(objectClass=*)", attribute)) {
		line = strings.TrimRight(line, "\n")
		if v, ok := strings.CutPrefix(line, attribute+":: "); ok {
			raw, err := base64.StdEncoding.DecodeString(v)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, raw)
		} else if v, ok := strings.CutPrefix(line, attribute+": "); ok {
			list = append(list, []byte(v))
		}
	}
	return list
}

// Modify changes the directory as its administrator. Records without a changetype are added.
func (s *Server) Modify(t testing.TB, ldif string) {
	t.Helper()
	if out, err := s.ModifyAs(t, s.Admin, ldif); err != nil {
		t.Fatalf("ldapmodify: %v: %s", err, out)
	}
}

// ModifyAs changes the directory as an account, and returns what ldapmodify says.
func (s *Server) ModifyAs(t testing.TB, as Account, ldif string) (string, error) {
	t.Helper()
	return s.modify(t.Context(), as, ldif)
}

// Allow adds rights to an entry, as access control entries in SDDL (MS-DTYP §2.5.1) where %s stands for the account: what
// dsacls does in Windows.
func (s *Server) Allow(t testing.TB, dn string, to Account, sddl string) {
	t.Helper()
	sid, err := s.sid(t.Context(), to.DN)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := s.allow(t.Context(), dn, strings.ReplaceAll(sddl, "%s", sid)); err != nil {
		t.Fatalf("samba-tool dsacl: %v: %s", err, out)
	}
}

// Tool runs samba-tool as the administrator, over LDAP, and returns what it says.
func (s *Server) Tool(t testing.TB, args ...string) string {
	t.Helper()
	out, err := s.tool(t.Context(), args...)
	if err != nil {
		t.Fatalf("samba-tool %q: %v: %s", args, err, out)
	}
	return out
}

func (s *Server) modify(ctx context.Context, as Account, ldif string) (string, error) {
	return s.openLDAP(ctx, as, ldif, "ldapmodify", "-a")
}

func (s *Server) allow(ctx context.Context, dn, sddl string) (string, error) {
	s.rights.Lock() // samba-tool reads an entry's rights and writes them all
	defer s.rights.Unlock()
	return s.tool(ctx, "dsacl", "set", "--action=allow", "--objectdn="+dn, "--sddl="+sddl)
}

// sid returns an account's security identifier, as text.
func (s *Server) sid(ctx context.Context, dn string) (string, error) {
	out, err := s.TrySearch(ctx, s.Admin, "-b", dn, "-s", "base", "(objectClass=*)", "objectSid")
	_, value, ok := strings.Cut(out, "objectSid:: ")
	if err != nil || !ok {
		return "", fmt.Errorf("ldapsearch: %w: %s", err, out)
	}
	value, _, _ = strings.Cut(value, "\n")
	b, err := base64.StdEncoding.DecodeString(value)
	if err != nil || len(b) < 8 || len(b) != 8+4*int(b[1]) {
		return "", fmt.Errorf("%s is no security identifier", value)
	}
	text := fmt.Sprintf("S-%d-%d", b[0], b[7]) // MS-DTYP §2.4.2
	for b = b[8:]; len(b) > 0; b = b[4:] {
		text += fmt.Sprintf("-%d", uint32(b[0])|uint32(b[1])<<8|uint32(b[2])<<16|uint32(b[3])<<24)
	}
	return text, nil
}

func (s *Server) openLDAP(ctx context.Context, as Account, stdin, program string, args ...string) (string, error) {
	path, err := child.FindProgram(program)
	if err != nil {
		return "", err
	}
	args = append([]string{"-x", "-H", s.TLSURL()}, args...)
	if as.DN != "" {
		args = append([]string{"-D", as.DN, "-y", as.PasswordFile}, args...)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"LDAPCONF=/dev/null", "LDAPTLS_CACERT=" + s.TrustFile, "HOME=" + s.dir}
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (s *Server) tool(ctx context.Context, args ...string) (string, error) {
	path, err := child.FindProgram("samba-tool")
	if err != nil {
		return "", err
	}
	args = append(args, "-H", s.StartTLSURL(), "--configfile="+s.path("smb.conf"), "-U", Domain+`\`+s.Admin.Name)
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + s.dir, "PASSWD_FILE=" + s.Admin.PasswordFile, "KRB5_CONFIG=" + s.Krb5Conf, "LC_ALL=C.UTF-8"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}
