package clients

import (
	"crypto/sha256"
	"fmt"

	"github.com/google/uuid"
)

// Profile returns a configuration profile for iPhone, iPad and Mac (.mobileconfig) that has them trust the roots and know the
// certificates below, and sets up the mail account if there is one; the device asks who somebody is. There are no keys in it,
// so that it is the same for everybody. It is not signed. The same installation gives the same profile, which replaces
// itself on a device.
func (i Installation) Profile() ([]byte, error) {
	var payloads []dict
	for n, c := range i.Certificates {
		kind := "com.apple.security.pkcs1"
		if isRoot(c) {
			kind = "com.apple.security.root"
		}
		payloads = append(payloads, append(i.payload(kind, fmt.Sprintf("certificate-%d", n+1), c.Subject.CommonName),
			pair{"PayloadCertificateFileName", fmt.Sprintf("certificate-%d.cer", n+1)}, pair{"PayloadContent", c.Raw}))
	}
	if a := i.Policy.Account.Complete(); a.IMAP != "" {
		payloads = append(payloads, append(i.payload("com.apple.mail.managed", "mail", i.Organisation), i.account(a)...))
	}
	return plist(append(i.payload("Configuration", "profile", i.Organisation),
		pair{"PayloadOrganization", i.Organisation}, pair{"PayloadContent", payloads}))
}

// payload is what every payload of a profile has.
func (i Installation) payload(kind, name, shown string) dict {
	id := "sealpost." + i.id().String()
	if kind != "Configuration" {
		id += "." + name
	}
	return dict{{"PayloadType", kind}, {"PayloadVersion", 1}, {"PayloadIdentifier", id},
		{"PayloadUUID", uuid.NewSHA1(i.id(), []byte(name)).String()}, {"PayloadDisplayName", shown}}
}

// id is an installation's: it is derived of its first root.
func (i Installation) id() uuid.UUID {
	of := i.Certificates[0]
	if roots := i.Roots(); len(roots) > 0 {
		of = roots[0]
	}
	sum := sha256.Sum256(of.Raw)
	return uuid.NewSHA1(uuid.NameSpaceOID, sum[:])
}

// account are the settings of com.apple.mail.managed. Which certificates somebody signs and is written to with, only a profile
// with their own identities can say (app/profile.ts).
func (i Installation) account(a Account) dict {
	return dict{
		{"EmailAccountType", "EmailTypeIMAP"}, {"EmailAccountDescription", i.Organisation},
		{"IncomingMailServerAuthentication", "EmailAuthPassword"}, {"IncomingMailServerHostName", a.IMAP},
		{"IncomingMailServerPortNumber", a.IMAPPort}, {"IncomingMailServerUseSSL", true},
		{"OutgoingMailServerAuthentication", "EmailAuthPassword"}, {"OutgoingMailServerHostName", a.SMTP},
		{"OutgoingMailServerPortNumber", a.SMTPPort}, {"OutgoingMailServerUseSSL", true}, {"OutgoingPasswordSameAsIncomingPassword", true},
	}
}
