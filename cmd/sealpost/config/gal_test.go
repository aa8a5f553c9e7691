package config_test

import (
	"strings"
	"testing"

	"github.com/sealpost/sealpost/cmd/sealpost/config"
)

func TestTargets(t *testing.T) {
	const whole = "urls: [ldaps://x.test], lookup: {dn: cn=l, password_file: f}, publisher: {dn: cn=p, password_file: f}, people: {base: dc=test}"
	for text, want := range map[string]string{
		"[{name: a, " + whole + "}]":                                  "",
		"[{name: a, " + whole + ", domains: [Müller.test], rate: 5}]": "",
		"[{" + whole + "}]":                                           "gal.targets[0].name: must be a name of its own",
		"[{name: company, " + whole + "}]":                            "gal.targets[0].name: must be a name of its own",
		"[{name: a, " + whole + "}, {name: a, " + whole + "}]":        "gal.targets[1].name: must be a name of its own",
		"[{name: a}]": "gal.targets[0].urls: names no server",
		"[{name: b}]": "gal.targets[0].publisher: is missing",
		"[{name: a, find: '(mail=*)', " + whole + "}]":                            "gal.targets[0].find: needs {mailbox}",
		"[{name: a, domains: ['a b'], " + whole + "}]":                            "gal.targets[0].domains[0]: \"a b\" is no mail domain",
		"[{name: a, limit: 2, " + whole + "}]":                                    "gal.targets[0].limit: must lie",
		"[{name: a, attribute_names: [mail], " + whole + "}]":                     "gal.targets[0].attribute_names[0]: must be userCertificate",
		"[{name: a, holder_class: 'a b', " + whole + "}]":                         "gal.targets[0].holder_class: \"a b\" is no class's name",
		"[{name: a},{name: b},{name: c},{},{},{},{},{},{name: d, " + whole + "}]": "gal.targets: there may be 8 at most",
	} {
		c, err := config.Decode([]byte("directory: {name: company}\ngal: {smime: absent, targets: " + text + "}"))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		err = c.Validate()
		if want == "" && strings.Contains(err.Error(), "gal.") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: no %q in:\n%v", text, want, err)
		}
	}
}

func TestContacts(t *testing.T) {
	for text, want := range map[string]string{
		"{base: 'ou=contacts,dc=test'}":                                          "",
		"{base: 'ou=contacts,dc=test', find: '(proxyAddresses=smtp:{mailbox})'}": "",
		"{trust_file: x.pem}":                                                    "gal.contacts.base: is missing",
		"{base: contacts}":                                                       "gal.contacts.base: \"contacts\" is no distinguished name",
		"{base: 'ou=contacts,dc=test', find: '(mail=x)'}":                        "gal.contacts.find: needs {mailbox}",
	} {
		for _, publisher := range []string{"", "publisher: {dn: cn=p, password_file: f}"} {
			c, err := config.Decode([]byte("directory: {name: company, " + publisher + "}\ngal: {contacts: " + text + "}"))
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			err = c.Validate()
			if want == "" && strings.Contains(err.Error(), "gal.contacts") || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: no %q in:\n%v", text, want, err)
			}
			if got := strings.Contains(err.Error(), "directory.publisher: is missing"); got != (publisher == "") {
				t.Errorf("%s with %q: %v", text, publisher, err)
			}
		}
	}
	c, err := config.Decode([]byte("names: {mail_domains: [Example.com, müller.test, desk@example.net]}"))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(c.OwnAddresses(), " "); got != "example.com xn--mller-kva.test desk@example.net" {
		t.Errorf("own addresses: %s", got)
	}
}
