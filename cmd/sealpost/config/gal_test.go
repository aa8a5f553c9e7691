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
