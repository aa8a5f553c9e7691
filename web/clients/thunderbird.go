package clients

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"unicode/utf16"
)

// RootFile is the name under which Thunderbird's policies look for a root's certificate.
func (i Installation) RootFile(n int) string {
	if n == 0 {
		return "sealpost-root.pem"
	}
	return "sealpost-root-" + strconv.Itoa(n+1) + ".pem"
}

// ThunderbirdPolicies returns policies.json: Thunderbird trusts the roots that lie in its folder of certificates under the names of
// RootFile, and uses what Windows and macOS trust and the keys that they hold. The address book is not in it: policies may not
// set what is of address books, ThunderbirdAutoconfig may.
func (i Installation) ThunderbirdPolicies() ([]byte, error) {
	var files []string
	for n := range i.Roots() {
		files = append(files, i.RootFile(n))
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetIndent("", "  ")
	err := e.Encode(map[string]any{"policies": map[string]any{
		"Certificates": map[string]any{"ImportEnterpriseRoots": true, "Install": files},
		"Preferences":  map[string]any{"security.osclientcerts.autoload": map[string]any{"Value": true, "Status": "default"}},
	}})
	return out.Bytes(), err
}

// preference is one of Thunderbird's settings.
type preference struct {
	name  string
	value any // string, bool or int
}

// addressBook are the preferences of the directory in which Thunderbird looks for recipients and their certificates.
func (i Installation) addressBook() []preference {
	b := i.Policy.AddressBook
	u, err := url.Parse(b.URL)
	if b.URL == "" || err != nil {
		return nil
	}
	name := b.Name
	if name == "" {
		name = i.Organisation
	}
	const server = "ldap_2.servers.sealpost"
	return []preference{
		{server + ".description", name},
		{server + ".dirType", 0},
		{server + ".filename", "sealpost.sqlite"},
		{server + ".maxHits", 100},
		{server + ".uri", (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/" + b.Base}).String() + "??sub?(objectclass=*)"},
		{"ldap_2.autoComplete.directoryServer", server},
		{"ldap_2.autoComplete.useDirectory", true},
	}
}

// ThunderbirdAutoconfig returns mozilla.cfg, a script of settings that Thunderbird reads at its start: the address book, and what
// the policies say too for where they are not read. It is ASCII; its first line, which is not read, must be a comment.
func (i Installation) ThunderbirdAutoconfig() ([]byte, error) {
	var out bytes.Buffer
	out.WriteString("// Settings of the organisation. This first line is not read.\n")
	for _, p := range append([]preference{{"security.osclientcerts.autoload", true}, {"security.enterprise_roots.enabled", true}}, i.addressBook()...) {
		value, err := literal(p.value)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&out, "defaultPref(%q, %s);\n", p.name, value)
	}
	return out.Bytes(), nil
}

// literal writes a value for JavaScript, in printable ASCII.
func literal(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	for _, unit := range utf16.Encode([]rune(string(b))) {
		if unit < 0x7f {
			out.WriteByte(byte(unit))
		} else {
			fmt.Fprintf(&out, `\u%04x`, unit)
		}
	}
	return out.String(), nil
}

// ThunderbirdLoader is the file in defaults/pref that has Thunderbird read mozilla.cfg.
const ThunderbirdLoader = "pref(\"general.config.filename\", \"mozilla.cfg\");\npref(\"general.config.obscure_value\", 0);\n"
