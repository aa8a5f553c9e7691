package imaptest_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/imaptest"
)

// What is put into a mailbox, curl reads by IMAP over TLS.
func TestMailbox(t *testing.T) {
	t.Parallel()
	s := imaptest.New(t)
	s.Put(t, "alice", []byte("Subject: Hello\r\n\r\nText\r\n"))
	for _, address := range []string{fmt.Sprintf("imaps://127.0.0.1:%d/INBOX;MAILINDEX=1", s.Port), fmt.Sprintf("imap://127.0.0.1:%d/INBOX;MAILINDEX=1", s.StartTLS)} {
		out, err := exec.CommandContext(t.Context(), "curl", "--silent", "--show-error", "--ssl-reqd", "--cacert", s.TrustFile, "--user", "alice:"+imaptest.Password, address).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "Subject: Hello") {
			t.Errorf("%s: %v: %s", address, err, out)
		}
	}
	if n := len(s.Mails(t, "alice")); n != 1 {
		t.Errorf("%d mails", n)
	}
}
