package directory

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Attribute is an attribute of a person's entry that holds certificates, by its name in the standards; the dialect
// knows what the server calls it.
type Attribute string

// The attributes that packages may write.
const (
	UserCertificate      Attribute = "userCertificate"      // X.509 certificates, DER (RFC 4523 §4.1)
	UserSMIMECertificate Attribute = "userSMIMECertificate" // CMS SignedData with certificates, DER (RFC 2798 §2.8)

	// Of authorities' and distribution points' entries; Publish writes them.
	caCertificate Attribute = "cACertificate"             // RFC 4523 §4.2
	crlValue      Attribute = "certificateRevocationList" // RFC 4523 §4.3
	deltaValue    Attribute = "deltaRevocationList"       // RFC 4523 §4.5
)

// dialect is what servers of one kind have in common and others do differently. It is data: what a server needs beyond
// this table is another row, not another branch.
type dialect struct {
	// people is the filter that every person's entry meets, unless configured otherwise.
	people string

	// id is the attribute with the entry's own immutable id; its value is read by parseID into a canonical text, and
	// searched for as idValue makes it of that text.
	id      string
	parseID func([]byte) (string, error)
	idValue func(string) (string, error)

	// byID makes a distinguished name of that text, if the server takes such names: a change then meets that entry, whatever
	// its name is by then.
	byID func(string) string

	// shown is an attribute that each entry of the class accounts has: one that lacks it is not shown whole, and nobody knows
	// whether it is disabled.
	shown, accounts string

	logins    []string // what a login may be; the first is the one we show
	name      []string // the first that has a value counts, here and below
	givenName []string
	surname   []string
	employee  []string
	mail      string // mailboxes as they are
	proxies   string // mailboxes as smtp:mailbox, the primary one as SMTP:mailbox

	members  []string // attributes of groups that name members, with a matching rule where that follows nested groups
	memberOf string   // attribute of persons that names their groups
	disabled []Mark
	expires  string // when the account ends, as Windows counts time

	// changes are the attributes by which changed entries are found, the best first: the first that the server shows counts.
	changes []rising

	// whole are attributes whose schema has no equality rule, so that the server can neither take out nor add a single
	// value: all are written at once, on condition that the entry's version is what it was when they were read (RFC
	// 4528). version is the attribute that changes with every change of an entry. Servers that show none, such as 389
	// Directory Server, do compare such values.
	whole   []Attribute
	version string

	// wire is what attributes are called on the wire. RFC 4523 wants ;binary where OpenLDAP's schema has a certificate
	// syntax, and OpenLDAP refuses it elsewhere; Active Directory knows no ;binary.
	wire map[Attribute]string

	// holderClass is added to a person's entry that has none of the classes that allow certificates.
	holderClass   string
	holderClasses []string

	// entries are those of an authority and of a distribution point. container is the class of an entry to hold them that is made if
	// absent; "" means none.
	entries   map[EntryKind]entryClasses
	container string
}

// entryClasses is how an entry of a kind is made, and what it needs to hold an attribute.
type entryClasses struct {
	created  []string               // classes of a new entry, the first the structural one
	required []Attribute            // that a new entry must have from the start
	allowed  map[Attribute][]string // classes that allow an attribute; an entry with none of them gets the first
}

const authorityRevocationList Attribute = "authorityRevocationList"

