package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/testmail"
)

// TestMail lets people try out, on a page of the portal, whether their mail program is set up: Sealpost sends them a signed and
// encrypted mail, by the server of the section mail, and tells what it finds in their answer (docs/portal.md). Left out, there
// is no such page.
//
// The server holds the keys of the mailbox that those mails come from, issues their certificates itself and renews them. Nothing secret
// belongs into an answer.
type TestMail struct {
	// Address is the mailbox that test mails come from and answers go to, of Sealpost's own: what answers a test is removed
	// from it after it was read. The section mail's user must be allowed to send as this address, and names.mail_domains to
	// certify it. It is written as in certificates: the domain in lower case.
	Address string `yaml:"address"`

	IMAP IMAP `yaml:"imap"`

	Wait Duration `yaml:"wait"` // how long answers are waited for; 0 means 24h, at most 168h
}

// IMAP says where that mailbox is read. It is looked into only as long as somebody's answer is waited for.
type IMAP struct {
	Host string `yaml:"host"` // of the mailbox's server
	Port int    `yaml:"port"` // 0 means 993, with tls: starttls 143
	TLS  string `yaml:"tls"`  // implicit (default) or starttls

	// TrustFile holds the certificates (PEM) of the CAs that the server's certificate must come from. Empty means those
	// that the operating system trusts.
	TrustFile string `yaml:"trust_file"`

	User         string `yaml:"user"`          // to log in as
	PasswordFile string `yaml:"password_file"` // its first line is the user's password; the file must not be readable by others

	Folder string `yaml:"folder"` // in which answers arrive; "" means INBOX
}

// Configured reports whether there are test mails.
func (t TestMail) Configured() bool { return t.Address != "" }

// Mailbox returns what the file says of the mailbox, without what lies in other files.
func (t TestMail) Mailbox() testmail.Mailbox {
	i := t.IMAP
	return testmail.Mailbox{Host: i.Host, Port: i.Port, Security: testmail.Security(i.TLS), User: i.User, Folder: i.Folder}
}

// longestWait bounds test_mail.wait.
const longestWait = Duration(7 * 24 * time.Hour)

func (c *Config) validateTestMail(f *faults) {
	t := c.TestMail
	if reflect.ValueOf(t).IsZero() {
		return
	}
	m, err := directory.ParseMailbox(t.Address)
	if err != nil || m != t.Address {
		f.say("test_mail.address", "must be a mail address, such as mail-test@example.com, with the domain in lower case")
	} else if _, domain, _ := strings.Cut(m, "@"); !slices.Contains(c.OwnAddresses(), domain) && !slices.Contains(c.OwnAddresses(), strings.ToLower(m)) {
		f.say("test_mail.address", fmt.Sprintf("must be one that names.mail_domains allows; %s is not there", domain))
	}
	f.add("test_mail.imap", t.Mailbox().Validate())
	f.need("test_mail.imap.password_file", t.IMAP.PasswordFile)
	if t.Wait < 0 || t.Wait > longestWait {
		f.say("test_mail.wait", "must lie between 0 and 168h")
	}
	if c.Mail.Host == "" {
		f.say("mail.host", "is missing; without a mail server no test mails can be sent")
	}
	if c.Listen.Portal == "" {
		f.say("listen.portal", "is missing; test mails are a page of the portal")
	}
}