// dialects are the kinds of servers that we know.
var dialects = map[string]dialect{
	// OpenLDAP, 389 Directory Server and others that follow RFC 4519, 4523 and 4530.
	"rfc4523": {
		people:  "(objectClass=person)",
		id:      "entryUUID",
		parseID: parseUUID, idValue: func(id string) (string, error) { return id, nil },
		logins: []string{"uid"},
		name:   []string{"displayName", "cn"}, givenName: []string{"givenName"}, surname: []string{"sn"}, employee: []string{"employeeNumber"},
		mail: "mail", proxies: "proxyAddresses",
		members: []string{"member", "uniqueMember"}, memberOf: "memberOf",
		disabled: []Mark{
			{Attribute: "pwdAccountLockedTime", Value: "000001010000Z"}, // locked for good (draft-behera-ldap-password-policy)
			{Attribute: "nsAccountLock", Value: "true"},                 // 389 Directory Server
		},
		changes: []rising{csn, modified},
		whole:   []Attribute{UserSMIMECertificate, crlValue, deltaValue}, version: "entryCSN",
		wire: map[Attribute]string{
			UserCertificate: "userCertificate;binary", UserSMIMECertificate: "userSMIMECertificate",
			caCertificate: "cACertificate;binary", crlValue: "certificateRevocationList;binary", deltaValue: "deltaRevocationList;binary",
		},
		holderClass: "pkiUser", holderClasses: []string{"inetOrgPerson", "pkiUser", "strongAuthenticationUser", "extensibleObject"},
		entries: map[EntryKind]entryClasses{
			AuthorityEntry: {created: []string{"applicationProcess", "pkiCA"}, allowed: rfc4523Classes},
			PointEntry:     {created: []string{"cRLDistributionPoint"}, allowed: rfc4523Classes},
		},
	},
	// Active Directory and Samba.
	"ad": {
		people:  "(&(objectCategory=person)(objectClass=user))", // without computers
		id:      "objectGUID",
		parseID: parseGUID, idValue: guidValue,
		byID:  func(id string) string { return "<GUID=" + id + ">" }, // MS-ADTS §3.1.1.3.1.2.4
		shown: "userAccountControl", accounts: "user",
		logins: []string{"sAMAccountName", "userPrincipalName"},
		name:   []string{"displayName", "cn"}, givenName: []string{"givenName"}, surname: []string{"sn"}, employee: []string{"employeeID", "employeeNumber"},
		mail: "mail", proxies: "proxyAddresses",
		members: []string{"member:1.2.840.113556.1.4.1941:"}, memberOf: "memberOf", // LDAP_MATCHING_RULE_IN_CHAIN
		disabled: []Mark{{Attribute: "userAccountControl", Bits: 0x2}}, // ACCOUNTDISABLE
		expires:  "accountExpires",
		changes:  []rising{usn},
		wire: map[Attribute]string{
			UserCertificate: "userCertificate", UserSMIMECertificate: "userSMIMECertificate",
			caCertificate: "cACertificate", crlValue: "certificateRevocationList", deltaValue: "deltaRevocationList",
			authorityRevocationList: "authorityRevocationList",
		},
		container: "container",
		entries: map[EntryKind]entryClasses{
			AuthorityEntry: {created: []string{"certificationAuthority"}, required: []Attribute{caCertificate, crlValue, authorityRevocationList}},
			PointEntry:     {created: []string{"cRLDistributionPoint"}, required: []Attribute{crlValue}},
		},
	},
}

// namedAttribute returns the attribute of people that a name on the wire is of.
func namedAttribute(name string) (Attribute, bool) {
	attr := Attribute(strings.TrimSuffix(name, ";binary"))
	return attr, attr == UserCertificate || attr == UserSMIMECertificate
}

// with returns the dialect as a configuration changes it.
func (t dialect) with(c Config) dialect {
	t.wire = maps.Clone(t.wire)
	for _, name := range c.AttributeNames {
		if attr, ok := namedAttribute(name); ok {
			t.wire[attr] = name
		}
	}
	if c.HolderClass != "" {
		t.holderClass, t.holderClasses = c.HolderClass, append(slices.Clone(t.holderClasses), c.HolderClass)
	}
	return t
}

// rfc4523Classes allow the attributes of authorities (RFC 4523 §3). The first are auxiliary: any entry can get them.
var rfc4523Classes = map[Attribute][]string{
	caCertificate: {"pkiCA", "certificationAuthority"},
	crlValue:      {"pkiCA", "cRLDistributionPoint", "certificationAuthority"},
	deltaValue:    {"deltaCRL", "cRLDistributionPoint", "certificationAuthority-V2"},
}

func parseUUID(b []byte) (string, error) {
	u, err := uuid.ParseBytes(b)
	return u.String(), err
}

// parseGUID reads an objectGUID: 16 bytes, the first three numbers of the text form little-endian (MS-DTYP §2.3.4.2).
func parseGUID(b []byte) (string, error) {
	if len(b) != 16 {
		return "", errors.New("an objectGUID has 16 bytes")
	}
	u := uuid.UUID{b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6]}
	copy(u[8:], b[8:])
	return u.String(), nil
}

func guidValue(id string) (string, error) {
	u, err := uuid.Parse(id)
	if err != nil {
		return "", err
	}
	b := []byte{u[3], u[2], u[1], u[0], u[5], u[4], u[7], u[6]}
	return string(append(b, u[8:]...)), nil
}

// Mark is a sign in an entry: that the attribute has a value (in any case), or that its number has one of the bits.
type Mark struct {
	Attribute string `yaml:"attribute"` // "employeeType"
	Value     string `yaml:"value"`     // "disabled"; compared without regard to case
	Bits      int64  `yaml:"bits"`      // instead of value
}

func (m Mark) in(values []string) bool {
	for _, v := range values {
		if m.Bits == 0 && strings.EqualFold(v, m.Value) {
			return true
		}
		if n, err := strconv.ParseInt(v, 10, 64); m.Bits != 0 && err == nil && n&m.Bits != 0 {
			return true
		}
	}
	return false
}

// windowsEpoch is 1601-01-01 in seconds before Unix time began. Windows counts from there in units of 100 ns.
const windowsEpoch = 11644473600

// expired reports whether a Windows account whose accountExpires is value has ended. 0 and the largest number mean never.
func expired(value string, now time.Time) bool {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n <= 0 || n == 1<<63-1 {
		return false
	}
	return !now.Before(time.Unix(n/1e7-windowsEpoch, n%1e7*100))
}
